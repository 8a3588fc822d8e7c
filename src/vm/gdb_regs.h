/*
 * The registers as gdb sees them: their numbers, the target description that tells gdb of them, and
 * their values in a struct x86_state. The architecture is i386:x86-64 in every mode; registers of
 * 16-bit and 32-bit code are the low parts of those, and rip is the offset in CS.
 *
 * It refuses to let gdb change what decides the processor's mode: CR0, CR4, CR8, EFER, EFLAGS.VM,
 * and in protected mode the selectors.
 * Specification: gdb manual, "Target Descriptions", "i386 Features".
 */
#ifndef UMBRA_VM_GDB_REGS_H
#define UMBRA_VM_GDB_REGS_H

#include <stdio.h>

#include "x86/state.h"

#define GDB_REG_MAX_BYTES 16
#define GDB_REG_RBP       6
#define GDB_REG_RSP       7
#define GDB_REG_RIP       16

struct gdb_registers {
    struct x86_state x;
    uint64_t cr8;
};

/* How many there are, numbered from 0. */
unsigned gdb_regs_count(void);

/* The bytes of one. */
unsigned gdb_reg_bytes(unsigned number);

/* A register's value, little-endian. */
void gdb_reg_get(const struct gdb_registers *registers, unsigned number,
                 uint8_t value[GDB_REG_MAX_BYTES]);

/* False: this register, or this value, is refused; then nothing has changed. */
bool gdb_reg_set(struct gdb_registers *registers, unsigned number,
                 const uint8_t value[GDB_REG_MAX_BYTES]) must_check;

/* Writes target.xml. */
void gdb_regs_describe(FILE *out);

#endif
