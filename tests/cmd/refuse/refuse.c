/*
 * A host that refuses: `refuse CALL=ERRNO... -- PROGRAM [ARGUMENT...]` runs a program for which the
 * named system calls fail with these error numbers, from its start to its end. A filter of seccomp
 * does it, so that it holds whichever way the C library makes the call.
 */
#include <errno.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Adds a rule of the form CALL=ERRNO. */
static bool add_rule(scmp_filter_ctx filter, char *rule)
{
    char *equals = strchr(rule, '=');
    int call;

    if (!equals)
        return false;
    *equals = '\0';
    call = seccomp_syscall_resolve_name(rule);
    return call != __NR_SCMP_ERROR &&
           seccomp_rule_add(filter, SCMP_ACT_ERRNO(strtoul(equals + 1, NULL, 10)), call, 0) == 0;
}

int main(int argc, char **argv)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    int i = 1;

    for (; filter && i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (!add_rule(filter, argv[i])) {
            fprintf(stderr, "refuse: no rule: %s\n", argv[i]);
            return 125;
        }
    }
    if (!filter || i + 1 >= argc || seccomp_load(filter) != 0) {
        fprintf(stderr, "refuse: no filter, or no program\n");
        return 125;
    }
    seccomp_release(filter);
    execvp(argv[i + 1], argv + i + 1);
    fprintf(stderr, "refuse: %s: %s\n", argv[i + 1], strerror(errno));
    return 126;
}
