/* Builds the guest around a program and runs it. */
#include "machine.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "../quiet_host.h"
#include "engine/soft/block.h"
#include "engine/soft/vcpu.h"
#include "mem/mem.h"
#include "x86/cpuid.h"

#define PTE_P  BIT(0)
#define PTE_W  BIT(1)
#define PTE_U  BIT(2)
#define PTE_AD (BIT(5) | BIT(6))
#define PTE_G  BIT(8)

#define TSS_BYTES 104

extern const uint8_t kernel_start[], kernel_end[], kernel_vectors[], kernel_syscall[];
extern const uint8_t kernel_intr[], kernel_nmi[];

struct machine {
    struct mem *mem;
    struct mmu *mmu;
    struct engine_vcpu *vcpu;
    struct cpu_model model;
    const struct program *program;
    uint64_t devices, ns;
    atomic_bool done;
};

/* --- what lies behind ports and MMIO --- */

static uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t z = (a ^ b) * 0x9e3779b97f4a7c15u;

    return z ^ z >> 29;
}

/* Each access changes the digest; what is read follows from it. */
static uint64_t access_device(struct machine *m, uint64_t address, unsigned width, uint64_t value)
{
    m->devices = mix(mix(m->devices, address << 8 | width), value);
    return width == 8 ? m->devices : m->devices & (BIT(8 * width) - 1);
}

static uint32_t port_read(void *opaque, uint16_t port, unsigned width)
{
    return (uint32_t)access_device(opaque, port, width, 1);
}

static void port_write(void *opaque, uint16_t port, unsigned width, uint32_t value)
{
    access_device(opaque, port, width, value);
}

static uint64_t mmio_read(void *opaque, gpa_t gpa, unsigned width)
{
    return access_device(opaque, gpa, width, 1);
}

static void mmio_write(void *opaque, gpa_t gpa, unsigned width, uint64_t value)
{
    access_device(opaque, gpa, width, value);
}

static int interrupt_acknowledge(void *opaque, unsigned vcpu)
{
    struct machine *m = opaque;

    engine_soft.vcpu_set_intr(m->vcpu, false);
    return VECTOR_INTR;
}

static uint64_t host_ns(void *opaque)
{
    return ++((struct machine *)opaque)->ns;
}

/* --- the guest's memory --- */

static void put64(struct machine *m, gpa_t gpa, uint64_t value)
{
    mem_write(m->mem, gpa, &value, sizeof(value));
}

static void put_table(struct machine *m, gpa_t table, uint64_t linear, unsigned level, gpa_t next)
{
    put64(m, table + 8 * (linear >> (PAGE_SHIFT + 9 * level) & 511),
          next | PTE_P | PTE_W | PTE_U | PTE_AD);
}

static void put_pages(struct machine *m, gpa_t pt, uint64_t linear, gpa_t gpa, unsigned pages,
                      uint64_t bits)
{
    for (unsigned i = 0; i < pages; i++)
        put64(m, pt + 8 * ((linear >> PAGE_SHIFT & 511) + i),
              (gpa + i * PAGE_SIZE) | PTE_P | PTE_AD | bits);
}

/* Three tables in a row that lead to a window. */
static void put_path(struct machine *m, gpa_t pml4, gpa_t tables, uint64_t linear)
{
    put_table(m, pml4, linear, 3, tables);
    put_table(m, tables, linear, 2, tables + PAGE_SIZE);
    put_table(m, tables + PAGE_SIZE, linear, 1, tables + PT);
}

static void put_low_pages(struct machine *m, gpa_t pt, bool swapped)
{
    uint64_t base = GPA_REGION, bits = PTE_P | PTE_AD | PTE_W | PTE_U;

    put_pages(m, pt, LOW, GPA_REGION, REGION_PAGES, PTE_W | PTE_U);
    put_pages(m, pt, LOW_MMIO, GPA_MMIO, 1, PTE_W | PTE_U);
    put64(m, pt + 8 * 16, (base + 16 * PAGE_SIZE) | (bits & ~PTE_W));
    put64(m, pt + 8 * LAZY_PAGE, (base + LAZY_PAGE * PAGE_SIZE) | (bits & ~PTE_P));
    put64(m, pt + 8 * 18, (base + 18 * PAGE_SIZE) | (bits & ~PTE_U));
    put64(m, pt + 8 * 48, 0); /* above the stack */
    if (!swapped)
        return;
    for (unsigned page = TWIN_PAGE; page < 24; page += page == TWIN_PAGE ? 15 : 100) {
        put64(m, pt + 8 * page, (base + (page + 1) * PAGE_SIZE) | bits);
        put64(m, pt + 8 * (page + 1), (base + page * PAGE_SIZE) | bits);
    }
}

