/*
 * The processor's four breakpoint registers: who gets which, and what a debug exception says of
 * them. Nothing here asks KVM, so that made-up exits test it.
 * Source: SDM 3 "Debug Registers", "Debug Control Register (DR7)", "Breakpoint Field Recognition".
 */
#include <string.h>

#include "engine/kvm/internal.h"

/* R/W and LEN of DR7, as in its bits 16 to 19. */
#define KIND_EXECUTE 0x0u
#define KIND_WRITE   0x1u
#define KIND_ACCESS  0x3u
#define KIND_RW      0x3u
#define KIND_BITS    4
#define KIND_SHIFT   16

#define DR7_ALWAYS BIT(10)
#define DR7_EXACT  BIT(9)

static bool enabled(uint64_t dr7, unsigned i)
{
    return (dr7 >> (2 * i)) & 3; /* by its L or its G bit */
}

/* The longest piece of a watchpoint that one register covers: aligned, a power of two. */
static unsigned piece_bytes(gva_t start, uint64_t bytes)
{
    unsigned piece = 8;

    while (start % piece || piece > bytes)
        piece /= 2;
    return piece;
}

static uint8_t watch_kind(const struct engine_watchpoint *watch, unsigned bytes)
{
    static const uint8_t lengths[] = {[1] = 0x0, [2] = 0x4, [4] = 0xc, [8] = 0x8};

    return lengths[bytes] | (watch->read ? KIND_ACCESS : KIND_WRITE);
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
                                             .kind = KIND_EXECUTE});
    for (unsigned i = 0; i < debug->watchpoints; i++) {
        const struct engine_watchpoint *watch = &debug->watchpoint[i];

        for (uint64_t at = 0; at < watch->bytes && used <= KVM_DEBUG_REGISTERS;) {
            unsigned bytes = piece_bytes(watch->start + at, watch->bytes - at);

            used = place(slots, used,
                         (struct kvm_debug_slot){.use = KVM_SLOT_WATCHPOINT,
                                                 .number = i,
                                                 .address = watch->start + at,
                                                 .kind = watch_kind(watch, bytes)});
            at += bytes;
        }
    }
    return used;
}

unsigned kvm_debug_place_guest(const struct kvm_debugregs *regs, struct kvm_debug_slot *slots,
                               unsigned used)
{
    for (unsigned i = 0; i < KVM_DEBUG_REGISTERS && used < KVM_DEBUG_REGISTERS; i++) {
        if (enabled(regs->dr7, i))
            slots[used++] = (struct kvm_debug_slot){
                .use = KVM_SLOT_GUEST,
                .number = i,
                .address = regs->db[i],
                .kind = (uint8_t)((regs->dr7 >> (KIND_SHIFT + KIND_BITS * i)) & 0xf),
            };
    }
    return used;
}

void kvm_debug_write(struct kvm_guest_debug *to, const struct kvm_debug_slot *slots, unsigned used)
{
    uint64_t dr7 = DR7_ALWAYS | DR7_EXACT;

    memset(&to->arch, 0, sizeof(to->arch));
    for (unsigned i = 0; i < used; i++) {
        to->arch.debugreg[i] = slots[i].address;
        dr7 |= BIT(2 * i + 1) | (uint64_t)slots[i].kind << (KIND_SHIFT + KIND_BITS * i);
    }
    if (used > 0)
        to->control |= KVM_GUESTDBG_USE_HW_BP;
    to->arch.debugreg[7] = dr7;
}

void kvm_debug_judge(const struct kvm_debug_exit_arch *exit, const struct kvm_debug_slot *slots,
                     bool stepping, struct kvm_debug_finding *finding)
{
    *finding = (struct kvm_debug_finding){.stepped = stepping && (exit->dr6 & KVM_DR6_BS)};
    finding->guest_bits = exit->dr6 & (KVM_DR6_BD | (stepping ? 0 : KVM_DR6_BS));
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
            !(finding->breakpoint && (slots[i].kind & KIND_RW) == KIND_EXECUTE))
            finding->guest_bits |= BIT(slots[i].number);
    }
    finding->guests = finding->guest_bits || (!finding->watched && !finding->handler &&
                                              !finding->breakpoint && !finding->stepped);
}

const struct kvm_debug_slot *kvm_debug_guest_at(const struct kvm_debug_slot *slots, gva_t pc)
{
    for (unsigned i = 0; i < KVM_DEBUG_REGISTERS; i++) {
        if (slots[i].use == KVM_SLOT_GUEST && (slots[i].kind & KIND_RW) == KIND_EXECUTE &&
            slots[i].address == pc)
            return &slots[i];
    }
    return NULL;
}
