/*
 * The registers and the memory of the VGA, for vga.c (ports), vga_memory.c (window) and vga_text.c
 * (screen) only.
 * Specification: IBM PS/2 Hardware Interface Technical Reference, "Video Subsystem".
 */
#ifndef UMBRA_DEV_VGA_STATE_H
#define UMBRA_DEV_VGA_STATE_H

#include "base/clock.h"
#include "base/types.h"

enum vga_sequencer {
    SEQ_RESET,
    SEQ_CLOCKING,
    SEQ_MAP_MASK,
    SEQ_CHARACTER_MAP,
    SEQ_MEMORY_MODE,
    SEQ_COUNT
};

#define SEQ_CLOCKING_SCREEN_OFF 0x20
#define SEQ_MEMORY_SEQUENTIAL   0x04 /* clear: odd addresses go to odd planes */
#define SEQ_MEMORY_CHAIN4       0x08

enum vga_graphics {
    GFX_SET_RESET,
    GFX_ENABLE_SET_RESET,
    GFX_COLOR_COMPARE,
    GFX_ROTATE,
    GFX_READ_MAP,
    GFX_MODE,
    GFX_MISC,
    GFX_COLOR_DONT_CARE,
    GFX_BIT_MASK,
    GFX_COUNT
};

#define GFX_ROTATE_COUNT    0x07
#define GFX_ROTATE_FUNCTION 3 /* shift: 0 replace, 1 and, 2 or, 3 exclusive or */
#define GFX_MODE_WRITE      0x03
#define GFX_MODE_READ       0x08 /* compare colours */
#define GFX_MODE_ODD_EVEN   0x10
#define GFX_MISC_GRAPHICS   0x01
#define GFX_MISC_MAP_SHIFT  2 /* which part of the window is seen */
#define GFX_MISC_MAP_MASK   3

enum vga_crtc {
    CRTC_HORIZONTAL_END = 0x01,
    CRTC_OVERFLOW = 0x07,
    CRTC_MAX_SCAN_LINE = 0x09,
    CRTC_CURSOR_START = 0x0a,
    CRTC_START_HIGH = 0x0c,
    CRTC_START_LOW = 0x0d,
    CRTC_CURSOR_HIGH = 0x0e,
    CRTC_CURSOR_LOW = 0x0f,
    CRTC_RETRACE_END = 0x11,
    CRTC_VERTICAL_END = 0x12,
    CRTC_OFFSET = 0x13,
    CRTC_MODE = 0x17,
    CRTC_LINE_COMPARE = 0x18,
    CRTC_COUNT = 0x19
};

#define CRTC_PROTECTED        0x07 /* registers 0 to 7 ... */
#define CRTC_PROTECT          0x80 /* ... when this bit of CRTC_RETRACE_END is set, but for */
#define CRTC_OVERFLOW_COMPARE 0x10 /* this bit of CRTC_OVERFLOW */
#define CRTC_OVERFLOW_VDE8    0x02
#define CRTC_OVERFLOW_VDE9    0x40
#define CRTC_SCAN_LINE_MASK   0x1f
#define CRTC_SCAN_LINE_DOUBLE 0x80
#define CRTC_CURSOR_OFF       0x20
#define CRTC_MODE_BYTE        0x40 /* clear: addresses count words */

enum vga_attribute { ATTR_MODE = 0x10, ATTR_COUNT = 0x15 };

#define ATTR_MODE_GRAPHICS 0x01
#define ATTR_INDEX         0x1f
#define ATTR_SCREEN_ON     0x20 /* in the index: the palette is the screen's, not the guest's */

#define MISC_COLOR      0x01 /* CRTC and status at 3Dxh, not 3Bxh */
#define MISC_RAM_ENABLE 0x02

#define VGA_PLANE_SIZE 0x10000
#define VGA_PLANES     4

struct vga_state {
    uint8_t misc, feature, enable;
    uint8_t seq_index, seq[SEQ_COUNT];
    uint8_t gfx_index, gfx[GFX_COUNT];
    uint8_t crtc_index, crtc[CRTC_COUNT];
    uint8_t attr_index, attr[ATTR_COUNT];
    bool attr_data; /* the flip-flop: the next write to 3C0h is data */
    uint8_t dac_mask, dac_write, dac_read;
    uint8_t dac_component; /* 0 red, 1 green, 2 blue */
    bool dac_reading;
    uint8_t dac[256][3];             /* 6 bits each */
    uint32_t latch;                  /* byte n: plane n */
    uint32_t memory[VGA_PLANE_SIZE]; /* byte n of an element: plane n at that address */
};

struct vga {
    struct device device;
    struct clock *clock;
    struct vga_state state;
};

#endif
