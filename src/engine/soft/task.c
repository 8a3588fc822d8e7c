/* The hardware task switch. See task.h. */
#include "engine/soft/task.h"

#include "engine/soft/access.h"
#include "engine/soft/transfer.h"
#include "x86/debug_regs.h"

#define TSS_LINK 0

/* The 32-bit TSS (SDM 3 "32-Bit Task-State Segment (TSS)"). */
#define TSS32_CR3     0x1c
#define TSS32_DYNAMIC 0x20 /* EIP, EFLAGS and eight registers; then the selectors, 4 bytes each */
#define TSS32_SEGS    0x48
#define TSS32_LDT     0x60
#define TSS32_TRAP    0x64
#define TSS32_LIMIT   0x67

/* The 16-bit TSS (SDM 3 "16-Bit Task-State Segment (TSS)"). */
#define TSS16_DYNAMIC 0x0e /* IP, FLAGS and eight registers; then four selectors, 2 bytes each */
#define TSS16_SEGS    0x22
#define TSS16_LDT     0x2a
#define TSS16_LIMIT   0x2b

#define TSS_WORDS 10 /* IP, FLAGS and eight registers */

/* What a TSS holds of a task, 16-bit ones widened. */
struct task_image {
    bool wide;
    uint32_t word[TSS_WORDS]; /* EIP, EFLAGS, EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI */
    uint16_t selector[X86_SEGS];
    uint16_t ldt;
    uint32_t cr3;
    bool trap;
};

enum step task_find(struct cpu *cpu, uint16_t selector, enum task_cause cause,
                    struct descriptor *tss)
{
    enum x86_vector wrong = cause == TASK_IRET ? X86_TS : X86_GP;
    enum step step;

    if (selector & X86_SELECTOR_LDT || x86_selector_null(selector))
        return cpu_raise_error(cpu, wrong, selector_error(selector));
    step = descriptor_read(cpu, selector, wrong, tss);
    if (step)
        return step;
    if (!x86_attr_is_tss(tss->attr) || x86_attr_tss_busy(tss->attr) != (cause == TASK_IRET))
        return cpu_raise_error(cpu, wrong, selector_error(selector));
    if (!x86_attr_present(tss->attr))
        return cpu_raise_error(cpu, X86_NP, selector_error(selector));
    return STEP_NEXT;
}

static enum step tss_get(struct cpu *cpu, const struct x86_segment *tss, uint32_t offset,
                         void *value, unsigned size)
{
    return sys_read(cpu, table_linear(cpu, tss->base, offset), value, size);
}

static enum step tss_put(struct cpu *cpu, const struct x86_segment *tss, uint32_t offset,
                         const void *value, unsigned size)
{
    return sys_write(cpu, table_linear(cpu, tss->base, offset), value, size);
}

static enum step read_image32(struct cpu *cpu, const struct x86_segment *tss,
                              struct task_image *image)
{
    uint32_t segs[X86_SEGS];
    uint16_t trap;
    enum step step = tss_get(cpu, tss, TSS32_DYNAMIC, image->word, sizeof image->word);

    if (!step)
        step = tss_get(cpu, tss, TSS32_SEGS, segs, sizeof segs);
    if (!step)
        step = tss_get(cpu, tss, TSS32_LDT, &image->ldt, 2);
    if (!step)
        step = tss_get(cpu, tss, TSS32_CR3, &image->cr3, 4);
    if (!step)
        step = tss_get(cpu, tss, TSS32_TRAP, &trap, 2);
    if (step)
        return step;
    for (unsigned i = 0; i < X86_SEGS; i++)
        image->selector[i] = (uint16_t)segs[i];
    image->trap = trap & 1;
    return STEP_NEXT;
}

static enum step read_image16(struct cpu *cpu, const struct x86_segment *tss,
                              struct task_image *image)
{
    uint16_t words[TSS_WORDS];
    enum step step = tss_get(cpu, tss, TSS16_DYNAMIC, words, sizeof words);

    if (!step) /* ES, CS, SS, DS; FS and GS stay null */
        step = tss_get(cpu, tss, TSS16_SEGS, image->selector, 8);
    if (!step)
        step = tss_get(cpu, tss, TSS16_LDT, &image->ldt, 2);
    for (unsigned i = 0; !step && i < TSS_WORDS; i++)
        image->word[i] = words[i];
    return step;
}

static enum step read_image(struct cpu *cpu, const struct x86_segment *tss,
                            struct task_image *image)
{
    *image = (struct task_image){.wide = x86_attr_system_wide(tss->attr)};
    if (tss->limit < (image->wide ? TSS32_LIMIT : TSS16_LIMIT))
        return cpu_raise_error(cpu, X86_TS, selector_error(tss->selector));
    return image->wide ? read_image32(cpu, tss, image) : read_image16(cpu, tss, image);
}