static void build_tables(struct machine *m)
{
    put_path(m, GPA_PML4_A, GPA_LOW_A, LOW);
    put_path(m, GPA_PML4_B, GPA_LOW_B, LOW);
    for (gpa_t pml4 = GPA_PML4_A; pml4 <= GPA_PML4_B; pml4 += PAGE_SIZE) {
        put_path(m, pml4, GPA_EDGE, EDGE);
        put_path(m, pml4, GPA_HIGH, HIGH);
        put_path(m, pml4, GPA_TOP, TOP);
    }
    put_table(m, GPA_HIGH + PAGE_SIZE, SYS, 1, GPA_SYS_PT);
    put_low_pages(m, GPA_LOW_A + PT, false);
    put_low_pages(m, GPA_LOW_B + PT, true);
    put_pages(m, GPA_EDGE + PT, EDGE, GPA_REGION, REGION_PAGES, PTE_U | PTE_W);
    put_pages(m, GPA_EDGE + PT, EDGE, GPA_REGION, CODE_PAGES, PTE_U);
    put_pages(m, GPA_HIGH + PT, HIGH, GPA_REGION, REGION_PAGES, PTE_W | PTE_G);
    put_pages(m, GPA_TOP + PT, TOP, GPA_REGION, REGION_PAGES, PTE_W);
    put_pages(m, GPA_TOP + PT, TOP, GPA_REGION, CODE_PAGES, 0);
    put_pages(m, GPA_SYS_PT, SYS, 0, GPA_REGION / PAGE_SIZE, PTE_W | PTE_G);
    put_pages(m, GPA_SYS_PT, SYS_MMIO, GPA_MMIO, 1, PTE_W | PTE_G);
}

static void put_gate(struct machine *m, unsigned vector, const uint8_t *handler, unsigned ist,
                     unsigned dpl)
{
    uint64_t to = SYS + GPA_KERNEL + (uint64_t)(handler - kernel_start);

    put64(m, GPA_IDT + 16 * vector,
          (to & 0xffff) | SEL_KERNEL_CS << 16 | (0x8e00ull | dpl << 13 | ist) << 32 |
              (to >> 16 & 0xffff) << 48);
    put64(m, GPA_IDT + 16 * vector + 8, to >> 32);
}

extern const uint8_t kernel_stop[];

static void build_descriptors(struct machine *m)
{
    const uint16_t no_io_bitmap = TSS_BYTES;

    for (unsigned vector = 0; vector < 32; vector++)
        put_gate(m, vector, kernel_vectors + 16 * vector, 1, vector == 3 || vector == 4 ? 3 : 0);
    put_gate(m, 2, kernel_nmi, 3, 0);
    put_gate(m, VECTOR_INTR, kernel_intr, 2, 0);
    put_gate(m, VECTOR_CALL, kernel_vectors + 16 * 32, 1, 3);
    put_gate(m, VECTOR_END, kernel_stop, 1, 3);
    put64(m, GPA_GDT + SEL_KERNEL_CS, 0x00af9b000000ffff);
    put64(m, GPA_GDT + SEL_KERNEL_SS, 0x00cf93000000ffff);
    put64(m, GPA_GDT + (SEL_USER_SS & ~7), 0x00cff3000000ffff);
    put64(m, GPA_GDT + (SEL_USER_CS & ~7), 0x00affb000000ffff);
    put64(m, GPA_TSS + 4, SYS + GPA_CALLS_TOP);
    put64(m, GPA_TSS + 36, SYS + GPA_FAULTS_TOP);
    put64(m, GPA_TSS + 44, SYS + GPA_INTR_TOP);
    put64(m, GPA_TSS + 52, SYS + GPA_NMI_TOP);
    mem_write(m->mem, GPA_TSS + 102, &no_io_bitmap, sizeof(no_io_bitmap));
}

