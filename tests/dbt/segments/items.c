/*
 * Items: memory through segments of every kind, loads of segment registers, the stack, strings, and
 * arithmetic between. Registers are EAX, ECX, EDX, EBX, ESI and EDI; ESP is the stack, EBP the
 * fuel. Addresses are those of the data, often near the limits of the limited segments.
 */
#include "maker.h"

/* By number of the segment register. */
static const uint8_t prefixes[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};

unsigned maker_prefix(struct maker *maker)
{
    return DICE_PICK(&maker->dice, prefixes);
}

static unsigned pick_register(struct maker *maker)
{
    static const uint8_t registers[] = {X86_RAX, X86_RCX, X86_RDX, X86_RBX, X86_RSI, X86_RDI};

    return DICE_PICK(&maker->dice, registers);
}

static uint32_t pick_address(struct maker *maker)
{
    static const uint32_t strange[] = {0, 0xffff, 0xfffffffe, 0x7ffffff0, BASE + EDGE, CODE_AT};
    struct dice *dice = &maker->dice;

    switch (dice_below(dice, 16)) {
    case 0: return DICE_PICK(dice, strange);
    case 1: return CODE_AT + dice_below(dice, CODE_BYTES);
    case 2:
    case 3:
    case 4:
    case 5:
    case 6: return EDGE - 12 + dice_below(dice, 24);
    default: return DATA_AT + dice_below(dice, DATA_BYTES - 64);
    }
}

static void put_constant(struct maker *maker, unsigned reg, uint32_t value)
{
    code_8(&maker->code, 0xb8 | reg);
    code_value(&maker->code, value, 4);
}

uint16_t maker_selector(const struct maker *maker, unsigned segment)
{
    return program_selector(&maker->program->config, segment);
}

/* --- memory --- */

/* An instruction with a memory operand; a register of any number unless it has a digit. */
struct form {
    uint8_t prefix; /* 66, F2, F3 or F0, or 0 */
    uint8_t escape; /* 0F, or 0 */
    uint8_t opcode;
    int8_t digit;
    uint8_t imm_bytes;
};

#define ANY (-1)

static const struct form forms[] = {
    {0, 0, 0x88, ANY, 0},       {0, 0, 0x89, ANY, 0},       {0, 0, 0x8a, ANY, 0},
    {0, 0, 0x8b, ANY, 0},       {0, 0, 0x89, ANY, 0},       {0, 0, 0x8b, ANY, 0},
    {0x66, 0, 0x89, ANY, 0},    {0x66, 0, 0x8b, ANY, 0},    {0, 0, 0x01, ANY, 0},
    {0, 0, 0x03, ANY, 0},       {0, 0, 0x10, ANY, 0},       {0, 0, 0x2b, ANY, 0},
    {0, 0, 0x39, ANY, 0},       {0, 0, 0x3a, ANY, 0},       {0, 0, 0x85, ANY, 0},
    {0, 0, 0x86, ANY, 0},       {0, 0, 0x87, ANY, 0},       {0, 0, 0x80, ANY, 1},
    {0, 0, 0x83, ANY, 1},       {0, 0, 0x81, 7, 4},         {0, 0, 0xc6, 0, 1},
    {0, 0, 0xc7, 0, 4},         {0, 0, 0xfe, 0, 0},         {0, 0, 0xff, 1, 0},
    {0, 0, 0xff, 6, 0},         {0, 0, 0x8f, 0, 0},         {0, 0, 0xf7, 2, 0},
    {0, 0, 0xf6, 3, 0},         {0, 0, 0xf7, 4, 0},         {0, 0, 0xf7, 6, 0},
    {0, 0, 0xd1, ANY, 0},       {0, 0, 0xc1, 4, 1},         {0, 0, 0xd3, 1, 0},
    {0, 0, 0x69, ANY, 4},       {0, 0, 0x8c, 3, 0},         {0, 0, 0x8d, ANY, 0},
    {0, 0x0f, 0xb6, ANY, 0},    {0, 0x0f, 0xbf, ANY, 0},    {0, 0x0f, 0xaf, ANY, 0},
    {0, 0x0f, 0x44, ANY, 0},    {0, 0x0f, 0x94, 0, 0},      {0, 0x0f, 0xa3, ANY, 0},
    {0, 0x0f, 0xab, ANY, 0},    {0, 0x0f, 0xba, 6, 1},      {0, 0x0f, 0xb1, ANY, 0},
    {0, 0x0f, 0xc1, ANY, 0},    {0, 0x0f, 0xc7, 1, 0},      {0, 0x0f, 0xa4, ANY, 1},
    {0, 0x0f, 0xbc, ANY, 0},    {0, 0x0f, 0xc3, ANY, 0},    {0, 0x0f, 0x10, ANY, 0},
    {0, 0x0f, 0x11, ANY, 0},    {0, 0x0f, 0x28, ANY, 0},    {0, 0x0f, 0x29, ANY, 0},
    {0x66, 0x0f, 0x6e, ANY, 0}, {0x66, 0x0f, 0x7e, ANY, 0}, {0xf3, 0x0f, 0x6f, ANY, 0},
    {0xf3, 0x0f, 0x7f, ANY, 0}, {0xf2, 0x0f, 0x10, ANY, 0}, {0xf2, 0x0f, 0x11, ANY, 0},
    {0, 0x0f, 0xae, 3, 0},      {0, 0, 0xd9, 0, 0},         {0, 0, 0xdd, 3, 0},
    {0xf0, 0, 0x01, ANY, 0},    {0xf0, 0x0f, 0xc1, ANY, 0}, {0xf0, 0, 0x83, 0, 1},
    {0, 0x0f, 0x18, 1, 0},      {0, 0, 0xff, 0, 0},         {0, 0, 0x62, ANY, 0},
};

