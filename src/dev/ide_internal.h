/*
 * What the files of the IDE function share. For no other file.
 *
 *   ide.c            controller, task file registers, interrupts, resets
 *   ide_transfer.c   phases of a command: requests to the image, DRQ blocks by PIO, its end
 *   ide_dma.c        bus-master registers, PRD walk
 *   ide_ata.c        ATA commands
 *   ide_identify.c   both IDENTIFY pages
 *   ide_atapi.c      packets, sense, phases
 *   ide_atapi_info.c answers about drive and disc
 *   ide_state.c      the state as it is saved and loaded
 */
#ifndef UMBRA_DEV_IDE_INTERNAL_H
#define UMBRA_DEV_IDE_INTERNAL_H

#include "dev/ide.h"

#define IDE_SECTOR_BYTES   512
#define IDE_CD_BLOCK_BYTES 2048
#define IDE_BUFFER_BYTES   (128 * 1024) /* what Linux reads ahead, in one request */
#define IDE_PACKET_BYTES   12
#define IDE_MAX_MULTIPLE   16       /* sectors of a DRQ block */
#define IDE_PRD_BUDGET     8192     /* descriptors of a table */
#define IDE_PRD_MAX_BYTES  0x10000u /* of a region: what a count of 0 means */

/* Status register. */
#define IDE_STATUS_ERR  0x01
#define IDE_STATUS_DRQ  0x08
#define IDE_STATUS_DSC  0x10
#define IDE_STATUS_DRDY 0x40
#define IDE_STATUS_BSY  0x80
#define IDE_READY       (IDE_STATUS_DRDY | IDE_STATUS_DSC)

/* Error register. */
#define IDE_ERROR_ABRT 0x04
#define IDE_ERROR_IDNF 0x10
#define IDE_ERROR_UNC  0x40

/* Device register. */
#define IDE_DEVICE_UNIT 0x10
#define IDE_DEVICE_LBA  0x40

/* Device control register. */
#define IDE_CONTROL_NIEN 0x02
#define IDE_CONTROL_SRST 0x04
#define IDE_CONTROL_HOB  0x80

/* Bus-master command and status. */
#define IDE_BM_START     0x01
#define IDE_BM_TO_MEMORY 0x08
#define IDE_BM_ACTIVE    0x01
#define IDE_BM_ERROR     0x02
#define IDE_BM_INTERRUPT 0x04
#define IDE_BM_CAPABLE   0x60

enum ide_phase {
    IDE_IDLE,
    IDE_PIO_IN,
    IDE_PIO_OUT,
    IDE_PACKET, /* the twelve bytes of a packet come in */
    IDE_DMA,    /* by the bus master; not busy: waits for it to start */
};

struct ide_taskfile {
    uint8_t feature, count, low, mid, high;
};

struct ide_sense {
    uint8_t key, asc, ascq;
};

/* What comes after a request to the image; the drive is busy until then. */
enum ide_then {
    IDE_THEN_NOTHING, /* there is no request, and the drive is not busy */
    IDE_THEN_RESET,   /* a reset came in between: the drive has forgotten what it wanted to do */
    IDE_THEN_FLUSHED,
    IDE_THEN_PIO_LOADED,
    IDE_THEN_PIO_STORED,
    IDE_THEN_DMA_LOADED,
    IDE_THEN_DMA_STORED,
    IDE_THENS
};

struct ide_drive_state {
    struct ide_taskfile now, previous; /* what was written last, and before (48-bit commands) */
    uint8_t device, error, status, command;
    bool intrq;

    /*
     * The request to the image that is under way: what it takes to begin it again. Reading or
     * writing the same bytes a second time gives what the first would have given.
     */
    enum ide_then then;
    enum block_op request_op;
    bool request_durable;
    uint64_t request_offset;
    size_t request_bytes; /* of the buffer, from its start */

    /* The transfer of the command under way. */
    enum ide_phase phase;
    size_t at, end;        /* the part of the buffer that the guest reads or fills now */
    size_t filled;         /* how much of it the image has filled (PIO in) */
    size_t drq_bytes;      /* the longest such part, at most IDE_BUFFER_BYTES */
    uint64_t left;         /* bytes that come after it */
    bool to_drive;         /* the guest writes */
    bool from_image;       /* else the buffer holds the whole answer */
    uint64_t image_offset; /* bytes */
    bool packet;           /* a PACKET command, with its own phases */

    /* A disk. */
    unsigned cylinders, heads, sectors; /* current translation */
    unsigned multiple;                  /* sectors; 0: off */
    bool write_cache;
    uint8_t transfer_mode; /* as SET FEATURES 03h gave it */

    /* A CD-ROM. */
    struct ide_sense sense;
    bool unit_attention; /* to be told once */
    bool tray_open, locked;
    uint8_t media_event; /* for GET EVENT STATUS: 0 none, 2 new medium, 3 medium removed */

    uint8_t buffer[IDE_BUFFER_BYTES]; /* the request's while there is one */
};

struct ide_drive {
    struct device device; /* once there is a drive */
    struct ide_channel *channel;
    unsigned unit;
    enum ide_kind kind;
    struct block_queue *image;
    struct block_request request;
    struct iovec part; /* of the buffer */
    struct ide_drive_state state;
};

