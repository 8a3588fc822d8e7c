/* Which old translations a processor may use. */
#include "stale.h"

#include <string.h>

#define CR4_PGE   BIT(7)
#define CR4_PCIDE BIT(17)
#define MAX_NODES 200000

uint16_t stale_pcid(const struct naive_regs *regs)
{
    return regs->cr4 & CR4_PCIDE ? regs->cr3 & 0xfff : 0;
}

bool stale_full(const struct stale *s, const struct model *m)
{
    return s->page_count > STALE_MAX - 16 || s->root_count > STALE_MAX - 16 ||
           m->pasts > MODEL_PASTS / 2;
}

void stale_flush_all(struct stale *s, struct model *m, const struct naive_regs *regs)
{
    s->all = m->now++;
    s->page_count = 0;
    s->root_count = 0;
    model_forget(m);
    stale_switch_root(s, m, regs);
}

void stale_flush_pcid(struct stale *s, struct model *m, uint16_t pcid)
{
    s->by_pcid[pcid] = m->now++;
}

void stale_flush_nonglobal(struct stale *s, struct model *m)
{
    for (unsigned i = 0; i < ARRAY_SIZE(s->by_pcid); i++)
        s->by_pcid[i] = m->now;
    m->now++;
}

static void add_page(struct stale *s, struct stale_page page)
{
    for (unsigned i = 0; i < s->page_count; i++) {
        struct stale_page *p = &s->pages[i];

        if (p->page == page.page && p->pcid == page.pcid && p->global == page.global &&
            p->small == page.small) {
            *p = page;
            return;
        }
    }
    s->pages[s->page_count++] = page;
}

void stale_flush_page(struct stale *s, struct model *m, uint16_t pcid, gva_t gva, bool global)
{
    add_page(s, (struct stale_page){gva / PAGE_SIZE, m->now++, pcid, global, false});
}

void stale_page_fault(struct stale *s, struct model *m, uint16_t pcid, gva_t gva)
{
    add_page(s, (struct stale_page){gva / PAGE_SIZE, m->now++, pcid, false, true});
}

void stale_switch_root(struct stale *s, struct model *m, const struct naive_regs *regs)
{
    struct stale_root root = {.cr3 = regs->cr3, .end = UINT64_MAX, .pcid = stale_pcid(regs)};

    for (unsigned i = 0; i < s->root_count; i++) {
        if (s->roots[i].end == UINT64_MAX)
            s->roots[i].end = m->now;
    }
    m->now++;
    memcpy(root.pdpte, regs->pdpte, sizeof(root.pdpte));
    s->roots[s->root_count++] = root;
}

/* One search. */
struct search {
    const struct stale *stale;
    const struct model *model;
    struct naive_regs regs; /* with the root that is being looked at */
    const struct naive_access *access;
    uint16_t pcid, root_pcid;
    gpa_t *gpas;
    int found;
    unsigned nodes;
};

/* Since when translations of a page of this size around gva may be remembered. */
static uint64_t valid_since(const struct search *q, const struct naive_walk *walk, bool global)
{
    const struct stale *s = q->stale;
    uint64_t since = global ? s->all : MAX(s->all, s->by_pcid[q->pcid]);
    uint64_t pages = walk->page_bytes / PAGE_SIZE;

    for (unsigned i = 0; i < s->page_count; i++) {
        const struct stale_page *page = &s->pages[i];

        if (page->small ? page->page != walk->gva / PAGE_SIZE
                        : page->page / pages != walk->gva / PAGE_SIZE / pages)
            continue;
        if (global ? page->global : page->global || page->pcid == q->pcid)
            since = MAX(since, page->time);
    }
    return since;
}

static void take_leaf(struct search *q, const struct naive_walk *walk, uint64_t end)
{
    bool global = walk->global && (q->regs.cr4 & CR4_PGE);
    gpa_t gpa = walk->gpa & q->regs.a20_mask;

    if (!global && q->root_pcid != q->pcid)
        return;
    if (end <= valid_since(q, walk, global) || !naive_allowed(&q->regs, walk, q->access))
        return;
    for (int i = 0; i < q->found; i++) {
        if (q->gpas[i] == gpa)
            return;
    }
    if (q->found < STALE_MAX_HITS)
        q->gpas[q->found++] = gpa;
}

static void follow(struct search *q, const struct naive_walk *walk, uint64_t end);

static void follow_value(struct search *q, const struct naive_walk *walk, uint64_t value,
                         uint64_t end)
{
    struct naive_walk next = *walk;
    enum naive_step step;

    if (++q->nodes > MAX_NODES)
        return;
    step = naive_take(&q->regs, &next, value);
    if (step == NAIVE_ABSENT || step == NAIVE_RESERVED || !(value & NAIVE_ACCESSED))
        return;
    if (step == NAIVE_MORE)
        follow(q, &next, end);
    else if (!q->access->write || (value & NAIVE_DIRTY))
        take_leaf(q, &next, end);
}

/* Each value that the entry has had. */
static void follow(struct search *q, const struct naive_walk *walk, uint64_t end)
{
    const struct model *m = q->model;
    gpa_t at = naive_entry_gpa(&q->regs, walk);
    unsigned bytes = naive_entry_bytes(&q->regs);
    const struct model_past *past = NULL;

    /* Where no bit can be set, none is waited for. */
    if (model_kind(m, at) != MODEL_RAM) {
        uint64_t value = model_entry((void *)m, at, bytes);

        follow_value(q, walk, value | NAIVE_ACCESSED | NAIVE_DIRTY, end);
        return;
    }
    follow_value(q, walk, model_entry((void *)m, at, bytes), end);
    while ((past = model_past(m, at / 8, past))) {
        uint64_t value = past->value;

        if (bytes == 4)
            value = (uint32_t)(value >> (at & 4 ? 32 : 0));
        follow_value(q, walk, value, MIN(end, past->end));
    }
}

int stale_hits(const struct stale *s, const struct model *m, const struct naive_regs *regs,
               gva_t gva, const struct naive_access *access, gpa_t gpas[STALE_MAX_HITS])
{
    struct search q = {.stale = s,
                       .model = m,
                       .regs = *regs,
                       .access = access,
                       .pcid = stale_pcid(regs),
                       .gpas = gpas};

    if (naive_format(regs) == NAIVE_OFF)
        return 0;
    for (unsigned i = 0; i < s->root_count; i++) {
        const struct stale_root *root = &s->roots[i];
        struct naive_walk walk;

        q.regs.cr3 = root->cr3;
        memcpy(q.regs.pdpte, root->pdpte, sizeof(q.regs.pdpte));
        q.root_pcid = root->pcid;
        if (naive_begin(&q.regs, gva, &walk) == NAIVE_MORE)
            follow(&q, &walk, root->end);
    }
    return q.nodes > MAX_NODES ? -1 : q.found;
}
