/* SPDX-License-Identifier: MIT */
/*
 * A PE from creation to the end, and cpu_run(): block after block until something must be handled at EL2. The order at
 * an instruction boundary is Arm ARM DDI 0487, "Synchronous exception prioritization": software step before interrupts
 * (a choice that the architecture leaves open) before the fetch and what follows from it.
 */
#include "internal.h"

#include <string.h>

#include "handler.h"
#include "zeroed.h"

struct cpu *cpu_new(struct cpu_group *g, const struct cpu_platform *platform, void *opaque)
{
	struct cpu *cpu = zeroed_new(sizeof(*cpu));

	if (!cpu)
		return NULL;
	cpu->group = g;
	cpu->platform = platform;
	cpu->opaque = opaque;
	cpu->env.ops = &access_ops;
	cpu->el2.dbg = &cpu->dbg;
	cpu->stat = cpu->own_stat;
	cpu->el2.tpm = true;
	cpu->priv = zeroed_new(sizeof(*cpu->priv));
	if (cpu->priv)
		cpu->priv->attn = &cpu->env.attn;
	if (!cpu->priv || block_init(cpu) || group_join(cpu)) {
		cpu_free(cpu);
		return NULL;
	}
	model_init(cpu);
	cpu_reset(cpu);
	tlb_init(cpu);
	return cpu;
}

void cpu_free(struct cpu *cpu)
{
	if (!cpu)
		return;
	if (cpu->priv) {
		group_part(cpu);
		block_exit(cpu);
	}
	zeroed_free(cpu->priv, sizeof(*cpu->priv));
	zeroed_free(cpu, sizeof(*cpu));
}

/* What a reset leaves alone: identification. */
static bool survives_reset(unsigned sys)
{
	switch (sys) {
	case CPU_MPIDR_EL1:
	case CPU_MIDR_EL1:
	case CPU_REVIDR_EL1:
	case CPU_AIDR_EL1:
	case CPU_CTR_EL0:
	case CPU_CLIDR_EL1:
	case CPU_DCZID_EL0: return true;
	default: return false;
	}
}

void cpu_reset(struct cpu *cpu)
{
	struct ir_env *env = &cpu->env;

	memset(env->x, 0, sizeof(env->x));
	memset(env->v, 0, sizeof(env->v));
	env->pc = 0;
	env->nzcv = env->fpcr = env->fpsr = 0;
	env->excl.valid = 0;
	cpu->window.n = 0;
	cpu->pstate = PSR_D | PSR_A | PSR_I | PSR_F | PSR_EL1H;
	cpu->sp_bank[0] = cpu->sp_bank[1] = 0;
	for (unsigned i = 0; i < CPU_SYS_COUNT; i++) {
		if (!survives_reset(i))
			cpu->sys[i] = 0;
	}
	cpu->sys[CPU_SCTLR_EL1] = 0x00c50078;
	cpu->sys[CPU_OSLSR_EL1] = 8;
	memset(&cpu->dbg, 0, sizeof(cpu->dbg));
	memset(cpu->timer, 0, sizeof(cpu->timer));
	cpu_sys_changed(cpu);
}

void cpu_sys_changed(struct cpu *cpu)
{
	tlb_flush_all(cpu);
	tlb_address_space_changed(cpu);
}

void cpu_kick(struct cpu *cpu)
{
	__atomic_fetch_or(&cpu->env.kick, KICK_EXIT, __ATOMIC_SEQ_CST);
}

IN_HANDLER void cpu_kick_self(struct cpu *cpu)
{
	__atomic_fetch_or(&cpu->env.kick, KICK_EXIT, __ATOMIC_SEQ_CST);
}

/* ---- the run loop */

/* An instruction has completed under the step state machine. */
static void stepped(struct cpu *cpu)
{
	debug_ss_advance(cpu);
	cpu->priv->step_isv = cpu->priv->step_active;
}

