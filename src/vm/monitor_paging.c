/* Guest-virtual memory as the monitor console reads it: by the vCPU's registers, changing nothing.
 */
#include "mem/mem.h"
#include "vm/monitor_internal.h"
#include "x86/cpuid.h"

static enum guest_paging format_of(const struct x86_state *state)
{
    if (!(state->cr0 & X86_CR0_PG))
        return GUEST_PAGING_NONE;
    if (!(state->cr4 & X86_CR4_PAE))
        return GUEST_PAGING_32BIT;
    return state->msr.efer & X86_EFER_LMA ? GUEST_PAGING_4LEVEL : GUEST_PAGING_PAE;
}

void monitor_walk_context(const struct monitor_call *call, struct guest_walk_context *context)
{
    const struct x86_state *state = &call->state;
    const struct vm *vm = call->vm;

    *context = (struct guest_walk_context){
        .mem = vm->mem,
        .format = format_of(state),
        .cr3 = state->cr3,
        .pdpte = state->pdpte,
        .physical_bits = vm->model.physical_bits,
        .a20_mask = vm->host.a20_mask(vm->host.opaque),
        .pse = state->cr4 & X86_CR4_PSE,
        .wp = state->cr0 & X86_CR0_WP,
        .nxe = state->msr.efer & X86_EFER_NXE,
        .smep = state->cr4 & X86_CR4_SMEP,
        .gib_pages = vm->model.has[X86_FEATURE_PDPE1GB],
    };
}

bool monitor_read_gva(const struct monitor_call *call, gva_t gva, void *bytes, size_t len)
{
    struct guest_walk_context context;
    uint8_t *to = bytes;

    monitor_walk_context(call, &context);
    while (len > 0) {
        size_t n = MIN(len, (size_t)(PAGE_SIZE - gva % PAGE_SIZE));
        struct guest_walk_result walk;

        gva &= monitor_linear_mask(&call->state);
        if (context.format == GUEST_PAGING_4LEVEL && !x86_canonical(gva))
            return false;
        if (!guest_walk_peek(&context, gva, &walk) ||
            !mem_read(call->vm->mem, walk.gpa & context.a20_mask, to, n))
            return false;
        gva += n;
        to += n;
        len -= n;
    }
    return true;
}
