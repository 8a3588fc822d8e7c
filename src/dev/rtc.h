/*
 * The real-time clock of a PC (MC146818A) with its 128 bytes of CMOS, the century at 32h, and the
 * 256 bytes of the extended bank.
 *
 * The time runs on the virtual clock from the start that the creator gives. Refused: daylight
 * saving (as in the chipsets), the square wave, and a day of the week of the guest's own: it
 * follows from the date (DEVIATION: the chip lets the guest write it).
 * Specification: Motorola MC146818A data sheet; Intel ICH data sheets (72h/73h).
 *
 * Locking: the machine lock is held around every call.
 */
#ifndef UMBRA_DEV_RTC_H
#define UMBRA_DEV_RTC_H

#include "base/clock.h"
#include "base/irq.h"
#include "base/types.h"
#include "dev/bus.h"
#include "dev/device.h"

#define RTC_CMOS_SIZE     128
#define RTC_EXTENDED_SIZE 256

struct rtc;

/*
 * Makes a clock that shows start_utc (seconds since the epoch, 1970 to 9999) now; irq is IRQ.
 * NULL: no memory.
 */
struct rtc *rtc_create(struct clock *clock, int64_t start_utc, const struct irq_line *irq);
void rtc_destroy(struct rtc *rtc);

/* As RESET: interrupts off. Time and memory live on, as with a battery. */
void rtc_reset(struct rtc *rtc);

/* Its state, for the board; the device's own. */
const struct device *rtc_device(const struct rtc *rtc);

/* The CMOS bytes, for the board to fill in; bytes 0 to 0Dh and 32h are registers, not memory. */
uint8_t *rtc_cmos(struct rtc *rtc);

/* The time that the guest sees: seconds since the epoch. */
int64_t rtc_time(struct rtc *rtc);

/* Bit 7 of port 70h: the guest holds back NMI. */
bool rtc_nmi_masked(const struct rtc *rtc);

extern const struct bus_ops rtc_ops;          /* 70h, 71h; dev: the struct rtc */
extern const struct bus_ops rtc_extended_ops; /* 72h, 73h; dev: the struct rtc */

#endif
