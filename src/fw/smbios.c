/*
 * SMBIOS structures, one after the other; each is a formatted part, whose fields are named by their
 * offsets in the specification, and the strings that it numbers.
 */
#include "fw/smbios.h"

#include <errno.h>

#include "base/assert.h"
#include "fw/bytes.h"
#include "mem/layout.h"

#define MAKER        "Umbra"
#define PRODUCT      "Standard PC"
#define BIOS_VERSION "0.1"
#define BIOS_DATE    "06/01/2025" /* the one at FFFF5h */

#define VERSION_MAJOR  2
#define VERSION_MINOR  8
#define ENTRY_SIZE     0x1f
#define ENTRY_DMI      0x10 /* where the intermediate part begins */
#define ENTRY_DMI_SIZE 0x0f
#define STRING_MAX     64

enum structure_type {
    TYPE_BIOS = 0,
    TYPE_SYSTEM = 1,
    TYPE_CHASSIS = 3,
    TYPE_PROCESSOR = 4,
    TYPE_MEMORY_ARRAY = 16,
    TYPE_MEMORY_DEVICE = 17,
    TYPE_MEMORY_RANGE = 19,
    TYPE_BOOT = 32,
    TYPE_END = 127,
};

/* A structure's handle: its type above an index. */
#define HANDLE(type, index) ((uint16_t)((type) << 8 | (index)))
#define HANDLE_NONE         0xffff
#define HANDLE_NO_ERRORS    0xfffe

/* The structures under construction. A full buffer takes nothing more and is told at the end. */
struct builder {
    uint8_t *bytes;
    size_t room, used;
    bool full;
    size_t start;      /* of the open structure */
    size_t texts;      /* that it has */
    size_t count;      /* of structures */
    size_t largest;    /* of them, in bytes */
    uint8_t spill[64]; /* takes what is written into a structure that had no room */
};

static uint8_t *take(struct builder *b, size_t size)
{
    uint8_t *at = b->bytes + b->used;

    if (b->full || size > b->room - b->used) {
        b->full = true;
        return NULL;
    }
    memset(at, 0, size);
    b->used += size;
    return at;
}

/* Begins a structure with a formatted part of that length. */
static uint8_t *begin(struct builder *b, enum structure_type type, unsigned index, size_t size)
{
    uint8_t *s;

    ASSERT(size <= sizeof(b->spill), "no formatted part is longer");
    b->start = b->used;
    b->texts = 0;
    s = take(b, size);
    if (!s)
        s = b->spill;
    s[0] = (uint8_t)type;
    s[1] = (uint8_t)size;
    bytes_put16(s + 2, HANDLE(type, index));
    return s;
}

/* Adds a text behind the formatted part; returns its number. */
static uint8_t add_text(struct builder *b, const char *text)
{
    size_t len = strnlen(text, STRING_MAX);
    uint8_t *at;

    if (len == 0)
        return 0; /* no text */
    at = take(b, len + 1);
    if (at)
        memcpy(at, text, len);
    return (uint8_t)++b->texts;
}

/* An empty text ends the texts; where there are none, two zero bytes stand. */
static void finish(struct builder *b)
{
    take(b, b->texts ? 1 : 2);
    b->count++;
    b->largest = MAX(b->largest, b->used - b->start);
}

#define BIOS_PCI         BIT(7)
#define BIOS_CD_BOOT     BIT(15)
#define BIOS_EDD         BIT(19)
#define BIOS_EXT_ACPI    BIT(0)
#define BIOS_EXT_VIRTUAL BIT(4) /* of the second extension byte: this is a virtual machine */

static void add_bios(struct builder *b, const struct layout *layout)
{
    uint8_t *s = begin(b, TYPE_BIOS, 0, 0x18);

    s[0x04] = add_text(b, MAKER);
    s[0x05] = add_text(b, BIOS_VERSION);
    bytes_put16(s + 0x06, LAYOUT_BIOS_BASE >> 4);
    s[0x08] = add_text(b, BIOS_DATE);
    s[0x09] = LAYOUT_BIOS_SIZE / (64 * KIB) - 1;
    bytes_put64(s + 0x0a, BIOS_PCI | BIOS_CD_BOOT | BIOS_EDD);
    s[0x12] = layout->acpi_size_bytes ? BIOS_EXT_ACPI : 0;
    s[0x13] = BIOS_EXT_VIRTUAL;
    s[0x14] = 0; /* release 0.1 */
    s[0x15] = 1;
    s[0x16] = s[0x17] = 0xff; /* no embedded controller */
    finish(b);
}

