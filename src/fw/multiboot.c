/*
 * Multiboot 1: reads the kernel's header and its ELF32 program headers, or its own addresses.
 * Each offset and length is the file's word; all sums are in 64 bits, so none wraps.
 * What the guest is told about the machine is in multiboot_info.c.
 * Specification: Multiboot 0.6.96, chapter 3; ELF (System V ABI, edition 4.1, chapters 4 and 5).
 */
#include "fw/multiboot.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "fw/bytes.h"

#define HEADER_MAGIC        0x1badb002
#define HEADER_SEARCH_BYTES 8192

/* "OS image format": offsets from the header's start. */
enum {
    HDR_MAGIC = 0,
    HDR_FLAGS = 4,
    HDR_CHECKSUM = 8,
    HDR_HEADER_ADDR = 12, /* the next five with FLAG_ADDRESSES only */
    HDR_LOAD_ADDR = 16,
    HDR_LOAD_END_ADDR = 20,
    HDR_BSS_END_ADDR = 24,
    HDR_ENTRY_ADDR = 28,
    HDR_SHORT_BYTES = 12,
    HDR_LONG_BYTES = 32,
};

#define ROM_PART_CHUNK 512 /* bytes that are looked at together */

#define LOW_BASE  0x500   /* vectors and BIOS data area end here */
#define INFO_BASE 0x10000 /* where the information structure goes by preference */

#define FLAG_ADDRESSES 0x10000 /* the header tells where to load */
#define FLAGS_REQUIRED 0xffff  /* a loader must refuse those of them that it does not know */
#define FLAGS_KNOWN    0x7     /* page-aligned modules, memory information, video mode */

/* The offset of the header in the file, or -1. */
static long find_header(const uint8_t *bytes, size_t size_bytes)
{
    size_t end = MIN(size_bytes, (size_t)HEADER_SEARCH_BYTES);

    for (size_t at = 0; at + HDR_SHORT_BYTES <= end; at += 4) {
        const uint8_t *h = bytes + at;

        if (bytes_get32(h + HDR_MAGIC) == HEADER_MAGIC &&
            HEADER_MAGIC + bytes_get32(h + HDR_FLAGS) + bytes_get32(h + HDR_CHECKSUM) == 0)
            return at;
    }
    return -1;
}

bool multiboot_probe(const uint8_t *bytes, size_t size_bytes)
{
    return find_header(bytes, size_bytes) >= 0;
}

/* Where no segment can be. The vectors and the BIOS's data end at 500h. */
static const struct {
    gpa_t base, end;
    const char *what;
} taken[] = {
    {0, LOW_BASE, "the BIOS's vectors and data"},
    {LAYOUT_EBDA_BASE, LAYOUT_EBDA_BASE + LAYOUT_EBDA_SIZE, "the BIOS's data and stack"},
    {LAYOUT_VGA_BASE, LAYOUT_VGA_BASE + LAYOUT_VGA_SIZE, "the screen"},
    {LAYOUT_BIOS_BASE, LAYOUT_HIGH_BASE, "the BIOS's ROM"},
};

static bool is_zero(const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] != 0)
            return false;
    }
    return true;
}

/*
 * Drops what a segment that crosses 1 MiB has in the ROM, unless that is more than the headers of
 * the file, which end at headers_end, and zeroes. 0, or what image_read says.
 */
static int drop_rom_part(const struct image *kernel, struct multiboot_segment *segment,
                         uint64_t headers_end)
{
    uint64_t dropped, in_file, end;
    uint8_t bytes[ROM_PART_CHUNK];

    if (segment->base < LAYOUT_BIOS_BASE || segment->base >= LAYOUT_HIGH_BASE ||
        segment->base + segment->memory_bytes <= LAYOUT_HIGH_BASE)
        return 0;
    dropped = LAYOUT_HIGH_BASE - segment->base;
    in_file = MIN(dropped, segment->file_bytes);
    end = segment->file_offset + in_file;
    for (uint64_t at = MAX(segment->file_offset, headers_end); at < end; at += sizeof(bytes)) {
        size_t n = (size_t)MIN(end - at, (uint64_t)sizeof(bytes));
        int err = image_read(kernel, at, bytes, n);

        if (err)
            return err;
        if (!is_zero(bytes, n))
            return 0;
    }
    segment->base += dropped;
    segment->memory_bytes -= dropped;
    segment->file_offset += in_file;
    segment->file_bytes -= in_file;
    return 0;
}

