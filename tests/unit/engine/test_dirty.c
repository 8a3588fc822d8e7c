/*
 * The dirty log never misses a write. A guest stores at random, by every road that a store can
 * take, and so do devices; at random moments the log is fetched, and each page that it does not
 * hold must equal the copy from the fetch before.
 */
#include "memory_rig.h"

/*
 * GPA                          GVA
 * 0        tables, code        same, in pages of 4 KiB
 * 200000   data, 2 MiB * 2     SMALL, in pages of 4 KiB; LARGE, in pages of 2 MiB
 * Behind each window of GVAs its beginning is mapped again: stores run over the edge, and one page
 * has several names.
 */
#define LOW_BYTES  (256 * KIB)
#define DATA       (2 * MIB)
#define DATA_BYTES (4 * MIB)
#define CODE       0x20000u
#define CODE_BYTES 0x2000u
#define TABLES     0x1000u /* PML4, PDPTs, PDs and page tables follow one another */
#define SMALL      (1 * GIB)
#define LARGE      (2 * GIB)
#define STACK      0x18000u
#define ROUNDS     2000

/*
 * r11 whether there is AVX, r12 random, r13 a window, r14 its length - 1, r15 rounds done, rbx the
 * page tables of SMALL.
 * Each round takes one of 16 ways to store at a random address.
 */
__asm__(".pushsection .rodata\n"
        ".globl dirty_guest, dirty_guest_end\n"
        "dirty_guest:\n"
        "   fninit\n"
        "1: inc %r15\n"
        "   imul 91f(%rip), %r12\n"
        "   add 92f(%rip), %r12\n"
        "   mov $0x40000000, %r13d\n"
        "   bt $11, %r12\n"
        "   jnc 2f\n"
        "   add %r13, %r13\n"
        "2: mov %r12, %rdi\n"
        "   shr $20, %rdi\n"
        "   and %r14, %rdi\n"
        "   mov %rdi, %rsi\n"
        "   xor $0x155000, %rsi\n"
        "   add %r13, %rdi\n"
        "   add %r13, %rsi\n"
        "   movq %r12, %xmm0\n"
        "   mov %r12, %rax\n"
        "   mov %r12, %rcx\n"
        "   shr $60, %rcx\n"
        "   lea 93f(%rip), %rdx\n"
        "   movslq (%rdx,%rcx,4), %rcx\n"
        "   add %rcx, %rdx\n"
        "   mov %r12d, %ecx\n"
        "   and $0x1fff, %ecx\n"
        "   jmp *%rdx\n"
        "10: mov %r12b, (%rdi)\n"
        "   jmp 1b\n"
        "11: mov %r12, (%rdi)\n"
        "   jmp 1b\n"
        "12: movups %xmm0, (%rdi)\n"
        "   test %r11d, %r11d\n"
        "   jz 1b\n"
        "   vmovups %ymm0, 17(%rdi)\n"
        "   jmp 1b\n"
        "13: movnti %r12, (%rdi)\n"
        "   maskmovdqu %xmm0, %xmm0\n"
        "   jmp 1b\n"
        "14: rep stosb\n"
        "   jmp 1b\n"
        "15: shr $3, %ecx\n"
        "   rep movsq\n"
        "   jmp 1b\n"
        "16: lock xadd %rax, (%rdi)\n"
        "   jmp 1b\n"
        "17: xchg %rax, (%rdi)\n"
        "   jmp 1b\n"
        "18: mov %rsp, %rbp\n"
        "   lea 8(%rdi), %rsp\n"
        "   push %r12\n"
        "   mov %rbp, %rsp\n"
        "   jmp 1b\n"
        "19: bts %rcx, (%rdi)\n"
        "   jmp 1b\n"
        "20: and $-16, %rdi\n"
        "   lock cmpxchg16b (%rdi)\n"
        "   mov 94f(%rip), %rbx\n"
        "   jmp 1b\n"
        "21: and $-16, %rdi\n"
        "   fxsave64 (%rdi)\n"
        "   jmp 1b\n"
        "22: fldpi\n"
        "   fstpt (%rdi)\n"
        "   jmp 1b\n"
        /* The accessed and dirty bits of one page of the small window go, and come back. */
        "23: shr $12, %edi\n"
        "   and $0x3ff, %edi\n"
        "   andb $0x9f, (%rbx,%rdi,8)\n"
        "   shl $12, %rdi\n"
        "   add $0x40000000, %rdi\n"
        "   invlpg (%rdi)\n"
        "   orl $1, (%rdi)\n"
        "   jmp 1b\n"
        /* All of the TLB goes; then code that is about to run changes. */
        "24: mov %cr3, %rax\n"
        "   mov %rax, %cr3\n"
        "   mov %r12d, 3f+1(%rip)\n"
        "3: mov $0, %eax\n"
        "   mov %eax, (%rdi)\n"
        "   jmp 1b\n"
        "25: add %r12, (%rdi)\n"
        "   fnstenv 64(%rdi)\n"
        "   fldenv 64(%rdi)\n"
        "   jmp 1b\n"
        ".balign 8\n"
        "91: .quad 6364136223846793005\n"
        "92: .quad 1442695040888963407\n"
        "94: .quad 0x5000\n"
        "93: .long 10b-93b, 11b-93b, 12b-93b, 13b-93b, 14b-93b, 15b-93b, 16b-93b, 17b-93b\n"
        "    .long 18b-93b, 19b-93b, 20b-93b, 21b-93b, 22b-93b, 23b-93b, 24b-93b, 25b-93b\n"
        "dirty_guest_end:\n"
        ".popsection\n");
