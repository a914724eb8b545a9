/* SPDX-License-Identifier: MIT */
/* For tests of translated blocks: a block is interpreted and translated, from the same state, and all that a guest can see is compared. */
#ifndef TESTS_JIT_COMPARE_H
#define TESTS_JIT_COMPARE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ir_random.h"
#include "jit.h"
#include "vec.h"

static struct pe want, got;
static struct jit *jit;

static void differs(const struct ir_block *blk, const char *what, unsigned n)
{
	ir_print(stderr, blk);
	for (unsigned i = 0; i < 32; i++)
		if (want.env.x[i] != got.env.x[i])
			fprintf(stderr, "x%u %llx, not %llx\n", i, (unsigned long long)got.env.x[i],
				(unsigned long long)want.env.x[i]);
	for (unsigned i = 0; i < 32; i++)
		if (memcmp(&want.env.v[i], &got.env.v[i], 16))
			fprintf(stderr, "v%u %016llx%016llx, not %016llx%016llx\n", i,
				(unsigned long long)got.env.v[i].d[1], (unsigned long long)got.env.v[i].d[0],
				(unsigned long long)want.env.v[i].d[1], (unsigned long long)want.env.v[i].d[0]);
	if (want.env.fpsr != got.env.fpsr)
		fprintf(stderr, "fpsr %x, not %x (fpcr %x)\n", got.env.fpsr, want.env.fpsr, want.env.fpcr);
	fail_msg("%s: block %u: pc %llx, not %llx; nzcv %x, not %x", what, n, (unsigned long long)got.env.pc,
		 (unsigned long long)want.env.pc, got.env.nzcv, want.env.nzcv);
}

static void expect_same(const struct ir_block *blk, enum ir_ret ret, enum ir_ret ret2, const char *what, unsigned n)
{
	if (ret2 != ret || memcmp(&want.env, &got.env, offsetof(struct ir_env, tlb)) ||
	    memcmp(&want.env.fpcr, &got.env.fpcr, offsetof(struct ir_env, ops) - offsetof(struct ir_env, fpcr)) ||
	    memcmp(&want.env.excl, &got.env.excl, sizeof(want.env.excl)) ||
	    memcmp(want.mem, got.mem, sizeof(want.mem)) || want.env.insn_count != got.env.insn_count ||
	    want.sys != got.sys || want.faults != got.faults || want.fault_pc != got.fault_pc ||
	    want.slow_loads != got.slow_loads || want.slow_stores != got.slow_stores ||
	    want.slow_atomics != got.slow_atomics || want.fences != got.fences || want.env.step_ex != got.env.step_ex ||
	    want.env.exit_imm != got.env.exit_imm || want.env.exit_reason != got.env.exit_reason)
		differs(blk, what, n);
}

/* Runs the block in both ways from the state that state() makes of seed st. */
static enum ir_ret compare_from(void (*state)(struct pe *, uint64_t), const struct ir_block *blk, uint64_t st,
				const char *what, unsigned n)
{
	enum ir_ret ret, ret2;
	struct jit_unit u = {.blk = blk, .counts = true, .tier = (enum jit_tier)(st % 3)};

	u.extents = (uint32_t)(st * 0x9e3779b97f4a7c15ull >> 32);
	u.site_extent = (unsigned)(st >> 5) % IR_SITES;
	state(&want, st);
	u.flushes = want.env.fpcr & IR_FPCR_FZ;
	ret = ir_interp(&want.env, blk);
	state(&got, st);
	/* values of an earlier block must not matter */
	memset(got.env.t + 1, 0xa5, sizeof(got.env.t) - sizeof(got.env.t[0]));
	if (jit_is_full(jit))
		jit_reset(jit);
	assert_true(jit_compile(jit, &u));
	ret2 = jit_run(jit, &got.env, u.code);
	expect_same(blk, ret, ret2, what, n);
	return ret;
}

#endif
