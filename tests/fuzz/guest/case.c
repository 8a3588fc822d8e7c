/* One case: a guest is made, runs, is looked at, and goes. */
#include "guest/guest.h"

#include <stdlib.h>

#define MAX_BLOCKS 3000

void guest_case(enum guest_mode mode, struct dice *dice)
{
    struct guest *guest = calloc(1, sizeof(*guest));

    FUZZ_CHECK(guest);
    guest->mode = mode;
    guest->dice = dice;
    guest_create(guest);
    guest_world_make(guest);
    guest_check_state(guest, ENGINE_STOP_KICK);
    guest_run(guest, MAX_BLOCKS);
    guest_destroy(guest);
    free(guest);
}
