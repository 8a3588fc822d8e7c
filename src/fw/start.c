/* From the user's files to a guest that can start; the formats have files of their own. */
#include "fw/start.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fw/format.h"

#define FLAT_BASE         0x7c00
#define BOOT_SIGNATURE    510 /* offset of 55h AAh in a boot sector */
#define BOOT_CODE_BYTES   440 /* before the disk's signature and its partition table */
#define GPT_OFFSET        512
#define GPT_MAGIC         "EFI PART"
#define BOOT_SECTOR_BYTES 512
#define FLOPPY_MAX_BYTES  (36 * MIB) /* 1024 cylinders of 2 heads and 36 sectors */

/* Whether a word of the line starts with the prefix. */
static bool has_word(const char *line, const char *prefix)
{
    for (const char *p = line; (p = strstr(p, prefix)); p++) {
        if (p == line || isspace((unsigned char)p[-1]))
            return true;
    }
    return false;
}

/* The user's command line, and for Linux the console that it lacks. */
static int make_command_line(struct start *start, const struct start_files *files,
                             struct fw_error *error)
{
    const char *line = files->command_line, *console = "";
    size_t size;

    if (start->is_linux_kernel && files->linux_console && !has_word(line, "console="))
        console = files->linux_console;
    size = strlen(line) + strlen(console) + 2;
    start->command_line = malloc(size);
    if (!start->command_line)
        return fw_error_set(error, -ENOMEM, "cannot keep the command line: out of memory");
    snprintf(start->command_line, size, "%s%s%s", console, *console && *line ? " " : "", line);
    return 0;
}

/* The kernel's loader, by what its content is. */
static int plan_kernel(struct start *start, enum image_kind kind, const struct layout *layout,
                       struct fw_error *error)
{
    const struct image *initrd = start->initrd.size_bytes ? &start->initrd : NULL;

    if (kind == IMAGE_LINUX) {
        struct linux_files files = {&start->kernel, initrd, start->command_line};

        start->kind = BOOT_LINUX;
        return linux_plan(&files, layout, &start->linux_plan, error);
    }
    if (kind == IMAGE_MULTIBOOT) {
        struct multiboot_files files = {&start->kernel, initrd, start->command_line};

        start->kind = BOOT_MULTIBOOT;
        return multiboot_plan(&files, layout, &start->multiboot, error);
    }
    if (initrd)
        return fw_error_set(error, -EINVAL,
                            "cannot use %s: an initrd goes with a Linux or multiboot kernel, and "
                            "%s is none",
                            initrd->path, start->kernel.path);
    start->kind = BOOT_FLAT;
    start->doubt = format_doubt(start->kernel.head, start->kernel.head_bytes);
    return 0;
}

/* --kernel takes kernels only; FILE takes all. A disk or a CD moves to its drive. */
static int sort_file(struct start *start, const struct start_files *files,
                     const struct layout *layout, struct fw_error *error)
{
    const char *path = files->kernel ? files->kernel : files->file;
    enum image_kind kind;
    int result;

    result = image_open(&start->kernel, path, error);
    if (result == 0)
        result = image_detect(&start->kernel, &kind, error);
    if (result)
        return result;

    if (kind != IMAGE_DISK && kind != IMAGE_CDROM) {
        if (files->kernel && kind == IMAGE_FLAT)
            return fw_error_set(error, -EINVAL,
                                "cannot load %s: it is neither a Linux bzImage nor a multiboot "
                                "kernel; a flat binary goes without --kernel",
                                path);
        start->is_linux_kernel = linux_probe_kernel(start->kernel.head, start->kernel.head_bytes);
        result = make_command_line(start, files, error);
        return result ? result : plan_kernel(start, kind, layout, error);
    }
    if (files->kernel)
        return fw_error_set(
            error, -EINVAL, "cannot load %s: it is a %s image and no kernel; give it with %s", path,
            kind == IMAGE_DISK ? "disk" : "CD", kind == IMAGE_DISK ? "--disk" : "--cdrom");
    if (kind == IMAGE_DISK ? start->disk != NULL : start->cdrom != NULL)
        return fw_error_set(error, -EINVAL, "cannot use %s: there is one %s drive, and %s is in it",
                            path, kind == IMAGE_DISK ? "disk" : "CD",
                            kind == IMAGE_DISK ? start->disk : start->cdrom);
    image_close(&start->kernel);
    if (kind == IMAGE_DISK)
        start->disk = path;
    else
        start->cdrom = path;
    start->kind = kind == IMAGE_DISK ? BOOT_DISK : BOOT_CDROM;
    return 0;
}

