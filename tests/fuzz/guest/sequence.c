/*
 * Sequences: system registers, descriptors, far transfers, ports, string instructions, state
 * images, page tables and code that changes itself, each with operands that have a chance to pass
 * the first checks.
 */
#include "guest/code.h"

#define TEXT(code, bytes) code_text(code, bytes, sizeof(bytes) - 1)

enum reg { AX, CX, DX, BX, SP, BP, SI, DI };

static bool is_16bit(const struct code *code)
{
    return code->mode == X86_MODE_REAL16 || code->mode == X86_MODE_PROT16 ||
           code->mode == X86_MODE_COMPAT16;
}

static bool is_long(const struct code *code)
{
    return code->mode == X86_MODE_LONG64;
}

/* The prefix that makes an operand 32 bits wide (in 64-bit mode: 64 where wide is asked for). */
static void operand32(struct code *code)
{
    if (is_16bit(code))
        code_byte(code, 0x66);
}

static void address32(struct code *code)
{
    if (is_16bit(code))
        code_byte(code, 0x67);
}

static void load(struct code *code, enum reg reg, uint64_t value)
{
    if (is_long(code) && value > UINT32_MAX) {
        code_byte(code, 0x48);
        code_byte(code, (uint8_t)(0xb8 + reg));
        code_value(code, value, 8);
        return;
    }
    operand32(code);
    code_byte(code, (uint8_t)(0xb8 + reg));
    code_value(code, value, 4);
}

static void load_address(struct code *code, enum reg reg)
{
    load(code, reg, guest_interesting_address(code->dice));
}

/* opcode /digit [BX], through the address size of 32 bits or more. */
static void on_memory(struct code *code, const char *opcode, size_t len, unsigned digit)
{
    load_address(code, BX);
    address32(code);
    code_text(code, opcode, len);
    code_byte(code, (uint8_t)(digit << 3 | 3));
}

static void far_pointer_at_bx(struct code *code, uint16_t selector, uint32_t offset)
{
    load(code, BX, GUEST_DATA + 8 * (dice_8(code->dice) & 31u));
    operand32(code);
    address32(code);
    TEXT(code, "\xc7\x03"); /* mov dword [bx], offset */
    code_value(code, offset, 4);
    operand32(code);
    address32(code);
    TEXT(code, "\xc7\x43\x04");
    code_value(code, selector, 4);
}

static uint32_t code_target(struct code *code)
{
    if (dice_chance(code->dice, 32))
        return (uint32_t)guest_interesting_address(code->dice);
    return (code->mode == X86_MODE_REAL16 ? 0 : GUEST_CODE) +
           dice_below(code->dice, GUEST_CODE_BYTES);
}

static void push(struct code *code, uint32_t value)
{
    operand32(code);
    code_byte(code, 0x68);
    code_value(code, value, 4);
}

/* --- the sequences --- */

static void seq_load(struct code *code)
{
    load(code, (enum reg)(dice_8(code->dice) & 7),
         dice_chance(code->dice, 128) ? guest_interesting_address(code->dice)
                                      : guest_interesting(code->dice));
}

static void seq_msr(struct code *code)
{
    static const uint32_t indices[] = {
        0x10,       0x1b,       0x48,       0x8b,       0xfe,       0x174,      0x175,
        0x176,      0x179,      0x17a,      0x1a0,      0x1d9,      0x200,      0x201,
        0x250,      0x268,      0x26f,      0x277,      0x2ff,      0x6e0,      0x802,
        0x808,      0x80b,      0x80d,      0x80f,      0x830,      0x832,      0x838,
        0x83f,      0xda0,      0xc0000080, 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084,
        0xc0000100, 0xc0000101, 0xc0000102, 0xc0000103, 0xc0010015,
    };
    uint64_t value = guest_interesting(code->dice);

    load(code, CX,
         dice_chance(code->dice, 16) ? dice_64(code->dice) & UINT32_MAX
                                     : DICE_PICK(code->dice, indices));
    load(code, AX, value & UINT32_MAX);
    load(code, DX, dice_chance(code->dice, 160) ? 0 : value >> 32);
    code_byte(code, 0x0f);
    code_byte(code, dice_chance(code->dice, 192) ? 0x30 : 0x32);
}