extern const uint8_t dirty_guest[], dirty_guest_end[];

/* Tables, one a page: PML4, PDPT, PD of 0, PT of 0, then the PTs of SMALL, the PDs of both. */
#define PML4      TABLES
#define PDPT      (TABLES + 0x1000)
#define PD_LOW    (TABLES + 0x2000)
#define PT_LOW    (TABLES + 0x3000)
#define PT_SMALL  (TABLES + 0x4000) /* three */
#define PD_SMALL  (TABLES + 0x7000)
#define PD_LARGE  (TABLES + 0x8000)
#define SMALL_PTS 3

static void make_tables(struct vcpu_rig *rig)
{
    memory_rig_put64(rig, PML4, PDPT | PTE_TABLE);
    memory_rig_put64(rig, PDPT, PD_LOW | PTE_TABLE);
    memory_rig_put64(rig, PDPT + 8 * (SMALL / GIB), PD_SMALL | PTE_TABLE);
    memory_rig_put64(rig, PDPT + 8 * (LARGE / GIB), PD_LARGE | PTE_TABLE);
    memory_rig_put64(rig, PD_LOW, PT_LOW | PTE_TABLE);
    for (gpa_t gpa = 0; gpa < LOW_BYTES; gpa += PAGE_SIZE)
        memory_rig_put64(rig, PT_LOW + 8 * (gpa / PAGE_SIZE), gpa | PTE_TABLE);
    for (unsigned i = 0; i < SMALL_PTS; i++) {
        memory_rig_put64(rig, PD_SMALL + 8 * i, (PT_SMALL + i * PAGE_SIZE) | PTE_TABLE);
        memory_rig_put64(rig, PD_LARGE + 8 * i, (DATA + i * 2 * MIB % DATA_BYTES) | PTE_LARGE);
    }
    for (unsigned i = 0; i < SMALL_PTS * 512; i++)
        memory_rig_put64(rig, PT_SMALL + 8 * i, (DATA + i * PAGE_SIZE % DATA_BYTES) | PTE_TABLE);
}

struct logged {
    gpa_t base;
    uint64_t bytes;
    uint8_t *copy; /* of the slot as it was at the last fetch */
    uint64_t reported, seen;
};

#define MAX_WORDS (DATA_BYTES / PAGE_SIZE / 64)

/* A page without its bit is as it was; the others are copied anew. */
static void fetch_and_compare(struct vcpu_rig *rig, struct logged *slot)
{
    const uint8_t *now = mem_host(rig->mem, slot->base, slot->bytes, false);
    uint64_t bits[MAX_WORDS];

    assert_int_equal(mmu_dirty_fetch(rig->mmu, slot->base, bits, MAX_WORDS), 0);
    for (uint64_t i = 0; i < slot->bytes / PAGE_SIZE; i++) {
        uint64_t at = i * PAGE_SIZE;
        bool dirty = bits[i / 64] & BIT(i % 64);

        if (!dirty && memcmp(now + at, slot->copy + at, PAGE_SIZE) != 0)
            fail_msg("a write to page %#lx is not in the log", (unsigned long)(slot->base + at));
        if (dirty)
            memcpy(slot->copy + at, now + at, PAGE_SIZE);
        slot->reported += dirty;
        slot->seen++;
    }
}

