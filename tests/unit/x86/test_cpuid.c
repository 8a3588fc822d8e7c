/* CPUID models: levels, what the host lacks, answers, and which instructions a model has. */
#include "x86/cpuid.h"

#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#include "x86/insn.h"

static struct x86_cpuid_result rich_host(uint32_t leaf, uint32_t subleaf)
{
    if (leaf == 0x80000008)
        return (struct x86_cpuid_result){.eax = 48};
    return (struct x86_cpuid_result){UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX};
}

/* As rich_host without AVX2 (CPUID.7:EBX[5]) and without RDSEED (bit 18). */
static struct x86_cpuid_result poor_host(uint32_t leaf, uint32_t subleaf)
{
    struct x86_cpuid_result r = rich_host(leaf, subleaf);

    if (leaf == 7)
        r.ebx &= ~(uint32_t)(BIT(5) | BIT(18));
    return r;
}

static struct cpu_model model_of(const char *name)
{
    struct cpu_model model;
    const char *missing = NULL;

    assert_int_equal(cpu_model_init_for(&model, name, rich_host, &missing), 0);
    model.tsc_hz = 2450 * 1000000ull;
    return model;
}

static const struct x86_cpuid_context one_cpu = {.vcpus = 1, .xcr0 = 1, .apic_enabled = true};

static void test_levels(void **state)
{
    struct cpu_model v1 = model_of("x86-64-v1"), v2 = model_of("x86-64-v2");
    struct cpu_model v3 = model_of("x86-64-v3");

    assert_true(v1.has[X86_FEATURE_SSE2]);
    assert_false(v1.has[X86_FEATURE_SSE3]);
    assert_true(v2.has[X86_FEATURE_SSE4_2]);
    assert_false(v2.has[X86_FEATURE_AVX]);
    assert_true(v3.has[X86_FEATURE_AVX2]);
    assert_true(v3.has[X86_FEATURE_SHA]);
    assert_int_equal(v3.physical_bits, 46);
}

static void test_missing(void **state)
{
    struct cpu_model model;
    const char *missing = NULL;

    assert_int_equal(cpu_model_init_for(&model, "x86-64-v9", rich_host, &missing), -ENOENT);
    assert_int_equal(cpu_model_init_for(&model, "x86-64-v3", poor_host, &missing), -EOPNOTSUPP);
    assert_string_equal(missing, "AVX2");
    assert_int_equal(cpu_model_init_for(&model, "x86-64-v2", poor_host, &missing), 0);
    assert_int_equal(cpu_model_init_for(&model, "max", poor_host, &missing), 0);
    assert_false(model.has[X86_FEATURE_AVX2]);
    assert_false(model.has[X86_FEATURE_RDSEED]);
    assert_true(model.has[X86_FEATURE_AVX]);
}

static void test_identity(void **state)
{
    struct cpu_model model = model_of("x86-64-v3");
    struct x86_cpuid_result r = cpu_model_cpuid(&model, &one_cpu, 0, 0);
    char brand[49] = {0};

    assert_memory_equal(&r.ebx, "Genu", 4);
    assert_memory_equal(&r.edx, "ineI", 4);
    assert_memory_equal(&r.ecx, "ntel", 4);
    for (uint32_t i = 0; i < 3; i++) {
        r = cpu_model_cpuid(&model, &one_cpu, 0x80000002 + i, 0);
        memcpy(brand + 16 * i, &r, 16);
    }
    assert_string_equal(brand, "Umbra soft CPU (x86-64-v3)");
    r = cpu_model_cpuid(&model, &one_cpu, 0x40000000, 0);
    assert_int_equal(r.eax, 0x40000000);
    assert_memory_equal(&r.ebx, "UmbraUmbraUm", 12);
}

