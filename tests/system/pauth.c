/* SPDX-License-Identifier: MIT */
/*
 * Pointer authentication with QARMA5: random keys, enables, sizes of addresses, tags (TBI, TBID), pointers and modifiers. Half of the
 * trials make one register of another, with the MMU off, at EL1 and EL0; the others sign a pointer, may spoil it, and branch to it,
 * return to it or load by it, through tables. A trial gives the register, or the exception, which with FEAT_FPAC names the key.
 */
#include "payload.h"

#define DATA (PLAY + 0x100000) /* for both, to read */

static u64 low_l1[512] __attribute__((aligned(4096)));
static u64 low_l2[512] __attribute__((aligned(4096)));
static u64 high_l1[512] __attribute__((aligned(4096)));
static u64 high_l2[512] __attribute__((aligned(4096)));

enum {
	MOV_X0_X1 = 0xaa0103e0,
	MOV_X17_X0 = 0xaa0003f1,
	MOV_X17_X1 = 0xaa0103f1,
	MOV_X16_X2 = 0xaa0203f0,
	MOV_X30_X1 = 0xaa0103fe,
	MOV_X0_X17 = 0xaa1103e0,
	MOV_X0_X30 = 0xaa1e03e0,
	EOR_X0_X0_X4 = 0xca040000,
	EOR_X30_X30_X4 = 0xca0403de,
	EOR_X0_X0_X5_ROR_17 = 0xcac54400,
	MSR_ELR_X30 = 0xd518403e,
	SVC = 0xd4000fe1, /* svc #0x7f */
	NOP = 0xd503201f,
};
#define EN_IA (1ul << 31)
#define EN_IB (1ul << 30)
#define EN_DA (1ul << 27)
#define EN_DB (1ul << 13)
#define EN_ANY (EN_IA | EN_IB | EN_DA | EN_DB)

static unsigned pauth_level(void) /* ID_AA64ISAR1_EL1.APA, of QARMA5 */
{
	return ID_FIELD(id_aa64isar1_el1, 4);
}
enum { PAUTH2 = 3 };

struct config {
	u64 tcr, sctlr;
	unsigned tsz[2];
	int on; /* the MMU */
};

static int tbi(const struct config *c, unsigned half, int data)
{
	return c->tcr >> (37 + half) & 1 && (data || !(c->tcr >> (51 + half) & 1));
}

static void random_config(struct config *c)
{
	c->on = one_in(2);
	c->tcr = TCR_OWN & ~(63ul << 16 | 63);
	for (unsigned half = 0; half < 2; half++) {
		c->tsz[half] = c->on ? 25 + below(9) : 16 + below(24); /* the same tables */
		c->tcr |= (u64)c->tsz[half] << 16 * half;
	}
	field(&c->tcr, 37, 2);
	field(&c->tcr, 51, 2);
	c->sctlr = EN_ANY;
	if (one_in(3)) {
		c->sctlr = 0;
		field(&c->sctlr, 30, 2);
		field(&c->sctlr, 27, 1);
		field(&c->sctlr, 13, 1);
	}
}

static void random_keys(void)
{
	write_sysreg(s3_0_c2_c1_0, rnd());
	write_sysreg(s3_0_c2_c1_1, rnd());
	write_sysreg(s3_0_c2_c1_2, rnd());
	write_sysreg(s3_0_c2_c1_3, rnd());
	write_sysreg(s3_0_c2_c2_0, rnd());
	write_sysreg(s3_0_c2_c2_1, rnd());
	write_sysreg(s3_0_c2_c2_2, rnd());
	write_sysreg(s3_0_c2_c2_3, rnd());
	write_sysreg(s3_0_c2_c3_0, rnd());
	write_sysreg(s3_0_c2_c3_1, rnd());
}

/* A pointer that an address is made of, of a random half; with a tag, if there are any. */
static u64 good_pointer(const struct config *c, int data)
{
	unsigned half = below(2), bits = 64 - c->tsz[half];
	u64 p = rnd() & ((1ul << bits) - 1), tag = rnd() << 56;

	p |= half ? ~0ul << bits : 0;
	return tbi(c, half, data) ? (p & ~(0xfful << 56)) | tag : p;
}

/*
 * Any pointer. Not asked when a code is added: where bit 55 says another half than bit 63 and that matters, since the reference goes by
 * the tags of the one half; and before FEAT_PAuth2, what is no address, of which it spoils another bit ("AddPAC()").
 */