static uint32_t next_random(uint32_t *random)
{
    *random ^= *random << 13;
    *random ^= *random >> 17;
    return *random ^= *random << 5;
}

/* What a device does: up to three pages at once, wherever they lie. */
static void write_as_device(struct vcpu_rig *rig, uint32_t *random)
{
    uint8_t bytes[2 * PAGE_SIZE + 100];
    uint64_t len = 1 + next_random(random) % sizeof(bytes);

    memset(bytes, (int)next_random(random), sizeof(bytes));
    mem_write(rig->mem, DATA + next_random(random) % DATA_BYTES, bytes, len);
}

static void start_log(struct vcpu_rig *rig, struct logged *slot)
{
    assert_int_equal(mmu_dirty_log(rig->mmu, slot->base, true), 0);
    memcpy(slot->copy, mem_host(rig->mem, slot->base, slot->bytes, false), slot->bytes);
}

static void start_guest(struct vcpu_rig *rig)
{
    struct x86_state state;

    make_tables(rig);
    mem_write(rig->mem, CODE, dirty_guest, (uint64_t)(dirty_guest_end - dirty_guest));
    memory_rig_start(rig, CODE, STACK, PML4);
    engine_soft.vcpu_get_state(rig->vcpu, &state);
    state.gpr[X86_R11] = rig->model.has[X86_FEATURE_AVX];
    state.gpr[X86_R12] = 0x123456789;
    state.gpr[X86_R14] = DATA_BYTES - 1;
    state.gpr[X86_RBX] = PT_SMALL;
    engine_soft.vcpu_set_state(rig->vcpu, &state);
}

static void check_no_write_is_missed(enum mmu_mode mode)
{
    struct vcpu_rig *rig = memory_rig_create(mode);
    struct logged slots[] = {{0, LOW_BYTES, malloc(LOW_BYTES), 0, 0},
                             {DATA, DATA_BYTES, malloc(DATA_BYTES), 0, 0}};
    uint32_t random = 2463534242u;
    struct x86_state state;

    for (unsigned i = 0; i < ARRAY_SIZE(slots); i++)
        assert_int_equal(mem_add_slot(rig->mem, "ram", slots[i].base, slots[i].bytes, MEM_SLOT_RAM),
                         0);
    start_guest(rig);
    for (unsigned round = 0; round < ROUNDS; round++) {
        /* Now and then a log ends and starts again, the guest having run without. */
        if (round % 64 == 0) {
            for (unsigned i = 0; i < ARRAY_SIZE(slots); i++)
                start_log(rig, &slots[i]);
        }
        soft_vcpu_limit(rig->vcpu, 1 + next_random(&random) % 300);
        assert_int_equal(engine_soft.vcpu_run(rig->vcpu), ENGINE_STOP_KICK);
        if (next_random(&random) % 4 == 0)
            write_as_device(rig, &random);
        for (unsigned i = 0; i < ARRAY_SIZE(slots); i++) {
            if (next_random(&random) % 3)
                fetch_and_compare(rig, &slots[i]);
        }
        memory_rig_check_audit(rig);
        if (round % 64 == 60) {
            for (unsigned i = 0; i < ARRAY_SIZE(slots); i++)
                assert_int_equal(mmu_dirty_log(rig->mmu, slots[i].base, false), 0);
        }
        if (round % 64 >= 60) {
            soft_vcpu_limit(rig->vcpu, 50);
            assert_int_equal(engine_soft.vcpu_run(rig->vcpu), ENGINE_STOP_KICK);
            round |= 63;
        }
    }
    engine_soft.vcpu_get_state(rig->vcpu, &state);
    assert_in_range(state.gpr[X86_R15], ROUNDS * 10, UINT64_MAX); /* it did get somewhere */
    for (unsigned i = 0; i < ARRAY_SIZE(slots); i++) {
        /* A log that says "everything" would pass; this one tells the few from the many. */
        assert_in_range(slots[i].reported, 1, slots[i].seen / 2);
        free(slots[i].copy);
    }
    memory_rig_destroy(rig);
}

static void test_no_write_is_missed_ept(void **state)
{
    check_no_write_is_missed(MMU_EPT);
}

static void test_no_write_is_missed_shadow(void **state)
{
    check_no_write_is_missed(MMU_SHADOW);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_write_is_missed_ept),
        cmocka_unit_test(test_no_write_is_missed_shadow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
