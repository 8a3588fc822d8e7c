/*
 * The text screen behind INT 10h: cells, cursors, scrolling, teletype. All state is in the BDA,
 * where guests read and change it.
 */
#include "fw/rom/bda.h"
#include "fw/rom/parts.h"
#include "fw/rom/vga.h"
#include "fw/rom/video.h"
#include "fw/rom/text.h"

static void fill_words(uint16_t offset, uint16_t value, uint16_t count)
{
    for (uint16_t i = 0; i < count; i++)
        far_write16(VIDEO_SEGMENT, (uint16_t)(offset + 2 * i), value);
}

/* Two cells a store: the whole buffer is cleared at each mode set. */
static void clear_buffer(void)
{
    for (uint16_t i = 0; i < 0x8000; i = (uint16_t)(i + 4))
        far_write32(VIDEO_SEGMENT, i, 0x07200720);
}

void video_set_mode(uint8_t mode, bool keep)
{
    vga_set_text_mode();
    if (!keep)
        clear_buffer();
    bda_write8(BDA_VIDEO_MODE, mode == 7 ? 7 : mode <= 3 ? mode : 3);
    bda_write16(BDA_COLUMNS, VIDEO_COLUMNS);
    bda_write16(BDA_PAGE_BYTES, VIDEO_PAGE_BYTES);
    bda_write16(BDA_PAGE_START, 0);
    for (uint8_t i = 0; i < 8; i++)
        bda_write16((uint16_t)(BDA_CURSORS + 2 * i), 0);
    bda_write16(BDA_CURSOR_SHAPE, 0x0607);
    bda_write8(BDA_PAGE, 0);
    bda_write16(BDA_CRTC_PORT, 0x3d4);
    bda_write8(BDA_MODE_CONTROL, 0x29);
    bda_write8(BDA_PALETTE, 0x30);
    bda_write8(BDA_ROWS, VIDEO_ROWS - 1);
    bda_write16(BDA_CHAR_HEIGHT, 16);
    bda_write8(BDA_VIDEO_CONTROL, keep ? 0xe0 : 0x60);
    bda_write8(BDA_VIDEO_SWITCHES, 0xf9);
    bda_write8(BDA_VIDEO_FLAGS, 0x51);
    bda_write8(BDA_DISPLAY_CODE, 0x08);
}

uint16_t text_cell(uint8_t page, uint8_t column, uint8_t row)
{
    return (uint16_t)((page & 7) * VIDEO_PAGE_BYTES + (row * VIDEO_COLUMNS + column) * 2);
}

uint16_t text_cursor(uint8_t page)
{
    return bda_read16((uint16_t)(BDA_CURSORS + 2 * (page & 7)));
}

/* A guest may park the cursor off the screen; what it writes there must still land on it. */
uint16_t text_position(uint8_t page)
{
    uint16_t cursor = text_cursor(page);
    uint8_t column = (uint8_t)cursor, row = (uint8_t)(cursor >> 8);

    if (column >= VIDEO_COLUMNS)
        column = VIDEO_COLUMNS - 1;
    if (row >= VIDEO_ROWS)
        row = VIDEO_ROWS - 1;
    return (uint16_t)(row << 8 | column);
}

void text_set_cursor(uint8_t page, uint8_t column, uint8_t row)
{
    bda_write16((uint16_t)(BDA_CURSORS + 2 * (page & 7)), (uint16_t)(row << 8 | column));
    if (page == bda_read8(BDA_PAGE))
        vga_set_crtc_word(VGA_CRTC_CURSOR, (uint16_t)(text_cell(page, column, row) / 2));
}

void text_select_page(uint8_t page)
{
    uint16_t start = (uint16_t)((page & 7) * VIDEO_PAGE_BYTES);
    uint16_t cursor;

    bda_write8(BDA_PAGE, page & 7);
    bda_write16(BDA_PAGE_START, start);
    vga_set_crtc_word(VGA_CRTC_START, start / 2);
    cursor = text_cursor(page);
    text_set_cursor(page & 7, (uint8_t)cursor, (uint8_t)(cursor >> 8));
}

void text_scroll(const struct text_window *w, uint8_t lines, bool down)
{
    uint8_t right = w->right < VIDEO_COLUMNS ? w->right : VIDEO_COLUMNS - 1;
    uint8_t bottom = w->bottom < VIDEO_ROWS ? w->bottom : VIDEO_ROWS - 1;
    uint16_t blank = (uint16_t)(w->attribute << 8 | ' ');

    if (w->left > right || w->top > bottom)
        return;
    uint8_t rows = (uint8_t)(bottom - w->top + 1);
    uint8_t columns = (uint8_t)(right - w->left + 1);
    if (lines == 0 || lines > rows)
        lines = rows;
    for (uint8_t i = 0; i < rows; i++) {
        uint8_t row = (uint8_t)(down ? bottom - i : w->top + i);
        uint16_t to = text_cell(w->page, w->left, row);

        if (i + lines >= rows) {
            fill_words(to, blank, columns);
            continue;
        }
        uint16_t from = text_cell(w->page, w->left, (uint8_t)(down ? row - lines : row + lines));
        for (uint8_t c = 0; c < columns; c++)
            far_write16(VIDEO_SEGMENT, (uint16_t)(to + 2 * c),
                        far_read16(VIDEO_SEGMENT, (uint16_t)(from + 2 * c)));
    }
    if (lines == rows && rows == VIDEO_ROWS && columns == VIDEO_COLUMNS)
        serial_clear();
}

static void scroll_page(uint8_t page)
{
    struct text_window all = {
        .page = page, .right = VIDEO_COLUMNS - 1, .bottom = VIDEO_ROWS - 1, .attribute = 7};

    all.attribute = far_read8(VIDEO_SEGMENT, (uint16_t)(text_cell(page, 79, 24) + 1));
    text_scroll(&all, 1, false);
}

void text_teletype(uint8_t page, uint8_t c, int attribute)
{
    uint16_t cursor = text_position(page);
    uint8_t column = (uint8_t)cursor, row = (uint8_t)(cursor >> 8);

    if (page == bda_read8(BDA_PAGE))
        serial_teletype(c, column, row);
    if (c == '\a')
        return;
    if (c == '\r') {
        column = 0;
    } else if (c == '\n') {
        row++;
    } else if (c == '\b') {
        if (column)
            column--;
    } else {
        uint16_t cell = text_cell(page, column, row);

        far_write8(VIDEO_SEGMENT, cell, c);
        if (attribute >= 0)
            far_write8(VIDEO_SEGMENT, (uint16_t)(cell + 1), (uint8_t)attribute);
        column++;
    }
    if (column >= VIDEO_COLUMNS) {
        column = 0;
        row++;
    }
    if (row >= VIDEO_ROWS) {
        row = VIDEO_ROWS - 1;
        scroll_page(page);
    }
    text_set_cursor(page, column, row);
}

void video_teletype(uint8_t c)
{
    text_teletype(bda_read8(BDA_PAGE), c, -1);
}
