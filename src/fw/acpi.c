/*
 * The ACPI tables, written one after the other into a buffer that mirrors the guest's memory from
 * layout->acpi_base on. Fields are named by their offsets in the specification's tables.
 */
#include "fw/acpi.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "fw/bytes.h"
#include "fw/dsdt_values.h"
#include "fw/irq_routes.h"
#include "mem/layout.h"

_Static_assert(DSDT_PCI_MMIO_BASE == LAYOUT_PCI_MMIO_BASE, "the DSDT's PCI window begins there");
_Static_assert(DSDT_PCI_MMIO_LAST + 1 == LAYOUT_PCI_MMIO_END, "the DSDT's PCI window ends there");
_Static_assert(DSDT_PCI_MMIO_SIZE == LAYOUT_PCI_MMIO_END - LAYOUT_PCI_MMIO_BASE, "and fills it");
_Static_assert(DSDT_HPET_BASE == LAYOUT_HPET_BASE, "the DSDT's HPET is the layout's");
_Static_assert(DSDT_PM_BASE == LAYOUT_PM_BASE, "the DSDT's PM block is the layout's");
_Static_assert(DSDT_PM_GPE_BASE == LAYOUT_PM_GPE_BASE, "the DSDT's GPE block is the layout's");
_Static_assert(DSDT_SMI_PORT == LAYOUT_SMI_PORT, "the DSDT's SMI port is the layout's");
_Static_assert(DSDT_SLP_TYP_S5 == LAYOUT_PM_SLP_TYP_S5, "the DSDT's S5 is the layout's");

static const uint8_t dsdt[] = {
#include "fw/dsdt.inc"
};

/* What every system description table begins with (ACPI 6.4, 5.2.6). */
#define HEADER_LENGTH   4
#define HEADER_REVISION 8
#define HEADER_CHECKSUM 9
#define HEADER_SIZE     36

#define TABLE_ALIGN      16
#define FACS_ALIGN       64
#define FACS_SIZE        64
#define MAX_ROOT_ENTRIES 8

/* The buffer under construction, and the tables that RSDT and XSDT will list. */
struct builder {
    const struct layout *layout;
    uint8_t *bytes; /* LAYOUT_ACPI_SIZE of them, zero */
    size_t used;
    gpa_t root[MAX_ROOT_ENTRIES];
    size_t root_count;
};

static gpa_t gpa_of(const struct builder *b, const uint8_t *at)
{
    return b->layout->acpi_base + (gpa_t)(at - b->bytes);
}

/* Takes zeroed bytes from the buffer. */
static uint8_t *take(struct builder *b, size_t size, size_t align)
{
    size_t at = ALIGN_UP(b->used, align);

    ASSERT(at + size <= LAYOUT_ACPI_SIZE, "the ACPI tables fit the range that the layout keeps");
    b->used = at + size;
    return b->bytes + at;
}

/* Begins a table of a given whole size; finish_table closes it. */
static uint8_t *begin_table(struct builder *b, const char *signature, uint8_t revision, size_t size)
{
    uint8_t *table = take(b, size, TABLE_ALIGN);

    memcpy(table, signature, 4);
    bytes_put32(table + HEADER_LENGTH, (uint32_t)size);
    table[HEADER_REVISION] = revision;
    memcpy(table + 10, "UMBRA ", 6);
    memcpy(table + 16, "UMBRAPC ", 8);
    bytes_put32(table + 24, 1);
    memcpy(table + 28, "UMBR", 4);
    bytes_put32(table + 32, 1);
    return table;
}

static void finish_table(uint8_t *table)
{
    table[HEADER_CHECKSUM] = 0;
    table[HEADER_CHECKSUM] = bytes_checksum(table, bytes_get32(table + HEADER_LENGTH));
}

static void list_table(struct builder *b, uint8_t *table)
{
    finish_table(table);
    ASSERT(b->root_count < MAX_ROOT_ENTRIES, "RSDT and XSDT have room for our tables");
    b->root[b->root_count++] = gpa_of(b, table);
}

/* A generic address structure (5.2.3.2). */
enum gas_space { GAS_MEMORY = 0, GAS_IO = 1 };

static void put_gas(uint8_t *at, enum gas_space space, uint8_t bits, uint64_t address)
{
    at[0] = (uint8_t)space;
    at[1] = bits;
    at[2] = 0;
    at[3] = bits == 8 ? 1 : bits == 16 ? 2 : 3; /* access size: byte, word, dword */
    bytes_put64(at + 4, address);
}

static gpa_t build_facs(struct builder *b)
{
    uint8_t *facs = take(b, FACS_SIZE, FACS_ALIGN);

    memcpy(facs, "FACS", 4);
    bytes_put32(facs + 4, FACS_SIZE);
    facs[32] = 1; /* version; the FACS has no checksum */
    return gpa_of(b, facs);
}

static gpa_t build_dsdt(struct builder *b)
{
    uint8_t *table = take(b, sizeof(dsdt), TABLE_ALIGN);

    memcpy(table, dsdt, sizeof(dsdt));
    return gpa_of(b, table);
}

