/* SPDX-License-Identifier: MIT */
/*
 * Guests that mean harm, and a client that changes its mind: random instructions, page tables and registers in a VM of
 * one to four vcpus with RAM, a read-only slot, slots that come and go, and holes. All memory that slots name lies between
 * pages that fault, the read-only slot's cannot be written, and that of a slot that was removed is unmapped: a stray
 * access of the host ends the test, or is found out by the library and is EFAULT, which ends it, too. So does a KVM_RUN that does not come back when asked to, an errno or an exit reason
 * that KVM does not have here. Guests change each other's code, with cache maintenance and without, and jump into the middle of it;
 * change tables and send TLBI to each other; and go around in loops, which become hot and one unit; the code cache is as small as it can be.
 *
 *     hostile_test [--count ROUNDS] [--seed SEED] [--vcpus 1 to 4] [--tick MICROSECONDS]
 *     hostile_test --guests COUNT [--from GUEST] ...
 *
 * How many vcpus a VM has, and how many of them take part in a round, depends on the seed, if --vcpus does not say.
 * In a round all memory is new, and each vcpu is entered until it has made enough exits; most of a round is loops that wait for the tick.
 * --guests is for campaigns: as many short guests as can be. A guest is a window of new code with patchers in it, some new descriptors,
 * registers and a place to begin, in memory that the guests before it have left behind; it is entered a few times. A timer ends each KVM_RUN.
 *
 * The words and values depend on the seed alone. How far a guest gets does not: each KVM_RUN is ended by a thread or a timer.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <pawl/kvm.h>
#include <pawl/pawl.h>

#include "kick.h"

enum { GUARD = 64 << 10, EXITS = 60 /* of a vcpu in a round */, PATIENCE_S = 60 };

/* ---- the machine */

#define RAM 0x40000000ull
#define RAM_SIZE 0x100000ull
#define TABLES (RAM + 0x80000) /* 64 of 4 KiB */
#define TABLES_COUNT 64
#define DIST 0x08000000ull
#define REDIST 0x080a0000ull

static const struct slot {
	uint64_t ipa, size;
	bool readonly, transient;
} slots[] = {
	{RAM, RAM_SIZE, .readonly = false},
	{0x50000000, 0x10000, .readonly = true},
	{RAM + RAM_SIZE + 0x10000, 0x10000, .transient = true},
	{(1ull << 40) - 0x10000, 0x10000, .transient = true}, /* the last bytes of the IPA space */
	{0x80000000, 0x1000, .transient = true},
};
enum { N_SLOTS = sizeof(slots) / sizeof(slots[0]) };

static struct {
	int kvm, vm, gic;
	uint8_t *host[N_SLOTS]; /* NULL: the slot is absent */
	size_t run_size;
} vm;

struct worker {
	unsigned index;
	int fd;
	struct kvm_run *run;
	pthread_t thread;
	uint64_t rng;
	uint64_t regs[600]; /* ids */
	unsigned n_regs;
	_Atomic uint64_t runs; /* even: not in KVM_RUN */
	unsigned exits[64];
	_Atomic uint64_t code; /* what any_code() chooses from: words from RAM on; others look, too */
	_Atomic unsigned code_words;
	uint64_t window; /* --guests: the next one's number */
	uint64_t guests;
};
enum { VCPUS_MOST = 4 };
static struct worker workers[VCPUS_MOST];
static unsigned n_vcpus;      /* of this VM */
static unsigned n_active;     /* in this round: the first of them */
static unsigned wanted_vcpus; /* --vcpus, or 0 */
static uint64_t seed = 1, round_now, tick_us = 1000;
static _Atomic unsigned errors[2]; /* EINTR, others */
static bool stop;

/* --guests: windows of code up to the tables, each guest's its own, in a VM that is used for as many guests as it has windows */
enum { WINDOW = 32, WINDOWS = (TABLES - RAM) / (WINDOW * 4) };
static uint64_t guests;
static bool nisv_exits; /* accesses without a syndrome are exits */

static _Noreturn void die(const char *what, long val)
{
	printf("not ok: %s (%ld), --seed %llu, round %llu\n", what, val, (unsigned long long)seed,
	       (unsigned long long)round_now);
	fflush(stdout);
	_exit(1);
}