/* How far a transfer has come in its table of physical regions (ide_dma.c). */
struct ide_prd_walk {
    gpa_t next;      /* of the next descriptor */
    unsigned budget; /* descriptors that may still be read */
    gpa_t address;
    uint32_t left; /* bytes of the region at address */
    bool last;
};

struct ide_channel_state {
    bool line; /* as driven last */
    unsigned selected;
    uint8_t control;
    uint8_t bm_command, bm_status;
    uint32_t prdt;            /* guest-physical, 4-byte aligned */
    struct ide_prd_walk walk; /* of the transfer under way */
};

struct ide_channel {
    struct device device;
    struct ide *ide;
    unsigned number;
    struct irq_line irq;
    struct ide_drive drives[IDE_UNITS];
    struct ide_channel_state state;
};

struct ide {
    struct mem *mem;
    struct pci_function function;
    bool has_function;
    struct ide_channel channels[IDE_CHANNELS];
};

/* ide.c */
void ide_update_irq(struct ide_channel *channel);
void ide_raise_irq(struct ide_drive *drive);
/* The registers by which software tells disk from CD-ROM after a reset. */
void ide_set_signature(struct ide_drive *drive);
/* Reset of one drive: ends its command; power-on with `hard`. */
void ide_reset_drive(struct ide_drive *drive, bool hard);

/* Power-on state of a channel and its drives. */
void ide_reset_channel(struct ide_channel *channel);

/* ide_state.c: the devices of a channel, and of a drive whose kind is known. */
void ide_init_channel_device(struct ide_channel *channel);
void ide_init_drive_device(struct ide_drive *drive);

/* ide_transfer.c: each ends in the drive's new phase, with its interrupt where there is one. */
void ide_complete(struct ide_drive *drive);
void ide_fail(struct ide_drive *drive, uint8_t error);
void ide_begin_pio_in(struct ide_drive *drive);
void ide_begin_pio_out(struct ide_drive *drive);
void ide_begin_dma(struct ide_drive *drive);
/* After the last byte has moved. */
void ide_finish(struct ide_drive *drive);
/*
 * Requests to the image: len bytes between image_offset and the buffer's start, or a flush. The
 * drive is busy until the request has completed, and goes on in `then`. Until then it takes no
 * command; a reset makes it forget what it wanted to do.
 */
void ide_load(struct ide_drive *drive, size_t len, enum ide_then then);
/* With `last`, the command's data ends here: without a write cache it must be safe then. */
void ide_store(struct ide_drive *drive, size_t len, bool last, enum ide_then then);
void ide_flush(struct ide_drive *drive);
/* Hands in the request that the state describes. */
void ide_submit(struct ide_drive *drive);
static inline bool ide_busy(const struct ide_drive *drive)
{
    return drive->state.then != IDE_THEN_NOTHING;
}
/* A reset comes in between. */
void ide_forget(struct ide_drive *drive);
uint32_t ide_data_read(struct ide_drive *drive, unsigned width);
void ide_data_write(struct ide_drive *drive, unsigned width, uint32_t value);

/* ide_dma.c */
extern const struct bus_ops ide_busmaster_ops; /* the device is its PCI function */
/* Moves the data if both the drive and the bus master are ready. */
void ide_dma_try(struct ide_channel *channel);
void ide_dma_reset(struct ide_channel *channel);
/* After a request to the image, with 0 or -errno. */
void ide_dma_loaded(struct ide_drive *drive, int err);
void ide_dma_stored(struct ide_drive *drive, int err);

/* ide_ata.c */
void ide_ata_execute(struct ide_drive *drive, uint8_t command);
void ide_ata_flushed(struct ide_drive *drive, int err); /* after the request */
uint64_t ide_total_sectors(const struct ide_drive *drive);
void ide_default_geometry(const struct ide_drive *drive, unsigned *cylinders, unsigned *heads,
                          unsigned *sectors);

/* ide_identify.c: 512 bytes into the buffer. */
void ide_identify_disk(const struct ide_drive *drive, uint8_t page[IDE_SECTOR_BYTES]);
void ide_identify_cdrom(const struct ide_drive *drive, uint8_t page[IDE_SECTOR_BYTES]);

/* ide_atapi.c */
void ide_atapi_execute(struct ide_drive *drive, uint8_t command);
/* Twelve bytes of a packet stand in the buffer. */
void ide_atapi_packet(struct ide_drive *drive);
/* The last phase: the drive says that it is done. */
void ide_atapi_done(struct ide_drive *drive);
void ide_atapi_data_failed(struct ide_drive *drive);
void ide_atapi_check(struct ide_drive *drive, uint8_t key, uint8_t asc, uint8_t ascq);
uint32_t ide_cd_blocks(const struct ide_drive *drive);

/* ide_atapi_info.c: answers into the zeroed buffer; return their length, 0 for an invalid field. */
size_t ide_info_inquiry(const uint8_t *packet, uint8_t *out);
size_t ide_info_toc(const struct ide_drive *drive, const uint8_t *packet, uint8_t *out);
size_t ide_info_mode_sense(const struct ide_drive *drive, const uint8_t *packet, uint8_t *out);
size_t ide_info_configuration(const struct ide_drive *drive, const uint8_t *packet, uint8_t *out);
size_t ide_info_event(struct ide_drive *drive, const uint8_t *packet, uint8_t *out);
size_t ide_info_mechanism(const struct ide_drive *drive, uint8_t *out);
size_t ide_info_disc(uint8_t *out);

#endif
