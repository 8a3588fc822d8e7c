/*
 * The boot catalog of a CD image. All its numbers are the file's word: each is checked against the
 * file's size before use, and the walks have budgets.
 * Specification: El Torito 1.0, chapter 2; ECMA-119, "Volume Descriptors".
 */
#include "fw/eltorito.h"

#include <errno.h>
#include <string.h>

#include "fw/bytes.h"
#include "mem/layout.h"

#define FIRST_DESCRIPTOR    16 /* block of the first volume descriptor */
#define DESCRIPTOR_BUDGET   32
#define DESCRIPTOR_BOOT     0
#define DESCRIPTOR_LAST     255
#define BOOT_RECORD_ID      "EL TORITO SPECIFICATION"
#define BOOT_RECORD_CATALOG 0x47 /* 4 bytes: the catalog's block */

#define ENTRY_BYTES          32
#define ENTRIES_PER_BLOCK    (ELTORITO_BLOCK_BYTES / ENTRY_BYTES)
#define ENTRY_VALIDATION     0x01
#define ENTRY_BOOTABLE       0x88
#define ENTRY_MORE_HEADERS   0x90
#define ENTRY_LAST_HEADER    0x91
#define PLATFORM_X86         0
#define MEDIA_TYPE_MASK      0x0f
#define DEFAULT_LOAD_SEGMENT 0x7c0
#define DEFAULT_SECTORS      4 /* one block, where the entry says 0 */

_Static_assert((FIRST_DESCRIPTOR + DESCRIPTOR_BUDGET) * ELTORITO_BLOCK_BYTES <= IMAGE_HEAD_BYTES,
               "an image's head holds the descriptors");

/* The boot record volume descriptor in an image's head, or NULL. */
static const uint8_t *find_boot_record(const uint8_t *bytes, size_t size_bytes)
{
    for (unsigned i = 0; i < DESCRIPTOR_BUDGET; i++) {
        size_t at = (FIRST_DESCRIPTOR + i) * ELTORITO_BLOCK_BYTES;
        const uint8_t *d = bytes + at;

        if (at + ELTORITO_BLOCK_BYTES > size_bytes || memcmp(d + 1, "CD001", 5) != 0 ||
            d[0] == DESCRIPTOR_LAST)
            return NULL;
        if (d[0] == DESCRIPTOR_BOOT &&
            memcmp(d + 7, BOOT_RECORD_ID, sizeof(BOOT_RECORD_ID) - 1) == 0)
            return d;
    }
    return NULL;
}

bool eltorito_probe(const uint8_t *bytes, size_t size_bytes)
{
    return find_boot_record(bytes, size_bytes) != NULL;
}

/* "Validation Entry": header 1, key bytes 55h AAh, the 16 words sum to 0. */
static bool validation_ok(const uint8_t *entry)
{
    uint16_t sum = 0;

    for (unsigned i = 0; i < ENTRY_BYTES; i += 2)
        sum += bytes_get16(entry + i);
    return entry[0] == ENTRY_VALIDATION && entry[0x1e] == 0x55 && entry[0x1f] == 0xaa && sum == 0;
}

/*
 * The first bootable entry for the PC: the default entry, if the validation entry names the PC,
 * else the first in a section for it. The catalog is read in its first block only.
 */
static const uint8_t *find_entry(const uint8_t *catalog)
{
    bool for_pc = catalog[1] == PLATFORM_X86;
    unsigned i = 1, in_section = 1; /* entries left in the section; the default one stands alone */

    for (; i < ENTRIES_PER_BLOCK; i++) {
        const uint8_t *e = catalog + i * ENTRY_BYTES;

        if (in_section > 0) {
            in_section--;
            if (for_pc && e[0] == ENTRY_BOOTABLE)
                return e;
        } else if (e[0] == ENTRY_MORE_HEADERS || e[0] == ENTRY_LAST_HEADER) {
            for_pc = e[1] == PLATFORM_X86;
            in_section = bytes_get16(e + 2);
        } else {
            break;
        }
    }
    return NULL;
}

static int read_entry(const struct image *cd, const uint8_t *e, struct eltorito *entry,
                      struct fw_error *error)
{
    unsigned media = e[1] & MEDIA_TYPE_MASK;
    uint64_t end;

    if (media > BOOT_MEDIA_HARD_DISK)
        return fw_error_set(error, -EINVAL,
                            "cannot boot %s: its boot catalog names media type %u, which El Torito "
                            "does not know; the image is damaged",
                            cd->path, media);
    *entry = (struct eltorito){
        .media = media,
        .image_lba = bytes_get32(e + 8),
        .sector_count = bytes_get16(e + 6),
        .load_segment = bytes_get16(e + 2),
    };
    if (entry->sector_count == 0)
        entry->sector_count = media == BOOT_MEDIA_NONE ? DEFAULT_SECTORS : 1;
    if (entry->load_segment == 0)
        entry->load_segment = DEFAULT_LOAD_SEGMENT;

    end = (uint64_t)entry->image_lba * ELTORITO_BLOCK_BYTES + (uint64_t)entry->sector_count * 512;
    if (end > cd->size_bytes)
        return fw_error_set(error, -EINVAL,
                            "cannot boot %s: its boot image ends at byte %llu, the file has %zu; "
                            "get a whole copy",
                            cd->path, (unsigned long long)end, cd->size_bytes);
    if (entry->load_segment * 16ull + entry->sector_count * 512ull > LAYOUT_EBDA_BASE)
        return fw_error_set(error, -EINVAL,
                            "cannot boot %s: its boot image (%u sectors at segment %04xh) does not "
                            "fit below 640 KiB; the image is made for another kind of machine",
                            cd->path, entry->sector_count, entry->load_segment);
    return 0;
}

int eltorito_parse(const struct image *cd, struct eltorito *entry, struct fw_error *error)
{
    const uint8_t *record = find_boot_record(cd->head, cd->head_bytes);
    uint8_t catalog[ELTORITO_BLOCK_BYTES];
    const uint8_t *e;
    uint32_t lba;

    if (!record)
        return fw_error_set(error, -EINVAL,
                            "cannot boot %s: it has no El Torito boot record; use a bootable CD "
                            "image, or give it with --cdrom beside something that boots",
                            cd->path);
    lba = bytes_get32(record + BOOT_RECORD_CATALOG);
    if (lba >= cd->size_bytes / ELTORITO_BLOCK_BYTES)
        return fw_error_set(error, -EINVAL,
                            "cannot boot %s: its boot catalog lies at block %u, behind the end of "
                            "the file; get a whole copy",
                            cd->path, lba);
    if (image_read(cd, (uint64_t)lba * ELTORITO_BLOCK_BYTES, catalog, sizeof(catalog)))
        return image_refuse_short(cd, error);
    if (!validation_ok(catalog))
        return fw_error_set(error, -EINVAL,
                            "cannot boot %s: its boot catalog fails its checksum; the image is "
                            "damaged",
                            cd->path);
    e = find_entry(catalog);
    if (!e)
        return fw_error_set(error, -EINVAL,
                            "cannot boot %s: it boots no PC with a BIOS (an EFI-only image?); use "
                            "an image with a BIOS boot entry",
                            cd->path);
    return read_entry(cd, e, entry, error);
}

void eltorito_fill_boot(const struct eltorito *entry, struct boot_info *boot)
{
    boot->media = entry->media;
    boot->image_lba = entry->image_lba;
    boot->sector_count = entry->sector_count;
    boot->load_segment = entry->load_segment;
}
