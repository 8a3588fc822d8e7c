/* What is started from which files: detection by content, combinations, and refusals. */
#include "fw_test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fw/start.h"

static const uint8_t demo[] = {0xf4, 0xeb, 0xfd};

/* A folder of files; the name of each tells what it is. */
struct start_test {
    struct fw_test *fw;
    char dir[64];
    char paths[16][96];
    size_t path_count;
    struct start start;
};

static const char *add_file(struct start_test *test, const char *name, size_t size_bytes)
{
    char *path = test->paths[test->path_count++];
    FILE *file;

    snprintf(path, sizeof(test->paths[0]), "%s/%s", test->dir, name);
    file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(test->fw->file, 1, size_bytes, file), size_bytes);
    fclose(file);
    memset(test->fw->file, 0, SAMPLE_MAX_BYTES);
    return path;
}

static int setup(void **state)
{
    struct start_test *test = calloc(1, sizeof(*test));
    void *fw;

    fw_test_setup(&fw);
    test->fw = fw;
    snprintf(test->dir, sizeof(test->dir), "/tmp/umbra-test.XXXXXX");
    assert_non_null(mkdtemp(test->dir));
    *state = test;
    return 0;
}

static int teardown(void **state)
{
    struct start_test *test = *state;
    void *fw = test->fw;

    start_fini(&test->start);
    for (size_t i = 0; i < test->path_count; i++)
        unlink(test->paths[i]);
    rmdir(test->dir);
    fw_test_teardown(&fw);
    free(test);
    return 0;
}

static int plan(struct start_test *test, struct start_files files)
{
    if (!files.command_line)
        files.command_line = "";
    start_fini(&test->start);
    return start_plan(&test->start, &files, &test->fw->layout, &test->fw->error);
}

static void starts(struct start_test *test, struct start_files files, enum boot_kind kind)
{
    struct boot_info boot;

    if (plan(test, files))
        fail_msg("refused: %s", test->fw->error.text);
    assert_int_equal(test->start.kind, kind);
    assert_int_equal(start_place(&test->start, &test->fw->layout, test->fw->mem, &boot), 0);
    assert_int_equal(boot.kind, kind);
    assert_int_equal(boot.magic, BOOT_MAGIC);
    assert_int_equal(boot.version, BOOT_VERSION);
}

static void refused(struct start_test *test, struct start_files files, const char *words)
{
    assert_true(plan(test, files) < 0);
    if (!strstr(test->fw->error.text, words))
        fail_msg("the text is \"%s\", it should say \"%s\"", test->fw->error.text, words);
    assert_null(test->start.kernel.head);
    assert_null(test->start.initrd.head);
}

static void test_by_content(void **state)
{
    struct start_test *test = *state;
    const char *linux_file = add_file(test, "a", sample_linux(test->fw->file));
    const char *elf = add_file(test, "b", sample_multiboot_elf(test->fw->file));
    const char *cd = add_file(test, "c", sample_cd(test->fw->file));
    const char *disk = add_file(test, "d", sample_disk(test->fw->file));
    const char *flat = add_file(test, "e", 100);
    const char *hybrid, *grub, *signed_elf;

    sample_disk(test->fw->file);
    hybrid = add_file(test, "f", sample_cd(test->fw->file));
    sample_multiboot_kludge(test->fw->file); /* as GRUB's core in a disk's first track */
    grub = add_file(test, "g", sample_disk(test->fw->file));
    sample_disk(test->fw->file);
    signed_elf = add_file(test, "h", sample_multiboot_elf(test->fw->file));

    starts(test, (struct start_files){.file = linux_file}, BOOT_LINUX);
    starts(test, (struct start_files){.kernel = linux_file, .initrd = flat}, BOOT_LINUX);
    starts(test, (struct start_files){.file = elf, .command_line = "x"}, BOOT_MULTIBOOT);
    starts(test, (struct start_files){.file = cd}, BOOT_CDROM);
    assert_string_equal(test->start.cdrom, cd);
    starts(test, (struct start_files){.file = hybrid}, BOOT_CDROM);
    starts(test, (struct start_files){.file = disk}, BOOT_DISK);
    assert_string_equal(test->start.disk, disk);
    starts(test, (struct start_files){.file = grub}, BOOT_DISK);
    starts(test, (struct start_files){.file = signed_elf}, BOOT_MULTIBOOT);
    starts(test, (struct start_files){.file = flat}, BOOT_FLAT);
    starts(test, (struct start_files){.disk = disk, .cdrom = cd}, BOOT_CDROM);
    assert_string_equal(test->start.disk, disk);
    starts(test, (struct start_files){.disk = disk, .cdrom = disk}, BOOT_DISK);
    starts(test, (struct start_files){.kernel = linux_file, .disk = disk, .cdrom = cd}, BOOT_LINUX);
    starts(test, (struct start_files){.demo = demo, .demo_bytes = sizeof(demo)}, BOOT_FLAT);
    assert_int_equal(mem_read16(test->fw->mem, 0x7c00), 0xebf4);
    assert_string_equal(start_kind_name(&test->start), "the embedded guest");
    starts(test, (struct start_files){.demo = demo, .demo_bytes = 3, .foreign_bios = true},
           BOOT_NONE);
}

