/*
 * The translator's own business: what is linked and what is not any more, jumps by the table, what
 * brings running code back to the loop, and the code memory. What instructions do is compared
 * elsewhere (tests/diff, tests/dbt).
 */
#include <pthread.h>

#include "dbt_rig.h"

/* --- links --- */

static void a_loop_within_a_page_stays_in_translated_code(void **state)
{
    struct rig *rig = *state;

    PUT(rig, CODE,
        "\xff\xc0" /* INC EAX */
        "\x3c\x00" /* CMP AL, 0 */
        "\x74\x02" /* JE +2 */
        "\x90\x90" /* NOP; NOP */
        "\xff\xc9" /* DEC ECX */
        "\x75\xf4" /* JNE CODE */
        "\xf4");   /* HLT */
    RCX(rig) = 100000;
    assert_in_range(run_from(rig, CODE), 1, 20);
    assert_int_equal(RAX(rig), 100000);
}

static void a_loop_over_two_pages_stays_in_translated_code(void **state)
{
    struct rig *rig = *state;

    PUT(rig, CODE, "\xff\xc0\xe9\xf9\x0f\x00\x00");                  /* INC EAX; JMP CODE + 1000h */
    PUT(rig, CODE + 0x1000, "\xff\xc9\x0f\x85\xf8\xef\xff\xff\xf4"); /* DEC; JNE CODE; HLT */
    RCX(rig) = 100000;
    assert_in_range(run_from(rig, CODE), 1, 20);
    assert_int_equal(RAX(rig), 100000);
}

static void calls_and_returns_stay_in_translated_code(void **state)
{
    struct rig *rig = *state;

    PUT(rig, CODE, "\xe8\xfb\x0f\x00\x00\xff\xc9\x75\xf7\xf4"); /* CALL CODE + 1000h; DEC; JNE */
    PUT(rig, CODE + 0x1000, "\xff\xc0\xc3");                    /* INC EAX; RET */
    RCX(rig) = 100000;
    assert_in_range(run_from(rig, CODE), 1, 20);
    assert_int_equal(RAX(rig), 100000);
    assert_int_equal(rig->state.gpr[X86_RSP], STACK);
}

/* The block at the end of a linked jump changes: what led there leads to what stands there now. */
static void a_link_goes_with_its_target(void **state)
{
    struct rig *rig = *state;

    PUT(rig, CODE, "\xeb\x06");                          /* JMP +6 */
    PUT(rig, CODE + 8, "\xb8\x01\x00\x00\x00\xf4");      /* MOV EAX, 1; HLT */
    PUT(rig, CODE + 0x100, "\xe9\xfb\x0e\x00\x00");      /* JMP CODE + 1000h */
    PUT(rig, CODE + 0x1000, "\xb8\x05\x00\x00\x00\xf4"); /* MOV EAX, 5; HLT */
    for (unsigned i = 0; i < 4; i++) {
        run_from(rig, CODE);
        assert_int_equal(RAX(rig), 1);
        run_from(rig, CODE + 0x100);
        assert_int_equal(RAX(rig), 5);
    }
    PUT(rig, CODE + 9, "\x02");
    PUT(rig, CODE + 0x1001, "\x06");
    run_from(rig, CODE);
    assert_int_equal(RAX(rig), 2);
    run_from(rig, CODE + 0x100);
    assert_int_equal(RAX(rig), 6);
    assert_true(counters(rig)->translations_dropped >= 2);
}

/*
 * Another writer's bytes, of which nobody has been told yet: a translation is of the block, as it
 * was decoded, whatever stands in memory by then.
 */
static void a_translation_is_made_from_the_bytes_of_its_block(void **state)
{
    struct rig *rig = *state;
    uint8_t *code = mem_host(rig->base.mem, CODE, PAGE_SIZE, true);
    uint64_t made;

    PUT(rig, CODE, "\xb8\x01\x00\x00\x00\xf4"); /* MOV EAX, 1; HLT */
    rig->state.rflags |= X86_FLAG_TF;           /* interpreted: a block, and no translation */
    run_from(rig, CODE);
    assert_int_equal(RIP(rig), HANDLERS + X86_DB + 1);
    made = counters(rig)->translations_made;
    code[1] = 2;
    rig->state.rflags &= ~(uint64_t)X86_FLAG_TF;
    assert_int_equal(run_from(rig, CODE), 1);
    assert_int_equal(RAX(rig), 1);
    assert_true(counters(rig)->translations_made > made);
    PUT(rig, CODE + 1, "\x02"); /* told */
    run_from(rig, CODE);
    assert_int_equal(RAX(rig), 2);
}

