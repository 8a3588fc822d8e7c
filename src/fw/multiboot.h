/*
 * The multiboot 1 loader: an ELF32 kernel, or one of any format whose header tells its addresses
 * (the "a.out kludge"), with a command line, one module (the initrd) and a memory map. It refuses
 * ELF64, requests that it does not know, and segments outside RAM or where the BIOS keeps its data.
 * Specification: Multiboot Specification version 0.6.96.
 *
 *   500h - 9CFFFh, C0000h - EFFFFh, 100000h and up: the kernel where it wants to be
 *   10000h, or elsewhere when the kernel is there: information structure, then memory map, module
 *           list and strings
 *   behind the kernel's end above 1 MiB: the module
 *
 * A segment may begin in the ROM below 1 MiB if only the ELF file's headers and zeroes fall there:
 * linkers put them one page in front of the code. They are dropped, as a PC's ROM would.
 */
#ifndef UMBRA_FW_MULTIBOOT_H
#define UMBRA_FW_MULTIBOOT_H

#include "base/types.h"
#include "fw/boot.h"
#include "fw/image.h"
#include "mem/layout.h"
#include "mem/mem.h"

struct multiboot_files {
    const struct image *kernel;
    const struct image *module; /* NULL: none */
    const char *command_line;   /* never NULL; the kernel's name goes before it */
};

#define MULTIBOOT_MAX_SEGMENTS 32
#define MULTIBOOT_MAX_LINE     4096 /* bytes of command line with the kernel's name and the 0 */
#define MULTIBOOT_INFO_BYTES   5120 /* at most, of the information structure and all it points to */

/* A part of the file and where it goes; memory beyond the file's bytes is zeroes. */
struct multiboot_segment {
    gpa_t base;
    uint64_t memory_bytes;
    uint64_t file_offset;
    uint64_t file_bytes; /* at most memory_bytes */
};

struct multiboot_plan {
    uint32_t flags; /* of the header */
    uint32_t entry;
    gpa_t module_base;
    gpa_t info_base; /* of MULTIBOOT_INFO_BYTES */
    struct multiboot_segment segments[MULTIBOOT_MAX_SEGMENTS];
    size_t segment_count;
};

/* Whether a header with a right checksum stands in the first 8 KiB. */
bool multiboot_probe(const uint8_t *bytes, size_t size_bytes);

/* Checks all and decides the places. 0; -EINVAL, -ENOMEM, or -EIO when the file got
 * shorter, with a text. */
int multiboot_plan(const struct multiboot_files *files, const struct layout *layout,
                   struct multiboot_plan *plan, struct fw_error *error) must_check;

/*
 * Writes all into guest memory and fills boot; can be repeated at a reset. 0, or what image_place
 * says.
 */
int multiboot_place(const struct multiboot_files *files, const struct multiboot_plan *plan,
                    const struct layout *layout, struct mem *mem,
                    struct boot_info *boot) must_check;

#endif
