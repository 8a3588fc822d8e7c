/* Dates by libc's proleptic calendar, in UTC, as bytes of an MC146818A. */
#include "dev/rtc_calendar.h"

#include <time.h>

#define HOUR_PM   0x80
#define DONT_CARE 0xc0
#define DAY_S     86400
#define YEAR_BASE 1900 /* of struct tm */
#define CENTURY   100

static uint8_t encode(struct rtc_format format, unsigned value)
{
    return (uint8_t)(format.binary ? value : value / 10 << 4 | value % 10);
}

static int decode(struct rtc_format format, uint8_t byte)
{
    return format.binary ? byte : (byte >> 4) * 10 + (byte & 15);
}

static uint8_t encode_hour(struct rtc_format format, unsigned hour)
{
    if (format.hours24)
        return encode(format, hour);
    return encode(format, (hour + 11) % 12 + 1) | (hour >= 12 ? HOUR_PM : 0);
}

static int decode_hour(struct rtc_format format, uint8_t byte)
{
    if (format.hours24)
        return decode(format, byte);
    return decode(format, byte & ~HOUR_PM) % 12 + (byte & HOUR_PM ? 12 : 0);
}

void rtc_encode(uint8_t *registers, struct rtc_format format, int64_t utc)
{
    time_t t = utc;
    struct tm tm = {0};
    unsigned year;

    gmtime_r(&t, &tm);
    year = (unsigned)(tm.tm_year + YEAR_BASE);
    registers[RTC_SECONDS] = encode(format, (unsigned)tm.tm_sec);
    registers[RTC_MINUTES] = encode(format, (unsigned)tm.tm_min);
    registers[RTC_HOURS] = encode_hour(format, (unsigned)tm.tm_hour);
    registers[RTC_WEEKDAY] = (uint8_t)(tm.tm_wday + 1);
    registers[RTC_DAY] = encode(format, (unsigned)tm.tm_mday);
    registers[RTC_MONTH] = encode(format, (unsigned)tm.tm_mon + 1);
    registers[RTC_YEAR] = encode(format, year % CENTURY);
    registers[RTC_CENTURY] = encode(format, year / CENTURY);
}

int64_t rtc_decode(const uint8_t *registers, struct rtc_format format)
{
    struct tm tm = {
        .tm_sec = decode(format, registers[RTC_SECONDS]),
        .tm_min = decode(format, registers[RTC_MINUTES]),
        .tm_hour = decode_hour(format, registers[RTC_HOURS]),
        .tm_mday = decode(format, registers[RTC_DAY]),
        .tm_mon = decode(format, registers[RTC_MONTH]) - 1,
        .tm_year = decode(format, registers[RTC_CENTURY]) * CENTURY +
                   decode(format, registers[RTC_YEAR]) - YEAR_BASE,
    };

    return timegm(&tm);
}

static bool matches(struct rtc_format format, uint8_t alarm, int64_t value)
{
    return alarm >= DONT_CARE || decode(format, alarm) == value;
}

int64_t rtc_next_alarm(const uint8_t *registers, struct rtc_format format, int64_t utc)
{
    uint8_t hour_byte = registers[RTC_ALARM_HOURS];
    int64_t t = utc + 1;

    /* Skips by whole hours, then minutes, then seconds: two days hold any match there is. */
    while (t <= utc + 2 * DAY_S) {
        int64_t of_day = (t % DAY_S + DAY_S) % DAY_S;

        if (hour_byte < DONT_CARE && decode_hour(format, hour_byte) != of_day / 3600)
            t += 3600 - of_day % 3600;
        else if (!matches(format, registers[RTC_ALARM_MINUTES], of_day / 60 % 60))
            t += 60 - of_day % 60;
        else if (!matches(format, registers[RTC_ALARM_SECONDS], of_day % 60))
            t++;
        else
            return t;
    }
    return -1;
}
