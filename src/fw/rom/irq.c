/*
 * Hardware interrupts: timer, real-time clock, and those that nobody has claimed.
 */
#include "fw/rom/bda.h"
#include "fw/rom/parts.h"

#define TICKS_A_DAY   0x1800b0
#define OCW3_READ_ISR 0x0b

/* NMI: nothing here raises one on purpose. */
void int02(struct regs *r)
{
    (void)r;
}

/* Print screen: there is no printer. */
void int05(struct regs *r)
{
    (void)r;
}

void int08(struct regs *r)
{
    uint32_t ticks = bda_read32(BDA_TICKS) + 1;
    uint8_t motor = bda_read8(BDA_FLOPPY_MOTOR);

    (void)r;
    if (ticks >= TICKS_A_DAY) {
        ticks = 0;
        bda_write8(BDA_MIDNIGHT, 1);
    }
    bda_write32(BDA_TICKS, ticks);
    if (motor)
        bda_write8(BDA_FLOPPY_MOTOR, (uint8_t)(motor - 1));
    rom_call_interrupt(0x1c, 0);
    pic_end(0);
}

void int70(struct regs *r)
{
    uint8_t cause = cmos_read(0x0c) & cmos_read(0x0b);

    (void)r;
    if (cause & 0x20) {
        cmos_write(0x0b, (uint8_t)(cmos_read(0x0b) & ~0x20));
        rom_call_interrupt(0x4a, 0);
    }
    pic_end(8);
}

/*
 * An interrupt without a driver is masked, as on the PC/AT: a level-triggered line would come back
 * for ever. Nothing in service means that the interrupt was spurious, or that software called the
 * vector.
 */
void irq_unexpected(struct regs *r)
{
    uint8_t master, slave;

    (void)r;
    outb(0x20, OCW3_READ_ISR);
    master = inb(0x20);
    outb(0xa0, OCW3_READ_ISR);
    slave = inb(0xa0);
    if (slave) {
        outb(0xa1, inb(0xa1) | slave);
        outb(0xa0, 0x20);
    } else if (master & ~0x04) {
        outb(0x21, inb(0x21) | (master & ~0x04));
    }
    if (master)
        outb(0x20, 0x20);
    bda_write8(BDA_LAST_IRQ, master ? master : 0xff);
}
