/* The counters as JSON, in the schema of docs/stats.md. */
#include "vm/stats_file.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "mem/host_pages.h"
#include "vm/stats_host.h"
#include "vm/vm_internal.h"

/*
 * jansson answers NULL without memory and passes NULL on; a whole document that lacks a part is
 * found by one look at the end (struct document's `failed`).
 */
struct document {
    json_t *root;
    bool failed;
};

/* Puts value, which becomes the document's, under a key. */
static void put(struct document *doc, json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, value) != 0)
        doc->failed = true;
}

static void push(struct document *doc, json_t *array, json_t *value)
{
    if (json_array_append_new(array, value) != 0)
        doc->failed = true;
}

/* Counters stay below 2^63 for centuries; JSON readers like them signed. */
static json_t *number(uint64_t value)
{
    return json_integer((json_int_t)MIN(value, (uint64_t)INT64_MAX));
}

/* A string of bytes that need not be UTF-8 (file names): what is not becomes '?'. */
static json_t *text(const char *bytes)
{
    json_t *string = json_string(bytes);
    char *copy;

    if (string)
        return string;
    copy = strdup(bytes);
    if (!copy)
        return NULL;
    for (char *p = copy; *p; p++) {
        if ((unsigned char)*p >= 0x80)
            *p = '?';
    }
    string = json_string(copy);
    free(copy);
    return string;
}

static void put_command(struct document *doc, const struct stats_host *host)
{
    json_t *words = json_array();

    for (const char *word = host->words; word && word < host->words + host->words_bytes;
         word += strlen(word) + 1)
        push(doc, words, text(word));
    put(doc, doc->root, "command", words);
}

static void put_host(struct document *doc, const struct stats_host *host)
{
    json_t *row = json_object();

    put(doc, row, "processor", text(host->processor));
    put(doc, row, "processors", number(host->processors));
    put(doc, row, "memory_bytes", number(host->memory_bytes));
    if (host->kernel[0])
        put(doc, row, "kernel", text(host->kernel));
    put(doc, doc->root, "host", row);
}

static void put_run(struct document *doc, const struct vm *vm, int status)
{
    json_t *run = json_object();

    put(doc, run, "guest", text(start_kind_name(&vm->start)));
    put(doc, run, "engine", text(vm->engine->name));
    put(doc, run, "mmu", text(mmu_mode_name(mmu_mode(vm->mmu))));
    put(doc, run, "memory_bytes", number(vm->layout.memory_bytes));
    put(doc, run, "status", json_integer(status));
    put(doc, doc->root, "run", run);
}

/* The name of a reason as exit.def writes it. */
static const char *reason_name(unsigned reason)
{
    static const char *const names[EXIT_REASONS] = {
#define EXIT_REASON(number, name, words) [number] = #name,
#include "engine/exit.def"
#undef EXIT_REASON
    };

    return names[reason];
}

/* Whether a reason is written: the table knows it and it happened. */
static bool exit_happened(const struct stats_snapshot *last, unsigned reason)
{
    return reason_name(reason) && last->exits[reason] > 0;
}

static void put_exits(struct document *doc, const struct stats_snapshot *last)
{
    json_t *exits = json_array();

    for (unsigned i = 0; i < EXIT_REASONS; i++) {
        json_t *row;

        if (!exit_happened(last, i))
            continue;
        row = json_object();
        put(doc, row, "number", number(i));
        put(doc, row, "name", text(reason_name(i)));
        put(doc, row, "words", text(exit_reason_words(i)));
        put(doc, row, "count", number(last->exits[i]));
        put(doc, row, "ns", number(last->exit_ns[i]));
        push(doc, exits, row);
    }
    put(doc, doc->root, "exits", exits);
}

