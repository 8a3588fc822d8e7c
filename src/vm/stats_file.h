/*
 * The file of `--stats=FILE.json`: docs/stats.md describes what is in it. It appears whole or not
 * at all: it is written beside its name and then takes it. What is there already and is no regular
 * file (a pipe, /dev/stdout) is written to directly.
 */
#ifndef UMBRA_VM_STATS_FILE_H
#define UMBRA_VM_STATS_FILE_H

#include "vm/stats_recorder.h"

#define STATS_FILE_VERSION     1
#define STATS_FILE_MAX_BUCKETS 512 /* of the memory map, a slot */
#define STATS_FILE_MAX_PORTS   16

/* Whether the file could be written: 0 or -errno, and nothing has changed. */
int stats_file_check(const char *path) must_check;

/*
 * Everything that is known of a VM that has stopped, and of its host, with the status that it ended
 * with. 0 or -errno.
 */
int stats_file_write(const char *path, const struct vm *vm, const struct stats_recorder *recorder,
                     int status) must_check;

/* Replaces the file by the text. 0 or -errno; the old one is left alone then. */
int stats_file_replace(const char *path, const char *text, size_t len) must_check;

#endif
