/* Privileged and sensitive instructions: control, debug and model-specific registers, ports, IF. */
#include "soft_fixture.h"

#define TSS 0x6000u

static int setup(void **state)
{
    struct fixture *f = fixture_create("max");

    f->cpu.x.gpr[X86_RIP] = FIXTURE_CODE;
    f->cpu.x.gpr[X86_RSP] = FIXTURE_DATA + 0x1000;
    *state = f;
    return 0;
}

static int setup32(void **state)
{
    setup(state);
    fixture_enter_flat32(*state);
    ((struct fixture *)*state)->cpu.x.gpr[X86_RSP] = 0x8000;
    return 0;
}

static int teardown(void **state)
{
    fixture_destroy(*state);
    return 0;
}

#define GPR(f, name) ((f)->cpu.x.gpr[X86_##name])

/* MOV CRn, RAX. */
static enum step write_cr(struct fixture *f, unsigned number, uint64_t value)
{
    const uint8_t bytes[] = {0x0f, 0x22, (uint8_t)(0xc0 | number << 3)};

    GPR(f, RAX) = value;
    return fixture_run(f, bytes, sizeof(bytes));
}

static void assert_gp(struct fixture *f, enum step step)
{
    assert_int_equal(step, STEP_FAULT);
    assert_int_equal(f->cpu.fault.vector, X86_GP);
    assert_int_equal(f->cpu.fault.error, 0);
}

static void set_cpl(struct fixture *f, unsigned cpl)
{
    f->cpu.cpl = (uint8_t)cpl;
    cpu_update_mode(&f->cpu);
}

static void test_cr0_refuses(void **state)
{
    struct fixture *f = *state;
    uint64_t cr0 = f->cpu.x.cr0;

    assert_gp(f, write_cr(f, 0, cr0 & ~X86_CR0_PE)); /* PG without PE */
    assert_gp(f, write_cr(f, 0, cr0 | X86_CR0_NW));  /* NW without CD */
    assert_gp(f, write_cr(f, 0, cr0 | BIT(32)));
    assert_gp(f, write_cr(f, 0, cr0 & ~X86_CR0_PG)); /* in 64-bit mode */
    assert_int_equal(f->cpu.x.cr0, cr0);
    assert_int_equal(write_cr(f, 0, cr0 | X86_CR0_WP | BIT(6)), STEP_JUMP);
    assert_int_equal(f->cpu.x.cr0, cr0 | X86_CR0_WP); /* reserved bits stay clear */
    assert_int_equal(f->cpu.counters.exits[EXIT_CR_ACCESS], 5);
    set_cpl(f, 3);
    assert_gp(f, write_cr(f, 0, cr0));
}

static void test_long_mode_on_and_off(void **state)
{
    struct fixture *f = *state;
    struct x86_state *x = &f->cpu.x;

    x->msr.efer = X86_EFER_LME;
    x->cr3 = FIXTURE_TABLES;
    assert_gp(f, write_cr(f, 0, x->cr0 | X86_CR0_PG)); /* without PAE */
    assert_int_equal(write_cr(f, 4, X86_CR4_PAE), STEP_JUMP);
    x->seg[X86_CS].attr |= X86_SEG_L;
    assert_gp(f, write_cr(f, 0, x->cr0 | X86_CR0_PG)); /* from a 64-bit CS */
    x->seg[X86_CS].attr &= (uint16_t)~X86_SEG_L;
    assert_int_equal(write_cr(f, 0, x->cr0 | X86_CR0_PG), STEP_JUMP);
    assert_true(x->msr.efer & X86_EFER_LMA);
    assert_int_equal(f->cpu.mode, X86_MODE_COMPAT32);
    assert_gp(f, write_cr(f, 4, 0)); /* PAE must stay */
    assert_int_equal(write_cr(f, 0, x->cr0 & ~X86_CR0_PG), STEP_JUMP);
    assert_false(x->msr.efer & X86_EFER_LMA);
}

