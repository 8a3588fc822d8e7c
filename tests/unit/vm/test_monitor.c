/* The monitor console's commands on a parked VM: what they print, and that looking changes nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../monitor_vm.h"
#include "dev/vga.h"
#include "mmu/ept.h"
#include "mmu/shadow/shadow.h"

#define ANSWER_BYTES (512 * 1024)

struct rig {
    struct vm *vm;
    char *answer; /* ANSWER_BYTES */
};

static int setup_mode(void **state, enum mmu_mode mode)
{
    struct rig *rig = calloc(1, sizeof(*rig));

    rig->vm = monitor_vm_create(mode);
    rig->answer = malloc(ANSWER_BYTES);
    *state = rig;
    return rig->answer ? 0 : -1;
}

static int setup_ept(void **state)
{
    return setup_mode(state, MMU_EPT);
}

static int setup_shadow(void **state)
{
    return setup_mode(state, MMU_SHADOW);
}

static int teardown(void **state)
{
    struct rig *rig = *state;

    monitor_vm_destroy(rig->vm);
    free(rig->answer);
    free(rig);
    return 0;
}

/* Carries a line out and returns the answer. */
static const char *say(struct rig *rig, const char *line)
{
    char *text;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);

    monitor_execute(rig->vm->monitor, line, out);
    fclose(out);
    assert_true(bytes < ANSWER_BYTES);
    memcpy(rig->answer, text, bytes + 1);
    free(text);
    return rig->answer;
}

static void expect(struct rig *rig, const char *line, const char *answer)
{
    assert_string_equal(say(rig, line), answer);
}

/* A terminal of 80 columns shows the answer without broken lines; of `lines` lines at most. */
static void expect_fits(struct rig *rig, const char *line, unsigned lines)
{
    const char *at = say(rig, line);

    for (size_t len; *at; at += len + 1, lines--) {
        len = strcspn(at, "\n");
        if (len > 80 || lines == 0)
            fail_msg("%s: too wide or one line too many: %.*s", line, (int)len, at);
    }
}

/* The answer holds each of these texts, in this order. */
static void expect_parts(struct rig *rig, const char *line, const char *const *parts)
{
    const char *at = say(rig, line);

    for (; *parts; parts++) {
        const char *found = strstr(at, *parts);

        if (!found)
            fail_msg("no \"%s\" in the answer to %s:\n%s", *parts, line, rig->answer);
        at = found + strlen(*parts);
    }
}

#define EXPECT_PARTS(rig, line, ...)                                                               \
    expect_parts(rig, line, (const char *const[]){__VA_ARGS__, NULL})

/* --- bad input --- */

static void test_errors(void **state)
{
    static const char *const lines[] = {
        "nonsense",
        "infox",
        "info nonsense",
        "info status now",
        "help nonsense",
        "walk",
        "walk 0x",
        "walk 12ab",
        "walk 0x1ffffffffffffffff",
        "walk 18446744073709551616",
        "walk $nosuch",
        "walk $",
        "walk $rip +",
        "walk $rip * 2",
        "walk 1 2",
        "walk $aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "x",
        "x/8xg",
        "x/0x 0",
        "x/4097x 0",
        "x/99999999999999999999x 0",
        "x/z 0",
        "x /-1x 0",
        "xp/4xb 0xfffffffffffffff0",
        "xp 0x100000000000",
        "info ept nonsense",
        "stop now",
        "quit/8",
        "/",
        "\x01\x02\x03",
        "walk \xff",
        "help \x1b[31m",
    };
    struct rig *rig = *state;

    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        const char *answer = say(rig, lines[i]);

        if (strncmp(answer, "error: ", 7) != 0 || answer[strlen(answer) - 1] != '\n')
            fail_msg("%s was answered by \"%s\"", lines[i], answer);
        /* What a client sent does not come back as control characters. */
        for (const char *c = answer; *c; c++)
            assert_true(*c == '\n' || (*c >= ' ' && *c <= '~'));
    }
    assert_false(rig->vm->ended);
    assert_int_equal(rig->vm->pauses, 0);
}

