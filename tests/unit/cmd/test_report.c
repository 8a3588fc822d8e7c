/* What `umbra report` makes of good and of bad statistics. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/report.h"
#include "cmd/report_chart.h"

/* A small file that is good; tests replace one of its pieces. */
#define SERIES                                                                                     \
    "\"series\":{\"interval_ns\":1,\"time_ns\":[1,5000000000,9000000000],\"exits\":{\"IO\":[0,3,"  \
    "5]},"                                                                                         \
    "\"counters\":{\"instructions\":[0,10,90]}}"
static const char good[] =
    "{\"format\":\"umbra-stats\",\"version\":1,\"run\":{\"guest\":\"a guest\",\"engine\":\"soft\","
    "\"mmu\":\"ept\",\"memory_bytes\":65536,\"status\":-1},\"command\":[\"umbra\",\"run\"],"
    "\"host\":"
    "{\"processor\":\"p\",\"kernel\":\"k\"},\"host_ns\":9000000000,\"exits\":[{\"name\":\"IO\","
    "\"words\":\"port I/O\",\"count\":5,\"ns\":1500}],\"counters\":{\"instructions\":{\"value\":90,"
    "\"unit\":\"number\",\"group\":\"run\",\"words\":\"executed\"}},\"ports\":[{\"port\":128,"
    "\"count\":5}],\"memory\":[{\"name\":\"low\",\"base\":0,\"bytes\":8192,\"bucket_bytes\":4096,"
    "\"resident_pages\":[1,0],\"dirty_pages\":[1,0],\"shared_pages\":[0,0]}]," SERIES "}";

/* The good file with the first `from` replaced; the caller frees it. */
static char *with(const char *from, const char *to)
{
    const char *at = strstr(good, from);
    char *text;

    assert_non_null(at);
    assert_true(asprintf(&text, "%.*s%s%s", (int)(at - good), good, to, at + strlen(from)) > 0);
    return text;
}

static char *page_of(const char *text, unsigned runs)
{
    struct report_error error = {""};
    struct report_run *run = report_run_parse(text, strlen(text), &error);
    const struct report report = {.count = runs, .run = {run, run}, .file = {"a", "b"}};
    char *page;
    size_t size;
    FILE *out;

    if (!run)
        fail_msg("%s", error.text);
    out = open_memstream(&page, &size);
    assert_non_null(out);
    report_page(out, &report);
    fclose(out);
    report_run_free(run);
    return page;
}

static void a_good_file_makes_a_page(void **state)
{
    for (unsigned runs = 1; runs <= 2; runs++) {
        char *page = page_of(good, runs);

        assert_non_null(strstr(page, "<!DOCTYPE html>"));
        assert_non_null(strstr(page, "port I/O"));
        assert_non_null(strstr(page, "1.5 µs"));
        assert_non_null(strstr(page, "300 ns")); /* an exit */
        assert_non_null(strstr(page, "exit status -1"));
        assert_true(!!strstr(page, "Two runs compared") == (runs == 2));
        assert_null(strstr(page, "nan"));
        assert_null(strstr(page, "://"));
        free(page);
    }
}

static void strings_of_the_file_stay_text(void **state)
{
    static const char *const places[] = {"a guest",       "soft",     "\"ept",    "\"p\"",
                                         "umbra\",\"run", "port I/O", "executed", "low"};

    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        bool open = places[i][0] == '"';
        char *text = with(places[i], open && places[i][2] == '"' ? "\"<script>x'&\\u0007</script>\""
                                     : open                      ? "\"<script>x'&</script>"
                                                                 : "<script>x'&</script>");
        char *page = page_of(text, 2);

        assert_null(strstr(page, "<script"));
        assert_non_null(strstr(page, "&lt;script&gt;x&#39;&amp;"));
        assert_null(strchr(page, '\a'));
        free(page);
        free(text);
    }
}

