/*
 * The extensions of INT 13h: blocks by 64-bit number, drive parameters. Locking and ejecting are
 * refused. Source: Phoenix, Enhanced Disk Drive Specification 3.0.
 */
#include "fw/rom/bda.h"
#include "fw/rom/disk.h"
#include "fw/rom/parts.h"

#define EDD_VERSION    0x21 /* 1.1: the parameter block ends at 1Ah bytes */
#define EDD_ACCESS     0x01 /* 42h-44h, 47h, 48h */
#define EDD_SUPPORT    0x04 /* 48h, 4Eh */
#define INFO_CHS       0x02 /* cylinders, heads and sectors are valid */
#define INFO_REMOVABLE 0x04

struct packet {
    uint8_t size_bytes;
    uint8_t reserved;
    uint16_t count;
    uint16_t offset, segment; /* FFFF:FFFF: `flat` holds the address */
    uint64_t lba;
    uint64_t flat;
};

struct parameters {
    uint16_t size_bytes;
    uint16_t flags;
    uint32_t cylinders, heads, sectors;
    uint64_t total_blocks;
    uint16_t block_bytes;
} __attribute__((packed));

static void finish(struct regs *r, uint8_t code)
{
    bda_write8(BDA_DISK_STATUS, code);
    regs_return(r, code);
}

static void check(struct regs *r)
{
    if (r->bx != 0x55aa) {
        finish(r, DISK_BAD_COMMAND);
        return;
    }
    r->bx = 0xaa55;
    r->cx = EDD_ACCESS | EDD_SUPPORT;
    r->ah = EDD_VERSION;
    regs_set_carry(r, false);
}

static bool get_packet(const struct regs *r, struct packet *p)
{
    mem_set(p, 0, sizeof(*p));
    p->size_bytes = far_read8(r->ds, r->si);
    if (p->size_bytes < 16)
        return false;
    far_copy_in(p, r->ds, r->si, p->size_bytes >= sizeof(*p) ? sizeof(*p) : 16);
    return true;
}

/* Blocks moved before an error are not counted: the port moves all of them or says that it failed.
 */
static void transfer(struct regs *r, struct drive *drive, enum boot_disk_command command)
{
    struct packet p;
    uint32_t gpa;

    if (!get_packet(r, &p)) {
        finish(r, DISK_BAD_COMMAND);
        return;
    }
    gpa = (uint32_t)p.segment * 16 + p.offset;
    if (p.segment == 0xffff && p.offset == 0xffff && p.size_bytes >= sizeof(p)) {
        gpa = (uint32_t)p.flat;
        if (p.flat >> 32) {
            finish(r, DISK_BAD_COMMAND);
            return;
        }
    }
    uint8_t code = disk_code(disk_transfer(drive, command, p.lba, p.count, gpa));
    if (code)
        far_write16(r->ds, (uint16_t)(r->si + 2), 0);
    finish(r, code);
}

/* 44h verify and 47h seek: the blocks must be there, that is all. */
static void check_range(struct regs *r, const struct drive *drive)
{
    struct packet p;

    if (!get_packet(r, &p))
        finish(r, DISK_BAD_COMMAND);
    else if (p.lba >= drive->total_blocks || p.count > drive->total_blocks - p.lba)
        finish(r, DISK_NOT_FOUND);
    else
        finish(r, DISK_OK);
}

static void get_parameters(struct regs *r, const struct drive *drive)
{
    struct parameters p;
    uint16_t size = far_read16(r->ds, r->si);

    if (size < sizeof(p)) {
        finish(r, DISK_BAD_COMMAND);
        return;
    }
    mem_set(&p, 0, sizeof(p));
    p.size_bytes = sizeof(p);
    p.total_blocks = drive->total_blocks;
    p.block_bytes = drive->block_bytes;
    if (drive == &cd_drive) {
        p.flags = INFO_REMOVABLE;
        p.cylinders = p.heads = p.sectors = 0xffffffff;
    } else {
        /* Beyond the 1024 cylinders of CHS calls the count is not meaningful. */
        if (drive->total_blocks <= (uint32_t)1024 * drive->heads * drive->sectors)
            p.flags = INFO_CHS;
        p.cylinders = drive->cylinders;
        p.heads = drive->heads;
        p.sectors = drive->sectors;
    }
    far_copy_out(r->ds, r->si, &p, sizeof(p));
    finish(r, DISK_OK);
}

void disk_extensions(struct regs *r, struct drive *drive)
{
    if (!(r->dl & 0x80)) {
        finish(r, DISK_BAD_COMMAND); /* floppies have no extensions */
        return;
    }
    switch (r->ah) {
    case 0x41: check(r); break;
    case 0x42: transfer(r, drive, BOOT_DISK_READ); break;
    case 0x43: transfer(r, drive, BOOT_DISK_WRITE); break;
    case 0x44:
    case 0x47: check_range(r, drive); break;
    case 0x48: get_parameters(r, drive); break;
    default: finish(r, DISK_BAD_COMMAND); break;
    }
}
