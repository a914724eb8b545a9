/* SPDX-License-Identifier: MIT */
/*
 * Guest loads, stores and fetches that the soft TLB did not settle: alignment, both stages of translation, watchpoints,
 * and then the access itself or the abort with its syndrome. Arm ARM DDI 0487, pseudocode of AArch64.MemSingle() and
 * AArch64.TranslateAddress(), "Synchronous exception prioritization". Little endian only (ID_AA64MMFR0_EL1.BigEnd = 0).
 *
 * All checks of an access, on both pages if it crosses, come before anything is read or written.
 */
#include "internal.h"
#include "memory.h"

#include <string.h>

/* ---- aborts */

int abort_data(struct cpu *cpu, uint64_t va, uint32_t m, bool write, bool cm, const struct fault *f)
{
	uint64_t iss = f->fsc | (write ? ISS_DABT_WNR : 0) | (cm ? ISS_DABT_CM : 0);

	if (!f->stage2) {
		unsigned ec = cpu_is_el0(cpu) ? EC_DABT_LOWER : EC_DABT_CUR;

		cpu_take_abort(cpu, ESR_MAKE(ec, iss), va, cpu->env.pc);
		cpu->priv->outcome = OUTCOME_EXCEPTION;
		return 1;
	}
	if (f->s1ptw)
		iss |= ISS_ABT_S1PTW;
	else if (!cm && (m & IR_MEM_ISV))
		iss |= ISS_DABT_ISV | (uint64_t)(IR_MEM_SIZE(m) & 3) << 22 | (m & IR_MEM_SSE ? ISS_DABT_SSE : 0) |
		       (uint64_t)IR_MEM_RT(m) << 16 | (m & IR_MEM_SF ? ISS_DABT_SF : 0) |
		       (m & IR_MEM_ACQREL ? ISS_DABT_AR : 0);
	cpu->el2.s1_level = f->level;
	return trap_el2_abort(cpu, ESR_MAKE(EC_DABT_LOWER, iss), va, (f->ipa & IR_PAGE_MASK) | (va & ~IR_PAGE_MASK));
}

/* write: not for a read-modify-write, whose read would have failed, too. */
static int abort_alignment(struct cpu *cpu, uint64_t va, bool write, bool cm)
{
	const struct fault f = {.fsc = FSC_ALIGNMENT};

	return abort_data(cpu, va, 0, write, cm, &f);
}

static int abort_fetch(struct cpu *cpu, uint64_t va, const struct fault *f)
{
	if (!f->stage2) {
		unsigned ec = cpu_is_el0(cpu) ? EC_IABT_LOWER : EC_IABT_CUR;

		cpu_take_abort(cpu, ESR_MAKE(ec, f->fsc), va, va);
		return 1;
	}
	cpu->el2.s1_level = f->level;
	return trap_el2_abort(cpu, ESR_MAKE(EC_IABT_LOWER, f->fsc | (f->s1ptw ? ISS_ABT_S1PTW : 0)), va,
			      (f->ipa & IR_PAGE_MASK) | (va & ~IR_PAGE_MASK));
}

/* ---- one page of an access */

struct access {
	uint64_t va;	 /* of the first byte */
	uint32_t m;	 /* memory descriptor */
	unsigned kinds;	 /* ACC_READ, ACC_WRITE */
	bool unpriv;	 /* checked as EL0 */
	bool misaligned; /* for Device memory */
	bool cm;	 /* cache maintenance: syndrome only */
	bool zva;
	bool hi; /* the page looked up is the second one */
	struct tlb_bank *bank;
	struct window_op window;
};

/*
 * ESR_ELx.WnR. A read-modify-write that a read would have failed too is reported as a read, at stage 1; at stage 2 it
 * is a write always, as a hypervisor wants to know it.
 */
