/*
 * Log lines: sentences for a person, on standard error. The sink and the level are the process's
 * own, as standard error is; they are the one file-level state beside the trace mask.
 */
#ifndef UMBRA_BASE_LOG_H
#define UMBRA_BASE_LOG_H

#include "base/types.h"

/* Each prints "umbra: " and the sentence. A raw terminal gets "\r\n" (see log_set_raw). */
void log_error(const char *fmt, ...) printf_like(1, 2);
void log_warn(const char *fmt, ...) printf_like(1, 2);
void log_info(const char *fmt, ...) printf_like(1, 2);

/* Says whether standard error is a terminal in raw mode, which needs a carriage return a line. */
void log_set_raw(bool raw);

/* Prints text to standard error without a prefix; "\n" becomes "\r\n" on a raw terminal. */
void log_raw(const char *fmt, ...) printf_like(1, 2);

#endif
