/* Guest-virtual memory as the monitor console reads it: by the vCPU's registers, changing nothing.
 */
#include <string.h>

#include "mem/mem.h"
#include "vm/monitor_internal.h"
#include "x86/cpuid.h"

void monitor_walk_context(const struct monitor_call *call, struct guest_walk_context *context)
{
    const struct vm *vm = call->vm;

    guest_walk_context_init(context, vm->mem, &call->state, &vm->model,
                            vm->host.a20_mask(vm->host.opaque));
}

/* Where the engine has interrupt controllers of its own, the board's are not what the guest sees.
 */
static bool is_of_engine(const struct vm *vm, gpa_t gpa)
{
    gpa_t page = ALIGN_DOWN(gpa, PAGE_SIZE);

    return vm->engine->set_irq && !vm->config->user_irqchip &&
           (page == LAYOUT_IOAPIC_BASE || page == vm->board->lapic_base);
}

static bool peek_device(struct vm *vm, gpa_t gpa, unsigned width, uint64_t *value)
{
    bool seen;

    if (is_of_engine(vm, gpa))
        return false;
    lock_acquire(&vm->lock);
    seen = bus_peek(vm->board->bus, BUS_MMIO, gpa, width, value);
    lock_release(&vm->lock);
    return seen;
}

bool monitor_read_gpa(struct vm *vm, gpa_t gpa, void *bytes, size_t len)
{
    bool is_unit = len == 1 || len == 2 || len == 4 || len == 8;
    uint8_t *to = bytes;
    uint64_t value;

    if (mem_read(vm->mem, gpa, bytes, len))
        return true;
    /* A register wants an access of its width; what is longer than one is bytes. */
    if (is_unit && peek_device(vm, gpa, (unsigned)len, &value)) {
        memcpy(bytes, &value, len);
        return true;
    }
    for (size_t i = 0; i < len; i++) {
        if (mem_read(vm->mem, gpa + i, to + i, 1))
            continue;
        if (!peek_device(vm, gpa + i, 1, &value))
            return false;
        to[i] = (uint8_t)value;
    }
    return true;
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
            !monitor_read_gpa(call->vm, walk.gpa & context.a20_mask, to, n))
            return false;
        gva += n;
        to += n;
        len -= n;
    }
    return true;
}
