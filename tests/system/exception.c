/* SPDX-License-Identifier: MIT */
/*
 * Random instructions that raise exceptions, or do not, in random states: EL, PSTATE (by ERET, legal or not), the traps and
 * enables of SCTLR_EL1, CPACR_EL1 and CNTKCTL_EL1, stack pointers, software step, breakpoints and watchpoints, and guarded pages
 * where there is BTI. A trial gives the vector, ESR, FAR, ELR, SPSR, and PSTATE as the vector begins.
 */
#include "payload.h"

/* Code under test is at PLAY, read-only for both ELs; its upper alias is writable. */
#define DATA (PLAY + 0x100000) /* for both, to read and write */

static u64 low_l1[512] __attribute__((aligned(4096)));
static u64 low_l2[512] __attribute__((aligned(4096)));
static u64 high_l1[512] __attribute__((aligned(4096)));
static u64 high_l2[512] __attribute__((aligned(4096)));
static u64 data_l3[512] __attribute__((aligned(4096)));

#define SVC_END 0xd4000fe1u /* svc #0x7f */

static void tables(void)
{
	own_tables(low_l1, low_l2, (u64)data_l3 | 3);
	for (u64 i = 0; i < 512; i++)
		data_l3[i] = (PLAY + i * 4096) | 3 | DESC_AF | DESC_SH | DESC_USER |
			     (i < 256 ? DESC_RO | (i & 1) << 50 : DESC_XN); /* GP */
	high_l1[1] = (u64)high_l2 | 3;
	high_l2[3] = PLAY | DESC_BLOCK | DESC_AF | DESC_SH | DESC_XN;
}

/* ---- random instructions */

static u32 word_exception(void)
{
	static const u32 words[] = {
		0xd4000001, /* svc */
		0xd4200000, /* brk */
		0xd4400000, /* hlt */
		0xd4a00001, /* dcps1 */
		0x00000000, /* udf */
	};
	u64 w = words[below(5)];

	field(&w, w ? 5 : 0, 16);
	return (u32)w;
}

/* Registers, at EL0 all of the space but identification (FEAT_IDST differs), the PMU and the timers; at EL1 a few. */
static u32 word_sysreg(int el0)
{
	static const unsigned short some[] = {
		/* op0 - 2, op1, CRn, CRm, op2: TPIDR_EL0, CONTEXTIDR_EL1, DAIF, NZCV, SPSel, CurrentEL, FPCR, FPSR, PAN,
		   UAO, SP_EL0, CTR_EL0, DCZID_EL0, FAR_EL1, AFSR0_EL1, SP_EL1, VBAR_EL2, SCTLR_EL3 */
		0x5e82, 0x4681, 0x5a11, 0x5a10, 0x4210, 0x4212, 0x5a20, 0x5a21, 0x4213,
		0x4214, 0x4208, 0x5801, 0x5807, 0x4300, 0x4288, 0x6208, 0x6600, 0x7080,
	};
	u64 w = 0xd5100000;

	field(&w, 21, 1);		       /* MRS */
	if (el0 && !has_bti() && !one_in(3)) { /* with it there is more than we have, too */
		u64 crn;

		w |= one_in(4) ? 0 : 1 << 19; /* op0 2 or 3 */
		do
			crn = below(16);
		while (crn == 0 || crn == 9 || crn == 14 || crn == 11 || crn == 15);
		field(&w, 5, 3);
		field(&w, 16, 3);
		field(&w, 8, 4);
		w |= crn << 12;
	} else {
		w |= (u64)some[below(sizeof(some) / sizeof(some[0]))] << 5;
	}
	return (u32)w | 2; /* x2 */
}

static u32 word_pstate(void)
{
	/* op1, op2: UAO, PAN, SPSel, SSBS's and DIT's places, DAIFSet, DAIFClr, others */
	static const unsigned char places[] = {003, 004, 005, 036, 037, 036, 037, 036, 000, 007, 030};
	u64 place = places[below(sizeof(places))], w = 0xd500401f | (place >> 3) << 16 | (place & 7) << 5;

	field(&w, 8, 4);
	return (u32)w;
}

