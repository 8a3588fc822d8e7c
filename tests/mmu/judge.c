/* Compares an access with everything that the manual allows. */
#include "judge.h"

#include <stdio.h>
#include <string.h>

#include "engine/soft/paging.h"

#define MAX_CHOICES (1 + STALE_MAX_HITS)

/* What may become of one page's part of an access. */
struct choice {
    bool fault;
    uint32_t error;
    gpa_t gpa;
    bool fresh; /* by a walk, which sets accessed and dirty bits */
};

/* One page's part of an access. */
struct piece {
    gva_t gva;
    unsigned bytes;
    struct naive_result walk;
    struct choice choice[MAX_CHOICES];
    unsigned choices;
};

struct trial {
    struct world *w;
    const struct judge_access *access;
    struct judge_outcome outcome;
    struct naive_access how;
    struct piece piece[2];
    unsigned pieces;
    char why[120]; /* the first choice is not what happened */
};

void judge_act(struct world *w, const struct judge_access *a, struct judge_outcome *out)
{
    struct cpu *cpu = w->g.cpu;
    struct access_rmw rmw;
    enum step step = STEP_NEXT;

    memset(out, 0, sizeof(*out));
    guest_set_privilege(&w->g, a->user, a->ac);
    switch (a->kind) {
    case JUDGE_READ:
        step = a->implicit ? sys_read(cpu, a->gva, out->data, a->size)
                           : lin_read(cpu, a->gva, out->data, a->size);
        break;
    case JUDGE_WRITE:
        step = a->implicit ? sys_write(cpu, a->gva, a->data, a->size)
                           : lin_write(cpu, a->gva, a->data, a->size);
        break;
    case JUDGE_RMW:
        step = lin_rmw_open(cpu, a->gva, a->size, &rmw);
        if (step)
            break;
        memcpy(out->data, rmw.host, a->size);
        *(uint8_t *)rmw.host = (uint8_t)(out->data[0] + a->data[0]);
        rmw_close(cpu, &rmw);
        break;
    case JUDGE_FETCH: step = paging_fetch(cpu, a->gva, &out->gpa); break;
    }
    if (step == STEP_NEXT)
        return;
    out->fault = true;
    out->vector = cpu->fault.vector;
    out->error = cpu->fault.error;
    out->address = cpu->fault.address;
}

static void split(struct trial *t)
{
    const struct judge_access *a = t->access;
    bool wide = naive_format(&t->w->r) == NAIVE_4LEVEL;
    unsigned room = (unsigned)(PAGE_SIZE - a->gva % PAGE_SIZE);

    t->piece[0].gva = a->gva;
    t->piece[0].bytes = MIN(a->size, room);
    t->pieces = a->size > room ? 2 : 1;
    t->piece[1].gva = wide ? a->gva + room : (uint32_t)(a->gva + room);
    t->piece[1].bytes = a->size - t->piece[0].bytes;
}

static void walk_now(struct trial *t, struct piece *p)
{
    naive_translate(&t->w->r, p->gva, &t->how, model_entry, &t->w->m, &p->walk);
    p->choice[0] = (struct choice){
        .fault = !p->walk.ok,
        .error = p->walk.error,
        .gpa = p->walk.gpa,
        .fresh = true,
    };
    p->choices = 1;
}

static bool add_remembered(struct trial *t, struct piece *p)
{
    gpa_t gpas[STALE_MAX_HITS];
    int n = stale_hits(&t->w->s, &t->w->m, &t->w->r, p->gva, &t->how, gpas);

    for (int i = 0; i < n; i++)
        p->choice[p->choices++] = (struct choice){.gpa = gpas[i]};
    return n >= 0;
}

static bool differs(struct trial *t, const char *why)
{
    if (!t->why[0])
        strncpy(t->why, why, sizeof(t->why) - 1);
    return false;
}

static bool outcome_is_fault(struct trial *t, unsigned vector, uint32_t error, uint64_t address)
{
    const struct judge_outcome *o = &t->outcome;

    if (!o->fault)
        return differs(t, "there is no fault");
    if (o->vector != vector)
        return differs(t, "another exception");
    if (o->error != error)
        return differs(t, "another error code");
    if (vector == X86_PF && o->address != address)
        return differs(t, "another faulting address");
    return true;
}