static void seq_control(struct code *code)
{
    static const uint8_t numbers[] = {0, 0, 2, 3, 4, 4, 8, 1};
    static const uint64_t cr0[] = {0x11,       0x10,       0x31,       0x80000011, 0x80010031,
                                   0x80000010, 0x60000010, 0x80050033, 0x1d,       0x20000011};
    static const uint64_t cr4[] = {0,       0x20,     0x6a0, 0x10,    0x406f0,
                                   0x206f0, 0x3006f0, 0x700, 0x3706b0};
    uint8_t number = DICE_PICK(code->dice, numbers);
    uint64_t value = guest_interesting(code->dice);

    if (number == 0 && dice_chance(code->dice, 208))
        value = DICE_PICK(code->dice, cr0);
    else if (number == 4 && dice_chance(code->dice, 208))
        value = DICE_PICK(code->dice, cr4);
    else if (number == 3 && dice_chance(code->dice, 208))
        value = GUEST_TABLES + (dice_8(code->dice) & 31u);
    load(code, AX, value);
    TEXT(code, "\x0f\x22");
    code_byte(code, (uint8_t)(0xc0 | number << 3));
}

static void seq_debug(struct code *code)
{
    static const uint8_t numbers[] = {0, 1, 2, 3, 6, 7, 7, 4};
    uint8_t number = DICE_PICK(code->dice, numbers);

    load(code, AX, number < 4 ? code_target(code) : guest_interesting(code->dice));
    TEXT(code, "\x0f\x23");
    code_byte(code, (uint8_t)(0xc0 | number << 3));
}

static void seq_port(struct code *code)
{
    static const uint16_t ports[] = {
        0x20,  0x21,  0x40,  0x42,  0x43,  0x60,  0x61,  0x64,  0x70,  0x71,  0x80,   0x92,
        0xa0,  0xa1,  0xb2,  0xe9,  0x1f0, 0x1f2, 0x1f6, 0x1f7, 0x170, 0x177, 0x3c0,  0x3c5,
        0x3cf, 0x3d4, 0x3d5, 0x3da, 0x3f6, 0x3f8, 0x3f9, 0x402, 0x4d0, 0x505, 0x510,  0x511,
        0x514, 0x518, 0x600, 0x604, 0x608, 0x620, 0xcf8, 0xcf9, 0xcfc, 0xcfe, 0xffff, 0xfffe,
    };
    uint8_t op = dice_8(code->dice);

    load(code, DX,
         dice_chance(code->dice, 32) ? dice_64(code->dice) & 0xffff : DICE_PICK(code->dice, ports));
    if (op & 4) {
        load(code, AX, guest_interesting(code->dice));
        code_byte(code, (uint8_t)(0xec + (op & 3)));
        return;
    }
    load_address(code, op & 2 ? SI : DI);
    load(code, CX, dice_8(code->dice));
    address32(code);
    if (op & 8)
        code_byte(code, 0xf3);
    code_byte(code, (uint8_t)(0x6c + (op & 3))); /* INS, OUTS */
}

static void seq_string(struct code *code)
{
    static const uint8_t opcodes[] = {0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf};
    static const uint8_t prefixes[] = {0xf3, 0xf3, 0xf2, 0x66, 0x26, 0x64};
    uint64_t count =
        dice_chance(code->dice, 24) ? guest_interesting(code->dice) : dice_64(code->dice) & 0x1fff;

    load_address(code, SI);
    load_address(code, DI);
    load(code, CX, count);
    if (dice_chance(code->dice, 64))
        code_byte(code, dice_8(code->dice) & 1 ? 0xfd : 0xfc);
    if (dice_chance(code->dice, 200))
        address32(code);
    code_byte(code, DICE_PICK(code->dice, prefixes));
    if (is_long(code) && dice_chance(code->dice, 64))
        code_byte(code, 0x48);
    code_byte(code, DICE_PICK(code->dice, opcodes));
}

static void seq_segment(struct code *code)
{
    uint8_t what = dice_8(code->dice) % 10;

    load(code, AX, guest_interesting_selector(code->dice));
    if (what < 5) {
        code_byte(code, 0x8e);
        code_byte(code, (uint8_t)(0xc0 | (dice_8(code->dice) % 6) << 3));
        return;
    }
    code_byte(code, 0x0f);
    if (what < 8) { /* SLDT, STR, LLDT, LTR, VERR, VERW */
        code_byte(code, 0x00);
        code_byte(code, (uint8_t)(0xc0 | (dice_8(code->dice) % 6) << 3));
    } else { /* LAR, LSL */
        code_byte(code, (uint8_t)(0x02 + (dice_8(code->dice) & 1)));
        code_byte(code, 0xc8);
    }
}

