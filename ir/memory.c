/* SPDX-License-Identifier: MIT */
/*
 * Memory ops, see memory.h. Arm ARM DDI 0487, "Synchronization and semaphores" for the exclusives, "Single-copy
 * atomicity" for what must be one access: naturally aligned elements of up to 8 bytes are, others go byte-wise.
 *
 * Guest memory is shared with other PEs and with the client's threads, so every access that can be atomic is, if only
 * relaxed: on the hosts we have it costs nothing and it keeps the program free of data races.
 */
#include "memory.h"

#include <string.h>

#define X(n) IR_OPND(x, n)
#define V(n) IR_OPND(v, n)

/* ---- the soft TLB */

/* Host address if all size bytes from va are in a page that loads (stores) may go straight to, else NULL. */
static void *tlb_host(const struct ir_env *env, uint64_t va, uint64_t size, bool write)
{
	const struct ir_tlb *tlb = env->tlb;
	unsigned i = ir_tlb_index(va);

	if ((write ? tlb->w : tlb->r)[i] != (va & IR_PAGE_MASK) || (va & ~IR_PAGE_MASK) + size > ~IR_PAGE_MASK + 1)
		return NULL;
	return (void *)(uintptr_t)(va + tlb->delta[i]); /* NOLINT(performance-no-int-to-ptr) */
}

/*
 * The same for a plain access, which must be aligned only if its descriptor says so. Unprivileged accesses are not
 * for the soft TLB, which knows what the current EL may do.
 */
static void *plain_host(const struct ir_env *env, uint64_t va, uint64_t size, uint32_t m, bool write)
{
	uint64_t align = m & (IR_MEM_ACQREL | IR_MEM_ALIGNED) ? size : 1;

	return va & (align - 1) || m & IR_MEM_UNPRIV ? NULL : tlb_host(env, va, size, write);
}

/* ---- elements */

static uint64_t elem_load(const void *p, unsigned log2size)
{
	if ((uintptr_t)p & ((1u << log2size) - 1))
		return ir_load_misaligned(p, log2size);
	switch (log2size) {
	case 0: return __atomic_load_n((const uint8_t *)p, __ATOMIC_RELAXED);
	case 1: return __atomic_load_n((const uint16_t *)p, __ATOMIC_RELAXED);
	case 2: return __atomic_load_n((const uint32_t *)p, __ATOMIC_RELAXED);
	default: return __atomic_load_n((const uint64_t *)p, __ATOMIC_RELAXED);
	}
}

static void elem_store(void *p, uint64_t v, unsigned log2size)
{
	if ((uintptr_t)p & ((1u << log2size) - 1)) {
		ir_store_misaligned(p, v, log2size);
		return;
	}
	switch (log2size) {
	case 0: __atomic_store_n((uint8_t *)p, (uint8_t)v, __ATOMIC_RELAXED); break;
	case 1: __atomic_store_n((uint16_t *)p, (uint16_t)v, __ATOMIC_RELAXED); break;
	case 2: __atomic_store_n((uint32_t *)p, (uint32_t)v, __ATOMIC_RELAXED); break;
	default: __atomic_store_n((uint64_t *)p, v, __ATOMIC_RELAXED); break;
	}
}

/*
 * LDAR pairs with STLR: both sequentially consistent. LDAPR only acquires, STLUR only releases. The orders are made
 * with fences here, since these accesses may as well have gone to a device; the dispatch loop has the fast forms.
 */
