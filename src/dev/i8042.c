/*
 * The i8042: an output buffer of one byte, which the keyboard's queue and the controller's own
 * answers fill in turn, and the command interpreter behind port 64h.
 *
 *   keyboard queue --(translation)--+
 *   controller's answers -----------+--> output buffer --> port 60h, IRQ 1 or 12
 */
#include "dev/i8042.h"

#include <stdlib.h>

#include "base/trace.h"
#include "dev/ps2_keyboard.h"

/* The status register, port 64h. */
#define STATUS_OUTPUT_FULL 0x01
#define STATUS_SYSTEM      0x04 /* follows the command byte */
#define STATUS_COMMAND     0x08 /* the last write went to 64h */
#define STATUS_UNLOCKED    0x10
#define STATUS_AUX         0x20 /* the output byte is the second port's */
#define STATUS_TIMEOUT     0x40
#define STATUS_STORED                                                                              \
    (STATUS_OUTPUT_FULL | STATUS_COMMAND | STATUS_UNLOCKED | STATUS_AUX | STATUS_TIMEOUT)

/* The command byte (byte 0 of the controller's memory). */
#define MODE_KEYBOARD_IRQ     0x01
#define MODE_AUX_IRQ          0x02
#define MODE_SYSTEM           0x04
#define MODE_KEYBOARD_DISABLE 0x10
#define MODE_AUX_DISABLE      0x20
#define MODE_TRANSLATE        0x40

/* The output port. */
#define OUTPUT_NOT_RESET    0x01
#define OUTPUT_A20          0x02
#define OUTPUT_KEYBOARD_IRQ 0x10
#define OUTPUT_AUX_IRQ      0x20
#define OUTPUT_RELEASED     0xc0 /* keyboard data and clock, open */

#define INPUT_PORT 0xa0 /* not locked, colour display */

/* Commands, port 64h. */
enum i8042_command {
    CMD_READ_RAM = 0x20,  /* to 3Fh */
    CMD_WRITE_RAM = 0x60, /* to 7Fh */
    CMD_PASSWORD_TEST = 0xa4,
    CMD_AUX_DISABLE = 0xa7,
    CMD_AUX_ENABLE = 0xa8,
    CMD_AUX_TEST = 0xa9,
    CMD_SELF_TEST = 0xaa,
    CMD_KEYBOARD_TEST = 0xab,
    CMD_KEYBOARD_DISABLE = 0xad,
    CMD_KEYBOARD_ENABLE = 0xae,
    CMD_READ_INPUT_PORT = 0xc0,
    CMD_READ_OUTPUT_PORT = 0xd0,
    CMD_WRITE_OUTPUT_PORT = 0xd1,
    CMD_KEYBOARD_LOOP = 0xd2,
    CMD_AUX_LOOP = 0xd3,
    CMD_AUX_WRITE = 0xd4,
    CMD_A20_OFF = 0xdd,
    CMD_A20_ON = 0xdf,
    CMD_READ_TEST_INPUTS = 0xe0,
    CMD_PULSE = 0xf0, /* to FFh: a 0 in bits 0 to 3 pulses that output low */
};

#define SELF_TEST_OK      0x55
#define INTERFACE_TEST_OK 0x00
#define PASSWORD_NONE     0xf1
#define AUX_ABSENT        0xfe /* with the time-out flag: nobody acknowledged */

#define RAM_SIZE     32
#define ANSWER_COUNT 4 /* answers that wait for the output buffer */
#define SET2_BREAK   0xf0

struct answer {
    uint8_t byte;
    uint8_t status; /* STATUS_AUX, STATUS_TIMEOUT */
};

struct i8042_state {
    struct ps2_keyboard keyboard;
    struct answer answers[ANSWER_COUNT];
    unsigned answer_count;
    uint8_t ram[RAM_SIZE]; /* byte 0 is the command byte */
    uint8_t status;        /* without MODE_SYSTEM's copy */
    uint8_t output;        /* the output buffer */
    uint8_t pending;       /* the command that waits for a byte at 60h; 0: none */
    bool release_pending;  /* translation saw F0h */
    bool keyboard_irq, aux_irq;
};

struct i8042 {
    struct device device;
    struct i8042_lines lines;
    struct i8042_state state;
};

static uint8_t mode(const struct i8042 *i8042)
{
    return i8042->state.ram[0];
}

