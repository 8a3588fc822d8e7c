/*
 * El Torito: finds what a CD image boots on a PC. It refuses images without a boot record, broken
 * catalogs, and entries for other platforms. It loads nothing: the BIOS reads the CD itself.
 * Specification: "El Torito" Bootable CD-ROM Format Specification, version 1.0; ECMA-119.
 */
#ifndef UMBRA_FW_ELTORITO_H
#define UMBRA_FW_ELTORITO_H

#include "base/types.h"
#include "fw/boot.h"
#include "fw/image.h"

#define ELTORITO_BLOCK_BYTES 2048

struct eltorito {
    enum boot_media media;
    uint32_t image_lba;    /* first 2048-byte block of the boot image */
    uint16_t sector_count; /* 512-byte sectors to load, never 0 */
    uint16_t load_segment; /* never 0 */
};

/* Whether the bytes, an image's head, are an ISO 9660 image with an El Torito boot record. */
bool eltorito_probe(const uint8_t *bytes, size_t size_bytes);

/* Checks the catalog and picks the first bootable x86 entry. 0; -EINVAL, or -EIO when the
 * file got shorter, with a text. */
int eltorito_parse(const struct image *cd, struct eltorito *entry,
                   struct fw_error *error) must_check;

/* Puts an entry into the CD fields of the hand-over; the caller chooses its kind. */
void eltorito_fill_boot(const struct eltorito *entry, struct boot_info *boot);

#endif
