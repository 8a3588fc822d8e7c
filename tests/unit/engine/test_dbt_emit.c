/* The translator's encoder: each form that it emits says to Zydis what was asked for. */
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/dbt/emit.h"
#include "x86/insn.h"

#define BYTES 32

struct bench {
    struct emitter e;
    uint8_t bytes[BYTES];
};

static void start(struct bench *bench)
{
    *bench = (struct bench){0};
    bench->e = (struct emitter){.at = bench->bytes, .end = bench->bytes + BYTES};
}

/* What was emitted must be one instruction, with not a byte beside it. */
static struct x86_insn decode(struct bench *bench)
{
    struct x86_insn insn;
    size_t len = (size_t)(bench->e.at - bench->bytes);

    assert_false(bench->e.full);
    assert_int_equal(x86_decode(&insn, X86_MODE_LONG64, bench->bytes, len), X86_DECODE_OK);
    assert_int_equal(insn.info.length, len);
    return insn;
}

static ZydisRegister gpr(unsigned size, unsigned number)
{
    static const ZydisRegister first[9] = {
        [2] = ZYDIS_REGISTER_AX, [4] = ZYDIS_REGISTER_EAX, [8] = ZYDIS_REGISTER_RAX};

    if (number == HOST_NONE)
        return ZYDIS_REGISTER_NONE;
    if (size == 1) /* AH to BH stand between BL and SPL */
        return (number < 4 ? ZYDIS_REGISTER_AL : ZYDIS_REGISTER_AL + 4) + (ZydisRegister)number;
    return first[size] + (ZydisRegister)number;
}

static void assert_memory(const ZydisDecodedOperand *operand, struct rm rm)
{
    assert_int_equal(operand->type, ZYDIS_OPERAND_TYPE_MEMORY);
    assert_int_equal(operand->mem.base, gpr(8, rm.base));
    assert_int_equal(operand->mem.index, gpr(8, rm.index));
    if (rm.index != HOST_NONE)
        assert_int_equal(operand->mem.scale, 1u << rm.scale);
    assert_int_equal(operand->mem.disp.value, rm.disp);
    if (rm.kind == RM_STATE)
        assert_int_equal(operand->mem.segment, ZYDIS_REGISTER_GS);
    else
        assert_true(operand->mem.segment == ZYDIS_REGISTER_DS ||
                    operand->mem.segment == ZYDIS_REGISTER_SS);
}

static void check_load_store(unsigned reg, struct rm rm)
{
    struct bench bench;
    struct x86_insn insn;

    start(&bench);
    emit_load(&bench.e, reg, rm);
    insn = decode(&bench);
    assert_int_equal(insn.info.mnemonic, ZYDIS_MNEMONIC_MOV);
    assert_int_equal(insn.op[0].reg.value, gpr(8, reg));
    assert_memory(&insn.op[1], rm);
    start(&bench);
    emit_store(&bench.e, rm, reg);
    insn = decode(&bench);
    assert_memory(&insn.op[0], rm);
    assert_int_equal(insn.op[1].reg.value, gpr(8, reg));
}

static void every_address_of_memory(void **state)
{
    static const int32_t disps[] = {0, 1, -1, 127, 128, -128, -129, INT32_MAX, INT32_MIN};

    for (unsigned reg = 0; reg < 16; reg++) {
        for (unsigned base = 0; base < 16; base++) {
            for (unsigned i = 0; i < ARRAY_SIZE(disps); i++) {
                check_load_store(reg, rm_at(base, disps[i]));
                for (unsigned index = 0; index < 16; index++) {
                    if (index != HOST_RSP)
                        check_load_store(reg, rm_sum(base, index, index & 3, disps[i]));
                }
            }
        }
    }
}

static void every_field_of_state(void **state)
{
    for (unsigned reg = 0; reg < 16; reg++) {
        check_load_store(reg, rm_state(0));
        check_load_store(reg, rm_state(0x80));
        check_load_store(reg, rm_state(0x123456));
        for (unsigned base = 0; base < 16; base++) {
            check_load_store(reg, rm_state_at(base, 0));
            check_load_store(reg, rm_state_at(base, 0x7f));
            check_load_store(reg, rm_state_at(base, 0x54321));
        }
    }
}

static void registers_of_each_size(void **state)
{
    static const unsigned sizes[] = {1, 2, 4, 8};

    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
        for (unsigned pair = 0; pair < 256; pair++) {
            unsigned reg = pair & 15, rm = pair >> 4, size = sizes[i];
            struct encoding encoding = {.opcode = size == 1 ? 0x88 : 0x89,
                                        .size = size == 1 ? 4 : (uint8_t)size,
                                        .byte_reg = size == 1,
                                        .byte_rm = size == 1};
            struct bench bench;
            struct x86_insn insn;

            start(&bench);
            emit_modrm(&bench.e, &encoding, reg, rm_reg(rm));
            insn = decode(&bench);
            assert_int_equal(insn.info.mnemonic, ZYDIS_MNEMONIC_MOV);
            assert_int_equal(insn.op[0].reg.value, gpr(size, rm));
            assert_int_equal(insn.op[1].reg.value, gpr(size, reg));
        }
    }
}

