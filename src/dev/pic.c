/* The 8259A pair. Each chip is a set of bit masks over its eight inputs; see pic.h. */
#include "dev/pic.h"

#include <stdlib.h>

#include "base/trace.h"

/* ICW1, written to port 0 with bit 4 set. */
#define ICW1_IC4  0x01 /* an ICW4 follows */
#define ICW1_SNGL 0x02 /* no cascade: no ICW3 follows */
#define ICW1_INIT 0x10

/* ICW4. */
#define ICW4_AEOI 0x02
#define ICW4_SFNM 0x10 /* special fully nested mode */

#define ICW2_VECTOR 0xf8 /* in 8086 mode the input supplies the low three bits */

/* OCW3, written to port 0 with bits 4..3 = 01. */
#define OCW_KIND      0x18
#define OCW_KIND_OCW3 0x08
#define OCW3_RIS      0x01 /* with RR: read the ISR, else the IRR */
#define OCW3_RR       0x02
#define OCW3_POLL     0x04
#define OCW3_SMM      0x20 /* with ESMM: the special mask mode */
#define OCW3_ESMM     0x40

/* OCW2: bits 7..5 are a command (R, SL, EOI), bits 2..0 an input. */
#define OCW2_COMMAND_SHIFT 5
#define OCW2_INPUT         0x07

enum ocw2_command {
    OCW2_ROTATE_AEOI_OFF = 0,
    OCW2_EOI = 1,
    OCW2_NOP = 2,
    OCW2_SPECIFIC_EOI = 3,
    OCW2_ROTATE_AEOI_ON = 4,
    OCW2_ROTATE_EOI = 5,
    OCW2_SET_PRIORITY = 6,
    OCW2_ROTATE_SPECIFIC_EOI = 7,
};

#define POLL_REQUEST 0x80 /* in the poll word: there was a request */
#define INPUTS       8
#define NO_INPUT     INPUTS /* as a priority: lower than each input's */
#define SPURIOUS     7

/* Inputs that are wired to edge-triggered board devices: 0, 1, 2 and 8, 13 (PIIX3, ELCR). */
static const uint8_t elcr_writable[2] = {0xf8, 0xde};

enum init_step {
    INIT_NONE, /* operating: a write to port 1 is OCW1 */
    INIT_ICW2,
    INIT_ICW3,
    INIT_ICW4,
};

struct chip {
    uint8_t irr; /* edge inputs: latched; level inputs: the level */
    uint8_t imr;
    uint8_t isr;
    uint8_t level;  /* the inputs as they are driven */
    uint8_t elcr;   /* set: level triggered */
    uint8_t vector; /* ICW2 */
    uint8_t icw1;
    uint8_t highest; /* the input of the highest priority; rotation moves it */
    enum init_step step;
    bool auto_eoi;
    bool rotate_auto_eoi;
    bool special_mask;
    bool fully_nested_special;
    bool read_isr;
    bool poll;
};

struct pic_state {
    struct chip chip[2]; /* master, slave */
    bool intr_level;
};

struct pic {
    struct device device;
    struct irq_line intr;
    struct pic_state state;
};

/* The input of the highest priority in a mask, as a distance from the highest; NO_INPUT: none. */
static unsigned chip_priority(const struct chip *chip, uint8_t mask)
{
    for (unsigned p = 0; p < INPUTS; p++) {
        if (mask & BIT((p + chip->highest) % INPUTS))
            return p;
    }
    return NO_INPUT;
}

static unsigned chip_input(const struct chip *chip, unsigned priority)
{
    return (priority + chip->highest) % INPUTS;
}

/*
 * The input to be served next, or -1. A request must beat what is in service. In the special fully
 * nested mode the cascade may interrupt itself, since its slave has its own priorities.
 */
static int chip_pending(const struct chip *chip)
{
    uint8_t in_service = chip->special_mask ? chip->isr & ~chip->imr : chip->isr;
    unsigned request = chip_priority(chip, chip->irr & ~chip->imr);
    unsigned busy = chip_priority(chip, in_service);

    if (request == NO_INPUT)
        return -1;
    if (request < busy)
        return (int)chip_input(chip, request);
    if (request == busy && chip->fully_nested_special && chip_input(chip, request) == PIC_CASCADE)
        return PIC_CASCADE;
    return -1;
}