/* What a part of the access reads, with the bytes of the model as they are then. */
static bool reads_well(struct trial *t, const struct choice *choice, unsigned from, unsigned bytes)
{
    const struct model *m = &t->w->m;
    uint8_t expected[JUDGE_BYTES];

    if (t->access->kind == JUDGE_FETCH)
        return t->outcome.gpa == choice->gpa || differs(t, "fetches from another address");
    if (t->access->kind == JUDGE_WRITE)
        return true;
    if (model_kind(m, choice->gpa) == MODEL_NOTHING) {
        for (unsigned i = 0; i < bytes; i++)
            expected[i] = guest_mmio_byte(choice->gpa + i);
    } else {
        model_load(m, choice->gpa, expected, bytes);
    }
    return memcmp(expected, t->outcome.data + from, bytes) == 0 || differs(t, "another value");
}

/* The bytes that the whole access writes. */
static void written_bytes(const struct trial *t, uint8_t data[JUDGE_BYTES])
{
    memcpy(data, t->access->data, JUDGE_BYTES);
    if (t->access->kind == JUDGE_RMW) {
        memcpy(data, t->outcome.data, JUDGE_BYTES);
        data[0] = (uint8_t)(data[0] + t->access->data[0]);
    }
}

/* The bytes that must have gone to MMIO, in order. */
static bool mmio_is_well(struct trial *t, const struct choice *choice[2], bool writes)
{
    const struct guest *g = &t->w->g;
    uint8_t data[JUDGE_BYTES];
    unsigned n = 0, at = 0;

    written_bytes(t, data);
    for (unsigned i = 0; writes && i < t->pieces; at += t->piece[i].bytes, i++) {
        if (model_kind(&t->w->m, choice[i]->gpa) != MODEL_NOTHING)
            continue;
        for (unsigned k = 0; k < t->piece[i].bytes; k++, n++) {
            if (n >= g->mmio_count || g->mmio[n].gpa != choice[i]->gpa + k ||
                g->mmio[n].byte != data[at + k])
                return differs(t, "MMIO gets something else");
        }
    }
    return n == g->mmio_count || differs(t, "MMIO gets more");
}

/* Bytes of the model put aside. */
struct undo {
    struct {
        gpa_t gpa;
        unsigned len;
        uint8_t bytes[JUDGE_BYTES];
    } old[8 + 2 * MAX_CHOICES];
    unsigned count;
};

static void put_aside(struct undo *u, struct model *m, gpa_t gpa, unsigned len)
{
    u->old[u->count].gpa = gpa;
    u->old[u->count].len = len;
    memcpy(u->old[u->count++].bytes, m->bytes + gpa, len);
}

static void put_back(struct undo *u, struct model *m)
{
    while (u->count > 0) {
        u->count--;
        memcpy(m->bytes + u->old[u->count].gpa, u->old[u->count].bytes, u->old[u->count].len);
    }
}

/* Whether memory holds what the model holds, where the access could have changed it. */
static bool memory_is_well(struct trial *t, const struct undo *u)
{
    struct world *w = t->w;

    for (unsigned i = 0; i < u->count; i++) {
        const void *host = mem_host(w->g.mem, u->old[i].gpa, u->old[i].len, false);

        if (host && memcmp(host, w->m.bytes + u->old[i].gpa, u->old[i].len) != 0)
            return differs(t, "memory, or accessed and dirty bits, differ");
    }
    return true;
}

/* Sets the bits of a fresh walk: all entries are put aside, so that they are compared. */
static void set_bits(struct trial *t, const struct piece *p, const struct choice *choice,
                     struct undo *u)
{
    struct model *m = &t->w->m;
    unsigned bytes = naive_entry_bytes(&t->w->r);

    for (unsigned i = 0; i < p->walk.entries; i++) {
        gpa_t at = p->walk.entry[i].gpa;

        if (model_kind(m, at) == MODEL_NOTHING)
            continue;
        put_aside(u, m, at, bytes);
        if (choice->fresh && !choice->fault && model_kind(m, at) == MODEL_RAM)
            m->bytes[at] |= (uint8_t)p->walk.entry[i].set;
    }
}

