/* Items of user code: arithmetic, flags, memory in all its ways, and code that changes code. */
#include "program.h"

#define LOCK 0xf00000u

static const uint8_t sizes[] = {1, 2, 4, 4, 8, 8, 8};

unsigned maker_register(struct maker *maker)
{
    static const uint8_t registers[] = {X86_RAX, X86_RCX, X86_RDX, X86_RBX, X86_RBP,
                                        X86_RSI, X86_RDI, X86_R8,  X86_R9,  X86_R10,
                                        X86_R11, X86_R12, X86_R13, X86_R15};

    return DICE_PICK(&maker->dice, registers);
}

uint64_t maker_window(struct maker *maker)
{
    static const uint64_t windows[] = {LOW, LOW, LOW, EDGE, HIGH, HIGH, TOP};

    return DICE_PICK(&maker->dice, windows);
}

uint32_t maker_data(struct maker *maker)
{
    struct dice *dice = &maker->dice;
    unsigned page = FIRST_DATA + dice_below(dice, LAST_DATA - FIRST_DATA + 1);

    switch (dice_below(dice, 16)) {
    case 0: return CODE_DATA + dice_below(dice, 0x3f0);
    case 1: return REGION_BYTES - 1 - dice_below(dice, 12); /* the end of a window */
    case 2:
    case 3:
    case 4: return page * 4096 - 1 - dice_below(dice, 15); /* across */
    case 5: return page * 4096 + dice_below(dice, 4096);
    default: return page * 4096 + 8 * dice_below(dice, 500);
    }
}

static unsigned size_bit(unsigned size)
{
    return size == 1 ? 0 : 1;
}

/* --- arithmetic --- */

static void put_two_operands(struct maker *maker)
{
    unsigned size = DICE_PICK(&maker->dice, sizes);
    unsigned opcode = dice_below(&maker->dice, 8) << 3 | (dice_8(&maker->dice) & 2);

    code_rr(&maker->code, size, opcode | size_bit(size), maker_register(maker),
            maker_register(maker));
}

static void put_immediate(struct maker *maker)
{
    unsigned size = DICE_PICK(&maker->dice, sizes);

    code_rr(&maker->code, size, size == 1 ? 0x80 : 0x83, dice_below(&maker->dice, 8),
            maker_register(maker));
    code_8(&maker->code, dice_8(&maker->dice));
}

static void put_unary(struct maker *maker)
{
    static const uint16_t rows[][2] = {{0xfe, 0}, {0xfe, 1}, {0xf6, 2}, {0xf6, 3},
                                       {0xd2, 0}, {0xd2, 1}, {0xd2, 2}, {0xd2, 3},
                                       {0xd2, 4}, {0xd2, 5}, {0xd2, 7}, {0xf6, 4}};
    unsigned row = dice_below(&maker->dice, ARRAY_SIZE(rows));
    unsigned size = DICE_PICK(&maker->dice, sizes);

    code_rr(&maker->code, size, rows[row][0] | size_bit(size), rows[row][1], maker_register(maker));
}

static void put_shift(struct maker *maker)
{
    static const uint8_t digits[] = {0, 1, 2, 3, 4, 5, 7};
    unsigned size = DICE_PICK(&maker->dice, sizes);

    code_rr(&maker->code, size, 0xc0 | size_bit(size), DICE_PICK(&maker->dice, digits),
            maker_register(maker));
    code_8(&maker->code, dice_8(&maker->dice) & 67);
}

static void put_two_byte(struct maker *maker)
{
    static const uint16_t opcodes[] = {0x0faf, 0x0fb6, 0x0fb7, 0x0fbe, 0x0fbf, 0x0fc1, 0x0fb1,
                                       0x0fbc, 0x0fbd, 0x0fa3, 0x0fab, 0x0fa5, 0x0fad};
    static const uint8_t wide[] = {4, 8};
    unsigned opcode = DICE_PICK(&maker->dice, opcodes);

    code_rr(&maker->code, DICE_PICK(&maker->dice, wide), opcode, maker_register(maker),
            maker_register(maker));
}

static void put_condition(struct maker *maker)
{
    unsigned cc = dice_8(&maker->dice) & 15;

    if (dice_chance(&maker->dice, 128))
        code_rr(&maker->code, 1, 0x0f90 | cc, 0, maker_register(maker));
    else
        code_rr(&maker->code, dice_chance(&maker->dice, 128) ? 4 : 8, 0x0f40 | cc,
                maker_register(maker), maker_register(maker));
}

