/* The state and the memory in which a fuzzed guest starts. */
#include "guest/guest.h"

#define HANDLER_BYTES 16
#define ATTR_REAL     0x93
#define ATTR_VM86     0xf3
#define ERROR_VECTORS 0x00027d00u /* 8, 10 to 14, 17: an error code lies on the stack */

#define HANDLER(text)                                                                              \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }

const char *const guest_mode_names[GUEST_MODES] = {
    [GUEST_REAL] = "real",
    [GUEST_REAL_BIG] = "real-big",
    [GUEST_PROT16] = "prot16",
    [GUEST_PROT32] = "prot32",
    [GUEST_PROT32_USER] = "prot32-user",
    [GUEST_VM86] = "vm86",
    [GUEST_PAGED32] = "paged32",
    [GUEST_PAGED32_USER] = "paged32-user",
    [GUEST_PAE] = "pae",
    [GUEST_PAE_USER] = "pae-user",
    [GUEST_LONG] = "long",
    [GUEST_LONG_USER] = "long-user",
    [GUEST_COMPAT32] = "compat32",
    [GUEST_COMPAT16] = "compat16",
    [GUEST_COMPAT_USER] = "compat-user",
};

/* What each mode starts with. */
static const struct {
    enum x86_mode decode;
    uint16_t cs, ss;
    uint8_t cpl;
    bool paging, wide, pae;
} starts[GUEST_MODES] = {
    [GUEST_REAL] = {X86_MODE_REAL16, 0x1000, 0x3000, 0, false, false, false},
    [GUEST_REAL_BIG] = {X86_MODE_REAL16, 0x1000, 0x3000, 0, false, false, false},
    [GUEST_PROT16] = {X86_MODE_PROT16, SEL_CODE16, SEL_DATA16, 0, false, false, false},
    [GUEST_PROT32] = {X86_MODE_PROT32, SEL_CODE32, SEL_DATA32, 0, false, false, false},
    [GUEST_PROT32_USER] = {X86_MODE_PROT32, SEL_USER_CODE32, SEL_USER_DATA, 3, false, false, false},
    [GUEST_VM86] = {X86_MODE_REAL16, 0x1000, 0x3000, 3, false, false, false},
    [GUEST_PAGED32] = {X86_MODE_PROT32, SEL_CODE32, SEL_DATA32, 0, true, false, false},
    [GUEST_PAGED32_USER] = {X86_MODE_PROT32, SEL_USER_CODE32, SEL_USER_DATA, 3, true, false, false},
    [GUEST_PAE] = {X86_MODE_PROT32, SEL_CODE32, SEL_DATA32, 0, true, false, true},
    [GUEST_PAE_USER] = {X86_MODE_PROT32, SEL_USER_CODE32, SEL_USER_DATA, 3, true, false, true},
    [GUEST_LONG] = {X86_MODE_LONG64, SEL_CODE64, SEL_DATA32, 0, true, true, true},
    [GUEST_LONG_USER] = {X86_MODE_LONG64, SEL_USER_CODE64, SEL_USER_DATA, 3, true, true, true},
    [GUEST_COMPAT32] = {X86_MODE_COMPAT32, SEL_CODE32, SEL_DATA32, 0, true, true, true},
    [GUEST_COMPAT16] = {X86_MODE_COMPAT16, SEL_CODE16, SEL_DATA16, 0, true, true, true},
    [GUEST_COMPAT_USER] = {X86_MODE_COMPAT32, SEL_USER_CODE32, SEL_USER_DATA, 3, true, true, true},
};

enum x86_mode guest_decode_mode(enum guest_mode mode)
{
    return starts[mode].decode;
}

bool guest_mode_long(enum guest_mode mode)
{
    return starts[mode].wide;
}

unsigned guest_mode_cpl(enum guest_mode mode)
{
    return starts[mode].cpl;
}

static bool is_real(enum guest_mode mode)
{
    return mode == GUEST_REAL || mode == GUEST_REAL_BIG;
}

/*
 * A handler moves the return address on by one byte, so that an instruction that faults is not
 * met for ever, and returns.
 */
