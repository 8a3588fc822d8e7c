/*
 * The embedded guest's 64-bit parts: console, page tables, traps.
 */
#ifndef UMBRA_FW_DEMO_DEMO_H
#define UMBRA_FW_DEMO_DEMO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fw/demo/layout.h"

static inline void outb(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline void outw(uint16_t port, uint16_t value)
{
    __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t inb(uint16_t port)
{
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

/* console.c. %s text, %x number in hexadecimal, %d in decimal (both uint64_t), %f page fault error
 * code */
void console_put(char c);
void console_print(const char *format, ...);

/* paging.c */
#define PTE_PRESENT  0x001
#define PTE_WRITABLE 0x002
#define PTE_USER     0x004
#define PTE_ACCESSED 0x020
#define PTE_DIRTY    0x040

/* The root of the tables in use: loading it is the whole change of an address space. */
static inline uint64_t read_cr3(void)
{
    uint64_t v;
    __asm__ volatile("mov %%cr3, %0" : "=r"(v));
    return v;
}

static inline void write_cr3(uint64_t pml4)
{
    __asm__ volatile("mov %0, %%cr3" : : "r"(pml4) : "memory");
}

/* Maps one 4 KiB page in the tables in use; tables on the way are added as needed, with the same
 * rights. */
void paging_map(uint64_t gva, uint64_t gpa, uint64_t rights);

/* Prints what each of the four levels holds for an address, down to the first that is not present.
 */
void paging_show(uint64_t gva);

/* A new PML4, whose first entry (my own part) is that of the tables in use, and the rest empty. */
uint64_t paging_new_space(void);

/* trap.c */
struct frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
    uint64_t vector, error;
    uint64_t rip, cs, rflags, rsp, ss;
};

void trap_init(void);
void trap(struct frame *frame);
extern unsigned trap_page_faults; /* how many there were */

/* trap.S */
extern const char trap_stubs[], trap_stub_80[];
extern const char user_program[], user_program_end[];
extern const char user_forbidden_read[], user_forbidden_read_end[];
extern const char user_forbidden_hlt[], user_forbidden_hlt_end[];
uint64_t user_run(uint64_t rip, uint64_t rsp);
void user_exit(uint64_t status) __attribute__((noreturn));

/* start.S */
extern uint64_t gdt[];

/* main.c */
void demo_main(void);

#endif
