/* Slots that come and go under a vCPU: what it reads, writes and executes there follows at once. */
#include "memory_rig.h"

#define LOW_BYTES  (128 * KIB)
#define PML4       0x1000u /* PDPT, PD and a page table behind it */
#define CODE       0x10000u
#define STACK      0x9000u
#define PLUG       (2 * MIB) /* where slots come and go */
#define PLUG_BYTES (2 * MIB)
#define MAPPED     (8 * MIB) /* GVA is GPA */

static int make(struct vcpu_rig **out, enum mmu_mode mode)
{
    struct vcpu_rig *rig = memory_rig_create(mode);

    assert_int_equal(mem_add_slot(rig->mem, "low", 0, LOW_BYTES, MEM_SLOT_RAM), 0);
    memory_rig_put64(rig, PML4, (PML4 + 0x1000) | PTE_TABLE);
    memory_rig_put64(rig, PML4 + 0x1000, (PML4 + 0x2000) | PTE_TABLE);
    for (unsigned i = 0; i < MAPPED / (2 * MIB); i++)
        memory_rig_put64(rig, PML4 + 0x2000 + 8 * i, (i * 2 * MIB) | PTE_LARGE);
    *out = rig;
    return 0;
}

static int make_ept(void **state)
{
    return make((struct vcpu_rig **)state, MMU_EPT);
}

static int make_shadow(void **state)
{
    return make((struct vcpu_rig **)state, MMU_SHADOW);
}

static int unmake(void **state)
{
    memory_rig_destroy(*state);
    return 0;
}

/* The monitor's side of a change, as src/vm/memory.c makes it with the vCPU stopped. */
static void plug(struct vcpu_rig *rig, enum mem_slot_kind kind)
{
    assert_int_equal(mem_add_slot(rig->mem, "plug", PLUG, PLUG_BYTES, kind), 0);
    assert_true(mmu_follow_slots(rig->mmu));
    assert_false(mmu_follow_slots(rig->mmu));
    memory_rig_check_audit(rig);
}

static void unplug(struct vcpu_rig *rig)
{
    assert_int_equal(mem_remove_slot(rig->mem, PLUG), 0);
    assert_true(mmu_follow_slots(rig->mmu));
    memory_rig_check_audit(rig);
}

#define PUT(rig, gpa, bytes) assert_true(mem_write((rig)->mem, gpa, bytes, sizeof(bytes) - 1))

/* Runs from the state in which the vCPU stands, TLB and blocks as they are, to the next HLT. */
static uint64_t run_to_halt(struct vcpu_rig *rig)
{
    struct x86_state state;

    assert_int_equal(engine_soft.vcpu_run(rig->vcpu), ENGINE_STOP_HALT);
    engine_soft.vcpu_get_state(rig->vcpu, &state);
    memory_rig_check_audit(rig);
    return state.gpr[X86_RAX];
}

/* A HLT that nothing ends would keep the vCPU: an NMI does, and its handler returns. */
#define IDT     0x4000u
#define GDT     0x7000u
#define HANDLER 0x8000u

static void make_handlers(struct vcpu_rig *rig)
{
    struct x86_state state;

    for (unsigned vector = 0; vector < 32; vector++) {
        memory_rig_put64(rig, IDT + 16 * vector, 0x00008e0000080000u | HANDLER);
        memory_rig_put64(rig, IDT + 16 * vector + 8, 0);
    }
    memory_rig_put64(rig, GDT + 8, 0x00af9b000000ffffu); /* the code segment: long, DPL 0 */
    memory_rig_put64(rig, GDT + 16, 0x00cf93000000ffffu);
    PUT(rig, HANDLER, "\x48\xcf"); /* iretq */
    engine_soft.vcpu_get_state(rig->vcpu, &state);
    state.idtr = (struct x86_table_register){.base = IDT, .limit = 0xfff};
    state.gdtr = (struct x86_table_register){.base = GDT, .limit = 0x17};
    state.seg[X86_CS].selector = 8;
    state.seg[X86_SS].selector = 16;
    engine_soft.vcpu_set_state(rig->vcpu, &state);
}

/* The next answer of a guest that goes round. */
static uint64_t next_halt(struct vcpu_rig *rig)
{
    engine_soft.vcpu_nmi(rig->vcpu);
    return run_to_halt(rig);
}

static void start(struct vcpu_rig *rig)
{
    memory_rig_start(rig, CODE, STACK, PML4);
    make_handlers(rig);
}

