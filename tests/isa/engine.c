/* SPDX-License-Identifier: MIT */
/*
 * Our side: isa_emit() and ir_interp(), or with PAWL_ENGINE=jit translated code, with flat memory. What the PE would check (permissions, alignment) is not
 * checked, except that nothing is mapped outside of the two areas.
 */
#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "jit.h"

uint8_t *engine_data, *engine_code;
unsigned engine_accesses;
struct access engine_access;
uint8_t engine_el = 1;
bool engine_fp_traps, engine_ended;

static struct ir_builder *builder;
static struct jit *jit;
static struct ir_env env;
static struct ir_tlb tlb;

static void *flat(uint64_t va, unsigned len)
{
	if (va >= DATA && va + len <= DATA + DATA_SIZE)
		return engine_data + (va - DATA);
	if (va >= CODE && va + len <= CODE + CODE_SIZE)
		return engine_code + (va - CODE);
	return NULL;
}

static unsigned bytes(uint32_t m)
{
	return (1u << IR_MEM_SIZE(m)) << (m & IR_MEM_PAIR ? 1 : 0);
}

static int flat_load(struct ir_env *e, uint64_t va, uint32_t m, void *out)
{
	const void *p = flat(va, bytes(m));

	engine_accesses++;
	engine_access = (struct access){va, m};
	if (!p)
		return 1;
	memcpy(out, p, bytes(m));
	return 0;
}

static int flat_store(struct ir_env *e, uint64_t va, uint32_t m, const void *in)
{
	void *p = flat(va, bytes(m));

	engine_accesses++;
	engine_access = (struct access){va, m};
	if (!p)
		return 1;
	memcpy(p, in, bytes(m));
	return 0;
}

static int flat_atomic(struct ir_env *e, uint64_t va, uint32_t m, void **host)
{
	engine_accesses++;
	engine_access = (struct access){va, m};
	*host = flat(va, bytes(m));
	return !*host;
}

/* ---- what the PE answers: FPCR and FPSR are in the environment; the rest only if a test plays PE */

#define ENC_FPCR (3 << 14 | 3 << 11 | 4 << 7 | 4 << 3 | 0)
#define ENC_FPSR (3 << 14 | 3 << 11 | 4 << 7 | 4 << 3 | 1)

bool engine_has_pe;
struct call engine_call;
unsigned engine_calls;

static int record(char kind, uint32_t enc, unsigned rt, uint64_t val)
{
	engine_call = (struct call){kind, enc, rt, val};
	engine_calls++;
	return engine_has_pe ? 0 : 1;
}

static int flat_mrs(struct ir_env *e, uint32_t enc, unsigned rt, uint64_t *val)
{
	*val = enc == ENC_FPCR ? e->fpcr : enc == ENC_FPSR ? e->fpsr : ENGINE_MRS_VALUE;
	return enc == ENC_FPCR || enc == ENC_FPSR ? 0 : record('r', enc, rt, *val);
}

static int flat_msr(struct ir_env *e, uint32_t enc, unsigned rt, uint64_t val)
{
	if (enc == ENC_FPCR)
		e->fpcr = (uint32_t)val;
	else if (enc == ENC_FPSR)
		e->fpsr = (uint32_t)val;
	else
		return record('w', enc, rt, val);
	return 0;
}

static int flat_msr_imm(struct ir_env *e, uint32_t enc, unsigned imm4)
{
	return record('i', enc, 0, imm4);
}

static void flat_btype(struct ir_env *e, unsigned btype)
{
	record('b', btype, 0, 0);
}

/* Keys and algorithm are the PE's (tests/cpu/pauth.c): something that depends on all there is. */
static int flat_pauth(struct ir_env *e, unsigned kind, uint64_t ptr, uint64_t modifier, uint64_t *val)
{
	*val = ptr + 3 * modifier + kind;
	return record('p', kind, 0, *val);
}

static void flat_fence(struct ir_env *e, enum ir_fence kind)
{
	record('f', kind, 0, 0);
}