static u64 random_pointer(const struct config *c, int data, int add)
{
	u64 p;

	if (one_in(2) || (add && pauth_level() < PAUTH2))
		return good_pointer(c, data);
	p = rnd();
	if (one_in(2)) /* few wrong bits */
		p = good_pointer(c, data) ^ 1ul << below(64);
	if (add && !tbi(c, p >> 55 & 1, data) && (tbi(c, !(p >> 55 & 1), data) || c->tsz[0] != c->tsz[1]))
		p = (p & ~(1ul << 63)) | (p >> 55 & 1) << 63;
	return p;
}

static u32 *put_word(u32 *at, u32 word)
{
	*(volatile u32 *)at = word;
	return at + 1;
}

/* ---- one register of another */

static void one_instruction(struct config *c, struct access *a, u32 *at)
{
	u32 key = below(4), aut = below(2), zero = below(2), op = below(8);
	int data = key >= 2;

	if (op < 4) { /* PACIA x0, x2 and the like, PACIZA x0; the results of the one as pointers of the other */
		u32 insn = 0xdac10000 | key << 10 | (zero ? 0x2000 | 31 << 5 : 2 << 5);

		a->va = random_pointer(c, data, !aut);
		at = put_word(at, MOV_X0_X1);
		if (aut && one_in(2)) {
			if (pauth_level() < PAUTH2)
				a->va = good_pointer(c, data);
			else
				a->va = random_pointer(c, data, 1);
			at = put_word(at, insn);
			at = put_word(at, EOR_X0_X0_X4);
		}
		at = put_word(at, insn | aut << 12);
	} else if (op < 6) {					    /* hints: keys of instructions */
		static const u32 hints[] = {8, 10, 24, 25, 26, 27}; /* PAC: IA1716, IB1716, IAZ, IASP, IBZ, IBSP */
		u32 which = below(6);

		a->va = random_pointer(c, 0, !aut);
		at = put_word(at, which < 2 ? MOV_X17_X1 : MOV_X30_X1);
		at = put_word(at, which < 2 ? MOV_X16_X2 : NOP);
		at = put_word(at, NOP | (hints[which] + 4 * aut) << 5);
		at = put_word(at, which < 2 ? MOV_X0_X17 : MOV_X0_X30);
	} else if (op == 6) { /* XPACI, XPACD, XPACLRI; the reference wants some key to be enabled */
		a->va = random_pointer(c, data, 0);
		if (!(c->sctlr & EN_ANY))
			c->sctlr |= EN_IA;
		at = put_word(at, zero ? MOV_X30_X1 : MOV_X0_X1);
		at = put_word(at, zero ? 0xd50320ff : 0xdac143e0 | (u32)data << 10);
		at = put_word(at, zero ? MOV_X0_X30 : NOP);
	} else { /* PACGA x0, x1, x2 */
		a->va = rnd();
		at = put_word(at, 0x9ac23020);
	}
	put_word(at, SVC);
}

/* ---- sign, spoil, use */

/* To where the code goes on, or to memory; either half. The code and memory are there in both. */
static u64 place(const struct config *c, u64 pa, int data)
{
	unsigned half = below(2);
	u64 p = half ? pa | ~0ul << (64 - c->tsz[1]) : pa, tag = rnd() << 56;

	return tbi(c, half, data) && one_in(2) ? (p & ~(0xfful << 56)) | tag : p;
}