/*
 * DEVIATION: an edge stays latched when its input falls before the acknowledge; the 8259A would
 * forget it (and answer with the spurious input 7). Devices here may pulse their line in no time,
 * and the guest must not lose such an edge.
 */
static void chip_drive(struct chip *chip, unsigned input, bool level)
{
    uint8_t bit = (uint8_t)BIT(input);

    if (level) {
        if ((chip->elcr & bit) || !(chip->level & bit))
            chip->irr |= bit;
        chip->level |= bit;
    } else {
        if (chip->elcr & bit)
            chip->irr &= ~bit;
        chip->level &= ~bit;
    }
}

/* Carries the slave's output to the master and the master's to the processor. */
static void pic_update(struct pic *pic)
{
    bool level;

    chip_drive(&pic->state.chip[0], PIC_CASCADE, chip_pending(&pic->state.chip[1]) >= 0);
    level = chip_pending(&pic->state.chip[0]) >= 0;
    if (level == pic->state.intr_level)
        return;
    pic->state.intr_level = level;
    irq_set(&pic->intr, level);
}

static void chip_end_of_interrupt(struct chip *chip, unsigned input, bool rotate)
{
    chip->isr &= ~BIT(input);
    if (rotate)
        chip->highest = (uint8_t)((input + 1) % INPUTS);
}

/* Takes the request of an input into service, as the last INTA pulse does. */
static void chip_serve(struct chip *chip, unsigned input)
{
    uint8_t bit = (uint8_t)BIT(input);

    if (!(chip->elcr & bit))
        chip->irr &= ~bit;
    chip->isr |= bit;
    if (chip->auto_eoi)
        chip_end_of_interrupt(chip, input, chip->rotate_auto_eoi);
}

/* The output of a chip falls between two requests: the chip behind it must see a new edge. */
static void pic_drop_output(struct pic *pic, unsigned chip)
{
    if (chip == 1)
        chip_drive(&pic->state.chip[0], PIC_CASCADE, false);
    if (pic->state.intr_level) {
        pic->state.intr_level = false;
        irq_set(&pic->intr, false);
    }
}

/*
 * When the guest itself takes the slave's request away (initialises, masks or polls it), the master
 * must not go on asking for it. A device that withdraws its request leaves the edge: IRQ 15.
 */
static void pic_settle_cascade(struct pic *pic)
{
    if (chip_pending(&pic->state.chip[1]) < 0)
        pic->state.chip[0].irr &= ~BIT(PIC_CASCADE);
}

/* Acknowledges on one chip; a request that is gone becomes the spurious input 7. */
static unsigned pic_serve(struct pic *pic, unsigned chip)
{
    int input = chip_pending(&pic->state.chip[chip]);

    if (input < 0)
        return SPURIOUS;
    chip_serve(&pic->state.chip[chip], (unsigned)input);
    return (unsigned)input;
}

int pic_acknowledge(struct pic *pic)
{
    bool real = chip_pending(&pic->state.chip[0]) >= 0;
    unsigned input = pic_serve(pic, 0);
    unsigned chip = 0;

    if (real && input == PIC_CASCADE) {
        chip = 1;
        input = pic_serve(pic, 1);
    }
    pic_drop_output(pic, chip);
    pic_update(pic);
    trace(pic_acknowledge, input + chip * INPUTS, pic->state.chip[chip].vector + input);
    return (int)(pic->state.chip[chip].vector + input);
}

void pic_set_irq(void *opaque, unsigned irq, bool level)
{
    struct pic *pic = opaque;

    if (irq >= PIC_INPUTS || irq == PIC_CASCADE)
        return;
    chip_drive(&pic->state.chip[irq / INPUTS], irq % INPUTS, level);
    pic_update(pic);
}

bool pic_intr(const struct pic *pic)
{
    return pic->state.intr_level;
}

/* ICW1 forgets edges, masks, priorities and modes; an input must rise anew to be seen. */
static void chip_start_init(struct chip *chip, uint8_t icw1)
{
    chip->icw1 = icw1;
    chip->irr = chip->level & chip->elcr;
    chip->imr = 0;
    chip->isr = 0;
    chip->highest = 0;
    chip->auto_eoi = false;
    chip->rotate_auto_eoi = false;
    chip->special_mask = false;
    chip->fully_nested_special = false;
    chip->read_isr = false;
    chip->poll = false;
    chip->step = INIT_ICW2;
}