static void test_pdptes(void **state)
{
    struct fixture *f = *state;
    struct x86_state *x = &f->cpu.x;
    uint64_t bad = 0x7003, good = 0x7001;

    x->cr4 = X86_CR4_PAE;
    x->cr3 = 0x5000;
    mem_write(f->cpu.mem, 0x5008, &bad, 8); /* bit 1 is reserved */
    assert_gp(f, write_cr(f, 0, x->cr0 | X86_CR0_PG));
    assert_false(x->cr0 & X86_CR0_PG);
    mem_write(f->cpu.mem, 0x5008, &good, 8);
    assert_int_equal(write_cr(f, 0, x->cr0 | X86_CR0_PG), STEP_JUMP);
    assert_int_equal(x->pdpte[1], good);
    mem_write(f->cpu.mem, 0x5008, &bad, 8);
    assert_gp(f, write_cr(f, 3, 0x5000));
}

static void test_cr3_and_pcid(void **state)
{
    struct fixture *f = *state;
    struct x86_state *x = &f->cpu.x;

    assert_gp(f, write_cr(f, 3, BIT(63) | FIXTURE_TABLES)); /* without PCIDE */
    assert_gp(f, write_cr(f, 3, BIT(f->model.physical_bits)));
    assert_int_equal(write_cr(f, 3, FIXTURE_TABLES | 5), STEP_JUMP);
    assert_gp(f, write_cr(f, 4, x->cr4 | X86_CR4_PCIDE)); /* CR3's PCID is not 0 */
    assert_int_equal(write_cr(f, 3, FIXTURE_TABLES), STEP_JUMP);
    assert_int_equal(write_cr(f, 4, x->cr4 | X86_CR4_PCIDE), STEP_JUMP);
    assert_int_equal(write_cr(f, 3, BIT(63) | FIXTURE_TABLES | 5), STEP_JUMP);
    assert_int_equal(x->cr3, FIXTURE_TABLES | 5);
    assert_gp(f, write_cr(f, 4, x->cr4 | BIT(31)));
    assert_gp(f, write_cr(f, 4, x->cr4 | X86_CR4_LA57)); /* not offered */
}

static void test_cr8(void **state)
{
    struct fixture *f = *state;

    GPR(f, RAX) = 9;
    assert_int_equal(RUN(f, "\x44\x0f\x22\xc0"), STEP_JUMP);
    assert_int_equal(f->tpr, 9);
    assert_int_equal(RUN(f, "\x44\x0f\x20\xc3"), STEP_NEXT);
    assert_int_equal(GPR(f, RBX), 9);
    GPR(f, RAX) = 16;
    assert_raises(f, "\x44\x0f\x22\xc0", X86_GP, 0);
}

static void test_machine_status_word(void **state)
{
    struct fixture *f = *state;

    GPR(f, RAX) = X86_CR0_TS;
    assert_int_equal(RUN(f, "\x0f\x01\xf0"), STEP_JUMP); /* lmsw ax: PE stays */
    assert_int_equal(f->cpu.x.cr0 & 0xf, X86_CR0_PE | X86_CR0_TS);
    assert_int_equal(RUN(f, "\x0f\x06"), STEP_JUMP); /* clts */
    assert_int_equal(f->cpu.x.cr0 & 0xf, X86_CR0_PE);
    set_cpl(f, 3);
    GPR(f, RBX) = UINT64_MAX;
    assert_int_equal(RUN(f, "\x66\x0f\x01\xe3"), STEP_NEXT); /* smsw bx */
    assert_int_equal(GPR(f, RBX), 0xffffffffffff0000 | (f->cpu.x.cr0 & 0xffff));
    f->cpu.x.cr4 |= X86_CR4_UMIP;
    assert_raises(f, "\x0f\x01\xe3", X86_GP, 0);
    assert_raises(f, "\x0f\x01\xf0", X86_GP, 0);
    assert_raises(f, "\x0f\x06", X86_GP, 0);
}

