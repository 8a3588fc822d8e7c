/* Counts rows; see monitor_pager.h. */
#include "vm/monitor_pager.h"

#include <string.h>

/* The rows that a line takes: an empty one has one too, a full one does not wrap yet. */
static size_t line_rows(const char *line, size_t bytes, unsigned columns)
{
    size_t shown = bytes;

    for (const char *cr = memchr(line, '\r', bytes); cr;
         cr = memchr(cr + 1, '\r', (size_t)(line + bytes - cr - 1)))
        shown--;
    return MAX((shown + columns - 1) / columns, (size_t)1);
}

size_t monitor_page(const char *text, size_t bytes, unsigned rows, unsigned columns)
{
    size_t end = 0, used = 0;

    if (rows == 0 || columns == 0)
        return bytes;
    while (end < bytes) {
        const char *line = text + end, *newline = memchr(line, '\n', bytes - end);
        size_t len = newline ? (size_t)(newline - line) : bytes - end;
        /* The last line, the prompt, does not go down behind itself. */
        size_t down = line_rows(line, len, columns) - (newline ? 0 : 1);

        if (end > 0 && used + down > rows)
            break;
        used += down;
        end += len + (newline ? 1 : 0);
    }
    return end;
}