static void make_handlers(struct guest *guest, gpa_t base, unsigned bits)
{
    static const struct {
        const char *code;
        size_t bytes;
    } plain[] =
        {
            HANDLER(
                "\x55\x89\xe5\xff\x46\x02\x5d\xcf"), /* push bp; mov bp,sp; inc [bp+2]; pop bp */
            HANDLER("\xff\x04\x24\xcf"),             /* inc dword [esp]; iret */
            HANDLER("\x48\xff\x04\x24\x48\xcf"),
        },
      with_error[] = {
          HANDLER("\x83\xc4\x02\x55\x89\xe5\xff\x46\x02\x5d\xcf"), /* add sp,2; ... */
          HANDLER("\x83\xc4\x04\xff\x04\x24\xcf"),
          HANDLER("\x48\x83\xc4\x08\x48\xff\x04\x24\x48\xcf"),
      };
    unsigned kind = bits / 32;

    for (unsigned vector = 0; vector < 256; vector++) {
        bool error = vector < 32 && (ERROR_VECTORS >> vector & 1) && base == GUEST_HANDLERS;
        uint8_t code[HANDLER_BYTES];

        if (dice_chance(guest->dice, 8)) {
            guest_code_make(guest->dice, starts[guest->mode].decode, code, sizeof(code));
            mem_write(guest->mem, base + HANDLER_BYTES * vector, code, sizeof(code));
        } else {
            mem_write(guest->mem, base + HANDLER_BYTES * vector,
                      error ? with_error[kind].code : plain[kind].code,
                      error ? with_error[kind].bytes : plain[kind].bytes);
        }
    }
}

static void make_vectors(struct guest *guest)
{
    for (unsigned vector = 0; vector < 256; vector++) {
        uint32_t entry = GUEST_REAL_HANDLERS + HANDLER_BYTES * vector;

        mem_write(guest->mem, 4 * vector, &entry, sizeof(entry));
    }
    make_handlers(guest, GUEST_REAL_HANDLERS, 16);
    make_handlers(guest, GUEST_HANDLERS,
                  guest_mode_long(guest->mode)  ? 64
                  : guest->mode == GUEST_PROT16 ? 16
                                                : 32);
}

static void make_code(struct guest *guest)
{
    uint8_t code[GUEST_CODE_BYTES];
    struct dice noise = {.seed = dice_64(guest->dice)};

    guest_code_make(guest->dice, starts[guest->mode].decode, code, sizeof(code));
    mem_write(guest->mem, GUEST_CODE, code, sizeof(code));
    mem_rom_load(guest->mem, 0xf0000, code, sizeof(code));
    /* Copies, so that a guest that jumps astray meets more than zeroes. */
    for (gpa_t at = GUEST_COPIES; at < GUEST_COPIES_END; at += sizeof(code))
        mem_write(guest->mem, at, code, sizeof(code));
    for (gpa_t at = GUEST_DATA; at < GUEST_DATA + GUEST_DATA_BYTES; at += 8) {
        uint64_t value = dice_random64(&noise);

        mem_write(guest->mem, at, &value, sizeof(value));
    }
}

/* A segment register as a load of this selector would leave it. */
static struct x86_segment segment(const struct guest *guest, uint16_t selector)
{
    struct x86_segment seg = {
        .base = (uint64_t)selector << 4,
        .limit = guest->mode == GUEST_REAL_BIG ? UINT32_MAX : 0xffff,
        .selector = selector,
        .attr = guest->mode == GUEST_VM86 ? ATTR_VM86 : ATTR_REAL,
    };
    uint64_t raw;

    if (is_real(guest->mode) || guest->mode == GUEST_VM86)
        return seg;
    raw = mem_read64(guest->mem, GUEST_GDT + (selector & ~7u));
    seg.base = 0;
    seg.limit = UINT32_MAX;
    seg.attr = (uint16_t)(raw >> 40 & 0xf0ff) | X86_SEG_ACCESSED;
    return seg;
}

