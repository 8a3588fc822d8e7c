/*
 * Code for a fuzzed guest. Two thirds are single instructions: random opcodes and operands, kept
 * when they decode. The rest are sequences that belong together, such as a register loaded with an
 * MSR's number before WRMSR.
 */
#include "guest/code.h"

uint64_t guest_interesting(struct dice *dice)
{
    static const uint64_t values[] = {
        0,
        1,
        2,
        3,
        7,
        8,
        0x0f,
        0x10,
        0x1f,
        0x20,
        0x3f,
        0x40,
        0x7f,
        0x80,
        0xff,
        0x100,
        0xfff,
        0x1000,
        0x7fff,
        0x8000,
        0xffff,
        0x10000,
        0x7fffffff,
        0x80000000u,
        0xfffffffe,
        0xffffffff,
        0x100000000u,
        0x7fffffffffff,
        0x800000000000,
        0xffff7fffffffffff,
        0xffff800000000000,
        0x7fffffffffffffff,
        0x8000000000000000,
        0xfffffffffffffff8,
        UINT64_MAX,
    };

    switch (dice_8(dice) % 4) {
    case 0: return dice_64(dice);
    case 1: return (uint64_t)(int64_t)(int8_t)dice_8(dice);
    default: return DICE_PICK(dice, values);
    }
}

uint64_t guest_interesting_address(struct dice *dice)
{
    static const uint64_t bases[] = {
        0,
        0x400,
        GUEST_GDT,
        GUEST_LDT,
        GUEST_IDT,
        GUEST_TSS,
        GUEST_TSS_OTHER,
        GUEST_HANDLERS,
        GUEST_CODE,
        GUEST_CODE + 0x1000,
        GUEST_DATA,
        GUEST_DATA + 0x8000,
        GUEST_STACKS + 0x1000,
        GUEST_TABLES,
        GUEST_TABLES + 0x1000,
        GUEST_TABLES + 0x3000,
        0x9f000,
        0xa0000,
        0xb8000,
        0xf0000,
        0xfffff,
        GUEST_MEMORY,
        0x400000,
        0x410000,
        0x411000,
        0x412000,
        0x413000,
        0x800000,
        0xfec00000u,
        0xfed00000u,
        0xfee00000u,
        0xfffff000u,
        0xffffffffu,
        0x7ffffffff000,
        0x800000000000,
        0xffff800000000000,
        0xffffffff80010000,
        0xffffffff80020000,
        0xfffffffffffff000,
    };
    uint64_t base = DICE_PICK(dice, bases);

    switch (dice_8(dice) % 4) {
    case 0: return base - 1 - dice_8(dice) % 32; /* just before, or across */
    case 1: return base + PAGE_SIZE - 1 - dice_8(dice) % 64;
    case 2: return base + 16u * dice_8(dice);
    default: return base + dice_8(dice);
    }
}

uint16_t guest_interesting_selector(struct dice *dice)
{
    switch (dice_8(dice) % 8) {
    case 0: return (uint16_t)dice_64(dice);
    case 1: return (uint16_t)(dice_below(dice, GUEST_LDT_ENTRIES) * 8 + 4) | (dice_8(dice) & 3);
    case 2: return dice_8(dice) & 7; /* null, and the first of the LDT */
    default: return (uint16_t)(dice_below(dice, GUEST_GDT_ENTRIES) * 8) | (dice_8(dice) & 3);
    }
}

void code_byte(struct code *code, uint8_t byte)
{
    if (code->used < code->room)
        code->bytes[code->used++] = byte;
}

void code_value(struct code *code, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        code_byte(code, (uint8_t)(value >> 8 * i));
}

void code_text(struct code *code, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        code_byte(code, (uint8_t)bytes[i]);
}

/* --- single instructions --- */

