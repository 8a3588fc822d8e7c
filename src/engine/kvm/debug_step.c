/*
 * One instruction under KVM's single step (see debug.h). The trap flag that KVM sets for it is the
 * guest's own register, so it is lost where the processor clears it, and seen where the processor
 * saves it:
 *
 *   a fault, INT n    clear it and save it in the frame     breakpoint at the handler, frame mended
 *   SYSCALL           masks it and saves it in R11          breakpoint at its entry, R11 mended
 *   PUSHF             saves it                              its word mended
 *   POPF, IRET        load the guest's own, which KVM hides looked at before, set again
 *
 * Source: SDM 3 "Single-Step Exception Condition", "Calls to Interrupt or Exception Handlers"; KVM
 * API, "KVM_SET_GUEST_DEBUG".
 */
#include <errno.h>
#include <string.h>

#include "engine/kvm/internal.h"
#include "x86/descriptor.h"
#include "x86/msr.h"

/* The vectors that push an error code (SDM 3 "Exception and Interrupt Reference"). */
#define ERROR_CODE_VECTORS                                                                         \
    (BIT(X86_DF) | BIT(X86_TS) | BIT(X86_NP) | BIT(X86_SS_FAULT) | BIT(X86_GP) | BIT(X86_PF) |     \
     BIT(X86_AC))

bool kvm_translate(struct engine_vcpu *vcpu, gva_t gva, gpa_t *gpa)
{
    struct kvm_translation translation = {.linear_address = gva};

    if (kvm_ioctl(vcpu->fd, KVM_TRANSLATE, &translation) < 0 || !translation.valid)
        return false;
    *gpa = kvm_masked(&vcpu->vm, translation.physical_address);
    return true;
}

bool kvm_read_gva(struct engine_vcpu *vcpu, gva_t gva, void *buffer, size_t len)
{
    uint8_t *to = buffer;

    while (len > 0) {
        size_t n = MIN(len, (size_t)(PAGE_SIZE - gva % PAGE_SIZE));
        gpa_t gpa;

        if (!kvm_translate(vcpu, gva, &gpa) || !mem_read(vcpu->vm.mem, gpa, to, n))
            return false;
        gva += n;
        to += n;
        len -= n;
    }
    return true;
}

static bool in_64_bit_code(const struct kvm_sregs *sregs)
{
    return (sregs->efer & X86_EFER_LMA) && sregs->cs.l;
}

static enum x86_mode mode_of(const struct kvm_step *step)
{
    const struct kvm_sregs *sregs = &step->sregs;

    if (!(sregs->cr0 & X86_CR0_PE) || (step->regs.rflags & X86_FLAG_VM))
        return sregs->cs.db ? X86_MODE_REAL32 : X86_MODE_REAL16;
    if (in_64_bit_code(sregs))
        return X86_MODE_LONG64;
    if (sregs->efer & X86_EFER_LMA)
        return sregs->cs.db ? X86_MODE_COMPAT32 : X86_MODE_COMPAT16;
    return sregs->cs.db ? X86_MODE_PROT32 : X86_MODE_PROT16;
}

gva_t kvm_linear_pc(const struct kvm_regs *regs, const struct kvm_sregs *sregs)
{
    return in_64_bit_code(sregs) ? regs->rip : (uint32_t)(sregs->cs.base + regs->rip);
}

/* The linear address of what is so far up the stack. */
static gva_t stack_at(const struct kvm_regs *regs, const struct kvm_sregs *sregs, unsigned offset)
{
    if (in_64_bit_code(sregs))
        return regs->rsp + offset;
    return (uint32_t)(sregs->ss.base +
                      ((regs->rsp + offset) & (sregs->ss.db ? UINT32_MAX : UINT16_MAX)));
}

static bool is_int(ZydisMnemonic mnemonic)
{
    return mnemonic == ZYDIS_MNEMONIC_INT || mnemonic == ZYDIS_MNEMONIC_INT3 ||
           mnemonic == ZYDIS_MNEMONIC_INTO;
}

