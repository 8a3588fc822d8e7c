/*
 * What the guest starts from: looks at the files that the user named, finds out what they are, and
 * later puts them into guest memory and fills the hand-over to the BIOS. All checking comes first
 * (start_plan), so that nothing is half-started; placing is repeated at each reset.
 * It refuses combinations that make no sense, with a text that says what to do.
 */
#ifndef UMBRA_FW_START_H
#define UMBRA_FW_START_H

#include "base/types.h"
#include "fw/boot.h"
#include "fw/eltorito.h"
#include "fw/image.h"
#include "fw/linux.h"
#include "fw/multiboot.h"
#include "mem/layout.h"
#include "mem/mem.h"

/* Paths as the user gave them; NULL where he gave none. They outlive the plan. */
struct start_files {
    const char *file; /* anything: its content decides */
    const char *kernel;
    const char *initrd;
    const char *disk;
    const char *floppy; /* in the place of disk: drive 00h, whatever its size */
    const char *cdrom;
    const char *command_line;  /* never NULL */
    const char *linux_console; /* for a Linux command line without console=; NULL: nothing */
    bool foreign_bios;         /* --bios: it knows no hand-over, so only disks can be started */
    const void *demo;          /* the embedded guest: started when no path is given */
    size_t demo_bytes;
};

struct start {
    enum boot_kind kind;
    struct image kernel; /* LINUX, MULTIBOOT, FLAT; else empty */
    struct image initrd; /* empty without one */
    const char *disk;    /* what stands behind the disk and the CD drive, NULL: nothing */
    bool disk_is_floppy; /* the user says so; else its size tells the BIOS */
    const char *cdrom;
    char *command_line;   /* as the kernel gets it; owned */
    bool is_linux_kernel; /* with LINUX: Linux itself, and no other bzImage */
    const char *doubt;    /* with FLAT: why the file may be no code, a clause; else NULL */
    bool has_cd_image;
    struct eltorito cd_image; /* with has_cd_image */
    union {
        struct linux_plan linux_plan;
        struct multiboot_plan multiboot;
    };
};

/*
 * Opens and checks everything. 0, or a negative errno with a text; then nothing is held. The files
 * stay open until start_fini.
 */
int start_plan(struct start *start, const struct start_files *files, const struct layout *layout,
               struct fw_error *error) must_check;

/*
 * Puts the files into guest memory, fresh or not, and fills boot. 0; -EIO: a file is shorter than
 * it was, or cannot be read; -EFAULT: the slots are not those of the layout.
 */
int start_place(const struct start *start, const struct layout *layout, struct mem *mem,
                struct boot_info *boot) must_check;

/* Closes the files; harmless on a zeroed start and a second time. */
void start_fini(struct start *start);

/* One word for messages: "a Linux kernel", "a disk", ... */
const char *start_kind_name(const struct start *start);

#endif
