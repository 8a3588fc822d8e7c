/*
 * A VM exit as a value: why the guest was left, in the terms that a processor tells a monitor in.
 * Both engines make one for each exit, and pass it through one place of theirs that counts, traces
 * and times it.
 *
 * Specification: SDM 3 "VM-Exit Information Fields", "Exit Qualification" (the tables for control-
 * register accesses, MOV DR, I/O instructions, task switches and EPT violations), appendix "VMX
 * Basic Exit Reasons".
 */
#ifndef UMBRA_ENGINE_EXIT_H
#define UMBRA_ENGINE_EXIT_H

#include "base/types.h"

enum exit_reason {
#define EXIT_REASON(number, name, words) EXIT_##name = number,
#include "engine/exit.def"
#undef EXIT_REASON
    EXIT_REASONS = 70
};

/* The words of a reason, or NULL for a number that the table does not hold. */
const char *exit_reason_words(unsigned reason);

struct exit {
    enum exit_reason reason;
    uint8_t length;         /* of the instruction that exits, in bytes; 0 where none does */
    uint64_t qualification; /* 0 for the reasons that have none */
    gpa_t gpa;              /* for EPT violations and misconfigurations */
    gva_t gla;              /* guest linear address, where one was being translated; else 0 */
};

/* What an access to a control register is. */
enum exit_cr_access {
    EXIT_CR_MOV_TO,
    EXIT_CR_MOV_FROM,
    EXIT_CR_CLTS,
    EXIT_CR_LMSW,
};

#define EXIT_CR_ACCESS_SHIFT      4
#define EXIT_CR_LMSW_MEMORY       BIT(6)
#define EXIT_CR_GPR_SHIFT         8
#define EXIT_CR_LMSW_SOURCE_SHIFT 16

/* gpr: the general-purpose register of a MOV, by its number in the instruction. */
static inline uint64_t exit_qualification_cr(unsigned number, enum exit_cr_access access,
                                             unsigned gpr)
{
    return number | (uint64_t)access << EXIT_CR_ACCESS_SHIFT | (uint64_t)gpr << EXIT_CR_GPR_SHIFT;
}

static inline uint64_t exit_qualification_lmsw(uint16_t source, bool memory)
{
    return exit_qualification_cr(0, EXIT_CR_LMSW, 0) | (memory ? EXIT_CR_LMSW_MEMORY : 0) |
           (uint64_t)source << EXIT_CR_LMSW_SOURCE_SHIFT;
}

#define EXIT_DR_FROM      BIT(4) /* MOV from DR */
#define EXIT_DR_GPR_SHIFT 8

static inline uint64_t exit_qualification_dr(unsigned number, bool from, unsigned gpr)
{
    return number | (from ? EXIT_DR_FROM : 0) | (uint64_t)gpr << EXIT_DR_GPR_SHIFT;
}

#define EXIT_IO_IN         BIT(3)
#define EXIT_IO_STRING     BIT(4)
#define EXIT_IO_REP        BIT(5)
#define EXIT_IO_IMMEDIATE  BIT(6) /* the port is an immediate byte, not DX */
#define EXIT_IO_PORT_SHIFT 16

/* width in bytes (1, 2, 4); how: EXIT_IO_* bits. */
static inline uint64_t exit_qualification_io(uint16_t port, unsigned width, uint64_t how)
{
    return (width - 1) | how | (uint64_t)port << EXIT_IO_PORT_SHIFT;
}

enum exit_task_source {
    EXIT_TASK_CALL,
    EXIT_TASK_IRET,
    EXIT_TASK_JMP,
    EXIT_TASK_GATE, /* in the IDT */
};

#define EXIT_TASK_SOURCE_SHIFT 30

static inline uint64_t exit_qualification_task(uint16_t selector, enum exit_task_source source)
{
    return selector | (uint64_t)source << EXIT_TASK_SOURCE_SHIFT;
}

#define EXIT_EPT_RIGHTS_SHIFT 3      /* what the entry allows, in the order read, write, execute */
#define EXIT_EPT_GLA          BIT(7) /* the guest linear address is told */
#define EXIT_EPT_FINAL        BIT(8) /* its own translation, not that of a table on the way */

/* access and rights: bits of enum ept_access (x86/paging.h), which have the manual's order. */
static inline uint64_t exit_qualification_ept(unsigned access, unsigned rights, bool final)
{
    return access | (uint64_t)rights << EXIT_EPT_RIGHTS_SHIFT | EXIT_EPT_GLA |
           (final ? EXIT_EPT_FINAL : 0);
}

#endif
