/*
 * The few VGA registers that INT 10h touches.
 */
#ifndef UMBRA_FW_ROM_VGA_H
#define UMBRA_FW_ROM_VGA_H

#include <stdint.h>

#define VGA_CRTC_CURSOR_SHAPE 0x0a /* word: start line, end line */
#define VGA_CRTC_START        0x0c /* word: first cell shown */
#define VGA_CRTC_CURSOR       0x0e /* word: cell under the cursor */

void vga_set_text_mode(void);
void vga_set_crtc_word(uint8_t index, uint16_t value); /* high byte at `index` */
void vga_set_attribute_register(uint8_t index, uint8_t value);
uint8_t vga_get_attribute_register(uint8_t index);
void vga_set_dac(uint8_t index, uint8_t red, uint8_t green, uint8_t blue);
void vga_get_dac(uint8_t index, uint8_t rgb[3]);

#endif