static u32 word_system(void)
{
	static const u32 words[] = {
		0xd50b7421, /* dc zva, x1 */
		0xd50b7a21, /* dc cvac */
		0xd50b7b21, /* dc cvau */
		0xd50b7e21, /* dc civac */
		0xd50b7521, /* ic ivau */
		0xd503305f, /* clrex #0 */
		0xd508751f, /* ic iallu */
		0xd508711f, /* ic ialluis */
		0xd508871f, /* tlbi vmalle1 */
		0xd50c871f, /* tlbi alle2 */
		0xd5087801, /* at s1e1r */
		0xd503203f, /* yield */
		0xd503201f, /* nop */
		0xd503309f, /* ssbb */
		0xd5033fdf, /* isb */
		0xd5033f5f, /* clrex */
	};
	return words[below(16)];
}

static u32 word_memory(void)
{
	static const u32 words[] = {
		0xad400022, /* ldp q2, q0, [x1] */
		0xad000022, /* stp q2, q0, [x1] */
		0x0d400020, /* ld1 {v0.b}[0], [x1] */
		0x4c402020, /* ld1 {v0.16b-v3.16b}, [x1] */
		0x4c00a820, /* st1 {v0.4s-v1.4s}, [x1] */
		0x29400c22, /* ldp w2, w3, [x1] */
		0x29000c22, /* stp w2, w3, [x1] */
		0xf9400022, /* ldr x2, [x1] */
		0xf9000022, /* str x2, [x1] */
		0x39400022, /* ldrb w2, [x1] */
		0x39000022, /* strb w2, [x1] */
		0xa9400c22, /* ldp x2, x3, [x1] */
		0xb9000422, /* str w2, [x1, #4] */
		0x79400822, /* ldrh w2, [x1, #4] */
		0xf94003e2, /* ldr x2, [sp] */
		0xf90003e2, /* str x2, [sp] */
		0xf84087e2, /* ldr x2, [sp], #8 */
		0xf8000c22, /* str x2, [x1, #0]! */
		0xc85f7c22, /* ldxr x2, [x1] */
		0xf8400822, /* ldtr x2, [x1] */
		0xc8dffc22, /* ldar x2, [x1] */
		0x3d800020, /* str q0, [x1] */
		0x1e602820, /* fadd d0, d1, d0 */
		0x4e208420, /* add v0.16b, v1.16b, v0.16b */
	};
	return words[below(sizeof(words) / sizeof(words[0]))];
}

/* What BTI lets a branch land on, or not: BTI of each kind, PACIASP, PACIBSP; and what it does not look at. */
static u32 word_landing(void)
{
	static const u32 words[] = {0xd503241f, 0xd503245f, 0xd503249f, 0xd50324df, 0xd503233f,
				    0xd503237f, 0xd503201f, 0xd503235f, 0xd4200020, 0xd4400020};

	return words[below(sizeof(words) / sizeof(words[0]))];
}

static u32 word_branch(int el0)
{
	static const u32 words[] = {
		0x14000001, /* b .+4 */
		0xd61f0020, /* br x1 */
		0xd63f0020, /* blr x1 */
		0xd65f0020, /* ret x1 */
		0x94000001, /* bl .+4 */
		0x91000421, /* add x1, x1, #1 */
		0xd53bd042, /* mrs x2, tpidr_el0 */
		0xd69f03e0, /* eret; at EL1 it would come back for ever */
	};
	return words[below(el0 ? 8 : 7)];
}

/* ---- a trial */

