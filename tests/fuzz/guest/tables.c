/* Descriptor tables, task states and page tables of a fuzzed guest. */
#include "guest/guest.h"

#include "x86/descriptor.h"

#define PTE_P  BIT(0)
#define PTE_W  BIT(1)
#define PTE_U  BIT(2)
#define PTE_AD (BIT(5) | BIT(6))
#define PTE_PS BIT(7)
#define PTE_NX BIT(63)

#define FLAT    0x00cf0000u /* limit FFFFFh in pages, D/B set */
#define FLAT16  0x008f0000u
#define LONG    0x00af0000u
#define BYTE_64 0x00000000u

static void put64(struct guest *guest, gpa_t gpa, uint64_t value)
{
    mem_write(guest->mem, gpa, &value, sizeof(value));
}

static void put32(struct guest *guest, gpa_t gpa, uint32_t value)
{
    mem_write(guest->mem, gpa, &value, sizeof(value));
}

static void put16(struct guest *guest, gpa_t gpa, uint16_t value)
{
    mem_write(guest->mem, gpa, &value, sizeof(value));
}

/* A descriptor's high dword from type byte and size bits; base below 16 MiB. */
static uint64_t descriptor(uint32_t base, uint32_t limit, uint8_t rights, uint32_t size)
{
    uint32_t high = (base >> 16 & 0xff) | (uint32_t)rights << 8 | size | (base & 0xff000000);

    return (uint64_t)high << 32 | (base & 0xffff) << 16 | (limit & 0xffff);
}

static uint64_t gate(uint16_t selector, uint32_t offset, uint8_t rights, uint8_t count)
{
    return (uint64_t)((offset & 0xffff0000) | (uint32_t)rights << 8 | count) << 32 |
           (uint32_t)selector << 16 | (offset & 0xffff);
}

static uint16_t kernel_code(const struct guest *guest)
{
    if (guest_mode_long(guest->mode))
        return SEL_CODE64;
    return guest->mode == GUEST_PROT16 ? SEL_CODE16 : SEL_CODE32;
}

static void make_gdt(struct guest *guest)
{
    bool wide = guest_mode_long(guest->mode);
    uint32_t target = GUEST_CODE + dice_below(guest->dice, GUEST_CODE_BYTES);
    const struct {
        uint16_t selector;
        uint64_t value;
    } rows[] = {
        {SEL_CODE32, descriptor(0, 0xffff, 0x9a, FLAT)},
        {SEL_DATA32, descriptor(0, 0xffff, 0x92, FLAT)},
        {SEL_CODE16, descriptor(0, 0xffff, 0x9a, FLAT16)},
        {SEL_DATA16, descriptor(0, 0xffff, 0x92, FLAT16)},
        {SEL_CODE64, descriptor(0, 0xffff, 0x9a, LONG)},
        {SEL_USER_CODE32, descriptor(0, 0xffff, 0xfa, FLAT)},
        {SEL_USER_DATA, descriptor(0, 0xffff, 0xf2, FLAT)},
        {SEL_USER_CODE64, descriptor(0, 0xffff, 0xfa, LONG)},
        {SEL_TSS, descriptor(GUEST_TSS, GUEST_TSS_BYTES - 1, 0x8b, 0)},
        {SEL_LDT, descriptor(GUEST_LDT, 8 * GUEST_LDT_ENTRIES - 1, 0x82, 0)},
        {SEL_TSS_OTHER, descriptor(GUEST_TSS_OTHER, 0x67, 0x89, 0)},
        {SEL_TSS16, wide ? 0 : descriptor(GUEST_TSS_OTHER + 0x200, 0x2b, 0xe1, 0)},
        {SEL_TSS16_OTHER, descriptor(GUEST_TSS_OTHER + 0x400, 0x2b, 0x81, 0)},
        {SEL_TASK_GATE, gate(SEL_TSS_OTHER, 0, 0xe5, 0)},
        {SEL_CALL_GATE, gate(kernel_code(guest), target, 0xec, dice_8(guest->dice) & 31)},
        {SEL_CALL_GATE16, wide ? 0 : gate(SEL_CODE16, target, 0xe4, dice_8(guest->dice) & 31)},
        {SEL_CONFORMING, descriptor(0, 0xffff, 0x9e, FLAT)},
        {SEL_DOWN32, descriptor(0, 0x10, 0xf6, FLAT)},
        {SEL_DOWN16, descriptor(0, 0x8000, 0xf6, 0)},
        {SEL_EXECUTE_ONLY, descriptor(0, 0xffff, 0xf8, FLAT)},
        {SEL_READ_ONLY, descriptor(GUEST_DATA, 0x123, 0xf0, 0)},
        {SEL_ABSENT, descriptor(0, 0xffff, 0x72, FLAT)},
        {SEL_CODE_1, descriptor(0, 0xffff, 0xba, FLAT)},
        {SEL_DATA_1, descriptor(0, 0xffff, 0xb2, FLAT)},
        {SEL_USER_CODE16, descriptor(0, 0xffff, 0xfa, FLAT16)},
        {SEL_CALL_GATE_DOWN, gate(SEL_CODE_1, target, 0xec, 0)},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t value = rows[i].value;

        if (dice_chance(guest->dice, 3))
            value ^= BIT(dice_8(guest->dice) & 63);
        put64(guest, GUEST_GDT + (rows[i].selector & X86_SELECTOR_INDEX), value);
    }
    for (unsigned i = 0; i < GUEST_LDT_ENTRIES; i++)
        put64(guest, GUEST_LDT + 8 * i, rows[dice_below(guest->dice, ARRAY_SIZE(rows))].value);
}

