/*
 * Cells, cursors and pages of the text screen: what int10.c is written with. Rows and columns count
 * from 0; pages from 0 to 7, higher numbers wrap.
 */
#ifndef UMBRA_FW_ROM_TEXT_H
#define UMBRA_FW_ROM_TEXT_H

#include <stdbool.h>
#include <stdint.h>

struct text_window {
    uint8_t page, left, top, right, bottom; /* all inclusive; cut to the screen */
    uint8_t attribute;                      /* of the lines that come in blank */
};

/* Offset of a cell in VIDEO_SEGMENT. */
uint16_t text_cell(uint8_t page, uint8_t column, uint8_t row);

/* The cursor as the BDA keeps it: row in the high byte, column in the low one. */
uint16_t text_cursor(uint8_t page);
uint16_t text_position(uint8_t page); /* the same, moved onto the screen */
void text_set_cursor(uint8_t page, uint8_t column, uint8_t row);
void text_select_page(uint8_t page);

/* Moves a window's content by `lines`; 0, or more than it has, clears it. */
void text_scroll(const struct text_window *w, uint8_t lines, bool down);

/* As video_teletype, on any page; an attribute below 0 leaves the cell's own. */
void text_teletype(uint8_t page, uint8_t c, int attribute);

#endif
