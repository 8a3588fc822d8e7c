/*
 * Integer, stack and string instructions in 64-bit and compatibility mode against the processor
 * that runs this test: random operands for each row of a table of encodings, registers, all
 * arithmetic flags (also the undefined ones) and memory compared after each.
 */
#include <stdio.h>

#include "soft_fixture.h"
#include "host_run.h"
#include "../../edges.h"

#define WINDOW       FIXTURE_DATA /* what both sides may touch */
#define WINDOW_BYTES 0x3000u
#define ROUNDS       1500
#define ARITH        0x8d5u

enum {
    M = 1 << 0,      /* ModRM */
    MEM = 1 << 1,    /* memory only */
    I8 = 1 << 3,     /* a byte of immediate */
    IZ = 1 << 4,     /* an immediate of operand size, at most 4 bytes */
    B = 1 << 5,      /* a byte instruction: no operand size */
    LOCK = 1 << 6,   /* may be locked in memory */
    BITREG = 1 << 7, /* a register gives a bit number around the memory operand */
    STACK = 1 << 8,  /* works on RSP: 64 or 16 bits */
    REP = 1 << 9,
    W0 = 1 << 10,    /* no 16-bit form to be tested */
    DIV = 1 << 11,   /* keep the dividend small now and then */
    ACC = 1 << 12,   /* the accumulator equals memory now and then */
    NO_OF = 1 << 13, /* flags that count: all but OF; CF and AF; SF, ZF and PF */
    CF_AF = 1 << 14,
    SZP = 1 << 15,
};

struct row {
    const char *name;
    uint8_t map; /* 0: one byte, 1: 0F, 2: 0F 38 */
    uint8_t opcode;
    int8_t extension; /* ModRM.reg, or -1 */
    uint16_t flags;
};

#define ALU(name, n)                                                                               \
    {name " rm8,r8", 0, 8 * n, -1, M | B | LOCK}, {name " rm,r", 0, 8 * n + 1, -1, M | LOCK},      \
        {name " r8,rm8", 0, 8 * n + 2, -1, M | B}, {name " r,rm", 0, 8 * n + 3, -1, M},            \
        {name " al,i8", 0, 8 * n + 4, -1, B | I8}, {name " ax,iz", 0, 8 * n + 5, -1, IZ},          \
        {name " rm8,i8", 0, 0x80, n, M | B | I8 | LOCK},                                           \
        {name " rm,iz", 0, 0x81, n, M | IZ | LOCK},                                                \
    {                                                                                              \
        name " rm,i8", 0, 0x83, n, M | I8 | LOCK                                                   \
    }
#define SHIFT(name, n)                                                                             \
    {name " rm8,i8", 0, 0xc0, n, M | B | I8}, {name " rm,i8", 0, 0xc1, n, M | I8},                 \
        {name " rm8,1", 0, 0xd0, n, M | B}, {name " rm,1", 0, 0xd1, n, M},                         \
        {name " rm8,cl", 0, 0xd2, n, M | B},                                                       \
    {                                                                                              \
        name " rm,cl", 0, 0xd3, n, M                                                               \
    }
#define CC(n)                                                                                      \
    {"setcc", 1, 0x90 + n, 0, M | B},                                                              \
    {                                                                                              \
        "cmovcc", 1, 0x40 + n, -1, M                                                               \
    }

