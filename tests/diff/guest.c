/* The soft engine's side of the differential test. */
#include "guest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../quiet_host.h"
#include "mmu/mmu.h"

/* Guest-physical pages. */
enum {
    GPA_PML4 = 0x1000,
    GPA_PDPT_USER = 0x2000,
    GPA_PD_USER = 0x3000,
    GPA_PT_CODE = 0x4000,
    GPA_PT_DATA = 0x5000,
    GPA_PDPT_KERNEL = 0x6000,
    GPA_PD_KERNEL = 0x7000,
    GPA_PT_KERNEL = 0x8000,
    GPA_IDT = 0x9000,
    GPA_GDT = 0xa000,
    GPA_TSS = 0xb000,
    GPA_HANDLERS = 0xc000,
    GPA_STACK = 0xd000,
    GPA_STACK_TOP = 0xe000,
    GPA_CODE = 0x10000,
    GPA_DATA = 0x20000,
    GPA_END = 0x30000
};

#define KERNEL_BASE  0xffff800000000000u /* the guest-physical pages once more, supervisor only */
#define KERNEL_CS    0x10
#define TSS_SELECTOR 0x40
#define TSS_BYTES    104
#define HLT          0xf4
#define INT3         0xcc
#define VECTORS      32
#define PTE_P        BIT(0)
#define PTE_W        BIT(1)
#define PTE_U        BIT(2)
#define PTE_AD       (BIT(5) | BIT(6))
#define PTE_NX       BIT(63)

static void put64(struct diff_guest *guest, gpa_t gpa, uint64_t value)
{
    mem_write(guest->mem, gpa, &value, sizeof(value));
}

static void map_table(struct diff_guest *guest, gpa_t table, uint64_t linear, unsigned level,
                      gpa_t next)
{
    uint64_t index = linear >> (PAGE_SHIFT + 9 * level) & 511;

    put64(guest, table + 8 * index, next | PTE_P | PTE_W | PTE_U | PTE_AD);
}

static void build_tables(struct diff_guest *guest)
{
    map_table(guest, GPA_PML4, DIFF_CODE, 3, GPA_PDPT_USER);
    map_table(guest, GPA_PDPT_USER, DIFF_CODE, 2, GPA_PD_USER);
    map_table(guest, GPA_PD_USER, DIFF_CODE, 1, GPA_PT_CODE);
    map_table(guest, GPA_PD_USER, DIFF_DATA, 1, GPA_PT_DATA);
    map_table(guest, GPA_PML4, KERNEL_BASE, 3, GPA_PDPT_KERNEL);
    map_table(guest, GPA_PDPT_KERNEL, KERNEL_BASE, 2, GPA_PD_KERNEL);
    map_table(guest, GPA_PD_KERNEL, KERNEL_BASE, 1, GPA_PT_KERNEL);
    for (uint64_t at = 0; at < DIFF_CODE_SIZE; at += PAGE_SIZE)
        put64(guest, GPA_PT_CODE + at / PAGE_SIZE * 8, (GPA_CODE + at) | PTE_P | PTE_U | PTE_AD);
    for (uint64_t at = 0; at < DIFF_DATA_SIZE; at += PAGE_SIZE)
        put64(guest, GPA_PT_DATA + at / PAGE_SIZE * 8,
              (GPA_DATA + at) | PTE_P | PTE_U | PTE_AD | PTE_NX | (at < DIFF_DATA_RW ? PTE_W : 0));
    for (uint64_t at = 0; at < GPA_CODE; at += PAGE_SIZE)
        put64(guest, GPA_PT_KERNEL + at / PAGE_SIZE * 8, at | PTE_P | PTE_W | PTE_AD);
}

