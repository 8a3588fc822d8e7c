/*
 * Finding, linking, running and dropping translations.
 *
 * Code memory is a ring: the oldest translations make room for new ones. Jumps are
 * patched while no translated code of the vCPU runs, through another view of the same memory: the
 * host's instruction caches are kept coherent by physical address.
 */
#include <asm/prctl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/assert.h"
#include "engine/dbt/internal.h"
#include "engine/soft/native.h"
#include "engine/soft/paging.h"

#define CODE_BYTES (64 * MIB)

/*
 * A guest decides how many jumps lead to one place, and at how many linear addresses one block
 * runs. Real programs stay far below both.
 */
#define LINKS_MAX        4096
#define TRANSLATIONS_MAX 16

_Static_assert(ENGINE_TRANSLATE_MIN_BYTES >= DBT_ROOM_BYTES + 32 * KIB, "some blocks fit");

int dbt_create(struct cpu *cpu, size_t code_bytes)
{
    struct dbt *dbt = calloc(1, sizeof(*dbt));
    int err;

    if (!dbt)
        return -ENOMEM;
    err = execmem_init(&dbt->code, code_bytes ? code_bytes : CODE_BYTES);
    if (!err)
        err = dbt_emit_thunks(cpu, dbt);
    if (err) {
        execmem_fini(&dbt->code);
        free(dbt);
        return err;
    }
    dbt->max_record_bytes = dbt->code.size_bytes; /* a record is about as large as its code */
    cpu->dbt_closed = DBT_NO_VECTORS;
    cpu->dbt = dbt;
    return 0;
}

_Static_assert(sizeof(struct dbt_jump) == 1 << DBT_JUMP_SHIFT, "a jump is indexed by a shift");

/*
 * A jump's place in the table is given by the low bits of its address: there the tag has context
 * and generation. So no two addresses have the same tag, canonical or not.
 */
#define TAG_GENERATIONS (DBT_JUMPS >> CONTEXT_BITS)

/* The tag of no address at that place: no context has all bits set. */
static uint64_t no_tag(size_t place)
{
    return UINT64_MAX ^ place;
}

static void clear_jump_tags(struct cpu *cpu)
{
    for (unsigned i = 0; i < DBT_JUMPS; i++)
        cpu->dbt_jumps[i].tag = no_tag(i);
}

static struct dbt_jump *jump_of(struct cpu *cpu, gva_t linear)
{
    return &cpu->dbt_jumps[linear % DBT_JUMPS];
}

static void unlink_site(struct site *site)
{
    ASSERT(*site->link == site, "a linked jump is in the list of its target");
    *site->link = site->next;
    if (site->next)
        site->next->link = site->link;
    site->to->incoming_count--;
    site->to = NULL;
    patch_jump(site->jump, site->slow);
}

static void link_site(struct site *site, struct host_block *to)
{
    if (to->incoming_count >= LINKS_MAX)
        unlink_site(to->incoming);
    to->incoming_count++;
    site->to = to;
    site->next = to->incoming;
    site->link = &to->incoming;
    if (site->next)
        site->next->link = &site->next;
    to->incoming = site;
    patch_jump(site->jump, site->flags_in_host ? to->entry_host : to->entry_memory);
}

static void forget(struct cpu *cpu, struct host_block *t)
{
    struct dbt *dbt = cpu->dbt;
    struct dbt_jump *jump = jump_of(cpu, t->linear);

    if (jump->to == t) {
        jump->tag = no_tag((size_t)(jump - cpu->dbt_jumps));
        jump->to = NULL;
    }
    while (t->incoming)
        unlink_site(t->incoming);
    for (unsigned i = 0; i < t->sites; i++) {
        if (t->site[i].to)
            unlink_site(&t->site[i]);
        if (dbt->pending == &t->site[i])
            dbt->pending = NULL;
    }
    if (t->newer)
        t->newer->older = t->older;
    else
        dbt->newest = t->older;
    if (t->older)
        t->older->newer = t->newer;
    else
        dbt->oldest = t->newer;
}

/* Takes one translation from its block, which stays. */
static void drop(struct cpu *cpu, struct host_block *t)
{
    struct host_block **link = &t->block->translations;

    while (*link != t)
        link = &(*link)->next;
    *link = t->next;
    forget(cpu, t);
    cpu->dbt->record_bytes -= DBT_RECORD_BYTES;
    cpu->counters.translation_record_bytes = cpu->dbt->record_bytes;
    free(t);
    cpu->counters.translations_dropped++;
}

void dbt_drop(struct cpu *cpu, struct block *block)
{
    while (block->translations)
        drop(cpu, block->translations);
}

