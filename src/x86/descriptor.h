/*
 * Descriptors as the tables hold them, turned into segments and gates, and the rights that they
 * give, as predicates. Pure functions over values: nothing here reads guest memory, raises an
 * exception or knows the current privilege level.
 * Source: SDM 3 "Segment Descriptors", "System-Segment and Gate-Descriptor Types", "Call Gates",
 * "64-Bit Mode IDT", "Limit Checking".
 */
#ifndef UMBRA_X86_DESCRIPTOR_H
#define UMBRA_X86_DESCRIPTOR_H

#include "x86/state.h"

#define X86_SELECTOR_RPL   0x0003
#define X86_SELECTOR_LDT   0x0004
#define X86_SELECTOR_INDEX 0xfff8 /* also the byte offset of the descriptor in its table */
#define X86_SELECTOR_ERROR 0xfffc /* the part of a selector that an error code holds */

/* The low bits of an error code that names a descriptor (SDM 3 "Error Code"). */
#define X86_ERROR_EXT BIT(0) /* an event outside the program caused it */
#define X86_ERROR_IDT BIT(1) /* the index is one of the IDT's */

/* Byte 5 of a descriptor holds type, S, DPL and P: where accessed and busy bits are set. */
#define X86_DESCRIPTOR_RIGHTS_BYTE 5

/* A gate of the GDT, LDT or IDT. */
struct x86_gate {
    uint64_t offset; /* of the entry point; 0 in a task gate */
    uint16_t selector;
    uint8_t type; /* enum x86_system_type, with the S bit above it: 16 and up are no gates */
    uint8_t dpl;
    uint8_t ist;    /* 0 to 7, IDT of long mode only */
    uint8_t params; /* 0 to 31 stack slots that a legacy call gate copies */
    bool present;
};

/* Whether a selector is one of the four null selectors. */
static inline bool x86_selector_null(uint16_t selector)
{
    return !(selector & X86_SELECTOR_ERROR);
}

static inline unsigned x86_selector_rpl(uint16_t selector)
{
    return selector & X86_SELECTOR_RPL;
}

/* The attr field (see struct x86_segment) of a descriptor's low 8 bytes. */
static inline uint16_t x86_descriptor_attr(uint64_t low)
{
    return (low >> 40) & 0xf0ff;
}

static inline bool x86_attr_present(uint16_t attr)
{
    return attr & X86_SEG_P;
}

static inline unsigned x86_attr_dpl(uint16_t attr)
{
    return (attr & X86_SEG_DPL) >> X86_SEG_DPL_SHIFT;
}

/* Code or data, not a system segment or gate. */
static inline bool x86_attr_is_code(uint16_t attr)
{
    return (attr & (X86_SEG_S | X86_SEG_CODE)) == (X86_SEG_S | X86_SEG_CODE);
}

static inline bool x86_attr_is_data(uint16_t attr)
{
    return (attr & (X86_SEG_S | X86_SEG_CODE)) == X86_SEG_S;
}

static inline bool x86_attr_is_conforming(uint16_t attr)
{
    return x86_attr_is_code(attr) && (attr & X86_SEG_CONFORM);
}

static inline bool x86_attr_is_readable(uint16_t attr)
{
    return x86_attr_is_data(attr) || (x86_attr_is_code(attr) && (attr & X86_SEG_READ));
}

static inline bool x86_attr_is_writable(uint16_t attr)
{
    return x86_attr_is_data(attr) && (attr & X86_SEG_WRITE);
}

/* Whether attr is that of a system segment or gate of this type. */
static inline bool x86_attr_is_system(uint16_t attr, enum x86_system_type type)
{
    return (attr & (X86_SEG_S | X86_SEG_TYPE)) == type;
}

/* A task state segment, busy or not, 16 or 32 (64) bits. */
static inline bool x86_attr_is_tss(uint16_t attr)
{
    return (attr & (X86_SEG_S | 0x5)) == 0x1;
}

static inline bool x86_attr_tss_busy(uint16_t attr)
{
    return attr & 0x2;
}

/* A 32-bit (in long mode 64-bit) system descriptor; 286 ones have bit 3 of the type clear. */
static inline bool x86_attr_system_wide(uint16_t attr)
{
    return attr & 0x8;
}

/* Whether a code segment runs 64-bit code once long mode is active. */
static inline bool x86_attr_is_long(uint16_t attr)
{
    return attr & X86_SEG_L;
}

/*
 * A data or readable code segment may be loaded into DS, ES, FS, GS (or probed by LSL, VERR ...)
 * only at this or a more privileged level; conforming code is open to all.
 */
static inline bool x86_attr_reachable(uint16_t attr, unsigned cpl, unsigned rpl)
{
    return x86_attr_is_conforming(attr) || (x86_attr_dpl(attr) >= cpl && x86_attr_dpl(attr) >= rpl);
}

/* A segment register's content after it was loaded with this descriptor; base is 32 bits. */
struct x86_segment x86_segment_parse(uint64_t low, uint16_t selector);

/* The same of a 16-byte system descriptor of long mode (LDT, TSS): base is 64 bits. */
struct x86_segment x86_segment_parse_wide(uint64_t low, uint64_t high, uint16_t selector);

/* What a null selector leaves in a segment register: unusable, of that DPL. */
struct x86_segment x86_segment_null(uint16_t selector, unsigned dpl);

/*
 * A gate's 8 bytes, for legacy modes. A 286 gate's offset is 16 bits, whatever its last word holds;
 * a task gate has none.
 */
struct x86_gate x86_gate_parse(uint64_t low);

/* A gate's 16 bytes, for long mode; there each gate has a 64-bit offset. */
struct x86_gate x86_gate_parse_wide(uint64_t low, uint64_t high);

/*
 * Whether [offset, offset + size) lies inside the segment's limit: below it, or above it and up to
 * 64 KiB or 4 GiB (by the B bit) in an expand-down data segment. offset is at most 32 bits wide.
 */
bool x86_segment_holds(const struct x86_segment *seg, uint64_t offset, unsigned size);

/* What masks the stack pointer of a stack segment outside 64-bit mode. */
static inline uint64_t x86_stack_mask(const struct x86_segment *ss)
{
    return ss->attr & X86_SEG_DB ? 0xffffffff : 0xffff;
}

#endif
