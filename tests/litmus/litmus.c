/* SPDX-License-Identifier: MIT */
/*
 * Litmus tests: what several vcpus may see of each other's memory accesses, Arm ARM DDI 0487, "The AArch64 memory model". Each
 * test is a few instructions for each vcpu, run over many pairs of locations at once; an outcome that the architecture forbids
 * fails. Outcomes that it allows are counted: store buffering has to show itself when many rounds are asked for, or the vcpus did
 * not run beside each other. And counters that several vcpus add to, by exclusives and by atomics: nothing may get lost.
 *
 *     litmus [--rounds N] [--seed SEED] [--anew N] [NAME]...        a round is one set of locations
 *
 * --anew: after so many rounds the program is put somewhere else, where it is translated from the beginning: cold, then probed, then hot.
 *
 * Through the public functions, so that a kernel's /dev/kvm would be a reference.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <pawl/kvm.h>
#include <pawl/pawl.h>

#define RAM 0x40000000ull
enum {
	RAM_SIZE = 16 << 20,
	CODE = 0x1000, /* offsets in RAM: of vcpu n, + n << 12 */
	BARRIER = 0x8000,
	PAIRS = 0x100000,   /* locations x, y, z, w of a round: 64 bytes apart */
	RESULTS = 0x900000, /* four words for each round, then the next vcpu's */
	BATCH = 16384,
	STRIDE = 256,
	PLACES = 900, /* where in its page a program may begin */
	VCPUS = 4
};

static int kvm, vm;
static uint8_t *ram;
static struct vcpu {
	int fd;
	struct kvm_run *run;
	pthread_t thread;
	long result;
	bool at_end;
} vcpus[VCPUS];

static _Noreturn void die(const char *what)
{
	printf("Bail out! %s: %s\n", what, strerror(errno));
	exit(1);
}

static int must(const char *what, int fd, unsigned long request, void *arg)
{
	int rc = pawl_ioctl(fd, request, arg);

	if (rc < 0)
		die(what);
	return rc;
}

static void set_reg(struct vcpu *v, uint64_t id, uint64_t val)
{
	struct kvm_one_reg r = {.id = id, .addr = (uintptr_t)&val};

	must("KVM_SET_ONE_REG", v->fd, KVM_SET_ONE_REG, &r);
}

#define CORE_ID(field) (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(field))
#define X(n) (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | (uint64_t)(2 * (n)))

/* Stage 1 on, flat and cacheable: with the MMU off all memory is Device memory, which is ordered more strictly. */
static void mmu_on(struct vcpu *v)
{
	set_reg(v, ARM64_SYS_REG(3, 0, 10, 2, 0), 0xff);						  /* MAIR_EL1 */
	set_reg(v, ARM64_SYS_REG(3, 0, 2, 0, 2), 25 | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 23 | 2ull << 32); /* TCR_EL1 */
	set_reg(v, ARM64_SYS_REG(3, 0, 2, 0, 0), RAM);			/* TTBR0_EL1 */
	set_reg(v, ARM64_SYS_REG(3, 0, 1, 0, 0), 0x30d00805 | 1 << 12); /* SCTLR_EL1 */
}

static void machine_new(void)
{
	struct kvm_userspace_memory_region slot = {.guest_phys_addr = RAM, .memory_size = RAM_SIZE};
	size_t size;

	kvm = pawl_open(0);
	vm = must("KVM_CREATE_VM", kvm, KVM_CREATE_VM, NULL);
	ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (ram == MAP_FAILED)
		die("mmap");
	slot.userspace_addr = (uintptr_t)ram;
	must("KVM_SET_USER_MEMORY_REGION", vm, KVM_SET_USER_MEMORY_REGION, &slot);
	/* blocks of 1 GiB, in the table at RAM: nothing, where a store is an exit; and RAM */
	*(uint64_t *)(void *)ram = 0x701;
	*(uint64_t *)(void *)(ram + 8) = RAM | 0x701;
	size = (size_t)must("KVM_GET_VCPU_MMAP_SIZE", kvm, KVM_GET_VCPU_MMAP_SIZE, NULL);
	for (unsigned i = 0; i < VCPUS; i++) {
		struct vcpu *v = &vcpus[i];

		v->fd = must("KVM_CREATE_VCPU", vm, KVM_CREATE_VCPU, (void *)(uintptr_t)i);
		v->run = pawl_mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
		if (v->run == MAP_FAILED)
			die("mmap");
	}
}

/* Code in the guest's memory is about to be another: a reset is what makes vcpus look again. */
static void vcpus_reset(void)
{
	struct kvm_vcpu_init init = {0};

	must("KVM_ARM_PREFERRED_TARGET", vm, KVM_ARM_PREFERRED_TARGET, &init);
	init.features[0] = 1u << KVM_ARM_VCPU_PSCI_0_2;
	for (unsigned i = 0; i < VCPUS; i++) {
		must("KVM_ARM_VCPU_INIT", vcpus[i].fd, KVM_ARM_VCPU_INIT, &init);
		mmu_on(&vcpus[i]);
	}
}

/* ---- instructions. x20..x23: the round's locations, x0..x3: what is read, x9: 1, x10: 2 */

