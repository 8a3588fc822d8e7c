/*
 * A block backend: the bytes of a host file (or of a buffer, for tests) as a disk image. Offsets
 * and lengths are in bytes; devices choose their own sector sizes.
 * Refuses directories, character devices, images that another VM holds, and any access outside the
 * image. An image need not be a multiple of a sector: what lies between its last byte and the end
 * of that sector reads as zeroes, and a write there makes the file longer.
 *
 * Threads: block_size_bytes, block_read_only and block_name may be called from any. The rest is one
 * thread's at a time: in a VM the worker of the queue before the image (block_queue.h), because
 * each of these calls takes as long as the host's disk does.
 */
#ifndef UMBRA_DEV_BACKEND_BLOCK_H
#define UMBRA_DEV_BACKEND_BLOCK_H

#include "base/types.h"

/* The granule that an image's size is rounded up to: an ATA sector. A CD's last block may exceed
 * it. */
#define BLOCK_SECTOR_BYTES 512

struct block;

/*
 * Opens an image and locks it: for one writer, or for any number of readers. On success *out is
 * owned by the caller. Returns 0, -EBUSY (another process or VM holds it), -EISDIR, -EINVAL (not a
 * file or block device), -ENOMEM, or the host's error for opening it.
 */
int block_open(struct block **out, const char *path, bool read_only) must_check;

/*
 * Makes a disk of a buffer, which stays the caller's and must outlive it. Writable; a size that is
 * no multiple of a sector reads as zeroes past its end and drops what is written there.
 * Returns 0 or -ENOMEM.
 */
int block_open_memory(struct block **out, void *data, size_t size_bytes) must_check;

/* Closes and unlocks; NULL is harmless. Does not flush. */
void block_close(struct block *block);

/* The size in bytes, rounded up to whole sectors of BLOCK_SECTOR_BYTES. */
uint64_t block_size_bytes(const struct block *block);

bool block_read_only(const struct block *block);

/* What it was opened as, for messages. */
const char *block_name(const struct block *block);

/*
 * Copies between the image and a buffer. Returns 0, -ERANGE when the range does not lie in
 * block_size_bytes, -EROFS for a write to a read-only image, or the host's error (-EIO...). A part
 * of the buffer may have been transferred after an error.
 */
int block_read(struct block *block, uint64_t offset, void *buffer, size_t len) must_check;
int block_write(struct block *block, uint64_t offset, const void *buffer, size_t len) must_check;

/* Brings what was written to stable storage. Returns 0 or the host's error. */
int block_flush(struct block *block) must_check;

#endif
