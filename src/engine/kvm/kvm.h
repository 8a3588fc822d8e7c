/*
 * The kvm engine beyond engine.h: whether the host's KVM can be used, and how well it runs guests.
 * An openable /dev/kvm proves nothing: some hosts emulate each instruction behind it. So it is
 * timed with short guest loops before anybody relies on it.
 */
#ifndef UMBRA_ENGINE_KVM_KVM_H
#define UMBRA_ENGINE_KVM_KVM_H

#include "base/types.h"

/* Modes that a probe runs a loop in. */
enum kvm_mode { KVM_MODE_REAL, KVM_MODE_LONG, KVM_MODES };

/* What a probe found. */
struct kvm_probe {
    bool usable;                    /* it has what the engine needs, and refuses no call */
    bool works[KVM_MODES];          /* the loop ended with the right result */
    uint64_t per_second[KVM_MODES]; /* guest instructions a second, where it works */
    bool hardware_speed;            /* in both modes; only then it is worth choosing */
    uint64_t tsc_hz; /* of the guest's time-stamp counter; 0: the host does not tell */
    uint64_t took_ns;
    char paging[16];  /* "EPT", "NPT", "shadow", or "unknown" */
    char reason[160]; /* why not, or how fast, for people */
};

/*
 * Opens KVM and times a loop in each mode, within at most limit_ns. now_ns reads the host's clock,
 * used_ns the processor time of this thread: on a busy host the speed is to be KVM's, not its
 * share. Never fails: what is wrong stands in the result.
 */
void kvm_probe(struct kvm_probe *probe, uint64_t limit_ns, uint64_t (*now_ns)(void),
               uint64_t (*used_ns)(void));

/* Which paging the parameters of the host's KVM module say: "EPT", "NPT", "shadow", "unknown". */
void kvm_host_paging(char *name, size_t size);

/*
 * The guest code that a probe times: counts ECX down to 0, two instructions a round, and halts.
 * Others who want comparable figures run the same.
 */
#define KVM_LOOP_BYTES 7
const uint8_t *kvm_loop_code(enum kvm_mode mode);

/* The words of a mode. */
const char *kvm_mode_name(enum kvm_mode mode);

#endif
