/* SPDX-License-Identifier: MIT */
/*
 * The edges of generated code: creation and end, the trampolines between C (System V AMD64 ABI) and code, and
 * jit_compile. What an op becomes is select.c's business.
 */
#include "select.h"
#include "vec.h"
#include "zeroed.h"

#include <cpuid.h>
#include <pthread.h>
#include <sys/mman.h>

enum {
	CODE_BYTES = 128 << 20,
	BLOCK_MOST = 1 << 20,
	SHARED_MOST = 32 << 10,
	LIMIT_LEAST = 3 * (BLOCK_MOST + (64 << 10))
};

/* What is looked at once, as CPUID may take long: a hypervisor answers it. */
static struct host {
	bool ok, aes, clmul, sse42, sha, bmi1, bmi2;
	enum jit_level level;
} host;

/* SSE4.1 is taken for granted. The levels have what came with them in all hosts that have them. */
static void host_look(void)
{
	unsigned a, b, c, d;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_SSE4_1) || !(c & bit_CMPXCHG16B))
		return;
	host.level = c & bit_F16C ? JIT_AVX2 : JIT_SSE41; /* of what else there has to be, below */
	if (!__get_cpuid(0x80000001, &a, &b, &c, &d) || !(c & bit_LAHF_LM))
		return;
	host.ok = true;
	host.aes = __builtin_cpu_supports("aes");
	host.clmul = __builtin_cpu_supports("pclmul");
	host.sse42 = __builtin_cpu_supports("sse4.2");
	host.sha = __get_cpuid_count(7, 0, &a, &b, &c, &d) && b >> 29 & 1;
	host.bmi1 = __builtin_cpu_supports("bmi");
	host.bmi2 = __builtin_cpu_supports("bmi2");
	if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !host.sse42)
		host.level = JIT_SSE41;
	if (host.level == JIT_AVX2 && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
	    __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512cd"))
		host.level = JIT_AVX512;
}

static bool host_ok(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, host_look);
	return host.ok;
}

static void host_features(struct jit *j)
{
	j->has_aes = host.aes;
	j->has_clmul = host.clmul;
	j->has_sse42 = host.sse42;
	j->has_sha = host.sha;
	j->has_bmi1 = host.bmi1;
	j->has_bmi2 = host.bmi2;
	j->level = host.level;
}

static const void *rx(const struct jit *j, const uint8_t *at)
{
	return j->mem.rx + (at - j->mem.rw);
}

static void pinned(struct jit *j, unsigned op)
{
	for (unsigned r = 0; r < 32; r++) {
		if (reg_pin[r] != NO_REG)
			as_rm(&j->as, op | X_W, reg_pin[r], RBP, ENV_X(r));
	}
}

static const int8_t callee_saved[] = {RBP, RBX, R12, R13, R14, R15};

/* Back to C with what is in rax. Guest registers are in env. */
static void leave(struct jit *j)
{
	struct as *a = &j->as;

	as_alu_ri(a, true, ALU_ADD, RSP, 8);
	for (unsigned i = sizeof(callee_saved); i-- > 0;)
		as_opcode(a, 0x58u + (unsigned)(callee_saved[i] & 7), 0, 0, callee_saved[i]);
	as_8(a, 0xc3);
}

static const void *leave_with(struct jit *j, enum ir_ret ret)
{
	const void *at = rx(j, j->as.at);

	pinned(j, X_MOV_ST);
	as_mov_ri(&j->as, RAX, ret);
	leave(j);
	return at;
}

/*
 * Out of a call that is not to come back. The processor predicts returns from its own record of calls: a return address that was only
 * dropped would make it wrong about this return and all further ones, up to the client. So there is one that goes elsewhere.
 */
static void drop_call(struct as *a)
{
	uint32_t behind;

	as_8(a, 0x48); /* lea rax, [rip + ...] */
	as_8(a, 0x8d);
	as_8(a, 0x05);
	as_32(a, 0);
	behind = as_here(a);
	as_rm(a, X_MOV_ST | X_W, RAX, RSP, 0);
	as_8(a, 0xc3);
	as_land(a, behind);
}

/*
 * For the op that lies rcx bytes behind the first that is kept, its function, with env->pc at its instruction. May change rax, rcx
 * and rdx. Does not come back if the function says that the op trapped, nor, with look, if something
 * wants attention: the op is then all there is of its instruction.
 */
