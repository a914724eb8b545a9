/* SPDX-License-Identifier: MIT */
/*
 * Stage 1 of the EL1&0 regime: the walk, its faults and permissions, hardware update of the access flag and the dirty
 * state. Arm ARM DDI 0487, "The VMSAv8-64 translation table format" and "Hardware management of the Access flag and
 * dirty state". 4, 16 and 64 KiB granules; VAs and PAs of 48 bits, with the 64 KiB granule of 52 bits. Holds no
 * translations: that is tlb.c.
 */
#include "internal.h"

#include <errno.h>

#define DESC_VALID 1ull
#define DESC_TABLE 2ull
#define DESC_AP1 (1ull << 6) /* EL0 may access */
#define DESC_AP2 (1ull << 7) /* read-only */
#define DESC_AF (1ull << 10)
#define DESC_NG (1ull << 11)
#define DESC_GP (1ull << 50) /* guarded page */
#define DESC_DBM (1ull << 51)
#define DESC_PXN (1ull << 53)
#define DESC_UXN (1ull << 54)
#define TABLE_PXN (1ull << 59)
#define TABLE_UXN (1ull << 60)
#define TABLE_AP0 (1ull << 61) /* no EL0 access below */
#define TABLE_AP1 (1ull << 62) /* read-only below */

struct walk_params { /* what TCR_EL1 says about the half of the address space that holds a VA */
	uint64_t ttbr;
	unsigned tsz;  /* VA bits are 64 - tsz */
	unsigned page; /* log2 of the granule */
	bool epd, tbi, hpd;
};

static const uint8_t size_bits[8] = {32, 36, 40, 42, 44, 48, 52, 52}; /* encoding of PARange and IPS */

unsigned stage1_pa_bits(const struct cpu *cpu)
{
	return size_bits[cpu->id[CPU_ID(7, 0)] & 7];
}

/* Output addresses of that granule. */
static unsigned output_bits(const struct cpu *cpu, unsigned page)
{
	unsigned ips = size_bits[TCR_IPS(cpu->sys[CPU_TCR_EL1])], pa = stage1_pa_bits(cpu);
	unsigned bits = ips < pa ? ips : pa;

	return bits > 48 && page != 16 ? 48 : bits;
}

/* FEAT_LPA: whether the 64 KiB granule's tables hold bits 51:48 of addresses, in places of their own. */
static bool has_52_bit_outputs(const struct cpu *cpu, unsigned page)
{
	return page == 16 && stage1_pa_bits(cpu) == 52;
}

static uint64_t table_base(const struct cpu *cpu, uint64_t ttbr, unsigned page)
{
	/* Bits 5:2 are there with an IPS of 52 bits, else RES0 or part of the address. */
	if (has_52_bit_outputs(cpu, page) && TCR_IPS(cpu->sys[CPU_TCR_EL1]) >= 6)
		return (ttbr & 0x0000ffffffffffc0ull) | (ttbr & 0x3c) << 46;
	return ttbr & 0x0000fffffffffffeull;
}

/* Address in a descriptor whose low `low` bits are not part of it. */
static uint64_t output_address(const struct cpu *cpu, uint64_t desc, unsigned page, unsigned low)
{
	uint64_t base = desc & 0x0000fffffffff000ull;

	if (has_52_bit_outputs(cpu, page))
		base |= (desc & 0xf000) << 36;
	return base & ~((1ull << low) - 1);
}

bool stage1_tbi(const struct cpu *cpu, uint64_t va)
{
	return cpu->sys[CPU_TCR_EL1] & (va >> 55 & 1 ? TCR_TBI1 : TCR_TBI0);
}

bool stage1_tbi_code(const struct cpu *cpu, uint64_t va)
{
	uint64_t tbid = va >> 55 & 1 ? TCR_TBID1 : TCR_TBID0;

	return stage1_tbi(cpu, va) && !((cpu->sys[CPU_TCR_EL1] & tbid) && cpu_has(cpu, ISA_PAUTH));
}

