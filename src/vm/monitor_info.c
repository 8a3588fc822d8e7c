/* `info`: the state of the VM, and guest memory as the host has it. */
#include <inttypes.h>
#include <string.h>

#include "engine/engine.h"
#include "fw/e820.h"
#include "mem/host_pages.h"
#include "mem/mem.h"
#include "vm/monitor_internal.h"
#include "vm/stats.h"

/* Pages of a slot that `info memory` looks at: the VM waits meanwhile. */
#define MAX_PAGES_LOOKED_AT (16 * GIB / PAGE_SIZE)
#define PAGES_AT_ONCE       512

static const char *mode_name(enum x86_mode mode)
{
    static const char *const words[X86_MODES] = {
        [X86_MODE_REAL16] = "16-bit real mode",
        [X86_MODE_REAL32] = "32-bit code in real mode",
        [X86_MODE_PROT16] = "16-bit protected mode",
        [X86_MODE_PROT32] = "32-bit protected mode",
        [X86_MODE_COMPAT16] = "16-bit compatibility mode",
        [X86_MODE_COMPAT32] = "32-bit compatibility mode",
        [X86_MODE_LONG64] = "64-bit mode",
    };

    return words[mode];
}

void monitor_status(struct monitor_call *call)
{
    const struct vm *vm = call->vm;
    const struct x86_state *state = &call->state;
    const struct engine_counters *counters = vm->engine->vcpu_counters(vm->vcpu);
    /* One pause is this command's own; what neither it nor `stop` holds is the debugger's. */
    unsigned others = vm->pauses - 1 - (monitor_stopped(call->monitor) ? 1 : 0);
    uint64_t ns = clock_now_ns(vm->time);

    fprintf(call->out, "the guest %s\n",
            monitor_stopped(call->monitor) ? "is stopped by the console; cont lets it go on"
            : others                       ? "is stopped by the debugger"
                                           : "runs");
    fprintf(call->out, "engine %s, mmu %s, %" PRIu64 " MiB of memory\n", vm->engine->name,
            mmu_mode_name(mmu_mode(vm->mmu)), vm->layout.memory_bytes / MIB);
    fprintf(call->out, "virtual time %" PRIu64 ".%09" PRIu64 " s, %" PRIu64 " instructions\n",
            ns / NS_PER_SEC, ns % NS_PER_SEC, counters->instructions);
    fprintf(call->out, "vCPU 0 in %s at %04x:%" PRIx64 ", CPL %u\n",
            state->rflags & X86_FLAG_VM ? "virtual-8086 mode" : mode_name(monitor_code_mode(state)),
            state->seg[X86_CS].selector, state->gpr[X86_RIP], x86_seg_dpl(&state->seg[X86_SS]));
}

void monitor_slots(struct monitor_call *call)
{
    size_t count;
    const struct mem_slot *slots = mem_slots(call->vm->mem, &count);

    fprintf(call->out, "%-12s %-4s %13s %13s %14s  %s\n", "slot", "kind", "GPA from", "to", "HVA",
            "size");
    for (size_t i = 0; i < count; i++) {
        const struct mem_slot *slot = &slots[i];
        uint64_t unit = slot->size_bytes % MIB ? KIB : MIB;

        fprintf(call->out, "%-12s %-4s %#13" PRIx64 " %#13" PRIx64 " %14p  %" PRIu64 " %s%s\n",
                slot->name, slot->kind == MEM_SLOT_ROM ? "ROM" : "RAM", slot->base,
                slot->base + slot->size_bytes - 1, (void *)slot->hva, slot->size_bytes / unit,
                unit == MIB ? "MiB" : "KiB", slot->dirty ? ", dirty log" : "");
    }
}

void monitor_e820(struct monitor_call *call)
{
    static const char *const kinds[] = {
        [LAYOUT_RAM] = "usable RAM",
        [LAYOUT_RESERVED] = "reserved",
        [LAYOUT_ACPI] = "ACPI tables",
        [LAYOUT_NVS] = "ACPI NVS",
    };
    struct e820_entry entries[LAYOUT_MAX_RANGES];
    size_t count = e820_build(&call->vm->layout, entries) / sizeof(entries[0]);

    for (size_t i = 0; i < count; i++)
        fprintf(call->out, "%#18" PRIx64 " %#18" PRIx64 "  %s\n", entries[i].base,
                entries[i].base + entries[i].size_bytes - 1, kinds[entries[i].kind]);
}

