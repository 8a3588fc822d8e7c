/* Text and numbers for the report's page. */
#include <inttypes.h>

#include "cmd/report_chart.h"

void html_text(FILE *out, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        switch (*p) {
        case '<': fputs("&lt;", out); break;
        case '>': fputs("&gt;", out); break;
        case '&': fputs("&amp;", out); break;
        case '"': fputs("&quot;", out); break;
        case '\'': fputs("&#39;", out); break;
        default:
            /* Control characters mean nothing in a page, and some are not allowed in it. */
            fputc(*p < ' ' || *p == 0x7f ? ' ' : *p, out);
        }
    }
}

const char *text_grouped(char text[CHART_TEXT], uint64_t number)
{
    char digits[24];
    int len = snprintf(digits, sizeof(digits), "%" PRIu64, number);
    char *to = text;

    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            *to++ = ',';
        *to++ = digits[i];
    }
    *to = '\0';
    return text;
}

static const char *scaled(char text[CHART_TEXT], double number, double base,
                          const char *const *units)
{
    unsigned unit = 0;

    while (number >= 0.9995 * base && units[unit + 1]) {
        number /= base;
        unit++;
    }
    if (number >= 999.5)
        snprintf(text, CHART_TEXT, "%.0f%s", number, units[unit]);
    else
        snprintf(text, CHART_TEXT, "%.3g%s", number, units[unit]);
    return text;
}

const char *text_short(char text[CHART_TEXT], double number)
{
    static const char *const units[] = {"", "k", "M", "G", "T", "P", "E", NULL};

    return scaled(text, number, 1000, units);
}

const char *text_ns(char text[CHART_TEXT], double ns)
{
    static const char *const units[] = {" ns", " µs", " ms", " s", NULL};

    return scaled(text, ns, 1000, units);
}

const char *text_bytes(char text[CHART_TEXT], double bytes)
{
    static const char *const units[] = {" B", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB", NULL};

    return scaled(text, bytes, 1024, units);
}
