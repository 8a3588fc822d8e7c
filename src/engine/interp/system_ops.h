/*
 * The instructions behind bind_system, apart by subject: each has the type op_fn and takes what
 * bind_system.c puts into the op. Each checks privilege itself.
 *
 *   sysmov.c   MOV CR: dst or src number of the control register, the other a byte offset
 *   sysmsr.c   MSRs
 *   systime.c  CPUID, time-stamp counter
 *   sysmisc.c  HLT, IF, bases of FS and GS, TLB and cache control
 */
#ifndef UMBRA_ENGINE_INTERP_SYSTEM_OPS_H
#define UMBRA_ENGINE_INTERP_SYSTEM_OPS_H

#include "engine/soft/op.h"

/* #GP(0) unless CPL is 0. */
enum step system_require_cpl0(struct cpu *cpu);

/* The guest's time-stamp counter now. */
uint64_t system_tsc(struct cpu *cpu);

/* sysmov.c */
enum step op_mov_from_cr(struct cpu *cpu, const struct op *op);
enum step op_mov_to_cr(struct cpu *cpu, const struct op *op);
enum step op_mov_from_dr(struct cpu *cpu, const struct op *op);
enum step op_mov_to_dr(struct cpu *cpu, const struct op *op);
enum step op_clts(struct cpu *cpu, const struct op *op);
enum step op_lmsw(struct cpu *cpu, const struct op *op);
enum step op_smsw(struct cpu *cpu, const struct op *op);

/* sysmsr.c */
enum step op_rdmsr(struct cpu *cpu, const struct op *op);
enum step op_wrmsr(struct cpu *cpu, const struct op *op);

/* systime.c */
enum step op_cpuid(struct cpu *cpu, const struct op *op);
enum step op_rdtsc(struct cpu *cpu, const struct op *op);
enum step op_rdtscp(struct cpu *cpu, const struct op *op);
enum step op_rdpmc(struct cpu *cpu, const struct op *op);

/* sysmisc.c */
enum step op_hlt(struct cpu *cpu, const struct op *op);
enum step op_cli(struct cpu *cpu, const struct op *op);
enum step op_sti(struct cpu *cpu, const struct op *op);
enum step op_swapgs(struct cpu *cpu, const struct op *op);
enum step op_read_base(struct cpu *cpu, const struct op *op);  /* RDFSBASE, RDGSBASE: seg */
enum step op_write_base(struct cpu *cpu, const struct op *op); /* WRFSBASE, WRGSBASE: seg */
enum step op_stac(struct cpu *cpu, const struct op *op);
enum step op_clac(struct cpu *cpu, const struct op *op);
enum step op_invlpg(struct cpu *cpu, const struct op *op);
enum step op_invpcid(struct cpu *cpu, const struct op *op);
enum step op_invd(struct cpu *cpu, const struct op *op);
enum step op_wbinvd(struct cpu *cpu, const struct op *op);

#endif
