/*
 * Small guest files made in memory: right ones, which the tests then spoil, and seeds for fuzzers.
 * Each maker fills a zeroed buffer and returns the size of the file.
 */
#ifndef UMBRA_TESTS_SAMPLES_H
#define UMBRA_TESTS_SAMPLES_H

#include <elf.h>
#include <string.h>

#include "base/types.h"
#include "fw/bytes.h"

#define SAMPLE_MAX_BYTES (64 * 1024)

/* A bzImage of protocol 2.15: 4 setup sectors, 4 KiB of kernel, 1 MiB at 1 MiB to run in. */
#define SAMPLE_LINUX_SETUP_BYTES  (5 * 512)
#define SAMPLE_LINUX_KERNEL_BYTES 4096

#define SAMPLE_LINUX_VERSION 0x280

static inline size_t sample_linux(uint8_t *file)
{
    file[0x1f1] = 4;
    bytes_put32(file + 0x1f4, SAMPLE_LINUX_KERNEL_BYTES / 16);
    bytes_put16(file + 0x1fe, 0xaa55);
    memcpy(file + 0x202, "HdrS", 4);
    bytes_put16(file + 0x206, 0x020f);
    bytes_put16(file + 0x20e, SAMPLE_LINUX_VERSION - 0x200); /* where the version's text is */
    memcpy(file + SAMPLE_LINUX_VERSION, "6.1.0-sample (a@b) #1", 22);
    file[0x211] = 1;                       /* LOADED_HIGH */
    bytes_put32(file + 0x22c, 0x7fffffff); /* initrd_addr_max */
    bytes_put32(file + 0x230, 0x1000);     /* kernel_alignment */
    file[0x234] = 1;                       /* relocatable */
    bytes_put32(file + 0x238, 255);        /* cmdline_size */
    bytes_put64(file + 0x258, 0x100000);   /* pref_address */
    bytes_put32(file + 0x260, 0x100000);   /* init_size */
    memset(file + SAMPLE_LINUX_SETUP_BYTES, 0x6b, SAMPLE_LINUX_KERNEL_BYTES);
    return SAMPLE_LINUX_SETUP_BYTES + SAMPLE_LINUX_KERNEL_BYTES;
}

/* A multiboot ELF32: one segment of 256 bytes at 2 MiB with 256 more of zeroes. */
#define SAMPLE_MULTIBOOT_BASE   0x200000
#define SAMPLE_MULTIBOOT_HEADER 0x1000 /* offset of the header: the segment's start */
#define SAMPLE_MULTIBOOT_BYTES  256

static inline size_t sample_multiboot_elf(uint8_t *file)
{
    Elf32_Ehdr *elf = (Elf32_Ehdr *)file;
    Elf32_Phdr *ph = (Elf32_Phdr *)(file + sizeof(*elf));
    uint8_t *header = file + SAMPLE_MULTIBOOT_HEADER;

    memcpy(elf->e_ident, ELFMAG, SELFMAG);
    elf->e_ident[EI_CLASS] = ELFCLASS32;
    elf->e_ident[EI_DATA] = ELFDATA2LSB;
    elf->e_ident[EI_VERSION] = EV_CURRENT;
    elf->e_type = ET_EXEC;
    elf->e_machine = EM_386;
    elf->e_entry = SAMPLE_MULTIBOOT_BASE + 0x20;
    elf->e_phoff = sizeof(*elf);
    elf->e_ehsize = sizeof(*elf);
    elf->e_phentsize = sizeof(*ph);
    elf->e_phnum = 1;
    *ph = (Elf32_Phdr){.p_type = PT_LOAD,
                       .p_offset = SAMPLE_MULTIBOOT_HEADER,
                       .p_vaddr = SAMPLE_MULTIBOOT_BASE,
                       .p_paddr = SAMPLE_MULTIBOOT_BASE,
                       .p_filesz = SAMPLE_MULTIBOOT_BYTES,
                       .p_memsz = 2 * SAMPLE_MULTIBOOT_BYTES};
    bytes_put32(header, 0x1badb002);
    bytes_put32(header + 4, 7);
    bytes_put32(header + 8, -(0x1badb002u + 7));
    memset(header + 12, 0x6d, SAMPLE_MULTIBOOT_BYTES - 12);
    return SAMPLE_MULTIBOOT_HEADER + SAMPLE_MULTIBOOT_BYTES;
}

/* The same by the header's own addresses; the header stands 16 bytes into the file. */
static inline size_t sample_multiboot_kludge(uint8_t *file)
{
    uint8_t *header = file + 16;

    bytes_put32(header, 0x1badb002);
    bytes_put32(header + 4, 0x10003);
    bytes_put32(header + 8, -(0x1badb002u + 0x10003));
    bytes_put32(header + 12, SAMPLE_MULTIBOOT_BASE + 16);
    bytes_put32(header + 16, SAMPLE_MULTIBOOT_BASE);
    bytes_put32(header + 20, SAMPLE_MULTIBOOT_BASE + SAMPLE_MULTIBOOT_BYTES);
    bytes_put32(header + 24, SAMPLE_MULTIBOOT_BASE + 2 * SAMPLE_MULTIBOOT_BYTES);
    bytes_put32(header + 28, SAMPLE_MULTIBOOT_BASE + 48);
    memset(header + 32, 0x6d, SAMPLE_MULTIBOOT_BYTES - 48);
    return SAMPLE_MULTIBOOT_BYTES;
}

/* A CD: descriptors in blocks 16 to 18, the catalog in block 19, a boot image in block 20. */
#define SAMPLE_CD_CATALOG (19 * 2048)
#define SAMPLE_CD_ENTRY   (SAMPLE_CD_CATALOG + 32)

/* Makes the validation entry's sixteen words sum to 0. */
static inline void sample_cd_checksum(uint8_t *catalog)
{
    uint16_t sum = 0;

    bytes_put16(catalog + 28, 0);
    for (unsigned i = 0; i < 32; i += 2)
        sum += bytes_get16(catalog + i);
    bytes_put16(catalog + 28, -sum);
}

static inline size_t sample_cd(uint8_t *file)
{
    static const uint8_t types[] = {1, 0, 255};
    uint8_t *catalog = file + SAMPLE_CD_CATALOG, *entry = file + SAMPLE_CD_ENTRY;

    for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
        uint8_t *d = file + (16 + i) * 2048;

        d[0] = types[i];
        memcpy(d + 1, "CD001\x01", 6);
    }
    memcpy(file + 17 * 2048 + 7, "EL TORITO SPECIFICATION", 23);
    bytes_put32(file + 17 * 2048 + 0x47, SAMPLE_CD_CATALOG / 2048);
    catalog[0] = 1;
    catalog[30] = 0x55;
    catalog[31] = 0xaa;
    sample_cd_checksum(catalog);
    entry[0] = 0x88;
    bytes_put16(entry + 6, 4);
    bytes_put32(entry + 8, 20);
    memset(file + 20 * 2048, 0x90, 2048);
    return 21 * 2048;
}

/* A disk of two sectors with a boot signature. */
static inline size_t sample_disk(uint8_t *file)
{
    if (!file[0])
        bytes_put16(file, 0xf4fa); /* CLI, HLT */
    bytes_put16(file + 510, 0xaa55);
    return 1024;
}

#endif
