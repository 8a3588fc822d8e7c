/* Registers, exits and the code around RIP as text for a person. */
#include "engine/soft/last_words.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "engine/soft/cpu.h"

static const char *const mode_names[X86_MODES] = {
    [X86_MODE_REAL16] = "real 16",
    [X86_MODE_REAL32] = "real 32",
    [X86_MODE_PROT16] = "protected 16",
    [X86_MODE_PROT32] = "protected 32",
    [X86_MODE_COMPAT16] = "compatibility 16",
    [X86_MODE_COMPAT32] = "compatibility 32",
    [X86_MODE_LONG64] = "64-bit",
};

static void say_registers(const struct cpu *cpu)
{
    const struct x86_state *x = &cpu->x;

    for (unsigned i = 0; i < 16; i++)
        log_raw("  %-3s %016" PRIx64 "%s", x86_gpr_names[i], x->gpr[i], i % 4 == 3 ? "\n" : "");
    log_raw("  rip %016" PRIx64 " rflags %08" PRIx64 " cpl %u mode %s\n", x->gpr[X86_RIP],
            cpu_rflags(cpu), cpu->cpl, mode_names[cpu->mode]);
    for (unsigned i = 0; i < X86_ALL_SEGS; i++)
        log_raw("  %-4s %04x base %016" PRIx64 " limit %08x attr %04x\n", x86_seg_names[i],
                x->seg[i].selector, x->seg[i].base, x->seg[i].limit, x->seg[i].attr);
    log_raw("  gdt %016" PRIx64 " limit %04x idt %016" PRIx64 " limit %04x\n", x->gdtr.base,
            x->gdtr.limit, x->idtr.base, x->idtr.limit);
    log_raw("  cr0 %08" PRIx64 " cr2 %016" PRIx64 " cr3 %016" PRIx64 " cr4 %08" PRIx64
            " efer %04" PRIx64 "\n",
            x->cr0, x->cr2, x->cr3, x->cr4, x->msr.efer);
}

static void say_exits(const struct cpu *cpu)
{
    for (unsigned i = 0; i < EXIT_REASONS; i++) {
        if (cpu->counters.exits[i] && exit_reason_words(i))
            log_raw("  %12" PRIu64 " %s\n", cpu->counters.exits[i], exit_reason_words(i));
    }
}

/* The instruction at RIP; its bytes are read without side effects. */
static void say_code(struct cpu *cpu)
{
    uint64_t ip = cpu->x.gpr[X86_RIP];
    gva_t linear = (cpu->seg_base[X86_CS] + ip) & cpu->linear_mask;
    uint8_t bytes[X86_INSN_MAX_BYTES];
    char text[96];
    size_t have = 0;

    for (; have < sizeof(bytes); have++) {
        gpa_t gpa;

        if (!paging_peek(cpu, linear + have, &gpa) || !mem_read(cpu->mem, gpa, &bytes[have], 1))
            break;
    }
    x86_disassemble(text, sizeof(text), cpu->mode, bytes, have, ip);
    log_raw("  %04x:%016" PRIx64 "  %s\n", cpu->x.seg[X86_CS].selector, ip, text);
}

void last_words_say(void *opaque)
{
    struct cpu *cpu = opaque;

    log_raw("umbra: last words of vCPU %u\n", cpu->index);
    say_registers(cpu);
    say_code(cpu);
    say_exits(cpu);
}

void last_words_trace(struct cpu *cpu)
{
    say_code(cpu);
}
