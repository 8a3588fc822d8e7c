/* What the files of the monitor console's commands share. */
#ifndef UMBRA_VM_MONITOR_INTERNAL_H
#define UMBRA_VM_MONITOR_INTERNAL_H

#include <stdio.h>

#include "mmu/guest_walk.h"
#include "vm/monitor.h"
#include "vm/monitor_parse.h"
#include "vm/vm_internal.h"
#include "x86/insn.h"
#include "x86/state.h"

/* A command being carried out. */
struct monitor_call {
    struct monitor *monitor;
    struct vm *vm;
    FILE *out;
    const char *arguments;  /* behind the command's name, blanks skipped */
    struct x86_state state; /* of the vCPU; for commands that look */
};

/* Says what is wrong with a command: printf's arguments, without "error: " and newline. */
void monitor_error(struct monitor_call *call, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The command's arguments, from `text` on, as an address; false when an error was printed. */
bool monitor_address(struct monitor_call *call, const char *text, uint64_t *value);

/*
 * Whether the command's arguments are `word` rather than nothing; anything else prints an error,
 * in which `command` is its name, and gives -EINVAL. Returns 1 or 0 otherwise.
 */
int monitor_option(struct monitor_call *call, const char *command, const char *word);

/* The registers: what `$` knows (monitor_registers.c). */
bool monitor_register(void *call, const char *name, uint64_t *value);
void monitor_registers(struct monitor_call *call);
void monitor_register_names(FILE *out);
void monitor_add_registers(struct monitor_words *words, const char *start);

/* Adds the word sigil + name, if it begins with start and there is room. */
void monitor_words_add(struct monitor_words *words, const char *start, const char *sigil,
                       const char *name);

/*
 * How the vCPU reads instructions now, and the bits of a linear address that count: 64 in long
 * mode, for its compatibility modes too, since the kernel above them is of interest.
 */
enum x86_mode monitor_code_mode(const struct x86_state *state);
uint64_t monitor_linear_mask(const struct x86_state *state);

/* What the vCPU's registers say about paging; the tables are read by GPA, past the EPT. */
void monitor_walk_context(const struct monitor_call *call, struct guest_walk_context *context);

/*
 * Reads guest memory, and devices that can be looked at (bus_peek), by GPA, without side effects;
 * false where there is neither.
 */
bool monitor_read_gpa(struct vm *vm, gpa_t gpa, void *bytes, size_t len);

/* The same by GVA; false also where nothing is mapped. */
bool monitor_read_gva(const struct monitor_call *call, gva_t gva, void *bytes, size_t len);

/* info SUBJECT (monitor_info.c) */
void monitor_status(struct monitor_call *call);
void monitor_slots(struct monitor_call *call);
void monitor_e820(struct monitor_call *call);
void monitor_devices(struct monitor_call *call);
void monitor_exits(struct monitor_call *call);
void monitor_memory(struct monitor_call *call);

/* info SUBJECT about the tables, and `audit` (monitor_tables.c) */
void monitor_mmu(struct monitor_call *call);
void monitor_ept(struct monitor_call *call);
void monitor_tlb(struct monitor_call *call);
void monitor_audit(struct monitor_call *call);

/* A list that may be long: `info ept leaves`, `info shadow pages`. */
struct monitor_list {
    FILE *out;
    bool each; /* rows are wanted, not just sums */
    uint64_t listed, left_out;
};

/* Whether one more row is to be printed; of very many the last ones are only counted. */
bool monitor_list_row(struct monitor_list *list);

/* Says how many rows were left out. */
void monitor_list_end(const struct monitor_list *list);

/* Says, where the tables asked for do not exist, by the mode which ones do. */
void monitor_other_tables(struct monitor_call *call);

/* Shadow paging's part of info shadow, info mmu and walk (monitor_shadow.c) */
void monitor_shadow(struct monitor_call *call);
void monitor_shadow_counters(struct monitor_call *call);
void monitor_shadow_walk(struct monitor_call *call, gva_t gva);

/* walk (monitor_walk.c) */
void monitor_walk(struct monitor_call *call);

/* x and xp (monitor_examine.c) */
void monitor_examine(struct monitor_call *call);
void monitor_examine_physical(struct monitor_call *call);

/* Whether `stop` holds the VM. */
bool monitor_stopped(const struct monitor *monitor);

#endif
