/* The two ways to the monitor console: the terminal's keys, and the socket's lines. */
#include "vm/monitor_console.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/assert.h"
#include "vm/listener.h"
#include "vm/monitor.h"
#include "vm/monitor_line.h"
#include "vm/monitor_pager.h"
#include "vm/vm_internal.h"

#define PROMPT      "(umbra) "
#define GREETING    "Umbra's monitor; help lists the commands"
#define KEY_BYTES   4096
#define WRITE_BYTES 1024 /* to the terminal at once: far less than its queue's other half */

#define MORE       "-- more (space: a screen, return: a line, q: no more) --"
#define ERASE_MORE "\r\033[K" /* ECMA-48, EL: to the end of the line */
#define KEY_CTRL_C 0x03

/* Text that waits for the terminal's reader. */
struct answer {
    char *text;
    size_t first, bytes;
    size_t page; /* so far it is written before a key is waited for; at most bytes */
    bool more;   /* MORE is on the screen: the next key turns the page */
};

struct monitor_console {
    struct vm *vm;
    int wake_fd; /* an eventfd: keys have come, or the console was opened or closed */

    /* With the machine lock. */
    bool open;
    uint8_t keys[KEY_BYTES];
    size_t key_count;

    /* The event loop's. */
    bool shown; /* as open, as far as the screen tells */
    struct monitor_line line;
    struct answer answer;

    struct listener *listener; /* NULL: no socket */
    char
        socket_line[MONITOR_LINE_MAX + 2]; /* one byte more than fits, to see that it is too long */
    size_t socket_len;
};

/* --- the terminal --- */

static void wake(struct monitor_console *console)
{
    eventfd_write(console->wake_fd, 1);
}

void monitor_console_open(struct monitor_console *console, bool open)
{
    console->open = open;
    console->key_count = 0;
    wake(console);
}

void monitor_console_key(struct monitor_console *console, uint8_t key)
{
    if (console->key_count < KEY_BYTES)
        console->keys[console->key_count++] = key;
    wake(console);
}

/* Text to be shown, made anew: a raw terminal wants a carriage return before each line feed. */
static void set_answer(struct monitor_console *console, const char *text, size_t len)
{
    char *raw = malloc(2 * len + 1);
    size_t bytes = 0;

    ASSERT(raw, "the host has memory for a console's answer");
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\n')
            raw[bytes++] = '\r';
        raw[bytes++] = text[i];
    }
    free(console->answer.text);
    console->answer = (struct answer){.text = raw, .bytes = bytes, .page = bytes};
}

/* Lets the next page of the answer be written; one of so many rows, or of 0 for a screen. */
static void turn_page(struct monitor_console *console, unsigned rows)
{
    struct answer *answer = &console->answer;
    unsigned screen_rows, columns;

    terminal_size(console->vm->terminal, &screen_rows, &columns);
    if (rows == 0 && screen_rows > 1)
        rows = screen_rows - 1; /* MORE has the last one */
    answer->page = answer->first + monitor_page(answer->text + answer->first,
                                                answer->bytes - answer->first, rows, columns);
    answer->more = false;
}

/* Writes what the terminal takes; true when nothing is left, or a key has to turn the page. */
static bool write_answer(struct monitor_console *console)
{
    struct answer *answer = &console->answer;
    struct vm *vm = console->vm;

    lock_acquire(&vm->lock);
    while (answer->first < answer->page && !terminal_congested(vm->terminal)) {
        size_t n = MIN(answer->page - answer->first, (size_t)WRITE_BYTES);

        terminal_write(vm->terminal, answer->text + answer->first, n);
        answer->first += n;
    }
    if (answer->first == answer->page && answer->page < answer->bytes && !answer->more) {
        terminal_write(vm->terminal, MORE, strlen(MORE));
        answer->more = true;
    }
    lock_release(&vm->lock);
    return answer->first == answer->page;
}

/* The next key, or -1; tells whether the console is open, which is to be shown before any key. */
static int next_key(struct monitor_console *console, bool *open)
{
    int key = -1;

    lock_acquire(&console->vm->lock);
    *open = console->open;
    if (console->open && console->shown && console->key_count > 0) {
        key = console->keys[0];
        memmove(console->keys, console->keys + 1, --console->key_count);
    }
    lock_release(&console->vm->lock);
    return key;
}

static FILE *open_text(char **text, size_t *bytes)
{
    FILE *out = open_memstream(text, bytes);

    ASSERT(out, "the host has memory for a console's answer");
    return out;
}

