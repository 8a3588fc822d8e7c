/*
 * The monitor console's commands: one line in, text out. How lines come and go is the business of
 * monitor_console.h and of the gdb stub (`monitor COMMAND`), which both call monitor_execute.
 *
 * A command that looks into the VM pauses it for its moment, so that what it prints fits together,
 * and changes nothing: guest memory is read without setting accessed and dirty bits. What a command
 * may print is bounded.
 *
 * Locking: on the event loop's thread, without the machine lock.
 */
#ifndef UMBRA_VM_MONITOR_H
#define UMBRA_VM_MONITOR_H

#include <stdio.h>

#include "base/types.h"

#define MONITOR_LINE_MAX 1023 /* bytes of a line, without its end */

struct vm;
struct monitor;

/* NULL without memory. The VM outlives it. */
struct monitor *monitor_create(struct vm *vm);
void monitor_destroy(struct monitor *monitor);

/*
 * Carries a line out and prints the answer, lines that end in \n, into out; a line without a
 * command prints nothing. Bad input is answered with "error: " and a sentence.
 */
void monitor_execute(struct monitor *monitor, const char *line, FILE *out);

#define MONITOR_WORDS_MAX  64
#define MONITOR_WORD_BYTES 24 /* the longest name that is completed, and its end */

/* What can stand in a place of a line. */
struct monitor_words {
    char word[MONITOR_WORDS_MAX][MONITOR_WORD_BYTES];
    size_t count;
};

/*
 * Lists the words that can stand where the line's last one begins, at the offset `word`, and that
 * begin as it does: commands, subjects of info, what help knows, registers behind a $.
 */
void monitor_complete(const char *line, size_t word, struct monitor_words *words);

#endif
