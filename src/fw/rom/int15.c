/*
 * INT 15h: system services, the memory map first of all. A function that is not there gives CF and
 * AH = 86h. Sources: ACPI specification, "INT 15H, E820H - Query System Address Map"; IBM BIOS
 * Interface Technical Reference.
 */
#include "fw/rom/bda.h"
#include "fw/rom/parts.h"

#define SMAP           0x534d4150
#define UNSUPPORTED    0x86
#define KIB_15M        0x3c00
#define MAX_COPY_WORDS 0x8000

#define MOVE_FAILED 0x02

static void unsupported(struct regs *r)
{
    regs_return(r, UNSUPPORTED);
}

/*
 * E820h: EDX the signature, EBX which entry (0 at first, then what the last call gave), ECX the
 * buffer's size, ES:DI the buffer. Gives one entry of 20 bytes, EBX of the next or 0 after the
 * last.
 */
static void int15_e820(struct regs *r)
{
    if (r->edx != SMAP || r->ecx < sizeof(struct memmap_entry) || r->ebx >= memmap_count) {
        unsupported(r);
        return;
    }
    far_copy_out(r->es, r->di, &memmap[r->ebx], sizeof(struct memmap_entry));
    r->eax = SMAP;
    r->ecx = sizeof(struct memmap_entry);
    r->ebx = r->ebx + 1 < memmap_count ? r->ebx + 1 : 0;
    regs_set_carry(r, false);
}

/* E801h and E881h: KiB between 1 and 16 MiB, and 64 KiB units above, twice. */
static void int15_e801(struct regs *r, bool wide)
{
    uint32_t kib = memmap_kib_above_1m();
    uint32_t low = kib < KIB_15M ? kib : KIB_15M;
    uint32_t high = (kib - low) / 64;

    if (wide) {
        r->eax = r->ecx = low;
        r->ebx = r->edx = high;
    } else {
        r->ax = r->cx = (uint16_t)low;
        r->bx = r->dx = (uint16_t)high;
    }
    regs_set_carry(r, false);
}

/* 88h: KiB above 1 MiB, as far as 16 bits reach. */
static void int15_88(struct regs *r)
{
    uint32_t kib = memmap_kib_above_1m();

    r->ax = (uint16_t)(kib < 0xfc00 ? kib : 0xfc00);
    regs_set_carry(r, false);
}

static uint32_t descriptor_base(uint16_t segment, uint16_t offset)
{
    return (far_read32(segment, (uint16_t)(offset + 2)) & 0xffffff) |
           (uint32_t)far_read8(segment, (uint16_t)(offset + 7)) << 24;
}

/* 87h: CX words between the bases of descriptors 10h (source) and 18h (destination) of the table at
 * ES:SI. */
static void int15_87(struct regs *r)
{
    uint16_t machine_status;
    bool a20 = chips_a20();

    __asm__("smsw %0" : "=r"(machine_status));
    if ((machine_status & 1) || r->cx > MAX_COPY_WORDS) {
        regs_return(r, MOVE_FAILED); /* virtual-8086 mode: whoever runs us there has to do it */
        return;
    }
    if (!a20)
        chips_set_a20(true);
    rom_flat_copy(descriptor_base(r->es, (uint16_t)(r->si + 0x18)),
                  descriptor_base(r->es, (uint16_t)(r->si + 0x10)), (uint32_t)r->cx * 2);
    if (!a20)
        chips_set_a20(false);
    regs_return(r, 0);
}

static void int15_24(struct regs *r)
{
    switch (r->al) {
    case 0x00: chips_set_a20(false); break;
    case 0x01: chips_set_a20(true); break;
    case 0x02: r->al = chips_a20(); break;
    case 0x03: r->bx = 0x0003; break; /* the keyboard controller and port 92h both can */
    default: unsupported(r); return;
    }
    regs_return(r, 0);
}

static void int15_c0(struct regs *r)
{
    r->es = ROM_SEGMENT;
    r->bx = ROM_OFFSET(rom_config_table);
    regs_return(r, 0);
}

static void int15_e8(struct regs *r)
{
    if (r->al == 0x20)
        int15_e820(r);
    else if (r->al == 0x01)
        int15_e801(r, false);
    else if (r->al == 0x81)
        int15_e801(r, true);
    else
        unsupported(r);
}

void int15(struct regs *r)
{
    switch (r->ah) {
    case 0x24: int15_24(r); break;
    case 0x4f: regs_set_carry(r, true); break; /* keyboard intercept: process the key as it is */
    case 0x80:
    case 0x81:
    case 0x82: regs_return(r, 0); break; /* open, close, end: hooks of old systems */
    case 0x85: regs_return(r, 0); break; /* system request key */
    case 0x86:
        wait_microseconds((uint32_t)r->cx << 16 | r->dx);
        regs_return(r, 0);
        break;
    case 0x87: int15_87(r); break;
    case 0x88: int15_88(r); break;
    case 0x90:
    case 0x91: regs_return(r, 0); break; /* device wait and post: hooks as well */
    case 0xc0: int15_c0(r); break;
    case 0xc1:
        r->es = EBDA_SEGMENT;
        regs_set_carry(r, false);
        break;
    case 0xe8: int15_e8(r); break;
    default: unsupported(r); break; /* also 53h: APM, 83h: event wait, 89h, D8h: EISA */
    }
}