enum location { LX, LY, LZ, LW };
#define BASE(l) ((20u + (l)) << 5)
#define LDR(t, l) (0xf9400000 | BASE(l) | (t))
#define STR(t, l) (0xf9000000 | BASE(l) | (t))
#define LDAR(t, l) (0xc8dffc00 | BASE(l) | (t))
#define STLR(t, l) (0xc89ffc00 | BASE(l) | (t))
#define LDAPR(t, l) (0xf8bfc000 | BASE(l) | (t))
#define LDRW(t, l, half) (0xb9400000 | (unsigned)(half) << 10 | BASE(l) | (t))
#define STRW(t, l, half) (0xb9000000 | (unsigned)(half) << 10 | BASE(l) | (t))
#define STRB(t, l, byte) (0x39000000 | (unsigned)(byte) << 10 | BASE(l) | (t))
#define LDP(t, u, l) (0xa9400000 | (unsigned)(u) << 10 | BASE(l) | (t))
#define LDXR(t, l) (0xc85f7c00 | BASE(l) | (t))
#define LDAXR(t, l) (0xc85ffc00 | BASE(l) | (t))
#define STXR(s, t, l) (0xc8007c00 | (unsigned)(s) << 16 | BASE(l) | (t))
#define STLXR(s, t, l) (0xc800fc00 | (unsigned)(s) << 16 | BASE(l) | (t))
#define SWP(s, t, l) (0xf8208000 | (unsigned)(s) << 16 | BASE(l) | (t))
#define SWPAL(s, t, l) (0xf8e08000 | (unsigned)(s) << 16 | BASE(l) | (t))
#define LDADDAL(s, t, l) (0xf8e00000 | (unsigned)(s) << 16 | BASE(l) | (t))
#define LDADDL(s, t, l) (0xf8600000 | (unsigned)(s) << 16 | BASE(l) | (t))
#define DMB 0xd5033bbfu
#define DMB_LD 0xd50339bfu
#define DMB_ST 0xd5033abfu
#define DSB 0xd5033b9fu
#define ISB 0xd5033fdfu
/* An address that depends on x0: x3 = x0 ^ x0, then the access with that as its index */
#define EOR_X3_X0 0xca000003u
#define LDR_DEP(t, l) (0xf8636800 | BASE(l) | (t))
#define STR_DEP(t, l) (0xf8236800 | BASE(l) | (t))
#define CBNZ_NEXT(t) (0xb5000020u | (t)) /* a control dependency: to the next instruction either way */
#define CMP_X0_0 0xf100001fu

struct outcome {
	uint64_t r[VCPUS][4]; /* x0..x3 of each vcpu */
	uint64_t x, y, z, w;  /* in the end */
};

struct litmus {
	const char *name;
	unsigned n; /* vcpus */
	uint32_t code[VCPUS][12];
	bool (*bad)(const struct outcome *o);	  /* forbidden; NULL: none is */
	bool (*special)(const struct outcome *o); /* allowed, and not sequentially consistent; NULL: not counted */
	bool host_shows_it; /* it has to be seen in a million rounds: vcpus run beside each other */
};

#define R(v, n) (o->r[v][n])
static bool sb(const struct outcome *o)
{
	return !R(0, 0) && !R(1, 0);
}
static bool mp(const struct outcome *o)
{
	return R(1, 0) && !R(1, 1);
}
static bool lb(const struct outcome *o)
{
	return R(0, 0) && R(1, 0);
}
static bool iriw(const struct outcome *o)
{
	return R(1, 0) && !R(1, 1) && R(3, 0) && !R(3, 1);
}
static bool wrc(const struct outcome *o)
{
	return R(1, 0) && R(2, 0) && !R(2, 1);
}
static bool corr(const struct outcome *o)
{
	return R(1, 0) > R(1, 1);
}
static bool r_(const struct outcome *o)
{
	return o->y == 2 && !R(1, 0);
}
static bool s_(const struct outcome *o)
{
	return R(1, 0) && o->x == 2;
}
static bool w22(const struct outcome *o)
{
	return o->x == 1 && o->y == 1;
}
static bool torn(const struct outcome *o)
{
	return R(1, 0) != 0 && R(1, 0) != ~0ull;
}
static bool halves(const struct outcome *o)
{
	return !(R(0, 0) >> 32) && !(uint32_t)R(1, 0);
}
static bool bytes(const struct outcome *o)
{
	return !(R(0, 0) & 0xff00) && !(R(1, 0) & 0xff);
}
static bool isa2(const struct outcome *o)
{
	return R(1, 0) && R(2, 0) && !R(2, 1);
}
static bool lost(const struct outcome *o)
{
	return o->x != 2;
}
static bool both(const struct outcome *o)
{
	return !R(0, 0) == !R(1, 0);
}
static bool mp_excl(const struct outcome *o)
{
	return R(1, 0) && !R(1, 2) && !R(1, 1);
}
static bool sb_excl(const struct outcome *o) /* both exclusives took place */
{
	return sb(o) && !R(0, 2) && !R(1, 2);
}
static bool sb_one_excl(const struct outcome *o)
{
	return sb(o) && !R(0, 2);
}
static bool w22_excl(const struct outcome *o)
{
	return w22(o) && !R(0, 0) && !R(0, 1) && !R(1, 0) && !R(1, 1);
}
static bool w22_one_excl(const struct outcome *o)
{
	return w22(o) && !R(0, 0) && !R(0, 1);
}
static bool rwc(const struct outcome *o)
{
	return R(1, 0) && !R(1, 1) && !R(2, 0);
}
static bool z63(const struct outcome *o)
{
	return o->y == 2 && R(2, 0) && !R(2, 1);
}
static bool w32(const struct outcome *o)
{
	return o->x == 2 && o->y == 2 && o->z == 2;
}
static bool w42(const struct outcome *o)
{
	return w32(o) && o->w == 2;
}
static bool sb4(const struct outcome *o)
{
	return sb(o) && !R(2, 0) && !R(3, 0);
}
static bool lb4(const struct outcome *o)
{
	return lb(o) && R(2, 0) && R(3, 0);
}
static bool isa2_4(const struct outcome *o)
{
	return R(1, 0) && R(2, 0) && R(3, 0) && !R(3, 1);
}
static bool lost4(const struct outcome *o)
{
	return o->x != 4;
}
/* Each of four swapped its number, 1 to 4, into x: what they found and what is left are 0 to 4, each once. */
static bool chain(const struct outcome *o)
{
	unsigned seen = 1u << (o->x & 31);

	for (unsigned i = 0; i < 4; i++)
		seen |= 1u << (R(i, 0) & 31);
	return seen != 0x1f;
}

