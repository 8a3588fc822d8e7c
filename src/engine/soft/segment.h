/*
 * Segment registers and descriptor tables: fetching descriptors, loading data, stack, LDT and task
 * registers with every check. Control transfers between segments build on transfer.h.
 *
 * Each function that can fault changes no register when it does.
 * Source: SDM 3 "Protection", SDM 2 "MOV", "LLDT", "LTR".
 */
#ifndef UMBRA_ENGINE_SOFT_SEGMENT_H
#define UMBRA_ENGINE_SOFT_SEGMENT_H

#include "engine/soft/cpu.h"
#include "x86/descriptor.h"

/* A descriptor with its place, so that its accessed or busy bit can be set. */
struct descriptor {
    uint64_t low;
    uint64_t high; /* the second half of a 16-byte one; see descriptor_read_high */
    gva_t address;
    uint16_t selector;
    uint16_t attr; /* as in struct x86_segment */
};

static inline bool cpu_long_mode(const struct cpu *cpu)
{
    return cpu->x.msr.efer & X86_EFER_LMA;
}

/* The error code that names a selector. */
static inline uint32_t selector_error(uint16_t selector)
{
    return selector & X86_SELECTOR_ERROR;
}

/* The linear address of a byte of a system table; 32 bits wrap outside long mode. */
static inline gva_t table_linear(const struct cpu *cpu, uint64_t base, uint64_t offset)
{
    return cpu_long_mode(cpu) ? base + offset : (uint32_t)(base + offset);
}

/* Whether a selector names 8 bytes (16 if wide) inside the GDT or the current LDT. */
bool descriptor_in_table(const struct cpu *cpu, uint16_t selector, bool wide);

/*
 * Reads the descriptor of a selector that is not null. Outside the table's limit it raises vector
 * with the selector as error code.
 */
enum step descriptor_read(struct cpu *cpu, uint16_t selector, enum x86_vector vector,
                          struct descriptor *d);

/* Reads the second half of a long mode system descriptor; faults as descriptor_read does. */
enum step descriptor_read_high(struct cpu *cpu, enum x86_vector vector, struct descriptor *d);

/* Sets the accessed bit in memory and in d where it is clear. */
enum step descriptor_set_accessed(struct cpu *cpu, struct descriptor *d);

/* Sets or clears a TSS descriptor's busy bit in memory and in d. */
enum step descriptor_set_busy(struct cpu *cpu, struct descriptor *d, bool busy);

/* Loads ES, SS, DS, FS or GS as MOV and POP do, in any mode. */
enum step segment_load(struct cpu *cpu, unsigned seg, uint16_t selector);

/* Loads a segment register as real and virtual-8086 mode do, without any check. */
void segment_load_real(struct cpu *cpu, unsigned seg, uint16_t selector);

/* The segment that virtual-8086 mode gives to a selector. */
struct x86_segment segment_vm86(uint16_t selector);

/*
 * Checks and fetches a stack segment for privilege level dpl without loading it. What is wrong with
 * it raises vector (#GP for returns, #TS for stack switches), a missing one #SS.
 */
enum step segment_fetch_stack(struct cpu *cpu, uint16_t selector, unsigned dpl,
                              enum x86_vector vector, struct x86_segment *ss);

/* What LLDT and LTR do, apart from the privilege check. */
enum step segment_load_ldtr(struct cpu *cpu, uint16_t selector);
enum step segment_load_tr(struct cpu *cpu, uint16_t selector);

/* Returns to an outer level: nulls DS, ES, FS, GS where that level has no right to them. */
void segment_drop_privileged(struct cpu *cpu, unsigned cpl);

#endif