static void order_before_load(uint32_t m)
{
	if (m & IR_MEM_SEQCST)
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static void order_after_load(uint32_t m)
{
	if (m & IR_MEM_ACQREL)
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
}

static void order_before_store(uint32_t m)
{
	if (m & IR_MEM_ACQREL)
		__atomic_thread_fence(__ATOMIC_RELEASE);
}

static void order_after_store(uint32_t m)
{
	if (m & IR_MEM_SEQCST)
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* ---- loads and stores */

/* Reads n elements of at most 8 bytes each, 16-byte ones as two. */
static bool read_elems(struct ir_env *env, uint64_t va, uint32_t m, unsigned n, uint64_t *out)
{
	unsigned log2size = IR_MEM_SIZE(m), count = n;
	const char *host = plain_host(env, va, (uint64_t)n << log2size, m, false);

	if (log2size == 4) {
		log2size = 3;
		count = 2 * n;
	}
	order_before_load(m);
	if (host && count == 2 && log2size == 3) {
		union ir_v128 both = ir_load_16(host);

		out[0] = both.d[0];
		out[1] = both.d[1];
	} else if (host) {
		for (unsigned i = 0; i < count; i++)
			out[i] = elem_load(host + ((size_t)i << log2size), log2size);
	} else {
		uint8_t buf[32] = {0};

		if (env->ops->load(env, va, m, buf))
			return false;
		for (unsigned i = 0; i < count; i++) {
			out[i] = 0;
			memcpy(&out[i], buf + ((size_t)i << log2size), 1u << log2size);
		}
	}
	order_after_load(m);
	return true;
}

static bool write_elems(struct ir_env *env, uint64_t va, uint32_t m, unsigned n, const uint64_t *in)
{
	unsigned log2size = IR_MEM_SIZE(m), count = n;
	char *host = plain_host(env, va, (uint64_t)n << log2size, m, true);

	if (log2size == 4) {
		log2size = 3;
		count = 2 * n;
	}
	order_before_store(m);
	if (host && count == 2 && log2size == 3) {
		ir_store_16(host, &(union ir_v128){.d = {in[0], in[1]}});
	} else if (host) {
		for (unsigned i = 0; i < count; i++)
			elem_store(host + ((size_t)i << log2size), in[i], log2size);
	} else {
		uint8_t buf[32];

		for (unsigned i = 0; i < count; i++)
			memcpy(buf + ((size_t)i << log2size), &in[i], 1u << log2size);
		if (env->ops->store(env, va, m, buf))
			return false;
	}
	order_after_store(m);
	return true;
}

bool ir_mem_load(struct ir_env *env, const struct ir_insn *op, uint64_t *x, union ir_v128 *v)
{
	uint64_t val;

	if (!read_elems(env, X(op->a) + op->imm, op->aux, 1, &val))
		return false;
	X(op->dst) = ir_mem_extend(val, op->aux);
	return true;
}

bool ir_mem_store(struct ir_env *env, const struct ir_insn *op, uint64_t *x, union ir_v128 *v)
{
	return write_elems(env, X(op->a) + op->imm, op->aux, 1, &X(op->b));
}

bool ir_mem_loadp(struct ir_env *env, const struct ir_insn *op, uint64_t *x, union ir_v128 *v)
{
	uint64_t val[2];

	if (!read_elems(env, X(op->a) + op->imm, op->aux, 2, val))
		return false;
	X(op->dst) = ir_mem_extend(val[0], op->aux);
	X(op->c) = ir_mem_extend(val[1], op->aux);
	return true;
}

bool ir_mem_storep(struct ir_env *env, const struct ir_insn *op, uint64_t *x, union ir_v128 *v)
{
	return write_elems(env, X(op->a) + op->imm, op->aux, 2, (uint64_t[]){X(op->b), X(op->c)});
}

bool ir_mem_loadv(struct ir_env *env, const struct ir_insn *op, uint64_t *x, union ir_v128 *v)
{
	uint64_t val[2] = {0, 0};

	if (!read_elems(env, X(op->a) + op->imm, op->aux, 1, val))
		return false;
	V(op->dst) = (union ir_v128){.d = {val[0], val[1]}};
	return true;
}

bool ir_mem_storev(struct ir_env *env, const struct ir_insn *op, uint64_t *x, union ir_v128 *v)
{
	return write_elems(env, X(op->a) + op->imm, op->aux, 1, V(op->b).d);
}

bool ir_mem_loadpv(struct ir_env *env, const struct ir_insn *op, uint64_t *x, union ir_v128 *v)
{
	uint64_t val[4];

	if (!read_elems(env, X(op->a) + op->imm, op->aux, 2, val))
		return false;
	if (IR_MEM_SIZE(op->aux) == 4) {
		V(op->dst) = (union ir_v128){.d = {val[0], val[1]}};
		V(op->c) = (union ir_v128){.d = {val[2], val[3]}};
	} else {
		V(op->dst) = (union ir_v128){.d = {val[0], 0}};
		V(op->c) = (union ir_v128){.d = {val[1], 0}};
	}
	return true;
}

bool ir_mem_storepv(struct ir_env *env, const struct ir_insn *op, uint64_t *x, union ir_v128 *v)
{
	const union ir_v128 *lo = &V(op->b), *hi = &V(op->c);

	if (IR_MEM_SIZE(op->aux) == 4)
		return write_elems(env, X(op->a) + op->imm, op->aux, 2,
				   (uint64_t[]){lo->d[0], lo->d[1], hi->d[0], hi->d[1]});
	return write_elems(env, X(op->a) + op->imm, op->aux, 2, (uint64_t[]){lo->d[0], hi->d[0]});
}

/* ---- compare and swap */

static uint64_t cas_aligned(void *p, uint64_t expect, uint64_t val, unsigned log2size)
{
	uint8_t e8 = (uint8_t)expect;
	uint16_t e16 = (uint16_t)expect;
	uint32_t e32 = (uint32_t)expect;

	switch (log2size) {
	case 0:
		__atomic_compare_exchange_n((uint8_t *)p, &e8, (uint8_t)val, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
		return e8;
	case 1:
		__atomic_compare_exchange_n((uint16_t *)p, &e16, (uint16_t)val, false, __ATOMIC_SEQ_CST,
					    __ATOMIC_SEQ_CST);
		return e16;
	case 2:
		__atomic_compare_exchange_n((uint32_t *)p, &e32, (uint32_t)val, false, __ATOMIC_SEQ_CST,
					    __ATOMIC_SEQ_CST);
		return e32;
	default:
		__atomic_compare_exchange_n((uint64_t *)p, &expect, val, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
		return expect;
	}
}

/* 16 bytes, lock-free; expect becomes what was there. True if it was stored. */
static bool cas_16(void *p, uint64_t expect[2], const uint64_t val[2])
{
	bool ok;
#if defined(__x86_64__)
	__asm__ volatile("lock cmpxchg16b %1"
			 : "=@ccz"(ok), "+m"(*(union ir_v128 *)p), "+a"(expect[0]), "+d"(expect[1])
			 : "b"(val[0]), "c"(val[1])
			 : "memory");
#elif defined(__aarch64__)
	uint64_t lo, hi;
	uint32_t fail;

	/* The old value is written back when it differs: only a store proves that the pair was read as one. */
	do {
		uint64_t new_lo, new_hi;

		__asm__ volatile("ldaxp %0, %1, %2" : "=&r"(lo), "=&r"(hi) : "Q"(*(union ir_v128 *)p) : "memory");
		ok = lo == expect[0] && hi == expect[1];
		new_lo = ok ? val[0] : lo;
		new_hi = ok ? val[1] : hi;
		__asm__ volatile("stlxp %w0, %2, %3, %1"
				 : "=&r"(fail), "=Q"(*(union ir_v128 *)p)
				 : "r"(new_lo), "r"(new_hi)
				 : "memory");
	} while (fail);
	__asm__ volatile("dmb ish" ::: "memory");
	expect[0] = lo;
	expect[1] = hi;
#else
#error "no 16-byte compare and swap for this host"
#endif
	return ok;
}

/* What a read-modify-write stores; values are of 1 << log2size bytes, zero-extended. CAS: if old is expect. */
enum { RMW_CAS = IR_RMW_SWP + 1 };

static uint64_t combine(unsigned kind, unsigned log2size, uint64_t old, uint64_t v, uint64_t expect)
{
	unsigned up = 64 - (8u << log2size);
	int64_t so = (int64_t)(old << up), sv = (int64_t)(v << up);

	switch (kind) {
	case IR_RMW_ADD: return old + v;
	case IR_RMW_CLR: return old & ~v;
	case IR_RMW_EOR: return old ^ v;
	case IR_RMW_SET: return old | v;
	case IR_RMW_SMAX: return so < sv ? v : old;
	case IR_RMW_SMIN: return so < sv ? old : v;
	case IR_RMW_UMAX: return old < v ? v : old;
	case IR_RMW_UMIN: return old < v ? old : v;
	case RMW_CAS: return old == expect ? v : old;
	default: return v;
	}
}

/* FEAT_LSE2: a misaligned one inside of 16 aligned bytes is one on these. Returns the old value. */
static uint64_t rmw_inside_16(void *p, unsigned kind, unsigned log2size, uint64_t v, uint64_t expect)
{
	unsigned at = (uintptr_t)p & 15, size = 1u << log2size;
	void *base = (uint8_t *)p - at;
	uint64_t mask = ~0ull >> (64 - 8 * size), old, val;
	union ir_v128 was = ir_load_16(base), now;

	do {
		old = 0;
		memcpy(&old, &was.b[at], size);
		val = combine(kind, log2size, old, v & mask, expect & mask);
		now = was;
		memcpy(&now.b[at], &val, size);
	} while (!cas_16(base, was.d, now.d));
	return old;
}

static bool is_misaligned(const void *p, unsigned log2size)
{
	return (uintptr_t)p & ((1u << log2size) - 1);
}

/*
 * Host address for an atomic of size bytes, a power of two: NULL if that trapped. Misaligned ones always take the call,
 * which raises the alignment fault, or lets those pass that FEAT_LSE2 does.
 */
static void *atomic_host(struct ir_env *env, uint64_t va, uint64_t size, uint32_t m)
{
	void *host = va & (size - 1) ? NULL : tlb_host(env, va, size, true);

	if (!host && env->ops->atomic(env, va, m, &host))
		return NULL;
	return host;
}

static uint64_t cas_elem(void *p, uint64_t expect, uint64_t val, unsigned log2size)
{
	return is_misaligned(p, log2size) ? rmw_inside_16(p, RMW_CAS, log2size, val, expect)
					  : cas_aligned(p, expect, val, log2size);
}

/* ---- exclusives */

bool ir_mem_ldx(struct ir_env *env, const struct ir_insn *op, uint64_t *x, union ir_v128 *v)
{
	uint32_t m = op->aux;
	uint64_t va = X(op->a), val[2] = {0, 0};
	bool pair = m & IR_MEM_PAIR;
	uint64_t size = (uint64_t)(1 + pair) << IR_MEM_SIZE(m);

	if (va & (size - 1)) {
		/* A pair is aligned as a whole, which read_elems does not ask of its own. */
		uint8_t buf[16];

		if (env->ops->load(env, va, m, buf))
			return false;
		memcpy(&val[0], buf, 1u << IR_MEM_SIZE(m));
		memcpy(&val[1], buf + (pair ? 1u << IR_MEM_SIZE(m) : 0), pair ? 1u << IR_MEM_SIZE(m) : 0);
	} else if (!read_elems(env, va, m, 1 + pair, val)) {
		return false;
	}
	env->excl = (struct ir_excl){
		.va = va, .val = {val[0], val[1]}, .log2size = IR_MEM_SIZE(m), .pair = pair, .valid = 1};
	env->step_ex = 1;
	X(op->dst) = val[0];
	if (pair)
		X(op->c) = val[1];
	return true;
}

bool ir_mem_stx(struct ir_env *env, const struct ir_insn *op, uint64_t *x, union ir_v128 *v)
{
	uint32_t m = op->aux;
	struct ir_excl *ex = &env->excl;
	unsigned log2size = IR_MEM_SIZE(m);
	uint64_t va = X(op->a), lo = X(op->b);
	bool pair = m & IR_MEM_PAIR, stored;
	void *host;

	if (!ex->valid || ex->va != va || ex->log2size != log2size || ex->pair != pair) {
		/* The monitor decides before the access is checked: an IMPLEMENTATION DEFINED choice. SP's alignment comes before. */
		if (IR_MEM_BASE(m) == 31 && env->x[31] & 15 &&
		    !atomic_host(env, va, (uint64_t)(1 + pair) << log2size, m))
			return false;
		ex->valid = 0;
		X(op->dst) = 1;
		return true;
	}
	host = atomic_host(env, va, (uint64_t)(1 + pair) << log2size, m);
	if (!host)
		return false;
	if (pair && log2size == 3) {
		stored = cas_16(host, ex->val, (uint64_t[]){lo, X(op->c)});
	} else if (pair) {
		uint64_t expect = (uint32_t)ex->val[0] | ex->val[1] << 32;

		stored = cas_elem(host, expect, (uint32_t)lo | X(op->c) << 32, 3) == expect;
	} else {
		stored = cas_elem(host, ex->val[0], lo, log2size) == ex->val[0];
	}
	ex->valid = 0;
	X(op->dst) = !stored;
	return true;
}

/* ---- LSE. Always sequentially consistent: no host we have gains from less. */

#define MINMAX(type, stype) \
	static type minmax_##type(type *p, unsigned kind, type v) \
	{ \
		type old = __atomic_load_n(p, __ATOMIC_RELAXED), val; \
\
		do { \
			bool less = kind <= IR_RMW_SMIN ? (stype)old < (stype)v : old < v; \
			bool max = kind == IR_RMW_SMAX || kind == IR_RMW_UMAX; \
\
			val = less == max ? v : old; \
		} while (!__atomic_compare_exchange_n(p, &old, val, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)); \
		return old; \
	} \
	static type rmw_##type(type *p, unsigned kind, type v) \
	{ \
		switch (kind) { \
		case IR_RMW_ADD: return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST); \
		case IR_RMW_CLR: return __atomic_fetch_and(p, (type)~v, __ATOMIC_SEQ_CST); \
		case IR_RMW_EOR: return __atomic_fetch_xor(p, v, __ATOMIC_SEQ_CST); \
		case IR_RMW_SET: return __atomic_fetch_or(p, v, __ATOMIC_SEQ_CST); \
		case IR_RMW_SWP: return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST); \
		default: return minmax_##type(p, kind, v); \
		} \
	}
MINMAX(uint8_t, int8_t)
MINMAX(uint16_t, int16_t)
MINMAX(uint32_t, int32_t)
MINMAX(uint64_t, int64_t)
#undef MINMAX

bool ir_mem_rmw(struct ir_env *env, const struct ir_insn *op, uint64_t *x, union ir_v128 *v)
{
	unsigned log2size = IR_MEM_SIZE(op->aux);
	uint64_t val = X(op->b);
	void *host = atomic_host(env, X(op->a), (uint64_t)1 << log2size, op->aux);

	if (!host)
		return false;
	if (__builtin_expect(is_misaligned(host, log2size), 0)) {
		X(op->dst) = rmw_inside_16(host, op->x, log2size, val, 0);
		return true;
	}
	switch (log2size) {
	case 0: X(op->dst) = rmw_uint8_t(host, op->x, (uint8_t)val); break;
	case 1: X(op->dst) = rmw_uint16_t(host, op->x, (uint16_t)val); break;
	case 2: X(op->dst) = rmw_uint32_t(host, op->x, (uint32_t)val); break;
	default: X(op->dst) = rmw_uint64_t(host, op->x, val); break;
	}
	return true;
}

bool ir_mem_cas(struct ir_env *env, const struct ir_insn *op, uint64_t *x, union ir_v128 *v)
{
	unsigned log2size = IR_MEM_SIZE(op->aux);
	void *host = atomic_host(env, X(op->a), (uint64_t)1 << log2size, op->aux);

	if (!host)
		return false;
	X(op->dst) = cas_elem(host, X(op->b), X(op->c), log2size);
	return true;
}

bool ir_mem_casp(struct ir_env *env, const struct ir_insn *op, uint64_t *x, union ir_v128 *v)
{
	unsigned log2size = IR_MEM_SIZE(op->aux);
	uint64_t val[2] = {X((uint16_t)op->imm), X((uint16_t)(op->imm >> 16))};
	uint64_t old[2] = {X(op->b), X(op->c)};
	void *host = atomic_host(env, X(op->a), (uint64_t)2 << log2size, op->aux);

	if (!host)
		return false;
	if (log2size == 3) {
		cas_16(host, old, val);
	} else {
		uint64_t was = cas_elem(host, (uint32_t)old[0] | old[1] << 32, (uint32_t)val[0] | val[1] << 32, 3);

		old[0] = (uint32_t)was;
		old[1] = was >> 32;
	}
	X(op->dst) = old[0];
	X((uint16_t)(op->imm >> 32)) = old[1];
	return true;
}

/* ---- barriers */

void ir_mem_fence(struct ir_env *env, enum ir_fence kind)
{
	switch (kind) {
	case IR_FENCE_LD: __atomic_thread_fence(__ATOMIC_ACQUIRE); break;
	case IR_FENCE_ST: __atomic_thread_fence(__ATOMIC_RELEASE); break;
	case IR_FENCE_FULL: __atomic_thread_fence(__ATOMIC_SEQ_CST); break;
	case IR_FENCE_DSB:
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		env->ops->fence(env, kind);
		break;
	case IR_FENCE_ISB:
	case IR_FENCE_ESB: env->ops->fence(env, kind); break;
	}
}
