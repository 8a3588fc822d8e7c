/* Draws one step after the other: accesses, edits of tables, flushes, switches. */
#include "steps.h"

#include <string.h>

#include "instructions.h"
#include "judge.h"
#include "mem/mem.h"
#include "registers.h"

#define REBUILD_EVERY 4096

static gva_t recent(struct world *w)
{
    return w->recent[world_below(w, WORLD_RECENT)];
}

/* An address used lately, its neighbour, or a new one. */
static gva_t some_gva(struct world *w)
{
    gva_t gva;

    if (world_chance(w, 600)) {
        gva = recent(w);
        if (world_chance(w, 500))
            gva = (gva & PAGE_MASK) + world_below(w, PAGE_SIZE);
        if (naive_format(&w->r) != NAIVE_4LEVEL)
            gva = (uint32_t)gva;
        return gva;
    }
    gva = world_random_gva(w);
    w->recent[world_below(w, WORLD_RECENT)] = gva;
    return gva;
}

static const char *const kind_names[] = {"read", "write", "change", "fetch"};

static bool access_at(struct world *w, const struct steps_config *config, gva_t gva)
{
    static const enum judge_kind kinds[] = {
        JUDGE_READ, JUDGE_READ, JUDGE_READ, JUDGE_WRITE, JUDGE_WRITE, JUDGE_RMW, JUDGE_FETCH,
    };
    static const uint8_t sizes[] = {1, 2, 4, 8, 8, 16};
    struct judge_access access = {
        .kind = kinds[world_below(w, ARRAY_SIZE(kinds))],
        .gva = gva,
        .user = world_chance(w, 500),
        .ac = world_chance(w, 300),
    };
    uint64_t noise = world_random(w);
    judge_actor *act = judge_act;
    struct judge_outcome outcome;
    bool written;

    access.size = access.kind == JUDGE_FETCH ? 1 : sizes[world_below(w, ARRAY_SIZE(sizes))];
    access.implicit = (access.kind == JUDGE_READ || access.kind == JUDGE_WRITE) &&
                      world_chance(w, 100) && access.gva % PAGE_SIZE + access.size <= PAGE_SIZE;
    /* What is written must not be an entry by chance: at an odd place it would be a wild one. */
    for (unsigned i = 0; i < access.size; i++)
        access.data[i] = (uint8_t)(noise >> (i % 8 * 8));
    world_say(w, "%s%s of %u bytes at %#llx%s%s", access.implicit ? "implicit " : "",
              kind_names[access.kind], access.size, (unsigned long long)access.gva,
              access.user ? " by the user" : "", access.ac ? " with AC" : "");
    if (world_chance(w, 300) && instructions_can(w, &access))
        act = instructions_act;
    w->count.by_instruction += act == instructions_act;
    if (!judge(w, &access, act, &outcome) || w->failure[0])
        return false;
    /* What was written may have been a table. */
    written = (access.kind == JUDGE_WRITE || access.kind == JUDGE_RMW) && !outcome.fault;
    return !config->always_flush || !written || registers_flush(w);
}

static bool step_access(struct world *w, const struct steps_config *config)
{
    return access_at(w, config, some_gva(w));
}

/* An entry somewhere in the tables. */
struct place {
    gpa_t gpa;
    uint64_t value;
    unsigned bytes;
};

static struct place random_place(struct world *w)
{
    enum naive_format format = naive_format(&w->r);
    struct place p = {.bytes = 8};
    unsigned level, top = format == NAIVE_4LEVEL ? 4 : format == NAIVE_PAE ? 3 : 2;
    gpa_t table;

    if (format == NAIVE_OFF || world_chance(w, 50)) {
        format = (enum naive_format)(1 + world_below(w, 3));
        top = format == NAIVE_32BIT ? 2 : format == NAIVE_PAE ? 3 : 4;
    }
    level = 1 + (unsigned)world_below(w, top);
    table = level == top ? world_root(format, (unsigned)world_below(w, WORLD_ROOTS))
                         : world_pool((unsigned)world_below(w, WORLD_POOL));
    p.bytes = format == NAIVE_32BIT ? 4 : 8;
    p.gpa = table + p.bytes * world_random_index(w, format, level);
    p.value = world_random_entry(w, format, level);
    return p;
}

/* One of the entries that a walk of gva meets now, and a new value for it. */
static struct place place_on_walk(struct world *w, gva_t gva)
{
    enum naive_format format = naive_format(&w->r);
    struct naive_access access = {0};
    struct naive_result walk;
    struct place p;
    unsigned i, top = format == NAIVE_4LEVEL ? 4 : 2;

