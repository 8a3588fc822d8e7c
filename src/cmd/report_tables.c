/* The tables: exits by cost, page faults by what became of them, ports, every counter. */
#include <stdlib.h>
#include <string.h>

#include "cmd/report.h"
#include "cmd/report_chart.h"

static double ratio(double part, double whole)
{
    return whole > 0 ? part / whole : 0;
}

static void cell(FILE *out, const char *text)
{
    fprintf(out, "<td class=\"n\">%s</td>", text);
}

/* How B differs from A: the factor, or a word where there is none. */
static void difference(FILE *out, double a, double b)
{
    if (a == b)
        fprintf(out, "<td class=\"n d\">same</td>");
    else if (a <= 0)
        fprintf(out, "<td class=\"n d\">only B</td>");
    else if (b <= 0)
        fprintf(out, "<td class=\"n d\">only A</td>");
    else
        fprintf(out, "<td class=\"n d\">&#215;&#8201;%.*f</td>",
                b / a < 9.995   ? 2
                : b / a < 99.95 ? 1
                                : 0,
                b / a);
}

/* A row of the table of exits: what each run has of one reason. */
struct exit_row {
    const char *name, *words;
    uint64_t count[REPORT_MAX_RUNS], ns[REPORT_MAX_RUNS];
    double cost; /* by which the rows are sorted */
};

static int by_cost(const void *a, const void *b)
{
    double left = ((const struct exit_row *)a)->cost, right = ((const struct exit_row *)b)->cost;

    return left < right ? 1 : left > right ? -1 : 0;
}

/* The reasons of all runs, each once; room for twice REPORT_MAX_EXITS. */
static unsigned exit_rows(const struct report *report, struct exit_row *rows)
{
    unsigned count = 0;

    for (unsigned i = 0; i < report->count; i++) {
        for (unsigned j = 0; j < report->run[i]->exits; j++) {
            const struct report_exit *exit = &report->run[i]->exit[j];
            unsigned r = 0;

            while (r < count && strcmp(rows[r].name, exit->name) != 0)
                r++;
            if (r == count)
                rows[count++] = (struct exit_row){.name = exit->name, .words = exit->words};
            rows[r].count[i] += exit->count;
            rows[r].ns[i] += exit->ns;
            /* Time decides; where it was not measured, the count does. */
            rows[r].cost += (double)exit->ns + 1e-9 * (double)exit->count;
        }
    }
    qsort(rows, count, sizeof(rows[0]), by_cost);
    return count;
}

/* Sums and largest of the columns. */
struct exit_sums {
    double count[REPORT_MAX_RUNS], ns[REPORT_MAX_RUNS], max_ns;
};

static void exit_line(FILE *out, const struct report *report, const struct exit_row *row,
                      const struct exit_sums *sums)
{
    double ns[REPORT_MAX_RUNS] = {(double)row->ns[0], (double)row->ns[1]};
    char text[CHART_TEXT];

    fprintf(out, "<tr><th scope=\"row\">");
    html_text(out, row->words);
    fprintf(out, "</th><td>");
    bars_draw(out, ns, report->count, sums->max_ns);
    fprintf(out, "</td>");
    for (unsigned i = 0; i < report->count; i++) {
        double n = (double)row->count[i];

        cell(out, row->count[i] ? text_grouped(text, row->count[i]) : "");
        if (report->count == 1) {
            snprintf(text, sizeof(text), "%.1f&#8201;%%", 100 * ratio(n, sums->count[i]));
            cell(out, row->count[i] ? text : "");
        }
        cell(out, row->ns[i] ? text_ns(text, ns[i]) : "");
        snprintf(text, sizeof(text), "%.1f&#8201;%%", 100 * ratio(ns[i], sums->ns[i]));
        cell(out, row->ns[i] ? text : "");
        cell(out, row->ns[i] ? text_ns(text, ratio(ns[i], n)) : "");
    }
    if (report->count > 1) {
        difference(out, (double)row->count[0], (double)row->count[1]);
        difference(out, ns[0], ns[1]);
    }
    fprintf(out, "</tr>\n");
}