/* ModRM, SIB and displacement for an address that a register was given, or for [ESP + x]. */
struct address {
    unsigned kind;
    unsigned base, index;
    uint32_t disp;
};

enum address_kind { ADDRESS_ABSOLUTE, ADDRESS_BASE, ADDRESS_INDEX, ADDRESS_STACK, ADDRESS_KINDS };

static struct address make_address(struct maker *maker)
{
    struct dice *dice = &maker->dice;
    struct address at = {.kind = dice_below(dice, ADDRESS_KINDS), .disp = pick_address(maker)};

    at.base = pick_register(maker);
    at.index = at.base == X86_RSI ? X86_RDI : X86_RSI;
    switch (at.kind) {
    case ADDRESS_BASE:
        put_constant(maker, at.base, at.disp);
        at.disp = dice_below(dice, 8);
        break;
    case ADDRESS_INDEX:
        put_constant(maker, at.base, at.disp);
        put_constant(maker, at.index, dice_below(dice, 4));
        at.disp = dice_below(dice, 4);
        break;
    case ADDRESS_STACK: at.disp = dice_below(dice, 64); break;
    default: break;
    }
    return at;
}

static void put_address(struct maker *maker, unsigned reg, struct address at)
{
    struct code *code = &maker->code;

    switch (at.kind) {
    case ADDRESS_ABSOLUTE: code_8(code, reg << 3 | 5); break;
    case ADDRESS_BASE: code_8(code, 0x80 | reg << 3 | at.base); break;
    case ADDRESS_INDEX:
        code_8(code, 0x80 | reg << 3 | 4);
        code_8(code, 0x80 | at.index << 3 | at.base); /* index * 4 */
        break;
    default:
        code_8(code, 0x80 | reg << 3 | 4);
        code_8(code, 0x24);
        break;
    }
    code_value(code, at.disp, 4);
}

/* Through the segment that the instruction has, or through one that it names. */
static void put_access(struct maker *maker, struct address at, int segment)
{
    const struct form *form = &DICE_PICK(&maker->dice, forms);
    struct code *code = &maker->code;

    if (segment < 0 && dice_chance(&maker->dice, 128))
        segment = (int)dice_below(&maker->dice, ARRAY_SIZE(prefixes));
    if (segment >= 0)
        code_8(code, prefixes[segment]);
    if (form->prefix)
        code_8(code, form->prefix);
    if (form->escape)
        code_8(code, form->escape);
    code_8(code, form->opcode);
    put_address(maker, form->digit == ANY ? pick_register(maker) : (unsigned)form->digit, at);
    code_value(code, dice_8(&maker->dice), form->imm_bytes);
}

static void item_access(struct maker *maker)
{
    struct address at = make_address(maker);

    for (unsigned i = dice_below(&maker->dice, 3); i < 3; i++)
        put_access(maker, at, -1);
}

/* A0 to A3. */
static void item_absolute(struct maker *maker)
{
    if (dice_chance(&maker->dice, 128))
        code_8(&maker->code, maker_prefix(maker));
    code_8(&maker->code, 0xa0 | (dice_8(&maker->dice) & 3));
    code_value(&maker->code, pick_address(maker), 4);
}

/* --- segments --- */

static const uint8_t data_segments[] = {X86_ES, X86_SS, X86_DS, X86_DS, X86_FS, X86_GS};

static void put_pop_segment(struct code *code, unsigned segment)
{
    if (segment >= X86_FS)
        code_8(code, 0x0f);
    code_8(code, segment >= X86_FS ? 0x81 | segment << 3 : 0x07 | segment << 3);
}