static void decode(struct engine_vcpu *vcpu, struct kvm_step *step)
{
    gva_t pc = kvm_linear_pc(&step->regs, &step->sregs);
    size_t have = MIN((size_t)X86_INSN_MAX_BYTES, (size_t)(PAGE_SIZE - pc % PAGE_SIZE));
    uint8_t bytes[X86_INSN_MAX_BYTES];
    struct x86_insn insn;
    enum x86_decode_result result;

    step->mnemonic = ZYDIS_MNEMONIC_INVALID;
    if (!kvm_read_gva(vcpu, pc, bytes, have))
        return;
    result = x86_decode(&insn, mode_of(step), bytes, have);
    if (result == X86_DECODE_MORE &&
        kvm_read_gva(vcpu, pc + have, bytes + have, sizeof(bytes) - have))
        result = x86_decode(&insn, mode_of(step), bytes, sizeof(bytes));
    if (result != X86_DECODE_OK)
        return;
    step->mnemonic = insn.info.mnemonic;
    step->operand_bytes = insn.info.operand_width / 8;
    if (step->mnemonic == ZYDIS_MNEMONIC_INT)
        step->vector = (uint8_t)insn.op[0].imm.value.u;
    else if (step->mnemonic == ZYDIS_MNEMONIC_INT3)
        step->vector = X86_BP;
    else if (step->mnemonic == ZYDIS_MNEMONIC_INTO)
        step->vector = X86_OF;
}

/* Whether the flags that POPF or IRET is about to load have TF. */
static bool loads_tf(struct engine_vcpu *vcpu, const struct kvm_step *step)
{
    unsigned offset;
    uint16_t flags;

    switch (step->mnemonic) {
    case ZYDIS_MNEMONIC_POPF:
    case ZYDIS_MNEMONIC_POPFD:
    case ZYDIS_MNEMONIC_POPFQ: offset = 0; break;
    case ZYDIS_MNEMONIC_IRET:
    case ZYDIS_MNEMONIC_IRETD:
    case ZYDIS_MNEMONIC_IRETQ: offset = 2 * step->operand_bytes; break;
    default: return false;
    }
    return kvm_read_gva(vcpu, stack_at(&step->regs, &step->sregs, offset), &flags, sizeof(flags)) &&
           (flags & X86_FLAG_TF);
}

int kvm_step_look(struct engine_vcpu *vcpu, struct kvm_step *step)
{
    int err = kvm_ioctl(vcpu->fd, KVM_GET_REGS, &step->regs);

    if (err >= 0)
        err = kvm_ioctl(vcpu->fd, KVM_GET_SREGS, &step->sregs);
    if (err < 0)
        return err;
    decode(vcpu, step);
    step->idle_traps = 0;
    step->guest_tf = step->regs.rflags & X86_FLAG_TF;
    step->guest_tf_after = loads_tf(vcpu, step);
    return 0;
}

/* --- where it may lead --- */

/* The linear address of a vector's handler, and the bytes of each word of its frame. */
static bool handler_of(struct engine_vcpu *vcpu, const struct kvm_sregs *sregs, unsigned vector,
                       gva_t *address, unsigned *word)
{
    uint64_t low_high[2] = {0};
    uint64_t descriptor;
    struct x86_gate gate;

    if (!(sregs->cr0 & X86_CR0_PE)) {
        uint16_t entry[2];

        *word = 2;
        if (!kvm_read_gva(vcpu, sregs->idt.base + 4 * vector, entry, sizeof(entry)))
            return false;
        *address = entry[0] + 16u * entry[1];
        return true;
    }
    if (sregs->efer & X86_EFER_LMA) {
        *word = 8;
        if (!kvm_read_gva(vcpu, sregs->idt.base + 16 * vector, low_high, 16))
            return false;
        gate = x86_gate_parse_wide(low_high[0], low_high[1]);
        *address = gate.offset;
        return gate.present;
    }
    if (!kvm_read_gva(vcpu, sregs->idt.base + 8 * vector, low_high, 8))
        return false;
    gate = x86_gate_parse(low_high[0]);
    *word = gate.type == X86_INT_GATE || gate.type == X86_TRAP_GATE ? 4 : 2;
    if (!gate.present || gate.type == X86_TASK_GATE || (gate.selector & X86_SELECTOR_LDT) ||
        !kvm_read_gva(vcpu, sregs->gdt.base + (gate.selector & X86_SELECTOR_INDEX), &descriptor,
                      sizeof(descriptor)))
        return false;
    *address = (uint32_t)(x86_segment_parse(descriptor, gate.selector).base + gate.offset);
    return true;
}

static bool entry_of(struct engine_vcpu *vcpu, const struct kvm_step *step, unsigned number,
                     gva_t *address)
{
    unsigned word;

    if (number != KVM_STEP_SYSCALL)
        return handler_of(vcpu, &step->sregs, number, address, &word);
    return kvm_access_msr(vcpu, in_64_bit_code(&step->sregs) ? IA32_LSTAR : IA32_CSTAR, address,
                          false) >= 0;
}