static void set_line(const struct irq_line *line, bool *is, bool level)
{
    if (*is == level)
        return;
    *is = level;
    irq_set(line, level);
}

static void update_irqs(struct i8042 *i8042)
{
    bool full = i8042->state.status & STATUS_OUTPUT_FULL;
    bool aux = i8042->state.status & STATUS_AUX;

    set_line(&i8042->lines.keyboard, &i8042->state.keyboard_irq,
             full && !aux && (mode(i8042) & MODE_KEYBOARD_IRQ));
    set_line(&i8042->lines.aux, &i8042->state.aux_irq, full && aux && (mode(i8042) & MODE_AUX_IRQ));
}

static void fill_output(struct i8042 *i8042, uint8_t byte, uint8_t status)
{
    i8042->state.output = byte;
    i8042->state.status &= ~(STATUS_AUX | STATUS_TIMEOUT);
    i8042->state.status |= STATUS_OUTPUT_FULL | status;
}

/* A byte of the keyboard as the guest gets it; false: the byte only changes what comes after. */
static bool translate(struct i8042 *i8042, uint8_t *byte)
{
    if (!(mode(i8042) & MODE_TRANSLATE))
        return true;
    if (*byte == SET2_BREAK) {
        i8042->state.release_pending = true;
        return false;
    }
    *byte = ps2_set2_to_set1(*byte);
    if (i8042->state.release_pending)
        *byte |= 0x80;
    i8042->state.release_pending = false;
    return true;
}

/* Fills the output buffer if it is empty and somebody has a byte, and sets the lines. */
static void i8042_update(struct i8042 *i8042)
{
    while (!(i8042->state.status & STATUS_OUTPUT_FULL)) {
        uint8_t byte;

        if (i8042->state.answer_count) {
            fill_output(i8042, i8042->state.answers[0].byte, i8042->state.answers[0].status);
            i8042->state.answer_count--;
            for (unsigned i = 0; i < i8042->state.answer_count; i++)
                i8042->state.answers[i] = i8042->state.answers[i + 1];
            break;
        }
        if ((mode(i8042) & MODE_KEYBOARD_DISABLE) ||
            !ps2_keyboard_has_output(&i8042->state.keyboard))
            break;
        byte = ps2_keyboard_take(&i8042->state.keyboard);
        if (translate(i8042, &byte))
            fill_output(i8042, byte, 0);
    }
    update_irqs(i8042);
}

static void answer(struct i8042 *i8042, uint8_t byte, uint8_t status)
{
    if (i8042->state.answer_count == ANSWER_COUNT)
        return; /* the guest reads nothing; the chip would overwrite */
    i8042->state.answers[i8042->state.answer_count++] = (struct answer){byte, status};
}

static uint8_t output_port(const struct i8042 *i8042)
{
    uint8_t value = OUTPUT_RELEASED | OUTPUT_NOT_RESET;

    if (i8042->lines.a20->enabled)
        value |= OUTPUT_A20;
    if (i8042->state.keyboard_irq)
        value |= OUTPUT_KEYBOARD_IRQ;
    if (i8042->state.aux_irq)
        value |= OUTPUT_AUX_IRQ;
    return value;
}

static void write_output_port(struct i8042 *i8042, uint8_t value)
{
    a20_set(i8042->lines.a20, value & OUTPUT_A20);
    if (!(value & OUTPUT_NOT_RESET))
        irq_pulse(&i8042->lines.reset);
}

static void self_test(struct i8042 *i8042)
{
    i8042->state.answer_count = 0;
    i8042->state.status &= ~(STATUS_OUTPUT_FULL | STATUS_AUX | STATUS_TIMEOUT);
    i8042->state.ram[0] = MODE_SYSTEM | MODE_TRANSLATE | MODE_KEYBOARD_DISABLE | MODE_AUX_DISABLE;
    answer(i8042, SELF_TEST_OK, 0);
}

/* The commands that are a range; true: it was one. */
static bool command_range(struct i8042 *i8042, uint8_t command)
{
    if (command >= CMD_PULSE) {
        if (!(command & OUTPUT_NOT_RESET))
            irq_pulse(&i8042->lines.reset);
        return true;
    }
    if (command >= CMD_READ_RAM && command < CMD_READ_RAM + RAM_SIZE) {
        answer(i8042, i8042->state.ram[command - CMD_READ_RAM], 0);
        return true;
    }
    if (command >= CMD_WRITE_RAM && command < CMD_WRITE_RAM + RAM_SIZE) {
        i8042->state.pending = command;
        return true;
    }
    return false;
}

