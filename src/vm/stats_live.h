/*
 * The live table of `--stats-interval`: a line of rates on standard error each time, at most 79
 * columns wide, with the headings repeated so that they stay in sight.
 */
#ifndef UMBRA_VM_STATS_LIVE_H
#define UMBRA_VM_STATS_LIVE_H

#include "vm/stats.h"

#define STATS_LIVE_HEADING_LINES 20
#define STATS_LIVE_COLUMNS       79
#define STATS_LIVE_MAX_S         86400

struct stats_live {
    uint64_t interval_ns; /* 0: no table */
    uint64_t next_ns;     /* host time since the VM's start */
    unsigned lines;
    struct stats_snapshot last; /* of the line before */
};

void stats_live_init(struct stats_live *live, uint64_t interval_s,
                     const struct stats_snapshot *now);

/* Prints a line if it is time. */
void stats_live_look(struct stats_live *live, const struct stats_snapshot *now);

/* The last line, of the time since the one before. */
void stats_live_end(struct stats_live *live, const struct stats_snapshot *now);

/* A line without its end, of at most STATS_LIVE_COLUMNS characters; size must hold them. */
void stats_live_line(char *text, size_t size, const struct stats_snapshot *last,
                     const struct stats_snapshot *now);
void stats_live_heading(char *text, size_t size);

/* A number in at most 6 characters: 999, 12.3k, 1.23M, 45.6G. */
#define STATS_SHORT_SIZE 8
void stats_live_short(char text[STATS_SHORT_SIZE], double number);

#endif