/* Takes what was kicked for. True: leave cpu_run. */
static bool take_kick(struct cpu *cpu)
{
	uint32_t kick = __atomic_exchange_n(&cpu->env.kick, 0, __ATOMIC_SEQ_CST);

	if (kick & KICK_INTERNAL)
		group_serve(cpu);
	attend(cpu, ATTN_IRQ);
	return kick & KICK_EXIT;
}

enum attention { GO_ON, EXIT_TRAP, EXIT_KICK };

/* All that can come between two instructions. */
static enum attention attention(struct cpu *cpu)
{
	for (;;) {
		if (cpu->env.attn & ATTN_EXIT)
			return EXIT_TRAP;
		if ((cpu->env.attn & ATTN_STEP) && debug_step_pending(cpu))
			continue; /* an exit, or an exception to EL1 that starts over */
		if (__atomic_load_n(&cpu->env.kick, __ATOMIC_RELAXED) && take_kick(cpu))
			return EXIT_KICK;
		if (cpu->env.attn & ATTN_IRQ) {
			cpu->env.attn &= ~(uint32_t)ATTN_IRQ;
			if (exception_pending_irq(cpu)) {
				exception_take_irqs(cpu);
				continue;
			}
		}
		if (unlikely(cpu->env.attn & ATTN_FULL)) {
			cpu->env.attn &= ~(uint32_t)ATTN_FULL;
			group_drop_code(cpu);
			continue;
		}
		if (cpu->env.attn & ATTN_REGIME) {
			cpu->env.attn &= ~(uint32_t)ATTN_REGIME;
			tlb_select(cpu);
		}
		return GO_ON;
	}
}

/* Code has come back. */
static void count_leaving(struct cpu *cpu, enum ir_ret ret)
{
	enum cpu_stat why = CPU_STAT_LEFT_LOOKUP;

	if (ret == IR_RET_EXIT)
		why = CPU_STAT_LEFT_EXIT;
	else if (__atomic_load_n(&cpu->env.kick, __ATOMIC_RELAXED) | cpu->env.attn)
		why = CPU_STAT_LEFT_ATTN;
	else if (ret == IR_RET_TRAP)
		why = CPU_STAT_LEFT_TRAP;
	else if (cpu->env.site)
		why = CPU_STAT_LEFT_LINK;
	stat_inc(cpu, CPU_STAT_ENTERED);
	stat_inc(cpu, why);
}

/* A soft TLB that has nothing. */
static struct ir_tlb *no_tlb(struct cpu_priv *p)
{
	for (unsigned i = 0; i < IR_TLB_SIZE && p->no_tlb.r[0] != IR_TLB_NONE; i++)
		p->no_tlb.r[IR_TLB_SIZE - 1 - i] = p->no_tlb.w[IR_TLB_SIZE - 1 - i] = IR_TLB_NONE;
	return &p->no_tlb;
}

static bool is_misaligned(const struct ir_env *env, const struct block *b)
{
	return env->x[31] & __atomic_load_n(&b->sp_mask, __ATOMIC_RELAXED);
}

/*
 * A block without code, and those that follow it for as long as nothing is to be attended to: while attn is 0 nobody asks what came
 * of each, so there is nothing to do between them but to find the next.
 */
static enum ir_ret interp_run(struct cpu *cpu, const struct block *b)
{
	struct ir_env *env = &cpu->env;

	for (;;) {
		enum ir_ret ret = ir_interp(env, b->ir);

		if (ret != IR_RET_BR || unlikely(__atomic_load_n(&env->kick, __ATOMIC_RELAXED) | env->attn))
			return ret;
		b = block_cached(cpu);
		if (!b || block_code(b) || unlikely(is_misaligned(env, b)))
			return ret; /* the run loop finds it, or makes it */
	}
}

