/*
 * The block cache: decoding and finding.
 *
 * DEVIATION: code is fetched from slots only; where there is none, from MMIO too, it reads as ones.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/soft/block_internal.h"
#include "engine/soft/debug.h"
#include "engine/soft/native.h"

/* Where decoding reads: the rest of the first page, and the second page once it is needed. */
struct fetch {
    struct cpu *cpu;
    gva_t linear;
    gpa_t gpa;
    uint64_t room;     /* bytes to the end of the page or of the CS limit */
    bool limited;      /* room is the limit's, not the page's */
    gpa_t second_page; /* BLOCK_ONE_PAGE until fetched */
    uint8_t bytes[PAGE_SIZE + X86_INSN_MAX_BYTES];
};

static enum step fetch_begin(struct fetch *fetch, struct cpu *cpu)
{
    uint64_t ip = cpu->x.gpr[X86_RIP];
    const struct x86_segment *cs = &cpu->x.seg[X86_CS];
    enum step step;

    fetch->cpu = cpu;
    fetch->second_page = BLOCK_ONE_PAGE;
    fetch->limited = false;
    if (cpu->long64) {
        fetch->linear = ip;
        if (!x86_canonical(ip))
            return cpu_raise_error(cpu, X86_GP, 0);
    } else {
        fetch->linear = (uint32_t)(cs->base + ip);
        if (ip > cs->limit)
            return cpu_raise_error(cpu, X86_GP, 0);
    }
    step = paging_fetch(cpu, fetch->linear, &fetch->gpa);
    if (step)
        return step;
    fetch->room = PAGE_SIZE - (fetch->linear & ~PAGE_MASK);
    if (!cpu->long64 && (uint64_t)cs->limit - ip + 1 < fetch->room) {
        fetch->room = (uint64_t)cs->limit - ip + 1;
        fetch->limited = true;
    }
    mem_read(cpu->mem, fetch->gpa, fetch->bytes, fetch->room);
    return STEP_NEXT;
}

/* Appends the first bytes of the next page, for an instruction that crosses into it. */
static enum step fetch_second(struct fetch *fetch)
{
    struct cpu *cpu = fetch->cpu;
    gva_t next = (fetch->linear + fetch->room) & cpu->linear_mask;
    uint64_t bytes = X86_INSN_MAX_BYTES;
    enum step step;

    if (fetch->limited)
        return cpu_raise_error(cpu, X86_GP, 0);
    if (!cpu->long64) {
        uint64_t limit = cpu->x.seg[X86_CS].limit;
        uint64_t used = cpu->x.gpr[X86_RIP] + fetch->room;

        if (used > limit)
            return cpu_raise_error(cpu, X86_GP, 0);
        bytes = MIN(bytes, limit - used + 1);
    } else if (!x86_canonical(next)) {
        return cpu_raise_error(cpu, X86_GP, 0);
    }
    step = paging_fetch(cpu, next, &fetch->second_page);
    if (step)
        return step;
    mem_read(cpu->mem, fetch->second_page, fetch->bytes + fetch->room, bytes);
    fetch->room += bytes;
    return STEP_NEXT;
}

static enum step op_too_long(struct cpu *cpu, const struct op *op)
{
    return cpu_raise_error(cpu, X86_GP, 0);
}

static void make_undecodable(struct op *op, enum x86_decode_result result)
{
    *op = (struct op){
        .fn = result == X86_DECODE_TOO_LONG ? op_too_long : op_undefined,
        .len = 1,
        .flags = OP_ENDS,
        .mnemonic = ZYDIS_MNEMONIC_INVALID,
    };
}

/*
 * Decodes into ops until something ends the block. Returns the number of ops; 0 with *step set when
 * not even the first instruction can be fetched.
 */
static unsigned decode_ops(struct fetch *fetch, struct op *ops, uint64_t *bytes, enum step *step)
{
    struct binder_input in = {.cpu = fetch->cpu, .mode = fetch->cpu->mode};
    struct x86_insn insn;
    unsigned count = 0;
    uint64_t at = 0;

    in.insn = &insn;
    while (count < BLOCK_MAX_OPS && at < fetch->room) {
        enum x86_decode_result result =
            x86_decode(&insn, in.mode, fetch->bytes + at, fetch->room - at);

        if (count > 0 && debug_breakpoint_at(fetch->cpu, fetch->linear + at))
            break; /* so that the loop comes by */
        if (result == X86_DECODE_MORE) {
            if (count > 0)
                break; /* gets a block of its own when it is reached */
            *step = fetch_second(fetch);
            if (*step)
                return 0;
            result = x86_decode(&insn, in.mode, fetch->bytes + at, fetch->room - at);
        }
        if (result == X86_DECODE_MORE) {
            /* Both pages' bytes end inside it: the limit does. */
            *step = cpu_raise_error(fetch->cpu, X86_GP, 0);
            return 0;
        }
        if (result != X86_DECODE_OK) {
            /* Any of the bytes that were looked at may make it valid when it changes. */
            make_undecodable(&ops[count], result);
            at += MIN(fetch->room - at, X86_INSN_MAX_BYTES);
        } else {
            op_bind(&ops[count], &in);
            at += insn.info.length;
        }
        count++;
        if ((ops[count - 1].flags & (OP_ENDS | OP_SHADOW)) || fetch->second_page != BLOCK_ONE_PAGE)
            break;
    }
    *bytes = at;
    return count;
}

