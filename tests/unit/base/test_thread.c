/* Stacks of threads: their size, and that a thread whose stack has run out still has its say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/thread.h"

#define SAID 7

static void *look(void *opaque)
{
    size_t *stack_bytes = opaque;
    pthread_attr_t attr;
    stack_t signals;

    if (pthread_getattr_np(pthread_self(), &attr) == 0)
        (void)pthread_attr_getstacksize(&attr, stack_bytes);
    pthread_attr_destroy(&attr);
    return sigaltstack(NULL, &signals) == 0 && !(signals.ss_flags & SS_DISABLE) ? opaque : NULL;
}

static void test_own_stacks(void **state)
{
    size_t stack_bytes = 0;
    void *result = NULL;
    pthread_t thread;

    assert_int_equal(thread_create(&thread, look, &stack_bytes), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, &stack_bytes);
    assert_int_equal(stack_bytes, THREAD_STACK_BYTES);
}

static void on_overflow(int number)
{
    _exit(SAID);
}

/* Each call's frame is needed behind the next one, so none is dropped. */
static unsigned descend(volatile uint8_t *above)
{
    volatile uint8_t frame[4096];

    frame[0] = (uint8_t)(above[0] + 1);
    return above[0] == 255 && above == frame ? 0 : descend(frame) + frame[0];
}

static void *overflow(void *opaque)
{
    volatile uint8_t zero[1] = {0};

    return descend(zero) ? opaque : NULL;
}

static void exhaust(bool main_thread)
{
    struct sigaction action = {.sa_handler = on_overflow, .sa_flags = SA_ONSTACK};
    struct rlimit no_core = {0}, small = {.rlim_cur = 1 * MIB, .rlim_max = 1 * MIB};
    pthread_t thread;

    sigaction(SIGSEGV, &action, NULL);
    setrlimit(RLIMIT_CORE, &no_core);
    setrlimit(RLIMIT_STACK, &small);
    if (main_thread && thread_add_signal_stack() == 0)
        overflow(NULL);
    else if (!main_thread && thread_create(&thread, overflow, NULL) == 0)
        pthread_join(thread, NULL);
    _exit(1);
}

static void test_overflow_is_heard(void **state)
{
    for (unsigned main_thread = 0; main_thread < 2; main_thread++) {
        int status = 0;
        pid_t child = fork();

        if (child == 0)
            exhaust(main_thread);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), SAID);
    }
}

static void stay_small(rlim_t limit_bytes)
{
    struct rlimit limit = {.rlim_cur = limit_bytes, .rlim_max = limit_bytes};
    uint64_t left;

    setrlimit(RLIMIT_STACK, &limit);
    left = thread_main_stack_left();
    _exit(left < limit_bytes && left > limit_bytes / 2 ? SAID : 1);
}

/* A soft limit is raised as far as the hard one allows; what is left is less than the limit. */
static void test_limit(void **state)
{
    struct rlimit before, now, soft;
    int status = 0;
    pid_t child;

    assert_int_equal(getrlimit(RLIMIT_STACK, &before), 0);
    soft = (struct rlimit){.rlim_cur = 1 * MIB, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_STACK, &soft), 0);
    (void)thread_main_stack_left();
    assert_int_equal(getrlimit(RLIMIT_STACK, &now), 0);
    assert_true(now.rlim_cur >= MIN((uint64_t)before.rlim_max, 8 * MIB));
    assert_int_equal(setrlimit(RLIMIT_STACK, &before), 0);

    child = fork();
    if (child == 0)
        stay_small(1 * MIB);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), SAID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_stacks),
        cmocka_unit_test(test_overflow_is_heard),
        cmocka_unit_test(test_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
