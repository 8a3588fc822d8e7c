/*
 * Power-on self test, the part in C: in the order of this list the machine becomes a PC. It touches
 * no memory but the vectors, the BDA, the EBDA and the screen: a kernel may already stand
 * everywhere else.
 */
#include "mem/layout.h"
#include "fw/rom/bda.h"
#include "fw/rom/parts.h"
#include "fw/rom/video.h"

_Static_assert(EBDA_SEGMENT * 16 == LAYOUT_EBDA_BASE && EBDA_BYTES == LAYOUT_EBDA_SIZE,
               "segment.h must follow mem/layout.h");

#define RESET_CONTROL      0xcf9
#define RESET_CONTROL_HARD 0x06

#define EQUIPMENT 0x0222 /* coprocessor, 80x25 colour, one serial port */

/* entry.S */
extern const char entry_05[], entry_08[], entry_09[], entry_10[], entry_11[], entry_12[],
    entry_13[], entry_14[], entry_15[], entry_16[], entry_17[], entry_18[], entry_19[], entry_1a[],
    entry_70[], entry_nmi[], entry_irq_master[], entry_irq_slave[];

static void set_vector(uint8_t vector, const char *offset)
{
    far_write32(0, (uint16_t)(vector * 4), (uint32_t)ROM_SEGMENT << 16 | ROM_OFFSET(offset));
}

static void init_vectors(void)
{
    for (uint16_t i = 0; i < 0x78; i++)
        set_vector((uint8_t)i, rom_iret);
    for (uint16_t i = 0x60; i < 0x68; i++)
        far_write32(0, (uint16_t)(i * 4), 0); /* for programs, free */
    for (uint16_t i = 0x78; i < 0x100; i++)
        far_write32(0, (uint16_t)(i * 4), 0);
    for (uint8_t i = 0x0a; i < 0x10; i++)
        set_vector(i, entry_irq_master);
    for (uint8_t i = 0x71; i < 0x78; i++)
        set_vector(i, entry_irq_slave);
    set_vector(0x02, entry_nmi);
    set_vector(0x05, entry_05);
    set_vector(0x08, entry_08);
    set_vector(0x09, entry_09);
    set_vector(0x10, entry_10);
    set_vector(0x11, entry_11);
    set_vector(0x12, entry_12);
    set_vector(0x13, entry_13);
    set_vector(0x14, entry_14);
    set_vector(0x15, entry_15);
    set_vector(0x16, entry_16);
    set_vector(0x17, entry_17);
    set_vector(0x18, entry_18);
    set_vector(0x19, entry_19);
    set_vector(0x1a, entry_1a);
    set_vector(0x1d, rom_video_table);
    set_vector(0x1e, rom_diskette_table);
    set_vector(0x1f, rom_font);
    set_vector(0x40, entry_13); /* the floppy handler that a hard disk BIOS leaves behind */
    set_vector(0x43, rom_font);
    far_write32(0, 0x41 * 4, 0);
    far_write32(0, 0x46 * 4, 0);
    set_vector(0x70, entry_70);
}

static void init_bda(void)
{
    for (uint16_t i = 0; i < 0x100; i = (uint16_t)(i + 4)) {
        if (i != BDA_RESET_FLAG / 4 * 4)
            bda_write32(i, 0);
    }
    bda_write16(BDA_EBDA_SEGMENT, EBDA_SEGMENT);
    bda_write16(BDA_EQUIPMENT, EQUIPMENT);
    bda_write16(BDA_MEMORY_KIB, EBDA_SEGMENT / 64);
    bda_write32(BDA_LPT_TIMEOUTS, 0x14141414);
    far_write8(EBDA_SEGMENT, 0, EBDA_BYTES / 1024);
    kbd_init();
}

static void banner(void)
{
    if (!(boot_info.flags & BOOT_FLAG_BANNER))
        return;
    print_text("Umbra BIOS, ");
    print_decimal(EBDA_SEGMENT / 64);
    print_text(" KiB and ");
    print_decimal(memmap_kib_above_1m());
    print_text(" KiB above 1 MiB\n");
}

/*
 * A program that jumps to FFFF:0 wants a new start, and so does an INIT: but the chips are as it
 * left them, and a kernel that the monitor placed is no longer fresh. A reset makes all that good.
 */
static void reset_used_machine(void)
{
    if (!pci_initialized())
        return;
    outb(RESET_CONTROL, RESET_CONTROL_HARD);
    for (;;)
        continue; /* no interrupts: there are no vectors yet */
}

void post(void)
{
    post_code(0x10);
    reset_used_machine();
    init_vectors();
    init_bda();
    post_code(0x20);
    chips_set_a20(true);
    chips_init_pic();
    chips_init_pit();
    chips_init_rtc();
    serial_init();
    chips_init_keyboard();
    post_code(0x30);
    cpu_init_x87();
    cpu_init_memory_types();
    cpu_init_local_apic();
    post_code(0x40);
    fwcfg_init();
    memmap_use_cmos();
    post_code(0x50);
    pci_init();
    post_code(0x60);
    video_set_mode(3, false);
    rtc_set_ticks();
    disk_init();
    banner();
    post_code(0x70);
    optrom_run();
    post_code(0x00);
    rom_call_interrupt(0x19, 0);
    for (;;)
        rom_idle();
}
