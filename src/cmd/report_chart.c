/* Bins, scales, axes, areas and lines. */
#include "cmd/report_chart.h"

#define HIGH   230.0
#define LEFT   58.0
#define RIGHT  12.0
#define TOP    14.0
#define BOTTOM 30.0
#define TICKS  4

void chart_init(struct chart *chart, const struct report_run *run)
{
    double begin = (double)run->time_ns[0] / 1e9;
    double end = (double)run->time_ns[run->samples - 1] / 1e9;

    *chart = (struct chart){
        .bins = MIN(run->samples - 1, (unsigned)CHART_BINS),
        .begin_s = begin,
        .end_s = end,
    };
    /* Two times a few nanoseconds apart may be one as a fraction of seconds. */
    chart->bin_s = MAX((end - begin) / chart->bins, 1e-9);
}

struct chart_layer *chart_add(struct chart *chart, const char *label, unsigned colour)
{
    struct chart_layer *layer = &chart->layer[MIN(chart->layers, CHART_LAYERS - 1u)];

    if (chart->layers < CHART_LAYERS)
        chart->layers++;
    *layer = (struct chart_layer){.label = label, .colour = colour};
    return layer;
}

/* The series at a time, on the straight line between two samples; *from speeds rising times up. */
static double series_at(const struct report_run *run, const uint64_t *series, double time_s,
                        unsigned *from)
{
    double t0, t1, part;
    unsigned i = *from;

    while (i + 2 < run->samples && (double)run->time_ns[i + 1] / 1e9 <= time_s)
        i++;
    *from = i;
    t0 = (double)run->time_ns[i] / 1e9;
    t1 = (double)run->time_ns[i + 1] / 1e9;
    part = t1 > t0 ? (time_s - t0) / (t1 - t0) : 1;
    part = part < 0 ? 0 : part > 1 ? 1 : part;
    return (double)series[i] + part * ((double)series[i + 1] - (double)series[i]);
}

void chart_add_rate(const struct chart *chart, struct chart_layer *layer,
                    const struct report_run *run, const uint64_t *series)
{
    unsigned from = 0;
    double before = (double)series[0];

    for (unsigned i = 0; i < chart->bins; i++) {
        double now = series_at(run, series, chart->begin_s + (i + 1) * chart->bin_s, &from);

        /* A file may hold a count that falls; it is drawn as none. */
        layer->value[i] += now > before ? (now - before) / chart->bin_s : 0;
        before = now;
    }
}

void chart_add_amount(const struct chart *chart, struct chart_layer *layer,
                      const struct report_run *run, const uint64_t *series)
{
    unsigned from = 0;

    for (unsigned i = 0; i < chart->bins; i++)
        layer->value[i] += series_at(run, series, chart->begin_s + (i + 0.5) * chart->bin_s, &from);
}

double chart_height(const struct chart *chart)
{
    double max = 0;

    for (unsigned i = 0; i < chart->bins; i++) {
        double sum = 0;

        for (unsigned l = 0; l < chart->layers; l++) {
            double value = chart->layer[l].value[i];

            sum = chart->lines ? MAX(sum, value) : sum + value;
        }
        max = MAX(max, sum);
    }
    return max;
}

/* The next of 1, 2, 5, 10 ... (for bytes: of the powers of two) that is not below. */
static double nice_step(double step, bool bytes)
{
    static const double factors[] = {2, 2.5, 2};
    double nice = bytes ? 1 : 1e-12;

    for (unsigned i = 0; nice < step; i++)
        nice *= bytes ? 2 : factors[i % ARRAY_SIZE(factors)];
    return nice;
}

/* Where things are in a drawing. */
struct frame {
    double width, x_scale, y_scale;
    double max, step; /* of the vertical axis: a whole number of steps */
};

static double x_of(const struct frame *f, double s)
{
    return LEFT + s * f->x_scale;
}

static double y_of(const struct frame *f, double value)
{
    return HIGH - BOTTOM - value * f->y_scale;
}

