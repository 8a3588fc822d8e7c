/*
 * Vector instructions: the host runs the same one on the guest's registers.
 * Source: SDM 2.
 */
#include "engine/dbt/internal.h"

bool vector_emit(struct translator *t)
{
    return false;
}
