/*
 * What a multiboot kernel is told: the information structure and what it points to.
 * Specification: Multiboot 0.6.96, "Boot information format".
 */
#include "fw/multiboot.h"

#include <errno.h>
#include <string.h>

#include "fw/bytes.h"

/* Offsets into the information structure. */
enum {
    INFO_FLAGS = 0,
    INFO_MEM_LOWER = 4, /* KiB from 0 */
    INFO_MEM_UPPER = 8, /* KiB from 1 MiB to the first hole */
    INFO_CMDLINE = 16,
    INFO_MODS_COUNT = 20,
    INFO_MODS_ADDR = 24,
    INFO_MMAP_LENGTH = 44,
    INFO_MMAP_ADDR = 48,
    INFO_LOADER_NAME = 64,
    INFO_FB_ADDR = 88, /* 8 bytes */
    INFO_FB_PITCH = 96,
    INFO_FB_WIDTH = 100,
    INFO_FB_HEIGHT = 104,
    INFO_FB_BPP = 108,  /* 1 byte */
    INFO_FB_TYPE = 109, /* 1 byte: 2 is EGA text */
    INFO_BYTES = 120,
};

#define INFO_HAS_MEMORY      0x1
#define INFO_HAS_CMDLINE     0x4
#define INFO_HAS_MODS        0x8
#define INFO_HAS_MMAP        0x40
#define INFO_HAS_LOADER_NAME 0x200
#define INFO_HAS_FRAMEBUFFER 0x1000

#define FLAG_VIDEO   0x4 /* of the header: the kernel wants to know the video mode */
#define FB_TYPE_TEXT 2
#define TEXT_COLUMNS 80
#define TEXT_ROWS    25
#define TEXT_BASE    0xb8000

#define MMAP_ENTRY   24 /* size field and 20 bytes that it counts */
#define MODULE_ENTRY 16
#define LOADER_NAME  "Umbra"
#define MODULE_NAME  "initrd"

/* The area that is put together here and then written at its base at once. */
struct area {
    uint8_t bytes[MULTIBOOT_INFO_BYTES];
    size_t used;
    gpa_t base;
};

_Static_assert(INFO_BYTES + LAYOUT_MAX_RANGES * MMAP_ENTRY + MODULE_ENTRY + MULTIBOOT_MAX_LINE +
                       sizeof(LOADER_NAME) + sizeof(MODULE_NAME) <=
                   MULTIBOOT_INFO_BYTES,
               "the area has room for all");

/* Takes room in the area; returns its offset. The area is large enough by construction. */
static size_t area_take(struct area *area, size_t len)
{
    size_t at = area->used;

    area->used += len;
    return at;
}

static uint32_t area_add_string(struct area *area, const char *text)
{
    size_t at = area_take(area, strlen(text) + 1);

    memcpy(area->bytes + at, text, strlen(text) + 1);
    return (uint32_t)(area->base + at);
}

static void add_memory(struct area *area, const struct layout *layout)
{
    size_t at = area_take(area, layout->e820_count * MMAP_ENTRY);

    bytes_put32(area->bytes + INFO_MEM_LOWER, LAYOUT_EBDA_BASE / KIB);
    bytes_put32(area->bytes + INFO_MEM_UPPER, (layout->acpi_base - LAYOUT_HIGH_BASE) / KIB);
    bytes_put32(area->bytes + INFO_MMAP_LENGTH, layout->e820_count * MMAP_ENTRY);
    bytes_put32(area->bytes + INFO_MMAP_ADDR, (uint32_t)(area->base + at));
    for (size_t i = 0; i < layout->e820_count; i++) {
        const struct layout_range *range = &layout->e820[i];
        uint8_t *entry = area->bytes + at + i * MMAP_ENTRY;

        bytes_put32(entry, MMAP_ENTRY - 4);
        bytes_put64(entry + 4, range->base);
        bytes_put64(entry + 12, range->size_bytes);
        bytes_put32(entry + 20, range->kind);
    }
}

