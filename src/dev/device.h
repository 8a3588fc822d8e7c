/*
 * What all devices have in common: a name, and a state that can be reset, saved, loaded and
 * printed.
 *
 * A device's struct holds two things apart from each other: its wiring (lines, clock, backends),
 * which its creator gives and which is not saved, and one struct of guest-visible state. A table of
 * fields describes the state, so that saving, loading, comparing and printing are written once.
 *
 *   save:  settle (the state is brought up to now) -> each field by name, type and count
 *   load:  the fields into a copy -> sound? -> the copy becomes the state -> resume (timers are
 * armed)
 *
 * A saved state may come from anybody: whatever it holds, loading it ends in a sound state or in an
 * error with the old state kept. Lines are not driven by a load: the other end has its own state,
 * and all devices of a board are loaded together.
 *
 * Locking: the owner's machine lock is held around every call.
 */
#ifndef UMBRA_DEV_DEVICE_H
#define UMBRA_DEV_DEVICE_H

#include <stdio.h>

#include "base/stream.h"
#include "base/types.h"

/* A field of a state: count elements of so many bytes each, the first at an offset. */
struct device_field {
    const char *name;
    size_t offset;
    size_t stride; /* from one element to the next */
    uint32_t count;
    uint8_t bytes; /* of an element: 1, 2, 4 or 8 */
    bool is_bool;  /* 0 or 1 and nothing else */
    /*
     * NULL, or whether the field means anything in this state. Where it does not, nobody reads it
     * (the host may be writing there), and zeroes are saved.
     */
    bool (*live)(const void *state);
};

#define DEVICE_ROW(text, type, first, step, number, ...)                                           \
    {                                                                                              \
        .name = text, .offset = offsetof(type, first), .stride = step, .count = number,            \
        .bytes = sizeof(((type *)NULL)->first),                                                    \
        .is_bool = _Generic(((type *)NULL)->first, bool                                            \
                            : true, default                                                        \
                            : false),                                                              \
        __VA_ARGS__                                                                                \
    }

/*
 * Rows of a table of fields: a number, an array of numbers (always, or while a function says that
 * it is live), and a member of each struct of an array:
 *
 *     DEVICE_FIELD(struct uart_state, ier), DEVICE_EACH(struct pic_state, chip, irr)
 */
#define DEVICE_FIELD(type, field) DEVICE_ROW(#field, type, field, 0, 1, )
#define DEVICE_ARRAY(type, field)                                                                  \
    DEVICE_ROW(#field, type, field[0], sizeof(((type *)NULL)->field[0]),                           \
               ARRAY_SIZE(((type *)NULL)->field), )
#define DEVICE_ARRAY_WHILE(type, field, is_live)                                                   \
    DEVICE_ROW(#field, type, field[0], sizeof(((type *)NULL)->field[0]),                           \
               ARRAY_SIZE(((type *)NULL)->field), .live = is_live)
#define DEVICE_EACH(type, array, member)                                                           \
    DEVICE_ROW(#array "." #member, type, array[0].member, sizeof(((type *)NULL)->array[0]),        \
               ARRAY_SIZE(((type *)NULL)->array), )

/* The members of a class that describe a state, by its type and its table of fields. */
#define DEVICE_STATE(type, table)                                                                  \
    .state_bytes = sizeof(type), .fields = table, .field_count = ARRAY_SIZE(table)

struct device_class {
    const char *name; /* for people and in saved states: "16550A UART" */
    uint16_t version; /* of the table of fields; a change of meaning counts it up */
    size_t state_bytes;
    const struct device_field *fields;
    size_t field_count;
    void (*reset)(void *dev); /* NULL: there is nothing to reset */
    /* NULL, or whether the host is at work on the state, so that none can be loaded. */
    bool (*busy)(const void *dev);
    /* NULL, or brings the state up to what the clock says now. */
    void (*settle)(void *dev);
    /* NULL (every value is sound), or whether a state that was loaded can be gone on with. */
    bool (*sound)(const void *state);
    /* NULL, or makes what follows from a state that has just been loaded: timers, mappings. */
    void (*resume)(void *dev);
    /* NULL, or a few lines of what a person wants to know; without it the fields are printed. */
    void (*print)(const void *dev, FILE *out);
};

/* Embedded in each device; its creator fills it in. */
struct device {
    const struct device_class *class;
    void *dev;   /* what the class's functions get */
    void *state; /* class->state_bytes of it */
};

void device_reset(const struct device *device);

/* Brings the state up to what the clock says now. */
void device_settle(const struct device *device);

/* Appends the device's name, version and fields. */
void device_save(const struct device *device, struct stream_writer *to);

/*
 * Takes a device's state from where device_save put it. 0, or with the old state kept: -EINVAL (not
 * this device's, damaged, or no sound state), -ENOTSUP (another version), -EBUSY (a request of the
 * device is under way on the host), -ENOMEM.
 */
int device_load(const struct device *device, struct stream_reader *from) must_check;

/* The name, then what the class prints, or the fields. */
void device_print(const struct device *device, FILE *out);

#endif
