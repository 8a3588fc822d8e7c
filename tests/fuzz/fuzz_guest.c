/*
 * Any bytes as a guest: the first chooses the mode, the others steer how its tables and its code
 * are made. fuzz: runs=300
 */
#include "guest/guest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dice dice = {.bytes = data, .left_bytes = size};
    enum guest_mode mode = (enum guest_mode)dice_below(&dice, GUEST_MODES);

    dice.seed = dice_64(&dice);
    guest_case(mode, &dice);
    return 0;
}
