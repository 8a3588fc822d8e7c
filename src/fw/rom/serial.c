/*
 * COM1 as a second screen and a second keyboard. What INT 10h writes goes out as plain text as long
 * as the guest just writes on; only where it moves its cursor about does an ANSI sequence follow
 * it, so a log stays readable and a menu looks like one. It refuses to wait for ever: a transmitter
 * that stays full loses bytes. Sources: National PC16550D; ECMA-48 (CUP, ED, SGR).
 */
#include "fw/rom/bda.h"
#include "fw/rom/parts.h"
#include "fw/rom/video.h"

#define COM1       0x3f8
#define UART_DATA  0
#define UART_IER   1
#define UART_FCR   2
#define UART_LCR   3
#define UART_MCR   4
#define UART_LSR   5
#define LSR_READY  0x01
#define LSR_EMPTY  0x20
#define SEND_TRIES 20000
/* By so many looks in a row the UART knows a reader: UART_READER_POLLS of dev/uart.h. */
#define LISTEN_POLLS 32

static bool present;
static uint8_t at_column, at_row; /* where the terminal's cursor is, in screen cells */
static uint8_t at_attribute;
static bool
    clear_pending; /* the screen was cleared; the terminal is, when a cell is written there */

void serial_init(void)
{
    outb(COM1 + UART_IER, 0);
    outb(COM1 + UART_LCR, 0x80);
    outb(COM1 + UART_DATA, 1); /* 115200 baud */
    outb(COM1 + UART_IER, 0);
    outb(COM1 + UART_LCR, 0x03); /* 8N1 */
    outb(COM1 + UART_FCR, 0x07); /* FIFOs on and empty */
    outb(COM1 + UART_MCR, 0x03); /* DTR, RTS */
    present = inb(COM1 + UART_LCR) == 0x03;
    at_attribute = 7;
    if (present) {
        bda_write16(BDA_COM_PORTS, COM1);
        bda_write8(BDA_COM_TIMEOUTS, 1);
    }
}

static bool mirrored(void)
{
    return present && !(boot_info.flags & BOOT_FLAG_NO_SERIAL);
}

static void send(uint8_t c)
{
    for (uint16_t i = 0; i < SEND_TRIES; i++) {
        if (inb(COM1 + UART_LSR) & LSR_EMPTY) {
            outb(COM1 + UART_DATA, c);
            return;
        }
    }
}

static void send_text(const char *text)
{
    while (*text)
        send((uint8_t)*text++);
}

static void send_number(uint8_t n)
{
    if (n >= 100)
        send((uint8_t)('0' + n / 100));
    if (n >= 10)
        send((uint8_t)('0' + n / 10 % 10));
    send((uint8_t)('0' + n % 10));
}

static void move_to(uint8_t column, uint8_t row)
{
    if (column == at_column && row == at_row)
        return;
    send_text("\033[");
    send_number((uint8_t)(row + 1));
    send(';');
    send_number((uint8_t)(column + 1));
    send('H');
    at_column = column;
    at_row = row;
}

static void set_attribute(uint8_t attribute)
{
    static const uint8_t ansi[8] = {0, 4, 2, 6,
                                    1, 5, 3, 7}; /* a PC counts blue as bit 0, ANSI red */

    if (attribute == at_attribute)
        return;
    at_attribute = attribute;
    send_text("\033[0");
    if (attribute != 7) {
        if (attribute & 8)
            send_text(";1");
        send_text(";3");
        send((uint8_t)('0' + ansi[attribute & 7]));
        send_text(";4");
        send((uint8_t)('0' + ansi[attribute >> 4 & 7]));
    }
    send('m');
}

/* Code page 437 in seven bits: frames become + - |, shades #, arrows < > ^ v. */
static uint8_t plain(uint8_t c)
{
    static const char low[] = " @@*****o*oo**@*><|!PS_|^v><L-^v";

    if (c < 0x20)
        return (uint8_t)low[c];
    if (c < 0x7f)
        return c;
    if (c == 0xb3 || c == 0xba)
        return '|';
    if (c == 0xc4 || c == 0xcd)
        return '-';
    if (c >= 0xb0 && c <= 0xb2)
        return '#';
    if (c > 0xb3 && c < 0xdb)
        return '+';
    if (c >= 0xdb && c <= 0xdf)
        return '#';
    return c == 0xff ? ' ' : '?';
}

static void advance(void)
{
    if (at_column < VIDEO_COLUMNS - 1)
        at_column++;
    else
        at_column = 0xff; /* terminals differ on what the last column does: unknown */
}

void serial_teletype(uint8_t c, uint8_t column, uint8_t row)
{
    if (!mirrored())
        return;
    set_attribute(7);
    if (clear_pending) {
        /* Plain text after a mode set is a log that goes on, not a screen to wipe. */
        clear_pending = false;
        if (at_column)
            send_text("\r\n");
        at_column = column;
        at_row = row;
    }
    /* After a full line the screen has wrapped; the terminal gets its own line break for that. */
    if (at_column == 0xff && column == 0 && c != '\r' && c != '\n')
        send_text("\r\n");
    else if (at_column != 0xff || c >= 0x20)
        move_to(column, row);
    at_column = column;
    at_row = row;
    if (c == '\r') {
        at_column = 0;
    } else if (c == '\n') {
        if (at_row < VIDEO_ROWS - 1)
            at_row++;
    } else if (c == '\b') {
        if (at_column)
            at_column--;
        else
            return;
    } else if (c >= 0x20) {
        send(plain(c));
        advance();
        return;
    }
    send(c);
}

void serial_cell(uint8_t c, uint8_t attribute, uint8_t column, uint8_t row)
{
    if (!mirrored())
        return;
    if (clear_pending) {
        clear_pending = false;
        set_attribute(7);
        send_text("\033[2J");
        at_column = 0xff;
    }
    move_to(column, row);
    set_attribute(attribute);
    send(plain(c));
    advance();
}

void serial_clear(void)
{
    clear_pending = true;
}

bool serial_listen(void)
{
    if (!mirrored())
        return false;
    for (uint8_t i = 0; i < LISTEN_POLLS; i++) {
        if (inb(COM1 + UART_LSR) & LSR_READY)
            return true;
    }
    return false;
}

bool serial_read(uint8_t *byte)
{
    if (!mirrored() || !(inb(COM1 + UART_LSR) & LSR_READY))
        return false;
    *byte = inb(COM1 + UART_DATA);
    return true;
}
