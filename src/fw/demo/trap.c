/*
 * The embedded guest's IDT, TSS and what it does on a trap: page faults that belong to the lesson
 * are explained and repaired, INT 80h is served, anything else is reported and ends the lesson.
 * Sources: SDM 3, "Interrupt and Exception Handling", "Task Management in 64-bit Mode".
 */
#include "fw/demo/demo.h"

#define GATE_INTERRUPT 0x8e
#define GATE_DPL3      0x60
#define TSS_AVAILABLE  0x89
#define IDT_VECTORS    0x81
#define STUB_BYTES     16

#define VECTOR_GP 13
#define VECTOR_PF 14

struct gate {
    uint16_t offset_low, selector;
    uint8_t ist, type;
    uint16_t offset_mid;
    uint32_t offset_high, reserved;
};

struct tss {
    uint32_t reserved;
    uint32_t rsp0_low, rsp0_high;
    uint32_t others[22];
    uint16_t reserved2, io_bitmap;
};

struct table_pointer {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

static struct gate idt[IDT_VECTORS];
static struct tss tss;
static char trap_stack[2048] __attribute__((aligned(16)));

unsigned trap_page_faults;

static void set_gate(unsigned vector, const char *handler, uint8_t type)
{
    uint64_t at = (uint64_t)(uintptr_t)handler;

    idt[vector] = (struct gate){.offset_low = (uint16_t)at,
                                .selector = SELECTOR_CODE64,
                                .type = type,
                                .offset_mid = (uint16_t)(at >> 16),
                                .offset_high = (uint32_t)(at >> 32)};
}

void trap_init(void)
{
    struct table_pointer pointer = {sizeof(idt) - 1, (uint64_t)(uintptr_t)idt};
    uint64_t base = (uint64_t)(uintptr_t)&tss;

    for (unsigned vector = 0; vector < 32; vector++)
        set_gate(vector, trap_stubs + vector * STUB_BYTES, GATE_INTERRUPT);
    set_gate(0x80, trap_stub_80, GATE_INTERRUPT | GATE_DPL3);
    __asm__ volatile("lidt %0" : : "m"(pointer));

    tss.rsp0_low = (uint32_t)(uintptr_t)(trap_stack + sizeof(trap_stack));
    tss.io_bitmap = sizeof(tss);
    gdt[SELECTOR_TSS / 8] = (sizeof(tss) - 1) | (base & 0xffffff) << 16 |
                            (uint64_t)TSS_AVAILABLE << 40 | (base >> 24 & 0xff) << 56;
    gdt[SELECTOR_TSS / 8 + 1] = base >> 32;
    __asm__ volatile("ltr %w0" : : "r"(SELECTOR_TSS));
}

static void stop(const struct frame *frame)
{
    console_print("   Unexpected: vector %d, error code %x, at RIP %x. I stop here.\n",
                  frame->vector, frame->error, frame->rip);
    for (;;)
        __asm__ volatile("cli; hlt");
}

static void page_fault(struct frame *frame)
{
    uint64_t cr2;

    __asm__ volatile("mov %%cr2, %0" : "=r"(cr2));
    trap_page_faults++;
    console_print("   #PF at RIP = %x: CR2 = %x, error code %x\n        (%f).\n", frame->rip, cr2,
                  frame->error, frame->error);
    if ((cr2 & ~0xfffull) == DEMO_FAULT_GVA && !(frame->error & 1)) {
        console_print("   I map the page to GPA %x and return; the instruction runs again.\n",
                      (uint64_t)DEMO_FRAME);
        paging_map(DEMO_FAULT_GVA, DEMO_FRAME, PTE_WRITABLE);
    } else if (frame->rip == DEMO_USER_CODE_GVA + (uint64_t)(user_forbidden_read - user_program)) {
        console_print("   That page is mine (U/S = 0). I let the program step over the read.\n");
        frame->rip += (uint64_t)(user_forbidden_read_end - user_forbidden_read);
    } else {
        stop(frame);
    }
}

/* The text must lie in the ring-3 program's own page: never trust an address from there. */
static void call_write(struct frame *frame)
{
    uint64_t text = frame->rsi, bytes = frame->rdx;

    if (text < DEMO_USER_CODE_GVA || bytes > 0x1000 ||
        text + bytes > (uint64_t)DEMO_USER_CODE_GVA + 0x1000) {
        frame->rax = (uint64_t)-1;
        return;
    }
    for (uint64_t i = 0; i < bytes; i++)
        console_put(((const char *)text)[i]);
    frame->rax = bytes;
}

void trap(struct frame *frame)
{
    if (frame->vector == VECTOR_PF) {
        page_fault(frame);
    } else if (frame->vector == VECTOR_GP &&
               frame->rip == DEMO_USER_CODE_GVA + (uint64_t)(user_forbidden_hlt - user_program)) {
        console_print("   #GP at RIP = %x, CPL = %d: a privileged instruction. Over it too.\n",
                      frame->rip, frame->cs & 3);
        frame->rip += (uint64_t)(user_forbidden_hlt_end - user_forbidden_hlt);
    } else if (frame->vector == 0x80 && frame->rax == CALL_WRITE) {
        call_write(frame);
    } else if (frame->vector == 0x80 && frame->rax == CALL_EXIT) {
        user_exit(frame->rdi);
    } else {
        stop(frame);
    }
}
