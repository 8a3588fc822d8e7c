/*
 * The host side: a traced child whose address space holds the case's pages and nothing else. Its
 * registers are set and read by ptrace, so there is no code of ours around the case.
 */
#ifndef UMBRA_TESTS_DIFF_HOST_H
#define UMBRA_TESTS_DIFF_HOST_H

#include <sys/types.h>

#include "state.h"

struct diff_host {
    pid_t child;
    int fd;        /* of the memory shared with the child */
    uint8_t *code; /* our view of the child's pages */
    uint8_t *data;
    size_t xstate_size; /* of the kernel's XSAVE image */
    uint64_t last_start;
    unsigned last_len;
};

/* 0, -ENOTSUP when the host lets nobody trace, or another -errno. */
int diff_host_start(struct diff_host *host) must_check;
void diff_host_stop(struct diff_host *host);

/* Runs a case; data gets DIFF_DATA_SIZE bytes. 0, or -ETIME when it did not end (child restarted).
 */
int diff_host_run(struct diff_host *host, const struct diff_case *c, struct diff_state *after,
                  uint8_t *data) must_check;

/* Whether 32-bit code runs on this host. */
bool diff_host_has_compat(struct diff_host *host);

#endif
