/* A parser by hand: what it takes is one line, and each step consumes at least a byte of it. */
#include "vm/monitor_parse.h"

#include <stdio.h>
#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static int digit_of(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return 16;
}

const char *monitor_skip_blanks(const char *text)
{
    while (is_blank(*text))
        text++;
    return text;
}

static size_t name_length(const char *text)
{
    size_t len = 0;

    while (is_name(text[len]))
        len++;
    return len;
}

/* Returns the end of the number, or NULL. */
static const char *parse_number(const char *text, uint64_t *value, char *why)
{
    bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    unsigned base = hex ? 16 : 10;
    const char *at = text + (hex ? 2 : 0);
    const char *first = at;

    *value = 0;
    for (; (unsigned)digit_of(*at) < base; at++) {
        uint64_t digit = (uint64_t)digit_of(*at);

        if (*value > (UINT64_MAX - digit) / base) {
            snprintf(why, MONITOR_WHY_BYTES, "the number %.40s does not fit 64 bits", text);
            return NULL;
        }
        *value = *value * base + digit;
    }
    if (at == first || is_name(*at)) {
        snprintf(why, MONITOR_WHY_BYTES, "%.40s is no number; write 4096, 0x1000 or $rsp", text);
        return NULL;
    }
    return at;
}

/* Returns the end of the register's name, or NULL. */
static const char *parse_register(const char *text, monitor_register_fn look_up, void *opaque,
                                  uint64_t *value, char *why)
{
    size_t len = name_length(text);
    char name[MONITOR_NAME_MAX + 1] = {0};

    if (len > 0 && len <= MONITOR_NAME_MAX) {
        memcpy(name, text, len);
        if (look_up(opaque, name, value))
            return text + len;
    }
    snprintf(why, MONITOR_WHY_BYTES, "there is no register $%.*s; help registers lists them",
             (int)MIN(len, (size_t)40), text);
    return NULL;
}

bool monitor_parse_value(const char *text, monitor_register_fn look_up, void *opaque,
                         uint64_t *value, char why[MONITOR_WHY_BYTES])
{
    bool minus = false;

    *value = 0;
    for (;;) {
        uint64_t term;

        text = monitor_skip_blanks(text);
        if (*text == '\0') {
            snprintf(why, MONITOR_WHY_BYTES, "a number or a register is missing");
            return false;
        }
        text = *text == '$' ? parse_register(text + 1, look_up, opaque, &term, why)
                            : parse_number(text, &term, why);
        if (!text)
            return false;
        *value += minus ? -term : term;
        text = monitor_skip_blanks(text);
        if (*text == '\0')
            return true;
        if (*text != '+' && *text != '-') {
            snprintf(why, MONITOR_WHY_BYTES, "%.40s is too much; + or - may stand there", text);
            return false;
        }
        minus = *text++ == '-';
    }
}

static unsigned size_of_letter(char c)
{
    switch (c) {
    case 'b': return 1;
    case 'h': return 2;
    case 'w': return 4;
    case 'g': return 8;
    default: return 0;
    }
}

static bool parse_count(const char **text, unsigned *count, char *why)
{
    unsigned n = 0;

    for (; is_digit(**text); (*text)++) {
        n = n * 10 + (unsigned)(**text - '0');
        if (n > MONITOR_MAX_COUNT) {
            snprintf(why, MONITOR_WHY_BYTES, "at most %d can be shown at once", MONITOR_MAX_COUNT);
            return false;
        }
    }
    if (n == 0) {
        snprintf(why, MONITOR_WHY_BYTES, "a count of 0 shows nothing");
        return false;
    }
    *count = n;
    return true;
}

const char *monitor_parse_format(const char *text, struct monitor_format *format,
                                 char why[MONITOR_WHY_BYTES])
{
    *format = (struct monitor_format){.count = 1, .letter = 'x'};
    text = monitor_skip_blanks(text);
    if (*text != '/')
        return text;
    text++;
    if (is_digit(*text) && !parse_count(&text, &format->count, why))
        return NULL;
    for (; *text && !is_blank(*text); text++) {
        if (size_of_letter(*text)) {
            format->size = size_of_letter(*text);
        } else if (strchr("duotcasix", *text)) {
            format->letter = *text;
        } else {
            snprintf(why, MONITOR_WHY_BYTES,
                     "there is no format %.20s; write a count, a letter of xduotcasi and a size of "
                     "bhwg, as in /8xg",
                     text);
            return NULL;
        }
    }
    return monitor_skip_blanks(text);
}
