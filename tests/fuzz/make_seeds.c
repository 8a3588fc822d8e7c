/* make_seeds DIR: writes the samples that the loaders' fuzzers start from. */
#include <stdio.h>
#include <stdlib.h>

#include "../samples.h"

static const struct {
    const char *name;
    size_t (*make)(uint8_t *file);
} samples[] = {
    {"linux", sample_linux},
    {"multiboot-elf", sample_multiboot_elf},
    {"multiboot-kludge", sample_multiboot_kludge},
    {"cd", sample_cd},
    {"disk", sample_disk},
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