static void numbers_of_any_size_are_drawn(void **state)
{
    static const char *const numbers[][2] = {
        {"[0,3,5]", "[9223372036854775807,0,9223372036854775807]"},
        {"[0,10,90]", "[0,0,0]"},
        {"[1,5000000000,9000000000]",
         "[9223372036854775806,9223372036854775806,9223372036854775807]"},
        {"\"host_ns\":9000000000", "\"host_ns\":0"},
        {"\"count\":5,\"ns\":1500", "\"count\":0,\"ns\":9223372036854775807"},
        {"\"resident_pages\":[1,0]", "\"resident_pages\":[9223372036854775807,1]"},
        {"\"base\":0", "\"base\":9223372036854775807"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        char *text = with(numbers[i][0], numbers[i][1]);
        char *page = page_of(text, 2);

        assert_null(strstr(page, "nan"));
        assert_null(strstr(page, "inf"));
        free(page);
        free(text);
    }
}

static void refused(const char *text, size_t len, const char *words)
{
    struct report_error error = {""};

    assert_null(report_run_parse(text, len, &error));
    if (!strstr(error.text, words))
        fail_msg("\"%s\" is not told of, but: %s", words, error.text);
}

static void bad_files_are_refused_in_words(void **state)
{
    static const char *const rows[][3] = {
        {"umbra-stats", "other", "no statistics file"},
        {"\"version\":1", "\"version\":2", "version 1"},
        {"\"version\":1", "\"version\":NaN", "valid JSON"},
        {"\"version\":1", "\"version\":1e400", "valid JSON"},
        {"\"version\":1", "\"version\":1,\"version\":1", "valid JSON"},
        {"\"version\":1", "\"version\":99999999999999999999", "valid JSON"},
        {"\"run\":{", "\"run\":[],\"x\":{", "\"run\""},
        {"\"guest\":\"a guest\",", "", "\"guest\""},
        {"\"host_ns\":9000000000", "\"host_ns\":-1", "below zero"},
        {"\"host_ns\":9000000000", "\"host_ns\":1.5", "whole number"},
        {"\"count\":5,\"ns\":1500", "\"count\":\"5\",\"ns\":1500", "\"count\""},
        {"\"command\":[\"umbra\",\"run\"]", "\"command\":[1]", "command"},
        {"\"port\":128", "\"port\":65536", "FFFFh"},
        {"[1,5000000000,9000000000]", "[]", "two samples"},
        {"[1,5000000000,9000000000]", "[1]", "two samples"},
        {"[1,5000000000,9000000000]", "[1,3,2]", "backwards"},
        {"[1,5000000000,9000000000]", "[7,7,7]", "no time"},
        {"[0,3,5]", "[0,3]", "series of an exit"},
        {"[0,3,5]", "[0,3,\"5\"]", "series of an exit"},
        {"[0,10,90]", "null", "series of a counter"},
        {"\"bytes\":8192", "\"bytes\":0", "make up its size"},
        {"\"bucket_bytes\":4096", "\"bucket_bytes\":1", "make up its size"},
        {"\"bucket_bytes\":4096", "\"bucket_bytes\":0", "make up its size"},
        {"\"resident_pages\":[1,0]", "\"resident_pages\":[]", "dirty_pages"},
        {SERIES, "\"x\":0", "\"series\""},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char *text = with(rows[i][0], rows[i][1]);

        refused(text, strlen(text), rows[i][2]);
        free(text);
    }
}

static void bytes_that_are_no_file_are_refused(void **state)
{
    static const char nul[] = "{\"format\":\"umbra\0stats\"}";
    char deep[100000];

    refused("", 0, "valid JSON");
    refused("\xff\xfe", 2, "valid JSON");
    refused("[]", 2, "no statistics file");
    refused(nul, sizeof(nul) - 1, "valid JSON");
    refused(good, sizeof(good) - 2, "valid JSON");
    memset(deep, '[', sizeof(deep));
    refused(deep, sizeof(deep), "valid JSON");
}

static void more_than_a_run_writes_is_refused(void **state)
{
    char *many, *text;
    size_t size;
    FILE *out = open_memstream(&many, &size);

    assert_non_null(out);
    for (unsigned i = 0; i <= REPORT_MAX_SAMPLES; i++)
        fprintf(out, "%s%u", i ? "," : "[", i);
    fprintf(out, "]");
    fclose(out);
    text = with("[1,5000000000,9000000000]", many);
    refused(text, strlen(text), "more than");
    free(text);
    free(many);
}

static void numbers_for_people(void **state)
{
    char text[CHART_TEXT];

    assert_string_equal(text_grouped(text, 0), "0");
    assert_string_equal(text_grouped(text, 999), "999");
    assert_string_equal(text_grouped(text, 1234567), "1,234,567");
    assert_string_equal(text_grouped(text, UINT64_MAX), "18,446,744,073,709,551,615");
    assert_string_equal(text_short(text, 12345), "12.3k");
    assert_string_equal(text_short(text, 999.9), "1k");
    assert_string_equal(text_ns(text, 1500), "1.5 µs");
    assert_string_equal(text_ns(text, 3.2e10), "32 s");
    assert_string_equal(text_bytes(text, 1023), "1023 B");
    assert_string_equal(text_bytes(text, 3.5 * 1024 * 1024), "3.5 MiB");
}

/* A rate is the slope of the series, a falling series none. */
static void rates_are_slopes(void **state)
{
    static const uint64_t time_ns[] = {0, 1000000000, 3000000000}, series[] = {0, 10, 4};
    const struct report_run run = {.samples = 3, .time_ns = time_ns};
    struct chart *chart = malloc(sizeof(*chart));
    struct chart_layer *layer;

    assert_non_null(chart);
    chart_init(chart, &run);
    assert_int_equal(chart->bins, 2);
    layer = chart_add(chart, "x", 0);
    chart_add_rate(chart, layer, &run, series);
    /* 0 to 1.5 s: up to 10, then down to 8.5; from there on down. */
    assert_true(layer->value[0] > 5.66 && layer->value[0] < 5.67);
    assert_true(layer->value[1] == 0);
    free(chart);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_file_makes_a_page),
        cmocka_unit_test(strings_of_the_file_stay_text),
        cmocka_unit_test(numbers_of_any_size_are_drawn),
        cmocka_unit_test(bad_files_are_refused_in_words),
        cmocka_unit_test(bytes_that_are_no_file_are_refused),
        cmocka_unit_test(more_than_a_run_writes_is_refused),
        cmocka_unit_test(numbers_for_people),
        cmocka_unit_test(rates_are_slopes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