static void exit_head(FILE *out, const struct report *report)
{
    fprintf(out, "<thead>");
    if (report->count > 1) {
        fprintf(out, "<tr><th></th><th></th>");
        for (unsigned i = 0; i < report->count; i++)
            fprintf(out, "<th colspan=\"4\" class=\"group\">%c</th>", report_letter(i));
        fprintf(out, "<th colspan=\"2\" class=\"group\">B / A</th></tr>");
    }
    fprintf(out, "<tr><th>Reason</th><th>Time</th>");
    for (unsigned i = 0; i < report->count; i++)
        fprintf(out,
                "<th class=\"n\">Exits</th>%s<th class=\"n\">Time</th><th class=\"n\">Share</th>"
                "<th class=\"n\">Each</th>",
                report->count == 1 ? "<th class=\"n\">Share</th>" : "");
    if (report->count > 1)
        fprintf(out, "<th class=\"n\">Exits</th><th class=\"n\">Time</th>");
    fprintf(out, "</tr></thead>\n");
}

void report_exit_table(FILE *out, const struct report *report)
{
    struct exit_row *rows = calloc(REPORT_MAX_RUNS * REPORT_MAX_EXITS, sizeof(*rows));
    struct exit_row all = {.name = "", .words = "All exits"};
    struct exit_sums sums = {{0}, {0}, 0};
    unsigned count;

    if (!rows)
        return;
    count = exit_rows(report, rows);
    for (unsigned r = 0; r < count; r++) {
        for (unsigned i = 0; i < report->count; i++) {
            all.count[i] += rows[r].count[i];
            all.ns[i] += rows[r].ns[i];
            sums.count[i] += (double)rows[r].count[i];
            sums.ns[i] += (double)rows[r].ns[i];
            sums.max_ns = MAX(sums.max_ns, (double)rows[r].ns[i]);
        }
    }
    fprintf(out, "<div class=\"scroll\"><table class=\"wide\">");
    exit_head(out, report);
    fprintf(out, "<tbody>\n");
    for (unsigned r = 0; r < count; r++)
        exit_line(out, report, &rows[r], &sums);
    fprintf(out, "</tbody><tfoot>");
    sums.max_ns = 0; /* no bar for the sum */
    exit_line(out, report, &all, &sums);
    fprintf(out, "</tfoot></table></div>\n");
    free(rows);
}

/* --- counters --- */

static void unit_cell(FILE *out, const struct report_counter *counter)
{
    char text[CHART_TEXT];

    if (!counter)
        cell(out, "");
    else if (strcmp(counter->unit, "ns") == 0)
        cell(out, text_ns(text, (double)counter->value));
    else if (strcmp(counter->unit, "bytes") == 0)
        cell(out, text_bytes(text, (double)counter->value));
    else
        cell(out, text_grouped(text, counter->value));
}

static void counter_line(FILE *out, const struct report *report, const char *name, double max)
{
    const struct report_counter *counter[REPORT_MAX_RUNS] = {NULL};
    double value[REPORT_MAX_RUNS] = {0};
    const struct report_counter *any = NULL;

    for (unsigned i = 0; i < report->count; i++) {
        counter[i] = report_run_counter(report->run[i], name);
        value[i] = counter[i] ? (double)counter[i]->value : 0;
        any = any ? any : counter[i];
    }
    if (!any)
        return;
    fprintf(out, "<tr><th scope=\"row\">");
    html_text(out, any->words);
    fprintf(out, "</th>");
    if (max > 0) {
        fprintf(out, "<td>");
        bars_draw(out, value, report->count, max);
        fprintf(out, "</td>");
    }
    for (unsigned i = 0; i < report->count; i++)
        unit_cell(out, counter[i]);
    if (report->count > 1)
        difference(out, value[0], value[1]);
    fprintf(out, "</tr>\n");
}

