/*
 * INT 10h: video. Text only: graphics modes, fonts and VBE (4Fh) are refused.
 * Source: IBM VGA Technical Reference and BIOS Interface Technical Reference, INT 10h.
 */
#include "fw/rom/bda.h"
#include "fw/rom/parts.h"
#include "fw/rom/text.h"
#include "fw/rom/vga.h"
#include "fw/rom/video.h"

static void set_mode(const struct regs *r)
{
    video_set_mode(r->al & 0x7f, r->al & 0x80);
    serial_clear();
}

static void set_cursor_shape(const struct regs *r)
{
    bda_write16(BDA_CURSOR_SHAPE, r->cx);
    /* Shapes are given for 8 lines of dots; the real cell has 16. */
    uint8_t start = r->ch & 0x1f, end = r->cl & 0x1f;
    if (start <= 7 && end <= 7) {
        start = (uint8_t)(start * 2 + (start == end ? 1 : 0));
        end = (uint8_t)(end * 2 + 1);
    }
    vga_set_crtc_word(VGA_CRTC_CURSOR_SHAPE, (uint16_t)((start | (r->ch & 0x20)) << 8 | end));
}

static void scroll(const struct regs *r, bool down)
{
    struct text_window w = {.page = bda_read8(BDA_PAGE),
                            .left = r->cl,
                            .top = r->ch,
                            .right = r->dl,
                            .bottom = r->dh,
                            .attribute = r->bh};

    text_scroll(&w, r->al, down);
}

static void read_cell(struct regs *r)
{
    uint16_t cursor = text_position(r->bh);

    r->ax = far_read16(VIDEO_SEGMENT, text_cell(r->bh, (uint8_t)cursor, (uint8_t)(cursor >> 8)));
}

/* 09h and 0Ah: CX times the same character from the cursor on, which stays where it is. */
static void write_cells(const struct regs *r, bool with_attribute)
{
    uint16_t cursor = text_position(r->bh);
    uint8_t column = (uint8_t)cursor, row = (uint8_t)(cursor >> 8);
    uint16_t count = r->cx < VIDEO_PAGE_BYTES / 2 ? r->cx : VIDEO_PAGE_BYTES / 2;

    for (uint16_t i = 0; i < count && row < VIDEO_ROWS; i++) {
        uint16_t cell = text_cell(r->bh, column, row);

        far_write8(VIDEO_SEGMENT, cell, r->al);
        if (with_attribute)
            far_write8(VIDEO_SEGMENT, (uint16_t)(cell + 1), r->bl);
        if ((r->bh & 7) == bda_read8(BDA_PAGE))
            serial_cell(r->al, far_read8(VIDEO_SEGMENT, (uint16_t)(cell + 1)), column, row);
        if (++column == VIDEO_COLUMNS) {
            column = 0;
            row++;
        }
    }
}

static void palette(struct regs *r)
{
    uint8_t rgb[3];

    switch (r->al) {
    case 0x00:
        if (r->bl <= 0x14)
            vga_set_attribute_register(r->bl, r->bh);
        break;
    case 0x01: vga_set_attribute_register(0x11, r->bh); break;
    case 0x02:
        for (uint8_t i = 0; i <= 16; i++)
            vga_set_attribute_register(i == 16 ? 0x11 : i, far_read8(r->es, (uint16_t)(r->dx + i)));
        break;
    case 0x03: /* blink or bright background */
        vga_set_attribute_register(0x10, r->bl & 1 ? 0x0c : 0x04);
        break;
    case 0x07: r->bh = vga_get_attribute_register(r->bl); break;
    case 0x08: r->bh = vga_get_attribute_register(0x11); break;
    case 0x10: vga_set_dac(r->bl, r->dh, r->ch, r->cl); break;
    case 0x12:
        for (uint16_t i = 0; i < r->cx && i < 256; i++) {
            far_copy_in(rgb, r->es, (uint16_t)(r->dx + 3 * i), 3);
            vga_set_dac((uint8_t)(r->bx + i), rgb[0], rgb[1], rgb[2]);
        }
        break;
    case 0x15:
        vga_get_dac(r->bl, rgb);
        r->dh = rgb[0];
        r->ch = rgb[1];
        r->cl = rgb[2];
        break;
    case 0x17:
        for (uint16_t i = 0; i < r->cx && i < 256; i++) {
            vga_get_dac((uint8_t)(r->bx + i), rgb);
            far_copy_out(r->es, (uint16_t)(r->dx + 3 * i), rgb, 3);
        }
        break;
    default: break;
    }
}

