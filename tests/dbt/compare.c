/* What must be the same at the end of two runs. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "machine.h"

struct comparison {
    bool same, quiet;
};

static void compare(struct comparison *c, const char *what, uint64_t want, uint64_t got)
{
    if (want == got)
        return;
    c->same = false;
    if (!c->quiet)
        printf("  %-16s %#18" PRIx64 " interpreted, %#18" PRIx64 " translated\n", what, want, got);
}

static void compare_state(struct comparison *c, const struct x86_state *a,
                          const struct x86_state *b)
{
    for (unsigned i = 0; i < X86_GPR_SLOTS; i++) {
        if (i != X86_ZERO)
            compare(c, x86_gpr_names[i], a->gpr[i], b->gpr[i]);
    }
    compare(c, "rflags", a->rflags, b->rflags);
    for (unsigned i = 0; i < X86_ALL_SEGS; i++) {
        compare(c, x86_seg_names[i], a->seg[i].selector, b->seg[i].selector);
        compare(c, x86_seg_names[i], a->seg[i].base, b->seg[i].base);
        compare(c, x86_seg_names[i], a->seg[i].attr, b->seg[i].attr);
    }
    compare(c, "cr0", a->cr0, b->cr0);
    compare(c, "cr2", a->cr2, b->cr2);
    compare(c, "cr3", a->cr3, b->cr3);
    compare(c, "cr4", a->cr4, b->cr4);
    for (unsigned i = 0; i < 8; i++)
        compare(c, "dr", a->dr[i], b->dr[i]);
    compare(c, "kernel_gs_base", a->msr.kernel_gs_base, b->msr.kernel_gs_base);
    compare(c, "mxcsr", a->fpu.mxcsr, b->fpu.mxcsr);
    for (unsigned i = 0; i < 16; i++) {
        uint64_t x[4], y[4];

        memcpy(x, a->fpu.ymm[i], 32);
        memcpy(y, b->fpu.ymm[i], 32);
        for (unsigned j = 0; j < 4; j++)
            compare(c, "ymm", x[j], y[j]);
    }
}

static void compare_counters(struct comparison *c, const struct engine_counters *a,
                             const struct engine_counters *b)
{
    compare(c, "instructions", a->instructions, b->instructions);
    compare(c, "TLB look-ups", a->tlb_lookups, b->tlb_lookups);
    compare(c, "faults", a->faults_injected, b->faults_injected);
    compare(c, "page faults", a->page_faults, b->page_faults);
    compare(c, "I/O exits", a->exits[EXIT_IO], b->exits[EXIT_IO]);
}

/* The stacks and the count of interrupts are the other thread's. */
static void compare_memory(struct comparison *c, const uint8_t *a, const uint8_t *b)
{
    for (uint32_t page = 0; page < GPA_END; page += 4096) {
        uint32_t at = page;

        if ((page >= GPA_UNCOMPARED && page < GPA_COMPARED) || !memcmp(a + page, b + page, 4096))
            continue;
        while (a[at] == b[at])
            at++;
        c->same = false;
        if (!c->quiet)
            printf("  memory at %#x: %02x interpreted, %02x translated\n", at, a[at], b[at]);
    }
}

/* The first entries of the log that differ: where the runs part. */
static void say_log(const struct outcome *want, const struct outcome *got)
{
    for (unsigned i = 0; i < LOG_SLOTS; i++) {
        uint64_t a[4], b[4];

        memcpy(a, want->memory + GPA_LOG + (i << LOG_SHIFT), 32);
        memcpy(b, got->memory + GPA_LOG + (i << LOG_SHIFT), 32);
        if (!memcmp(a, b, 32))
            continue;
        printf("  log entry %u: vector %" PRIu64 ", RIP %#" PRIx64 ", CR2 %#" PRIx64
               ", flags %#" PRIx64 " interpreted\n  %*s vector %" PRIu64 ", RIP %#" PRIx64
               ", CR2 %#" PRIx64 ", flags %#" PRIx64 " translated\n",
               i, a[0] & 255, a[1], a[2], a[3], 13, "", b[0] & 255, b[1], b[2], b[3]);
        return;
    }
}

bool outcome_same(const struct outcome *want, const struct outcome *got, bool disturbed, bool quiet)
{
    struct comparison c = {true, quiet};

    compare(&c, "endless", want->endless, got->endless);
    compare(&c, "devices", want->devices, got->devices);
    compare_state(&c, &want->state, &got->state);
    compare_memory(&c, want->memory, got->memory);
    compare(&c, "host faults", 0, want->counters.host_faults);
    compare(&c, "host faults", want->counters.host_faults, got->counters.host_faults);
    if (!disturbed)
        compare_counters(&c, &want->counters, &got->counters);
    if (!c.same && !quiet)
        say_log(want, got);
    return c.same;
}
