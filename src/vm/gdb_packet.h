/*
 * The frames of gdb's remote protocol: $DATA#SUM, with ^C, + and - between them. Bytes in, packets
 * out, and the other way round. It refuses to know what a packet means.
 * Specification: gdb manual, "Remote Protocol", "Overview" and "Packet Acknowledgment".
 */
#ifndef UMBRA_VM_GDB_PACKET_H
#define UMBRA_VM_GDB_PACKET_H

#include "base/types.h"

#define GDB_PACKET_BYTES 16384 /* of data in a packet, either way, escapes taken out */

enum gdb_input {
    GDB_INPUT_NOTHING,   /* more bytes are needed, or noise between packets */
    GDB_INPUT_PACKET,    /* reader->data holds one */
    GDB_INPUT_BAD,       /* its sum is wrong, or it is too long */
    GDB_INPUT_INTERRUPT, /* ^C */
    GDB_INPUT_ACK,
    GDB_INPUT_NAK,
};

/* All zero is the start. */
struct gdb_reader {
    unsigned state;
    bool too_long;
    uint8_t sum, given; /* of the bytes as they came; as told behind them */
    size_t length;
    char data[GDB_PACKET_BYTES + 1]; /* with a 0 behind it */
};

/* Takes a byte. A packet in `data` is valid until the next call. */
enum gdb_input gdb_reader_take(struct gdb_reader *reader, uint8_t byte);

/* A packet that is being made. What does not fit is left out, and `full` says so. */
struct gdb_writer {
    bool full;
    size_t length;
    char data[GDB_PACKET_BYTES + 1];
};

void gdb_writer_clear(struct gdb_writer *writer);
void gdb_put_format(struct gdb_writer *writer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Two digits a byte. */
void gdb_put_hex(struct gdb_writer *writer, const void *bytes, size_t count);
/* As they are, escaped; returns how many fit. */
size_t gdb_put_binary(struct gdb_writer *writer, const void *bytes, size_t count);

#define GDB_FRAME_BYTES (GDB_PACKET_BYTES + 4)

/* Writes the packet with its frame; returns the bytes, at most GDB_FRAME_BYTES. */
size_t gdb_frame(const struct gdb_writer *writer, char *out);

/* Reads a hexadecimal number and moves *at behind it; false: there is none, or it is too large. */
bool gdb_get_number(const char **at, uint64_t *value);

/* Turns 2 * count digits into bytes and moves *at behind them; false: there are fewer. */
bool gdb_get_bytes(const char **at, void *bytes, size_t count);

#endif