static void test_long_line(void **state)
{
    struct rig *rig = *state;
    char line[MONITOR_LINE_MAX + 2];

    memset(line, ' ', sizeof(line) - 1);
    memcpy(line, "help", 4);
    line[MONITOR_LINE_MAX] = '\0';
    assert_non_null(strstr(say(rig, line), "system_powerdown"));
    line[MONITOR_LINE_MAX] = ' ';
    line[MONITOR_LINE_MAX + 1] = '\0';
    expect(rig, line, "error: the line is longer than 1023 bytes\n");
}

static void test_nothing(void **state)
{
    expect(*state, "", "");
    expect(*state, " \t ", "");
}

/* --- acting --- */

static void test_stop(void **state)
{
    struct rig *rig = *state;
    uint64_t now;

    expect(rig, "cont", "the VM is not stopped by the console\n");
    expect(rig, "stop", "");
    assert_int_equal(rig->vm->pauses, 1);
    now = clock_now_ns(rig->vm->time);
    EXPECT_PARTS(rig, "info status", "is stopped by the console");
    expect(rig, "stop", "the VM is stopped already\n");
    assert_int_equal(rig->vm->pauses, 1);
    assert_int_equal(clock_now_ns(rig->vm->time), now);
    expect(rig, " cont", "");
    assert_int_equal(rig->vm->pauses, 0);
    EXPECT_PARTS(rig, "info status", "the guest runs", "16-bit real mode at f000:fff0");
}

static void test_buttons(void **state)
{
    struct rig *rig = *state;

    EXPECT_PARTS(rig, "system_powerdown", "the button is pressed");
    assert_false(rig->vm->reset_requested);
    expect(rig, "system_reset", "");
    assert_true(rig->vm->reset_requested);
    assert_false(rig->vm->ended);
    expect(rig, "quit", "");
    assert_true(rig->vm->ended);
    assert_int_equal(rig->vm->status, VM_EXIT_POWEROFF);
}

/* --- x and xp, with CR0.PG clear --- */