static const char *amount(const struct chart *chart, char text[CHART_TEXT], double value)
{
    return chart->bytes ? text_bytes(text, value) : text_short(text, value);
}

static void draw_axes(FILE *out, const struct chart *chart, const struct frame *f)
{
    double x_step = nice_step(chart->end_s / (f->width > 700 ? 10 : 6), false);
    char text[CHART_TEXT];

    for (double v = 0; v <= f->max * 1.0001; v += f->step) {
        fprintf(out, "<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/>", LEFT, y_of(f, v),
                f->width - RIGHT);
        fprintf(out, "<text class=\"end\" x=\"%.1f\" y=\"%.1f\">%s</text>", LEFT - 6,
                y_of(f, v) + 4, amount(chart, text, v));
    }
    for (double s = 0; s <= chart->end_s * 1.0001; s += x_step)
        fprintf(out, "<text class=\"middle\" x=\"%.1f\" y=\"%.1f\">%.6g s</text>", x_of(f, s),
                HIGH - BOTTOM + 17, s);
    fprintf(out, "<text x=\"%.1f\" y=\"%.1f\">%s</text>\n", LEFT, TOP - 4, chart->unit);
}

/* A layer between what lies below it and that plus its own, in steps. */
static void draw_area(FILE *out, const struct chart *chart, const struct frame *f,
                      const struct chart_layer *layer, double *below)
{
    fprintf(out, "<path class=\"c%u\" d=\"M%.1f %.1f", layer->colour, x_of(f, chart->begin_s),
            y_of(f, below[0]));
    for (unsigned i = 0; i < chart->bins; i++)
        fprintf(out, "V%.1fH%.1f", y_of(f, below[i] + layer->value[i]),
                x_of(f, chart->begin_s + (i + 1) * chart->bin_s));
    for (unsigned i = chart->bins; i-- > 0;) {
        fprintf(out, "V%.1fH%.1f", y_of(f, below[i]), x_of(f, chart->begin_s + i * chart->bin_s));
        below[i] += layer->value[i];
    }
    fprintf(out, "Z\"/>\n");
}

static void draw_line(FILE *out, const struct chart *chart, const struct frame *f,
                      const struct chart_layer *layer)
{
    fprintf(out, "<path class=\"line s%u\" d=\"M%.1f %.1f", layer->colour, x_of(f, chart->begin_s),
            y_of(f, layer->value[0]));
    for (unsigned i = 0; i < chart->bins; i++)
        fprintf(out, "V%.1fH%.1f", y_of(f, layer->value[i]),
                x_of(f, chart->begin_s + (i + 1) * chart->bin_s));
    fprintf(out, "\"/>\n");
}

/* What a pointer over a bin reads. */
static void draw_titles(FILE *out, const struct chart *chart, const struct frame *f)
{
    for (unsigned i = 0; i < chart->bins; i++) {
        double begin = chart->begin_s + i * chart->bin_s;
        char text[CHART_TEXT];

        fprintf(out, "<rect class=\"hover\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\">",
                x_of(f, begin), TOP, chart->bin_s * f->x_scale, HIGH - BOTTOM - TOP);
        fprintf(out, "<title>%.2f to %.2f s, %s", begin, begin + chart->bin_s, chart->unit);
        for (unsigned l = chart->layers; l-- > 0;) {
            if (chart->layer[l].value[i] <= 0)
                continue;
            fputc('\n', out);
            html_text(out, chart->layer[l].label);
            fprintf(out, ": %s", amount(chart, text, chart->layer[l].value[i]));
        }
        fprintf(out, "</title></rect>\n");
    }
}