static const struct row rows[] = {
    ALU("add", 0),
    ALU("or", 1),
    ALU("adc", 2),
    ALU("sbb", 3),
    ALU("and", 4),
    ALU("sub", 5),
    ALU("xor", 6),
    ALU("cmp", 7),
    {"test rm8,r8", 0, 0x84, -1, M | B},
    {"test rm,r", 0, 0x85, -1, M},
    {"test al,i8", 0, 0xa8, -1, B | I8},
    {"test ax,iz", 0, 0xa9, -1, IZ},
    {"test rm8,i8", 0, 0xf6, 0, M | B | I8},
    {"test rm,iz", 0, 0xf7, 0, M | IZ},
    {"not rm8", 0, 0xf6, 2, M | B | LOCK},
    {"not rm", 0, 0xf7, 2, M | LOCK},
    {"neg rm8", 0, 0xf6, 3, M | B | LOCK},
    {"neg rm", 0, 0xf7, 3, M | LOCK},
    {"inc rm8", 0, 0xfe, 0, M | B | LOCK},
    {"inc rm", 0, 0xff, 0, M | LOCK},
    {"dec rm8", 0, 0xfe, 1, M | B | LOCK},
    {"dec rm", 0, 0xff, 1, M | LOCK},
    {"mul rm8", 0, 0xf6, 4, M | B},
    {"mul rm", 0, 0xf7, 4, M},
    {"imul rm8", 0, 0xf6, 5, M | B},
    {"imul rm", 0, 0xf7, 5, M},
    {"div rm8", 0, 0xf6, 6, M | B | DIV},
    {"div rm", 0, 0xf7, 6, M | DIV},
    {"idiv rm8", 0, 0xf6, 7, M | B | DIV},
    {"idiv rm", 0, 0xf7, 7, M | DIV},
    {"imul r,rm", 1, 0xaf, -1, M},
    {"imul r,rm,iz", 0, 0x69, -1, M | IZ},
    {"imul r,rm,i8", 0, 0x6b, -1, M | I8},
    SHIFT("rol", 0),
    SHIFT("ror", 1),
    SHIFT("rcl", 2),
    SHIFT("rcr", 3),
    SHIFT("shl", 4),
    SHIFT("shr", 5),
    SHIFT("sal", 6),
    SHIFT("sar", 7),
    {"shld i8", 1, 0xa4, -1, M | I8},
    {"shld cl", 1, 0xa5, -1, M},
    {"shrd i8", 1, 0xac, -1, M | I8},
    {"shrd cl", 1, 0xad, -1, M},
    {"bt rm,r", 1, 0xa3, -1, M | BITREG},
    {"bt rm,i8", 1, 0xba, 4, M | I8},
    {"bts rm,r", 1, 0xab, -1, M | BITREG | LOCK},
    {"bts rm,i8", 1, 0xba, 5, M | I8 | LOCK},
    {"btr rm,r", 1, 0xb3, -1, M | BITREG | LOCK},
    {"btr rm,i8", 1, 0xba, 6, M | I8 | LOCK},
    {"btc rm,r", 1, 0xbb, -1, M | BITREG | LOCK},
    {"btc rm,i8", 1, 0xba, 7, M | I8 | LOCK},
    {"bsf", 1, 0xbc, -1, M},
    {"bsr", 1, 0xbd, -1, M},
    {"bswap", 1, 0xc8, -1, W0},
    {"bswap", 1, 0xcb, -1, W0},
    {"mov rm8,r8", 0, 0x88, -1, M | B},
    {"mov rm,r", 0, 0x89, -1, M},
    {"mov r8,rm8", 0, 0x8a, -1, M | B},
    {"mov r,rm", 0, 0x8b, -1, M},
    {"mov rm8,i8", 0, 0xc6, 0, M | B | I8},
    {"mov rm,iz", 0, 0xc7, 0, M | IZ},
    {"mov bl,i8", 0, 0xb3, -1, B | I8},
    {"mov bh,i8", 0, 0xb7, -1, B | I8},
    {"movnti", 1, 0xc3, -1, M | MEM | W0},
    {"lea", 0, 0x8d, -1, M | MEM},
    {"movzx r,rm8", 1, 0xb6, -1, M},
    {"movzx r,rm16", 1, 0xb7, -1, M},
    {"movsx r,rm8", 1, 0xbe, -1, M},
    {"movsx r,rm16", 1, 0xbf, -1, M},
    {"movsxd", 0, 0x63, -1, M},
    {"movbe r,m", 2, 0xf0, -1, M | MEM},
    {"movbe m,r", 2, 0xf1, -1, M | MEM},
    {"xchg rm8,r8", 0, 0x86, -1, M | B | LOCK},
    {"xchg rm,r", 0, 0x87, -1, M | LOCK},
    {"xchg ax,bx", 0, 0x93, -1, 0},
    {"xchg ax,ax", 0, 0x90, -1, 0},
    {"xadd rm8,r8", 1, 0xc0, -1, M | B | LOCK},
    {"xadd rm,r", 1, 0xc1, -1, M | LOCK},
    {"cmpxchg rm8,r8", 1, 0xb0, -1, M | B | LOCK | ACC},
    {"cmpxchg rm,r", 1, 0xb1, -1, M | LOCK | ACC},
    {"cmpxchg8b/16b", 1, 0xc7, 1, M | MEM | LOCK | ACC | W0},
    {"cbw", 0, 0x98, -1, 0},
    {"cwd", 0, 0x99, -1, 0},
    {"xlat", 0, 0xd7, -1, B},
    {"lahf", 0, 0x9f, -1, B},
    {"sahf", 0, 0x9e, -1, B},
    {"clc", 0, 0xf8, -1, B},
    {"stc", 0, 0xf9, -1, B},
    {"cmc", 0, 0xf5, -1, B},
    {"nop rm", 1, 0x1f, 0, M},
    {"prefetch", 1, 0x18, 1, M | MEM | W0},
    {"push r", 0, 0x53, -1, STACK},
    {"push rsp", 0, 0x54, -1, STACK},
    {"push i8", 0, 0x6a, -1, STACK | I8},
    {"push iz", 0, 0x68, -1, STACK | IZ},
    {"push rm", 0, 0xff, 6, STACK | M},
    {"pop r", 0, 0x5b, -1, STACK},
    {"pop rsp", 0, 0x5c, -1, STACK},
    {"pop rm", 0, 0x8f, 0, STACK | M},
    {"pushf", 0, 0x9c, -1, STACK},
    {"enter 0", 0, 0xc8, 0, STACK},
    {"enter 3", 0, 0xc8, 3, STACK},
    {"leave", 0, 0xc9, -1, STACK},
    {"movsb", 0, 0xa4, -1, REP | B},
    {"movs", 0, 0xa5, -1, REP},
    {"cmpsb", 0, 0xa6, -1, REP | B},
    {"cmps", 0, 0xa7, -1, REP},
    {"stosb", 0, 0xaa, -1, REP | B},
    {"stos", 0, 0xab, -1, REP},
    {"lodsb", 0, 0xac, -1, REP | B},
    {"lods", 0, 0xad, -1, REP},
    {"scasb", 0, 0xae, -1, REP | B},
    {"scas", 0, 0xaf, -1, REP},
    CC(0),
    CC(1),
    CC(2),
    CC(3),
    CC(4),
    CC(5),
    CC(6),
    CC(7),
    CC(8),
    CC(9),
    CC(10),
    CC(11),
    CC(12),
    CC(13),
    CC(14),
    CC(15),
};

