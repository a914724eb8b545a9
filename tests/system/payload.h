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
extern char stubs[], user_stubs[], vectors[];
enum { N_STUBS = 32, N_USER_STUBS = 16 };
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

#pragma GCC visibility pop
#endif
