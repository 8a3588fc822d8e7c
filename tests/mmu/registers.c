/* Register changes, by the guest and by the model. */
#include "registers.h"

#include <string.h>

#include "judge.h"

#define CR3_KEEP BIT(63)

static bool paging(const struct world *w)
{
    return w->r.cr0 & X86_CR0_PG;
}

bool registers_agree(struct world *w)
{
    const struct x86_state *x = &w->g.cpu->x;
    uint64_t efer = w->r.efer;

    if ((w->r.cr0 & X86_CR0_PG) && (efer & X86_EFER_LME))
        efer |= X86_EFER_LMA;
    if (x->cr0 != w->r.cr0 || x->cr3 != w->r.cr3 || x->cr4 != w->r.cr4 || x->msr.efer != efer)
        return world_fail(w, "control registers differ: cr0 %#llx cr3 %#llx cr4 %#llx efer %#llx",
                          (unsigned long long)x->cr0, (unsigned long long)x->cr3,
                          (unsigned long long)x->cr4, (unsigned long long)x->msr.efer);
    if (naive_format(&w->r) == NAIVE_PAE && memcmp(x->pdpte, w->r.pdpte, sizeof(x->pdpte)) != 0)
        return world_fail(w, "PDPTE registers differ");
    return true;
}

/* After the guest's load: it must have faulted, or not. */
static bool loaded(struct world *w, enum step step, bool faults)
{
    const struct cpu *cpu = w->g.cpu;

    w->count.switches++;
    if (faults && (step != STEP_FAULT || cpu->fault.vector != X86_GP || cpu->fault.error != 0))
        return world_fail(w, "the load must raise #GP");
    if (!faults && step == STEP_FAULT)
        return world_fail(w, "the load raises exception %u", cpu->fault.vector);
    return true;
}

/* PAE paging's registers under the new values; true: #GP. */
static bool pdptes_fault(struct world *w, struct naive_regs *next, bool reload)
{
    if (!reload || naive_format(next) != NAIVE_PAE)
        return false;
    return !naive_load_pdptes(next, next->cr3, model_entry, &w->m, next->pdpte);
}

bool registers_cr0(struct world *w, uint64_t value)
{
    struct naive_regs next = w->r;
    uint64_t changed = value ^ w->r.cr0;
    bool faults;

    next.cr0 = value;
    faults = pdptes_fault(w, &next, changed & (X86_CR0_PG | X86_CR0_CD | X86_CR0_NW));
    world_say(w, "MOV CR0 %#llx%s", (unsigned long long)value, faults ? " #GP" : "");
    guest_set_privilege(&w->g, false, false);
    if (!loaded(w, cpu_write_cr0(w->g.cpu, value), faults))
        return false;
    if (!faults) {
        w->r = next;
        if (changed & X86_CR0_PG)
            stale_flush_all(&w->s, &w->m, &w->r);
    }
    return registers_agree(w);
}

bool registers_cr3(struct world *w, uint64_t value)
{
    struct naive_regs next = w->r;
    bool pcide = w->r.cr4 & X86_CR4_PCIDE, keep = pcide && (value & CR3_KEEP), faults;

    next.cr3 = keep ? value & ~CR3_KEEP : value;
    faults = pdptes_fault(w, &next, true);
    world_say(w, "MOV CR3 %#llx%s", (unsigned long long)value, faults ? " #GP" : "");
    guest_set_privilege(&w->g, false, false);
    if (!loaded(w, cpu_write_cr3(w->g.cpu, value), faults))
        return false;
    if (!faults) {
        w->r = next;
        stale_switch_root(&w->s, &w->m, &w->r);
        if (!keep)
            stale_flush_pcid(&w->s, &w->m, stale_pcid(&w->r));
    }
    return registers_agree(w);
}

bool registers_cr4(struct world *w, uint64_t value)
{
    const uint64_t loads = X86_CR4_PAE | X86_CR4_PGE | X86_CR4_PSE | X86_CR4_SMEP;
    struct naive_regs next = w->r;
    uint64_t changed = value ^ w->r.cr4;
    bool faults;

    next.cr4 = value;
    faults = pdptes_fault(w, &next, changed & loads);
    world_say(w, "MOV CR4 %#llx%s", (unsigned long long)value, faults ? " #GP" : "");
    guest_set_privilege(&w->g, false, false);
    if (!loaded(w, cpu_write_cr4(w->g.cpu, value), faults))
        return false;
    if (!faults) {
        w->r = next;
        stale_switch_root(&w->s, &w->m, &w->r);
        if ((changed & (X86_CR4_PGE | X86_CR4_PAE)) || (changed & ~value & X86_CR4_PCIDE))
            stale_flush_all(&w->s, &w->m, &w->r);
        else if ((changed & X86_CR4_PSE) || (changed & value & X86_CR4_SMEP))
            stale_flush_pcid(&w->s, &w->m, stale_pcid(&w->r));
    }
    return registers_agree(w);
}

