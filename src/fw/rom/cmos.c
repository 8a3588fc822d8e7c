/*
 * CMOS access and the real-time clock's share of INT 1Ah (00h-07h). Times are kept in whatever form
 * register B says, binary or BCD, and always given to the caller in BCD. Source: Motorola
 * MC146818A; IBM BIOS Interface Technical Reference, INT 1Ah.
 */
#include "fw/rom/bda.h"
#include "fw/rom/parts.h"

#define RTC_SECOND  0x00
#define RTC_MINUTE  0x02
#define RTC_HOUR    0x04
#define RTC_DAY     0x07
#define RTC_MONTH   0x08
#define RTC_YEAR    0x09
#define RTC_A       0x0a
#define RTC_B       0x0b
#define RTC_CENTURY 0x32

#define RTC_A_UPDATING 0x80
#define RTC_B_SET      0x80
#define RTC_B_ALARM    0x20
#define RTC_B_BINARY   0x04
#define RTC_B_DAYLIGHT 0x01

#define TICKS_A_DAY 0x1800b0

uint8_t cmos_read(uint8_t index)
{
    outb(0x70, (uint8_t)(index | 0x80)); /* NMI masked while the index is ours */
    uint8_t value = inb(0x71);
    outb(0x70, 0x0d);
    return value;
}

void cmos_write(uint8_t index, uint8_t value)
{
    outb(0x70, (uint8_t)(index | 0x80));
    outb(0x71, value);
    outb(0x70, 0x0d);
}

static bool rtc_wait(void)
{
    for (uint16_t i = 0; i < 10000; i++) {
        if (!(cmos_read(RTC_A) & RTC_A_UPDATING))
            return true;
    }
    return false;
}

static uint8_t to_bcd(uint8_t v)
{
    return (uint8_t)(v / 10 << 4 | v % 10);
}

static uint8_t from_bcd(uint8_t v)
{
    return (uint8_t)((v >> 4) * 10 + (v & 15));
}

static uint8_t read_bcd(uint8_t index)
{
    uint8_t v = cmos_read(index);

    return cmos_read(RTC_B) & RTC_B_BINARY ? to_bcd(v) : v;
}

static void write_bcd(uint8_t index, uint8_t v)
{
    cmos_write(index, cmos_read(RTC_B) & RTC_B_BINARY ? from_bcd(v) : v);
}

/* Ticks since midnight: 1193182 counts a second, 65536 counts a tick. */
void rtc_set_ticks(void)
{
    uint32_t seconds = 0;

    if (rtc_wait()) {
        seconds = from_bcd(read_bcd(RTC_HOUR)) * 3600u + from_bcd(read_bcd(RTC_MINUTE)) * 60u +
                  from_bcd(read_bcd(RTC_SECOND));
    }
    bda_write32(BDA_TICKS, (uint32_t)((uint64_t)seconds * 1193182 >> 16) % TICKS_A_DAY);
    bda_write8(BDA_MIDNIGHT, 0);
}

static void set_time(const struct regs *r)
{
    cmos_write(RTC_B, cmos_read(RTC_B) | RTC_B_SET);
    write_bcd(RTC_HOUR, r->ch);
    write_bcd(RTC_MINUTE, r->cl);
    write_bcd(RTC_SECOND, r->dh);
    cmos_write(RTC_B, (uint8_t)((cmos_read(RTC_B) & ~(RTC_B_SET | RTC_B_DAYLIGHT)) | (r->dl & 1)));
}

static void set_date(const struct regs *r)
{
    cmos_write(RTC_B, cmos_read(RTC_B) | RTC_B_SET);
    write_bcd(RTC_CENTURY, r->ch);
    write_bcd(RTC_YEAR, r->cl);
    write_bcd(RTC_MONTH, r->dh);
    write_bcd(RTC_DAY, r->dl);
    cmos_write(RTC_B, (uint8_t)(cmos_read(RTC_B) & ~RTC_B_SET));
}

/* 06h: an alarm is refused while another one waits. The interrupt is INT 70h, which calls INT 4Ah.
 */
static void set_alarm(struct regs *r)
{
    if (cmos_read(RTC_B) & RTC_B_ALARM) {
        regs_set_carry(r, true);
        return;
    }
    write_bcd(RTC_HOUR + 1, r->ch);
    write_bcd(RTC_MINUTE + 1, r->cl);
    write_bcd(RTC_SECOND + 1, r->dh);
    outb(0xa1, (uint8_t)(inb(0xa1) & ~1));
    cmos_write(RTC_B, cmos_read(RTC_B) | RTC_B_ALARM);
    regs_return(r, 0);
}

static void get_time(struct regs *r)
{
    if (!rtc_wait()) {
        regs_set_carry(r, true);
        return;
    }
    r->ch = read_bcd(RTC_HOUR);
    r->cl = read_bcd(RTC_MINUTE);
    r->dh = read_bcd(RTC_SECOND);
    r->dl = cmos_read(RTC_B) & RTC_B_DAYLIGHT;
    regs_return(r, 0);
}

static void get_date(struct regs *r)
{
    if (!rtc_wait()) {
        regs_set_carry(r, true);
        return;
    }
    r->ch = read_bcd(RTC_CENTURY);
    r->cl = read_bcd(RTC_YEAR);
    r->dh = read_bcd(RTC_MONTH);
    r->dl = read_bcd(RTC_DAY);
    regs_return(r, 0);
}

void rtc_services(struct regs *r)
{
    uint32_t ticks;

    switch (r->ah) {
    case 0x00:
        ticks = bda_read32(BDA_TICKS);
        r->cx = (uint16_t)(ticks >> 16);
        r->dx = (uint16_t)ticks;
        r->al = bda_read8(BDA_MIDNIGHT);
        bda_write8(BDA_MIDNIGHT, 0);
        regs_return(r, 0);
        return;
    case 0x01:
        bda_write32(BDA_TICKS, (uint32_t)r->cx << 16 | r->dx);
        bda_write8(BDA_MIDNIGHT, 0);
        regs_return(r, 0);
        return;
    case 0x02: get_time(r); return;
    case 0x03: set_time(r); break;
    case 0x04: get_date(r); return;
    case 0x05: set_date(r); break;
    case 0x06: set_alarm(r); return;
    case 0x07: cmos_write(RTC_B, (uint8_t)(cmos_read(RTC_B) & ~RTC_B_ALARM)); break;
    default: regs_set_carry(r, true); return;
    }
    regs_return(r, 0);
}