/* Where a handler stands, and what kind of gate leads there: mostly what a kernel would have. */
static void make_idt(struct guest *guest)
{
    static const uint8_t rights[] = {0x8e, 0xee, 0xef, 0xe5, 0xe6, 0xe7, 0x0e, 0x8c};
    static const uint16_t selectors[] = {SEL_CODE32, SEL_CODE16,     SEL_CODE64,
                                         SEL_CODE_1, SEL_CONFORMING, SEL_TSS_OTHER};
    bool wide = guest_mode_long(guest->mode);

    for (unsigned vector = 0; vector < 256; vector++) {
        gpa_t at = GUEST_IDT + vector * (wide ? 16u : 8u);
        uint8_t right = dice_chance(guest->dice, 24) ? DICE_PICK(guest->dice, rights)
                        : vector & 1                 ? 0x8e
                                                     : 0xee;
        uint16_t selector = kernel_code(guest);
        uint8_t ist = wide && dice_chance(guest->dice, 24) ? dice_8(guest->dice) & 7 : 0;

        if (right == 0xe5)
            selector = SEL_TSS_OTHER;
        else if (dice_chance(guest->dice, 8))
            selector = DICE_PICK(guest->dice, selectors);
        put64(guest, at, gate(selector, GUEST_HANDLERS + 16 * (vector & 0xff), right, ist));
        if (wide)
            put64(guest, at + 8, dice_chance(guest->dice, 2) ? dice_64(guest->dice) : 0);
    }
}

static uint32_t stack_top(unsigned number)
{
    return GUEST_STACKS + 0x1000 * (number + 1);
}

static void make_tss_long(struct guest *guest)
{
    for (unsigned i = 0; i < 3; i++)
        put64(guest, GUEST_TSS + 4 + 8 * i, stack_top(i));
    for (unsigned i = 0; i < 7; i++)
        put64(guest, GUEST_TSS + 36 + 8 * i,
              dice_chance(guest->dice, 8) ? guest_interesting_address(guest->dice)
                                          : stack_top(3 + i));
}

