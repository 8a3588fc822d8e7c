/*
 * Reads and writes of little-endian fields in a byte buffer, at any alignment. The caller has
 * checked that the field lies inside.
 */
#ifndef UMBRA_FW_BYTES_H
#define UMBRA_FW_BYTES_H

#include <string.h>

#include "base/types.h"

static inline uint16_t bytes_get16(const uint8_t *at)
{
    uint16_t v;

    memcpy(&v, at, sizeof(v));
    return v;
}

static inline uint32_t bytes_get32(const uint8_t *at)
{
    uint32_t v;

    memcpy(&v, at, sizeof(v));
    return v;
}

static inline uint64_t bytes_get64(const uint8_t *at)
{
    uint64_t v;

    memcpy(&v, at, sizeof(v));
    return v;
}

static inline void bytes_put16(uint8_t *at, uint16_t v)
{
    memcpy(at, &v, sizeof(v));
}

static inline void bytes_put32(uint8_t *at, uint32_t v)
{
    memcpy(at, &v, sizeof(v));
}

static inline void bytes_put64(uint8_t *at, uint64_t v)
{
    memcpy(at, &v, sizeof(v));
}

/* The byte that makes the sum of all bytes 0 when it is added to them. */
static inline uint8_t bytes_checksum(const uint8_t *bytes, size_t len)
{
    uint8_t sum = 0;

    for (size_t i = 0; i < len; i++)
        sum = (uint8_t)(sum + bytes[i]);
    return (uint8_t)-sum;
}

#endif
