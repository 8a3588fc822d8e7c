/*
 * KVM's own counters, read from the descriptors that it gives for them: for the VM and the vCPU.
 * What a file says about its own layout is checked before it is believed.
 * Source: KVM API, "KVM_GET_STATS_FD".
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/kvm/internal.h"

#define MAX_COUNTERS   512
#define MAX_NAME_BYTES 256

/* Reads exactly so many bytes from a place; false: the file is shorter. */
static bool read_at(int fd, void *buffer, size_t bytes, uint32_t offset)
{
    return pread(fd, buffer, bytes, offset) == (ssize_t)bytes;
}

/* Single numbers only: a histogram is nothing for one line. */
static bool wanted(const struct kvm_stats_desc *desc)
{
    unsigned type = desc->flags & KVM_STATS_TYPE_MASK;

    return desc->size == 1 && type != KVM_STATS_TYPE_LINEAR_HIST && type != KVM_STATS_TYPE_LOG_HIST;
}

static void read_counter(int fd, const struct kvm_stats_header *head, uint32_t index,
                         void (*fn)(void *opaque, const char *name, uint64_t value), void *opaque)
{
    size_t bytes = sizeof(struct kvm_stats_desc) + head->name_size;
    _Alignas(struct kvm_stats_desc) char buffer[sizeof(struct kvm_stats_desc) + MAX_NAME_BYTES];
    const struct kvm_stats_desc *desc = (const struct kvm_stats_desc *)buffer;
    const char *name = buffer + sizeof(*desc);
    uint64_t value;

    if (!read_at(fd, buffer, bytes, head->desc_offset + index * (uint32_t)bytes) || !wanted(desc))
        return;
    if (!memchr(name, 0, head->name_size) || *name == '\0')
        return;
    if (read_at(fd, &value, sizeof(value), head->data_offset + desc->offset))
        fn(opaque, name, value);
}

void kvm_read_stats(int object_fd, void (*fn)(void *opaque, const char *name, uint64_t value),
                    void *opaque)
{
    int fd = kvm_ioctl_value(object_fd, KVM_GET_STATS_FD, 0);
    struct kvm_stats_header head;

    if (fd < 0)
        return; /* an older kernel */
    if (read_at(fd, &head, sizeof(head), 0) && head.num_desc <= MAX_COUNTERS &&
        head.name_size > 0 && head.name_size <= MAX_NAME_BYTES) {
        for (uint32_t i = 0; i < head.num_desc; i++)
            read_counter(fd, &head, i, fn, opaque);
    }
    close(fd);
}
