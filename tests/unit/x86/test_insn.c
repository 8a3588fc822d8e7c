/* What the decoder wrapper reads otherwise than Zydis does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "x86/insn.h"

static void assert_decodes(enum x86_mode mode, const char *bytes, const char *text)
{
    char said[64];

    assert_int_equal(
        x86_disassemble(said, sizeof(said), mode, (const uint8_t *)bytes, strlen(bytes), 0),
        strlen(bytes));
    assert_string_equal(said, text);
}

/* The last segment prefix counts, and in 64-bit mode only FS and GS do. */
static void a_ds_prefix_before_an_indirect_branch_is_one(void **state)
{
    static const enum x86_mode modes[] = {X86_MODE_PROT32, X86_MODE_COMPAT32, X86_MODE_REAL32};

    for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
        assert_decodes(modes[i], "\x3e\xff\x65\x04", "jmp ds:[ebp+0x04]");
        assert_decodes(modes[i], "\x3e\xff\x55\x04", "call ds:[ebp+0x04]");
        assert_decodes(modes[i], "\x3e\xff\x64\x24\x04", "jmp ds:[esp+0x04]");
        assert_decodes(modes[i], "\x64\x3e\xff\x65\x04", "jmp ds:[ebp+0x04]");
        assert_decodes(modes[i], "\x3e\x64\xff\x65\x04", "jmp fs:[ebp+0x04]");
    }
    assert_decodes(X86_MODE_REAL16, "\x3e\xff\x66\x04", "jmp ds:[bp+0x04]");
    assert_decodes(X86_MODE_PROT16, "\x3e\x67\xff\x55\x04", "call ds:[ebp+0x04]");
    assert_decodes(X86_MODE_LONG64, "\x64\x3e\xff\x65\x04", "jmp fs:[rbp+0x04]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ds_prefix_before_an_indirect_branch_is_one),
    };

    return cmocka_run_group_tests_name("insn", tests, NULL, NULL);
}