static void put_move(struct maker *maker)
{
    unsigned size = DICE_PICK(&maker->dice, sizes), reg = maker_register(maker);

    switch (dice_below(&maker->dice, 4)) {
    case 0: code_constant(&maker->code, reg, dice_64(&maker->dice)); break;
    case 1:
        code_rm(&maker->code, 8, 0x8d, reg,
                (struct place){.base = (uint8_t)maker_register(maker),
                               .index = (uint8_t)maker_register(maker),
                               .scale = dice_8(&maker->dice) & 3,
                               .disp = (int8_t)dice_8(&maker->dice)},
                0);
        break;
    case 2: code_rr(&maker->code, size, 0x86 | size_bit(size), reg, maker_register(maker)); break;
    default: code_rr(&maker->code, size, 0x88 | size_bit(size), reg, maker_register(maker)); break;
    }
}

static void item_alu(struct maker *maker)
{
    static void (*const puts[])(struct maker *) = {
        put_two_operands, put_two_operands, put_immediate, put_immediate, put_unary,
        put_shift,        put_two_byte,     put_condition, put_condition, put_move,
    };

    for (unsigned i = dice_below(&maker->dice, 4); i < 4; i++)
        DICE_PICK(&maker->dice, puts)(maker);
}

static void item_flags(struct maker *maker)
{
    struct code *code = &maker->code;

    switch (dice_below(&maker->dice, 8)) {
    case 0: CODE_TEXT(code, "\x9f"); break;     /* LAHF */
    case 1: CODE_TEXT(code, "\x9e"); break;     /* SAHF */
    case 2: CODE_TEXT(code, "\xf8"); break;     /* CLC */
    case 3: CODE_TEXT(code, "\xf9"); break;     /* STC */
    case 4: CODE_TEXT(code, "\xf5"); break;     /* CMC */
    case 5: CODE_TEXT(code, "\x9c\x58"); break; /* PUSHFQ; POP RAX */
    case 6: CODE_TEXT(code, "\x9c\x9d"); break; /* PUSHFQ; POPFQ */
    default:
        code_8(code, 0x68); /* PUSH; POPFQ */
        code_value(code, 0x202 | (dice_64(&maker->dice) & 0x8d5), 4);
        code_8(code, 0x9d);
        break;
    }
}

/* --- memory --- */

/* A place of data: by RIP, by an absolute address, or with an index. May change registers. */
static struct place data_place(struct maker *maker)
{
    unsigned base = maker_register(maker), index = maker_register(maker);
    uint32_t offset = maker_data(maker);

    switch (dice_below(&maker->dice, 4)) {
    case 0: return place_in_region(offset);
    case 1:
        code_constant(&maker->code, base, maker_window(maker) + offset);
        return place_at(base, 0);
    case 2:
        code_lea(&maker->code, base, place_in_region(offset));
        return place_at(base, (int8_t)dice_8(&maker->dice) & ~7);
    default:
        if (index == base)
            index = base == X86_RCX ? X86_RDX : X86_RCX;
        code_lea(&maker->code, base, place_in_region(offset));
        code_constant_32(&maker->code, index, dice_8(&maker->dice) & 15);
        return (struct place){.base = (uint8_t)base,
                              .index = (uint8_t)index,
                              .scale = dice_8(&maker->dice) & 3,
                              .disp = dice_8(&maker->dice) & 0x1f8};
    }
}

