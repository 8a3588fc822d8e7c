/* What the loaders' fuzz targets share: one guest of 16 MiB, planned anew for each input. */
#ifndef UMBRA_TESTS_FUZZ_LOADER_H
#define UMBRA_TESTS_FUZZ_LOADER_H

#include <stdlib.h>
#include <string.h>

#include "base/types.h"
#include "fw/image.h"
#include "mem/layout.h"
#include "mem/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz_guest {
    struct layout layout;
    struct mem *mem;
};

/* A finding: libFuzzer keeps the input. */
#define FUZZ_CHECK(cond)                                                                           \
    do {                                                                                           \
        if (!(cond))                                                                               \
            abort();                                                                               \
    } while (0)

static inline void fuzz_guest_init(struct fuzz_guest *guest)
{
    FUZZ_CHECK(layout_init(&guest->layout, 16 * MIB) == 0);
    guest->mem = mem_create(NULL);
    FUZZ_CHECK(guest->mem && layout_add_slots(&guest->layout, guest->mem) == 0);
}

static inline void fuzz_guest_fini(struct fuzz_guest *guest)
{
    mem_destroy(guest->mem);
}

/* A refusal is one line of text; success leaves none behind that matters. */
static inline void fuzz_check_text(const struct fw_error *error, int result)
{
    if (result) {
        FUZZ_CHECK(memchr(error->text, '\0', sizeof(error->text)));
        FUZZ_CHECK(error->text[0] && !strchr(error->text, '\n'));
    }
}

#endif
