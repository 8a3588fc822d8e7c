/* The words of exit.def. */
#include "engine/exit.h"

#include <stddef.h>

const char *exit_reason_words(unsigned reason)
{
    static const char *const words[EXIT_REASONS] = {
#define EXIT_REASON(number, name, text) [number] = text,
#include "engine/exit.def"
#undef EXIT_REASON
    };

    return reason < EXIT_REASONS ? words[reason] : NULL;
}
