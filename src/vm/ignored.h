/* Options that have no effect beside others or with the engine that was chosen. */
#ifndef UMBRA_VM_IGNORED_H
#define UMBRA_VM_IGNORED_H

#include "vm/config.h"

/* Warns of each option that was given another value than its default in vain: a line for each. */
void vm_warn_ignored(const struct vm_config *config, bool soft);

#endif
