/*
 * The hardware task switch: by JMP, CALL, IRET, an interrupt or an exception through a task gate.
 * Refused in long mode by whoever finds the TSS descriptor.
 * Source: SDM 3 "Task Management", above all "Task Switching".
 */
#ifndef UMBRA_ENGINE_SOFT_TASK_H
#define UMBRA_ENGINE_SOFT_TASK_H

#include "engine/soft/segment.h"

enum task_cause {
    TASK_JMP,
    TASK_CALL,
    TASK_IRET,
    TASK_EVENT, /* interrupt or exception: nests as CALL does */
};

/*
 * Finds the TSS of a selector: in the GDT, available (busy for IRET), present. Raises vector (#GP,
 * or #TS for IRET) or #NP with the selector.
 */
enum step task_find(struct cpu *cpu, uint16_t selector, enum task_cause cause,
                    struct descriptor *tss);

/*
 * Switches to the task of a TSS that task_find found. RIP must stand where the old task is to go
 * on, and flags is what of RFLAGS its TSS gets. STEP_JUMP in the new task, with the T bit's #DB
 * pending; STEP_FAULT either in the old task, unchanged, or - when the new task's registers turn
 * out wrong - in the new task before its first instruction. cpu->fault.is_trap tells the two
 * apart: it is set in the new task, where RIP must not be moved back.
 */
enum step task_switch(struct cpu *cpu, struct descriptor *tss, enum task_cause cause,
                      uint64_t flags);

#endif
