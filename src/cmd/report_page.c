/* The page's order, its head and the words between the drawings. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/command.h"
#include "cmd/report.h"
#include "cmd/report_chart.h"

static void head(FILE *out, const struct report *report)
{
    fprintf(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                 "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
                 /* Should a string ever get past html_text, a browser still runs and loads none. */
                 "<meta http-equiv=\"Content-Security-Policy\" "
                 "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n<title>");
    html_text(out, report->run[0]->guest);
    fprintf(out, " on Umbra</title>\n");
    report_style(out);
    fprintf(out, "</head>\n<body>\n");
}

static void card(FILE *out, const struct report *report, unsigned i)
{
    const struct report_run *run = report->run[i];
    char memory[CHART_TEXT];

    fprintf(out, "<div class=\"card\"><p>");
    if (report->count > 1)
        fprintf(out,
                "<svg class=\"key\" viewBox=\"0 0 10 10\"><rect class=\"c%u\" width=\"10\" "
                "height=\"10\" rx=\"2\"/></svg><b>%c:</b> ",
                i, report_letter(i));
    fprintf(out, "<b>");
    html_text(out, run->guest);
    fprintf(out, "</b>, %s, engine ", text_bytes(memory, (double)run->memory_bytes));
    html_text(out, run->engine);
    fprintf(out, ", <b>--mmu=");
    html_text(out, run->mmu);
    fprintf(out, "</b>, exit status %" PRId64 "</p><p class=\"note\">On ", run->status);
    html_text(out, run->processor);
    fprintf(out, ", Linux ");
    html_text(out, run->kernel);
    fprintf(out, "; from ");
    html_text(out, report->file[i]);
    fprintf(out, "</p><code>");
    html_text(out, run->command);
    fprintf(out, "</code></div>\n");
}

static void tile(FILE *out, const char *value, const char *words)
{
    fprintf(out, "<div class=\"tile\"><b>%s</b><span>%s</span></div>\n", value, words);
}

static double per_second(const struct report_run *run, double amount)
{
    return run->host_ns ? amount * 1e9 / (double)run->host_ns : 0;
}

static double percent(double part, double whole)
{
    return whole > 0 ? 100 * part / whole : 0;
}

static void tiles(FILE *out, const struct report *report, unsigned i)
{
    const struct report_run *run = report->run[i];
    double exits = (double)report_run_value(run, "exits");
    double hits = (double)report_run_value(run, "tlb_hits");
    char text[CHART_TEXT], words[CHART_TEXT + 40];

    fprintf(out, "<div class=\"tiles\">\n");
    snprintf(words, sizeof(words), "ran, %.3g s of it halted",
             (double)report_run_value(run, "idle_ns") / 1e9);
    tile(out, text_ns(text, (double)run->host_ns), words);
    snprintf(words, sizeof(words), "instructions a second");
    tile(out, text_short(text, per_second(run, (double)report_run_value(run, "instructions"))),
         words);
    tile(out, text_short(text, exits), "VM exits");
    snprintf(text, sizeof(text), "%.1f&#8201;%%",
             percent((double)report_run_value(run, "exit_ns"), (double)run->host_ns));
    tile(out, text, "of the time in exits");
    snprintf(text, sizeof(text), "%.2f&#8201;%%",
             percent(hits, (double)report_run_value(run, "tlb_lookups")));
    tile(out, text, "of data look-ups hit the TLB");
    tile(out,
         text_bytes(text, (double)report_run_value(run, "ept_bytes") +
                              (double)report_run_value(run, "shadow_bytes") +
                              (double)report_run_value(run, "rmap_bytes")),
         "of page tables for the guest");
    fprintf(out, "</div>\n");
}

static void section(FILE *out, const char *title, const char *words)
{
    fprintf(out, "<h2>%s</h2>\n<p class=\"note\">%s</p>\n", title, words);
}

static void overview(FILE *out, const struct report *report)
{
    fprintf(out, "<h1>%s</h1>\n", report->count > 1 ? "Two runs compared" : "What a run did");
    fprintf(out, "<p class=\"sub\">Umbra " UMBRA_VERSION
                 ": VM exits and memory virtualization</p>\n<div class=\"pair\">\n");
    for (unsigned i = 0; i < report->count; i++) {
        fprintf(out, "<div>");
        card(out, report, i);
        tiles(out, report, i);
        fprintf(out, "</div>\n");
    }
    fprintf(out, "</div>\n");
}

void report_page(FILE *out, const struct report *report)
{
    head(out, report);
    overview(out, report);
    section(out, "Exits by reason over time", "Crossings from the guest to the monitor.");
    report_exit_plots(out, report);
    section(out, "Exits by cost",
            "Time is host time inside the monitor for that reason, without the exits inside it. "
            "Sorted by it. Page faults that exit under shadow paging are exceptions here.");
    report_exit_table(out, report);
    section(out, "Page faults and violations",
            "Under shadow paging a page fault exits, and the monitor decides: inject it, fill an "
            "entry, emulate a write to a guest page table, or go to a device. With an extended "
            "page table (EPT) the guest handles its own; what exits is a violation.");
    report_fault_plots(out, report);
    report_fault_table(out, report);
    section(out, "TLB misses over time",
            "A miss walks the tables; an access to a device walks them each time.");
    report_tlb_plots(out, report);
    section(out, "Sizes of the monitor's tables over time", "What memory virtualization takes.");
    report_table_plots(out, report);
    section(out, "Guest memory",
            "Each slot of guest-physical addresses at the end, from its base on the left; the "
            "darker, the more of its pages.");
    report_memory(out, report);
    section(out, "Ports", "The most accessed.");
    report_port_table(out, report);
    section(out, "All counters", "docs/stats.md tells what each means.");
    report_counter_tables(out, report);
    fprintf(out, "</body>\n</html>\n");
}
