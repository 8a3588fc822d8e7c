/* What a vCPU tells before the process dies of an internal error, and the instruction trace. */
#ifndef UMBRA_ENGINE_SOFT_LAST_WORDS_H
#define UMBRA_ENGINE_SOFT_LAST_WORDS_H

/* For assert_set_last_words: opaque is the struct cpu. Prints registers, exits, code at RIP. */
void last_words_say(void *opaque);

struct cpu;

/* Prints the instruction at CS:RIP with the registers, for --trace cpu_insn. */
void last_words_trace(struct cpu *cpu);

#endif
