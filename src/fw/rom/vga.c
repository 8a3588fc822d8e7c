/*
 * The VGA's registers for 80x25 colour text. No font is loaded and no graphics mode exists.
 * Source: IBM VGA Technical Reference, register values of mode 3+.
 */
#include "fw/rom/bda.h"
#include "fw/rom/parts.h"
#include "fw/rom/vga.h"
#include "fw/rom/video.h"

#define VGA_ATTRIBUTE 0x3c0
#define VGA_MISC      0x3c2
#define VGA_SEQUENCER 0x3c4
#define VGA_DAC_MASK  0x3c6
#define VGA_DAC_WRITE 0x3c8
#define VGA_DAC_DATA  0x3c9
#define VGA_GRAPHICS  0x3ce
#define VGA_CRTC      0x3d4
#define VGA_STATUS    0x3da

#define MISC_MODE3 0x67 /* colour addresses, RAM on, 28 MHz, 400 lines */

static const uint8_t sequencer[5] = {0x03, 0x00, 0x03, 0x00, 0x02};
static const uint8_t crtc[25] = {0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00,
                                 0x4f, 0x0d, 0x0e, 0x00, 0x00, 0x00, 0x00, 0x9c, 0x8e,
                                 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff};
static const uint8_t graphics[9] = {0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0e, 0x00, 0xff};
static const uint8_t attribute[21] = {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14,
                                      0x07, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d,
                                      0x3e, 0x3f, 0x0c, 0x00, 0x0f, 0x08, 0x00};

static void write_indexed(uint16_t port, uint8_t index, uint8_t value)
{
    outw(port, (uint16_t)(value << 8 | index));
}

/* Palette index bits: 0-2 blue, green, red at two thirds, 3-5 the same at one third. */
static void load_palette(void)
{
    outb(VGA_DAC_MASK, 0xff);
    outb(VGA_DAC_WRITE, 0);
    for (uint8_t i = 0; i < 64; i++) {
        for (int8_t bit = 2; bit >= 0; bit--)
            outb(VGA_DAC_DATA, (uint8_t)((i >> bit & 1) * 42 + (i >> (bit + 3) & 1) * 21));
    }
}

void vga_set_text_mode(void)
{
    outb(VGA_MISC, MISC_MODE3);
    write_indexed(VGA_SEQUENCER, 0, 0x01);
    for (uint8_t i = 1; i < sizeof(sequencer); i++)
        write_indexed(VGA_SEQUENCER, i, sequencer[i]);
    write_indexed(VGA_SEQUENCER, 0, sequencer[0]);
    write_indexed(VGA_CRTC, 0x11, 0x0e); /* unlock registers 0-7 */
    for (uint8_t i = 0; i < sizeof(crtc); i++)
        write_indexed(VGA_CRTC, i, crtc[i]);
    for (uint8_t i = 0; i < sizeof(graphics); i++)
        write_indexed(VGA_GRAPHICS, i, graphics[i]);
    for (uint8_t i = 0; i < sizeof(attribute); i++)
        vga_set_attribute_register(i, attribute[i]);
    load_palette();
}

void vga_set_attribute_register(uint8_t index, uint8_t value)
{
    inb(VGA_STATUS); /* the next write is an index */
    outb(VGA_ATTRIBUTE, index);
    outb(VGA_ATTRIBUTE, value);
    outb(VGA_ATTRIBUTE, 0x20); /* the screen back on */
}

uint8_t vga_get_attribute_register(uint8_t index)
{
    inb(VGA_STATUS);
    outb(VGA_ATTRIBUTE, (uint8_t)(index | 0x20));
    return inb(VGA_ATTRIBUTE + 1);
}

void vga_set_crtc_word(uint8_t index, uint16_t value)
{
    write_indexed(VGA_CRTC, index, (uint8_t)(value >> 8));
    write_indexed(VGA_CRTC, (uint8_t)(index + 1), (uint8_t)value);
}

void vga_set_dac(uint8_t index, uint8_t red, uint8_t green, uint8_t blue)
{
    outb(VGA_DAC_WRITE, index);
    outb(VGA_DAC_DATA, red);
    outb(VGA_DAC_DATA, green);
    outb(VGA_DAC_DATA, blue);
}

void vga_get_dac(uint8_t index, uint8_t rgb[3])
{
    outb(VGA_DAC_WRITE - 1, index);
    for (uint8_t i = 0; i < 3; i++)
        rgb[i] = inb(VGA_DAC_DATA);
}