#define WAKE_UP_POWER_SWITCH 6

static void add_system(struct builder *b)
{
    uint8_t *s = begin(b, TYPE_SYSTEM, 0, 0x1b);

    s[0x04] = add_text(b, MAKER);
    s[0x05] = add_text(b, PRODUCT);
    s[0x06] = add_text(b, BIOS_VERSION);
    /* A UUID of zeroes: there is none. */
    s[0x18] = WAKE_UP_POWER_SWITCH;
    finish(b);
}

#define CHASSIS_OTHER 1
#define STATE_SAFE    3
#define SECURITY_NONE 3

static void add_chassis(struct builder *b)
{
    uint8_t *s = begin(b, TYPE_CHASSIS, 0, 0x15);

    s[0x04] = add_text(b, MAKER);
    s[0x05] = CHASSIS_OTHER;
    s[0x09] = s[0x0a] = s[0x0b] = STATE_SAFE; /* boot-up, power supply, thermal */
    s[0x0c] = SECURITY_NONE;
    finish(b);
}

#define PROCESSOR_CENTRAL 3
#define FAMILY_OTHER      1
#define STATUS_ENABLED    0x41 /* the socket is populated, the processor enabled */
#define UPGRADE_OTHER     1
#define CPU_64_BIT        BIT(2)

static void add_processor(struct builder *b, const struct smbios_config *config, unsigned index)
{
    uint8_t *s = begin(b, TYPE_PROCESSOR, index, 0x2a);
    uint16_t mhz = (uint16_t)MIN(config->cpu_hz / 1000000, 0xffff);

    s[0x04] = add_text(b, "CPU");
    s[0x05] = PROCESSOR_CENTRAL;
    s[0x06] = FAMILY_OTHER;
    s[0x07] = add_text(b, config->cpu_vendor);
    bytes_put32(s + 0x08, config->cpu_signature);
    bytes_put32(s + 0x0c, config->cpu_features);
    s[0x10] = add_text(b, config->cpu_name);
    bytes_put16(s + 0x14, mhz); /* the fastest, and now */
    bytes_put16(s + 0x16, mhz);
    s[0x18] = STATUS_ENABLED;
    s[0x19] = UPGRADE_OTHER;
    bytes_put16(s + 0x1a, HANDLE_NONE); /* caches */
    bytes_put16(s + 0x1c, HANDLE_NONE);
    bytes_put16(s + 0x1e, HANDLE_NONE);
    s[0x23] = s[0x24] = s[0x25] = 1; /* cores, enabled cores, threads */
    bytes_put16(s + 0x26, CPU_64_BIT);
    bytes_put16(s + 0x28, FAMILY_OTHER);
    finish(b);
}

#define LOCATION_BOARD    3
#define USE_SYSTEM_MEMORY 3
#define ECC_NONE          3
#define CAPACITY_EXTENDED 0x80000000u

static void add_memory_array(struct builder *b, const struct layout *layout)
{
    uint8_t *s = begin(b, TYPE_MEMORY_ARRAY, 0, 0x17);
    uint64_t kib = layout->memory_bytes / KIB;

    s[0x04] = LOCATION_BOARD;
    s[0x05] = USE_SYSTEM_MEMORY;
    s[0x06] = ECC_NONE;
    bytes_put32(s + 0x07, kib < CAPACITY_EXTENDED ? (uint32_t)kib : CAPACITY_EXTENDED);
    bytes_put16(s + 0x0b, HANDLE_NO_ERRORS);
    bytes_put16(s + 0x0d, 1); /* memory devices */
    if (kib >= CAPACITY_EXTENDED)
        bytes_put64(s + 0x0f, layout->memory_bytes);
    finish(b);
}

#define WIDTH_UNKNOWN 0xffff
#define SIZE_IN_KIB   0x8000
#define SIZE_EXTENDED 0x7fff
#define FORM_DIMM     9
#define MEMORY_RAM    7
#define DETAIL_OTHER  BIT(1)

/* The size of a memory device: KiB where that fits and is needed, else MiB, in 15 or 31 bits. */
static void put_device_size(uint8_t *s, uint64_t bytes)
{
    if (bytes % MIB != 0 && bytes / KIB < SIZE_EXTENDED)
        bytes_put16(s + 0x0c, (uint16_t)(SIZE_IN_KIB | bytes / KIB));
    else if (bytes / MIB < SIZE_EXTENDED)
        bytes_put16(s + 0x0c, (uint16_t)(bytes / MIB));
    else {
        bytes_put16(s + 0x0c, SIZE_EXTENDED);
        bytes_put32(s + 0x1c, (uint32_t)(bytes / MIB));
    }
}