static const struct litmus tests[] = {
	{"SB", 2, {{STR(9, LX), LDR(0, LY)}, {STR(9, LY), LDR(0, LX)}}, NULL, sb, true},
	{"SB+dmbs", 2, {{STR(9, LX), DMB, LDR(0, LY)}, {STR(9, LY), DMB, LDR(0, LX)}}, sb, NULL, false},
	{"SB+dsbs", 2, {{STR(9, LX), DSB, LDR(0, LY)}, {STR(9, LY), DSB, LDR(0, LX)}}, sb, NULL, false},
	{"SB+dmb+po", 2, {{STR(9, LX), DMB, LDR(0, LY)}, {STR(9, LY), LDR(0, LX)}}, NULL, sb, false},
	{"SB+dmb.sts", 2, {{STR(9, LX), DMB_ST, LDR(0, LY)}, {STR(9, LY), DMB_ST, LDR(0, LX)}}, NULL, sb, false},
	{"SB+dmb.lds", 2, {{STR(9, LX), DMB_LD, LDR(0, LY)}, {STR(9, LY), DMB_LD, LDR(0, LX)}}, NULL, sb, false},
	{"SB+rel-acqs", 2, {{STLR(9, LX), LDAR(0, LY)}, {STLR(9, LY), LDAR(0, LX)}}, sb, NULL, false},
	{"SB+rel-acqpcs", 2, {{STLR(9, LX), LDAPR(0, LY)}, {STLR(9, LY), LDAPR(0, LX)}}, NULL, sb, false},
	{"SB+rel-pos", 2, {{STLR(9, LX), LDR(0, LY)}, {STLR(9, LY), LDR(0, LX)}}, NULL, sb, false},
	{"SB+swpal-dmbs", 2, {{SWPAL(9, 4, LX), DMB, LDR(0, LY)}, {SWPAL(9, 4, LY), DMB, LDR(0, LX)}}, sb, NULL, false},
	{"SB+swps-acq-rel", 2, {{SWPAL(9, 4, LX), LDAR(0, LY)}, {SWPAL(9, 4, LY), LDAR(0, LX)}}, sb, NULL, false},
	{"SB+stlxr-ldaxr",
	 2,
	 {{LDXR(4, LX), STLXR(5, 9, LX), LDAR(0, LY)}, {STLR(9, LY), LDAXR(0, LX)}},
	 NULL,
	 sb,
	 false},
	{"SB+mixed halves",
	 2,
	 {{STRW(9, LX, 0), DMB, LDR(0, LX)}, {STRW(9, LX, 1), DMB, LDR(0, LX)}},
	 halves,
	 NULL,
	 false},
	{"SB+mixed halves, no dmb",
	 2,
	 {{STRW(9, LX, 0), LDR(0, LX)}, {STRW(9, LX, 1), LDR(0, LX)}},
	 NULL,
	 halves,
	 true},
	{"SB+mixed bytes",
	 2,
	 {{STRB(9, LX, 0), DMB, LDR(0, LX)}, {STRB(9, LX, 1), DMB, LDR(0, LX)}},
	 bytes,
	 NULL,
	 false},
	{"MP", 2, {{STR(9, LX), STR(9, LY)}, {LDR(0, LY), LDR(1, LX)}}, NULL, mp, false},
	{"MP+dmbs", 2, {{STR(9, LX), DMB, STR(9, LY)}, {LDR(0, LY), DMB, LDR(1, LX)}}, mp, NULL, false},
	{"MP+dmb.st+dmb.ld", 2, {{STR(9, LX), DMB_ST, STR(9, LY)}, {LDR(0, LY), DMB_LD, LDR(1, LX)}}, mp, NULL, false},
	{"MP+rel+acq", 2, {{STR(9, LX), STLR(9, LY)}, {LDAR(0, LY), LDR(1, LX)}}, mp, NULL, false},
	{"MP+rel+acqpc", 2, {{STR(9, LX), STLR(9, LY)}, {LDAPR(0, LY), LDR(1, LX)}}, mp, NULL, false},
	{"MP+dmb+addr", 2, {{STR(9, LX), DMB, STR(9, LY)}, {LDR(0, LY), EOR_X3_X0, LDR_DEP(1, LX)}}, mp, NULL, false},
	{"MP+dmb+ctrlisb",
	 2,
	 {{STR(9, LX), DMB, STR(9, LY)}, {LDR(0, LY), CBNZ_NEXT(0), ISB, LDR(1, LX)}},
	 mp,
	 NULL,
	 false},
	{"MP+swpl+acq", 2, {{STR(9, LX), SWPAL(9, 4, LY)}, {LDAR(0, LY), LDR(1, LX)}}, mp, NULL, false},
	{"MP+ldaddl+ldaddal", 2, {{STR(9, LX), LDADDL(9, 4, LY)}, {LDADDAL(31, 0, LY), LDR(1, LX)}}, mp, NULL, false},
	{"MP+stlxr+ldaxr",
	 2,
	 {{STR(9, LX), LDXR(4, LY), STLXR(5, 9, LY)}, {LDAXR(0, LY), STXR(2, 0, LY), LDR(1, LX)}},
	 mp_excl,
	 NULL,
	 false},
	{"MP+mixed: word of a doubleword",
	 2,
	 {{STR(9, LX), STLR(9, LY)}, {LDAR(0, LY), LDRW(1, LX, 0)}},
	 mp,
	 NULL,
	 false},
	{"MP+mixed: byte then doubleword",
	 2,
	 {{STRB(9, LX, 0), DMB, STRB(9, LY, 0)}, {LDR(0, LY), DMB, LDR(1, LX)}},
	 mp,
	 NULL,
	 false},
	{"MP+pair", 2, {{STR(9, LX), DMB, STR(9, LY)}, {LDP(0, 2, LY), DMB, LDP(1, 2, LX)}}, mp, NULL, false},
	{"LB", 2, {{LDR(0, LX), STR(9, LY)}, {LDR(0, LY), STR(9, LX)}}, NULL, lb, false},
	{"LB+dmbs", 2, {{LDR(0, LX), DMB, STR(9, LY)}, {LDR(0, LY), DMB, STR(9, LX)}}, lb, NULL, false},
	{"LB+acqs", 2, {{LDAR(0, LX), STR(9, LY)}, {LDAR(0, LY), STR(9, LX)}}, lb, NULL, false},
	{"LB+rels", 2, {{LDR(0, LX), STLR(9, LY)}, {LDR(0, LY), STLR(9, LX)}}, lb, NULL, false},
	{"LB+addrs",
	 2,
	 {{LDR(0, LX), EOR_X3_X0, STR_DEP(9, LY)}, {LDR(0, LY), EOR_X3_X0, STR_DEP(9, LX)}},
	 lb,
	 NULL,
	 false},
	{"LB+ctrls",
	 2,
	 {{LDR(0, LX), CBNZ_NEXT(0), STR(9, LY)}, {LDR(0, LY), CBNZ_NEXT(0), STR(9, LX)}},
	 lb,
	 NULL,
	 false},
	{"CoRR", 2, {{STR(9, LX), STR(10, LX)}, {LDR(0, LX), LDR(1, LX)}}, corr, NULL, false},
	{"CoRR, atomics", 2, {{SWP(9, 4, LX), SWP(10, 4, LX)}, {LDADDAL(31, 0, LX), LDR(1, LX)}}, corr, NULL, false},
	{"R", 2, {{STR(9, LX), STR(9, LY)}, {STR(10, LY), LDR(0, LX)}}, NULL, r_, false},
	{"R+dmbs", 2, {{STR(9, LX), DMB, STR(9, LY)}, {STR(10, LY), DMB, LDR(0, LX)}}, r_, NULL, false},
	{"S+dmbs", 2, {{STR(10, LX), DMB, STR(9, LY)}, {LDR(0, LY), DMB, STR(9, LX)}}, s_, NULL, false},
	{"S+rel+acq", 2, {{STR(10, LX), STLR(9, LY)}, {LDAR(0, LY), STR(9, LX)}}, s_, NULL, false},
	{"2+2W+dmbs", 2, {{STR(9, LX), DMB, STR(10, LY)}, {STR(9, LY), DMB, STR(10, LX)}}, w22, NULL, false},
	{"2+2W+rels", 2, {{STLR(9, LX), STLR(10, LY)}, {STLR(9, LY), STLR(10, LX)}}, w22, NULL, false},
	{"a doubleword is one access", 2, {{STR(11, LX)}, {LDR(0, LX)}}, torn, NULL, false},
	{"a doubleword over an atomic", 2, {{SWP(11, 4, LX)}, {LDAR(0, LX)}}, torn, NULL, false},
	{"one of two swaps comes first", 2, {{SWP(9, 0, LX)}, {SWP(10, 0, LX)}}, both, NULL, false},
	{"two additions", 2, {{LDADDL(9, 0, LX)}, {LDADDAL(9, 0, LX)}}, lost, NULL, false},
	{"WRC+dmbs", 3, {{STR(9, LX)}, {LDR(0, LX), DMB, STR(9, LY)}, {LDR(0, LY), DMB, LDR(1, LX)}}, wrc, NULL, false},
	{"WRC+rel+acq", 3, {{STR(9, LX)}, {LDR(0, LX), STLR(9, LY)}, {LDAR(0, LY), LDR(1, LX)}}, wrc, NULL, false},
	{"ISA2+dmbs",
	 3,
	 {{STR(9, LX), DMB, STR(9, LY)}, {LDR(0, LY), DMB, STR(9, LZ)}, {LDR(0, LZ), DMB, LDR(1, LX)}},
	 isa2,
	 NULL,
	 false},
	{"IRIW",
	 4,
	 {{STR(9, LX)}, {LDR(0, LX), LDR(1, LY)}, {STR(9, LY)}, {LDR(0, LY), LDR(1, LX)}},
	 NULL,
	 iriw,
	 false},
	{"IRIW+dmbs",
	 4,
	 {{STR(9, LX)}, {LDR(0, LX), DMB, LDR(1, LY)}, {STR(9, LY)}, {LDR(0, LY), DMB, LDR(1, LX)}},
	 iriw,
	 NULL,
	 false},
	{"IRIW+acqs",
	 4,
	 {{STLR(9, LX)}, {LDAR(0, LX), LDAR(1, LY)}, {STLR(9, LY)}, {LDAR(0, LY), LDAR(1, LX)}},
	 iriw,
	 NULL,
	 false},
	{"IRIW+addrs",
	 4,
	 {{STR(9, LX)}, {LDR(0, LX), EOR_X3_X0, LDR_DEP(1, LY)}, {STR(9, LY)}, {LDR(0, LY), EOR_X3_X0, LDR_DEP(1, LX)}},
	 iriw,
	 NULL,
	 false},

/* LSE atomics, exclusives, acquire and release with one another, among two to four. MOVZ: a number of its own to each */
#define MOVZ(t, n) (0xd2800000 | (n) << 5 | (t))
	{"SB+stlxr-ldars",
	 2,
	 {{LDXR(4, LX), STLXR(2, 9, LX), LDAR(0, LY)}, {LDXR(4, LY), STLXR(2, 9, LY), LDAR(0, LX)}},
	 sb_excl,
	 NULL,
	 false},
	{"SB+stlxr-ldar+swpal-ldar",
	 2,
	 {{LDXR(4, LX), STLXR(2, 9, LX), LDAR(0, LY)}, {SWPAL(9, 4, LY), LDAR(0, LX)}},
	 sb_one_excl,
	 NULL,
	 false},
	{"SB+ldaddal-ldars", 2, {{LDADDAL(9, 4, LX), LDAR(0, LY)}, {LDADDAL(9, 4, LY), LDAR(0, LX)}}, sb, NULL, false},
	{"SB+swp-dmb+stxr-dmb",
	 2,
	 {{LDXR(4, LX), STXR(2, 9, LX), DMB, LDR(0, LY)}, {SWP(9, 4, LY), DMB, LDR(0, LX)}},
	 sb_one_excl,
	 NULL,
	 false},
	{"2+2W+stlxrs",
	 2,
	 {{LDXR(4, LX), STLXR(0, 9, LX), LDXR(4, LY), STLXR(1, 10, LY)},
	  {LDXR(4, LY), STLXR(0, 9, LY), LDXR(4, LX), STLXR(1, 10, LX)}},
	 w22_excl,
	 NULL,
	 false},
	{"2+2W+stlxrs+swpals",
	 2,
	 {{LDXR(4, LX), STLXR(0, 9, LX), LDXR(4, LY), STLXR(1, 10, LY)}, {SWPAL(9, 4, LY), SWPAL(10, 4, LX)}},
	 w22_one_excl,
	 NULL,
	 false},
	{"3.2W+dmbs",
	 3,
	 {{STR(10, LX), DMB, STR(9, LY)}, {STR(10, LY), DMB, STR(9, LZ)}, {STR(10, LZ), DMB, STR(9, LX)}},
	 w32,
	 NULL,
	 false},
	{"4.2W+rel+swpal+dmb.st",
	 4,
	 {{STR(10, LX), STLR(9, LY)},
	  {STR(10, LY), SWPAL(9, 4, LZ)},
	  {SWP(10, 4, LZ), DMB_ST, STR(9, LW)},
	  {STR(10, LW), STLR(9, LX)}},
	 w42,
	 NULL,
	 false},
	{"4.SB+dmbs",
	 4,
	 {{STR(9, LX), DMB, LDR(0, LY)},
	  {STR(9, LY), DMB, LDR(0, LZ)},
	  {STR(9, LZ), DMB, LDR(0, LW)},
	  {STR(9, LW), DMB, LDR(0, LX)}},
	 sb4,
	 NULL,
	 false},
	{"4.SB+rel-acq+swpal-acq",
	 4,
	 {{STLR(9, LX), LDAR(0, LY)},
	  {SWPAL(9, 4, LY), LDAR(0, LZ)},
	  {STLR(9, LZ), LDADDAL(31, 0, LW)},
	  {LDADDAL(9, 4, LW), LDAR(0, LX)}},
	 sb4,
	 NULL,
	 false},
	{"4.LB+addr+acq+rel+dmb",
	 4,
	 {{LDR(0, LX), EOR_X3_X0, STR_DEP(9, LY)},
	  {LDAR(0, LY), STR(9, LZ)},
	  {LDR(0, LZ), STLR(9, LW)},
	  {LDR(0, LW), DMB, SWP(9, 4, LX)}},
	 lb4,
	 NULL,
	 false},
	{"RWC+dmbs", 3, {{STR(9, LX)}, {LDR(0, LX), DMB, LDR(1, LY)}, {STR(9, LY), DMB, LDR(0, LX)}}, rwc, NULL, false},
	{"RWC+swp+acq+rel-acq",
	 3,
	 {{SWP(9, 4, LX)}, {LDAR(0, LX), LDR(1, LY)}, {STLR(9, LY), LDAR(0, LX)}},
	 rwc,
	 NULL,
	 false},
	{"W+RWC+dmbs",
	 3,
	 {{STR(9, LX), DMB, STR(9, LY)}, {LDR(0, LY), DMB, LDR(1, LZ)}, {STR(9, LZ), DMB, LDR(0, LX)}},
	 rwc,
	 NULL,
	 false},
	{"W+RWC+ldaddl+acq+swpal-acq",
	 3,
	 {{STR(9, LX), LDADDL(9, 4, LY)}, {LDAR(0, LY), LDR(1, LZ)}, {SWPAL(9, 4, LZ), LDAR(0, LX)}},
	 rwc,
	 NULL,
	 false},
	{"Z6.3+dmbs",
	 3,
	 {{STR(9, LX), DMB, STR(9, LY)}, {STR(10, LY), DMB, STR(9, LZ)}, {LDR(0, LZ), DMB, LDR(1, LX)}},
	 z63,
	 NULL,
	 false},
	{"Z6.3+rel+swpal+ldaddal",
	 3,
	 {{STR(9, LX), STLR(9, LY)}, {STR(10, LY), SWPAL(9, 4, LZ)}, {LDADDAL(31, 0, LZ), LDR(1, LX)}},
	 z63,
	 NULL,
	 false},
	{"WRC+swp+stlxr+ldaddal",
	 3,
	 {{SWP(9, 4, LX)}, {LDAR(0, LX), LDXR(4, LY), STLXR(5, 9, LY)}, {LDADDAL(31, 0, LY), LDR(1, LX)}},
	 wrc,
	 NULL,
	 false},
	{"WRC+stxr+addr+ldaxr",
	 3,
	 {{LDXR(4, LX), STXR(5, 9, LX)}, {LDR(0, LX), EOR_X3_X0, STR_DEP(9, LY)}, {LDAXR(0, LY), LDR(1, LX)}},
	 wrc,
	 NULL,
	 false},
	{"ISA2+rel+acq-rel+acq",
	 3,
	 {{STR(9, LX), STLR(9, LY)}, {LDAR(0, LY), STLR(9, LZ)}, {LDAR(0, LZ), LDR(1, LX)}},
	 isa2,
	 NULL,
	 false},
	{"ISA2+ldaddl+ldaxr-stlxr+acqpc",
	 3,
	 {{STR(9, LX), LDADDL(9, 4, LY)}, {LDAXR(0, LY), LDXR(4, LZ), STLXR(5, 9, LZ)}, {LDAPR(0, LZ), LDR(1, LX)}},
	 isa2,
	 NULL,
	 false},
	{"ISA2 of four+stlxr+swpal+dmb+acq",
	 4,
	 {{STR(9, LX), LDXR(4, LY), STLXR(5, 9, LY)},
	  {LDAR(0, LY), SWPAL(9, 4, LZ)},
	  {LDR(0, LZ), DMB, STR(9, LW)},
	  {LDAR(0, LW), LDR(1, LX)}},
	 isa2_4,
	 NULL,
	 false},
	{"IRIW+swp+stxr, dmbs",
	 4,
	 {{SWP(9, 4, LX)},
	  {LDR(0, LX), DMB, LDR(1, LY)},
	  {LDXR(4, LY), STXR(5, 9, LY)},
	  {LDR(0, LY), DMB_LD, LDR(1, LX)}},
	 iriw,
	 NULL,
	 false},
	{"IRIW+ldaddal+ldaxr",
	 4,
	 {{STR(9, LX)},
	  {LDADDAL(31, 0, LX), LDADDAL(31, 1, LY)},
	  {SWP(9, 4, LY)},
	  {LDAXR(0, LY), STXR(5, 0, LY), LDAXR(1, LX)}},
	 iriw,
	 NULL,
	 false},
	{"IRIW+acqpcs over swpals",
	 4,
	 {{SWPAL(9, 4, LX)}, {LDAPR(0, LX), LDR(1, LY)}, {SWPAL(9, 4, LY)}, {LDAPR(0, LY), LDR(1, LX)}},
	 iriw,
	 NULL,
	 false},
	{"four additions",
	 4,
	 {{LDADDL(9, 0, LX)}, {LDADDAL(9, 0, LX)}, {LDADDL(9, 0, LX)}, {LDADDAL(9, 0, LX)}},
	 lost4,
	 NULL,
	 false},
	{"four swaps make a chain",
	 4,
	 {{MOVZ(5, 1), SWP(5, 0, LX)},
	  {MOVZ(5, 2), SWPAL(5, 0, LX)},
	  {MOVZ(5, 3), SWP(5, 0, LX)},
	  {MOVZ(5, 4), SWPAL(5, 0, LX)}},
	 chain,
	 NULL,
	 false},
};
enum { N_TESTS = sizeof(tests) / sizeof(tests[0]) };

