/*
 * The one line of text that a loader leaves when it refuses a file: what was tried, on what, why it
 * failed, what to do. The caller prints it once.
 */
#ifndef UMBRA_FW_FW_ERROR_H
#define UMBRA_FW_FW_ERROR_H

#include "base/types.h"

struct fw_error {
    char text[512]; /* no newline; empty when all went well */
};

/* Writes the text (cut to fit) and returns result, a negative errno: `return fw_error_set(...)`. */
int fw_error_set(struct fw_error *error, int result, const char *fmt, ...) printf_like(3, 4);

#endif