/* A drive's image, whose bytes are the drive's. */
static int open_drive(struct image *image, const char *path, struct fw_error *error)
{
    int result = image_open(image, path, error);

    if (result == 0) {
        result = format_check_drive(image, error);
        if (result)
            image_close(image);
    }
    return result;
}

/* Reads the CD's catalog. Without one the CD serves as a drive, if something else boots. */
static int check_cd(struct start *start, bool must_boot, struct fw_error *error)
{
    struct image cd;
    int result = open_drive(&cd, start->cdrom, error);

    if (result)
        return result;
    result = eltorito_parse(&cd, &start->cd_image, error);
    image_close(&cd);
    start->has_cd_image = result == 0;
    if (result && !must_boot) {
        error->text[0] = '\0';
        result = 0;
    }
    return result;
}

/* Whether the BIOS has code to run in a disk's first sector. */
static int check_boot_sector(const struct image *disk, struct fw_error *error)
{
    static const uint8_t no_code[BOOT_CODE_BYTES];
    const uint8_t *bytes = disk->head;

    if (disk->head_bytes < BOOT_SECTOR_BYTES || bytes[BOOT_SIGNATURE] != 0x55 ||
        bytes[BOOT_SIGNATURE + 1] != 0xaa)
        return fw_error_set(error, -EINVAL,
                            "cannot boot %s: its first sector has no boot signature (55h AAh at "
                            "510); give a kernel or a bootable disk",
                            disk->path);
    if (memcmp(bytes, no_code, sizeof(no_code)) != 0)
        return 0;
    if (disk->head_bytes >= GPT_OFFSET + strlen(GPT_MAGIC) &&
        memcmp(bytes + GPT_OFFSET, GPT_MAGIC, strlen(GPT_MAGIC)) == 0)
        return fw_error_set(error, -EINVAL,
                            "cannot boot %s: it is a GPT disk without boot code for a BIOS, made "
                            "for UEFI, which Umbra does not have; give its kernel with --kernel",
                            disk->path);
    return fw_error_set(error, -EINVAL,
                        "cannot boot %s: its first sector holds no boot code; "
                        "give its kernel with --kernel",
                        disk->path);
}

static int check_disk(const struct start *start, bool must_boot, struct fw_error *error)
{
    struct image disk;
    int result = open_drive(&disk, start->disk, error);

    if (result)
        return result;
    if (start->disk_is_floppy && disk.size_bytes > FLOPPY_MAX_BYTES)
        result = fw_error_set(error, -EINVAL,
                              "cannot use --floppy %s: it has more than %llu MiB, too many sectors "
                              "for a floppy; give it with --disk",
                              start->disk, (unsigned long long)(FLOPPY_MAX_BYTES / MIB));
    else if (must_boot)
        result = check_boot_sector(&disk, error);
    image_close(&disk);
    return result;
}

/* The drives, and what boots when no file was loaded: the CD if it can, else the disk. */
static int plan_drives(struct start *start, struct fw_error *error)
{
    bool loaded = start->kernel.size_bytes > 0;
    int result = 0;

    if (start->cdrom)
        result = check_cd(start, !loaded && !start->disk, error);
    if (result == 0 && start->disk)
        result = check_disk(start, !loaded && !start->has_cd_image, error);
    if (result == 0 && !loaded && start->kind == BOOT_AUTO)
        start->kind = start->has_cd_image ? BOOT_CDROM : BOOT_DISK;
    return result;
}

static int check_use(const struct start *start, const struct start_files *files,
                     struct fw_error *error)
{
    bool loaded = start->kernel.size_bytes > 0;

    if (files->initrd && start->kind != BOOT_LINUX && start->kind != BOOT_MULTIBOOT)
        return fw_error_set(error, -EINVAL,
                            "cannot use --initrd %s without a kernel; give one with --kernel",
                            files->initrd);
    if (files->command_line[0] && start->kind != BOOT_LINUX && start->kind != BOOT_MULTIBOOT)
        return fw_error_set(error, -EINVAL,
                            "cannot use --append without a kernel; give one with --kernel");
    if (files->foreign_bios && loaded)
        return fw_error_set(error, -EINVAL,
                            "cannot start %s under --bios: only Umbra's own BIOS starts kernels "
                            "and flat binaries; leave --bios out, or boot a disk or a CD",
                            start->kernel.path);
    return 0;
}