unsigned kvm_step_handlers(struct engine_vcpu *vcpu, const struct kvm_step *step, int interrupt,
                           struct kvm_debug_slot *slots, unsigned count)
{
    gva_t pc = kvm_linear_pc(&step->regs, &step->sregs);
    unsigned likely[8], candidates = 0, used = 0;

    if (interrupt >= 0)
        likely[candidates++] = (unsigned)interrupt;
    if (step->guest_tf)
        likely[candidates++] = X86_DB;
    if (step->mnemonic == ZYDIS_MNEMONIC_SYSCALL)
        likely[candidates++] = KVM_STEP_SYSCALL;
    if (is_int(step->mnemonic))
        likely[candidates++] = step->vector;
    likely[candidates++] = X86_PF;
    if (step->mnemonic == ZYDIS_MNEMONIC_DIV || step->mnemonic == ZYDIS_MNEMONIC_IDIV)
        likely[candidates++] = X86_DE;
    likely[candidates++] = X86_GP;
    likely[candidates++] = X86_UD;
    for (unsigned i = 0; i < candidates && used < count; i++) {
        gva_t address;

        /* A handler at the instruction itself would stop it before it runs. */
        if (!entry_of(vcpu, step, likely[i], &address) || address == pc)
            continue;
        slots[used++] = (struct kvm_debug_slot){
            .use = KVM_SLOT_HANDLER, .number = likely[i], .address = address};
    }
    return used;
}

/* --- what it leaves --- */

static void clear_tf_at(struct engine_vcpu *vcpu, gva_t gva)
{
    uint16_t flags;
    gpa_t gpa;

    if (!kvm_read_gva(vcpu, gva, &flags, sizeof(flags)) || !(flags & X86_FLAG_TF))
        return;
    flags &= (uint16_t)~X86_FLAG_TF;
    /* The byte that holds it: the word may lie across two pages. */
    if (kvm_translate(vcpu, gva + 1, &gpa))
        mem_write(vcpu->vm.mem, gpa, (const uint8_t *)&flags + 1, 1);
}

/* The frame that the processor has just pushed: [error code,] IP, CS, flags. */
static void mend_frame(struct engine_vcpu *vcpu, const struct kvm_step *step, unsigned vector,
                       const struct kvm_regs *regs)
{
    struct kvm_sregs sregs;
    unsigned word, offset;
    uint16_t selector;
    gva_t address;

    if (kvm_ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) < 0 ||
        !handler_of(vcpu, &sregs, vector, &address, &word))
        return;
    offset = word != 2 || (sregs.cr0 & X86_CR0_PE) ? word : 0;
    if (vector >= 32 || !(ERROR_CODE_VECTORS & BIT(vector)) || is_int(step->mnemonic))
        offset = 0;
    if (kvm_read_gva(vcpu, stack_at(regs, &sregs, offset + word), &selector, sizeof(selector)) &&
        selector == step->sregs.cs.selector)
        clear_tf_at(vcpu, stack_at(regs, &sregs, offset + 2 * word));
}

static bool is_pushf(ZydisMnemonic mnemonic)
{
    return mnemonic == ZYDIS_MNEMONIC_PUSHF || mnemonic == ZYDIS_MNEMONIC_PUSHFD ||
           mnemonic == ZYDIS_MNEMONIC_PUSHFQ;
}

int kvm_step_end(struct engine_vcpu *vcpu, const struct kvm_step *step,
                 const struct kvm_debug_slot *at)
{
    struct kvm_regs regs;
    int err = kvm_ioctl(vcpu->fd, KVM_GET_REGS, &regs);

    if (err < 0 || step->guest_tf)
        return err;
    if (at && at->number != KVM_STEP_SYSCALL) {
        mend_frame(vcpu, step, at->number, &regs);
        return 0;
    }
    if (!at && is_int(step->mnemonic))
        mend_frame(vcpu, step, step->vector, &regs);
    if (!at && is_pushf(step->mnemonic))
        clear_tf_at(vcpu, stack_at(&regs, &step->sregs, 0));
    if (step->mnemonic == ZYDIS_MNEMONIC_SYSCALL)
        regs.r11 &= ~X86_FLAG_TF;
    else if (step->guest_tf_after)
        regs.rflags |= X86_FLAG_TF;
    else
        return 0;
    return kvm_ioctl(vcpu->fd, KVM_SET_REGS, &regs);
}