static void command(struct i8042 *i8042, uint8_t value)
{
    i8042->state.pending = 0;
    if (command_range(i8042, value))
        return;
    switch (value) {
    case CMD_PASSWORD_TEST: answer(i8042, PASSWORD_NONE, 0); break;
    case CMD_AUX_DISABLE: i8042->state.ram[0] |= MODE_AUX_DISABLE; break;
    case CMD_AUX_ENABLE: i8042->state.ram[0] &= ~MODE_AUX_DISABLE; break;
    case CMD_AUX_TEST:
    case CMD_KEYBOARD_TEST: answer(i8042, INTERFACE_TEST_OK, 0); break;
    case CMD_SELF_TEST: self_test(i8042); break;
    case CMD_KEYBOARD_DISABLE: i8042->state.ram[0] |= MODE_KEYBOARD_DISABLE; break;
    case CMD_KEYBOARD_ENABLE: i8042->state.ram[0] &= ~MODE_KEYBOARD_DISABLE; break;
    case CMD_READ_INPUT_PORT: answer(i8042, INPUT_PORT, 0); break;
    case CMD_READ_OUTPUT_PORT: answer(i8042, output_port(i8042), 0); break;
    case CMD_WRITE_OUTPUT_PORT:
    case CMD_KEYBOARD_LOOP:
    case CMD_AUX_LOOP:
    case CMD_AUX_WRITE: i8042->state.pending = value; break;
    case CMD_A20_OFF: a20_set(i8042->lines.a20, false); break;
    case CMD_A20_ON: a20_set(i8042->lines.a20, true); break;
    case CMD_READ_TEST_INPUTS: answer(i8042, 0, 0); break;
    default: trace(i8042_unknown, value); break;
    }
}

static void data(struct i8042 *i8042, uint8_t value)
{
    uint8_t pending = i8042->state.pending;

    i8042->state.pending = 0;
    switch (pending) {
    case 0: /* a byte to the keyboard; sending it opens the port */
        i8042->state.ram[0] &= ~MODE_KEYBOARD_DISABLE;
        ps2_keyboard_command(&i8042->state.keyboard, value);
        break;
    case CMD_WRITE_OUTPUT_PORT: write_output_port(i8042, value); break;
    case CMD_KEYBOARD_LOOP: answer(i8042, value, 0); break;
    case CMD_AUX_LOOP: answer(i8042, value, STATUS_AUX); break;
    case CMD_AUX_WRITE: /* no mouse: the time-out is reported at once, so that no guest waits */
        i8042->state.ram[0] &= ~MODE_AUX_DISABLE;
        answer(i8042, AUX_ABSENT, STATUS_AUX | STATUS_TIMEOUT);
        break;
    default: i8042->state.ram[pending - CMD_WRITE_RAM] = value; break;
    }
}

static uint64_t data_read(void *dev, uint64_t offset, unsigned width)
{
    struct i8042 *i8042 = dev;
    uint8_t value = i8042->state.output; /* an empty buffer gives the last byte again */

    i8042->state.status &= ~(STATUS_OUTPUT_FULL | STATUS_AUX | STATUS_TIMEOUT);
    update_irqs(i8042); /* the line falls before the next byte raises it */
    i8042_update(i8042);
    return value;
}

static void data_write(void *dev, uint64_t offset, unsigned width, uint64_t value)
{
    struct i8042 *i8042 = dev;

    i8042->state.status &= ~STATUS_COMMAND;
    data(i8042, (uint8_t)value);
    i8042_update(i8042);
}

static uint64_t command_read(void *dev, uint64_t offset, unsigned width)
{
    const struct i8042 *i8042 = dev;

    return i8042->state.status | (mode(i8042) & MODE_SYSTEM ? STATUS_SYSTEM : 0);
}

static void command_write(void *dev, uint64_t offset, unsigned width, uint64_t value)
{
    struct i8042 *i8042 = dev;

    trace(i8042_command, value);
    i8042->state.status |= STATUS_COMMAND;
    command(i8042, (uint8_t)value);
    i8042_update(i8042);
}

