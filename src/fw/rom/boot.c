/*
 * INT 19h and 18h: starting the guest, the way boot_info asks for.
 * Sources: Linux Documentation/arch/x86/boot.rst (real-mode entry); Multiboot Specification
 * 0.6.96, 3.2.
 */
#include "fw/rom/bda.h"
#include "fw/rom/parts.h"

#define BOOT_ADDRESS 0x7c00

static void start_flat(uint8_t drive) __attribute__((noreturn));
static void start_flat(uint8_t drive)
{
    struct launch launch = {
        .ip = BOOT_ADDRESS, .sp = BOOT_ADDRESS, .flags = FLAG_IF, .edx = drive, .eax = 0xaa55};

    rom_enter_real(&launch);
}

/* The setup code wants all segments alike, and interrupts off until it has its stack. */
static void start_linux(void) __attribute__((noreturn));
static void start_linux(void)
{
    struct launch launch = {.cs = (uint16_t)(boot_info.segment + 0x20),
                            .ss = boot_info.segment,
                            .sp = boot_info.sp,
                            .data_segment = boot_info.segment};

    rom_enter_real(&launch);
}

static void start_disk(void)
{
    uint8_t number;
    uint8_t code = disk_read_boot_sector(&number);

    if (code) {
        print_text("Disk: cannot read its first sector, error ");
        print_hex(code, 2);
        print_text("h\n");
        return;
    }
    if (far_read16(0, BOOT_ADDRESS + 510) != 0xaa55) {
        print_text("Disk: the first sector does not end in 55 AA, so it is no boot sector\n");
        return;
    }
    start_flat(number);
}

static void start_cd(void)
{
    disk_start_cd();
    print_text("CD-ROM: cannot load the boot image\n");
}

void int19(struct regs *r)
{
    (void)r;
    post_code(0x19);
    switch (boot_info.kind) {
    case BOOT_FLAT: start_flat(boot_info.drive ? boot_info.drive : BOOT_DRIVE_HARD_DISK);
    case BOOT_LINUX: start_linux();
    case BOOT_MULTIBOOT: rom_enter_multiboot(boot_info.eip, boot_info.ebx);
    case BOOT_DISK: start_disk(); break;
    case BOOT_CDROM: start_cd(); break;
    case BOOT_AUTO:
        if (boot_info.sector_count)
            start_cd();
        start_disk();
        break;
    default: break;
    }
    rom_call_interrupt(0x18, 0);
    int18(r);
}

/* Nothing to boot: says so and waits. Interrupts stay on, so that a power button can be served. */
void int18(struct regs *r)
{
    (void)r;
    post_code(0x18);
    print_text("No bootable device. Give umbra a file, --disk or --cdrom.\n");
    for (;;)
        rom_idle();
}
