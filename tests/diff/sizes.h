/* Whether instructions stay within their memory operands (see sizes.c). */
#ifndef UMBRA_TESTS_DIFF_SIZES_H
#define UMBRA_TESTS_DIFF_SIZES_H

#include "generate.h"
#include "host.h"

/* Prints each form that does not; returns how many there are. */
unsigned diff_check_sizes(struct diff_host *host, const struct diff_templates *t);

#endif
