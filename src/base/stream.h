/*
 * Bytes written one after the other into memory that grows, and read back with a check of the end:
 * what saved state is made of. Numbers are little-endian. An error sticks: a writer without memory
 * drops what follows, a reader past the end gives zeroes; whoever is done asks once.
 *
 * A reader trusts nothing: the bytes may come from anybody.
 */
#ifndef UMBRA_BASE_STREAM_H
#define UMBRA_BASE_STREAM_H

#include "base/types.h"

struct stream_writer {
    uint8_t *bytes; /* owned; NULL while empty */
    size_t count;
    size_t capacity;
    bool failed; /* there was no memory */
};

void stream_put(struct stream_writer *writer, const void *bytes, size_t count);
void stream_put_number(struct stream_writer *writer, uint64_t value, unsigned bytes); /* 1 to 8 */
/* A text of at most 255 bytes, with its length before it. */
void stream_put_text(struct stream_writer *writer, const char *text);
void stream_writer_fini(struct stream_writer *writer);

struct stream_reader {
    const uint8_t *at; /* not owned */
    size_t left;       /* bytes */
    bool failed;       /* more was asked for than there was */
};

/* Copies count bytes, or zeroes when there are not so many. */
void stream_get(struct stream_reader *reader, void *bytes, size_t count);
uint64_t stream_get_number(struct stream_reader *reader, unsigned bytes);

/* Whether the text that follows is this one; it is passed over. */
bool stream_get_text(struct stream_reader *reader, const char *expected);

#endif