static bool lies_within(const struct host_block *t, const uint8_t *from, const uint8_t *end)
{
    return t && t->start >= from && t->start < end;
}

/*
 * Room for one more translation: code memory is a ring, and what stands in the way are the oldest
 * ones. So nothing ever waits for all of them to go.
 */
static void make_room(struct cpu *cpu)
{
    struct dbt *dbt = cpu->dbt;
    struct execmem *code = &dbt->code;
    const uint8_t *at = code->write + code->used_bytes, *end = code->write + code->size_bytes;

    if (code->size_bytes - code->used_bytes < DBT_ROOM_BYTES) {
        while (lies_within(dbt->oldest, at, end))
            drop(cpu, dbt->oldest);
        code->used_bytes = dbt->first_used;
        at = code->write + code->used_bytes;
        cpu->counters.translation_flushes++;
    }
    while (lies_within(dbt->oldest, at, at + DBT_ROOM_BYTES) ||
           (dbt->oldest && dbt->record_bytes >= dbt->max_record_bytes))
        drop(cpu, dbt->oldest);
}

/* A block at many linear addresses keeps the translations that were made last. */
static void cut_translations(struct cpu *cpu, struct block *block)
{
    struct host_block *last = block->translations;
    unsigned count = 1;

    for (; last && last->next; count++)
        last = last->next;
    if (last && count >= TRANSLATIONS_MAX)
        drop(cpu, last);
}

void dbt_destroy(struct cpu *cpu)
{
    if (!cpu->dbt)
        return;
    while (cpu->dbt->oldest)
        drop(cpu, cpu->dbt->oldest);
    execmem_fini(&cpu->dbt->code);
    free(cpu->dbt);
    cpu->dbt = NULL;
}

void dbt_claim_thread(struct cpu *cpu)
{
    long err = syscall(SYS_arch_prctl, ARCH_SET_GS, (unsigned long)cpu);

    ASSERT(err == 0, "a thread's GS base is its own to set");
}

/* Whether the segments that 32-bit code uses all the time are flat, and so is its stack. */
static bool flat(const struct cpu *cpu)
{
    const uint32_t data = 1u << X86_ES | 1u << X86_SS | 1u << X86_DS;

    return (cpu->seg_flat_write & data) == data &&
           (cpu->seg_flat_read & (data | 1u << X86_CS)) == (data | 1u << X86_CS) &&
           cpu->x.seg[X86_CS].limit == UINT32_MAX && cpu->stack_mask == UINT32_MAX &&
           !(cpu->seg_base[X86_ES] | cpu->seg_base[X86_CS] | cpu->seg_base[X86_SS] |
             cpu->seg_base[X86_DS]);
}

static uint8_t context_of(const struct cpu *cpu)
{
    bool debugged = cpu->debug.breakpoints || cpu->debug.watchpoints;
    uint32_t both = cpu->seg_flat_read & cpu->seg_flat_write;
    unsigned context = cpu->tlb_kind;

    if (!cpu->dbt || cpu->single_step || debugged || cpu->tlb == cpu->tlb_tables[TLB_NEVER])
        return DBT_NEVER;
    if (cpu->long64)
        return (uint8_t)(context | CONTEXT_WIDE | CONTEXT_FS | CONTEXT_GS);
    if ((cpu->mode != X86_MODE_PROT32 && cpu->mode != X86_MODE_COMPAT32) || !flat(cpu))
        return DBT_NEVER;
    if (both & 1u << X86_FS)
        context |= CONTEXT_FS;
    if (both & 1u << X86_GS)
        context |= CONTEXT_GS;
    return (uint8_t)context;
}

void dbt_update(struct cpu *cpu)
{
    uint64_t generation = (uint32_t)cpu->fetch_key >> 8;

    cpu->dbt_context = context_of(cpu);
    cpu->dbt_jump_tag = (generation % TAG_GENERATIONS) << CONTEXT_BITS |
                        (cpu->dbt_context & ((1u << CONTEXT_BITS) - 1));
}

/* The tag holds a part of the generation only: once that has begun anew, old entries must go. */
void dbt_forget_addresses(struct cpu *cpu, uint64_t before, uint64_t now)
{
    if (before / TAG_GENERATIONS != now / TAG_GENERATIONS)
        clear_jump_tags(cpu);
}

/* Makes the jump by which code was left lead to where the guest went. */
static void link_pending(struct cpu *cpu, struct host_block *t)
{
    struct site *site = cpu->dbt->pending;
    uint32_t key = (uint32_t)cpu->fetch_key;

    cpu->dbt->pending = NULL;
    if (!site || site->target != t->linear || site->from->context != t->context)
        return;
    /* The page may lead elsewhere by now: what runs in the old frame may come back there. */
    if (!site->key && (site->from->block->gpa ^ t->block->gpa) & PAGE_MASK)
        return;
    if (site->key)
        memcpy(site->key, &key, sizeof(key));
    if (site->to == t)
        return;
    if (site->to)
        unlink_site(site);
    link_site(site, t);
}

