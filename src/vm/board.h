/*
 * The motherboard: every device of the PC, at its address, on its interrupt line. It knows neither
 * the engine nor threads; what reaches beyond the board goes through struct board_events.
 *
 * Locking: every call under the machine lock.
 */
#ifndef UMBRA_VM_BOARD_H
#define UMBRA_VM_BOARD_H

#include <stdatomic.h>

#include "base/clock.h"
#include "base/stream.h"
#include "dev/a20.h"
#include "dev/backend/block_queue.h"
#include "dev/bus.h"
#include "dev/device.h"
#include "mem/layout.h"
#include "mem/mem.h"

#define BOARD_IOAPIC_ID   1
#define BOARD_MAX_DEVICES 32

/* What devices ask of the VM. Each may be called from inside a guest's access. */
struct board_events {
    void *opaque;
    void (*power_off)(void *opaque);
    void (*reset)(void *opaque);
    void (*panic)(void *opaque, bool goes_on); /* goes_on: in its crash kernel */
    void (*debug_exit)(void *opaque, unsigned status);
    void (*intr)(void *opaque, bool level); /* the processor's INTR input */
    void (*nmi)(void *opaque);
    void (*init)(void *opaque);
    void (*sipi)(void *opaque, uint8_t vector);
    uint64_t (*tsc_now)(void *opaque);           /* as lapic.h has it */
    void (*address_space_changed)(void *opaque); /* A20, or what a range of memory is */
    void (*serial_output)(void *opaque, uint8_t byte);
    void (*serial_room)(void *opaque); /* the UART takes input again */
    void (*serial_unread)(void *opaque, const uint8_t *bytes, size_t count); /* uart.h, unread */
    void (*debug_output)(void *opaque, uint8_t byte); /* ports E9h and 402h */
};

struct board_config {
    const struct layout *layout;
    struct mem *mem;
    struct clock *clock;
    int64_t start_utc;
    uint64_t tsc_hz;
    unsigned physical_bits;
    /*
     * Where the interrupt lines go, by GSI, instead of the board's own controllers: the engine's.
     * The own ones are there, but nothing reaches them.
     */
    struct irq_line irq_sink;
    struct block_queue
        *disk; /* NULL: no drive; owned by the caller, stopped before the board goes */
    struct block_queue *cdrom;
    struct board_events events;
};

/* The devices, open to src/vm. */
struct board {
    struct board_config config;
    struct bus *bus;
    struct pic *pic;
    struct pit *pit;
    struct rtc *rtc;
    struct uart *uart;
    struct i8042 *i8042;
    struct sysctl *sysctl;
    struct debugport *debugport;
    struct vga *vga;
    struct apic_bus *apic_bus;
    struct lapic *lapic;
    struct ioapic *ioapic;
    struct hpet *hpet;
    struct acpi_pm *acpi_pm;
    struct pci_host *pci;
    struct i440fx *chipset;
    struct ide *ide;
    struct fw_cfg *fw_cfg;
    struct biosdisk *biosdisk;
    gpa_t lapic_base;
    bool lapic_visible; /* its page is on the bus, at lapic_base */
    uint16_t pm_base;   /* where the power management ports are now; 0: nowhere */
    /* Physical addresses are ANDed with it. Relaxed: a change also flushes the vCPU. */
    _Atomic uint64_t a20_mask;
    struct a20_gate a20;
    struct device device;                            /* of what belongs to none of the others */
    const struct device *devices[BOARD_MAX_DEVICES]; /* all, as they are reset, saved and loaded */
    size_t device_count;
};

/* Makes and wires all devices. 0 or -errno; on failure nothing is left. */
int board_create(struct board **out, const struct board_config *config) must_check;
void board_destroy(struct board *board);

/* The RESET line: every device to its power-up state. */
void board_reset(struct board *board);

/*
 * Appends the state of every device, after a header with the virtual time. Not the memory, nor the
 * images. The clock must stand, as it does while the machine is paused or under the machine lock
 * with --clock instructions: what a timer has still to do is done before the first device is saved.
 */
void board_save(struct board *board, struct stream_writer *to);

/*
 * Takes the state of a board with the same devices. 0, or with the board reset: -EINVAL (no saved
 * board, another board's, damaged), -ENOTSUP (another version), -ERANGE (this board's clock has not
 * come to the time at which it was saved), -EBUSY (a request to an image is under way), -ENOMEM.
 */
int board_load(struct board *board, struct stream_reader *from) must_check;

/* The name of the device to which a range of the bus leads. */
const char *board_device_name(const struct board *board, const void *dev);

/* INTA: the vector of the interrupt that the processor takes, or -1. */
int board_interrupt_acknowledge(struct board *board);

#endif