/* Another page has come between a jump and where it leads: nothing may be linked. */
static void a_jump_is_not_linked_to_another_frame(void **state)
{
    struct rig *rig = *state;

    PUT(rig, MOVED, "\xeb\x06");                     /* JMP +6 */
    PUT(rig, MOVED + 8, "\xb8\x01\x00\x00\x00\xf4"); /* MOV EAX, 1; HLT */
    PUT(rig, OTHER + 8, "\xb8\x02\x00\x00\x00\xf4");
    RIP(rig) = MOVED;
    soft_vcpu_limit(rig->base.vcpu, 1); /* the jump is made, and nothing else */
    run(rig, ENGINE_STOP_KICK);
    assert_int_equal(RIP(rig), MOVED + 8);
    rig->state.cr3 = PML4_OTHER;
    run(rig, ENGINE_STOP_HALT);
    assert_int_equal(RAX(rig), 2);
    rig->state.cr3 = PML4;
    run_from(rig, MOVED);
    assert_int_equal(RAX(rig), 1);
}

/* --- jumps by the table --- */

/* RAX is the target of a jump that was made before, but for bits that make it not canonical. */
static void no_jump_arrives_by_an_address_that_is_not_canonical(void **state)
{
    struct rig *rig = *state;

    PUT(rig, CODE, "\xff\xe0");             /* JMP RAX */
    PUT(rig, CODE + 0x100, "\xb3\x01\xf4"); /* MOV BL, 1; HLT */
    for (unsigned i = 0; i < 3; i++) {
        RAX(rig) = CODE + 0x100;
        run_from(rig, CODE);
        assert_int_equal(rig->state.gpr[X86_RBX] & 1, 1);
    }
    for (uint64_t bits = 1; bits < 0x10000; bits++) {
        rig->state.gpr[X86_RBX] = 0;
        rig->state.gpr[X86_RSP] = STACK;
        RAX(rig) = (CODE + 0x100) ^ bits << 48;
        run_from(rig, CODE);
        assert_int_equal(rig->state.gpr[X86_RBX], 0);
        assert_int_equal(RIP(rig), HANDLERS + X86_GP + 1);
        assert_int_equal(mem_read64(rig->base.mem, STACK - 40), CODE); /* RIP of the frame */
        rig->state.seg[X86_CS].attr = 0xa09b;
    }
}

/*
 * A kernel that goes between two address spaces, and a user whose jump by the table leads to other
 * code in each. Each load of CR3 makes a generation: when the user comes back, so many have passed
 * that a tag or a key is the same again.
 */
static void assert_jumps_follow(struct rig *rig, uint32_t loads, uint64_t times)
{
    PUT(rig, CODE,
        "\xb9\x00\x10\x00\x00"               /* MOV ECX, PML4 */
        "\xf6\xc3\x01"                       /* TEST BL, 1 */
        "\x74\x05"                           /* JZ +5 */
        "\xb9\x00\x50\x00\x00"               /* MOV ECX, PML4_OTHER */
        "\xba\x00\x02\x00\x00"               /* MOV EDX, 512 */
        "\x0f\x22\xd9"                       /* MOV CR3, RCX */
        "\xff\xca\x75\xf9"                   /* DEC EDX; JNZ to it */
        "\xb9\x00\x02\x02\x00"               /* MOV ECX, CODE + 200h */
        "\x31\xff"                           /* XOR EDI, EDI */
        "\x41\xbb\x02\x00\x00\x00"           /* MOV R11D, 2 */
        "\x48\x0f\x07");                     /* SYSRET */
    PUT(rig, MOVED, "\x83\xc7\x01\xcd\x80"); /* ADD EDI, 1; INT VECTOR_CALL */
    PUT(rig, OTHER, "\x83\xc7\x02\xcd\x80");
    PUT(rig, CODE + 0x300,
        "\x89\xd8"             /* MOV EAX, EBX */
        "\x83\xe0\x01"         /* AND EAX, 1 */
        "\xff\xc0"             /* INC EAX */
        "\x39\xf8"             /* CMP EAX, EDI */
        "\x75\x0f"             /* JNE bad */
        "\xff\xcb"             /* DEC EBX */
        "\x74\x0a"             /* JZ end */
        "\xbc\x00\x00\x01\x00" /* MOV ESP, STACK */
        "\xe9\xe7\xfc\xff\xff" /* JMP CODE */
        "\xf4"                 /* end: HLT */
        "\x0f\x0b");           /* bad: UD2 */
    mem_write(rig->base.mem, CODE + 0x10, &loads, sizeof(loads));
    put_gate(rig, VECTOR_CALL, CODE + 0x300);
    rig->state.gpr[X86_RBX] = times;
    run_from(rig, CODE);
    assert_int_equal(rig->state.gpr[X86_RBX], 0);
    assert_int_equal(RIP(rig), CODE + 0x300 + 0x1a);
}

