/* Builds the guest and runs it. See guest.h. */
#include "guest.h"

#include <errno.h>

#include "../../quiet_host.h"
#include "engine/soft/vcpu.h"
#include "mem/mem.h"
#include "x86/cpuid.h"
#include "x86/descriptor.h"

#define VECTORS     32
#define LOOKS       20000 /* of an interpreted run, from one event to the next */
#define FRAME_BYTES 64

struct guest {
    const struct program *program;
    const struct guest_config *config;
    struct mem *mem;
    struct mmu *mmu;
    struct cpu_model model;
    struct engine_vcpu *vcpu;
    struct dice dice;
    uint64_t descriptors[SEGMENTS];
};

static uint64_t host_ns(void *opaque)
{
    return 0;
}

static void put64(struct guest *g, gpa_t gpa, uint64_t value)
{
    mem_write(g->mem, gpa, &value, sizeof(value));
}

/* --- what programs may have spoiled --- */

static void make_descriptors(struct guest *g)
{
    static const struct {
        uint32_t base, limit;
        uint16_t attr;
        bool own;
    } rows[SEGMENTS] = {
#define D(name, base, limit, attr, own) {base, limit, attr, own},
        DESCRIPTORS(D)
#undef D
    };

    for (unsigned i = 0; i < SEGMENTS; i++) {
        uint64_t attr = rows[i].attr;

        if (rows[i].own && g->program->config.user)
            attr |= X86_SEG_DPL;
        g->descriptors[i] = (rows[i].limit & 0xffff) | (uint64_t)(rows[i].base & 0xffffff) << 16 |
                            (attr & 0xff) << 40 | (uint64_t)(rows[i].limit >> 16) << 48 |
                            (attr >> 12) << 52 | (uint64_t)(rows[i].base >> 24) << 56;
    }
}

static void put_gates(struct guest *g)
{
    bool wide = g->config->compatibility;
    unsigned cs = 8 * (wide ? SEGMENT_SYSTEM_CODE_64 : SEGMENT_SYSTEM_CODE_32);
    uint64_t gates[2 * VECTORS] = {0};
    uint8_t handlers[VECTORS];

    memset(handlers, 0xf4, sizeof(handlers));
    for (unsigned i = 0; i < VECTORS; i++)
        gates[wide ? 2 * i : i] = (GPA_HANDLERS + i) | (uint64_t)cs << 16 | 0xee00ull << 32;
    mem_write(g->mem, GPA_IDT, gates, sizeof(gates));
    mem_write(g->mem, GPA_HANDLERS, handlers, sizeof(handlers));
    put64(g, GPA_TSS + 4, GPA_STACK | (wide ? 0 : (uint64_t)(8 * SEGMENT_SYSTEM_FLAT) << 32));
}

static void put_system(struct guest *g)
{
    put64(g, GPA_TABLES, (GPA_TABLES + 0x1000) | 0x27);
    put64(g, GPA_TABLES + 0x1000, (GPA_TABLES + 0x2000) | 0x27);
    put64(g, GPA_TABLES + 0x2000, 0xe7);
    mem_write(g->mem, GPA_GDT, g->descriptors, sizeof(g->descriptors));
    put_gates(g);
}

/* --- where it goes on --- */

static struct x86_segment segment(const struct guest *g, unsigned number)
{
    return x86_segment_parse(g->descriptors[number], program_selector(&g->program->config, number));
}

/* A data segment as a load would have let it in, or null. */
static struct x86_segment pick_data(struct guest *g)
{
    struct x86_segment s = segment(g, program_pick_data(&g->dice));
    unsigned cpl = g->program->config.user ? 3 : 0;

    if (!x86_attr_is_readable(s.attr) || !x86_attr_present(s.attr) ||
        !x86_attr_reachable(s.attr, cpl, cpl))
        return x86_segment_null(0, 0);
    s.attr |= X86_SEG_ACCESSED;
    return s;
}

static struct x86_segment pick_stack(struct guest *g)
{
    static const uint8_t stacks[] = {SEGMENT_FLAT,      SEGMENT_FLAT,        SEGMENT_FLAT,
                                     SEGMENT_BASED,     SEGMENT_NEARLY_FLAT, SEGMENT_STACK_16,
                                     SEGMENT_DOWN_WIDE, SEGMENT_DOWN,        SEGMENT_BASED_BY_4};

    return segment(g, DICE_PICK(&g->dice, stacks));
}