static bool abort_is_write(struct cpu *cpu, const struct access *a, uint64_t va, const struct fault *f)
{
	struct xlate x;
	struct fault ignored;

	if (a->cm)
		return true;
	if (!(a->kinds & ACC_WRITE))
		return false;
	if (!(a->m & IR_MEM_RMW) || f->stage2)
		return true;
	return stage1_translate(cpu, va, ACC_READ | ACC_PROBE | (a->misaligned ? ACC_MISALIGNED : 0), a->bank->regime,
				&x, &ignored);
}

/* stage2.device, which is Device memory whatever stage 1 says. As access_page. */
static uint8_t *device_page(struct cpu *cpu, const struct access *a, uint64_t va, struct fault *f, uint32_t *flags)
{
	if (a->misaligned || a->zva) {
		f->fsc = FSC_ALIGNMENT;
		abort_data(cpu, va, a->m, a->kinds & ACC_WRITE, false, f);
		return NULL;
	}
	*flags = SLOW_WINDOW | (debug_page_watched(cpu, va) ? SLOW_WATCH : 0);
	return window_page(cpu, va, a->hi, f);
}

/* A read-modify-write of memory that is read only reads first: the page has to come, or cannot. */
static void read_before_write(struct cpu *cpu, const struct access *a, ipa_t ipa, struct fault *f)
{
	struct fault read;

	if (f->fsc == (FSC_PERMISSION | 3) && a->m & IR_MEM_RMW && !(a->m & IR_MEM_EXCL) &&
	    !stage2_access(cpu, ipa, false, NULL, &read))
		*f = read;
}

/* Host address of va, which lies in one page with the rest of what is looked up. NULL: an exception was taken. */
static uint8_t *access_page(struct cpu *cpu, const struct access *a, uint64_t va, uint32_t *flags)
{
	struct tlb_bank *b = a->bank;
	unsigned i = ir_tlb_index(va);
	uint64_t page = va & IR_PAGE_MASK;
	const struct tlb_slow *s = &b->slow[tlb_slow_index(va)];
	const struct ir_tlb *e = &b->fast;
	const struct stage2_range *range;
	struct xlate x;
	struct fault f;
	uint8_t *host;

	if (!(a->kinds & ACC_WRITE) ? e->r[i] == page : e->w[i] == page) {
		*flags = 0;
		stat_inc(cpu, CPU_STAT_TLB_HIT_C);
		return (uint8_t *)(uintptr_t)(va + e->delta[i]);
	}
	if ((!(a->kinds & ACC_WRITE) ? s->r == page : s->w == page) && !(a->misaligned && (s->flags & SLOW_DEVICE))) {
		*flags = s->flags;
		stat_inc(cpu, CPU_STAT_TLB_HIT_C);
		return (uint8_t *)(uintptr_t)(va + s->delta);
	}
	if (!a->misaligned && tlb_take_shared(cpu, b, va, a->kinds & ACC_WRITE)) {
		bool fast = e->r[i] == page || e->w[i] == page;

		*flags = fast ? 0 : s->flags;
		stat_inc(cpu, CPU_STAT_TLB_SHARED);
		return (uint8_t *)(uintptr_t)(va + (fast ? e->delta[i] : s->delta));
	}
	stat_inc(cpu, CPU_STAT_TLB_WALK);
	if (!stage1_translate(cpu, va, a->kinds | (a->misaligned ? ACC_MISALIGNED : 0), b->regime, &x, &f))
		goto abort;
	host = stage2_access(cpu, x.ipa, a->kinds & ACC_WRITE, &range, &f);
	if (!host) {
		read_before_write(cpu, a, x.ipa, &f);
		/* A store to a read-only range that was not read before finds no stage 2 entry at all. */
		if (f.fsc == (FSC_PERMISSION | 3) && e->r[i] != page && s->r != page)
			f.fsc = FSC_TRANSLATION | stage2_untouched_level(cpu, x.ipa);
		goto abort;
	}
	*flags = (x.device ? SLOW_DEVICE : 0) | (debug_page_watched(cpu, va) ? SLOW_WATCH : 0);
	tlb_fill(cpu, b, va, &x, range, host, a->kinds & ACC_WRITE, *flags);
	return host;

abort:
	if (f.stage2 && f.device && !f.s1ptw)
		return device_page(cpu, a, va, &f, flags);
	if (unlikely(cpu->window.on) && !(a->m & IR_MEM_ISV) && !a->cm && (host = window_page(cpu, va, a->hi, &f))) {
		*flags = SLOW_WINDOW;
		return host;
	}
	abort_data(cpu, va, a->m, abort_is_write(cpu, a, va, &f), a->cm, &f);
	return NULL;
}