/* ---- running */

static unsigned batch_rounds = BATCH;
static unsigned moved; /* instructions by which programs are further on than at first */

static unsigned entry(unsigned v)
{
	return CODE + (v << 12) + 4 * moved;
}

/*
 * x20: of the first round, x24: its results, x25: rounds, x26: barrier, x27: vcpus that have to be there, x28: one more for each
 * batch. Half of the vcpus wait a little differently each time, so that they meet.
 */
static void put_program(unsigned v, const uint32_t *body)
{
	uint32_t *p = (uint32_t *)(void *)(ram + entry(v));
	unsigned loop, n = 0;

	p[n++] = 0xf8e9035f; /* ldaddal x9, xzr, [x26] */
	p[n++] = 0xc8dfff44; /* ldar x4, [x26] */
	p[n++] = 0xeb1b009f; /* cmp x4, x27 */
	p[n++] = 0x54000042; /* b.hs +8 */
	p[n++] = 0x17fffffd; /* b ldar */
	p[n++] = 0xb400007d; /* cbz x29, +12 */
	p[n++] = 0xf10007bd; /* subs x29, x29, #1: a delay */
	p[n++] = 0x17fffffe; /* b -8 */
	loop = n;
	p[n++] = 0xaa1f03e0; /* mov x0, xzr */
	p[n++] = 0xaa1f03e1;
	p[n++] = 0xaa1f03e2;
	p[n++] = 0x91010295; /* add x21, x20, #64 */
	p[n++] = 0x91020296; /* add x22, x20, #128 */
	p[n++] = 0x91030297; /* add x23, x20, #192 */
	for (unsigned i = 0; i < 12 && body[i]; i++)
		p[n++] = body[i];
	p[n++] = 0xa8810700; /* stp x0, x1, [x24], #16 */
	p[n++] = 0xa8810f02; /* stp x2, x3, [x24], #16 */
	p[n++] = 0x91040294; /* add x20, x20, #STRIDE */
	p[n++] = 0xf1000739; /* subs x25, x25, #1 */
	p[n] = 0x54000001 | ((loop - n) & 0x7ffff) << 5;
	n++;
	p[n++] = 0xf90003ff; /* str xzr, [sp]: nowhere: an exit */
	p[n++] = 0x17ffffff;
}