static void test_context(void **state)
{
    struct cpu_model model = model_of("x86-64-v3");
    struct x86_cpuid_context context = one_cpu;

    assert_false(cpu_model_cpuid(&model, &context, 1, 0).ecx & BIT(27));
    assert_true(cpu_model_cpuid(&model, &context, 1, 0).edx & BIT(9));
    assert_int_equal(cpu_model_cpuid(&model, &context, 0xd, 0).ebx, 576);
    context = (struct x86_cpuid_context){
        .apic_id = 2, .vcpus = 3, .xcr0 = 7, .osxsave = true, .apic_enabled = false};
    assert_true(cpu_model_cpuid(&model, &context, 1, 0).ecx & BIT(27));
    assert_false(cpu_model_cpuid(&model, &context, 1, 0).edx & BIT(9));
    assert_int_equal(cpu_model_cpuid(&model, &context, 1, 0).ebx >> 24, 2);
    assert_int_equal(cpu_model_cpuid(&model, &context, 0xd, 0).ebx, 832);
    assert_int_equal(cpu_model_cpuid(&model, &context, 0xb, 1).ebx, 3);
    assert_int_equal(cpu_model_cpuid(&model, &context, 0xb, 1).eax, 2);
}

static void test_tsc(void **state)
{
    struct cpu_model model = model_of("max");
    struct x86_cpuid_result r = cpu_model_cpuid(&model, &one_cpu, 0x15, 0);

    assert_int_equal((uint64_t)r.ecx * r.ebx / r.eax, model.tsc_hz);
    /* Linux' kHz product must stay within 32 bits. */
    assert_true((uint64_t)r.ecx / 1000 * r.ebx <= UINT32_MAX);
    model.tsc_hz = 2449999999ull;
    assert_int_equal(cpu_model_cpuid(&model, &one_cpu, 0x15, 0).ecx, 0);
    /* Beyond the last leaf an Intel processor answers with the last basic one. */
    assert_int_equal(cpu_model_cpuid(&model, &one_cpu, 0x17, 0).ecx, 100);
    assert_int_equal(cpu_model_cpuid(&model, &one_cpu, 0x80000009, 0).ecx, 100);
}

static bool allows(const char *name, const char *bytes, size_t len)
{
    struct cpu_model model = model_of(name);
    struct x86_insn insn;

    assert_int_equal(x86_decode(&insn, X86_MODE_LONG64, (const uint8_t *)bytes, len),
                     X86_DECODE_OK);
    return cpu_model_allows(&model, &insn.info);
}

#define ALLOWS(name, bytes) allows(name, bytes, sizeof(bytes) - 1)

static void test_instructions(void **state)
{
    assert_true(ALLOWS("x86-64-v1", "\x48\x01\xd8"));          /* add rax, rbx */
    assert_true(ALLOWS("x86-64-v1", "\x66\x0f\xfe\xc1"));      /* paddd */
    assert_false(ALLOWS("x86-64-v1", "\x66\x0f\x38\x00\xc1")); /* pshufb */
    assert_true(ALLOWS("x86-64-v2", "\x66\x0f\x38\x00\xc1"));
    assert_false(ALLOWS("x86-64-v2", "\xc5\xfd\xfe\xc1")); /* vpaddd ymm */
    assert_true(ALLOWS("x86-64-v3", "\xc5\xfd\xfe\xc1"));
    assert_true(ALLOWS("x86-64-v1", "\xf3\x0f\xbc\xc1"));    /* tzcnt, which is bsf */
    assert_true(ALLOWS("x86-64-v1", "\xf3\x0f\x1e\xfa"));    /* endbr64 */
    assert_false(ALLOWS("max", "\x0f\x01\xc1"));             /* vmcall */
    assert_false(ALLOWS("max", "\x62\xf1\x7d\x48\xfe\xc1")); /* vpaddd zmm */
    assert_false(ALLOWS("max", "\x0f\x01\xc8"));             /* monitor */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels),   cmocka_unit_test(test_missing),
        cmocka_unit_test(test_identity), cmocka_unit_test(test_context),
        cmocka_unit_test(test_tsc),      cmocka_unit_test(test_instructions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