static void add_module(struct area *area, const struct multiboot_files *files,
                       const struct multiboot_plan *plan)
{
    size_t at = area_take(area, MODULE_ENTRY);
    uint8_t *entry = area->bytes + at;

    bytes_put32(area->bytes + INFO_MODS_COUNT, 1);
    bytes_put32(area->bytes + INFO_MODS_ADDR, (uint32_t)(area->base + at));
    bytes_put32(entry, plan->module_base);
    bytes_put32(entry + 4, plan->module_base + files->module->size_bytes);
    bytes_put32(entry + 8, area_add_string(area, MODULE_NAME));
}

static void add_command_line(struct area *area, const struct multiboot_files *files)
{
    const char *name = image_name(files->kernel), *line = files->command_line;
    size_t name_bytes = strlen(name), line_bytes = strlen(line);
    size_t at = area_take(area, name_bytes + line_bytes + 2);
    uint8_t *to = area->bytes + at;

    bytes_put32(area->bytes + INFO_CMDLINE, (uint32_t)(area->base + at));
    memcpy(to, name, name_bytes);
    if (line_bytes > 0) {
        to[name_bytes] = ' ';
        memcpy(to + name_bytes + 1, line, line_bytes);
    }
}

static void add_framebuffer(struct area *area)
{
    bytes_put64(area->bytes + INFO_FB_ADDR, TEXT_BASE);
    bytes_put32(area->bytes + INFO_FB_PITCH, TEXT_COLUMNS * 2);
    bytes_put32(area->bytes + INFO_FB_WIDTH, TEXT_COLUMNS);
    bytes_put32(area->bytes + INFO_FB_HEIGHT, TEXT_ROWS);
    area->bytes[INFO_FB_BPP] = 16;
    area->bytes[INFO_FB_TYPE] = FB_TYPE_TEXT;
}

/*
 * Makes a range zeroes: memory starts so, but a reset leaves what the guest wrote. Pages that hold
 * zeroes are not written, so that the host need not back them.
 */
static int clear(struct mem *mem, gpa_t gpa, uint64_t bytes)
{
    static const uint8_t zeroes[PAGE_SIZE];
    uint8_t now[PAGE_SIZE];

    while (bytes > 0) {
        size_t n = MIN(bytes, sizeof(now));

        if (!mem_read(mem, gpa, now, n))
            return -EFAULT;
        if (memcmp(now, zeroes, n) != 0 && !mem_write(mem, gpa, zeroes, n))
            return -EFAULT;
        gpa += n;
        bytes -= n;
    }
    return 0;
}

static int place_segments(const struct multiboot_files *files, const struct multiboot_plan *plan,
                          struct mem *mem)
{
    int err = 0;

    for (size_t i = 0; !err && i < plan->segment_count; i++) {
        const struct multiboot_segment *s = &plan->segments[i];

        err = image_place(files->kernel, s->file_offset, s->file_bytes, mem, s->base);
        if (!err)
            err = clear(mem, s->base + s->file_bytes, s->memory_bytes - s->file_bytes);
    }
    return err;
}

int multiboot_place(const struct multiboot_files *files, const struct multiboot_plan *plan,
                    const struct layout *layout, struct mem *mem, struct boot_info *boot)
{
    uint32_t flags = INFO_HAS_MEMORY | INFO_HAS_CMDLINE | INFO_HAS_MMAP | INFO_HAS_LOADER_NAME;
    struct area area = {.used = INFO_BYTES, .base = plan->info_base};
    int err;

    add_memory(&area, layout);
    add_command_line(&area, files);
    bytes_put32(area.bytes + INFO_LOADER_NAME, area_add_string(&area, LOADER_NAME));
    if (files->module) {
        flags |= INFO_HAS_MODS;
        add_module(&area, files, plan);
    }
    if (plan->flags & FLAG_VIDEO) {
        flags |= INFO_HAS_FRAMEBUFFER;
        add_framebuffer(&area);
    }
    bytes_put32(area.bytes + INFO_FLAGS, flags);

    err = place_segments(files, plan, mem);
    if (!err && files->module)
        err = image_place(files->module, 0, files->module->size_bytes, mem, plan->module_base);
    if (!err && !mem_write(mem, plan->info_base, area.bytes, area.used))
        err = -EFAULT;
    if (err)
        return err;
    boot->kind = BOOT_MULTIBOOT;
    boot->eip = plan->entry;
    boot->ebx = (uint32_t)plan->info_base;
    return 0;
}