/* The old task's registers, in the form of an image. */
static void current_image(const struct cpu *cpu, uint64_t flags, struct task_image *image)
{
    *image = (struct task_image){.wide = x86_attr_system_wide(cpu->x.seg[X86_TR].attr)};
    image->word[0] = (uint32_t)cpu->x.gpr[X86_RIP];
    image->word[1] = (uint32_t)flags;
    for (unsigned i = 0; i < 8; i++)
        image->word[2 + i] = (uint32_t)cpu->x.gpr[i];
    for (unsigned i = 0; i < X86_SEGS; i++)
        image->selector[i] = cpu->x.seg[i].selector;
}

/* Only what a task changes is written: CR3, LDT and the stacks of inner levels stay. */
static enum step save_old(struct cpu *cpu, uint64_t flags)
{
    const struct x86_segment *tr = &cpu->x.seg[X86_TR];
    struct task_image image;
    uint16_t words[TSS_WORDS];
    enum step step;

    current_image(cpu, flags, &image);
    if (tr->limit < (image.wide ? TSS32_LDT - 1 : TSS16_LDT - 1))
        return cpu_raise_error(cpu, X86_TS, selector_error(tr->selector));
    if (!image.wide) {
        for (unsigned i = 0; i < TSS_WORDS; i++)
            words[i] = (uint16_t)image.word[i];
        step = tss_put(cpu, tr, TSS16_DYNAMIC, words, sizeof words);
        return step ? step : tss_put(cpu, tr, TSS16_SEGS, image.selector, 8);
    }
    step = tss_put(cpu, tr, TSS32_DYNAMIC, image.word, sizeof image.word);
    for (unsigned i = 0; !step && i < X86_SEGS; i++)
        step = tss_put(cpu, tr, TSS32_SEGS + 4 * i, &image.selector[i], 2);
    return step;
}

/* The busy bits and the back link, all in memory. */
static enum step link_tasks(struct cpu *cpu, struct descriptor *tss, enum task_cause cause)
{
    const struct x86_segment *tr = &cpu->x.seg[X86_TR];
    struct x86_segment target = x86_segment_parse(tss->low, tss->selector);
    struct descriptor old;
    enum step step = STEP_NEXT;

    if (cause == TASK_CALL || cause == TASK_EVENT)
        step = tss_put(cpu, &target, TSS_LINK, &tr->selector, 2);
    if (!step && cause != TASK_IRET)
        step = descriptor_set_busy(cpu, tss, true);
    if (step || cause == TASK_CALL || cause == TASK_EVENT)
        return step;
    step = descriptor_read(cpu, tr->selector, X86_TS, &old);
    return step ? step : descriptor_set_busy(cpu, &old, false);
}

static enum step raise_ts(struct cpu *cpu, uint16_t selector)
{
    return cpu_raise_error(cpu, X86_TS, selector_error(selector));
}

static enum step load_ldt(struct cpu *cpu, uint16_t selector)
{
    struct descriptor d;
    enum step step;

    if (x86_selector_null(selector))
        return STEP_NEXT;
    if (selector & X86_SELECTOR_LDT)
        return raise_ts(cpu, selector);
    step = descriptor_read(cpu, selector, X86_TS, &d);
    if (step)
        return step;
    if (!x86_attr_is_system(d.attr, X86_LDT) || !x86_attr_present(d.attr))
        return raise_ts(cpu, selector);
    cpu->x.seg[X86_LDTR] = x86_segment_parse(d.low, selector);
    return STEP_NEXT;
}

static enum step load_code(struct cpu *cpu, uint16_t selector)
{
    unsigned rpl = x86_selector_rpl(selector);
    struct descriptor d;
    enum step step;

    if (x86_selector_null(selector))
        return raise_ts(cpu, selector);
    step = descriptor_read(cpu, selector, X86_TS, &d);
    if (step)
        return step;
    if (!x86_attr_is_code(d.attr) ||
        (x86_attr_is_conforming(d.attr) ? x86_attr_dpl(d.attr) > rpl : x86_attr_dpl(d.attr) != rpl))
        return raise_ts(cpu, selector);
    if (!x86_attr_present(d.attr))
        return cpu_raise_error(cpu, X86_NP, selector_error(selector));
    step = descriptor_set_accessed(cpu, &d);
    if (!step)
        cpu->x.seg[X86_CS] = x86_segment_parse(d.low, selector);
    return step;
}

static enum step load_data(struct cpu *cpu, unsigned seg, uint16_t selector)
{
    struct descriptor d;
    enum step step;