static void test_debug_registers(void **state)
{
    struct fixture *f = *state;

    GPR(f, RAX) = 0xffffdfff;
    assert_int_equal(RUN(f, "\x0f\x23\xf8"), STEP_JUMP); /* mov dr7, rax */
    assert_int_equal(f->cpu.x.dr[7], 0xffff07ff);
    assert_true(f->cpu.single_step);
    GPR(f, RAX) = 0;
    RUN(f, "\x0f\x23\xf8");
    assert_int_equal(f->cpu.x.dr[7], 0x400);
    RUN(f, "\x0f\x23\xf0"); /* mov dr6, rax */
    assert_int_equal(f->cpu.x.dr[6], 0xffff0ff0);
    assert_int_equal(RUN(f, "\x0f\x21\xe3"), STEP_NEXT); /* mov rbx, dr4 is DR6 */
    assert_int_equal(GPR(f, RBX), 0xffff0ff0);
    f->cpu.x.cr4 |= X86_CR4_DE;
    assert_raises(f, "\x0f\x21\xe3", X86_UD, 0);
    GPR(f, RAX) = BIT(32);
    assert_raises(f, "\x0f\x23\xf8", X86_GP, 0);
    f->cpu.x.dr[7] |= BIT(13); /* GD */
    assert_raises(f, "\x0f\x21\xc3", X86_DB, 0);
    assert_int_equal(f->cpu.dr6_pending, BIT(13));
    set_cpl(f, 3);
    assert_raises(f, "\x0f\x21\xc3", X86_GP, 0);
}

static enum step write_msr(struct fixture *f, uint32_t index, uint64_t value)
{
    GPR(f, RCX) = index;
    GPR(f, RAX) = (uint32_t)value;
    GPR(f, RDX) = value >> 32;
    return RUN(f, "\x0f\x30");
}

static uint64_t read_msr(struct fixture *f, uint32_t index)
{
    GPR(f, RCX) = index;
    GPR(f, RAX) = GPR(f, RDX) = UINT64_MAX;
    assert_int_equal(RUN(f, "\x0f\x32"), STEP_NEXT);
    return GPR(f, RAX) | GPR(f, RDX) << 32;
}

static void test_msrs_that_are_storage(void **state)
{
    static const uint32_t plain[] = {
        0x174, 0x175,      0x176,      0x250,      0x258,      0x259,      0x268,
        0x26f, 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000100, 0xc0000101, 0xc0000102,
    };
    struct fixture *f = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(plain); i++)
        assert_int_equal(write_msr(f, plain[i], 0x060606), STEP_JUMP);
    for (unsigned i = 0; i < ARRAY_SIZE(plain); i++)
        assert_int_equal(read_msr(f, plain[i]), 0x060606);
    write_msr(f, 0xc0000100, 0x12345000);
    assert_int_equal(f->cpu.seg_base[X86_FS], 0x12345000);
    assert_int_equal(read_msr(f, 0x1b), 0xfee00900); /* the monitor's */
}

static void test_msrs_refuse(void **state)
{
    static const struct {
        uint32_t index;
        uint64_t value;
    } bad[] = {
        {0x175, BIT(47)}, /* not canonical */
        {0xc0000082, BIT(47)},
        {0xc0000101, BIT(63)},
        {0xc0000084, BIT(32)}, /* SFMASK */
        {0xc0000103, BIT(32)}, /* TSC_AUX */
        {0x277, 0x02},         /* PAT: reserved type */
        {0x250, 0x07},         /* MTRR: no UC- */
        {0x2ff, BIT(9)},
        {0x2ff, 0x03},
        {0x200, BIT(52)},
        {0x201, 0x400},
        {0xfe, 0},                  /* MTRRCAP is read-only */
        {0xc0000080, BIT(1)},       /* EFER: reserved */
        {0xc0000080, X86_EFER_LMA}, /* LME may not change under paging */
        {0x179, 0},
        {0x48, 0}, /* SPEC_CTRL is not offered */
        {0x12345, 0},
    };
    struct fixture *f = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
        assert_gp(f, write_msr(f, bad[i].index, bad[i].value));
    GPR(f, RCX) = 0x12345;
    assert_raises(f, "\x0f\x32", X86_GP, 0);
    set_cpl(f, 3);
    GPR(f, RCX) = 0x174;
    assert_raises(f, "\x0f\x32", X86_GP, 0);
    assert_raises(f, "\x0f\x30", X86_GP, 0);
}

