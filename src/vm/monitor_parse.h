/*
 * The words of a monitor command: numbers, registers, sums of them, and the /FMT of `x`. It knows
 * no VM; a function looks registers up.
 *
 *   value   = term { ("+" | "-") term }       modulo 2^64, blanks allowed between
 *   term    = "0x" hex digits | decimal digits | "$" register
 *   format  = "/" [count] { letter }          d u o t c a s i x, and the size b h w g
 */
#ifndef UMBRA_VM_MONITOR_PARSE_H
#define UMBRA_VM_MONITOR_PARSE_H

#include "base/types.h"

#define MONITOR_WHY_BYTES 128 /* for the words of an error, cut where they would be longer */
#define MONITOR_MAX_COUNT 4096
#define MONITOR_NAME_MAX  15 /* of a register */

/* Finds the value of a register by its name without the dollar sign; false: there is none. */
typedef bool (*monitor_register_fn)(void *opaque, const char *name, uint64_t *value);

/* How `x` shows memory. */
struct monitor_format {
    unsigned count; /* 1 to MONITOR_MAX_COUNT */
    char letter;    /* one of d u o t c a s i x */
    unsigned size;  /* of a unit in bytes: 1, 2, 4 or 8; 0: as the letter has it */
};

/* The end of a run of blanks and tabs. */
const char *monitor_skip_blanks(const char *text);

/* Parses the whole text as a value; false with words in why. */
bool monitor_parse_value(const char *text, monitor_register_fn look_up, void *opaque,
                         uint64_t *value, char why[MONITOR_WHY_BYTES]);

/*
 * Parses a format at the start of the text, if one is there, else gives the usual one (1, x, 0).
 * Returns what follows it, blanks skipped, or NULL with words in why.
 */
const char *monitor_parse_format(const char *text, struct monitor_format *format,
                                 char why[MONITOR_WHY_BYTES]);

#endif