static uint32_t op_thunk(struct jit *j, bool look)
{
	struct as *a = &j->as;
	uint32_t at = as_here(a), ok, quiet;

	pinned(j, X_MOV_ST);
	as_alu_ri(a, true, ALU_SUB, RSP, 24);
	as_rm(a, X_MOV_ST | X_W, R10, RSP, 0);
	as_rm(a, X_MOV_ST | X_W, R11, RSP, 8);
	as_mov_ri(a, RAX, (uint64_t)(uintptr_t)j->kept);
	as_rx1(a, X_LEA | X_W, RSI, RAX, RCX, 0);
	as_rm(a, X_MOV | X_W, RAX, RSI, (int32_t)offsetof(struct kept, pc));
	as_rm(a, X_MOV_ST | X_W, RAX, RBP, ENV(pc));
	as_rm(a, X_MOVZX16, RAX, RSI, (int32_t)offsetof(struct kept, op.gi));
	as_mov_ri(a, RDX, (uint64_t)(uintptr_t)j->functions);
	as_rx8(a, X_MOV | X_W, RAX, RDX, RAX, 0);
	as_rm(a, X_LEA | X_W, RDI, RBP, -ENV_BIAS);
	as_rm(a, X_LEA | X_W, RDX, RBP, SLOT_X(0));
	as_rm(a, X_LEA | X_W, RCX, RBP, SLOT_V(0));
	as_rr(a, 0xffu, 2, RAX);
	as_rm(a, X_MOV | X_W, R10, RSP, 0);
	as_rm(a, X_MOV | X_W, R11, RSP, 8);
	as_alu_ri(a, true, ALU_ADD, RSP, 24);
	as_rr(a, X_TEST & ~1u, RAX, RAX); /* the byte form: al */
	ok = as_jcc(a, CC_NE);
	drop_call(a);
	as_mov_ri(a, RAX, IR_RET_TRAP);
	leave(j);
	as_land(a, ok);
	if (look) {
		as_alu_mi(a, false, ALU_CMP, RBP, ENV(attn), 0);
		quiet = as_jcc(a, CC_E);
		drop_call(a);
		as_alu_mi(a, true, ALU_ADD, RBP, ENV(pc), 4);
		as_mov_ri(a, RAX, IR_RET_BR);
		leave(j);
		as_land(a, quiet);
	}
	pinned(j, X_MOV);
	vreg_load_pinned(j);
	as_8(a, 0xc3);
	return at;
}

/*
 * The soft TLB's entry for the VA in rcx, as an extent: ZF is 1, rax is neg, rcx is len and rdx is delta. Not for a VA so near
 * the end of its page that it may have to go the long way anyway. May change rax, rcx, rdx.
 */
static uint32_t extent_thunk(struct jit *j, bool unpriv, bool write)
{
	enum {
		W = offsetof(struct ir_tlb, w),
		DELTA = offsetof(struct ir_tlb, delta),
		MORE = offsetof(struct ir_tlb, more)
	};
	int32_t rest = (1 << IR_PAGE_SHIFT) - (unpriv ? IR_UNPRIV_MOST : IR_EXTENT_MOST) + 1;
	struct as *a = &j->as;
	uint32_t at = as_here(a), near, miss, none = 0;

	as_rm(a, X_MOV | X_W, RAX, RBP, unpriv ? ENV(unpriv_tlb) : ENV(tlb));
	if (unpriv) {
		as_rr(a, X_TEST | X_W, RAX, RAX);
		none = as_jcc(a, CC_E);
	}
	tlb_index_to(j, RDX, RCX);
	as_rx8(a, X_LEA | X_W, RDX, RAX, RDX, 0); /* of r */
	as_rr(a, X_MOV, RAX, RCX);
	as_alu_ri(a, false, ALU_AND, RAX, 0xfff);
	as_alu_ri(a, false, ALU_CMP, RAX, rest);
	near = as_jcc(a, CC_AE);
	as_mov_rr(a, RAX, RCX);
	as_alu_ri(a, true, ALU_AND, RAX, -4096);
	as_rm(a, X_CMP | X_W, RAX, RDX, write ? W : 0);
	miss = as_jcc(a, CC_NE);
	as_rm(a, X_MOV | X_W, RCX, RDX, MORE);
	as_rm(a, X_MOV | X_W, RDX, RDX, DELTA);
	as_rr(a, X_OR | X_W, RAX, RCX);
	as_rr(a, X_XOR | X_W, RAX, RCX); /* the first VA */
	as_f7(a, true, 3, RAX);		 /* neg */
	as_alu_ri(a, true, ALU_ADD, RCX, rest);
	as_rm(a, 0xffu | X_W, 0, RBP, ENV(tlb_hits)); /* inc */
	as_rr(a, X_CMP, RAX, RAX);
	as_8(a, 0xc3);
	if (none)
		as_land(a, none);
	as_land(a, near);
	as_land(a, miss);
	as_rr(a, X_TEST | X_W, RSP, RSP);
	as_8(a, 0xc3);
	return at;
}

