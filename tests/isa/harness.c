/* SPDX-License-Identifier: MIT */
/*
 * The two engines and the random numbers. Memory is flat; what the PE would check (permissions, alignment) is not
 * checked, except that nothing is mapped outside of the two areas.
 */
#include "harness.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unicorn/unicorn.h>

uint64_t rng_state;

/* ---- ours */

uint8_t *engine_data, *engine_code;
unsigned engine_accesses;
struct access engine_access;

static struct ir_builder *builder;
static struct ir_env env;
static struct ir_tlbe tlb[IR_TLB_SIZE];

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

/* Only what an emitter may leave to the PE and the oracle knows as well. */
static int flat_mrs(struct ir_env *e, uint32_t enc, unsigned rt, uint64_t *val)
{
	if (enc == (3 << 14 | 3 << 11 | 4 << 7 | 4 << 3 | 0))
		*val = e->fpcr;
	else if (enc == (3 << 14 | 3 << 11 | 4 << 7 | 4 << 3 | 1))
		*val = e->fpsr;
	else
		return 1;
	return 0;
}

static int flat_msr(struct ir_env *e, uint32_t enc, unsigned rt, uint64_t val)
{
	if (enc == (3 << 14 | 3 << 11 | 4 << 7 | 4 << 3 | 0))
		e->fpcr = (uint32_t)val;
	else if (enc == (3 << 14 | 3 << 11 | 4 << 7 | 4 << 3 | 1))
		e->fpsr = (uint32_t)val;
	else
		return 1;
	return 0;
}

static int flat_msr_imm(struct ir_env *e, uint32_t enc, unsigned imm4)
{
	return 1;
}

static void flat_fence(struct ir_env *e, enum ir_fence kind) {}

static const struct ir_env_ops flat_ops = {flat_load, flat_store,   flat_atomic, flat_mrs,
					   flat_msr,  flat_msr_imm, flat_fence};

void engine_start(void)
{
	builder = ir_builder_new();
	engine_data = aligned_alloc(4096, DATA_SIZE);
	engine_code = aligned_alloc(4096, CODE_SIZE);
	assert(builder && engine_data && engine_code);
}

static void fill_tlb(bool fast)
{
	for (unsigned i = 0; i < IR_TLB_SIZE; i++)
		tlb[i] = (struct ir_tlbe){.r = IR_TLB_NONE, .w = IR_TLB_NONE};
	for (uint64_t va = DATA; fast && va < DATA + DATA_SIZE; va += 1u << IR_PAGE_SHIFT) {
		struct ir_tlbe *t = &tlb[va >> IR_PAGE_SHIFT & (IR_TLB_SIZE - 1)];

		t->r = t->w = va;
		t->delta = (uint64_t)engine_data - DATA;
	}
}

struct result engine_run(const struct state *s, const uint32_t *insns, unsigned n, uint64_t features, bool fast)
{
	struct isa_ctx ctx = {.b = builder, .pc = s->pc, .features = features, .el = 1};
	struct result r = {.outcome = DONE};
	struct ir_block block;

	memset(&env, 0, sizeof(env));
	memcpy(env.x, s->x, sizeof(env.x));
	memcpy(env.v, s->v, sizeof(env.v));
	env.pc = s->pc;
	env.nzcv = s->nzcv;
	env.fpcr = s->fpcr;
	env.fpsr = s->fpsr;
	env.tlb = tlb;
	env.ops = &flat_ops;
	engine_accesses = 0;
	fill_tlb(fast);