/* What 64-bit mode does not have. Flags that the manual leaves undefined are not compared. */
static const struct row legacy_rows[] = {
    {"inc ecx", 0, 0x41, -1, 0},
    {"dec edi", 0, 0x4f, -1, 0},
    {"alias 82h", 0, 0x82, 0, M | B | I8},
    {"alias 82h", 0, 0x82, 7, M | B | I8},
    {"pusha", 0, 0x60, -1, STACK},
    {"popa", 0, 0x61, -1, STACK},
    {"daa", 0, 0x27, -1, B | NO_OF},
    {"das", 0, 0x2f, -1, B | NO_OF},
    {"aaa", 0, 0x37, -1, B | CF_AF},
    {"aas", 0, 0x3f, -1, B | CF_AF},
    {"aam", 0, 0xd4, -1, B | I8 | SZP},
    {"aad", 0, 0xd5, -1, B | I8 | SZP},
    {"salc", 0, 0xd6, -1, B},
};

static uint64_t seed = 0x9e3779b97f4a7c15u;

static uint64_t any(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed * 0x2545f4914f6cdd1du;
}

static unsigned below(unsigned n)
{
    return (unsigned)((any() >> 33) % n);
}

static uint64_t value(void)
{
    static const uint64_t edges[] = {INTEGER_EDGES};

    return below(3) ? any() : edges[below(ARRAY_SIZE(edges))];
}

struct test_case {
    bool compat;
    uint8_t bytes[16];
    size_t len;
    struct host_state start;
};

