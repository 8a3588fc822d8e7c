/*
 * Any bytes as what is typed into the monitor console, as keys and as lines, over a parked VM whose
 * guest's tables and memory come from the bytes too. Nothing may end the process but `quit`, which
 * ends the VM; every answer is text, and the VM is never left paused by a command that looks.
 * fuzz: runs=4000
 */
#include <string.h>

#include "../monitor_vm.h"
#include "vm/monitor_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_LINES    32
#define GUEST_BYTES  64 /* of the input: control registers, CR3's low bits, and table entries */
#define TABLES       0x10000
#define ANSWER_BYTES (8 * MIB)

#define FUZZ_CHECK(truth)                                                                          \
    do {                                                                                           \
        if (!(truth))                                                                              \
            abort();                                                                               \
    } while (0)

/* The processor's paging registers, and four tables full of the entries given. */
static void make_guest(struct vm *vm, const uint8_t *bytes)
{
    struct x86_state state;
    uint64_t entry[6];

    memcpy(entry, bytes + 8, sizeof(entry));
    for (gpa_t at = TABLES; at < TABLES + 4 * PAGE_SIZE; at += sizeof(entry[0])) {
        uint64_t value = entry[at / 8 % 6];

        /* Most lead to one of the tables again, so that walks get further than a level. */
        if (value & 0x200)
            value = (value & 0xfff) | (TABLES + (value >> 12 & 3) * PAGE_SIZE);
        FUZZ_CHECK(mem_write(vm->mem, at, &value, sizeof(value)));
    }
    vm->engine->vcpu_get_state(vm->vcpu, &state);
    if (bytes[0] & 1) {
        state.cr0 |= X86_CR0_PE | (bytes[0] & 2 ? X86_CR0_PG : 0) | (bytes[0] & 4 ? X86_CR0_WP : 0);
        state.cr4 |= bytes[0] & 8 ? X86_CR4_PAE : bytes[0] & 16 ? X86_CR4_PSE : 0;
        if ((bytes[0] & 32) && (state.cr4 & X86_CR4_PAE) && (state.cr0 & X86_CR0_PG))
            state.msr.efer |= X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE;
    }
    state.seg[X86_CS].attr ^= (uint16_t)(bytes[1] << 8);
    state.cr3 = TABLES | (bytes[2] & 0x18);
    memcpy(state.pdpte, entry, sizeof(state.pdpte));
    for (unsigned i = 0; i < 4; i++)
        state.gpr[X86_RAX + i] = entry[i];
    vm->engine->vcpu_set_state(vm->vcpu, &state);
}

static void check_answer(const char *text, size_t bytes)
{
    FUZZ_CHECK(bytes < ANSWER_BYTES);
    for (size_t i = 0; i < bytes; i++)
        FUZZ_CHECK(text[i] == '\n' || (text[i] >= ' ' && text[i] <= '~'));
    FUZZ_CHECK(bytes == 0 || text[bytes - 1] == '\n');
}

static void execute(struct vm *vm, const char *line)
{
    unsigned pauses = vm->pauses;
    char *text;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);

    monitor_execute(vm->monitor, line, out);
    fclose(out);
    check_answer(text, bytes);
    free(text);
    FUZZ_CHECK(vm->pauses == pauses || strstr(line, "stop") || strstr(line, "cont"));
    FUZZ_CHECK(vm->pauses <= 1);
}

/* The bytes as keys of a terminal. */
static void type_keys(struct vm *vm, const uint8_t *data, size_t size)
{
    struct monitor_line *line = calloc(1, sizeof(*line));
    FILE *echo = fopen("/dev/null", "w");
    unsigned lines = 0;

    FUZZ_CHECK(line && echo);
    line->complete = monitor_complete;
    for (size_t i = 0; i < size && lines < MAX_LINES; i++) {
        bool ended = monitor_line_key(line, data[i], echo);

        FUZZ_CHECK(line->cursor <= line->len && line->len <= MONITOR_LINE_MAX);
        if (!ended)
            continue;
        FUZZ_CHECK(strlen(line->text) == line->len);
        execute(vm, line->text);
        monitor_line_next(line);
        lines++;
    }
    fclose(echo);
    free(line);
}

/* The bytes as lines of a socket. */
static void send_lines(struct vm *vm, const uint8_t *data, size_t size)
{
    for (unsigned lines = 0; lines < MAX_LINES && size > 0; lines++) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t len = end ? (size_t)(end - data) : size;
        char *line = strndup((const char *)data, len);

        FUZZ_CHECK(line);
        execute(vm, line);
        free(line);
        len += end != NULL;
        data += len;
        size -= len;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vm *vm;

    if (size < GUEST_BYTES)
        return 0;
    vm = monitor_vm_create(data[3] & 1 ? MMU_SHADOW : MMU_EPT);
    make_guest(vm, data);
    if (data[3] & 2)
        type_keys(vm, data + GUEST_BYTES, size - GUEST_BYTES);
    else
        send_lines(vm, data + GUEST_BYTES, size - GUEST_BYTES);
    monitor_vm_destroy(vm);
    return 0;
}
