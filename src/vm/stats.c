/* Snapshots of the counters, and the table that people read. */
#include "vm/stats.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "mmu/ept.h"
#include "mmu/shadow/shadow.h"
#include "vm/stats_file.h"
#include "vm/stats_recorder.h"
#include "vm/vm_internal.h"

/* What the expressions of stat.def read. */
struct stats_sources {
    const struct engine_counters *engine;
    const struct ept_stats *ept;
    const struct shadow_stats *shadow;
    uint64_t exits, exit_ns;
    uint64_t virtual_ns, idle_ns;
    uint64_t tlb_hits;
    uint64_t flush_mode;
    uint64_t process_bytes;
    uint64_t rmap_bytes;
    uint64_t monitor_bytes, monitor_bound_bytes; /* budget.h */
};

const struct stats_row stats_table[STATS] = {
#define STAT(name, group, kind, unit, words, value)                                                \
    {#name, words, STAT_GROUP_##group, STAT_##kind, STAT_##unit},
#include "vm/stat.def"
#undef STAT
};

/* The process's resident set, from the host's own accounting; 0 when it cannot be read. */
static uint64_t process_resident_bytes(const struct vm *vm)
{
    char text[128];
    ssize_t got = pread(mem_host_files(vm->mem).statm, text, sizeof(text) - 1, 0);
    uint64_t pages;

    if (got <= 0)
        return 0;
    text[got] = '\0';
    return sscanf(text, "%*u %" SCNu64, &pages) == 1 ? pages * PAGE_SIZE : 0;
}

static void collect(const struct vm *vm, struct stats_sources *s)
{
    static const struct ept_stats no_ept;
    static const struct shadow_stats no_shadow;
    const struct engine_counters *engine = vm->engine->vcpu_counters(vm->vcpu);
    const struct ept *ept = mmu_ept(vm->mmu);
    const struct shadow *shadow = mmu_shadow(vm->mmu);
    uint64_t data_misses = engine->tlb_misses - MIN(engine->tlb_misses, engine->tlb_fetch_misses);
    uint64_t known = 0;

    *s = (struct stats_sources){
        .engine = engine,
        .ept = ept ? ept_stats(ept) : &no_ept,
        .shadow = shadow ? shadow_stats(shadow) : &no_shadow,
        .virtual_ns = clock_now_ns(vm->time),
        .idle_ns = vm->idle_ns,
        .process_bytes = process_resident_bytes(vm),
        .tlb_hits = engine->tlb_lookups - MIN(engine->tlb_lookups, data_misses),
    };
    if (shadow) {
        uint64_t tables = s->shadow->pages * PAGE_SIZE, bytes = shadow_bytes(shadow);

        s->rmap_bytes = bytes - MIN(bytes, tables);
    }
    s->monitor_bytes = s->ept->tables * PAGE_SIZE + s->shadow->pages * PAGE_SIZE + s->rmap_bytes +
                       engine->block_bytes + engine->translation_bytes +
                       engine->translation_record_bytes + engine->fixed_bytes;
    s->monitor_bound_bytes = mmu_mode(vm->mmu) == MMU_HOST ? 0 : vm->budget.total_bytes;
    for (unsigned i = 0; i < EXIT_REASONS; i++) {
        s->exits += engine->exits[i];
        s->exit_ns += engine->exit_ns[i];
    }
    for (unsigned i = 0; i < ENGINE_FLUSHES; i++)
        known += engine->flushes[i];
    s->flush_mode = engine->tlb_flushes - MIN(engine->tlb_flushes, known);
}

void vm_stats_snapshot(const struct vm *vm, struct stats_snapshot *snapshot)
{
    struct stats_sources sources, *s = &sources;
    const uint64_t *exits, *exit_ns;

    collect(vm, s);
    exits = s->engine->exits;
    exit_ns = s->engine->exit_ns;
    *snapshot = (struct stats_snapshot){
        .time_ns = clock_host_ns() - vm->started_ns,
        .value =
            {
#define STAT(name, group, kind, unit, words, value) [STAT_##name] = (value),
#include "vm/stat.def"
#undef STAT
            },
    };
    memcpy(snapshot->exits, exits, sizeof(snapshot->exits));
    memcpy(snapshot->exit_ns, exit_ns, sizeof(snapshot->exit_ns));
}

bool vm_stats_group_applies(const struct vm *vm, enum stat_group group)
{
    switch (group) {
    case STAT_GROUP_TLB: return mmu_mode(vm->mmu) != MMU_HOST;
    case STAT_GROUP_EPT: return mmu_mode(vm->mmu) == MMU_EPT;
    case STAT_GROUP_SHADOW: return mmu_mode(vm->mmu) == MMU_SHADOW;
    default: return true;
    }
}

static double share(uint64_t part, uint64_t whole)
{
    return whole ? 100.0 * (double)part / (double)whole : 0;
}

static void print_exits(const struct stats_snapshot *s, FILE *out)
{
    uint64_t total = s->value[STAT_exits], total_ns = s->value[STAT_exit_ns];
    bool timed = total_ns > 0;

    fprintf(out, "%14s %6s", "exits", "share");
    if (timed)
        fprintf(out, " %10s %6s %8s", "time ms", "share", "ns each");
    fprintf(out, "  reason\n");
    for (unsigned i = 0; i < EXIT_REASONS; i++) {
        uint64_t n = s->exits[i], ns = s->exit_ns[i];

        if (n == 0)
            continue;
        fprintf(out, "%14" PRIu64 " %5.1f%%", n, share(n, total));
        if (timed)
            fprintf(out, " %10.2f %5.1f%% %8.0f", (double)ns / 1e6, share(ns, total_ns),
                    (double)ns / (double)n);
        fprintf(out, "  %s\n", exit_reason_words(i) ? exit_reason_words(i) : "unknown");
    }
    fprintf(out, "%14" PRIu64 "       ", total);
    if (timed)
        fprintf(out, " %10.2f                ", (double)total_ns / 1e6);
    fprintf(out, "  in all\n");
}

static void print_row(const struct stats_row *row, uint64_t value, FILE *out)
{
    switch (row->unit) {
    case STAT_NUMBER: fprintf(out, "%14" PRIu64 "  %s\n", value, row->words); break;
    case STAT_NS: fprintf(out, "%11.3f s   %s\n", (double)value / 1e9, row->words); break;
    case STAT_BYTES: fprintf(out, "%10.1f KiB  %s\n", (double)value / 1024, row->words); break;
    }
}

/* Zeroes of exits and time say "not measured" or "did not happen": they are left out. */
static void print_group(const struct vm *vm, const struct stats_snapshot *s, enum stat_group group,
                        FILE *out)
{
    static const char *const titles[STAT_GROUPS] = {
        [STAT_GROUP_RUN] = "run",
        [STAT_GROUP_TLB] = "TLB",
        [STAT_GROUP_EPT] = "extended page table",
        [STAT_GROUP_SHADOW] = "shadow page tables",
        [STAT_GROUP_TABLES] = "memory of the monitor's tables",
    };

    if (!vm_stats_group_applies(vm, group))
        return;
    fprintf(out, "%14s  %s\n", "", titles[group]);
    for (unsigned i = 0; i < STATS; i++) {
        if (stats_table[i].group == group && s->value[i] > 0)
            print_row(&stats_table[i], s->value[i], out);
    }
}

static void print_host_counter(void *opaque, const char *name, uint64_t value)
{
    if (value > 0)
        fprintf(opaque, "%14" PRIu64 "  %s\n", value, name);
}

/* What the host's KVM has counted, under its own names. */
static void print_host_counters(const struct vm *vm, FILE *out)
{
    if (!vm->engine->vcpu_host_counters)
        return;
    fprintf(out, "%14s  counted by the host's KVM\n", "");
    vm->engine->vcpu_host_counters(vm->vcpu, print_host_counter, out);
}

void vm_stats_print(const struct vm *vm, FILE *out)
{
    struct stats_snapshot s;
    uint64_t guest = mem_resident_bytes(vm->mem), process;
    double seconds;

    vm_stats_snapshot(vm, &s);
    seconds = (double)MAX(s.time_ns, (uint64_t)1) / 1e9;
    fprintf(out, "ran %.3f s, %" PRIu64 " instructions (%.1f million a second), --mmu=%s\n",
            seconds, s.value[STAT_instructions], (double)s.value[STAT_instructions] / seconds / 1e6,
            mmu_mode_name(mmu_mode(vm->mmu)));
    print_exits(&s, out);
    for (unsigned group = 0; group < STAT_GROUPS; group++)
        print_group(vm, &s, group, out);
    print_host_counters(vm, out);
    process = s.value[STAT_process_bytes];
    fprintf(out, "%10.1f MiB  of guest memory touched, of %.0f MiB\n", (double)guest / (double)MIB,
            (double)vm->layout.memory_bytes / (double)MIB);
    fprintf(out, "%10.1f MiB  resident beyond it\n",
            (double)(process - MIN(process, guest)) / (double)MIB);
}

/* The table on standard error, which may be a raw terminal. */
static void print_to_log(const struct vm *vm)
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

bool vm_stats_wanted(const struct vm *vm)
{
    return vm->config->stats || vm->config->stats_interval_s;
}

int vm_stats_start(struct vm *vm)
{
    vm->started_ns = clock_host_ns();
    if (!vm_stats_wanted(vm))
        return 0;
    vm->stats = stats_recorder_create(vm, vm->config->stats_interval_s);
    if (!vm->stats)
        return -errno;
    return events_add(vm->events, stats_recorder_fd(vm->stats), stats_recorder_ready, vm->stats);
}

int vm_stats_end(struct vm *vm, int status)
{
    const char *path = vm->config->stats_file;
    int err;

    if (!vm->stats)
        return status;
    stats_recorder_end(vm->stats);
    if (vm->config->stats && !path)
        print_to_log(vm);
    if (!path)
        return status;
    err = stats_file_write(path, vm, vm->stats, status);
    if (!err)
        return status;
    log_error("the counters cannot be written to %s: %s; the guest itself ended with status %d",
              path, strerror(-err), status);
    return VM_EXIT_ERROR;
}