static void put(struct test_case *c, uint64_t bits, unsigned bytes)
{
    memcpy(c->bytes + c->len, &bits, bytes);
    c->len += bytes;
}

/* A memory operand: base with displacement, and an index now and then; both registers get set. */
static void put_memory(struct test_case *c, unsigned reg, unsigned rex_at)
{
    static const uint8_t bases[] = {3, 5, 6, 8, 13, 15}; /* RBX, RBP, RSI, R8, R13, R15 */
    unsigned base = bases[below(c->compat ? 3 : ARRAY_SIZE(bases))], scale = below(4);
    unsigned index = c->compat || below(2) ? 1 : 9;
    int8_t disp = (int8_t)any();
    bool sib = below(2);

    c->bytes[rex_at] |= base >= 8 ? 1 : 0;
    c->start.gpr[base] = WINDOW + 0x1000 + (below(4) ? below(0x400) : 0) - (below(4) ? 0 : 4);
    if (!sib) {
        put(c, 0x40 | reg << 3 | (base & 7), 1);
    } else {
        c->bytes[rex_at] |= index >= 8 ? 2 : 0;
        c->start.gpr[index] = below(32);
        put(c, 0x44 | reg << 3, 1);
        put(c, scale << 6 | (index & 7) << 3 | (base & 7), 1);
    }
    put(c, (uint8_t)disp, 1);
}

static void put_modrm(struct test_case *c, const struct row *row, unsigned rex_at, bool memory)
{
    unsigned reg = row->extension >= 0 ? (unsigned)row->extension : below(8);

    if (!c->compat && row->extension < 0 && below(2))
        c->bytes[rex_at] |= 4;
    if (row->flags & BITREG && memory) {
        unsigned number = reg | (!c->compat && c->bytes[rex_at] & 4 ? 8 : 0);

        c->start.gpr[number] = (uint64_t)((int64_t)below(8192) - 4096);
    }
    if (memory) {
        put_memory(c, reg, rex_at);
        return;
    }
    c->bytes[rex_at] |= c->compat ? 0 : below(2);
    put(c, 0xc0 | reg << 3 | below(8), 1);
}

static void put_immediate(struct test_case *c, const struct row *row, bool word)
{
    if (row->opcode == 0xc8 && !row->map) {
        put(c, below(64), 2);
        put(c, (unsigned)row->extension, 1);
    } else if (row->flags & I8) {
        put(c, value(), 1);
    } else if (row->flags & IZ) {
        put(c, value(), word ? 2 : 4);
    }
}

static void make_registers(struct test_case *c, const struct row *row)
{
    for (unsigned i = 0; i < 16; i++)
        c->start.gpr[i] = value();
    c->start.gpr[X86_RSP] = WINDOW + 0x1000 + 8 * below(64);
    c->start.rflags = 0x202 | (any() & ARITH);
    if ((row->flags & DIV) && below(4)) {
        c->start.gpr[X86_RDX] = below(2) ? 0 : UINT64_MAX;
        c->start.gpr[X86_RAX] &= below(2) ? 0xfff : UINT64_MAX;
    }
    if (row->flags & REP) {
        c->start.gpr[X86_RCX] = below(8) ? below(300) : 0;
        c->start.gpr[X86_RSI] = WINDOW + 0x1000 + below(0x200) - 0x100;
        c->start.gpr[X86_RDI] =
            below(2) ? c->start.gpr[X86_RSI] + below(20) - 10 : WINDOW + 0x1000 + below(0x200);
        c->start.rflags |= below(3) ? 0 : X86_FLAG_DF;
        if (below(2))
            c->start.gpr[X86_RAX] = 0x0101010101010101u * below(2);
    }
    if (!row->map && row->opcode == 0xd7)
        c->start.gpr[X86_RBX] = WINDOW + 0x1000 + below(64);
    if (!row->map && (row->opcode == 0xc9 || row->opcode == 0xc8))
        c->start.gpr[X86_RBP] = WINDOW + 0x1000 + below(64);
}

/* Takes a byte out again. */
static void drop_byte(struct test_case *c, unsigned at)
{
    memmove(c->bytes + at, c->bytes + at + 1, c->len - at - 1);
    c->len--;
}

