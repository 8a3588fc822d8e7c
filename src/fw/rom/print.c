/*
 * The BIOS's own messages: text through the teletype of INT 10h, without interrupting itself.
 */
#include "fw/rom/rom.h"
#include "fw/rom/video.h"

void print_text(const char *text)
{
    for (; *text; text++) {
        if (*text == '\n')
            video_teletype('\r');
        video_teletype((uint8_t)*text);
    }
}

void print_hex(uint32_t value, uint8_t digits)
{
    while (digits--)
        video_teletype((uint8_t) "0123456789ABCDEF"[value >> (digits * 4) & 15]);
}

void print_decimal(uint32_t value)
{
    char text[11];
    uint8_t at = 10;

    text[at] = 0;
    do {
        text[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    print_text(text + at);
}
