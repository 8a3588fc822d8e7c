/*
 * The processor's four breakpoint registers: who gets which, and what a debug exception says of
 * them. Nothing here asks KVM, so that made-up exits test it.
 * Source: SDM 3 "Debug Registers", "Debug Control Register (DR7)", "Breakpoint Field Recognition".
 */
#include <string.h>

#include "engine/kvm/internal.h"

/* The longest piece of a watchpoint that one register covers: aligned, a power of two. */
static unsigned piece_bytes(gva_t start, uint64_t bytes)
{
    unsigned piece = 8;

    while (start % piece || piece > bytes)
        piece /= 2;
    return piece;
}

static unsigned place(struct kvm_debug_slot *slots, unsigned used, struct kvm_debug_slot slot)
{
    for (unsigned i = 0; i < MIN(used, KVM_DEBUG_REGISTERS); i++) {
        if (slots[i].use == slot.use && slots[i].use == KVM_SLOT_BREAKPOINT &&
            slots[i].address == slot.address)
            return used;
    }
    if (used < KVM_DEBUG_REGISTERS)
        slots[used] = slot;
    return used + 1;
}

unsigned kvm_debug_place(const struct engine_debug *debug, bool breakpoints,
                         struct kvm_debug_slot *slots, unsigned used)
{
    for (unsigned i = 0; breakpoints && i < debug->breakpoints; i++)
        used = place(slots, used,
                     (struct kvm_debug_slot){.use = KVM_SLOT_BREAKPOINT,
                                             .address = debug->breakpoint[i],
                                             .kind = X86_BREAK_EXECUTE});
    for (unsigned i = 0; i < debug->watchpoints; i++) {
        const struct engine_watchpoint *watch = &debug->watchpoint[i];

        for (uint64_t at = 0; at < watch->bytes && used <= KVM_DEBUG_REGISTERS;) {
            unsigned bytes = piece_bytes(watch->start + at, watch->bytes - at);

            used = place(slots, used,
                         (struct kvm_debug_slot){
                             .use = KVM_SLOT_WATCHPOINT,
                             .number = i,
                             .address = watch->start + at,
                             .kind = x86_breakpoint_field(
                                 watch->read ? X86_BREAK_ACCESS : X86_BREAK_WRITE, bytes)});
            at += bytes;
        }
    }
    return used;
}

unsigned kvm_debug_place_guest(const struct kvm_debugregs *regs, struct kvm_debug_slot *slots,
                               unsigned used)
{
    for (unsigned i = 0; i < KVM_DEBUG_REGISTERS && used < KVM_DEBUG_REGISTERS; i++) {
        if (x86_breakpoint_enabled(regs->dr7, i))
            slots[used++] = (struct kvm_debug_slot){
                .use = KVM_SLOT_GUEST,
                .number = i,
                .address = regs->db[i],
                .kind = (uint8_t)(regs->dr7 >> x86_breakpoint_shift(i) & 0xf),
            };
    }
    return used;
}

void kvm_debug_write(struct kvm_guest_debug *to, const struct kvm_debug_slot *slots, unsigned used)
{
    uint64_t dr7 = X86_DR7_FIXED | X86_DR7_GE;

    memset(&to->arch, 0, sizeof(to->arch));
    for (unsigned i = 0; i < used; i++) {
        to->arch.debugreg[i] = slots[i].address;
        dr7 |= BIT(2 * i + 1) | (uint64_t)slots[i].kind << x86_breakpoint_shift(i);
    }
    if (used > 0)
        to->control |= KVM_GUESTDBG_USE_HW_BP;
    to->arch.debugreg[7] = dr7;
}

void kvm_debug_judge(const struct kvm_debug_exit_arch *exit, const struct kvm_debug_slot *slots,
                     bool stepping, struct kvm_debug_finding *finding)
{
    *finding = (struct kvm_debug_finding){.stepped = stepping && (exit->dr6 & X86_DR6_BS)};
    finding->guest_bits = exit->dr6 & (X86_DR6_BD | (stepping ? 0 : X86_DR6_BS));
    for (unsigned i = KVM_DEBUG_REGISTERS; i-- > 0;) { /* the first that was hit is told */
        const struct kvm_debug_slot *slot = &slots[i];

        if (!(exit->dr6 & BIT(i)))
            continue;
        switch (slot->use) {
        case KVM_SLOT_UNUSED: break; /* DR6 may tell of registers that are not enabled */
        case KVM_SLOT_BREAKPOINT: finding->breakpoint = slot; break;
        case KVM_SLOT_WATCHPOINT: finding->watched = slot; break;
        case KVM_SLOT_HANDLER: finding->handler = slot; break;
        case KVM_SLOT_GUEST: break;
        }
    }
    for (unsigned i = 0; i < KVM_DEBUG_REGISTERS; i++) {
        /* Where both have a breakpoint the debugger's comes first, the guest's when it goes on. */
        if ((exit->dr6 & BIT(i)) && slots[i].use == KVM_SLOT_GUEST &&
            !(finding->breakpoint && x86_breakpoint_field_kind(slots[i].kind) == X86_BREAK_EXECUTE))
            finding->guest_bits |= BIT(slots[i].number);
    }
    finding->guests = finding->guest_bits || (!finding->watched && !finding->handler &&
                                              !finding->breakpoint && !finding->stepped);
}

const struct kvm_debug_slot *kvm_debug_guest_at(const struct kvm_debug_slot *slots, gva_t pc)
{
    for (unsigned i = 0; i < KVM_DEBUG_REGISTERS; i++) {
        if (slots[i].use == KVM_SLOT_GUEST &&
            x86_breakpoint_field_kind(slots[i].kind) == X86_BREAK_EXECUTE && slots[i].address == pc)
            return &slots[i];
    }
    return NULL;
}