/* The key behind MORE. */
static void serve_page_key(struct monitor_console *console, uint8_t key)
{
    struct vm *vm = console->vm;

    lock_acquire(&vm->lock);
    terminal_write(vm->terminal, ERASE_MORE, strlen(ERASE_MORE));
    lock_release(&vm->lock);
    if (key == 'q' || key == 'Q' || key == KEY_CTRL_C)
        set_answer(console, PROMPT, strlen(PROMPT));
    else
        turn_page(console, key == '\r' || key == '\n' ? 1 : 0);
}

/* Carries a key out: what it shows becomes the answer. */
static void serve_key(struct monitor_console *console, uint8_t key)
{
    char *text;
    size_t bytes;
    FILE *out = open_text(&text, &bytes);
    bool ended = monitor_line_key(&console->line, key, out);

    if (ended) {
        monitor_execute(console->vm->monitor, console->line.text, out);
        monitor_line_next(&console->line);
        fputs(PROMPT, out);
    }
    fclose(out);
    set_answer(console, text, bytes);
    if (ended)
        turn_page(console, 0);
    free(text);
}

/* The console came or went: the screen says so. */
static void show(struct monitor_console *console, bool open)
{
    static const char opened[] = "\n" GREETING ", Ctrl-a c goes back to the guest\n" PROMPT;
    static const char closed[] = "\n";

    console->shown = open;
    console->line.len = 0;
    monitor_line_next(&console->line);
    if (open)
        set_answer(console, opened, sizeof(opened) - 1);
    else
        set_answer(console, closed, sizeof(closed) - 1);
}

void monitor_console_serve(struct monitor_console *console)
{
    bool open;
    int key;

    while (write_answer(console)) {
        key = next_key(console, &open);
        if (key >= 0 && console->answer.more)
            serve_page_key(console, (uint8_t)key);
        else if (key >= 0)
            serve_key(console, (uint8_t)key);
        else if (open != console->shown)
            show(console, open);
        else
            break;
    }
}

static void on_wake(void *opaque)
{
    struct monitor_console *console = opaque;
    eventfd_t count;

    (void)eventfd_read(console->wake_fd, &count);
    monitor_console_serve(console);
}

/* --- the socket --- */

static void send_text(struct monitor_console *console, const char *text)
{
    listener_send(console->listener, text, strlen(text));
}

static void on_opened(void *opaque)
{
    struct monitor_console *console = opaque;

    console->socket_len = 0;
    send_text(console, GREETING "\n" PROMPT);
}

static void on_closed(void *opaque)
{
    /* A line without its end was not meant yet. The VM goes on as it is, stopped or not. */
}

static void execute_socket_line(struct monitor_console *console)
{
    char *text;
    size_t bytes;
    FILE *out = open_text(&text, &bytes);

    if (console->socket_len > 0 && console->socket_line[console->socket_len - 1] == '\r')
        console->socket_len--;
    console->socket_line[console->socket_len] = '\0';
    console->socket_len = 0;
    monitor_execute(console->vm->monitor, console->socket_line, out);
    fputs(PROMPT, out);
    fclose(out);
    listener_send(console->listener, text, bytes);
    free(text);
}

/* Takes bytes up to the end of a line: so the answer is on its way before the next line is read. */
static size_t on_received(void *opaque, const uint8_t *bytes, size_t count)
{
    struct monitor_console *console = opaque;
    const uint8_t *end = memchr(bytes, '\n', count);
    size_t len = end ? (size_t)(end - bytes) : count;

    for (size_t i = 0; i < len && console->socket_len < MONITOR_LINE_MAX + 1; i++) {
        /* A zero byte would end the line early; this one makes it be refused. */
        console->socket_line[console->socket_len++] = (char)(bytes[i] ? bytes[i] : 0x7f);
    }
    if (!end)
        return count;
    execute_socket_line(console);
    return len + 1;
}

/* --- making --- */

int monitor_console_create(struct monitor_console **out, struct vm *vm, const char *where)
{
    static const struct listener_ops ops = {on_opened, on_received, on_closed};
    struct monitor_console *console = calloc(1, sizeof(*console));
    int err;

    if (!console)
        return -ENOMEM;
    console->vm = vm;
    console->line.prompt = PROMPT;
    console->line.complete = monitor_complete;
    console->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    err =
        console->wake_fd < 0 ? -errno : events_add(vm->events, console->wake_fd, on_wake, console);
    if (!err && where)
        err = listener_create(&console->listener, vm->events, where, &ops, console);
    if (err) {
        monitor_console_destroy(console);
        return err;
    }
    *out = console;
    return 0;
}

void monitor_console_destroy(struct monitor_console *console)
{
    if (!console)
        return;
    listener_destroy(console->listener);
    if (console->wake_fd >= 0) {
        events_remove(console->vm->events, console->wake_fd);
        close(console->wake_fd);
    }
    free(console->answer.text);
    free(console);
}