static void make_tss_32(struct guest *guest, gpa_t at, unsigned stack)
{
    static const uint16_t segments[] = {SEL_DATA32, SEL_CODE32, SEL_DATA32,
                                        SEL_DATA32, SEL_DATA32, 0};
    static const uint16_t levels[] = {SEL_DATA32, SEL_DATA_1 | 1, SEL_USER_DATA};

    for (unsigned i = 0; i < 3; i++) {
        put32(guest, at + 4 + 8 * i, stack_top(stack + i));
        put16(guest, at + 8 + 8 * i, levels[i]);
    }
    put32(guest, at + 28, GUEST_TABLES);
    put32(guest, at + 32, GUEST_CODE + dice_below(guest->dice, GUEST_CODE_BYTES));
    put32(guest, at + 36, (uint32_t)guest_interesting(guest->dice) & 0x47fd5);
    put32(guest, at + 56, stack_top(stack));
    for (unsigned i = 0; i < ARRAY_SIZE(segments); i++)
        put16(guest, at + 72 + 4 * i, segments[i]);
    put16(guest, at + 96, SEL_LDT);
    put16(guest, at + 100, dice_chance(guest->dice, 16));
}

static void make_tss_16(struct guest *guest, gpa_t at)
{
    put16(guest, at + 2, (uint16_t)stack_top(0));
    put16(guest, at + 4, SEL_DATA16);
    put16(guest, at + 14, GUEST_CODE & 0xffff);
    put16(guest, at + 16, (uint16_t)guest_interesting(guest->dice));
    put16(guest, at + 26, 0xfff0);
    put16(guest, at + 34, SEL_DATA16);
    put16(guest, at + 36, SEL_CODE16);
    put16(guest, at + 38, SEL_DATA16);
    put16(guest, at + 40, SEL_DATA16);
    put16(guest, at + 42, SEL_LDT);
}

void guest_tables_make(struct guest *guest)
{
    make_gdt(guest);
    make_idt(guest);
    if (guest_mode_long(guest->mode)) {
        make_tss_long(guest);
    } else {
        make_tss_32(guest, GUEST_TSS, 0);
        make_tss_32(guest, GUEST_TSS_OTHER, 4);
        make_tss_16(guest, GUEST_TSS_OTHER + 0x200);
        make_tss_16(guest, GUEST_TSS_OTHER + 0x400);
    }
    /* The I/O map allows every other port; the redirection map for VM86 is as random. */
    put16(guest, GUEST_TSS + 102, 0x68);
    for (unsigned i = 0x48; i < GUEST_TSS_BYTES; i += 8)
        if (i >= 0x68)
            put64(guest, GUEST_TSS + i, 0xaaaa0000aaaa0000u);
}

/* --- page tables --- */

struct pages {
    struct guest *guest;
    gpa_t next;  /* the next free page for a table */
    bool narrow; /* entries of 32 bits */
    unsigned levels;
    gpa_t root;
};

static uint64_t entry_read(const struct pages *pages, gpa_t table, uint64_t index)
{
    return pages->narrow ? mem_read32(pages->guest->mem, table + 4 * index)
                         : mem_read64(pages->guest->mem, table + 8 * index);
}

static void entry_write(struct pages *pages, gpa_t table, uint64_t index, uint64_t value)
{
    if (pages->narrow)
        put32(pages->guest, table + 4 * index, (uint32_t)value);
    else
        put64(pages->guest, table + 8 * index, value);
}

static gpa_t table_new(struct pages *pages)
{
    gpa_t table = pages->next;

    if (table + PAGE_SIZE <= GUEST_TABLES + GUEST_TABLES_BYTES)
        pages->next += PAGE_SIZE;
    else
        table = pages->root; /* out of room: a loop is an interesting table, too */
    return table;
}

/* A leaf's bits: now and then something is wrong with it. */
static uint64_t leaf_bits(struct pages *pages)
{
    struct dice *dice = pages->guest->dice;
    uint64_t bits = PTE_P | PTE_W | (guest_mode_cpl(pages->guest->mode) == 3 ? PTE_U : 0);

    if (dice_chance(dice, 128))
        bits |= PTE_AD;
    if (dice_chance(dice, 10))
        bits ^= BIT(dice_8(dice) % (pages->narrow ? 12 : 64));
    return bits;
}