/* Two of each; the rest is never on. */
static void debug_registers(u64 slot)
{
	u64 bcr[2], wcr[2], wvr[2], bas, lsb, len;

	for (unsigned i = 0; i < 2; i++) {
		bcr[i] = 0xf << 5;
		field(&bcr[i], 0, 3); /* E, PMC */
		if (bcr[i] & 2)	      /* with others HMC is reserved */
			field(&bcr[i], 13, 1);
		/* the second may be linked to the sixth, which compares CONTEXTIDR_EL1, or to one that does not */
		if (i && one_in(2))
			bcr[i] |= 1 << 20 | (one_in(4) ? below(16) : 5) << 16;
		lsb = below(8);
		len = 1 + below(8 - lsb);
		bas = ((1ul << len) - 1) << lsb;
		wcr[i] = bas << 5;
		field(&wcr[i], 0, 5); /* E, PAC, LSC */
		if (wcr[i] & 2)
			field(&wcr[i], 13, 1);
		if (one_in(4))
			wcr[i] = (wcr[i] & ~(0xfful << 5)) | 0xff << 5 | (3 + below(6)) << 24;
		if (i && one_in(3))
			wcr[i] |= 1 << 20 | (one_in(4) ? below(16) : 5) << 16;
	}
	write_sysreg(dbgbvr0_el1, slot + 4 * below(3));
	write_sysreg(dbgbcr0_el1, bcr[0]);
	write_sysreg(dbgbvr1_el1, slot + 4 * below(3));
	write_sysreg(dbgbcr1_el1, bcr[1]);
	write_sysreg(dbgbvr5_el1, below(2));
	/* linked context of either name, seldom off */
	write_sysreg(dbgbcr5_el1, (one_in(3) ? 7ul : 3ul) << 20 | 3 << 1 | 0xf << 5 | !one_in(8));
	for (unsigned i = 0; i < 2; i++) {
		u64 mask = wcr[i] >> 24 & 31;

		wvr[i] = (DATA + 0x800 + 8 * below(4)) & ~((1ul << mask) - 1);
	}
	write_sysreg(dbgwvr0_el1, wvr[0]);
	write_sysreg(dbgwcr0_el1, wcr[0]);
	write_sysreg(dbgwvr1_el1, wvr[1]);
	write_sysreg(dbgwcr1_el1, wcr[1]);
}

static void no_debug(void)
{
	write_sysreg(mdscr_el1, 0);
	write_sysreg(oslar_el1, 0);
	isb();
}