/* MOVZX r32, r8: only the source is a byte register. */
static void a_byte_register_on_one_side(void **state)
{
    for (unsigned pair = 0; pair < 256; pair++) {
        unsigned reg = pair & 15, rm = pair >> 4;
        struct encoding movzx = {.map = 1, .opcode = 0xb6, .size = 4, .byte_rm = true};
        struct encoding store = {.opcode = 0x88, .size = 4, .byte_reg = true};
        struct bench bench;
        struct x86_insn insn;

        start(&bench);
        emit_modrm(&bench.e, &movzx, reg, rm_reg(rm));
        insn = decode(&bench);
        assert_int_equal(insn.op[0].reg.value, gpr(4, reg));
        assert_int_equal(insn.op[1].reg.value, gpr(1, rm));
        start(&bench);
        emit_modrm(&bench.e, &store, reg, rm_at(rm, 0));
        insn = decode(&bench);
        assert_int_equal(insn.op[1].reg.value, gpr(1, reg));
    }
}

/* One instruction with everything that stands before its opcode, for each kind of operand. */
static void check_prefixes(const struct encoding *encoding, ZydisMnemonic mnemonic, unsigned width,
                           bool memory_only)
{
    const struct rm rms[] = {rm_at(HOST_R13, 0), rm_sum(HOST_RSP, HOST_R12, 2, 0x1234),
                             rm_state(0x4321), rm_state_at(HOST_R15, 8), rm_reg(HOST_R9)};

    for (unsigned i = 0; i + memory_only < ARRAY_SIZE(rms); i++) {
        struct bench bench;
        struct x86_insn insn;

        start(&bench);
        emit_modrm(&bench.e, encoding, HOST_R10, rms[i]);
        insn = decode(&bench);
        assert_int_equal(insn.info.mnemonic, mnemonic);
        assert_int_equal(insn.info.operand_width, width);
        assert_int_equal(!!(insn.info.attributes & ZYDIS_ATTRIB_HAS_LOCK), encoding->lock);
        if (encoding->imm_bytes)
            assert_int_equal(insn.info.raw.imm[0].size, 8 * encoding->imm_bytes);
        for (unsigned j = 0; j < insn.info.operand_count_visible; j++) {
            if (insn.op[j].type == ZYDIS_OPERAND_TYPE_MEMORY)
                assert_memory(&insn.op[j], rms[i]);
        }
    }
}

static void prefixes_and_maps(void **state)
{
    const struct encoding add = {.opcode = 0x01, .size = 4, .lock = true};
    const struct encoding xadd = {.map = 1, .opcode = 0xc1, .size = 8, .lock = true};
    const struct encoding add16 = {.opcode = 0x01, .size = 2, .lock = true};
    const struct encoding popcnt = {.map = 1, .opcode = 0xb8, .prefix = 0xf3, .size = 8};
    const struct encoding popcnt16 = {.map = 1, .opcode = 0xb8, .prefix = 0xf3, .size = 2};
    const struct encoding movbe = {.map = 2, .opcode = 0xf0, .size = 4};
    const struct encoding crc32 = {.map = 2, .opcode = 0xf1, .prefix = 0xf2, .size = 4};
    const struct encoding shld = {.map = 1, .opcode = 0xa4, .size = 8, .imm = 7, .imm_bytes = 1};
    const struct encoding imul = {.opcode = 0x69, .size = 8, .imm = 0x7fffffff, .imm_bytes = 4};
    const struct encoding imul16 = {.opcode = 0x69, .size = 2, .imm = 0x1234, .imm_bytes = 2};

    check_prefixes(&add, ZYDIS_MNEMONIC_ADD, 32, true);
    check_prefixes(&xadd, ZYDIS_MNEMONIC_XADD, 64, true);
    check_prefixes(&add16, ZYDIS_MNEMONIC_ADD, 16, true);
    check_prefixes(&popcnt, ZYDIS_MNEMONIC_POPCNT, 64, false);
    check_prefixes(&popcnt16, ZYDIS_MNEMONIC_POPCNT, 16, false);
    check_prefixes(&movbe, ZYDIS_MNEMONIC_MOVBE, 32, true);
    check_prefixes(&crc32, ZYDIS_MNEMONIC_CRC32, 32, false);
    check_prefixes(&shld, ZYDIS_MNEMONIC_SHLD, 64, false);
    check_prefixes(&imul, ZYDIS_MNEMONIC_IMUL, 64, false);
    check_prefixes(&imul16, ZYDIS_MNEMONIC_IMUL, 16, false);
}

