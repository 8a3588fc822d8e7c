/*
 * The guest's frames, address spaces and page-fault handler. All of its memory below 1 GiB is
 * mapped where it is, so a frame's number and a table's address are the same thing.
 */
#include "guest.h"

#define FRAMES_FROM (16 * MIB)
#define FRAMES_TO   (240 * MIB)
#define ENTRIES     512

enum error {
    ERROR_PRESENT = 1,
    ERROR_WRITE = 2,
};

struct frame {
    uint64_t error, rip;
};

struct paging paging;
extern uint64_t kernel_pml4[ENTRIES];
extern const char read_resume[];
void page_fault(uint64_t address, struct frame *frame);

static uint64_t next_frame = FRAMES_FROM;
static uint64_t free_frames; /* a list through their first words; 0 ends it */
static uint8_t shares[FRAMES_TO / PAGE];

static void fill(uint64_t *to, uint64_t value)
{
    uint64_t count = ENTRIES;

    __asm__ volatile("rep stosq" : "+D"(to), "+c"(count) : "a"(value) : "memory");
}

static void copy(uint64_t *to, const uint64_t *from)
{
    uint64_t count = ENTRIES;

    __asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
}

static uint64_t take_frame(void)
{
    uint64_t frame = free_frames;

    if (frame) {
        free_frames = *(uint64_t *)frame;
    } else {
        expect(next_frame < FRAMES_TO, "the guest has no frame left");
        frame = next_frame;
        next_frame += PAGE;
    }
    shares[frame / PAGE] = 1;
    return frame;
}

uint64_t frame_new(void)
{
    uint64_t frame = take_frame();

    fill((uint64_t *)frame, 0);
    return frame;
}

uint64_t frame_large(void)
{
    uint64_t frame = (next_frame + LARGE - 1) & ~(LARGE - 1);

    expect(frame + LARGE <= FRAMES_TO, "the guest has no large frame left");
    next_frame = frame + LARGE;
    return frame;
}

void frame_free(uint64_t frame)
{
    if (--shares[frame / PAGE])
        return;
    *(uint64_t *)frame = free_frames;
    free_frames = frame;
}

uint64_t tag_of(uint64_t address)
{
    return (address >> 12) * 0x9e3779b97f4a7c15ull | 1;
}

uint64_t *space_new(void)
{
    uint64_t *root = (uint64_t *)frame_new();

    root[0] = kernel_pml4[0];
    return root;
}

void space_enter(uint64_t *root)
{
    paging.root = root;
    write_cr3((uint64_t)root);
}

uint64_t *space_entry(uint64_t *root, uint64_t address, unsigned level)
{
    uint64_t *table = root;

    for (unsigned at = 4;; at--) {
        uint64_t *entry = &table[(address >> (12 + 9 * (at - 1))) % ENTRIES];

        if (at == level)
            return entry;
        if (!(*entry & PTE_P))
            *entry = frame_new() | PTE_P | PTE_W;
        table = (uint64_t *)(*entry & PTE_FRAME);
    }
}

void space_map(uint64_t *root, uint64_t address, uint64_t tag)
{
    uint64_t frame = take_frame();

    ((uint64_t *)frame)[0] = 0;
    ((uint64_t *)frame)[1] = tag;
    *space_entry(root, address, 1) = frame | PTE_P | PTE_W;
}

static void free_table(uint64_t *table, unsigned level)
{
    for (unsigned i = level == 4; i < ENTRIES; i++) {
        if (!(table[i] & PTE_P))
            continue;
        if (level > 1)
            free_table((uint64_t *)(table[i] & PTE_FRAME), level - 1);
        else
            frame_free(table[i] & PTE_FRAME);
    }
    frame_free((uint64_t)table);
}

void space_free(uint64_t *root)
{
    free_table(root, 4);
}

static uint64_t *fork_table(uint64_t *table, unsigned level)
{
    uint64_t *to = (uint64_t *)frame_new();

    for (unsigned i = 0; i < ENTRIES; i++) {
        if (!(table[i] & PTE_P))
            continue;
        if (level == 4 && i == 0) {
            to[i] = table[i];
        } else if (level > 1) {
            to[i] =
                (uint64_t)fork_table((uint64_t *)(table[i] & PTE_FRAME), level - 1) | PTE_P | PTE_W;
        } else {
            table[i] = (table[i] & ~(uint64_t)PTE_W) | PTE_OURS;
            shares[(table[i] & PTE_FRAME) / PAGE]++;
            to[i] = table[i];
        }
    }
    return to;
}

uint64_t *space_fork(uint64_t *root)
{
    return fork_table(root, 4);
}

/* A write to a page without permission: it is ours alone by now, or a copy is. */
static void unlock(uint64_t address)
{
    uint64_t *entry = space_entry(paging.root, address, 1), frame = *entry & PTE_FRAME;

    if (shares[frame / PAGE] > 1) {
        uint64_t own = take_frame();

        copy((uint64_t *)own, (const uint64_t *)frame);
        frame_free(frame);
        frame = own;
    }
    *entry = frame | PTE_P | PTE_W;
    invlpg(address);
}

void page_fault(uint64_t address, struct frame *frame)
{
    paging.faults++;
    if (paging.resumes) {
        frame->rip = (uint64_t)read_resume;
        return;
    }
    expect(address >= WORK && address < WORK + (1ull << 30), "a page fault outside the work area");
    if (!(frame->error & ERROR_PRESENT)) {
        expect(paging.maps, "a page is missing that was mapped");
        space_map(paging.root, address & ~(PAGE - 1), tag_of(address));
        return;
    }
    expect(paging.unlocks && (frame->error & ERROR_WRITE), "a fault of rights that were given");
    unlock(address);
}
