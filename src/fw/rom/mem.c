/*
 * Memory helpers of the BIOS, near and far. They don't know what they move.
 */
#include "fw/rom/rom.h"

void far_copy_out(uint16_t segment, uint16_t offset, const void *from, uint16_t bytes)
{
    const uint8_t *p = from;

    for (uint16_t i = 0; i < bytes; i++)
        far_write8(segment, (uint16_t)(offset + i), p[i]);
}

void far_copy_in(void *to, uint16_t segment, uint16_t offset, uint16_t bytes)
{
    uint8_t *p = to;

    for (uint16_t i = 0; i < bytes; i++)
        p[i] = far_read8(segment, (uint16_t)(offset + i));
}

void mem_set(void *to, uint8_t value, uint16_t bytes)
{
    uint8_t *p = to;

    while (bytes--)
        *p++ = value;
}

bool mem_equal(const void *a, const void *b, uint16_t bytes)
{
    const uint8_t *p = a, *q = b;

    while (bytes--) {
        if (*p++ != *q++)
            return false;
    }
    return true;
}

/* gcc may ask for these by name, even freestanding, when it copies or clears a structure. */
void *memset(void *to, int value, size_t bytes);
void *memcpy(void *to, const void *from, size_t bytes);

void *memset(void *to, int value, size_t bytes)
{
    mem_set(to, (uint8_t)value, (uint16_t)bytes);
    return to;
}

void *memcpy(void *to, const void *from, size_t bytes)
{
    uint8_t *p = to;
    const uint8_t *q = from;

    while (bytes--)
        *p++ = *q++;
    return to;
}
