/* The multiboot loader: both kinds of kernel, what they are told, and hostile headers. */
#include "fw_test.h"

#include <errno.h>

#include "fw/multiboot.h"

static int plan(struct fw_test *test, size_t size_bytes, struct multiboot_plan *result)
{
    struct multiboot_files files = {.kernel = &test->image, .command_line = ""};

    fw_test_image(test, size_bytes);
    return multiboot_plan(&files, &test->layout, result, &test->error);
}

static void refused(struct fw_test *test, size_t size_bytes, int error, const char *words)
{
    struct multiboot_plan result;

    assert_int_equal(plan(test, size_bytes, &result), error);
    fw_test_says(test, words);
}

static void read_string(struct fw_test *test, uint32_t gpa, char text[64])
{
    mem_read(test->mem, gpa, text, 64);
    text[63] = '\0';
}

static void test_elf_and_information(void **state)
{
    struct fw_test *test = *state;
    size_t size = sample_multiboot_elf(test->file);
    uint8_t module_bytes[100];
    struct boot_info boot = {0};
    struct multiboot_plan result;
    struct image module;
    uint32_t info, map, mods, length, e820 = 0;
    char text[64];

    memset(module_bytes, 0x77, sizeof(module_bytes));
    image_from_bytes(&module, "module", module_bytes, sizeof(module_bytes));
    fw_test_image(test, size);
    struct multiboot_files files = {&test->image, &module, "a b"};
    assert_int_equal(multiboot_plan(&files, &test->layout, &result, &test->error), 0);
    assert_int_equal(multiboot_place(&files, &result, &test->layout, test->mem, &boot), 0);

    assert_int_equal(boot.kind, BOOT_MULTIBOOT);
    assert_int_equal(boot.eip, SAMPLE_MULTIBOOT_BASE + 0x20);
    assert_int_equal(mem_read32(test->mem, SAMPLE_MULTIBOOT_BASE), 0x1badb002);
    assert_int_equal(mem_read32(test->mem, SAMPLE_MULTIBOOT_BASE + 252), 0x6d6d6d6d);
    assert_int_equal(mem_read32(test->mem, SAMPLE_MULTIBOOT_BASE + 256), 0);
    /* After a reset the BSS is what the guest left there, until it is placed again. */
    mem_write(test->mem, SAMPLE_MULTIBOOT_BASE + 252, "dirt of a guest", 16);
    assert_int_equal(multiboot_place(&files, &result, &test->layout, test->mem, &boot), 0);
    assert_int_equal(mem_read32(test->mem, SAMPLE_MULTIBOOT_BASE + 252), 0x6d6d6d6d);
    assert_int_equal(mem_read32(test->mem, SAMPLE_MULTIBOOT_BASE + 256), 0);
    assert_int_equal(mem_read32(test->mem, SAMPLE_MULTIBOOT_BASE + 260), 0);

    info = boot.ebx;
    assert_int_equal(info, 0x10000);
    assert_int_equal(mem_read32(test->mem, info), 0x124d);
    assert_int_equal(mem_read32(test->mem, info + 4), LAYOUT_EBDA_BASE / 1024);
    assert_int_equal(mem_read32(test->mem, info + 8), (test->layout.acpi_base - MIB) / 1024);
    read_string(test, mem_read32(test->mem, info + 16), text);
    assert_string_equal(text, "sample.img a b");
    read_string(test, mem_read32(test->mem, info + 64), text);
    assert_string_equal(text, "Umbra");

    assert_int_equal(mem_read32(test->mem, info + 20), 1);
    mods = mem_read32(test->mem, info + 24);
    assert_int_equal(mem_read32(test->mem, mods), SAMPLE_MULTIBOOT_BASE + 0x1000);
    assert_int_equal(mem_read32(test->mem, mods + 4), SAMPLE_MULTIBOOT_BASE + 0x1000 + 100);
    assert_int_equal(mem_read32(test->mem, SAMPLE_MULTIBOOT_BASE + 0x1000), 0x77777777);

    /* The map is the layout's. */
    length = mem_read32(test->mem, info + 44);
    map = mem_read32(test->mem, info + 48);
    for (uint32_t at = 0; at < length; at += mem_read32(test->mem, map + at) + 4, e820++) {
        const struct layout_range *range = &test->layout.e820[e820];

        assert_int_equal(mem_read64(test->mem, map + at + 4), range->base);
        assert_int_equal(mem_read64(test->mem, map + at + 12), range->size_bytes);
        assert_int_equal(mem_read32(test->mem, map + at + 20), range->kind);
    }
    assert_int_equal(e820, test->layout.e820_count);
}

