/* The table of magics; see format.h. */
#include "fw/format.h"

#include <errno.h>
#include <string.h>

#include "fw/bytes.h"
#include "fw/image.h"

#define SECTOR_BYTES 512
#define TEXT_BYTES   (64 * KIB) /* of a long file, so much is looked at */
#define RANDOM_BYTES 256
#define RANDOM_DISTINCT                                                                            \
    140 /* random data has 162 different bytes in 256, give or take 7; code under 120 */
#define ZERO_START_BYTES 16

#define FROM_END 0x80000000u /* the offset counts back from the end of the file */

#define CONVERT "qemu-img convert -O raw"

struct magic {
    uint32_t offset;
    uint32_t length;
    const char *bytes;
    struct format format;
};

#define AT(at, text, kind, name, way)                                                              \
    {                                                                                              \
        at, sizeof(text) - 1, text,                                                                \
        {                                                                                          \
            kind, name, way                                                                        \
        }                                                                                          \
    }

/* clang-format off */
static const struct magic magics[] = {
    AT(0, "QFI\xfb\0\0\0\1", FORMAT_CONTAINER, "a QCOW disk image", CONVERT),
    AT(0, "QFI\xfb", FORMAT_CONTAINER, "a QCOW2 disk image", CONVERT),
    AT(0, "QED\0", FORMAT_CONTAINER, "a QED disk image", CONVERT),
    AT(0, "KDMV", FORMAT_CONTAINER, "a VMDK disk image", CONVERT),
    AT(0, "COWD", FORMAT_CONTAINER, "a VMDK disk image", CONVERT),
    AT(0, "# Disk DescriptorFile", FORMAT_CONTAINER, "the description of a VMDK disk image", CONVERT),
    AT(0, "vhdxfile", FORMAT_CONTAINER, "a VHDX disk image", CONVERT),
    AT(0, "conectix", FORMAT_CONTAINER, "a VHD disk image", CONVERT),
    AT(FROM_END | 512, "conectix", FORMAT_CONTAINER, "a VHD disk image of fixed size",
       "qemu-img convert -f vpc -O raw"),
    AT(64, "\x7f\x10\xda\xbe", FORMAT_CONTAINER, "a VDI disk image", CONVERT),
    AT(0, "WithoutFreeSpace", FORMAT_CONTAINER, "a Parallels disk image", CONVERT),
    AT(0, "WithouFreSpacExt", FORMAT_CONTAINER, "a Parallels disk image", CONVERT),
    AT(0, "Bochs Virtual HD Image", FORMAT_CONTAINER, "a disk image of Bochs", CONVERT),
    AT(FROM_END | 512, "koly", FORMAT_CONTAINER, "a DMG disk image", CONVERT),
    AT(0, "\x3a\xff\x26\xed", FORMAT_CONTAINER, "a sparse image of Android", "simg2img"),
    AT(0, "\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00", FORMAT_CONTAINER,
       "a CD image of raw sectors with 2352 bytes", "iat"),

    AT(0, "\x1f\x8b\x08", FORMAT_PACKED, "gzip data", "gzip -d"),
    AT(0, "\xfd" "7zXZ", FORMAT_PACKED, "xz data", "xz -d"),
    AT(0, "\x28\xb5\x2f\xfd", FORMAT_PACKED, "zstd data", "zstd -d"),
    AT(0, "BZh", FORMAT_PACKED, "bzip2 data", "bzip2 -d"),
    AT(0, "\x04\x22\x4d\x18", FORMAT_PACKED, "lz4 data", "lz4 -d"),
    AT(0, "LZIP", FORMAT_PACKED, "lzip data", "lzip -d"),
    AT(0, "7z\xbc\xaf\x27\x1c", FORMAT_PACKED, "a 7-zip archive", "7z x"),
    AT(0, "PK\3\4", FORMAT_PACKED, "a zip archive", "unzip"),

    AT(40, "_FVH", FORMAT_FIRMWARE, "UEFI firmware",
       "the PC starts with a BIOS only, Umbra's own or one like SeaBIOS"),

    AT(0, "\x7f" "ELF", FORMAT_OTHER, "an ELF file without a multiboot header",
       "of Linux give the bzImage (vmlinuz)"),
    AT(0, "070701", FORMAT_OTHER, "a cpio archive", "give it with --initrd, beside --kernel"),
    AT(257, "ustar", FORMAT_OTHER, "a tar archive, as an OVA appliance is",
       "unpack it with tar -xf, and see what is in it"),
    AT(0, "MZ", FORMAT_OTHER, "a DOS, Windows or UEFI program", "a flat binary has no header"),
    AT(0, "#!", FORMAT_OTHER, "a script", "the guest starts no host programs"),
};
/* clang-format on */

