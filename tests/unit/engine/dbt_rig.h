/*
 * A vCPU of the soft engine in 64-bit mode that translates each block at once (or not): page
 * tables, a HLT where each vector leads, and room for code.
 */
#ifndef UMBRA_TESTS_DBT_RIG_H
#define UMBRA_TESTS_DBT_RIG_H

#include <stdlib.h>
#include <string.h>

#include "engine/soft/vcpu.h"
#include "vcpu_rig.h"

#define MEMORY_BYTES 0x200000u
#define PML4         0x1000u /* the first two pages: identity; a second one: MOVED leads to OTHER */
#define TABLES       0x2000u
#define PML4_OTHER   0x5000u
#define TABLES_OTHER 0x6000u
#define IDT          0x9000u
#define GDT          0xa000u
#define TSS          0xb000u
#define HANDLERS     0xc000u /* a HLT each */
#define STACK        0x10000u
#define DATA         0x11000u
#define CODE         0x20000u
#define MOVED        0x30000u /* under PML4_OTHER this page is OTHER */
#define OTHER        0x31000u
#define MANY         0x40000u

#define SEL_CODE      0x08
#define SEL_USER_DATA 0x1b
#define SEL_USER_CODE 0x23
#define SEL_TSS       0x28
#define VECTOR_INTR   0x40
#define VECTOR_CALL   0x80

#define PTE_P BIT(0)
#define PTE_W BIT(1)
#define PTE_U BIT(2)
#define PTE_G BIT(8)

struct rig {
    struct vcpu_rig base;
    struct x86_state state;
};

static int interrupt_acknowledge(void *opaque, unsigned vcpu)
{
    struct rig *rig = opaque;

    engine_soft.vcpu_set_intr(rig->base.vcpu, false);
    return VECTOR_INTR;
}

static void put64(struct rig *rig, gpa_t gpa, uint64_t value)
{
    assert_true(mem_write(rig->base.mem, gpa, &value, sizeof(value)));
}

/* The kernel's pages are global; from MOVED on pages are the address space's. */
static void put_tables(struct rig *rig, gpa_t pml4, gpa_t tables, gpa_t moved)
{
    put64(rig, pml4, tables | PTE_P | PTE_W | PTE_U);
    put64(rig, tables, (tables + 0x1000) | PTE_P | PTE_W | PTE_U);
    put64(rig, tables + 0x1000, (tables + 0x2000) | PTE_P | PTE_W | PTE_U);
    for (gpa_t page = 0; page < MEMORY_BYTES; page += PAGE_SIZE)
        put64(rig, tables + 0x2000 + page / PAGE_SIZE * 8,
              (page == MOVED ? moved : page) | PTE_P | PTE_W | PTE_U | (page < MOVED ? PTE_G : 0));
}

static void put_gate(struct rig *rig, unsigned vector, uint64_t to)
{
    put64(rig, IDT + 16 * vector,
          (to & 0xffff) | SEL_CODE << 16 | 0xee00ull << 32 | (to >> 16) << 48);
}

static void put_descriptors(struct rig *rig)
{
    const uint8_t hlt = 0xf4;

    for (unsigned vector = 0; vector < 256; vector++) {
        put_gate(rig, vector, HANDLERS + vector);
        mem_write(rig->base.mem, HANDLERS + vector, &hlt, 1);
    }
    put64(rig, GDT + SEL_CODE, 0x00af9b000000ffff);
    put64(rig, GDT + (SEL_USER_DATA & ~7), 0x00cff3000000ffff);
    put64(rig, GDT + (SEL_USER_CODE & ~7), 0x00affb000000ffff);
    put64(rig, TSS + 4, STACK);
}

static void put_state(struct rig *rig)
{
    struct x86_state *s = &rig->state;

    engine_soft.vcpu_get_state(rig->base.vcpu, s);
    s->cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_NE | X86_CR0_PG | X86_CR0_WP;
    s->cr3 = PML4;
    s->cr4 = X86_CR4_PAE | X86_CR4_PGE;
    s->msr.efer = X86_EFER_LME | X86_EFER_LMA | X86_EFER_SCE;
    s->msr.star = 0x10ull << 48 | (uint64_t)SEL_CODE << 32;
    s->idtr = (struct x86_table_register){IDT, 0xfff};
    s->gdtr = (struct x86_table_register){GDT, 0x37};
    s->seg[X86_TR] = (struct x86_segment){
        .base = TSS, .limit = 103, .selector = SEL_TSS, .attr = X86_SEG_P | 0x0b};
    for (unsigned i = 0; i < X86_SEGS; i++)
        s->seg[i] = (struct x86_segment){.attr = X86_SEG_UNUSABLE};
    s->seg[X86_CS] =
        (struct x86_segment){.limit = UINT32_MAX, .selector = SEL_CODE, .attr = 0xa09b};
    s->gpr[X86_RSP] = STACK;
    s->gpr[X86_RIP] = CODE;
    s->rflags = X86_FLAG_ONE;
}

static inline struct rig *create(unsigned translate_after, size_t translate_bytes)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    struct engine_host host = quiet_host(rig);

    assert_non_null(rig);
    host.interrupt_acknowledge = interrupt_acknowledge;
    vcpu_rig_init(&rig->base, &engine_soft, "max");
    rig->base.translate_after = translate_after;
    rig->base.translate_bytes = translate_bytes;
    vcpu_rig_add_ram(&rig->base, 0, MEMORY_BYTES);
    vcpu_rig_start(&rig->base, MMU_EPT, &host, 0);
    put_tables(rig, PML4, TABLES, MOVED);
    put_tables(rig, PML4_OTHER, TABLES_OTHER, OTHER);
    put_descriptors(rig);
    put_state(rig);
    return rig;
}

static inline int setup(void **state)
{
    *state = create(1, 0);
    return 0;
}

static inline int setup_little(void **state)
{
    *state = create(1, ENGINE_TRANSLATE_MIN_BYTES);
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;

    vcpu_rig_fini(&rig->base);
    free(rig);
    return 0;
}

#define PUT(rig, gpa, bytes) mem_write((rig)->base.mem, gpa, bytes, sizeof(bytes) - 1)
#define RAX(rig)             ((rig)->state.gpr[X86_RAX])
#define RCX(rig)             ((rig)->state.gpr[X86_RCX])
#define RIP(rig)             ((rig)->state.gpr[X86_RIP])

static inline const struct engine_counters *counters(const struct rig *rig)
{
    return engine_soft.vcpu_counters(rig->base.vcpu);
}

static inline void run(struct rig *rig, enum engine_stop stop)
{
    engine_soft.vcpu_set_state(rig->base.vcpu, &rig->state);
    assert_int_equal(engine_soft.vcpu_run(rig->base.vcpu), stop);
    engine_soft.vcpu_get_state(rig->base.vcpu, &rig->state);
}

/* Runs from RIP to a HLT; returns how often translated code was entered. */
static inline uint64_t run_from(struct rig *rig, uint64_t rip)
{
    uint64_t before = counters(rig)->translation_entries;

    RIP(rig) = rip;
    run(rig, ENGINE_STOP_HALT);
    return counters(rig)->translation_entries - before;
}

#endif
