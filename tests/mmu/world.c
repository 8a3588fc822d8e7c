/* Sets a run up, draws its random choices, and tells of failures. */
#include "world.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "mem/mem.h"
#include "instructions.h"
#include "mmu/guest_walk.h"

#define P  BIT(0)
#define RW BIT(1)
#define US BIT(2)
#define AD (BIT(5) | BIT(6))
#define PS BIT(7)
#define G  BIT(8)
#define NX BIT(63)

#define WINDOW_PDPT (WORLD_WINDOW + 0)
#define WINDOW_PD   (WORLD_WINDOW + 1)
#define WINDOW_PT   (WORLD_WINDOW + 2) /* two */
#define WINDOW_PT32 (WORLD_WINDOW + 4)

#define WINDOW_4LEVEL 0xffffc00000000000u /* entry 180h of the PML4 */
#define WINDOW_LEGACY 0xc0000000u         /* entry 3 of the PDPT, entry 300h of the PD */

uint64_t world_random(struct world *w)
{
    uint64_t z = w->random += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

uint64_t world_below(struct world *w, uint64_t below)
{
    return world_random(w) % below;
}

bool world_chance(struct world *w, unsigned per_mille)
{
    return world_below(w, 1000) < per_mille;
}

void world_say(struct world *w, const char *format, ...)
{
    char *line = w->words[w->words_count++ % WORLD_WORDS];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof(w->words[0]), format, args);
    va_end(args);
    if (w->verbose)
        printf("%llu: %s\n", (unsigned long long)w->step, line);
}

bool world_fail(struct world *w, const char *format, ...)
{
    va_list args;

    if (w->failure[0])
        return false;
    va_start(args, format);
    vsnprintf(w->failure, sizeof(w->failure), format, args);
    va_end(args);
    return false;
}

void world_saw(struct world *w, uint64_t value)
{
    w->outcome = (w->outcome ^ value) * 0x100000001b3u;
    w->outcome ^= w->outcome >> 29;
}

gpa_t world_pool(unsigned i)
{
    return (i < 12 ? 0x10 + i : 0x110 + (i - 12)) * PAGE_SIZE;
}

gpa_t world_root(enum naive_format format, unsigned i)
{
    switch (format) {
    case NAIVE_32BIT: return (0x24 + i) * PAGE_SIZE;
    case NAIVE_PAE: return (0x28 + i) * PAGE_SIZE + 0x20 * i;
    default: return (0x20 + i) * PAGE_SIZE;
    }
}

unsigned world_random_index(struct world *w, enum naive_format format, unsigned level)
{
    static const uint16_t of_32bit[] = {0, 1, 2, 0x1ff, 0x200, 0x3ff};
    static const uint16_t of_64bit[] = {0, 1, 2, 0xff, 0x100, 0x1ff};

    if (format == NAIVE_32BIT)
        return of_32bit[world_below(w, ARRAY_SIZE(of_32bit))];
    if (format == NAIVE_PAE && level == 3)
        return (unsigned)world_below(w, 3);
    return of_64bit[world_below(w, ARRAY_SIZE(of_64bit))];
}

static gva_t random_offset(struct world *w)
{
    switch (world_below(w, 4)) {
    case 0: return PAGE_SIZE - world_below(w, 16) - 1; /* what may straddle */
    case 1: return world_random_index(w, NAIVE_4LEVEL, 1) * 8;
    default: return world_below(w, PAGE_SIZE);
    }
}

gva_t world_random_gva(struct world *w)
{
    enum naive_format format = naive_format(&w->r);
    gva_t gva = random_offset(w);

    switch (format) {
    case NAIVE_32BIT:
        gva |= (gva_t)world_random_index(w, format, 1) << 12;
        return gva | (gva_t)world_random_index(w, format, 2) << 22;
    case NAIVE_PAE:
        for (unsigned level = 1; level <= 3; level++)
            gva |= (gva_t)world_random_index(w, format, level) << (12 + 9 * (level - 1));
        return gva;
    case NAIVE_4LEVEL:
        for (unsigned level = 1; level <= 4; level++)
            gva |= (gva_t)world_random_index(w, format, level) << (12 + 9 * (level - 1));
        return (gva_t)((int64_t)(gva << 16) >> 16);
    default:
        return gva | (world_chance(w, 800) ? world_below(w, 1024) : world_below(w, 1 << 20)) << 12;
    }
}