static void seq_far(struct code *code)
{
    uint16_t selector = guest_interesting_selector(code->dice);
    uint32_t target = code_target(code);

    switch (dice_8(code->dice) % 5) {
    case 0:
        push(code, selector);
        push(code, target);
        operand32(code);
        code_byte(code, 0xcb);
        break;
    case 1:
        if (is_long(code))
            break;
        operand32(code);
        code_byte(code, dice_8(code->dice) & 1 ? 0x9a : 0xea);
        code_value(code, target, 4);
        code_value(code, selector, 2);
        break;
    case 2: /* LSS, LFS, LGS */
        far_pointer_at_bx(code, selector, target);
        operand32(code);
        address32(code);
        code_byte(code, 0x0f);
        code_byte(code, (uint8_t)(dice_8(code->dice) & 1 ? 0xb2 : 0xb4));
        code_byte(code, 0x0b);
        break;
    default: /* CALL, JMP m16:32 */
        far_pointer_at_bx(code, selector, target);
        operand32(code);
        address32(code);
        code_byte(code, 0xff);
        code_byte(code, dice_8(code->dice) & 1 ? 0x1b : 0x2b);
        break;
    }
}

static void seq_iret(struct code *code)
{
    uint32_t flags = (uint32_t)dice_64(code->dice) & 0x277fd7;

    if (dice_chance(code->dice, 128)) {
        push(code, guest_interesting_selector(code->dice));
        push(code, GUEST_STACKS + 0x9000);
    }
    push(code, dice_chance(code->dice, 32) ? flags : flags & 0x3ed7);
    push(code, guest_interesting_selector(code->dice));
    push(code, code_target(code));
    if (is_long(code) && dice_chance(code->dice, 224))
        code_byte(code, 0x48);
    else
        operand32(code);
    code_byte(code, 0xcf);
}

static void seq_flags(struct code *code)
{
    push(code, (uint32_t)dice_64(code->dice) & (dice_chance(code->dice, 32) ? ~0u : 0x245ed7u));
    operand32(code);
    code_byte(code, 0x9d);
}

static void seq_interrupt(struct code *code)
{
    static const uint8_t vectors[] = {0, 1, 3, 8, 13, 14, 0x10, 0x13, 0x15, 0x20, 0x80, 0xff};

    code_byte(code, 0xcd);
    code_byte(code,
              dice_chance(code->dice, 128) ? DICE_PICK(code->dice, vectors) : dice_8(code->dice));
}

static void seq_table(struct code *code)
{
    uint32_t base = dice_8(code->dice) & 1 ? GUEST_GDT : GUEST_IDT;
    uint32_t limit = dice_chance(code->dice, 32) ? (uint32_t)guest_interesting(code->dice) : 0xfff;

    if (dice_chance(code->dice, 32))
        base = (uint32_t)guest_interesting_address(code->dice);
    far_pointer_at_bx(code, (uint16_t)(base >> 16), (limit & 0xffff) | base << 16);
    operand32(code);
    address32(code);
    TEXT(code, "\x0f\x01");
    code_byte(code, (uint8_t)(dice_8(code->dice) % 4 << 3 | 3)); /* SGDT, SIDT, LGDT, LIDT */
}

static void seq_fast_call(struct code *code)
{
    load(code, CX, code_target(code));
    load(code, DX,
         dice_chance(code->dice, 32) ? guest_interesting(code->dice) : GUEST_STACKS + 0xa000);
    switch (dice_8(code->dice) % 6) {
    case 0: TEXT(code, "\x0f\x05"); break;     /* SYSCALL */
    case 1: TEXT(code, "\x48\x0f\x07"); break; /* SYSRET */
    case 2: TEXT(code, "\x0f\x07"); break;
    case 3: TEXT(code, "\x0f\x34"); break;      /* SYSENTER */
    case 4: TEXT(code, "\x0f\x35"); break;      /* SYSEXIT */
    default: TEXT(code, "\x0f\x01\xf8"); break; /* SWAPGS */
    }
}

static void seq_state_image(struct code *code)
{
    /* FXSAVE, FXRSTOR, LDMXCSR, STMXCSR, XSAVE, XRSTOR, XSAVEOPT */
    load(code, AX, dice_chance(code->dice, 128) ? 7 : guest_interesting(code->dice));
    load(code, DX, 0);
    if (dice_chance(code->dice, 64)) {
        load(code, CX, 0);
        TEXT(code, "\x0f\x01\xd1"); /* XSETBV */
    }
    if (dice_chance(code->dice, 96)) {
        static const uint8_t opcodes[] = {0xd9, 0xdd, 0xdb, 0xdf};
        char opcode = (char)DICE_PICK(code->dice, opcodes);

        on_memory(code, &opcode, 1, dice_8(code->dice) & 7); /* FLDENV, FRSTOR, FBSTP ... */
        return;
    }
    load(code, BX,
         guest_interesting_address(code->dice) & ~(dice_chance(code->dice, 32) ? 0u : 63u));
    address32(code);
    if (is_long(code) && dice_chance(code->dice, 96))
        code_byte(code, 0x48);
    TEXT(code, "\x0f\xae");
    code_byte(code, (uint8_t)((dice_8(code->dice) & 7) << 3 | 3));
}

