/* Shadow paging in the monitor console: there is none to be shown yet. */
#include "vm/monitor_internal.h"

void monitor_shadow_counters(struct monitor_call *call)
{
}

void monitor_shadow(struct monitor_call *call)
{
    fputs("there are no shadow tables: the VM runs with --mmu ept (info ept)\n", call->out);
}

void monitor_shadow_walk(struct monitor_call *call, gva_t gva)
{
}
