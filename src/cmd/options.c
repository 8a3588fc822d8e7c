/* The option parser; what the options are stands in the commands' tables. */
#include "cmd/options.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cmd/size.h"

#define HELP_COLUMN   24
#define MAX_NAME      32 /* longest name that a hint is looked for */
#define HINT_DISTANCE 3  /* more typing errors than this are no typing errors */

static int printf_like(2, 3) refuse(struct option_error *error, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(error->text, sizeof(error->text), fmt, args);
    va_end(args);
    return -EINVAL;
}

/* Levenshtein's distance between two short names; longer ones count as far apart. */
static unsigned name_distance(const char *a, const char *b)
{
    size_t la = strlen(a), lb = strlen(b);
    unsigned row[MAX_NAME + 1];

    if (la > MAX_NAME || lb > MAX_NAME)
        return UINT32_MAX;
    for (size_t j = 0; j <= lb; j++)
        row[j] = j;
    for (size_t i = 1; i <= la; i++) {
        unsigned diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            unsigned replaced = diagonal + (a[i - 1] != b[j - 1]);

            diagonal = row[j];
            row[j] = MIN(replaced, MIN(row[j], row[j - 1]) + 1);
        }
    }
    return row[lb];
}

static const struct option_row *find_row(const struct option_table *table, const char *name,
                                         size_t length)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct option_row *row = &table->rows[i];

        if (row->name && strlen(row->name) == length && memcmp(row->name, name, length) == 0)
            return row;
    }
    return NULL;
}

static const char *foreign_advice(const struct option_table *table, const char *name)
{
    for (size_t i = 0; i < table->foreign_count; i++) {
        if (strcmp(table->foreign[i].name, name) == 0)
            return table->foreign[i].advice;
    }
    return NULL;
}

/* The option whose name is nearest, if any is near. */
static const char *nearest_name(const struct option_table *table, const char *name)
{
    unsigned best = HINT_DISTANCE + 1;
    const char *hint = NULL;

    for (size_t i = 0; i < table->count; i++) {
        const char *other = table->rows[i].name;
        unsigned distance = other ? name_distance(name, other) : UINT32_MAX;

        if (distance < best) {
            best = distance;
            hint = other;
        }
    }
    return hint;
}

static int refuse_unknown(const struct option_table *table, const char *arg,
                          struct option_error *error)
{
    const char *bare, *advice, *hint;
    char name[MAX_NAME + 1];

    snprintf(name, sizeof(name), "%.*s", (int)strcspn(arg, "="), arg);
    bare = name + strspn(name, "-");
    advice = foreign_advice(table, bare);
    if (advice)
        return refuse(error, "unknown option %s: %s", name, advice);
    hint = nearest_name(table, bare);
    /* A short name is nearly any other one. */
    if (hint && (strlen(bare) > HINT_DISTANCE || strcmp(bare, hint) == 0))
        return refuse(error, "unknown option %s; did you mean --%s? (%s --help lists all)", name,
                      hint, table->command);
    return refuse(error, "unknown option %s; %s --help lists all", name, table->command);
}

static int set_number(const struct option_row *row, const char *value, uint64_t *field,
                      struct option_error *error)
{
    bool is_size = row->kind == OPTION_SIZE;
    int result = is_size ? size_parse(value, field) : number_parse(value, field);

    if (result == -ERANGE)
        return refuse(error, "--%s %s is too large", row->name, value);
    if (result)
        return refuse(error, "--%s %s is no %s; write for example %s", row->name, value,
                      is_size ? "size" : "whole number", is_size ? "512M or 4G" : "60");
    return 0;
}

static int set_choice(const struct option_row *row, const char *value, unsigned *field,
                      struct option_error *error)
{
    const char *choice = row->value;

    for (unsigned i = 0;; i++) {
        size_t length = strcspn(choice, "|");

        if (strlen(value) == length && memcmp(choice, value, length) == 0) {
            *field = i;
            return 0;
        }
        if (!choice[length])
            return refuse(error, "unknown --%s %s; choose from %s", row->name, value, row->value);
        choice += length + 1;
    }
}

static int set_value(const struct option_row *row, const char *value, void *target,
                     struct option_error *error)
{
    void *field = (char *)target + row->offset;
    struct option_list *list;

    switch (row->kind) {
    case OPTION_FLAG: *(bool *)field = true; return 0;
    case OPTION_STRING: *(const char **)field = value; return 0;
    case OPTION_SIZE:
    case OPTION_NUMBER: return set_number(row, value, field, error);
    case OPTION_CHOICE: return set_choice(row, value, field, error);
    case OPTION_OPTIONAL:
        *(struct option_optional *)field = (struct option_optional){true, value};
        return 0;
    case OPTION_LIST:
        list = field;
        if (list->count == OPTION_LIST_MAX)
            return refuse(error, "--%s can be given %d times, not more", row->name,
                          OPTION_LIST_MAX);
        list->values[list->count++] = value;
        return 0;
    case OPTION_HEADING: return 0;
    }
    return 0;
}

