/*
 * A board reset, saved and loaded: its devices one after the other, in the order of its list.
 *
 *   magic, version, virtual time (ns), number of devices; then each device as device.h has it
 */
#include "vm/board_state.h"

#include <errno.h>

#define MAGIC   0x44424d55 /* "UMBD" */
#define VERSION 1

/* The A20 gate, which two devices drive. */
static void resume(void *dev)
{
    struct board *board = dev;

    irq_set(&board->a20.line, board->a20.enabled);
}

static const struct device_field fields[] = {
    DEVICE_FIELD(struct a20_gate, enabled),
};

/* No reset of its own: the keyboard controller's opens the gate. */
static const struct device_class class = {
    .name = "A20 gate",
    .version = 1,
    DEVICE_STATE(struct a20_gate, fields),
    .resume = resume,
};

void board_state_init(struct board *board)
{
    board->device = (struct device){&class, board, &board->a20};
}

const struct device *board_state_device(const struct board *board)
{
    return &board->device;
}

const char *board_device_name(const struct board *board, const void *dev)
{
    for (size_t i = 0; i < board->device_count; i++) {
        if (board->devices[i]->dev == dev)
            return board->devices[i]->class->name;
    }
    return "device without a name";
}

void board_reset(struct board *board)
{
    for (size_t i = 0; i < board->device_count; i++)
        device_reset(board->devices[i]);
}

void board_save(struct board *board, struct stream_writer *to)
{
    /* To bring a timer up to date may raise a line of a device that comes earlier in the list. */
    for (size_t i = 0; i < board->device_count; i++)
        device_settle(board->devices[i]);
    stream_put_number(to, MAGIC, 4);
    stream_put_number(to, VERSION, 2);
    stream_put_number(to, clock_now_ns(board->config.clock), 8);
    stream_put_number(to, board->device_count, 2);
    for (size_t i = 0; i < board->device_count; i++)
        device_save(board->devices[i], to);
}

static int load_header(const struct board *board, struct stream_reader *from)
{
    uint64_t saved_ns;

    if (stream_get_number(from, 4) != MAGIC)
        return -EINVAL;
    if (stream_get_number(from, 2) != VERSION)
        return from->failed ? -EINVAL : -ENOTSUP;
    saved_ns = stream_get_number(from, 8);
    if (stream_get_number(from, 2) != board->device_count || from->failed)
        return -EINVAL;
    return clock_now_ns(board->config.clock) < saved_ns ? -ERANGE : 0;
}

int board_load(struct board *board, struct stream_reader *from)
{
    int err = load_header(board, from);

    for (size_t i = 0; i < board->device_count && !err; i++)
        err = device_load(board->devices[i], from);
    if (err)
        board_reset(board);
    return err;
}