static void put_counters(struct document *doc, const struct vm *vm,
                         const struct stats_snapshot *last)
{
    static const char *const groups[STAT_GROUPS] = {
        [STAT_GROUP_RUN] = "run",       [STAT_GROUP_TLB] = "tlb",       [STAT_GROUP_EPT] = "ept",
        [STAT_GROUP_SHADOW] = "shadow", [STAT_GROUP_TABLES] = "tables",
    };
    static const char *const units[] = {
        [STAT_NUMBER] = "number", [STAT_NS] = "ns", [STAT_BYTES] = "bytes"};
    json_t *counters = json_object();

    for (unsigned i = 0; i < STATS; i++) {
        const struct stats_row *stat = &stats_table[i];
        json_t *row;

        if (!vm_stats_group_applies(vm, stat->group))
            continue;
        row = json_object();
        put(doc, row, "value", number(last->value[i]));
        put(doc, row, "unit", text(units[stat->unit]));
        put(doc, row, "group", text(groups[stat->group]));
        put(doc, row, "words", text(stat->words));
        put(doc, counters, stat->name, row);
    }
    put(doc, doc->root, "counters", counters);
}

struct host_counters {
    struct document *doc;
    json_t *object;
};

static void put_host_counter(void *opaque, const char *name, uint64_t value)
{
    struct host_counters *counters = opaque;

    put(counters->doc, counters->object, name, number(value));
}

/* What the host's KVM has counted, under its own names; empty with the soft engine. */
static void put_host_counters(struct document *doc, const struct vm *vm)
{
    struct host_counters counters = {doc, json_object()};

    if (vm->engine->vcpu_host_counters)
        vm->engine->vcpu_host_counters(vm->vcpu, put_host_counter, &counters);
    put(doc, doc->root, "host_counters", counters.object);
}

static void put_ports(struct document *doc, const uint64_t *ports)
{
    json_t *rows = json_array();
    bool *taken = calloc(STATS_PORTS, sizeof(*taken)); /* too large for a small stack */

    if (!taken) {
        doc->failed = true;
        json_decref(rows);
        return;
    }
    for (unsigned n = 0; n < STATS_FILE_MAX_PORTS; n++) {
        unsigned best = 0;
        json_t *row;

        for (unsigned i = 1; i < STATS_PORTS; i++) {
            if (!taken[i] && (taken[best] || ports[i] > ports[best]))
                best = i;
        }
        if (taken[best] || ports[best] == 0)
            break;
        taken[best] = true;
        row = json_object();
        put(doc, row, "port", number(best));
        put(doc, row, "count", number(ports[best]));
        push(doc, rows, row);
    }
    free(taken);
    put(doc, doc->root, "ports", rows);
}

/* One column of the series; get reads it from a sample. */
static json_t *column(struct document *doc, const struct stats_series *series, size_t offset)
{
    json_t *values = json_array();

    for (unsigned i = 0; i < series->count; i++) {
        uint64_t value;

        memcpy(&value, (const char *)&series->samples[i] + offset, sizeof(value));
        push(doc, values, number(value));
    }
    return values;
}

static void put_series(struct document *doc, const struct vm *vm, const struct stats_series *series)
{
    const struct stats_snapshot *last = &series->samples[series->count - 1];
    json_t *root = json_object(), *exits = json_object(), *counters = json_object();

    put(doc, root, "interval_ns", number(series->stride * STATS_SAMPLE_NS));
    put(doc, root, "time_ns", column(doc, series, offsetof(struct stats_snapshot, time_ns)));
    for (unsigned i = 0; i < EXIT_REASONS; i++) {
        if (exit_happened(last, i))
            put(doc, exits, reason_name(i),
                column(doc, series, offsetof(struct stats_snapshot, exits) + i * sizeof(uint64_t)));
    }
    for (unsigned i = 0; i < STATS; i++) {
        if (vm_stats_group_applies(vm, stats_table[i].group))
            put(doc, counters, stats_table[i].name,
                column(doc, series, offsetof(struct stats_snapshot, value) + i * sizeof(uint64_t)));
    }
    put(doc, root, "exits", exits);
    put(doc, root, "counters", counters);
    put(doc, doc->root, "series", root);
}