static bool has_magic(const struct magic *magic, const struct image *image)
{
    uint64_t offset = magic->offset & ~FROM_END;
    const uint8_t *bytes;

    if (magic->offset & FROM_END) {
        if (image->size_bytes < offset)
            return false;
        offset = image->size_bytes - offset;
    }
    bytes = image_look(image, offset, magic->length);
    return bytes && memcmp(bytes, magic->bytes, magic->length) == 0;
}

static bool has_boot_signature(const uint8_t *bytes, size_t size_bytes)
{
    return size_bytes >= SECTOR_BYTES && bytes_get16(bytes + SECTOR_BYTES - 2) == 0xaa55;
}

/* The length of a well-formed UTF-8 character of more than one byte, cut off by the end or not; 0:
 * none. */
static size_t utf8_length(const uint8_t *at, size_t left)
{
    size_t length = at[0] >= 0xc2 && at[0] < 0xe0 ? 2 : at[0] >= 0xe0 && at[0] < 0xf0 ? 3 : 4;

    if (at[0] < 0xc2 || at[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < MIN(length, left); i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    }
    return MIN(length, left);
}

static bool is_text(const uint8_t *bytes, size_t size_bytes)
{
    size_t count = MIN(size_bytes, (size_t)TEXT_BYTES);

    for (size_t i = 0, length; i < count; i += length) {
        bool plain = (bytes[i] >= ' ' && bytes[i] < 0x7f) || (bytes[i] >= '\b' && bytes[i] <= '\r');

        length = plain ? 1 : utf8_length(bytes + i, count - i);
        if (!length)
            return false;
    }
    return count > 0;
}

const struct format *format_find(const struct image *image)
{
    static const struct format text = {FORMAT_OTHER, "a text file",
                                       "a guest is a kernel, a disk or CD image, or a flat binary"};

    for (size_t i = 0; i < ARRAY_SIZE(magics); i++) {
        const struct magic *magic = &magics[i];

        if (!has_magic(magic, image))
            continue;
        if (magic->format.kind != FORMAT_PACKED ||
            !has_boot_signature(image->head, image->head_bytes))
            return &magic->format;
    }
    return is_text(image->head, image->head_bytes) ? &text : NULL;
}

int format_check_drive(const struct image *image, struct fw_error *error)
{
    const struct format *format = format_find(image);
    const char *path = image->path;

    if (format && format->kind == FORMAT_CONTAINER)
        return fw_error_set(error, -EINVAL,
                            "cannot use %s as a drive: it is %s, and drives take raw images; "
                            "make one: %s %s %s.raw",
                            path, format->name, format->way, path, path);
    if (format && format->kind == FORMAT_PACKED)
        return fw_error_set(
            error, -EINVAL,
            "cannot use %s as a drive: it is %s, and drives take raw images; unpack it: %s %s",
            path, format->name, format->way, path);
    return 0;
}

int format_refuse_start(const struct format *format, const char *path, struct fw_error *error)
{
    switch (format->kind) {
    case FORMAT_CONTAINER:
        return fw_error_set(error, -EINVAL,
                            "cannot start %s: it is %s; make a raw one: %s %s %s.raw", path,
                            format->name, format->way, path, path);
    case FORMAT_PACKED:
        return fw_error_set(error, -EINVAL,
                            "cannot start %s: it is %s; unpack it: %s %s (an initramfs goes with "
                            "--initrd as it is)",
                            path, format->name, format->way, path);
    default:
        return fw_error_set(error, -EINVAL, "cannot start %s: it is %s; %s", path, format->name,
                            format->way);
    }
}

static bool looks_random(const uint8_t *bytes, size_t size_bytes)
{
    bool seen[256] = {false};
    unsigned distinct = 0;

    if (size_bytes < RANDOM_BYTES)
        return false;
    for (size_t i = 0; i < RANDOM_BYTES; i++) {
        distinct += !seen[bytes[i]];
        seen[bytes[i]] = true;
    }
    return distinct > RANDOM_DISTINCT;
}

const char *format_doubt(const uint8_t *bytes, size_t size_bytes)
{
    static const uint8_t zeroes[ZERO_START_BYTES];

    if (looks_random(bytes, size_bytes))
        return "its bytes look random or compressed";
    if (memcmp(bytes, zeroes, MIN(size_bytes, sizeof(zeroes))) == 0)
        return "it begins with zeroes";
    return NULL;
}
