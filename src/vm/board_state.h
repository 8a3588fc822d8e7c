/* The board's own state, which is none of its devices'. For board.c. */
#ifndef UMBRA_VM_BOARD_STATE_H
#define UMBRA_VM_BOARD_STATE_H

#include "vm/board.h"

void board_state_init(struct board *board);
const struct device *board_state_device(const struct board *board);

#endif