static void *vcpu_thread(void *arg)
{
	struct vcpu *v = arg;

	v->result = pawl_ioctl(v->fd, KVM_RUN, NULL) ? -errno : 0;
	v->at_end = v->run->exit_reason == KVM_EXIT_MMIO;
	/* Completes the access, so that the next run begins where it is told to. */
	v->run->immediate_exit = 1;
	pawl_ioctl(v->fd, KVM_RUN, NULL);
	v->run->immediate_exit = 0;
	return NULL;
}

static uint64_t rng = 1;

static uint64_t rnd(void)
{
	rng = rng * 6364136223846793005ull + 1442695040888963407ull;
	return rng >> 33;
}

static void batch(const struct litmus *t, unsigned rounds)
{
	memset(ram + BARRIER, 0, 64);
	memset(ram + PAIRS, 0, (size_t)rounds * STRIDE);
	for (unsigned i = 0; i < t->n; i++) {
		struct vcpu *v = &vcpus[i];

		set_reg(v, CORE_ID(regs.pc), RAM + entry(i));
		set_reg(v, CORE_ID(regs.sp), 0x10000000);
		set_reg(v, CORE_ID(sp_el1), 0x10000000);
		set_reg(v, X(9), 1);
		set_reg(v, X(10), 2);
		set_reg(v, X(11), ~0ull);
		set_reg(v, X(20), RAM + PAIRS);
		set_reg(v, X(24), RAM + RESULTS + (uint64_t)i * BATCH * 32);
		set_reg(v, X(25), rounds);
		set_reg(v, X(26), RAM + BARRIER);
		set_reg(v, X(27), t->n);
		set_reg(v, X(29), rnd() % 64);
	}
	for (unsigned i = 0; i < t->n; i++)
		if (pthread_create(&vcpus[i].thread, NULL, vcpu_thread, &vcpus[i]))
			die("pthread_create");
	for (unsigned i = 0; i < t->n; i++) {
		pthread_join(vcpus[i].thread, NULL);
		if (vcpus[i].result || !vcpus[i].at_end)
			die("a vcpu did not come to its end");
	}
}