/* 11h: fonts can't be loaded; 30h tells about the one there is. */
static void font(struct regs *r)
{
    if (r->al != 0x30)
        return;
    r->cx = 16;
    r->dl = VIDEO_ROWS - 1;
    r->es = ROM_SEGMENT;
    r->bp = ROM_OFFSET(rom_font);
}

static void alternate_select(struct regs *r)
{
    switch (r->bl) {
    case 0x10: /* colour, 256 KiB, the switches of an EGA with an enhanced colour display */
        r->bh = 0;
        r->bl = 3;
        r->cx = 0x0009;
        break;
    case 0x30: /* scan lines, palette loading, video, grey scale, cursor emulation: as they are */
    case 0x31:
    case 0x32:
    case 0x33:
    case 0x34:
    case 0x36: r->al = 0x12; break;
    default: break;
    }
}

static void write_string(struct regs *r)
{
    uint16_t at = r->bp;
    uint16_t saved = text_cursor(r->bh);

    text_set_cursor(r->bh, r->dl, r->dh);
    for (uint16_t i = 0; i < r->cx; i++) {
        uint8_t c = far_read8(r->es, at++);
        uint8_t attribute = r->al & 2 ? far_read8(r->es, at++) : r->bl;

        text_teletype(r->bh & 7, c, attribute);
    }
    if (!(r->al & 1))
        text_set_cursor(r->bh, (uint8_t)saved, (uint8_t)(saved >> 8));
}

/* 1Bh: the state of the video system, 64 bytes; what it can do is named as little as possible. */
static void get_state(struct regs *r)
{
    static const uint8_t ability[16] = {0x08, 0, 0, 0, 0, 0, 0, 0x04, 1, 1, 0x02, 0, 0, 0, 0, 0};
    uint16_t es = r->es, di = r->di;

    for (uint16_t i = 0; i < 64; i++)
        far_write8(es, (uint16_t)(di + i), 0);
    far_write16(es, di, (uint16_t)(uintptr_t)ability);
    far_write16(es, (uint16_t)(di + 2), EBDA_SEGMENT);
    for (uint16_t i = 0; i < 30; i++)
        far_write8(es, (uint16_t)(di + 4 + i), bda_read8((uint16_t)(BDA_VIDEO_MODE + i)));
    far_write8(es, (uint16_t)(di + 0x22), VIDEO_ROWS);
    far_write16(es, (uint16_t)(di + 0x23), 16);
    far_write8(es, (uint16_t)(di + 0x25), bda_read8(BDA_DISPLAY_CODE));
    far_write16(es, (uint16_t)(di + 0x27), 16);
    far_write8(es, (uint16_t)(di + 0x29), 8);
    far_write8(es, (uint16_t)(di + 0x2a), 2); /* 400 lines */
    far_write8(es, (uint16_t)(di + 0x31), 3); /* 256 KiB */
    r->al = 0x1b;
}

void int10(struct regs *r)
{
    switch (r->ah) {
    case 0x00: set_mode(r); break;
    case 0x01: set_cursor_shape(r); break;
    case 0x02: text_set_cursor(r->bh, r->dl, r->dh); break;
    case 0x03:
        r->dx = text_cursor(r->bh);
        r->cx = bda_read16(BDA_CURSOR_SHAPE);
        break;
    case 0x05: text_select_page(r->al); break;
    case 0x06: scroll(r, false); break;
    case 0x07: scroll(r, true); break;
    case 0x08: read_cell(r); break;
    case 0x09: write_cells(r, true); break;
    case 0x0a: write_cells(r, false); break;
    case 0x0b: break; /* border and CGA palette: nothing to see */
    case 0x0e: text_teletype(bda_read8(BDA_PAGE), r->al, -1); break;
    case 0x0f:
        r->al = (uint8_t)(bda_read8(BDA_VIDEO_MODE) | (bda_read8(BDA_VIDEO_CONTROL) & 0x80));
        r->ah = bda_read8(BDA_COLUMNS);
        r->bh = bda_read8(BDA_PAGE);
        break;
    case 0x10: palette(r); break;
    case 0x11: font(r); break;
    case 0x12: alternate_select(r); break;
    case 0x13: write_string(r); break;
    case 0x1a:
        if (r->al == 0) {
            r->al = 0x1a;
            r->bx = 0x0008; /* a VGA with a colour display, no second one */
        }
        break;
    case 0x1b: get_state(r); break;
    case 0x4f: r->ax = 0x0100; break; /* AL is not 4Fh: no VBE */
    default: break;
    }
}
