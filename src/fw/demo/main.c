/*
 * The embedded guest, 64-bit part: a lesson in memory virtualization that ends in a power-off. It
 * needs 1 MiB of memory, COM1 and the ACPI power management block.
 */
#include "mem/layout.h"
#include "x86/msr.h"
#include "fw/demo/demo.h"

#define PM1A_CONTROL    (LAYOUT_PM_BASE + 4)
#define SLP_TYP_S5      (LAYOUT_PM_SLP_TYP_S5 << 10)
#define SLP_EN          (1 << 13)
#define POWER_OFF_SPINS 1000000
#define ROUND_TRIPS     4

static uint64_t read_cr0(void)
{
    uint64_t v;
    __asm__ volatile("mov %%cr0, %0" : "=r"(v));
    return v;
}

static uint64_t read_cr4(void)
{
    uint64_t v;
    __asm__ volatile("mov %%cr4, %0" : "=r"(v));
    return v;
}

static uint64_t read_efer(void)
{
    uint32_t low, high;

    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(IA32_EFER));
    return (uint64_t)high << 32 | low;
}

static void lesson_long_mode(void)
{
    console_print("   Here I am: CR0 = %x, CR3 = %x, CR4 = %x, EFER = %x.\n", read_cr0(),
                  read_cr3(), read_cr4(), read_efer());
    console_print("   From now on I use guest-virtual addresses (GVA). The tables say which GPA\n"
                  "   each of them is. My own code, for example:\n");
    paging_show((uint64_t)(uintptr_t)demo_main);
    console_print("   GVA and GPA are the same: I mapped the first 2 MiB to themselves.\n");
}

static void lesson_page_fault(void)
{
    volatile uint64_t *page = (volatile uint64_t *)DEMO_FAULT_GVA;

    console_print("\n4. A page fault on purpose\n");
    paging_show(DEMO_FAULT_GVA);
    console_print("   I write there all the same.\n");
    *page = 0x756d627261;
    console_print("   The write has happened. The walk is complete now:\n");
    paging_show(DEMO_FAULT_GVA);
    uint64_t seen = *(volatile uint64_t *)DEMO_FRAME;
    console_print("   One frame, two names: GVA %x and GVA %x both read %x. %s\n", DEMO_FAULT_GVA,
                  (uint64_t)DEMO_FRAME, seen, seen == *page ? "Right." : "WRONG!");
}

static void lesson_ring3(void)
{
    uint8_t *to = (uint8_t *)DEMO_USER_CODE;

    console_print("\n5. A program in ring 3\n");
    for (const char *p = user_program; p < user_program_end; p++)
        *to++ = (uint8_t)*p;
    paging_map(DEMO_USER_CODE_GVA, DEMO_USER_CODE, PTE_USER);
    paging_map(DEMO_USER_STACK_GVA, DEMO_USER_STACK, PTE_USER | PTE_WRITABLE);
    paging_show(DEMO_USER_CODE_GVA);
    console_print(
        "   IRETQ with CS = %x takes me there. Only a trap brings me back: the processor\n"
        "   then takes its stack from my TSS and the entry from my IDT.\n",
        (uint64_t)SELECTOR_USERCODE);
    uint64_t status = user_run(DEMO_USER_CODE_GVA, DEMO_USER_STACK_GVA + 0x1000);
    console_print("   Back in ring 0. The program's status is %d; I have seen %d page faults.\n",
                  status, (uint64_t)trap_page_faults);
}

/* Loads CR3 to and fro, and reads the page by its one name in both spaces; true if each read was
 * right. */
static bool switch_spaces(uint64_t first, uint64_t second, uint64_t in_first, uint64_t in_second)
{
    const volatile uint64_t *page = (const volatile uint64_t *)DEMO_FAULT_GVA;
    bool right = true;

    for (unsigned i = 0; i < ROUND_TRIPS; i++) {
        write_cr3(first);
        right &= *page == in_first;
        write_cr3(second);
        right &= *page == in_second;
    }
    write_cr3(first);
    return right;
}

static void lesson_address_spaces(void)
{
    volatile uint64_t *page = (volatile uint64_t *)DEMO_FAULT_GVA;
    uint64_t first = read_cr3(), second = paging_new_space();
    uint64_t in_first = *page, in_second = 0x6f74686572;

    console_print("\n6. A second address space\n"
                  "   A second PML4 at %x shares entry 0, my own part, with the first: CR3 can\n"
                  "   change under my feet. I load CR3 with it.\n",
                  second);
    write_cr3(second);
    paging_show(DEMO_FAULT_GVA);
    console_print("   The page of step 4 is unknown here. I map its GVA to GPA %x, and write.\n",
                  (uint64_t)DEMO_FRAME_TWO);
    paging_map(DEMO_FAULT_GVA, DEMO_FRAME_TWO, PTE_WRITABLE);
    *page = in_second;
    paging_show(DEMO_FAULT_GVA);
    bool right = switch_spaces(first, second, in_first, in_second);
    console_print("   I load CR3 to and fro %d times: GVA %x reads %x in the one\n"
                  "   space and %x in the other. One name, two frames. %s\n",
                  (uint64_t)ROUND_TRIPS, (uint64_t)DEMO_FAULT_GVA, in_first,
                  *(volatile uint64_t *)DEMO_FRAME_TWO, right ? "Right." : "WRONG!");
}

void demo_main(void)
{
    trap_init();
    lesson_long_mode();
    lesson_page_fault();
    lesson_ring3();
    lesson_address_spaces();
    console_print("\n7. Power off\n"
                  "   I write SLP_EN to the ACPI register PM1a control, port %x. Good-bye.\n",
                  (uint64_t)PM1A_CONTROL);
    outw(PM1A_CONTROL, SLP_TYP_S5 | SLP_EN);
    for (unsigned i = 0; i < POWER_OFF_SPINS; i++)
        __asm__ volatile("pause");
    console_print("   The power is still on?\n");
}
