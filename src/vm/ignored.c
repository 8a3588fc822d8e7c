/* The options that can be in vain, and when. What contradicts others is refused elsewhere. */
#include "vm/ignored.h"

#include "base/log.h"

void vm_warn_ignored(const struct vm_config *config, bool soft)
{
    const struct {
        bool in_vain;
        const char *option, *why;
    } rows[] = {
        {config->user_irqchip && soft, "--irqchip user",
         "with the engine soft the interrupt controllers are always Umbra's"},
        {config->shadow_pages && !(soft && config->mmu == VM_MMU_SHADOW), "--shadow-pages",
         "there are shadow pages only with --mmu shadow"},
        {config->tlb_entries && !soft, "--tlb-entries", "the engine kvm has the processor's TLB"},
        {config->translate_after && !soft, "--translate", "the engine kvm translates nothing"},
        {config->monitor_memory_bytes && !soft, "--monitor-memory",
         "with the engine kvm the tables are the kernel's"},
        {config->prealloc && config->memory_backend == MEM_BACKEND_HUGETLB, "--prealloc",
         "--memory-backend hugetlb takes all memory at the start anyway"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (rows[i].in_vain)
            log_warn("%s has no effect: %s", rows[i].option, rows[i].why);
    }
}
