/*
 * INT 13h by cylinder, head and sector, for hard disks and a CD's emulated disk; the extensions are
 * in disk_ext.c. A call for a drive that is not there gives AH = 01h, as PC BIOSes do. Formatting
 * is refused. Source: IBM BIOS Interface Technical Reference, INT 13h.
 */
#include "fw/rom/bda.h"
#include "fw/rom/disk.h"
#include "fw/rom/parts.h"

static void finish(struct regs *r, uint8_t code)
{
    bda_write8(r->dl & 0x80 ? BDA_DISK_STATUS : BDA_FLOPPY_STATUS, code);
    regs_return(r, code);
}

/* CH and the top of CL: cylinder; the rest of CL: sector from 1 on; DH: head. */
static bool chs_to_lba(const struct regs *r, const struct drive *drive, uint32_t *lba)
{
    uint16_t cylinder = (uint16_t)(r->ch | (r->cl & 0xc0) << 2);
    uint8_t sector = r->cl & 0x3f;

    if (cylinder >= drive->cylinders || r->dh >= drive->heads || !sector || sector > drive->sectors)
        return false;
    *lba = ((uint32_t)cylinder * drive->heads + r->dh) * drive->sectors + sector - 1;
    return true;
}

static void transfer(struct regs *r, struct drive *drive, enum boot_disk_command command)
{
    uint32_t lba;

    if (!chs_to_lba(r, drive, &lba)) {
        r->al = 0;
        finish(r, DISK_NOT_FOUND);
        return;
    }
    if (!r->al || r->al > 0x80) {
        finish(r, DISK_BAD_COMMAND);
        return;
    }
    uint8_t code =
        disk_code(disk_transfer(drive, command, lba, r->al, (uint32_t)r->es * 16 + r->bx));
    if (code)
        r->al = 0;
    finish(r, code);
}

static void verify(struct regs *r, const struct drive *drive)
{
    uint64_t blocks = drive == &floppy_drive ? floppy_blocks() : drive->total_blocks;
    uint32_t lba;

    if (!chs_to_lba(r, drive, &lba) || lba + r->al > blocks)
        finish(r, DISK_NOT_FOUND);
    else
        finish(r, DISK_OK);
}

static void get_parameters(struct regs *r, const struct drive *drive)
{
    uint16_t last = (uint16_t)(drive->cylinders - 1);

    r->al = 0;
    r->ch = (uint8_t)last;
    r->cl = (uint8_t)((last >> 2 & 0xc0) | drive->sectors);
    r->dh = (uint8_t)(drive->heads - 1);
    if (r->dl & 0x80) {
        r->dl = bda_read8(BDA_DISK_COUNT);
    } else {
        r->dl = 1;
        r->bl = floppy_type(drive);
        r->es = EBDA_SEGMENT;
        r->di = (uint16_t)(uintptr_t)floppy_parameters;
    }
    regs_return(r, DISK_OK);
}

static void get_type(struct regs *r, const struct drive *drive)
{
    if (r->dl & 0x80) {
        uint32_t blocks = (uint32_t)drive->cylinders * drive->heads * drive->sectors;

        r->cx = (uint16_t)(blocks >> 16);
        r->dx = (uint16_t)blocks;
        r->ah = 3;
    } else {
        r->ah = 1; /* a floppy that can't tell when its medium changes */
    }
    regs_set_carry(r, false);
}

/* A drive that is not there. 08h and 15h have their own ways to say so. */
static void no_drive(struct regs *r)
{
    if (r->ah == 0x15) {
        r->ah = 0;
        regs_set_carry(r, false);
        return;
    }
    if (r->ah == 0x00 && !(r->dl & 0x80)) {
        finish(r, DISK_OK); /* resetting the floppy controller always works */
        return;
    }
    if (r->ah == 0x08 && !(r->dl & 0x80)) {
        r->ax = r->bx = r->cx = r->dx = 0;
        regs_return(r, DISK_OK);
        return;
    }
    finish(r, DISK_BAD_COMMAND);
}

static void serve(struct regs *r)
{
    struct drive *drive = disk_find(r->dl);

    if (r->ah == 0x01) {
        uint8_t last = bda_read8(r->dl & 0x80 ? BDA_DISK_STATUS : BDA_FLOPPY_STATUS);

        regs_return(r, last);
        return;
    }
    if (r->ah == 0x4b && cd_emulation_status(r))
        return;
    if (!drive) {
        no_drive(r);
        return;
    }
    if (r->ah >= 0x41 && r->ah <= 0x49) {
        disk_extensions(r, drive);
        return;
    }
    if (drive == &cd_drive && r->ah != 0x00 && r->ah != 0x0d && r->ah != 0x10) {
        finish(r, DISK_BAD_COMMAND); /* a CD-ROM has no cylinders */
        return;
    }
    switch (r->ah) {
    case 0x02: transfer(r, drive, BOOT_DISK_READ); break;
    case 0x03: transfer(r, drive, BOOT_DISK_WRITE); break;
    case 0x04: verify(r, drive); break;
    case 0x08: get_parameters(r, drive); break;
    case 0x00: /* reset, set parameters, seek, reset, ready, recalibrate, self test: nothing to do
                */
    case 0x09:
    case 0x0c:
    case 0x0d:
    case 0x10:
    case 0x11:
    case 0x14: finish(r, DISK_OK); break;
    case 0x15: get_type(r, drive); break;
    case 0x16: finish(r, DISK_OK); break; /* medium unchanged */
    default: finish(r, DISK_BAD_COMMAND); break;
    }
}

/* A caller that has interrupts on gets them while its drive works, as from a PC's BIOS. */
void int13(struct regs *r)
{
    bool before = disk_lets_interrupts_in;

    disk_lets_interrupts_in = r->flags & FLAG_IF;
    serve(r);
    disk_lets_interrupts_in = before;
}
