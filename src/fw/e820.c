/* The layout's ranges, packed for firmware. */
#include "fw/e820.h"

#include "base/assert.h"

size_t e820_build(const struct layout *layout, struct e820_entry entries[LAYOUT_MAX_RANGES])
{
    ASSERT(layout->e820_count <= LAYOUT_MAX_RANGES, "the layout's ranges fit its table");
    for (size_t i = 0; i < layout->e820_count; i++) {
        const struct layout_range *range = &layout->e820[i];

        entries[i] = (struct e820_entry){range->base, range->size_bytes, range->kind};
    }
    return layout->e820_count * sizeof(entries[0]);
}