/* DEVIATION: LBR and BTF do nothing but stay. */
static void test_debugctl_is_kept(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(write_msr(f, 0x1d9, 3), STEP_JUMP);
    assert_int_equal(read_msr(f, 0x1d9), 3);
    assert_false(f->cpu.single_step);
    assert_gp(f, write_msr(f, 0x1d9, 4));
}

/* The guest may turn machine checks on; there is no bank that could report one. */
static void test_machine_check_has_no_banks(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(write_cr(f, 4, f->cpu.x.cr4 | X86_CR4_MCE), STEP_JUMP);
    assert_true(f->cpu.x.cr4 & X86_CR4_MCE);
    assert_int_equal(read_msr(f, 0x179), 0);
    assert_int_equal(read_msr(f, 0x17a), 0);
    assert_int_equal(write_msr(f, 0x17a, 0), STEP_JUMP);
    assert_gp(f, write_msr(f, 0x17a, 1));
    GPR(f, RCX) = 0x400; /* MC0_CTL */
    assert_raises(f, "\x0f\x32", X86_GP, 0);
}

static void test_efer(void **state)
{
    struct fixture *f = *state;
    const uint64_t on = X86_EFER_SCE | X86_EFER_LME | X86_EFER_NXE;

    assert_int_equal(write_msr(f, 0xc0000080, on), STEP_JUMP);
    assert_int_equal(f->cpu.x.msr.efer, on | X86_EFER_LMA); /* LMA is not software's */
}

static void test_time_stamp_counter(void **state)
{
    struct fixture *f = *state;

    f->tsc = 0x100000005;
    assert_int_equal(RUN(f, "\x0f\x31"), STEP_NEXT);
    assert_int_equal(GPR(f, RAX), 5);
    assert_int_equal(GPR(f, RDX), 1);
    write_msr(f, 0x10, 1000);
    assert_int_equal(f->tsc + f->tsc_offset, 1000); /* the monitor's timer has to know */
    f->tsc += 7;
    write_msr(f, 0xc0000103, 3);
    assert_int_equal(RUN(f, "\x0f\x01\xf9"), STEP_NEXT); /* rdtscp */
    assert_int_equal(GPR(f, RAX), 1007);
    assert_int_equal(GPR(f, RCX), 3);
    f->cpu.x.cr4 |= X86_CR4_TSD;
    assert_int_equal(RUN(f, "\x0f\x31"), STEP_NEXT);
    set_cpl(f, 3);
    assert_raises(f, "\x0f\x31", X86_GP, 0);
    assert_raises(f, "\x0f\x01\xf9", X86_GP, 0);
    /* A processor does it without its monitor. */
    assert_int_equal(f->cpu.counters.tsc_reads, 3);
    assert_int_equal(f->cpu.counters.exits[EXIT_RDTSC], 0);
    assert_int_equal(f->cpu.counters.exits[EXIT_RDTSCP], 0);
}

static void test_cpuid(void **state)
{
    struct fixture *f = *state;

    GPR(f, RAX) = 0xffffffff00000000;
    GPR(f, RBX) = UINT64_MAX;
    assert_int_equal(RUN(f, "\x0f\xa2"), STEP_NEXT);
    assert_int_equal(GPR(f, RBX), 0x756e6547); /* "Genu" */
    assert_int_equal(f->cpu.counters.exits[EXIT_CPUID], 1);
}

static void test_hlt_and_interrupt_flag(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(RUN(f, "\xfb"), STEP_JUMP); /* sti */
    assert_true(f->cpu.interrupt_shadow);
    f->cpu.interrupt_shadow = false;
    RUN(f, "\xfb");
    assert_false(f->cpu.interrupt_shadow); /* IF was set already */
    assert_int_equal(RUN(f, "\xfa"), STEP_NEXT);
    assert_false(f->cpu.x.rflags & X86_FLAG_IF);
    assert_int_equal(RUN(f, "\xf4"), STEP_STOP);
    assert_int_equal(f->cpu.stop, ENGINE_STOP_HALT);
    assert_true(f->cpu.halted);
    set_cpl(f, 3);
    assert_raises(f, "\xf4", X86_GP, 0);
    assert_raises(f, "\xfa", X86_GP, 0);
    assert_raises(f, "\xfb", X86_GP, 0);
    f->cpu.x.cr4 |= X86_CR4_PVI;
    assert_int_equal(RUN(f, "\xfb"), STEP_JUMP);
    assert_true(f->cpu.x.rflags & X86_FLAG_VIF);
    f->cpu.x.rflags |= X86_FLAG_VIP;
    assert_raises(f, "\xfb", X86_GP, 0);
}

