/*
 * A vCPU in each mode with whatever single instructions need to do all they can: descriptors and
 * gates of every kind, pointers, stack frames and register images to load from, chosen by dice. The
 * first 2 MiB are mapped to themselves in the modes with paging.
 */
#ifndef UMBRA_TESTS_EFFECTS_RIG_H
#define UMBRA_TESTS_EFFECTS_RIG_H

#include <string.h>

#include "../../fuzz/guest/dice.h"
#include "engine/dbt/dbt.h"
#include "engine/soft/block.h"
#include "engine/soft/native.h"
#include "engine/soft/paging.h"
#include "engine/soft/vcpu.h"
#include "vcpu_rig.h"
#include "x86/msr.h"

#define EFFECTS_BYTES   0x200000u
#define EFFECTS_TABLES  0x1000u
#define EFFECTS_GDT     0x5000u
#define EFFECTS_IDT     0x6000u
#define EFFECTS_TSS     0x7000u
#define EFFECTS_CODE    0x8000u
#define EFFECTS_TARGET  0x8800u /* where far pointers and frames lead */
#define EFFECTS_OPERAND 0x9000u
#define EFFECTS_STACK   0xa800u
#define EFFECTS_VECTORS 8u /* with gates: INT 3 and 1 are tried */

#define EFFECTS_MODES(M)                                                                           \
    M(real16)                                                                                      \
    M(real32)                                                                                      \
    M(prot16) M(prot32) M(prot32_user) M(compat32) M(compat32_user) M(long64) M(long64_user)

enum effects_mode {
#define M(name) EFFECTS_##name,
    EFFECTS_MODES(M)
#undef M
        EFFECTS_MODE_COUNT
};

static const char *const effects_mode_names[] = {
#define M(name) #name,
    EFFECTS_MODES(M)
#undef M
};

/* Code, data and stacks of both privileges; based, limited, read-only, expand-down, conforming. */
static const uint64_t effects_gdt[] = {
    0,
    0x00cf9b000000ffff, /* 08: 32-bit code */
    0x00cf93000000ffff,
    0x00009b000000ffff, /* 18: 16-bit code */
    0x00af9b000000ffff, /* 20: 64-bit code */
    0x00cf93100000ffff, /* 28: based */
    0x004093000000ffff, /* 30: limited */
    0x000093000000ffff, /* 38: 16-bit stack */
    0x00cffb000000ffff, /* 40: 32-bit code of users */
    0x00cff3000000ffff,
    0x00affb000000ffff, /* 50: 64-bit code of users */
    0x00cff1000000ffff, /* 58: read-only */
    0x00cff7000000000f, /* 60: expand-down */
    0x00cf9f000000ffff, /* 68: conforming */
    0x00cff3100000ffff, /* 70: based, of users */
    0x0000f3000000ffff, /* 78: 16-bit stack of users */
};

struct effects_rig {
    struct vcpu_rig base;
    struct cpu *cpu;
    struct x86_state reset;
    struct dice dice;
};

static inline bool effects_is_user(enum effects_mode mode)
{
    return mode == EFFECTS_prot32_user || mode == EFFECTS_compat32_user ||
           mode == EFFECTS_long64_user;
}

static inline bool effects_is_real(enum effects_mode mode)
{
    return mode == EFFECTS_real16 || mode == EFFECTS_real32;
}

static inline bool effects_is_long(enum effects_mode mode)
{
    return mode >= EFFECTS_compat32;
}

static inline void effects_put(struct effects_rig *rig, gpa_t gpa, uint64_t value)
{
    assert_true(mem_write(rig->base.mem, gpa, &value, sizeof(value)));
}

/* Interrupt gates that users may use, and the stack that they lead to. */
static inline void effects_put_gates(struct effects_rig *rig, bool wide)
{
    uint64_t gates[2 * EFFECTS_VECTORS] = {0};

    for (unsigned vector = 0; vector < EFFECTS_VECTORS; vector++)
        gates[wide ? 2 * vector : vector] =
            EFFECTS_TARGET | (wide ? 0x20 : 0x08) << 16 | 0xee00ull << 32;
    mem_write(rig->base.mem, EFFECTS_IDT, gates, sizeof(gates));
    effects_put(rig, EFFECTS_TSS + 4, EFFECTS_STACK | (wide ? 0 : 0x10ull << 32));
}

/* Page tables; bit strings may reach them, so they are put again and again. */
static inline void effects_put_tables(struct effects_rig *rig)
{
    effects_put(rig, EFFECTS_TABLES, (EFFECTS_TABLES + 0x1000) | 0x27);
    effects_put(rig, EFFECTS_TABLES + 0x1000, (EFFECTS_TABLES + 0x2000) | 0x27);
    effects_put(rig, EFFECTS_TABLES + 0x2000, 0xe7);
}