    if (x86_selector_null(selector))
        return STEP_NEXT;
    step = descriptor_read(cpu, selector, X86_TS, &d);
    if (step)
        return step;
    if (!x86_attr_is_readable(d.attr) ||
        !x86_attr_reachable(d.attr, cpu->cpl, x86_selector_rpl(selector)))
        return raise_ts(cpu, selector);
    if (!x86_attr_present(d.attr))
        return cpu_raise_error(cpu, X86_NP, selector_error(selector));
    step = descriptor_set_accessed(cpu, &d);
    if (!step)
        cpu->x.seg[seg] = x86_segment_parse(d.low, selector);
    return step;
}

/* The hidden parts, checked in the new task. */
static enum step load_segments(struct cpu *cpu, const struct task_image *image)
{
    static const uint8_t data[] = {X86_DS, X86_ES, X86_FS, X86_GS};
    enum step step = load_ldt(cpu, image->ldt);

    if (step || cpu_vm86(cpu))
        return step;
    step = load_code(cpu, image->selector[X86_CS]);
    if (!step)
        step = segment_fetch_stack(cpu, image->selector[X86_SS], cpu->cpl, X86_TS,
                                   &cpu->x.seg[X86_SS]);
    for (size_t i = 0; !step && i < ARRAY_SIZE(data); i++)
        step = load_data(cpu, data[i], image->selector[data[i]]);
    return step;
}

/* Registers and selectors, unchecked: from here on faults belong to the new task. */
static void enter_image(struct cpu *cpu, const struct task_image *image, uint32_t eflags)
{
    bool vm86 = image->wide && (eflags & X86_FLAG_VM);

    cpu->x.cr0 |= X86_CR0_TS;
    cpu->x.dr[7] &= ~(uint64_t)X86_DR7_LOCAL;
    cpu->x.gpr[X86_RIP] = image->word[0];
    for (unsigned i = 0; i < 8; i++)
        cpu->x.gpr[i] = image->word[2 + i];
    for (unsigned i = 0; i < X86_SEGS; i++)
        cpu->x.seg[i] =
            vm86 ? segment_vm86(image->selector[i]) : x86_segment_null(image->selector[i], 0);
    cpu->x.seg[X86_LDTR] = x86_segment_null(image->ldt, 0);
    cpu->cpl = vm86 ? 3 : x86_selector_rpl(image->selector[X86_CS]);
    transfer_finish(cpu, eflags);
}

/* Everything after the point of no return. */
static enum step enter_task(struct cpu *cpu, const struct descriptor *tss,
                            const struct task_image *image, bool nested)
{
    uint32_t eflags = image->word[1] | (nested ? X86_FLAG_NT : 0);
    enum step step = STEP_NEXT;

    cpu->x.seg[X86_TR] = x86_segment_parse(tss->low, tss->selector);
    enter_image(cpu, image, eflags);
    if (image->wide && cpu->x.cr0 & X86_CR0_PG)
        step = cpu_write_cr3(cpu, image->cr3);
    if (!step || step == STEP_JUMP)
        step = load_segments(cpu, image);
    cpu_update_mode(cpu);
    if (step)
        return step;
    if (cpu->x.gpr[X86_RIP] > cpu->x.seg[X86_CS].limit)
        return cpu_raise_error(cpu, X86_GP, 0);
    if (image->trap)
        cpu_pend_debug(cpu, X86_DR6_BT);
    return STEP_JUMP;
}

enum step task_switch(struct cpu *cpu, struct descriptor *tss, enum task_cause cause,
                      uint64_t flags)
{
    static const enum exit_task_source sources[] = {
        [TASK_JMP] = EXIT_TASK_JMP,
        [TASK_CALL] = EXIT_TASK_CALL,
        [TASK_IRET] = EXIT_TASK_IRET,
        [TASK_EVENT] = EXIT_TASK_GATE,
    };
    struct x86_segment target = x86_segment_parse(tss->low, tss->selector);
    struct task_image image;
    enum step step;

    exit_scope struct cpu *timed = cpu_exit_begin(
        cpu,
        (struct exit){.reason = EXIT_TASK_SWITCH,
                      .qualification = exit_qualification_task(tss->selector, sources[cause])});
    if (cause == TASK_IRET)
        flags &= ~X86_FLAG_NT;
    step = read_image(cpu, &target, &image);
    if (!step)
        step = save_old(cpu, flags);
    if (!step)
        step = link_tasks(cpu, tss, cause);
    if (step)
        return step;
    step = enter_task(cpu, tss, &image, cause == TASK_CALL || cause == TASK_EVENT);
    if (step == STEP_FAULT)
        cpu->fault.is_trap = true;
    return step;
}