/* A walk over the arguments. */
struct walk {
    const struct option_table *table;
    int argc;
    char **argv;
    int index;
    uint64_t seen; /* a bit a row */
    void *target;
};

/* One option with its value, if it takes one; leaves the index on the last argument used. */
static int parse_option(struct walk *walk, struct option_error *error)
{
    const char *arg = walk->argv[walk->index], *value;
    size_t length = strcspn(arg, "=");
    const struct option_row *row = NULL;
    uint64_t bit;

    if (length > 2 && arg[1] == '-')
        row = find_row(walk->table, arg + 2, length - 2);
    if (!row)
        return refuse_unknown(walk->table, arg, error);
    bit = BIT(row - walk->table->rows);
    if ((walk->seen & bit) && row->kind != OPTION_LIST && row->kind != OPTION_FLAG)
        return refuse(error, "--%s is given twice; give it once", row->name);
    walk->seen |= bit;

    value = arg[length] == '=' ? arg + length + 1 : NULL;
    if (row->kind == OPTION_FLAG) {
        if (value)
            return refuse(error, "--%s takes no value; write just --%s", row->name, row->name);
    } else if (!value && row->kind != OPTION_OPTIONAL) {
        if (walk->index + 1 >= walk->argc)
            return refuse(error, "--%s needs a value: --%s %s", row->name, row->name, row->value);
        value = walk->argv[++walk->index];
    }
    return set_value(row, value, walk->target, error);
}

/* The option before this argument whose value it looks like: `--stats out.json`; or NULL. */
static const struct option_row *blank_before(const struct walk *walk)
{
    const char *arg = walk->argv[walk->index], *suffix, *before;
    const struct option_row *row;
    size_t length = strlen(arg);

    if (walk->index == 0)
        return NULL;
    before = walk->argv[walk->index - 1];
    if (strncmp(before, "--", 2) != 0)
        return NULL;
    row = find_row(walk->table, before + 2, strlen(before + 2));
    if (!row || row->kind != OPTION_OPTIONAL)
        return NULL;
    suffix = strrchr(row->value, '.');
    if (!suffix || length < strlen(suffix) || strcmp(arg + length - strlen(suffix), suffix) != 0)
        return NULL;
    return row;
}

static int take_file(struct walk *walk, struct option_error *error)
{
    const char **file = (const char **)((char *)walk->target + walk->table->file_offset);
    const char *arg = walk->argv[walk->index];
    const struct option_row *row = blank_before(walk);

    if (!*arg)
        return refuse(error, "the name of the file is empty");
    if (row)
        return refuse(error, "%s would be the guest; did you mean --%s=%s, without a blank?", arg,
                      row->name, arg);
    if (*file)
        return refuse(error, "one file can be started, not both %s and %s", *file, arg);
    *file = arg;
    return 0;
}

int options_parse(const struct option_table *table, int argc, char **argv, void *target, bool *help,
                  struct option_error *error)
{
    struct walk walk = {.table = table, .argc = argc, .argv = argv, .target = target};
    bool only_files = false;
    int result = 0;

    *help = false;
    for (; walk.index < argc && result == 0 && !*help; walk.index++) {
        const char *arg = argv[walk.index];

        if (only_files || arg[0] != '-' || !arg[1])
            result = take_file(&walk, error);
        else if (strcmp(arg, "--") == 0)
            only_files = true;
        else if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0)
            *help = true;
        else
            result = parse_option(&walk, error);
    }
    return result;
}

static void print_row(const struct option_row *row)
{
    char left[64];

    if (row->kind == OPTION_OPTIONAL)
        snprintf(left, sizeof(left), "--%s[=%s]", row->name, row->value);
    else
        snprintf(left, sizeof(left), "--%s%s%s", row->name, row->value ? " " : "",
                 row->value ? row->value : "");
    if (strlen(left) > HELP_COLUMN)
        printf("  %s\n  %*s %s\n", left, HELP_COLUMN, "", row->help);
    else
        printf("  %-*s %s\n", HELP_COLUMN, left, row->help);
}

void options_print_help(const struct option_table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        if (table->rows[i].kind == OPTION_HEADING)
            printf("\n%s:\n", table->rows[i].help);
        else
            print_row(&table->rows[i]);
    }
    printf("\n  %-*s %s\n", HELP_COLUMN, "--help", "this text");
}