static inline void effects_init(struct effects_rig *rig)
{
    struct engine_host host = quiet_host(rig);

    *rig = (struct effects_rig){.dice.seed = 1};
    vcpu_rig_init(&rig->base, &engine_soft, "max");
    rig->base.translate_after = 1;
    vcpu_rig_add_ram(&rig->base, 0, EFFECTS_BYTES);
    vcpu_rig_start(&rig->base, MMU_EPT, &host, 0);
    rig->cpu = soft_vcpu_cpu(rig->base.vcpu);
    engine_soft.vcpu_get_state(rig->base.vcpu, &rig->reset);
    dbt_claim_thread(rig->cpu);
}

static inline void effects_fini(struct effects_rig *rig)
{
    vcpu_rig_fini(&rig->base);
}

static inline struct x86_segment effects_segment(unsigned selector)
{
    uint64_t low = effects_gdt[selector / 8];
    uint16_t attr = (low >> 40) & 0xf0ff;
    uint32_t limit = (uint32_t)(low & 0xffff) | (uint32_t)(low >> 48 & 0xf) << 16;

    return (struct x86_segment){.selector = (uint16_t)selector,
                                .limit = attr & X86_SEG_G ? limit << 12 | 0xfff : limit,
                                .attr = attr};
}

static inline unsigned effects_code_selector(enum effects_mode mode)
{
    switch (mode) {
    case EFFECTS_real16:
    case EFFECTS_prot16: return 0x18;
    case EFFECTS_long64: return 0x20;
    case EFFECTS_long64_user: return 0x53;
    case EFFECTS_prot32_user:
    case EFFECTS_compat32_user: return 0x43;
    default: return 0x08;
    }
}

static inline uint64_t effects_cr0(struct effects_rig *rig, enum effects_mode mode)
{
    uint64_t cr0 = X86_CR0_ET | X86_CR0_NE | X86_CR0_WP;

    if (!effects_is_real(mode))
        cr0 |= X86_CR0_PE;
    if (effects_is_long(mode))
        cr0 |= X86_CR0_PG;
    return dice_chance(&rig->dice, 128) ? cr0 | X86_CR0_AM : cr0;
}

static inline uint64_t effects_cr4(struct effects_rig *rig)
{
    uint64_t cr4 = X86_CR4_PAE | X86_CR4_PGE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT;

    if (rig->base.model.has[X86_FEATURE_XSAVE])
        cr4 |= X86_CR4_OSXSAVE;
    if (rig->base.model.has[X86_FEATURE_SMAP] && dice_chance(&rig->dice, 48))
        cr4 |= X86_CR4_SMAP;
    return cr4;
}

/* A selector of any kind, null too. */
static inline uint16_t effects_selector(struct effects_rig *rig, bool user)
{
    unsigned index = dice_below(&rig->dice, ARRAY_SIZE(effects_gdt));

    return (uint16_t)(8 * index | (user ? 3 : 0));
}

/* One of code, most often. */
static inline uint16_t effects_code(struct effects_rig *rig, bool user)
{
    static const uint8_t system[] = {0x08, 0x18, 0x20, 0x43, 0x53};
    static const uint8_t users[] = {0x43, 0x53, 0x6b};

    if (dice_chance(&rig->dice, 64))
        return effects_selector(rig, user);
    return user ? DICE_PICK(&rig->dice, users) : DICE_PICK(&rig->dice, system);
}

static inline uint64_t effects_flags(struct effects_rig *rig)
{
    static const uint64_t bits[] = {X86_FLAG_TF, X86_FLAG_AC, X86_FLAG_IF, X86_FLAG_ZF};

    return X86_FLAG_ONE | DICE_PICK(&rig->dice, bits);
}

/* What a register may hold that an instruction loads into another. */
static inline uint64_t effects_value(struct effects_rig *rig, const struct x86_state *s, bool user)
{
    static const uint64_t cr0[] = {X86_CR0_PE, X86_CR0_TS, X86_CR0_WP, X86_CR0_AM, X86_CR0_PG};
    static const uint64_t cr4[] = {X86_CR4_PSE, X86_CR4_PAE, X86_CR4_PGE, X86_CR4_SMAP};
    struct dice *dice = &rig->dice;

    switch (dice_below(dice, 8)) {
    case 0: return s->cr0 ^ DICE_PICK(dice, cr0);
    case 1: return s->cr4 ^ DICE_PICK(dice, cr4);
    case 2: return EFFECTS_TABLES;
    case 3: return 0x400 | BIT(dice_below(dice, 8));
    case 4: return s->msr.efer ^ BIT(11);
    case 5: return dice_below(dice, 4);
    case 6: return effects_flags(rig);
    default: return effects_selector(rig, user);
    }
}

static inline void effects_put_registers(struct effects_rig *rig, struct x86_state *s, bool user)
{
    static const uint64_t counts[] = {0, 1, 3, IA32_EFER, EFFECTS_TARGET};

    for (unsigned i = 0; i < 16; i++)
        s->gpr[i] = effects_value(rig, s, user);
    s->gpr[X86_RDX] &= 3;
    s->gpr[X86_RCX] = DICE_PICK(&rig->dice, counts);
    s->gpr[X86_R11] = effects_flags(rig);
    s->gpr[X86_RBX] = s->gpr[X86_RSI] = s->gpr[X86_RDI] = EFFECTS_OPERAND;
    s->gpr[X86_RSP] = s->gpr[X86_RBP] = EFFECTS_STACK;
    s->gpr[X86_RIP] = EFFECTS_CODE;
}

