/*
 * Line editing on a raw terminal, as far as a console needs it: printable ASCII at the end of the
 * line, backspace, ^U (empties it), ^W (takes a word away), ^C (gives it up), arrows up and down
 * through the last lines. All other keys do nothing.
 */
#ifndef UMBRA_VM_MONITOR_LINE_H
#define UMBRA_VM_MONITOR_LINE_H

#include <stdio.h>

#include "vm/monitor.h"

#define MONITOR_HISTORY 16

struct monitor_line {
    char text[MONITOR_LINE_MAX + 1];
    size_t len;
    bool after_return; /* a line feed now belongs to the return before it */
    unsigned escape;   /* how much of ESC [ has come */
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
