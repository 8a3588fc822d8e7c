/*
 * The Linux loader: puts a bzImage, its initrd and its command line into guest memory so that the
 * BIOS can enter the kernel's own 16-bit code. It adds nothing to the command line. It refuses
 * zImages, boot protocols before 2.02, cut-off files, and what does not fit into the memory.
 * Specification: Linux, Documentation/arch/x86/boot.rst ("The Linux/x86 Boot Protocol").
 *
 *   10000h  setup code (at most 32 KiB), then its heap and stack up to 1E000h
 *   1E000h  command line
 *   100000h protected-mode kernel
 *   ...     initrd, as high as the kernel's limit and the low RAM allow
 */
#ifndef UMBRA_FW_LINUX_H
#define UMBRA_FW_LINUX_H

#include "base/types.h"
#include "fw/boot.h"
#include "fw/image.h"
#include "mem/layout.h"
#include "mem/mem.h"

struct linux_files {
    const struct image *kernel;
    const struct image *initrd; /* NULL: none */
    const char *command_line;   /* never NULL */
};

/* Where everything goes; filled by linux_plan, used by linux_place. All in bytes. */
struct linux_plan {
    uint16_t version;          /* boot protocol, 020Fh for 2.15 */
    uint32_t setup_bytes;      /* boot sector and setup code */
    uint64_t kernel_bytes;     /* protected-mode part */
    gpa_t kernel_end;          /* end of what the kernel occupies while it unpacks itself */
    gpa_t initrd_base;         /* 0 without an initrd */
    uint32_t command_line_max; /* without the terminating 0 */
};

/* Whether the bytes carry a bzImage's signature; the rest is checked by linux_plan. */
bool linux_probe(const uint8_t *bytes, size_t size_bytes);

/*
 * Whether a bzImage is Linux itself: the text that its header points to begins with a version
 * number ("6.1.0-50-cloud-amd64 ..."). iPXE, memtest86+ and others bring their name there, or
 * nothing.
 */
bool linux_probe_kernel(const uint8_t *bytes, size_t size_bytes);

/* Checks every field that matters and decides the places. 0, or -EINVAL, -ENOMEM with a text. */
int linux_plan(const struct linux_files *files, const struct layout *layout,
               struct linux_plan *plan, struct fw_error *error) must_check;

/*
 * Writes all into guest memory and fills boot; can be repeated at a reset. 0, or what image_place
 * says.
 */
int linux_place(const struct linux_files *files, const struct linux_plan *plan, struct mem *mem,
                struct boot_info *boot) must_check;

#endif
