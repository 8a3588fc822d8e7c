/* The option parser and the sizes: what people type, right and wrong. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/options.h"
#include "cmd/size.h"

struct target {
    bool flag;
    const char *text;
    uint64_t size;
    uint64_t number;
    struct option_list list;
    struct option_optional optional;
    const char *file;
};

static const struct option_row rows[] = {
    {NULL, NULL, "A heading", OPTION_HEADING, 0},
    {"flag", NULL, "a flag", OPTION_FLAG, offsetof(struct target, flag)},
    {"text", "TEXT", "a text", OPTION_STRING, offsetof(struct target, text)},
    {"memory", "SIZE", "a size", OPTION_SIZE, offsetof(struct target, size)},
    {"number", "N", "a number", OPTION_NUMBER, offsetof(struct target, number)},
    {"list", "GLOB", "a list", OPTION_LIST, offsetof(struct target, list)},
    {"optional", "FILE.json", "a file or none", OPTION_OPTIONAL, offsetof(struct target, optional)},
};
static const struct option_foreign foreign[] = {{"mem", "it is called --memory here"},
                                                {"f", "it is called --flag here"}};
static const struct option_table table = {"umbra test",     rows,
                                          ARRAY_SIZE(rows), offsetof(struct target, file),
                                          foreign,          ARRAY_SIZE(foreign)};

static int parse(struct target *target, struct option_error *error, bool *help, char **argv)
{
    int argc = 0;

    while (argv[argc])
        argc++;
    memset(target, 0, sizeof(*target));
    memset(error, 0, sizeof(*error));
    return options_parse(&table, argc, argv, target, help, error);
}

#define ARGV(...) ((char **)(const char *[]){__VA_ARGS__, NULL})

static void test_sizes(void **state)
{
    static const struct {
        const char *text;
        int result;
        uint64_t bytes;
    } cases[] = {
        {"0", 0, 0},
        {"4096", 0, 4 * GIB},
        {"64k", 0, 64 * KIB},
        {"512M", 0, 512 * MIB},
        {"8G", 0, 8 * GIB},
        {"1t", 0, 1024 * GIB},
        {"16777215T", 0, 16777215 * (1024 * GIB)},
        {"16777216T", -ERANGE, 0},
        {"17592186044415", 0, 17592186044415 * MIB},
        {"17592186044416", -ERANGE, 0},
        {"18446744073709551616", -ERANGE, 0},
        {"99999999999999999999999", -ERANGE, 0},
        {"", -EINVAL, 0},
        {"M", -EINVAL, 0},
        {"-1", -EINVAL, 0},
        {"+1", -EINVAL, 0},
        {" 1", -EINVAL, 0},
        {"1 M", -EINVAL, 0},
        {"1MB", -EINVAL, 0},
        {"1.5G", -EINVAL, 0},
        {"0x10", -EINVAL, 0},
        {"1Q", -EINVAL, 0},
        {"1 ", -EINVAL, 0},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint64_t bytes = 0;

        assert_int_equal(size_parse(cases[i].text, &bytes), cases[i].result);
        assert_int_equal(bytes, cases[i].bytes);
    }
}

static void test_numbers(void **state)
{
    uint64_t value = 0;

    assert_int_equal(number_parse("60", &value), 0);
    assert_int_equal(value, 60);
    assert_int_equal(number_parse("60s", &value), -EINVAL);
    assert_int_equal(number_parse("18446744073709551616", &value), -ERANGE);
}

static void test_good(void **state)
{
    struct option_error error;
    struct target target;
    bool help;

    assert_int_equal(parse(&target, &error, &help,
                           ARGV("--memory", "64M", "image", "--flag", "--flag", "--text=a=b",
                                "--number=7", "--list", "x*", "--list=y")),
                     0);
    assert_false(help);
    assert_true(target.flag);
    assert_int_equal(target.size, 64 * MIB);
    assert_int_equal(target.number, 7);
    assert_string_equal(target.text, "a=b");
    assert_string_equal(target.file, "image");
    assert_int_equal(target.list.count, 2);
    assert_string_equal(target.list.values[1], "y");

    /* A value may look like an option, a file too behind "--". */
    assert_int_equal(parse(&target, &error, &help, ARGV("--text", "--flag", "--", "--text")), 0);
    assert_false(target.flag);
    assert_string_equal(target.text, "--flag");
    assert_string_equal(target.file, "--text");

    /* A file stands behind an option whose value may be left out, if it can't be that value. */
    assert_int_equal(parse(&target, &error, &help, ARGV("--optional", "disk.img")), 0);
    assert_true(target.optional.given);
    assert_string_equal(target.file, "disk.img");
    assert_int_equal(parse(&target, &error, &help, ARGV("--optional=a.json", "b.json")), 0);
    assert_string_equal(target.optional.value, "a.json");
    assert_string_equal(target.file, "b.json");

    assert_int_equal(parse(&target, &error, &help, ARGV("--flag", "--help", "--wrong")), 0);
    assert_true(help);
}

static void test_bad(void **state)
{
    struct {
        char **argv;
        const char *words;
    } cases[] = {
        {ARGV("--memroy", "64M"), "unknown option --memroy; did you mean --memory?"},
        {ARGV("--memroy=64M"), "unknown option --memroy; did you mean --memory?"},
        {ARGV("-memory", "64M"), "did you mean --memory?"},
        {ARGV("--xyzzy"), "unknown option --xyzzy; umbra test --help lists all"},
        {ARGV("-x"), "unknown option -x"},
        {ARGV("--mem", "1"), "unknown option --mem: it is called --memory here"},
        {ARGV("-mem=1"), "unknown option -mem: it is called --memory here"},
        {ARGV("-f"), "unknown option -f: it is called --flag here"},
        {ARGV("-text", "x"), "did you mean --text?"},
        {ARGV("-g"), "unknown option -g; umbra test --help lists all"},
        {ARGV("--optional", "out.json"), "did you mean --optional=out.json"},
        {ARGV("--memory"), "--memory needs a value: --memory SIZE"},
        {ARGV("--memory", "lots"), "--memory lots is no size"},
        {ARGV("--memory="), "is no size"},
        {ARGV("--memory", "99999999T"), "too large"},
        {ARGV("--number", "1.5"), "no whole number"},
        {ARGV("--flag=yes"), "--flag takes no value"},
        {ARGV("--text", "a", "--text", "b"), "--text is given twice"},
        {ARGV("a", "b"), "not both a and b"},
        {ARGV(""), "empty"},
        {ARGV("--="), "unknown option"},
    };
    struct option_error error;
    struct target target;
    bool help;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(parse(&target, &error, &help, cases[i].argv), -EINVAL);
        if (!strstr(error.text, cases[i].words))
            fail_msg("the text is \"%s\", it should say \"%s\"", error.text, cases[i].words);
        assert_null(strchr(error.text, '\n'));
    }
}

static void test_list_overflow(void **state)
{
    char *argv[2 * OPTION_LIST_MAX + 3] = {0};
    struct option_error error;
    struct target target;
    bool help;

    for (unsigned i = 0; i < OPTION_LIST_MAX + 1; i++) {
        argv[2 * i] = (char *)"--list";
        argv[2 * i + 1] = (char *)"x";
    }
    assert_int_equal(parse(&target, &error, &help, argv), -EINVAL);
    assert_non_null(strstr(error.text, "16 times"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),         cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_good),          cmocka_unit_test(test_bad),
        cmocka_unit_test(test_list_overflow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
