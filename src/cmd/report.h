/* The page of `umbra report`, made of one or two checked runs. */
#ifndef UMBRA_CMD_REPORT_H
#define UMBRA_CMD_REPORT_H

#include <stdio.h>

#include "cmd/report_data.h"

#define REPORT_MAX_RUNS 2

/* What a page is made of. */
struct report {
    unsigned count; /* of runs: 1 or 2 */
    const struct report_run *run[REPORT_MAX_RUNS];
    const char *file[REPORT_MAX_RUNS]; /* where each came from */
};

/* Writes the whole page, self-contained: no script, nothing to fetch. */
void report_page(FILE *out, const struct report *report);

/* Its parts (report_style.c, report_plots.c, report_tables.c). */
void report_style(FILE *out);
void report_exit_plots(FILE *out, const struct report *report);
void report_fault_plots(FILE *out, const struct report *report);
void report_tlb_plots(FILE *out, const struct report *report);
void report_table_plots(FILE *out, const struct report *report);
void report_memory(FILE *out, const struct report *report);
void report_exit_table(FILE *out, const struct report *report);
void report_fault_table(FILE *out, const struct report *report);
void report_port_table(FILE *out, const struct report *report);
void report_counter_tables(FILE *out, const struct report *report);

/* "A", "B". */
static inline char report_letter(unsigned i)
{
    return (char)('A' + i);
}

#endif