/* The same for good, with the past remembered. */
static void commit(struct trial *t, const struct choice *choice[2], unsigned parts, bool writes)
{
    struct model *m = &t->w->m;
    uint8_t data[JUDGE_BYTES];
    unsigned at = 0;

    for (unsigned i = 0; i < parts; i++) {
        const struct piece *p = &t->piece[i];

        if (t->how.write && !choice[i]->fault)
            model_meant(m, choice[i]->gpa);
        for (unsigned k = 0; choice[i]->fresh && !choice[i]->fault && k < p->walk.entries; k++)
            model_or(m, p->walk.entry[k].gpa, (uint8_t)p->walk.entry[k].set);
    }
    written_bytes(t, data);
    for (unsigned i = 0; writes && i < t->pieces; at += t->piece[i].bytes, i++)
        model_store(m, choice[i]->gpa, data + at, t->piece[i].bytes);
    m->now++;
}

/* Everywhere that a write may have gone to, so that it is seen where it has not. */
static void put_targets_aside(const struct piece *p, struct model *m, struct undo *u)
{
    for (unsigned i = 0; i < p->choices; i++) {
        if (!p->choice[i].fault && model_kind(m, p->choice[i].gpa) != MODEL_NOTHING)
            put_aside(u, m, p->choice[i].gpa, p->bytes);
    }
}

/* Whether everything is as these choices for the parts say; then the model follows. */
static bool is_what_happened(struct trial *t, const struct choice *choice[2])
{
    struct model *m = &t->w->m;
    bool fault = choice[0]->fault || (t->pieces == 2 && choice[1]->fault);
    unsigned faulting = choice[0]->fault ? 0 : 1, at = 0;
    unsigned parts = choice[0]->fault ? 1 : t->pieces;
    bool writes = t->how.write && !fault;
    struct undo undo = {0};
    uint8_t data[JUDGE_BYTES];
    bool well = true;

    if (fault)
        well = outcome_is_fault(t, X86_PF, choice[faulting]->error, t->piece[faulting].gva);
    else if (t->outcome.fault)
        well = differs(t, "there is a fault");
    for (unsigned i = 0; i < t->pieces; i++)
        set_bits(t, &t->piece[i], i < parts ? choice[i] : &(struct choice){.fault = true}, &undo);
    for (unsigned i = 0; well && !fault && i < t->pieces; at += t->piece[i].bytes, i++)
        well = reads_well(t, choice[i], at, t->piece[i].bytes);
    written_bytes(t, data);
    at = 0;
    for (unsigned i = 0; writes && i < t->pieces; at += t->piece[i].bytes, i++) {
        put_targets_aside(&t->piece[i], m, &undo);
        if (model_kind(m, choice[i]->gpa) == MODEL_RAM)
            memcpy(m->bytes + choice[i]->gpa, data + at, t->piece[i].bytes);
    }
    well = well && mmio_is_well(t, choice, writes) && memory_is_well(t, &undo);
    put_back(&undo, m);
    if (well)
        commit(t, choice, parts, writes);
    if (well && fault)
        stale_page_fault(&t->w->s, m, stale_pcid(&t->w->r), t->piece[faulting].gva);
    return well;
}

static bool try_choices(struct trial *t)
{
    const struct choice *choice[2];

    for (unsigned i = 0; i < t->piece[0].choices; i++) {
        choice[0] = &t->piece[0].choice[i];
        for (unsigned k = 0; k < MAX(t->piece[1].choices, 1u); k++) {
            choice[1] = &t->piece[1].choice[k];
            if (is_what_happened(t, choice))
                return true;
        }
    }
    return false;
}

static bool fail(struct trial *t)
{
    struct world *w = t->w;
    const struct piece *p = &t->piece[0];

    if (t->pieces == 2 && p->walk.ok && !t->piece[1].walk.ok)
        p = &t->piece[1];
    w->has_failed_gva = true;
    for (unsigned i = 0; i < t->pieces; i++) {
        for (unsigned k = 1; k < t->piece[i].choices; k++)
            world_say(w, "(remembered for part %u: gpa %#llx)", i,
                      (unsigned long long)t->piece[i].choice[k].gpa);
    }
    w->failed_gva = p->gva;
    w->failed_access = t->how;
    return world_fail(w,
                      "%s: the walk says %s %#llx; the guest saw %s %#llx at %#llx (and %u, %u "
                      "remembered translations do not explain it)",
                      t->why, p->walk.ok ? "gpa" : "error code",
                      (unsigned long long)(p->walk.ok ? p->walk.gpa : p->walk.error),
                      t->outcome.fault ? "error code" : "gpa or no fault",
                      (unsigned long long)(t->outcome.fault ? t->outcome.error : t->outcome.gpa),
                      (unsigned long long)t->outcome.address, t->piece[0].choices - 1,
                      t->pieces == 2 ? t->piece[1].choices - 1 : 0);
}

