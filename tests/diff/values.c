/* Random contents for registers and memory: mostly values at which instructions do something. */
#include "generate.h"

#include <string.h>

#include "../edges.h"
#include "engine/soft/native_internal.h"

/* Numbers near the edges of the integer types, and floating-point values of each kind. */
static const uint64_t edges[] = {
    INTEGER_EDGES,      0x3f8000003f800000, 0x4049000000000000, 0x3ff0000000000000,
    0xbff0000000000000, 0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000000,
    0x7ff0000000000001, 0x0000000000000001, 0x000fffffffffffff, 0x7f8000007fc00000,
    0x7f80000100000001, 0x0102040810204080, 0x5555555555555555, 0x3c003c003c003c00,
};

static uint64_t random_value(struct diff_random *r)
{
    switch (random_below(r, 4)) {
    case 0: return edges[random_below(r, ARRAY_SIZE(edges))];
    case 1: return random_below(r, 256);
    case 2: return random_next(r) & random_next(r);
    default: return random_next(r);
    }
}

/* A floating-point number of moderate size, in both precisions at once where it fits. */
static uint64_t random_float(struct diff_random *r)
{
    double d = (double)(int64_t)(random_next(r) >> 40) / 64.0 - 100000.0;
    float f[2] = {(float)d, (float)random_below(r, 1000) - 500.0f};
    uint64_t bits;

    memcpy(&bits, random_one_in(r, 2) ? (const void *)&d : (const void *)f, 8);
    return bits;
}

static uint64_t random_data(struct diff_random *r)
{
    return random_one_in(r, 2) ? random_float(r) : random_value(r);
}

void diff_pool_init(uint8_t pool[DIFF_POOL_BYTES], uint64_t seed)
{
    struct diff_random r = {seed};

    for (unsigned at = 0; at < DIFF_POOL_BYTES; at += 8) {
        uint64_t value = random_data(&r);

        if (random_one_in(&r, 16)) /* something that LDMXCSR takes */
            value = 0x1f80 | (random_next(&r) & 0xffff) << 32;
        if (random_one_in(&r, 16)) /* an address in the data pages */
            value = DIFF_DATA + random_below(&r, DIFF_DATA_RW);
        memcpy(pool + at, &value, 8);
    }
}

/* Extended precision: a number, an infinity, a NaN, a denormal or an invalid form. */
static void random_st(uint8_t st[16], struct diff_random *r)
{
    uint64_t significand = random_next(r) | BIT(63);
    uint16_t exponent = (uint16_t)(16383 - 40 + random_below(r, 80));

    if (random_one_in(r, 4)) {
        static const uint16_t exponents[] = {0, 0, 0x7fff, 0x7fff, 1, 0x7ffe, 16383};
        static const uint64_t significands[] = {0, 1, BIT(63), BIT(63) | BIT(62), BIT(62), ~0ull};

        exponent = exponents[random_below(r, ARRAY_SIZE(exponents))];
        significand = significands[random_below(r, ARRAY_SIZE(significands))];
    }
    exponent |= (uint16_t)(random_below(r, 2) << 15);
    memcpy(st, &significand, 8);
    memcpy(st + 8, &exponent, 2);
}

static void random_x87(struct diff_state *s, struct diff_random *r)
{
    s->fcw = 0x37f;
    if (random_one_in(r, 2))
        s->fcw = (uint16_t)(0x7f | (random_next(r) & 0xf00));
    if (random_one_in(r, 16))
        s->fcw = (uint16_t)(0x40 | (random_next(r) & 0xf3f));
    s->fsw = (uint16_t)(random_next(r) & 0x7f00);
    if (random_one_in(r, 8))
        s->fsw |= (uint16_t)(random_next(r) & 0x7f);
    if (s->fsw & ~s->fcw & 0x3f)
        s->fsw |= X87_STATUS_ES | X87_STATUS_B;
    s->ftw = random_one_in(r, 3) ? (uint8_t)random_next(r) : random_one_in(r, 2) ? 0xff : 0;
    for (unsigned i = 0; i < 8; i++)
        random_st(s->st[i], r);
}

static uint64_t random_pointer(struct diff_random *r)
{
    uint64_t offset = 0x100 + random_below(r, DIFF_DATA_RW - 0x200);

    if (random_one_in(r, 2))
        offset &= ~(uint64_t)31;
    if (random_one_in(r, 12)) /* near the seam of two pages, or the end of what may be written */
        offset = (random_one_in(r, 2) ? PAGE_SIZE : DIFF_DATA_RW) - random_below(r, 40);
    return DIFF_DATA + offset;
}

void diff_random_state(struct diff_state *s, struct diff_random *r, bool compat)
{
    memset(s, 0, sizeof(*s));
    for (unsigned i = 0; i < 16; i++) {
        s->gpr[i] = random_one_in(r, 2) ? random_pointer(r) : random_value(r);
        if (random_one_in(r, 4))
            s->gpr[i] = random_below(r, 32);
        if (compat)
            s->gpr[i] = i < 8 ? (uint32_t)s->gpr[i] : 0;
    }
    s->gpr[X86_RSP] = ALIGN_DOWN(random_pointer(r), random_one_in(r, 8) ? 1 : 16);
    s->rflags = X86_FLAG_ONE | X86_FLAG_IF | (random_next(r) & X86_FLAGS_ARITH);
    if (random_one_in(r, 8))
        s->rflags |= X86_FLAG_DF;
    if (random_one_in(r, 32))
        s->rflags |= X86_FLAG_AC;
    if (!compat) {
        s->fs_base = random_below(r, 4) * 0x40;
        s->gs_base = random_below(r, 4) * 0x80;
    }
    for (unsigned i = 0; i < (compat ? 8u : 16u); i++)
        for (unsigned at = 0; at < 32; at += 8) {
            uint64_t value = random_data(r);

            memcpy(s->ymm[i] + at, &value, 8);
        }
    s->mxcsr = MXCSR_DEFAULT;
    if (random_one_in(r, 3))
        s->mxcsr = MXCSR_DEFAULT | (random_next(r) & 0xe07f);
    if (random_one_in(r, 16))
        s->mxcsr = random_next(r) & 0xffff;
    random_x87(s, r);
}
