/* The ends of slots: jumps, calls and returns of all kinds, to other slots. */
#include "program.h"

#define FORWARD_SPREAD 12

/* JG over it, or INT VECTOR_END. */
static void put_fuel_with_flags(struct code *code)
{
    CODE_TEXT(code, "\x49\xff\xce\x7f\x02\xcd"); /* DEC R14; JG +2; INT */
    code_8(code, VECTOR_END);
}

/* The same without a change of flags. */
static void put_fuel_quietly(struct code *code)
{
    CODE_TEXT(code, "\x4c\x87\xf1"       /* XCHG RCX, R14 */
                    "\x48\x8d\x49\xff"   /* LEA RCX, [RCX - 1] */
                    "\xe3\x02\xeb\x05"   /* JRCXZ +2; JMP +5 */
                    "\x4c\x87\xf1\xcd"); /* XCHG RCX, R14; INT */
    code_8(code, VECTOR_END);
    CODE_TEXT(code, "\x4c\x87\xf1");
}

static unsigned page_of(const struct slot *slot)
{
    return slot->offset / 4096;
}

/* A slot before or behind this one; twins know only those of their page. */
static const struct slot *pick(struct maker *maker, bool backwards)
{
    const struct program *program = maker->program;
    unsigned here = maker->number, to;

    if (backwards)
        to = dice_below(&maker->dice, here + 1);
    else
        to = here + 1 + dice_below(&maker->dice, FORWARD_SPREAD);
    if (to >= program->slots)
        to = program->slots - 1;
    if (maker->slot->twin) {
        while (page_of(&program->slot[to]) > page_of(maker->slot))
            to--;
        while (page_of(&program->slot[to]) < page_of(maker->slot))
            to++;
    }
    return &program->slot[to];
}

/* Out of the loop every now and then, to wherever. */
static void put_escape(struct maker *maker)
{
    CODE_TEXT(&maker->code, "\x41\xf6\xc6"); /* TEST R14B, imm8 */
    code_8(&maker->code, (2u << dice_below(&maker->dice, 7)) - 1);
    code_branch(&maker->code, CODE_JCC | 4,
                pick(maker, maker->slot->twin || dice_chance(&maker->dice, 96))->offset);
}

/* Going backwards costs fuel; sometimes the stack begins anew. */
static void put_fuel(struct maker *maker)
{
    if (dice_chance(&maker->dice, 200)) {
        put_fuel_with_flags(&maker->code);
        put_escape(maker);
    } else {
        put_fuel_quietly(&maker->code);
    }
    if (dice_chance(&maker->dice, 64))
        code_lea(&maker->code, X86_RSP, place_in_region(STACK_TOP));
}

/* Any slot, by an absolute address: of the code window where we are, or of any other. */
static uint64_t pick_address(struct maker *maker, uint64_t window)
{
    const struct program *program = maker->program;

    return window + program->slot[dice_below(&maker->dice, program->slots)].offset;
}

static bool is_last(const struct maker *maker)
{
    return maker->number + 1 == maker->program->slots;
}

static void end_jump(struct maker *maker)
{
    bool backwards = dice_chance(&maker->dice, 96) || maker->slot->twin || is_last(maker);

    if (backwards)
        put_fuel(maker);
    code_branch(&maker->code, CODE_JMP, pick(maker, backwards)->offset);
}

static void end_condition(struct maker *maker)
{
    bool backwards = dice_chance(&maker->dice, 80) || maker->slot->twin;

    if (backwards)
        put_fuel(maker);
    code_branch(&maker->code, CODE_JCC | (dice_8(&maker->dice) & 15),
                pick(maker, backwards)->offset);
    if (maker->slot->twin || dice_chance(&maker->dice, 128))
        code_branch(&maker->code, CODE_JMP, pick(maker, backwards)->offset);
}

/* Whether a slot follows, in the page that twins stay in. */
static bool may_return(const struct maker *maker)
{
    const struct slot *slot = maker->slot;

    if (is_last(maker))
        return false;
    return !slot->twin || (slot->offset + slot->size) % 4096 != 0;
}

/* Room before a call that ends the slot. */
static void fill_before(struct maker *maker, unsigned bytes)
{
    code_fill(&maker->code, maker->slot->size - maker->code.used - bytes);
}

static void end_call(struct maker *maker)
{
    if (!may_return(maker)) {
        end_jump(maker);
        return;
    }
    if (maker->slot->twin)
        put_fuel(maker);
    fill_before(maker, 5);
    code_branch(&maker->code, CODE_CALL, pick(maker, maker->slot->twin)->offset);
}

static void end_return(struct maker *maker)
{
    put_fuel(maker);
    if (dice_chance(&maker->dice, 48)) {
        code_8(&maker->code, 0xc2);
        code_value(&maker->code, 8 * dice_below(&maker->dice, 4), 2);
    } else {
        code_8(&maker->code, 0xc3);
    }
}

/* An address for an indirect jump: a good one, or one that is not canonical or not mapped. */
static void load_target(struct maker *maker, unsigned reg)
{
    const struct slot *to = pick(maker, true);
    unsigned bit = 47 + dice_below(&maker->dice, 17);

    code_lea(&maker->code, reg, place_in_region(to->offset));
    if (dice_chance(&maker->dice, 24)) {
        code_rr(&maker->code, 8, 0x0fba, 7, reg); /* BTC */
        code_8(&maker->code, bit);
    }
}

