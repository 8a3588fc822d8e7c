/*
 * A processor without a TLB over shadow paging, and a guest's memory to make tables in. Each access
 * walks, faults as often as it must, does what it says, and has every invariant checked.
 *
 *   RAM [0, 32 MiB)      ROM [64 MiB, +64 KiB)      nothing elsewhere
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "mem/mem.h"
#include "mmu/mmu.h"
#include "mmu/shadow/shadow.h"
#include "x86/state.h"
#include "guest_tables.h"

#define RAM_BYTES (32 * MIB)
#define ROM       (64 * MIB)
#define ROM_BYTES (64 * KIB)
#define HOLE      (128 * MIB)

/* The page that the tables map at GVA. */
#define FRAME 0x400000u
#define GVA   0x7000u /* entry 7 of T1 */

struct rig {
    struct mem *mem;
    struct mmu *mmu;
    struct shadow *shadow;
    struct shadow_root root;
    struct guest_walk_context context;
    struct shadow_fault_result result; /* of the last fault */
    uint64_t pdpte[4];
    struct mmu_tlb tlb;     /* the processor has none, but what it is told is kept */
    gpa_t protected_in_tlb; /* the last page */
    unsigned tlb_flushes;
};

static inline void rig_flush_tlb(void *opaque)
{
    ((struct rig *)opaque)->tlb_flushes++;
}

static inline void rig_protect_tlb(void *opaque, gpa_t page)
{
    ((struct rig *)opaque)->protected_in_tlb = page;
}

static const struct guest_walk_access user_read = {.user = true};
static const struct guest_walk_access user_write = {.user = true, .write = true};
static const struct guest_walk_access user_fetch = {.user = true, .fetch = true};
static const struct guest_walk_access super_read = {.user = false};
static const struct guest_walk_access super_write = {.write = true};
static const struct guest_walk_access super_fetch = {.fetch = true};
static const struct guest_walk_access smap_read = {.smap = true};
static const struct guest_walk_access smap_write = {.smap = true, .write = true};

static inline void rig_audit(const struct rig *rig)
{
    char why[256];

    if (!mmu_audit(rig->mmu, why, sizeof(why)))
        fail_msg("%s", why);
}

static inline const struct shadow_stats *rig_stats(const struct rig *rig)
{
    return shadow_stats(rig->shadow);
}

/* The registers that paging depends on have changed. */
static inline void rig_switch(struct rig *rig)
{
    rig->context.pdpte = rig->pdpte;
    shadow_switch(rig->shadow, &rig->root, &rig->context);
    rig_audit(rig);
}

static inline void rig_make_with(struct rig *rig, const struct mmu_config *config)
{
    *rig = (struct rig){.mem = mem_create(NULL)};
    assert_non_null(rig->mem);
    assert_int_equal(mem_add_slot(rig->mem, "ram", 0, RAM_BYTES, MEM_SLOT_RAM), 0);
    assert_int_equal(mem_add_slot(rig->mem, "rom", ROM, ROM_BYTES, MEM_SLOT_ROM), 0);
    rig->mmu = mmu_create(rig->mem, config);
    assert_non_null(rig->mmu);
    rig->shadow = mmu_shadow(rig->mmu);
    rig->tlb =
        (struct mmu_tlb){.opaque = rig, .flush = rig_flush_tlb, .write_protect = rig_protect_tlb};
    mmu_attach(rig->mmu, &rig->tlb);
    rig->context = four_level_context(rig->mem);
}

static inline void rig_make(struct rig *rig)
{
    rig_make_with(rig, &(struct mmu_config){.mode = MMU_SHADOW});
}

static inline void rig_free(struct rig *rig)
{
    shadow_release(rig->shadow, &rig->root);
    mmu_detach(rig->mmu, &rig->tlb);
    mmu_destroy(rig->mmu);
    mem_destroy(rig->mem);
}

/* The guest's writes to its tables, told as the engine tells them. */
static inline void put64(struct rig *rig, gpa_t table, unsigned index, uint64_t entry)
{
    mem_write(rig->mem, table + 8 * index, &entry, 8);
    rig_audit(rig);
}

static inline void put32(struct rig *rig, gpa_t table, unsigned index, uint32_t entry)
{
    mem_write(rig->mem, table + 4 * index, &entry, 4);
    rig_audit(rig);
}

static inline uint64_t get64(struct rig *rig, gpa_t table, unsigned index)
{
    return mem_read64(rig->mem, table + 8 * index);
}

/* T4 to T1 map GVA to FRAME; rights are the last entry's. */
static inline void map_frame(struct rig *rig, uint64_t rights)
{
    put64(rig, T4, 0, T3 | P | W | U);
    put64(rig, T3, 0, T2 | P | W | U);
    put64(rig, T2, 0, T1 | P | W | U);
    put64(rig, T1, 7, FRAME | P | rights);
}

/*
 * Accesses one byte. SHADOW_RETRY: it was mapped, and read or written; result.gpa says where.
 * Anything else: how the last fault ended; a write that is to be emulated is done.
 */
static inline enum shadow_fault touch(struct rig *rig, gva_t gva,
                                      const struct guest_walk_access *access)
{
    bool smep = rig->context.smep && rig->context.format != X86_PAGING_NONE;
    struct shadow_mapping mapping;
    enum shadow_fault end = SHADOW_RETRY;
    uint8_t *hva;

    for (unsigned faults = 0; end == SHADOW_RETRY; faults++) {
        assert_in_range(faults, 0, 2);
        if (shadow_walk(rig->root.table, gva, access, smep, &mapping)) {
            assert_true(mem_gpa_of_host(rig->mem, mapping.hva, &rig->result.gpa));
            break;
        }
        end =
            shadow_handle_fault(rig->shadow, &rig->root, &rig->context, gva, access, &rig->result);
        rig_audit(rig);
    }
    hva = end == SHADOW_RETRY ? mapping.hva : rig->result.hva;
    if (access->write && (end == SHADOW_RETRY || end == SHADOW_EMULATE_WRITE)) {
        *hva += 1;
        mem_mark_written(rig->mem, rig->result.gpa, 1);
        rig_audit(rig);
    }
    return end;
}

/* How many faults an access takes that succeeds. */
static inline uint64_t faults_of(struct rig *rig, gva_t gva, const struct guest_walk_access *access)
{
    uint64_t before = rig_stats(rig)->faults;

    assert_int_equal(touch(rig, gva, access), SHADOW_RETRY);
    return rig_stats(rig)->faults - before;
}

static inline void assert_injects(struct rig *rig, gva_t gva,
                                  const struct guest_walk_access *access, uint32_t error)
{
    assert_int_equal(touch(rig, gva, access), SHADOW_INJECT);
    assert_int_equal(rig->result.error, error);
}

/* The entry that a walk of gva ends with, and its level. */
static inline uint64_t last_entry(const struct rig *rig, gva_t gva, unsigned *level)
{
    const uint64_t *entry_at[4];

    *level = shadow_walk_entries(rig->root.table, gva, entry_at);
    return *entry_at[*level - 1];
}

static inline unsigned leaf_level(const struct rig *rig, gva_t gva)
{
    unsigned level;
    uint64_t entry = last_entry(rig, gva, &level);

    return entry ? level : 0;
}
