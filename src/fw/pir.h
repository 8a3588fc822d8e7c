/*
 * The PCI interrupt routing table, for guests that program the 8259s and know no ACPI: which PIRQ
 * input of the PIIX3 each slot's INTA# to INTD# arrives at, and what that may be routed to.
 * It refuses: buses behind bridges; there are none.
 * Specification: Microsoft, PCI IRQ Routing Table Specification 1.0.
 */
#ifndef UMBRA_FW_PIR_H
#define UMBRA_FW_PIR_H

#include "base/types.h"

/*
 * Writes the table to out; it belongs on a 16-byte boundary in F0000h to FFFFFh. Returns its length
 * in bytes, or -ENOSPC.
 */
int pir_build(uint8_t *out, size_t room_bytes) must_check;

#endif