static void chip_ocw2(struct chip *chip, uint8_t value)
{
    enum ocw2_command command = value >> OCW2_COMMAND_SHIFT;
    unsigned input = value & OCW2_INPUT;
    uint8_t in_service;
    unsigned priority;

    switch (command) {
    case OCW2_ROTATE_AEOI_OFF: chip->rotate_auto_eoi = false; return;
    case OCW2_ROTATE_AEOI_ON: chip->rotate_auto_eoi = true; return;
    case OCW2_EOI:
    case OCW2_ROTATE_EOI:
        /* In the special mask mode a masked input is out of a plain EOI's reach. */
        in_service = chip->special_mask ? chip->isr & ~chip->imr : chip->isr;
        priority = chip_priority(chip, in_service);
        if (priority != NO_INPUT)
            chip_end_of_interrupt(chip, chip_input(chip, priority), command == OCW2_ROTATE_EOI);
        return;
    case OCW2_SPECIFIC_EOI: chip_end_of_interrupt(chip, input, false); return;
    case OCW2_ROTATE_SPECIFIC_EOI: chip_end_of_interrupt(chip, input, true); return;
    case OCW2_SET_PRIORITY: chip->highest = (uint8_t)((input + 1) % INPUTS); return;
    case OCW2_NOP: return;
    }
}

static void chip_ocw3(struct chip *chip, uint8_t value)
{
    if (value & OCW3_POLL)
        chip->poll = true;
    if (value & OCW3_RR)
        chip->read_isr = value & OCW3_RIS;
    if (value & OCW3_ESMM)
        chip->special_mask = value & OCW3_SMM;
}

/* A write to port 1: the next word of the initialisation, or the mask. */
static void chip_write_data(struct chip *chip, uint8_t value)
{
    switch (chip->step) {
    case INIT_NONE: chip->imr = value; return;
    case INIT_ICW2:
        chip->vector = value & ICW2_VECTOR;
        chip->step = !(chip->icw1 & ICW1_SNGL) ? INIT_ICW3
                     : chip->icw1 & ICW1_IC4   ? INIT_ICW4
                                               : INIT_NONE;
        return;
    case INIT_ICW3: /* the wiring is fixed: what the guest says about it changes nothing */
        chip->step = chip->icw1 & ICW1_IC4 ? INIT_ICW4 : INIT_NONE;
        return;
    case INIT_ICW4:
        chip->auto_eoi = value & ICW4_AEOI;
        chip->fully_nested_special = value & ICW4_SFNM;
        chip->step = INIT_NONE;
        return;
    }
}

static void pic_write(struct pic *pic, unsigned which, uint64_t offset, uint8_t value)
{
    struct chip *chip = &pic->state.chip[which];

    if (offset & 1) {
        chip_write_data(chip, value);
    } else if (value & ICW1_INIT) {
        chip_start_init(chip, value);
        if (which == 0) /* the cascade's edge is forgotten too, though the slave may still ask */
            chip->level &= ~BIT(PIC_CASCADE);
    } else if ((value & OCW_KIND) == OCW_KIND_OCW3) {
        chip_ocw3(chip, value);
    } else {
        chip_ocw2(chip, value);
    }
    if (which == 1)
        pic_settle_cascade(pic);
    pic_update(pic);
}

/* A read in the poll mode is an acknowledge of this chip alone. */
static uint8_t pic_poll(struct pic *pic, unsigned which)
{
    int input = chip_pending(&pic->state.chip[which]);

    pic->state.chip[which].poll = false;
    if (input < 0)
        return 0;
    chip_serve(&pic->state.chip[which], (unsigned)input);
    pic_settle_cascade(pic);
    pic_drop_output(pic, which);
    pic_update(pic);
    return (uint8_t)(POLL_REQUEST | input);
}

static uint8_t pic_read(struct pic *pic, unsigned which, uint64_t offset)
{
    const struct chip *chip = &pic->state.chip[which];

    if (chip->poll)
        return pic_poll(pic, which);
    if (offset & 1)
        return chip->imr;
    return chip->read_isr ? chip->isr : chip->irr;
}