static void look(const struct litmus *t, unsigned rounds, uint64_t *bad, uint64_t *special)
{
	for (unsigned n = 0; n < rounds; n++) {
		const uint8_t *pair = ram + PAIRS + (size_t)n * STRIDE;
		struct outcome o;

		memset(&o, 0, sizeof(o));
		for (unsigned i = 0; i < t->n; i++)
			memcpy(o.r[i], ram + RESULTS + (size_t)i * BATCH * 32 + 32ul * n, 32);
		memcpy(&o.x, pair, 8);
		memcpy(&o.y, pair + 64, 8);
		memcpy(&o.z, pair + 128, 8);
		memcpy(&o.w, pair + 192, 8);
		if (t->bad && t->bad(&o) && !(*bad)++)
			printf("# round %u: x0 %llx %llx %llx %llx, x1 %llx %llx %llx %llx; x %llx, y %llx\n", n,
			       (unsigned long long)o.r[0][0], (unsigned long long)o.r[1][0],
			       (unsigned long long)o.r[2][0], (unsigned long long)o.r[3][0],
			       (unsigned long long)o.r[0][1], (unsigned long long)o.r[1][1],
			       (unsigned long long)o.r[2][1], (unsigned long long)o.r[3][1], (unsigned long long)o.x,
			       (unsigned long long)o.y);
		*special += t->special && t->special(&o);
	}
}