static void trial(unsigned n)
{
	static struct access a;
	static const unsigned char modes[] = {0, 0, 0, 0, 5, 5, 4, 4};
	u64 slot, spsr, sctlr = 0x30d00800 | 1 | 4 | 1 << 12, word, debug, el0, illegal, masks;

	rng = (SEED + 0x4000ul) << 32 | n;
	slot = PLAY + 0x100 + 32 * (n % 0x4000);

	/* NZCV, UAO, PAN, SS, D, A, I, F; seldom IL; the mode mostly legal */
	spsr = modes[below(8)];
	if (one_in(12)) /* the reference has AArch32 at EL0, whose modes have bit 4 */
		spsr = below(16);
	el0 = (spsr & 0x1f) == 0;
	field(&spsr, 28, 4);
	field(&spsr, 21, 3);
	field(&spsr, 6, 4);
	if (one_in(16))
		spsr |= 1 << 20;
	if (one_in(4))
		spsr |= 1 << 12; /* SSBS */
	if (has_bti() && one_in(3))
		field(&spsr, 10, 2);

	switch (below(7)) {
	case 0: word = word_exception(); break;
	case 1: word = word_sysreg(el0); break;
	case 2: word = word_pstate(); break;
	case 3: word = word_system(); break;
	case 4: word = word_memory(); break;
	case 5: word = word_landing(); break;
	default: word = word_branch(el0); break;
	}
	/* A, SA, SA0, UMA, DZE, UCT, nTWE, SPAN, UCI */
	if (one_in(4))
		sctlr |= 1 << 1;
	field(&sctlr, 3, 2);
	field(&sctlr, 9, 1);
	field(&sctlr, 14, 2);
	field(&sctlr, 18, 1);
	field(&sctlr, 23, 1);
	field(&sctlr, 26, 1);
	if (one_in(4))
		sctlr |= 1ul << 44; /* DSSBS */
	if (has_bti())
		field(&sctlr, 35, 2);
	a.fn = slot;
	a.va = DATA + 0x800 + below(32);
	if (!one_in(3))
		a.va &= ~7ul;
	if (word == 0xd61f0020 || word == 0xd63f0020 || word == 0xd65f0020)
		a.va = slot + 4 + (one_in(3) ? below(4) : 0);
	a.val = rnd();
	a.val2 = rnd();
	a.pan = 0;
	a.uao = 0;
	a.spsr = BY_ERET | spsr;
	a.sp1 = DATA + 0x2000; /* the reference does not check their alignment */
	a.sp0 = DATA + 0x3000;

	*(volatile u32 *)(slot + HIGH) = (u32)word;
	for (unsigned i = 1; i < 8; i++)
		*(volatile u32 *)(slot + HIGH + 4 * i) = SVC_END;
	dsb();
	__asm__ volatile("ic ialluis");
	dsb();

	write_sysreg(vbar_el1, (u64)vectors);
	write_sysreg(cpacr_el1, (u64)below(4) << 20);
	write_sysreg(contextidr_el1, below(2));
	write_sysreg(far_el1, 0);
	write_sysreg(esr_el1, 0);
	write_sysreg(par_el1, 0);
	a.esr = a.far = a.elr = a.spsr_out = a.x0 = 0;
	debug = 0;
	illegal = (spsr & 0xf) != 0 && (spsr & 0xf) != 4 && (spsr & 0xf) != 5;
	/*
	 * The reference clears PSTATE.SS in an illegal return, and takes the step exception of an instruction that masks debug
	 * exceptions: not DebugExceptionReturnSS(), not AArch64.CheckSoftwareStep().
	 */
	masks = !el0 && (word == 0xd51b4222 || (word & 0xfffff8ff) == 0xd50348df);
	if (one_in(3) && !illegal && !masks)
		debug |= 1; /* SS */
	if (one_in(3)) {
		debug |=
			1
			<< 15; /* MDE; misaligned accesses that a watchpoint is near are not the reference's strength */
		if (word != 0xd61f0020 && word != 0xd63f0020 && word != 0xd65f0020)
			a.va &= ~7ul;
	}
	field(&debug, 13, 1); /* KDE */
	debug_registers(slot);
	write_sysreg(sctlr_el1, sctlr);
	write_sysreg(mdscr_el1, debug);
	isb();
	access_run(&a);
	no_debug();

	note(word);
	note(spsr);
	note(sctlr);
	note(debug);
	note(a.vector);
	/* The reference exchanges op1 and op2 of a trapped MSR DAIFSet or DAIFClr, and says that a misaligned LDXR was a write. */
	if ((word & 0xfffff0df) == 0xd50340df && a.esr >> 26 == 0x18)
		a.esr &= ~(0xfful << 14);
	if (word == 0xc85f7c22 && a.esr >> 27 == 0x12 && (a.esr & 0x3f) == 0x21)
		a.esr &= ~(1ul << 6);
	note(a.esr);
	/* Aborts and PC alignment: of others it is UNKNOWN, and of a watchpoint any of several addresses. */
	note(a.esr >> 26 >= 0x20 && a.esr >> 26 <= 0x25 ? a.far : 0);
	note(a.elr - slot < 64 ? a.elr - slot : a.elr);
	/* An illegal return restores PAN (the reference leaves it), and makes UAO, SSBS and BTYPE UNKNOWN. */
	note(illegal ? a.spsr_out & ~(7ul << 21 | 1 << 12 | 3 << 10) : a.spsr_out);
	note(illegal ? 0 : a.pan);
	note(a.uao);
	note(read_sysreg(dbgbcr0_el1));
	note(read_sysreg(dbgbcr1_el1));
	note(read_sysreg(dbgwcr0_el1));
	note(read_sysreg(dbgwcr1_el1));
	note(read_sysreg(dbgwvr0_el1));
	note(read_sysreg(dbgwvr1_el1));
	note(a.va);
}

static void run(unsigned n)
{
	own_mmu_on(low_l1, high_l1, 0xff, SCTLR_ON);
	trial(n);
	own_mmu_off();
}

void main(void)
{
	static const char *const names[] = {"word", "spsr", "sctlr", "mdscr", "vector", "esr",
					    "far",  "elr",  "saved", "pan",   "pstate", "bcr0",
					    "bcr1", "wcr0", "wcr1",  "wvr0",  "wvr1",	"x1"};

	tables();
	no_debug();
	run_trials(run, names, sizeof(names) / sizeof(names[0]));
}
