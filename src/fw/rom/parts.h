/*
 * The parts of the BIOS, as POST and the interrupt stubs call them; one section per source file.
 */
#ifndef UMBRA_FW_ROM_PARTS_H
#define UMBRA_FW_ROM_PARTS_H

#include "fw/boot.h"
#include "fw/rom/rom.h"

/* post.c */
void post(void) __attribute__((noreturn));

/* chips.c: the motherboard's chips after a reset */
void chips_init_pic(void);
void chips_init_pit(void);
void chips_init_keyboard(void);
void chips_init_rtc(void);
bool chips_a20(void);
void chips_set_a20(bool on);
void pic_end(uint8_t irq);

/* irq.c */
void int02(struct regs *r);
void int05(struct regs *r);
void int08(struct regs *r);
void int70(struct regs *r);
void irq_unexpected(struct regs *r);

/* cpu.c: x87, memory types and the local APIC */
void cpu_init_x87(void);
void cpu_init_memory_types(void);
void cpu_init_local_apic(void);

/* fwcfg.c */
extern struct boot_info
    boot_info; /* what to start; zeroes (BOOT_AUTO) when the monitor says nothing */
void fwcfg_init(void);

/* memmap.c: what RAM there is */
#define MEMMAP_MAX 16
struct memmap_entry {
    uint64_t base;
    uint64_t size_bytes;
    uint32_t kind;
} __attribute__((packed));

extern struct memmap_entry memmap[MEMMAP_MAX];
extern uint8_t memmap_count;
void memmap_use_cmos(void);
uint32_t memmap_kib_above_1m(void); /* RAM from 1 MiB up to the first hole or 4 GiB, in KiB */

/* serial.c: COM1 as second screen and second keyboard */
void serial_init(void);
void serial_teletype(uint8_t c, uint8_t column, uint8_t row);
void serial_cell(uint8_t c, uint8_t attribute, uint8_t column, uint8_t row);
void serial_clear(void);
bool serial_read(uint8_t *byte);
/* Lets Umbra's UART know that a key is waited for: a pipe sends nothing before. True: one came. */
bool serial_listen(void);

/* kbd.c */
void kbd_init(void);
void kbd_poll_serial(void);
bool kbd_put(uint16_t key);
void int09(struct regs *r);

/* cmos.c */
uint8_t cmos_read(uint8_t index);
void cmos_write(uint8_t index, uint8_t value);
void rtc_set_ticks(void);
void rtc_services(struct regs *r); /* INT 1Ah 00h-07h */

/* pci.c, pcibios.c */
void pci_init(void);
bool pci_initialized(void);        /* since the last reset */
void pci_services(struct regs *r); /* INT 1Ah B1h */

/* disk.c, cdboot.c */
void disk_init(void);
bool disk_start_cd(void); /* loads the El Torito image and sets up its emulation */
uint8_t disk_read_boot_sector(uint8_t *number); /* of the floppy or the first hard disk */
bool cd_emulation_status(struct regs *r);

/* optrom.c */
void optrom_run(void);

/* boot.c */
void int18(struct regs *r);
void int19(struct regs *r);

/* The remaining services. */
void int10(struct regs *r);
void int11(struct regs *r);
void int12(struct regs *r);
void int13(struct regs *r);
void int14(struct regs *r);
void int15(struct regs *r);
void int16(struct regs *r);
void int17(struct regs *r);
void int1a(struct regs *r);

/* wait.c */
uint32_t wait_now(void);                 /* ticks of ACPI's timer, 24 bits */
bool wait_escape_is_over(uint32_t then); /* whether so much time went by that ESC came alone */

/* Waits, with interrupts on, never shorter. It sleeps while the timer's interrupt can wake it. */
void wait_microseconds(uint32_t us);

#endif
