/*
 * Keys to a line. Escape sequences: ECMA-48 and xterm, CSI A to D are the arrows, H and F Home and
 * End, a number and ~ the keys above them. What stands behind the cursor is written again after
 * each change, and the cursor goes back by backspaces: every terminal knows those.
 */
#include "vm/monitor_line.h"

#include <string.h>

#include "base/assert.h"

#define KEY_CTRL_B    0x02
#define KEY_CTRL_C    0x03
#define KEY_CTRL_E    0x05
#define KEY_CTRL_F    0x06
#define KEY_BACKSPACE 0x08
#define KEY_TAB       0x09
#define KEY_CTRL_K    0x0b
#define KEY_CTRL_U    0x15
#define KEY_CTRL_W    0x17
#define KEY_ESCAPE    0x1b
#define KEY_DELETE    0x7f /* what the backspace key sends nearly everywhere */

static void back(size_t columns, FILE *echo)
{
    while (columns-- > 0)
        fputc('\b', echo);
}

/* Moves the cursor within the line. */
static void move_to(struct monitor_line *line, size_t cursor, FILE *echo)
{
    if (cursor < line->cursor)
        back(line->cursor - cursor, echo);
    else
        fwrite(line->text + line->cursor, 1, cursor - line->cursor, echo);
    line->cursor = cursor;
}

/* Takes some characters before the cursor away. */
static void erase(struct monitor_line *line, size_t count, FILE *echo)
{
    size_t rest = line->len - line->cursor;
    char *at = line->text + line->cursor;

    ASSERT(count <= line->cursor, "only what stands before the cursor is erased");
    memmove(at - count, at, rest + 1);
    back(count, echo);
    fwrite(at - count, 1, rest, echo);
    fprintf(echo, "%*s", (int)count, "");
    back(rest + count, echo);
    line->cursor -= count;
    line->len -= count;
}

static void erase_rest(struct monitor_line *line, FILE *echo)
{
    size_t rest = line->len - line->cursor;

    move_to(line, line->len, echo);
    erase(line, rest, echo);
}

static void erase_all(struct monitor_line *line, FILE *echo)
{
    move_to(line, line->len, echo);
    erase(line, line->len, echo);
}

static void erase_word(struct monitor_line *line, FILE *echo)
{
    size_t from = line->cursor;

    while (from > 0 && line->text[from - 1] == ' ')
        from--;
    while (from > 0 && line->text[from - 1] != ' ')
        from--;
    erase(line, line->cursor - from, echo);
}

