/* Formats the loaders' error texts. */
#include "fw/fw_error.h"

#include <stdarg.h>
#include <stdio.h>

int fw_error_set(struct fw_error *error, int result, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(error->text, sizeof(error->text), fmt, args);
    va_end(args);
    return result;
}
