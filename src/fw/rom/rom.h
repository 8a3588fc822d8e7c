/*
 * What every part of the BIOS shares: the caller's registers, ports, far memory and the BDA.
 * The BIOS is guest code for an i386 in real mode; DS, ES and SS hold the EBDA segment while C
 * runs, so near pointers reach its data and stack only. Anything of the caller's goes through
 * far_*.
 */
#ifndef UMBRA_FW_ROM_ROM_H
#define UMBRA_FW_ROM_ROM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fw/rom/segment.h"

/* The caller's registers as int_common in entry.S stores them; changes go back to the caller. */
struct regs {
    union {
        uint32_t edi;
        uint16_t di;
    };
    union {
        uint32_t esi;
        uint16_t si;
    };
    union {
        uint32_t ebp;
        uint16_t bp;
    };
    uint32_t unused;
    union {
        uint32_t ebx;
        uint16_t bx;
        struct {
            uint8_t bl, bh;
        };
    };
    union {
        uint32_t edx;
        uint16_t dx;
        struct {
            uint8_t dl, dh;
        };
    };
    union {
        uint32_t ecx;
        uint16_t cx;
        struct {
            uint8_t cl, ch;
        };
    };
    union {
        uint32_t eax;
        uint16_t ax;
        struct {
            uint8_t al, ah;
        };
    };
    uint16_t gs, fs, es, ds;
    uint16_t ip, cs, flags, filler;
    uint32_t esp; /* before the stub's 10 bytes were pushed: points below IP */
    uint16_t ss, filler2;
};

_Static_assert(offsetof(struct regs, eax) == 28 && offsetof(struct regs, ds) == 38 &&
                   offsetof(struct regs, flags) == 44 && offsetof(struct regs, esp) == 48,
               "entry.S knows these offsets");

#define FLAG_CF 0x0001
#define FLAG_ZF 0x0040
#define FLAG_IF 0x0200

/* Ports. */
static inline void outb(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline void outw(uint16_t port, uint16_t value)
{
    __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

static inline void outl(uint16_t port, uint32_t value)
{
    __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline uint8_t inb(uint16_t port)
{
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline uint16_t inw(uint16_t port)
{
    uint16_t value;
    __asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline uint32_t inl(uint16_t port)
{
    uint32_t value;
    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

/* Far memory. Each access loads FS, which the entry stub has saved. */
#define FAR_READ(bits, suffix, constraint)                                                         \
    static inline uint##bits##_t far_read##bits(uint16_t segment, uint16_t offset)                 \
    {                                                                                              \
        uint##bits##_t value;                                                                      \
        __asm__ volatile("movw %w1, %%fs\n\tmov" suffix " %%fs:(%2), %0"                           \
                         : constraint(value)                                                       \
                         : "r"(segment), "r"((uint32_t)offset)                                     \
                         : "memory");                                                              \
        return value;                                                                              \
    }
#define FAR_WRITE(bits, suffix, constraint)                                                        \
    static inline void far_write##bits(uint16_t segment, uint16_t offset, uint##bits##_t value)    \
    {                                                                                              \
        __asm__ volatile("movw %w1, %%fs\n\tmov" suffix " %0, %%fs:(%2)"                           \
                         :                                                                         \
                         : constraint(value), "r"(segment), "r"((uint32_t)offset)                  \
                         : "memory");                                                              \
    }
FAR_READ(8, "b", "=q")
FAR_READ(16, "w", "=r")
FAR_READ(32, "l", "=r")
FAR_WRITE(8, "b", "q")
FAR_WRITE(16, "w", "r")
FAR_WRITE(32, "l", "r")

/* Copies between the BIOS's data and the caller's memory; offsets wrap within the segment. */
void far_copy_out(uint16_t segment, uint16_t offset, const void *from, uint16_t bytes);
void far_copy_in(void *to, uint16_t segment, uint16_t offset, uint16_t bytes);

/* Near memory. */
void mem_set(void *to, uint8_t value, uint16_t bytes);
bool mem_equal(const void *a, const void *b, uint16_t bytes);

/* The physical address of something in the BIOS's own data. */
static inline uint32_t near_to_gpa(const void *p)
{
    return (uint32_t)EBDA_SEGMENT * 16 + (uint32_t)(uintptr_t)p;
}

/* entry.S */
struct launch {
    uint16_t ip, cs, sp, ss, data_segment, flags;
    uint32_t edx, eax;
};

void rom_enter_real(const struct launch *launch) __attribute__((noreturn));
void rom_enter_multiboot(uint32_t eip, uint32_t ebx) __attribute__((noreturn));
uint32_t rom_call_interrupt(uint32_t vector, uint32_t eax);
void rom_call_far(uint32_t segment, uint32_t offset);
void rom_idle(void);
void rom_let_interrupts_in(void);
void rom_flat_copy(uint32_t destination, uint32_t source, uint32_t bytes);
extern uint8_t call_carry; /* CF after rom_call_interrupt */

/* The fixed addresses of fixed.S and entry.S; only their offsets in ROM_SEGMENT mean anything. */
extern const char rom_iret[], rom_config_table[], rom_diskette_table[], rom_video_table[],
    rom_font[];
#define ROM_OFFSET(symbol) ((uint16_t)(uintptr_t)(symbol))

/* The result of a service: CF clear with AH = 0, or CF set with AH = the code. */
static inline void regs_set_carry(struct regs *r, bool carry)
{
    r->flags = (uint16_t)(carry ? r->flags | FLAG_CF : r->flags & ~FLAG_CF);
}

static inline void regs_return(struct regs *r, uint8_t code)
{
    r->ah = code;
    regs_set_carry(r, code != 0);
}

static inline void post_code(uint8_t code)
{
    outb(0x80, code);
}

/* Text on the screen and, where mirrored, on COM1 (print.c). */
void print_text(const char *text);
void print_hex(uint32_t value, uint8_t digits);
void print_decimal(uint32_t value);

#endif
