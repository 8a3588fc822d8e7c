/* An HPET on a bus, with a stepped clock and lines that count their edges. */
#ifndef UMBRA_TESTS_UNIT_DEV_HPET_RIG_H
#define UMBRA_TESTS_UNIT_DEV_HPET_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "dev/hpet.h"

#define CAPABILITY    0x000
#define CONFIG        0x010
#define STATUS        0x020
#define COUNTER       0x0f0
#define TN_CONFIG(n)  (0x100u + 0x20u * (n))
#define TN_COMPARE(n) (0x108u + 0x20u * (n))

#define ENABLE    1
#define LEGACY    2
#define TN_LEVEL  0x002
#define TN_ENABLE 0x004
#define TN_PERIOD 0x008
#define TN_SET    0x040
#define TN_32     0x100
#define TN_PIN(n) ((n) << 9)

#define LINES (HPET_PINS + HPET_LEGACY_LINES) /* the legacy ones last */
#define PIT   HPET_PINS
#define RTC   (HPET_PINS + 1)

struct board {
    struct clock_stepped clock;
    struct bus *bus;
    struct hpet *hpet;
    bool level[LINES];
    unsigned edges[LINES];
};

static inline void on_line(void *opaque, unsigned number, bool level)
{
    struct board *board = opaque;

    assert_int_not_equal(board->level[number], level);
    board->level[number] = level;
    board->edges[number] += level;
}

static inline int set_up(void **state)
{
    static struct board the_board;
    struct board *board = &the_board;
    struct hpet_config config = {.clock = &board->clock.clock};

    memset(board, 0, sizeof(*board));
    clock_stepped_init(&board->clock);
    for (unsigned i = 0; i < HPET_PINS; i++)
        config.pins[i] = (struct irq_line){on_line, board, i};
    for (unsigned i = 0; i < HPET_LEGACY_LINES; i++)
        config.legacy[i] = (struct irq_line){on_line, board, HPET_PINS + i};
    board->bus = bus_create();
    board->hpet = hpet_create(&config);
    assert_non_null(board->bus);
    assert_non_null(board->hpet);
    assert_int_equal(bus_add(board->bus, BUS_MMIO, 0, HPET_SIZE, &hpet_ops, board->hpet), 0);
    *state = board;
    return 0;
}

static inline int tear_down(void **state)
{
    struct board *board = *state;

    hpet_destroy(board->hpet);
    bus_destroy(board->bus);
    return 0;
}

static inline uint64_t rd(struct board *board, uint64_t reg)
{
    return bus_read(board->bus, BUS_MMIO, reg, 8);
}

/* As most guests do: 32 bits at a time. */
static inline void wr(struct board *board, uint64_t reg, uint32_t value)
{
    bus_write(board->bus, BUS_MMIO, reg, 4, value);
}

#endif
