/* The live table's columns and their numbers. */
#include "vm/stats_live.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

/* What a column shows: a rate a second, or an amount. */
struct column {
    const char *heading;
    int width;
    double (*value)(const struct stats_snapshot *last, const struct stats_snapshot *now);
};

static double seconds(const struct stats_snapshot *last, const struct stats_snapshot *now)
{
    return now->time_ns > last->time_ns ? (double)(now->time_ns - last->time_ns) / 1e9 : 1;
}

static double stat_rate(const struct stats_snapshot *last, const struct stats_snapshot *now,
                        enum stat_id id)
{
    return (double)(now->value[id] - last->value[id]) / seconds(last, now);
}

static double exit_rate(const struct stats_snapshot *last, const struct stats_snapshot *now,
                        enum exit_reason reason)
{
    return (double)(now->exits[reason] - last->exits[reason]) / seconds(last, now);
}

static double instructions(const struct stats_snapshot *last, const struct stats_snapshot *now)
{
    return stat_rate(last, now, STAT_instructions);
}

static double all_exits(const struct stats_snapshot *last, const struct stats_snapshot *now)
{
    return stat_rate(last, now, STAT_exits);
}

static double port_io(const struct stats_snapshot *last, const struct stats_snapshot *now)
{
    return exit_rate(last, now, EXIT_IO);
}

static double mmio(const struct stats_snapshot *last, const struct stats_snapshot *now)
{
    return exit_rate(last, now, EXIT_EPT_MISCONFIG) + stat_rate(last, now, STAT_shadow_mmio);
}

static double interrupts(const struct stats_snapshot *last, const struct stats_snapshot *now)
{
    return exit_rate(last, now, EXIT_EXTERNAL_INTERRUPT);
}

static double memory_exits(const struct stats_snapshot *last, const struct stats_snapshot *now)
{
    /* Under shadow an access to a device is a page fault too; it has its own column. */
    return exit_rate(last, now, EXIT_EPT_VIOLATION) + stat_rate(last, now, STAT_shadow_faults) -
           stat_rate(last, now, STAT_shadow_mmio);
}

static double page_faults(const struct stats_snapshot *last, const struct stats_snapshot *now)
{
    return stat_rate(last, now, STAT_page_faults);
}

static double tlb_misses(const struct stats_snapshot *last, const struct stats_snapshot *now)
{
    return stat_rate(last, now, STAT_tlb_misses);
}

static double tables(const struct stats_snapshot *last, const struct stats_snapshot *now)
{
    return (double)(now->value[STAT_ept_bytes] + now->value[STAT_shadow_bytes] +
                    now->value[STAT_rmap_bytes]);
}

static const struct column columns[] = {
    {"insn/s", 7, instructions},  {"exits/s", 8, all_exits},
    {"I/O", 7, port_io},          {"MMIO", 7, mmio},
    {"intr", 7, interrupts},      {"EPT/sPT", 8, memory_exits},
    {"guest#PF", 9, page_faults}, {"TLBmiss", 8, tlb_misses},
    {"tables", 8, tables},
};

void stats_live_short(char text[STATS_SHORT_SIZE], double number)
{
    static const char units[] = " kMGTPE";
    unsigned unit = 0;

    while (number >= 999.5 && unit < sizeof(units) - 2) {
        number /= 1000;
        unit++;
    }
    if (unit == 0)
        snprintf(text, STATS_SHORT_SIZE, "%.0f", number);
    else
        snprintf(text, STATS_SHORT_SIZE, "%.*f%c",
                 number < 9.995   ? 2
                 : number < 99.95 ? 1
                                  : 0,
                 number, units[unit]);
}

/* Text behind what is there already. */
static void append(char *text, size_t size, const char *fmt, ...) printf_like(3, 4);

static void append(char *text, size_t size, const char *fmt, ...)
{
    size_t used = strlen(text);
    va_list args;

    va_start(args, fmt);
    vsnprintf(text + used, size - used, fmt, args);
    va_end(args);
}

void stats_live_heading(char *text, size_t size)
{
    text[0] = '\0';
    append(text, size, "%8s", "time s");
    for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
        append(text, size, "%*s", columns[i].width, columns[i].heading);
}

void stats_live_line(char *text, size_t size, const struct stats_snapshot *last,
                     const struct stats_snapshot *now)
{
    text[0] = '\0';
    append(text, size, "%8.1f", (double)now->time_ns / 1e9);
    for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
        char number[STATS_SHORT_SIZE];

        stats_live_short(number, columns[i].value(last, now));
        append(text, size, "%*s", columns[i].width, number);
    }
}

void stats_live_init(struct stats_live *live, uint64_t interval_s, const struct stats_snapshot *now)
{
    *live = (struct stats_live){.interval_ns = interval_s * NS_PER_SEC, .last = *now};
    live->next_ns = now->time_ns + live->interval_ns;
}

static void print_line(struct stats_live *live, const struct stats_snapshot *now)
{
    char text[STATS_LIVE_COLUMNS + 49];

    if (live->lines++ % STATS_LIVE_HEADING_LINES == 0) {
        stats_live_heading(text, sizeof(text));
        log_raw("%s\n", text);
    }
    stats_live_line(text, sizeof(text), &live->last, now);
    log_raw("%s\n", text);
    live->last = *now;
}

void stats_live_look(struct stats_live *live, const struct stats_snapshot *now)
{
    if (live->interval_ns == 0 || now->time_ns < live->next_ns)
        return;
    print_line(live, now);
    while (live->next_ns <= now->time_ns)
        live->next_ns += live->interval_ns;
}

void stats_live_end(struct stats_live *live, const struct stats_snapshot *now)
{
    if (live->interval_ns && now->time_ns > live->last.time_ns)
        print_line(live, now);
}
