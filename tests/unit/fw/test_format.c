/* What files are by their bytes: names, what a drive refuses, what a start refuses. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fw/format.h"
#include "fw/image.h"

#define FILE_BYTES 2048

/* A file of zeroes with some bytes at an offset; from the end if it is negative. */
struct sample {
    int offset;
    const char *bytes;
    size_t length;
    enum format_kind kind;
    const char *name; /* part of the name */
    const char *way;  /* part of what to do */
};

#define SAMPLE(offset, bytes, kind, name, way)                                                     \
    {                                                                                              \
        offset, bytes, sizeof(bytes) - 1, kind, name, way                                          \
    }

static const struct sample samples[] = {
    SAMPLE(0, "QFI\xfb\0\0\0\1", FORMAT_CONTAINER, "QCOW disk", "qemu-img"),
    SAMPLE(0, "QFI\xfb\0\0\0\2", FORMAT_CONTAINER, "QCOW2", "qemu-img"),
    SAMPLE(0, "QFI\xfb\0\0\0\3", FORMAT_CONTAINER, "QCOW2", "qemu-img"),
    SAMPLE(0, "QED\0", FORMAT_CONTAINER, "QED", "qemu-img"),
    SAMPLE(0, "KDMV\1", FORMAT_CONTAINER, "VMDK", "qemu-img"),
    SAMPLE(0, "COWD", FORMAT_CONTAINER, "VMDK", "qemu-img"),
    SAMPLE(0, "# Disk DescriptorFile\nversion=1\n", FORMAT_CONTAINER, "VMDK", "qemu-img"),
    SAMPLE(0, "vhdxfile", FORMAT_CONTAINER, "VHDX", "qemu-img"),
    SAMPLE(0, "conectix", FORMAT_CONTAINER, "VHD", "qemu-img convert -O"),
    SAMPLE(-512, "conectix", FORMAT_CONTAINER, "VHD", "-f vpc"),
    SAMPLE(64, "\x7f\x10\xda\xbe", FORMAT_CONTAINER, "VDI", "qemu-img"),
    SAMPLE(0, "WithoutFreeSpace", FORMAT_CONTAINER, "Parallels", "qemu-img"),
    SAMPLE(0, "WithouFreSpacExt", FORMAT_CONTAINER, "Parallels", "qemu-img"),
    SAMPLE(-512, "koly", FORMAT_CONTAINER, "DMG", "qemu-img"),
    SAMPLE(0, "\x1f\x8b\x08", FORMAT_PACKED, "gzip", "gzip -d"),
    SAMPLE(0, "\xfd\x37zXZ", FORMAT_PACKED, "xz", "xz -d"),
    SAMPLE(0, "\x28\xb5\x2f\xfd", FORMAT_PACKED, "zstd", "zstd -d"),
    SAMPLE(0, "PK\3\4", FORMAT_PACKED, "zip", "unzip"),
    SAMPLE(40, "_FVH", FORMAT_FIRMWARE, "UEFI", "BIOS"),
    SAMPLE(257, "ustar", FORMAT_OTHER, "tar", "tar -xf"),
    SAMPLE(0, "MZ", FORMAT_OTHER, "DOS", "no header"),
};

static struct image sample_image(uint8_t file[FILE_BYTES], const struct sample *sample)
{
    struct image image;

    memset(file, 0, FILE_BYTES);
    memcpy(file + (sample->offset < 0 ? FILE_BYTES + sample->offset : sample->offset),
           sample->bytes, sample->length);
    image_from_bytes(&image, "some.img", file, FILE_BYTES);
    return image;
}

static void check_words(const struct fw_error *error, const struct sample *sample)
{
    if (!strstr(error->text, sample->name) || !strstr(error->text, sample->way) ||
        !strstr(error->text, "some.img") || strchr(error->text, '\n'))
        fail_msg("%s: not %s and %s in one line", error->text, sample->name, sample->way);
}

