/*
 * A vCPU of the soft engine made by hand, without its run loop: guest memory with page tables that
 * map FIXTURE_DATA, 64-bit mode at CPL 0. Instructions are bound and called one by one.
 */
#ifndef UMBRA_TESTS_SOFT_FIXTURE_H
#define UMBRA_TESTS_SOFT_FIXTURE_H

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../one_insn.h"
#include "engine/soft/access.h"
#include "engine/soft/block.h"
#include "mmu/mmu.h"
#include "engine/soft/native.h"
#include "mem/mem.h"
#include "x86/cpuid.h"

#define FIXTURE_DATA        0x10000000u /* linear address of mapped memory */
#define FIXTURE_DATA_GPA    0x200000u
#define FIXTURE_DATA_BYTES  0x200000u
#define FIXTURE_TABLES      0x1000u
#define FIXTURE_CODE        0x400000u /* RIP; nothing is fetched from there */
#define FIXTURE_BLOCK_BYTES (16u << 20)

struct fixture {
    struct cpu cpu;
    struct cpu_model model;
    uint64_t tsc, tsc_offset; /* of the host's counter; what the vCPU said of its own */
    uint64_t tpr;
    /* The last port access. */
    uint16_t port;
    unsigned port_width;
    uint32_t port_value;
    unsigned port_accesses;
};

static uint32_t fixture_port_read(void *opaque, uint16_t port, unsigned width)
{
    struct fixture *f = opaque;

    f->port = port;
    f->port_width = width;
    f->port_accesses++;
    return f->port_value;
}

static void fixture_port_write(void *opaque, uint16_t port, unsigned width, uint32_t value)
{
    struct fixture *f = opaque;

    f->port = port;
    f->port_width = width;
    f->port_value = value;
    f->port_accesses++;
}

static uint64_t fixture_mmio_read(void *opaque, gpa_t gpa, unsigned width)
{
    return 0;
}

static void fixture_mmio_write(void *opaque, gpa_t gpa, unsigned width, uint64_t value)
{
}

static uint64_t fixture_a20(void *opaque)
{
    return UINT64_MAX;
}

static uint64_t fixture_tsc(void *opaque)
{
    return ((struct fixture *)opaque)->tsc;
}

static void fixture_tsc_offset_changed(void *opaque, unsigned vcpu, uint64_t offset)
{
    ((struct fixture *)opaque)->tsc_offset = offset;
}

static uint64_t fixture_tpr_read(void *opaque, unsigned vcpu)
{
    return ((struct fixture *)opaque)->tpr;
}

static void fixture_tpr_write(void *opaque, unsigned vcpu, uint64_t value)
{
    ((struct fixture *)opaque)->tpr = value;
}

/* Knows one MSR of the local APIC. */
static bool fixture_msr_read(void *opaque, unsigned vcpu, uint32_t index, uint64_t *value)
{
    *value = 0xfee00900;
    return index == 0x1b;
}

static bool fixture_msr_write(void *opaque, unsigned vcpu, uint32_t index, uint64_t value)
{
    return index == 0x1b;
}

/* Back to 64-bit mode at CPL 0 with paging and everything else at rest. */
static void fixture_enter_long_mode(struct fixture *f)
{
    struct cpu *cpu = &f->cpu;

    x86_state_reset(&cpu->x, false);
    cpu->x.cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_NE | X86_CR0_MP | X86_CR0_ET;
    cpu->x.cr3 = FIXTURE_TABLES;
    cpu->x.cr4 = X86_CR4_PAE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT;
    cpu->x.msr.efer = X86_EFER_LME | X86_EFER_LMA;
    for (unsigned i = 0; i < X86_SEGS; i++) {
        cpu->x.seg[i].base = 0;
        cpu->x.seg[i].limit = UINT32_MAX;
    }
    cpu->x.seg[X86_CS].attr |= X86_SEG_L;
    cpu->cpl = 0;
    cpu_set_arith(cpu, X86_FLAG_ONE);
    cpu->halted = cpu->interrupt_shadow = false;
    tlb_flush_all(cpu);
    cpu_update_mode(cpu);
}

/* 32-bit code under the same page tables. */
static inline void fixture_enter_compat32(struct fixture *f)
{
    struct cpu *cpu = &f->cpu;

    fixture_enter_long_mode(f);
    for (unsigned i = 0; i < X86_SEGS; i++)
        cpu->x.seg[i].attr |= X86_SEG_DB;
    cpu->x.seg[X86_CS].attr &= (uint16_t)~X86_SEG_L;
    cpu_update_mode(cpu);
}