/* Some of an access, whose pages have these flags, is outside of memory: what window.c has to know. */
static int access_window(struct cpu *cpu, struct access *a, unsigned total, uint32_t lo, uint32_t hi)
{
	unsigned first = total, exclusive = a->m & IR_MEM_EXCL && a->kinds & ACC_WRITE;

	if ((a->va ^ (a->va + total - 1)) & IR_PAGE_MASK)
		first = 4096 - (a->va & 4095);
	a->window = (struct window_op){
		.where = (lo & SLOW_WINDOW ? WINDOW_LO : 0) | (hi & SLOW_WINDOW ? WINDOW_HI : 0),
		.lo = first,
		.hi = total - first,
		.elem = 1u << IR_MEM_ALIGN_SIZE(a->m),
	};
	return window_begin(cpu, &a->window, !(a->kinds & ACC_WRITE) || (a->m & IR_MEM_RMW && !exclusive),
			    exclusive || a->m & IR_MEM_RMW);
}

/* FEAT_LSE2: what must be aligned otherwise may lie anywhere inside of 16 aligned bytes, and with nAA, if it only orders, everywhere. */
static bool may_be_misaligned(const struct cpu *cpu, const struct access *a, unsigned total)
{
	if (!cpu_has(cpu, ISA_LSE2))
		return false;
	if (!((a->va ^ (a->va + total - 1)) & ~15ull))
		return true;
	return !(a->m & (IR_MEM_EXCL | IR_MEM_RMW)) && (cpu->sys[CPU_SCTLR_EL1] & SCTLR_NAA);
}

/*
 * All checks of an access of `total` bytes. 0: lo is the host address of the first byte, and hi, if the access crosses
 * into another page, that page's. 1: an exception was taken.
 */
static int access_check(struct cpu *cpu, struct access *a, unsigned total, uint8_t **lo, uint8_t **hi)
{
	uint64_t sctlr = cpu->sys[CPU_SCTLR_EL1], end;
	uint32_t m = a->m, flags, flags2 = 0;
	bool el0 = cpu_is_el0(cpu);

	*lo = *hi = NULL;
	if (!a->zva && IR_MEM_BASE(m) == 31 && unlikely(cpu->env.x[31] & 15) && (sctlr & (el0 ? SCTLR_SA0 : SCTLR_SA)))
		return exception_sync(cpu, ESR_MAKE(EC_SP_ALIGN, 0));

	a->unpriv = el0 || ((m & IR_MEM_UNPRIV) && !(cpu->pstate & PSR_UAO));
	a->bank = el0 ? cpu->priv->bank : tlb_bank(cpu, a->unpriv ? REGIME_EL0 : tlb_regime(cpu));
	if (!a->zva) {
		/*
		 * Exclusives and atomics are aligned to all they transfer, pairs of plain loads to their elements,
		 * structures to theirs, however many bytes an access of them has.
		 */
		unsigned align = m & IR_MEM_ALIGNED && m & IR_MEM_PAIR ? total : 1u << IR_MEM_ALIGN_SIZE(m);

		a->misaligned = a->va & (align - 1);
		if (unlikely(a->misaligned) && ((sctlr & SCTLR_A) || ((m & (IR_MEM_ACQREL | IR_MEM_ALIGNED)) &&
								      !may_be_misaligned(cpu, a, total))))
			return abort_alignment(cpu, a->va, (a->kinds & ACC_WRITE) && !(m & IR_MEM_RMW), false);
	}

	*lo = access_page(cpu, a, a->va, &flags);
	if (!*lo)
		return 1;
	end = a->va + total - 1;
	if (unlikely((a->va ^ end) & IR_PAGE_MASK)) {
		a->hi = true;
		*hi = access_page(cpu, a, end & IR_PAGE_MASK, &flags2);
		if (!*hi)
			return 1;
	}
	if (unlikely((flags | flags2) & SLOW_WATCH) &&
	    debug_watchpoint(cpu, a->va, total, m & IR_MEM_RMW ? ACC_READ | ACC_WRITE : a->kinds, a->unpriv, a->cm))
		return 1;
	if (unlikely((flags | flags2) & SLOW_WINDOW))
		return access_window(cpu, a, total, flags, flags2);
	return 0;
}

