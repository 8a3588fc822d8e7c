/*
 * What the soft engine's vCPU offers beyond engine.h: runs of a fixed length, so that a test ends
 * at the same guest instruction each time.
 */
#ifndef UMBRA_ENGINE_SOFT_VCPU_H
#define UMBRA_ENGINE_SOFT_VCPU_H

#include "engine/engine.h"

struct cpu;

/*
 * Makes vcpu_run return ENGINE_STOP_KICK once it has looked at its request word so many times: once
 * a block, and once for each piece of a long string instruction. A new call replaces the limit;
 * vcpu_reset lifts it.
 */
void soft_vcpu_limit(struct engine_vcpu *vcpu, uint64_t looks);

/*
 * Whether the limit is still to come: a run that ended by ENGINE_STOP_KICK may have reached it and
 * been kicked at once. While it does not run.
 */
bool soft_vcpu_limited(struct engine_vcpu *vcpu);

/* The processor inside, for tests that go below instructions; while it does not run. */
struct cpu *soft_vcpu_cpu(struct engine_vcpu *vcpu);

#endif
