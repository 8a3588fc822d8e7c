/*
 * The drives behind INT 13h: what is known of each, and blocks through the monitor's disk port.
 */
#ifndef UMBRA_FW_ROM_DISK_H
#define UMBRA_FW_ROM_DISK_H

#include "fw/boot.h"
#include "fw/rom/rom.h"

#define DISK_MAX 4 /* hard disks */

struct drive {
    uint8_t device; /* the monitor's number, BOOT_DISK_CD for the CD-ROM */
    uint8_t present;
    uint8_t flags;    /* BOOT_DISK_FLAG_* */
    uint8_t emulated; /* a floppy or hard disk image on the CD: 512-byte sectors from `start` on */
    uint16_t block_bytes; /* of the caller's view: 512, or 2048 for the CD-ROM itself */
    uint16_t cylinders;   /* 1024 at most, as CHS calls can say */
    uint16_t heads;
    uint16_t sectors;
    uint64_t total_blocks;
    uint32_t start; /* emulated: first 512-byte sector on the CD */
};

extern struct drive hard_disks[DISK_MAX], cd_drive, emulated_drive, floppy_drive;
extern uint8_t emulated_number;      /* INT 13h number of emulated_drive: 00h or 80h */
extern bool disk_lets_interrupts_in; /* while a drive works: INT 13h's caller has them on */

/* The drive that INT 13h DL names, or NULL. */
struct drive *disk_find(uint8_t number);

/* Moves blocks of the drive's view between disk and physical memory; enum boot_disk_status. */
uint16_t disk_transfer(struct drive *drive, enum boot_disk_command command, uint64_t lba,
                       uint32_t count, uint32_t gpa);

#define DISK_OK            0x00
#define DISK_BAD_COMMAND   0x01
#define DISK_WRITE_PROTECT 0x03
#define DISK_NOT_FOUND     0x04
#define DISK_CONTROLLER    0x20
#define DISK_TIMEOUT       0x80

/* The INT 13h status of a monitor's status. */
uint8_t disk_code(uint16_t status);

/* floppy.c: takes a disk for the floppy drive when it is one; then it is no disk any more. */
bool floppy_take(struct drive *disk);

/* The diskette parameter table of the last floppy shown. */
extern uint8_t floppy_parameters[11];

/* Fills the table for a floppy, which may be a CD's, and points INT 1Eh to it. */
void floppy_use_parameters(const struct drive *drive);

/* The type of drive that INT 13h 08h tells for a floppy. */
uint8_t floppy_type(const struct drive *drive);

/* The sectors of the medium in the floppy drive, also those behind the image's end. */
uint32_t floppy_blocks(void);

/* Clears the part of a read that lies behind the image's end; returns how many sectors that is. */
uint32_t floppy_read_blank(uint64_t lba, uint32_t count, uint32_t gpa);

/* disk_ext.c: INT 13h 41h-48h and 4Bh */
void disk_extensions(struct regs *r, struct drive *drive);

#endif