static int check_place(const struct image *kernel, const struct layout *layout,
                       const struct multiboot_segment *new, struct fw_error *error)
{
    uint64_t end = new->base + new->memory_bytes;

    for (size_t i = 0; i < ARRAY_SIZE(taken); i++) {
        if (new->base < taken[i].end && taken[i].base < end)
            return fw_error_set(
                error, -EINVAL,
                "cannot load %s: a segment from %llxh to %llxh would be on %s "
                "(%llxh to %llxh); link the kernel elsewhere, from 1 MiB up best",
                kernel->path, (unsigned long long)new->base, (unsigned long long)end, taken[i].what,
                (unsigned long long)taken[i].base, (unsigned long long)taken[i].end);
    }
    if (end > layout->acpi_base)
        return fw_error_set(error, -ENOMEM,
                            "cannot load %s: a segment ends at %llxh, the memory below 4 GiB at "
                            "%llxh; give more with --memory",
                            kernel->path, (unsigned long long)end,
                            (unsigned long long)layout->acpi_base);
    return 0;
}

/* The segment that shares bytes with a range, or NULL. */
static const struct multiboot_segment *segment_in(const struct multiboot_plan *plan, gpa_t base,
                                                  uint64_t bytes)
{
    for (size_t i = 0; i < plan->segment_count; i++) {
        const struct multiboot_segment *s = &plan->segments[i];

        if (base < s->base + s->memory_bytes && s->base < base + bytes)
            return s;
    }
    return NULL;
}

/* Takes a segment into the plan when it lies in RAM and crosses no other. */
static int add_segment(const struct image *kernel, const struct layout *layout,
                       struct multiboot_plan *plan, struct multiboot_segment *new,
                       uint64_t headers_end, struct fw_error *error)
{
    const struct multiboot_segment *other;
    int result;

    if (new->file_offset > kernel->size_bytes ||
        new->file_bytes > kernel->size_bytes - new->file_offset)
        return fw_error_set(error, -EINVAL,
                            "cannot load %s: a segment of %llu bytes at offset %llu lies behind "
                            "the end of the file; get a whole copy",
                            kernel->path, (unsigned long long)new->file_bytes,
                            (unsigned long long)new->file_offset);
    if (drop_rom_part(kernel, new, headers_end))
        return image_refuse_short(kernel, error);
    result = check_place(kernel, layout, new, error);
    if (result)
        return result;
    other = segment_in(plan, new->base, new->memory_bytes);
    if (other)
        return fw_error_set(error, -EINVAL,
                            "cannot load %s: its segments at %llxh and %llxh overlap; the file "
                            "is damaged",
                            kernel->path, (unsigned long long)other->base,
                            (unsigned long long)new->base);
    if (plan->segment_count == MULTIBOOT_MAX_SEGMENTS)
        return fw_error_set(error, -EINVAL, "cannot load %s: it has more than %d segments",
                            kernel->path, MULTIBOOT_MAX_SEGMENTS);
    plan->segments[plan->segment_count++] = *new;
    return 0;
}

/* "The address fields of Multiboot header". */
static int plan_addresses(const struct image *kernel, size_t at, const struct layout *layout,
                          struct multiboot_plan *plan, struct fw_error *error)
{
    const uint8_t *h = kernel->head + at;
    uint32_t header_addr, load_addr, load_end, bss_end;
    struct multiboot_segment segment;

    if (kernel->size_bytes - at < HDR_LONG_BYTES)
        return fw_error_set(error, -EINVAL,
                            "cannot load %s: it ends inside its multiboot header; get a whole copy",
                            kernel->path);
    header_addr = bytes_get32(h + HDR_HEADER_ADDR);
    load_addr = bytes_get32(h + HDR_LOAD_ADDR);
    load_end = bytes_get32(h + HDR_LOAD_END_ADDR);
    bss_end = bytes_get32(h + HDR_BSS_END_ADDR);
    plan->entry = bytes_get32(h + HDR_ENTRY_ADDR);

