/* What slots are made of, and what the host tells of it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "mem/backing.h"
#include "mem/host_memory.h"
#include "mem/host_pages.h"

#define BASE  (1 * MIB)
#define BYTES (6 * MIB) /* two huge pages, and a MiB at either end */
#define PAGES (BYTES / PAGE_SIZE)

static struct mem *make(const struct mem_config *config)
{
    struct mem *mem = mem_create(config);

    assert_non_null(mem);
    assert_int_equal(mem_add_slot(mem, "ram", BASE, BYTES, MEM_SLOT_RAM), 0);
    return mem;
}

/* Fresh memory is zero, costs nothing, keeps what is written, and is one page larger for it. */
static void check_on_demand(const struct mem_config *config)
{
    struct mem *mem = make(config);

    assert_int_equal(mem_resident_bytes(mem), 0);
    assert_true(mem_write(mem, BASE + BYTES - 4, "last", 4));
    assert_int_equal(mem_read32(mem, BASE + BYTES - 4), 0x7473616c);
    assert_in_range(mem_resident_bytes(mem), PAGE_SIZE, 2 * MIB);
    assert_int_equal(mem_read32(mem, BASE), 0);
    mem_destroy(mem);
}

static void test_memory_comes_on_demand(void **state)
{
    check_on_demand(NULL);
    check_on_demand(&(struct mem_config){.backend = MEM_BACKEND_MEMFD});
}

static void test_prealloc(void **state)
{
    for (unsigned backend = MEM_BACKEND_ANON; backend <= MEM_BACKEND_MEMFD; backend++) {
        struct mem *mem =
            make(&(struct mem_config){.backend = (enum mem_backend)backend, .prealloc = true});

        assert_int_equal(mem_resident_bytes(mem), BYTES);
        mem_destroy(mem);
    }
}

/* The file is the memory: whoever maps it sees what the guest sees. */
static void test_memfd_is_shared(void **state)
{
    struct mem *mem = make(&(struct mem_config){.backend = MEM_BACKEND_MEMFD});
    uint8_t *other =
        mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, mem_find_slot(mem, BASE)->fd, 0);

    assert_true(other != MAP_FAILED);
    assert_true(mem_write(mem, BASE + 5 * MIB, "hello", 6));
    assert_string_equal((char *)other + 5 * MIB, "hello");
    other[100] = 42;
    assert_int_equal(mem_read16(mem, BASE + 100), 42);
    munmap(other, BYTES);
    mem_destroy(mem);
}

static void test_huge_part(void **state)
{
    assert_int_equal(backing_huge_bytes(0, 0xa0000), 0);
    assert_int_equal(backing_huge_bytes(0xf0000, 0x10000), 0);
    assert_int_equal(backing_huge_bytes(MIB, MIB), 0);
    assert_int_equal(backing_huge_bytes(MIB, 2 * MIB), 0);
    assert_int_equal(backing_huge_bytes(MIB, 3 * MIB), 2 * MIB);
    assert_int_equal(backing_huge_bytes(MIB, 511 * MIB), 510 * MIB);
    assert_true(backing_huge_bytes(4 * GIB, 3 * GIB) == 3 * GIB);
}

static void test_hugetlb(void **state)
{
    const struct mem_config config = {.backend = MEM_BACKEND_HUGETLB};
    struct mem_host_page page;
    struct mem *mem;

    if (host_huge_pages().free < 2) {
        mem = mem_create(&config);
        assert_int_equal(mem_add_slot(mem, "ram", BASE, BYTES, MEM_SLOT_RAM), -ENOMEM);
        assert_null(mem_find_slot(mem, BASE));
        assert_int_equal(mem_add_slot(mem, "bios", BASE, 64 * KIB, MEM_SLOT_ROM), 0);
    } else {
        mem = make(&config);
        assert_int_equal(mem_resident_bytes(mem), 4 * MIB); /* all at once, the ends on demand */
        mem_host_pages(mem, 2 * MIB + 0x5000, 1, &page);
        assert_true(page.resident);
        assert_true(page.huge || page.hpa == 0);
    }
    mem_destroy(mem);
}

/* The options change how the host pages, not what the guest sees. */
static void test_advice(void **state)
{
    struct mem *mem = mem_create(&(struct mem_config){.ksm = true, .thp = true});
    int err = mem_add_slot(mem, "ram", BASE, BYTES, MEM_SLOT_RAM);

    if (err)
        assert_int_equal(err, -EOPNOTSUPP);
    else
        assert_int_equal(mem_read64(mem, BASE), 0);
    mem_destroy(mem);
}