    naive_translate(&w->r, gva, &access, model_entry, &w->m, &walk);
    if (walk.entries == 0)
        return random_place(w);
    i = (unsigned)world_below(w, walk.entries);
    p = (struct place){.gpa = walk.entry[i].gpa, .bytes = naive_entry_bytes(&w->r)};
    switch (world_below(w, 4)) {
    case 0: /* one bit of the present entry */
        p.value = walk.entry[i].value ^ BIT(world_below(w, world_chance(w, 800) ? 9 : 8 * p.bytes));
        break;
    case 1: /* forget that it was used */
        p.value = walk.entry[i].value & ~(uint64_t)(NAIVE_ACCESSED | NAIVE_DIRTY);
        break;
    default: p.value = world_random_entry(w, format, top - i); break;
    }
    return p;
}

/* The guest stores a part of the entry, or all of it, through its window. */
static bool store(struct world *w, gpa_t gpa, const void *value, unsigned bytes)
{
    struct judge_access access = {
        .kind = JUDGE_WRITE,
        .gva = world_window(w, gpa),
        .size = bytes,
        .ac = world_chance(w, 500),
    };
    struct judge_outcome outcome;

    memcpy(access.data, value, bytes);
    world_say(w, "store %u bytes %#llx at gpa %#llx", bytes,
              (unsigned long long)(*(uint64_t *)access.data), (unsigned long long)gpa);
    if (!judge(w, &access, judge_act, &outcome))
        return false;
    w->lost = outcome.fault ? w->lost + 1 : 0;
    return true;
}

/* Somebody else writes: a device, by DMA. */
static void device_store(struct world *w, gpa_t gpa, const void *value, unsigned bytes)
{
    uint64_t shown = 0;

    memcpy(&shown, value, bytes);
    world_say(w, "a device writes %u bytes %#llx to gpa %#llx", bytes, (unsigned long long)shown,
              (unsigned long long)gpa);
    gpa &= w->r.a20_mask;
    mem_write(w->g.mem, gpa, value, bytes);
    model_store(&w->m, gpa, value, bytes);
    w->m.now++;
}

static bool edit(struct world *w, struct place p)
{
    unsigned at = 0, bytes = p.bytes;

    w->count.edits++;
    if (world_chance(w, 100)) {
        bytes = 1u << world_below(w, 3);
        at = (unsigned)world_below(w, p.bytes / bytes) * bytes;
    }
    if (world_chance(w, 150) || p.gpa >= MODEL_LOW_BYTES) {
        device_store(w, p.gpa + at, (uint8_t *)&p.value + at, bytes);
        return true;
    }
    return store(w, p.gpa + at, (uint8_t *)&p.value + at, bytes);
}

static bool step_edit(struct world *w)
{
    return edit(w, world_chance(w, 600) ? place_on_walk(w, some_gva(w)) : random_place(w));
}

/* Makes an address lead to a page of data, with all rights, and mostly uses it at once. */
static bool step_map(struct world *w)
{
    enum naive_format format = naive_format(&w->r);
    unsigned top = format == NAIVE_4LEVEL ? 4 : 2;
    uint64_t rights = X86_PF_PRESENT | 6; /* present, writable, user */
    struct naive_access access = {0};
    struct naive_result walk;
    gva_t gva = some_gva(w);

    if (format == NAIVE_OFF)
        return true;
    for (unsigned tries = 0; tries < top; tries++) {
        gpa_t target;
        uint64_t value;
        unsigned level;

        naive_translate(&w->r, gva, &access, model_entry, &w->m, &walk);
        if (walk.entries == 0 || (walk.ok && tries > 0) || w->lost)
            break;
        level = top - (walk.entries - 1);
        target = level == 1 ? (WORLD_DATA_PAGE + world_below(w, WORLD_DATA)) * PAGE_SIZE
                            : world_pool((unsigned)world_below(w, WORLD_POOL));
        value = target | rights | (world_chance(w, 200) ? BIT(8) : 0);
        if (walk.entry[walk.entries - 1].gpa >= MODEL_LOW_BYTES)
            break;
        w->count.edits++;
        if (!store(w, walk.entry[walk.entries - 1].gpa, &value, naive_entry_bytes(&w->r)))
            return false;
    }
    w->recent[0] = gva;
    return true;
}