/* FADT (5.2.9): IA-PC boot architecture flags and fixed feature flags. */
#define FADT_SIZE            244
#define FADT_REVISION        4
#define FADT_BOOT_LEGACY     BIT(0)
#define FADT_BOOT_8042       BIT(1)
#define FADT_WBINVD          BIT(0)
#define FADT_PROC_C1         BIT(2)
#define FADT_NO_SLEEP_BUTTON BIT(5) /* clear POWER_BUTTON (4): that one is fixed hardware */
#define FADT_NO_FIXED_RTC    BIT(6)
#define FADT_RESET_REG       BIT(10)
#define FADT_CENTURY_CMOS    0x32
#define FADT_NO_C2_US        101 /* latencies that say: no such processor state */
#define FADT_NO_C3_US        1001

/* The register blocks, in the 32-bit fields and again in the extended ones. */
static void put_fadt_blocks(uint8_t *fadt)
{
    bytes_put32(fadt + 56, LAYOUT_PM_BASE);     /* PM1a_EVT_BLK */
    bytes_put32(fadt + 64, LAYOUT_PM_BASE + 4); /* PM1a_CNT_BLK */
    bytes_put32(fadt + 76, LAYOUT_PM_BASE + 8); /* PM_TMR_BLK */
    bytes_put32(fadt + 80, LAYOUT_PM_GPE_BASE); /* GPE0_BLK */
    fadt[88] = 4;                               /* their lengths */
    fadt[89] = 2;
    fadt[91] = 4;
    fadt[92] = 4;
    put_gas(fadt + 148, GAS_IO, 32, LAYOUT_PM_BASE);
    put_gas(fadt + 172, GAS_IO, 16, LAYOUT_PM_BASE + 4);
    put_gas(fadt + 208, GAS_IO, 32, LAYOUT_PM_BASE + 8);
    put_gas(fadt + 220, GAS_IO, 32, LAYOUT_PM_GPE_BASE);
    /* PM1 registers are words, general-purpose events bytes. */
    fadt[148 + 3] = 2;
    fadt[220 + 3] = 1;
}

static void build_fadt(struct builder *b)
{
    gpa_t facs = build_facs(b), dsdt_gpa = build_dsdt(b);
    uint8_t *fadt = begin_table(b, "FACP", FADT_REVISION, FADT_SIZE);

    bytes_put32(fadt + 36, (uint32_t)facs);
    bytes_put32(fadt + 40, (uint32_t)dsdt_gpa);
    fadt[45] = 1; /* preferred profile: desktop */
    bytes_put16(fadt + 46, LAYOUT_IRQ_SCI);
    bytes_put32(fadt + 48, LAYOUT_SMI_PORT);
    fadt[52] = LAYOUT_SMI_ACPI_ENABLE;
    fadt[53] = LAYOUT_SMI_ACPI_DISABLE;
    put_fadt_blocks(fadt);
    bytes_put16(fadt + 96, FADT_NO_C2_US);
    bytes_put16(fadt + 98, FADT_NO_C3_US);
    fadt[108] = FADT_CENTURY_CMOS;
    bytes_put16(fadt + 109, FADT_BOOT_LEGACY | FADT_BOOT_8042);
    bytes_put32(fadt + 112, FADT_WBINVD | FADT_PROC_C1 | FADT_NO_SLEEP_BUTTON | FADT_NO_FIXED_RTC |
                                FADT_RESET_REG);
    put_gas(fadt + 116, GAS_IO, 8, LAYOUT_RESET_PORT);
    fadt[128] = LAYOUT_RESET_VALUE;
    bytes_put64(fadt + 140, dsdt_gpa);
    list_table(b, fadt);
}

/* MADT (5.2.12). */
#define MADT_HEADER_SIZE   44
#define MADT_LAPIC_SIZE    8
#define MADT_IOAPIC_SIZE   12
#define MADT_OVERRIDE_SIZE 10
#define MADT_NMI_SIZE      6
#define MADT_PCAT_COMPAT   1

/* An ISA interrupt that reaches the I/O APIC otherwise than as an edge on the pin of its number. */
static bool needs_override(unsigned irq)
{
    return irq_routes_isa_pin(irq) != irq || irq_routes_isa_flags(irq) != 0;
}

static size_t count_overrides(void)
{
    size_t count = 0;

    for (unsigned irq = 0; irq < IRQ_ROUTES_ISA; irq++)
        count += needs_override(irq);
    return count;
}

static uint8_t *put_madt_entry(uint8_t *at, uint8_t type, uint8_t size)
{
    at[0] = type;
    at[1] = size;
    return at + size;
}

