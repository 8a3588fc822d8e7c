/*
 * The embedded guest's page tables, four levels of 512 entries. All tables lie in the
 * identity-mapped first 2 MiB, so a table's address in an entry can be used as a pointer. Source:
 * SDM 3, "4-Level Paging".
 */
#include "fw/demo/demo.h"

#define ENTRY_ADDRESS 0x000ffffffffff000

static uint64_t next_table = DEMO_TABLES_FREE;

static uint64_t *entry_of(uint64_t table, uint64_t gva, unsigned level)
{
    return (uint64_t *)table + (gva >> (3 + 9 * level) & 511);
}

static uint64_t new_table(void)
{
    uint64_t table = next_table;

    next_table += 0x1000;
    return table; /* start.S has cleared it */
}

void paging_map(uint64_t gva, uint64_t gpa, uint64_t rights)
{
    uint64_t table = read_cr3();

    for (unsigned level = 4; level > 1; level--) {
        uint64_t *entry = entry_of(table, gva, level);

        if (!(*entry & PTE_PRESENT))
            *entry = new_table() | PTE_PRESENT;
        *entry |= rights & (PTE_WRITABLE | PTE_USER);
        table = *entry & ENTRY_ADDRESS;
    }
    *entry_of(table, gva, 1) = gpa | rights | PTE_PRESENT;
    __asm__ volatile("invlpg (%0)" : : "r"(gva) : "memory");
}

uint64_t paging_new_space(void)
{
    uint64_t pml4 = new_table();

    *entry_of(pml4, 0, 4) = *entry_of(read_cr3(), 0, 4);
    return pml4;
}

void paging_show(uint64_t gva)
{
    static const char *const names[5] = {"", "PT  ", "PD  ", "PDPT", "PML4"};
    uint64_t table = read_cr3();

    console_print("     GVA %x is looked up so:\n", gva);
    for (unsigned level = 4; level >= 1; level--) {
        uint64_t *entry = entry_of(table, gva, level);
        uint64_t value = *entry;

        console_print("       %s at %x, entry %d: ", names[level], table,
                      (uint64_t)(entry - (uint64_t *)table));
        if (!(value & PTE_PRESENT)) {
            console_print("not present\n");
            return;
        }
        console_print("%s %x, %s, %s%s%s\n", level > 1 ? "table at" : "page at GPA",
                      value & ENTRY_ADDRESS, value & PTE_WRITABLE ? "writable" : "read-only",
                      value & PTE_USER ? "user" : "kernel only",
                      value & PTE_ACCESSED ? ", accessed" : "",
                      level == 1 && (value & PTE_DIRTY) ? ", dirty" : "");
        table = value & ENTRY_ADDRESS;
    }
}
