/*
 * What a multiboot kernel may rely on, checked from inside: the machine's state at the entry and
 * the information structure. Prints a line "ok NAME" or "FAIL NAME" for each check on COM1, what
 * the loader said in words, and PASS or FAILED at the end.
 * Specification: Multiboot 0.6.96, 3.2 "Machine state" and 3.3 "Boot information format".
 */
#include <stdbool.h>
#include <stdint.h>

#define LOADER_MAGIC 0x2badb002
#define RESET_OPCODE 0xea /* a far jump, the first byte at FFFFFFF0h */

#define EFLAGS_IF   (1u << 9)
#define EFLAGS_VM   (1u << 17)
#define CR0_PE      (1u << 0)
#define CR0_PG      (1u << 31)
#define RIGHTS_CODE 0x00c09a00 /* LAR: present, code, readable, 32 bits, limit in pages */
#define RIGHTS_MASK 0x00c0fa00

#define HAS_MEMORY  (1u << 0)
#define HAS_CMDLINE (1u << 2)
#define HAS_MODULES (1u << 3)
#define HAS_AOUT    (1u << 4)
#define HAS_ELF     (1u << 5)
#define HAS_MAP     (1u << 6)
#define HAS_LOADER  (1u << 9)

#define MIB     0x100000u
#define MAP_MAX 64 /* entries that this guest looks at */

struct info {
    uint32_t flags, mem_lower, mem_upper, boot_device, cmdline;
    uint32_t mods_count, mods_addr, syms[4], mmap_length, mmap_addr;
    uint32_t drives_length, drives_addr, config_table, loader_name;
};

struct module {
    uint32_t start, end, string, reserved;
};

struct map_entry {
    uint32_t size; /* of what follows */
    uint64_t base, bytes;
    uint32_t kind;
} __attribute__((packed));

/* entry.S */
extern const struct {
    uint32_t eax, ebx, esp, eflags, cr0, cr4;
} entered;
extern const uint8_t reached[6];
extern const uint32_t code_rights;
extern const uint8_t image_start[], image_end[], bss_start[], bss_end[];

uint32_t check_all(void);

static unsigned failures;
static uint32_t in_bss[64];
static uint32_t in_data = 0x600df00d;

static void put(char c)
{
    uint8_t ready;

    do
        __asm__ volatile("inb %w1, %0" : "=a"(ready) : "Nd"(0x3fd));
    while (!(ready & 0x20));
    __asm__ volatile("outb %0, %w1" : : "a"(c), "Nd"(0x3f8));
}

static void print(const char *text)
{
    while (*text)
        put(*text++);
}

static void print_hex(uint64_t value)
{
    for (int shift = 60; shift >= 0; shift -= 4) {
        if (value >> shift || shift == 0)
            put("0123456789abcdef"[value >> shift & 15]);
    }
}

static void check(bool truth, const char *name)
{
    print(truth ? "ok   " : "FAIL ");
    print(name);
    print("\n");
    failures += !truth;
}

static void check_state(void)
{
    static const char *const segments[] = {"CS", "DS", "ES", "FS", "GS", "SS"};
    bool zero = true;

    check(entered.eax == LOADER_MAGIC, "EAX is the loader's magic");
    check((entered.cr0 & CR0_PE) != 0, "protected mode");
    check((entered.cr0 & CR0_PG) == 0, "no paging");
    check(entered.cr4 == 0, "CR4 is clear");
    check((entered.eflags & (EFLAGS_IF | EFLAGS_VM)) == 0, "interrupts off, not in V86 mode");
    check((code_rights & RIGHTS_MASK) == RIGHTS_CODE, "CS is 32-bit code");
    for (unsigned i = 0; i < 6; i++)
        check(reached[i] == RESET_OPCODE, segments[i]);
    for (unsigned i = 0; i < 64; i++)
        zero = zero && in_bss[i] == 0;
    check(zero, "the bss is zero");
    check(in_data == 0x600df00d, "the data are the file's");
}

static void check_a20(void)
{
    volatile uint32_t *even = (volatile uint32_t *)(2 * MIB), *odd = (void *)(3 * MIB);

    *even = 1;
    *odd = 2;
    check(*even == 1 && *odd == 2, "A20 is on");
}

static void check_memory(const struct info *info)
{
    uint32_t at = info->mmap_addr, end = at + info->mmap_length;
    uint64_t last = 0, upper = 0, lower = 0;
    bool sorted = true, rom = false;

    for (unsigned i = 0; at < end && i < MAP_MAX; i++) {
        const struct map_entry *e = (const void *)at;

        print("map: ");
        print_hex(e->base);
        print(" ");
        print_hex(e->bytes);
        print(" ");
        print_hex(e->kind);
        print("\n");
        sorted = sorted && e->base >= last && e->size >= 20;
        last = e->base + e->bytes;
        if (e->kind == 1 && e->base == 0)
            lower = e->bytes;
        if (e->kind == 1 && e->base == MIB)
            upper = e->bytes;
        rom = rom || (e->kind != 1 && e->base <= 0xf0000 && last >= MIB);
        at += e->size + 4;
    }
    check(at == end, "the map ends with an entry");
    check(sorted, "the map rises");
    check(rom, "the map reserves the BIOS");
    check(info->mem_lower == lower / 1024 && lower <= 640 * 1024, "lower memory is the map's");
    check(info->mem_upper == upper / 1024 && upper > MIB, "upper memory is the map's");
}

static void check_modules(const struct info *info)
{
    const struct module *module = (const void *)info->mods_addr;

    if (!(info->flags & HAS_MODULES) || info->mods_count == 0) {
        print("modules: none\n");
        return;
    }
    check(info->mods_count == 1, "one module");
    check(module->start % 4096 == 0, "the module begins with a page");
    check(module->start >= (uint32_t)bss_end, "the module is behind the kernel");
    check(module->end > module->start, "the module has bytes");
    print("module: ");
    for (uint32_t at = module->start; at < module->end && at < module->start + 64; at++)
        put(*(const char *)at);
    print("\n");
}

uint32_t check_all(void)
{
    const struct info *info = (const void *)entered.ebx;
    uint32_t wanted = HAS_MEMORY | HAS_CMDLINE | HAS_MAP | HAS_LOADER;

    check_state();
    check_a20();
    check(entered.ebx % 4 == 0 && entered.ebx >= 0x500, "EBX points to the information");
    check((info->flags & wanted) == wanted, "the information is there");
    check((info->flags & (HAS_AOUT | HAS_ELF)) != (HAS_AOUT | HAS_ELF), "one kind of symbols");
    check_memory(info);
    check_modules(info);
    print("command line: ");
    print((const char *)info->cmdline);
    print("\nloader: ");
    print((const char *)info->loader_name);
    print(failures ? "\nFAILED\n" : "\nPASS\n");
    return failures != 0;
}