void item_access(struct maker *maker, struct place place)
{
    static const uint32_t loads[] = {0x02, 0x0a, 0x12, 0x1a, 0x22, 0x2a, 0x32, 0x3a, 0x8a, 0x8a};
    static const uint32_t stores[] = {0x00, 0x08, 0x10, 0x18, 0x20, 0x28, 0x30,
                                      0x38, 0x84, 0x86, 0x88, 0x88, 0x88};
    static const uint32_t locked[] = {0x00, 0x10, 0x28, 0x0fc0, 0x0fb0};
    static const uint16_t wide[] = {0x0fb6, 0x0fb7, 0x0fbe, 0x0fbf, 0x0faf, 0x0f44, 0x0fa3};
    unsigned size = DICE_PICK(&maker->dice, sizes), reg = maker_register(maker);
    struct code *code = &maker->code;

    switch (dice_below(&maker->dice, 8)) {
    case 0:
    case 1:
        code_rm(code, size, DICE_PICK(&maker->dice, loads) | size_bit(size), reg, place, 0);
        break;
    case 2:
    case 3:
    case 4:
        code_rm(code, size, DICE_PICK(&maker->dice, stores) | size_bit(size), reg, place, 0);
        break;
    case 5:
        code_rm(code, size, LOCK | DICE_PICK(&maker->dice, locked) | size_bit(size), reg, place, 0);
        break;
    case 6:
        code_rm(code, size == 1 ? 4 : size, DICE_PICK(&maker->dice, wide), reg, place, 0);
        break;
    default:
        code_rm(code, size, 0x80 | (size == 1 ? 0 : 3), dice_below(&maker->dice, 8), place, 1);
        code_8(code, dice_8(&maker->dice));
        break;
    }
}

void item_memory(struct maker *maker)
{
    struct place place = data_place(maker);

    for (unsigned i = dice_below(&maker->dice, 3); i < 3; i++)
        item_access(maker, place);
}

static void item_stack(struct maker *maker)
{
    struct code *code = &maker->code;
    unsigned reg = maker_register(maker);

    switch (dice_below(&maker->dice, 7)) {
    case 0: code_push(code, reg); break;
    case 1: code_pop(code, reg); break;
    case 2:
        code_rm(code, 8, 0x89, reg, place_at(X86_RSP, 8 * (int8_t)dice_8(&maker->dice)), 0);
        break;
    case 3: code_rm(code, 8, 0x03, reg, place_at(X86_RSP, (int8_t)dice_8(&maker->dice)), 0); break;
    case 4: code_rm(code, 4, 0xff, 6, data_place(maker), 0); break; /* PUSH */
    case 5: code_rm(code, 4, 0x8f, 0, data_place(maker), 0); break; /* POP */
    default:                                                        /* the stack's own edges */
        code_lea(code, X86_RSP, place_in_region(maker_data(maker)));
        code_push(code, reg);
        code_lea(code, X86_RSP, place_in_region(STACK_TOP));
        break;
    }
}

/* An access wherever a register happens to point, or where nothing can be. */
static void item_stray(struct maker *maker)
{
    static const uint64_t addresses[] = {0,
                                         0x800000000000,
                                         0x7ffffffffffc,
                                         0xffff7fffffffffff,
                                         0xffff800000000000,
                                         LOW + 48 * 4096 - 2,
                                         HIGH - 3,
                                         0x123456789abcdef0};
    unsigned reg = maker_register(maker);

    if (dice_chance(&maker->dice, 128))
        code_constant(&maker->code, reg, DICE_PICK(&maker->dice, addresses));
    item_access(maker, place_at(reg, 0));
}

static void item_string(struct maker *maker)
{
    static const uint8_t opcodes[] = {0xa4, 0xa6, 0xaa, 0xac, 0xae};
    struct code *code = &maker->code;

    code_lea(code, X86_RSI, place_in_region(maker_data(maker)));
    code_lea(code, X86_RDI, place_in_region(maker_data(maker)));
    code_constant_32(code, X86_RCX, dice_8(&maker->dice) & 31);
    if (dice_chance(&maker->dice, 40))
        code_8(code, 0xfd); /* STD */
    if (dice_chance(&maker->dice, 200))
        code_8(code, 0xf2 | (dice_8(&maker->dice) & 1));
    if (dice_chance(&maker->dice, 96))
        code_8(code, 0x48);
    code_8(code, DICE_PICK(&maker->dice, opcodes) | (dice_8(&maker->dice) & 1));
    code_8(code, 0xfc);
}