/* Where faults and calls of the kernel go on. */
static void build_ways_on(struct machine *m)
{
    static const uint64_t kernel_windows[] = {HIGH, HIGH, TOP, LOW};
    const struct program *program = m->program;
    struct dice dice = {.seed = program->config.seed ^ 0xabcdef};

    for (unsigned i = 0; i < GO_ON; i++) {
        uint32_t to[2];
        bool user = dice_chance(&dice, 160);
        uint64_t window = DICE_PICK(&dice, kernel_windows);

        for (unsigned which = 0; which < 2; which++)
            to[which] = program->slot[dice_below(&dice, program->slots)].offset;
        put64(m, GPA_GO_USER + 8 * i, user ? (LOW + to[0]) | 1 : window + to[0]);
        put64(m, GPA_GO_KERNEL + 8 * i, window + to[1]);
    }
}

static struct x86_segment segment(uint16_t selector, uint16_t attr)
{
    return (struct x86_segment){.limit = UINT32_MAX, .selector = selector, .attr = attr};
}

static void build_registers(const struct machine *m, struct dice *dice, struct x86_state *s)
{
    s->cr0 =
        X86_CR0_PE | X86_CR0_MP | X86_CR0_ET | X86_CR0_NE | X86_CR0_WP | X86_CR0_AM | X86_CR0_PG;
    s->cr3 = GPA_PML4_A;
    s->cr4 = X86_CR4_PAE | X86_CR4_PGE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT;
    if (m->model.has[X86_FEATURE_FSGSBASE])
        s->cr4 |= X86_CR4_FSGSBASE;
    if (m->model.has[X86_FEATURE_SMAP] && dice_chance(dice, 128))
        s->cr4 |= X86_CR4_SMAP;
    if (m->model.has[X86_FEATURE_SMEP] && dice_chance(dice, 64))
        s->cr4 |= X86_CR4_SMEP;
    s->msr.efer = X86_EFER_SCE | X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE;
    s->msr.star = 0x23ull << 48 | (uint64_t)SEL_KERNEL_CS << 32;
    s->msr.lstar = SYS + GPA_KERNEL + (uint64_t)(kernel_syscall - kernel_start);
    s->msr.sfmask = X86_FLAG_TF | X86_FLAG_AC | X86_FLAG_DF;
    s->gdtr = (struct x86_table_register){SYS + GPA_GDT, 0x4f};
    s->idtr = (struct x86_table_register){SYS + GPA_IDT, 0xfff};
    s->seg[X86_TR] = (struct x86_segment){.base = SYS + GPA_TSS,
                                          .limit = TSS_BYTES - 1,
                                          .selector = SEL_TSS,
                                          .attr = X86_SEG_P | 0x0b};
    s->seg[X86_LDTR] = (struct x86_segment){.attr = X86_SEG_UNUSABLE};
}

static void build_state(const struct machine *m, struct x86_state *s)
{
    struct dice dice = {.seed = m->program->config.seed ^ 0x123456};
    bool user = dice_chance(&dice, 128);

    build_registers(m, &dice, s);
    for (unsigned i = 0; i < 16; i++)
        s->gpr[i] = dice_64(&dice);
    for (unsigned i = 0; i < X86_SEGS; i++)
        s->seg[i] = (struct x86_segment){.attr = X86_SEG_UNUSABLE | X86_SEG_DPL};
    s->seg[X86_CS] = user ? segment(SEL_USER_CS, 0xa0fb) : segment(SEL_KERNEL_CS, 0xa09b);
    s->seg[X86_SS] = user ? segment(SEL_USER_SS, 0xc0f3) : segment(SEL_KERNEL_SS, 0xc093);
    s->gpr[X86_R14] = m->program->config.fuel;
    s->gpr[X86_RIP] = user ? LOW : HIGH;
    s->gpr[X86_RSP] = s->gpr[X86_RIP] + STACK_TOP;
    s->rflags = X86_FLAG_ONE | X86_FLAG_IF;
    s->fpu.mxcsr = dice_chance(&dice, 48) ? 0x1e80 : 0x1f80; /* with #IA, or none */
}

/* --- life --- */

static void machine_fini(struct machine *m)
{
    if (m->vcpu)
        engine_soft.vcpu_destroy(m->vcpu);
    mmu_destroy(m->mmu);
    if (m->mem)
        mem_destroy(m->mem);
}