void chart_draw(FILE *out, const struct chart *chart, unsigned wide)
{
    double max = chart->max > 0 ? chart->max : chart_height(chart);
    struct frame f = {.width = wide, .step = nice_step((max > 0 ? max : 1) / TICKS, chart->bytes)};
    double below[CHART_BINS] = {0};

    while (f.max < max || f.max <= 0)
        f.max += f.step;
    f.x_scale = (wide - LEFT - RIGHT) / (chart->end_s > 0 ? chart->end_s : 1);
    f.y_scale = (HIGH - BOTTOM - TOP) / f.max;
    fprintf(out, "<svg viewBox=\"0 0 %u %.0f\" role=\"img\">\n", wide, HIGH);
    draw_axes(out, chart, &f);
    for (unsigned l = 0; l < chart->layers; l++) {
        if (chart->lines)
            draw_line(out, chart, &f, &chart->layer[l]);
        else
            draw_area(out, chart, &f, &chart->layer[l], below);
    }
    draw_titles(out, chart, &f);
    fprintf(out, "</svg>\n");
}

void chart_legend(FILE *out, const struct chart *chart)
{
    fprintf(out, "<p class=\"legend\">");
    for (unsigned l = 0; l < chart->layers; l++) {
        fprintf(out,
                "<span><svg class=\"key\" viewBox=\"0 0 10 10\"><rect class=\"c%u\" width=\"10\" "
                "height=\"10\" rx=\"2\"/></svg>",
                chart->layer[l].colour);
        html_text(out, chart->layer[l].label);
        fprintf(out, "</span> ");
    }
    fprintf(out, "</p>\n");
}

void bars_draw(FILE *out, const double *values, unsigned count, double max)
{
    fprintf(out, "<svg class=\"bars\" viewBox=\"0 0 160 %u\" preserveAspectRatio=\"none\">",
            count * 9 + 1);
    for (unsigned i = 0; i < count; i++) {
        double wide = max > 0 ? 160 * values[i] / max : 0;

        fprintf(out, "<rect class=\"c%u\" y=\"%u\" width=\"%.1f\" height=\"8\"/>", i, i * 9 + 1,
                max > 0 && values[i] > 0 ? MAX(wide, 0.7) : 0);
    }
    fprintf(out, "</svg>");
}

/* A row of a strip: cells as opaque as their part of the bucket's pages; equal neighbours are one.
 */
static void strip_row(FILE *out, const struct report_slot *slot, unsigned wide, unsigned row)
{
    static const unsigned colours[] = {0, 1, 2};
    static const char *const words[] = {"resident", "written", "shared"};
    const uint64_t *pages = row == 0 ? slot->resident : row == 1 ? slot->dirty : slot->shared;
    uint64_t each = slot->bucket_bytes / PAGE_SIZE;
    double cell = (double)wide / slot->buckets;

    for (unsigned i = 0, run; i < slot->buckets; i += run) {
        double share = MIN((double)pages[i] / (double)each, 1.0);

        for (run = 1; i + run < slot->buckets && pages[i + run] == pages[i]; run++)
            continue;
        if (share <= 0)
            continue;
        fprintf(out,
                "<rect class=\"c%u\" x=\"%.2f\" y=\"%u\" width=\"%.2f\" height=\"12\" "
                "opacity=\"%.2f\"><title>GPA %llx to %llx: %.0f %% %s</title></rect>",
                colours[row], i * cell, 1 + row * 14, run * cell, 0.25 + 0.75 * share,
                (unsigned long long)(slot->base + i * slot->bucket_bytes),
                (unsigned long long)(slot->base + (i + run) * slot->bucket_bytes - 1),
                MAX(100 * share, 1.0), words[row]);
    }
}

void strip_draw(FILE *out, const struct report_slot *slot, unsigned wide)
{
    fprintf(out, "<svg class=\"strip\" viewBox=\"0 0 %u 42\" preserveAspectRatio=\"none\">", wide);
    for (unsigned row = 0; row < 3; row++) {
        fprintf(out, "<rect class=\"empty\" y=\"%u\" width=\"%u\" height=\"12\"/>", 1 + row * 14,
                wide);
        strip_row(out, slot, wide, row);
    }
    fprintf(out, "</svg>\n");
}
