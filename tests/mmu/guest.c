/* Makes the guest under test, and lets it act. */
#include "guest.h"

#include <stdio.h>
#include <string.h>

#include "../one_insn.h"
#include "../quiet_host.h"
#include "engine/soft/paging.h"
#include "engine/soft/vcpu.h"
#include "model.h"

uint8_t guest_mmio_byte(gpa_t gpa)
{
    return (uint8_t)(gpa * 0x9e3779b97f4a7c15u >> 56);
}

static uint64_t mmio_read(void *opaque, gpa_t gpa, unsigned width)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < width; i++)
        value |= (uint64_t)guest_mmio_byte(gpa + i) << (8 * i);
    return value;
}

static void mmio_write(void *opaque, gpa_t gpa, unsigned width, uint64_t value)
{
    struct guest *g = opaque;

    for (unsigned i = 0; i < width && g->mmio_count < GUEST_MMIO_BYTES; i++) {
        g->mmio[g->mmio_count].gpa = gpa + i;
        g->mmio[g->mmio_count++].byte = (uint8_t)(value >> (8 * i));
    }
}

static uint64_t a20_mask(void *opaque)
{
    return ((struct guest *)opaque)->a20_mask;
}

static bool add_slots(struct mem *mem)
{
    return mem_add_slot(mem, "low", MODEL_LOW_BASE, MODEL_LOW_BYTES, MEM_SLOT_RAM) == 0 &&
           mem_add_slot(mem, "rom", MODEL_ROM_BASE, MODEL_ROM_BYTES, MEM_SLOT_ROM) == 0 &&
           mem_add_slot(mem, "hot", MODEL_HOT_BASE, MODEL_HOT_BYTES, MEM_SLOT_RAM) == 0 &&
           mem_add_slot(mem, "high", MODEL_HIGH_BASE, MODEL_HIGH_BYTES, MEM_SLOT_RAM) == 0 &&
           mem_add_slot(mem, "big", MODEL_BIG_BASE, MODEL_BIG_BYTES, MEM_SLOT_RAM) == 0 &&
           mem_add_slot(mem, "far", MODEL_FAR_BASE, MODEL_FAR_BYTES, MEM_SLOT_RAM) == 0;
}

/*
 * The instructions under test do their work in C, whatever the host has: the model gets every
 * feature that paging knows.
 */
static void give_features(struct cpu_model *model)
{
    static const enum x86_feature features[] = {
        X86_FEATURE_PSE,     X86_FEATURE_PAE,  X86_FEATURE_PGE,
        X86_FEATURE_NX,      X86_FEATURE_PCID, X86_FEATURE_INVPCID,
        X86_FEATURE_PDPE1GB, X86_FEATURE_SMEP, X86_FEATURE_SMAP,
    };

    for (unsigned i = 0; i < ARRAY_SIZE(features); i++)
        model->has[features[i]] = true;
}

static void protected_mode(struct guest *g)
{
    struct x86_state x;

    engine_soft.vcpu_get_state(g->vcpu, &x);
    x.cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_NE;
    for (unsigned i = 0; i < X86_SEGS; i++) {
        x.seg[i].base = 0;
        x.seg[i].limit = UINT32_MAX;
        x.seg[i].attr |= X86_SEG_DB | X86_SEG_G;
    }
    engine_soft.vcpu_set_state(g->vcpu, &x);
}

bool guest_create(struct guest *g, const struct guest_config *config)
{
    struct engine_host host = quiet_host(g);
    struct mmu_config mmu = {.mode = config->mode,
                             .shadow_pages = config->shadow_pages,
                             .unsync_off = config->unsync_off};
    struct engine_vcpu_config vcpu = {.host = &host, .model = &g->model};
    const char *missing = "";

    memset(g, 0, sizeof(*g));
    g->a20_mask = UINT64_MAX;
    host.mmio_read = mmio_read;
    host.mmio_write = mmio_write;
    host.a20_mask = a20_mask;
    if (cpu_model_init(&g->model, "x86-64-v1", &missing) != 0) {
        fprintf(stderr, "random_paging: this host has no %s\n", missing);
        return false;
    }
    give_features(&g->model);
    g->mem = mem_create(NULL);
    if (g->mem && add_slots(g->mem))
        g->mmu = mmu_create(g->mem, &mmu);
    vcpu.mmu = g->mmu;
    vcpu.tlb_entries = config->tlb_entries;
    if (!g->mmu || engine_soft.vcpu_create(&g->vcpu, &vcpu) != 0) {
        fprintf(stderr, "random_paging: the guest can't be made: no memory\n");
        guest_destroy(g);
        return false;
    }
    g->cpu = soft_vcpu_cpu(g->vcpu);
    protected_mode(g);
    return true;
}

void guest_destroy(struct guest *g)
{
    if (g->vcpu)
        engine_soft.vcpu_destroy(g->vcpu);
    mmu_destroy(g->mmu);
    mem_destroy(g->mem);
    memset(g, 0, sizeof(*g));
}

void guest_set_privilege(struct guest *g, bool user, bool ac)
{
    struct cpu *cpu = g->cpu;
    uint16_t dpl = user ? 3 << X86_SEG_DPL_SHIFT : 0;

    for (unsigned i = 0; i < X86_SEGS; i++)
        cpu->x.seg[i].attr = (cpu->x.seg[i].attr & (uint16_t)~X86_SEG_DPL) | dpl;
    cpu->cpl = user ? 3 : 0;
    cpu_put_rflags(cpu, ac ? X86_FLAG_AC : 0);
    cpu_update_mode(cpu);
}

void guest_set_code64(struct guest *g, bool code64)
{
    uint16_t *attr = &g->cpu->x.seg[X86_CS].attr;

    *attr &= (uint16_t) ~(X86_SEG_L | X86_SEG_DB);
    *attr |= code64 ? X86_SEG_L : X86_SEG_DB;
    cpu_update_mode(g->cpu);
}

enum step guest_run(struct guest *g, const void *bytes, size_t len)
{
    struct cpu *cpu = g->cpu;
    uint64_t rip = cpu->x.gpr[X86_RIP];
    enum step step = one_insn_run(cpu, bytes, len);

    cpu->x.gpr[X86_RIP] = rip;
    return step;
}

void guest_slots_changed(struct guest *g)
{
    mmu_follow_slots(g->mmu);
    paging_changed(g->cpu);
}

void guest_set_a20(struct guest *g, bool on)
{
    g->a20_mask = on ? UINT64_MAX : ~BIT(20);
    mmu_a20_changed(g->mmu);
    paging_changed(g->cpu);
}
