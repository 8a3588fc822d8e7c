/* Placeholder until the invariants are written down. */
#include "mmu/shadow_internal.h"

bool shadow_audit(const struct shadow *shadow, char *why, size_t size)
{
    (void)shadow, (void)why, (void)size;
    return true;
}
