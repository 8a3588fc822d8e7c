/* Keys to a line. Escape sequences: ECMA-48, CSI A and CSI B are the arrows up and down. */
#include "vm/monitor_line.h"

#include <string.h>

#define KEY_CTRL_C    0x03
#define KEY_BACKSPACE 0x08
#define KEY_CTRL_U    0x15
#define KEY_CTRL_W    0x17
#define KEY_ESCAPE    0x1b
#define KEY_DELETE    0x7f /* what the backspace key sends nearly everywhere */

static void erase(struct monitor_line *line, FILE *echo)
{
    line->text[--line->len] = '\0';
    fputs("\b \b", echo);
}

static void erase_all(struct monitor_line *line, FILE *echo)
{
    while (line->len > 0)
        erase(line, echo);
}

static void erase_word(struct monitor_line *line, FILE *echo)
{
    while (line->len > 0 && line->text[line->len - 1] == ' ')
        erase(line, echo);
    while (line->len > 0 && line->text[line->len - 1] != ' ')
        erase(line, echo);
}

static void add(struct monitor_line *line, char c, FILE *echo)
{
    if (line->len == MONITOR_LINE_MAX) {
        fputc('\a', echo);
        return;
    }
    line->text[line->len++] = c;
    line->text[line->len] = '\0';
    fputc(c, echo);
}

/* Puts an earlier line in the place of this one; 0 is an empty line. */
static void recall(struct monitor_line *line, unsigned at, FILE *echo)
{
    const char *text = at > 0 ? line->history[at - 1] : "";

    erase_all(line, echo);
    line->history_at = at;
    while (*text)
        add(line, *text++, echo);
}

static void arrow(struct monitor_line *line, uint8_t key, FILE *echo)
{
    if (key == 'A' && line->history_at < line->history_count)
        recall(line, line->history_at + 1, echo);
    else if (key == 'B' && line->history_at > 0)
        recall(line, line->history_at - 1, echo);
}

/* Follows an escape sequence; true while the key belongs to one. */
static bool in_escape(struct monitor_line *line, uint8_t key, FILE *echo)
{
    switch (line->escape) {
    case 0: line->escape = key == KEY_ESCAPE ? 1 : 0; return key == KEY_ESCAPE;
    case 1: line->escape = key == '[' || key == 'O' ? 2 : 0; return true;
    default:
        if (key >= '0' && key <= '?')
            return true; /* parameters */
        line->escape = 0;
        arrow(line, key, echo);
        return true;
    }
}

bool monitor_line_key(struct monitor_line *line, uint8_t key, FILE *echo)
{
    bool after_return = line->after_return;

    line->after_return = key == '\r';
    if (in_escape(line, key, echo))
        return false;
    switch (key) {
    case '\n':
        if (after_return)
            return false;
        fputc('\n', echo);
        return true;
    case '\r': fputc('\n', echo); return true;
    case KEY_CTRL_C:
        fputs("^C\n", echo);
        line->text[line->len = 0] = '\0';
        return true;
    case KEY_CTRL_U: erase_all(line, echo); return false;
    case KEY_CTRL_W: erase_word(line, echo); return false;
    case KEY_BACKSPACE:
    case KEY_DELETE:
        if (line->len > 0)
            erase(line, echo);
        return false;
    default:
        if (key >= ' ' && key <= '~')
            add(line, (char)key, echo);
        return false;
    }
}

void monitor_line_next(struct monitor_line *line)
{
    if (line->len > 0 && (line->history_count == 0 || strcmp(line->history[0], line->text) != 0)) {
        memmove(line->history[1], line->history[0],
                sizeof(line->history[0]) * (MONITOR_HISTORY - 1));
        memcpy(line->history[0], line->text, line->len + 1);
        line->history_count = MIN(line->history_count + 1, (unsigned)MONITOR_HISTORY);
    }
    line->len = 0;
    line->text[0] = '\0';
    line->history_at = 0;
}