static void go_on(struct guest *g, struct x86_state *s)
{
    static const uint8_t data[] = {X86_ES, X86_DS, X86_FS, X86_GS};
    bool wide = g->config->compatibility, flat = dice_chance(&g->dice, 128);

    s->cr0 = X86_CR0_PE | X86_CR0_MP | X86_CR0_ET | X86_CR0_NE | X86_CR0_WP;
    s->cr3 = GPA_TABLES;
    s->cr4 = X86_CR4_PAE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT;
    s->msr.efer = 0;
    if (wide) {
        s->cr0 |= X86_CR0_PG;
        s->msr.efer = X86_EFER_LME | X86_EFER_LMA;
    }
    s->gdtr = (struct x86_table_register){GPA_GDT, sizeof(g->descriptors) - 1};
    s->idtr = (struct x86_table_register){GPA_IDT, 16 * VECTORS - 1};
    s->seg[X86_TR] = (struct x86_segment){
        .base = GPA_TSS, .limit = 103, .selector = 0xf8, .attr = X86_SEG_P | 0x0b};
    s->seg[X86_LDTR] = x86_segment_null(0, 0);
    s->seg[X86_CS] = segment(g, flat ? SEGMENT_CODE : program_pick_code(&g->dice));
    s->seg[X86_SS] = flat ? segment(g, SEGMENT_FLAT) : pick_stack(g);
    for (unsigned i = 0; i < ARRAY_SIZE(data); i++) {
        bool any = (!flat || data[i] >= X86_FS) && dice_chance(&g->dice, 96);

        s->seg[data[i]] = any ? pick_data(g) : segment(g, SEGMENT_FLAT);
    }
    s->rflags = X86_FLAG_ONE;
    s->dr[7] = 0x400;
    s->gpr[X86_RSP] = STACK_TOP;
    s->gpr[X86_RBP] = FUEL;
    s->gpr[X86_RIP] = program_slot(dice_below(&g->dice, SLOTS));
}

/* --- life --- */

static int guest_init(struct guest *g)
{
    struct engine_host host = quiet_host(g);
    struct engine_vcpu_config vcpu = {.host = &host,
                                      .model = &g->model,
                                      .tlb_entries = g->config->tlb_entries,
                                      .translate_after = g->config->translate_after,
                                      .translate_bytes = g->config->translate_bytes};
    const char *missing;
    int err = cpu_model_init(&g->model, "max", &missing);

    host.host_ns = g->config->count_lookups ? host_ns : NULL;
    g->mem = mem_create(NULL);
    if (err || !g->mem)
        return err ? err : -ENOMEM;
    err = mem_add_slot(g->mem, "ram", 0, GPA_END, MEM_SLOT_RAM);
    if (!err)
        g->mmu = mmu_create(g->mem, &(struct mmu_config){.mode = g->config->mmu});
    if (!err && !g->mmu)
        err = -ENOMEM;
    vcpu.mmu = g->mmu;
    return err ? err : engine_soft.vcpu_create(&g->vcpu, &vcpu);
}

static void guest_fini(struct guest *g)
{
    if (g->vcpu)
        engine_soft.vcpu_destroy(g->vcpu);
    mmu_destroy(g->mmu);
    if (g->mem)
        mem_destroy(g->mem);
}

/* FNV-1a (Fowler, Noll, Vo). */
static uint64_t digest(uint64_t so_far, const void *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        so_far = (so_far ^ ((const uint8_t *)bytes)[i]) * 0x100000001b3u;
    return so_far;
}

static void note(struct guest *g, struct event *event)
{
    const struct x86_state *s = &event->state;
    uint8_t frame[FRAME_BYTES];
    uint64_t d = digest(0xcbf29ce484222325u, s->gpr, sizeof(s->gpr));

    mem_read(g->mem, GPA_STACK - FRAME_BYTES, frame, sizeof(frame));
    d = digest(d, frame, sizeof(frame));
    d = digest(d, &s->rflags, sizeof(s->rflags));
    d = digest(d, &s->cr2, sizeof(s->cr2));
    for (unsigned i = 0; i < X86_SEGS; i++)
        d = digest(d, &s->seg[i], sizeof(s->seg[i]));
    d = digest(d, s->fpu.ymm, sizeof(s->fpu.ymm));
    event->digest = d;
}

static void run(struct guest *g, struct outcome *outcome)
{
    struct x86_state state;

    engine_soft.vcpu_get_state(g->vcpu, &state);
    for (outcome->events = 0; outcome->events < g->config->events; outcome->events++) {
        struct event *event = &outcome->event[outcome->events];

        put_system(g);
        go_on(g, &state);
        engine_soft.vcpu_set_state(g->vcpu, &state);
        if (g->config->limited)
            soft_vcpu_limit(g->vcpu, LOOKS);
        event->stop = engine_soft.vcpu_run(g->vcpu);
        if (event->stop == ENGINE_STOP_KICK)
            break;
        engine_soft.vcpu_get_state(g->vcpu, &state);
        event->state = state;
        note(g, event);
        outcome->counters = *engine_soft.vcpu_counters(g->vcpu);
        mem_read(g->mem, 0, outcome->memory, GPA_END);
    }
}

int guest_run(const struct program *program, const struct guest_config *config,
              struct outcome *outcome)
{
    struct guest g = {
        .program = program, .config = config, .dice.seed = program->config.seed ^ 0x5e65e6};
    int err = guest_init(&g);

    if (!err) {
        make_descriptors(&g);
        mem_write(g.mem, CODE_AT, program->code, CODE_BYTES);
        mem_write(g.mem, CODE_AT + BASE, program->code, CODE_BYTES);
        mem_write(g.mem, DATA_AT, program->data, DATA_BYTES);
        mem_write(g.mem, DATA_AT + BASE, program->data, DATA_BYTES);
        run(&g, outcome);
    }
    guest_fini(&g);
    return err;
}
