/* Items that touch what only a kernel may, and what traps. In user mode most of them fault. */
#include "program.h"

#define PTE_P  BIT(0)
#define PTE_W  BIT(1)
#define PTE_U  BIT(2)
#define PTE_AD (BIT(5) | BIT(6))
#define PTE_G  BIT(8)
#define PTE_NX BIT(63)

/* A window with its page table. */
struct window {
    uint64_t base;
    uint32_t pt;
    uint64_t bits; /* of its entries */
};

static const struct window windows[] = {
    {LOW, GPA_LOW_A + PT, PTE_U}, {LOW, GPA_LOW_B + PT, PTE_U}, {EDGE, GPA_EDGE + PT, PTE_U},
    {HIGH, GPA_HIGH + PT, PTE_G}, {TOP, GPA_TOP + PT, 0},
};

static void item_segment(struct maker *maker)
{
    struct code *code = &maker->code;
    unsigned reg = maker_register(maker), gs = dice_8(&maker->dice) & 1;

    code_constant(code, reg, maker_window(maker) + maker_data(maker));
    if (dice_chance(&maker->dice, 192)) {
        code_rr(code, 8, 0xf30fae, 2 + gs, reg); /* WRFSBASE, WRGSBASE */
    } else {
        CODE_TEXT(code, "\x48\x89");
        code_8(code, 0xc0 | (reg & 7) << 3 | X86_RDX); /* MOV RDX, reg, or near it */
        CODE_TEXT(code, "\x89\xd0\x48\xc1\xea\x20");   /* MOV EAX, EDX; SHR RDX, 32 */
        code_constant_32(code, X86_RCX, 0xc0000100 + gs);
        CODE_TEXT(code, "\x0f\x30"); /* WRMSR */
    }
    code_constant_32(code, reg, dice_8(&maker->dice));
    code_8(code, gs ? 0x65 : 0x64);
    code_rm(code, 8, 0x03, maker_register(maker), place_at(reg, 0), 0);
    code_8(code, gs ? 0x65 : 0x64);
    code_rm(code, 4, 0x89, maker_register(maker), place_at(reg, 8), 0);
}

static void item_io(struct maker *maker)
{
    struct code *code = &maker->code;
    static const uint8_t opcodes[] = {0xec, 0xed, 0xee, 0xef};
    unsigned reg = maker_register(maker);

    if (dice_chance(&maker->dice, 96)) {
        code_constant_32(code, X86_RDX, 0x300 + dice_8(&maker->dice));
        code_8(code, DICE_PICK(&maker->dice, opcodes));
        return;
    }
    code_constant(code, reg,
                  (dice_chance(&maker->dice, 128) ? LOW_MMIO : SYS_MMIO) +
                      8 * dice_8(&maker->dice));
    item_access(maker, place_at(reg, 0));
}

/* --- paging --- */

static void put_cr3(struct maker *maker, bool keep)
{
    if (keep)
        CODE_TEXT(&maker->code, "\x0f\x20\xd8"); /* MOV RAX, CR3 */
    else
        code_constant_32(&maker->code, X86_RAX,
                         dice_chance(&maker->dice, 128) ? GPA_PML4_A : GPA_PML4_B);
    CODE_TEXT(&maker->code, "\x0f\x22\xd8");
}

/* CR4.PGE off and on, or CR0.WP changed. */
static void put_control(struct maker *maker)
{
    if (dice_chance(&maker->dice, 160))
        CODE_TEXT(&maker->code, "\x0f\x20\xe0\x48\x0f\xba\xf8\x07\x0f\x22\xe0"
                                "\x48\x0f\xba\xf8\x07\x0f\x22\xe0");
    else
        CODE_TEXT(&maker->code, "\x0f\x20\xc0\x0f\xba\xf8\x10\x0f\x22\xc0");
}

/* Writes an entry of a page table, and makes the processor look at it. */
static void put_edit(struct maker *maker, const struct window *window, unsigned page, uint64_t pte)
{
    struct code *code = &maker->code;
    uint64_t linear = window->base + page * 4096u;
    uint64_t index = linear >> 12 & 511;

    code_constant(code, X86_RAX, pte);
    code_constant(code, X86_RCX, SYS + window->pt + 8 * index);
    code_rm(code, 8, 0x89, X86_RAX, place_at(X86_RCX, 0), 0);
    if (!(window->bits & PTE_G) && dice_chance(&maker->dice, 64)) {
        put_cr3(maker, true);
        return;
    }
    code_constant(code, X86_RCX, linear + dice_8(&maker->dice));
    code_rm(code, 4, 0x0f01, 7, place_at(X86_RCX, 0), 0); /* INVLPG */
}

static void put_data_edit(struct maker *maker)
{
    struct dice *dice = &maker->dice;
    const struct window *window = &DICE_PICK(dice, windows);
    unsigned page = FIRST_DATA + dice_below(dice, LAST_DATA - FIRST_DATA + 1);
    uint64_t pte = (GPA_REGION + page * 4096u) | PTE_AD | window->bits;

    if (dice_chance(dice, 64))
        pte ^= 4096; /* its neighbour's */
    if (dice_chance(dice, 200))
        pte |= PTE_P;
    if (dice_chance(dice, 192))
        pte |= PTE_W;
    if (dice_chance(dice, 24))
        pte ^= PTE_U;
    put_edit(maker, window, page, pte);
}