static inline void effects_put_msrs(struct x86_state *s, enum effects_mode mode)
{
    s->msr.efer = effects_is_long(mode) ? X86_EFER_LME | X86_EFER_LMA | X86_EFER_SCE : 0;
    s->msr.star = 0x40ull << 48 | 0x08ull << 32;
    s->msr.lstar = s->msr.cstar = s->msr.sysenter_eip = EFFECTS_TARGET;
    s->msr.sysenter_cs = 0x08;
    s->msr.sysenter_esp = EFFECTS_STACK;
}

/* A far pointer, a selector or a descriptor of INVPCID, and a frame of IRET, RETF, POPF, POP. */
static inline void effects_put_memory(struct effects_rig *rig, bool user)
{
    static const uint8_t widths[] = {2, 4, 8};
    struct dice *dice = &rig->dice;
    unsigned width = DICE_PICK(dice, widths), first = dice_below(dice, 3);
    uint16_t code = effects_code(rig, user);
    uint64_t frame[] = {EFFECTS_TARGET, code, effects_flags(rig), EFFECTS_STACK,
                        code & 3 ? 0x4b : 0x10};

    for (unsigned i = 0; first + i < ARRAY_SIZE(frame); i++) {
        mem_write(rig->base.mem, EFFECTS_STACK + i * width, &frame[first + i], width);
        mem_write(rig->base.mem, EFFECTS_OPERAND + i * width, &frame[first + i], width);
    }
    if (dice_chance(dice, 64)) {
        effects_put(rig, EFFECTS_OPERAND, 0);
        effects_put(rig, EFFECTS_OPERAND + 8, EFFECTS_CODE);
    }
}

/* A state to begin a mode's instruction with, and the memory that belongs to it. */
static inline struct x86_state effects_begin(struct effects_rig *rig, enum effects_mode mode)
{
    struct x86_state s = rig->reset;
    bool user = effects_is_user(mode), real = effects_is_real(mode);

    effects_put_tables(rig);
    mem_write(rig->base.mem, EFFECTS_GDT, effects_gdt, sizeof(effects_gdt));
    effects_put_gates(rig, effects_is_long(mode));
    effects_put_memory(rig, user);
    s.cr0 = effects_cr0(rig, mode);
    s.cr3 = EFFECTS_TABLES;
    s.cr4 = effects_cr4(rig);
    effects_put_msrs(&s, mode);
    s.gdtr = (struct x86_table_register){EFFECTS_GDT, sizeof(effects_gdt) - 1};
    s.idtr = (struct x86_table_register){EFFECTS_IDT, 0x3ff};
    for (unsigned i = 0; i < X86_SEGS; i++)
        s.seg[i] = effects_segment(user ? 0x4b : 0x10);
    s.seg[X86_CS] = effects_segment(effects_code_selector(mode));
    if (mode == EFFECTS_prot16 || mode == EFFECTS_real16)
        s.seg[X86_SS] = effects_segment(0x38);
    for (unsigned i = 0; real && i < X86_SEGS; i++)
        s.seg[i].selector = 0;
    s.seg[X86_TR] = (struct x86_segment){
        .base = EFFECTS_TSS, .limit = 103, .selector = 0x80, .attr = X86_SEG_P | 0x0b};
    s.seg[X86_LDTR].attr = X86_SEG_UNUSABLE;
    s.rflags = X86_FLAG_ONE | (dice_chance(&rig->dice, 64) ? X86_FLAG_AC : 0);
    if (user)
        s.rflags |= X86_FLAG_IOPL;
    effects_put_registers(rig, &s, user);
    return s;
}

/* As vcpu_set_state, but the TLB stays, which is slow to empty: every mode maps alike. */
static inline void effects_set_state(struct cpu *cpu, const struct x86_state *state)
{
    native_sync(cpu);
    cpu->x = *state;
    cpu_put_rflags(cpu, state->rflags);
    cpu->cpl = (uint8_t)x86_seg_dpl(&cpu->x.seg[X86_SS]);
    cpu_update_mode(cpu);
}

/* Gives the vCPU a state, with nothing left of what ran before. */
static inline void effects_load(struct effects_rig *rig, const struct x86_state *state)
{
    struct cpu *cpu = rig->cpu;
    gpa_t gpa;

    effects_set_state(cpu, state);
    cpu->interrupt_shadow = cpu->debug_shadow = cpu->halted = cpu->nmi_blocked = false;
    cpu->dr6_pending = 0;
    atomic_store(&cpu->attention, 0);
    block_apply_queued(cpu);
    atomic_store(&cpu->requests, 0);
    block_collect(cpu);
    /* As if this code had been found there: so a change of its mapping is one. */
    if (paging_fetch(cpu, EFFECTS_CODE, &gpa) == STEP_NEXT)
        block_note_found(cpu, EFFECTS_CODE);
}

#endif
