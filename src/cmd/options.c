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

        if (strlen(row->name) == length && memcmp(row->name, name, length) == 0)
            return row;
    }
    return NULL;
}

static int refuse_unknown(const struct option_table *table, const char *arg,
                          struct option_error *error)
{
    unsigned best = HINT_DISTANCE + 1;
    const char *hint = NULL;
    char name[MAX_NAME + 1];

    snprintf(name, sizeof(name), "%.*s", (int)strcspn(arg, "="), arg);
    for (size_t i = 0; i < table->count; i++) {
        unsigned distance = name_distance(name + strspn(name, "-"), table->rows[i].name);

        if (distance < best) {
            best = distance;
            hint = table->rows[i].name;
        }
    }
    if (hint)
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

static int take_file(const struct option_table *table, const char *arg, void *target,
                     struct option_error *error)
{
    const char **file = (const char **)((char *)target + table->file_offset);

    if (!*arg)
        return refuse(error, "the name of the file is empty");
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
            result = take_file(table, arg, target, error);
        else if (strcmp(arg, "--") == 0)
            only_files = true;
        else if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0)
            *help = true;
        else
            result = parse_option(&walk, error);
    }
    return result;
}

void options_print_help(const struct option_table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct option_row *row = &table->rows[i];
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
    printf("  %-*s %s\n", HELP_COLUMN, "--help", "this text");
}
