/* SPDX-License-Identifier: MIT */
/* A VM of four vcpus with a GICv3, each vcpu for a thread of its own, and the two ways in which a signal's handler stops one. */
#ifndef PAWL_TEST_SMP_H
#define PAWL_TEST_SMP_H

#include <pthread.h>
#include <stdatomic.h>

#include "harness.h"

enum { VCPUS = 4 };

struct one {
	int fd;
	struct kvm_run *run;
	pthread_t thread;
	_Atomic long result; /* of the last KVM_RUN */
	atomic_uint exits;
	atomic_bool done; /* the thread has nothing more to do */
};
extern struct one one[VCPUS];
extern __thread struct one *self; /* whose thread this is */

/* All SGIs and PPIs of all vcpus, and SPIs up to 95, are enabled in group 1; the guest's code is at ENTRY, where all begin. */
void smp_new(const uint32_t *code, unsigned words);
void smp_free(void);
void smp_set(unsigned vcpu, uint64_t id, uint64_t val); /* a register */

/* SIG_KICK: the handler says that it ran. SIG_KICK_TOO: it stores immediate_exit. */
void smp_handle_signals(int sa_flags);

#endif