static uint32_t pick_cell(struct maker *maker)
{
    return (FIRST_DATA + dice_below(&maker->dice, 8)) * 4096 + dice_below(&maker->dice, 4090);
}

/* JMP (4) or CALL (2) through a register or memory; a call ends the slot. */
static void put_indirect(struct maker *maker, unsigned digit)
{
    unsigned reg = maker_register(maker);
    uint32_t cell = pick_cell(maker);

    put_fuel(maker);
    load_target(maker, reg);
    switch (dice_below(&maker->dice, 3)) {
    case 0:
        if (digit == 2)
            fill_before(maker, 2 + (reg >> 3));
        code_rr(&maker->code, 4, 0xff, digit, reg);
        break;
    case 1:
        code_rm(&maker->code, 8, 0x89, reg, place_in_region(cell), 0);
        if (digit == 2)
            fill_before(maker, 6);
        code_rm(&maker->code, 4, 0xff, digit, place_in_region(cell), 0);
        break;
    default: /* through the stack, where CALL pushes, too */
        code_push(&maker->code, reg);
        if (digit == 2)
            fill_before(maker, 7);
        code_rm(&maker->code, 4, 0xff, digit, place_at(X86_RSP, 0), 0);
        break;
    }
}

static void end_indirect(struct maker *maker)
{
    bool call = dice_chance(&maker->dice, 128) && may_return(maker);

    if (dice_chance(&maker->dice, 64)) { /* PUSH; RET */
        unsigned reg = maker_register(maker);

        put_fuel(maker);
        load_target(maker, reg);
        code_push(&maker->code, reg);
        code_8(&maker->code, 0xc3);
        return;
    }
    put_indirect(maker, call ? 2 : 4);
}

/* To the same code, or other, at another address. */
static void end_window(struct maker *maker)
{
    unsigned reg = maker_register(maker);

    put_fuel(maker);
    code_constant(&maker->code, reg, pick_address(maker, maker_window(maker)));
    code_rr(&maker->code, 4, 0xff, 4, reg);
}

/* SYSRET: in user mode it faults. */
static void put_sysret(struct maker *maker)
{
    code_constant(&maker->code, X86_RCX, pick_address(maker, LOW));
    code_constant_32(&maker->code, X86_R11, 0x202 | (dice_8(&maker->dice) & 0xd5));
    code_constant(&maker->code, X86_RSP, LOW + STACK_TOP);
    CODE_TEXT(&maker->code, "\x48\x0f\x07");
}

static void put_iretq(struct maker *maker)
{
    bool user = dice_chance(&maker->dice, 192);

    code_8(&maker->code, 0x6a); /* PUSH imm8 */
    code_8(&maker->code, user ? SEL_USER_SS : SEL_KERNEL_SS);
    code_constant_32(&maker->code, X86_RAX, (uint32_t)LOW + STACK_TOP);
    code_push(&maker->code, X86_RAX);
    code_8(&maker->code, 0x68); /* PUSH imm32 */
    code_value(&maker->code, 0x202 | (dice_8(&maker->dice) & 0xd5), 4);
    code_8(&maker->code, 0x6a);
    code_8(&maker->code, user ? SEL_USER_CS : SEL_KERNEL_CS);
    code_constant_32(&maker->code, X86_RAX, (uint32_t)pick_address(maker, LOW));
    code_push(&maker->code, X86_RAX);
    CODE_TEXT(&maker->code, "\x48\xcf");
}

static void end_privilege(struct maker *maker)
{
    switch (dice_below(&maker->dice, 4)) {
    case 0: CODE_TEXT(&maker->code, "\x0f\x05"); break; /* SYSCALL */
    case 1:
        code_8(&maker->code, 0xcd);
        code_8(&maker->code, VECTOR_CALL);
        break;
    case 2:
        put_fuel_quietly(&maker->code);
        put_sysret(maker);
        break;
    default:
        put_fuel_quietly(&maker->code);
        put_iretq(maker);
        break;
    }
}

/* On to the next slot, through whatever fills this one. */
static void end_fall(struct maker *maker)
{
    if (!may_return(maker))
        end_jump(maker);
}

void end_put(struct maker *maker)
{
    static void (*const ends[])(struct maker *) = {
        end_fall,      end_jump,   end_jump,   end_condition, end_condition, end_condition,
        end_condition, end_call,   end_call,   end_return,    end_return,    end_indirect,
        end_indirect,  end_window, end_window, end_privilege, end_privilege,
    };
    void (*end)(struct maker *) = DICE_PICK(&maker->dice, ends);
    uint64_t features = maker->program->config.features;

    if ((end == end_indirect && !(features & BIT(FEATURE_INDIRECT))) ||
        (end == end_window && !(features & BIT(FEATURE_WINDOW))) ||
        (end == end_privilege && !(features & BIT(FEATURE_PRIVILEGE))))
        end = end_condition;
    if (is_last(maker) && (end == end_condition || end == end_fall))
        end = end_jump; /* behind it there is data */
    end(maker);
    if (maker->code.used < maker->slot->size)
        code_fill(&maker->code, maker->slot->size - maker->code.used);
}
