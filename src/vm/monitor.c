/* The table of commands, and those that act on the VM instead of looking into it. */
#include "vm/monitor.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "dev/acpi_pm.h"
#include "vm/control.h"
#include "vm/monitor_internal.h"

struct monitor {
    struct vm *vm;
    bool stopped; /* `stop` holds a pause */
};

struct command {
    const char *name;
    const char *arguments; /* for the help; "" for none */
    const char *help;      /* a line */
    const char *more;      /* further lines for `help NAME`, or NULL */
    bool looks;            /* needs the VM paused and the vCPU's state */
    void (*run)(struct monitor_call *call);
};

void monitor_error(struct monitor_call *call, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fputs("error: ", call->out);
    vfprintf(call->out, format, arguments);
    fputc('\n', call->out);
    va_end(arguments);
}

bool monitor_address(struct monitor_call *call, const char *text, uint64_t *value)
{
    char why[MONITOR_WHY_BYTES];

    if (monitor_parse_value(text, monitor_register, call, value, why))
        return true;
    monitor_error(call, "%s", why);
    return false;
}

int monitor_option(struct monitor_call *call, const char *command, const char *word)
{
    if (call->arguments[0] == '\0')
        return 0;
    if (strcmp(call->arguments, word) == 0)
        return 1;
    monitor_error(call, "%s takes nothing or the word %s", command, word);
    return -EINVAL;
}

bool monitor_stopped(const struct monitor *monitor)
{
    return monitor->stopped;
}

/* --- commands that act --- */

static void run_stop(struct monitor_call *call)
{
    if (call->monitor->stopped)
        fputs("the VM is stopped already\n", call->out);
    else if (vm_pause(call->vm))
        call->monitor->stopped = true;
    else
        monitor_error(call, "the VM is ending");
}

static void run_cont(struct monitor_call *call)
{
    if (!call->monitor->stopped) {
        fputs("the VM is not stopped by the console\n", call->out);
        return;
    }
    call->monitor->stopped = false;
    vm_resume(call->vm);
}

static void run_powerdown(struct monitor_call *call)
{
    struct vm *vm = call->vm;

    lock_acquire(&vm->lock);
    if (!acpi_pm_press_power_button(vm->board->acpi_pm))
        fputs("the button is pressed; the guest has not asked to be told, so it may do nothing "
              "(quit ends the VM)\n",
              call->out);
    lock_release(&vm->lock);
    if (call->monitor->stopped)
        fputs("the guest sees it after cont\n", call->out);
}

static void run_reset(struct monitor_call *call)
{
    struct vm *vm = call->vm;

    lock_acquire(&vm->lock);
    vm->reset_requested = true;
    vm->panicked = false; /* somebody wants it to begin anew */
    vm->engine->vcpu_kick(vm->vcpu);
    pthread_cond_broadcast(&vm->wake);
    lock_release(&vm->lock);
}

static void run_quit(struct monitor_call *call)
{
    struct vm *vm = call->vm;

    terminal_abandon(vm->terminal); /* a vCPU may hold the lock, waiting for a reader */
    lock_acquire(&vm->lock);
    vm_end_locked(vm, VM_EXIT_POWEROFF);
    lock_release(&vm->lock);
}

/* --- tables --- */

static void run_help(struct monitor_call *call);
static void run_info(struct monitor_call *call);

static const struct command commands[] = {
    {"help", "[COMMAND]", "list the commands, or tell more about one", NULL, false, run_help},
    {"info", "SUBJECT", "show a part of the VM; info alone lists them", NULL, false, run_info},
    {"walk", "GVA", "follow an address through each table to host memory",
     "Each entry of the guest's tables is shown with its address, its bits by their letters and\n"
     "what it leads to; below it how the monitor's tables translate that address. The section\n"
     "\"Reading walk\" of docs/memory.md explains an answer line by line.\n",
     true, monitor_walk},
    {"x", "[/FMT] GVA", "show memory at a linear address",
     "/FMT is a count, a letter and a size, all optional: /8xg, /20i, /s.\n"
     "  letters  x hexadecimal (usual), d and u decimal, o octal, t binary, c characters,\n"
     "           a addresses, s a string that ends in a zero byte, i instructions\n"
     "  sizes    b 1 byte, h 2, w 4 (usual), g 8\n"
     "Nothing is changed by looking: no accessed bit, no device register.\n",
     true, monitor_examine},
    {"xp", "[/FMT] GPA", "show memory at a guest-physical address", "/FMT is as for x.\n", true,
     monitor_examine_physical},
    {"audit", "", "check every invariant of the tables", NULL, true, monitor_audit},
    {"stop", "", "stop the guest and its time", NULL, false, run_stop},
    {"cont", "", "let it go on", NULL, false, run_cont},
    {"system_powerdown", "", "press the power button", NULL, false, run_powerdown},
    {"system_reset", "", "press the reset button", NULL, false, run_reset},
    {"quit", "", "end the VM at once", NULL, false, run_quit},
};

