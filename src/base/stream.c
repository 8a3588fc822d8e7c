/* Saved state as bytes; see stream.h. */
#include "base/stream.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define FIRST_CAPACITY 256

static bool reserve(struct stream_writer *writer, size_t count)
{
    size_t capacity = MAX(writer->capacity, (size_t)FIRST_CAPACITY);
    uint8_t *bytes;

    if (writer->failed)
        return false;
    while (capacity - writer->count < count)
        capacity *= 2;
    if (capacity == writer->capacity)
        return true;
    bytes = realloc(writer->bytes, capacity);
    if (!bytes) {
        writer->failed = true;
        return false;
    }
    writer->bytes = bytes;
    writer->capacity = capacity;
    return true;
}

void stream_put(struct stream_writer *writer, const void *bytes, size_t count)
{
    if (count == 0 || !reserve(writer, count))
        return;
    memcpy(writer->bytes + writer->count, bytes, count);
    writer->count += count;
}

void stream_put_number(struct stream_writer *writer, uint64_t value, unsigned bytes)
{
    ASSERT(bytes >= 1 && bytes <= 8, "a number has one to eight bytes");
    stream_put(writer, &value, bytes); /* the host is little-endian, as x86-64 is */
}

void stream_put_text(struct stream_writer *writer, const char *text)
{
    size_t length = strlen(text);

    ASSERT(length <= UINT8_MAX, "a text's length fits a byte");
    stream_put_number(writer, length, 1);
    stream_put(writer, text, length);
}

void stream_writer_fini(struct stream_writer *writer)
{
    free(writer->bytes);
    *writer = (struct stream_writer){0};
}

void stream_get(struct stream_reader *reader, void *bytes, size_t count)
{
    if (reader->failed || count > reader->left) {
        reader->failed = true;
        memset(bytes, 0, count);
        return;
    }
    memcpy(bytes, reader->at, count);
    reader->at += count;
    reader->left -= count;
}

uint64_t stream_get_number(struct stream_reader *reader, unsigned bytes)
{
    uint64_t value = 0;

    ASSERT(bytes >= 1 && bytes <= 8, "a number has one to eight bytes");
    stream_get(reader, &value, bytes);
    return value;
}

bool stream_get_text(struct stream_reader *reader, const char *expected)
{
    size_t length = stream_get_number(reader, 1);
    char text[UINT8_MAX];

    stream_get(reader, text, length);
    return !reader->failed && length == strlen(expected) && memcmp(text, expected, length) == 0;
}
