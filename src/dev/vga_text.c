/* The VGA's text screen as a person reads it: geometry and addresses from the CRTC, code page 437.
 */
#include <uchar.h>

#include "dev/vga.h"
#include "dev/vga_state.h"

#define UTF8_MAX 3 /* bytes of a code point of the table */

/* Code page 437 as a screen shows it; 0, 20h and FFh are blank. */
static const char16_t low_symbols[] = u" ☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼";
static const char16_t high_symbols[] = u"⌂ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒ"
                                       u"áíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐"
                                       u"└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀"
                                       u"αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■ ";
#define HIGH_FIRST 0x7f

_Static_assert(ARRAY_SIZE(low_symbols) == 32 + 1, "one symbol for each control code");
_Static_assert(ARRAY_SIZE(high_symbols) == 129 + 1, "one symbol for 7Fh to FFh");

struct geometry {
    unsigned columns, rows;
    unsigned start; /* the first cell's address, in characters */
    unsigned pitch; /* from one row to the next, in characters */
};

static struct geometry geometry_of(const struct vga *vga)
{
    const uint8_t *crtc = vga->state.crtc;
    unsigned lines = crtc[CRTC_VERTICAL_END] + 1u;
    unsigned height = (crtc[CRTC_MAX_SCAN_LINE] & CRTC_SCAN_LINE_MASK) + 1u;

    if (crtc[CRTC_OVERFLOW] & CRTC_OVERFLOW_VDE8)
        lines += 0x100;
    if (crtc[CRTC_OVERFLOW] & CRTC_OVERFLOW_VDE9)
        lines += 0x200;
    if (crtc[CRTC_MAX_SCAN_LINE] & CRTC_SCAN_LINE_DOUBLE)
        height *= 2;
    return (struct geometry){
        .columns = crtc[CRTC_HORIZONTAL_END] + 1u,
        .rows = lines / height,
        .start = (unsigned)crtc[CRTC_START_HIGH] << 8 | crtc[CRTC_START_LOW],
        .pitch = crtc[CRTC_OFFSET] * 2u,
    };
}

static uint8_t character_at(const struct vga *vga, unsigned address)
{
    unsigned at = vga->state.crtc[CRTC_MODE] & CRTC_MODE_BYTE ? address : address * 2;

    return (uint8_t)vga->state.memory[at % VGA_PLANE_SIZE];
}

static char16_t symbol_of(uint8_t code)
{
    if (code < 0x20)
        return low_symbols[code];
    return code < HIGH_FIRST ? code : high_symbols[code - HIGH_FIRST];
}

/* Writes a code point as UTF-8 and returns its length; out has room for UTF8_MAX. */
static unsigned put_utf8(char *out, char16_t code)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    out[0] = (char)(0xe0 | code >> 12);
    out[1] = (char)(0x80 | (code >> 6 & 0x3f));
    out[2] = (char)(0x80 | (code & 0x3f));
    return 3;
}

bool vga_is_text(const struct vga *vga)
{
    return (vga->state.attr_index & ATTR_SCREEN_ON) &&
           !(vga->state.attr[ATTR_MODE] & ATTR_MODE_GRAPHICS) &&
           !(vga->state.gfx[GFX_MISC] & GFX_MISC_GRAPHICS) &&
           !(vga->state.seq[SEQ_CLOCKING] & SEQ_CLOCKING_SCREEN_OFF);
}

/* One row without the blanks at its end; returns the new length. */
static size_t put_row(const struct vga *vga, unsigned address, unsigned columns, char *out,
                      size_t size, size_t length)
{
    unsigned used = columns;

    while (used && symbol_of(character_at(vga, address + used - 1)) == ' ')
        used--;
    for (unsigned i = 0; i < used && length + UTF8_MAX < size; i++)
        length += put_utf8(out + length, symbol_of(character_at(vga, address + i)));
    if (length + 1 < size)
        out[length++] = '\n';
    return length;
}

size_t vga_screen_text(const struct vga *vga, char *out, size_t size)
{
    struct geometry g = geometry_of(vga);
    size_t length = 0;

    if (size == 0)
        return 0;
    if (vga_is_text(vga)) {
        for (unsigned row = 0; row < g.rows; row++)
            length = put_row(vga, g.start + row * g.pitch, g.columns, out, size, length);
    }
    out[length] = 0;
    return length;
}

bool vga_cursor(const struct vga *vga, unsigned *column, unsigned *row)
{
    struct geometry g = geometry_of(vga);
    unsigned cell =
        ((unsigned)vga->state.crtc[CRTC_CURSOR_HIGH] << 8 | vga->state.crtc[CRTC_CURSOR_LOW]);

    if (!vga_is_text(vga) || (vga->state.crtc[CRTC_CURSOR_START] & CRTC_CURSOR_OFF) ||
        g.pitch == 0 || cell < g.start)
        return false;
    *row = (cell - g.start) / g.pitch;
    *column = (cell - g.start) % g.pitch;
    return *row < g.rows && *column < g.columns;
}