static void see(struct world *w, const struct judge_outcome *o)
{
    uint64_t value = 0;

    memcpy(&value, o->data, 8);
    world_saw(w, o->fault ? o->error | 1u << 31 : 0);
    world_saw(w, o->fault ? o->address : value ^ o->gpa);
    w->count.accesses++;
    w->count.faults += o->fault;
    w->count.mmio += w->g.mmio_count > 0;
}

/* Whether a write to where the tables lead now would change nothing: then look elsewhere, too. */
static bool write_is_invisible(const struct trial *t)
{
    const struct model *m = &t->w->m;
    uint8_t data[JUDGE_BYTES];
    unsigned at = 0;

    written_bytes(t, data);
    for (unsigned i = 0; t->how.write && i < t->pieces; at += t->piece[i].bytes, i++) {
        const struct naive_result *walk = &t->piece[i].walk;

        if (!walk->ok || model_kind(m, walk->gpa) == MODEL_NOTHING)
            continue;
        if (model_kind(m, walk->gpa) == MODEL_ROM ||
            memcmp(m->bytes + walk->gpa, data + at, t->piece[i].bytes) == 0)
            return true;
    }
    return false;
}

static bool add_all_remembered(struct trial *t)
{
    for (unsigned i = 0; i < t->pieces; i++) {
        if (!add_remembered(t, &t->piece[i]))
            return world_fail(t->w, "there is too much to remember");
    }
    return true;
}

/* With --verbose: what the manual's walk says before the access is made. */
static void say_walk(struct trial *t, const struct piece *p)
{
    const struct naive_result *r = &p->walk;
    char entries[100] = "";
    int at = 0;

    for (unsigned i = 0; i < r->entries; i++)
        at += snprintf(entries + at, sizeof(entries) - (unsigned)at, " %llx:%llx",
                       (unsigned long long)r->entry[i].gpa, (unsigned long long)r->entry[i].value);
    printf("    %s %llx by%s; the guest %s\n", r->ok ? "gpa" : "fault",
           (unsigned long long)(r->ok ? r->gpa : r->error), entries,
           t->outcome.fault ? "faults" : "goes on");
}

static bool judge_trial(struct trial *t)
{
    struct world *w = t->w;
    bool all;

    for (unsigned i = 0; i < t->pieces; i++) {
        walk_now(t, &t->piece[i]);
        if (w->verbose)
            say_walk(t, &t->piece[i]);
    }
    all = write_is_invisible(t);
    if (all && !add_all_remembered(t))
        return false;
    if (try_choices(t))
        return true;
    if (!all && !add_all_remembered(t))
        return false;
    if (all || !try_choices(t))
        return fail(t);
    w->count.stale++;
    return true;
}

bool judge(struct world *w, const struct judge_access *access, judge_actor *act,
           struct judge_outcome *outcome)
{
    struct trial t = {.w = w, .access = access};
    bool wide = naive_format(&w->r) == NAIVE_4LEVEL;

    t.how = (struct naive_access){
        .write = access->kind == JUDGE_WRITE || access->kind == JUDGE_RMW,
        .fetch = access->kind == JUDGE_FETCH,
        .user = access->user && !access->implicit,
        .implicit = access->implicit,
        .ac = access->ac,
    };
    w->g.mmio_count = 0;
    act(w, access, &t.outcome);
    if (outcome)
        *outcome = t.outcome;
    see(w, &t.outcome);
    split(&t);
    if (wide && (!x86_canonical(access->gva) || !x86_canonical(access->gva + access->size - 1)))
        return outcome_is_fault(&t, X86_GP, 0, 0) || world_fail(w, "a non-canonical address");
    return judge_trial(&t);
}
