/* Reads of /proc/self/cmdline and /proc/cpuinfo, uname and sysconf. */
#include "vm/stats_host.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <unistd.h>

static void read_words(struct stats_host *host)
{
    FILE *file = fopen("/proc/self/cmdline", "re"), *copy;
    char *word = NULL;
    size_t size = 0;
    ssize_t len;

    copy = file ? open_memstream(&host->words, &host->words_bytes) : NULL;
    while (copy && (len = getdelim(&word, &size, '\0', file)) > 0)
        fwrite(word, 1, (size_t)len, copy);
    free(word);
    if (copy)
        fclose(copy);
    if (file)
        fclose(file);
}

static void read_processor(struct stats_host *host)
{
    FILE *file = fopen("/proc/cpuinfo", "re");
    char line[512];

    while (file && fgets(line, sizeof(line), file)) {
        if (sscanf(line, "model name : %127[^\n]", host->processor) == 1)
            break;
    }
    if (file)
        fclose(file);
}

void stats_host_init(struct stats_host *host)
{
    struct utsname name;

    *host = (struct stats_host){.processor = "unknown"};
    read_words(host);
    read_processor(host);
    host->processors = (uint64_t)MAX(sysconf(_SC_NPROCESSORS_ONLN), 1L);
    host->memory_bytes =
        (uint64_t)MAX(sysconf(_SC_PHYS_PAGES), 0L) * (uint64_t)sysconf(_SC_PAGESIZE);
    if (uname(&name) == 0)
        snprintf(host->kernel, sizeof(host->kernel), "%s", name.release);
}

void stats_host_fini(struct stats_host *host)
{
    free(host->words);
    host->words = NULL;
}