static uint64_t rnd(struct worker *w) /* splitmix64 */
{
	uint64_t z = (w->rng += 0x9e3779b97f4a7c15ull);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

#define ONE_IN(n) (rnd(w) % (n) == 0)
#define PICK(...) ((const uint64_t[]){__VA_ARGS__}[rnd(w) % (sizeof((const uint64_t[]){__VA_ARGS__}) / 8)])

static long call(int fd, unsigned long request, void *arg)
{
	int ret = pawl_ioctl(fd, request, arg);

	return ret < 0 ? -errno : ret;
}

static void must(const char *what, long ret)
{
	if (ret < 0)
		die(what, ret);
}

/* ---- slots */

static uint8_t *guarded(uint64_t size, bool readonly)
{
	uint8_t *p = mmap(NULL, size + 2 * GUARD, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED || mprotect(p + GUARD, size, readonly ? PROT_READ : PROT_READ | PROT_WRITE))
		die("mmap", errno);
	return p + GUARD;
}

static void slot_set(unsigned i, bool present, uint32_t flags)
{
	struct kvm_userspace_memory_region r = {.slot = i,
						.flags = slots[i].readonly ? KVM_MEM_READONLY : flags,
						.guest_phys_addr = slots[i].ipa,
						.memory_size = present ? slots[i].size : 0};
	uint8_t *old = vm.host[i];

	if (present && !old)
		vm.host[i] = guarded(slots[i].size, slots[i].readonly);
	r.userspace_addr = (uintptr_t)vm.host[i];
	must("KVM_SET_USER_MEMORY_REGION", call(vm.vm, KVM_SET_USER_MEMORY_REGION, &r));
	if (!present && old) {
		munmap(old - GUARD, slots[i].size + 2 * GUARD);
		vm.host[i] = NULL;
	}
}

/* The client's part of the chaos. Only the first worker's thread changes slots. */
static void meddle_slots(struct worker *w)
{
	unsigned i = (unsigned)(rnd(w) % N_SLOTS);

	if (ONE_IN(2)) {
		slot_set(i, true, ONE_IN(2) ? KVM_MEM_LOG_DIRTY_PAGES : 0);
	} else if (slots[i].transient) {
		slot_set(i, !vm.host[i], 0);
	} else {
		uint64_t bitmap[RAM_SIZE / 4096 / 64];
		struct kvm_dirty_log log = {.slot = i, .dirty_bitmap = bitmap};

		call(vm.vm, KVM_GET_DIRTY_LOG, &log);
	}
}

/* ---- random values */

static uint32_t any_insn(struct worker *w);

static uint64_t any_ipa(struct worker *w)
{
	const struct slot *s = &slots[rnd(w) % N_SLOTS];
	uint64_t page = s->ipa + (rnd(w) % (s->size >> 12) << 12);

	switch (rnd(w) % 10) {
	case 0: return s->ipa - rnd(w) % 32;
	case 1: return s->ipa + s->size - rnd(w) % 64;
	case 2: return page + 4096 - rnd(w) % 32;
	case 3: return DIST + rnd(w) % 0x10000;
	case 4: return REDIST + rnd(w) % 0x40000;
	case 5: return rnd(w) % (1ull << 41);
	case 6: return TABLES + rnd(w) % (TABLES_COUNT << 12);
	default: return page + rnd(w) % 4096;
	}
}

static uint64_t any_table(struct worker *w)
{
	return TABLES + (rnd(w) % TABLES_COUNT << 12);
}

static uint64_t any_descriptor(struct worker *w)
{
	uint64_t attr = (rnd(w) & 0xfff0000000000ffcull) | (ONE_IN(8) ? 0 : 1 << 10);

	if (!ONE_IN(8))
		attr &= ~0xfff0000000000000ull; /* no restrictions of execution, no reserved bits */
	switch (rnd(w) % 8) {
	case 0: return 0;
	case 1: return rnd(w);
	case 2: return any_table(w) | 3 | (ONE_IN(4) ? attr : 0);
	case 3: return (any_ipa(w) & ~0xfffull) | attr | 1;
	case 4: return RAM | attr | 1;
	default: return (any_ipa(w) & ~0xfffull) | attr | 3;
	}
}

static uint64_t any_tcr(struct worker *w)
{
	uint64_t tcr = (rnd(w) & 0x7f80ff00ff80ull) | PICK(16, 24, 25, 25, 25, 32, 34, 39, 40) |
		       PICK(16, 25, 25, 32, 39, 47) << 16;

	return ONE_IN(8) ? rnd(w) : ONE_IN(3) ? tcr : (tcr & ~0xc000c000ull) | 2ull << 30;
}

/* An instruction's address, mostly where there is code: to write to, to maintain, and to jump into the middle of what runs. */
static uint64_t any_code(struct worker *w)
{
	const struct worker *of = ONE_IN(3) ? &workers[rnd(w) % n_active] : w;

	return RAM + (of->code + rnd(w) % of->code_words) * 4;
}

static uint64_t any_value(struct worker *w)
{
	switch (rnd(w) % 20) {
	case 16:
	case 17:
	case 18: return any_code(w);
	case 19: return any_insn(w); /* to be stored there */
	case 0: return rnd(w);
	case 1: return rnd(w) % 256;
	case 2: return 0 - rnd(w) % 256;
	case 3: return any_table(w) | rnd(w) << 48;
	case 4: return any_tcr(w);
	case 5: return any_descriptor(w);
	case 6:
		return PICK(0x84000000, 0x84000001, 0xc4000001, 0x84000002, 0xc4000003, 0xc4000004, 0x84000006,
			    0x84000008, 0x84000009, 0x8400000a, 0xc400000e, 0xc4000012, 0x80000000, 0x80000001,
			    0x80008000, 0x86000001, 0x84000050, 0x84000053, 0xc4000053, 0xc5000020) |
		       (ONE_IN(8) ? rnd(w) % 32 : 0);
	case 7: return 0x30d00800 | (rnd(w) & 0x0757f7ff) | (ONE_IN(2) ? 1 : 0); /* SCTLR_EL1 */
	case 8: return any_ipa(w) | 0xffffff8000000000ull;
	default: return any_ipa(w);
	}
}

/* ---- random instructions */

static uint32_t any_sysreg(struct worker *w)
{
	/* op0<<19 | op1<<16 | CRn<<12 | CRm<<8 | op2<<5 of what decides most */
	static const uint32_t likely[] = {
		0x181000,
		0x182000,
		0x182020,
		0x182040,
		0x18a200,
		0x18c000,
		0x181040,
		0x184000,
		0x184020,
		0x184100,
		0x184200,
		0x184220,
		0x185200,
		0x186000,
		0x187400,
		0x18d020,
		0x18e100,
		0x1b4200,
		0x1b4220,
		0x1b4400,
		0x1b4420,
		0x1be320,
		0x1be340,
		0x1be300,
		0x1be220,
		0x100240,
		0x100080,
		0x1000a0,
		0x1000c0,
		0x1000e0,
		0x101080,
		0x101380,
		0x184600,
		0x18cc00,
		0x18cc20,
		0x18c800,
		0x18cba0,
		/* SYS */
		0x088700,
		0x088720,
		0x088300,
		0x088320,
		0x088340,
		0x0883e0,
		0x087100,
		0x087500,
		0x0b7420,
		0x0b7a20,
		0x0b7b20,
		0x0b7e20,
		0x0b7520,
		0x087600,
		0x087800,
		0x087820,
		0x087840,
		0x087860,
		0x087900,
		0x087920,
	};

	return ONE_IN(4) ? (uint32_t)rnd(w) & 0x1fffe0 : likely[rnd(w) % (sizeof(likely) / sizeof(likely[0]))];
}

static uint32_t any_insn(struct worker *w)
{
	uint32_t r = (uint32_t)rnd(w), offset = (r >> 8) % 24 - 8;

	switch (rnd(w) % 24) {
	case 0: return r;
	case 1:
	case 2:
	case 3:
	case 4:
	case 5: return (r & ~0x0a000000u) | 0x08000000;			      /* loads and stores */
	case 6: return (r & 0xc01fffff) | 0x38000000 | (r >> 3 & 0x03c00000); /* with small offsets and registers */
	case 7: return (r & 0xffc07fff) | 0x28000000;			      /* pairs */
	case 8: return (r & 0xc0e0ffff) | 0x08000000 | 0x7c00;		      /* exclusives */
	case 9: return (r & 0xc0fffc1f) | 0x38200000;			      /* atomics */
	case 10: return (r & ~0x0e000000u) | 0x0a000000;		      /* register operands */
	case 11: return (r & ~0x1c000000u) | 0x10000000;		      /* immediates */
	case 12:
	case 13: return r | 0x0e000000; /* vectors and floating point */
	case 14:
	case 15:
	case 16: return 0xd5000000 | any_sysreg(w) | (r & 31) | (ONE_IN(4) ? 1u << 21 : 0);
	case 17: return 0x14000000 | (offset & 0x3ffffff);
	case 18: return 0x34000000 | (r & 0x8300001f) | (offset & 0x7ffff) << 5;
	case 19: return 0x54000000 | (r & 15) | (offset & 0x7ffff) << 5;
	case 20:
		return (uint32_t)PICK(0xd4000001, 0xd4000002, 0xd4000003, 0xd4200000, 0xd69f03e0, 0xd503207f,
				      0xd503205f, 0xd503209f, 0xd50320bf, 0xd5033fdf, 0xd5033b9f, 0xd5033f5f,
				      0xd65f03c0, 0xd4400000);
	case 21: return 0xd61f0000 | (r & 0x600000) | (r & 31) << 5; /* to a register */
	case 22: return 0xd500401f | (r & 0x70fe0);		     /* MSR (immediate) */
	default: return 0x91000000 | (r & 0x400fff) | (r & 0x3ff);   /* keeps addresses what they are, nearly */
	}
}

/* ---- a round */

static void set_reg(struct worker *w, uint64_t id, uint64_t val)
{
	uint64_t wide[4] = {val, rnd(w), rnd(w), rnd(w)};
	struct kvm_one_reg r = {id, (uintptr_t)wide};

	call(w->fd, KVM_SET_ONE_REG, &r);
}

#define CORE(field) (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(field))

/*
 * Code that changes code, this vcpu's or the other's, with the maintenance that the architecture asks for, or not all of it, and
 * then may go there.
 */
static void put_patcher(struct worker *w, uint32_t *code)
{
	uint32_t at = (uint32_t)(rnd(w) % 31), with = (uint32_t)(rnd(w) % 31);
	const uint32_t words[] = {
		0xb9000000 | at << 5 | with, /* str w, [at] */
		0xd50b7b20 | at,	     /* dc cvau, at */
		0xd5033b9f,		     /* dsb ish */
		(uint32_t)PICK(0xd50b7520 | at, 0xd508751f, 0xd508711f) /* ic ivau, at; ic iallu; ic ialluis */,
		0xd5033b9f,
		0xd5033fdf, /* isb */
		(uint32_t)PICK(0xd61f0000 | at << 5, 0xd63f0000 | at << 5, 0xd503201f) /* br, blr, nop */,
	};

	for (unsigned i = 0; i < sizeof(words) / 4; i++)
		if (!ONE_IN(24))
			__atomic_store_n(&code[i], words[i], __ATOMIC_RELAXED);
}

/* Changes a descriptor, or whatever it is, and lets all know, or one too few. */
static void put_unmapper(struct worker *w, uint32_t *code)
{
	uint32_t at = (uint32_t)(rnd(w) % 31), with = (uint32_t)(rnd(w) % 31), arg = (uint32_t)(rnd(w) % 31);
	const uint32_t words[] = {
		0xf9000000 | at << 5 | with, /* str x, [at] */
		0xd5033a9f,		     /* dsb ishst */
		(uint32_t)PICK(0xd508831f, 0xd5088320 | arg, 0xd5088340 | arg, 0xd5088360 | arg, 0xd50883a0 | arg,
			       0xd50883e0 | arg, 0xd508711f, 0xd508871f) /* tlbi vmalle1is, vae1is, aside1is, vaae1is,
									    vale1is, vaale1is; ic ialluis; tlbi vmalle1 */
		,
		0xd5033b9f, /* dsb ish */
		0xd5033fdf, /* isb */
		0x17fffffb, /* b back to the first */
	};

	for (unsigned i = 0; i < sizeof(words) / 4; i++)
		if (!ONE_IN(24))
			__atomic_store_n(&code[i], words[i], __ATOMIC_RELAXED);
}

/* What a loop is made of, for the most part: it goes on whatever the registers are. */
static uint32_t loop_insn(struct worker *w)
{
	uint32_t r = (uint32_t)rnd(w);

	switch (rnd(w) % 12) {
	case 0: return any_insn(w);
	case 1: return 0xb4000040 | (r & 0x0100001f);				   /* cbz, cbnz: over the next */
	case 2: return 0x54000040 | (r & 15);					   /* b.cond: over the next */
	case 3: return 0xf9400000 | (r & 0x1c3ff);				   /* ldr x, [x, #8n] */
	case 4: return 0xf9000000 | (r & 0x1c3ff);				   /* str */
	case 5: return (r & 0x40000000) | 0xb8600000 | (r & 0xdf03ff);		   /* ldadd */
	case 6: return 0x4e208400 | (r & 0xdf03ff);				   /* add v.16b */
	case 7: return 0xeb000000 | (r & 0x1f03ff);				   /* subs */
	case 8: return (r & 0x60000000) | 0x8a000000 | (r & 0x1f03ff);		   /* and, orr, eor, ands */
	case 9: return 0xa9000000 | (r & 0x400000) | (r & 0x7fff) | (r & 0x18000); /* ldp, stp */
	default: return 0x91000000 | (r & 0x3fff);				   /* add, with small numbers */
	}
}

/* A loop of so many words: several blocks of one page that control comes back through. */
static void put_loop(struct worker *w, uint32_t *code, unsigned words)
{
	uint32_t counter = (uint32_t)(rnd(w) % 31), first = 1 + (uint32_t)(rnd(w) % 2), last = words - 1;

	__atomic_store_n(&code[0], 0xd2800000 | (uint32_t)(rnd(w) % 2000 + 1) << 5 | counter, __ATOMIC_RELAXED);
	for (unsigned i = 1; i < last - 1; i++)
		__atomic_store_n(&code[i], loop_insn(w), __ATOMIC_RELAXED);
	__atomic_store_n(&code[last - 1], 0xf1000400 | counter << 5 | counter, __ATOMIC_RELAXED);
	__atomic_store_n(&code[last], 0x54000001 | ((first - last) & 0x7ffff) << 5, __ATOMIC_RELAXED);
}

static void put_vectors(uint32_t *code)
{
	const uint32_t vector[] = {
		0xd538403d,			  /* mrs x29, elr_el1 */
		0x910013bd,			  /* add x29, x29, #4 */
		guests ? 0x121e43bd : 0x121e2fbd, /* and w29, w29, #0x7fffc, or #0x3ffc */
		0xb26203bd,			  /* orr x29, x29, #0x40000000 */
		0xd518403d,			  /* msr elr_el1, x29 */
		0xd69f03e0,			  /* eret */
	};

	for (unsigned i = 0; i < 16 * 8; i++) {
		for (unsigned j = 0; j < 6; j++)
			__atomic_store_n(&code[0x80 / 4 * i + j], vector[j], __ATOMIC_RELAXED);
	}
}

/*
 * Roots that let most guests begin: gigabytes that are flat, the second by pages, some of which are code at both
 * exception levels.
 */
static void put_roots(struct worker *w, uint64_t *table)
{
	for (unsigned i = 0; i < 4; i++) {
		bool pages = i >= 2;

		__atomic_store_n(&table[i * 512], 0x0 | 0x401 | 1 << 2 | (rnd(w) & 0x40), __ATOMIC_RELAXED);
		__atomic_store_n(&table[i * 512 + 1], pages ? (TABLES + 0x3e000) | 3 : RAM | 0x401, __ATOMIC_RELAXED);
	}
	__atomic_store_n(&table[62 * 512], (TABLES + 0x3f000) | 3, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < 512; i++) {
		uint64_t attr = !guests	   ? (i < 4 ? 0x4c3 : 0x443)
				: i >= 128 ? 0x443
					   : PICK(0x4c3, 0x4c3, 0x443, 0x403, 0x483);

		__atomic_store_n(&table[63 * 512 + i], ONE_IN(16) ? any_descriptor(w) : (RAM + i * 4096) | attr,
				 __ATOMIC_RELAXED);
	}
}

static void fill_memory(struct worker *w)
{
	uint32_t *code = (uint32_t *)(void *)vm.host[0];
	uint64_t *table = (uint64_t *)(void *)(vm.host[0] + (TABLES - RAM));

	bool vectors = !ONE_IN(8);

	for (unsigned i = 0; i < 4096; i++) /* the first 16 KiB; the vectors too */
		__atomic_store_n(&code[i], any_insn(w), __ATOMIC_RELAXED);
	for (unsigned i = 0; i < 512; i++)
		__atomic_store_n(&code[rnd(w) % (RAM_SIZE / 8)], any_insn(w), __ATOMIC_RELAXED);
	for (unsigned i = 0; i < 64; i++)
		put_loop(w, &code[rnd(w) % 4064], 6 + (unsigned)(rnd(w) % 26));
	for (unsigned i = 0; i < 64; i++)
		put_patcher(w, &code[rnd(w) % 4080]);
	for (unsigned i = 0; i < 16; i++)
		put_unmapper(w, &code[rnd(w) % 4080]);
	for (unsigned i = 0; i < 4096; i++)
		__atomic_store_n(&table[rnd(w) % (TABLES_COUNT * 512)], any_descriptor(w), __ATOMIC_RELAXED);
	if (vectors) /* that go back to the code, some way on */
		put_vectors(code);
	put_roots(w, table);
}

static void set_registers(struct worker *w)
{
	bool el0 = ONE_IN(4), mmu = !ONE_IN(3);
	uint64_t sctlr = 0x30d00800 | (rnd(w) & 0x0757f7f8);

	if (!ONE_IN(4))
		sctlr &= ~0x80002ull; /* A, WXN */
	for (unsigned i = 0; i < 31; i++)
		set_reg(w, KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | 2 * i, any_value(w));
	set_reg(w, CORE(regs.sp), any_value(w) & (ONE_IN(4) ? ~0ull : ~15ull));
	set_reg(w, CORE(sp_el1), any_value(w) & ~15ull);
	set_reg(w, CORE(regs.pc), ONE_IN(8) ? any_value(w) : any_code(w));
	set_reg(w, CORE(regs.pstate),
		(el0 ? 0 : PICK(4, 5)) | (rnd(w) & 0xf00003c0) | (ONE_IN(4) ? rnd(w) & 0xe01000 : 0));
	set_reg(w, CORE(elr_el1), any_code(w));
	set_reg(w, CORE(spsr[0]), ONE_IN(4) ? rnd(w) : PICK(0, 4, 5) | (rnd(w) & 0xf00003c0));
	set_reg(w, ARM64_SYS_REG(3, 0, 12, 0, 0), ONE_IN(8) ? any_value(w) : RAM + (rnd(w) % 8 << 11));
	set_reg(w, ARM64_SYS_REG(3, 0, 2, 0, 0), ONE_IN(8) ? any_table(w) : TABLES + ((el0 ? 2 : rnd(w) % 4) << 12));
	set_reg(w, ARM64_SYS_REG(3, 0, 2, 0, 1), any_table(w) | rnd(w) << 48);
	set_reg(w, ARM64_SYS_REG(3, 0, 2, 0, 2), ONE_IN(4) ? any_tcr(w) : 25 | 25 << 16 | 2u << 30 | 2ull << 32);
	set_reg(w, ARM64_SYS_REG(3, 0, 10, 2, 0), ONE_IN(2) ? rnd(w) : 0xff0004ff4404ull);
	set_reg(w, ARM64_SYS_REG(3, 0, 1, 0, 2), rnd(w));
	set_reg(w, ARM64_SYS_REG(3, 0, 1, 0, 0), sctlr | (mmu ? 5 : 0));
	for (unsigned i = 0; i < 4; i++)
		set_reg(w, w->regs[rnd(w) % w->n_regs], any_value(w));
}

static void init_vcpu(struct worker *w)
{
	struct kvm_vcpu_init init = {.target = KVM_ARM_TARGET_GENERIC_V8, .features = {1u << KVM_ARM_VCPU_PSCI_0_2}};

	must("KVM_ARM_VCPU_INIT", call(w->fd, KVM_ARM_VCPU_INIT, &init));
}

static void meddle(struct worker *w)
{
	struct kvm_enable_cap policies = {.cap = PAWL_CAP_DEBUG};
	struct kvm_guest_debug d = {.control = 0};
	struct kvm_irq_level line = {.level = rnd(w) & 1};
	uint64_t wide[4];
	struct kvm_one_reg r = {w->regs[rnd(w) % w->n_regs], (uintptr_t)wide};

	switch (rnd(w) % 9) {
	case 0:
		d.control = KVM_GUESTDBG_ENABLE |
			    (rnd(w) & (KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_SW_BP | KVM_GUESTDBG_USE_HW));
		for (unsigned i = 0; i < 16; i++) {
			d.arch.dbg_bcr[i] = rnd(w) & rnd(w);
			d.arch.dbg_bvr[i] = ONE_IN(2) ? any_code(w) : any_value(w);
			d.arch.dbg_wcr[i] = rnd(w) & rnd(w) & 0x1f003fff;
			d.arch.dbg_wvr[i] = any_value(w);
		}
		call(w->fd, KVM_SET_GUEST_DEBUG, &d);
		break;
	case 1: call(w->fd, KVM_SET_GUEST_DEBUG, &d); break;
	case 2:
		line.irq = ONE_IN(2) ? 1u << 24 | (32 + rnd(w) % 40) : 2u << 24 | w->index << 16 | (16 + rnd(w) % 16);
		call(vm.vm, KVM_IRQ_LINE, &line);
		break;
	case 3: call(w->fd, KVM_GET_ONE_REG, &r); break;
	case 4: set_reg(w, r.id, any_value(w)); break;
	case 5:
	case 6:
		if (w->index == 0)
			meddle_slots(w);
		break;
	case 7:
		policies.args[0] = rnd(w) & (PAWL_DEBUG_HOLD_IRQS | PAWL_DEBUG_KEEP_MONITOR | PAWL_DEBUG_WFI_RETURNS |
					     PAWL_DEBUG_EMULATE_MMIO);
		must("KVM_ENABLE_CAP", call(vm.vm, KVM_ENABLE_CAP, &policies));
		break;
	default: set_reg(w, CORE(regs.pc), any_code(w)); break;
	}
}

static void enter(struct worker *w, unsigned exits)
{
	for (unsigned i = 0; i < exits; i++) {
		uint64_t data = any_value(w);
		long ret;

		atomic_fetch_add(&w->runs, 1);
		ret = call(w->fd, KVM_RUN, NULL);
		atomic_fetch_add(&w->runs, 1);
		__atomic_store_n(&w->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
		if (ret == -EINTR) {
			i += exits < EXITS ? exits : EXITS / 6;
			errors[0]++;
		} else if (ret == -ENOSYS && !nisv_exits) {
			/* An abort without a syndrome: the guest is where it was. EFAULT would be an access outside of the slots. */
			errors[1]++;
			i += exits < EXITS ? 1 : EXITS / 20;
			set_reg(w, CORE(regs.pc), any_code(w));
		} else if (ret) {
			die("KVM_RUN", ret);
		} else {
			unsigned reason = w->run->exit_reason;

			w->exits[reason & 63]++;
			switch (reason) {
			case KVM_EXIT_MMIO:
				if (w->run->mmio.len < 1 || w->run->mmio.len > 8)
					die("mmio.len", w->run->mmio.len);
				memcpy(w->run->mmio.data, &data, 8);
				break;
			case KVM_EXIT_DEBUG:
			case KVM_EXIT_HYPERCALL:
			case KVM_EXIT_ARM_NISV: break;
			case KVM_EXIT_SYSTEM_EVENT: init_vcpu(w); return;
			default: die("exit reason", reason);
			}
		}
		if (ONE_IN(4))
			meddle(w);
	}
}

static void run_round(struct worker *w)
{
	if (ONE_IN(16))
		init_vcpu(w);
	set_registers(w);
	enter(w, EXITS);
}

/* What is new for the next guest; the caller sets its registers. */
static void put_guest(struct worker *w)
{
	uint32_t *code = (uint32_t *)(void *)vm.host[0];
	uint64_t *table = (uint64_t *)(void *)(vm.host[0] + (TABLES - RAM));
	uint64_t window = w->window % WINDOWS;

	w->window += n_active;
	w->code = window * WINDOW;
	w->code_words = WINDOW;
	for (unsigned i = 0; i < WINDOW; i++)
		__atomic_store_n(&code[w->code + i], any_insn(w), __ATOMIC_RELAXED);
	if (ONE_IN(3))
		put_loop(w, &code[w->code], 6 + (unsigned)(rnd(w) % (WINDOW - 6)));
	if (ONE_IN(3))
		put_patcher(w, &code[w->code + rnd(w) % (WINDOW - 7)]);
	if (ONE_IN(12))
		put_unmapper(w, &code[w->code + rnd(w) % (WINDOW - 6)]);
	for (unsigned i = 0; i < 8; i++)
		__atomic_store_n(&table[rnd(w) % (TABLES_COUNT * 512)], any_descriptor(w), __ATOMIC_RELAXED);
	if (ONE_IN(64))
		put_roots(w, table);
	if (ONE_IN(64))
		put_vectors(code);
	if (ONE_IN(8)) { /* old code, too */
		w->code = 0;
		w->code_words = WINDOWS * WINDOW;
	}
}

static void run_guests(struct worker *w, uint64_t n)
{
	struct sigevent ev = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIG_KICK};
	struct itimerspec every = {{0, (long)tick_us * 1000}, {0, (long)tick_us * 1000}};
	timer_t timer;

	ev._sigev_un._tid = gettid();
	if (timer_create(CLOCK_MONOTONIC, &ev, &timer) || timer_settime(timer, 0, &every, NULL))
		die("timer", errno);
	for (uint64_t i = 0; i < n; i++) {
		put_guest(w);
		if (ONE_IN(64))
			init_vcpu(w);
		if (ONE_IN(4)) {
			set_registers(w);
		} else {
			for (unsigned r = 0; r < 6; r++)
				set_reg(w, KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | 2 * (rnd(w) % 31),
					any_value(w));
		}
		set_reg(w, CORE(regs.pc), any_code(w));
		w->guests++;
		enter(w, ONE_IN(256) ? EXITS : 4);
	}
	timer_delete(timer);
}

/* ---- bounds */

static KICK_HANDLER void on_signal(int sig)
{
	pawl_signal_ran();
}

/* Ends every KVM_RUN within some ticks, by signals and by immediate_exit; ends the test if that does not work. */
static void *kicker(void *arg)
{
	uint64_t seen[VCPUS_MOST] = {0}, since[VCPUS_MOST] = {0}, ticks = 0;
	const uint64_t nap_us = guests ? 10000 : tick_us; /* guests have timers */

	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		nanosleep(&(struct timespec){.tv_nsec = (long)nap_us * 1000}, NULL);
		ticks++;
		for (unsigned i = 0; i < n_active; i++) {
			struct worker *w = &workers[i];
			uint64_t runs = atomic_load(&w->runs);

			if (runs != seen[i] || !(runs & 1)) {
				seen[i] = runs;
				since[i] = ticks;
				continue;
			}
			if ((ticks - since[i]) * nap_us > PATIENCE_S * 1000000ull)
				die("KVM_RUN does not come back, vcpu", i);
			if (i % 2 && (ticks & 1))
				__atomic_store_n(&w->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
			pthread_kill(w->thread, SIG_KICK);
		}
	}
	return NULL;
}

/* 1 to most, as the seed and the round say; or what --vcpus says. */
static unsigned any_number(unsigned most)
{
	struct worker w = {.rng = seed ^ round_now << 32 ^ most << 20};

	return wanted_vcpus ? wanted_vcpus : 1 + (unsigned)(rnd(&w) % most);
}

static void make_vm(void)
{
	struct kvm_create_device d = {.type = KVM_DEV_TYPE_ARM_VGIC_V3};
	uint64_t dist = DIST, redist = REDIST;
	uint32_t nr = 96;
	struct kvm_device_attr attrs[] = {
		{.group = KVM_DEV_ARM_VGIC_GRP_NR_IRQS, .addr = (uintptr_t)&nr},
		{.group = KVM_DEV_ARM_VGIC_GRP_ADDR, .attr = KVM_VGIC_V3_ADDR_TYPE_DIST, .addr = (uintptr_t)&dist},
		{.group = KVM_DEV_ARM_VGIC_GRP_ADDR, .attr = KVM_VGIC_V3_ADDR_TYPE_REDIST, .addr = (uintptr_t)&redist},
		{.group = KVM_DEV_ARM_VGIC_GRP_CTRL, .attr = KVM_DEV_ARM_VGIC_CTRL_INIT},
	};
	struct kvm_enable_cap nisv = {.cap = KVM_CAP_ARM_NISV_TO_USER};

	vm.kvm = pawl_open(O_RDWR | O_CLOEXEC);
	vm.vm = (int)call(vm.kvm, KVM_CREATE_VM, (void *)40);
	must("KVM_CREATE_VM", vm.vm);
	vm.run_size = (size_t)call(vm.kvm, KVM_GET_VCPU_MMAP_SIZE, NULL);
	nisv_exits = seed & 1;
	if (nisv_exits)
		must("KVM_ENABLE_CAP", call(vm.vm, KVM_ENABLE_CAP, &nisv));
	for (unsigned i = 0; i < N_SLOTS; i++)
		slot_set(i, true, 0);
	n_vcpus = any_number(VCPUS_MOST);
	for (unsigned i = 0; i < n_vcpus; i++) {
		struct worker *w = &workers[i];
		struct {
			uint64_t n, id[600];
		} list = {.n = 600};

		w->index = i;
		w->fd = (int)call(vm.vm, KVM_CREATE_VCPU, (void *)(uintptr_t)i);
		must("KVM_CREATE_VCPU", w->fd);
		w->run = pawl_mmap(NULL, vm.run_size, PROT_READ | PROT_WRITE, MAP_SHARED, w->fd, 0);
		if (w->run == MAP_FAILED)
			die("mmap of a vcpu", errno);
		init_vcpu(w);
		must("KVM_GET_REG_LIST", call(w->fd, KVM_GET_REG_LIST, &list));
		w->n_regs = (unsigned)list.n;
		memcpy(w->regs, list.id, list.n * sizeof(uint64_t));
		w->rng = seed * 1000 + round_now * VCPUS_MOST + i;
		w->code = 0;
		w->code_words = 4096;
	}
	must("KVM_CREATE_DEVICE", call(vm.vm, KVM_CREATE_DEVICE, &d));
	vm.gic = (int)d.fd;
	for (unsigned i = 0; i < 4; i++)
		must("KVM_SET_DEVICE_ATTR", call(vm.gic, KVM_SET_DEVICE_ATTR, &attrs[i]));
}

static void free_vm(void)
{
	for (unsigned i = 0; i < n_vcpus; i++) {
		munmap(workers[i].run, vm.run_size);
		pawl_close(workers[i].fd);
	}
	pawl_close(vm.gic);
	pawl_close(vm.vm);
	pawl_close(vm.kvm);
	for (unsigned i = 0; i < N_SLOTS; i++) {
		if (vm.host[i])
			munmap(vm.host[i] - GUARD, slots[i].size + 2 * GUARD);
		vm.host[i] = NULL;
	}
}

static void run_worker(struct worker *w)
{
	if (guests)
		run_guests(w, WINDOWS / n_active);
	else
		run_round(w);
}

static void *other_main(void *arg)
{
	run_worker(arg);
	return NULL;
}

static void on_all(void)
{
	pthread_t kick;

	workers[0].thread = pthread_self();
	stop = false;
	for (unsigned i = 1; i < n_active; i++)
		if (pthread_create(&workers[i].thread, NULL, other_main, &workers[i]))
			die("pthread_create", 0);
	if (pthread_create(&kick, NULL, kicker, NULL))
		die("pthread_create", 0);
	run_worker(&workers[0]);
	/* A stopped or waiting vcpu is still kicked until its thread is through. */
	for (unsigned i = 1; i < n_active; i++)
		pthread_join(workers[i].thread, NULL);
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	pthread_join(kick, NULL);
}

static uint64_t of_all(uint64_t (*what)(const struct worker *w, unsigned k), unsigned k)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < VCPUS_MOST; i++)
		sum += what(&workers[i], k);
	return sum;
}