static const struct command subjects[] = {
    {"status", "", "whether the guest runs, its time, its processor's mode", NULL, true,
     monitor_status},
    {"registers", "", "the processor's registers", NULL, true, monitor_registers},
    {"slots", "", "GPA -> HVA: what guest memory is made of", NULL, true, monitor_slots},
    {"e820", "", "the map of memory that the guest's firmware gives out", NULL, false,
     monitor_e820},
    {"devices", "[NAME]", "the devices and their ranges; by a part of a name, their state too",
     NULL, true, monitor_devices},
    {"mmu", "", "which tables are in use, how the guest pages, and counters", NULL, true,
     monitor_mmu},
    {"shadow", "[pages]", "shadow pages: counts, or each one", NULL, true, monitor_shadow},
    {"ept", "[leaves]", "the extended page table: counts, or its leaves", NULL, true, monitor_ept},
    {"tlb", "", "what the processor's TLB holds", NULL, true, monitor_tlb},
    {"exits", "", "VM exits by reason, and other counters", NULL, true, monitor_exits},
    {"memory", "", "guest memory that the host keeps, by slot", NULL, true, monitor_memory},
};

/* --- looking up --- */

static const struct command *find(const struct command *table, size_t count, const char *name,
                                  size_t len)
{
    for (size_t i = 0; i < count; i++) {
        if (strlen(table[i].name) == len && memcmp(table[i].name, name, len) == 0)
            return &table[i];
    }
    return NULL;
}

/* A name ends at a blank; x/8xg needs none before its format. */
static size_t word_length(const char *text)
{
    return strcspn(text, " \t/");
}

static void list(FILE *out, const struct command *table, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int width = fprintf(out, "%s %s", table[i].name, table[i].arguments);

        fprintf(out, "%*s %s\n", MAX(20 - width, 0), "", table[i].help);
    }
}

static void help_one(struct monitor_call *call, const struct command *command)
{
    fprintf(call->out, "%s %s: %s\n%s", command->name, command->arguments, command->help,
            command->more ? command->more : "");
    if (command->run == run_info)
        list(call->out, subjects, ARRAY_SIZE(subjects));
}

static void run_help(struct monitor_call *call)
{
    const char *name = call->arguments;
    size_t len = word_length(name);
    const struct command *command = find(commands, ARRAY_SIZE(commands), name, len);

    if (!command)
        command = find(subjects, ARRAY_SIZE(subjects), name, len);
    if (command) {
        help_one(call, command);
    } else if (len > 0) {
        monitor_error(call, "there is no command %.*s; help lists them", (int)MIN(len, (size_t)40),
                      name);
        return;
    } else {
        list(call->out, commands, ARRAY_SIZE(commands));
    }
    if (!command || command->run == monitor_registers || command->run == monitor_walk) {
        fputs("Addresses are numbers (0x1000, 4096), registers, or sums: $rsp + 0x10.\n"
              "Registers:\n",
              call->out);
        monitor_register_names(call->out);
    }
}

/* Runs a command, with the VM paused if it looks into it. */
static void run(struct monitor_call *call, const struct command *command)
{
    if (command->arguments[0] == '\0' && call->arguments[0] != '\0') {
        monitor_error(call, "%s takes no argument", command->name);
        return;
    }
    if (!command->looks) {
        command->run(call);
        return;
    }
    if (!vm_pause(call->vm)) {
        monitor_error(call, "the VM is ending");
        return;
    }
    call->vm->engine->vcpu_get_state(call->vm->vcpu, &call->state);
    command->run(call);
    vm_resume(call->vm);
}

static void run_info(struct monitor_call *call)
{
    const char *name = call->arguments;
    size_t len = word_length(name);
    const struct command *subject = find(subjects, ARRAY_SIZE(subjects), name, len);

    if (len == 0) {
        list(call->out, subjects, ARRAY_SIZE(subjects));
    } else if (!subject) {
        monitor_error(call, "there is no subject %.*s; info lists them", (int)MIN(len, (size_t)40),
                      name);
    } else {
        call->arguments = monitor_skip_blanks(name + len);
        run(call, subject);
    }
}