static void test_bases(void **state)
{
    struct fixture *f = *state;
    struct x86_state *x = &f->cpu.x;

    x->seg[X86_GS].base = 1;
    x->msr.kernel_gs_base = 2;
    assert_int_equal(RUN(f, "\x0f\x01\xf8"), STEP_NEXT); /* swapgs */
    assert_int_equal(f->cpu.seg_base[X86_GS], 2);
    assert_int_equal(x->msr.kernel_gs_base, 1);
    GPR(f, RAX) = 0x123456789000;
    assert_raises(f, "\xf3\x48\x0f\xae\xd0", X86_UD, 0); /* wrfsbase rax */
    x->cr4 |= X86_CR4_FSGSBASE;
    assert_int_equal(RUN(f, "\xf3\x48\x0f\xae\xd0"), STEP_NEXT);
    assert_int_equal(f->cpu.seg_base[X86_FS], 0x123456789000);
    assert_int_equal(RUN(f, "\xf3\x0f\xae\xc3"), STEP_NEXT); /* rdfsbase ebx */
    assert_int_equal(GPR(f, RBX), 0x56789000);
    GPR(f, RAX) = BIT(63);
    assert_raises(f, "\xf3\x48\x0f\xae\xd0", X86_GP, 0);
    set_cpl(f, 3);
    assert_raises(f, "\x0f\x01\xf8", X86_GP, 0);
}

static void test_smap_switch(void **state)
{
    struct fixture *f = *state;

    f->cpu.x.cr4 |= X86_CR4_SMAP;
    cpu_update_mode(&f->cpu);
    assert_ptr_equal(f->cpu.tlb, f->cpu.tlb_tables[TLB_SUPER_SMAP]);
    assert_raises(f, "\x0f\x10\x04\x25\x00\x00\x00\x10", X86_PF, 1); /* movups xmm0, [data] */
    assert_int_equal(RUN(f, "\x0f\x01\xcb"), STEP_NEXT);             /* stac */
    assert_ptr_equal(f->cpu.tlb, f->cpu.tlb_tables[TLB_SUPER]);
    assert_int_equal(RUN(f, "\x8a\x04\x25\x00\x00\x00\x10"), STEP_NEXT);
    assert_int_equal(RUN(f, "\x0f\x01\xca"), STEP_NEXT); /* clac */
    assert_raises(f, "\x8a\x04\x25\x00\x00\x00\x10", X86_PF, 1);
    set_cpl(f, 3);
    assert_raises(f, "\x0f\x01\xcb", X86_UD, 0);
}

static void test_tlb_control(void **state)
{
    struct fixture *f = *state;
    uint64_t descriptor[2] = {0, FIXTURE_DATA};
    uint64_t at = FIXTURE_DATA + 0x100;

    GPR(f, RBX) = at;
    assert_int_equal(RUN(f, "\x0f\x01\x3b"), STEP_JUMP);     /* invlpg [rbx] */
    assert_int_equal(f->cpu.counters.exits[EXIT_INVLPG], 0); /* it exits under shadow paging only */
    assert_int_equal(access_slow_write(&f->cpu, at, descriptor, 16), STEP_NEXT);
    for (GPR(f, RAX) = 0; GPR(f, RAX) < 4; GPR(f, RAX)++)
        assert_int_equal(RUN(f, "\x66\x0f\x38\x82\x03"), STEP_JUMP); /* invpcid rax, [rbx] */
    assert_raises(f, "\x66\x0f\x38\x82\x03", X86_GP, 0);             /* type 4 */
    descriptor[0] = 1;                                               /* a PCID without PCIDE */
    access_slow_write(&f->cpu, at, descriptor, 16);
    GPR(f, RAX) = 1;
    assert_raises(f, "\x66\x0f\x38\x82\x03", X86_GP, 0);
    set_cpl(f, 3);
    assert_raises(f, "\x0f\x01\x3b", X86_GP, 0);
    assert_raises(f, "\x0f\x08", X86_GP, 0); /* invd */
    assert_raises(f, "\x0f\x09", X86_GP, 0); /* wbinvd */
}

