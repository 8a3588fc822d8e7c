/*
 * What changes over time, and where guest memory lies. Two runs stand beside one another with the
 * same scales, so that what looks larger is larger.
 */
#include <stdlib.h>
#include <string.h>

#include "cmd/report.h"
#include "cmd/report_chart.h"

#define OTHERS_COLOUR 7

/* Both charts of a report: made alike, then drawn with one scale. */
struct plots {
    struct chart chart[REPORT_MAX_RUNS];
};

static struct plots *plots_make(const struct report *report, const char *unit)
{
    struct plots *plots = calloc(1, sizeof(*plots));

    for (unsigned i = 0; plots && i < report->count; i++) {
        chart_init(&plots->chart[i], report->run[i]);
        plots->chart[i].unit = unit;
    }
    return plots;
}

static void draw(FILE *out, const struct report *report, struct plots *plots, bool legend)
{
    double max = 0, end_s = 0;

    for (unsigned i = 0; i < report->count; i++) {
        max = MAX(max, chart_height(&plots->chart[i]));
        end_s = MAX(end_s, plots->chart[i].end_s);
    }
    if (legend)
        chart_legend(out, &plots->chart[0]);
    fprintf(out, "<div class=\"pair\">\n");
    for (unsigned i = 0; i < report->count; i++) {
        plots->chart[i].max = max;
        plots->chart[i].end_s = end_s;
        fprintf(out, "<figure>");
        if (report->count > 1)
            fprintf(out, "<figcaption>%c</figcaption>", report_letter(i));
        chart_draw(out, &plots->chart[i], report->count > 1 ? 560 : 1120);
        fprintf(out, "</figure>\n");
    }
    fprintf(out, "</div>\n");
}

static uint64_t exit_count(const struct report *report, const char *name)
{
    uint64_t count = 0;

    for (unsigned i = 0; i < report->count; i++) {
        const struct report_exit *exit = report_run_exit(report->run[i], name);

        count += exit ? exit->count / REPORT_MAX_RUNS : 0; /* halves: two may not wrap */
    }
    return count;
}

/* The names of the most frequent reasons of both runs, most frequent first; how many. */
static unsigned top_reasons(const struct report *report, const struct report_exit **top,
                            unsigned max)
{
    unsigned count = 0;

    for (unsigned i = 0; i < report->count; i++) {
        for (unsigned j = 0; j < report->run[i]->exits; j++) {
            const struct report_exit *exit = &report->run[i]->exit[j];
            unsigned at = 0;
            bool known = false;

            for (unsigned k = 0; k < count; k++)
                known = known || strcmp(top[k]->name, exit->name) == 0;
            if (known)
                continue;
            while (at < count &&
                   exit_count(report, top[at]->name) >= exit_count(report, exit->name))
                at++;
            if (at == max)
                continue;
            count = MIN(count + 1, max);
            memmove(&top[at + 1], &top[at], (count - 1 - at) * sizeof(top[0]));
            top[at] = exit;
        }
    }
    return count;
}

void report_exit_plots(FILE *out, const struct report *report)
{
    struct plots *plots = plots_make(report, "exits a second");
    const struct report_exit *top[CHART_LAYERS - 1];
    unsigned tops = top_reasons(report, top, CHART_LAYERS - 1);

    if (!plots)
        return;
    for (unsigned i = 0; i < report->count; i++) {
        const struct report_run *run = report->run[i];
        struct chart *chart = &plots->chart[i];
        struct chart_layer *others;

        for (unsigned t = 0; t < tops; t++) {
            const struct report_exit *exit = report_run_exit(run, top[t]->name);
            struct chart_layer *layer = chart_add(chart, top[t]->words, t);

            if (exit)
                chart_add_rate(chart, layer, run, exit->series);
        }
        others = chart_add(chart, "all others", OTHERS_COLOUR);
        for (unsigned j = 0; j < run->exits; j++) {
            bool shown = false;

            for (unsigned t = 0; t < tops; t++)
                shown = shown || strcmp(top[t]->name, run->exit[j].name) == 0;
            if (!shown)
                chart_add_rate(chart, others, run, run->exit[j].series);
        }
    }
    draw(out, report, plots, true);
    free(plots);
}

/* A layer for each counter of a list that some run has; the words are ours. */
struct named {
    const char *counter, *words;
};

static void draw_counters(FILE *out, const struct report *report, const char *unit,
                          const struct named *rows, unsigned count, bool amounts)
{
    struct plots *plots = plots_make(report, unit);

    if (!plots)
        return;
    for (unsigned i = 0; i < report->count; i++) {
        struct chart *chart = &plots->chart[i];

        chart->bytes = amounts;
        for (unsigned r = 0; r < count; r++) {
            const struct report_counter *counter;
            struct chart_layer *layer;
            bool used = false;

            for (unsigned j = 0; j < report->count; j++)
                used = used || report_run_value(report->run[j], rows[r].counter) > 0;
            if (!used)
                continue;
            layer = chart_add(chart, rows[r].words, r % CHART_LAYERS);
            counter = report_run_counter(report->run[i], rows[r].counter);
            if (counter && amounts)
                chart_add_amount(chart, layer, report->run[i], counter->series);
            else if (counter)
                chart_add_rate(chart, layer, report->run[i], counter->series);
        }
    }
    if (plots->chart[0].layers > 0)
        draw(out, report, plots, plots->chart[0].layers > 1);
    else
        fprintf(out, "<p class=\"note\">Nothing of this kind was counted.</p>\n");
    free(plots);
}

