/*
 * Random prefixes and operands around an instruction's form; addresses mostly lead into the data
 * pages.
 */
#include "generate.h"

#include <string.h>

#define PADDED_ONE_IN 5 /* so many instructions get redundant prefixes */

struct out {
    uint8_t *bytes;
    unsigned n;
};

static void put(struct out *o, unsigned byte)
{
    o->bytes[o->n++] = (uint8_t)byte;
}

static void put32(struct out *o, uint32_t value)
{
    memcpy(o->bytes + o->n, &value, 4);
    o->n += 4;
}

/* What the ModRM byte says, with the extension bits of REX or VEX. */
struct operand {
    uint8_t modrm, sib;
    bool has_sib;
    unsigned disp_bytes;
    uint32_t disp;
    bool rip_relative;
    unsigned r, x, b;
};

/* A register whose value fits; -1 when there is none. */
static int pick(struct diff_random *r, const struct diff_state *s, uint32_t allowed, bool small)
{
    unsigned start = (unsigned)random_below(r, 16);

    for (unsigned k = 0; k < 16; k++) {
        unsigned i = (start + k) & 15;

        if (!(allowed >> i & 1))
            continue;
        if (small ? s->gpr[i] < 32 && i != X86_RSP : s->gpr[i] - DIFF_DATA < DIFF_DATA_SIZE)
            return (int)i;
    }
    return -1;
}

static void random_memory(struct operand *m, struct diff_random *r, const struct diff_state *s,
                          uint32_t pointers, bool compat, bool vsib)
{
    int base = random_one_in(r, 16) ? -1 : pick(r, s, pointers, false);
    int index = vsib                  ? (int)random_below(r, compat ? 8 : 16)
                : random_one_in(r, 3) ? pick(r, s, pointers, true)
                                      : -1;
    unsigned mod = (unsigned)random_below(r, 3);

    if (base < 0 && !vsib && !compat && random_one_in(r, 2)) {
        m->rip_relative = true;
        m->modrm |= 5;
        m->disp_bytes = 4;
        return;
    }
    if (base < 0)
        mod = 0;
    else if (mod == 0 && (base & 7) == 5)
        mod = 1;
    m->disp_bytes = mod == 1 ? 1 : mod == 2 || base < 0 ? 4 : 0;
    m->disp = (uint32_t)(int32_t)(int8_t)random_next(r);
    if (base < 0)
        m->disp = DIFF_DATA + 0x100 + (uint32_t)random_below(r, DIFF_DATA_RW - 0x200);
    m->modrm |= (uint8_t)(mod << 6);
    if (index >= 0 || base < 0 || (base & 7) == 4) {
        m->has_sib = true;
        m->modrm |= 4;
        m->sib = (uint8_t)(random_below(r, 4) << 6 | (index < 0 ? 4u : (unsigned)index & 7) << 3 |
                           (base < 0 ? 5u : (unsigned)base & 7));
        m->x = index >= 8;
    } else {
        m->modrm |= (uint8_t)(base & 7);
    }
    m->b = base >= 8;
}

static bool is_vsib(const struct diff_template *t)
{
    return t->vex && t->map == 2 && t->opcode >= 0x90 && t->opcode <= 0x93;
}

static void random_operand(struct operand *m, const struct diff_template *t, struct diff_random *r,
                           const struct diff_state *s, uint32_t pointers, bool compat)
{
    *m = (struct operand){.modrm = t->modrm & 0x38};
    if (random_one_in(r, 2)) /* the reg field may be a register's number */
        m->modrm = (uint8_t)(random_below(r, 8) << 3);
    if (t->memory) {
        random_memory(m, r, s, pointers, compat, is_vsib(t));
    } else {
        m->modrm |= 0xc0 | (t->modrm & 7);
        if (!(t->map == 0 && (t->opcode & 0xf8) == 0xd8) && !(t->map == 1 && t->opcode == 1))
            m->modrm = (uint8_t)((m->modrm & ~7u) | random_below(r, 8));
        m->b = compat ? 0 : (unsigned)random_below(r, 2);
    }
    m->r = compat ? 0 : (unsigned)random_below(r, 2);
}

/* Prefixes in the order in which they will stand. */
struct prefixes {
    uint8_t bytes[2 * X86_INSN_MAX_BYTES];
    unsigned n;
};

static void add_prefix(struct prefixes *p, unsigned byte)
{
    p->bytes[p->n++] = (uint8_t)byte;
}

static unsigned random_fs_or_gs(struct diff_random *r)
{
    return 0x64 + (unsigned)random_below(r, 2);
}

/* One that is there already, or one that does nothing before most instructions. */
static uint8_t redundant_prefix(const struct prefixes *p, struct diff_random *r, bool compat)
{
    static const uint8_t some[] = {0x36, 0x3e, 0x26, 0x66, 0xf2, 0xf3, 0x2e, 0x48, 0x41, 0x40};

    if (p->n && random_one_in(r, 2))
        return p->bytes[random_below(r, p->n)];
    return some[random_below(r, ARRAY_SIZE(some) - (compat ? 4 : 0))]; /* the last are CS and REX */
}

