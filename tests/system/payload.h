/* SPDX-License-Identifier: MIT */
/* What the payloads share: random numbers, the console, and accesses that may fault. Freestanding, arm64, EL1. */
#ifndef TESTS_SYSTEM_PAYLOAD_H
#define TESTS_SYSTEM_PAYLOAD_H

#pragma GCC visibility push(hidden) /* no table of addresses: the code runs at two of them */

typedef unsigned long u64;
typedef unsigned int u32;

/* An access and what came of it; start.S knows the layout. */
struct access {
	u64 fn, va, val, val2;
	u64 pan,
		uao; /* as in PSTATE; afterwards, if a vector was taken, what it began with: uao with the other fields */
	u64 spsr;    /* bit 63: get there by ERET with this */
	u64 vector;  /* 0 to 15, ~0: none was taken */
	u64 esr, far, elr, spsr_out, x0, par;
	u64 saved[13];
	u64 sp1, sp0; /* for spsr: stack pointers; sp1 0: leave them alone */
};
void access_run(struct access *a);
extern char stubs[], user_stubs[], lse2_stubs[], vectors[];
enum { N_STUBS = 44, N_USER_STUBS = 24, N_LSE2_STUBS = 64 };
#define BY_ERET (1ul << 63)

void jump_half(u64 offset);

#define read_sysreg(r) \
	({ \
		u64 v_; \
		__asm__ volatile("mrs %0, " #r : "=r"(v_)); \
		v_; \
	})
#define write_sysreg(r, v) __asm__ volatile("msr " #r ", %0" : : "r"((u64)(v)) : "memory")
#define isb() __asm__ volatile("isb" : : : "memory")
#define dsb() __asm__ volatile("dsb sy" : : : "memory")

/* ---- splitmix64 */

extern u64 rng;
static inline u64 rnd(void)
{
	u64 z = (rng += 0x9e3779b97f4a7c15ul);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ul;
	z = (z ^ z >> 27) * 0x94d049bb133111ebul;
	return z ^ z >> 31;
}
static inline u64 below(u64 n)
{
	return rnd() % n;
}
/* A random field in *v. One statement each: the order of random numbers must not be the compiler's choice. */
static inline void field(u64 *v, unsigned shift, unsigned width)
{
	*v |= (rnd() & ((1ul << width) - 1)) << shift;
}
static inline int one_in(u64 n)
{
	return rnd() % n == 0;
}

/* ---- the console; MMU off */

void put(const char *s);
void put_hex(u64 v, unsigned digits);

/* ---- a digest, FNV-1a over words */

static inline void mix(u64 *h, u64 v)
{
	*h = (*h ^ v) * 0x100000001b3ul;
	*h ^= *h >> 29;
}

/* ---- trials.c: -DSEED=, -DTRIALS=; -DFROM= and -DTO= print each trial in that range */

#ifndef SEED
#define SEED 1
#endif
#ifndef TRIALS
#define TRIALS 10000
#endif
#ifndef FROM
#define FROM 1
#define TO 0
#endif

/* What came of a trial, in the order of the names that run_trials() has, as often as there is more than that. */
void note(u64 v);
/* trial(n) for all of them, from MMU off to MMU off; a digest per hundred. */
void run_trials(void (*trial)(unsigned n), const char *const *names, unsigned n_names);

/* ---- the tables that the payloads run with: 39-bit VAs of both halves, 4 KiB granule */

#define HIGH 0xffffff8000000000ul /* T1SZ = 25 */
#define PLAY 0x40600000ul	  /* what trials may do anything with: 2 MiB */
#define SCTLR_OFF 0x30d00800ul
#define SCTLR_ON (SCTLR_OFF | 1 | 4 | 1 << 12 | 1 << 23) /* M, C, I, SPAN */
#define TCR_OWN (25 | 25 << 16 | 2ul << 30 | 5ul << 32)	 /* T0SZ, T1SZ, TG1, IPS */
enum { DESC_BLOCK = 1, DESC_USER = 1 << 6, DESC_RO = 1 << 7, DESC_SH = 3 << 8, DESC_AF = 1 << 10 };
#define DESC_XN (3ul << 53)

/* Code, read-only and for EL0 too, data, and at PLAY what is said. */
void own_tables(u64 *l1, u64 *l2, u64 play);
void own_mmu_on(const u64 *l1_low, const u64 *l1_high, u64 mair, u64 sctlr);
void own_mmu_off(void);
static inline void tlb_drop(void)
{
	dsb();
	__asm__ volatile("tlbi vmalle1");
	dsb();
	isb();
}

/* ---- what the PE has: a field of an ID register */

#define ID_FIELD(r, shift) (read_sysreg(r) >> (shift)&15)
static inline int has_bti(void)
{
	return ID_FIELD(id_aa64pfr1_el1, 0) >= 1;
}
static inline int has_lva(void) /* 52-bit VAs with the 64 KiB granule */
{
	return ID_FIELD(s3_0_c0_c7_2, 16) >= 1; /* ID_AA64MMFR2_EL1 */
}
static inline int has_epan(void)
{
	return ID_FIELD(id_aa64mmfr1_el1, 20) >= 3;
}
static inline int has_lse2(void)
{
	return ID_FIELD(s3_0_c0_c7_2, 32) >= 1;
}

#pragma GCC visibility pop
#endif
