/* Lays out the slots of a program, fills them with items, and ends each. */
#include "maker.h"

#include "base/assert.h"

#define END_BYTES 40
#define MAX_ITEMS 10

unsigned program_pick_data(struct dice *dice)
{
    return dice_chance(dice, 128) ? SEGMENT_FLAT : dice_below(dice, SEGMENTS);
}

unsigned program_pick_code(struct dice *dice)
{
    static const uint8_t code[] = {
        SEGMENT_CODE_UNREADABLE, SEGMENT_CODE_CONFORMING, SEGMENT_CODE_CONFORMING_UNREADABLE,
        SEGMENT_CODE_LIMITED,    SEGMENT_CODE_BASED,
    };

    return dice_chance(dice, 192) ? SEGMENT_CODE : DICE_PICK(dice, code);
}

/* --- ends --- */

/* DEC EBP; JG +1; INT3 */
static void put_fuel(struct maker *maker)
{
    CODE_TEXT(&maker->code, "\x4d\x7f\x01\xcc");
}

/* To a cell of data, and from there: 4 for JMP, 2 for CALL. */
static void put_indirect(struct maker *maker, uint32_t target)
{
    struct code *code = &maker->code;
    uint32_t cell = EDGE - 16 + dice_below(&maker->dice, 24);

    CODE_TEXT(code, "\xc7\x05"); /* MOV DWORD [cell], target */
    code_value(code, cell, 4);
    code_value(code, target, 4);
    if (dice_chance(&maker->dice, 160))
        code_8(code, maker_prefix(maker));
    code_8(code, 0xff);
    code_8(code, (dice_chance(&maker->dice, 128) ? 4u : 2u) << 3 | 5);
    code_value(code, cell, 4);
}

static void put_far(struct maker *maker, uint32_t target)
{
    code_8(&maker->code, dice_chance(&maker->dice, 192) ? 0xea : 0x9a);
    code_value(&maker->code, target, 4);
    code_value(&maker->code, maker_selector(maker, program_pick_code(&maker->dice)), 2);
}

static void put_end(struct maker *maker)
{
    struct dice *dice = &maker->dice;
    uint32_t offset = SLOT_BYTES * dice_below(dice, SLOTS), target = CODE_AT + offset;

    put_fuel(maker);
    switch (dice_below(dice, 10)) {
    case 0: put_indirect(maker, target); break;
    case 1: put_far(maker, target); break;
    case 2: code_branch(&maker->code, CODE_CALL, offset); break;
    case 3: code_8(&maker->code, 0xc3); break;
    case 4:
        code_8(&maker->code, 0x68); /* PUSH imm32; RET */
        code_value(&maker->code, target, 4);
        code_8(&maker->code, 0xc3);
        break;
    case 5: break; /* on to the next */
    case 6:
    case 7: code_branch(&maker->code, CODE_JMP, offset); break;
    default: code_branch(&maker->code, CODE_JCC | (dice_8(dice) & 15), offset); break;
    }
}

static void fill_slot(struct program *program, unsigned slot)
{
    struct dice dice = {.seed = program->config.seed * SLOTS + slot};
    struct maker maker = {.program = program};
    unsigned count = 1 + dice_below(&dice, MAX_ITEMS);

    maker.code = (struct code){.bytes = program->code + slot * SLOT_BYTES,
                               .room = SLOT_BYTES,
                               .offset = slot * SLOT_BYTES};
    for (unsigned i = 0; i < count && i < program->config.max_items; i++) {
        unsigned before = maker.code.used;

        maker.dice.seed = dice_64(&dice);
        item_put(&maker);
        if (maker.code.used + END_BYTES > SLOT_BYTES) {
            maker.code.used = before;
            break;
        }
    }
    maker.dice.seed = dice_64(&dice);
    put_end(&maker);
    ASSERT(maker.code.used <= SLOT_BYTES, "an end has room in its slot");
    code_fill(&maker.code, SLOT_BYTES - maker.code.used);
}

void program_make(struct program *program, const struct program_config *config)
{
    struct dice dice = {.seed = config->seed};

    *program = (struct program){.config = *config};
    for (unsigned at = 0; at < DATA_BYTES; at += 8) {
        uint64_t value = dice_64(&dice);

        memcpy(program->data + at, &value, 8);
    }
    for (unsigned i = 0; i < SEGMENTS; i++) {
        uint64_t pointer = (STACK_TOP - 256) | (uint64_t)program_selector(config, i) << 32;

        memcpy(program->data + POINTERS - DATA_AT + 8 * i, &pointer, 8);
    }
    memset(program->code, 0xcc, sizeof(program->code));
    for (unsigned i = 0; i < SLOTS; i++)
        fill_slot(program, i);
}