bool registers_efer(struct world *w, uint64_t value)
{
    struct cpu *cpu = w->g.cpu;
    uint64_t changed = value ^ w->r.efer;

    world_say(w, "WRMSR EFER %#llx", (unsigned long long)value);
    guest_set_privilege(&w->g, false, false);
    cpu->x.gpr[X86_RCX] = 0xc0000080;
    cpu->x.gpr[X86_RAX] = (uint32_t)value;
    cpu->x.gpr[X86_RDX] = value >> 32;
    if (!loaded(w, GUEST_RUN(&w->g, "\x0f\x30"), false))
        return false;
    w->r.efer = value;
    if (changed & X86_EFER_NXE)
        stale_flush_all(&w->s, &w->m, &w->r);
    return registers_agree(w);
}

bool registers_invlpg(struct world *w, gva_t gva)
{
    world_say(w, "INVLPG %#llx", (unsigned long long)gva);
    w->count.flushes++;
    guest_set_privilege(&w->g, false, false);
    w->g.cpu->x.gpr[X86_RAX] = gva;
    if (GUEST_RUN(&w->g, "\x0f\x01\x38") == STEP_FAULT)
        return world_fail(w, "INVLPG faults");
    stale_flush_page(&w->s, &w->m, stale_pcid(&w->r), gva, true);
    return true;
}

/* Writes the descriptor and reads it once; *there: no fault. */
static bool put_descriptor(struct world *w, const uint64_t descriptor[2], bool *there)
{
    struct judge_access access = {.gva = world_window(w, WORLD_OPERANDS), .size = 16};
    struct judge_outcome outcome;

    memcpy(access.data, descriptor, 16);
    access.kind = JUDGE_WRITE;
    if (!judge(w, &access, judge_act, &outcome))
        return false;
    *there = !outcome.fault;
    access.kind = JUDGE_READ;
    if (*there && !judge(w, &access, judge_act, &outcome))
        return false;
    *there = *there && !outcome.fault && memcmp(outcome.data, descriptor, 16) == 0;
    return true;
}

bool registers_invpcid(struct world *w, unsigned type, uint16_t pcid, gva_t gva)
{
    uint64_t descriptor[2] = {pcid, gva};
    struct cpu *cpu = w->g.cpu;
    bool there;

    world_say(w, "INVPCID type %u PCID %u address %#llx", type, pcid, (unsigned long long)gva);
    if (!put_descriptor(w, descriptor, &there))
        return false;
    if (!there)
        return true;
    w->count.flushes++;
    guest_set_privilege(&w->g, false, false);
    cpu->x.gpr[X86_RAX] = world_window(w, WORLD_OPERANDS);
    cpu->x.gpr[X86_RCX] = type;
    if (GUEST_RUN(&w->g, "\x66\x0f\x38\x82\x08") == STEP_FAULT)
        return world_fail(w, "INVPCID raises exception %u", cpu->fault.vector);
    switch (type) {
    case INVPCID_ADDRESS: stale_flush_page(&w->s, &w->m, pcid, gva, false); break;
    case INVPCID_CONTEXT: stale_flush_pcid(&w->s, &w->m, pcid); break;
    case INVPCID_ALL: stale_flush_all(&w->s, &w->m, &w->r); break;
    default: stale_flush_nonglobal(&w->s, &w->m); break;
    }
    return true;
}

bool registers_flush(struct world *w)
{
    uint64_t before = w->s.all;

    w->count.flushes++;
    if (world_chance(w, 500) && paging(w) && !registers_invpcid(w, INVPCID_ALL, 0, 0))
        return false;
    if (before == w->s.all && !registers_cr4(w, w->r.cr4 ^ X86_CR4_PGE))
        return false;
    if (before != w->s.all)
        return true;
    /* The PDPTEs let no CR4 through: slots that "change" flush as well. */
    world_say(w, "slots change");
    guest_slots_changed(&w->g);
    stale_flush_all(&w->s, &w->m, &w->r);
    return true;
}

static bool paging_off(struct world *w)
{
    if (!paging(w))
        return true;
    if ((w->r.cr4 & X86_CR4_PCIDE) && !registers_cr4(w, w->r.cr4 & ~X86_CR4_PCIDE))
        return false;
    guest_set_code64(&w->g, false);
    return registers_cr0(w, w->r.cr0 & ~X86_CR0_PG);
}

bool registers_format(struct world *w, enum naive_format format, unsigned root)
{
    uint64_t cr4, efer;

    if (!paging_off(w))
        return false;
    cr4 = w->r.cr4 & ~X86_CR4_PAE;
    efer = w->r.efer & ~X86_EFER_LME;
    if (format == NAIVE_PAE || format == NAIVE_4LEVEL)
        cr4 |= X86_CR4_PAE;
    if (format == NAIVE_4LEVEL)
        efer |= X86_EFER_LME;
    if (!registers_cr4(w, cr4) || !registers_efer(w, efer))
        return false;
    if (format == NAIVE_OFF)
        return true;
    if (!registers_cr3(w, world_root(format, root)) || !registers_cr0(w, w->r.cr0 | X86_CR0_PG))
        return false;
    guest_set_code64(&w->g, format == NAIVE_4LEVEL);
    return true;
}