/* Doubled and misordered prefixes; what gets too long by them, or another instruction, is no case.
 */
static void pad(struct prefixes *p, struct diff_random *r, bool compat, bool vex)
{
    uint64_t more = random_below(r, X86_INSN_MAX_BYTES - 2);

    for (uint64_t i = 0; i < more; i++)
        add_prefix(p, vex ? random_fs_or_gs(r) : redundant_prefix(p, r, compat));
    for (unsigned i = p->n; i > 1 && random_one_in(r, 2); i--) {
        uint64_t other = random_below(r, i);
        uint8_t byte = p->bytes[i - 1];

        p->bytes[i - 1] = p->bytes[other];
        p->bytes[other] = byte;
    }
}

static void put_prefixes(struct out *o, const struct prefixes *p)
{
    for (unsigned i = 0; i < p->n; i++)
        put(o, p->bytes[i]);
}

void diff_stretch(uint8_t *bytes, unsigned len, struct diff_random *r)
{
    static const uint8_t some[] = {0x3e, 0x66, 0xf2, 0xf3};
    unsigned more = X86_INSN_MAX_BYTES - len;
    unsigned byte = random_one_in(r, 2) ? bytes[0] : some[random_below(r, ARRAY_SIZE(some))];

    memmove(bytes + more, bytes, len);
    memset(bytes, (int)byte, more);
}

static void put_legacy(struct out *o, const struct diff_template *t, struct diff_random *r,
                       const struct operand *m, bool compat)
{
    unsigned rex = (t->w ? 8u : 0) | m->r << 2 | m->x << 1 | m->b;
    struct prefixes p = {.n = 0};

    if (!compat && random_one_in(r, 16))
        add_prefix(&p, random_fs_or_gs(r));
    if (random_one_in(r, 32))
        add_prefix(&p, random_one_in(r, 2) ? 0x67 : 0x3e);
    if (t->memory && random_one_in(r, 12))
        add_prefix(&p, 0xf0);
    if (random_one_in(r, 12))
        add_prefix(&p, 0x66);
    if (t->prefix)
        add_prefix(&p, t->prefix);
    if (random_one_in(r, PADDED_ONE_IN))
        pad(&p, r, compat, false);
    put_prefixes(o, &p);
    if (!compat && (rex || random_one_in(r, 8)))
        put(o, 0x40 | rex);
    if (t->map > 0)
        put(o, 0x0f);
    if (t->map > 1)
        put(o, t->map == 2 ? 0x38 : 0x3a);
    put(o, t->opcode);
}

static void put_vex(struct out *o, const struct diff_template *t, struct diff_random *r,
                    const struct operand *m, bool compat)
{
    unsigned pp = diff_vex_pp(t->prefix);
    unsigned vvvv = random_one_in(r, 3) ? 15 : (unsigned)random_below(r, 16);
    struct prefixes p = {.n = 0};

    if (compat)
        vvvv |= 8;
    if (!compat && random_one_in(r, 16))
        add_prefix(&p, random_fs_or_gs(r));
    if (!compat && random_one_in(r, PADDED_ONE_IN))
        pad(&p, r, compat, true);
    put_prefixes(o, &p);
    if (t->map == 1 && !t->w && !m->x && !m->b && random_one_in(r, 2)) {
        put(o, 0xc5);
        put(o, (m->r ? 0 : 0x80u) | vvvv << 3 | (t->l ? 4u : 0) | pp);
    } else {
        put(o, 0xc4);
        put(o, (m->r ? 0 : 0x80u) | (m->x ? 0 : 0x40u) | (m->b ? 0 : 0x20u) | t->map);
        put(o, (t->w ? 0x80u : 0) | vvvv << 3 | (t->l ? 4u : 0) | pp);
    }
    put(o, t->opcode);
}

unsigned diff_encode(uint8_t *bytes, const struct diff_template *t, struct diff_random *r,
                     const struct diff_state *s, uint32_t pointers, bool compat, uint64_t ip)
{
    struct out o = {bytes, 0};
    struct operand m = {0};
    uint64_t immediate = random_next(r);

    if (t->has_modrm)
        random_operand(&m, t, r, s, pointers, compat);
    else if (!compat)
        m.b = (unsigned)random_below(r, 2); /* registers in the opcode */
    if (t->vex)
        put_vex(&o, t, r, &m, compat);
    else
        put_legacy(&o, t, r, &m, compat);
    if (t->has_modrm) {
        put(&o, m.modrm);
        if (m.has_sib)
            put(&o, m.sib);
        if (m.rip_relative)
            put32(&o, DIFF_DATA + 0x100 + (uint32_t)random_below(r, DIFF_DATA_RW - 0x200) -
                          (uint32_t)ip - o.n - 4);
        else if (m.disp_bytes == 1)
            put(&o, m.disp & 0xff);
        else if (m.disp_bytes == 4)
            put32(&o, m.disp);
    }
    if (random_one_in(r, 2))
        immediate = (uint64_t)(int64_t)(int8_t)immediate;
    memcpy(bytes + o.n, &immediate, 8);
    return o.n + 8;
}