static const struct ir_env_ops flat_ops = {
	.load = flat_load,
	.store = flat_store,
	.atomic = flat_atomic,
	.mrs = flat_mrs,
	.msr = flat_msr,
	.msr_imm = flat_msr_imm,
	.btype = flat_btype,
	.pauth = flat_pauth,
	.fence = flat_fence,
};

void engine_start(void)
{
	builder = ir_builder_new();
	engine_data = aligned_alloc(4096, DATA_SIZE);
	engine_code = aligned_alloc(4096, CODE_SIZE);
	assert(builder && engine_data && engine_code);
	ir_builder_check_all(builder);
	if (getenv("PAWL_ENGINE") && !strcmp(getenv("PAWL_ENGINE"), "jit")) {
		const char *why;

		jit = jit_new(&env, 0, &why);
		assert(jit);
	}
}

static enum ir_ret run(const struct ir_block *block)
{
	static uint32_t turn;
	struct jit_unit u = {.blk = block, .flushes = env.fpcr & IR_FPCR_FZ};

	u.tier = (enum jit_tier)(turn++ % 3);
	u.extents = turn * 0x9e3779b9;

	if (!jit)
		return ir_interp(&env, block);
	if (jit_is_full(jit))
		jit_reset(jit);
	if (!jit_compile(jit, &u))
		abort();
	return jit_run(jit, &env, u.code);
}

static void fill_tlb(bool fast)
{
	static int filled = -1;

	if (filled == fast)
		return;
	filled = fast;
	for (unsigned i = 0; i < IR_TLB_SIZE; i++)
		tlb.r[i] = tlb.w[i] = IR_TLB_NONE;
	for (uint64_t va = DATA; fast && va < DATA + DATA_SIZE; va += 1u << IR_PAGE_SHIFT) {
		unsigned i = ir_tlb_index(va);

		tlb.r[i] = tlb.w[i] = va;
		tlb.delta[i] = (uint64_t)engine_data - DATA;
	}
}

struct result engine_run(const struct state *s, const uint32_t *insns, unsigned n, uint64_t features, bool fast)
{
	struct isa_ctx ctx = {
		.b = builder, .pc = s->pc, .features = features, .el = engine_el, .fp_traps = engine_fp_traps};
	struct result r = {.outcome = DONE};
	struct ir_block block;
	uint8_t *slot = flat(s->pc, 4 * n + 4);
	const uint32_t end = SLOT_END;

	if (slot) {
		memcpy(slot, insns, 4 * n);
		memcpy(slot + 4 * n, &end, 4);
	}
	memset(&env, 0, offsetof(struct ir_env, t)); /* the values behind it are the interpreter's, and many */
	memcpy(env.x, s->x, sizeof(env.x));
	memcpy(env.v, s->v, sizeof(env.v));
	env.pc = s->pc;
	env.nzcv = s->nzcv;
	env.fpcr = s->fpcr;
	env.fpsr = s->fpsr;
	env.tlb = &tlb;
	env.ops = &flat_ops;
	engine_accesses = engine_calls = 0;
	fill_tlb(fast);

	ir_begin(builder, s->pc);
	engine_ended = false;
	for (unsigned i = 0; i < n; i++, ctx.pc += 4) {
		ir_next_insn(builder);
		if (!isa_emit(&ctx, insns[i])) {
			engine_ended = true;
			break;
		}
		if (i == n - 1)
			ir_br(builder, ctx.pc + 4);
	}
	ir_finish(builder, &block);
	switch (run(&block)) {
	case IR_RET_BR: break;
	case IR_RET_EXIT:
		r.outcome = env.exit_reason == IR_EXIT_UNDEF ? UNDEFINED : EXIT;
		r.why = env.exit_reason;
		r.payload = env.exit_imm;
		break;
	case IR_RET_TRAP: r.outcome = FAULT; break;
	}
	memcpy(r.s.x, env.x, sizeof(env.x));
	memcpy(r.s.v, env.v, sizeof(env.v));
	r.s.pc = env.pc;
	r.s.nzcv = env.nzcv;
	r.s.fpcr = env.fpcr;
	r.s.fpsr = env.fpsr;
	return r;
}