gva_t world_window(const struct world *w, gpa_t gpa)
{
    switch (naive_format(&w->r)) {
    case NAIVE_OFF: return gpa;
    case NAIVE_4LEVEL: return WINDOW_4LEVEL + gpa;
    default: return WINDOW_LEGACY + gpa;
    }
}

/* Where a leaf of 4 KiB may lead. */
static gpa_t random_page(struct world *w)
{
    switch (world_below(w, 16)) {
    case 0: return world_pool((unsigned)world_below(w, WORLD_POOL)); /* tables, writable perhaps */
    case 1: return (0x20 + world_below(w, 12)) * PAGE_SIZE;
    case 2: return MODEL_ROM_BASE + world_below(w, 17) * PAGE_SIZE;
    case 3: return MODEL_HOT_BASE + world_below(w, 4) * PAGE_SIZE;
    case 4: return MODEL_HIGH_BASE + world_below(w, 4) * PAGE_SIZE;
    case 5: return MODEL_BIG_BASE + world_below(w, 4) * PAGE_SIZE;
    case 6: return 0xfee00000u + world_below(w, 2) * PAGE_SIZE;
    case 7:
        return world_chance(w, 30) ? (WORLD_WINDOW + world_below(w, 5)) * PAGE_SIZE
                                   : 0x300u * PAGE_SIZE; /* 100000h: A20 */
    default: return (WORLD_DATA_PAGE + world_below(w, WORLD_DATA)) * PAGE_SIZE;
    }
}

/* Where a large leaf may lead; the caller aligns it. */
static gpa_t random_large(struct world *w)
{
    static const gpa_t bases[] = {
        0, 2 * MIB, MODEL_ROM_BASE, MODEL_HOT_BASE, MODEL_HIGH_BASE, MODEL_BIG_BASE, 3 * GIB,
    };

    return bases[world_below(w, ARRAY_SIZE(bases))];
}

static uint64_t random_rights(struct world *w)
{
    uint64_t entry = 0;

    entry |= world_chance(w, 930) ? P : 0;
    entry |= world_chance(w, 800) ? RW : 0;
    entry |= world_chance(w, 700) ? US : 0;
    entry |= world_below(w, 4) << 5; /* A, D */
    entry |= world_chance(w, 200) ? G : 0;
    entry |= world_chance(w, 100) ? world_below(w, 8) << 9 : 0;
    entry |= world_chance(w, 100) ? world_below(w, 4) << 3 : 0;
    return entry;
}

static uint64_t random_entry32(struct world *w, unsigned level)
{
    uint64_t entry = random_rights(w);

    if (level == 2 && world_chance(w, 150)) {
        entry |= PS | ALIGN_DOWN(random_large(w), 4 * MIB);
        entry |= world_chance(w, 100) ? BIT(13) : 0; /* 4 GiB, by PSE-36 */
        entry |= world_chance(w, 60) ? BIT(21) : 0;  /* reserved */
        return entry;
    }
    if (level == 2)
        return entry | world_pool((unsigned)world_below(w, WORLD_POOL));
    return entry | (random_page(w) & UINT32_MAX) | (world_chance(w, 100) ? PS : 0);
}

static uint64_t random_entry64(struct world *w, enum naive_format format, unsigned level)
{
    uint64_t entry = random_rights(w);

    entry |= world_chance(w, 80) ? NX : 0;
    entry |= world_chance(w, 15) ? BIT(w->r.physical_bits + world_below(w, 63 - 46)) : 0;
    if (format == NAIVE_PAE && level == 3) /* PDPTE: no rights */
        entry &= ~(RW | US | AD | PS | G | NX | (world_chance(w, 990) ? ~(BIT(52) - 1) : 0));
    else if (level == 4 || level == 3)
        entry |= world_chance(w, level == 3 ? 60 : 15) ? PS : 0;
    else
        entry |= world_chance(w, 150) ? PS : 0;
    if (level == 1)
        return entry | random_page(w);
    if ((entry & PS) && level < 4) {
        entry |= ALIGN_DOWN(random_large(w), level == 2 ? 2 * MIB : GIB);
        return entry | (world_chance(w, 60) ? BIT(13 + world_below(w, 8)) : 0);
    }
    return entry | world_pool((unsigned)world_below(w, WORLD_POOL));
}

