/* SPDX-License-Identifier: MIT */
/*
 * A VM of one vcpu for tests that read like the rows of the KVM API: guest words in, exits and registers out. Public API
 * only, so the same tests make sense on a real /dev/kvm.
 */
#ifndef PAWL_TEST_API_H
#define PAWL_TEST_API_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pawl/kvm.h>
#include <pawl/pawl.h>

#include "kick.h"

/* ---- the machine: memory at ENTRY, nothing at DEVICE, a read-only page at READONLY */
#define ENTRY 0x40000000ull
#define VECTORS 0x40001000ull
#define DATA 0x40004000ull
#define EL0_CODE 0x40008000ull
#define RAM_SIZE 0x10000ull
#define READONLY 0x50000000ull
#define DEVICE 0x0a000000ull
#define DIST 0x08000000ull
#define REDIST 0x080a0000ull

/* The three calls on descriptors: the library's, or with --kvm PATH the system's. */
extern const char *kvm_path; /* NULL: the library */
int api_open(int flags);
int api_ioctl(int fd, unsigned long request, void *arg);
int api_close(int fd);

struct machine {
	int kvm, vm, vcpu, gic;
	struct kvm_run *run;
	uint8_t *ram, *rom;
	long result; /* of the last KVM_RUN: 0 or -errno */
};
extern struct machine m;

enum {
	WITHOUT_GIC = 1,
	WITH_NISV = 2,
	WITH_PMU = 4,
	WITHOUT_INIT = 8,
	POWERED_OFF = 16,
	WITH_RING = 32,
	WITH_RING_BITMAP = 64
};

/* Make the machine; the guest is the words up to the first 0. x10 = DATA, x11 = DEVICE, x12 = DIST, x13 = READONLY. */
void machine_new(unsigned flags);
void machine_free(void);
int add_vcpu(unsigned id, unsigned features, struct kvm_run **run);
void guest_words(unsigned flags, const uint32_t *words, unsigned n);
#define guest(...) guest_words(0, (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / 4)
#define guest_with(flags, ...) \
	guest_words(flags, (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / 4)
void put_words(uint64_t ipa, const uint32_t *words, unsigned n);

/* ---- its GICv3 */
void gic_reg(uint32_t group, uint64_t attr, uint64_t val); /* KVM_SET_DEVICE_ATTR */
void enable_irq(void);					   /* INTID 40, the timers' and SGI 0, group 1, at vcpu 0 */
void irq_line(int level);				   /* of INTID 40 */

/* ioctl that returns 0 or more, or the negative errno */
long call(int fd, unsigned long request, void *arg);
#define value(x) ((void *)(uintptr_t)(x))

/* ---- registers */
#define CORE_ID(field) (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(field))
#define X(n) (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | (uint64_t)(2 * (n)))
#define PC CORE_ID(regs.pc)
#define PSTATE CORE_ID(regs.pstate)
#define SYS(op0, op1, crn, crm, op2) ARM64_SYS_REG(op0, op1, crn, crm, op2)
#define VBAR_EL1 SYS(3, 0, 12, 0, 0)
#define ESR_EL1 SYS(3, 0, 5, 2, 0)
#define FAR_EL1 SYS(3, 0, 6, 0, 0)
#define SPSR_EL1 CORE_ID(spsr[0])
#define ELR_EL1 CORE_ID(elr_el1)
#define MDSCR_EL1 SYS(2, 0, 0, 2, 2)
uint64_t get_reg(uint64_t id);
void set_reg(uint64_t id, uint64_t val);
long try_get_reg(uint64_t id, void *val);
long try_set_reg(uint64_t id, const void *val);

/* ---- running */
void debug(uint32_t control); /* KVM_SET_GUEST_DEBUG */
#define STEP (KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP)
long run(void);				     /* KVM_RUN */
void answer(uint64_t data);		     /* for the MMIO read of the last exit */
void expect_exit(unsigned reason);	     /* run(), and this is how it ends */
void expect_error(int err);		     /* run(), and it fails with this errno */
void expect_step(uint64_t pc, uint32_t hsr); /* run(), and it is a step report here */
#define HSR_EXECUTED 0xcb000022u
#define HSR_EXCLUSIVE 0xcb000062u
#define HSR_PENDING 0xca000022u

/* SIG_KICK to the process, again and again; 0: no more. */
void kick_every(unsigned us);

/* ---- checks */
extern const char *test_name;
extern const char *test_variant; /* printed with a failure; NULL when a test begins */
_Noreturn void fail_at(const char *file, int line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
#define fail(...) fail_at(__FILE__, __LINE__, __VA_ARGS__)
_Noreturn void skip(const char *why); /* this test says nothing here */
void check_equal(const char *file, int line, const char *what, uint64_t have, uint64_t want);
#define expect_eq(have, want) check_equal(__FILE__, __LINE__, #have, (uint64_t)(have), (uint64_t)(want))
#define expect_pc(want) expect_eq(get_reg(PC), want)
#define expect_reg(id, want) expect_eq(get_reg(id), want)

struct test {
	const char *name;
	void (*fn)(void);
	struct test *next;
};
void test_register(struct test *t);
#define TEST(id) \
	static void test_##id(void); \
	__attribute__((constructor)) static void register_##id(void) \
	{ \
		static struct test t = {.name = #id, .fn = test_##id}; \
		test_register(&t); \
	} \
	static void test_##id(void)

/* ---- instructions */
#define NOP 0xd503201fu
#define SPIN 0x14000000u	 /* b . */
#define ADD_X0_1 0x91000400u	 /* add x0, x0, #1 */
#define ADD_X1_1 0x91000421u	 /* add x1, x1, #1 */
#define LDR_X0_DEV 0xf9400160u	 /* ldr x0, [x11] */
#define LDR_W0_DEV 0xb9400160u	 /* ldr w0, [x11] */
#define LDRSB_X0_DEV 0x39800160u /* ldrsb x0, [x11] */
#define LDRSH_W0_DEV 0x79c00160u /* ldrsh w0, [x11] */
#define STR_X3_DEV 0xf9000163u	 /* str x3, [x11] */
#define STR_W3_DEV 0xb9000163u	 /* str w3, [x11] */
#define STR_X1_RAM 0xf9000141u	 /* str x1, [x10] */
#define LDP_DEV 0xa9400560u	 /* ldp x0, x1, [x11] */
#define STR_X3_ROM 0xf90001a3u	 /* str x3, [x13] */
#define LDR_W0_DIST 0xb9400180u	 /* ldr w0, [x12] */
#define HVC 0xd4000002u		 /* hvc #0 */
#define SMC 0xd4000003u		 /* smc #0 */
#define SMC_1 0xd4000023u	 /* smc #1 */
#define SVC 0xd4000001u		 /* svc #0 */
#define BRK 0xd4202460u		 /* brk #0x123 */
#define WFI 0xd503207fu
#define ERET 0xd69f03e0u
#define MRS_X2_ESR 0xd5385202u /* mrs x2, esr_el1 */

#endif