static void test_console(void **state)
{
    static const struct {
        const char *given, *made;
    } cases[] = {
        {"", "console=ttyS0"},
        {"quiet", "console=ttyS0 quiet"},
        {"quiet console=tty0", "quiet console=tty0"},
        {"console=hvc0", "console=hvc0"},
        {"netconsole=1", "console=ttyS0 netconsole=1"},
        {"quiet\tconsole=tty0", "quiet\tconsole=tty0"},
    };
    struct start_test *test = *state;
    const char *kernel = add_file(test, "a", sample_linux(test->fw->file));
    const char *elf = add_file(test, "b", sample_multiboot_elf(test->fw->file));

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        starts(test,
               (struct start_files){.kernel = kernel,
                                    .command_line = cases[i].given,
                                    .linux_console = "console=ttyS0"},
               BOOT_LINUX);
        assert_string_equal(test->start.command_line, cases[i].made);
    }
    starts(test, (struct start_files){.kernel = elf, .linux_console = "console=ttyS0"},
           BOOT_MULTIBOOT);
    assert_string_equal(test->start.command_line, "");
}

/* A bzImage that is not Linux gets no console: iPXE would take it for a command of its own. */
static void test_no_console_for_other_bzimages(void **state)
{
    static const char *const texts[] = {"iPXE 1.21.1", "Memtest86+ v6.10", ""};
    struct start_test *test = *state;
    uint8_t *file = test->fw->file;

    for (size_t i = 0; i < ARRAY_SIZE(texts) + 2; i++) {
        const char name[2] = {(char)('a' + i), '\0'}, *kernel;
        size_t size = sample_linux(file);

        if (i < ARRAY_SIZE(texts))
            memcpy(file + SAMPLE_LINUX_VERSION, texts[i], strlen(texts[i]) + 1);
        else
            bytes_put16(file + 0x20e, i == ARRAY_SIZE(texts) ? 0 : UINT16_MAX); /* none; outside */
        kernel = add_file(test, name, size);
        for (unsigned asked = 0; asked < 2; asked++) {
            const char *line = asked ? "shell" : "";

            starts(test,
                   (struct start_files){
                       .kernel = kernel, .command_line = line, .linux_console = "console=ttyS0"},
                   BOOT_LINUX);
            assert_string_equal(test->start.command_line, line);
            assert_string_equal(start_kind_name(&test->start), "a bzImage that is not Linux");
        }
    }
}