    /* The header stands at `at` in the file and at header_addr in memory: that ties both. */
    if (header_addr < load_addr || header_addr - load_addr > at ||
        (load_end != 0 && load_end < load_addr))
        return fw_error_set(error, -EINVAL,
                            "cannot load %s: the addresses in its multiboot header contradict each "
                            "other; the file is damaged",
                            kernel->path);
    segment.base = load_addr;
    segment.file_offset = at - (header_addr - load_addr);
    segment.file_bytes = kernel->size_bytes - segment.file_offset;
    if (load_end != 0)
        segment.file_bytes = load_end - load_addr;
    segment.memory_bytes = segment.file_bytes;
    if (bss_end > load_addr)
        segment.memory_bytes = MAX(segment.memory_bytes, (uint64_t)bss_end - load_addr);
    return add_segment(kernel, layout, plan, &segment, 0, error);
}

static int check_elf(const struct image *kernel, Elf32_Ehdr *elf, struct fw_error *error)
{
    if (kernel->head_bytes < sizeof(*elf) || memcmp(kernel->head, ELFMAG, SELFMAG) != 0)
        return fw_error_set(error, -EINVAL,
                            "cannot load %s: its multiboot header tells no addresses, and it is no "
                            "ELF file; the file is damaged",
                            kernel->path);
    memcpy(elf, kernel->head, sizeof(*elf));
    if (elf->e_ident[EI_CLASS] != ELFCLASS32 || elf->e_ident[EI_DATA] != ELFDATA2LSB ||
        elf->e_machine != EM_386 || elf->e_type != ET_EXEC)
        return fw_error_set(error, -EINVAL,
                            "cannot load %s: multiboot 1 takes 32-bit x86 ELF executables; convert "
                            "it with objcopy -O elf32-i386",
                            kernel->path);
    if (elf->e_phentsize != sizeof(Elf32_Phdr) || elf->e_phoff > kernel->size_bytes ||
        (uint64_t)elf->e_phnum * sizeof(Elf32_Phdr) > kernel->size_bytes - elf->e_phoff)
        return fw_error_set(error, -EINVAL,
                            "cannot load %s: its program headers lie behind the end of the file; "
                            "get a whole copy",
                            kernel->path);
    return 0;
}

static int plan_elf(const struct image *kernel, const struct layout *layout,
                    struct multiboot_plan *plan, struct fw_error *error)
{
    Elf32_Ehdr elf;
    uint64_t headers_end;
    int result = check_elf(kernel, &elf, error);

    if (result)
        return result;
    plan->entry = elf.e_entry;
    headers_end = (uint64_t)elf.e_phoff + elf.e_phnum * sizeof(Elf32_Phdr);
    for (unsigned i = 0; i < elf.e_phnum; i++) {
        struct multiboot_segment segment;
        Elf32_Phdr ph;

        if (image_read(kernel, elf.e_phoff + i * sizeof(ph), &ph, sizeof(ph)))
            return image_refuse_short(kernel, error);
        if (ph.p_type != PT_LOAD || ph.p_memsz == 0)
            continue;
        if (ph.p_filesz > ph.p_memsz)
            return fw_error_set(error, -EINVAL,
                                "cannot load %s: segment %u has more bytes in the file than in "
                                "memory; the file is damaged",
                                kernel->path, i);
        segment = (struct multiboot_segment){.base = ph.p_paddr,
                                             .memory_bytes = ph.p_memsz,
                                             .file_offset = ph.p_offset,
                                             .file_bytes = ph.p_filesz};
        result = add_segment(kernel, layout, plan, &segment, headers_end, error);
        if (result)
            return result;
        /* A kernel linked high names its entry by its virtual address. */
        if (elf.e_entry >= ph.p_vaddr && elf.e_entry - ph.p_vaddr < ph.p_memsz)
            plan->entry = elf.e_entry - ph.p_vaddr + ph.p_paddr;
    }
    return 0;
}

static int check_entry(const struct image *kernel, const struct multiboot_plan *plan,
                       struct fw_error *error)
{
    for (size_t i = 0; i < plan->segment_count; i++) {
        if (plan->entry - plan->segments[i].base < plan->segments[i].memory_bytes)
            return 0;
    }
    return fw_error_set(error, -EINVAL,
                        "cannot load %s: its entry point %xh lies in none of its segments; the "
                        "file is damaged",
                        kernel->path, plan->entry);
}

