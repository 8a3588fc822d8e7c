/* The sub-commands. Each gets the arguments behind its name and returns the exit status. */
#ifndef UMBRA_CMD_COMMAND_H
#define UMBRA_CMD_COMMAND_H

#include "vm/vm.h"

#define UMBRA_VERSION "0.1"

/* What every command may return; the numbers stand in vm/vm.h. */
enum command_status {
    COMMAND_OK = VM_EXIT_POWEROFF,
    COMMAND_ERROR = VM_EXIT_ERROR, /* Umbra's or the host's failure */
    COMMAND_USAGE = VM_EXIT_USAGE, /* bad usage, bad file */
};

/* `umbra run`: starts a VM; see vm/vm.h for its exit status. */
int command_run(int argc, char **argv);

/* `umbra engines`: what can run guests here. */
int command_engines(int argc, char **argv);

/* `umbra report`: a page of what one or two runs counted. */
int command_report(int argc, char **argv);

/* `umbra help [run|report|soft|kvm|trace]`. */
int command_help(int argc, char **argv);

/* `umbra version`. */
int command_version(int argc, char **argv);

/* Prints the general help, and that of `umbra run`, to standard output. */
void help_print_main(void);
void help_print_run(void);
void help_print_report(void);

#endif
