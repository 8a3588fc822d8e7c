/*
 * All of guest memory as one number, and as a file, for comparing two runs of the same guest.
 * Pages that the host has nothing behind are not touched; they count as the zeroes that they are.
 */
#ifndef UMBRA_MEM_DIGEST_H
#define UMBRA_MEM_DIGEST_H

#include "base/types.h"

struct mem;

/*
 * A hash of what the slots hold and where. A page of zeroes counts as one that was never touched,
 * so that it does not matter who has looked where. It tells random differences apart, not those of
 * an adversary. Nobody writes meanwhile.
 */
uint64_t mem_digest(const struct mem *mem);

/*
 * Writes the slots to a file, each byte at the offset of its GPA, with holes for pages of zeroes;
 * the file is as long as the highest page that is not. 0 or -errno.
 */
int mem_save(const struct mem *mem, int fd) must_check;

#endif
