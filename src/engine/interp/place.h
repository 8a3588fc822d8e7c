/*
 * Handlers with a memory operand. A handler is a leaf: segment without a check, one TLB comparison,
 * and then its body on the operand where it lies in guest RAM. Everything else ends in a tail call
 * that finds the operand the long way and runs the same body.
 */
#ifndef UMBRA_ENGINE_INTERP_PLACE_H
#define UMBRA_ENGINE_INTERP_PLACE_H

#include "engine/interp/operand.h"

/* What a handler does once its memory operand is at hand. */
typedef enum step (*place_fn)(struct cpu *cpu, const struct op *op, void *place);

/* Guest RAM has no alignment. */
typedef uint8_t place_uint8_t;
typedef uint16_t place_uint16_t __attribute__((aligned(1)));
typedef uint32_t place_uint32_t __attribute__((aligned(1)));
typedef uint64_t place_uint64_t __attribute__((aligned(1)));
#define PLACE(T, place) (*(place_##T *)(place))

/* Reads the operand into a copy and calls fn on it. */
enum step place_slow_read(struct cpu *cpu, const struct op *op, unsigned size, place_fn fn);

/* Opens the operand for read-modify-write, calls fn on it and closes it if fn succeeds. */
enum step place_slow_rmw(struct cpu *cpu, const struct op *op, unsigned size, place_fn fn);

/* Writes the low size bytes of value to the operand. */
enum step place_slow_write(struct cpu *cpu, const struct op *op, uint64_t value, unsigned size);

/*
 * The host address of [linear, linear + size), if the TLB has it. With the tag of its page taken
 * off an address is an offset in the page: one comparison refuses other pages and what straddles
 * two.
 */
ALWAYS_INLINE bool place_find(const struct cpu *cpu, gva_t linear, unsigned size, bool write,
                              void **place)
{
    const struct tlb_entry *e = &cpu->tlb[tlb_index(cpu, linear)];
    uint64_t offset = linear ^ (write ? e->write : e->read);

    *place = (void *)(uintptr_t)(e->host + offset);
    return likely(offset <= PAGE_SIZE - size);
}

ALWAYS_INLINE bool place_read(const struct cpu *cpu, const struct op *op, unsigned size,
                              void **place)
{
    if (unlikely(!(cpu->seg_flat_read >> op->seg & 1)))
        return false;
    return place_find(cpu, (cpu->seg_base[op->seg] + op_offset(cpu, op)) & cpu->linear_mask, size,
                      false, place);
}

ALWAYS_INLINE bool place_rmw(const struct cpu *cpu, const struct op *op, unsigned size,
                             void **place)
{
    if (unlikely(!(cpu->seg_flat_write >> op->seg & 1)))
        return false;
    return place_find(cpu, (cpu->seg_base[op->seg] + op_offset(cpu, op)) & cpu->linear_mask, size,
                      true, place);
}

/* The body of the handler `name`; MEMORY_HANDLER follows it. */
#define MEMORY_BODY(name)                                                                          \
    static inline enum step name##_at(struct cpu *cpu, const struct op *op, void *place)

/* access: read or rmw. */
#define MEMORY_HANDLER(name, access, bytes)                                                        \
    HANDLER(name)                                                                                  \
    {                                                                                              \
        void *place;                                                                               \
                                                                                                   \
        if (likely(place_##access(cpu, op, bytes, &place)))                                        \
            return name##_at(cpu, op, place);                                                      \
        return place_slow_##access(cpu, op, bytes, name##_at);                                     \
    }

/* Stores a value of type T to the memory operand and returns from the handler. */
#define MEMORY_STORE(T, value)                                                                     \
    do {                                                                                           \
        T store_value = (T)(value);                                                                \
        void *store_place;                                                                         \
                                                                                                   \
        if (unlikely(!place_rmw(cpu, op, sizeof(T), &store_place)))                                \
            return place_slow_write(cpu, op, store_value, sizeof(T));                              \
        PLACE(T, store_place) = store_value;                                                       \
        return STEP_NEXT;                                                                          \
    } while (0)

#endif