static void put_programs(const struct litmus *t)
{
	vcpus_reset();
	moved = batch_rounds < BATCH ? (moved + 1) % PLACES : 0;
	for (unsigned i = 0; i < t->n; i++)
		put_program(i, t->code[i]);
}

/* False: a forbidden outcome was seen, or one that has to be there was not, in many rounds, so many at a time that vcpus meet. */
static bool run(const struct litmus *t, uint64_t rounds, unsigned number)
{
	uint64_t bad = 0, special = 0;
	bool ok;

	put_programs(t);
	for (uint64_t done = 0; done < rounds; done += batch_rounds) {
		unsigned n = rounds - done < batch_rounds ? (unsigned)(rounds - done) : batch_rounds;

		if (batch_rounds < BATCH)
			put_programs(t);
		batch(t, n);
		look(t, n, &bad, &special);
	}
	ok = !bad && !(t->host_shows_it && rounds >= 1000000 && batch_rounds == BATCH && !special);
	printf("%sok %u - %s: %llu rounds, ", ok ? "" : "not ", number, t->name, (unsigned long long)rounds);
	if (t->bad)
		printf("forbidden outcomes: %llu\n", (unsigned long long)bad);
	else
		printf("allowed, not sequential: %llu%s\n", (unsigned long long)special,
		       t->host_shows_it ? "" : " (need not be)");
	fflush(stdout);
	return ok;
}

/* ---- counters: all vcpus add to one, each in its own way; nothing may get lost */

