/*
 * Where things lie in the guest of the random programs. For C and assembly.
 *
 *   guest-physical       what
 *   1000 ...... 1FFFF    page tables                     28000 .. 2BFFF  stacks of the kernel
 *   20000 ..... 21FFF    kernel.S                        2C000 .. 2DFFF  of interrupts: not
 * compared 22000 ..... 25FFF    IDT, GDT, TSS, kernel's data    30000 .. 3FFFF  the log 26000 .....
 * 27FFF    where faults go on              40000 .. 7FFFF  the region: 64 pages
 *
 * The region is mapped in four windows: its code runs at four addresses, and what it says of data
 * relative to RIP holds in each.
 */
#ifndef UMBRA_TESTS_DBT_LAYOUT_H
#define UMBRA_TESTS_DBT_LAYOUT_H

#define GPA_PML4_A     0x1000
#define GPA_PML4_B     0x2000
#define GPA_LOW_A      0x3000 /* PDPT, page directory and page table, a page each; so the others */
#define GPA_LOW_B      0x6000
#define GPA_EDGE       0x9000
#define GPA_HIGH       0xc000
#define GPA_SYS_PT     0xf000
#define GPA_TOP        0x10000
#define PT             0x2000 /* from there to the page table */
#define GPA_KERNEL     0x20000
#define GPA_IDT        0x22000
#define GPA_GDT        0x23000
#define GPA_TSS        0x24000
#define GPA_DATA       0x25000
#define GPA_GO_USER    0x26000 /* tables of addresses, GO_ON of them, for each privilege */
#define GPA_GO_KERNEL  0x27000
#define GPA_FAULTS_TOP 0x29000
#define GPA_CALLS_TOP  0x2a000
#define GPA_UNCOMPARED 0x2c000
#define GPA_INTR_TOP   0x2cf00
#define GPA_NMI_TOP    0x2df00
#define GPA_EVENTS     0x2dff8 /* interrupts taken */
#define GPA_COMPARED   0x2e000
#define GPA_LOG        0x30000
#define GPA_REGION     0x40000
#define GPA_END        0x80000
#define GPA_MMIO       0x10000000

#define GO_ON     256
#define LOG_SLOTS 2048
#define LOG_SHIFT 5

#define SYS      0xffff800000400000 /* guest-physical 0 to GPA_REGION, supervisor, global */
#define SYS_MMIO (SYS + 0x80000)
#define LOW      0x400000 /* for users; each address space has its own */
#define LOW_MMIO (LOW + 0x80000)
#define EDGE     0x7ffffffc0000     /* for users, up to the last canonical byte; code read-only */
#define HIGH     0xffff800000200000 /* supervisor, global */
#define TOP      0xfffffffffffc0000 /* supervisor, up to the last byte; code read-only */

#define REGION_PAGES 64
#define STACK_TOP    0x2f800 /* in the region */

/* The kernel's variables, from GPA_DATA. */
#define VAR_LOG    0x00
#define VAR_GO     0x08
#define VAR_STEPS  0x10
#define VAR_BREAKS 0x18
#define VAR_FIXED  0x20

#define SEL_KERNEL_CS 0x10
#define SEL_KERNEL_SS 0x18
#define SEL_USER_SS   0x2b
#define SEL_USER_CS   0x33
#define SEL_TSS       0x40

#define VECTOR_INTR 0x40
#define VECTOR_CALL 0x80
#define VECTOR_END  0x81

#define LAZY_PAGE 17 /* of the region: the kernel maps it at a page fault */

#endif
