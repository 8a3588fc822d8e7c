/*
 * bzImage into guest memory. The header is a file's word and is checked before anything is written.
 * Specification: Linux, Documentation/arch/x86/boot.rst.
 */
#include "fw/linux.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fw/bytes.h"

/* The setup header ("The Real-Mode Kernel Header"): offsets into the file. */
enum {
    HDR_SETUP_SECTS = 0x1f1,      /* 1 byte; 0 stands for 4 */
    HDR_SYSSIZE = 0x1f4,          /* 4 bytes from 2.04 on: the kernel's 16-byte paragraphs */
    HDR_VID_MODE = 0x1fa,         /* 2 */
    HDR_BOOT_FLAG = 0x1fe,        /* 2: AA55h */
    HDR_MAGIC = 0x202,            /* 4: "HdrS" */
    HDR_VERSION = 0x206,          /* 2 */
    HDR_KERNEL_VERSION = 0x20e,   /* 2: where a text is, less 200h; 0: there is none */
    HDR_TYPE_OF_LOADER = 0x210,   /* 1 */
    HDR_LOADFLAGS = 0x211,        /* 1 */
    HDR_RAMDISK_IMAGE = 0x218,    /* 4 */
    HDR_RAMDISK_SIZE = 0x21c,     /* 4 */
    HDR_HEAP_END_PTR = 0x224,     /* 2: end of the heap, less 200h */
    HDR_CMD_LINE_PTR = 0x228,     /* 4 */
    HDR_INITRD_ADDR_MAX = 0x22c,  /* 4, 2.03: the last byte's highest address */
    HDR_KERNEL_ALIGNMENT = 0x230, /* 4, 2.05 */
    HDR_RELOCATABLE = 0x234,      /* 1, 2.05 */
    HDR_CMDLINE_SIZE = 0x238,     /* 4, 2.06 */
    HDR_PREF_ADDRESS = 0x258,     /* 8, 2.10 */
    HDR_INIT_SIZE = 0x260,        /* 4, 2.10 */
    HDR_END = 0x264,
};

#define HDR_MAGIC_VALUE       0x53726448 /* "HdrS" */
#define HDR_BOOT_FLAG_VALUE   0xaa55
#define LOADFLAG_LOADED_HIGH  0x01
#define LOADFLAG_CAN_USE_HEAP 0x80
#define TYPE_UNDEFINED        0xff /* a loader without an assigned number */
#define VID_MODE_NORMAL       0xffff
#define VERSION_MIN           0x0202

#define SECTOR_BYTES        512
#define SETUP_SECTS_DEFAULT 4
#define SETUP_MAX_BYTES     (32 * KIB)
#define SETUP_BASE          0x10000
#define SETUP_HEAP_END      0xe000 /* offset in its segment; the stack starts here */
#define COMMAND_LINE_BASE   (SETUP_BASE + SETUP_HEAP_END)
#define COMMAND_LINE_LIMIT  (32 * KIB) /* whatever the kernel says */
#define COMMAND_LINE_OLD    255        /* before 2.06 */
#define KERNEL_BASE         0x100000
#define INITRD_MAX_OLD      0x37ffffff /* before 2.03 */

bool linux_probe(const uint8_t *bytes, size_t size_bytes)
{
    return size_bytes >= HDR_MAGIC + 4 && bytes_get32(bytes + HDR_MAGIC) == HDR_MAGIC_VALUE;
}

bool linux_probe_kernel(const uint8_t *bytes, size_t size_bytes)
{
    size_t at;
    uint8_t first;

    if (!linux_probe(bytes, size_bytes) || size_bytes < HDR_KERNEL_VERSION + 2)
        return false;
    at = bytes_get16(bytes + HDR_KERNEL_VERSION);
    if (at == 0 || at + 0x200 >= size_bytes)
        return false;
    first = bytes[at + 0x200];
    return first >= '0' && first <= '9';
}