static void test_host_pages(void **state)
{
    static struct mem_host_page pages[PAGES + 20];
    struct mem *mem = make(NULL);
    unsigned resident = 0;

    memset(pages, 0xff, sizeof(pages));
    assert_true(mem_write(mem, BASE + 3 * PAGE_SIZE - 1, "ab", 2));
    mem_host_pages(mem, BASE - 10 * PAGE_SIZE + 5, ARRAY_SIZE(pages), pages);
    for (unsigned i = 0; i < ARRAY_SIZE(pages); i++) {
        bool written = i == 12 || i == 13;

        resident += pages[i].resident;
        assert_false(pages[i].resident && (i < 10 || i >= 10 + PAGES));
        assert_true(pages[i].resident || !(pages[i].hpa || pages[i].huge || pages[i].shared));
        if (written)
            assert_true(pages[i].resident && pages[i].dirty && !pages[i].shared);
    }
    assert_in_range(resident, 2, 512);
    assert_true(pages[12].hpa == 0 || pages[12].hpa != pages[13].hpa);
    assert_int_equal(mem_resident_bytes(mem), resident * PAGE_SIZE); /* looking touched nothing */

    assert_int_equal(mem_dirty_log(mem, BASE, true), 0);
    assert_true(mem_write(mem, BASE + 2 * PAGE_SIZE, "c", 1));
    mem_host_pages(mem, BASE, 4, pages);
    assert_false(pages[1].dirty); /* resident, but not written since */
    assert_true(pages[2].dirty);
    mem_destroy(mem);
}

/* Pages that were only read cost nothing: where the host tells, they do not count. */
static void test_page_of_zeroes(void **state)
{
    struct mem *mem = make(NULL);
    struct mem_host_page pages[2];

    assert_int_equal(mem_read64(mem, BASE), 0);
    assert_true(mem_write(mem, BASE + PAGE_SIZE, "x", 1));
    mem_host_pages(mem, BASE, 2, pages);
    assert_true(pages[1].resident);
    if (pages[1].hpa && !pages[1].huge)
        assert_false(pages[0].resident);
    mem_destroy(mem);
}

static void test_changes(void **state)
{
    struct mem *mem = make(NULL);
    uint64_t first = mem_generation(mem), len;
    gpa_t gpa;

    assert_true(mem_change(mem, first, &gpa, &len));
    assert_int_equal(gpa, BASE);
    assert_int_equal(len, BYTES);
    assert_false(mem_change(mem, first + 1, &gpa, &len));
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(mem_add_slot(mem, "x", (16 + i) * MIB, PAGE_SIZE, MEM_SLOT_RAM), 0);
        assert_int_equal(mem_generation(mem), first + 1 + i);
        assert_true(mem_change(mem, first + 1 + i, &gpa, &len));
        assert_int_equal(gpa, (16 + i) * MIB);
        assert_int_equal(len, PAGE_SIZE);
    }
    assert_false(mem_change(mem, first, &gpa, &len));
    assert_false(mem_change(mem, first + 4, &gpa, &len));
    assert_true(mem_change(mem, first + 5, &gpa, &len)); /* sixteen are remembered */
    assert_int_equal(gpa, 20 * MIB);
    mem_destroy(mem);
}

static void test_host_figures(void **state)
{
    struct host_huge_pages huge = host_huge_pages();

    assert_in_range(host_memory_available_bytes(), MIB, UINT64_MAX);
    assert_true(huge.free <= huge.total);
}

static void put_file(const char *folder, const char *name, const char *text)
{
    char path[200];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* A group within a group: each has its limit, and page cache of files gives way. */
static void test_control_groups(void **state)
{
    static const char *const files[] = {"memory.max", "memory.current", "memory.stat"};
    char mount[] = "/tmp/umbra-cgroup-XXXXXX", outer[100], inner[110], path[200];

    assert_non_null(mkdtemp(mount));
    snprintf(outer, sizeof(outer), "%s/a", mount);
    snprintf(inner, sizeof(inner), "%s/b", outer);
    assert_int_equal(mkdir(outer, 0700), 0);
    assert_int_equal(mkdir(inner, 0700), 0);
    assert_true(host_cgroup_room_bytes(mount, "") == UINT64_MAX);
    assert_true(host_cgroup_room_bytes(mount, "/") == UINT64_MAX);
    assert_true(host_cgroup_room_bytes(mount, "/a/b") == UINT64_MAX);
    put_file(outer, "memory.max", "max\n");
    put_file(outer, "memory.current", "5000\n");
    put_file(inner, "memory.max", "10000\n");
    put_file(inner, "memory.current", "4000\n");
    assert_int_equal(host_cgroup_room_bytes(mount, "/a/b"), 6000);
    assert_true(host_cgroup_room_bytes(mount, "/a") == UINT64_MAX);
    put_file(inner, "memory.stat", "anon 1\ninactive_file 1000\nactive_file 500\nunevictable 9\n");
    assert_int_equal(host_cgroup_room_bytes(mount, "/a/b"), 7500);
    put_file(outer, "memory.max", "6000\n");
    assert_int_equal(host_cgroup_room_bytes(mount, "/a/b"), 1000);
    put_file(outer, "memory.current", "7000\n"); /* over its limit, for a moment */
    assert_int_equal(host_cgroup_room_bytes(mount, "/a/b"), 0);
    for (unsigned i = 0; i < ARRAY_SIZE(files); i++) {
        snprintf(path, sizeof(path), "%s/%s", inner, files[i]);
        unlink(path);
        snprintf(path, sizeof(path), "%s/%s", outer, files[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(inner) | rmdir(outer) | rmdir(mount), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_comes_on_demand),
        cmocka_unit_test(test_prealloc),
        cmocka_unit_test(test_memfd_is_shared),
        cmocka_unit_test(test_huge_part),
        cmocka_unit_test(test_hugetlb),
        cmocka_unit_test(test_advice),
        cmocka_unit_test(test_host_pages),
        cmocka_unit_test(test_page_of_zeroes),
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_host_figures),
        cmocka_unit_test(test_control_groups),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
