/*
 * Executable memory, write xor execute: one memfd mapped twice, once writable and once executable.
 * Nothing else in Umbra makes memory executable.
 */
#ifndef UMBRA_BASE_EXECMEM_H
#define UMBRA_BASE_EXECMEM_H

#include "base/types.h"

struct execmem {
    uint8_t *write; /* the writable view */
    uint8_t *exec;  /* the executable view of the same bytes */
    size_t size_bytes;
    size_t used_bytes;
};

/* Maps size bytes (touched on demand). 0, or -errno. */
int execmem_init(struct execmem *mem, size_t size_bytes) must_check;
void execmem_fini(struct execmem *mem);

/*
 * Copies code to the next 16-byte boundary and returns its executable address; NULL when full (the
 * owner then calls execmem_reset and drops all that it made).
 */
const void *execmem_add(struct execmem *mem, const void *code, size_t len_bytes);

/* Forgets all code; pages stay mapped. */
void execmem_reset(struct execmem *mem);

static inline bool execmem_contains(const struct execmem *mem, uintptr_t pc)
{
    return pc - (uintptr_t)mem->exec < mem->size_bytes;
}

#endif
