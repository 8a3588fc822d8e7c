/* Accesses by instructions that the vCPU runs. */
#include "instructions.h"

#include <string.h>

#include "mem/mem.h"

#define PAGE(n)   ((n)*PAGE_SIZE)
#define USER_CODE PAGE(0x2f1u)
#define CODE      PAGE(0x2f2u)
#define HANDLERS  (CODE + 0x800)
#define GDT       PAGE(0x2f3u)
#define TSS       (GDT + 0x800)
#define IDT64     PAGE(0x2f4u)
#define IDT32     PAGE(0x2f5u)
#define STACK     PAGE(0x2f6u)
#define STACK_TOP (STACK + PAGE_SIZE - 64)
#define VECTORS   32
#define HLT       0xf4
#define SNIPPET   16 /* bytes between two */
#define CODE64_CS 0x08
#define CODE32_CS 0x10
#define DATA_SS   0x18
#define USER_CS   0x23
#define USER_SS   0x2b

/* By log2 of the size: loads of RCX from [RAX], stores, and the exchange-and-add of a byte. */
static const char *const loads[] = {"\x8a\x08\xf4", "\x66\x8b\x08\xf4", "\x8b\x08\xf4",
                                    "\x48\x8b\x08\xf4"};
static const char *const stores[] = {"\x88\x08\xf4", "\x66\x89\x08\xf4", "\x89\x08\xf4",
                                     "\x48\x89\x08\xf4"};
static const char xadd[] = "\xf0\x0f\xc0\x08\xf4";

static unsigned log2_of(unsigned size)
{
    return size == 1 ? 0 : size == 2 ? 1 : size == 4 ? 2 : 3;
}

/* The place of an instruction in a code page. */
static unsigned snippet(const struct judge_access *a)
{
    if (a->kind == JUDGE_RMW)
        return 8 * SNIPPET;
    return (log2_of(a->size) + (a->kind == JUDGE_WRITE ? 4 : 0)) * SNIPPET;
}

void instructions_install(struct world *w,
                          void (*put)(struct world *w, gpa_t gpa, const void *value, unsigned len))
{
    const gva_t window64 = 0xffffc00000000000u, window32 = 0xc0000000u;
    static const uint64_t gdt[] = {
        0, 0x00af9b000000ffff, /* 64-bit code */
        0x00cf9b000000ffff,    /* 32-bit code */
        0x00cf93000000ffff,    /* data */
    };
    uint64_t rsp0 = window64 + STACK_TOP;
    uint32_t esp0[2] = {(uint32_t)(window32 + STACK_TOP), DATA_SS};
    uint8_t page[PAGE_SIZE];

    memset(page, HLT, sizeof(page));
    for (unsigned i = 0; i < 4; i++) {
        memcpy(page + i * SNIPPET, loads[i], i == 1 || i == 3 ? 4 : 3);
        memcpy(page + (4 + i) * SNIPPET, stores[i], i == 1 || i == 3 ? 4 : 3);
    }
    memcpy(page + 8 * SNIPPET, xadd, sizeof(xadd) - 1);
    put(w, USER_CODE, page, sizeof(page));
    put(w, CODE, page, sizeof(page));
    put(w, GDT, gdt, sizeof(gdt));
    memset(page, 0, sizeof(page));
    put(w, TSS, page, 208);
    put(w, TSS + 4, &rsp0, sizeof(rsp0));      /* of a 64-bit TSS */
    put(w, TSS + 104 + 4, esp0, sizeof(esp0)); /* of a 32-bit TSS behind it */
    for (unsigned i = 0; i < VECTORS; i++) {
        uint64_t to = window64 + HANDLERS + i;
        uint32_t to32 = (uint32_t)(window32 + HANDLERS + i);
        uint64_t gate64[2] = {
            (to & 0xffff) | CODE64_CS << 16 | 0x8e0000000000 | (to >> 16 & 0xffff) << 48, to >> 32};
        uint64_t gate32 =
            (to32 & 0xffff) | CODE32_CS << 16 | 0x8e0000000000 | (uint64_t)(to32 >> 16) << 48;

        put(w, IDT64 + 16 * i, gate64, 16);
        put(w, IDT32 + 8 * i, &gate32, 8);
    }
    memcpy(w->installed, w->m.bytes + USER_CODE, sizeof(w->installed));
}