/* Flat 32-bit protected mode without paging; linear addresses are physical ones. */
static inline void fixture_enter_flat32(struct fixture *f)
{
    struct cpu *cpu = &f->cpu;

    fixture_enter_long_mode(f);
    cpu->x.cr0 &= ~X86_CR0_PG;
    cpu->x.cr4 = 0;
    cpu->x.msr.efer = 0;
    for (unsigned i = 0; i < X86_SEGS; i++)
        cpu->x.seg[i].attr |= X86_SEG_DB;
    cpu->x.seg[X86_CS].attr &= (uint16_t)~X86_SEG_L;
    tlb_flush_all(cpu);
    cpu_update_mode(cpu);
}

static void fixture_map(struct mem *mem)
{
    const uint64_t table = 0x7, page = 0xe7; /* present, writable, user; large, A, D */

    uint64_t pml4e = (FIXTURE_TABLES + 0x1000) | table;
    uint64_t pdpte = (FIXTURE_TABLES + 0x2000) | table;
    uint64_t pde = FIXTURE_DATA_GPA | page;

    mem_write(mem, FIXTURE_TABLES, &pml4e, 8);
    mem_write(mem, FIXTURE_TABLES + 0x1000, &pdpte, 8);
    mem_write(mem, FIXTURE_TABLES + 0x2000 + 8 * (FIXTURE_DATA >> 21), &pde, 8);
}

static struct fixture *fixture_create(const char *model)
{
    struct fixture *f = aligned_alloc(4096, (sizeof(*f) + 4095) & ~(size_t)4095);
    const char *missing;
    struct cpu *cpu = &f->cpu;

    assert_non_null(f);
    memset(f, 0, sizeof(*f));
    if (cpu_model_init(&f->model, model, &missing) != 0) {
        free(f);
        skip();
    }
    cpu->model = &f->model;
    cpu->host = (struct engine_host){
        .opaque = f,
        .port_read = fixture_port_read,
        .port_write = fixture_port_write,
        .mmio_read = fixture_mmio_read,
        .mmio_write = fixture_mmio_write,
        .msr_read = fixture_msr_read,
        .msr_write = fixture_msr_write,
        .tpr_read = fixture_tpr_read,
        .tpr_write = fixture_tpr_write,
        .tsc_now = fixture_tsc,
        .tsc_offset_changed = fixture_tsc_offset_changed,
        .a20_mask = fixture_a20,
    };
    cpu->tlb_entries = TLB_MAX_ENTRIES;
    cpu->tlb_mask = TLB_MAX_ENTRIES - 1;
    for (unsigned kind = 0; kind < TLB_TABLES; kind++)
        tlb_clear_table(cpu, kind);
    cpu->mem = mem_create(NULL);
    assert_non_null(cpu->mem);
    assert_int_equal(
        mem_add_slot(cpu->mem, "low", 0, FIXTURE_DATA_GPA + FIXTURE_DATA_BYTES, MEM_SLOT_RAM), 0);
    fixture_map(cpu->mem);
    cpu->mmu = mmu_create(cpu->mem, &(struct mmu_config){.mode = MMU_EPT});
    assert_non_null(cpu->mmu);
    assert_int_equal(block_cache_create(cpu, FIXTURE_BLOCK_BYTES), 0);
    assert_int_equal(native_create(cpu), 0);
    fixture_enter_long_mode(f);
    return f;
}

static void fixture_destroy(struct fixture *f)
{
    native_sync(&f->cpu);
    native_destroy(&f->cpu);
    block_cache_destroy(&f->cpu);
    mmu_destroy(f->cpu.mmu);
    mem_destroy(f->cpu.mem);
    free(f);
}

/* Runs one instruction at RIP; RIP is put back as the run loop does it. */
static inline enum step fixture_run(struct fixture *f, const void *bytes, size_t len)
{
    struct cpu *cpu = &f->cpu;
    uint64_t rip = cpu->x.gpr[X86_RIP];
    enum step step = one_insn_run(cpu, bytes, len);

    if (step == STEP_AGAIN || (step == STEP_FAULT && !cpu->fault.is_trap))
        cpu->x.gpr[X86_RIP] = rip;
    return step;
}

/* RUN(f, "\x0f\xa2"): the bytes of a string literal. */
#define RUN(f, bytes) fixture_run(f, bytes, sizeof(bytes) - 1)

/* The instruction must raise this vector with this error code (0 where it has none). */
#define assert_raises(f, bytes, expected_vector, expected_error)                                   \
    do {                                                                                           \
        assert_int_equal(RUN(f, bytes), STEP_FAULT);                                               \
        assert_int_equal((f)->cpu.fault.vector, expected_vector);                                  \
        assert_int_equal((f)->cpu.fault.error, expected_error);                                    \
    } while (0)

#endif