static void jumps_by_the_table_follow_the_address_space(void **state)
{
    struct rig *rig = *state;

    PUT(rig, CODE + 0x200, "\xb8\x00\x00\x03\x00\xff\xe0"); /* MOV EAX, MOVED; JMP RAX */
    assert_jumps_follow(rig, 512, 200);
}

static void links_follow_the_address_space(void **state)
{
    struct rig *rig = *state;

    PUT(rig, CODE + 0x200, "\xe9\xfb\xfd\x00\x00"); /* JMP MOVED */
    assert_jumps_follow(rig, 1u << 24, 3);
}

/* A page's bit in the filter of block.c. */
static unsigned filter_bit(gva_t page)
{
    return (unsigned)((page >> PAGE_SHIFT) * 0x9e3779b97f4a7c15u >> 49);
}

/* A kernel's page that is not global goes with CR3, whatever other page was found before. */
static void local_code_of_a_kernel_goes_with_its_address_space(void **state)
{
    struct rig *rig = *state;
    gva_t local = MOVED;

    for (gpa_t tables = TABLES; tables <= TABLES_OTHER; tables += TABLES_OTHER - TABLES) {
        for (unsigned i = 1; i < 512; i++) { /* the same memory everywhere */
            put64(rig, tables + 8 * i, (tables + 0x1000) | PTE_P | PTE_W | PTE_U);
            put64(rig, tables + 0x1000 + 8 * i, (tables + 0x2000) | PTE_P | PTE_W | PTE_U);
        }
    }
    PUT(rig, CODE,
        "\xff\xd0"                               /* CALL RAX */
        "\xb9\x00\x50\x00\x00"                   /* MOV ECX, PML4_OTHER */
        "\x0f\x22\xd9"                           /* MOV CR3, RCX */
        "\xff\xd0\xf4");                         /* CALL RAX; HLT */
    PUT(rig, MOVED, "\x01\xdb\xff\xc3\xc3");     /* ADD EBX, EBX; INC EBX; RET */
    PUT(rig, OTHER, "\x01\xdb\x83\xc3\x02\xc3"); /* ADD EBX, EBX; ADD EBX, 2; RET */
    while (filter_bit(local) != filter_bit(CODE))
        local += MEMORY_BYTES;
    assert_true(local < 512 * GIB);
    RAX(rig) = local;
    rig->state.gpr[X86_RBX] = 0;
    run_from(rig, CODE);
    assert_int_equal(rig->state.gpr[X86_RBX], 4);
}

/* --- what brings code back --- */

static void *kick_later(void *opaque)
{
    struct rig *rig = opaque;

    while (mem_read32(rig->base.mem, DATA) < 10000)
        sched_yield();
    engine_soft.vcpu_kick(rig->base.vcpu);
    return NULL;
}

/* A loop that never ends, and counts at DATA, is left when somebody wants the vCPU. */
#define INC_DATA "\xff\x04\x25\x00\x10\x01\x00" /* INC DWORD [DATA] */

static void assert_kick_ends(struct rig *rig)
{
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, kick_later, rig), 0);
    run(rig, ENGINE_STOP_KICK);
    pthread_join(thread, NULL);
}

static void a_kick_ends_a_loop(void **state)
{
    PUT((struct rig *)*state, CODE, INC_DATA "\xeb\xf7"); /* JMP CODE */
    assert_kick_ends(*state);
}

static void a_kick_ends_a_loop_by_the_table(void **state)
{
    struct rig *rig = *state;

    PUT(rig, CODE, INC_DATA "\xff\xe2"); /* JMP RDX */
    rig->state.gpr[X86_RDX] = CODE;
    assert_kick_ends(rig);
}

static void a_kick_ends_a_loop_of_calls(void **state)
{
    struct rig *rig = *state;

    PUT(rig, CODE, "\xe8\xfb\x0f\x00\x00\xeb\xf9"); /* CALL CODE + 1000h; JMP CODE */
    PUT(rig, CODE + 0x1000, INC_DATA "\xc3");       /* RET */
    assert_kick_ends(rig);
}

/* An interrupt that can't be taken now costs nothing, and is taken when it can. */
static void assert_waits_for(struct rig *rig)
{
    PUT(rig, CODE, "\xff\xc0\xff\xc9\x75\xfa"); /* INC EAX; DEC ECX; JNE CODE */
    RCX(rig) = 100000;
    engine_soft.vcpu_set_intr(rig->base.vcpu, true);
    assert_in_range(run_from(rig, CODE), 1, 20);
    assert_int_equal(RAX(rig), 100000);
    assert_int_equal(RIP(rig), HANDLERS + VECTOR_INTR + 1);
}

