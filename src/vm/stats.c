/* What `--stats` prints at the end: exits by reason, and the engine's own counters. */
#include "vm/stats.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "vm/vm_internal.h"

static uint64_t total_exits(const struct engine_counters *counters)
{
    uint64_t total = 0;

    for (unsigned i = 0; i < EXIT_REASONS; i++)
        total += counters->exits[i];
    return total;
}

/* The process's resident set, from the host's own accounting; 0 when it cannot be read. */
static uint64_t process_resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    uint64_t pages = 0;

    if (!file)
        return 0;
    if (fscanf(file, "%*u %" SCNu64, &pages) != 1)
        pages = 0;
    fclose(file);
    return pages * PAGE_SIZE;
}

static void print_memory(const struct vm *vm, FILE *out)
{
    uint64_t guest = mem_resident_bytes(vm->mem);
    uint64_t process = process_resident_bytes();

    fprintf(out, "%10.1f MiB of guest memory touched, %.1f MiB resident beyond it\n",
            (double)guest / (double)MIB, (double)(process - MIN(process, guest)) / (double)MIB);
}

void vm_stats_print(const struct vm *vm, FILE *out)
{
    const struct engine_counters *counters = vm->engine->vcpu_counters(vm->vcpu);
    uint64_t total = total_exits(counters);
    uint64_t ns = clock_now_ns(&vm->clock.clock);
    double seconds = (double)ns / (double)NS_PER_SEC;

    fprintf(out, "ran %.3f s, %" PRIu64 " instructions (%.1f million a second)\n", seconds,
            counters->instructions, (double)counters->instructions / seconds / 1e6);
    fprintf(out, "%14s %6s  %s\n", "exits", "share", "reason");
    for (unsigned i = 0; i < EXIT_REASONS; i++) {
        uint64_t n = counters->exits[i];

        if (n > 0)
            fprintf(out, "%14" PRIu64 " %5.1f%%  %s\n", n, 100.0 * (double)n / (double)total,
                    exit_reason_words(i));
    }
    fprintf(out, "%14" PRIu64 " exits in all\n", total);
    fprintf(out, "%14" PRIu64 " exceptions and %" PRIu64 " interrupts delivered\n",
            counters->faults_injected, counters->interrupts_injected);
    fprintf(out, "%14" PRIu64 " TLB misses, %" PRIu64 " TLB flushes\n", counters->tlb_misses,
            counters->tlb_flushes);
    fprintf(out, "%14" PRIu64 " blocks decoded, %" PRIu64 " dropped\n", counters->blocks_made,
            counters->blocks_dropped);
    print_memory(vm, out);
}

void vm_print_stats(const struct vm *vm)
{
    char *text = NULL, *rest, *line;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (!out) {
        log_error("the counters cannot be printed: no memory");
        return;
    }
    vm_stats_print(vm, out);
    fclose(out);
    log_raw("umbra: ");
    rest = text;
    while ((line = strsep(&rest, "\n")) != NULL && (*line || rest))
        log_raw("%s\n", line);
    free(text);
}