static const uint16_t pcids[] = {0, 1, 2, 0xfff};

static bool step_switch(struct world *w)
{
    enum naive_format format = naive_format(&w->r);
    uint64_t cr3 = world_root(format, (unsigned)world_below(w, WORLD_ROOTS));

    if (world_chance(w, 10))
        cr3 = world_pool((unsigned)world_below(w, WORLD_POOL));
    if (w->r.cr4 & X86_CR4_PCIDE)
        cr3 |= pcids[world_below(w, ARRAY_SIZE(pcids))] | (world_chance(w, 600) ? BIT(63) : 0);
    else if (format == NAIVE_4LEVEL)
        cr3 |= world_below(w, 4) << 3;
    return registers_cr3(w, cr3);
}

static bool step_flush(struct world *w)
{
    bool pcide = w->r.cr4 & X86_CR4_PCIDE;
    uint16_t pcid = pcide ? pcids[world_below(w, ARRAY_SIZE(pcids))] : 0;

    switch (world_below(w, 8)) {
    case 0: return registers_flush(w);
    case 1: return registers_invpcid(w, INVPCID_ADDRESS, pcid, recent(w) & w->g.cpu->linear_mask);
    case 2: return registers_invpcid(w, INVPCID_CONTEXT + (unsigned)world_below(w, 3), pcid, 0);
    case 3: return registers_cr3(w, w->r.cr3);
    default: return registers_invlpg(w, some_gva(w));
    }
}

static bool edited(struct world *w, const struct steps_config *config, bool well)
{
    return well && (!config->always_flush || registers_flush(w));
}

/*
 * What a kernel does: uses an address, changes its mapping, uses it again though that is bold, then
 * flushes this address, or the address space, and uses it once more.
 */
static bool step_probe(struct world *w, const struct steps_config *config)
{
    gva_t gva = some_gva(w);
    bool well = access_at(w, config, gva) && (world_chance(w, 500) || access_at(w, config, gva));

    well = edited(w, config, well && edit(w, place_on_walk(w, gva)));
    if (well && world_chance(w, 700))
        well = access_at(w, config, gva);
    if (well && world_chance(w, 200))
        well = access_at(w, config, gva ^ BIT(12));
    if (well && world_chance(w, 700))
        well = world_chance(w, 700) ? registers_invlpg(w, gva) : step_flush(w);
    return well && access_at(w, config, gva) && (world_chance(w, 500) || access_at(w, config, gva));
}

/* CR0.WP, CR4's flags, EFER.NXE. */
static bool step_rules(struct world *w)
{
    switch (world_below(w, 8)) {
    case 0: return registers_cr0(w, w->r.cr0 ^ X86_CR0_WP);
    case 1: return registers_efer(w, w->r.efer ^ X86_EFER_NXE);
    case 2: return registers_cr4(w, w->r.cr4 ^ X86_CR4_SMEP);
    case 3: return registers_cr4(w, w->r.cr4 ^ X86_CR4_SMAP);
    case 4: return registers_cr4(w, w->r.cr4 ^ X86_CR4_PSE);
    case 5: return registers_cr4(w, w->r.cr4 ^ X86_CR4_PGE);
    default:
        if (naive_format(&w->r) != NAIVE_4LEVEL ||
            (!(w->r.cr4 & X86_CR4_PCIDE) && (w->r.cr3 & 0xfff)))
            return true;
        return registers_cr4(w, w->r.cr4 ^ X86_CR4_PCIDE);
    }
}

static void step_slots(struct world *w)
{
    bool present = !w->m.hot;
    int err;

    world_say(w, "the hot slot %s", present ? "comes" : "goes");
    if (present)
        err = mem_add_slot(w->g.mem, "hot", MODEL_HOT_BASE, MODEL_HOT_BYTES, MEM_SLOT_RAM);
    else
        err = mem_remove_slot(w->g.mem, MODEL_HOT_BASE);
    if (err)
        world_fail(w, "the slot can't be changed: error %d", err);
    model_set_hot(&w->m, present);
    guest_slots_changed(&w->g);
    stale_flush_all(&w->s, &w->m, &w->r);
}

static void step_a20(struct world *w)
{
    w->a20 = !w->a20;
    world_say(w, "A20 %s", w->a20 ? "on" : "masked");
    w->r.a20_mask = w->a20 ? UINT64_MAX : ~BIT(20);
    guest_set_a20(&w->g, w->a20);
    stale_flush_all(&w->s, &w->m, &w->r);
}