static int plan(struct start *start, const struct start_files *files, const struct layout *layout,
                struct fw_error *error)
{
    int result = 0;

    if (files->file && files->kernel)
        return fw_error_set(error, -EINVAL,
                            "cannot start both %s and --kernel %s; give one of them", files->file,
                            files->kernel);
    if (files->disk && files->floppy)
        return fw_error_set(error, -EINVAL,
                            "cannot use both --disk %s and --floppy %s: there is one disk drive",
                            files->disk, files->floppy);
    if (files->floppy && files->foreign_bios)
        return fw_error_set(error, -EINVAL,
                            "cannot use --floppy %s under --bios: there is no floppy controller, "
                            "and only Umbra's own BIOS shows a disk as a floppy",
                            files->floppy);
    if (files->initrd)
        result = image_open(&start->initrd, files->initrd, error);
    if (result == 0 && (files->file || files->kernel))
        result = sort_file(start, files, layout, error);
    if (result == 0 && (start->disk || start->cdrom))
        result = plan_drives(start, error);
    if (result == 0 && start->kind == BOOT_AUTO) {
        /* Nothing named: the embedded guest, or a foreign BIOS all alone. */
        start->kind = files->demo && !files->foreign_bios ? BOOT_FLAT : BOOT_NONE;
        if (start->kind == BOOT_FLAT)
            image_from_bytes(&start->kernel, "the embedded guest", files->demo, files->demo_bytes);
    }
    return result ? result : check_use(start, files, error);
}

int start_plan(struct start *start, const struct start_files *files, const struct layout *layout,
               struct fw_error *error)
{
    int result;

    memset(start, 0, sizeof(*start));
    error->text[0] = '\0';
    start->disk = files->disk ? files->disk : files->floppy;
    start->disk_is_floppy = files->floppy != NULL;
    start->cdrom = files->cdrom;
    result = plan(start, files, layout, error);
    if (result)
        start_fini(start);
    return result;
}

static int place_flat(const struct start *start, struct mem *mem, struct boot_info *boot)
{
    boot->kind = BOOT_FLAT;
    return image_place(&start->kernel, 0, start->kernel.size_bytes, mem, FLAT_BASE);
}

int start_place(const struct start *start, const struct layout *layout, struct mem *mem,
                struct boot_info *boot)
{
    const struct image *initrd = start->initrd.size_bytes ? &start->initrd : NULL;
    struct linux_files linux_files = {&start->kernel, initrd, start->command_line};
    struct multiboot_files multiboot = {&start->kernel, initrd, start->command_line};
    int result = 0;

    *boot = (struct boot_info){.magic = BOOT_MAGIC,
                               .version = BOOT_VERSION,
                               .kind = start->kind,
                               .flags = start->disk_is_floppy ? BOOT_FLAG_FLOPPY : 0};
    if (start->has_cd_image)
        eltorito_fill_boot(&start->cd_image, boot);

    if (start->kind == BOOT_LINUX)
        result = linux_place(&linux_files, &start->linux_plan, mem, boot);
    else if (start->kind == BOOT_MULTIBOOT)
        result = multiboot_place(&multiboot, &start->multiboot, layout, mem, boot);
    else if (start->kind == BOOT_FLAT)
        result = place_flat(start, mem, boot);
    return result;
}

void start_fini(struct start *start)
{
    image_close(&start->kernel);
    image_close(&start->initrd);
    free(start->command_line);
    start->command_line = NULL;
}

const char *start_kind_name(const struct start *start)
{
    switch (start->kind) {
    case BOOT_DISK: return start->disk_is_floppy ? "a floppy" : "a disk";
    case BOOT_CDROM: return "a CD";
    case BOOT_LINUX:
        return start->is_linux_kernel ? "a Linux kernel" : "a bzImage that is not Linux";
    case BOOT_FLAT: return start->kernel.is_file ? "a flat binary" : "the embedded guest";
    case BOOT_MULTIBOOT: return "a multiboot kernel";
    default: return "nothing";
    }
}