static struct walk_params walk_params(const struct cpu *cpu, uint64_t va)
{
	uint64_t tcr = cpu->sys[CPU_TCR_EL1];
	struct walk_params w;

	if (va >> 55 & 1) {
		unsigned tg = tcr >> 30 & 3;

		w = (struct walk_params){
			.ttbr = cpu->sys[CPU_TTBR1_EL1],
			.tsz = TCR_T1SZ(tcr),
			.page = tg == 1	  ? 14
				: tg == 3 ? 16
					  : 12,
			.epd = tcr & TCR_EPD1,
			.tbi = tcr & TCR_TBI1,
			.hpd = tcr & TCR_HPD1,
		};
	} else {
		unsigned tg = tcr >> 14 & 3;

		w = (struct walk_params){
			.ttbr = cpu->sys[CPU_TTBR0_EL1],
			.tsz = TCR_T0SZ(tcr),
			.page = tg == 1	  ? 16
				: tg == 2 ? 14
					  : 12,
			.epd = tcr & TCR_EPD0,
			.tbi = tcr & TCR_TBI0,
			.hpd = tcr & TCR_HPD0,
		};
	}
	if (!cpu_has(cpu, ISA_HPDS))
		w.hpd = false;
	if (w.page == 14 && !cpu_has(cpu, ISA_TGRAN16))
		w.page = 12; /* which of the others it is, is the implementation's choice */
	/* Sizes out of range behave as the nearest one that is supported. */
	if (w.tsz < 16 && !(w.page == 16 && cpu_has(cpu, ISA_LVA)))
		w.tsz = 16;
	if (w.tsz < 12)
		w.tsz = 12;
	if (w.tsz > 39)
		w.tsz = 39;
	return w;
}

unsigned stage1_va_bits(const struct cpu *cpu, bool upper)
{
	return 64 - walk_params(cpu, upper ? ~0ull : 0).tsz;
}

static bool fault(struct fault *f, unsigned type, unsigned level)
{
	f->fsc = type | level;
	f->stage2 = f->s1ptw = false;
	f->level = level;
	return false;
}

/* Host address of a descriptor. False: the stage 2 fault of a walk. */
static bool descriptor(struct cpu *cpu, ipa_t at, unsigned level, bool write, uint64_t **host, struct fault *f)
{
	*host = (uint64_t *)(void *)stage2_access(cpu, at, write, NULL, f);
	f->s1ptw = true;
	f->level = level;
	return *host;
}

/* Stage 1 off: VA is IPA, Device-nGnRnE for data. */
static bool translate_flat(struct cpu *cpu, uint64_t va, unsigned acc, struct xlate *x, struct fault *f)
{
	bool tbi = acc & ACC_EXEC ? stage1_tbi_code(cpu, va) : stage1_tbi(cpu, va);
	uint64_t addr = tbi ? va & ((1ull << 56) - 1) : va;

	if (addr >> stage1_pa_bits(cpu))
		return fault(f, FSC_ADDR_SIZE, 0);
	if (acc & ACC_MISALIGNED)
		return fault(f, FSC_ALIGNMENT, 0);
	*x = (struct xlate){.ipa = addr, .size = 4096, .device = true, .sh = 2, .r = true, .w = true, .x = true};
	return true;
}

static void rights(const struct cpu *cpu, uint64_t desc, uint64_t tables, enum regime regime, struct xlate *x)
{
	bool el0 = (desc & DESC_AP1) && !(tables & TABLE_AP0);
	bool ro = (desc & DESC_AP2) || (tables & TABLE_AP1);
	bool wxn = cpu->sys[CPU_SCTLR_EL1] & SCTLR_WXN;
	bool uxn = (desc & DESC_UXN) || (tables & TABLE_UXN);
	bool pxn = (desc & DESC_PXN) || (tables & TABLE_PXN);

	if (regime == REGIME_EL0) {
		x->r = el0;
		x->w = el0 && !ro;
		x->x = !uxn && !(wxn && x->w);
		return;
	}
	x->r = true;
	x->w = !ro;
	x->x = !pxn && !(wxn && x->w) && !(el0 && !ro); /* what EL0 may write EL1 may not execute */
	/* With SCTLR_EL1.EPAN also what EL0 may only execute. */
	if (regime == REGIME_EL1_PAN &&
	    (el0 || (!uxn && cpu_has(cpu, ISA_EPAN) && (cpu->sys[CPU_SCTLR_EL1] & SCTLR_EPAN))))
		x->r = x->w = false;
}

