/*
 * The BIOS data area, segment 40h: offsets of what this BIOS keeps there, and access.
 * Source: IBM PS/2 and PC BIOS Interface Technical Reference, "ROM BIOS data areas".
 */
#ifndef UMBRA_FW_ROM_BDA_H
#define UMBRA_FW_ROM_BDA_H

#include "fw/rom/rom.h"

#define BDA_SEGMENT 0x40

#define BDA_COM_PORTS      0x00
#define BDA_EBDA_SEGMENT   0x0e
#define BDA_EQUIPMENT      0x10
#define BDA_MEMORY_KIB     0x13
#define BDA_KEY_FLAGS      0x17
#define BDA_KEY_FLAGS_2    0x18
#define BDA_ALT_INPUT      0x19
#define BDA_KEY_HEAD       0x1a
#define BDA_KEY_TAIL       0x1c
#define BDA_KEY_BUFFER     0x1e
#define BDA_KEY_BUFFER_END 0x3e
#define BDA_FLOPPY_MOTOR   0x40
#define BDA_FLOPPY_STATUS  0x41
#define BDA_VIDEO_MODE     0x49
#define BDA_COLUMNS        0x4a
#define BDA_PAGE_BYTES     0x4c
#define BDA_PAGE_START     0x4e
#define BDA_CURSORS        0x50
#define BDA_CURSOR_SHAPE   0x60
#define BDA_PAGE           0x62
#define BDA_CRTC_PORT      0x63
#define BDA_MODE_CONTROL   0x65
#define BDA_PALETTE        0x66
#define BDA_LAST_IRQ       0x6b
#define BDA_TICKS          0x6c
#define BDA_MIDNIGHT       0x70
#define BDA_BREAK          0x71
#define BDA_RESET_FLAG     0x72
#define BDA_DISK_STATUS    0x74
#define BDA_DISK_COUNT     0x75
#define BDA_LPT_TIMEOUTS   0x78
#define BDA_COM_TIMEOUTS   0x7c
#define BDA_KEY_START      0x80
#define BDA_KEY_END        0x82
#define BDA_ROWS           0x84
#define BDA_CHAR_HEIGHT    0x85
#define BDA_VIDEO_CONTROL  0x87
#define BDA_VIDEO_SWITCHES 0x88
#define BDA_VIDEO_FLAGS    0x89
#define BDA_DISPLAY_CODE   0x8a
#define BDA_KEY_MODE       0x96
#define BDA_KEY_LEDS       0x97

static inline uint8_t bda_read8(uint16_t offset)
{
    return far_read8(BDA_SEGMENT, offset);
}

static inline uint16_t bda_read16(uint16_t offset)
{
    return far_read16(BDA_SEGMENT, offset);
}

static inline uint32_t bda_read32(uint16_t offset)
{
    return far_read32(BDA_SEGMENT, offset);
}

static inline void bda_write8(uint16_t offset, uint8_t value)
{
    far_write8(BDA_SEGMENT, offset, value);
}

static inline void bda_write16(uint16_t offset, uint16_t value)
{
    far_write16(BDA_SEGMENT, offset, value);
}

static inline void bda_write32(uint16_t offset, uint32_t value)
{
    far_write32(BDA_SEGMENT, offset, value);
}

#endif