static void build_madt(struct builder *b, const struct acpi_config *config)
{
    size_t size = MADT_HEADER_SIZE + config->cpu_count * MADT_LAPIC_SIZE + MADT_IOAPIC_SIZE +
                  count_overrides() * MADT_OVERRIDE_SIZE + MADT_NMI_SIZE;
    uint8_t *madt = begin_table(b, "APIC", 4, size);
    uint8_t *at = madt + MADT_HEADER_SIZE;

    bytes_put32(madt + 36, LAYOUT_LAPIC_BASE);
    bytes_put32(madt + 40, MADT_PCAT_COMPAT);
    for (size_t i = 0; i < config->cpu_count; i++) {
        at[2] = (uint8_t)i; /* ACPI processor UID */
        at[3] = config->apic_ids[i];
        bytes_put32(at + 4, 1); /* enabled */
        at = put_madt_entry(at, 0, MADT_LAPIC_SIZE);
    }
    at[2] = config->ioapic_id;
    bytes_put32(at + 4, LAYOUT_IOAPIC_BASE);
    at = put_madt_entry(at, 1, MADT_IOAPIC_SIZE); /* its first GSI is 0 */
    for (unsigned irq = 0; irq < IRQ_ROUTES_ISA; irq++) {
        if (!needs_override(irq))
            continue;
        at[3] = (uint8_t)irq;
        bytes_put32(at + 4, irq_routes_isa_pin(irq));
        bytes_put16(at + 8, irq_routes_isa_flags(irq));
        at = put_madt_entry(at, 2, MADT_OVERRIDE_SIZE);
    }
    at[2] = 0xff; /* every processor */
    at[5] = 1;    /* LINT1 */
    at = put_madt_entry(at, 4, MADT_NMI_SIZE);
    ASSERT(at == madt + size, "the MADT is as long as was reckoned");
    list_table(b, madt);
}

/* IA-PC HPET 1.0a, "The ACPI 2.0 HPET Description Table". */
#define HPET_TABLE_SIZE 56
#define HPET_BLOCK_ID   0x8086a201u /* vendor; legacy routing, 64-bit, 3 timers, revision 1 */
#define HPET_MIN_TICK   100

static void build_hpet(struct builder *b)
{
    uint8_t *hpet = begin_table(b, "HPET", 1, HPET_TABLE_SIZE);

    bytes_put32(hpet + 36, HPET_BLOCK_ID);
    put_gas(hpet + 40, GAS_MEMORY, 64, LAYOUT_HPET_BASE);
    hpet[40 + 3] = 0; /* the HPET specification leaves the access size reserved */
    bytes_put16(hpet + 53, HPET_MIN_TICK);
    list_table(b, hpet);
}

/* Windows ACPI Emulated Devices Table: what a guest need not work around. */
#define WAET_SIZE     40
#define WAET_RTC_GOOD BIT(0)
#define WAET_PM_GOOD  BIT(1)

static void build_waet(struct builder *b)
{
    uint8_t *waet = begin_table(b, "WAET", 1, WAET_SIZE);

    bytes_put32(waet + 36, WAET_RTC_GOOD | WAET_PM_GOOD);
    list_table(b, waet);
}

/* RSDT and XSDT differ in the size of their entries; both list the same tables. */
static gpa_t build_root(struct builder *b, const char *signature, size_t entry_size)
{
    uint8_t *table = begin_table(b, signature, 1, HEADER_SIZE + b->root_count * entry_size);

    for (size_t i = 0; i < b->root_count; i++)
        memcpy(table + HEADER_SIZE + i * entry_size, &b->root[i], entry_size);
    finish_table(table);
    return gpa_of(b, table);
}

/* RSDP (5.2.5.3): the first 20 bytes have a checksum of their own. */
#define RSDP_V1_SIZE 20

static void build_rsdp(uint8_t *rsdp, gpa_t rsdt, gpa_t xsdt)
{
    memset(rsdp, 0, ACPI_RSDP_SIZE);
    memcpy(rsdp, "RSD PTR ", 8);
    memcpy(rsdp + 9, "UMBRA ", 6);
    rsdp[15] = 2; /* revision */
    bytes_put32(rsdp + 16, (uint32_t)rsdt);
    bytes_put32(rsdp + 20, ACPI_RSDP_SIZE);
    bytes_put64(rsdp + 24, xsdt);
    rsdp[8] = bytes_checksum(rsdp, RSDP_V1_SIZE);
    rsdp[32] = bytes_checksum(rsdp, ACPI_RSDP_SIZE);
}

int acpi_build(const struct layout *layout, const struct acpi_config *config,
               struct acpi_tables *out)
{
    struct builder b = {.layout = layout};
    gpa_t rsdt, xsdt;

    *out = (struct acpi_tables){0};
    if (config->cpu_count == 0 || config->cpu_count > ACPI_MAX_CPUS)
        return -EINVAL;
    if (layout->acpi_size_bytes < LAYOUT_ACPI_SIZE)
        return -ENOSPC;
    b.bytes = calloc(1, LAYOUT_ACPI_SIZE);
    if (!b.bytes)
        return -ENOMEM;

    build_fadt(&b);
    build_madt(&b, config);
    if (config->hpet)
        build_hpet(&b);
    build_waet(&b);
    rsdt = build_root(&b, "RSDT", 4);
    xsdt = build_root(&b, "XSDT", 8);
    build_rsdp(out->rsdp, rsdt, xsdt);
    out->blob = b.bytes;
    out->len_bytes = b.used;
    return 0;
}

void acpi_fini(struct acpi_tables *tables)
{
    free(tables->blob);
    *tables = (struct acpi_tables){0};
}