static void test_examine(void **state)
{
    static const uint8_t bytes[] = {0x00, 0x01, 0x7f, 0x80, 0xff, 0xfe, 0x41, 0x0a,
                                    0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
    struct rig *rig = *state;

    assert_true(mem_write(rig->vm->mem, 0x1000, bytes, sizeof(bytes)));
    expect(rig, "x 0x1000", "0x1000: 0x807f0100\n");
    expect(rig, "x/5xb 4096", "0x1000: 0x00 0x01 0x7f 0x80 0xff\n");
    expect(rig, "x /2dh 0x1002", "0x1002: -32641   -257\n");
    expect(rig, "x/2uw 0x1000", "0x1000:  2155806976   172097279\n");
    expect(rig, "x/1dg 0x1008", "0x1008:    -4822678189205112\n");
    expect(rig, "x/1ob 0x1004", "0x1004: 0377\n");
    expect(rig, "x/2tb 0x1003", "0x1003: 10000000\n0x1004: 11111111\n");
    expect(rig, "x/3c 0x1005", "0x1005: '\\xfe' 'A' '\\x0a'\n");
    expect(rig, "x/a 0x1000", "0x1000: 0x807f0100\n");
    expect(rig, "xp/3xg 0x1000",
           "0x1000: 0x0a41feff807f0100 0xffeeddccbbaa9988\n"
           "0x1010: 0x0000000000000000\n");
    expect(rig, "x 0x1000 + 0x10 - 4", "0x100c: 0xffeeddcc\n");
    EXPECT_PARTS(rig, "x 0x800000", "error: cannot read GVA 0x800000");
}

/* Devices are looked at as memory is, and don't notice. */
static void test_examine_devices(void **state)
{
    struct rig *rig = *state;
    struct board *board = rig->vm->board;

    vga_set_text_mode(board->vga);
    bus_write(board->bus, BUS_MMIO, 0xb8000, 4, 0x07210741);
    expect(rig, "xp/2xh 0xb8000", "0xb8000: 0x0741 0x0721\n");
    expect(rig, "xp/xg 0xb8000", "0xb8000: 0x0720072007210741\n");
    expect(rig, "x/3c 0xb8000", "0xb8000: 'A' '\\x07' '!'\n");
    EXPECT_PARTS(rig, "xp/i 0xb8000", "0xb8000:  41 ", "inc cx\n");
    bus_write(board->bus, BUS_MMIO, LAYOUT_IOAPIC_BASE, 4, 1); /* its version */
    expect(rig, "xp/xw 0xfec00010", "0xfec00010: 0x00170020\n");
    expect(rig, "xp/xw 0xfee00030", "0xfee00030: 0x00050014\n");
    expect(rig, "xp/xg 0xfed00000", "0xfed00000: 0x009896808086a201\n");
    /* A register that is none is an error of the local APIC's when the guest reads it. */
    expect(rig, "xp/xw 0xfee00040", "0xfee00040: 0x00000000\n");
    bus_write(board->bus, BUS_MMIO, LAYOUT_LAPIC_BASE + 0x280, 4, 0);
    assert_int_equal(bus_read(board->bus, BUS_MMIO, LAYOUT_LAPIC_BASE + 0x280, 4), 0);
    EXPECT_PARTS(rig, "xp 0x80000000", "error: cannot read GPA 0x80000000", "no device");
}

/* $sp is where PUSH writes: SS's base, and as many bits of RSP as its B bit lets count. */
static void test_stack_pointer(void **state)
{
    struct rig *rig = *state;
    struct x86_state cpu;

    assert_true(mem_write(rig->vm->mem, 0x26ff8, "\x11\x22\x33\x44", 4));
    rig->vm->engine->vcpu_get_state(rig->vm->vcpu, &cpu);
    cpu.gpr[X86_RSP] = 0x12346ff8;
    cpu.seg[X86_SS].base = 0x20000;
    rig->vm->engine->vcpu_set_state(rig->vm->vcpu, &cpu);
    expect(rig, "x/4xb $sp", "0x26ff8: 0x11 0x22 0x33 0x44\n");
    cpu.seg[X86_SS].attr |= X86_SEG_DB;
    cpu.gpr[X86_RSP] = 0x16ff8;
    cpu.seg[X86_SS].base = 0x10000;
    rig->vm->engine->vcpu_set_state(rig->vm->vcpu, &cpu);
    expect(rig, "x/1xb $sp", "0x26ff8: 0x11\n");
}

static void test_examine_text(void **state)
{
    struct rig *rig = *state;
    char longer[600];

    assert_true(mem_write(rig->vm->mem, 0x2000, "say \"hi\"\x01", 10));
    expect(rig, "x/s 0x2000", "0x2000: \"say \\\"hi\\\"\\x01\"\n");
    expect(rig, "x/2s 0x2009", "0x2009: \"\"\n0x200a: \"\"\n");
    memset(longer, 'a', sizeof(longer));
    assert_true(mem_write(rig->vm->mem, 0x3000, longer, sizeof(longer)));
    EXPECT_PARTS(rig, "x/3s 0x3000", "0x3000: \"aaa", "\"...\n0x3100: \"aaa",
                 "\"...\n0x3200: \"aaa", "a\"\n");
    /* The last byte before what is no memory. */
    assert_true(mem_write(rig->vm->mem, 0x7ffffe, "yz", 2));
    EXPECT_PARTS(rig, "x/2s 0x7ffffe", "0x7ffffe: \"yz\"...\n", "error: cannot read GVA 0x800000");
}

static void test_examine_code(void **state)
{
    /* mov eax, 1 for 32 bits; hlt; jmp to itself; and bytes that are no instruction. */
    static const uint8_t code[] = {0x66, 0xb8, 1, 0, 0, 0, 0xf4, 0xeb, 0xfe, 0x0f, 0xff, 0xff};
    struct rig *rig = *state;

    assert_true(mem_write(rig->vm->mem, 0x4000, code, sizeof(code)));
    EXPECT_PARTS(rig, "x/3i 0x4000", "0x4000:  66 b8 01 00 00 00 ", "mov eax, 0x01\n",
                 "0x4006:  f4 ", "hlt\n", "0x4007:  eb fe ", "jmp 0x4007\n");
    /* Where memory ends in the middle of what may be one. */
    assert_true(mem_write(rig->vm->mem, 0x7ffffe, "\x66\xb8", 2));
    EXPECT_PARTS(rig, "x/3i 0x7ffffe", "0x7ffffe:  66 ", "(bad)\n", "0x7fffff:  b8 ", "(bad)\n",
                 "error: cannot read GVA 0x800000");
    EXPECT_PARTS(rig, "x/i $pc", "error: cannot read GVA 0xfffffff0"); /* no ROM there */
}

/* --- completing --- */

static void expect_words(const char *line, const char *words)
{
    struct monitor_words found = {.count = 0};
    const char *blank = strrchr(line, ' ');
    char text[MONITOR_WORDS_MAX * MONITOR_WORD_BYTES] = "";

    monitor_complete(line, blank ? (size_t)(blank + 1 - line) : 0, &found);
    for (size_t i = 0; i < found.count; i++)
        strcat(strcat(text, i ? " " : ""), found.word[i]);
    assert_string_equal(text, words);
}

static void test_complete(void **state)
{
    expect_words("", "help info walk x xp audit stop cont system_powerdown system_reset quit");
    expect_words("sys", "system_powerdown system_reset");
    expect_words("nothing", "");
    expect_words("  in", "info");
    expect_words("info s", "status slots shadow");
    expect_words("info shadow ", "pages");
    expect_words("info ept le", "leaves");
    expect_words("info slots ", "");
    expect_words("info nothing ", "");
    expect_words("help s", "stop system_powerdown system_reset status slots shadow");
    expect_words("stop s", "");
    expect_words("walk $cr", "$cr0 $cr2 $cr3 $cr4");
    expect_words("x/8xg $p", "$pc");
    expect_words("xp 4 + $rs", "$rsi $rsp");
    expect_words("walk r", "");
    expect_words("nothing $r", "");
    expect_words("/ $r", "");
}

/* --- walk --- */

#define PML4 0x10000u
#define PDPT 0x11000u
#define PD   0x12000u
#define PT   0x13000u
#define PAGE 0x20000u

static void put64(struct rig *rig, gpa_t gpa, uint64_t value)
{
    assert_true(mem_write(rig->vm->mem, gpa, &value, sizeof(value)));
}

static void put32(struct rig *rig, gpa_t gpa, uint32_t value)
{
    assert_true(mem_write(rig->vm->mem, gpa, &value, sizeof(value)));
}

/* Long mode at CPL 0: 0x401000 a user's page, 0x600000 a large one, 0x802000 the local APIC. */
static void long_mode(struct rig *rig)
{
    struct x86_state state;

    put64(rig, PML4, PDPT | 7);
    put64(rig, PDPT, PD | 7);
    put64(rig, PD + 2 * 8, PT | 7);
    put64(rig, PD + 3 * 8, 0x200000 | 0x183);
    put64(rig, PD + 5 * 8, 0x201000 | 0x183); /* bit 12 is PAT; */
    put64(rig, PD + 6 * 8, 0x202000 | 0x183); /* bit 13 is reserved */
    put64(rig, PT + 1 * 8, PAGE | 5 | BIT(63));
    put64(rig, PD + 4 * 8, (PT + 0x1000) | 3);
    put64(rig, PT + 0x1000 + 2 * 8, LAYOUT_LAPIC_BASE | 3);
    put64(rig, PT + 0x1000 + 3 * 8, 0x100000000 | 3);
    rig->vm->engine->vcpu_get_state(rig->vm->vcpu, &state);
    state.cr0 |= X86_CR0_PE | X86_CR0_PG | X86_CR0_WP;
    state.cr4 |= X86_CR4_PAE | X86_CR4_SMEP;
    state.msr.efer |= X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE;
    state.cr3 = PML4;
    state.seg[X86_CS].attr = X86_SEG_P | X86_SEG_S | X86_SEG_CODE | X86_SEG_L | X86_SEG_READ;
    rig->vm->engine->vcpu_set_state(rig->vm->vcpu, &state);
}

/* Runs one HLT there: the processor walks, and the monitor's tables and the TLB are filled. */
static void run_halt(struct rig *rig, gva_t gva)
{
    struct vm *vm = rig->vm;
    struct x86_state state;

    assert_true(mem_write(vm->mem, gva - 0x600000 + 0x200000, "\xf4", 1));
    vm->engine->vcpu_get_state(vm->vcpu, &state);
    state.gpr[X86_RIP] = gva;
    vm->engine->vcpu_set_state(vm->vcpu, &state);
    assert_int_equal(vm->engine->vcpu_run(vm->vcpu), ENGINE_STOP_HALT);
}

static void test_walk_4level(void **state)
{
    struct rig *rig = *state;

    long_mode(rig);
    EXPECT_PARTS(rig, "walk 0x401234", "GVA 0x401234, paging: 4-level, CR3 0x10000\n",
                 "gPT level 4, PML4E [  0] at GPA 0x10000\n", "= HVA 0x",
                 "0000000000011007  PWU----- table 0x11000\n",
                 "gPT level 3, PDPTE [  0] at GPA 0x11000\n", "PWU----- table 0x12000\n",
                 "gPT level 2, PDE [  2] at GPA 0x12010\n", "PWU----- table 0x13000\n",
                 "gPT level 1, PTE [  1] at GPA 0x13008\n",
                 "8000000000020005  P-U----N page  0x20000\n",
                 "GPA 0x20234, in a guest page of 4 KiB, user\n", "= slot low + 0x20234 = HVA 0x",
                 "rights      supervisor       user\n", "  read      allowed          allowed\n",
                 "  write     #PF, error 0x3   #PF, error 0x7\n",
                 "  fetch     #PF, error 0x11  #PF, error 0x15\n");
    EXPECT_PARTS(rig, "walk 0x601234", "PDE [  3]", "PW---SG- page  0x200000\n",
                 "GPA 0x201234, in a guest page of 2048 KiB, supervisor, global\n",
                 "= slot main + 0x101234 = HVA 0x", "read      allowed          #PF, error 0x5\n");
    EXPECT_PARTS(rig, "walk 0xa00000", "GPA 0x200000, ");
    EXPECT_PARTS(rig, "walk 0xc00000", "the PDE has a reserved bit set (level 2); #PF",
                 "read      #PF, error 0x9   #PF, error 0xd\n");
    EXPECT_PARTS(rig, "walk 0x400000", "-------- not present\n",
                 "the PTE is not present (level 1); #PF with error code 0\n",
                 "read      #PF, error 0     #PF, error 0x4\n");
    EXPECT_PARTS(rig, "walk 0x802010", "no slot: MMIO of the local APIC, offset 0x10 of 0x1000\n");
    EXPECT_PARTS(rig, "walk 0x803000", "no slot and no device");
    EXPECT_PARTS(rig, "walk 0x800000000000", "not canonical");
    EXPECT_PARTS(rig, "walk -1", "error: ");
    EXPECT_PARTS(rig, "walk 0 - 1", "PML4E [511]", "not present");
}

/* The two-dimensional part: what the EPT holds, and what it does not hold yet. */
static void test_walk_ept(void **state)
{
    struct rig *rig = *state;
    struct ept *ept = mmu_ept(rig->vm->mmu);

    long_mode(rig);
    EXPECT_PARTS(rig, "walk 0x401234", "EPT 4 [  0] HVA 0x", "------ not present\n",
                 "an access is an EPT violation now");
    assert_int_equal(ept_fill(ept, PML4, EPT_READ), EPT_FILLED);
    assert_int_equal(ept_fill(ept, LAYOUT_LAPIC_BASE, EPT_READ), EPT_FILL_MMIO);
    EXPECT_PARTS(rig, "walk 0x401234", "PML4E", "EPT 4 [  0]", "RWX--- table 0x", "EPT 3 [  0]",
                 "EPT 2 [  0]", "EPT 1 [ 16]", "RWX--- page  0x", "PDPTE", "EPT 1 [ 17]",
                 "------ not present\n", "an EPT violation now");
    EXPECT_PARTS(rig, "walk 0x802010", "GPA 0xfee00010", "EPT 1 [  0]", "-WX--- MMIO",
                 "no slot: MMIO of the local APIC");
    EXPECT_PARTS(rig, "info ept leaves  ", "GPA        0x10000 4 KiB  RWX--- page  0x",
                 "GPA     0xfee00000 4 KiB  -WX--- MMIO", "leaves now: 1 of 4 KiB, 0 of 2 MiB",
                 "1 marks of MMIO");
    expect_fits(rig, "walk 0x401234", UINT32_MAX);
    expect_fits(rig, "walk 0x802010", UINT32_MAX);
    expect_fits(rig, "info slots", UINT32_MAX);
    expect_fits(rig, "info registers", 22); /* beside the command and the prompt */
    EXPECT_PARTS(rig, "info shadow", "there are no shadow tables");
    EXPECT_PARTS(rig, "info mmu", "--mmu ept", "guest paging: 4-level; CR3 0x10000 WP NXE SMEP");
    EXPECT_PARTS(rig, "audit", "tables: all invariants hold\n", "TLB: 0 entries, all in step\n");
}

static void test_walk_shadow(void **state)
{
    struct rig *rig = *state;

    long_mode(rig);
    EXPECT_PARTS(rig, "walk 0x401234", "GPA 0x20234", "sPT: the processor has no shadow root yet\n",
                 "rights");
    run_halt(rig, 0x600010);
    EXPECT_PARTS(rig, "walk $rip - 1", "PDE [  3]", "GPA 0x200010", "sPT: root at HVA 0x",
                 "sPT 4 [  0] HVA 0x", "table 0x", "page: gfn 0x10, 4-level table, UWX, root\n",
                 "sPT 3 [  0]", "page: gfn 0x11, 4-level table, UWX\n", "sPT 2 [  3]", "P",
                 "rights");
    expect_fits(rig, "walk $rip - 1", UINT32_MAX);
    EXPECT_PARTS(rig, "walk 0x401234", "PTE [  1]", "GPA 0x20234", "sPT 2 [  2]",
                 "-------- not present\n", "page: gfn 0x12, 4-level table, UWX\n",
                 "an access exits with a page fault now", "rights");
    EXPECT_PARTS(rig, "info shadow pages", "level 4 gfn 0x10, 4-level table, UWX, root; 1 entries",
                 "1 roots in use");
    EXPECT_PARTS(rig, "info ept", "there is no EPT");
    EXPECT_PARTS(rig, "info mmu", "--mmu shadow");
    EXPECT_PARTS(rig, "audit", "tables: all invariants hold\n");
}

/* Under KVM there are neither: the host has the tables. */
static void test_host_tables(void **state)
{
    struct rig *rig = *state;
    struct mmu *own = rig->vm->mmu;

    rig->vm->mmu = mmu_create(rig->vm->mem, &(struct mmu_config){.mode = MMU_HOST});
    assert_non_null(rig->vm->mmu);
    strcpy(rig->vm->host_paging, "NPT");
    EXPECT_PARTS(rig, "info shadow", "the host's KVM has the tables (paging: NPT)");
    EXPECT_PARTS(rig, "info ept", "the host's KVM has the tables (paging: NPT)");
    EXPECT_PARTS(rig, "info mmu", "the host's KVM virtualizes memory: NPT\n");
    mmu_destroy(rig->vm->mmu);
    rig->vm->mmu = own;
}

static void test_tlb(void **state)
{
    struct rig *rig = *state;

    long_mode(rig);
    run_halt(rig, 0x600010);
    EXPECT_PARTS(rig, "info tlb", "--- supervisor ---\n",
                 "GVA           0x600000  GPA       0x200000  HVA 0x", "R-X\n",
                 "1 entries in use\n");
    EXPECT_PARTS(rig, "audit", "TLB: 1 entries, all in step\n");
}

static void legacy_paging(struct rig *rig, bool pae)
{
    struct x86_state state;

    rig->vm->engine->vcpu_get_state(rig->vm->vcpu, &state);
    state.cr0 |= X86_CR0_PE | X86_CR0_PG;
    state.cr4 |= pae ? X86_CR4_PAE : X86_CR4_PSE;
    state.cr3 = PML4;
    state.pdpte[0] = PD | 1;
    state.pdpte[1] = 0;
    rig->vm->engine->vcpu_set_state(rig->vm->vcpu, &state);
}

static void test_walk_32bit(void **state)
{
    struct rig *rig = *state;

    put32(rig, PML4 + 1 * 4, PT | 7);
    put32(rig, PML4 + 2 * 4, 0x00400087);
    put32(rig, PT + 0x3ff * 4, PAGE | 3);
    legacy_paging(rig, false);
    EXPECT_PARTS(rig, "walk 0x7ff123", "paging: 32-bit", "gPT level 2, PDE [  1] at GPA 0x10004",
                 "    00013007  PWU----- table 0x13000\n", "gPT level 1, PTE [1023] at GPA 0x13ffc",
                 "    00020003  PW------ page  0x20000\n",
                 "GPA 0x20123, in a guest page of 4 KiB, supervisor\n");
    EXPECT_PARTS(rig, "walk 0x800010", "PWU--S-- page  0x400000\n",
                 "GPA 0x400010, in a guest page of 4096 KiB, user\n");
    EXPECT_PARTS(rig, "walk 0x100000000", "error: linear addresses have 32 bits");
}

static void test_walk_pae(void **state)
{
    struct rig *rig = *state;

    put64(rig, PD, PT | 7);
    put64(rig, PT, PAGE | 7);
    legacy_paging(rig, true);
    EXPECT_PARTS(rig, "walk 0x10", "paging: PAE", "PDPTE register 0\n", "P table 0x12000\n",
                 "PDE [  0] at GPA 0x12000", "PTE [  0] at GPA 0x13000", "GPA 0x20010");
    EXPECT_PARTS(rig, "walk 0x40000000", "PDPTE register 1\n", "- not present\n",
                 "the PDPTE register is not present (level 3)");
}

static void test_walk_unpaged(void **state)
{
    EXPECT_PARTS(*state, "walk 0x1234", "paging: none (GVA is GPA)\n", "GPA 0x1234\n",
                 "= slot low + 0x1234 = HVA 0x");
    EXPECT_PARTS(*state, "walk 0xb8000", "no slot: MMIO of the VGA, offset 0x18000");
    EXPECT_PARTS(*state, "walk $cs", "error: ");
    EXPECT_PARTS(*state, "walk $pc", "GPA 0xfffffff0\n");
}

/* --- the rest of info, and looking without touching --- */

static void test_info(void **state)
{
    EXPECT_PARTS(*state, "info registers", "rax  0000000000000000", "rip  000000000000fff0",
                 "rflags 0000000000000002", "cs   f000  base 00000000ffff0000");
    EXPECT_PARTS(*state, "info devices", "8259A pair\n  port 0x20-0x21\n  port 0xa0-0xa1\n",
                 "I/O APIC\n  MMIO 0xfec00000-", "16550A UART\n  port 0x3f8-0x3ff\n");
    EXPECT_PARTS(*state, "info devices uart", "16550A UART\n  ", "scratch", "port 0x3f8-0x3ff\n");
    EXPECT_PARTS(*state, "info devices nobody", "error: no device has \"nobody\"");
    EXPECT_PARTS(*state, "info slots", "low ", "RAM", "0x9ffff", "bios", "ROM", "64 KiB\n", "main");
    EXPECT_PARTS(*state, "info e820", "0x9cfff  usable RAM\n", "0x7fffff  ACPI tables\n");
    EXPECT_PARTS(*state, "info memory", "low ", "640", "main", "7168", "Umbra's process keeps ",
                 " KiB in the host's memory\n");
    EXPECT_PARTS(*state, "info tlb", "0 entries in use\n");
    EXPECT_PARTS(*state, "info exits", "exits", "reason");
    EXPECT_PARTS(*state, "info", "status ", "registers ", "memory ");
    EXPECT_PARTS(*state, "help", "info SUBJECT", "walk GVA", "quit", "$rax $rbx", "$pc and $sp");
    EXPECT_PARTS(*state, "help x", "x [/FMT] GVA: ", "letters");
    EXPECT_PARTS(*state, "help tlb", "tlb : what the processor's TLB holds");
}

static void test_looking_changes_nothing(void **state)
{
    static const char *const lines[] = {"walk 0x401234",     "walk 0x601234",  "walk 0x802000",
                                        "x/64xg 0x401000",   "x/20i 0x600000", "info ept leaves",
                                        "info shadow pages", "audit",          "info memory"};
    struct rig *rig = *state;
    uint8_t *before = malloc(MIB), *after = malloc(MIB);
    struct x86_state state_before, state_after;

    long_mode(rig);
    mem_read(rig->vm->mem, 0, before, LAYOUT_VGA_BASE);
    rig->vm->engine->vcpu_get_state(rig->vm->vcpu, &state_before);
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
        say(rig, lines[i]);
    mem_read(rig->vm->mem, 0, after, LAYOUT_VGA_BASE);
    rig->vm->engine->vcpu_get_state(rig->vm->vcpu, &state_after);
    assert_memory_equal(before, after, LAYOUT_VGA_BASE);
    assert_memory_equal(&state_before, &state_after, sizeof(state_before));
    if (mmu_ept(rig->vm->mmu))
        assert_int_equal(ept_stats(mmu_ept(rig->vm->mmu))->tables, 1);
    else
        assert_int_equal(shadow_stats(mmu_shadow(rig->vm->mmu))->faults, 0);
    free(before);
    free(after);
}

#define EPT(test)    cmocka_unit_test_setup_teardown(test, setup_ept, teardown)
#define SHADOW(test) cmocka_unit_test_setup_teardown(test, setup_shadow, teardown)

/* What a tab separates is understood, and no tab comes back. */
static void tabs_are_blanks(void **state)
{
    struct rig *rig = *state;

    assert_null(strchr(say(rig, "x /2\t0i\t&\t0x10000"), '\t'));
    assert_null(strchr(say(rig, "no\tsuch\tcommand"), '\t'));
    EXPECT_PARTS(rig, "help\tx", "x ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EPT(tabs_are_blanks),
        EPT(test_errors),
        SHADOW(test_errors),
        EPT(test_long_line),
        EPT(test_nothing),
        EPT(test_stop),
        EPT(test_buttons),
        EPT(test_examine),
        SHADOW(test_examine),
        EPT(test_examine_devices),
        EPT(test_stack_pointer),
        SHADOW(test_stack_pointer),
        EPT(test_examine_text),
        EPT(test_examine_code),
        EPT(test_complete),
        EPT(test_walk_4level),
        SHADOW(test_walk_4level),
        EPT(test_walk_ept),
        SHADOW(test_walk_shadow),
        EPT(test_host_tables),
        EPT(test_tlb),
        SHADOW(test_tlb),
        EPT(test_walk_32bit),
        SHADOW(test_walk_32bit),
        EPT(test_walk_pae),
        SHADOW(test_walk_pae),
        EPT(test_walk_unpaged),
        SHADOW(test_walk_unpaged),
        EPT(test_info),
        SHADOW(test_info),
        EPT(test_looking_changes_nothing),
        SHADOW(test_looking_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
