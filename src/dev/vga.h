/*
 * A VGA as text consoles and BIOSes use it: all register files, the planar memory with its write
 * and read modes, and the text screen as a person would read it.
 *
 * Refused: drawing graphics modes (their memory and registers work, nothing shows them), split
 * screens, interrupts, sizes beyond 256 KiB.
 * Specification: IBM PS/2 Hardware Interface Technical Reference, "Video Subsystem".
 *
 * Locking: the machine lock is held around every call.
 */
#ifndef UMBRA_DEV_VGA_H
#define UMBRA_DEV_VGA_H

#include "base/clock.h"
#include "base/types.h"
#include "dev/bus.h"
#include "dev/device.h"

#define VGA_PORT_COUNT  0x30 /* 3B0h to 3DFh */
#define VGA_WINDOW_SIZE 0x20000

/* Room for any text screen that vga_screen_text writes. */
#define VGA_TEXT_MAX_BYTES 65536

struct vga;

/* Makes a VGA in its reset state; the clock drives the retrace bits. NULL: no memory. */
struct vga *vga_create(struct clock *clock);
void vga_destroy(struct vga *vga);

/* As RESET: registers zero (the memory window is shut), memory kept. */
void vga_reset(struct vga *vga);

/* Its state, for the board; the device's own. */
const struct device *vga_device(const struct vga *vga);

/*
 * Sets the registers as a BIOS does for mode 3 (80 by 25 in colour, page 0 at B8000h) and blanks
 * the memory, for a board whose firmware does not.
 */
void vga_set_text_mode(struct vga *vga);

/* Whether the registers say text, with the screen on. */
bool vga_is_text(const struct vga *vga);

/*
 * Writes the text screen as UTF-8: a line a row, blanks at its end removed, each ended by '\n'.
 * Code page 437; controls show as their symbols. Cut at size bytes and always ended by a 0 byte
 * (if size is not 0); returns the bytes before it. Empty when the screen shows no text.
 */
size_t vga_screen_text(const struct vga *vga, char *out, size_t size);

/* The cursor's cell, counted from 0. False: it is switched off or outside the screen. */
bool vga_cursor(const struct vga *vga, unsigned *column, unsigned *row);

extern const struct bus_ops vga_port_ops;   /* VGA_PORT_COUNT ports from 3B0h; dev: struct vga */
extern const struct bus_ops vga_memory_ops; /* VGA_WINDOW_SIZE bytes from A0000h; dev: struct vga */

#endif
