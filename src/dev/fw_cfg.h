/*
 * fw_cfg, the interface by which firmware asks the monitor for named blobs: the selector and data
 * ports, and the DMA interface with a 64-bit big-endian address register. Refuses to be written by
 * the guest in any form: each item is read-only.
 * Specification: QEMU, docs/specs/fw_cfg ("QEMU Firmware Configuration (fw_cfg) Device").
 *
 * Offsets: 0 selector (16 bit, little-endian, write), 1 data (8 bit, read), 4..11 DMA address
 * (8 bytes, big-endian; writing the low half starts a transfer; reading gives "QEMU CFG").
 *
 * Locking: the owner's machine lock is held around every call.
 */
#ifndef UMBRA_DEV_FW_CFG_H
#define UMBRA_DEV_FW_CFG_H

#include "base/types.h"
#include "dev/bus.h"
#include "dev/device.h"
#include "mem/mem.h"

#define FW_CFG_PORT  0x510 /* where a PC has it */
#define FW_CFG_PORTS 12

/* Keys of the items with fixed numbers (little-endian integers unless said otherwise). */
enum fw_cfg_key {
    FW_CFG_SIGNATURE = 0x00, /* "QEMU"; the device's own */
    FW_CFG_ID = 0x01,        /* u32: bit 0 ports, bit 1 DMA; the device's own */
    FW_CFG_RAM_SIZE = 0x03,  /* u64 bytes */
    FW_CFG_NB_CPUS = 0x05,   /* u16 */
    FW_CFG_BOOT_MENU = 0x0e, /* u16 */
    FW_CFG_MAX_CPUS = 0x0f,  /* u16 */
    FW_CFG_FILE_DIR = 0x19,  /* big-endian directory; the device's own */
    FW_CFG_FILE_FIRST = 0x20,
};

#define FW_CFG_MAX_FILES     64
#define FW_CFG_MAX_FILE_NAME 56 /* bytes, with the terminating zero */

struct fw_cfg;

extern const struct bus_ops fw_cfg_ops;

/* Makes the device over the memory that its DMA reaches (not owned). NULL without memory. */
struct fw_cfg *fw_cfg_create(struct mem *mem);
void fw_cfg_destroy(struct fw_cfg *fw);

/* Selects nothing and forgets a half-written DMA address; the items stay. */
void fw_cfg_reset(struct fw_cfg *fw);

/* Its state, for the board; the device's own. */
const struct device *fw_cfg_device(const struct fw_cfg *fw_cfg);

/*
 * Adds a file to the directory; name and data are copied. Returns 0, -EEXIST when the name is
 * taken, -ENAMETOOLONG, -ENOSPC after FW_CFG_MAX_FILES, -EFBIG from 4 GiB on, -ENOMEM.
 */
int fw_cfg_add_file(struct fw_cfg *fw, const char *name, const void *data,
                    size_t size_bytes) must_check;

/*
 * Sets (or replaces) an item with a number of its own; data is copied. Returns 0, -EINVAL for a
 * key that is the device's own or in the range of files, -ENOSPC, -EFBIG, -ENOMEM.
 */
int fw_cfg_set(struct fw_cfg *fw, uint16_t key, const void *data, size_t size_bytes) must_check;

/* The same with a little-endian integer of 2, 4 or 8 bytes. */
int fw_cfg_set_int(struct fw_cfg *fw, uint16_t key, uint64_t value, unsigned width) must_check;

#endif