/* Prefixes again, doubled and out of order, up to an instruction that is too long. */
static uint8_t *put_redundant(struct code *code, uint8_t *p)
{
    static const uint8_t some[] = {0x66, 0xf2, 0xf3, 0x2e, 0x3e, 0x66, 0xf2, 0xf3, 0x48, 0x67};
    uint8_t byte = DICE_PICK(code->dice, some);

    for (unsigned i = dice_below(code->dice, X86_INSN_MAX_BYTES); i > 0; i--) {
        *p++ = byte;
        if (dice_chance(code->dice, 32))
            byte = DICE_PICK(code->dice, some);
    }
    return p;
}

static uint8_t *put_prefixes(struct code *code, uint8_t *p)
{
    static const uint8_t segments[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};
    struct dice *dice = code->dice;

    if (dice_chance(dice, 24))
        p = put_redundant(code, p);
    if (dice_chance(dice, 32))
        *p++ = 0x66;
    if (dice_chance(dice, 20))
        *p++ = 0x67;
    if (dice_chance(dice, 24))
        *p++ = DICE_PICK(dice, segments);
    if (dice_chance(dice, 10))
        *p++ = 0xf0;
    if (dice_chance(dice, 28))
        *p++ = dice_8(dice) & 1 ? 0xf2 : 0xf3;
    if (code->mode == X86_MODE_LONG64 && dice_chance(dice, 144))
        *p++ = 0x40 | (dice_8(dice) & 15);
    return p;
}

static uint8_t *put_opcode(struct code *code, uint8_t *p)
{
    struct dice *dice = code->dice;
    unsigned map = dice_below(dice, 64);

    if (map >= 58) { /* C4: three-byte VEX */
        *p++ = 0xc4;
        *p++ = (uint8_t)((dice_8(dice) & 0xe0) | (1 + dice_8(dice) % 3));
        *p++ = dice_8(dice);
    } else if (map >= 52) {
        *p++ = 0xc5;
        *p++ = dice_8(dice);
    } else if (map >= 46) {
        *p++ = 0x0f;
        *p++ = dice_8(dice) & 1 ? 0x38 : 0x3a;
    } else if (map >= 22) {
        *p++ = 0x0f;
    } else if (map >= 18) {
        *p++ = 0xd8 | (dice_8(dice) & 7); /* x87 */
        return p;
    }
    *p++ = dice_8(dice);
    return p;
}

/* ModRM, perhaps SIB, and what stands for displacement and immediate, whatever they are here. */
static uint8_t *put_operands(struct code *code, uint8_t *p)
{
    struct dice *dice = code->dice;
    uint64_t displacement =
        dice_chance(dice, 176) ? guest_interesting_address(dice) : guest_interesting(dice);
    uint64_t immediate = guest_interesting(dice);

    *p++ = dice_8(dice);
    if (dice_chance(dice, 64))
        *p++ = dice_8(dice);
    memcpy(p, &displacement, 4);
    p += dice_chance(dice, 32) ? 1 : 4;
    memcpy(p, &immediate, 8);
    return p + 8;
}

#define SINGLE_MAX   48
#define SINGLE_TRIES 12

/* One instruction that decodes; now and then one that does not. */
static void single(struct code *code)
{
    uint8_t bytes[SINGLE_MAX];
    struct x86_insn insn;

    for (unsigned i = 0; i < SINGLE_TRIES; i++) {
        uint8_t *end = put_operands(code, put_opcode(code, put_prefixes(code, bytes)));

        if (x86_decode(&insn, code->mode, bytes, (size_t)(end - bytes)) == X86_DECODE_OK) {
            /* Most halts end nothing but the case. */
            if (insn.info.mnemonic == ZYDIS_MNEMONIC_HLT && dice_chance(code->dice, 192))
                continue;
            code_text(code, (const char *)bytes, insn.info.length);
            return;
        }
    }
    code_text(code, (const char *)bytes, 2);
}

void guest_code_make(struct dice *dice, enum x86_mode mode, uint8_t *bytes, size_t len)
{
    struct code code = {.dice = dice, .mode = mode, .bytes = bytes, .room = len};

    while (code.used < code.room) {
        if (dice_chance(dice, 170))
            single(&code);
        else
            code_sequence(&code);
    }
}