static void test_ports(void **state)
{
    struct fixture *f = *state;

    f->port_value = 0xa1b2c3d4;
    GPR(f, RAX) = UINT64_MAX;
    assert_int_equal(RUN(f, "\xe4\xfe"), STEP_NEXT); /* in al, FEh */
    assert_int_equal(f->port, 0xfe);
    assert_int_equal(GPR(f, RAX), 0xffffffffffffffd4);
    GPR(f, RDX) = 0xffff0cf8;
    assert_int_equal(RUN(f, "\xed"), STEP_NEXT); /* in eax, dx */
    assert_int_equal(f->port, 0x0cf8);
    assert_int_equal(f->port_width, 4);
    assert_int_equal(GPR(f, RAX), 0xa1b2c3d4);
    assert_int_equal(RUN(f, "\x66\xef"), STEP_JUMP); /* out dx, ax */
    assert_int_equal(f->port_width, 2);
    assert_int_equal(f->port_value, 0xc3d4);
    assert_int_equal(f->cpu.counters.exits[EXIT_IO], 3);
}

static void test_string_ports(void **state)
{
    struct fixture *f = *state;
    uint16_t words[3] = {0};

    f->port_value = 0x1234;
    GPR(f, RDX) = 0x1f0;
    GPR(f, RCX) = 3;
    GPR(f, RDI) = FIXTURE_DATA + FIXTURE_DATA_BYTES - 4;
    assert_raises(f, "\xf3\x66\x6d", X86_PF, 2); /* rep insw */
    assert_int_equal(f->port_accesses, 2);       /* none was read for the third */
    assert_int_equal(GPR(f, RCX), 1);
    access_slow_read(&f->cpu, FIXTURE_DATA + FIXTURE_DATA_BYTES - 4, words, 4);
    assert_int_equal(words[1], 0x1234);
    GPR(f, RSI) = FIXTURE_DATA + FIXTURE_DATA_BYTES - 2;
    GPR(f, RCX) = 1;
    assert_int_equal(RUN(f, "\xf3\x66\x6f"), STEP_JUMP); /* rep outsw */
    assert_int_equal(f->port_value, 0x1234);
    assert_int_equal(GPR(f, RSI), FIXTURE_DATA + FIXTURE_DATA_BYTES);
}

/* A TSS whose bitmap opens ports 3F8h to 3FBh only. */
static void make_tss(struct fixture *f, uint16_t type, uint32_t limit)
{
    uint16_t offset = 104;
    uint8_t map[0x82];

    memset(map, 0xff, sizeof(map));
    map[0x3f8 / 8] = 0xf0;
    map[0x408 / 8] = 0;
    mem_write(f->cpu.mem, TSS + 102, &offset, 2);
    mem_write(f->cpu.mem, TSS + 104, map, sizeof(map));
    f->cpu.x.seg[X86_TR] =
        (struct x86_segment){.base = TSS, .limit = limit, .attr = X86_SEG_P | type};
}

