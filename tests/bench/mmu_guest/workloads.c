/*
 * The workloads. Each has a part before the clock runs (prepare), the measured part (run), and what
 * must be true behind it (check). All but the first touch and `fill` meet their pages before.
 */
#include "guest.h"

bool read_or_fault(uint64_t address);

#define APIC_VERSION 0xfee00030ull
#define FEW          64 /* pages that a workload goes round in */

static uint64_t sum;
static uint64_t other_frames[FEW];

static uint64_t page_at(uint64_t i)
{
    return WORK + i * PAGE;
}

static void map_pages(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        space_map(paging.root, page_at(i), tag_of(page_at(i)));
}

static void read_pages(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        sum += read_word(page_at(i), 1);
}

/* --- first touch: the guest maps a page when it faults --- */

static void touch_prepare(uint64_t param, uint64_t operations)
{
    (void)param, (void)operations;
    paging.maps = true;
}

static void touch_run(uint64_t param, uint64_t operations)
{
    (void)param;
    for (uint64_t i = 0; i < operations; i++)
        write_word(page_at(i), i);
}

static void touch_check(uint64_t param, uint64_t operations)
{
    (void)param;
    expect(paging.faults == operations, "not one fault a page");
    for (uint64_t i = 0; i < operations; i++) {
        uint64_t frame = *space_entry(paging.root, page_at(i), 1) & PTE_FRAME;

        expect(read_word(page_at(i), 1) == tag_of(page_at(i)), "a page with another's content");
        expect(read_word(frame, 0) == i, "a write that went to another frame");
    }
}

/* --- pages that the guest has mapped and nobody has touched since: no fault of the guest's --- */

static void fill_prepare(uint64_t param, uint64_t operations)
{
    map_pages(operations);
    (void)param;
}

static void fill_run(uint64_t param, uint64_t operations)
{
    (void)param;
    sum = 0;
    read_pages(operations);
}

static void fill_check(uint64_t param, uint64_t operations)
{
    (void)param;
    for (uint64_t i = 0; i < operations; i++)
        sum -= tag_of(page_at(i));
    expect(sum == 0 && paging.faults == 0, "a page with another's content");
}

/* --- a fault that stays the guest's: its handler steps over the read --- */

static void inject_prepare(uint64_t param, uint64_t operations)
{
    (void)param, (void)operations;
    map_pages(1);
    paging.resumes = true;
    read_or_fault(page_at(1));
}

static void inject_run(uint64_t param, uint64_t operations)
{
    (void)param;
    for (uint64_t i = 0; i < operations; i++)
        sum += read_or_fault(page_at(1));
}

static void inject_check(uint64_t param, uint64_t operations)
{
    (void)param;
    expect(sum == operations && paging.faults == operations + 1, "a read that should have faulted");
}

/* --- unmap: the entry is cleared, the page touched again, and mapped by the handler --- */

static void unmap_prepare(uint64_t param, uint64_t operations)
{
    (void)param, (void)operations;
    paging.maps = true;
    map_pages(FEW);
    read_pages(FEW);
}

static void unmap_run(uint64_t param, uint64_t operations)
{
    (void)param;
    for (uint64_t i = 0; i < operations; i++) {
        uint64_t page = page_at(i % FEW), *entry = space_entry(paging.root, page, 1);

        frame_free(*entry & PTE_FRAME);
        *entry = 0;
        invlpg(page);
        write_word(page, i);
    }
}

static void unmap_check(uint64_t param, uint64_t operations)
{
    (void)param;
    expect(paging.faults == operations, "not one fault an unmapped page");
    for (uint64_t i = operations - FEW; i < operations; i++) {
        expect(read_word(page_at(i % FEW), 0) == i, "a write is lost");
        expect(read_word(page_at(i % FEW), 1) == tag_of(page_at(i % FEW)), "another's content");
    }
}

/* --- remap: the entry gets another frame, and the page is read --- */

static void remap_prepare(uint64_t param, uint64_t operations)
{
    (void)param, (void)operations;
    map_pages(FEW);
    for (unsigned i = 0; i < FEW; i++) {
        other_frames[i] = frame_new();
        ((uint64_t *)other_frames[i])[1] = tag_of(page_at(i)) + 1;
    }
    read_pages(FEW);
}

static void remap_run(uint64_t param, uint64_t operations)
{
    (void)param;
    sum = 0;
    for (uint64_t i = 0; i < operations; i++) {
        uint64_t page = page_at(i % FEW), *entry = space_entry(paging.root, page, 1);
        uint64_t frame = *entry & PTE_FRAME;

        *entry = other_frames[i % FEW] | PTE_P | PTE_W;
        other_frames[i % FEW] = frame;
        invlpg(page);
        sum += read_word(page, 1);
    }
}

static void remap_check(uint64_t param, uint64_t operations)
{
    (void)param;
    for (uint64_t i = 0; i < operations; i++)
        sum -= tag_of(page_at(i % FEW)) + (i / FEW % 2 ? 0 : 1);
    expect(sum == 0, "a read from the frame that was there before");
}