static void test_combinations(void **state)
{
    struct start_test *test = *state;
    const char *kernel = add_file(test, "kernel", sample_linux(test->fw->file));
    const char *disk = add_file(test, "disk", sample_disk(test->fw->file));
    const char *cd = add_file(test, "cd", sample_cd(test->fw->file));
    const char *flat = add_file(test, "flat", 512);
    const char *odd, *unbootable, *gpt, *tiny = add_file(test, "tiny", 100);

    sample_disk(test->fw->file);
    odd = add_file(test, "odd", 1000);
    sample_disk(test->fw->file);
    bytes_put16(test->fw->file, 0);
    unbootable = add_file(test, "unbootable", 1024);
    sample_disk(test->fw->file);
    bytes_put16(test->fw->file, 0);
    memcpy(test->fw->file + 512, "EFI PART", 8);
    gpt = add_file(test, "gpt", 2048);

    refused(test, (struct start_files){.file = disk, .kernel = kernel}, "give one of them");
    refused(test, (struct start_files){.kernel = disk}, "give it with --disk");
    refused(test, (struct start_files){.kernel = cd}, "give it with --cdrom");
    refused(test, (struct start_files){.kernel = flat}, "goes without --kernel");
    refused(test, (struct start_files){.file = disk, .disk = disk}, "one disk drive");
    refused(test, (struct start_files){.file = cd, .cdrom = cd}, "one CD drive");
    refused(test, (struct start_files){.initrd = flat}, "without a kernel");
    refused(test, (struct start_files){.file = flat, .initrd = flat}, "initrd goes with");
    refused(test, (struct start_files){.disk = disk, .command_line = "x"}, "--append");
    refused(test, (struct start_files){.kernel = kernel, .foreign_bios = true}, "--bios");
    refused(test, (struct start_files){.disk = flat}, "boot signature");
    refused(test, (struct start_files){.disk = unbootable}, "no boot code");
    refused(test, (struct start_files){.file = gpt}, "GPT");
    starts(test, (struct start_files){.kernel = kernel, .disk = gpt}, BOOT_LINUX);
    starts(test, (struct start_files){.file = odd}, BOOT_DISK);
    starts(test, (struct start_files){.disk = odd}, BOOT_DISK);
    refused(test, (struct start_files){.disk = tiny}, "boot signature");
    starts(test, (struct start_files){.floppy = odd}, BOOT_DISK);
    assert_true(test->start.disk_is_floppy);
    assert_string_equal(test->start.disk, odd);
    refused(test, (struct start_files){.floppy = odd, .disk = disk}, "one disk drive");
    refused(test, (struct start_files){.floppy = odd, .file = disk}, "one disk drive");
    refused(test, (struct start_files){.floppy = odd, .foreign_bios = true}, "--bios");
    assert_int_equal(truncate(odd, 36 * MIB), 0);
    starts(test, (struct start_files){.floppy = odd}, BOOT_DISK);
    assert_int_equal(truncate(odd, 36 * MIB + 1), 0);
    refused(test, (struct start_files){.floppy = odd}, "36 MiB");
    refused(test, (struct start_files){.cdrom = flat}, "no El Torito");
    refused(test, (struct start_files){.disk = flat, .cdrom = flat}, "boot signature");
}

static void test_bad_files(void **state)
{
    struct start_test *test = *state;
    const char *empty = add_file(test, "empty", 0);
    const char *kernel = add_file(test, "kernel", sample_linux(test->fw->file));
    const char *qcow, *vmlinux, *large, *fifo;

    memcpy(test->fw->file, "QFI\xfb", 4);
    qcow = add_file(test, "qcow2", 4096);
    memcpy(test->fw->file,
           "\x7f"
           "ELF\x02",
           5);
    vmlinux = add_file(test, "vmlinux", 4096);
    large = add_file(test, "large", 1);
    assert_int_equal(truncate(large, IMAGE_FLAT_MAX_BYTES + 1), 0);
    fifo = add_file(test, "fifo", 1);
    unlink(fifo);
    assert_int_equal(mkfifo(fifo, 0600), 0);

    refused(test, (struct start_files){.file = "/nonexistent/file"}, "No such file");
    refused(test, (struct start_files){.file = empty}, "empty");
    refused(test, (struct start_files){.file = test->dir}, "directory");
    refused(test, (struct start_files){.file = fifo}, "no regular file");
    refused(test, (struct start_files){.file = qcow}, "qemu-img convert");
    refused(test, (struct start_files){.file = vmlinux}, "bzImage");
    refused(test, (struct start_files){.file = large}, "too large for a flat binary");
    refused(test, (struct start_files){.kernel = kernel, .initrd = empty}, "empty");
    refused(test, (struct start_files){.kernel = kernel, .disk = "/nonexistent"}, "No such file");
}

/* A file that somebody cuts short while the guest runs is an error at the reset, no crash. */
static void test_file_cut_short(void **state)
{
    struct start_test *test = *state;
    const char *kernel = add_file(test, "kernel", sample_linux(test->fw->file));
    const char *initrd = add_file(test, "initrd", 3 * PAGE_SIZE);
    struct start_files files = {.kernel = kernel, .initrd = initrd};
    struct boot_info boot;

    starts(test, files, BOOT_LINUX);
    assert_int_equal(start_place(&test->start, &test->fw->layout, test->fw->mem, &boot), 0);
    assert_int_equal(truncate(initrd, 1), 0);
    assert_int_equal(start_place(&test->start, &test->fw->layout, test->fw->mem, &boot), -EIO);
    assert_int_equal(truncate(kernel, 1), 0);
    assert_int_equal(start_place(&test->start, &test->fw->layout, test->fw->mem, &boot), -EIO);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_by_content),   TEST(test_console),   TEST(test_no_console_for_other_bzimages),
        TEST(test_combinations), TEST(test_bad_files), TEST(test_file_cut_short),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