static void add(struct monitor_line *line, char c, FILE *echo)
{
    char *at = line->text + line->cursor;
    size_t rest = line->len - line->cursor;

    if (line->len == MONITOR_LINE_MAX) {
        fputc('\a', echo);
        return;
    }
    memmove(at + 1, at, rest + 1);
    *at = c;
    line->len++;
    line->cursor++;
    fwrite(at, 1, rest + 1, echo);
    back(rest, echo);
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

/* --- completion --- */

/* How many first characters all words share. */
static size_t common_length(const struct monitor_words *words)
{
    size_t length = strlen(words->word[0]);

    for (size_t i = 1; i < words->count; i++) {
        size_t same = 0;

        while (same < length && words->word[i][same] == words->word[0][same])
            same++;
        length = same;
    }
    return length;
}

/* The words in columns below the line, and the line once more. */
static void list_words(const struct monitor_line *line, const struct monitor_words *words,
                       FILE *echo)
{
    enum { COLUMN = 20, COLUMNS = 4 };

    for (size_t i = 0; i < words->count; i++)
        fprintf(echo, "%s%-*s", i % COLUMNS == 0 ? "\n" : "",
                i % COLUMNS == COLUMNS - 1 || i + 1 == words->count ? 0 : COLUMN, words->word[i]);
    fprintf(echo, "\n%s%s", line->prompt ? line->prompt : "", line->text);
    back(line->len - line->cursor, echo);
}

/* As far as the word before the cursor has one continuation it is written; else all are listed. */
static void complete(struct monitor_line *line, FILE *echo)
{
    struct monitor_words words = {.count = 0};
    char before[MONITOR_LINE_MAX + 1];
    size_t word = line->cursor, typed, length;

    if (!line->complete)
        return;
    while (word > 0 && line->text[word - 1] != ' ')
        word--;
    typed = line->cursor - word;
    memcpy(before, line->text, line->cursor);
    before[line->cursor] = '\0';
    line->complete(before, word, &words);
    length = words.count ? common_length(&words) : 0;
    if (words.count == 0) {
        fputc('\a', echo);
        return;
    }
    for (size_t i = typed; i < length; i++)
        add(line, words.word[0][i], echo);
    if (words.count == 1)
        add(line, ' ', echo);
    else if (length == typed)
        list_words(line, &words, echo);
}

/* --- keys --- */

/* The keys that have a number: 1 and 7 Home, 3 Delete, 4 and 8 End. */
static void numbered_key(struct monitor_line *line, uint8_t digit, FILE *echo)
{
    if (digit == '1' || digit == '7') {
        move_to(line, 0, echo);
    } else if (digit == '4' || digit == '8') {
        move_to(line, line->len, echo);
    } else if (digit == '3' && line->cursor < line->len) {
        move_to(line, line->cursor + 1, echo);
        erase(line, 1, echo);
    }
}

static void move_left(struct monitor_line *line, FILE *echo)
{
    if (line->cursor > 0)
        move_to(line, line->cursor - 1, echo);
}

static void move_right(struct monitor_line *line, FILE *echo)
{
    if (line->cursor < line->len)
        move_to(line, line->cursor + 1, echo);
}

/* The last byte of an escape sequence. */
static void escape_key(struct monitor_line *line, uint8_t key, FILE *echo)
{
    switch (key) {
    case 'A':
        if (line->history_at < line->history_count)
            recall(line, line->history_at + 1, echo);
        break;
    case 'B':
        if (line->history_at > 0)
            recall(line, line->history_at - 1, echo);
        break;
    case 'C': move_right(line, echo); break;
    case 'D': move_left(line, echo); break;
    case 'H': move_to(line, 0, echo); break;
    case 'F': move_to(line, line->len, echo); break;
    case '~': numbered_key(line, line->escape_digit, echo); break;
    default: break;
    }
}

/* Follows an escape sequence; true while the key belongs to one. */
static bool in_escape(struct monitor_line *line, uint8_t key, FILE *echo)
{
    switch (line->escape) {
    case 0:
        line->escape = key == KEY_ESCAPE ? 1 : 0;
        line->escape_digit = 0;
        return key == KEY_ESCAPE;
    case 1: line->escape = key == '[' || key == 'O' ? 2 : 0; return true;
    default:
        if (key >= '0' && key <= '?') { /* parameters; Delete with Shift is 3;2~ */
            if (!line->escape_digit)
                line->escape_digit = key;
            return true;
        }
        line->escape = 0;
        escape_key(line, key, echo);
        return true;
    }
}

/* The keys that edit. */
static void edit(struct monitor_line *line, uint8_t key, FILE *echo)
{
    switch (key) {
    case KEY_CTRL_U: erase_all(line, echo); break;
    case KEY_CTRL_K: erase_rest(line, echo); break;
    case KEY_CTRL_W: erase_word(line, echo); break;
    case KEY_CTRL_B: move_left(line, echo); break;
    case KEY_CTRL_F: move_right(line, echo); break;
    case KEY_CTRL_E: move_to(line, line->len, echo); break;
    case KEY_TAB: complete(line, echo); break;
    case KEY_BACKSPACE:
    case KEY_DELETE:
        if (line->cursor > 0)
            erase(line, 1, echo);
        break;
    default:
        if (key >= ' ' && key <= '~')
            add(line, (char)key, echo);
        break;
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
        line->text[line->len = line->cursor = 0] = '\0';
        return true;
    default: edit(line, key, echo); return false;
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
    line->len = line->cursor = 0;
    line->text[0] = '\0';
    line->history_at = 0;
}