static void test_kludge(void **state)
{
    struct fw_test *test = *state;
    size_t size = sample_multiboot_kludge(test->file);
    struct multiboot_plan result;

    assert_int_equal(plan(test, size, &result), 0);
    assert_int_equal(result.segment_count, 1);
    assert_int_equal(result.entry, SAMPLE_MULTIBOOT_BASE + 48);
    assert_int_equal(result.segments[0].base, SAMPLE_MULTIBOOT_BASE);
    assert_int_equal(result.segments[0].file_offset, 0);
    assert_int_equal(result.segments[0].file_bytes, SAMPLE_MULTIBOOT_BYTES);
    assert_int_equal(result.segments[0].memory_bytes, 2 * SAMPLE_MULTIBOOT_BYTES);

    /* load_end 0: all of the file. */
    bytes_put32(test->file + 16 + 20, 0);
    assert_int_equal(plan(test, size + 10, &result), 0);
    assert_int_equal(result.segments[0].file_bytes, size + 10);
}

static void test_hostile_kludge(void **state)
{
    static const struct {
        unsigned offset;
        uint32_t value;
        int error;
        const char *words;
    } cases[] = {
        {12, SAMPLE_MULTIBOOT_BASE + 17, -EINVAL, "contradict"}, /* before the file's start */
        {12, SAMPLE_MULTIBOOT_BASE - 1, -EINVAL, "contradict"},
        {12, UINT32_MAX, -EINVAL, "contradict"},
        {16, UINT32_MAX, -EINVAL, "contradict"},
        {20, 1, -EINVAL, "contradict"},
        {20, SAMPLE_MULTIBOOT_BASE + SAMPLE_MULTIBOOT_BYTES + 1, -EINVAL, "behind the end"},
        {20, UINT32_MAX, -EINVAL, "behind the end"},
        {24, UINT32_MAX, -ENOMEM, "--memory"},
        {28, 0, -EINVAL, "entry point"},
        {28, SAMPLE_MULTIBOOT_BASE + 2 * SAMPLE_MULTIBOOT_BYTES, -EINVAL, "entry point"},
    };
    struct fw_test *test = *state;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        size_t size = sample_multiboot_kludge(test->file);

        bytes_put32(test->file + 16 + cases[i].offset, cases[i].value);
        refused(test, size, cases[i].error, cases[i].words);
    }
    sample_multiboot_kludge(test->file);
    refused(test, 16 + 31, -EINVAL, "ends inside its multiboot header");
    refused(test, 16 + 11, -EINVAL, "no multiboot header");
}

static void test_hostile_elf(void **state)
{
    enum { PH = sizeof(Elf32_Ehdr) };
    static const struct {
        unsigned offset, width;
        uint32_t value;
        int error;
        const char *words;
    } cases[] = {
        {0, 1, 0, -EINVAL, "no ELF file"},
        {EI_CLASS, 1, ELFCLASS64, -EINVAL, "32-bit x86"},
        {offsetof(Elf32_Ehdr, e_machine), 2, EM_ARM, -EINVAL, "32-bit x86"},
        {offsetof(Elf32_Ehdr, e_type), 2, ET_REL, -EINVAL, "32-bit x86"},
        {offsetof(Elf32_Ehdr, e_phoff), 4, UINT32_MAX, -EINVAL, "program headers"},
        {offsetof(Elf32_Ehdr, e_phnum), 2, UINT16_MAX, -EINVAL, "program headers"},
        {offsetof(Elf32_Ehdr, e_phentsize), 2, 0, -EINVAL, "program headers"},
        {offsetof(Elf32_Ehdr, e_phnum), 2, 0, -EINVAL, "entry point"},
        {offsetof(Elf32_Ehdr, e_entry), 4, 0xfffffff0, -EINVAL, "entry point"},
        {PH + offsetof(Elf32_Phdr, p_offset), 4, UINT32_MAX, -EINVAL, "behind the end"},
        {PH + offsetof(Elf32_Phdr, p_filesz), 4, UINT32_MAX, -EINVAL, "more bytes in the file"},
        {PH + offsetof(Elf32_Phdr, p_memsz), 4, UINT32_MAX, -ENOMEM, "--memory"},
        {PH + offsetof(Elf32_Phdr, p_paddr), 4, 0x9c000 + 0xe01, -EINVAL, "stack"},
        {PH + offsetof(Elf32_Phdr, p_paddr), 4, 0x9ffff, -EINVAL, "stack"},
        {PH + offsetof(Elf32_Phdr, p_paddr), 4, 0xfffffff0, -ENOMEM, "--memory"},
    };
    struct fw_test *test = *state;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        size_t size = sample_multiboot_elf(test->file);

        memcpy(test->file + cases[i].offset, &cases[i].value, cases[i].width);
        refused(test, size, cases[i].error, cases[i].words);
    }
}

