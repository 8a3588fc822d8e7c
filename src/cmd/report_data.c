/* From JSON to a checked run. */
#include "cmd/report_data.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT  "umbra-stats"
#define VERSION 1

/* Where the reader stands: the first complaint counts, and all that follows is skipped. */
struct reader {
    struct report_run *run;
    struct report_error *error;
    bool failed;
};

static void complain(struct reader *r, const char *fmt, ...) printf_like(2, 3);

static void complain(struct reader *r, const char *fmt, ...)
{
    va_list args;

    if (r->failed)
        return;
    r->failed = true;
    va_start(args, fmt);
    vsnprintf(r->error->text, sizeof(r->error->text), fmt, args);
    va_end(args);
}

/* A member of the kind wanted; NULL after a complaint. `of` is what a person calls the object. */
static json_t *member(struct reader *r, json_t *object, const char *of, const char *key,
                      json_type type)
{
    static const char *const kinds[] = {[JSON_OBJECT] = "an object",
                                        [JSON_ARRAY] = "a list",
                                        [JSON_STRING] = "a string",
                                        [JSON_INTEGER] = "a whole number"};
    json_t *value;

    if (r->failed)
        return NULL;
    value = json_object_get(object, key);
    if (value && json_typeof(value) == type)
        return value;
    complain(r, "%s has no member \"%s\" that is %s", of, key, kinds[type]);
    return NULL;
}

static const char *string_of(struct reader *r, json_t *object, const char *of, const char *key)
{
    json_t *value = member(r, object, of, key, JSON_STRING);

    return value ? json_string_value(value) : "";
}

static uint64_t number_of(struct reader *r, json_t *object, const char *of, const char *key)
{
    json_t *value = member(r, object, of, key, JSON_INTEGER);
    json_int_t n = value ? json_integer_value(value) : 0;

    if (n < 0)
        complain(r, "\"%s\" of %s is below zero", key, of);
    return n < 0 ? 0 : (uint64_t)n;
}

/* How many a list holds; more than max is a complaint. */
static unsigned length_of(struct reader *r, const json_t *list, const char *what, size_t max)
{
    size_t n = r->failed ? 0 : json_array_size(list);

    if (n <= max)
        return (unsigned)n;
    complain(r, "there are more than %zu %s", max, what);
    return 0;
}

/* A list of exactly `count` numbers from zero on, as the run's own array. */
static const uint64_t *numbers_of(struct reader *r, const json_t *list, const char *what,
                                  unsigned count)
{
    struct report_run *run = r->run;
    uint64_t *numbers, **all;

    if (r->failed)
        return NULL;
    if (!json_is_array(list) || json_array_size(list) != count) {
        complain(r, "%s is no list of %u numbers, as the others are", what, count);
        return NULL;
    }
    numbers = calloc(MAX(count, 1u), sizeof(*numbers));
    all = numbers ? reallocarray(run->numbers, run->number_arrays + 1, sizeof(*all)) : NULL;
    if (!all) {
        free(numbers);
        complain(r, "there is no memory for it");
        return NULL;
    }
    run->numbers = all;
    run->numbers[run->number_arrays++] = numbers;
    for (unsigned i = 0; i < count; i++) {
        const json_t *value = json_array_get(list, i);

        if (!json_is_integer(value) || json_integer_value(value) < 0) {
            complain(r, "%s holds something else than whole numbers from zero on", what);
            return NULL;
        }
        numbers[i] = (uint64_t)json_integer_value(value);
    }
    return numbers;
}

static void read_run(struct reader *r, json_t *root)
{
    json_t *run = member(r, root, "the file", "run", JSON_OBJECT);
    json_t *host = member(r, root, "the file", "host", JSON_OBJECT);
    json_t *status = member(r, run, "run", "status", JSON_INTEGER);

    r->run->guest = string_of(r, run, "run", "guest");
    r->run->engine = string_of(r, run, "run", "engine");
    r->run->mmu = string_of(r, run, "run", "mmu");
    r->run->memory_bytes = number_of(r, run, "run", "memory_bytes");
    r->run->status = status ? json_integer_value(status) : 0;
    r->run->processor = string_of(r, host, "host", "processor");
    r->run->kernel = string_of(r, host, "host", "kernel");
    r->run->host_ns = number_of(r, root, "the file", "host_ns");
}