/* IDT, GDT, TSS and the handlers: each vector has a HLT of its own. */
static void build_descriptors(struct diff_guest *guest)
{
    const uint16_t no_io_bitmap = TSS_BYTES;
    uint8_t hlt[VECTORS];

    memset(hlt, HLT, sizeof(hlt));
    mem_write(guest->mem, GPA_HANDLERS, hlt, sizeof(hlt));
    for (unsigned i = 0; i < VECTORS; i++) {
        uint64_t handler = KERNEL_BASE + GPA_HANDLERS + i;
        uint64_t dpl = i == X86_BP || i == X86_OF ? 3 : 0;

        put64(guest, GPA_IDT + 16 * i,
              (handler & 0xffff) | KERNEL_CS << 16 | (0x8e00 | dpl << 13) << 32 |
                  (handler >> 16 & 0xffff) << 48);
        put64(guest, GPA_IDT + 16 * i + 8, handler >> 32);
    }
    put64(guest, GPA_GDT + KERNEL_CS, 0x00af9b000000ffff);
    put64(guest, GPA_GDT + 0x18, 0x00cf93000000ffff);
    put64(guest, GPA_GDT + (DIFF_CS32 & ~7), 0x00cffb000000ffff);
    put64(guest, GPA_GDT + (DIFF_SS & ~7), 0x00cff3000000ffff);
    put64(guest, GPA_GDT + (DIFF_CS64 & ~7), 0x00affb000000ffff);
    put64(guest, GPA_TSS + 4, KERNEL_BASE + GPA_STACK_TOP); /* RSP0 */
    mem_write(guest->mem, GPA_TSS + 102, &no_io_bitmap, sizeof(no_io_bitmap));
}

static struct x86_segment user_segment(uint16_t selector, uint16_t attr)
{
    return (struct x86_segment){.limit = UINT32_MAX, .selector = selector, .attr = attr};
}

static void build_state(struct diff_guest *guest)
{
    struct x86_state *s = &guest->state;

    s->cr0 =
        X86_CR0_PE | X86_CR0_MP | X86_CR0_ET | X86_CR0_NE | X86_CR0_WP | X86_CR0_AM | X86_CR0_PG;
    s->cr3 = GPA_PML4;
    s->cr4 = X86_CR4_PAE | X86_CR4_PGE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT | X86_CR4_FSGSBASE;
    s->xcr0 = 1;
    if (guest->model.has[X86_FEATURE_XSAVE]) {
        s->cr4 |= X86_CR4_OSXSAVE;
        s->xcr0 = guest->model.has[X86_FEATURE_AVX] ? 7 : 3;
    }
    s->msr.efer = X86_EFER_SCE | X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE;
    s->msr.pat = 0x0007040600070406;
    s->gdtr = (struct x86_table_register){KERNEL_BASE + GPA_GDT, 0x4f};
    s->idtr = (struct x86_table_register){KERNEL_BASE + GPA_IDT, VECTORS * 16 - 1};
    for (unsigned i = 0; i < X86_SEGS; i++)
        s->seg[i] = (struct x86_segment){.attr = X86_SEG_UNUSABLE | X86_SEG_DPL};
    s->seg[X86_SS] = user_segment(DIFF_SS, 0xc0f3);
    s->seg[X86_TR] = (struct x86_segment){.base = KERNEL_BASE + GPA_TSS,
                                          .limit = TSS_BYTES - 1,
                                          .selector = TSS_SELECTOR,
                                          .attr = X86_SEG_P | 0x0b};
    s->seg[X86_LDTR] = (struct x86_segment){.attr = X86_SEG_UNUSABLE};
    s->dr[6] = 0xffff0ff0;
    s->dr[7] = 0x400;
}

int diff_guest_start(struct diff_guest *guest, unsigned translate_after)
{
    const struct engine_host host = quiet_host(NULL);
    const char *missing;
    int err;

    memset(guest, 0, sizeof(*guest));
    err = cpu_model_init(&guest->model, "max", &missing);
    if (err)
        return err;
    guest->model.tsc_hz = host.tsc_hz;
    guest->mem = mem_create(NULL);
    if (!guest->mem)
        return -ENOMEM;
    err = mem_add_slot(guest->mem, "ram", 0, GPA_END, MEM_SLOT_RAM);
    if (err)
        return err;
    build_tables(guest);
    build_descriptors(guest);
    build_state(guest);
    memset(mem_host(guest->mem, GPA_CODE, DIFF_CODE_SIZE, true), INT3, DIFF_CODE_SIZE);
    guest->last_start = DIFF_CODE;
    guest->mmu = mmu_create(guest->mem, &(struct mmu_config){.mode = MMU_EPT});
    if (!guest->mmu)
        return -ENOMEM;
    return engine_soft.vcpu_create(
        &guest->vcpu, &(struct engine_vcpu_config){.mmu = guest->mmu,
                                                   .host = &host,
                                                   .model = &guest->model,
                                                   .translate_after = translate_after});
}

void diff_guest_stop(struct diff_guest *guest)
{
    if (guest->vcpu)
        engine_soft.vcpu_destroy(guest->vcpu);
    mmu_destroy(guest->mmu);
    if (guest->mem)
        mem_destroy(guest->mem);
}