/* ---- the access itself: single-copy atomic per element where it is aligned. Ordering is the caller's business. */

static unsigned unit(unsigned elem, const void *host)
{
	if (elem > 8)
		elem = 8;
	return (uintptr_t)host & (elem - 1) ? 1 : elem;
}

/* log2 of n if all n bytes are read or written at once, 0 if not: misaligned ones of up to a doubleword. */
static unsigned whole(unsigned n)
{
	return n == 2 ? 1 : n == 4 ? 2 : n == 8 ? 3 : 0;
}

static inline void from_guest(uint8_t *to, const uint8_t *host, unsigned elem, unsigned n)
{
	uint64_t v;

	switch (unit(elem, host)) {
	case 8:
		if (n == 16) {
			union ir_v128 both = ir_load_16(host);

			memcpy(to, &both, 16);
			break;
		}
		for (unsigned i = 0; i < n; i += 8) {
			v = __atomic_load_n((const uint64_t *)(const void *)(host + i), __ATOMIC_RELAXED);
			memcpy(to + i, &v, 8);
		}
		break;
	case 4:
		for (unsigned i = 0; i < n; i += 4) {
			uint32_t w = __atomic_load_n((const uint32_t *)(const void *)(host + i), __ATOMIC_RELAXED);

			memcpy(to + i, &w, 4);
		}
		break;
	case 2:
		for (unsigned i = 0; i < n; i += 2) {
			uint16_t h = __atomic_load_n((const uint16_t *)(const void *)(host + i), __ATOMIC_RELAXED);

			memcpy(to + i, &h, 2);
		}
		break;
	default:
		if (elem > 1 && whole(n)) {
			v = ir_load_misaligned(host, whole(n));
			memcpy(to, &v, n);
			break;
		}
		for (unsigned i = 0; i < n; i++)
			to[i] = __atomic_load_n(host + i, __ATOMIC_RELAXED);
	}
}

static inline void to_guest(uint8_t *host, const uint8_t *from, unsigned elem, unsigned n)
{
	uint64_t v = 0;

	switch (unit(elem, host)) {
	case 8:
		if (n == 16) {
			union ir_v128 both;

			memcpy(&both, from, 16);
			ir_store_16(host, &both);
			break;
		}
		for (unsigned i = 0; i < n; i += 8) {
			memcpy(&v, from + i, 8);
			__atomic_store_n((uint64_t *)(void *)(host + i), v, __ATOMIC_RELAXED);
		}
		break;
	case 4:
		for (unsigned i = 0; i < n; i += 4) {
			uint32_t w;

			memcpy(&w, from + i, 4);
			__atomic_store_n((uint32_t *)(void *)(host + i), w, __ATOMIC_RELAXED);
		}
		break;
	case 2:
		for (unsigned i = 0; i < n; i += 2) {
			uint16_t h;

			memcpy(&h, from + i, 2);
			__atomic_store_n((uint16_t *)(void *)(host + i), h, __ATOMIC_RELAXED);
		}
		break;
	default:
		if (elem > 1 && whole(n)) {
			memcpy(&v, from, n);
			ir_store_misaligned(host, v, whole(n));
			break;
		}
		for (unsigned i = 0; i < n; i++)
			__atomic_store_n(host + i, from[i], __ATOMIC_RELAXED);
	}
}