static uint64_t exits_of(const struct worker *w, unsigned reason)
{
	return w->exits[reason];
}

static uint64_t guests_of(const struct worker *w, unsigned k)
{
	return w->guests;
}

static uint64_t runs_of(const struct worker *w, unsigned k)
{
	return w->runs / 2;
}

int main(int argc, char **argv)
{
	uint64_t count = 150;
	uint64_t from = 0;
	unsigned per_vm = 25;

	for (int i = 1; i + 1 < argc; i += 2) {
		uint64_t val = strtoull(argv[i + 1], NULL, 0);

		if (!strcmp(argv[i], "--count"))
			count = val;
		else if (!strcmp(argv[i], "--seed"))
			seed = val;
		else if (!strcmp(argv[i], "--tick") && val)
			tick_us = val;
		else if (!strcmp(argv[i], "--vcpus"))
			wanted_vcpus = val < 1 ? 1 : val > VCPUS_MOST ? VCPUS_MOST : (unsigned)val;
		else if (!strcmp(argv[i], "--guests"))
			guests = val;
		else if (!strcmp(argv[i], "--from"))
			from = val;
	}
	if (guests) { /* a round is all the guests of a VM */
		per_vm = 1;
		from /= WINDOWS;
		count = from + (guests + WINDOWS - 1) / WINDOWS;
	}
	/* As small as it can be: full again and again. */
	setenv("PAWL_CODE_CACHE", "1", 0);
	kick_handle(SIG_KICK, on_signal, SA_RESTART);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (round_now = from; round_now < count; round_now++) {
		if ((round_now - from) % per_vm == 0) {
			if (round_now != from)
				free_vm();
			make_vm();
		}
		n_active = any_number(n_vcpus);
		for (unsigned i = 0; i < n_active; i++)
			workers[i].window = i;
		fill_memory(&workers[0]);
		on_all();
	}
	if (count > from)
		free_vm();
	for (unsigned i = 0; i < 64; i++) {
		if (of_all(exits_of, i))
			printf("# exit %u: %llu\n", i, (unsigned long long)of_all(exits_of, i));
	}
	printf("# interrupted: %u, no syndrome: %u\n", errors[0], errors[1]);
	if (guests)
		printf("# guests: %llu\n", (unsigned long long)of_all(guests_of, 0));
	printf("ok: %llu rounds, %llu times KVM_RUN\n", (unsigned long long)(count - from),
	       (unsigned long long)of_all(runs_of, 0));
	return 0;
}
