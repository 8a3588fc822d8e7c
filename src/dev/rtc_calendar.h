/*
 * The calendar bytes of an MC146818A: seconds since the epoch to and from registers in BCD or
 * binary, 12 or 24 hours, and the search for the next alarm. Pure functions, no clock.
 * Specification: Motorola MC146818A data sheet, "Time, Calendar, and Alarm Locations".
 */
#ifndef UMBRA_DEV_RTC_CALENDAR_H
#define UMBRA_DEV_RTC_CALENDAR_H

#include "base/types.h"

enum rtc_register {
    RTC_SECONDS = 0,
    RTC_ALARM_SECONDS = 1,
    RTC_MINUTES = 2,
    RTC_ALARM_MINUTES = 3,
    RTC_HOURS = 4,
    RTC_ALARM_HOURS = 5,
    RTC_WEEKDAY = 6, /* 1: Sunday */
    RTC_DAY = 7,
    RTC_MONTH = 8,
    RTC_YEAR = 9, /* of the century */
    RTC_A = 10,
    RTC_B = 11,
    RTC_C = 12,
    RTC_D = 13,
    RTC_CENTURY = 0x32, /* a PC's custom, named in the FADT */
};

/* How the bytes are to be read: the two format bits of register B. */
struct rtc_format {
    bool binary;  /* else BCD */
    bool hours24; /* else 1 to 12 with bit 7 for PM */
};

/* Writes the bytes of the time and the date (not the alarm's) into a register file. */
void rtc_encode(uint8_t *registers, struct rtc_format format, int64_t utc);

/* Reads them back. Bytes out of range carry over, as in a date of 31 February. */
int64_t rtc_decode(const uint8_t *registers, struct rtc_format format);

/*
 * The first second after utc at which the alarm bytes match, or -1 if none ever does. A byte of C0h
 * to FFh matches everything.
 */
int64_t rtc_next_alarm(const uint8_t *registers, struct rtc_format format, int64_t utc);

#endif
