/*
 * The text screen: 80x25 cells of a VGA at B8000h, with the BDA's eight pages and cursors. Graphics
 * modes are refused: every mode set gives mode 3 (or its monochrome twin's number).
 */
#ifndef UMBRA_FW_ROM_VIDEO_H
#define UMBRA_FW_ROM_VIDEO_H

#include "fw/rom/rom.h"

#define VIDEO_SEGMENT    0xb800
#define VIDEO_COLUMNS    80
#define VIDEO_ROWS       25
#define VIDEO_PAGE_BYTES 0x1000

/* Programs the VGA for 80x25 colour text and clears the buffer unless `keep`. */
void video_set_mode(uint8_t mode, bool keep);

/* Writes one character on the active page as a terminal would: BEL, BS, LF and CR move only. */
void video_teletype(uint8_t c);

#endif