const struct bus_ops i8042_data_ops = {.read = data_read, .write = data_write};
const struct bus_ops i8042_command_ops = {.read = command_read, .write = command_write};

bool i8042_type_ascii(struct i8042 *i8042, uint8_t ascii)
{
    bool taken = ps2_keyboard_type(&i8042->state.keyboard, ascii);

    i8042_update(i8042);
    return taken;
}

bool i8042_key_input(struct i8042 *i8042, const uint8_t *codes, size_t count)
{
    bool taken = ps2_keyboard_keys(&i8042->state.keyboard, codes, count);

    i8042_update(i8042);
    return taken;
}

static void reset(void *dev)
{
    i8042_reset(dev);
}

/* Whether a byte at 60h may be a parameter of this command. */
static bool takes_parameter(uint8_t command)
{
    switch (command) {
    case CMD_WRITE_OUTPUT_PORT:
    case CMD_KEYBOARD_LOOP:
    case CMD_AUX_LOOP:
    case CMD_AUX_WRITE: return true;
    default: return command >= CMD_WRITE_RAM && command < CMD_WRITE_RAM + RAM_SIZE;
    }
}

static bool sound(const void *opaque)
{
    const struct i8042_state *state = opaque;

    for (unsigned i = 0; i < ANSWER_COUNT; i++) {
        if (state->answers[i].status & ~(STATUS_AUX | STATUS_TIMEOUT))
            return false;
    }
    return state->answer_count <= ANSWER_COUNT && !(state->status & ~STATUS_STORED) &&
           (!state->pending || takes_parameter(state->pending)) &&
           ps2_keyboard_sound(&state->keyboard);
}

static const struct device_field fields[] = {
    DEVICE_ARRAY(struct i8042_state, keyboard.queue),
    DEVICE_FIELD(struct i8042_state, keyboard.head),
    DEVICE_FIELD(struct i8042_state, keyboard.count),
    DEVICE_FIELD(struct i8042_state, keyboard.parameter_of),
    DEVICE_FIELD(struct i8042_state, keyboard.last),
    DEVICE_FIELD(struct i8042_state, keyboard.leds),
    DEVICE_FIELD(struct i8042_state, keyboard.code_set),
    DEVICE_FIELD(struct i8042_state, keyboard.scanning),
    DEVICE_EACH(struct i8042_state, answers, byte),
    DEVICE_EACH(struct i8042_state, answers, status),
    DEVICE_FIELD(struct i8042_state, answer_count),
    DEVICE_ARRAY(struct i8042_state, ram),
    DEVICE_FIELD(struct i8042_state, status),
    DEVICE_FIELD(struct i8042_state, output),
    DEVICE_FIELD(struct i8042_state, pending),
    DEVICE_FIELD(struct i8042_state, release_pending),
    DEVICE_FIELD(struct i8042_state, keyboard_irq),
    DEVICE_FIELD(struct i8042_state, aux_irq),
};

static const struct device_class class = {
    .name = "i8042 keyboard controller",
    .version = 1,
    DEVICE_STATE(struct i8042_state, fields),
    .reset = reset,
    .sound = sound,
};

const struct device *i8042_device(const struct i8042 *i8042)
{
    return &i8042->device;
}

struct i8042 *i8042_create(const struct i8042_lines *lines)
{
    struct i8042 *i8042 = calloc(1, sizeof(*i8042));

    if (!i8042)
        return NULL;
    i8042->device = (struct device){&class, i8042, &i8042->state};
    i8042->lines = *lines;
    i8042_reset(i8042);
    return i8042;
}

void i8042_destroy(struct i8042 *i8042)
{
    free(i8042);
}

void i8042_reset(struct i8042 *i8042)
{
    ps2_keyboard_init(&i8042->state.keyboard);
    i8042->state.answer_count = 0;
    for (unsigned i = 0; i < RAM_SIZE; i++)
        i8042->state.ram[i] = 0;
    i8042->state.ram[0] = MODE_TRANSLATE | MODE_KEYBOARD_DISABLE | MODE_AUX_DISABLE;
    i8042->state.status = STATUS_UNLOCKED;
    i8042->state.output = 0;
    i8042->state.pending = 0;
    i8042->state.release_pending = false;
    update_irqs(i8042);
    a20_set(i8042->lines.a20, true);
}
