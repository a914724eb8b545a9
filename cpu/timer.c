/* SPDX-License-Identifier: MIT */
/*
 * The generic timer's registers: counters, and the virtual and physical EL1 timers. Arm ARM DDI 0487, "The Generic
 * Timer in AArch64 state". The interrupt line and its deadline are for the hypervisor to wire up; no event stream.
 */
#include "internal.h"

uint64_t timer_count(const struct cpu *cpu, unsigned timer)
{
	return cpu_group_counter(cpu->group) - cpu_group_offset(cpu->group, timer);
}

static bool condition_met(const struct cpu *cpu, unsigned timer)
{
	return timer_count(cpu, timer) >= cpu->timer[timer].cval;
}

uint32_t timer_ctl(const struct cpu *cpu, unsigned timer)
{
	uint32_t ctl = cpu->timer[timer].ctl & (TIMER_ENABLE | TIMER_IMASK);

	if ((ctl & TIMER_ENABLE) && condition_met(cpu, timer))
		ctl |= TIMER_ISTATUS;
	return ctl;
}

bool cpu_timer_line(const struct cpu *cpu, unsigned timer)
{
	uint32_t ctl = cpu->timer[timer].ctl;

	return (ctl & (TIMER_ENABLE | TIMER_IMASK)) == TIMER_ENABLE && condition_met(cpu, timer);
}

uint64_t cpu_timer_deadline(const struct cpu *cpu, unsigned timer)
{
	const struct cpu_timer *t = &cpu->timer[timer];
	uint64_t now, count, left;

	if ((t->ctl & (TIMER_ENABLE | TIMER_IMASK)) != TIMER_ENABLE)
		return UINT64_MAX;
	now = cpu_group_counter(cpu->group);
	count = now - cpu_group_offset(cpu->group, timer);
	if (count >= t->cval)
		return now;
	left = t->cval - count;
	return left > UINT64_MAX - now ? UINT64_MAX : now + left;
}
