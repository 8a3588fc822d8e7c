/*
 * The hand-over between the monitor and its BIOS: the fw_cfg file BOOT_FILE, and the places in the
 * ROM image that the monitor may patch before the start. Read by 64-bit host code and by 16-bit
 * guest code, so it holds fixed-width fields only, little-endian, no padding. It refuses to know
 * how a guest file is parsed: the monitor has validated everything here, the BIOS merely acts on
 * it. A BIOS that finds no such file behaves as for BOOT_AUTO without flags.
 */
#ifndef UMBRA_FW_BOOT_H
#define UMBRA_FW_BOOT_H

#include <stdint.h>

#define BOOT_FILE    "opt/umbra/boot"
#define BOOT_MAGIC   0x42424d55 /* "UMBB" */
#define BOOT_VERSION 1

/* What INT 19h does. */
enum boot_kind {
    BOOT_AUTO = 0,      /* the CD image if sector_count is not 0, else hard disk 0, else INT 18h */
    BOOT_DISK = 1,      /* sector 0 of the floppy, else of drive 80h, to 0000:7C00 */
    BOOT_CDROM = 2,     /* the El Torito image described below */
    BOOT_LINUX = 3,     /* real-mode setup code stands at `segment`; entered at segment+20h:0000 */
    BOOT_FLAT = 4,      /* a flat binary stands at 0000:7C00 */
    BOOT_MULTIBOOT = 5, /* 32-bit entry at `eip`, EBX = `ebx`, EAX = 2BADB002h */
    BOOT_NONE = 6,      /* nothing to start: INT 18h at once */
};

#define BOOT_FLAG_NO_SERIAL 0x1 /* don't mirror INT 10h output to COM1, don't read keys from it */
#define BOOT_FLAG_BANNER    0x2 /* print a line of greeting */
#define BOOT_FLAG_FLOPPY    0x4 /* disk 0 is a floppy, whatever its size */

/* El Torito media types (El Torito 1.0, "Initial/Default Entry", byte 1, bits 0-3). */
enum boot_media {
    BOOT_MEDIA_NONE = 0,
    BOOT_MEDIA_FLOPPY_1200K = 1,
    BOOT_MEDIA_FLOPPY_1440K = 2,
    BOOT_MEDIA_FLOPPY_2880K = 3,
    BOOT_MEDIA_HARD_DISK = 4,
};

#define BOOT_DRIVE_HARD_DISK 0x80
#define BOOT_DRIVE_CDROM     0xe0

struct boot_info {
    uint32_t magic;
    uint16_t version;
    uint16_t kind;         /* enum boot_kind */
    uint32_t flags;        /* BOOT_FLAG_* */
    uint16_t segment;      /* LINUX: where the setup code stands */
    uint16_t sp;           /* LINUX: initial stack pointer in that segment */
    uint32_t eip;          /* MULTIBOOT: entry, physical */
    uint32_t ebx;          /* MULTIBOOT: the information structure, physical */
    uint32_t image_lba;    /* CDROM: first 2048-byte block of the boot image */
    uint16_t sector_count; /* CDROM: 512-byte sectors to load, 0 when there is no CD image */
    uint16_t load_segment; /* CDROM: 0 stands for 7C0h */
    uint8_t media;         /* CDROM: enum boot_media */
    uint8_t drive;         /* FLAT: DL at the entry (0 stands for 80h) */
    uint8_t reserved[30];
};

_Static_assert(sizeof(struct boot_info) == 64, "boot_info is read by guest code");

/*
 * A hole in the ROM, 16-byte aligned: the monitor writes the ACPI RSDP (36 bytes) there, at guest
 * physical address F0000h + BOOT_ROM_RSDP_OFFSET, and in the copy below 4 GiB alike.
 */
#define BOOT_ROM_SIZE        0x10000
#define BOOT_ROM_RSDP_OFFSET 0xe020
#define BOOT_ROM_RSDP_SIZE   36

/*
 * The part of the ROM between code and fixed addresses that the monitor fills with the tables of
 * elder specifications: MP, $PIR, SMBIOS. In both copies too.
 */
#define BOOT_ROM_TABLES_OFFSET 0xc000
#define BOOT_ROM_TABLES_SIZE   0x2000

/*
 * Disk blocks by port. A dword written to BOOT_DISK_PORT is the physical address of a request. A
 * dword read from there is BOOT_DISK_PENDING until the device has done with it, then its status.
 */
#define BOOT_DISK_PORT  0x5550
#define BOOT_DISK_MAGIC 0x31444255 /* "UBD1" */
#define BOOT_DISK_CD    0x10       /* `drive` of the first CD-ROM; hard disks count from 0 */

enum boot_disk_command {
    BOOT_DISK_READ = 0,
    BOOT_DISK_WRITE = 1,
    BOOT_DISK_INFO = 2,
    BOOT_DISK_FLUSH = 3,
};

enum boot_disk_status {
    BOOT_DISK_OK = 0,
    BOOT_DISK_NO_DRIVE = 1,
    BOOT_DISK_OUT_OF_RANGE = 2,
    BOOT_DISK_IO_ERROR = 3,
    BOOT_DISK_READ_ONLY = 4,
    BOOT_DISK_BAD_REQUEST = 5,
    BOOT_DISK_PENDING = 6, /* by port only */
};

struct boot_disk_request {
    uint32_t magic;
    uint8_t drive;
    uint8_t command; /* enum boot_disk_command */
    uint16_t status; /* out: enum boot_disk_status */
    uint32_t count;  /* blocks of 512 bytes, of 2048 for a CD-ROM */
    uint32_t reserved;
    uint64_t lba;
    uint64_t buffer_gpa;
};

_Static_assert(sizeof(struct boot_disk_request) == 32, "boot_disk_request is read by the device");

#define BOOT_DISK_FLAG_READ_ONLY 0x1
#define BOOT_DISK_FLAG_CD        0x2

/* What BOOT_DISK_INFO leaves at buffer_gpa. */
struct boot_disk_info {
    uint64_t total_blocks;
    uint32_t block_size_bytes;
    uint32_t flags;
    uint32_t cylinders;
    uint32_t heads;
    uint32_t sectors;
    uint32_t reserved;
};

_Static_assert(sizeof(struct boot_disk_info) == 32, "boot_disk_info is read by guest code");

#endif