/* The module goes to the first page behind the kernel. */
static int place_module(const struct multiboot_files *files, const struct layout *layout,
                        struct multiboot_plan *plan, struct fw_error *error)
{
    uint64_t base = LAYOUT_HIGH_BASE;

    if (!files->module)
        return 0;
    for (size_t i = 0; i < plan->segment_count; i++)
        base = MAX(base, plan->segments[i].base + plan->segments[i].memory_bytes);
    base = ALIGN_UP(base, PAGE_SIZE);
    if (base > layout->acpi_base || files->module->size_bytes > layout->acpi_base - base)
        return fw_error_set(error, -ENOMEM,
                            "cannot load %s: %llu KiB do not fit behind the kernel's end at %llu "
                            "MiB; give more with --memory",
                            files->module->path,
                            (unsigned long long)(files->module->size_bytes / KIB),
                            (unsigned long long)(base / MIB));
    plan->module_base = base;
    return 0;
}

static bool info_fits(const struct multiboot_plan *plan, gpa_t base)
{
    return base + MULTIBOOT_INFO_BYTES <= LAYOUT_EBDA_BASE &&
           !segment_in(plan, base, MULTIBOOT_INFO_BYTES);
}

/* What the kernel is told goes to 10000h; else behind the first segment below the EBDA that leaves
 * room; else behind everything. */
static int place_info(const struct multiboot_files *files, const struct layout *layout,
                      struct multiboot_plan *plan, struct fw_error *error)
{
    uint64_t base = LAYOUT_HIGH_BASE;

    plan->info_base = INFO_BASE;
    if (info_fits(plan, plan->info_base))
        return 0;
    for (size_t i = 0; i < plan->segment_count; i++) {
        gpa_t end = plan->segments[i].base + plan->segments[i].memory_bytes;

        plan->info_base = ALIGN_UP(end, 16);
        if (info_fits(plan, plan->info_base))
            return 0;
        base = MAX(base, end);
    }
    if (files->module)
        base = MAX(base, plan->module_base + files->module->size_bytes);
    plan->info_base = ALIGN_UP(base, PAGE_SIZE);
    if (plan->info_base + MULTIBOOT_INFO_BYTES > layout->acpi_base)
        return fw_error_set(error, -ENOMEM,
                            "cannot load %s: the memory map does not fit behind its end at %llu "
                            "MiB; give more with --memory",
                            files->kernel->path, (unsigned long long)(base / MIB));
    return 0;
}

int multiboot_plan(const struct multiboot_files *files, const struct layout *layout,
                   struct multiboot_plan *plan, struct fw_error *error)
{
    const struct image *kernel = files->kernel;
    long at = find_header(kernel->head, kernel->head_bytes);
    int result;

    memset(plan, 0, sizeof(*plan));
    if (at < 0)
        return fw_error_set(error, -EINVAL,
                            "cannot load %s: it has no multiboot header in its first 8 KiB",
                            kernel->path);
    plan->flags = bytes_get32(kernel->head + at + HDR_FLAGS);
    if (plan->flags & FLAGS_REQUIRED & ~FLAGS_KNOWN)
        return fw_error_set(error, -EINVAL,
                            "cannot load %s: its multiboot header requires features (flags %04xh) "
                            "that Umbra does not have",
                            kernel->path, plan->flags & FLAGS_REQUIRED);
    if (strlen(image_name(kernel)) + strlen(files->command_line) + 2 > MULTIBOOT_MAX_LINE)
        return fw_error_set(error, -EINVAL,
                            "cannot load %s: the command line is longer than %d bytes; shorten "
                            "--append",
                            kernel->path, MULTIBOOT_MAX_LINE);

    if (plan->flags & FLAG_ADDRESSES)
        result = plan_addresses(kernel, at, layout, plan, error);
    else
        result = plan_elf(kernel, layout, plan, error);
    if (result == 0)
        result = check_entry(kernel, plan, error);
    if (result == 0)
        result = place_module(files, layout, plan, error);
    if (result == 0)
        result = place_info(files, layout, plan, error);
    return result;
}