void report_fault_plots(FILE *out, const struct report *report)
{
    static const struct named rows[] = {
        {"shadow_retried", "shadow: entry filled"},
        {"shadow_injected", "shadow: injected into the guest"},
        {"shadow_emulated", "shadow: write to a gPT"},
        {"shadow_mmio", "shadow: MMIO"},
        {"ept_filled_4k", "EPT: 4 KiB leaf filled"},
        {"ept_filled_2m", "EPT: 2 MiB leaf filled"},
        {"ept_filled_1g", "EPT: 1 GiB leaf filled"},
        {"ept_mmio", "EPT: MMIO marked"},
    };

    draw_counters(out, report, "a second", rows, ARRAY_SIZE(rows), false);
}

void report_table_plots(FILE *out, const struct report *report)
{
    static const struct named tables[] = {
        {"ept_bytes", "extended page table"},
        {"shadow_bytes", "shadow pages"},
        {"rmap_bytes", "reverse map"},
    };
    /* Much larger, so they have a drawing of their own. */
    static const struct named blocks[] = {
        {"block_bytes", "decoded blocks"},
    };

    draw_counters(out, report, "page tables", tables, ARRAY_SIZE(tables), true);
    draw_counters(out, report, "decoded instructions", blocks, ARRAY_SIZE(blocks), true);
}

/* Misses in a thousand instructions: of each bin, one rate by the other. */
void report_tlb_plots(FILE *out, const struct report *report)
{
    struct plots *plots = plots_make(report, "TLB misses in 1000 instructions");

    if (!plots)
        return;
    for (unsigned i = 0; i < report->count; i++) {
        const struct report_run *run = report->run[i];
        const struct report_counter *misses = report_run_counter(run, "tlb_misses");
        const struct report_counter *executed = report_run_counter(run, "instructions");
        struct chart *chart = &plots->chart[i];
        struct chart_layer *layer = chart_add(chart, "TLB misses in 1000 instructions", 0);
        struct chart_layer whole = {0};

        chart->lines = true;
        if (!misses || !executed)
            continue;
        chart_add_rate(chart, layer, run, misses->series);
        chart_add_rate(chart, &whole, run, executed->series);
        for (unsigned b = 0; b < chart->bins; b++)
            layer->value[b] = whole.value[b] > 0 ? 1000 * layer->value[b] / whole.value[b] : 0;
    }
    draw(out, report, plots, false);
    free(plots);
}

static double sum_bytes(const struct report_slot *slot, const uint64_t *pages)
{
    double sum = 0;

    for (unsigned i = 0; i < slot->buckets; i++)
        sum += (double)pages[i] * (double)PAGE_SIZE;
    return sum;
}

static void draw_slot(FILE *out, const struct report_slot *slot, unsigned wide)
{
    char size[CHART_TEXT], resident[CHART_TEXT], dirty[CHART_TEXT], shared[CHART_TEXT];

    fprintf(out, "<figure><figcaption><b>");
    html_text(out, slot->name);
    fprintf(out, "</b> GPA %llx to %llx, %s: %s resident, %s written%s, %s shared</figcaption>",
            (unsigned long long)slot->base, (unsigned long long)(slot->base + slot->bytes - 1),
            text_bytes(size, (double)slot->bytes),
            text_bytes(resident, sum_bytes(slot, slot->resident)),
            text_bytes(dirty, sum_bytes(slot, slot->dirty)),
            slot->dirty_logged ? " since the dirty log was read" : "",
            text_bytes(shared, sum_bytes(slot, slot->shared)));
    strip_draw(out, slot, wide);
    fprintf(out, "</figure>\n");
}

void report_memory(FILE *out, const struct report *report)
{
    fprintf(out, "<p class=\"legend\">");
    for (unsigned i = 0; i < 3; i++) {
        static const char *const words[] = {"resident in the host", "written", "shared"};

        fprintf(out,
                "<span><svg class=\"key\" viewBox=\"0 0 10 10\"><rect class=\"c%u\" width=\"10\" "
                "height=\"10\" rx=\"2\"/></svg>%s</span> ",
                i, words[i]);
    }
    fprintf(out, "</p>\n<div class=\"pair\">\n");
    for (unsigned i = 0; i < report->count; i++) {
        fprintf(out, "<div>");
        if (report->count > 1)
            fprintf(out, "<p class=\"letter\">%c</p>", report_letter(i));
        for (unsigned j = 0; j < report->run[i]->slots; j++)
            draw_slot(out, &report->run[i]->slot[j], report->count > 1 ? 560 : 1120);
        fprintf(out, "</div>\n");
    }
    fprintf(out, "</div>\n");
}