static void counter_head(FILE *out, const struct report *report, const char *title, bool bars)
{
    fprintf(out, "<thead><tr><th>%s</th>%s", title, bars ? "<th></th>" : "");
    for (unsigned i = 0; i < report->count; i++) {
        if (report->count > 1)
            fprintf(out, "<th class=\"n\">%c</th>", report_letter(i));
        else
            fprintf(out, "<th class=\"n\">%s</th>", "Value");
    }
    if (report->count > 1)
        fprintf(out, "<th class=\"n\">B / A</th>");
    fprintf(out, "</tr></thead>\n");
}

void report_fault_table(FILE *out, const struct report *report)
{
    static const char *const names[] = {
        "page_faults",     "shadow_faults", "shadow_retried", "shadow_injected",
        "shadow_emulated", "shadow_mmio",   "shadow_rom",     "ept_filled_4k",
        "ept_filled_2m",   "ept_filled_1g", "ept_mmio",
    };
    double max = 1;

    for (unsigned n = 0; n < ARRAY_SIZE(names); n++) {
        for (unsigned i = 0; i < report->count; i++)
            max = MAX(max, (double)report_run_value(report->run[i], names[n]));
    }
    fprintf(out, "<div class=\"scroll\"><table>");
    counter_head(out, report, "What became of them", true);
    fprintf(out, "<tbody>\n");
    for (unsigned n = 0; n < ARRAY_SIZE(names); n++)
        counter_line(out, report, names[n], max);
    fprintf(out, "</tbody></table></div>\n");
}

static bool first_run_has(const struct report *report, const char *name)
{
    return report_run_counter(report->run[0], name) != NULL;
}

static void counter_table(FILE *out, const struct report *report, const char *group,
                          const char *title)
{
    bool begun = false;

    for (unsigned i = 0; i < report->count; i++) {
        const struct report_run *run = report->run[i];

        for (unsigned j = 0; j < run->counters; j++) {
            if (strcmp(run->counter[j].group, group) != 0 ||
                (i > 0 && first_run_has(report, run->counter[j].name)))
                continue;
            if (!begun) {
                fprintf(out, "<table>");
                counter_head(out, report, title, false);
                fprintf(out, "<tbody>\n");
                begun = true;
            }
            counter_line(out, report, run->counter[j].name, 0);
        }
    }
    if (begun)
        fprintf(out, "</tbody></table>\n");
}

void report_counter_tables(FILE *out, const struct report *report)
{
    static const char *const groups[][2] = {
        {"run", "The run"},
        {"tlb", "TLB"},
        {"ept", "Extended page table"},
        {"shadow", "Shadow page tables"},
        {"tables", "Memory of the monitor's tables, at the end"},
    };

    fprintf(out, "<div class=\"columns\">\n");
    for (unsigned i = 0; i < ARRAY_SIZE(groups); i++)
        counter_table(out, report, groups[i][0], groups[i][1]);
    fprintf(out, "</div>\n");
}

void report_port_table(FILE *out, const struct report *report)
{
    fprintf(out, "<div class=\"columns\">\n");
    for (unsigned i = 0; i < report->count; i++) {
        const struct report_run *run = report->run[i];
        double max = 0;

        for (unsigned j = 0; j < run->ports; j++)
            max = MAX(max, (double)run->port[j].count);
        fprintf(out, "<table><thead><tr><th>Port");
        if (report->count > 1)
            fprintf(out, ", %c", report_letter(i));
        fprintf(out, "</th><th></th><th class=\"n\">Accesses</th></tr></thead><tbody>\n");
        for (unsigned j = 0; j < run->ports; j++) {
            double count[REPORT_MAX_RUNS] = {(double)run->port[j].count};
            char text[CHART_TEXT];

            fprintf(out, "<tr><th scope=\"row\">%llXh</th><td>",
                    (unsigned long long)run->port[j].port);
            bars_draw(out, count, 1, max);
            fprintf(out, "</td>");
            cell(out, text_grouped(text, run->port[j].count));
            fprintf(out, "</tr>\n");
        }
        fprintf(out, "</tbody></table>\n");
    }
    fprintf(out, "</div>\n");
}