/* --- protect: permission to write goes, the write faults, the handler gives it back --- */

static void protect_prepare(uint64_t param, uint64_t operations)
{
    (void)param, (void)operations;
    paging.unlocks = true;
    map_pages(FEW);
    for (unsigned i = 0; i < FEW; i++)
        write_word(page_at(i), 0);
}

static void protect_run(uint64_t param, uint64_t operations)
{
    (void)param;
    for (uint64_t i = 0; i < operations; i++) {
        uint64_t page = page_at(i % FEW);

        *space_entry(paging.root, page, 1) &= ~(uint64_t)PTE_W;
        invlpg(page);
        write_word(page, i);
    }
}

static void protect_check(uint64_t param, uint64_t operations)
{
    (void)param;
    expect(paging.faults == operations, "a write without permission");
    for (uint64_t i = operations - FEW; i < operations; i++)
        expect(read_word(page_at(i % FEW), 0) == i, "a write is lost");
}

/* --- random reads over a set of bytes --- */

static uint64_t read_param_page(uint64_t i)
{
    return page_at(i) + (i * 64) % PAGE; /* not the same cache set in each page */
}

static void read_map(uint64_t bytes, bool large)
{
    for (uint64_t i = 0; i < bytes / PAGE; i++) {
        uint64_t *entry = space_entry(paging.root, page_at(i), large ? 2 : 1);

        if (!(*entry & PTE_P))
            *entry = (large ? frame_large() | PTE_PS : frame_new()) | PTE_P | PTE_W;
        write_word(read_param_page(i), tag_of(page_at(i)));
    }
}

static void read_small_prepare(uint64_t bytes, uint64_t operations)
{
    (void)operations;
    read_map(bytes, false);
}

static void read_large_prepare(uint64_t bytes, uint64_t operations)
{
    (void)operations;
    read_map(bytes, true);
}

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005ull + 1442695040888963407ull;
    return *state >> 33;
}

static void read_run(uint64_t bytes, uint64_t operations)
{
    uint64_t state = 1, mask = bytes / PAGE - 1;

    sum = 0;
    for (uint64_t i = 0; i < operations; i++)
        sum += read_word(read_param_page(next_random(&state) & mask), 0);
}

static void read_check(uint64_t bytes, uint64_t operations)
{
    uint64_t state = 1, mask = bytes / PAGE - 1;

    for (uint64_t i = 0; i < operations; i++)
        sum -= tag_of(page_at(next_random(&state) & mask));
    expect(sum == 0, "a read from another page");
}

/* --- INVLPG of a page in use; loads of CR3 --- */

static void invlpg_run(uint64_t param, uint64_t operations)
{
    (void)param;
    for (uint64_t i = 0; i < operations; i++) {
        invlpg(page_at(i % FEW));
        sum += read_word(page_at(i % FEW), 1);
    }
}

static void cr3_run(uint64_t param, uint64_t operations)
{
    (void)param;
    for (uint64_t i = 0; i < operations; i++)
        write_cr3((uint64_t)paging.root);
}

/* --- address spaces: each maps the same pages to frames of its own --- */

enum { SPACES = 256, SPACE_PAGES = 16 };
static uint64_t spaces[SPACES]; /* what goes to CR3 */

static uint64_t space_tag(uint64_t space, uint64_t i)
{
    return tag_of(page_at(i)) + 2 * space;
}

static void switch_run(uint64_t count, uint64_t operations)
{
    sum = 0;
    for (uint64_t i = 0; i < operations; i++) {
        write_cr3(spaces[i % count]);
        read_pages(SPACE_PAGES);
    }
}

static void switch_prepare(uint64_t count, uint64_t operations)
{
    (void)operations;
    for (uint64_t space = 0; space < count; space++) {
        uint64_t *root = space_new();

        for (uint64_t i = 0; i < SPACE_PAGES; i++)
            space_map(root, page_at(i), space_tag(space, i));
        spaces[space] = (uint64_t)root;
    }
    switch_run(count, count);
}

static void switch_pcid_prepare(uint64_t count, uint64_t operations)
{
    switch_prepare(count, operations);
    for (uint64_t space = 0; space < count; space++)
        spaces[space] |= NO_FLUSH | (space + 1);
    switch_run(count, count);
}

static void switch_check(uint64_t count, uint64_t operations)
{
    for (uint64_t i = 0; i < operations; i++) {
        for (uint64_t page = 0; page < SPACE_PAGES; page++)
            sum -= space_tag(i % count, page);
    }
    expect(sum == 0 && paging.faults == 0, "a read from another address space");
}

/* --- fork: the tables are copied, child and parent write to some pages, the child goes away --- */

enum { FORK_PAGES = 256, FORK_WRITES = 32 };