/* The parts of the file: boot sector and setup code, then the protected-mode kernel. */
static int check_file(const struct image *kernel, struct linux_plan *plan, struct fw_error *error)
{
    const uint8_t *hdr = kernel->head;
    unsigned sects;
    uint64_t claimed;

    if (!linux_probe(hdr, kernel->head_bytes))
        return fw_error_set(error, -EINVAL,
                            "cannot load %s: it is no Linux bzImage (no HdrS at 202h); give the "
                            "vmlinuz of your distribution",
                            kernel->path);
    if (kernel->head_bytes < HDR_END)
        return fw_error_set(error, -EINVAL,
                            "cannot load %s: it ends inside the setup header; get a whole copy",
                            kernel->path);
    if (bytes_get16(hdr + HDR_BOOT_FLAG) != HDR_BOOT_FLAG_VALUE)
        return fw_error_set(error, -EINVAL,
                            "cannot load %s: its boot flag at 1FEh is %04x and not aa55; the file "
                            "is damaged",
                            kernel->path, bytes_get16(hdr + HDR_BOOT_FLAG));
    plan->version = bytes_get16(hdr + HDR_VERSION);
    if (plan->version < VERSION_MIN)
        return fw_error_set(error, -EINVAL,
                            "cannot load %s: its boot protocol is %u.%02u, at least 2.02 is needed "
                            "(Linux 2.4 or newer)",
                            kernel->path, plan->version >> 8, plan->version & 0xffu);
    if (!(hdr[HDR_LOADFLAGS] & LOADFLAG_LOADED_HIGH))
        return fw_error_set(error, -EINVAL,
                            "cannot load %s: it is a zImage, loaded low; build a bzImage",
                            kernel->path);

    sects = hdr[HDR_SETUP_SECTS] ? hdr[HDR_SETUP_SECTS] : SETUP_SECTS_DEFAULT;
    plan->setup_bytes = (sects + 1) * SECTOR_BYTES;
    if (plan->setup_bytes > SETUP_MAX_BYTES)
        return fw_error_set(error, -EINVAL,
                            "cannot load %s: its setup code takes %u sectors, 63 at most are "
                            "allowed; the file is damaged",
                            kernel->path, sects);
    if (kernel->size_bytes <= plan->setup_bytes)
        return fw_error_set(error, -EINVAL,
                            "cannot load %s: it ends inside its setup code (%zu of %u bytes); get "
                            "a whole copy",
                            kernel->path, kernel->size_bytes, plan->setup_bytes);
    plan->kernel_bytes = kernel->size_bytes - plan->setup_bytes;

    /* The paragraphs are rounded up; before 2.04 the upper half is no part of the field. */
    claimed = plan->version >= 0x0204 ? (uint64_t)bytes_get32(hdr + HDR_SYSSIZE) * 16 : 0;
    if (claimed > plan->kernel_bytes + 15)
        return fw_error_set(error, -EINVAL,
                            "cannot load %s: it is cut off (%llu bytes of kernel, its header says "
                            "%llu); get a whole copy",
                            kernel->path, (unsigned long long)plan->kernel_bytes,
                            (unsigned long long)claimed);
    return 0;
}

/*
 * The end of what the kernel uses before it reads the memory map: where it unpacks itself to
 * ("init_size"), and the packed kernel itself.
 */
static int check_kernel_memory(const struct image *kernel, const struct layout *layout,
                               struct linux_plan *plan, struct fw_error *error)
{
    const uint8_t *hdr = kernel->head;
    uint64_t end = KERNEL_BASE + plan->kernel_bytes;

    if (plan->version >= 0x020a) {
        uint64_t start = bytes_get64(hdr + HDR_PREF_ADDRESS);
        uint64_t align = bytes_get32(hdr + HDR_KERNEL_ALIGNMENT);

        if (hdr[HDR_RELOCATABLE]) {
            if (align == 0 || (align & (align - 1)) != 0)
                return fw_error_set(error, -EINVAL,
                                    "cannot load %s: its alignment %llxh is no power of two; the "
                                    "file is damaged",
                                    kernel->path, (unsigned long long)align);
            start = MAX(start, ALIGN_UP((uint64_t)KERNEL_BASE, align));
        }
        if (start > LAYOUT_4G)
            return fw_error_set(error, -EINVAL,
                                "cannot load %s: it wants to run at %llxh, above 4 GiB; the file "
                                "is damaged",
                                kernel->path, (unsigned long long)start);
        end = MAX(end, start + bytes_get32(hdr + HDR_INIT_SIZE));
    }
    if (end > layout->acpi_base)
        return fw_error_set(error, -ENOMEM,
                            "cannot load %s: it needs %llu MiB of memory below 4 GiB and has "
                            "%llu MiB; give more with --memory",
                            kernel->path, (unsigned long long)(ALIGN_UP(end, MIB) / MIB),
                            (unsigned long long)(layout->acpi_base / MIB));
    plan->kernel_end = end;
    return 0;
}

static int check_command_line(const struct linux_files *files, struct linux_plan *plan,
                              struct fw_error *error)
{
    size_t length = strlen(files->command_line);