static void make_case(struct test_case *c, const struct row *row, bool compat)
{
    bool memory = (row->flags & M) && ((row->flags & MEM) || below(2));
    bool word = !(row->flags & (B | W0)) && !below(3);
    bool wide = !compat && !(row->flags & (B | STACK)) && below(2);
    unsigned rex_at;

    memset(c, 0, sizeof(*c));
    c->compat = compat;
    make_registers(c, row);
    if (memory && (row->flags & LOCK) && below(2))
        put(c, 0xf0, 1);
    if ((row->flags & REP) && below(4))
        put(c, 0xf2 + below(2), 1);
    if (word)
        put(c, 0x66, 1);
    if (!compat && (memory || (row->flags & REP)) && !below(4)) {
        put(c, 0x67, 1);
        if (row->flags & REP) {
            c->start.gpr[X86_RCX] |= any() << 32;
            c->start.gpr[X86_RSI] |= any() << 32;
            c->start.gpr[X86_RDI] |= any() << 32;
        }
    }
    rex_at = (unsigned)c->len;
    put(c, 0x40 | (wide ? 8 : 0), 1);
    if (row->map)
        put(c, 0x0f, 1);
    if (row->map == 2)
        put(c, 0x38, 1);
    put(c, row->opcode, 1);
    if (row->flags & M)
        put_modrm(c, row, rex_at, memory);
    put_immediate(c, row, word && !wide);
    /* Without REX, AH to BH instead of SPL to DIL; outside 64-bit mode there is none. */
    if (compat || ((row->flags & B) && c->bytes[rex_at] == 0x40 && below(2)))
        drop_byte(c, rex_at);
    for (unsigned i = 0; compat && i < 16; i++)
        c->start.gpr[i] = i < 8 ? (uint32_t)c->start.gpr[i] : 0;
}

/* Random memory; strings compare equal for a while in half of the cases. */
static void fill_window(uint8_t *window, const struct row *row)
{
    bool runs = (row->flags & REP) && below(2);
    uint8_t byte = (uint8_t)below(2);

    for (unsigned i = 0; i < WINDOW_BYTES; i += 8) {
        uint64_t bits = runs ? 0x0101010101010101u * byte : any();

        memcpy(window + i, &bits, 8);
    }
    if (runs)
        window[0x1000 + below(0x200)] ^= 1;
}

static void load_state(struct cpu *cpu, const struct host_state *s)
{
    memcpy(cpu->x.gpr, s->gpr, sizeof(s->gpr));
    cpu->x.gpr[X86_RIP] = FIXTURE_CODE;
    cpu_set_rflags(cpu, s->rflags);
}

static void print_case(const struct row *row, const struct test_case *c)
{
    char text[96];

    x86_disassemble(text, sizeof(text), c->compat ? X86_MODE_COMPAT32 : X86_MODE_LONG64, c->bytes,
                    c->len, FIXTURE_CODE);
    print_message("%s: %s, flags %#llx\n", row->name, text, (unsigned long long)c->start.rflags);
}

static uint64_t compared_flags(const struct row *row)
{
    uint64_t mask = ARITH | X86_FLAG_DF;

    if (row->flags & NO_OF)
        mask &= ~X86_FLAG_OF;
    if (row->flags & CF_AF)
        mask = X86_FLAG_CF | X86_FLAG_AF;
    if (row->flags & SZP)
        mask = X86_FLAG_SF | X86_FLAG_ZF | X86_FLAG_PF;
    return mask;
}