/* A store into the code that follows, or anywhere in it. */
static void seq_self_modifying(struct code *code)
{
    uint32_t at =
        GUEST_CODE + (dice_chance(code->dice, 160) ? (uint32_t)code->used + dice_8(code->dice) % 48
                                                   : dice_below(code->dice, GUEST_CODE_BYTES));

    if (code->mode == X86_MODE_REAL16 && dice_chance(code->dice, 200)) {
        TEXT(code, "\x2e\xc6\x06"); /* mov byte cs:[at], imm */
        code_value(code, at, 2);
        code_byte(code, dice_8(code->dice));
        return;
    }
    load(code, BX, dice_chance(code->dice, 32) ? at - GUEST_CODE + 0x400000 : at);
    operand32(code);
    address32(code);
    TEXT(code, "\xc7\x03");
    code_value(code, dice_64(code->dice), 4);
}

/* Changes an entry of the page tables, and mostly tells the processor. */
static void seq_page_table(struct code *code)
{
    unsigned entry = dice_below(code->dice, GUEST_TABLES_BYTES / 4) * 4;
    uint64_t value = (guest_interesting_address(code->dice) & 0x1ff000) | 0x67;

    if (dice_chance(code->dice, 48))
        value ^= BIT(dice_8(code->dice) & 31);
    load(code, BX, GUEST_TABLES + (dice_8(code->dice) & 1 ? entry & 0x3fff : entry));
    operand32(code);
    address32(code);
    TEXT(code, "\xc7\x03");
    code_value(code, value, 4);
    if (dice_chance(code->dice, 96))
        TEXT(code, "\x0f\x20\xd8\x0f\x22\xd8"); /* mov eax, cr3; mov cr3, eax */
    else
        on_memory(code, "\x0f\x01", 2, 7); /* INVLPG */
}

static void seq_invpcid(struct code *code)
{
    load(code, AX, dice_8(code->dice) & 3);
    load_address(code, BX);
    address32(code);
    TEXT(code, "\x66\x0f\x38\x82\x03");
}

static void seq_locked(struct code *code)
{
    static const char *const opcodes[] = {"\x0f\xb1", "\x0f\xc1", "\x0f\xab", "\x0f\xbb",
                                          "\x87\x87"};
    unsigned which = dice_8(code->dice) % 7;

    load_address(code, BX);
    address32(code);
    if (which != 4 && dice_chance(code->dice, 192))
        code_byte(code, 0xf0);
    if (is_long(code) && dice_chance(code->dice, 96))
        code_byte(code, 0x48);
    else if (dice_chance(code->dice, 96))
        operand32(code);
    if (which >= 5) {
        TEXT(code, "\x0f\xc7\x0b"); /* CMPXCHG8B / 16B */
        return;
    }
    code_text(code, opcodes[which], which == 4 ? 1 : 2);
    code_byte(code, 0x0b);
}

static void seq_memory(struct code *code)
{
    static const uint8_t opcodes[] = {0x00, 0x01, 0x29, 0x39, 0x84, 0x88, 0x89, 0x8a, 0x8b,
                                      0x8d, 0xc1, 0xd3, 0xf7, 0xff, 0x62, 0x63, 0x8f};

    load_address(code, BX);
    address32(code);
    if (is_long(code) && dice_chance(code->dice, 128))
        code_byte(code, 0x48);
    code_byte(code, DICE_PICK(code->dice, opcodes));
    code_byte(code, (uint8_t)((dice_8(code->dice) & 7) << 3 | 3));
    code_byte(code, dice_8(code->dice));
}

static void seq_branch(struct code *code)
{
    static const uint8_t opcodes[] = {0xeb, 0xe2, 0xe3, 0x72, 0x74, 0x75, 0x7f, 0xe8, 0xe9, 0xc3};
    uint8_t opcode = DICE_PICK(code->dice, opcodes);
    int32_t by = (int8_t)dice_8(code->dice);

    code_byte(code, opcode);
    if (opcode == 0xc3)
        return;
    if (opcode == 0xe8 || opcode == 0xe9)
        code_value(code, (uint64_t)by * 8, is_16bit(code) ? 2 : 4);
    else
        code_byte(code, (uint8_t)(by < -40 ? by / 4 : by)); /* mostly onwards */
}

