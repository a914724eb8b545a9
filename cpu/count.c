/* SPDX-License-Identifier: MIT */
/*
 * What a performance monitor counts and only the PE can know: instructions architecturally executed and time spent, by
 * Exception level. Arm ARM DDI 0487, "The PMU event number space and common events", INST_RETIRED and CPU_CYCLES. The
 * counters that a guest sees are the hypervisor's business.
 *
 * While instructions are counted, each is a block of its own, and the run loop looks around after each.
 */
#include "internal.h"

/* The time since the last call goes to the current Exception level. */
void count_time(struct cpu *cpu)
{
	struct cpu_count *c = &cpu->count;
	uint64_t now;

	if (!c->cycles || !c->since)
		return;
	now = cpu_group_counter(cpu->group);
	c->cycle[cpu_el(cpu) != 0] += now - c->since;
	c->since = now;
}

void count_enter(struct cpu *cpu)
{
	if (cpu->count.cycles)
		cpu->count.since = cpu_group_counter(cpu->group);
}

void count_leave(struct cpu *cpu)
{
	count_time(cpu);
	cpu->count.since = 0;
}

void cpu_count_instruction(struct cpu *cpu, unsigned el)
{
	struct cpu_count *c = &cpu->count;

	c->insn[el != 0]++;
	if (c->insns_left && --c->insns_left == 0)
		cpu_kick(cpu);
}

/* The current instruction is over, having begun at this Exception level. Was it executed, or did it take an exception? */
void count_block(struct cpu *cpu, unsigned el, bool left_by_exit)
{
	bool executed = cpu->priv->outcome == OUTCOME_RETIRED;

	if (left_by_exit) {
		switch ((enum ir_exit_reason)cpu->env.exit_reason) {
		case IR_EXIT_SVC:
		case IR_EXIT_HVC: executed = true; break;
		case IR_EXIT_ERET: executed = el != 0; break;
		default: break;
		}
	}
	if (executed)
		cpu_count_instruction(cpu, el);
}
