/*
 * Where the embedded guest keeps its things in guest-physical memory, and its selectors. For
 * assembly and C.
 *
 *     7000 ..  7BFF  stack of the 16- and 32-bit parts
 *     7C00 ..        this program
 *    10000 .. 1FFFF  page tables, taken from the front
 *    20000           the frame that the page fault on purpose is about
 *    21000           the ring-3 program's code, copied there
 *    22000           the ring-3 program's stack
 *    23000           the second address space's frame at the address of the page fault on purpose
 *    2F000 .. 2FFFF  stack of the 64-bit part (grows down)
 */
#ifndef UMBRA_FW_DEMO_LAYOUT_H
#define UMBRA_FW_DEMO_LAYOUT_H

#define DEMO_TABLES     0x10000
#define DEMO_TABLES_END 0x20000
#define DEMO_FRAME      0x20000
#define DEMO_USER_CODE  0x21000
#define DEMO_USER_STACK 0x22000
#define DEMO_FRAME_TWO  0x23000
#define DEMO_STACK_TOP  0x30000

/* Where the tables, built in 32-bit code for the step to 64 bit, stand. */
#define DEMO_PML4        0x10000
#define DEMO_PDPT        0x11000
#define DEMO_PD          0x12000
#define DEMO_PT          0x13000
#define DEMO_TABLES_FREE 0x14000

#define SELECTOR_CODE32   0x08
#define SELECTOR_DATA     0x10
#define SELECTOR_CODE64   0x18
#define SELECTOR_USERDATA 0x23
#define SELECTOR_USERCODE 0x2b
#define SELECTOR_TSS      0x30

/* Guest virtual addresses of the lesson. */
#define DEMO_FAULT_GVA      0x123456789000
#define DEMO_USER_CODE_GVA  0x400000
#define DEMO_USER_STACK_GVA 0x7ffffffff000

/* INT 80h: RAX names the call. */
#define CALL_WRITE 1 /* RSI text, RDX bytes */
#define CALL_EXIT  2 /* RDI status */

#endif
