/* `x` and `xp`: guest memory as numbers, text and instructions. */
#include <inttypes.h>
#include <string.h>

#include "vm/monitor_internal.h"

#define LINE_BYTES   16
#define STRING_BYTES 256 /* of one string; a longer one goes on in the next */
#define TEXT_BYTES   128

struct examine {
    struct monitor_call *call;
    struct monitor_format format;
    bool physical;
    uint64_t address;
};

/* Reads without side effects; what is neither memory nor a device that can be looked at fails. */
static bool read_bytes(const struct examine *x, uint64_t address, void *bytes, size_t len)
{
    if (x->physical)
        return monitor_read_gpa(x->call->vm, address, bytes, len);
    return monitor_read_gva(x->call, address, bytes, len);
}

static void cannot_read(const struct examine *x, uint64_t address)
{
    monitor_error(x->call, "cannot read %s 0x%" PRIx64 ": %s", x->physical ? "GPA" : "GVA", address,
                  x->physical ? "no slot is there (info slots), and no device that can be looked at"
                              : "it leads to no memory (walk tells why)");
}

static void print_char(FILE *out, uint8_t c)
{
    if (c == '\\' || c == '\'' || c == '"')
        fprintf(out, "\\%c", c);
    else if (c >= ' ' && c <= '~')
        fputc(c, out);
    else
        fprintf(out, "\\x%02x", c);
}

static void print_binary(FILE *out, uint64_t value, unsigned bytes)
{
    for (unsigned bit = 8 * bytes; bit-- > 0;)
        fputc(value & BIT(bit) ? '1' : '0', out);
}

/* How many characters a decimal or octal number of so many bytes takes at most. */
static int width_of(char letter, unsigned bytes)
{
    if (letter == 'o')
        return (int)(8 * bytes + 2) / 3 + 1;
    return bytes == 1 ? 4 : bytes == 2 ? 6 : bytes == 4 ? 11 : 20;
}

static void print_number(FILE *out, char letter, uint64_t value, unsigned bytes)
{
    unsigned shift = 64 - 8 * bytes;

    switch (letter) {
    case 'd':
        fprintf(out, "%*" PRId64, width_of(letter, bytes), (int64_t)(value << shift) >> shift);
        break;
    case 'u': fprintf(out, "%*" PRIu64, width_of(letter, bytes), value); break;
    case 'o': fprintf(out, "%#*" PRIo64, width_of(letter, bytes), value); break;
    case 't': print_binary(out, value, bytes); break;
    case 'c':
        fputc('\'', out);
        print_char(out, (uint8_t)value);
        fputc('\'', out);
        break;
    default: fprintf(out, "0x%0*" PRIx64, (int)(2 * bytes), value); break;
    }
}

static void print_address(FILE *out, uint64_t address)
{
    fprintf(out, "0x%" PRIx64 ":", address);
}

static void print_units(struct examine *x)
{
    unsigned size = x->format.size;
    unsigned a_line = x->format.letter == 't' ? 1 : MAX(LINE_BYTES / size, 1u);
    FILE *out = x->call->out;

    for (unsigned i = 0; i < x->format.count; i++) {
        uint64_t value = 0;

        if (!read_bytes(x, x->address, &value, size)) {
            if (i % a_line)
                fputc('\n', out);
            cannot_read(x, x->address);
            return;
        }
        if (i % a_line == 0)
            print_address(out, x->address);
        fputc(' ', out);
        print_number(out, x->format.letter, value, size);
        if (i % a_line == a_line - 1 || i == x->format.count - 1)
            fputc('\n', out);
        x->address += size;
    }
}

static void print_strings(struct examine *x)
{
    FILE *out = x->call->out;

    for (unsigned i = 0; i < x->format.count; i++) {
        uint64_t start = x->address;
        uint8_t c;

        if (!read_bytes(x, start, &c, 1)) {
            cannot_read(x, start);
            return;
        }
        print_address(out, start);
        fputs(" \"", out);
        while (read_bytes(x, x->address, &c, 1)) {
            x->address++;
            if (c == '\0' || x->address - start >= STRING_BYTES)
                break;
            print_char(out, c);
        }
        fputs(c == '\0' ? "\"\n" : "\"...\n", out);
    }
}

static void print_instructions(struct examine *x)
{
    enum x86_mode mode = monitor_code_mode(&x->call->state);
    FILE *out = x->call->out;

    for (unsigned i = 0; i < x->format.count; i++) {
        uint8_t bytes[X86_INSN_MAX_BYTES];
        char text[TEXT_BYTES];
        size_t len = sizeof(bytes);

        while (len > 0 && !read_bytes(x, x->address, bytes, len))
            len--; /* the next page may not be there */
        if (len == 0) {
            cannot_read(x, x->address);
            return;
        }
        len = x86_disassemble(text, sizeof(text), mode, bytes, len, x->address);
        fprintf(out, "0x%" PRIx64 ":  ", x->address);
        for (size_t at = 0; at < MAX(len, (size_t)1); at++)
            fprintf(out, "%02x ", bytes[at]);
        fprintf(out, "%*s%s\n", len < 8 ? (int)(3 * (8 - MAX(len, (size_t)1))) : 0, "", text);
        x->address += MAX(len, (size_t)1);
    }
}

/* The size of a unit where the format names none. */
static unsigned usual_size(const struct examine *x)
{
    switch (x->format.letter) {
    case 'a': return monitor_code_mode(&x->call->state) == X86_MODE_LONG64 ? 8 : 4;
    case 'c': return 1;
    default: return 4;
    }
}

static void examine(struct monitor_call *call, bool physical)
{
    struct examine x = {.call = call, .physical = physical};
    char why[MONITOR_WHY_BYTES];
    const char *address = monitor_parse_format(call->arguments, &x.format, why);

    if (!address) {
        monitor_error(call, "%s", why);
        return;
    }
    if (!monitor_address(call, address, &x.address))
        return;
    if (!x.format.size)
        x.format.size = usual_size(&x);
    switch (x.format.letter) {
    case 'i': print_instructions(&x); break;
    case 's': print_strings(&x); break;
    default: print_units(&x); break;
    }
}

void monitor_examine(struct monitor_call *call)
{
    examine(call, false);
}

void monitor_examine_physical(struct monitor_call *call)
{
    examine(call, true);
}
