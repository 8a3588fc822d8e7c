/* The guest's command line, its clock, its exceptions and its last words. */
#include "guest.h"

#define DEBUG_PORT 0xe9
#define EXIT_PORT  0xf4
#define EXIT_PASS  0x10
#define EXIT_FAIL  0x11

#define PAGE_FAULT    14
#define GATE_PRESENT  0x8e00
#define CODE_SELECTOR 8

#define INFO_HAS_CMDLINE (1u << 2)

struct info {
    uint32_t flags, mem_lower, mem_upper, boot_device, cmdline;
};

struct gate {
    uint16_t offset_low, selector, flags, offset_mid;
    uint32_t offset_high, reserved;
};

struct frame {
    uint64_t error, rip;
};

extern const char exception_stubs[], page_fault_stub[], read_resume[];
void guest_main(const struct info *info);
void page_fault_taken(uint64_t address, struct frame *frame);
void unexpected_exception(uint64_t vector) __attribute__((noreturn));

static struct gate idt[32];
static const char *running = "?";

static void out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static void print(const char *text)
{
    while (*text)
        out8(DEBUG_PORT, (uint8_t)*text++);
}

static void print_number(uint64_t value)
{
    char digits[21];
    unsigned at = 20;

    digits[20] = 0;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    print(digits + at);
}

static void leave(uint8_t status)
{
    out8(EXIT_PORT, status);
    for (;;)
        __asm__ volatile("hlt");
}

void fail(const char *words)
{
    print("FAIL ");
    print(running);
    print(": ");
    print(words);
    print("\n");
    leave(EXIT_FAIL);
    __builtin_unreachable();
}

void expect(bool truth, const char *words)
{
    if (!truth)
        fail(words);
}

void unexpected_exception(uint64_t vector)
{
    print_number(vector);
    fail(" is an exception that nothing here causes");
}

static void set_gate(unsigned vector, const char *stub)
{
    uint64_t offset = (uint64_t)stub;

    idt[vector] = (struct gate){
        .offset_low = (uint16_t)offset,
        .selector = CODE_SELECTOR,
        .flags = GATE_PRESENT,
        .offset_mid = (uint16_t)(offset >> 16),
    };
}

static void load_idt(void)
{
    struct __attribute__((packed)) {
        uint16_t limit;
        uint64_t base;
    } pointer = {sizeof(idt) - 1, (uint64_t)idt};

    for (unsigned i = 0; i < 32; i++)
        set_gate(i, exception_stubs + 8 * i);
    set_gate(PAGE_FAULT, page_fault_stub);
    __asm__ volatile("lidt %0" : : "m"(pointer));
}

static void cpuid(uint32_t leaf, uint32_t *a, uint32_t *b, uint32_t *c)
{
    uint32_t d;

    __asm__ volatile("cpuid" : "=a"(*a), "=b"(*b), "=c"(*c), "=d"(d) : "0"(leaf), "2"(0));
}

static uint64_t ticks(void)
{
    uint32_t low, high;

    __asm__ volatile("lfence\n\trdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

static uint64_t ticks_per_second(void)
{
    uint32_t a, b, c;

    cpuid(0, &a, &b, &c);
    expect(a >= 0x15, "CPUID does not tell the rate of the TSC");
    cpuid(0x15, &a, &b, &c);
    expect(a && b && c, "CPUID leaf 15h is empty");
    return (uint64_t)c * b / a;
}

static bool pcid_on(void)
{
    uint32_t a, b, c;
    uint64_t cr4;

    cpuid(1, &a, &b, &c);
    if (!(c & (1u << 17)))
        return false;
    __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
    cr4 |= 1u << 17;
    __asm__ volatile("mov %0, %%cr4" : : "r"(cr4));
    return true;
}

static void run(const struct workload *work, uint64_t operations)
{
    uint64_t start, took;

    running = work->name;
    if (work->pcid && !pcid_on()) {
        print("skip ");
        print(running);
        print("\n");
        leave(EXIT_PASS);
    }
    work->prepare(work->param, work->operations);
    start = ticks();
    if (operations)
        work->run(work->param, operations);
    took = ticks() - start;
    if (work->check && operations)
        work->check(work->param, operations);
    print("bench ");
    print(running);
    print(" ");
    print_number(operations);
    print(" ");
    print_number(took * 1000 / (ticks_per_second() / 1000000));
    print("\n");
    leave(EXIT_PASS);
}

/* Whether text begins with the word; then *rest stands behind it. */
static bool is_word(const char *text, const char *word, const char **rest)
{
    for (; *word; text++, word++) {
        if (*text != *word)
            return false;
    }
    *rest = text;
    return *text == 0 || *text == ' ';
}

static const char *skip_word(const char *text)
{
    while (*text && *text != ' ')
        text++;
    while (*text == ' ')
        text++;
    return text;
}

void guest_main(const struct info *info)
{
    const char *words = "", *rest;

    load_idt();
    paging.root = space_new();
    space_enter(paging.root);
    if (info->flags & INFO_HAS_CMDLINE)
        words = skip_word((const char *)(uint64_t)info->cmdline);
    for (unsigned i = 0; i < workload_count; i++) {
        if (is_word(words, workloads[i].name, &rest))
            run(&workloads[i], *skip_word(words) == '0' ? 0 : workloads[i].operations);
    }
    for (unsigned i = 0; i < workload_count; i++) {
        print(workloads[i].name);
        print("\n");
    }
    leave(EXIT_PASS);
}