/* Whether the tables lead the window where it should, for the supervisor. */
static bool window_is_there(struct world *w)
{
    static const gpa_t pages[] = {USER_CODE, CODE, GDT, IDT64, IDT32, STACK};
    struct naive_result walk;

    for (unsigned i = 0; i < ARRAY_SIZE(pages); i++) {
        struct naive_access how = {.write = pages[i] == STACK, .implicit = true};

        if (pages[i] == USER_CODE)
            how = (struct naive_access){.fetch = true, .user = true};
        else if (pages[i] == CODE)
            how = (struct naive_access){.fetch = true};
        naive_translate(&w->r, world_window(w, pages[i]), &how, model_entry, &w->m, &walk);
        if (!walk.ok || walk.gpa != pages[i])
            return false;
        /* The delivery of an exception shall change no table: judge.c looks at one access. */
        for (unsigned k = 0; k < walk.entries; k++) {
            if (walk.entry[k].set)
                return false;
        }
    }
    return true;
}

bool instructions_can(struct world *w, const struct judge_access *a)
{
    enum naive_format format = naive_format(&w->r);
    unsigned most = format == NAIVE_4LEVEL ? 8 : 4;

    if (format == NAIVE_OFF || a->implicit || a->kind == JUDGE_FETCH || a->size > most)
        return false;
    if (a->kind == JUDGE_RMW && a->size != 1)
        return false;
    /* #GP is how the user's code ends when all is well. */
    if (!x86_canonical(a->gva) || !x86_canonical(a->gva + a->size - 1))
        return false;
    /* Wild writes may have hit the code. */
    return memcmp(w->m.bytes + USER_CODE, w->installed, sizeof(w->installed)) == 0 &&
           window_is_there(w);
}

/* Segment registers, tables and stack for a start at this privilege. */
static void set_machine(struct world *w, bool user)
{
    struct x86_state *x = &w->g.cpu->x;
    bool wide = naive_format(&w->r) == NAIVE_4LEVEL;

    x->gdtr = (struct x86_table_register){world_window(w, GDT), 0x1f};
    x->idtr = (struct x86_table_register){world_window(w, wide ? IDT64 : IDT32),
                                          (uint16_t)(VECTORS * (wide ? 16 : 8) - 1)};
    x->seg[X86_TR] = (struct x86_segment){
        .base = world_window(w, wide ? TSS : TSS + 104),
        .limit = 103,
        .selector = 0x40,
        .attr = X86_TSS_BUSY | X86_SEG_P,
    };
    x->seg[X86_CS].selector = user ? USER_CS : wide ? CODE64_CS : CODE32_CS;
    x->seg[X86_SS].selector = user ? USER_SS : DATA_SS;
    x->gpr[X86_RSP] = world_window(w, STACK_TOP);
}

/* The stack has been written: the model takes what is there. */
static void follow_stack(struct world *w)
{
    uint8_t page[PAGE_SIZE];

    mem_read(w->g.mem, STACK, page, sizeof(page));
    if (memcmp(page, w->m.bytes + STACK, sizeof(page)) != 0)
        model_put(&w->m, STACK, page, sizeof(page));
    model_meant(&w->m, STACK);
}

/* Which handler the vCPU halted in; VECTORS: none. */
static unsigned halted_in(struct world *w)
{
    uint64_t at = w->g.cpu->x.gpr[X86_RIP] - world_window(w, HANDLERS) - 1;

    return at < VECTORS ? (unsigned)at : VECTORS;
}

void instructions_act(struct world *w, const struct judge_access *a, struct judge_outcome *out)
{
    struct x86_segment seg[X86_ALL_SEGS];
    struct cpu *cpu = w->g.cpu;
    uint64_t error = 0;
    unsigned vector;

    memset(out, 0, sizeof(*out));
    memcpy(seg, cpu->x.seg, sizeof(seg));
    set_machine(w, a->user);
    guest_set_privilege(&w->g, a->user, a->ac);
    cpu->x.gpr[X86_RAX] = a->gva;
    memcpy(&cpu->x.gpr[X86_RCX], a->data, 8);
    cpu->x.gpr[X86_RIP] = world_window(w, a->user ? USER_CODE : CODE) + snippet(a);
    cpu->halted = false;
    if (engine_soft.vcpu_run(w->g.vcpu) != ENGINE_STOP_HALT)
        world_fail(w, "the guest does not halt");
    vector = halted_in(w);
    memcpy(out->data, &cpu->x.gpr[X86_RCX], a->size);
    if (vector == X86_PF || (vector == X86_GP && !a->user)) {
        mem_read(w->g.mem, cpu->x.gpr[X86_RSP] - world_window(w, 0), &error,
                 naive_format(&w->r) == NAIVE_4LEVEL ? 8 : 4);
        out->fault = true;
        out->vector = (uint8_t)vector;
        out->error = (uint32_t)error;
        out->address = cpu->x.cr2;
    } else if (a->user ? vector != X86_GP : vector != VECTORS) {
        world_fail(w, "the guest takes exception %u", vector);
    }
    follow_stack(w);
    cpu->halted = false;
    memcpy(cpu->x.seg, seg, sizeof(seg));
    guest_set_privilege(&w->g, false, false);
}