static struct host_block *make(struct cpu *cpu, struct block *block, gva_t linear)
{
    if (block->second_page != BLOCK_ONE_PAGE || block->interpret_only ||
        ++block->runs < cpu->translate_after)
        return NULL;
    cut_translations(cpu, block);
    make_room(cpu);
    return translate(cpu, block, linear);
}

/* Code is left for a translation that is known to be the right one now. */
static struct host_block *arrive(struct cpu *cpu, struct dbt_jump *jump, struct host_block *t)
{
    link_pending(cpu, t);
    jump->tag = t->linear ^ cpu->dbt_jump_tag;
    jump->code = (uintptr_t)t->entry_memory + (uintptr_t)cpu->dbt->to_exec;
    jump->to = t;
    return t;
}

struct host_block *dbt_find_again(struct cpu *cpu)
{
    gva_t linear = cpu->x.gpr[X86_RIP] &= cpu->ip_mask;
    struct dbt_jump *jump = jump_of(cpu, linear);
    struct host_block *t = jump->to;
    gpa_t gpa;

    if (!t || t->linear != linear || t->context != cpu->dbt_context || t->block->mode != cpu->mode)
        return NULL;
    if (jump->tag != (linear ^ cpu->dbt_jump_tag)) {
        if (!tlb_fetch(cpu, cpu->cpl == 3 ? TLB_USER : TLB_SUPER, linear, &gpa) ||
            gpa != t->block->gpa)
            return NULL;
        block_note_found(cpu, linear);
    }
    return arrive(cpu, jump, t);
}

struct host_block *dbt_find(struct cpu *cpu, struct block *block)
{
    gva_t linear = cpu->x.gpr[X86_RIP];
    struct host_block *t = block->translations;

    while (t && (t->linear != linear || t->context != cpu->dbt_context))
        t = t->next;
    if (!t)
        t = make(cpu, block, linear);
    if (t)
        return arrive(cpu, jump_of(cpu, linear), t);
    cpu->dbt->pending = NULL;
    return NULL;
}

enum step dbt_run(struct cpu *cpu, struct host_block *t)
{
    uint64_t before = cpu->counters.instructions;
    enum step step;

    cpu->dbt_site = NULL;
    step = (enum step)cpu->dbt->enter(t->entry_memory + cpu->dbt->to_exec);
    cpu->counters.translated_instructions += cpu->counters.instructions - before;
    cpu->counters.translation_entries++;
    cpu->dbt->pending = cpu->dbt_site;
    if (cpu->dbt_site)
        cpu->x.gpr[X86_RIP] = cpu->dbt_site->target;
    return step;
}

void dbt_uncount(struct cpu *cpu, const struct op *from, const struct op *to)
{
    cpu->counters.instructions -= (uint64_t)(to - from);
    if (likely(!cpu->host.host_ns))
        return;
    for (; from < to; from++)
        cpu->counters.tlb_lookups -= from->lookups;
}

/*
 * Runs an instruction; 0: the translation may go on, if it wants to. It may not where mappings, the
 * mode or the context are others than before: what it takes for granted holds no longer. Segment
 * loads are in the middle of a block and seldom change the context, so this is looked at here and
 * not when code is translated.
 */
static uint64_t run_step(struct cpu *cpu, const struct op *op, bool wants)
{
    uint64_t next = cpu->x.gpr[X86_RIP], key = cpu->fetch_key;
    unsigned len = op->len; /* 0 once the block is dropped */
    uint8_t context = cpu->dbt_context;
    enum step step = op->fn(cpu, op);

    cpu->counters.translation_helpers++;
    if (likely(step == STEP_NEXT && wants && cpu->dbt_context == context && cpu->fetch_key == key &&
               !block_dropped(cpu)))
        return 0;
    dbt_uncount(cpu, op + 1, op + 1 + op->left);
    if (step == STEP_AGAIN || (step == STEP_FAULT && !cpu->fault.is_trap))
        cpu->x.gpr[X86_RIP] = next - len;
    cpu->dbt_site = NULL;
    return step == STEP_NEXT ? STEP_JUMP : step;
}

uint64_t dbt_step(struct cpu *cpu, const struct op *op)
{
    return run_step(cpu, op, true);
}

uint64_t dbt_enter_vectors(struct cpu *cpu, const struct op *op)
{
    return native_vector_ready(cpu, op) ? 0 : run_step(cpu, op, false);
}
