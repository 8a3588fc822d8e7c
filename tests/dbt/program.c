/* Lays out the slots of a program and fills them. */
#include "program.h"

#include "base/assert.h"

#define PAGE        4096u
#define ITEM_BYTES  96
#define SLOT_MIN    (END_BYTES + 24)
#define SLOT_SPREAD 280

const char *const program_feature_names[FEATURES] = {
#define F(name) #name,
    PROGRAM_FEATURES(F)
#undef F
};

static void add_slot(struct program *program, uint32_t offset, uint32_t size, uint64_t seed)
{
    if (program->slots < MAX_SLOTS)
        program->slot[program->slots++] = (struct slot){
            .offset = offset,
            .size = size,
            .seed = seed,
            .twin = offset / PAGE == TWIN_PAGE || offset / PAGE == TWIN_PAGE + 1,
        };
}

/* Slots from one offset to another, without gaps, at even offsets; none crosses the end. */
static void add_slots(struct program *program, struct dice *dice, uint32_t from, uint32_t to)
{
    while (from < to) {
        uint32_t size = SLOT_MIN + 2 * dice_below(dice, SLOT_SPREAD / 2);

        if (to - from < size + SLOT_MIN)
            size = to - from;
        add_slot(program, from, size, dice_64(dice));
        from += size;
    }
}

static void lay_out(struct program *program, struct dice *dice)
{
    unsigned first, count;

    add_slots(program, dice, 0, TWIN_PAGE * PAGE);
    first = program->slots;
    add_slots(program, dice, TWIN_PAGE * PAGE, (TWIN_PAGE + 1) * PAGE);
    count = program->slots - first;
    for (unsigned i = 0; i < count; i++) {
        struct slot slot = program->slot[first + i];

        add_slot(program, slot.offset + PAGE, slot.size, slot.seed);
    }
    add_slots(program, dice, (TWIN_PAGE + 2) * PAGE, CODE_DATA);
    ASSERT(program->slots < MAX_SLOTS, "all slots of a program have a place");
}

/* A constant at the head: written to by others, and different in twins. */
static void put_head(struct maker *maker)
{
    struct slot *slot = maker->slot;

    if (!slot->twin && dice_chance(&maker->dice, 128))
        return;
    code_8(&maker->code, 0xbb); /* MOV EBX, imm32 */
    slot->constant = slot->offset + maker->code.used;
    code_value(&maker->code, slot->offset / PAGE == TWIN_PAGE ? 0x11111111 : 0x22222222, 4);
}

/* JZ or JNZ over an instruction: which of them may be changed. */
static void put_branch(struct maker *maker)
{
    if (dice_chance(&maker->dice, 96))
        return;
    maker->slot->branch = maker->slot->offset + maker->code.used;
    code_8(&maker->code, 0x74 | (dice_8(&maker->dice) & 1));
    code_8(&maker->code, 3);
    CODE_TEXT(&maker->code, "\x48\xff\xc2"); /* INC RDX */
}

/* An item that does not fit is left out. */
static void put_item(struct maker *maker, enum program_feature feature)
{
    unsigned before = maker->code.used;

    item_put(maker, feature);
    if (maker->code.used + END_BYTES > maker->slot->size)
        maker->code.used = before;
}

static void fill_slot(struct program *program, unsigned number)
{
    struct slot *slot = &program->slot[number];
    struct dice dice = {.seed = slot->seed};
    struct maker maker = {.program = program, .slot = slot, .number = number};
    unsigned items;

    maker.code = (struct code){
        .bytes = program->region + slot->offset, .room = slot->size, .offset = slot->offset};
    maker.dice.seed = dice_64(&dice);
    put_head(&maker);
    put_branch(&maker);
    items = dice_below(&dice, 14);
    for (unsigned i = 0; i < items && i < program->config.max_items; i++) {
        enum program_feature feature = item_choose(&dice);

        maker.dice.seed = dice_64(&dice);
        if (program->config.features & BIT(feature))
            put_item(&maker, feature);
    }
    maker.dice.seed = slot->seed ^ 0x5555;
    end_put(&maker);
    ASSERT(maker.code.used == slot->size, "a slot is filled to its end");
}

void program_make(struct program *program, const struct program_config *config)
{
    struct dice dice = {.seed = config->seed};

    *program = (struct program){.config = *config};
    lay_out(program, &dice);
    for (uint32_t at = CODE_DATA; at < REGION_BYTES; at += 8) {
        uint64_t value = dice_64(&dice);

        memcpy(program->region + at, &value, 8);
    }
    for (unsigned i = 0; i < program->slots; i++)
        fill_slot(program, i);
}