/* The soft TLB's entry for so many bytes at the VA in rax: ZF is 1 and rax is delta. May change rax, rcx, rdx. */
static uint32_t tlb_thunk(struct jit *j, bool write, unsigned bytes)
{
	struct as *a = &j->as;
	uint32_t at = as_here(a), miss;

	tlb_index_to(j, RDX, RAX);
	as_rm(a, X_LEA | X_W, RCX, RAX, (int32_t)bytes - 1);
	as_alu_ri(a, true, ALU_AND, RCX, -4096);
	as_rm(a, X_MOV | X_W, RAX, RBP, ENV(tlb));
	as_rx8(a, X_CMP | X_W, RCX, RAX, RDX, write ? TLB(w) : TLB(r));
	miss = as_jcc(a, CC_NE);
	as_rx8(a, X_MOV | X_W, RAX, RAX, RDX, TLB(delta));
	as_rm(a, 0xffu | X_W, 0, RBP, ENV(tlb_hits)); /* inc */
	as_rr(a, X_CMP, RAX, RAX);
	as_land(a, miss);
	as_8(a, 0xc3);
	return at;
}

/*
 * Back to C from where a unit starts. The calls are one behind the other in the unit, and behind them lie the unit's pc and, for who
 * says that it is hot, its owner.
 */
static void start_thunks(struct jit *j)
{
	enum { CALL = 5 };
	struct as *a = &j->as;

	j->hot_thunk = as_here(a);
	as_rm(a, X_MOV | X_W, RDX, RSP, 0);
	drop_call(a);
	as_rm(a, X_MOV | X_W, RAX, RDX, 8);
	as_rm(a, X_MOV_ST | X_W, RAX, RBP, ENV(hot));
	as_rm(a, X_MOV | X_W, RAX, RDX, 0);
	as_rm(a, X_MOV_ST | X_W, RAX, RBP, ENV(pc));
	leave_jmp(j, j->leave);
	j->start_thunk = as_here(a);
	as_rm(a, X_MOV | X_W, RDX, RSP, 0);
	drop_call(a);
	as_rm(a, X_MOV | X_W, RAX, RDX, CALL);
	as_rm(a, X_MOV_ST | X_W, RAX, RBP, ENV(pc));
	leave_jmp(j, j->leave);
}

/* enum ir_ret enter(struct ir_env *env, const void *code) */
static void trampolines(struct jit *j)
{
	struct as *a = &j->as;

	*a = (struct as){.begin = j->mem.rw, .at = j->mem.rw, .end = j->mem.rw + SHARED_MOST};
	j->enter = rx(j, a->at);
	for (unsigned i = 0; i < sizeof(callee_saved); i++)
		as_opcode(a, 0x50u + (unsigned)(callee_saved[i] & 7), 0, 0, callee_saved[i]);
	as_alu_ri(a, true, ALU_SUB, RSP, 8);
	as_rm(a, X_LEA | X_W, RBP, RDI, ENV_BIAS);
	as_mov_rr(a, RAX, RSI);
	pinned(j, X_MOV);
	vreg_load_pinned(j);
	as_rr(a, 0xffu, 4, RAX);

	/* The site's number is in rax. */
	j->link_thunk = as_here(a);
	as_rm(a, X_MOV_ST, RAX, RBP, ENV(site));
	j->leave = leave_with(j, IR_RET_BR);
	leave_shared(j);
	start_thunks(j);
	j->leave_exit = leave_with(j, IR_RET_EXIT);
	for (unsigned unpriv = 0; unpriv < 2; unpriv++) {
		for (unsigned write = 0; write < 2; write++)
			j->extent_thunk[unpriv][write] = extent_thunk(j, unpriv, write);
	}
	for (unsigned log2 = 0; log2 < 6; log2++) {
		j->tlb_thunk[0][log2] = tlb_thunk(j, false, 1u << log2);
		j->tlb_thunk[1][log2] = tlb_thunk(j, true, 1u << log2);
	}
	/* The same where nothing is covered any more afterwards. */
	j->op_thunk_covers = as_here(a);
	v_zero(j, T1);
	for (int32_t at = 0; at < (int32_t)sizeof(j->env->cover); at += 16)
		v2m(j, V_MOVUPS_ST, T1, RBP, ENV(cover) + at);
	j->op_thunk = op_thunk(j, false);
	j->op_thunk_attn = op_thunk(j, true);
	vec_shared(j);
	j->start = as_here(a);
}