static void put_code(struct diff_guest *guest, const struct diff_case *c)
{
    uint8_t fill[DIFF_MAX_BYTES];

    memset(fill, INT3, sizeof(fill));
    mem_write(guest->mem, GPA_CODE + (guest->last_start - DIFF_CODE), fill, guest->last_len);
    mem_write(guest->mem, GPA_CODE + (c->start - DIFF_CODE), c->code, c->len);
    guest->last_start = c->start;
    guest->last_len = c->len;
}

static void put_state(struct diff_guest *guest, const struct diff_case *c)
{
    struct x86_state *s = &guest->state;
    const struct diff_state *b = &c->before;

    memcpy(s->gpr, b->gpr, sizeof(b->gpr));
    s->gpr[X86_RIP] = b->rip;
    s->rflags = b->rflags | X86_FLAG_IF;
    s->seg[X86_CS] = c->compat ? user_segment(DIFF_CS32, 0xc0fb) : user_segment(DIFF_CS64, 0xa0fb);
    for (unsigned i = X86_DS; i <= X86_GS; i++)
        s->seg[i] = c->compat ? user_segment(DIFF_SS, 0xc0f3)
                              : (struct x86_segment){.attr = X86_SEG_UNUSABLE | X86_SEG_DPL};
    s->seg[X86_ES] = s->seg[X86_DS];
    s->seg[X86_FS].base = b->fs_base;
    s->seg[X86_GS].base = b->gs_base;
    memcpy(s->fpu.ymm, b->ymm, sizeof(s->fpu.ymm));
    memcpy(s->fpu.st, b->st, sizeof(s->fpu.st));
    s->fpu.fcw = b->fcw;
    s->fpu.fsw = b->fsw;
    s->fpu.ftw = b->ftw;
    s->fpu.mxcsr = b->mxcsr;
    s->fpu.fip = s->fpu.fdp = 0;
    engine_soft.vcpu_set_state(guest->vcpu, s);
}

static bool has_error_code(int vector)
{
    return vector == X86_DF || (vector >= X86_TS && vector <= X86_PF) || vector == X86_AC;
}

/* Takes the user's state out of the exception frame; false when the HLT is none of the handlers'.
 */
static bool get_state(struct diff_guest *guest, struct diff_state *after)
{
    struct x86_state s;
    uint64_t frame[5], handler;

    engine_soft.vcpu_get_state(guest->vcpu, &s);
    handler = s.gpr[X86_RIP] - 1 - KERNEL_BASE - GPA_HANDLERS;
    if (handler >= VECTORS)
        return false;
    *after = (struct diff_state){.vector = (int)handler};
    mem_read(guest->mem, GPA_STACK_TOP - sizeof(frame), frame, sizeof(frame));
    if (s.gpr[X86_RSP] !=
        KERNEL_BASE + GPA_STACK_TOP - sizeof(frame) - (has_error_code(after->vector) ? 8 : 0))
        return false;
    memcpy(after->gpr, s.gpr, sizeof(after->gpr));
    after->rip = frame[0];
    after->rflags = frame[2];
    after->gpr[X86_RSP] = frame[3];
    after->fs_base = s.seg[X86_FS].base;
    after->gs_base = s.seg[X86_GS].base;
    memcpy(after->ymm, s.fpu.ymm, sizeof(after->ymm));
    memcpy(after->st, s.fpu.st, sizeof(after->st));
    after->fcw = s.fpu.fcw;
    after->fsw = s.fpu.fsw;
    after->ftw = s.fpu.ftw;
    after->mxcsr = s.fpu.mxcsr;
    if (after->vector == X86_PF)
        after->fault_address = s.cr2;
    return true;
}

int diff_guest_run(struct diff_guest *guest, const struct diff_case *c, struct diff_state *after,
                   uint8_t *data)
{
    const struct engine_counters *counters = engine_soft.vcpu_counters(guest->vcpu);
    uint8_t *memory = mem_host(guest->mem, GPA_DATA, DIFF_DATA_SIZE, true);
    uint64_t host_faults = counters->host_faults;

    put_code(guest, c);
    memcpy(memory, c->data, DIFF_DATA_SIZE);
    put_state(guest, c);
    if (engine_soft.vcpu_run(guest->vcpu) != ENGINE_STOP_HALT || !get_state(guest, after))
        return -EIO;
    if (counters->host_faults != host_faults) /* the guest need not notice, but it is a mistake */
        return -EFAULT;
    memcpy(data, memory, DIFF_DATA_SIZE);
    return 0;
}