/* Now and then a segment is shorter, grows downwards or may only be read. */
static void spoil_segment(struct guest *guest, struct x86_segment *seg)
{
    if (guest_mode_long(guest->mode) || guest->mode == GUEST_VM86 || !dice_chance(guest->dice, 8))
        return;
    seg->limit = GUEST_CODE + dice_below(guest->dice, 0x30000);
    if (is_real(guest->mode))
        seg->limit &= 0xffff;
    else if (!(seg->attr & X86_SEG_CODE))
        seg->attr ^= dice_8(guest->dice) & (X86_SEG_WRITE | X86_SEG_DOWN);
}

static void set_segments(struct guest *guest, struct x86_state *x)
{
    for (unsigned i = 0; i < X86_SEGS; i++) {
        x->seg[i] = segment(guest, i == X86_CS ? starts[guest->mode].cs : starts[guest->mode].ss);
        spoil_segment(guest, &x->seg[i]);
    }
    if (is_real(guest->mode)) {
        x->idtr = (struct x86_table_register){0, 0x3ff};
        if (dice_chance(guest->dice, 128)) /* a way into protected mode lies ready */
            x->gdtr = (struct x86_table_register){GUEST_GDT, 8 * GUEST_GDT_ENTRIES - 1};
        return;
    }
    x->gdtr = (struct x86_table_register){GUEST_GDT, 8 * GUEST_GDT_ENTRIES - 1};
    x->idtr = (struct x86_table_register){GUEST_IDT, guest_mode_long(guest->mode) ? 0xfff : 0x7ff};
    x->seg[X86_TR] = (struct x86_segment){GUEST_TSS, GUEST_TSS_BYTES - 1, SEL_TSS, 0x8b};
    x->seg[X86_LDTR] = (struct x86_segment){GUEST_LDT, 8 * GUEST_LDT_ENTRIES - 1, SEL_LDT, 0x82};
    if (guest_mode_long(guest->mode)) {
        x->seg[X86_FS].base = guest_interesting_address(guest->dice);
        x->seg[X86_GS].base = guest_interesting_address(guest->dice);
        for (unsigned i = X86_FS; i <= X86_GS; i++)
            if (!x86_canonical(x->seg[i].base))
                x->seg[i].base = GUEST_DATA;
    }
}

static uint64_t chance_bit(struct guest *guest, uint64_t bits, unsigned in_256)
{
    return dice_chance(guest->dice, in_256) ? bits : 0;
}

static void set_control(struct guest *guest, struct x86_state *x)
{
    enum guest_mode mode = guest->mode;

    x->cr0 = X86_CR0_ET | chance_bit(guest, X86_CR0_NE, 224) | chance_bit(guest, X86_CR0_MP, 128) |
             chance_bit(guest, X86_CR0_TS, 8) | chance_bit(guest, X86_CR0_EM, 8) |
             chance_bit(guest, X86_CR0_WP, 128) | chance_bit(guest, X86_CR0_AM, 64);
    if (!is_real(mode))
        x->cr0 |= X86_CR0_PE;
    x->cr4 = chance_bit(guest, X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT, 240) |
             chance_bit(guest, X86_CR4_OSXSAVE, 224) | chance_bit(guest, X86_CR4_PSE, 224) |
             chance_bit(guest, X86_CR4_PGE, 128) | chance_bit(guest, X86_CR4_FSGSBASE, 128) |
             chance_bit(guest, X86_CR4_UMIP, 16) | chance_bit(guest, X86_CR4_TSD, 8) |
             chance_bit(guest, X86_CR4_SMEP, 16) | chance_bit(guest, X86_CR4_SMAP, 16);
    if (starts[mode].paging) {
        x->cr3 = guest_pages_make(guest, x->pdpte);
        x->cr0 |= X86_CR0_PG;
    }
    if (starts[mode].pae)
        x->cr4 |= X86_CR4_PAE;
    x->msr.efer = chance_bit(guest, X86_EFER_SCE, 224) | chance_bit(guest, X86_EFER_NXE, 224);
    if (starts[mode].wide) {
        x->msr.efer |= X86_EFER_LME | X86_EFER_LMA;
        x->cr4 |= chance_bit(guest, X86_CR4_PCIDE, 64);
    }
    x->msr.star = (uint64_t)0x30 << 48 | (uint64_t)SEL_CODE64 << 32 | GUEST_CODE;
    x->msr.lstar = x->msr.cstar = GUEST_CODE + dice_below(guest->dice, GUEST_CODE_BYTES);
    x->msr.sfmask = dice_chance(guest->dice, 128) ? 0x4700 : 0;
    x->msr.sysenter_cs = SEL_CODE32;
    x->msr.sysenter_eip = x->msr.lstar;
    x->msr.sysenter_esp = GUEST_STACKS + 0x1000;
    x->xcr0 = dice_chance(guest->dice, 224) ? 7 : 1;
}