struct jit *jit_new(struct ir_env *env, unsigned jump_bits, const char **why)
{
	struct jit *j;

	if (!host_ok()) {
		*why = "the host CPU lacks SSE4.1, CMPXCHG16B or LAHF";
		return NULL;
	}
	j = zeroed_new(sizeof(*j));
	if (!j) {
		*why = "out of memory";
		return NULL;
	}
	if (code_mem_init(&j->mem, CODE_BYTES)) {
		*why = "the host gives no memory for code";
		zeroed_free(j, sizeof(*j));
		return NULL;
	}
	/* Address space; touched as far as used. */
	j->sites = mmap(NULL, SITES_MAX * sizeof(*j->sites), PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (j->sites == MAP_FAILED) {
		*why = "out of memory";
		code_mem_exit(&j->mem);
		zeroed_free(j, sizeof(*j));
		return NULL;
	}
	j->kept = mmap(NULL, KEPT_MAX * sizeof(*j->kept), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (j->kept == MAP_FAILED) {
		*why = "out of memory";
		munmap(j->sites, SITES_MAX * sizeof(*j->sites));
		code_mem_exit(&j->mem);
		zeroed_free(j, sizeof(*j));
		return NULL;
	}
	j->env = env;
	j->jump_bits = jump_bits;
	j->limit = CODE_BYTES;
	host_features(j);
	trampolines(j);
	jit_reset(j);
	return j;
}

enum jit_level jit_level(const struct jit *j)
{
	return j->level;
}

void jit_count_accesses(struct jit *j)
{
	j->count_accesses = true;
}

void jit_set_limit(struct jit *j, size_t bytes)
{
	j->limit = bytes < CODE_BYTES ? bytes : CODE_BYTES;
	if (j->limit < LIMIT_LEAST)
		j->limit = LIMIT_LEAST;
	jit_reset(j);
}

void jit_set_level(struct jit *j, enum jit_level level)
{
	if (level < j->level)
		j->level = level;
	if (level == JIT_SSE41)
		j->has_aes = j->has_clmul = j->has_sha = j->has_sse42 = j->has_bmi1 = j->has_bmi2 = false;
	trampolines(j);
	jit_reset(j);
}

void jit_free(struct jit *j)
{
	if (!j)
		return;
	munmap(j->sites, SITES_MAX * sizeof(*j->sites));
	munmap(j->kept, KEPT_MAX * sizeof(*j->kept));
	code_mem_exit(&j->mem);
	zeroed_free(j, sizeof(*j));
}

void jit_reset(struct jit *j)
{
	j->as.begin = j->mem.rw;
	j->as.at = j->mem.rw + j->start;
	j->middle = (uint32_t)(j->limit / 3 * 2) & ~63u;
	j->as.end = j->mem.rw + j->middle;
	j->as.full = false;
	j->cold = j->mem.rw + j->middle;
	j->n_sites = 1;
	j->n_kept = 0;
}

size_t jit_used(const struct jit *j)
{
	return (size_t)(j->as.at - j->as.begin) - j->start + (size_t)(j->cold - j->mem.rw) - j->middle;
}

bool jit_is_full(const struct jit *j)
{
	return j->as.end - j->as.at < BLOCK_MOST || j->mem.rw + j->limit - j->cold < BLOCK_MOST ||
	       j->n_sites + IR_MAX_OPS > SITES_MAX || j->n_kept + 2 * IR_MAX_OPS > KEPT_MAX;
}

const void *jit_leave(const struct jit *j)
{
	return j->leave;
}

bool jit_compile(struct jit *j, struct jit_unit *u)
{
	struct jit_unit unit = *u;
	uint8_t *at = j->as.at;
	uint32_t n_kept;

	if (!u->alone) /* for jit_replace() */
		at = j->as.at += -(uintptr_t)at & 7;
	unit.chain = u->chain && j->jump_bits;
	if (u->env)
		j->env = u->env;
	j->unit = &unit;
	j->blk = u->blk;
	j->fp_native = !u->flushes;
	u->sites = j->n_sites;
	n_kept = j->n_kept;
	if (!select_block(j) || j->as.full) {
		j->as.at = at;
		j->as.full = false;
		j->n_sites = u->sites;
		j->n_kept = n_kept;
		return false;
	}
	u->code = rx(j, at);
	u->cold = rx(j, j->cold);
	u->cold_bytes = (size_t)(j->cold_end - j->cold);
	j->cold = j->cold_end;
	u->n_sites = j->n_sites - u->sites;
	u->n_accesses = j->n_accesses;
	u->marks = j->marks;
	if (j->watch)
		j->watch(j->watch_opaque, u, (size_t)(j->as.at - at));
	return true;
}

/*
 * The first instruction of a unit has five bytes or more, and of one that others may be about to execute, it is aligned to eight: they
 * find the one or the other.
 */
void jit_replace(struct jit *j, const void *from, const void *to)
{
	uint8_t *at = j->mem.rw + ((const uint8_t *)from - j->mem.rx), jump[8];
	int32_t distance = (int32_t)((const uint8_t *)to - ((const uint8_t *)from + 5));
	uint64_t word;

	memcpy(jump, at, sizeof(jump));
	jump[0] = 0xe9; /* jmp rel32 */
	memcpy(jump + 1, &distance, 4);
	memcpy(&word, jump, sizeof(word));
	if ((uintptr_t)at & 7)
		memcpy(at, jump, 5);
	else
		__atomic_store_n((uint64_t *)(void *)at, word, __ATOMIC_RELEASE);
}

uint32_t jit_probed(const struct ir_probe *p)
{
	uint32_t extents = 0;

	for (unsigned n = 0; n < IR_PROBE_SITES; n++) {
		if (p->site[n].accesses && p->site[n].misses <= p->site[n].accesses / 24)
			extents |= 1u << n;
	}
	return extents;
}

void jit_watch(struct jit *j, jit_watch_fn *fn, void *opaque)
{
	j->watch = fn;
	j->watch_opaque = opaque;
}

/* ---- links */

struct jit_site jit_site(const struct jit *j, uint32_t site)
{
	const struct site *s = &j->sites[site];

	return (struct jit_site){.pc = s->pc, .owner = s->owner, .same_page = !s->view};
}

static uint32_t offset_of(const struct jit *j, const void *code)
{
	return (uint32_t)((const uint8_t *)code - j->mem.rx);
}

/* What is not for the site's link looks into the jump cache. */
static bool link_by_cache(struct jit *j, struct site *s)
{
	struct as *a = &j->as;
	uint8_t *at = a->at, *end = a->end;
	uint32_t here;

	if (j->mem.rw + j->limit - j->cold < 64)
		return false;
	a->at = j->cold;
	a->end = j->mem.rw + j->limit;
	here = as_here(a);
	as_mov_ri(a, RAX, s->pc);
	leave_jmp(j, j->by_cache);
	j->cold = a->at;
	a->at = at;
	a->end = end;
	as_patch(j->mem.rw, s->stale, here - s->stale);
	s->by_cache = true;
	return true;
}

/*
 * To another page, a site has a view and a target. Who executes it may see the one as it was before a change and the other as it is after,
 * so with several PEs there is one change only: from a view that no map has.
 */
bool jit_link(struct jit *j, uint32_t site, const void *code, uint32_t view)
{
	struct site *s = &j->sites[site];

	if (s->view && s->stale && s->linked)
		return s->linked != view && !s->by_cache && link_by_cache(j, s);
	as_patch(j->mem.rw, s->jump, offset_of(j, code) - s->jump);
	if (s->view)
		as_patch(j->mem.rw, s->view, view);
	s->linked = view;
	return true;
}

void jit_unlink(struct jit *j, uint32_t first, uint32_t n)
{
	for (uint32_t i = first; i < first + n; i++) {
		const struct site *s = &j->sites[i];

		if (!s->view)
			as_patch(j->mem.rw, s->jump, s->stub - s->jump);
	}
}

void jit_see_reset(void)
{
	unsigned a, b, c, d;

	__cpuid(0, a, b, c, d); /* serializes: nothing of the old code is about to be executed */
	(void)(a + b + c + d);
}

enum ir_ret jit_run(struct jit *j, struct ir_env *env, const void *code)
{
	enum ir_ret (*enter)(struct ir_env *, const void *) =
		(enum ir_ret(*)(struct ir_env *, const void *))(uintptr_t)j->enter;
	enum ir_ret ret;

	env->site = 0;
	env->nzcv = ir_raw_of(env->nzcv);
	env->nzcv_raw = true;
	jit_fp_sync(env);
	ret = enter(env, code);
	jit_fp_end(env);
	env->nzcv_raw = false;
	env->nzcv = ir_raw_to_nzcv(env->nzcv);
	if (env->site)
		env->pc = __atomic_load_n(&j->sites[env->site].pc, __ATOMIC_RELAXED);
	return ret;
}