static void map(struct pages *pages, gva_t linear, gpa_t gpa)
{
    unsigned bits = pages->narrow ? 10 : 9;
    gpa_t table = pages->root;

    for (unsigned level = pages->levels; level > 1; level--) {
        uint64_t index = linear >> (PAGE_SHIFT + bits * (level - 1)) & (BIT(bits) - 1);
        uint64_t entry = entry_read(pages, table, index);
        bool registers = !pages->narrow && pages->levels == 3 && level == 3;

        if (!(entry & PTE_P)) {
            entry = table_new(pages) | PTE_P | (registers ? 0 : PTE_W | PTE_U);
            entry_write(pages, table, index, entry);
        }
        table = entry & 0xfffff000;
    }
    entry_write(pages, table, linear >> PAGE_SHIFT & (BIT(bits) - 1), gpa | leaf_bits(pages));
}

static void map_range(struct pages *pages, gva_t linear, gpa_t gpa, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        map(pages, linear + i * PAGE_SIZE, gpa + i * PAGE_SIZE);
}

/* Linear addresses at the edges lead to RAM; some others to devices and to nothing. */
static void map_edges(struct pages *pages)
{
    static const gpa_t targets[] = {
        LAYOUT_LAPIC_BASE,
        LAYOUT_IOAPIC_BASE,
        LAYOUT_HPET_BASE,
        LAYOUT_VGA_BASE,
        0xb8000,
        0xf0000,
        GUEST_MEMORY - PAGE_SIZE,
        GUEST_MEMORY,
        GUEST_CODE,
        GUEST_TABLES,
    };

    map_range(pages, 0x400000, GUEST_CODE, 4);
    for (unsigned i = 0; i < ARRAY_SIZE(targets); i++)
        map(pages, 0x410000 + i * PAGE_SIZE, targets[i]);
    if (pages->levels == 4) {
        map_range(pages, 0xffffffff80000000u, 0, 64);
        map(pages, 0x7ffffffff000u, GUEST_DATA);
        map(pages, 0xffff800000000000u, GUEST_DATA + PAGE_SIZE);
        map(pages, 0xfffffffffffff000u, GUEST_DATA + 2 * PAGE_SIZE);
    } else {
        map(pages, 0xfffff000u, GUEST_DATA + 2 * PAGE_SIZE);
        map(pages, LAYOUT_LAPIC_BASE, LAYOUT_LAPIC_BASE);
    }
}

/* One large page at 8 MiB, over RAM. */
static void map_large(struct pages *pages)
{
    gpa_t table = pages->root;
    uint64_t entry;

    for (unsigned level = pages->levels; level > 2; level--) {
        entry = entry_read(pages, table, 0);
        if (!(entry & PTE_P))
            return;
        table = entry & 0xfffff000;
    }
    entry_write(pages, table, pages->narrow ? 2 : 4, PTE_PS | leaf_bits(pages));
}

uint64_t guest_pages_make(struct guest *guest, uint64_t pdpte[4])
{
    struct pages pages = {.guest = guest, .next = GUEST_TABLES + PAGE_SIZE, .root = GUEST_TABLES};

    if (guest->mode == GUEST_PAGED32 || guest->mode == GUEST_PAGED32_USER) {
        pages.narrow = true;
        pages.levels = 2;
    } else {
        pages.levels = guest_mode_long(guest->mode) ? 4 : 3;
    }
    map_range(&pages, 0, 0, (unsigned)(GUEST_MEMORY >> PAGE_SHIFT));
    map_edges(&pages);
    map_large(&pages);
    for (unsigned i = 0; i < 4; i++)
        pdpte[i] = pages.levels == 3 ? mem_read64(guest->mem, pages.root + 8 * i) : 0;
    return pages.root;
}
