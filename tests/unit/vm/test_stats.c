/* Series that are thinned out, the live table's lines, files that are replaced whole. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "vm/stats_file.h"
#include "vm/stats_live.h"
#include "vm/stats_recorder.h"

static struct stats_series *new_series(void)
{
    struct stats_series *series = malloc(sizeof(*series));

    assert_non_null(series);
    stats_series_init(series);
    return series;
}

/* Ticks with the number of the tick as time. */
static void tick(struct stats_series *series, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++)
        stats_series_tick(series, &(struct stats_snapshot){.time_ns = i});
}

static void every_tick_is_kept_while_there_is_room(void **state)
{
    struct stats_series *series = new_series();

    tick(series, 0, STATS_MAX_SAMPLES);
    assert_int_equal(series->count, STATS_MAX_SAMPLES);
    assert_int_equal(series->stride, 1);
    for (unsigned i = 0; i < series->count; i++)
        assert_int_equal(series->samples[i].time_ns, i);
    free(series);
}

static void a_long_run_is_thinned_out_evenly(void **state)
{
    struct stats_series *series = new_series();

    tick(series, 0, 10 * STATS_MAX_SAMPLES);
    assert_in_range(series->count, STATS_MAX_SAMPLES / 2, STATS_MAX_SAMPLES);
    assert_int_equal(series->stride, 16);
    assert_int_equal(series->samples[0].time_ns, 0);
    for (unsigned i = 1; i < series->count; i++)
        assert_int_equal(series->samples[i].time_ns - series->samples[i - 1].time_ns, 16);
    free(series);
}

static void the_last_sample_always_fits(void **state)
{
    struct stats_series *series = new_series();

    tick(series, 0, STATS_MAX_SAMPLES);
    stats_series_end(series, &(struct stats_snapshot){.time_ns = 12345});
    assert_int_equal(series->count, STATS_MAX_SAMPLES);
    assert_int_equal(series->samples[series->count - 1].time_ns, 12345);
    free(series);
}

static void short_numbers_are_short(void **state)
{
    static const struct {
        double number;
        const char *text;
    } rows[] = {
        {0, "0"},        {7, "7"},        {999, "999"},     {999.6, "1.00k"},   {1234, "1.23k"},
        {9999, "10.0k"}, {99960, "100k"}, {2.5e6, "2.50M"}, {999.9e6, "1.00G"}, {1e19, "10.0E"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char text[STATS_SHORT_SIZE];

        stats_live_short(text, rows[i].number);
        assert_string_equal(text, rows[i].text);
    }
}

/* Whatever the rates, a line keeps its width, and each column stands under its heading. */
static void lines_are_as_wide_as_their_heading(void **state)
{
    struct stats_snapshot last = {.time_ns = 0}, now = {.time_ns = 1};
    char heading[160], line[160];

    stats_live_heading(heading, sizeof(heading));
    assert_true(strlen(heading) <= STATS_LIVE_COLUMNS);
    for (int big = 0; big < 2; big++) {
        for (unsigned i = 0; i < STATS; i++)
            now.value[i] = big ? UINT64_MAX / 4 : 0;
        now.value[STAT_shadow_mmio] = 0;
        for (unsigned i = 0; i < EXIT_REASONS; i++)
            now.exits[i] = now.value[0];
        now.time_ns = big ? 99999 * NS_PER_SEC : 1;
        stats_live_line(line, sizeof(line), &last, &now);
        assert_int_equal(strlen(line), strlen(heading));
    }
}

static void rates_are_of_the_time_between(void **state)
{
    struct stats_snapshot last = {.time_ns = 4 * NS_PER_SEC}, now = {.time_ns = 6 * NS_PER_SEC};
    char line[160], insn[16], exits[16], io[16], time[16];

    last.value[STAT_instructions] = 1000;
    now.value[STAT_instructions] = 201000;
    now.value[STAT_exits] = 84;
    now.exits[EXIT_IO] = 10;
    stats_live_line(line, sizeof(line), &last, &now);
    assert_int_equal(sscanf(line, "%15s %15s %15s %15s", time, insn, exits, io), 4);
    assert_string_equal(time, "6.0");
    assert_string_equal(insn, "100k");
    assert_string_equal(exits, "42");
    assert_string_equal(io, "5");
}

/* A folder of its own for each test; what is in it goes with it. */
static int make_folder(void **state)
{
    char *folder = strdup("/tmp/umbra-stats-XXXXXX");

    *state = folder && mkdtemp(folder) ? folder : NULL;
    return *state ? 0 : -1;
}

static int remove_folder(void **state)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/file", (char *)*state);
    unlink(path);
    rmdir(*state);
    free(*state);
    return 0;
}

static void a_file_is_replaced_whole(void **state)
{
    char path[256], text[32] = "";
    struct stat st;
    mode_t mask = umask(022);
    FILE *file;

    snprintf(path, sizeof(path), "%s/file", (char *)*state);
    assert_int_equal(stats_file_check(path), 0);
    assert_int_equal(access(path, F_OK), -1); /* to look is not to write */
    assert_int_equal(stats_file_replace(path, "much longer", 11), 0);
    assert_int_equal(stats_file_replace(path, "short", 5), 0);
    umask(mask);
    file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(text, sizeof(text), file));
    fclose(file);
    assert_string_equal(text, "short");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0644);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(*state), 0); /* nothing else was left there */
    assert_int_equal(mkdir(*state, 0700), 0);
}

static void names_that_cannot_be_written_are_told(void **state)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/none/file", (char *)*state);
    assert_int_equal(stats_file_check(path), -ENOENT);
    assert_int_equal(stats_file_replace(path, "x", 1), -ENOENT);
    assert_int_equal(stats_file_check(*state), -EISDIR);
    assert_int_equal(stats_file_check(""), -ENOENT);
    assert_int_equal(stats_file_check("/dev/null"), 0);
    assert_int_equal(stats_file_replace("/dev/null", "x", 1), 0);
    assert_int_equal(stats_file_replace("/dev/full", "x", 1), -ENOSPC);
}

/* A counter's name is a key of the file: no two are the same. */
static void names_of_counters_are_different(void **state)
{
    for (unsigned i = 0; i < STATS; i++) {
        for (unsigned j = 0; j < i; j++)
            assert_string_not_equal(stats_table[i].name, stats_table[j].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_tick_is_kept_while_there_is_room),
        cmocka_unit_test(a_long_run_is_thinned_out_evenly),
        cmocka_unit_test(the_last_sample_always_fits),
        cmocka_unit_test(short_numbers_are_short),
        cmocka_unit_test(lines_are_as_wide_as_their_heading),
        cmocka_unit_test(rates_are_of_the_time_between),
        cmocka_unit_test_setup_teardown(a_file_is_replaced_whole, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(names_that_cannot_be_written_are_told, make_folder,
                                        remove_folder),
        cmocka_unit_test(names_of_counters_are_different),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
