/*
 * The embedded guest's console: COM1, which the BIOS has set up, and a small printf.
 */
#include <stdarg.h>

#include "fw/demo/demo.h"

#define COM1     0x3f8
#define COM1_LSR 0x3fd

void console_put(char c)
{
    while (!(inb(COM1_LSR) & 0x20)) {
    }
    outb(COM1, (uint8_t)c);
}

static void put_number(uint64_t value, unsigned base)
{
    char digits[20];
    unsigned n = 0;

    do {
        digits[n++] = "0123456789ABCDEF"[value % base];
        value /= base;
    } while (value);
    while (n)
        console_put(digits[--n]);
}

/* A page fault's error code in words (SDM 3, "Page-Fault Exceptions"). */
static void put_fault(uint64_t error)
{
    console_print("%s, by a %s, in %s mode", error & 1 ? "rights violated" : "page not present",
                  error & 16  ? "fetch"
                  : error & 2 ? "write"
                              : "read",
                  error & 4 ? "user" : "kernel");
}

void console_print(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    for (const char *p = format; *p; p++) {
        if (*p == '\n')
            console_put('\r');
        if (*p != '%') {
            console_put(*p);
            continue;
        }
        switch (*++p) {
        case 's':
            for (const char *s = va_arg(args, const char *); *s; s++)
                console_put(*s);
            break;
        case 'x':
            put_number(va_arg(args, uint64_t), 16);
            console_put('h');
            break;
        case 'd': put_number(va_arg(args, uint64_t), 10); break;
        case 'f': put_fault(va_arg(args, uint64_t)); break;
        default: console_put(*p); break;
        }
    }
    va_end(args);
}