static void an_interrupt_waits_for_sti(void **state)
{
    PUT((struct rig *)*state, CODE + 6, "\xfb\x90\xeb\xfe"); /* STI; NOP; JMP to itself */
    assert_waits_for(*state);
}

static void an_interrupt_waits_for_popf(void **state)
{
    PUT((struct rig *)*state, CODE + 6, "\x68\x02\x02\x00\x00\x9d\xeb\xfe"); /* PUSH; POPFQ */
    assert_waits_for(*state);
}

/* --- faults --- */

/*
 * The flags are in the host's registers when the block begins, and what comes first faults, before
 * an instruction that writes them.
 */
static void a_fault_sees_the_flags(void **state)
{
    struct rig *rig = *state;

    PUT(rig, CODE,
        "\x38\xc0" /* CMP AL, AL */
        "\x74\x02" /* JE +2 */
        "\x90\x90"
        "\x0f\x32"           /* RDMSR */
        "\x83\xc0\x01\xf4"); /* ADD EAX, 1; HLT */
    for (unsigned i = 0; i < 3; i++) {
        rig->state.gpr[X86_RSP] = STACK;
        rig->state.rflags = X86_FLAG_ONE | X86_FLAG_CF;
        RCX(rig) = 0x12345678;
        run_from(rig, CODE);
        assert_int_equal(RIP(rig), HANDLERS + X86_GP + 1);
        assert_int_equal(mem_read64(rig->base.mem, STACK - 24) & X86_FLAGS_ARITH,
                         X86_FLAG_ZF | X86_FLAG_PF);
    }
}

/* --- code memory --- */

#define BLOCKS       4000u
#define BLOCK_STRIDE 32u

/* More blocks than fit, over and over: old code makes room for new. */
static void full_code_memory_is_used_again(void **state)
{
    struct rig *rig = *state;

    for (unsigned i = 0; i < BLOCKS; i++) /* INC RAX; JMP to the next */
        PUT(rig, MANY + i * BLOCK_STRIDE, "\x48\xff\xc0\xeb\x1b");
    PUT(rig, MANY + BLOCKS * BLOCK_STRIDE, "\xff\xc9\x74\x05\xe9"); /* DEC ECX; JZ +5; JMP MANY */
    put64(rig, MANY + BLOCKS * BLOCK_STRIDE + 5,
          (uint32_t) - (BLOCKS * BLOCK_STRIDE + 9) | 0xf4ull << 32);
    RCX(rig) = 5;
    run_from(rig, MANY);
    assert_int_equal(RAX(rig), 5 * BLOCKS);
    assert_true(counters(rig)->translation_flushes >= 5);
    assert_true(counters(rig)->translations_made > BLOCKS);
}

/* One block at more linear addresses than it may have translations: the oldest go. */
static void a_block_keeps_few_translations(void **state)
{
    struct rig *rig = *state;
    const uint64_t aliases = 100;
    uint64_t dropped = counters(rig)->translations_dropped;

    PUT(rig, CODE, "\xff\xc0\xf4"); /* INC EAX; HLT */
    for (uint64_t i = 0; i < aliases; i++) {
        put64(rig, TABLES + 0x2000 + (MEMORY_BYTES / PAGE_SIZE - 1 - i) * 8, CODE | PTE_P | PTE_W);
        run_from(rig, MEMORY_BYTES - (i + 1) * PAGE_SIZE);
    }
    assert_int_equal(RAX(rig), aliases);
    assert_true(counters(rig)->translations_dropped >= dropped + aliases - 16);
}

#define TEST(name)        cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_LITTLE(name) cmocka_unit_test_setup_teardown(name, setup_little, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_loop_within_a_page_stays_in_translated_code),
        TEST(a_loop_over_two_pages_stays_in_translated_code),
        TEST(calls_and_returns_stay_in_translated_code),
        TEST(a_link_goes_with_its_target),
        TEST(a_translation_is_made_from_the_bytes_of_its_block),
        TEST(a_jump_is_not_linked_to_another_frame),
        TEST(no_jump_arrives_by_an_address_that_is_not_canonical),
        TEST(jumps_by_the_table_follow_the_address_space),
        TEST(links_follow_the_address_space),
        TEST(local_code_of_a_kernel_goes_with_its_address_space),
        TEST(a_kick_ends_a_loop),
        TEST(a_kick_ends_a_loop_by_the_table),
        TEST(a_kick_ends_a_loop_of_calls),
        TEST(an_interrupt_waits_for_sti),
        TEST(an_interrupt_waits_for_popf),
        TEST(a_fault_sees_the_flags),
        TEST(a_block_keeps_few_translations),
        TEST_LITTLE(full_code_memory_is_used_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