static void set_registers(struct guest *guest, struct x86_state *x)
{
    bool narrow = !guest_mode_long(guest->mode);

    for (unsigned i = 0; i < 16; i++) {
        x->gpr[i] = dice_chance(guest->dice, 128) ? guest_interesting_address(guest->dice)
                                                  : guest_interesting(guest->dice);
        if (narrow)
            x->gpr[i] &= UINT32_MAX;
    }
    x->gpr[X86_RSP] = GUEST_STACKS + 0x8000;
    x->gpr[X86_RIP] = GUEST_CODE;
    if (is_real(guest->mode) || guest->mode == GUEST_VM86) {
        x->gpr[X86_RSP] = 0x8000;
        x->gpr[X86_RIP] = 0;
    } else if (starts[guest->mode].decode == X86_MODE_PROT16 ||
               starts[guest->mode].decode == X86_MODE_COMPAT16) {
        x->gpr[X86_RSP] = 0x8000;
    }
    x->rflags = X86_FLAG_ONE | (dice_64(guest->dice) & X86_FLAGS_ARITH) |
                chance_bit(guest, X86_FLAG_IF, 160) | chance_bit(guest, X86_FLAG_TF, 6) |
                chance_bit(guest, X86_FLAG_DF, 32) | chance_bit(guest, X86_FLAG_AC, 32) |
                chance_bit(guest, X86_FLAG_NT, 8) | chance_bit(guest, X86_FLAG_IOPL, 96);
    if (guest->mode == GUEST_VM86)
        x->rflags |= X86_FLAG_VM;
    if (dice_chance(guest->dice, 12)) {
        for (unsigned i = 0; i < 4; i++)
            x->dr[i] = GUEST_CODE + dice_below(guest->dice, 256);
        x->dr[7] = 0x400 | (dice_64(guest->dice) & 0xffff03ff);
    }
}

static void set_fpu(struct guest *guest, struct x86_fpu *fpu)
{
    struct dice noise = {.seed = dice_64(guest->dice)};

    for (unsigned i = 0; i < sizeof(fpu->ymm); i++)
        ((uint8_t *)fpu->ymm)[i] = (uint8_t)dice_random64(&noise);
    for (unsigned i = 0; i < 8; i++)
        for (unsigned j = 0; j < 10; j++)
            fpu->st[i][j] = (uint8_t)dice_random64(&noise);
    fpu->ftw = dice_8(guest->dice);
    fpu->fcw = dice_chance(guest->dice, 192) ? 0x37f : (uint16_t)(dice_64(guest->dice) & 0x1f7f);
    fpu->fcw |= 0x40;
    fpu->mxcsr = dice_chance(guest->dice, 192) ? 0x1f80 : (uint32_t)(dice_64(guest->dice) & 0xffff);
}

void guest_world_make(struct guest *guest)
{
    struct x86_state x;

    make_vectors(guest);
    guest_tables_make(guest);
    make_code(guest);
    x86_state_reset(&x, false);
    set_control(guest, &x);
    set_segments(guest, &x);
    set_registers(guest, &x);
    set_fpu(guest, &x.fpu);
    engine_soft.vcpu_set_state(guest->vcpu, &x);
}
