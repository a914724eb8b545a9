/* SPDX-License-Identifier: MIT */
/*
 * A log of what leaves the guest, for people: with PAWL_TRACE=FILE in the environment every exit to EL2 and every
 * return of KVM_RUN is a line. Off, it costs one predicted branch per exit.
 */
#ifndef PAWL_KVM_TRACE_H
#define PAWL_KVM_TRACE_H

#include <stdbool.h>

struct vcpu;

extern bool trace_on;

/* Reads PAWL_TRACE, once per process. Any thread. */
void trace_init(void);
void trace_write_trap(struct vcpu *vcpu);
void trace_write_return(struct vcpu *vcpu, int ret);

/* CPU_EXIT_TRAP: before it is handled, PC still at the instruction. vcpu thread. */
static inline void trace_trap(struct vcpu *vcpu)
{
	if (__builtin_expect(trace_on, 0))
		trace_write_trap(vcpu);
}

/* KVM_RUN is about to return: 0 (see run->exit_reason) or a negative errno. vcpu thread. */
static inline void trace_return(struct vcpu *vcpu, int ret)
{
	if (__builtin_expect(trace_on, 0))
		trace_write_return(vcpu, ret);
}

#endif
