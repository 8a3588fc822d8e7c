/*
 * The board as ACPI describes it: the PCI root with its windows and interrupt routing, the ISA
 * devices, the HPET and the soft-off state. The power button is fixed hardware (see the FADT).
 *
 * Interrupts: INTA# to INTD# of a PCI slot come to the four PIRQ inputs of the PIIX3, turned by one
 * a slot; each input is routed to an ISA interrupt by a byte at 60h of function 01.0. The 8259s and
 * the I/O APIC see the same numbers, so one routing table serves both modes.
 * Specification: ACPI 6.4; Intel 82371SB (PIIX3) data sheet, "PIRQx Route Control Registers".
 */
#include "fw/dsdt_values.h"

/* One slot: its INTA# arrives at the link named first. */
#define SLOT(n, a, b, c, d)                                                                        \
    Package () { n##FFFF, 0, a, 0 }, Package () { n##FFFF, 1, b, 0 },                              \
    Package () { n##FFFF, 2, c, 0 }, Package () { n##FFFF, 3, d, 0 }

/* A PIRQ input of the PIIX3 and its route register. */
#define LINK(name, uid, reg)                                                                       \
    Device (name)                                                                                  \
    {                                                                                              \
        Name (_HID, EisaId ("PNP0C0F"))                                                            \
        Name (_UID, uid)                                                                           \
        Name (_PRS, ResourceTemplate ()                                                            \
        {                                                                                          \
            Interrupt (ResourceConsumer, Level, ActiveHigh, Shared) { 5, 10, 11 }                  \
        })                                                                                         \
        Method (_STA) { Return (LSTA (reg)) }                                                      \
        Method (_DIS) { reg |= 0x80 }                                                              \
        Method (_CRS) { Return (LCRS (reg)) }                                                      \
        Method (_SRS, 1)                                                                           \
        {                                                                                          \
            CreateDWordField (Arg0, 5, IRQN)                                                       \
            reg = IRQN                                                                             \
        }                                                                                          \
    }

DefinitionBlock ("dsdt.aml", "DSDT", 2, "UMBRA ", "UMBRAPC ", 1)
{
    Name (\_S5, Package () { DSDT_SLP_TYP_S5, DSDT_SLP_TYP_S5, 0, 0 })

    Scope (\_SB)
    {
        Device (PCI0)
        {
            Name (_HID, EisaId ("PNP0A03"))
            Name (_UID, 0)
            Name (_BBN, 0)
            Name (_CRS, ResourceTemplate ()
            {
                WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode,
                    0, 0, 0xFF, 0, 0x100)
                IO (Decode16, 0xCF8, 0xCF8, 1, 8)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
                    0, 0, 0xCF7, 0, 0xCF8)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
                    0, 0xD00, 0xFFFF, 0, 0xF300)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, Cacheable, ReadWrite,
                    0, 0xA0000, 0xBFFFF, 0, 0x20000)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable,
                    ReadWrite, 0, DSDT_PCI_MMIO_BASE, DSDT_PCI_MMIO_LAST, 0, DSDT_PCI_MMIO_SIZE)
            })

            Name (_PRT, Package ()
            {
#define QUARTET(w, x, y, z)                                                                        \
    SLOT (w, LNKD, LNKA, LNKB, LNKC), SLOT (x, LNKA, LNKB, LNKC, LNKD),                            \
    SLOT (y, LNKB, LNKC, LNKD, LNKA), SLOT (z, LNKC, LNKD, LNKA, LNKB)
                QUARTET (0x0000, 0x0001, 0x0002, 0x0003),
                QUARTET (0x0004, 0x0005, 0x0006, 0x0007),
                QUARTET (0x0008, 0x0009, 0x000A, 0x000B),
                QUARTET (0x000C, 0x000D, 0x000E, 0x000F),
                QUARTET (0x0010, 0x0011, 0x0012, 0x0013),
                QUARTET (0x0014, 0x0015, 0x0016, 0x0017),
                QUARTET (0x0018, 0x0019, 0x001A, 0x001B),
                QUARTET (0x001C, 0x001D, 0x001E, 0x001F)
            })

            Device (ISA)
            {
                Name (_ADR, 0x00010000)
                OperationRegion (ROUT, PCI_Config, 0x60, 4)
                Field (ROUT, ByteAcc, NoLock, Preserve)
                {
                    PRQA, 8,
                    PRQB, 8,
                    PRQC, 8,
                    PRQD, 8
                }

                Device (RTC)
                {
                    Name (_HID, EisaId ("PNP0B00"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x70, 0x70, 1, 2)
                        IRQNoFlags () { 8 }
                    })
                }

                Device (TIMR)
                {
                    Name (_HID, EisaId ("PNP0100"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x40, 0x40, 1, 4)
                        IRQNoFlags () { 0 }
                    })
                }

                Device (SPKR)
                {
                    Name (_HID, EisaId ("PNP0800"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x61, 0x61, 1, 1)
                    })
                }

                Device (PIC)
                {
                    Name (_HID, EisaId ("PNP0000"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x20, 0x20, 1, 2)
                        IO (Decode16, 0xA0, 0xA0, 1, 2)
                        IO (Decode16, 0x4D0, 0x4D0, 1, 2)
                        IRQNoFlags () { 2 }
                    })
                }

                Device (KBD)
                {
                    Name (_HID, EisaId ("PNP0303"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x60, 0x60, 1, 1)
                        IO (Decode16, 0x64, 0x64, 1, 1)
                        IRQNoFlags () { 1 }
                    })
                }

                Device (COM1)
                {
                    Name (_HID, EisaId ("PNP0501"))
                    Name (_UID, 1)
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x3F8, 0x3F8, 1, 8)
                        IRQNoFlags () { 4 }
                    })
                }

                /* A guest that panics says so here; the name is what its drivers look for. */
                Device (PEVT)
                {
                    Name (_HID, "QEMU0001")
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, DSDT_PVPANIC_PORT, DSDT_PVPANIC_PORT, 1, 1)
                    })
                    Name (_STA, 0x0B)
                }

                /* Ports of the board that no driver claims, kept from PCI's windows. */
                Device (MBRD)
                {
                    Name (_HID, EisaId ("PNP0C02"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x80, 0x80, 1, 1)
                        IO (Decode16, 0x92, 0x92, 1, 1)
                        IO (Decode16, DSDT_SMI_PORT, DSDT_SMI_PORT, 1, 2)
                    })
                }
            }
        }

        Device (HPET)
        {
            Name (_HID, EisaId ("PNP0103"))
            Name (_UID, 0)
            Name (_CRS, ResourceTemplate ()
            {
                Memory32Fixed (ReadOnly, DSDT_HPET_BASE, 0x400)
            })
            /* The HPET's capability register reads as ones where the board has none. */
            OperationRegion (HREG, SystemMemory, DSDT_HPET_BASE, 8)
            Field (HREG, DWordAcc, NoLock, Preserve)
            {
                VEND, 32,
                PRD, 32
            }
            Method (_STA)
            {
                If (PRD == 0 || PRD > 100000000)
                {
                    Return (0)
                }
                Return (0x0F)
            }
        }

        /* A set bit 7 in a route register disconnects the input. */
        Method (LSTA, 1)
        {
            If (Arg0 & 0x80)
            {
                Return (0x09)
            }
            Return (0x0B)
        }

        Name (RBUF, ResourceTemplate ()
        {
            Interrupt (ResourceConsumer, Level, ActiveHigh, Shared) { 0 }
        })
        Method (LCRS, 1, Serialized)
        {
            CreateDWordField (RBUF, 5, IRQN)
            IRQN = 0
            If (!(Arg0 & 0x80))
            {
                IRQN = (Arg0 & 0x0F)
            }
            Return (RBUF)
        }

        LINK (LNKA, 1, \_SB.PCI0.ISA.PRQA)
        LINK (LNKB, 2, \_SB.PCI0.ISA.PRQB)
        LINK (LNKC, 3, \_SB.PCI0.ISA.PRQC)
        LINK (LNKD, 4, \_SB.PCI0.ISA.PRQD)
    }
}
