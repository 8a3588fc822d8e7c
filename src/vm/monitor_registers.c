/* The vCPU's registers: `info registers`, and the names that `$` knows in addresses. */
#include <inttypes.h>
#include <string.h>

#include "vm/monitor_internal.h"

/* The general registers and RIP as people list them, which is not the order of their numbers. */
static const enum x86_gpr gprs[] = {
    X86_RAX, X86_RBX, X86_RCX, X86_RDX, X86_RSI, X86_RDI, X86_RBP, X86_RSP, X86_R8,
    X86_R9,  X86_R10, X86_R11, X86_R12, X86_R13, X86_R14, X86_R15, X86_RIP,
};

#define FIELD(name, path)                                                                          \
    {                                                                                              \
        name, offsetof(struct x86_state, path)                                                     \
    }

/* The other names. */
static const struct name {
    const char *name;
    size_t offset; /* of the uint64_t in struct x86_state */
} names[] = {
    FIELD("rflags", rflags),
    FIELD("cr0", cr0),
    FIELD("cr2", cr2),
    FIELD("cr3", cr3),
    FIELD("cr4", cr4),
    FIELD("efer", msr.efer),
    FIELD("fs_base", seg[X86_FS].base),
    FIELD("gs_base", seg[X86_GS].base),
    FIELD("kernel_gs_base", msr.kernel_gs_base),
    FIELD("gdt", gdtr.base),
    FIELD("idt", idtr.base),
    FIELD("ldt", seg[X86_LDTR].base),
    FIELD("tss", seg[X86_TR].base),
};

/* In 64-bit mode the bases of CS and SS count as 0, whatever was loaded with them. */
static uint64_t linear(const struct x86_state *state, enum x86_seg seg, uint64_t offset)
{
    if (monitor_code_mode(state) == X86_MODE_LONG64)
        return offset;
    return (uint32_t)(state->seg[seg].base + offset);
}

/* In 16-bit stacks the upper bits of ESP don't count: SS's B bit tells. */
static uint64_t stack_pointer(const struct x86_state *state)
{
    uint64_t rsp = state->gpr[X86_RSP];

    if (monitor_code_mode(state) == X86_MODE_LONG64)
        return rsp;
    return state->seg[X86_SS].attr & X86_SEG_DB ? (uint32_t)rsp : (uint16_t)rsp;
}