    plan->command_line_max = COMMAND_LINE_OLD;
    if (plan->version >= 0x0206)
        plan->command_line_max = bytes_get32(files->kernel->head + HDR_CMDLINE_SIZE);
    plan->command_line_max = MIN(plan->command_line_max, COMMAND_LINE_LIMIT);
    if (length > plan->command_line_max)
        return fw_error_set(error, -EINVAL,
                            "cannot load %s: the command line has %zu bytes, this kernel takes "
                            "%u; shorten --append",
                            files->kernel->path, length, plan->command_line_max);
    return 0;
}

static int place_initrd(const struct linux_files *files, const struct layout *layout,
                        struct linux_plan *plan, struct fw_error *error)
{
    const struct image *initrd = files->initrd;
    uint64_t limit = INITRD_MAX_OLD;

    plan->initrd_base = 0;
    if (!initrd)
        return 0;
    if (plan->version >= 0x0203)
        limit = bytes_get32(files->kernel->head + HDR_INITRD_ADDR_MAX);
    limit = MIN(limit + 1, layout->acpi_base);
    if (initrd->size_bytes <= limit)
        plan->initrd_base = ALIGN_DOWN(limit - initrd->size_bytes, PAGE_SIZE);
    if (plan->initrd_base < plan->kernel_end)
        return fw_error_set(error, -ENOMEM,
                            "cannot load %s: %llu KiB of initrd do not fit between the kernel's "
                            "end at %llu MiB and its limit at %llu MiB; give more with --memory",
                            initrd->path, (unsigned long long)(initrd->size_bytes / KIB),
                            (unsigned long long)(plan->kernel_end / MIB),
                            (unsigned long long)(limit / MIB));
    return 0;
}

int linux_plan(const struct linux_files *files, const struct layout *layout,
               struct linux_plan *plan, struct fw_error *error)
{
    int result;

    memset(plan, 0, sizeof(*plan));
    result = check_file(files->kernel, plan, error);
    if (result == 0)
        result = check_kernel_memory(files->kernel, layout, plan, error);
    if (result == 0)
        result = check_command_line(files, plan, error);
    if (result == 0)
        result = place_initrd(files, layout, plan, error);
    return result;
}

/* What the protocol makes the loader's business to fill in. */
static void fill_header(uint8_t *hdr, const struct linux_files *files,
                        const struct linux_plan *plan)
{
    bytes_put16(hdr + HDR_VID_MODE, VID_MODE_NORMAL);
    hdr[HDR_TYPE_OF_LOADER] = TYPE_UNDEFINED;
    hdr[HDR_LOADFLAGS] |= LOADFLAG_CAN_USE_HEAP;
    bytes_put16(hdr + HDR_HEAP_END_PTR, SETUP_HEAP_END - 0x200);
    bytes_put32(hdr + HDR_CMD_LINE_PTR, COMMAND_LINE_BASE);
    bytes_put32(hdr + HDR_RAMDISK_IMAGE, plan->initrd_base);
    bytes_put32(hdr + HDR_RAMDISK_SIZE, files->initrd ? files->initrd->size_bytes : 0);
}

/* Boot sector and setup code with its header, on the heap: too large for a small stack. */
static int place_setup(const struct linux_files *files, const struct linux_plan *plan,
                       struct mem *mem)
{
    uint8_t *setup = malloc(plan->setup_bytes);
    int err = setup ? image_read(files->kernel, 0, setup, plan->setup_bytes) : -ENOMEM;

    if (!err) {
        fill_header(setup, files, plan);
        if (!mem_write(mem, SETUP_BASE, setup, plan->setup_bytes))
            err = -EFAULT;
    }
    free(setup);
    return err;
}

int linux_place(const struct linux_files *files, const struct linux_plan *plan, struct mem *mem,
                struct boot_info *boot)
{
    const struct image *kernel = files->kernel;
    int err = place_setup(files, plan, mem);

    if (err)
        return err;
    if (!mem_write(mem, COMMAND_LINE_BASE, files->command_line, strlen(files->command_line) + 1))
        return -EFAULT;
    err = image_place(kernel, plan->setup_bytes, plan->kernel_bytes, mem, KERNEL_BASE);
    if (!err && files->initrd)
        err = image_place(files->initrd, 0, files->initrd->size_bytes, mem, plan->initrd_base);
    if (err)
        return err;

    boot->kind = BOOT_LINUX;
    boot->segment = SETUP_BASE >> 4;
    boot->sp = SETUP_HEAP_END;
    return 0;
}
