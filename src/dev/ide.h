/*
 * The IDE function of the PIIX3: two channels of two drives, ATA disks and ATAPI CD-ROMs, by PIO
 * and by bus-master DMA. A command that needs the image is busy (BSY) until the image's queue has
 * completed it; all others run to their end inside the register write that starts them. A reset
 * leaves a drive busy until the host has done with what is under way. Refuses overlapped and queued
 * commands, the security, SMART and host-protected-area feature sets, writing to CDs and CD audio.
 * Specification: ATA/ATAPI-6 (T13 1410D); MMC-3 and SPC-2 for packets; Intel 82371SB (PIIX3) data
 * sheet, function 1; "Programming Interface for Bus Master IDE Controller", revision 1.0.
 *
 * An absent drive reads as zeroes in every register and ignores commands, so probes end at once.
 *
 * DEVIATION: the channels' legacy ports are the board's to place and answer whatever COMMAND says;
 * IDETIM's decode-enable bits are set at reset, so that drivers find both channels without a BIOS.
 * DEVIATION: when the PRD table ends before the command's data, the drive aborts the command
 * instead of waiting for a reset.
 *
 * Locking: the owner's machine lock is held around every call.
 */
#ifndef UMBRA_DEV_IDE_H
#define UMBRA_DEV_IDE_H

#include "base/irq.h"
#include "base/types.h"
#include "dev/backend/block_queue.h"
#include "dev/bus.h"
#include "dev/device.h"
#include "dev/pci.h"
#include "mem/mem.h"

#define IDE_CHANNELS 2
#define IDE_UNITS    2

/* Where a PC has the channels: command block (8 ports) and control (1 port). */
#define IDE_COMMAND_PORT_0 0x1f0
#define IDE_COMMAND_PORT_1 0x170
#define IDE_CONTROL_PORT_0 0x3f6
#define IDE_CONTROL_PORT_1 0x376
#define IDE_COMMAND_PORTS  8
#define IDE_CONTROL_PORTS  1

enum ide_kind {
    IDE_NONE,
    IDE_DISK,
    IDE_CDROM,
};

struct ide_config {
    struct mem *mem;                   /* for DMA; not owned */
    struct pci_host *pci;              /* the function becomes 01.1; NULL: no PCI, no DMA */
    struct irq_line irq[IDE_CHANNELS]; /* ISA interrupts 14 and 15 */
    struct block_queue *disk;          /* NULL, or the first channel's master; not owned */
    struct block_queue *cdrom;         /* NULL, or the second channel's master; not owned */
};

struct ide;
struct ide_channel;

/* The device of these is a channel. */
extern const struct bus_ops ide_command_ops, ide_control_ops;

/* Makes the controller. NULL without memory, or when 01.1 is taken. */
struct ide *ide_create(const struct ide_config *config);

/*
 * Before or after pci_host_destroy, and after the queues of the images have been stopped. NULL is
 * harmless.
 */
void ide_destroy(struct ide *ide);

/* Power-on state of channels and drives (configuration space is reset by pci_host_reset). */
void ide_reset(struct ide *ide);

struct ide_channel *ide_get_channel(struct ide *ide, unsigned channel);

/*
 * The state of a channel and of a drive (NULL: there is none). The function's is its PCI function's
 * device. A drive that was saved while it was busy hands its request in again when it is loaded.
 */
const struct device *ide_channel_device(const struct ide *ide, unsigned channel);
const struct device *ide_drive_device(const struct ide *ide, unsigned channel, unsigned unit);

/*
 * Puts a drive on a channel before the guest starts, in its power-on state. Returns 0, -EEXIST when
 * there is one already.
 */
int ide_attach(struct ide *ide, unsigned channel, unsigned unit, enum ide_kind kind,
               struct block_queue *image) must_check;

#endif