static uint64_t master_read(void *dev, uint64_t offset, unsigned width)
{
    return pic_read(dev, 0, offset);
}

static void master_write(void *dev, uint64_t offset, unsigned width, uint64_t value)
{
    pic_write(dev, 0, offset, (uint8_t)value);
}

static uint64_t slave_read(void *dev, uint64_t offset, unsigned width)
{
    return pic_read(dev, 1, offset);
}

static void slave_write(void *dev, uint64_t offset, unsigned width, uint64_t value)
{
    pic_write(dev, 1, offset, (uint8_t)value);
}

static uint64_t elcr_read(void *dev, uint64_t offset, unsigned width)
{
    const struct pic *pic = dev;

    return pic->state.chip[offset & 1].elcr;
}

static void elcr_write(void *dev, uint64_t offset, unsigned width, uint64_t value)
{
    struct pic *pic = dev;
    struct chip *chip = &pic->state.chip[offset & 1];

    chip->elcr = (uint8_t)value & elcr_writable[offset & 1];
    chip->irr = (chip->irr & ~chip->elcr) | (chip->level & chip->elcr);
    pic_update(pic);
}

const struct bus_ops pic_master_ops = {.read = master_read, .write = master_write};
const struct bus_ops pic_slave_ops = {.read = slave_read, .write = slave_write};
const struct bus_ops pic_elcr_ops = {.read = elcr_read, .write = elcr_write};

static void reset(void *dev)
{
    pic_reset(dev);
}

static bool sound(const void *opaque)
{
    const struct pic_state *state = opaque;

    for (unsigned i = 0; i < ARRAY_SIZE(state->chip); i++) {
        const struct chip *chip = &state->chip[i];

        if (chip->highest >= INPUTS || chip->step > INIT_ICW4 || (chip->elcr & ~elcr_writable[i]))
            return false;
    }
    return true;
}

static const struct device_field fields[] = {
    DEVICE_EACH(struct pic_state, chip, irr),
    DEVICE_EACH(struct pic_state, chip, imr),
    DEVICE_EACH(struct pic_state, chip, isr),
    DEVICE_EACH(struct pic_state, chip, level),
    DEVICE_EACH(struct pic_state, chip, elcr),
    DEVICE_EACH(struct pic_state, chip, vector),
    DEVICE_EACH(struct pic_state, chip, icw1),
    DEVICE_EACH(struct pic_state, chip, highest),
    DEVICE_EACH(struct pic_state, chip, step),
    DEVICE_EACH(struct pic_state, chip, auto_eoi),
    DEVICE_EACH(struct pic_state, chip, rotate_auto_eoi),
    DEVICE_EACH(struct pic_state, chip, special_mask),
    DEVICE_EACH(struct pic_state, chip, fully_nested_special),
    DEVICE_EACH(struct pic_state, chip, read_isr),
    DEVICE_EACH(struct pic_state, chip, poll),
    DEVICE_FIELD(struct pic_state, intr_level),
};

static const struct device_class class = {
    .name = "8259A pair",
    .version = 1,
    DEVICE_STATE(struct pic_state, fields),
    .reset = reset,
    .sound = sound,
};

const struct device *pic_device(const struct pic *pic)
{
    return &pic->device;
}

struct pic *pic_create(const struct irq_line *intr)
{
    struct pic *pic = calloc(1, sizeof(*pic));

    if (!pic)
        return NULL;
    pic->device = (struct device){&class, pic, &pic->state};
    pic->intr = *intr;
    return pic;
}

void pic_destroy(struct pic *pic)
{
    free(pic);
}

void pic_reset(struct pic *pic)
{
    for (unsigned i = 0; i < 2; i++) {
        uint8_t level = pic->state.chip[i].level;

        pic->state.chip[i] = (struct chip){.level = level};
    }
    pic->state.chip[0].level &= ~BIT(PIC_CASCADE);
    pic_update(pic);
}

void pic_view(const struct pic *pic, unsigned chip, struct pic_view *view)
{
    const struct chip *c = &pic->state.chip[chip & 1];

    *view = (struct pic_view){
        .irr = c->irr, .imr = c->imr, .isr = c->isr, .elcr = c->elcr, .vector = c->vector};
}