static const struct counter {
	const char *name;
	unsigned n;		  /* vcpus */
	uint32_t code[VCPUS][12]; /* adds x9 to what is at [x20]; every program begins anew until x25 is 0 */
	uint64_t mask;
} counters[] = {
#define CAS_LOOP \
	LDR(4, LX), 0xaa0403e6 /* mov x6, x4 */, 0x8b090087 /* add x7, x4, x9 */, \
		0xc8e4fe87 /* casal x4, x7, [x20] */, 0xeb06009f /* cmp x4, x6 */, 0x54ffff61 /* b.ne */
#define LLSC(load, store) load, 0x8b090084 /* add x4, x4, x9 */, store, 0x35ffffa5	      /* cbnz w5, load */
	{"exclusives", 2, {{LLSC(LDXR(4, LX), STXR(5, 4, LX))}, {LLSC(LDAXR(4, LX), STLXR(5, 4, LX))}}, ~0ull},
	{"atomics", 2, {{LDADDL(9, 0, LX)}, {LDADDAL(9, 0, LX)}}, ~0ull},
	{"exclusives and atomics", 2, {{LLSC(LDXR(4, LX), STXR(5, 4, LX))}, {LDADDAL(9, 0, LX)}}, ~0ull},
	{"CAS and exclusives", 2, {{CAS_LOOP}, {LLSC(LDXR(4, LX), STXR(5, 4, LX))}}, ~0ull},
	{"bytes beside each other",
	 2,
	 {{0x085f7e84 /* ldxrb w4, [x20] */, 0x0b090084, 0x08057e84 /* stxrb w5, w4, [x20] */, 0x35ffffa5},
	  {0x91000686 /* add x6, x20, #1 */, 0x085f7cc4, 0x0b090084, 0x08057cc4, 0x35ffffa5}},
	 0xffff},
	{"halves of a doubleword, by words and by the whole",
	 2,
	 {{0x885f7e84 /* ldxr w4, [x20] */, 0x0b090084, 0x88057e84 /* stxr w5, w4, [x20] */, 0x35ffffa5},
	  {LLSC(LDXR(4, LX), STXR(5, 4, LX))}},
	 0xffffffff},
	{"pairs",
	 2,
	 {{0xc87f1e84 /* ldxp x4, x7, [x20] */, 0x8b090084, 0x8b0900e7 /* add x7, x7, x9 */,
	   0xc8251e84 /* stxp w5, x4, x7, [x20] */, 0x35ffff85 /* cbnz w5, ldxp */},
	  {LDADDAL(9, 0, LX)}},
	 ~0ull},
	{"four ways at once",
	 4,
	 {{LLSC(LDXR(4, LX), STXR(5, 4, LX))}, {LDADDAL(9, 0, LX)}, {CAS_LOOP}, {LLSC(LDAXR(4, LX), STLXR(5, 4, LX))}},
	 ~0ull},
	{"four by exclusives",
	 4,
	 {{LLSC(LDXR(4, LX), STXR(5, 4, LX))},
	  {LLSC(LDAXR(4, LX), STXR(5, 4, LX))},
	  {LLSC(LDXR(4, LX), STLXR(5, 4, LX))},
	  {LLSC(LDAXR(4, LX), STLXR(5, 4, LX))}},
	 ~0ull},
};
enum { N_COUNTERS = sizeof(counters) / sizeof(counters[0]) };

static bool count(const struct counter *c, uint64_t rounds, unsigned number)
{
	struct litmus t = {.name = c->name, .n = c->n};
	uint64_t want = 0, have;
	bool ok;

	put_programs(&t);
	for (unsigned i = 0; i < c->n; i++) {
		uint32_t *p = (uint32_t *)(void *)(ram + entry(i));
		unsigned n;

		put_program(i, c->code[i]);
		for (n = 0; p[n] != 0x91040294; n++)
			;
		p[n] = 0xd503201f; /* always the same place */
		for (n = 0; p[n] != 0xa8810700; n++)
			;
		p[n] = p[n + 1] = 0xd503201f;
	}
	for (uint64_t done = 0; done < rounds; done += BATCH)
		batch(&t, BATCH);
	memcpy(&have, ram + PAIRS, 8); /* batch() empties it */
	want = (uint64_t)c->n * BATCH;
	if (c->mask == 0xffff) /* a byte each */
		want = (BATCH & 0xff) | (uint64_t)(BATCH & 0xff) << 8;
	ok = (have & c->mask) == (want & c->mask);
	printf("%sok %u - %s: %u times %u additions make %llx\n", ok ? "" : "not ", number, c->name, c->n, BATCH,
	       (unsigned long long)have);
	return ok;
}

static bool wanted(int argc, char **argv, const char *name)
{
	bool any = false;

	for (int i = 1; i < argc; i++) {
		if (!strncmp(argv[i], "--", 2)) {
			i++;
			continue;
		}
		any = true;
		if (!strcmp(argv[i], name))
			return true;
	}
	return !any;
}

int main(int argc, char **argv)
{
	uint64_t rounds = 4 * BATCH;
	unsigned number = 0, failed = 0;

	for (int i = 1; i + 1 < argc; i++) {
		if (!strcmp(argv[i], "--rounds"))
			rounds = strtoull(argv[i + 1], NULL, 0);
		if (!strcmp(argv[i], "--seed"))
			rng = strtoull(argv[i + 1], NULL, 0);
		if (!strcmp(argv[i], "--anew"))
			batch_rounds = (unsigned)strtoul(argv[i + 1], NULL, 0);
	}
	if (!batch_rounds || batch_rounds > BATCH)
		batch_rounds = BATCH;
	machine_new();
	for (unsigned i = 0; i < N_TESTS; i++)
		if (wanted(argc, argv, tests[i].name))
			failed += !run(&tests[i], rounds, ++number);
	for (unsigned i = 0; i < N_COUNTERS; i++)
		if (wanted(argc, argv, counters[i].name))
			failed += !count(&counters[i], rounds, ++number);
	printf("1..%u\n", number);
	return failed != 0;
}
