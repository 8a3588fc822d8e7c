/*
 * The processor, where it is newer than the i386 that the rest of the BIOS asks for: x87, memory
 * types (MTRRs) and the local APIC's two interrupt pins. Source: SDM 3, "Memory Cache Control"
 * (MTRRs), "Advanced Programmable Interrupt Controller" and "Processor State After Reset".
 */
#include "mem/layout.h"
#include "x86/msr.h"
#include "fw/rom/parts.h"

#define CPUID_MTRR (1u << 12)
#define CPUID_APIC (1u << 9)

#define MTRR_ENABLE       0x800
#define MTRR_FIXED_ENABLE 0x400
#define TYPES_UC          0x00000000u
#define TYPES_WP          0x05050505u
#define TYPES_WB          0x06060606u

#define LAPIC_SPURIOUS 0xf0
#define LAPIC_LINT0    0x350
#define LAPIC_LINT1    0x360

static bool has_cpuid(void)
{
    uint32_t before, after;

    __asm__ volatile("pushfl\n\tpopl %0\n\tmovl %0, %1\n\txorl $0x200000, %1\n\t"
                     "pushl %1\n\tpopfl\n\tpushfl\n\tpopl %1\n\tpushl %0\n\tpopfl"
                     : "=&r"(before), "=&r"(after));
    return (before ^ after) & 0x200000;
}

static void cpuid(uint32_t leaf, uint32_t *eax, uint32_t *edx)
{
    uint32_t ebx, ecx = 0;

    *eax = leaf;
    __asm__ volatile("cpuid" : "+a"(*eax), "=b"(ebx), "+c"(ecx), "=d"(*edx));
}

static uint32_t features(void)
{
    uint32_t eax, edx;

    if (!has_cpuid())
        return 0;
    cpuid(1, &eax, &edx);
    return edx;
}

static void msr_write(uint32_t msr, uint32_t high, uint32_t low)
{
    __asm__ volatile("wrmsr" : : "c"(msr), "a"(low), "d"(high) : "memory");
}

static uint32_t msr_read_low(uint32_t msr)
{
    uint32_t low, high;

    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return low;
}

/* A reset leaves all exceptions unmasked and the registers full of zeroes. Programs from before
 * FNINIT was a habit take what the POST of a PC left. */
void cpu_init_x87(void)
{
    __asm__ volatile("fninit");
}

/* A reset leaves CR0.CD and CR0.NW set. */
static void enable_caches(void)
{
    uint32_t cr0;

    __asm__ volatile("movl %%cr0, %0\n\tandl $0x9fffffff, %0\n\tmovl %0, %%cr0" : "=r"(cr0));
}

/* RAM is write-back; the VGA window and the hole below 4 GiB are uncached, the ROM area
 * write-protected. */
void cpu_init_memory_types(void)
{
    uint32_t eax, edx, physical_bits = 36;

    enable_caches();
    if (!(features() & CPUID_MTRR))
        return;
    uint32_t capabilities = msr_read_low(IA32_MTRRCAP);
    msr_write(IA32_MTRR_DEF_TYPE, 0, 0);
    if (capabilities & 0x100) {
        msr_write(IA32_MTRR_FIX64K_00000, TYPES_WB, TYPES_WB);
        msr_write(IA32_MTRR_FIX16K_80000, TYPES_WB, TYPES_WB);
        msr_write(IA32_MTRR_FIX16K_80000 + 1, TYPES_UC, TYPES_UC);
        for (uint8_t i = 0; i < 8; i++)
            msr_write(IA32_MTRR_FIX4K_C0000 + i, TYPES_WP, TYPES_WP);
    }
    cpuid(0x80000000, &eax, &edx);
    if (eax >= 0x80000008) {
        cpuid(0x80000008, &eax, &edx);
        physical_bits = eax & 0xff;
    }
    if (physical_bits < 32 || physical_bits > 52)
        physical_bits = 36;
    if ((capabilities & 0xff) >= 1) {
        msr_write(IA32_MTRR_PHYSBASE0, 0, (uint32_t)LAYOUT_PCI_MMIO_BASE);
        msr_write(IA32_MTRR_PHYSBASE0 + 1, (uint32_t)((1ull << (physical_bits - 32)) - 1),
                  (uint32_t)LAYOUT_PCI_MMIO_BASE | 0x800);
    }
    msr_write(IA32_MTRR_DEF_TYPE, 0,
              MTRR_ENABLE | (capabilities & 0x100 ? MTRR_FIXED_ENABLE : 0) | 0x06);
}

static void lapic_write(uint32_t offset, uint32_t value)
{
    rom_flat_copy((uint32_t)LAYOUT_LAPIC_BASE + offset, near_to_gpa(&value), 4);
}

/* Virtual wire: LINT0 brings the 8259's interrupts, LINT1 is NMI (MultiProcessor
 * Specification 1.4, 3.6.2.1). */
void cpu_init_local_apic(void)
{
    if (!(features() & CPUID_APIC) || !(msr_read_low(IA32_APIC_BASE) & 0x800))
        return;
    lapic_write(LAPIC_SPURIOUS, 0x1ff);
    lapic_write(LAPIC_LINT0, 0x8700);
    lapic_write(LAPIC_LINT1, 0x8400);
}
