/* Guest-virtual memory as the monitor console reads it: by the vCPU's registers, changing nothing.
 */
#include "mem/mem.h"
#include "vm/monitor_internal.h"
#include "x86/cpuid.h"

void monitor_walk_context(const struct monitor_call *call, struct guest_walk_context *context)
{
    const struct vm *vm = call->vm;

    guest_walk_context_init(context, vm->mem, &call->state, &vm->model,
                            vm->host.a20_mask(vm->host.opaque));
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
        if (context.format == X86_PAGING_4LEVEL && !x86_canonical(gva))
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
