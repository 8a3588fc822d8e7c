/*
 * Drawing for `umbra report`: SVG inside HTML, without script and without anything fetched. Colours
 * are classes c0 to c7 (report_style.c), so that one drawing serves light, dark and paper.
 *
 * Every string that comes from a file goes through html_text.
 */
#ifndef UMBRA_CMD_REPORT_CHART_H
#define UMBRA_CMD_REPORT_CHART_H

#include <stdio.h>

#include "cmd/report_data.h"

#define CHART_BINS   120
#define CHART_LAYERS 8

/* Text with <, >, &, quotes and control characters made harmless. */
void html_text(FILE *out, const char *text);

/* Numbers for people, each at most CHART_TEXT bytes: 1,234,567; 12.3k; 1.20 ms; 3.4 MiB. */
#define CHART_TEXT 40
const char *text_grouped(char text[CHART_TEXT], uint64_t number);
const char *text_short(char text[CHART_TEXT], double number);
const char *text_ns(char text[CHART_TEXT], double ns);
const char *text_bytes(char text[CHART_TEXT], double bytes);

struct chart_layer {
    const char *label;
    unsigned colour; /* 0 to 7 */
    double value[CHART_BINS];
};

struct chart {
    const char *unit; /* of the vertical axis, ours */
    bool bytes;       /* ticks and titles in KiB and MiB */
    bool lines;       /* lines beside one another, not areas on top of one another */
    unsigned layers, bins;
    double begin_s, bin_s; /* time of the first bin and of each */
    double end_s;          /* of the axis, the same in charts beside one another */
    double max;            /* of the vertical axis; 0 for the chart's own */
    struct chart_layer layer[CHART_LAYERS];
};

/* Bins over the time of a run. */
void chart_init(struct chart *chart, const struct report_run *run);

/* Adds a layer of zeroes and returns it. */
struct chart_layer *chart_add(struct chart *chart, const char *label, unsigned colour);

/* Adds up a series in a layer: as a rate a second, or as an amount at the middle of each bin. */
void chart_add_rate(const struct chart *chart, struct chart_layer *layer,
                    const struct report_run *run, const uint64_t *series);
void chart_add_amount(const struct chart *chart, struct chart_layer *layer,
                      const struct report_run *run, const uint64_t *series);

/* How high it is. */
double chart_height(const struct chart *chart);

/* The drawing; about wide x 230 units. */
void chart_draw(FILE *out, const struct chart *chart, unsigned wide);
void chart_legend(FILE *out, const struct chart *chart);

/* Bars beside one another (one for each run), as long as their part of max. */
void bars_draw(FILE *out, const double *values, unsigned count, double max);

/* A slot's pages as a strip of cells. */
void strip_draw(FILE *out, const struct report_slot *slot, unsigned wide);

#endif
