/* SPDX-License-Identifier: MIT */
/*
 * The edges of generated code: creation and end, the trampolines between C (System V AMD64 ABI) and code, and
 * jit_compile. What an op becomes is select.c's business.
 */
#include "gen.h"
#include "vec.h"

#include <cpuid.h>
#include <stdlib.h>

enum { CODE_BYTES = 64 << 20, BLOCK_MOST = 1 << 20 };

static bool host_ok(void)
{
	unsigned a, b, c, d;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_SSE4_1) || !(c & bit_CMPXCHG16B))
		return false;
	return __get_cpuid(0x80000001, &a, &b, &c, &d) && (c & bit_LAHF_LM);
}

/* SSE4.1 is taken for granted. The levels have what came with them in all hosts that have them. */
static void host_features(struct jit *j)
{
	unsigned a, b, c, d;

	j->has_aes = __builtin_cpu_supports("aes");
	j->has_clmul = __builtin_cpu_supports("pclmul");
	j->has_sse42 = __builtin_cpu_supports("sse4.2");
	j->has_sha = __get_cpuid_count(7, 0, &a, &b, &c, &d) && b >> 29 & 1;
	if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !j->has_sse42)
		return;
	j->level = JIT_AVX2;
	if (__builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
	    __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512cd"))
		j->level = JIT_AVX512;
}

static const void *rx(const struct jit *j, const uint8_t *at)
{
	return j->mem.rx + (at - j->mem.rw);
}

static const void *leave(struct jit *j, enum ir_ret ret)
{
	static const int8_t saved[] = {R15, R14, R13, R12, RBX, RBP};
	struct as *a = &j->as;
	const void *at = rx(j, a->at);

	as_mov_ri(a, RAX, ret);
	as_alu_ri(a, true, ALU_ADD, RSP, 8);
	for (unsigned i = 0; i < sizeof(saved); i++)
		as_opcode(a, 0x58u + (unsigned)(saved[i] & 7), 0, 0, saved[i]);
	as_8(a, 0xc3);
	return at;
}

/* enum ir_ret enter(struct ir_env *env, const void *code) */
static void trampolines(struct jit *j)
{
	static const int8_t saved[] = {RBP, RBX, R12, R13, R14, R15};
	struct as *a = &j->as;

	*a = (struct as){.begin = j->mem.rw, .at = j->mem.rw, .end = j->mem.rw + 4096};
	j->enter = rx(j, a->at);
	for (unsigned i = 0; i < sizeof(saved); i++)
		as_opcode(a, 0x50u + (unsigned)(saved[i] & 7), 0, 0, saved[i]);
	as_alu_ri(a, true, ALU_SUB, RSP, 8);
	as_rm(a, X_LEA | X_W, RBP, RDI, ENV_BIAS);
	as_rr(a, 0xffu, 4, RSI);
	j->leave = leave(j, IR_RET_BR);
	j->leave_exit = leave(j, IR_RET_EXIT);
	j->leave_trap = leave(j, IR_RET_TRAP);
	vec_shared(j);
	j->start = as_here(a);
}

struct jit *jit_new(struct ir_env *env, const struct jit_dispatch *d, const char **why)
{
	struct jit *j;

	if (!host_ok()) {
		*why = "the host CPU lacks SSE4.1, CMPXCHG16B or LAHF";
		return NULL;
	}
	j = calloc(1, sizeof(*j));
	if (!j) {
		*why = "out of memory";
		return NULL;
	}
	if (code_mem_init(&j->mem, CODE_BYTES)) {
		*why = "the host gives no memory for code";
		free(j);
		return NULL;
	}
	j->env = env;
	if (d) {
		j->d = *d;
		j->chain = true;
	}
	host_features(j);
	trampolines(j);
	jit_reset(j);
	return j;
}

enum jit_level jit_level(const struct jit *j)
{
	return j->level;
}

void jit_set_level(struct jit *j, enum jit_level level)
{
	if (level < j->level)
		j->level = level;
	if (level == JIT_SSE41)
		j->has_aes = j->has_clmul = j->has_sha = j->has_sse42 = false;
	trampolines(j);
	jit_reset(j);
}

void jit_free(struct jit *j)
{
	if (!j)
		return;
	code_mem_exit(&j->mem);
	free(j);
}

void jit_reset(struct jit *j)
{
	j->as.begin = j->mem.rw;
	j->as.at = j->mem.rw + j->start;
	j->as.end = j->mem.rw + j->mem.size;
	j->as.full = false;
}

bool jit_is_full(const struct jit *j)
{
	return j->as.end - j->as.at < BLOCK_MOST;
}

const void *jit_leave(const struct jit *j)
{
	return j->leave;
}

const void *jit_compile(struct jit *j, const struct ir_block *blk, uint32_t sp_mask)
{
	uint8_t *at = j->as.at;

	j->blk = blk;
	j->fp_native = !(j->env->fpcr & IR_FPCR_FZ);
	if (select_block(j, sp_mask) && !j->as.full)
		return rx(j, at);
	j->as.at = at;
	j->as.full = false;
	return NULL;
}

enum ir_ret jit_run(struct jit *j, struct ir_env *env, const void *code)
{
	enum ir_ret (*enter)(struct ir_env *, const void *) =
		(enum ir_ret(*)(struct ir_env *, const void *))(uintptr_t)j->enter;

	unsigned client = jit_fp_begin(env);
	enum ir_ret ret = enter(env, code);

	jit_fp_end(env, client);
	return ret;
}