static void fork_once(uint64_t value)
{
    uint64_t *parent = paging.root, *child = space_fork(parent);

    space_enter(child);
    for (uint64_t i = 0; i < FORK_WRITES; i++)
        write_word(page_at(i * (FORK_PAGES / FORK_WRITES)), ~value);
    space_enter(parent);
    for (uint64_t i = 0; i < FORK_WRITES; i++) {
        uint64_t page = page_at(i * (FORK_PAGES / FORK_WRITES));

        expect(read_word(page, 0) == value - 1, "the child has written to its parent");
        write_word(page, value);
    }
    space_free(child);
}

static void fork_run(uint64_t param, uint64_t operations)
{
    (void)param;
    for (uint64_t i = 0; i < operations; i++)
        fork_once(i + 2);
}

static void fork_prepare(uint64_t param, uint64_t operations)
{
    (void)param, (void)operations;
    paging.unlocks = true;
    map_pages(FORK_PAGES);
    for (uint64_t i = 0; i < FORK_PAGES; i++)
        write_word(page_at(i), 0);
    fork_once(1);
}

static void fork_check(uint64_t param, uint64_t operations)
{
    (void)param;
    expect(paging.faults == (operations + 1) * 2 * FORK_WRITES, "not two faults a written page");
    for (uint64_t i = 0; i < FORK_PAGES; i++)
        expect(read_word(page_at(i), 1) == tag_of(page_at(i)), "a page with another's content");
}

/* --- exec: a new address space is made page by page, used and torn down --- */

enum { EXEC_PAGES = 128 };

static void exec_run(uint64_t param, uint64_t operations)
{
    uint64_t *home = paging.root;

    (void)param;
    sum = 0;
    for (uint64_t i = 0; i < operations; i++) {
        uint64_t *root = space_new();

        space_enter(root);
        for (uint64_t page = 0; page < EXEC_PAGES; page++)
            write_word(page_at(page), i);
        read_pages(EXEC_PAGES);
        space_enter(home);
        space_free(root);
    }
}

static void exec_prepare(uint64_t param, uint64_t operations)
{
    (void)operations;
    paging.maps = true;
    exec_run(param, 1);
}

static void exec_check(uint64_t param, uint64_t operations)
{
    (void)param;
    for (uint64_t page = 0; page < EXEC_PAGES; page++)
        sum -= operations * tag_of(page_at(page));
    expect(sum == 0, "a page with another's content");
    expect(paging.faults == (operations + 1) * EXEC_PAGES, "not one fault a page");
}

/* --- a device's register --- */

static void mmio_run(uint64_t param, uint64_t operations)
{
    uint32_t version = *(volatile uint32_t *)APIC_VERSION;

    (void)param;
    for (uint64_t i = 0; i < operations; i++)
        expect(*(volatile uint32_t *)APIC_VERSION == version, "the APIC has changed its version");
}

static void mmio_prepare(uint64_t param, uint64_t operations)
{
    (void)operations;
    mmio_run(param, 1);
}

#define READ(size, bytes)                                                                          \
    {"read-4k-" size, 1000000, read_small_prepare, read_run, read_check, bytes, false},            \
    {                                                                                              \
        "read-2m-" size, 1000000, read_large_prepare, read_run, read_check, bytes, false           \
    }
#define SWITCH(digits, count)                                                                      \
    {"switch-" digits, 8192, switch_prepare, switch_run, switch_check, count, false},              \
    {                                                                                              \
        "switch-pcid-" digits, 8192, switch_pcid_prepare, switch_run, switch_check, count, true    \
    }

const struct workload workloads[] = {
    {"touch", 32768, touch_prepare, touch_run, touch_check, 0, false},
    {"fill", 49152, fill_prepare, fill_run, fill_check, 0, false},
    {"inject", 100000, inject_prepare, inject_run, inject_check, 0, false},
    {"unmap", 30000, unmap_prepare, unmap_run, unmap_check, 0, false},
    {"remap", 30000, remap_prepare, remap_run, remap_check, 0, false},
    {"protect", 30000, protect_prepare, protect_run, protect_check, 0, false},
    {"invlpg", 50000, unmap_prepare, invlpg_run, NULL, 0, false},
    {"cr3", 50000, unmap_prepare, cr3_run, NULL, 0, false},
    READ("64k", 64 * 1024),
    READ("1m", MIB),
    READ("4m", 4 * MIB),
    READ("16m", 16 * MIB),
    READ("64m", 64 * MIB),
    SWITCH("1", 1),
    SWITCH("2", 2),
    SWITCH("8", 8),
    SWITCH("64", 64),
    SWITCH("256", 256),
    {"fork", 200, fork_prepare, fork_run, fork_check, 0, false},
    {"exec", 200, exec_prepare, exec_run, exec_check, 0, false},
    {"mmio", 100000, mmio_prepare, mmio_run, NULL, 0, false},
};
const unsigned workload_count = sizeof(workloads) / sizeof(workloads[0]);