static void test_overlap_and_count(void **state)
{
    struct fw_test *test = *state;
    size_t size = sample_multiboot_elf(test->file);
    Elf32_Ehdr *elf = (Elf32_Ehdr *)test->file;
    Elf32_Phdr *ph = (Elf32_Phdr *)(elf + 1);

    elf->e_phnum = 2;
    ph[1] = ph[0];
    refused(test, size, -EINVAL, "overlap");

    elf->e_phnum = MULTIBOOT_MAX_SEGMENTS + 1;
    for (unsigned i = 1; i < elf->e_phnum; i++) {
        ph[i] = ph[0];
        ph[i].p_paddr += i * 0x1000;
    }
    refused(test, size, -EINVAL, "more than");
}

/* Below 1 MiB a kernel goes where the BIOS keeps nothing. */
static void test_low_memory(void **state)
{
    static const struct {
        uint32_t base;
        const char *words; /* of the refusal; NULL: it is loaded */
        gpa_t info;
    } cases[] = {
        {0, "vectors", 0},
        {0x4ff, "vectors", 0},
        {0x500, NULL, 0x10000},
        {0x7c00, NULL, 0x10000},
        {0xfe00, NULL, 0x10000},
        {0xfe01, NULL, 0x10010}, /* the last byte at 10000h: what it is told goes behind it */
        {0x10000, NULL, 0x10200},
        {0x113ff, NULL, 0x11600},
        {0x11400, NULL, 0x10000},
        {0x9ce00, NULL, 0x10000},
        {0x9ce01, "stack", 0},
        {0x9fe00, "stack", 0},
        {0xa0000, "screen", 0},
        {0xbffff, "screen", 0},
        {0xc0000, NULL, 0x10000},
        {0xefe00, NULL, 0x10000},
        {0xefe01, "ROM", 0},
        {0xffe00, "ROM", 0},
        {0xfff00, "ROM", 0}, /* its bytes would be lost */
    };
    struct fw_test *test = *state;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        size_t size = sample_multiboot_elf(test->file);
        Elf32_Ehdr *elf = (Elf32_Ehdr *)test->file;
        Elf32_Phdr *ph = (Elf32_Phdr *)(elf + 1);
        struct multiboot_files files = {.kernel = &test->image, .command_line = ""};
        struct boot_info boot = {0};
        struct multiboot_plan result;

        ph->p_paddr = ph->p_vaddr = cases[i].base;
        elf->e_entry = cases[i].base + 0x20;
        if (cases[i].words) {
            refused(test, size, -EINVAL, cases[i].words);
            continue;
        }
        assert_int_equal(plan(test, size, &result), 0);
        assert_int_equal(result.info_base, cases[i].info);
        assert_int_equal(multiboot_place(&files, &result, &test->layout, test->mem, &boot), 0);
        assert_int_equal(boot.ebx, cases[i].info);
        assert_int_equal(boot.eip, cases[i].base + 0x20);
        assert_int_equal(mem_read32(test->mem, cases[i].base), 0x1badb002);
        assert_int_equal(mem_read32(test->mem, cases[i].base + 252), 0x6d6d6d6d);
    }
}