static void seq_cpuid(struct code *code)
{
    static const uint32_t leaves[] = {0,   1,    4,          7,          0xb,
                                      0xd, 0x14, 0x40000000, 0x80000000, 0x80000008};

    load(code, AX, DICE_PICK(code->dice, leaves));
    load(code, CX, dice_8(code->dice) & 3);
    TEXT(code, "\x0f\xa2");
}

/* Moves under a mask, whose masked-out elements must not fault. */
static void seq_masked(struct code *code)
{
    static const uint8_t opcodes[] = {0x2c, 0x2d, 0x2e, 0x2f, 0x8c, 0x8e, 0x90, 0x92};
    uint8_t l = dice_8(code->dice) & 4;

    if (dice_chance(code->dice, 64)) { /* MASKMOVDQU, MASKMOVQ */
        load_address(code, DI);
        if (dice_8(code->dice) & 1)
            code_byte(code, 0x66);
        TEXT(code, "\x0f\xf7\xca");
        return;
    }
    load_address(code, BX);
    address32(code);
    TEXT(code, "\xc4\xe2");
    code_byte(code,
              (uint8_t)((dice_8(code->dice) & 0x80) | (~dice_8(code->dice) & 7) << 3 | l | 1));
    code_byte(code, DICE_PICK(code->dice, opcodes));
    code_byte(code, (uint8_t)((dice_8(code->dice) & 7) << 3 | 3));
}

/* What random bytes seldom hit, and instructions that are too long. */
static void seq_rare(struct code *code)
{
    static const struct {
        char bytes[6];
        uint8_t len;
    } rows[] = {
        {"\xf3\x48\x0f\xae\xc0", 5},
        {"\xf3\x48\x0f\xae\xc8", 5}, /* RDFSBASE, RDGSBASE */
        {"\xf3\x48\x0f\xae\xd0", 5},
        {"\xf3\x48\x0f\xae\xd8", 5}, /* WRFSBASE, WRGSBASE */
        {"\xf3\x0f\xae\xd0", 4},
        {"\x0f\x01\xca", 3}, /* CLAC */
        {"\x0f\x01\xcb", 3},
        {"\x0f\x01\xc8", 3}, /* STAC, MONITOR */
        {"\x0f\x01\xc9", 3},
        {"\x0f\x01\xf9", 3}, /* MWAIT, RDTSCP */
        {"\xf3\x0f\xc7\xf8", 4},
        {"\x0f\xc7\xf0", 3}, /* RDPID, RDRAND */
        {"\x0f\x01\xd0", 3},
        {"\x0f\x09", 2}, /* XGETBV, WBINVD */
        {"\x0f\x06", 2},
        {"\x0f\xaa", 2}, /* CLTS, RSM */
        {"\x0f\x01\xc1", 3},
        {"\x0f\xff", 2}, /* VMCALL, UD0 */
        {"\xf1", 1},
        {"\xce", 1}, /* INT1, INTO */
        {"\x0f\xc7\x33", 3},
        {"\x0f\x0d\x0b", 3}, /* VMPTRLD, PREFETCHW */
    };
    unsigned row = dice_below(code->dice, ARRAY_SIZE(rows));

    if (dice_chance(code->dice, 16)) {
        for (unsigned i = 12 + dice_8(code->dice) % 5; i > 0; i--)
            code_byte(code, i & 1 ? 0x66 : 0x2e);
    } else if (dice_chance(code->dice, 64)) {
        load(code, AX, guest_interesting_address(code->dice));
    }
    code_text(code, rows[row].bytes, rows[row].len);
}

void code_sequence(struct code *code)
{
    static void (*const sequences[])(struct code *) = {
        seq_load,           seq_load,           seq_load,       seq_msr,       seq_control,
        seq_debug,          seq_port,           seq_port,       seq_string,    seq_string,
        seq_segment,        seq_segment,        seq_far,        seq_far,       seq_iret,
        seq_flags,          seq_interrupt,      seq_table,      seq_fast_call, seq_state_image,
        seq_self_modifying, seq_self_modifying, seq_page_table, seq_invpcid,   seq_locked,
        seq_memory,         seq_memory,         seq_branch,     seq_branch,    seq_cpuid,
        seq_masked,         seq_rare,           seq_rare,
    };

    DICE_PICK(code->dice, sequences)(code);
}
