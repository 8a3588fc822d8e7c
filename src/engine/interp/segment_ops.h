/*
 * The instructions behind bind_segment, apart by subject: each has the type op_fn and takes what
 * bind_segment.c puts into the op.
 *
 *   sreg.c      dst or src: number of the segment register; size: bytes of the operand
 *   far.c       imm: offset and aux: selector, or OP_MEM; size: operand size; RETF: imm to release
 *   int.c       imm: the vector; IRET: size
 *   sysdesc.c   memory or register operand, size: operand size
 *   fastcall.c  size: 8 with REX.W (SYSRET, SYSEXIT)
 */
#ifndef UMBRA_ENGINE_INTERP_SEGMENT_OPS_H
#define UMBRA_ENGINE_INTERP_SEGMENT_OPS_H

#include "engine/soft/op.h"

/* sreg.c */
enum step op_mov_to_sreg(struct cpu *cpu, const struct op *op);
enum step op_mov_from_sreg(struct cpu *cpu, const struct op *op);
enum step op_push_sreg(struct cpu *cpu, const struct op *op);
enum step op_pop_sreg(struct cpu *cpu, const struct op *op);
enum step op_load_far_pointer(struct cpu *cpu, const struct op *op); /* LDS and its like */

/* far.c */
enum step op_jmp_far(struct cpu *cpu, const struct op *op);
enum step op_call_far(struct cpu *cpu, const struct op *op);
enum step op_ret_far(struct cpu *cpu, const struct op *op);

/* int.c */
enum step op_int(struct cpu *cpu, const struct op *op);
enum step op_int3(struct cpu *cpu, const struct op *op);
enum step op_int1(struct cpu *cpu, const struct op *op);
enum step op_into(struct cpu *cpu, const struct op *op);
enum step op_iret(struct cpu *cpu, const struct op *op);

/* sysdesc.c */
enum step op_lgdt(struct cpu *cpu, const struct op *op);
enum step op_lidt(struct cpu *cpu, const struct op *op);
enum step op_sgdt(struct cpu *cpu, const struct op *op);
enum step op_sidt(struct cpu *cpu, const struct op *op);
enum step op_lldt(struct cpu *cpu, const struct op *op);
enum step op_ltr(struct cpu *cpu, const struct op *op);
enum step op_sldt(struct cpu *cpu, const struct op *op);
enum step op_str(struct cpu *cpu, const struct op *op);
enum step op_lar(struct cpu *cpu, const struct op *op);
enum step op_lsl(struct cpu *cpu, const struct op *op);
enum step op_verr(struct cpu *cpu, const struct op *op);
enum step op_verw(struct cpu *cpu, const struct op *op);
enum step op_arpl(struct cpu *cpu, const struct op *op);

/* fastcall.c */
enum step op_syscall(struct cpu *cpu, const struct op *op);
enum step op_sysret(struct cpu *cpu, const struct op *op);
enum step op_sysenter(struct cpu *cpu, const struct op *op);
enum step op_sysexit(struct cpu *cpu, const struct op *op);

#endif
