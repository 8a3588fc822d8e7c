/* How much of an answer a screen shows. A pure function; the console asks for the next page. */
#ifndef UMBRA_VM_MONITOR_PAGER_H
#define UMBRA_VM_MONITOR_PAGER_H

#include "base/types.h"

/*
 * How many bytes of a text may be written so that a terminal's cursor goes down by at most `rows`
 * rows, lines that are longer than `columns` wrapping; up to the end of a line, but at least one
 * line. All of it when rows or columns is 0: then the terminal has no size.
 */
size_t monitor_page(const char *text, size_t bytes, unsigned rows, unsigned columns);

#endif