void monitor_exits(struct monitor_call *call)
{
    vm_stats_print(call->vm, call->out);
}

struct slot_pages {
    uint64_t looked_at, resident, dirty, shared, huge;
};

static void count_pages(const struct vm *vm, const struct mem_slot *slot, struct slot_pages *sum)
{
    struct mem_host_page pages[PAGES_AT_ONCE];
    uint64_t count = MIN(slot->size_bytes / PAGE_SIZE, (uint64_t)MAX_PAGES_LOOKED_AT);

    *sum = (struct slot_pages){.looked_at = count};
    for (uint64_t first = 0; first < count; first += PAGES_AT_ONCE) {
        size_t n = MIN((size_t)(count - first), (size_t)PAGES_AT_ONCE);

        mem_host_pages(vm->mem, slot->base + first * PAGE_SIZE, n, pages);
        for (size_t i = 0; i < n; i++) {
            sum->resident += pages[i].resident;
            sum->dirty += pages[i].dirty;
            sum->shared += pages[i].shared;
            sum->huge += pages[i].huge;
        }
    }
}

/* What --monitor-memory bounds, by kind. */
static void print_budget(const struct monitor_call *call, const struct stats_snapshot *stats)
{
    const struct budget *b = &call->vm->budget;
    const uint64_t *value = stats->value;
    bool shadow = mmu_mode(call->vm->mmu) == MMU_SHADOW;
    uint64_t tables = shadow ? 2 * value[STAT_shadow_bytes] : value[STAT_ept_bytes];
    const struct {
        const char *kind;
        uint64_t used, bound;
    } rows[] = {
        {"decoded blocks", value[STAT_block_bytes], b->block_bytes},
        {"translated code", value[STAT_translation_bytes], b->code_bytes},
        {"its records", value[STAT_translation_record_bytes], b->record_bytes},
        {shadow ? "shadow pages" : "EPT", tables, b->table_bytes},
        {"fixed", value[STAT_fixed_bytes], b->fixed_bytes},
        {"all", value[STAT_monitor_bytes], b->total_bytes},
    };

    if (mmu_mode(call->vm->mmu) == MMU_HOST)
        return;
    fprintf(call->out, "%-15s %10s %10s  (KiB)\n", "Umbra's own", "used", "bound");
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        fprintf(call->out, "%-15s %10" PRIu64 " %10" PRIu64 "\n", rows[i].kind, rows[i].used / KIB,
                rows[i].bound / KIB);
}

void monitor_memory(struct monitor_call *call)
{
    size_t count;
    const struct mem_slot *slots = mem_slots(call->vm->mem, &count);
    struct stats_snapshot stats;

    fprintf(call->out, "%-12s %10s %10s %10s %10s %10s  (KiB)\n", "slot", "configured", "resident",
            "dirty", "shared", "huge");
    for (size_t i = 0; i < count; i++) {
        struct slot_pages sum;

        count_pages(call->vm, &slots[i], &sum);
        fprintf(call->out,
                "%-12s %10" PRIu64 " %10" PRIu64 " %10" PRIu64 " %10" PRIu64 " %10" PRIu64 "%s\n",
                slots[i].name, slots[i].size_bytes / KIB, sum.resident * 4, sum.dirty * 4,
                sum.shared * 4, sum.huge * 4,
                sum.looked_at * PAGE_SIZE < slots[i].size_bytes ? "  of the first 16 GiB" : "");
    }
    vm_stats_snapshot(call->vm, &stats);
    print_budget(call, &stats);
    fprintf(call->out, "Umbra's process keeps %" PRIu64 " KiB in the host's memory\n",
            stats.value[STAT_process_bytes] / KIB);
    fputs("dirty: written since the log was fetched, or ever; shared: merged or mapped elsewhere;\n"
          "shared and huge need the right to read /proc/self/pagemap and /proc/kpageflags\n",
          call->out);
}