#define MAX_COMMAND_WORDS 1024

static void read_command(struct reader *r, json_t *root)
{
    json_t *words = member(r, root, "the file", "command", JSON_ARRAY);
    unsigned count = length_of(r, words, "words of a command", MAX_COMMAND_WORDS);
    size_t size;
    FILE *out;

    if (r->failed)
        return;
    out = open_memstream(&r->run->command, &size);
    if (!out) {
        complain(r, "there is no memory for it");
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        const char *word = json_string_value(json_array_get(words, i));

        if (!word)
            complain(r, "a word of the command is no string");
        else
            fprintf(out, "%s%s", i > 0 ? " " : "", word);
    }
    fclose(out);
}

static void read_exits(struct reader *r, json_t *root)
{
    json_t *list = member(r, root, "the file", "exits", JSON_ARRAY);
    struct report_run *run = r->run;

    run->exits = length_of(r, list, "exit reasons", REPORT_MAX_EXITS);
    for (unsigned i = 0; i < run->exits && !r->failed; i++) {
        json_t *row = json_array_get(list, i);

        run->exit[i] = (struct report_exit){
            .name = string_of(r, row, "an exit reason", "name"),
            .words = string_of(r, row, "an exit reason", "words"),
            .count = number_of(r, row, "an exit reason", "count"),
            .ns = number_of(r, row, "an exit reason", "ns"),
        };
    }
}

static void read_counters(struct reader *r, json_t *root)
{
    json_t *object = member(r, root, "the file", "counters", JSON_OBJECT), *row;
    struct report_run *run = r->run;
    const char *name;

    if (r->failed)
        return;
    if (json_object_size(object) > REPORT_MAX_COUNTERS) {
        complain(r, "there are more than %d counters", REPORT_MAX_COUNTERS);
        return;
    }
    json_object_foreach(object, name, row)
    {
        run->counter[run->counters++] = (struct report_counter){
            .name = name,
            .words = string_of(r, row, "a counter", "words"),
            .group = string_of(r, row, "a counter", "group"),
            .unit = string_of(r, row, "a counter", "unit"),
            .value = number_of(r, row, "a counter", "value"),
        };
    }
}

static void read_ports(struct reader *r, json_t *root)
{
    json_t *list = member(r, root, "the file", "ports", JSON_ARRAY);
    struct report_run *run = r->run;

    run->ports = length_of(r, list, "ports", REPORT_MAX_PORTS);
    for (unsigned i = 0; i < run->ports && !r->failed; i++) {
        json_t *row = json_array_get(list, i);

        run->port[i] = (struct report_port){
            .port = number_of(r, row, "a port", "port"),
            .count = number_of(r, row, "a port", "count"),
        };
        if (run->port[i].port > UINT16_MAX)
            complain(r, "a port is beyond FFFFh");
    }
}

static void read_slot(struct reader *r, json_t *row, struct report_slot *slot)
{
    json_t *resident = member(r, row, "a slot", "resident_pages", JSON_ARRAY);

    *slot = (struct report_slot){
        .name = string_of(r, row, "a slot", "name"),
        .base = number_of(r, row, "a slot", "base"),
        .bytes = number_of(r, row, "a slot", "bytes"),
        .bucket_bytes = number_of(r, row, "a slot", "bucket_bytes"),
        .dirty_logged = json_is_true(json_object_get(row, "dirty_logged")),
        .buckets = length_of(r, resident, "buckets of a slot", REPORT_MAX_BUCKETS),
    };
    slot->resident = numbers_of(r, resident, "\"resident_pages\"", slot->buckets);
    slot->dirty =
        numbers_of(r, json_object_get(row, "dirty_pages"), "\"dirty_pages\"", slot->buckets);
    slot->shared =
        numbers_of(r, json_object_get(row, "shared_pages"), "\"shared_pages\"", slot->buckets);
    if (!r->failed && (slot->bucket_bytes < PAGE_SIZE || slot->bytes < PAGE_SIZE ||
                       slot->buckets != (slot->bytes - 1) / slot->bucket_bytes + 1))
        complain(r, "the buckets of a slot do not make up its size");
}