static unsigned total_bytes(uint32_t m)
{
	return (1u << IR_MEM_SIZE(m)) << (m & IR_MEM_PAIR ? 1 : 0);
}

static int access_load(struct ir_env *env, uint64_t va, uint32_t m, void *out)
{
	struct cpu *cpu = (struct cpu *)env;
	struct access a = {.va = va, .m = m, .kinds = ACC_READ};
	unsigned total = total_bytes(m), first;
	uint8_t *lo, *hi;

	if (access_check(cpu, &a, total, &lo, &hi))
		return 1;
	if (likely(!hi)) {
		from_guest(out, lo, 1u << IR_MEM_SIZE(m), total);
	} else {
		first = 4096 - (va & 4095);
		from_guest(out, lo, 1, first);
		from_guest((uint8_t *)out + first, hi, 1, total - first);
	}
	return 0;
}

static int access_store(struct ir_env *env, uint64_t va, uint32_t m, const void *in)
{
	struct cpu *cpu = (struct cpu *)env;
	struct access a = {.va = va, .m = m, .kinds = ACC_WRITE};
	unsigned total = total_bytes(m), first;
	uint8_t *lo, *hi;

	if (access_check(cpu, &a, total, &lo, &hi))
		return 1;
	if (likely(!hi)) {
		to_guest(lo, in, 1u << IR_MEM_SIZE(m), total);
	} else {
		first = 4096 - (va & 4095);
		to_guest(lo, in, 1, first);
		to_guest(hi, (const uint8_t *)in + first, 1, total - first);
	}
	return unlikely(a.window.where) ? window_store(cpu, &a.window) : 0;
}

static int access_atomic(struct ir_env *env, uint64_t va, uint32_t m, void **host)
{
	struct cpu *cpu = (struct cpu *)env;
	struct access a = {.va = va, .m = m | IR_MEM_ALIGNED, .kinds = m & IR_MEM_WNR ? ACC_WRITE : ACC_READ};
	uint8_t *lo, *hi;

	if (access_check(cpu, &a, total_bytes(m), &lo, &hi))
		return 1;
	if (unlikely(a.window.where) && (m & IR_MEM_WNR))
		window_defer(cpu, &a.window, m & IR_MEM_EXCL);
	*host = lo;
	return 0;
}

/* ---- DC and IC by address */

int access_zva(struct cpu *cpu, uint64_t va)
{
	enum { BLOCK = 64 };
	struct access a = {.va = va & ~(uint64_t)(BLOCK - 1),
			   .m = IR_MEM(0, 0, IR_MEM_BASE_LITERAL, 0),
			   .kinds = ACC_WRITE,
			   .zva = true};
	uint32_t flags;
	uint8_t *host;

	a.unpriv = cpu_is_el0(cpu);
	a.bank = cpu->priv->bank;
	a.misaligned = true; /* an alignment fault on any kind of Device memory */
	host = access_page(cpu, &a, va, &flags);
	if (!host)
		return 1;
	host -= va & (BLOCK - 1);
	if (unlikely(flags & SLOW_WINDOW)) {
		a.window = (struct window_op){.where = WINDOW_LO, .lo = BLOCK, .elem = 8};
		if (window_begin(cpu, &a.window, false, false))
			return 1;
		a.window.ipa[0] &= ~(ipa_t)(BLOCK - 1);
		memset(host, 0, BLOCK);
		return window_store(cpu, &a.window);
	}
	if (unlikely(flags & SLOW_WATCH) && debug_watchpoint(cpu, a.va, BLOCK, ACC_WRITE, a.unpriv, false))
		return 1;
	for (unsigned i = 0; i < BLOCK; i += 8)
		__atomic_store_n((uint64_t *)(void *)(host + i), 0, __ATOMIC_RELAXED);
	return 0;
}