/* A block, and with translated code those that follow it for as long as nothing is to be attended to. */
static inline enum ir_ret run_block(struct cpu *cpu, const struct block *b)
{
	struct cpu_priv *p = cpu->priv;
	struct ir_env *env = &cpu->env;
	const void *code = block_code(b);
	struct ir_block scratch;

	if (unlikely(is_misaligned(env, b))) { /* block.c, "SP alignment" */
		env->tlb = no_tlb(p);
		attend(cpu, ATTN_REGIME); /* puts it back */
		env->site = 0;
		return ir_interp(env, block_ir(cpu, b, &scratch));
	}
	if (code) {
		enum ir_ret ret = jit_run(cpu->group->cache->jit, env, code);

		count_leaving(cpu, ret);
		if (unlikely(env->hot)) {
			cache_lock(cpu);
			tier_hot(cpu);
			cache_unlock(cpu);
		}
		return ret;
	}
	env->site = 0;
	return interp_run(cpu, b);
}

static enum cpu_exit run(struct cpu *cpu)
{
	struct cpu_priv *p = cpu->priv;
	struct ir_env *env = &cpu->env;

	env->site = 0;
	for (;;) {
		struct block *b;
		enum ir_ret ret;
		unsigned el;

		if (unlikely(__atomic_load_n(&env->kick, __ATOMIC_RELAXED) | cpu->env.attn)) {
			enum attention a = attention(cpu);

			if (a != GO_ON)
				return a == EXIT_KICK ? CPU_EXIT_KICK : CPU_EXIT_TRAP;
		}
		b = block_find(cpu);
		if (unlikely(!b))
			continue;
		if (env->site)
			block_link(cpu, env->site, b);
		env->step_ex = 0;
		el = cpu_el(cpu);
		if (unlikely(cpu->env.attn & ATTN_WINDOW))
			window_before(cpu);
		ret = run_block(cpu, b);
		switch (ret) {
		case IR_RET_BR: p->outcome = OUTCOME_RETIRED; break;
		case IR_RET_EXIT: trap_exit(cpu); break;
		case IR_RET_TRAP: break; /* the callback has set the outcome */
		}
		if (unlikely(cpu->env.attn & ATTN_WINDOW))
			window_after(cpu, block_words(b)[0]);
		if (unlikely(cpu->env.attn & ATTN_COUNT))
			count_block(cpu, el, ret == IR_RET_EXIT);
		if (unlikely(cpu->env.attn & ATTN_STEP) && p->outcome == OUTCOME_RETIRED)
			stepped(cpu);
	}
}

enum cpu_exit cpu_run(struct cpu *cpu)
{
	struct cpu_priv *p = cpu->priv;
	enum cpu_exit why = CPU_EXIT_KICK;

	guest_enter(cpu);
	if (!__atomic_load_n(&cpu->env.kick, __ATOMIC_RELAXED) || !take_kick(cpu)) {
		/* The exception return from EL2 cleared the exclusive monitor, and no step is reported for it. */
		if (likely(!cpu->el2.keep_monitor && !cpu->window.n))
			cpu->env.excl.valid = 0;
		p->step_isv = false;
		/* Registers and el2 may differ from the last time; most of attn was settled then. */
		cpu->env.attn = (cpu->env.attn & ~(uint32_t)(ATTN_EXIT | ATTN_STEP | ATTN_COUNT | ATTN_WINDOW)) |
				(cpu->el2.mdscr & MDSCR_SS ? ATTN_STEP : 0) | (cpu->count.insns ? ATTN_COUNT : 0);
		if (atomic_load_explicit(&cpu->irq_in, memory_order_relaxed))
			attend(cpu, ATTN_IRQ); /* what comes from now on comes with a kick */
		if (!tlb_is_selected(cpu))
			attend(cpu, ATTN_REGIME);
		if (unlikely(cpu->window.n))
			window_enter(cpu);
		debug_enter(cpu);
		count_enter(cpu);
		why = run(cpu);
		count_leave(cpu);
		cpu->stat[CPU_STAT_TLB_HIT] += cpu->env.tlb_hits;
		if (unlikely(cpu->env.extent_hits)) /* a look that missed has come by again */
			cpu->stat[CPU_STAT_EXTENT_HIT] += cpu->env.extent_hits - cpu->env.tlb_hits;
		cpu->env.tlb_hits = cpu->env.extent_hits = 0;
	}
	guest_leave(cpu);
	return why;
}