uint64_t world_random_entry(struct world *w, enum naive_format format, unsigned level)
{
    if (world_chance(w, 10))
        return world_random(w);
    if (format == NAIVE_32BIT)
        return random_entry32(w, level);
    return random_entry64(w, format, level);
}

/* To both memories, without a past; the caller flushes. */
static void put(struct world *w, gpa_t gpa, const void *value, unsigned len)
{
    model_put(&w->m, gpa, value, len);
    mem_rom_load(w->g.mem, gpa, value, len);
}

static void put64(struct world *w, gpa_t gpa, uint64_t value)
{
    put(w, gpa, &value, 8);
}

static void build_window(struct world *w)
{
    uint64_t rights = P | RW | US | AD; /* of all levels but the last */

    put64(w, WINDOW_PDPT * PAGE_SIZE, WINDOW_PD * PAGE_SIZE | rights);
    for (unsigned i = 0; i < 2; i++)
        put64(w, WINDOW_PD * PAGE_SIZE + 8 * i, (WINDOW_PT + i) * PAGE_SIZE | rights);
    for (unsigned i = 0; i < 1024; i++) {
        bool user = i == INSTRUCTIONS_USER_PAGE;
        uint32_t entry = (uint32_t)(i * PAGE_SIZE | P | RW | AD | (user ? US : 0));

        put64(w, WINDOW_PT * PAGE_SIZE + 8 * i, entry);
        put(w, WINDOW_PT32 * PAGE_SIZE + 4 * i, &entry, 4);
    }
    for (unsigned i = 0; i < WORLD_ROOTS; i++) {
        uint32_t entry = (uint32_t)(WINDOW_PT32 * PAGE_SIZE | rights);

        put64(w, world_root(NAIVE_4LEVEL, i) + 8 * 0x180, WINDOW_PDPT * PAGE_SIZE | rights);
        put(w, world_root(NAIVE_32BIT, i) + 4 * 0x300, &entry, 4);
        put64(w, world_root(NAIVE_PAE, i) + 8 * 3, WINDOW_PD * PAGE_SIZE | P);
    }
}

/* Fills the entries that random addresses use. */
static void build_table(struct world *w, gpa_t table, enum naive_format format, unsigned level)
{
    for (unsigned i = 0; i < 12; i++) {
        unsigned index = world_random_index(w, format, level);
        uint64_t entry = world_random_entry(w, format, level);

        if (format == NAIVE_32BIT)
            put(w, table + 4 * index, &entry, 4);
        else
            put64(w, table + 8 * index, entry);
    }
}

void world_rebuild(struct world *w)
{
    for (unsigned i = 0; i < WORLD_POOL; i++) {
        if (i % 4 == 3)
            build_table(w, world_pool(i), NAIVE_32BIT, 1);
        else
            build_table(w, world_pool(i), NAIVE_4LEVEL, i % 4 + 1);
    }
    for (unsigned i = 0; i < WORLD_ROOTS; i++) {
        build_table(w, world_root(NAIVE_4LEVEL, i), NAIVE_4LEVEL, 4);
        build_table(w, world_root(NAIVE_32BIT, i), NAIVE_32BIT, 2);
        build_table(w, world_root(NAIVE_PAE, i), NAIVE_PAE, 3);
    }
    build_window(w);
    instructions_install(w, put);
    /* As if another processor had done it, and then told this one to flush. */
    guest_slots_changed(&w->g);
    stale_flush_all(&w->s, &w->m, &w->r);
    w->lost = 0;
}

static void fill_with_noise(struct world *w, gpa_t base, unsigned pages)
{
    for (gpa_t gpa = base; gpa < base + pages * PAGE_SIZE; gpa += 8)
        put64(w, gpa, world_random(w));
}

bool world_init(struct world *w, const struct guest_config *config, uint64_t seed)
{
    memset(w, 0, sizeof(*w));
    w->random = seed;
    if (!model_init(&w->m) || !guest_create(&w->g, config))
        return false;
    w->a20 = true;
    w->r = (struct naive_regs){
        .cr0 = w->g.cpu->x.cr0,
        .a20_mask = UINT64_MAX,
        .physical_bits = w->g.model.physical_bits,
        .gib_pages = true,
    };
    fill_with_noise(w, WORLD_DATA_PAGE * PAGE_SIZE, WORLD_DATA);
    fill_with_noise(w, MODEL_ROM_BASE, MODEL_ROM_BYTES / PAGE_SIZE);
    fill_with_noise(w, MODEL_HIGH_BASE, 4);
    fill_with_noise(w, MODEL_BIG_BASE, 4);
    world_rebuild(w);
    return true;
}