static void put_invlpg(struct maker *maker)
{
    const struct program *program = maker->program;
    const struct slot *slot = &program->slot[dice_below(&maker->dice, program->slots)];

    code_constant(&maker->code, X86_RAX, maker_window(maker) + slot->offset);
    code_rm(&maker->code, 4, 0x0f01, 7, place_at(X86_RAX, 0), 0);
}

static void item_paging(struct maker *maker)
{
    switch (dice_below(&maker->dice, 8)) {
    case 0:
    case 1: put_cr3(maker, false); break;
    case 2: put_control(maker); break;
    case 3: put_invlpg(maker); break;
    default: put_data_edit(maker); break;
    }
}

/* Twins change places: perhaps the page that runs. */
static void item_remap(struct maker *maker)
{
    const struct window *window = &DICE_PICK(&maker->dice, windows);
    unsigned page = TWIN_PAGE + (dice_8(&maker->dice) & 1);
    unsigned frame = TWIN_PAGE + (dice_8(&maker->dice) & 1);

    put_edit(maker, window, page,
             (GPA_REGION + frame * 4096u) | PTE_P | PTE_W | PTE_AD | window->bits);
}

static void item_smap(struct maker *maker)
{
    CODE_TEXT(&maker->code, "\x0f\x01");
    code_8(&maker->code, 0xca | (dice_8(&maker->dice) & 1)); /* CLAC, STAC */
    item_memory(maker);
    if (dice_chance(&maker->dice, 128))
        CODE_TEXT(&maker->code, "\x0f\x01\xca");
}

/* --- what comes between instructions --- */

static void item_shadow(struct maker *maker)
{
    struct code *code = &maker->code;

    switch (dice_below(&maker->dice, 4)) {
    case 0: CODE_TEXT(code, "\xfa"); break; /* CLI */
    case 1:
    case 2: CODE_TEXT(code, "\xfb"); break; /* STI */
    default:
        code_constant_32(code, X86_RAX,
                         dice_chance(&maker->dice, 128) ? SEL_USER_SS : SEL_KERNEL_SS);
        CODE_TEXT(code, "\x8e\xd0"); /* MOV SS, EAX */
        break;
    }
    item_access(maker, place_in_region(maker_data(maker)));
}

/* PUSHFQ; OR or AND DWORD [RSP], mask; POPFQ */
static void put_flag(struct code *code, unsigned digit, uint32_t mask)
{
    code_8(code, 0x9c);
    code_rm(code, 4, 0x81, digit, place_at(X86_RSP, 0), 4);
    code_value(code, mask, 4);
    code_8(code, 0x9d);
}

static void item_align(struct maker *maker)
{
    put_flag(&maker->code, 1, X86_FLAG_AC);
    item_memory(maker);
    if (dice_chance(&maker->dice, 128))
        put_flag(&maker->code, 4, ~(uint32_t)X86_FLAG_AC);
}

/* A breakpoint on a slot or on data, or none any more. */
static void item_break(struct maker *maker)
{
    struct code *code = &maker->code;
    const struct program *program = maker->program;
    unsigned which = dice_8(&maker->dice) & 3, type = dice_8(&maker->dice) & 3;
    uint64_t address = maker_window(maker);
    uint32_t dr7 = 0x400;

    if (type == 2)
        type = 0; /* port accesses need CR4.DE */
    if (type == 0)
        address += program->slot[dice_below(&maker->dice, program->slots)].offset;
    else
        address += maker_data(maker) & ~7u;
    if (dice_chance(&maker->dice, 160))
        dr7 |= 1u << 2 * which | type << (16 + 4 * which) |
               (type ? dice_8(&maker->dice) & 3u : 0) << (18 + 4 * which);
    code_constant(code, X86_RAX, address);
    CODE_TEXT(code, "\x0f\x23");
    code_8(code, 0xc0 | which << 3);
    code_constant_32(code, X86_RAX, dr7);
    CODE_TEXT(code, "\x0f\x23\xf8");
}

static void item_trap(struct maker *maker)
{
    static const struct {
        char bytes[4];
        uint8_t len;
    } rows[] = {
        {"\x0f\x0b", 2},         {"\xcc", 1},         {"\xf1", 1},     /* UD2, INT3, INT1 */
        {"\x0f\xa2", 2},         {"\x0f\x31", 2},     {"\x0f\x32", 2}, /* CPUID, RDTSC, RDMSR */
        {"\x0f\x01\xd0", 3},     {"\x0f\x33", 2},                      /* XGETBV, RDPMC */
        {"\x44\x0f\x20\xc0", 4}, {"\x0f\x01\xf8", 3},                  /* MOV RAX, CR8; SWAPGS */
        {"\x0f\x06", 2},         {"\x06", 1},                          /* CLTS, PUSH ES */
    };
    unsigned row = dice_below(&maker->dice, ARRAY_SIZE(rows));

    code_text(&maker->code, rows[row].bytes, rows[row].len);
}

void item_system(struct maker *maker, enum program_feature feature)
{
    switch (feature) {
    case FEATURE_SEGMENT: item_segment(maker); break;
    case FEATURE_IO: item_io(maker); break;
    case FEATURE_PAGING: item_paging(maker); break;
    case FEATURE_REMAP: item_remap(maker); break;
    case FEATURE_SMAP: item_smap(maker); break;
    case FEATURE_SHADOW: item_shadow(maker); break;
    case FEATURE_STEP: put_flag(&maker->code, 1, X86_FLAG_TF); break;
    case FEATURE_BREAK: item_break(maker); break;
    case FEATURE_ALIGN: item_align(maker); break;
    case FEATURE_TRAP: item_trap(maker); break;
    default: break;
    }
}
