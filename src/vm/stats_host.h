/*
 * What a statistics file tells of this process and its host, read before the sandbox closes the
 * files that it stands in. It refuses to fail: what the host does not tell stays empty.
 */
#ifndef UMBRA_VM_STATS_HOST_H
#define UMBRA_VM_STATS_HOST_H

#include "base/types.h"

struct stats_host {
    char *words;        /* the command line, each word with its zero byte; NULL: not told */
    size_t words_bytes; /* of all of them */
    char processor[128];
    char kernel[65]; /* its release; empty: not told */
    uint64_t processors;
    uint64_t memory_bytes;
};

void stats_host_init(struct stats_host *host);

/* Harmless on a zeroed one. */
void stats_host_fini(struct stats_host *host);

#endif