static void test_ram_comes_and_goes(void **state)
{
    struct vcpu_rig *rig = *state;

    /* 1: mov 0x200ff8, %rax; incq 0x200ff8; hlt; jmp 1b */
    PUT(rig, CODE,
        "\x48\x8b\x04\x25\xf8\x0f\x20\x00\x48\xff\x04\x25\xf8\x0f\x20\x00"
        "\xf4\xeb\xed");
    start(rig);
    assert_true(run_to_halt(rig) == UINT64_MAX);
    for (unsigned i = 0; i < 40; i++) {
        plug(rig, MEM_SLOT_RAM);
        assert_int_equal(next_halt(rig), 0); /* fresh each time */
        assert_int_equal(next_halt(rig), 1);
        memory_rig_put64(rig, PLUG + 0xff8, 42);
        assert_int_equal(next_halt(rig), 42);
        assert_int_equal(mem_read64(rig->mem, PLUG + 0xff8), 43);
        unplug(rig);
        assert_true(next_halt(rig) == UINT64_MAX);
        plug(rig, MEM_SLOT_ROM);
        assert_int_equal(next_halt(rig), 0);
        assert_int_equal(next_halt(rig), 0);
        unplug(rig);
        assert_true(next_halt(rig) == UINT64_MAX);
    }
}

/* Many changes between two looks: more than the memory remembers one by one. */
static void test_many_changes_at_once(void **state)
{
    struct vcpu_rig *rig = *state;

    PUT(rig, CODE, "\x48\x8b\x04\x25\xf8\x0f\x20\x00\xf4\xeb\xf5"); /* as above, without incq */
    start(rig);
    plug(rig, MEM_SLOT_RAM);
    memory_rig_put64(rig, PLUG + 0xff8, 7);
    assert_int_equal(run_to_halt(rig), 7);
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(mem_remove_slot(rig->mem, PLUG), 0);
        assert_int_equal(mem_add_slot(rig->mem, "plug", PLUG, PLUG_BYTES, MEM_SLOT_RAM), 0);
    }
    memory_rig_put64(rig, PLUG + 0xff8, 8);
    engine_soft.vcpu_flush(rig->vcpu); /* the vCPU follows by itself then */
    assert_int_equal(next_halt(rig), 8);
    memory_rig_check_audit(rig);
}

/* Code runs from a slot; the slot goes, another comes with other code: the new code runs. */
static void test_code_of_another_slot(void **state)
{
    struct vcpu_rig *rig = *state;

    PUT(rig, CODE, "\xbb\x00\x00\x20\x00\xff\xd3\xf4\xeb\xfb"); /* 1: mov $PLUG, %ebx; 2: call
                                                                 *%rbx; hlt; jmp 2b */
    start(rig);
    plug(rig, MEM_SLOT_RAM);
    for (uint8_t i = 1; i < 100; i++) {
        uint8_t code[] = {0xb8, i, 0, 0, 0, 0xc3}; /* mov $i, %eax; ret */

        assert_true(mem_write(rig->mem, PLUG, code, sizeof(code)));
        assert_int_equal(i == 1 ? run_to_halt(rig) : next_halt(rig), i);
        assert_int_equal(next_halt(rig), i);
        assert_true(mem_page_watched(rig->mem, MEM_WATCH_CODE, PLUG));
        unplug(rig);
        plug(rig, MEM_SLOT_RAM);
        assert_false(mem_page_watched(rig->mem, MEM_WATCH_CODE, PLUG));
    }
}

/* Where no slot is, code reads as ones and raises #UD: not so once there is one. */
static void test_code_where_nothing_was(void **state)
{
    struct vcpu_rig *rig = *state;

    PUT(rig, CODE, "\xbb\x00\x00\x20\x00\xff\xd3\xf4\xeb\xfb");
    start(rig);
    /* The handler of #UD gives up the frame and goes back to the caller. */
    PUT(rig, HANDLER, "\x48\x83\xc4\x18\x5c\x31\xc0\xc3"); /* add $24, %rsp; pop %rsp; xor %eax,
                                                              %eax; ret */
    assert_int_equal(run_to_halt(rig), 0);
    plug(rig, MEM_SLOT_RAM);
    PUT(rig, PLUG, "\xb8\x05\x00\x00\x00\xc3");
    PUT(rig, HANDLER, "\x48\xcf");
    assert_int_equal(next_halt(rig), 5);
    unplug(rig);
    PUT(rig, HANDLER, "\x48\x83\xc4\x18\x5c\x31\xc0\xc3");
}

#define IN_MODE(name, mode)                                                                        \
    {                                                                                              \
#name " (" #mode ")", name, make_##mode, unmake, NULL                                      \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_MODE(test_ram_comes_and_goes, ept),     IN_MODE(test_ram_comes_and_goes, shadow),
        IN_MODE(test_many_changes_at_once, ept),   IN_MODE(test_many_changes_at_once, shadow),
        IN_MODE(test_code_of_another_slot, ept),   IN_MODE(test_code_of_another_slot, shadow),
        IN_MODE(test_code_where_nothing_was, ept), IN_MODE(test_code_where_nothing_was, shadow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