bool stage1_translate(struct cpu *cpu, uint64_t va, unsigned acc, enum regime regime, struct xlate *x, struct fault *f)
{
	uint64_t tcr = cpu->sys[CPU_TCR_EL1], tables, desc, base;
	struct walk_params w;
	unsigned stride, bits, out, level, shift;
	bool dbm;

	if (!(cpu->sys[CPU_SCTLR_EL1] & SCTLR_M))
		return translate_flat(cpu, va, acc, x, f);
	if (unlikely(!cpu_has(cpu, ISA_HDBS)))
		tcr &= cpu_has(cpu, ISA_HAF) ? ~TCR_HD : ~(TCR_HA | TCR_HD);

restart:
	w = walk_params(cpu, va);
	if (acc & ACC_EXEC)
		w.tbi = stage1_tbi_code(cpu, va);
	bits = 64 - w.tsz;
	{
		unsigned top = w.tbi ? 55 : 63;
		uint64_t upper = va << (63 - top) >> (63 - top) >> bits;

		if (upper != ((va >> 55 & 1) ? (1ull << (top + 1 - bits)) - 1 : 0) || w.epd)
			return fault(f, FSC_TRANSLATION, 0);
	}
	stride = w.page - 3;
	out = output_bits(cpu, w.page);
	level = 4 - (bits - w.page + stride - 1) / stride;
	shift = w.page + stride * (3 - level); /* of the index at this level */
	base = table_base(cpu, w.ttbr, w.page);
	if (base >> out)
		return fault(f, FSC_ADDR_SIZE, 0);
	base &= ~((8ull << (bits - shift)) - 1);

	tables = 0;
	x->n_steps = 0;
	for (;; level++, shift -= stride) {
		unsigned width = bits - shift < stride ? bits - shift : stride;
		ipa_t at = base + 8 * (va >> shift & ((1ull << width) - 1));
		uint64_t *host;
		bool leaf;

		if (!descriptor(cpu, at, level, false, &host, f))
			return false;
		desc = __atomic_load_n(host, __ATOMIC_ACQUIRE);
		if (!(desc & DESC_VALID))
			return fault(f, FSC_TRANSLATION, level);
		leaf = level == 3 || !(desc & DESC_TABLE);
		if (level == 3 && !(desc & DESC_TABLE))
			return fault(f, FSC_TRANSLATION, level);
		/* Blocks: 4 KiB granule levels 1 and 2, the others level 2, 64 KiB with 52-bit outputs level 1 too */
		if (leaf && level < (w.page == 12 || has_52_bit_outputs(cpu, w.page) ? 1u : 2u))
			return fault(f, FSC_TRANSLATION, level);
		x->step[x->n_steps++] = (struct walk_step){host, desc};
		if (!leaf) {
			base = output_address(cpu, desc, w.page, w.page);
			if (base >> out)
				return fault(f, FSC_ADDR_SIZE, level);
			if (!w.hpd)
				tables |= desc;
			continue;
		}

		if (unlikely(!(desc & DESC_NG) && !(va >> 55 & 1)) && group_met_global(cpu, true))
			goto restart;
		base = output_address(cpu, desc, w.page, shift);
		if (base >> out)
			return fault(f, FSC_ADDR_SIZE, level);
		if (!(desc & DESC_AF) && !(tcr & TCR_HA))
			return fault(f, FSC_ACCESS_FLAG, level);
		/* "Prioritization of MMU faults": what the memory type asks for is before permissions. */
		x->attr = cpu->sys[CPU_MAIR_EL1] >> (8 * (desc >> 2 & 7));
		x->device = !(x->attr & 0xf0);
		if (x->device && (acc & ACC_MISALIGNED))
			return fault(f, FSC_ALIGNMENT, 0);

		dbm = (tcr & TCR_HA) && (tcr & TCR_HD) && (desc & DESC_DBM) && (desc & DESC_AP2);
		/* A writable-clean page has the rights of a writable one; only the store itself makes it dirty. */
		rights(cpu, dbm ? desc & ~DESC_AP2 : desc, tables, regime, x);
		if (((acc & ACC_READ) && !x->r) || ((acc & ACC_WRITE) && !x->w) || ((acc & ACC_EXEC) && !x->x))
			return fault(f, FSC_PERMISSION, level);
		if (!(acc & ACC_PROBE)) {
			uint64_t want = desc | DESC_AF;
			bool dirties = dbm && (acc & ACC_WRITE) && !(acc & ACC_MAINTAIN);

			if (dirties)
				want &= ~DESC_AP2;
			if (want != desc) {
				uint64_t seen = desc;

				if (!descriptor(cpu, at, level, true, &host, f))
					return false;
				if (!__atomic_compare_exchange_n(host, &seen, want, false, __ATOMIC_ACQ_REL,
								 __ATOMIC_ACQUIRE)) {
					/* Somebody changed it meanwhile: walk again from the top. */
					goto restart;
				}
				dbm = dbm && !dirties;
				desc = want;
				x->step[x->n_steps - 1].desc = desc;
			}
		}
		if (dbm)
			x->w = false; /* the next store has to come back here */
		break;
	}
	x->ng = desc & DESC_NG;
	x->el0 = (desc & DESC_AP1) && !(tables & TABLE_AP0);
	x->guarded = (desc & DESC_GP) && cpu_has(cpu, ISA_BTI);
	x->size = 1ull << shift;
	x->ipa = base | (va & (x->size - 1));
	x->sh = x->device || x->attr == 0x44 ? 2 : desc >> 8 & 3; /* Device and Non-cacheable are outer shareable */
	return true;
}

