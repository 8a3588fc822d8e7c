/* Frames of gdb's remote protocol (see gdb_packet.h). */
#include "vm/gdb_packet.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ESCAPE      '}'
#define ESCAPE_MASK 0x20
#define INTERRUPT   0x03

enum { BETWEEN, DATA, ESCAPED, FIRST_DIGIT, SECOND_DIGIT };

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static void begin(struct gdb_reader *reader)
{
    reader->state = DATA;
    reader->length = 0;
    reader->sum = 0;
    reader->too_long = false;
}

static enum gdb_input between(struct gdb_reader *reader, uint8_t byte)
{
    switch (byte) {
    case '$': begin(reader); return GDB_INPUT_NOTHING;
    case '+': return GDB_INPUT_ACK;
    case '-': return GDB_INPUT_NAK;
    case INTERRUPT: return GDB_INPUT_INTERRUPT;
    default: return GDB_INPUT_NOTHING;
    }
}

static void keep(struct gdb_reader *reader, uint8_t byte)
{
    if (reader->length < GDB_PACKET_BYTES)
        reader->data[reader->length++] = (char)byte;
    else
        reader->too_long = true;
}

static void data_byte(struct gdb_reader *reader, uint8_t byte)
{
    if (byte == '$') { /* never inside a packet: the one before was cut off */
        begin(reader);
        return;
    }
    if (byte == '#') {
        reader->state = FIRST_DIGIT;
        return;
    }
    reader->sum = (uint8_t)(reader->sum + byte);
    if (byte == ESCAPE)
        reader->state = ESCAPED;
    else
        keep(reader, byte);
}

static enum gdb_input second_digit(struct gdb_reader *reader, int digit)
{
    reader->state = BETWEEN;
    reader->data[reader->length] = '\0';
    if (digit < 0 || reader->too_long || (reader->given | digit) != reader->sum)
        return GDB_INPUT_BAD;
    return GDB_INPUT_PACKET;
}

enum gdb_input gdb_reader_take(struct gdb_reader *reader, uint8_t byte)
{
    int digit;

    switch (reader->state) {
    case BETWEEN: return between(reader, byte);
    case DATA: data_byte(reader, byte); return GDB_INPUT_NOTHING;
    case ESCAPED:
        reader->sum = (uint8_t)(reader->sum + byte);
        reader->state = DATA;
        keep(reader, byte ^ ESCAPE_MASK);
        return GDB_INPUT_NOTHING;
    case FIRST_DIGIT:
        digit = digit_value((char)byte);
        if (digit < 0) {
            reader->state = BETWEEN;
            return GDB_INPUT_BAD;
        }
        reader->given = (uint8_t)(digit << 4);
        reader->state = SECOND_DIGIT;
        return GDB_INPUT_NOTHING;
    default: return second_digit(reader, digit_value((char)byte));
    }
}

void gdb_writer_clear(struct gdb_writer *writer)
{
    writer->full = false;
    writer->length = 0;
    writer->data[0] = '\0';
}

void gdb_put_format(struct gdb_writer *writer, const char *format, ...)
{
    size_t room = sizeof(writer->data) - writer->length;
    va_list args;
    int length;

    va_start(args, format);
    length = vsnprintf(writer->data + writer->length, room, format, args);
    va_end(args);
    if (length < 0 || (size_t)length >= room)
        writer->full = true;
    else
        writer->length += (size_t)length;
}

void gdb_put_hex(struct gdb_writer *writer, const void *bytes, size_t count)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *from = bytes;

    if (count > (GDB_PACKET_BYTES - writer->length) / 2) {
        writer->full = true;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        writer->data[writer->length++] = digits[from[i] >> 4];
        writer->data[writer->length++] = digits[from[i] & 15];
    }
    writer->data[writer->length] = '\0';
}

size_t gdb_put_binary(struct gdb_writer *writer, const void *bytes, size_t count)
{
    const uint8_t *from = bytes;
    size_t i;

    for (i = 0; i < count; i++) {
        bool escape = memchr("$#}*", from[i], 4);

        if (writer->length + 1 + escape > GDB_PACKET_BYTES)
            break;
        if (escape)
            writer->data[writer->length++] = ESCAPE;
        writer->data[writer->length++] = (char)(escape ? from[i] ^ ESCAPE_MASK : from[i]);
    }
    writer->data[writer->length] = '\0';
    return i;
}

size_t gdb_frame(const struct gdb_writer *writer, char *out)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t sum = 0;

    for (size_t i = 0; i < writer->length; i++)
        sum = (uint8_t)(sum + (uint8_t)writer->data[i]);
    out[0] = '$';
    memcpy(out + 1, writer->data, writer->length);
    out[writer->length + 1] = '#';
    out[writer->length + 2] = digits[sum >> 4];
    out[writer->length + 3] = digits[sum & 15];
    return writer->length + 4;
}

bool gdb_get_number(const char **at, uint64_t *value)
{
    unsigned digits = 0;

    *value = 0;
    for (; digit_value(**at) >= 0; (*at)++) {
        if (*value >> 60)
            return false;
        *value = *value << 4 | (uint64_t)digit_value(**at);
        digits++;
    }
    return digits > 0;
}

bool gdb_get_bytes(const char **at, void *bytes, size_t count)
{
    uint8_t *to = bytes;

    for (size_t i = 0; i < count; i++) {
        int high = digit_value((*at)[0]);
        int low = high < 0 ? -1 : digit_value((*at)[1]);

        if (low < 0)
            return false;
        to[i] = (uint8_t)(high << 4 | low);
        *at += 2;
    }
    return true;
}