static void read_memory(struct reader *r, json_t *root)
{
    json_t *list = member(r, root, "the file", "memory", JSON_ARRAY);
    struct report_run *run = r->run;

    run->slots = length_of(r, list, "slots", REPORT_MAX_SLOTS);
    for (unsigned i = 0; i < run->slots && !r->failed; i++)
        read_slot(r, json_array_get(list, i), &run->slot[i]);
}

static void read_series(struct reader *r, json_t *root)
{
    json_t *series = member(r, root, "the file", "series", JSON_OBJECT);
    json_t *time = member(r, series, "series", "time_ns", JSON_ARRAY);
    json_t *exits = member(r, series, "series", "exits", JSON_OBJECT);
    json_t *counters = member(r, series, "series", "counters", JSON_OBJECT);
    struct report_run *run = r->run;

    run->samples = length_of(r, time, "samples", REPORT_MAX_SAMPLES);
    if (!r->failed && run->samples < 2)
        complain(r, "its series has fewer than two samples: there is nothing to draw");
    run->time_ns = numbers_of(r, time, "\"time_ns\"", run->samples);
    for (unsigned i = 1; i < run->samples && !r->failed; i++) {
        if (run->time_ns[i] < run->time_ns[i - 1])
            complain(r, "the time of its series runs backwards");
    }
    if (!r->failed && run->time_ns[run->samples - 1] == run->time_ns[0])
        complain(r, "its series spans no time: there is nothing to draw");
    for (unsigned i = 0; i < run->exits && !r->failed; i++)
        run->exit[i].series = numbers_of(r, json_object_get(exits, run->exit[i].name),
                                         "the series of an exit reason", run->samples);
    for (unsigned i = 0; i < run->counters && !r->failed; i++)
        run->counter[i].series = numbers_of(r, json_object_get(counters, run->counter[i].name),
                                            "the series of a counter", run->samples);
}

static void read_all(struct reader *r, json_t *root)
{
    const char *format = json_string_value(json_object_get(root, "format"));
    uint64_t version;

    if (!format || strcmp(format, FORMAT) != 0) {
        complain(r, "it is no statistics file; umbra run --stats=FILE.json writes one");
        return;
    }
    version = number_of(r, root, "the file", "version");
    if (!r->failed && version != VERSION)
        complain(r, "its version is %llu and this umbra reads version %d",
                 (unsigned long long)version, VERSION);
    read_run(r, root);
    read_command(r, root);
    read_exits(r, root);
    read_counters(r, root);
    read_ports(r, root);
    read_memory(r, root);
    read_series(r, root);
}

struct report_run *report_run_parse(const char *bytes, size_t len, struct report_error *error)
{
    struct report_run *run = calloc(1, sizeof(*run));
    struct reader r = {.run = run, .error = error};
    json_error_t at;

    if (!run) {
        complain(&r, "there is no memory for it");
        return NULL;
    }
    run->json = json_loadb(bytes, len, JSON_REJECT_DUPLICATES, &at);
    if (!run->json)
        complain(&r, "it is not valid JSON at line %d, column %d", at.line, at.column);
    else
        read_all(&r, run->json);
    if (!r.failed)
        return run;
    report_run_free(run);
    return NULL;
}

void report_run_free(struct report_run *run)
{
    if (!run)
        return;
    for (size_t i = 0; i < run->number_arrays; i++)
        free(run->numbers[i]);
    free(run->numbers);
    free(run->command);
    json_decref(run->json);
    free(run);
}

const struct report_counter *report_run_counter(const struct report_run *run, const char *name)
{
    for (unsigned i = 0; i < run->counters; i++) {
        if (strcmp(run->counter[i].name, name) == 0)
            return &run->counter[i];
    }
    return NULL;
}

uint64_t report_run_value(const struct report_run *run, const char *name)
{
    const struct report_counter *counter = report_run_counter(run, name);

    return counter ? counter->value : 0;
}

const struct report_exit *report_run_exit(const struct report_run *run, const char *name)
{
    for (unsigned i = 0; i < run->exits; i++) {
        if (strcmp(run->exit[i].name, name) == 0)
            return &run->exit[i];
    }
    return NULL;
}