/* The pages of a bucket, counted by what the host has behind them. */
struct bucket {
    uint64_t resident, dirty, shared;
};

#define LOOK_PAGES 512

static void fill_bucket(const struct mem *mem, gpa_t gpa, uint64_t pages, struct bucket *bucket)
{
    struct mem_host_page look[LOOK_PAGES];

    *bucket = (struct bucket){0};
    while (pages > 0) {
        size_t n = (size_t)MIN(pages, (uint64_t)LOOK_PAGES);

        mem_host_pages(mem, gpa, n, look);
        for (size_t i = 0; i < n; i++) {
            bucket->resident += look[i].resident;
            bucket->dirty += look[i].resident && look[i].dirty;
            bucket->shared += look[i].shared;
        }
        gpa += n * PAGE_SIZE;
        pages -= n;
    }
}

static json_t *memory_slot(struct document *doc, const struct mem *mem, const struct mem_slot *slot)
{
    uint64_t pages = slot->size_bytes / PAGE_SIZE;
    uint64_t each = (pages + STATS_FILE_MAX_BUCKETS - 1) / STATS_FILE_MAX_BUCKETS;
    json_t *row = json_object(), *resident = json_array(), *dirty = json_array(),
           *shared = json_array();

    for (uint64_t at = 0; at < pages; at += each) {
        struct bucket bucket;

        fill_bucket(mem, slot->base + at * PAGE_SIZE, MIN(each, pages - at), &bucket);
        push(doc, resident, number(bucket.resident));
        push(doc, dirty, number(bucket.dirty));
        push(doc, shared, number(bucket.shared));
    }
    put(doc, row, "name", text(slot->name));
    put(doc, row, "kind", text(slot->kind == MEM_SLOT_ROM ? "rom" : "ram"));
    put(doc, row, "base", number(slot->base));
    put(doc, row, "bytes", number(slot->size_bytes));
    put(doc, row, "bucket_bytes", number(each * PAGE_SIZE));
    put(doc, row, "dirty_logged", json_boolean(slot->dirty != NULL));
    put(doc, row, "resident_pages", resident);
    put(doc, row, "dirty_pages", dirty);
    put(doc, row, "shared_pages", shared);
    return row;
}

static void put_memory(struct document *doc, const struct vm *vm)
{
    json_t *rows = json_array();
    const struct mem_slot *slots;
    size_t count;

    slots = mem_slots(vm->mem, &count);
    for (size_t i = 0; i < count; i++)
        push(doc, rows, memory_slot(doc, vm->mem, &slots[i]));
    put(doc, doc->root, "memory", rows);
}

int stats_file_write(const char *path, const struct vm *vm, const struct stats_recorder *recorder,
                     int status)
{
    const struct stats_series *series = stats_recorder_series(recorder);
    const struct stats_snapshot *last = &series->samples[series->count - 1];
    struct document doc = {.root = json_object()};
    char *bytes = NULL;
    int err = -ENOMEM;

    put(&doc, doc.root, "format", text("umbra-stats"));
    put(&doc, doc.root, "version", number(STATS_FILE_VERSION));
    put_run(&doc, vm, status);
    put_command(&doc, stats_recorder_host(recorder));
    put_host(&doc, stats_recorder_host(recorder));
    put(&doc, doc.root, "host_ns", number(last->time_ns));
    put_exits(&doc, last);
    put_host_counters(&doc, vm);
    put_counters(&doc, vm, last);
    put_ports(&doc, stats_recorder_ports(recorder));
    put_memory(&doc, vm);
    put_series(&doc, vm, series);
    if (!doc.failed)
        bytes = json_dumps(doc.root, JSON_COMPACT | JSON_PRESERVE_ORDER);
    if (bytes)
        err = stats_file_replace(path, bytes, strlen(bytes));
    free(bytes);
    json_decref(doc.root);
    return err;
}
