/* Small text files of the host kernel, and the few words in them that matter here. */
#include "mem/host_memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define HUGE_FILES   "/sys/kernel/mm/hugepages/hugepages-2048kB/"
#define CGROUP_MOUNT "/sys/fs/cgroup"

/* The number behind `word` at the start of a line of the file; fallback when there is none. */
static uint64_t number_after(const char *path, const char *word, uint64_t fallback)
{
    FILE *file = fopen(path, "re");
    char line[256];
    uint64_t value = fallback;

    if (!file)
        return fallback;
    while (fgets(line, sizeof(line), file)) {
        if (strncmp(line, word, strlen(word)) != 0)
            continue;
        if (sscanf(line + strlen(word), "%" SCNu64, &value) != 1)
            value = fallback;
        break;
    }
    fclose(file);
    return value;
}

/* Whether the file's first line holds the words. */
static bool says(const char *path, const char *words, bool fallback)
{
    FILE *file = fopen(path, "re");
    char line[256];
    bool found = fallback;

    if (!file)
        return fallback;
    if (fgets(line, sizeof(line), file))
        found = strstr(line, words) != NULL;
    fclose(file);
    return found;
}

/* What one control group leaves us: page cache of files gives way. UINT64_MAX without a limit. */
static uint64_t cgroup_room(const char *folder)
{
    char path[600];
    uint64_t max, used, files;

    snprintf(path, sizeof(path), "%s/memory.max", folder);
    max = number_after(path, "", UINT64_MAX); /* "max" is no number */
    if (max == UINT64_MAX)
        return UINT64_MAX;
    snprintf(path, sizeof(path), "%s/memory.current", folder);
    used = number_after(path, "", 0);
    snprintf(path, sizeof(path), "%s/memory.stat", folder);
    files = number_after(path, "active_file", 0) + number_after(path, "inactive_file", 0);
    used -= MIN(used, files);
    return max - MIN(max, used);
}

uint64_t host_cgroup_room_bytes(const char *mount, const char *group)
{
    uint64_t room = UINT64_MAX;
    char folder[512];

    snprintf(folder, sizeof(folder), "%s%s", mount, group);
    while (strlen(folder) > strlen(mount)) {
        uint64_t here = cgroup_room(folder);

        room = MIN(room, here);
        *strrchr(folder, '/') = '\0';
    }
    return room;
}

/* The path of our control group below its mount, "/..." for the root; "" when it is not told. */
static void our_cgroup(char *group, size_t size)
{
    FILE *file = fopen("/proc/self/cgroup", "re");
    char line[400];

    group[0] = '\0';
    if (!file)
        return;
    while (fgets(line, sizeof(line), file)) {
        if (strncmp(line, "0::/", 4) != 0)
            continue;
        line[strcspn(line, "\n")] = '\0';
        snprintf(group, size, "%s", line + 3);
    }
    fclose(file);
}

uint64_t host_memory_available_bytes(void)
{
    uint64_t kib = number_after("/proc/meminfo", "MemAvailable:", UINT64_MAX / KIB);
    char group[400];
    uint64_t room;

    our_cgroup(group, sizeof(group));
    room = host_cgroup_room_bytes(CGROUP_MOUNT, group);
    return MIN(kib * KIB, room);
}

struct host_huge_pages host_huge_pages(void)
{
    uint64_t free = number_after(HUGE_FILES "free_hugepages", "", 0);
    uint64_t claimed = number_after(HUGE_FILES "resv_hugepages", "", 0);

    return (struct host_huge_pages){
        .total = number_after(HUGE_FILES "nr_hugepages", "", 0),
        .free = free - MIN(free, claimed),
    };
}

bool host_ksm_runs(void)
{
    return says("/sys/kernel/mm/ksm/run", "1", true);
}

bool host_thp_helps(bool shared)
{
    if (shared)
        return !says("/sys/kernel/mm/transparent_hugepage/shmem_enabled", "[never]", false) &&
               !says("/sys/kernel/mm/transparent_hugepage/shmem_enabled", "[deny]", false);
    return !says("/sys/kernel/mm/transparent_hugepage/enabled", "[never]", false);
}