static void add_memory_device(struct builder *b, const struct layout *layout)
{
    uint8_t *s = begin(b, TYPE_MEMORY_DEVICE, 0, 0x28);

    bytes_put16(s + 0x04, HANDLE(TYPE_MEMORY_ARRAY, 0));
    bytes_put16(s + 0x06, HANDLE_NO_ERRORS);
    bytes_put16(s + 0x08, WIDTH_UNKNOWN);
    bytes_put16(s + 0x0a, WIDTH_UNKNOWN);
    put_device_size(s, layout->memory_bytes);
    s[0x0e] = FORM_DIMM;
    s[0x10] = add_text(b, "DIMM 0");
    s[0x12] = MEMORY_RAM;
    bytes_put16(s + 0x13, DETAIL_OTHER);
    s[0x17] = add_text(b, MAKER);
    finish(b);
}

/* Memory from base to end, where the guest sees it. */
static void add_memory_range(struct builder *b, unsigned index, gpa_t base, gpa_t end)
{
    uint8_t *s = begin(b, TYPE_MEMORY_RANGE, index, 0x1f);

    _Static_assert((LAYOUT_4G + LAYOUT_MAX_MEMORY) / KIB < UINT32_MAX, "KiB fit into 32 bits");
    bytes_put32(s + 0x04, (uint32_t)(base / KIB));
    bytes_put32(s + 0x08, (uint32_t)(end / KIB - 1));
    bytes_put16(s + 0x0c, HANDLE(TYPE_MEMORY_ARRAY, 0));
    s[0x0e] = 1; /* devices in a row of it */
    finish(b);
}

static void add_memory(struct builder *b, const struct layout *layout)
{
    add_memory_array(b, layout);
    add_memory_device(b, layout);
    add_memory_range(b, 0, 0, layout->low_end);
    if (layout->high_end > LAYOUT_4G)
        add_memory_range(b, 1, LAYOUT_4G, layout->high_end);
}

/* A structure that says nothing in its formatted part beyond zeroes. */
static void add_plain(struct builder *b, enum structure_type type, size_t size)
{
    begin(b, type, 0, size);
    finish(b);
}

static void build_entry(uint8_t *entry, const struct builder *b, gpa_t structures)
{
    memset(entry, 0, ENTRY_SIZE);
    memcpy(entry, "_SM_", 4);
    entry[0x05] = ENTRY_SIZE;
    entry[0x06] = VERSION_MAJOR;
    entry[0x07] = VERSION_MINOR;
    bytes_put16(entry + 0x08, (uint16_t)b->largest);
    memcpy(entry + ENTRY_DMI, "_DMI_", 5);
    bytes_put16(entry + 0x16, (uint16_t)b->used);
    bytes_put32(entry + 0x18, (uint32_t)structures);
    bytes_put16(entry + 0x1c, (uint16_t)b->count);
    entry[0x1e] = VERSION_MAJOR << 4 | VERSION_MINOR;
    entry[ENTRY_DMI + 5] = bytes_checksum(entry + ENTRY_DMI, ENTRY_DMI_SIZE);
    entry[0x04] = bytes_checksum(entry, ENTRY_SIZE);
}

int smbios_build(const struct layout *layout, const struct smbios_config *config, gpa_t gpa,
                 uint8_t *out, size_t room_bytes)
{
    size_t head = ALIGN_UP(ENTRY_SIZE, 16);
    struct builder b = {.bytes = out + head};

    ASSERT(gpa % 16 == 0, "a guest looks for the entry point at multiples of 16");
    if (config->cpu_count == 0)
        return -EINVAL;
    if (room_bytes < head)
        return -ENOSPC;
    b.room = MIN(room_bytes - head, (size_t)UINT16_MAX);
    add_bios(&b, layout);
    add_system(&b);
    add_chassis(&b);
    for (size_t i = 0; i < config->cpu_count; i++)
        add_processor(&b, config, (unsigned)i);
    add_memory(&b, layout);
    add_plain(&b, TYPE_BOOT, 0x0b); /* no errors detected */
    add_plain(&b, TYPE_END, 4);
    if (b.full)
        return -ENOSPC;
    build_entry(out, &b, gpa + head);
    return (int)(head + b.used);
}
