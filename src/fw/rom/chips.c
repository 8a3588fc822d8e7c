/*
 * The motherboard's chips, brought from reset to what a PC's software expects. No waiting for time
 * to pass: each loop that waits for a chip has a bound and goes on without it. Sources: Intel
 * 8259A, 8254 and 8042 data sheets, Motorola MC146818A, National PC16550D.
 */
#include "fw/rom/bda.h"
#include "fw/rom/parts.h"

#define PIC_MASTER 0x20
#define PIC_SLAVE  0xa0
#define PIC_EOI    0x20

#define ELCR_SLAVE 0x4d1

#define KBC_DATA        0x60
#define KBC_STATUS      0x64
#define KBC_OUTPUT_FULL 0x01
#define KBC_INPUT_FULL  0x02
#define KBC_TRIES       1000

#define PORT_A     0x92
#define PORT_A_A20 0x02

void chips_init_pic(void)
{
    outb(PIC_MASTER, 0x11); /* ICW1: edge, cascade, ICW4 follows */
    outb(PIC_SLAVE, 0x11);
    outb(PIC_MASTER + 1, 0x08); /* ICW2: IRQ0 is vector 08h */
    outb(PIC_SLAVE + 1, 0x70);  /*       IRQ8 is vector 70h */
    outb(PIC_MASTER + 1, 0x04); /* ICW3: the slave hangs on IRQ2 */
    outb(PIC_SLAVE + 1, 0x02);
    outb(PIC_MASTER + 1, 0x01); /* ICW4: 8086 mode */
    outb(PIC_SLAVE + 1, 0x01);
    outb(PIC_MASTER + 1, 0xf8); /* timer, keyboard and cascade may come in */
    outb(PIC_SLAVE + 1, 0xfe);  /* the RTC too */
    outb(ELCR_SLAVE, 0x0c);     /* IRQ10 and 11, where PCI interrupts go, are level-triggered */
}

void pic_end(uint8_t irq)
{
    if (irq >= 8)
        outb(PIC_SLAVE, PIC_EOI);
    outb(PIC_MASTER, PIC_EOI);
}

void chips_init_pit(void)
{
    outb(0x43, 0x34); /* counter 0: both bytes, mode 2; 65536 counts, 18.2 Hz */
    outb(0x40, 0);
    outb(0x40, 0);
    outb(0x43, 0x54); /* counter 1: low byte, mode 2: the refresh of old */
    outb(0x41, 18);
}

static bool kbc_wait(uint8_t mask, uint8_t value)
{
    for (uint16_t i = 0; i < KBC_TRIES; i++) {
        if ((inb(KBC_STATUS) & mask) == value)
            return true;
    }
    return false;
}

static bool kbc_command(uint8_t command)
{
    if (!kbc_wait(KBC_INPUT_FULL, 0))
        return false;
    outb(KBC_STATUS, command);
    return true;
}

static bool kbc_send(uint8_t value)
{
    if (!kbc_wait(KBC_INPUT_FULL, 0))
        return false;
    outb(KBC_DATA, value);
    return true;
}

static bool kbc_expect(uint8_t value)
{
    return kbc_wait(KBC_OUTPUT_FULL, KBC_OUTPUT_FULL) && inb(KBC_DATA) == value;
}

void chips_init_keyboard(void)
{
    for (uint8_t i = 0; i < 16 && (inb(KBC_STATUS) & KBC_OUTPUT_FULL); i++)
        inb(KBC_DATA);
    if (!kbc_command(0xaa) || !kbc_expect(0x55)) /* self test */
        return;
    if (!kbc_command(0xab) || !kbc_expect(0x00)) /* keyboard line test */
        return;
    if (!kbc_send(0xff) || !kbc_expect(0xfa) || !kbc_expect(0xaa)) /* keyboard reset */
        return;
    if (!kbc_send(0xf4) || !kbc_expect(0xfa)) /* scanning on */
        return;
    if (kbc_command(0x60)) /* command byte: IRQ1, system flag, mouse off, translation to set 1 */
        kbc_send(0x65);
}

void chips_init_rtc(void)
{
    cmos_write(0x0a, 0x26); /* 32768 Hz time base, 1024 Hz periodic rate */
    cmos_write(0x0b, (uint8_t)(0x02 | (cmos_read(0x0b) & 0x04))); /* 24 hours, no interrupts */
    cmos_read(0x0c);
    cmos_read(0x0d);
}

bool chips_a20(void)
{
    return inb(PORT_A) & PORT_A_A20;
}

void chips_set_a20(bool on)
{
    uint8_t old = inb(PORT_A);

    /* Bit 0 is the fast reset: never write it as 1. */
    outb(PORT_A, (uint8_t)((on ? old | PORT_A_A20 : old & ~PORT_A_A20) & ~1));
}