static void compare(struct fixture *f, const struct row *row, const struct test_case *c,
                    const struct host_state *host, const uint8_t *guest)
{
    uint64_t flags = cpu_rflags(&f->cpu);
    bool same = !memcmp(guest, (void *)(uintptr_t)WINDOW, WINDOW_BYTES) &&
                !memcmp(host->gpr, f->cpu.x.gpr, sizeof(host->gpr)) &&
                !((flags ^ host->rflags) & compared_flags(row)) &&
                f->cpu.x.gpr[X86_RIP] == FIXTURE_CODE + c->len;

    if (same)
        return;
    print_case(row, c);
    for (unsigned i = 0; i < 16; i++) {
        if (host->gpr[i] != f->cpu.x.gpr[i])
            print_message("r%u: before %#llx, host %#llx, guest %#llx\n", i,
                          (unsigned long long)c->start.gpr[i], (unsigned long long)host->gpr[i],
                          (unsigned long long)f->cpu.x.gpr[i]);
    }
    print_message("flags: host %#llx, guest %#llx\n", (unsigned long long)host->rflags,
                  (unsigned long long)flags);
    for (unsigned i = 0; i < WINDOW_BYTES; i++) {
        if (guest[i] != ((uint8_t *)(uintptr_t)WINDOW)[i])
            print_message("memory at %#x differs\n", i);
    }
    fail_msg("%s differs from the host", row->name);
}

/* Until it is done: REP may want to be asked again. */
static enum step run_whole(struct fixture *f, const struct test_case *c)
{
    enum step step;

    do
        step = fixture_run(f, c->bytes, c->len);
    while (step == STEP_AGAIN);
    return step;
}

static bool run_case(struct fixture *f, const struct row *row, uint8_t *guest)
{
    uint8_t *window = (uint8_t *)(uintptr_t)WINDOW;
    struct test_case c;
    struct host_state host;
    enum step step;
    int number;

    make_case(&c, row, !f->cpu.long64);
    fill_window(window, row);
    if ((row->flags & ACC) && below(2))
        memcpy(&c.start.gpr[X86_RAX], window + 0x1000, c.compat ? 4 : 8);
    memcpy(guest, window, WINDOW_BYTES);
    host = c.start;
    number = host_run(&host, c.bytes, c.len, c.compat);
    if (number == SIGSEGV || number == SIGBUS)
        return false; /* the random operand reached elsewhere */
    load_state(&f->cpu, &c.start);
    step = run_whole(f, &c);
    if (number) {
        if (step != STEP_FAULT || f->cpu.fault.vector != (number == SIGFPE ? X86_DE : X86_UD)) {
            print_case(row, &c);
            fail_msg("%s: the host got signal %d", row->name, number);
        }
        return true;
    }
    if (step != STEP_NEXT) {
        print_case(row, &c);
        fail_msg("%s: step %d, vector %u", row->name, step, f->cpu.fault.vector);
    }
    compare(f, row, &c, &host, guest);
    return true;
}

static void run_rows(struct fixture *f, const struct row *row, size_t count)
{
    uint8_t *guest = mem_host(f->cpu.mem, FIXTURE_DATA_GPA, WINDOW_BYTES, true);

    assert_true(host_run_init()); /* here, since cmocka has signal handlers of its own */
    for (; count; count--, row++) {
        unsigned done = 0;

        for (unsigned n = 0; n < ROUNDS; n++)
            done += run_case(f, row, guest);
        if (done < ROUNDS / 4)
            fail_msg("%s: only %u cases ran", row->name, done);
    }
}

static void test_64_bit_mode(void **state)
{
    run_rows(*state, rows, ARRAY_SIZE(rows));
}

static void test_compatibility_mode(void **state)
{
    fixture_enter_compat32(*state);
    run_rows(*state, rows, ARRAY_SIZE(rows));
}

static void test_legacy_only(void **state)
{
    fixture_enter_compat32(*state);
    run_rows(*state, legacy_rows, ARRAY_SIZE(legacy_rows));
}

static int setup(void **state)
{
    void *at = mmap((void *)(uintptr_t)WINDOW, WINDOW_BYTES, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

    if (at != (void *)(uintptr_t)WINDOW)
        return -1;
    *state = fixture_create("max");
    return 0;
}

static int teardown(void **state)
{
    fixture_destroy(*state);
    munmap((void *)(uintptr_t)WINDOW, WINDOW_BYTES);
    munmap((void *)(uintptr_t)HOST_STATE, HOST_BYTES);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_64_bit_mode, setup, teardown),
        cmocka_unit_test_setup_teardown(test_compatibility_mode, setup, teardown),
        cmocka_unit_test_setup_teardown(test_legacy_only, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
