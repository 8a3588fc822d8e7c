#include "vm/budget.h"

#include <inttypes.h>

#include "base/log.h"
#include "mmu/ept.h"
#include "x86/paging.h"

/* Beside what is fixed: 5 MiB of native stubs, 1.5 MiB of hash tables, 1 MiB of TLB and vCPU. */
#define FIXED_BYTES (12 * MIB)

/* Blocks and translations need so much at least. */
#define CODE_LEAST_BYTES (4 * MIB)

/* A shadow page has a table, a link for each of its entries, and its description. */
#define SHADOW_PAGE_BYTES (2 * PAGE_SIZE + 256)

/* What a frame of the guest's takes in the reverse map. */
#define RMAP_FRAME_BYTES 16

/* Tables for holes and marks of MMIO, beside those that map guest memory by 4 KiB. */
#define EPT_MORE_TABLES 1280

/* The part of the bound that tables may take. */
#define TABLES_OF(bytes) ((bytes) / 8 * 3)

static uint64_t rmap_bytes(const struct vm_config *config)
{
    return config->memory_bytes / PAGE_SIZE * RMAP_FRAME_BYTES;
}

/* The default grows with the reverse map, which the host backs as the guest's frames are mapped. */
static uint64_t total_bytes(const struct vm_config *config)
{
    if (config->monitor_memory_bytes)
        return config->monitor_memory_bytes;
    return BUDGET_DEFAULT_BYTES + (config->mmu == VM_MMU_SHADOW && config->memory_bytes > GIB
                                       ? rmap_bytes(config) * 8 / 5
                                       : 0);
}

static bool split_shadow(struct budget *b, const struct vm_config *config)
{
    uint64_t most = TABLES_OF(b->total_bytes) / SHADOW_PAGE_BYTES;
    uint64_t pages = config->shadow_pages ? config->shadow_pages : SHADOW_PAGES_DEFAULT;

    if (config->shadow_pages > most) {
        log_error("--shadow-pages %" PRIu64
                  " takes more than three eighths of --monitor-memory (%" PRIu64 " MiB)",
                  pages, b->total_bytes / MIB);
        return false;
    }
    b->shadow_pages = (unsigned)MIN(pages, most);
    b->table_bytes = b->shadow_pages * (uint64_t)SHADOW_PAGE_BYTES;
    b->fixed_bytes += rmap_bytes(config);
    return true;
}

static void split_ept(struct budget *b, const struct vm_config *config)
{
    uint64_t needed = config->memory_bytes / PAGE_SIZE / X86_TABLE_ENTRIES + EPT_MORE_TABLES;

    b->ept_tables = MAX(MIN(needed, TABLES_OF(b->total_bytes) / PAGE_SIZE), EPT_TABLES_MIN);
    b->table_bytes = b->ept_tables * PAGE_SIZE;
}

bool budget_split(struct budget *b, const struct vm_config *config)
{
    uint64_t rest, least;

    *b = (struct budget){.total_bytes = total_bytes(config), .fixed_bytes = FIXED_BYTES};
    if (config->mmu == VM_MMU_SHADOW) {
        if (!split_shadow(b, config))
            return false;
    } else {
        split_ept(b, config);
    }
    least = (b->fixed_bytes + CODE_LEAST_BYTES) / 5 * 8; /* tables take three eighths */
    if (b->fixed_bytes + b->table_bytes + CODE_LEAST_BYTES > b->total_bytes) {
        log_error("--monitor-memory %" PRIu64 "M is too little for a guest with %" PRIu64
                  " MiB under shadow paging; %" PRIu64 "M is enough",
                  b->total_bytes / MIB, config->memory_bytes / MIB, least / MIB + 1);
        return false;
    }
    rest = b->total_bytes - b->fixed_bytes - b->table_bytes;
    b->code_bytes = b->record_bytes = ALIGN_DOWN(rest / 4, (uint64_t)PAGE_SIZE);
    b->block_bytes = rest - b->code_bytes - b->record_bytes;
    return true;
}