/* Turns dirty logging of the low slot on or off, or fetches and compares. */
static bool step_dirty(struct world *w)
{
    uint64_t bits[ARRAY_SIZE(w->m.dirty)];

    if (!w->m.dirty_log || world_chance(w, 200)) {
        w->m.dirty_log = !w->m.dirty_log;
        memset(w->m.dirty, 0, sizeof(w->m.dirty));
        memset(w->m.meant, 0, sizeof(w->m.meant));
        world_say(w, "dirty log %s", w->m.dirty_log ? "on" : "off");
        return mmu_dirty_log(w->g.mmu, MODEL_LOW_BASE, w->m.dirty_log) == 0 ||
               world_fail(w, "the dirty log does not turn");
    }
    world_say(w, "dirty log is fetched");
    if (mmu_dirty_fetch(w->g.mmu, MODEL_LOW_BASE, bits, ARRAY_SIZE(bits)) != 0)
        return world_fail(w, "the dirty log can't be fetched");
    for (unsigned i = 0; i < ARRAY_SIZE(bits); i++) {
        if (w->m.dirty[i] & ~bits[i])
            return world_fail(w, "the dirty log misses pages %#llx from %#x on",
                              (unsigned long long)(w->m.dirty[i] & ~bits[i]), i * 64);
        if (bits[i] & ~w->m.dirty[i] & ~w->m.meant[i])
            return world_fail(w, "the dirty log has pages that nobody wrote: %#llx from %#x on",
                              (unsigned long long)(bits[i] & ~w->m.dirty[i]), i * 64);
    }
    memset(w->m.dirty, 0, sizeof(w->m.dirty));
    memset(w->m.meant, 0, sizeof(w->m.meant));
    return true;
}

static bool step_format(struct world *w)
{
    static const enum naive_format formats[] = {
        NAIVE_OFF,    NAIVE_32BIT,  NAIVE_32BIT,  NAIVE_PAE,
        NAIVE_4LEVEL, NAIVE_4LEVEL, NAIVE_4LEVEL, NAIVE_PAE,
    };

    return registers_format(w, formats[world_below(w, ARRAY_SIZE(formats))],
                            (unsigned)world_below(w, WORLD_ROOTS));
}

/* Two of 32-bit's and PAE's tables never fit: this switches without turning paging off. */
static bool step_pae(struct world *w)
{
    enum naive_format format = naive_format(&w->r);

    if (format != NAIVE_32BIT && format != NAIVE_PAE)
        return true;
    return registers_cr4(w, w->r.cr4 ^ X86_CR4_PAE);
}

static bool rare_step(struct world *w, const struct steps_config *config)
{
    switch (world_below(w, 16)) {
    case 0:
    case 1: return step_format(w);
    case 2: step_slots(w); return !w->failure[0];
    case 3: step_a20(w); return true;
    case 4: return edited(w, config, step_pae(w));
    case 5:
    case 6:
    case 7:
    case 8: return step_dirty(w);
    default: return step_rules(w);
    }
}

static bool one_step(struct world *w, const struct steps_config *config)
{
    uint64_t n = world_below(w, 100);

    if (n < 50)
        return step_access(w, config);
    if (n < 62)
        return edited(w, config, step_edit(w));
    if (n < 70)
        return edited(w, config, step_map(w));
    if (n < 86)
        return step_probe(w, config);
    if (n < 91)
        return step_flush(w);
    if (n < 96)
        return step_switch(w);
    return rare_step(w, config);
}

static bool checks(struct world *w, const struct steps_config *config)
{
    bool closely = w->step >= config->closely;
    char why[200] = "";

    if ((closely || (config->compare && w->step % config->compare == 0)) && !world_compare(w))
        return false;
    if ((closely || (config->audit && w->step % config->audit == 0)) &&
        (!mmu_audit(w->g.mmu, why, sizeof(why)) ||
         !engine_soft.vcpu_audit(w->g.vcpu, why, sizeof(why))))
        return world_fail(w, "the audit finds: %s", why);
    return true;
}

bool steps_next(struct world *w, const struct steps_config *config)
{
    if (w->step % REBUILD_EVERY == 0 || w->lost > 8) {
        world_say(w, "all tables are made anew");
        world_rebuild(w);
        if (!step_format(w))
            return false;
    }
    if (stale_full(&w->s, &w->m) && !registers_flush(w))
        return false;
    return one_step(w, config) && checks(w, config);
}