static void test_port_permission(void **state)
{
    struct fixture *f = *state;

    set_cpl(f, 3);
    make_tss(f, X86_TSS_BUSY, 104 + 0x81);
    GPR(f, RDX) = 0x3f8;
    assert_int_equal(RUN(f, "\xec"), STEP_NEXT);
    assert_int_equal(RUN(f, "\xed"), STEP_NEXT); /* four ports */
    GPR(f, RDX) = 0x3f9;
    assert_raises(f, "\xed", X86_GP, 0); /* the fourth is closed */
    GPR(f, RDX) = 0x408;
    assert_raises(f, "\xec", X86_GP, 0); /* its second byte is past the limit */
    make_tss(f, 3, 104 + 0x81);          /* a 16-bit TSS has no bitmap */
    GPR(f, RDX) = 0x3f8;
    assert_raises(f, "\xec", X86_GP, 0);
    make_tss(f, X86_TSS_BUSY, 102);
    assert_raises(f, "\xec", X86_GP, 0);
    f->cpu.x.rflags |= X86_FLAG_IOPL;
    assert_int_equal(RUN(f, "\xec"), STEP_NEXT);
    f->cpu.x.rflags |= X86_FLAG_VM; /* IOPL does not open ports there */
    cpu_update_mode(&f->cpu);
    assert_raises(f, "\xec", X86_GP, 0);
}

static void test_what_no_model_has(void **state)
{
    struct fixture *f = *state;

    assert_raises(f, "\x0f\x01\xc1", X86_UD, 0);     /* vmcall */
    assert_raises(f, "\x0f\x01\xd9", X86_UD, 0);     /* vmmcall */
    assert_raises(f, "\x0f\x01\xc8", X86_UD, 0);     /* monitor */
    assert_raises(f, "\x0f\x01\xc9", X86_UD, 0);     /* mwait */
    assert_raises(f, "\x0f\xaa", X86_UD, 0);         /* rsm */
    assert_raises(f, "\x0f\x37", X86_UD, 0);         /* getsec */
    assert_raises(f, "\x0f\xc7\x33", X86_UD, 0);     /* vmptrld */
    assert_raises(f, "\xf3\x0f\xc7\xf8", X86_UD, 0); /* rdpid */
    assert_raises(f, "\x0f\x0b", X86_UD, 0);         /* ud2 */
    assert_raises(f, "\x0f\x22\xc8", X86_UD, 0);     /* mov cr1, rax */
}

static void test_reset_and_init(void **state)
{
    struct fixture *f = *state;
    struct x86_state *x = &f->cpu.x;

    x->msr.pat = 6;
    x->msr.efer = X86_EFER_NXE;
    x->fpu.mxcsr = 0x1f00;
    x->cr0 = X86_CR0_PE | X86_CR0_CD;
    x86_state_reset(x, true);
    assert_int_equal(x->msr.pat, 6);
    assert_int_equal(x->msr.efer, 0);
    assert_int_equal(x->fpu.mxcsr, 0x1f00);
    assert_int_equal(x->cr0, X86_CR0_CD | X86_CR0_ET);
    x86_state_reset(x, false);
    assert_int_equal(x->cr0, 0x60000010);
    assert_int_equal(x->seg[X86_CS].base + x->gpr[X86_RIP], 0xfffffff0);
    assert_int_equal(x->fpu.mxcsr, 0x1f80);
    assert_int_equal(x->msr.pat, 0x0007040600070406);
}

int main(void)
{
#define LONG(name)   cmocka_unit_test_setup_teardown(name, setup, teardown)
#define LEGACY(name) cmocka_unit_test_setup_teardown(name, setup32, teardown)
    const struct CMUnitTest tests[] = {
        LONG(test_cr0_refuses),
        LEGACY(test_long_mode_on_and_off),
        LEGACY(test_pdptes),
        LONG(test_cr3_and_pcid),
        LONG(test_cr8),
        LEGACY(test_machine_status_word),
        LONG(test_debug_registers),
        LONG(test_msrs_that_are_storage),
        LONG(test_msrs_refuse),
        LONG(test_debugctl_is_kept),
        LONG(test_machine_check_has_no_banks),
        LONG(test_efer),
        LONG(test_time_stamp_counter),
        LONG(test_cpuid),
        LONG(test_hlt_and_interrupt_flag),
        LONG(test_bases),
        LONG(test_smap_switch),
        LONG(test_tlb_control),
        LONG(test_ports),
        LONG(test_string_ports),
        LEGACY(test_port_permission),
        LONG(test_what_no_model_has),
        LONG(test_reset_and_init),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
