/* A fault with no handler at all shuts the processor down: this guest says so and then ends so. */
#include "guest.h"

main16:
    PUT_CODES 'D', 'O', 'W', 'N', '\n'
    lidt nothing
    ud2
    UNREACHED16

    .data
nothing:
    .space 6
    .text