static int machine_init(struct machine *m, const struct machine_config *config)
{
    struct engine_host host = quiet_host(m);
    struct engine_vcpu_config vcpu = {.host = &host,
                                      .model = &m->model,
                                      .tlb_entries = config->tlb_entries,
                                      .translate_after = config->translate_after,
                                      .translate_bytes = config->translate_bytes};
    const char *missing;
    int err = cpu_model_init(&m->model, "max", &missing);

    host.port_read = port_read;
    host.port_write = port_write;
    host.mmio_read = mmio_read;
    host.mmio_write = mmio_write;
    host.interrupt_acknowledge = interrupt_acknowledge;
    host.host_ns = config->count_lookups ? host_ns : NULL;
    m->mem = mem_create(NULL);
    if (err || !m->mem)
        return err ? err : -ENOMEM;
    err = mem_add_slot(m->mem, "ram", 0, GPA_END, MEM_SLOT_RAM);
    if (!err)
        m->mmu = mmu_create(m->mem, &(struct mmu_config){.mode = config->mode});
    if (!err && !m->mmu)
        err = -ENOMEM;
    vcpu.mmu = m->mmu;
    return err ? err : engine_soft.vcpu_create(&m->vcpu, &vcpu);
}

static void build_guest(struct machine *m)
{
    struct x86_state state = {.xcr0 = 1};

    mem_write(m->mem, GPA_REGION, m->program->region, REGION_BYTES);
    mem_write(m->mem, GPA_KERNEL, kernel_start, (size_t)(kernel_end - kernel_start));
    build_tables(m);
    build_descriptors(m);
    build_ways_on(m);
    engine_soft.vcpu_get_state(m->vcpu, &state);
    build_state(m, &state);
    engine_soft.vcpu_set_state(m->vcpu, &state);
}

/* As if a device had written what stands there to the head of a slot: its block goes. */
static void touch_code(struct machine *m, struct dice *dice)
{
    const struct program *program = m->program;
    const struct slot *slot = &program->slot[dice_below(dice, program->slots)];

    block_invalidate_later(soft_vcpu_cpu(m->vcpu), GPA_REGION + slot->offset, 1);
}

/* The other thread: at any moment, whatever may happen without the program seeing it. */
static void *disturb(void *opaque)
{
    struct machine *m = opaque;
    struct dice dice = {.seed = m->program->config.seed};

    while (!atomic_load_explicit(&m->done, memory_order_acquire)) {
        switch (dice_below(&dice, 8)) {
        case 0: engine_soft.vcpu_kick(m->vcpu); break;
        case 1: engine_soft.vcpu_nmi(m->vcpu); break;
        case 2: engine_soft.vcpu_flush(m->vcpu); break;
        case 3: touch_code(m, &dice); break;
        default: engine_soft.vcpu_set_intr(m->vcpu, true); break;
        }
        for (unsigned i = dice_below(&dice, 20000); i > 0; i--)
            atomic_signal_fence(memory_order_seq_cst);
    }
    return NULL;
}

static bool halted_for_good(struct machine *m)
{
    struct x86_state state;

    engine_soft.vcpu_get_state(m->vcpu, &state);
    return !(state.rflags & X86_FLAG_IF) && state.seg[X86_CS].selector == SEL_KERNEL_CS;
}

/* False: it did not end. */
static bool run_to_end(struct machine *m, const struct machine_config *config)
{
    if (config->limited)
        soft_vcpu_limit(m->vcpu, MACHINE_ENDLESS_LOOKS);
    for (;;) {
        enum engine_stop stop = engine_soft.vcpu_run(m->vcpu);

        if (stop == ENGINE_STOP_HALT && halted_for_good(m))
            return true;
        if (stop != ENGINE_STOP_HALT && (stop != ENGINE_STOP_KICK || config->limited))
            return false;
    }
}

int machine_run(const struct program *program, const struct machine_config *config,
                struct outcome *outcome)
{
    struct machine m = {.program = program};
    pthread_t thread;
    int err = machine_init(&m, config);

    if (!err)
        build_guest(&m);
    if (!err && config->disturbed)
        err = -pthread_create(&thread, NULL, disturb, &m);
    if (!err) {
        outcome->endless = !run_to_end(&m, config);
        if (config->disturbed) {
            atomic_store_explicit(&m.done, true, memory_order_release);
            pthread_join(thread, NULL);
        }
        engine_soft.vcpu_get_state(m.vcpu, &outcome->state);
        outcome->counters = *engine_soft.vcpu_counters(m.vcpu);
        outcome->devices = m.devices;
        mem_read(m.mem, 0, outcome->memory, GPA_END);
        memcpy(&outcome->events, outcome->memory + GPA_EVENTS, 8);
    }
    machine_fini(&m);
    return err;
}