	ir_begin(builder, s->pc);
	for (unsigned i = 0; i < n; i++, ctx.pc += 4) {
		ir_next_insn(builder);
		if (!isa_emit(&ctx, insns[i]))
			break;
		if (i == n - 1)
			ir_br(builder, ctx.pc + 4);
	}
	ir_finish(builder, &block);
	switch (ir_interp(&env, &block)) {
	case IR_RET_BR: break;
	case IR_RET_EXIT:
		r.outcome = env.exit_reason == IR_EXIT_UNDEF ? UNDEFINED : EXIT;
		r.why = env.exit_reason;
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

/* ---- the oracle */

uint8_t *oracle_data, *oracle_code;

static uc_engine *uc;
static int oracle_exception; /* EXCP number, -1 none */

enum { EXCP_UDEF = 1 };

static void on_interrupt(uc_engine *u, uint32_t number, void *opaque)
{
	oracle_exception = (int)number;
	uc_emu_stop(u);
}

static int reg_ids[31 + 1 + 1 + 1 + 2 + 32];
static void *reg_vals[31 + 1 + 1 + 1 + 2 + 32];
static struct state oracle_state;
static uint64_t oracle_pstate, oracle_fpcr, oracle_fpsr;

static void list_registers(void)
{
	unsigned n = 0;

	for (int i = 0; i < 31; i++) {
		reg_ids[n] = i < 29 ? UC_ARM64_REG_X0 + i : UC_ARM64_REG_X29 + (i - 29);
		reg_vals[n++] = &oracle_state.x[i];
	}
	reg_ids[n] = UC_ARM64_REG_SP;
	reg_vals[n++] = &oracle_state.x[31];
	reg_ids[n] = UC_ARM64_REG_PC;
	reg_vals[n++] = &oracle_state.pc;
	reg_ids[n] = UC_ARM64_REG_PSTATE;
	reg_vals[n++] = &oracle_pstate;
	reg_ids[n] = UC_ARM64_REG_FPCR;
	reg_vals[n++] = &oracle_fpcr;
	reg_ids[n] = UC_ARM64_REG_FPSR;
	reg_vals[n++] = &oracle_fpsr;
	for (int i = 0; i < 32; i++) {
		reg_ids[n] = UC_ARM64_REG_Q0 + i;
		reg_vals[n++] = &oracle_state.v[i];
	}
}

enum { N_REGS = sizeof(reg_ids) / sizeof(reg_ids[0]), PSTATE_EL1H = 0x3c5 };

bool oracle_start(void)
{
	uc_hook hook;

	oracle_data = aligned_alloc(4096, DATA_SIZE);
	oracle_code = aligned_alloc(4096, CODE_SIZE);
	list_registers();
	return oracle_data && oracle_code && uc_open(UC_ARCH_ARM64, UC_MODE_LITTLE_ENDIAN, &uc) == UC_ERR_OK &&
	       uc_ctl_set_cpu_model(uc, UC_CPU_ARM64_MAX) == UC_ERR_OK &&
	       uc_mem_map_ptr(uc, CODE, CODE_SIZE, UC_PROT_ALL, oracle_code) == UC_ERR_OK &&
	       uc_mem_map_ptr(uc, DATA, DATA_SIZE, UC_PROT_READ | UC_PROT_WRITE, oracle_data) == UC_ERR_OK &&
	       uc_hook_add(uc, &hook, UC_HOOK_INTR, (void *)on_interrupt, NULL, 1, 0) == UC_ERR_OK;
}

struct result oracle_run(const struct state *s, const uint32_t *insns, unsigned n)
{
	struct result r = {.outcome = DONE};
	uint32_t saved[4];
	uc_err err;

	oracle_state = *s;
	oracle_pstate = s->nzcv | PSTATE_EL1H;
	oracle_fpcr = s->fpcr;
	oracle_fpsr = s->fpsr;
	assert(n <= 4);
	uc_mem_read(uc, s->pc, saved, 4 * n);
	uc_mem_write(uc, s->pc, insns, 4 * n);
	uc_ctl_remove_cache(uc, s->pc, s->pc + 4 * n);
	uc_reg_write_batch(uc, reg_ids, reg_vals, N_REGS);
	oracle_exception = -1;
	err = uc_emu_start(uc, s->pc, ~0ull, 0, n);
	uc_reg_read_batch(uc, reg_ids, reg_vals, N_REGS);
	uc_mem_write(uc, s->pc, saved, 4 * n);
	if (oracle_exception == EXCP_UDEF || err == UC_ERR_INSN_INVALID ||
	    (err == UC_ERR_EXCEPTION && oracle_exception < 0))
		r.outcome = UNDEFINED;
	else if (oracle_exception >= 0)
		r.outcome = EXIT;
	else if (err == UC_ERR_FETCH_UNMAPPED || err == UC_ERR_FETCH_PROT || err == UC_ERR_OK)
		r.outcome = DONE; /* the next instruction cannot be fetched: a branch went there */
	else
		r.outcome = FAULT;
	r.s = oracle_state;
	r.s.nzcv = (uint32_t)oracle_pstate & 0xf0000000u;
	r.s.fpcr = (uint32_t)oracle_fpcr;
	r.s.fpsr = (uint32_t)oracle_fpsr;
	return r;
}

/* ---- random state */

uint64_t random_x(void)
{
	static const uint64_t edge[] = {0,
					1,
					2,
					0x7f,
					0x80,
					0xff,
					0x7fff,
					0x8000,
					0xffff,
					0x7fffffff,
					0x80000000,
					0xffffffff,
					0x100000000,
					0x7fffffffffffffff,
					0x8000000000000000,
					0xffffffffffffffff};
	uint64_t v = rnd();

	switch (v >> 60) {
	case 0:
	case 1:
	case 2: return edge[rnd() % (sizeof(edge) / sizeof(edge[0]))];
	case 3: return edge[rnd() % (sizeof(edge) / sizeof(edge[0]))] + rnd() % 5 - 2;
	case 4: return rnd() & 0xff;
	case 5: return rnd() << (rnd() & 63);
	default: return rnd();
	}
}

/* A boundary value of the IEEE format with that many exponent and fraction bits. */
static uint64_t random_float(unsigned exp_bits, unsigned frac_bits)
{
	uint64_t exp_max = (1ull << exp_bits) - 1, frac_max = (1ull << frac_bits) - 1, bias = exp_max >> 1;
	uint64_t frac, e, sign = rnd() & 1;

	switch (rnd() % 8) {
	case 0: e = 0; break;	    /* zero, denormals */
	case 1: e = exp_max; break; /* infinity, NaN */
	case 2: e = exp_max - 1 - rnd() % 2; break;
	case 3: e = 1 + rnd() % 2; break;
	case 4:
	case 5: e = bias + rnd() % 66 - 1; break; /* integers in range of conversions, and near 1 */
	default: e = bias - 3 + rnd() % 6; break;
	}
	switch (rnd() % 8) {
	case 0:
	case 1: frac = 0; break;
	case 2: frac = frac_max; break;
	case 3: frac = 1; break;
	case 4: frac = 1ull << (frac_bits - 1); break;
	case 5: frac = rnd() << (rnd() % frac_bits); break;
	default: frac = rnd(); break;
	}
	return sign << (exp_bits + frac_bits) | (e & exp_max) << frac_bits | (frac & frac_max);
}

union ir_v128 random_v(void)
{
	union ir_v128 v;
	unsigned kind = rnd() % 8;

	for (unsigned i = 0; i < 8; i++)
		v.h[i] = (uint16_t)random_float(5, 10);
	for (unsigned i = 0; i < 4 && kind >= 2; i++)
		v.s[i] = (uint32_t)random_float(8, 23);
	for (unsigned i = 0; i < 2 && kind >= 4; i++)
		v.d[i] = random_float(11, 52);
	for (unsigned i = 0; i < 2 && kind >= 6; i++)
		v.d[i] = kind == 6 ? random_x() : rnd();
	return v;
}

uint32_t random_word(unsigned row)
{
	for (unsigned tries = 0; tries < 1000; tries++) {
		uint64_t dice = rnd();
		uint32_t w = (uint32_t)rnd();

		if ((dice & 15) == 0)
			w |= 31;
		if ((dice >> 4 & 15) == 0)
			w |= 31 << 5;
		if ((dice >> 8 & 15) == 0)
			w |= 31 << 16;
		if ((dice >> 12 & 15) == 0)
			w = (w & ~31u) | (w >> 5 & 31); /* rd = rn */
		if ((dice >> 16 & 15) == 0)
			w = (w & ~31u) | (w >> 16 & 31); /* rd = rm */
		if ((dice >> 20 & 15) == 0)
			w = (w & ~(31u << 16)) | (w >> 5 & 31) << 16; /* rm = rn */
		w = (w & ~isa_rows[row].mask) | isa_rows[row].value;
		if (isa_row_of(w) == (int)row)
			return w;
	}
	fprintf(stderr, "%s: no word found\n", isa_rows[row].name);
	abort();
}

/* ---- addresses */

static void aim_at(struct state *s, uint32_t insn, uint64_t va)
{
	unsigned rn = insn >> 5 & 31, rm = insn >> 16 & 31;
	bool reg_offset = (insn >> 24 & 0x3b) == 0x38 && (insn >> 21 & 1) && (insn >> 10 & 3) == 2;

	if (reg_offset && rm != 31) {
		/* small, and the same in all extensions; a negative one is small only if it is extended as it is meant
		 */
		s->x[rm] = insn >> 15 & 1 ? (uint64_t)((int64_t)(rnd() % 512) - 256) : rnd() % 512;
		if (rm != rn && (insn >> 13 & 3) == 2)
			s->x[rm] = (s->x[rm] & 0xffffffff) | rnd() << 32; /* a W index: the top is ignored */
	}
	s->x[rn] = va;
}

void aim(struct state *s, uint32_t insn)
{
	uint64_t va = DATA + DATA_SIZE / 4 + rnd() % (DATA_SIZE / 4);

	switch (rnd() % 8) {
	case 0:
	case 1:
	case 2:
	case 3: va &= ~15ull; break;
	case 4: va = (va & ~0xfffull) - rnd() % 17; break; /* about to cross a page */
	case 5:
		if (rnd() % 4 == 0)
			va = NOWHERE + rnd() % 4096;
		break;
	}
	aim_at(s, insn, va);
}

void aim_aligned(struct state *s, uint32_t insn)
{
	aim_at(s, insn, DATA + DATA_SIZE / 4 + (rnd() % (DATA_SIZE / 4) & ~15ull));
}
