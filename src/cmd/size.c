/* Parses sizes; refuses signs, spaces, fractions and overflow, which strtoull would take. */
#include "cmd/size.h"

#include <errno.h>
#include <string.h>

/* Reads decimal digits; at least one. Moves text behind them. */
static int parse_digits(const char **text, uint64_t *value)
{
    const char *p = *text;
    uint64_t v = 0;

    if (*p < '0' || *p > '9')
        return -EINVAL;
    for (; *p >= '0' && *p <= '9'; p++) {
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *p - '0', &v))
            return -ERANGE;
    }
    *text = p;
    *value = v;
    return 0;
}

int size_parse(const char *text, uint64_t *bytes)
{
    static const char suffixes[] = "KMGT";
    const char *suffix;
    uint64_t value;
    unsigned shift = 20;
    int result = parse_digits(&text, &value);

    if (result)
        return result;
    if (*text) {
        suffix = strchr(suffixes, *text & ~0x20);
        if (!suffix || !*suffix || text[1])
            return -EINVAL;
        shift = 10 * (unsigned)(suffix - suffixes + 1);
    }
    if (value > UINT64_MAX >> shift)
        return -ERANGE;
    *bytes = value << shift;
    return 0;
}

int number_parse(const char *text, uint64_t *value)
{
    int result = parse_digits(&text, value);

    if (result == 0 && *text)
        return -EINVAL;
    return result;
}
