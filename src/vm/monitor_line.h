/*
 * Line editing on a raw terminal, as far as a console needs it: printable ASCII at a cursor, which
 * left and right, Home and End (also ^B, ^F and ^E; ^A is the terminal's escape key) move;
 * backspace and Delete; ^U (empties the line), ^K (its rest), ^W (takes a word away), ^C (gives the
 * line up); arrows up and down through the last lines; tab, which completes the word before the
 * cursor. All other keys do nothing. It refuses to know how wide the terminal is: a line that is
 * longer than the screen is right, and may look wrong.
 */
#ifndef UMBRA_VM_MONITOR_LINE_H
#define UMBRA_VM_MONITOR_LINE_H

#include <stdio.h>

#include "vm/monitor.h"

#define MONITOR_HISTORY 16

/* Lists what can stand in the place of a word; monitor_complete with a fixed signature. */
typedef void monitor_line_complete(const char *line, size_t word, struct monitor_words *words);

struct monitor_line {
    /* Its owner's: what stands before the line, printed anew behind a list; NULL: nothing. */
    const char *prompt;
    monitor_line_complete *complete; /* NULL: tab does nothing */

    char text[MONITOR_LINE_MAX + 1];
    size_t len, cursor;   /* cursor: at most len */
    bool after_return;    /* a line feed now belongs to the return before it */
    unsigned escape;      /* how much of ESC [ has come */
    uint8_t escape_digit; /* the last digit behind it, or 0 */
    char history[MONITOR_HISTORY][MONITOR_LINE_MAX + 1]; /* newest first */
    unsigned history_count, history_at; /* history_at: 0 is the line being written */
};

/*
 * Takes a key and writes what the terminal shows for it into echo. True: the line is complete, in
 * line->text; monitor_line_next starts the next one. A line that was given up is an empty one.
 */
bool monitor_line_key(struct monitor_line *line, uint8_t key, FILE *echo);

/* Remembers the line, unless it is empty or the same as the one before, and starts a new one. */
void monitor_line_next(struct monitor_line *line);

#endif
