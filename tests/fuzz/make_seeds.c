/* make_seeds DIR: writes the samples that the loaders' fuzzers start from. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../samples.h"

/* A client's packets, a line each; an empty line is a stop (fuzz_gdb.c). */
static size_t sample_gdb(uint8_t *file)
{
    static const char lines[] =
        "1qSupported:swbreak+;hwbreak+\nvCont?\nQStartNoAckMode\n?\nqXfer:features:read:target.xml:"
        "0,3ff\n"
        "g\np10\nP11=46020000\nP27=00\nm1000,40\nM1000,2:abcd\nX1010,3:}]"
        "ab\nHg0\nqC\nqfThreadInfo\n"
        "Z0,1234,1\nZ1,1234,1\nZ2,1008,8\nZ3,2000,4\nZ4,3000,10\nvCont;c\n\nz0,1234,1\nvCont;s:1;"
        "c\n\n"
        "qRcmd,70687973206f6e\nQqemu.PhyMemMode:1\nQqemu.sstep=0x1\nC05;1000\n\nvKill;1\nD\nk\n";

    memcpy(file, lines, sizeof(lines) - 1);
    return sizeof(lines) - 1;
}

/* A guest's paging and lines for the monitor console (fuzz_monitor.c). */
static size_t sample_monitor(uint8_t *file)
{
    static const uint8_t guest[64] = {0x2f, 0, 0, 0, 0, 0, 0, 0, 0x67, 0x12, 0, 0,
                                      0,    0, 0, 0, 7, 2, 1, 0, 0,    0,    0, 0x80};
    static const char lines[] =
        "info status\ninfo registers\ninfo slots\ninfo e820\ninfo mmu\ninfo shadow pages\n"
        "info ept leaves\ninfo tlb\ninfo exits\ninfo memory\naudit\nhelp x\n"
        "walk 0x401234\nwalk $rsp + 0x10 - 8\nx/8xg $pc\nx /20i 0x10000\nxp/4s 0x1000\n"
        "x/3dh 0\nx/2tb $rax\nx/a $cr3\nx/9c 65536\nx/2ow 1\nx/uw 2\nstop\ncont\nquit\n";

    memcpy(file, guest, sizeof(guest));
    memcpy(file + sizeof(guest), lines, sizeof(lines) - 1);
    return sizeof(guest) + sizeof(lines) - 1;
}

static const struct {
    const char *name;
    size_t (*make)(uint8_t *file);
} samples[] = {
    {"linux", sample_linux},
    {"multiboot-elf", sample_multiboot_elf},
    {"multiboot-kludge", sample_multiboot_kludge},
    {"cd", sample_cd},
    {"disk", sample_disk},
    {"gdb", sample_gdb},
    {"monitor", sample_monitor},
};

static int write_sample(const char *dir, size_t index)
{
    uint8_t *bytes = calloc(1, SAMPLE_MAX_BYTES);
    char path[4096];
    size_t size;
    FILE *file;
    int result = 1;

    if (!bytes)
        return 1;
    size = samples[index].make(bytes);
    snprintf(path, sizeof(path), "%s/%s", dir, samples[index].name);
    file = fopen(path, "wb");
    if (file) {
        result = fwrite(bytes, 1, size, file) != size;
        result |= fclose(file) != 0;
    }
    if (result)
        perror(path);
    free(bytes);
    return result;
}

int main(int argc, char **argv)
{
    int result = 0;

    if (argc != 2) {
        fprintf(stderr, "usage: make_seeds DIR\n");
        return 2;
    }
    for (size_t i = 0; i < ARRAY_SIZE(samples) && result == 0; i++)
        result = write_sample(argv[1], i);
    return result;
}