/* Only text goes on: what a person can't see, he can't have meant. */
static bool is_text(const char *line)
{
    for (; *line; line++) {
        if (*line != '\t' && (*line < ' ' || *line > '~'))
            return false;
    }
    return true;
}

/* A tab is a blank to all who read the line, and none comes back in an answer. */
static void copy_text(char text[MONITOR_LINE_MAX + 1], const char *line)
{
    memcpy(text, line, strlen(line) + 1);
    for (char *tab = strchr(text, '\t'); tab; tab = strchr(tab, '\t'))
        *tab = ' ';
    /* A completed word ends in a blank that no command has to know. */
    for (size_t len = strlen(text); len > 0 && text[len - 1] == ' '; len--)
        text[len - 1] = '\0';
}

static void execute_text(struct monitor_call *call, const char *line)
{
    const char *name = monitor_skip_blanks(line);
    size_t len = word_length(name);
    const struct command *command = find(commands, ARRAY_SIZE(commands), name, len);

    if (command) {
        call->arguments = monitor_skip_blanks(name + len);
        run(call, command);
    } else if (*name) {
        monitor_error(call, "there is no command %.*s; help lists them",
                      (int)MIN(MAX(len, (size_t)1), (size_t)40), name);
    }
}

void monitor_execute(struct monitor *monitor, const char *line, FILE *out)
{
    struct monitor_call call = {.monitor = monitor, .vm = monitor->vm, .out = out};
    char text[MONITOR_LINE_MAX + 1];

    if (!is_text(line)) {
        monitor_error(&call, "the line holds bytes that are no printable ASCII");
    } else if (strlen(line) > MONITOR_LINE_MAX) {
        monitor_error(&call, "the line is longer than %d bytes", MONITOR_LINE_MAX);
    } else {
        copy_text(text, line);
        execute_text(&call, text);
    }
}

/* --- completing --- */

void monitor_words_add(struct monitor_words *words, const char *start, const char *sigil,
                       const char *name)
{
    char *word = words->word[words->count];

    if (words->count == MONITOR_WORDS_MAX)
        return;
    snprintf(word, MONITOR_WORD_BYTES, "%s%s", sigil, name);
    if (strncmp(word, start, strlen(start)) == 0)
        words->count++;
}

static void add_names(struct monitor_words *words, const char *start, const struct command *table,
                      size_t count)
{
    for (size_t i = 0; i < count; i++)
        monitor_words_add(words, start, "", table[i].name);
}

/* A subject's own word: "pages" of "[pages]". */
static void add_argument(struct monitor_words *words, const char *start,
                         const struct command *subject)
{
    char word[MONITOR_WORD_BYTES];

    if (subject && subject->arguments[0] == '[') {
        snprintf(word, sizeof(word), "%.*s", (int)strcspn(subject->arguments + 1, "]"),
                 subject->arguments + 1);
        monitor_words_add(words, start, "", word);
    }
}

/* The words of a line that stand before an offset: how many, and the first two. */
static size_t split(const char *line, size_t end, const char *first[2], size_t lengths[2])
{
    size_t count = 0;

    for (const char *at = monitor_skip_blanks(line); at < line + end; count++) {
        size_t length = word_length(at);

        if (count < 2) {
            first[count] = at;
            lengths[count] = length;
        }
        at = monitor_skip_blanks(at + MAX(length, (size_t)1));
    }
    return count;
}

void monitor_complete(const char *line, size_t word, struct monitor_words *words)
{
    const char *start = line + word, *before[2] = {"", ""};
    size_t lengths[2] = {0}, count = split(line, word, before, lengths);
    const struct command *command =
        find(commands, ARRAY_SIZE(commands), before[0], count ? lengths[0] : 0);

    if (count == 0) {
        add_names(words, start, commands, ARRAY_SIZE(commands));
    } else if (!command) {
        return;
    } else if (count == 1 && command->run == run_help) {
        add_names(words, start, commands, ARRAY_SIZE(commands));
        add_names(words, start, subjects, ARRAY_SIZE(subjects));
    } else if (count == 1 && command->run == run_info) {
        add_names(words, start, subjects, ARRAY_SIZE(subjects));
    } else if (count == 2 && command->run == run_info) {
        add_argument(words, start, find(subjects, ARRAY_SIZE(subjects), before[1], lengths[1]));
    } else if (start[0] == '$' && command->looks) {
        monitor_add_registers(words, start);
    }
}

/* --- making --- */

struct monitor *monitor_create(struct vm *vm)
{
    struct monitor *monitor = calloc(1, sizeof(*monitor));

    if (monitor)
        monitor->vm = vm;
    return monitor;
}

void monitor_destroy(struct monitor *monitor)
{
    free(monitor);
}