void world_fini(struct world *w)
{
    guest_destroy(&w->g);
    model_fini(&w->m);
}

bool world_compare(struct world *w)
{
    w->count.compared++;
    for (unsigned i = 0; i < w->m.touched_count; i++) {
        gpa_t gpa = w->m.touched[i] * PAGE_SIZE;
        const uint8_t *host = mem_host(w->g.mem, gpa, PAGE_SIZE, false);

        if (!host || memcmp(host, w->m.bytes + gpa, PAGE_SIZE) == 0)
            continue;
        for (unsigned at = 0; at < PAGE_SIZE; at++) {
            if (host[at] != w->m.bytes[gpa + at])
                return world_fail(w, "memory at %#llx is %#x, and should be %#x",
                                  (unsigned long long)(gpa + at), host[at], w->m.bytes[gpa + at]);
        }
    }
    return true;
}

static void report_naive(struct world *w)
{
    struct naive_result n;

    naive_translate(&w->r, w->failed_gva, &w->failed_access, model_entry, &w->m, &n);
    printf("the manual's walk now:\n");
    for (unsigned i = 0; i < n.entries; i++)
        printf("  entry at %#llx: %#llx\n", (unsigned long long)n.entry[i].gpa,
               (unsigned long long)n.entry[i].value);
    if (n.ok)
        printf("  gpa %#llx, page of %llu bytes%s\n", (unsigned long long)n.gpa,
               (unsigned long long)n.page_bytes, n.global ? ", global" : "");
    else
        printf("  page fault, error code %#x\n", n.error);
}

static void report_engine(struct world *w)
{
    const struct naive_regs *r = &w->r;
    struct guest_walk_context context = {
        .mem = w->g.mem,
        .format = (enum x86_paging)naive_format(r),
        .cr3 = r->cr3,
        .pdpte = r->pdpte,
        .physical_bits = r->physical_bits,
        .a20_mask = r->a20_mask,
        .pse = r->cr4 & X86_CR4_PSE,
        .wp = r->cr0 & X86_CR0_WP,
        .nxe = r->efer & X86_EFER_NXE,
        .smep = r->cr4 & X86_CR4_SMEP,
        .gib_pages = r->gib_pages,
    };
    const struct naive_access *a = &w->failed_access;
    struct guest_walk_access access = {
        .write = a->write,
        .fetch = a->fetch,
        .user = a->user,
        .smap = !a->user && (r->cr4 & X86_CR4_SMAP) && (a->implicit || !a->ac),
    };
    struct guest_walk_step steps[GUEST_WALK_MAX_STEPS];
    struct guest_walk_result result = {0};
    unsigned count = 0;
    bool ok = guest_walk_steps(&context, w->failed_gva, &access, steps, &count, &result);

    printf("the monitor's walk now:\n");
    for (unsigned i = 0; i < count; i++)
        printf("  entry at %#llx: %#llx\n", (unsigned long long)steps[i].entry_gpa,
               (unsigned long long)steps[i].entry);
    if (ok)
        printf("  gpa %#llx, page of %llu bytes\n", (unsigned long long)result.gpa,
               (unsigned long long)result.page_bytes);
    else
        printf("  page fault, error code %#x\n", result.error);
}

void world_report(struct world *w)
{
    const struct naive_regs *r = &w->r;
    uint64_t from = w->words_count > WORLD_WORDS ? w->words_count - WORLD_WORDS : 0;

    printf("what was done last:\n");
    for (uint64_t i = from; i < w->words_count; i++)
        printf("  %s\n", w->words[i % WORLD_WORDS]);
    printf("FAILED at step %llu: %s\n", (unsigned long long)w->step, w->failure);
    printf("cr0 %#llx cr3 %#llx cr4 %#llx efer %#llx a20 %s pdpte", (unsigned long long)r->cr0,
           (unsigned long long)r->cr3, (unsigned long long)r->cr4, (unsigned long long)r->efer,
           w->a20 ? "on" : "masked");
    for (unsigned i = 0; i < 4; i++)
        printf(" %#llx", (unsigned long long)r->pdpte[i]);
    printf("\n");
    if (w->has_failed_gva) {
        report_naive(w);
        report_engine(w);
    }
}
