/*
 * Any bytes through the decoder wrapper and the binder of each mode: lengths are within bounds, the
 * disassembler agrees with the decoder, what an op names exists, and a native stub reaches no more
 * memory than its op says. fuzz: runs=200000
 */
#include <stdlib.h>
#include <string.h>

#include "engine/soft/block.h"
#include "engine/soft/native.h"
#include "x86/cpuid.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LAST_OFFSET (8 * X86_RIP)
#define MAX_TEXT    256

static void must(bool truth)
{
    if (!truth)
        abort();
}

/* A vCPU as far as binding needs one; it lives as long as the process. */
static struct cpu *the_cpu(void)
{
    static struct cpu *cpu;
    static struct cpu_model model;
    const char *missing;

    if (cpu)
        return cpu;
    cpu = aligned_alloc(64, ALIGN_UP(sizeof(*cpu), 64));
    must(cpu);
    memset(cpu, 0, sizeof(*cpu));
    must(cpu_model_init(&model, "max", &missing) == 0);
    cpu->model = &model;
    must(native_create(cpu) == 0);
    return cpu;
}

static void check_op(const struct op *op, const struct x86_insn *insn)
{
    must(op->fn);
    must(op->len == insn->info.length);
    must(op->base <= LAST_OFFSET && op->index <= LAST_OFFSET && op->scale <= 3);
    must(op->seg < X86_SEGS);
    must(op->addr_mask == UINT64_MAX || op->addr_mask == UINT32_MAX || op->addr_mask == UINT16_MAX);
}

/* What a stub may touch is what the runner has checked. */
static void check_native(const struct op *op, const struct x86_insn *insn)
{
    if (!op->native || !(op->flags & OP_MEM))
        return;
    for (unsigned i = 0; i < insn->info.operand_count; i++) {
        if (insn->op[i].type == ZYDIS_OPERAND_TYPE_MEMORY)
            must(insn->op[i].size / 8 <= op->size);
    }
}

static void bind(enum x86_mode mode, const struct x86_insn *insn)
{
    struct cpu *cpu = the_cpu();
    struct binder_input in = {.cpu = cpu, .insn = insn, .mode = mode};
    struct op op;

    cpu->mode = (uint8_t)mode;
    cpu->long64 = mode == X86_MODE_LONG64;
    cpu->legacy_real = mode == X86_MODE_REAL16 || mode == X86_MODE_REAL32;
    if (native_full(cpu))
        native_reset(cpu);
    op_bind(&op, &in);
    check_op(&op, insn);
    check_native(&op, insn);
}

static void decode(enum x86_mode mode, const uint8_t *bytes, size_t len)
{
    char text[MAX_TEXT];
    struct x86_insn insn;
    enum x86_decode_result result = x86_decode(&insn, mode, bytes, len);
    size_t shown = x86_disassemble(text, sizeof(text), mode, bytes, len, 0x1000);

    must(memchr(text, '\0', sizeof(text)));
    must(result == X86_DECODE_OK ? shown == insn.info.length : shown == 0);
    if (result != X86_DECODE_OK) {
        must(result != X86_DECODE_MORE || len <= X86_INSN_MAX_BYTES);
        return;
    }
    must(insn.info.length >= 1 && insn.info.length <= MIN(len, X86_INSN_MAX_BYTES));
    bind(mode, &insn);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t len = MIN(size, 2 * X86_INSN_MAX_BYTES);
    uint8_t *bytes;

    if (len == 0)
        return 0;
    /* A copy of its own, so that reading past the end is seen. */
    bytes = malloc(len);
    must(bytes);
    memcpy(bytes, data, len);
    for (unsigned mode = 0; mode < X86_MODES; mode++)
        decode((enum x86_mode)mode, bytes, len);
    free(bytes);
    return 0;
}
