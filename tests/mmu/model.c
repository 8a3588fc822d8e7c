/* The model's memory and its past. */
#include "model.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGES (MODEL_BYTES / PAGE_SIZE)

bool model_init(struct model *m)
{
    memset(m, 0, sizeof(*m));
    m->bytes = mmap(NULL, MODEL_BYTES, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    m->touched = malloc(PAGES * sizeof(*m->touched));
    m->is_touched = calloc(PAGES, 1);
    m->now = 1;
    m->hot = true;
    return m->bytes != MAP_FAILED && m->touched && m->is_touched;
}

void model_fini(struct model *m)
{
    munmap(m->bytes, MODEL_BYTES);
    free(m->touched);
    free(m->is_touched);
}

static bool inside(gpa_t gpa, gpa_t base, uint64_t bytes)
{
    return gpa >= base && gpa - base < bytes;
}

enum model_kind model_kind(const struct model *m, gpa_t gpa)
{
    if (inside(gpa, MODEL_ROM_BASE, MODEL_ROM_BYTES))
        return MODEL_ROM;
    if (inside(gpa, MODEL_HOT_BASE, MODEL_HOT_BYTES))
        return m->hot ? MODEL_RAM : MODEL_NOTHING;
    if (inside(gpa, MODEL_LOW_BASE, MODEL_LOW_BYTES) ||
        inside(gpa, MODEL_HIGH_BASE, MODEL_HIGH_BYTES) ||
        inside(gpa, MODEL_BIG_BASE, MODEL_BIG_BYTES) ||
        inside(gpa, MODEL_FAR_BASE, MODEL_FAR_BYTES))
        return MODEL_RAM;
    return MODEL_NOTHING;
}

void model_load(const struct model *m, gpa_t gpa, void *value, unsigned len)
{
    if (model_kind(m, gpa) == MODEL_NOTHING)
        memset(value, 0xff, len);
    else
        memcpy(value, m->bytes + gpa, len);
}

static void touch(struct model *m, gpa_t gpa)
{
    uint64_t page = gpa / PAGE_SIZE;

    if (!m->is_touched[page]) {
        m->is_touched[page] = 1;
        m->touched[m->touched_count++] = (uint32_t)page;
    }
    if (m->dirty_log && inside(gpa, MODEL_LOW_BASE, MODEL_LOW_BYTES))
        m->dirty[page / 64] |= BIT(page % 64);
}

static unsigned hash(uint64_t word)
{
    return (unsigned)(word * 0x9e3779b97f4a7c15u >> 52) % MODEL_PASTS;
}

static void remember(struct model *m, uint64_t word)
{
    struct model_past *past = &m->past[m->pasts];
    uint32_t *head = &m->heads[hash(word)];

    if (m->pasts == MODEL_PASTS)
        abort(); /* the driver's mistake */
    *past = (struct model_past){.word = word, .end = m->now, .next = *head};
    memcpy(&past->value, m->bytes + word * 8, 8);
    *head = ++m->pasts;
}

void model_put(struct model *m, gpa_t gpa, const void *value, unsigned len)
{
    touch(m, gpa);
    memcpy(m->bytes + gpa, value, len);
}

void model_store(struct model *m, gpa_t gpa, const void *value, unsigned len)
{
    if (model_kind(m, gpa) != MODEL_RAM)
        return;
    for (uint64_t word = gpa / 8; word <= (gpa + len - 1) / 8; word++)
        remember(m, word);
    model_put(m, gpa, value, len);
}

void model_or(struct model *m, gpa_t gpa, uint8_t bits)
{
    if (bits == 0 || model_kind(m, gpa) != MODEL_RAM)
        return;
    touch(m, gpa);
    m->bytes[gpa] |= bits;
}

void model_meant(struct model *m, gpa_t gpa)
{
    if (inside(gpa, MODEL_LOW_BASE, MODEL_LOW_BYTES))
        m->meant[gpa / PAGE_SIZE / 64] |= BIT(gpa / PAGE_SIZE % 64);
}

uint64_t model_entry(void *opaque, gpa_t gpa, unsigned bytes)
{
    uint64_t value = 0;

    model_load(opaque, gpa, &value, bytes);
    return value;
}

const struct model_past *model_past(const struct model *m, uint64_t word,
                                    const struct model_past *prev)
{
    uint32_t i = prev ? prev->next : m->heads[hash(word)];

    while (i && m->past[i - 1].word != word)
        i = m->past[i - 1].next;
    return i ? &m->past[i - 1] : NULL;
}

void model_forget(struct model *m)
{
    if (m->pasts)
        memset(m->heads, 0, sizeof(m->heads));
    m->pasts = 0;
}

void model_set_hot(struct model *m, bool present)
{
    if (present)
        memset(m->bytes + MODEL_HOT_BASE, 0, MODEL_HOT_BYTES);
    m->hot = present;
}
