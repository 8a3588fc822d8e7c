/*
 * A write over the end of a page: the translation of its second page makes a guest's table of the
 * first one, which must then be told of the very write.
 */
#include "memory_rig.h"

#define RAM_BYTES (256 * KIB)
#define PML4      0x1000u
#define PDPT      0x2000u
#define PD        0x3000u
#define VIA_TABLE 0x4000u /* its last entry maps TABLE as data */
#define TABLE     0x5000u
#define CODE      0x10000u
#define FRAME     0x30000u /* entry 0 of TABLE */
#define LAST      0x31000u /* entry 511 */

/* By directory entry: 0 the low memory, 1 VIA_TABLE, 2 and 3 TABLE. */
#define VIA      0x3ff000u
#define LAST_GVA 0x7ff000u

static const uint8_t code[] = {
    0x8b, 0x1c, 0x25, 0x00, 0xf0, 0x7f, 0x00, /* mov ebx, [LAST_GVA]: TABLE is a table */
    0xb9, 0x08, 0x00, 0x00, 0x00,             /* mov ecx, 8 */
    0x89, 0x0c, 0x25, 0x00, 0xf8, 0x3f, 0x00, /* 1: mov [VIA + 800h], ecx: it goes unsync */
    0xff, 0xc9,                               /* dec ecx */
    0x75, 0xf5,                               /* jnz 1b */
    0x48, 0xb8, 1,    0,    0,    0,    2,    0,    0, 0, /* mov rax, 200000001h */
    0x48, 0x89, 0x04, 0x25, 0xfc, 0xff, 0x3f, 0x00,       /* mov [VIA + ffch], rax */
    0x0f, 0x20, 0xd8, 0x0f, 0x22, 0xd8,                   /* mov rax, cr3; mov cr3, rax */
    0x8b, 0x04, 0x25, 0x00, 0xf0, 0x7f, 0x00,             /* mov eax, [LAST_GVA] */
    0xf4,                                                 /* hlt */
};

static void run(enum mmu_mode mode)
{
    struct vcpu_rig *rig = memory_rig_create(mode);
    struct x86_state state;

    assert_int_equal(mem_add_slot(rig->mem, "ram", 0, RAM_BYTES, MEM_SLOT_RAM), 0);
    memory_rig_put64(rig, PML4, PDPT | PTE_TABLE);
    memory_rig_put64(rig, PDPT, PD | PTE_TABLE);
    memory_rig_put64(rig, PD, PTE_LARGE);
    memory_rig_put64(rig, PD + 8, VIA_TABLE | PTE_TABLE);
    memory_rig_put64(rig, PD + 16, TABLE | PTE_TABLE);
    memory_rig_put64(rig, PD + 24, TABLE | PTE_TABLE);
    memory_rig_put64(rig, VIA_TABLE + 8 * 511, TABLE | PTE_TABLE);
    memory_rig_put64(rig, TABLE, FRAME | PTE_TABLE);
    memory_rig_put64(rig, TABLE + 8 * 511, LAST | PTE_TABLE);
    memory_rig_put64(rig, LAST, 0x1234);
    assert_true(mem_write(rig->mem, CODE, code, sizeof(code)));
    memory_rig_start(rig, CODE, 0, PML4);
    assert_int_equal(engine_soft.vcpu_run(rig->vcpu), ENGINE_STOP_HALT);
    memory_rig_check_audit(rig);
    engine_soft.vcpu_get_state(rig->vcpu, &state);
    assert_int_equal(state.gpr[X86_RBX], 0x1234);
    /* Both halves are written: the entry leads above 4 GiB, where nothing is, and the frame has 2.
     */
    assert_int_equal(mem_read32(rig->mem, TABLE + 8 * 511 + 4), 1);
    assert_int_equal(mem_read32(rig->mem, FRAME), 2);
    assert_int_equal(state.gpr[X86_RAX], UINT32_MAX);
    memory_rig_destroy(rig);
}

static void test_ept(void **state)
{
    run(MMU_EPT);
}

static void test_shadow(void **state)
{
    run(MMU_SHADOW);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ept),
        cmocka_unit_test(test_shadow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