/* Three operands and each map; which pp stands for which prefix shows in the mnemonic. */
static void vex(void **state)
{
    static const struct {
        struct encoding encoding;
        ZydisMnemonic mnemonic;
    } rows[] = {
        {{.vex = true, .map = 1, .opcode = 0x58}, ZYDIS_MNEMONIC_VADDPS},
        {{.vex = true, .map = 1, .opcode = 0x58, .prefix = 0x66}, ZYDIS_MNEMONIC_VADDPD},
        {{.vex = true, .map = 1, .opcode = 0x58, .prefix = 0xf3}, ZYDIS_MNEMONIC_VADDSS},
        {{.vex = true, .map = 1, .opcode = 0x58, .prefix = 0xf2}, ZYDIS_MNEMONIC_VADDSD},
        {{.vex = true, .map = 2, .opcode = 0xb8, .prefix = 0x66}, ZYDIS_MNEMONIC_VFMADD231PS},
        {{.vex = true, .map = 2, .opcode = 0xb8, .prefix = 0x66, .size = 8},
         ZYDIS_MNEMONIC_VFMADD231PD},
        {{.vex = true, .map = 3, .opcode = 0x0f, .prefix = 0x66, .imm = 3, .imm_bytes = 1},
         ZYDIS_MNEMONIC_VPALIGNR},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        for (unsigned regs = 0; regs < 4096; regs++) {
            unsigned reg = regs & 15, vvvv = regs >> 4 & 15, rm = regs >> 8;
            struct encoding encoding = rows[i].encoding;
            struct bench bench;
            struct x86_insn insn;

            encoding.vvvv = (uint8_t)vvvv;
            start(&bench);
            emit_modrm(&bench.e, &encoding, reg, rm_reg(rm));
            insn = decode(&bench);
            assert_int_equal(insn.info.mnemonic, rows[i].mnemonic);
            assert_int_equal(insn.op[0].reg.value, ZYDIS_REGISTER_XMM0 + reg);
            assert_int_equal(insn.op[1].reg.value, ZYDIS_REGISTER_XMM0 + vvvv);
            assert_int_equal(insn.op[2].reg.value, ZYDIS_REGISTER_XMM0 + rm);
            start(&bench);
            emit_modrm(&bench.e, &encoding, reg, rm_state_at(rm, 0x100));
            insn = decode(&bench);
            assert_int_equal(insn.info.mnemonic, rows[i].mnemonic);
            assert_memory(&insn.op[2], rm_state_at(rm, 0x100));
        }
    }
}

static void vex_of_256_bits(void **state)
{
    const struct encoding encoding = {
        .vex = true, .vex_256 = true, .map = 1, .opcode = 0x58, .vvvv = 9};
    struct bench bench;
    struct x86_insn insn;

    start(&bench);
    emit_modrm(&bench.e, &encoding, 3, rm_sum(HOST_RBP, HOST_R8, 3, 0));
    insn = decode(&bench);
    assert_int_equal(insn.info.mnemonic, ZYDIS_MNEMONIC_VADDPS);
    assert_int_equal(insn.op[0].reg.value, ZYDIS_REGISTER_YMM3);
    assert_int_equal(insn.op[1].reg.value, ZYDIS_REGISTER_YMM9);
    assert_memory(&insn.op[2], rm_sum(HOST_RBP, HOST_R8, 3, 0));
}

static void moves_and_addresses(void **state)
{
    struct bench bench;
    struct x86_insn insn;

    for (unsigned pair = 0; pair < 256; pair++) {
        unsigned to = pair & 15, from = pair >> 4;

        start(&bench);
        emit_move(&bench.e, to, from);
        if (to == from) {
            assert_ptr_equal(bench.e.at, bench.bytes);
            continue;
        }
        insn = decode(&bench);
        assert_int_equal(insn.info.mnemonic, ZYDIS_MNEMONIC_MOV);
        assert_int_equal(insn.op[0].reg.value, gpr(8, to));
        assert_int_equal(insn.op[1].reg.value, gpr(8, from));
        start(&bench);
        emit_lea(&bench.e, to, rm_at(from, -8));
        insn = decode(&bench);
        assert_int_equal(insn.info.mnemonic, ZYDIS_MNEMONIC_LEA);
        assert_int_equal(insn.op[1].mem.base, gpr(8, from));
        assert_int_equal(insn.op[1].mem.disp.value, -8);
    }
}