bool monitor_register(void *opaque, const char *name, uint64_t *value)
{
    const struct monitor_call *call = opaque;
    const struct x86_state *state = &call->state;

    for (size_t i = 0; i < ARRAY_SIZE(gprs); i++) {
        if (strcmp(x86_gpr_names[gprs[i]], name) == 0) {
            *value = state->gpr[gprs[i]];
            return true;
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (strcmp(names[i].name, name) == 0) {
            memcpy(value, (const char *)state + names[i].offset, sizeof(*value));
            return true;
        }
    }
    if (strcmp(name, "pc") == 0)
        *value = linear(state, X86_CS, state->gpr[X86_RIP]);
    else if (strcmp(name, "sp") == 0)
        *value = linear(state, X86_SS, stack_pointer(state));
    else
        return false;
    return true;
}

void monitor_register_names(FILE *out)
{
    for (size_t i = 0; i < ARRAY_SIZE(gprs); i++)
        fprintf(out, "$%s%s", x86_gpr_names[gprs[i]], gprs[i] == X86_R15 ? "\n" : " ");
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        fprintf(out, "$%s ", names[i].name);
    fputs("\nand $pc and $sp, the linear addresses of the code and the stack.\n", out);
}

void monitor_add_registers(struct monitor_words *words, const char *start)
{
    for (size_t i = 0; i < ARRAY_SIZE(gprs); i++)
        monitor_words_add(words, start, "$", x86_gpr_names[gprs[i]]);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        monitor_words_add(words, start, "$", names[i].name);
    monitor_words_add(words, start, "$", "pc");
    monitor_words_add(words, start, "$", "sp");
}

enum x86_mode monitor_code_mode(const struct x86_state *state)
{
    const struct x86_segment *cs = &state->seg[X86_CS];
    bool wide = cs->attr & X86_SEG_DB;

    if (!(state->cr0 & X86_CR0_PE))
        return wide ? X86_MODE_REAL32 : X86_MODE_REAL16;
    if (state->rflags & X86_FLAG_VM)
        return X86_MODE_REAL16;
    if (state->msr.efer & X86_EFER_LMA) {
        if (cs->attr & X86_SEG_L)
            return X86_MODE_LONG64;
        return wide ? X86_MODE_COMPAT32 : X86_MODE_COMPAT16;
    }
    return wide ? X86_MODE_PROT32 : X86_MODE_PROT16;
}

uint64_t monitor_linear_mask(const struct x86_state *state)
{
    return state->msr.efer & X86_EFER_LMA ? UINT64_MAX : UINT32_MAX;
}

static void print_segments(FILE *out, const struct x86_state *state)
{
    for (unsigned i = 0; i < X86_ALL_SEGS; i++) {
        const struct x86_segment *seg = &state->seg[i];

        fprintf(out, "%-4s %04x  base %016" PRIx64 "  limit %08x  attr %04x  dpl %u%s\n",
                x86_seg_names[i], seg->selector, seg->base, seg->limit, seg->attr, x86_seg_dpl(seg),
                seg->attr & X86_SEG_UNUSABLE ? "  unusable" : "");
    }
    fprintf(out, "gdt        base %016" PRIx64 "  limit %08x\n", state->gdtr.base,
            state->gdtr.limit);
    fprintf(out, "idt        base %016" PRIx64 "  limit %08x\n", state->idtr.base,
            state->idtr.limit);
}

static void print_flags(FILE *out, uint64_t rflags)
{
    static const struct {
        uint64_t bit;
        const char *name;
    } flags[] = {
        {X86_FLAG_CF, "CF"}, {X86_FLAG_PF, "PF"}, {X86_FLAG_AF, "AF"}, {X86_FLAG_ZF, "ZF"},
        {X86_FLAG_SF, "SF"}, {X86_FLAG_TF, "TF"}, {X86_FLAG_IF, "IF"}, {X86_FLAG_DF, "DF"},
        {X86_FLAG_OF, "OF"}, {X86_FLAG_NT, "NT"}, {X86_FLAG_RF, "RF"}, {X86_FLAG_VM, "VM"},
        {X86_FLAG_AC, "AC"}, {X86_FLAG_ID, "ID"},
    };

    fprintf(out, "rflags %016" PRIx64 " ", rflags);
    for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
        if (rflags & flags[i].bit)
            fprintf(out, " %s", flags[i].name);
    }
    fprintf(out, "  iopl %u\n", (unsigned)((rflags & X86_FLAG_IOPL) >> X86_FLAG_IOPL_SHIFT));
}

/* Three registers a line: with the rest, what there is to say fits 80 columns and 24 lines. */
static void print_register(FILE *out, const char *name, uint64_t value, unsigned number)
{
    fprintf(out, "%-4s %016" PRIx64 "%s", name, value, number % 3 == 2 ? "\n" : "  ");
}

void monitor_registers(struct monitor_call *call)
{
    const struct x86_state *state = &call->state;
    const struct {
        const char *name;
        uint64_t value;
    } last[] = {
        {"cr0", state->cr0},   {"cr2", state->cr2},       {"cr3", state->cr3},
        {"cr4", state->cr4},   {"efer", state->msr.efer}, {"dr6", state->dr[6]},
        {"dr0", state->dr[0]}, {"dr1", state->dr[1]},     {"dr2", state->dr[2]},
        {"dr3", state->dr[3]}, {"dr7", state->dr[7]},
    };
    FILE *out = call->out;

    for (unsigned i = 0; i < ARRAY_SIZE(gprs); i++)
        print_register(out, x86_gpr_names[gprs[i]], state->gpr[gprs[i]], i);
    print_register(out, "xcr0", state->xcr0, 2);
    print_flags(out, state->rflags);
    print_segments(out, state);
    for (unsigned i = 0; i < ARRAY_SIZE(last); i++)
        print_register(out, last[i].name, last[i].value, i);
    fprintf(out, "kernel_gs_base %016" PRIx64 "\n", state->msr.kernel_gs_base);
}