/*
 * The host gives no memory for a block: all blocks go, and the run loop tries again with what they
 * took. When there is nothing left to drop, the VM ends.
 */
static enum step out_of_memory(struct cpu *cpu)
{
    bool something = cpu->blocks->live_count > 0 || block_dropped(cpu);

    block_drop_all(cpu);
    return something ? STEP_JUMP : cpu_fail(cpu, "the host has no memory for decoded code");
}

static enum step make_block(struct cpu *cpu, struct block **out)
{
    struct op ops[BLOCK_MAX_OPS];
    struct fetch fetch;
    struct block *block;
    uint64_t bytes = 0;
    unsigned count;
    enum step step = fetch_begin(&fetch, cpu);

    if (step)
        return step;
    block_make_room(cpu);
    if (native_full(cpu))
        block_drop_all(cpu);
    count = decode_ops(&fetch, ops, &bytes, &step);
    if (count == 0)
        return step;
    block = block_new(count, bytes);
    if (!block)
        return out_of_memory(cpu);
    block->gpa = fetch.gpa;
    block->second_page = fetch.second_page;
    block->mode = cpu->mode;
    memcpy(block->ops, ops, count * sizeof(struct op));
    memcpy(&block->ops[count + 1], fetch.bytes, bytes);
    for (unsigned i = 0; i < count; i++) {
        block->lookups += ops[i].lookups;
        block->ops[i].left = (uint8_t)(count - 1 - i);
    }
    if (!block_link_new(cpu, block)) {
        free(block);
        return out_of_memory(cpu);
    }
    *out = block;
    return STEP_NEXT;
}

/* Where the instruction at the end of a page continues. */
static enum step fetch_next_page(struct cpu *cpu, gva_t linear, gpa_t *gpa)
{
    gva_t next = ((linear & PAGE_MASK) + PAGE_SIZE) & cpu->linear_mask;

    if (cpu->long64 && !x86_canonical(next))
        return cpu_raise_error(cpu, X86_GP, 0);
    return paging_fetch(cpu, next, gpa);
}

/* The first block of a hash chain that fits from `block` on, whatever its second page. */
static struct block *match(const struct cpu *cpu, struct block *block, gpa_t gpa)
{
    while (block &&
           (block->gpa != gpa || block->mode != cpu->mode || !block_fits_limit(cpu, block)))
        block = block->hash_next;
    return block;
}

/* Whether an instruction inside a block, not its first, stands at a breakpoint. */
static bool cut_by_breakpoint(const struct cpu *cpu, gva_t linear, const struct block *block)
{
    if (!debug_breakpoint_within(cpu, linear, block->bytes))
        return false;
    for (unsigned i = 0; i + 1 < block->count; i++) {
        linear += block->ops[i].len;
        if (debug_breakpoint_at(cpu, linear))
            return true;
    }
    return false;
}

/*
 * Looks in the hash, with the fetch translated; makes the block if it is not there. A walk of the
 * page tables writes to them and so may drop blocks: the chain is read from its head after one.
 */
static enum step find_by_gpa(struct cpu *cpu, gva_t linear, struct block **out)
{
    struct block **head, *block;
    gpa_t gpa, second = BLOCK_ONE_PAGE;
    enum step step;

    if (cpu->long64 ? !x86_canonical(linear) : cpu->x.gpr[X86_RIP] > cpu->x.seg[X86_CS].limit)
        return cpu_raise_error(cpu, X86_GP, 0);
    step = paging_fetch(cpu, linear, &gpa);
    if (step)
        return step;
    block_note_found(cpu, linear);
    head = block_chain(cpu->blocks, gpa, cpu->mode);
    block = match(cpu, *head, gpa);
    while (block && block->second_page != BLOCK_ONE_PAGE && block->second_page != second) {
        if (second != BLOCK_ONE_PAGE) {
            block = match(cpu, block->hash_next, gpa);
            continue;
        }
        step = fetch_next_page(cpu, linear, &second);
        if (step)
            return step;
        block = match(cpu, *head, gpa);
    }
    if (block && cut_by_breakpoint(cpu, linear, block)) {
        block_invalidate(cpu, gpa, 1); /* it is older than the breakpoint, or made elsewhere */
        block = NULL;
    }
    if (!block)
        return make_block(cpu, out);
    *out = block;
    return STEP_NEXT;
}

enum step block_find(struct cpu *cpu, struct block **out)
{
    gva_t linear = block_next_linear(cpu);
    struct jump_entry *jump = &cpu->blocks->jumps[(linear ^ linear >> 12) % BLOCK_JUMPS];
    enum step step;

    if (likely(jump->linear == linear && jump->key == cpu->fetch_key &&
               block_fits_limit(cpu, jump->block))) {
        *out = jump->block;
        return STEP_NEXT;
    }
    step = debug_arrive(cpu, linear);
    if (!step)
        step = find_by_gpa(cpu, linear, out);
    if (step)
        return step;
    if ((*out)->second_page == BLOCK_ONE_PAGE && !debug_breakpoint_at(cpu, linear))
        *jump = (struct jump_entry){linear, cpu->fetch_key, *out};
    return STEP_NEXT;
}
