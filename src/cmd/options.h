/*
 * Long options from a table: `--name value`, `--name=value`, `--flag`. The table also makes the
 * help text. It refuses abbreviations, unknown names, an option given twice, values that do not
 * parse, and a file that was meant as the value before it; each refusal is one line that says what
 * to do.
 */
#ifndef UMBRA_CMD_OPTIONS_H
#define UMBRA_CMD_OPTIONS_H

#include "base/types.h"

enum option_kind {
    OPTION_FLAG,   /* bool */
    OPTION_STRING, /* const char *: points into argv */
    OPTION_SIZE,   /* uint64_t bytes */
    OPTION_NUMBER, /* uint64_t */
    OPTION_CHOICE, /* unsigned: the place of the value among those that the row's value names, a|b|c
                    */
    OPTION_OPTIONAL, /* struct option_optional: --name or --name=value */
    OPTION_LIST,     /* struct option_list: may be given more than once */
    OPTION_HEADING,  /* no option: a line of the help text over those that follow; no name */
};

struct option_row {
    const char *name;  /* without the dashes */
    const char *value; /* the value's name in the help text; NULL for a flag */
    const char *help;
    enum option_kind kind;
    size_t offset; /* of the field in the target */
};

struct option_optional {
    bool given;
    const char *value; /* or NULL */
};

/* A name that people know from elsewhere, without its dashes, and what to do about it. */
struct option_foreign {
    const char *name;
    const char *advice; /* follows "unknown option NAME: " */
};

#define OPTION_LIST_MAX 16

struct option_list {
    const char *values[OPTION_LIST_MAX];
    size_t count;
};

struct option_table {
    const char *command; /* "umbra run", for messages */
    const struct option_row *rows;
    size_t count;
    size_t file_offset; /* of the const char * that takes the one argument without dashes */
    const struct option_foreign *foreign;
    size_t foreign_count;
};

/* The text of a refusal. */
struct option_error {
    char text[256];
};

/*
 * Parses argv[0 .. argc) into target, which holds the defaults before. 0, or -EINVAL with a text.
 * *help is set when --help comes first of these; then the rest is not looked at.
 * A table has at most 64 rows.
 */
int options_parse(const struct option_table *table, int argc, char **argv, void *target, bool *help,
                  struct option_error *error);

/* Prints the rows to standard output, two columns below each heading. */
void options_print_help(const struct option_table *table);

#endif
