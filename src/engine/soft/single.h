/* One instruction at a time, with debug exceptions (single.c has their rules); for the run loop. */
#ifndef UMBRA_ENGINE_SOFT_SINGLE_H
#define UMBRA_ENGINE_SOFT_SINGLE_H

#include "engine/soft/cpu.h"

struct block;

/*
 * Runs the first instruction of a block, and delivers the debug exception before or behind it.
 * The loop calls this while cpu->single_step is set, and in the shadow of STI and of loads of SS.
 */
enum step single_run(struct cpu *cpu, struct block *block);

#endif
