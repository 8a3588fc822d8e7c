/*
 * How time passes for the BIOS: by ACPI's timer, which counts whatever a guest does. The 8254
 * belongs to the guest, which may run it in another mode or at another rate. A guest may move
 * ACPI's ports away: then the refresh flip-flop of port 61h counts.
 * Specification: ACPI 6.4, 4.8.3.3 "Power Management Timer"; Intel 8254 data sheet, "Read-Back
 * Command"; Intel 8259A data sheet, "Reading the 8259A Status".
 */
#include "mem/layout.h"
#include "fw/rom/parts.h"

#define PM_TIMER      (LAYOUT_PM_BASE + 8)
#define PM_TIMER_MASK 0xffffff /* it wraps after 4.7 s */
#define PM_TIMER_GONE 0xffffffff

#define PORT_61         0x61
#define PORT_61_REFRESH 0x10 /* changes every 18 ticks of 1193182 Hz */

/* Ticks of ACPI's timer, 3579545 a second: in a microsecond, times 65536; in the 8254's longest
 * period. Changes of the refresh bit in a microsecond, times 65536. */
#define TICKS_A_US      234589
#define REFRESHES_A_US  4345
#define LONGEST_PERIOD  196610
#define ESCAPE_SEQUENCE 393750 /* 110 ms */

#define PIT_CONTROL       0x43
#define PIT_COUNTER_0     0x40
#define PIT_READ_STATUS_0 0xe2
#define PIT_NULL_COUNT    0x40
#define PIT_PERIODIC      0x04 /* modes 2, 3, 6 and 7 */

#define PIC_MASTER    0x20
#define PIC_READ_IRR  0x0a
#define PIC_READ_ISR  0x0b
#define PIC_MASK_IRQ0 0x01

uint32_t wait_now(void)
{
    return inl(PM_TIMER) & PM_TIMER_MASK;
}

static uint32_t passed_since(uint32_t then)
{
    return (wait_now() - then) & PM_TIMER_MASK;
}

bool wait_escape_is_over(uint32_t then)
{
    return inl(PM_TIMER) == PM_TIMER_GONE || passed_since(then) >= ESCAPE_SEQUENCE;
}

/*
 * Whether the timer's interrupt ends a sleep: counter 0 is periodic and counts, IRQ0 is open, and
 * no interrupt is being served that would hold it back (a hook of INT 1Ch may call us).
 */
static bool tick_will_come(void)
{
    uint8_t status, in_service;

    if (inb(PIC_MASTER + 1) & PIC_MASK_IRQ0)
        return false;
    outb(PIC_MASTER, PIC_READ_ISR);
    in_service = inb(PIC_MASTER);
    outb(PIC_MASTER, PIC_READ_IRR);
    outb(PIT_CONTROL, PIT_READ_STATUS_0);
    status = inb(PIT_COUNTER_0);
    return !in_service && (status & (PIT_NULL_COUNT | PIT_PERIODIC)) == PIT_PERIODIC;
}

static void wait_by_refresh(uint32_t us)
{
    uint32_t left = (uint32_t)((uint64_t)us * REFRESHES_A_US >> 16) + 2;
    uint8_t last = inb(PORT_61) & PORT_61_REFRESH;

    while (left) {
        uint8_t now = inb(PORT_61) & PORT_61_REFRESH;

        if (now != last)
            left--;
        last = now;
        rom_let_interrupts_in();
    }
}

void wait_microseconds(uint32_t us)
{
    uint64_t left = us ? ((uint64_t)us * TICKS_A_US >> 16) + 1 : 0;
    uint32_t then = wait_now();

    if (inl(PM_TIMER) == PM_TIMER_GONE) {
        wait_by_refresh(us);
        return;
    }
    while (left) {
        if (left > LONGEST_PERIOD && tick_will_come())
            rom_idle();
        else
            rom_let_interrupts_in(); /* a tick that waits too long is lost */
        uint32_t passed = passed_since(then);
        then = (then + passed) & PM_TIMER_MASK;
        left = passed < left ? left - passed : 0;
    }
}