static void test_names(void **state)
{
    uint8_t file[FILE_BYTES];

    for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
        const struct sample *sample = &samples[i];
        struct image image = sample_image(file, sample);
        const struct format *format = format_find(&image);
        bool drive = sample->kind == FORMAT_FIRMWARE || sample->kind == FORMAT_OTHER;
        struct fw_error error = {0};
        enum image_kind kind;

        assert_non_null(format);
        assert_int_equal(format->kind, sample->kind);
        assert_int_equal(format_check_drive(&image, &error), drive ? 0 : -EINVAL);
        if (!drive)
            check_words(&error, sample);
        assert_int_equal(image_detect(&image, &kind, &error), -EINVAL);
        check_words(&error, sample);
    }
}

/* With a boot signature a container stays one; short magics of packed data and others give way. */
static void test_boot_signature(void **state)
{
    uint8_t file[FILE_BYTES];

    for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
        const struct sample *sample = &samples[i];
        struct image image = sample_image(file, sample);
        bool refused = sample->kind == FORMAT_CONTAINER;
        struct fw_error error;
        enum image_kind kind;

        file[510] = 0x55;
        file[511] = 0xaa;
        assert_int_equal(format_check_drive(&image, &error), refused ? -EINVAL : 0);
        assert_int_equal(image_detect(&image, &kind, &error), refused ? -EINVAL : 0);
        if (!refused)
            assert_int_equal(kind, IMAGE_DISK);
    }
}

static const struct format *find_bytes(const void *bytes, size_t size_bytes)
{
    struct image image;

    image_from_bytes(&image, "some.img", bytes, size_bytes);
    return format_find(&image);
}

/* No byte outside a short file is looked at (a sanitizer would tell), and none of it is named. */
static void test_short(void **state)
{
    uint8_t file[FILE_BYTES];

    for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
        (void)sample_image(file, &samples[i]);
        for (size_t size = 1; size < samples[i].length; size++) {
            uint8_t *cut = malloc(size);

            memcpy(cut, file, size);
            (void)find_bytes(cut, size);
            (void)format_doubt(cut, size);
            free(cut);
        }
    }
}

static const struct format *find_text(const char *text)
{
    return find_bytes(text, strlen(text));
}

static void test_text(void **state)
{
    assert_string_equal(find_text("Hello.\r\n\tWorld\n")->name, "a text file");
    assert_string_equal(find_text("{\"a\": 1}")->name, "a text file");
    assert_string_equal(find_text("Gr\xc3\xbc\xc3\x9f"
                                  "e \xe2\x82\xac \xf0\x9f\x92\xbe")
                            ->name,
                        "a text file");
    assert_string_equal(find_text("cut in a character \xe2\x82")->name, "a text file");
    assert_null(find_text("\xfa\xf4"));        /* CLI, HLT */
    assert_null(find_text("\xeb\xfe"));        /* JMP to itself */
    assert_null(find_text("\xc3(not UTF-8)")); /* the second byte */
    assert_null(find_text("bell\a\x01"));
    assert_null(find_bytes("a\0b", 3));
}

static void test_doubt(void **state)
{
    static const uint8_t code[] = {0xfa, 0x31, 0xc0, 0x8e, 0xd8, 0xf4};
    uint8_t bytes[512] = {0};
    uint32_t seed = 1;

    assert_null(format_doubt(code, sizeof(code)));
    assert_non_null(strstr(format_doubt(bytes, sizeof(bytes)), "zeroes"));
    for (size_t i = 0; i < sizeof(bytes); i++) {
        seed = seed * 1664525 + 1013904223;
        bytes[i] = (uint8_t)(seed >> 24);
    }
    assert_non_null(strstr(format_doubt(bytes, sizeof(bytes)), "random"));
    assert_null(format_doubt(bytes, 100)); /* too few to tell */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names), cmocka_unit_test(test_boot_signature),
        cmocka_unit_test(test_short), cmocka_unit_test(test_text),
        cmocka_unit_test(test_doubt),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