/* LES, LSS, LDS, LFS, LGS. */
static void put_far_load(struct maker *maker, unsigned segment, unsigned descriptor)
{
    static const uint8_t opcodes[] = {0xc4, 0, 0xb2, 0xc5, 0xb4, 0xb5};
    struct code *code = &maker->code;
    bool stack = segment == X86_SS && dice_chance(&maker->dice, 128);

    if (dice_chance(&maker->dice, 64))
        code_8(code, maker_prefix(maker));
    if (segment == X86_SS || segment >= X86_FS)
        code_8(code, 0x0f);
    code_8(code, opcodes[segment]);
    code_8(code, (stack ? (unsigned)X86_RSP : pick_register(maker)) << 3 | 5);
    code_value(code, POINTERS + 8 * descriptor, 4);
}

static void put_load(struct maker *maker, unsigned segment, unsigned descriptor)
{
    struct code *code = &maker->code;
    unsigned reg = pick_register(maker);

    switch (dice_below(&maker->dice, 4)) {
    case 0:
        code_8(code, 0x68); /* PUSH imm32 */
        code_value(code, maker_selector(maker, descriptor), 4);
        put_pop_segment(code, segment);
        break;
    case 1: put_far_load(maker, segment, descriptor); break;
    case 2: /* MOV from memory */
        code_8(code, 0x8e);
        code_8(code, segment << 3 | 5);
        code_value(code, POINTERS + 8 * descriptor + 4, 4);
        break;
    default:
        put_constant(maker, reg, maker_selector(maker, descriptor));
        code_8(code, 0x8e);
        code_8(code, 0xc0 | segment << 3 | reg);
        break;
    }
}

/* A load, and accesses through what was loaded; then flat again, or not. */
static void item_segment(struct maker *maker)
{
    unsigned segment = DICE_PICK(&maker->dice, data_segments);
    struct address at = make_address(maker);

    if (dice_chance(&maker->dice, 96))
        put_access(maker, at, (int)segment);
    put_load(maker, segment, program_pick_data(&maker->dice));
    put_access(maker, at, (int)segment);
    if (dice_chance(&maker->dice, 96))
        put_access(maker, at, -1);
    if (dice_chance(&maker->dice, 208))
        put_load(maker, segment, SEGMENT_FLAT);
}

/* --- others --- */

static void item_stack(struct maker *maker)
{
    struct code *code = &maker->code;
    unsigned reg = pick_register(maker);

    switch (dice_below(&maker->dice, 10)) {
    case 0: code_8(code, 0x58 | reg); break;
    case 1: CODE_TEXT(code, "\x9c\x9d"); break;         /* PUSHFD; POPFD */
    case 2: CODE_TEXT(code, "\x06\x1e\x16"); break;     /* PUSH ES, DS, SS */
    case 3: CODE_TEXT(code, "\x60"); break;             /* PUSHAD */
    case 4: CODE_TEXT(code, "\x66\x50\x66\x59"); break; /* PUSH AX; POP CX */
    case 5:                                             /* the edge of a limit */
        put_constant(maker, reg, EDGE - 8 + dice_below(&maker->dice, 24));
        code_8(code, 0x87); /* XCHG ESP, reg */
        code_8(code, 0xe0 | reg);
        code_8(code, 0x50 | reg);
        CODE_TEXT(code, "\x8f\x05"); /* POP [EDGE + 64] */
        code_value(code, EDGE + 64, 4);
        put_constant(maker, X86_RSP, STACK_TOP);
        break;
    case 6: put_constant(maker, X86_RSP, STACK_TOP - 64); break;
    default: code_8(code, 0x50 | reg); break;
    }
}

static void item_string(struct maker *maker)
{
    static const uint8_t opcodes[] = {0xa4, 0xa5, 0xa6, 0xaa, 0xab, 0xac, 0xae, 0xa7};
    struct code *code = &maker->code;

    put_constant(maker, X86_RSI, pick_address(maker));
    put_constant(maker, X86_RDI, pick_address(maker));
    put_constant(maker, X86_RCX, dice_8(&maker->dice) & 15);
    if (dice_chance(&maker->dice, 96))
        code_8(code, maker_prefix(maker));
    if (dice_chance(&maker->dice, 160))
        code_8(code, 0xf2 | (dice_8(&maker->dice) & 1));
    code_8(code, DICE_PICK(&maker->dice, opcodes));
}

static void item_alu(struct maker *maker)
{
    struct code *code = &maker->code;

    for (unsigned i = dice_below(&maker->dice, 4); i < 4; i++) {
        code_8(code, dice_below(&maker->dice, 8) << 3 | 1);
        code_8(code, 0xc0 | pick_register(maker) << 3 | pick_register(maker));
    }
}

void item_put(struct maker *maker)
{
    static void (*const items[])(struct maker *) = {
        item_access, item_access, item_segment, item_segment, item_segment,
        item_stack,  item_string, item_alu,     item_alu,     item_absolute,
    };

    DICE_PICK(&maker->dice, items)(maker);
}