static void item_vector(struct maker *maker)
{
    static const uint32_t opcodes[] = {0xf30f6f, 0xf30f7f, 0x660f6f, 0x660fd4, 0x660fef, 0xf20f58,
                                       0xf20f10, 0xf20f11, 0x0f28,   0x0f10,   0xf20f2a, 0xf20f59,
                                       0x660f2e, 0x660f6e, 0x660f7e, 0x0f58,   0xf20f5e, 0xf20f2c};
    uint32_t opcode = DICE_PICK(&maker->dice, opcodes);
    unsigned xmm = dice_8(&maker->dice) & 15;

    if (dice_chance(&maker->dice, 16)) /* LDMXCSR of whatever is there */
        code_rm(&maker->code, 4, 0x0fae, 2, place_in_region(maker_data(maker)), 0);
    else if (dice_chance(&maker->dice, 128))
        code_rr(&maker->code, 4, opcode, xmm, dice_8(&maker->dice) & 7);
    else
        code_rm(&maker->code, 4, opcode, xmm, data_place(maker), 0);
}

static void item_divide(struct maker *maker)
{
    unsigned size = DICE_PICK(&maker->dice, sizes);

    if (dice_chance(&maker->dice, 160))
        CODE_TEXT(&maker->code, "\x31\xd2"); /* XOR EDX, EDX */
    code_rr(&maker->code, size, 0xf6 | size_bit(size), 6 + (dice_8(&maker->dice) & 1),
            maker_register(maker));
}

/* --- code that changes code --- */

/* Another slot's constant (or its own), whole or a byte of it; or turns a JZ into a JNZ. */
static void item_modify(struct maker *maker)
{
    const struct program *program = maker->program;
    const struct slot *slot = dice_chance(&maker->dice, 96)
                                  ? maker->slot
                                  : &program->slot[dice_below(&maker->dice, program->slots)];
    uint64_t window = dice_chance(&maker->dice, 160) ? LOW : maker_window(maker);
    unsigned reg = maker_register(maker), how = dice_below(&maker->dice, 3);
    uint32_t at = how == 0 ? slot->branch : slot->constant;

    if (!at)
        at = CODE_DATA + 64; /* as long, so that twins stay so */
    code_constant(&maker->code, reg, window + at);
    if (how == 0 && at == slot->branch) {
        code_rm(&maker->code, 1, 0x80, 6, place_at(reg, 0), 1); /* XOR */
        code_8(&maker->code, 1);
    } else if (how == 1) {
        code_rm(&maker->code, 4, 0x89, maker_register(maker), place_at(reg, 0), 0);
    } else {
        code_rm(&maker->code, 1, 0x80, 0, place_at(reg, 0), 1); /* ADD */
        code_8(&maker->code, dice_8(&maker->dice));
    }
}

enum program_feature item_choose(struct dice *dice)
{
    static const uint8_t weights[FEATURES] = {
        [FEATURE_ALU] = 60,    [FEATURE_FLAGS] = 12, [FEATURE_MEMORY] = 50, [FEATURE_STACK] = 16,
        [FEATURE_STRAY] = 4,   [FEATURE_STRING] = 8, [FEATURE_VECTOR] = 12, [FEATURE_DIVIDE] = 3,
        [FEATURE_SEGMENT] = 5, [FEATURE_IO] = 6,     [FEATURE_MODIFY] = 8,  [FEATURE_PAGING] = 8,
        [FEATURE_REMAP] = 4,   [FEATURE_SMAP] = 5,   [FEATURE_SHADOW] = 5,  [FEATURE_STEP] = 2,
        [FEATURE_BREAK] = 1,   [FEATURE_ALIGN] = 3,  [FEATURE_TRAP] = 3,
    };
    unsigned total = 0, at;

    for (unsigned i = 0; i < FEATURES; i++)
        total += weights[i];
    at = dice_below(dice, total);
    for (unsigned i = 0;; i++) {
        if (at < weights[i])
            return i;
        at -= weights[i];
    }
}

void item_put(struct maker *maker, enum program_feature feature)
{
    maker->code.pad = dice_chance(&maker->dice, 48) ? dice_below(&maker->dice, 13) : 0;
    switch (feature) {
    case FEATURE_ALU: item_alu(maker); break;
    case FEATURE_FLAGS: item_flags(maker); break;
    case FEATURE_MEMORY: item_memory(maker); break;
    case FEATURE_STACK: item_stack(maker); break;
    case FEATURE_STRAY: item_stray(maker); break;
    case FEATURE_STRING: item_string(maker); break;
    case FEATURE_VECTOR: item_vector(maker); break;
    case FEATURE_DIVIDE: item_divide(maker); break;
    case FEATURE_MODIFY: item_modify(maker); break;
    default: item_system(maker, feature); break;
    }
    maker->code.pad = 0;
}
