/* Saving, loading and printing by a table of fields; see device.h. */
#include "dev/device.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define FIELD_BOOL 0x80 /* in a field's byte of type, beside the bytes of an element */
#define PRINTED    16   /* elements of an array that are printed */

static uint8_t type_of(const struct device_field *field)
{
    return field->bytes | (field->is_bool ? FIELD_BOOL : 0);
}

/* Whether a field's elements stand in memory as they do in a stream (both little-endian). */
static bool is_packed(const struct device_field *field)
{
    return field->stride == field->bytes && !field->is_bool;
}

static uint64_t element(const void *state, const struct device_field *field, uint32_t index)
{
    uint64_t value = 0;

    memcpy(&value, (const uint8_t *)state + field->offset + index * field->stride, field->bytes);
    return value;
}

void device_reset(const struct device *device)
{
    if (device->class->reset)
        device->class->reset(device->dev);
}

void device_settle(const struct device *device)
{
    if (device->class->settle)
        device->class->settle(device->dev);
}

void device_save(const struct device *device, struct stream_writer *to)
{
    const struct device_class *class = device->class;

    device_settle(device);
    stream_put_text(to, class->name);
    stream_put_number(to, class->version, 2);
    stream_put_number(to, class->field_count, 2);
    for (size_t i = 0; i < class->field_count; i++) {
        const struct device_field *field = &class->fields[i];
        bool live = !field->live || field->live(device->state);

        stream_put_text(to, field->name);
        stream_put_number(to, type_of(field), 1);
        stream_put_number(to, field->count, 4);
        if (live && is_packed(field)) {
            stream_put(to, (const uint8_t *)device->state + field->offset,
                       (size_t)field->count * field->bytes);
            continue;
        }
        for (uint32_t at = 0; at < field->count; at++)
            stream_put_number(to, live ? element(device->state, field, at) : 0, field->bytes);
    }
}

/* A field into a state; false: it is another field, or holds what its type has not. */
static bool load_field(const struct device_field *field, void *state, struct stream_reader *from)
{
    if (!stream_get_text(from, field->name) || stream_get_number(from, 1) != type_of(field) ||
        stream_get_number(from, 4) != field->count)
        return false;
    if (is_packed(field)) {
        stream_get(from, (uint8_t *)state + field->offset, (size_t)field->count * field->bytes);
        return !from->failed;
    }
    for (uint32_t at = 0; at < field->count && !from->failed; at++) {
        uint64_t value = stream_get_number(from, field->bytes);

        /* A bool with another value than 0 or 1 must not come to be, not even in the copy. */
        if (field->is_bool && value > 1)
            return false;
        memcpy((uint8_t *)state + field->offset + at * field->stride, &value, field->bytes);
    }
    return !from->failed;
}

static int load_fields(const struct device *device, void *state, struct stream_reader *from)
{
    const struct device_class *class = device->class;

    if (!stream_get_text(from, class->name))
        return -EINVAL;
    if (stream_get_number(from, 2) != class->version)
        return from->failed ? -EINVAL : -ENOTSUP;
    if (stream_get_number(from, 2) != class->field_count || from->failed)
        return -EINVAL;
    for (size_t i = 0; i < class->field_count; i++) {
        if (!load_field(&class->fields[i], state, from))
            return -EINVAL;
    }
    return class->sound && !class->sound(state) ? -EINVAL : 0;
}

int device_load(const struct device *device, struct stream_reader *from)
{
    const struct device_class *class = device->class;
    void *state;
    int err;

    if (class->busy && class->busy(device->dev))
        return -EBUSY;
    if (class->field_count == 0)
        return load_fields(device, NULL, from);
    state = malloc(class->state_bytes);
    if (!state)
        return -ENOMEM;
    memcpy(state, device->state, class->state_bytes);
    err = load_fields(device, state, from);
    if (!err)
        memcpy(device->state, state, class->state_bytes);
    free(state);
    if (!err && class->resume)
        class->resume(device->dev);
    return err;
}

static void print_field(const void *state, const struct device_field *field, FILE *out)
{
    if (field->live && !field->live(state))
        return;
    fprintf(out, "  %-20s", field->name);
    for (uint32_t i = 0; i < MIN(field->count, (uint32_t)PRINTED); i++)
        fprintf(out, " %" PRIx64, element(state, field, i));
    fputs(field->count > PRINTED ? " ...\n" : "\n", out);
}

void device_print(const struct device *device, FILE *out)
{
    const struct device_class *class = device->class;

    fprintf(out, "%s\n", class->name);
    if (class->print) {
        class->print(device->dev, out);
        return;
    }
    for (size_t i = 0; i < class->field_count; i++)
        print_field(device->state, &class->fields[i], out);
}