/* The register gets the value as 64 bits, in no more bytes than it takes. */
static void constants(void **state)
{
    static const struct {
        uint64_t value;
        unsigned bytes; /* for RAX */
    } rows[] = {
        {0, 5},
        {1, 5},
        {INT32_MAX, 5},
        {0x80000000u, 5},
        {UINT32_MAX, 5},
        {0x100000000u, 10},
        {UINT64_MAX, 7},
        {(uint64_t)INT32_MIN, 7},
        {(uint64_t)INT32_MIN - 1, 10},
        {0x7fffffffffffffff, 10},
        {0xffff800000200000, 10},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        for (unsigned reg = 0; reg < 16; reg++) {
            struct bench bench;
            struct x86_insn insn;
            bool wide;

            start(&bench);
            emit_constant(&bench.e, reg, rows[i].value);
            insn = decode(&bench);
            assert_int_equal(insn.info.mnemonic, ZYDIS_MNEMONIC_MOV);
            wide = insn.info.operand_width == 64;
            assert_int_equal(insn.op[0].reg.value, gpr(wide ? 8 : 4, reg));
            assert_int_equal(wide ? insn.op[1].imm.value.u : (uint32_t)insn.op[1].imm.value.u,
                             rows[i].value);
            if (reg == HOST_RAX)
                assert_int_equal(insn.info.length, rows[i].bytes);
        }
    }
}

static void jumps_lead_where_they_are_patched_to(void **state)
{
    for (unsigned kind = 0; kind < 18; kind++) {
        struct bench bench;
        struct x86_insn insn;
        uint8_t *displacement;

        start(&bench);
        if (kind < 16)
            displacement = emit_jcc(&bench.e, kind);
        else
            displacement = kind == 16 ? emit_jmp(&bench.e) : emit_call(&bench.e);
        insn = decode(&bench);
        assert_int_equal(insn.op[0].imm.value.s, 0);
        emit_patch(&bench.e, displacement, bench.bytes);
        insn = decode(&bench);
        assert_int_equal(insn.op[0].imm.value.s, -(int)insn.info.length);
        emit_patch(&bench.e, displacement, bench.bytes + BYTES);
        insn = decode(&bench);
        assert_int_equal(insn.op[0].imm.value.s, BYTES - insn.info.length);
        if (kind < 16)
            assert_int_equal(insn.info.opcode, 0x80 | kind);
        else
            assert_int_equal(insn.info.mnemonic,
                             kind == 16 ? ZYDIS_MNEMONIC_JMP : ZYDIS_MNEMONIC_CALL);
    }
}

/* What does not fit is not written, and a jump of it is not patched. */
static void nothing_is_written_beyond_the_end(void **state)
{
    uint8_t bytes[8], before[8];
    struct emitter e = {.at = bytes, .end = bytes + 6};
    uint8_t *displacement;

    memset(bytes, 0xaa, sizeof(bytes));
    memset(before, 0xaa, sizeof(before));
    emit_constant(&e, HOST_R9, UINT64_MAX / 3);
    assert_true(e.full);
    assert_memory_equal(bytes + 6, before + 6, 2);
    e = (struct emitter){.at = bytes + 4, .end = bytes + 6};
    displacement = emit_jmp(&e);
    assert_true(e.full);
    emit_patch(&e, displacement, bytes);
    assert_memory_equal(bytes + 6, before + 6, 2);
}

static struct encoding long_encoding(unsigned imm_bytes)
{
    return (struct encoding){
        .map = 3, .opcode = 0x0f, .prefix = 0x66, .size = 8, .imm_bytes = (uint8_t)imm_bytes};
}

/* 15 bytes are an instruction, 16 are not, whatever they would say. */
static void an_instruction_of_more_than_15_bytes_is_told(void **state)
{
    struct bench bench;
    struct encoding encoding = long_encoding(3);

    start(&bench);
    emit_modrm(&bench.e, &encoding, 9, rm_state_at(HOST_R12, 0x54321));
    assert_int_equal(bench.e.at - bench.bytes, HOST_INSN_MAX_BYTES);
    assert_false(bench.e.too_long);
    start(&bench);
    encoding = long_encoding(4);
    emit_modrm(&bench.e, &encoding, 9, rm_state_at(HOST_R12, 0x54321));
    assert_true(bench.e.too_long);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_address_of_memory),
        cmocka_unit_test(every_field_of_state),
        cmocka_unit_test(registers_of_each_size),
        cmocka_unit_test(a_byte_register_on_one_side),
        cmocka_unit_test(prefixes_and_maps),
        cmocka_unit_test(vex),
        cmocka_unit_test(vex_of_256_bits),
        cmocka_unit_test(moves_and_addresses),
        cmocka_unit_test(constants),
        cmocka_unit_test(jumps_lead_where_they_are_patched_to),
        cmocka_unit_test(nothing_is_written_beyond_the_end),
        cmocka_unit_test(an_instruction_of_more_than_15_bytes_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