/*
 * What a TLB may have read of the table besides the descriptor itself: neighbours that were accessed, with the same rights and
 * attributes, and the next addresses. Bits that the walk ignores may differ.
 */
unsigned stage1_extent(const struct xlate *x, uint64_t va, unsigned most)
{
	const uint64_t address = 0x0000fffffffff000ull, ignored = 0xff90ull << 48;
	unsigned log2 = IR_PAGE_SHIFT;
	uint64_t i = va >> IR_PAGE_SHIFT & 511;
	const struct walk_step *leaf = &x->step[x->n_steps - 1];

	if (!x->n_steps || x->size != 1ull << IR_PAGE_SHIFT || !(leaf->desc & DESC_AF))
		return (unsigned)__builtin_ctzll(x->size);
	for (; log2 < most; log2++) {
		uint64_t n = 1ull << (log2 - IR_PAGE_SHIFT), other = (i & ~(n - 1)) ^ n;

		for (uint64_t k = other; k < other + n; k++) {
			uint64_t d = __atomic_load_n(&leaf->at[(int64_t)(k - i)], __ATOMIC_RELAXED);

			if ((d ^ leaf->desc) & ~(address | ignored) ||
			    ((d - ((k - i) << IR_PAGE_SHIFT)) ^ leaf->desc) & address)
				return log2;
		}
	}
	return log2;
}

int cpu_translate(struct cpu *cpu, uint64_t va, ipa_t *ipa)
{
	struct xlate x;
	struct fault f;
	bool ok;

	guest_enter(cpu); /* stage 2 stays while the walk reads tables */
	ok = stage1_translate(cpu, va, ACC_PROBE, REGIME_EL1, &x, &f);
	guest_leave(cpu);
	if (!ok)
		return f.s1ptw ? FSC_EXTERNAL_WALK | f.level : f.fsc;
	*ipa = x.ipa;
	return 0;
}