/* PSTATE.PAN does not apply. */
int access_maintain(struct cpu *cpu, uint64_t va, bool write, ipa_t *ipa)
{
	enum regime regime = cpu_is_el0(cpu) ? REGIME_EL0 : REGIME_EL1;
	struct xlate x;
	struct fault f;

	if (!stage1_translate(cpu, va, (write ? ACC_WRITE : ACC_READ) | ACC_MAINTAIN, regime, &x, &f) ||
	    (!stage2_access(cpu, x.ipa, false, NULL, &f) && !f.device))
		return abort_data(cpu, va, 0, true, true, &f);
	if (write && debug_page_watched(cpu, va) &&
	    debug_watchpoint(cpu, va & ~63ull, 64, ACC_WRITE, cpu_is_el0(cpu), true))
		return 1;
	if (ipa)
		*ipa = x.ipa;
	return 0;
}

/* ---- fetch */

const uint8_t *access_fetch(struct cpu *cpu, ipa_t *ipa, bool *guarded)
{
	struct tlb_bank *b = cpu->priv->bank;
	uint64_t pc = cpu->env.pc;
	struct tlb_fetch *t = &b->fetch[pc >> IR_PAGE_SHIFT & (FETCH_SIZE - 1)];
	const uint8_t *host;
	struct xlate x;
	struct fault f;

	if (likely(t->va == (pc & IR_PAGE_MASK))) {
		stat_inc(cpu, CPU_STAT_FETCH_HIT);
		*ipa = t->ipa | (pc & ~IR_PAGE_MASK);
		*guarded = t->guarded;
		return t->host + (pc & ~IR_PAGE_MASK);
	}
	stat_inc(cpu, CPU_STAT_FETCH_WALK);
	if (!stage1_translate(cpu, pc, ACC_EXEC, b->regime, &x, &f))
		goto abort;
	host = stage2_access(cpu, x.ipa, false, NULL, &f);
	if (!host)
		goto abort;
	tlb_fill_fetch(cpu, b, pc, &x, host);
	*ipa = x.ipa;
	*guarded = x.guarded;
	return host;

abort:
	abort_fetch(cpu, pc, &f);
	return NULL;
}

static void fence(struct ir_env *env, enum ir_fence kind)
{
	if (kind == IR_FENCE_DSB) {
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		group_sync((struct cpu *)env);
	} else if (kind == IR_FENCE_ESB) {
		exception_esb((struct cpu *)env);
	}
	completed((struct cpu *)env, 0);
}

/* System instructions. The op that clears BTYPE behind them does not run if the engine looks around here. */
static int mrs(struct ir_env *env, uint32_t enc, unsigned rt, uint64_t *val)
{
	return completed((struct cpu *)env, sysreg_read(env, enc, rt, val));
}

static int msr(struct ir_env *env, uint32_t enc, unsigned rt, uint64_t val)
{
	return completed((struct cpu *)env, sysreg_write(env, enc, rt, val));
}

static int msr_imm(struct ir_env *env, uint32_t enc, unsigned imm4)
{
	return completed((struct cpu *)env, sysreg_write_imm(env, enc, imm4));
}

const struct ir_env_ops access_ops = {
	.load = access_load,
	.store = access_store,
	.atomic = access_atomic,
	.mrs = mrs,
	.msr = msr,
	.msr_imm = msr_imm,
	.place = sysreg_place,
	.bits = sysreg_bits,
	.extent = tlb_extent,
	.btype = pauth_btype,
	.pauth = pauth,
	.fence = fence,
};