static void use(struct config *c, struct access *a, u32 *at, u64 slot)
{
	u32 key = below(2), zero = below(2), op = below(6);

	a->va = place(c, op < 2 ? DATA + 0x800 : slot + 0x40, op < 2);
	if (op < 2) { /* PACDA x0, x2 or xzr (LDRA's), LDRAA x5, [x0, #imm] with and without ! */
		u64 insn = 0xf8200405 | key << 23;

		field(&insn, 12, 6); /* the offset: forwards */
		field(&insn, 11, 1);
		at = put_word(at, MOV_X0_X1);
		at = put_word(at, zero ? 0xdac12800 | key << 10 | 31 << 5 : 0xdac10800 | key << 10 | 2 << 5);
		at = put_word(at, EOR_X0_X0_X4);
		at = put_word(at, (u32)insn);
		at = put_word(at, EOR_X0_X0_X5_ROR_17);
	} else if (op < 4) { /* BRAA x0, x2; BRAAZ x0; BLRAA and BLRAAZ */
		at = put_word(at, MOV_X0_X1);
		at = put_word(at, 0xdac10000 | key << 10 | (zero ? 0x2000 | 31 << 5 : 2 << 5));
		at = put_word(at, EOR_X0_X0_X4);
		if (op ==
		    2) /* by X17: the reference ends at once where BTI has it look at the page of a BRAA by another */
			at = put_word(at, MOV_X17_X0);
		at = put_word(at, (op == 2 ? 0xd61f0a20 : 0xd63f0800) | key << 10 | (zero ? 31 : 1 << 24 | 2));
	} else { /* PACIASP, RETAA or ERETAA */
		at = put_word(at, MOV_X30_X1);
		at = put_word(at, NOP | (25 + 2 * key) << 5);
		at = put_word(at, EOR_X30_X30_X4);
		if (op == 5 && one_in(2)) {
			at = put_word(at, MSR_ELR_X30);
			at = put_word(at, 0xd69f0bff | key << 10);
		} else {
			at = put_word(at, 0xd65f0bff | key << 10);
		}
	}
	put_word(at, SVC);
}

static void trial(unsigned n)
{
	static struct access a;
	struct config c;
	u64 slot = PLAY + 0x100 + 128 * (n % 0x800);

	rng = (SEED + 0x8000ul) << 32 | n;
	random_config(&c);
	random_keys();
	a.val = rnd();
	/* What a signed pointer is spoiled with: not so that it may be that of other code. */
	a.val2 = one_in(2) ? 0 : 1ul << (30 + below(34));
	for (unsigned i = 0; i < 32; i++)
		put_word((u32 *)slot + i, SVC);
	if (c.on)
		use(&c, &a, (u32 *)slot, slot);
	else
		one_instruction(&c, &a, (u32 *)slot);
	for (u64 i = 0; i < 64; i++)
		*(volatile u64 *)(DATA + 0x800 + 8 * i) = i * 0x0101010101010101ul;
	dsb();
	__asm__ volatile("ic ialluis");
	dsb();
	a.fn = slot;
	a.pan = a.uao = 0;
	a.spsr = BY_ERET | 0x3c0 | (one_in(2) ? 0 : 5);
	a.sp1 = a.sp0 = rnd() | 1; /* a modifier; 0 would leave it alone */
	a.esr = a.far = a.elr = a.spsr_out = a.x0 = 0;
	write_sysreg(vbar_el1, (u64)vectors);
	write_sysreg(far_el1, 0);
	write_sysreg(esr_el1, 0);
	write_sysreg(tcr_el1, c.tcr);
	write_sysreg(sctlr_el1, (c.on ? SCTLR_ON : SCTLR_OFF) | c.sctlr);
	tlb_drop();
	access_run(&a);
	own_mmu_off();
	write_sysreg(tcr_el1, TCR_OWN);
	tlb_drop();

	for (unsigned i = 0; i < 8; i += 2)
		note(*(volatile u64 *)(slot + 4 * i));
	note(c.tcr);
	note(c.sctlr);
	note(a.va);
	note(a.val);
	note(a.val2);
	note(a.vector);
	note(a.esr);
	note(a.esr >> 26 >= 0x20 && a.esr >> 26 <= 0x25 ? a.far : 0);
	note(a.elr);
	/* Without TCO, of memory tags, and BTYPE where an instruction raises an exception of its own: it may be saved or not. */
	note(a.spsr_out & ~(1ul << 25 | (a.esr >> 26 == 0x20 || a.esr >> 26 == 0x21 ? 0 : 3 << 10)));
	note(a.x0);
}

void main(void)
{
	static const char *const names[] = {"code", "code",   "code", "code", "tcr", "sctlr", "x1", "x2",
					    "x4",   "vector", "esr",  "far",  "elr", "spsr",  "x0"};

	own_tables(low_l1, low_l2, PLAY | DESC_BLOCK | DESC_AF | DESC_SH | DESC_RO | DESC_USER);
	own_tables(high_l1, high_l2, PLAY | DESC_BLOCK | DESC_AF | DESC_SH | DESC_RO | DESC_USER);
	write_sysreg(mair_el1, 0xff);
	write_sysreg(ttbr0_el1, (u64)low_l1);
	write_sysreg(ttbr1_el1, (u64)high_l1);
	run_trials(trial, names, sizeof(names) / sizeof(names[0]));
}