/* All of low memory is the kernel's: what it is told goes behind its end, and behind the module. */
static void test_no_low_memory_is_left(void **state)
{
    struct fw_test *test = *state;
    size_t size = sample_multiboot_elf(test->file);
    Elf32_Phdr *ph = (Elf32_Phdr *)(test->file + sizeof(Elf32_Ehdr));
    struct multiboot_plan result;
    struct image module;

    ph->p_paddr = ph->p_vaddr = 0x500;
    ph->p_memsz = 0x9d000 - 0x500;
    ((Elf32_Ehdr *)test->file)->e_entry = 0x520;
    assert_int_equal(plan(test, size, &result), 0);
    assert_int_equal(result.info_base, 0x100000);
    image_from_bytes(&module, "module", test->file, 0x1001);
    struct multiboot_files files = {&test->image, &module, ""};
    assert_int_equal(multiboot_plan(&files, &test->layout, &result, &test->error), 0);
    assert_int_equal(result.module_base, 0x100000);
    assert_int_equal(result.info_base, 0x102000);
}

/* A linker that puts the ELF file's headers in front of code at 1 MiB has them in the ROM. */
static void test_headers_in_the_rom(void **state)
{
    struct fw_test *test = *state;
    size_t size = sample_multiboot_elf(test->file);
    Elf32_Ehdr *elf = (Elf32_Ehdr *)test->file;
    Elf32_Phdr *ph = (Elf32_Phdr *)(elf + 1);
    struct multiboot_files files = {.kernel = &test->image, .command_line = ""};
    struct boot_info boot = {0};
    struct multiboot_plan result;

    ph->p_offset = 0;
    ph->p_paddr = ph->p_vaddr = 0x100000 - SAMPLE_MULTIBOOT_HEADER;
    ph->p_filesz = SAMPLE_MULTIBOOT_HEADER + SAMPLE_MULTIBOOT_BYTES;
    ph->p_memsz = ph->p_filesz + 100;
    elf->e_entry = 0x100020;
    assert_int_equal(plan(test, size, &result), 0);
    assert_int_equal(result.segments[0].base, 0x100000);
    assert_int_equal(result.segments[0].memory_bytes, SAMPLE_MULTIBOOT_BYTES + 100);
    assert_int_equal(multiboot_place(&files, &result, &test->layout, test->mem, &boot), 0);
    assert_int_equal(mem_read32(test->mem, 0x100000), 0x1badb002);
    assert_int_equal(mem_read32(test->mem, 0x1000fc), 0x6d6d6d6d);

    elf->e_entry = 0x100000 - 4;
    refused(test, size, -EINVAL, "entry point");
    elf->e_entry = 0x100020;
    test->file[sizeof(*elf) + sizeof(*ph)] = 1; /* the first byte that is no header */
    refused(test, size, -EINVAL, "ROM");
}

static void test_header_search(void **state)
{
    struct fw_test *test = *state;
    size_t size = sample_multiboot_elf(test->file);

    assert_true(multiboot_probe(test->file, size));
    bytes_put32(test->file + SAMPLE_MULTIBOOT_HEADER + 8, 0); /* checksum */
    assert_false(multiboot_probe(test->file, size));
    refused(test, size, -EINVAL, "no multiboot header");

    sample_multiboot_elf(test->file);
    bytes_put32(test->file + SAMPLE_MULTIBOOT_HEADER + 4, 0x8007);
    bytes_put32(test->file + SAMPLE_MULTIBOOT_HEADER + 8, -(0x1badb002u + 0x8007));
    refused(test, size, -EINVAL, "features");

    /* Behind the first 8 KiB a header does not count. */
    memset(test->file, 0, SAMPLE_MAX_BYTES);
    bytes_put32(test->file + 8192, 0x1badb002);
    bytes_put32(test->file + 8200, -0x1badb002u);
    assert_false(multiboot_probe(test->file, SAMPLE_MAX_BYTES));
}

static void test_virtual_entry(void **state)
{
    struct fw_test *test = *state;
    size_t size = sample_multiboot_elf(test->file);
    Elf32_Ehdr *elf = (Elf32_Ehdr *)test->file;
    Elf32_Phdr *ph = (Elf32_Phdr *)(elf + 1);
    struct multiboot_plan result;

    ph->p_vaddr = 0xc0200000;
    elf->e_entry = 0xc0200020;
    assert_int_equal(plan(test, size, &result), 0);
    assert_int_equal(result.entry, SAMPLE_MULTIBOOT_BASE + 0x20);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fw_test_setup, fw_test_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_elf_and_information), TEST(test_kludge),        TEST(test_hostile_kludge),
        TEST(test_hostile_elf),         TEST(test_header_search), TEST(test_overlap_and_count),
        TEST(test_virtual_entry),       TEST(test_low_memory),    TEST(test_no_low_memory_is_left),
        TEST(test_headers_in_the_rom),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
