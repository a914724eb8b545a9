/* SPDX-License-Identifier: MIT */
/*
 * A VM for tests of kvm/'s devices: what they call in the rest of kvm/ is here, weak, so that a test can link the real
 * thing instead.
 */
#ifndef TESTS_VGIC_FAKE_H
#define TESTS_VGIC_FAKE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kvm.h"
#include "vgic.h"

enum { DIST = 0x08000000, REDIST = 0x080a0000, GICC = 0x08010000, REDIST_SIZE = 0x20000, SGI_FRAME = 0x10000 };

/* Guest RAM of every fake VM */
enum { FAKE_RAM = 0x40000000, FAKE_RAM_SIZE = 0x100000 };
extern uint8_t fake_ram[FAKE_RAM_SIZE];

struct fake {
	struct vm vm;
	unsigned kicks[VM_MAX_VCPUS]; /* by vcpu index */
	struct io_dev *bus;
	ipa_t device; /* memslot_set_device */
	uint64_t device_size;
	/* the last service_timer_arm and service_fd_add */
	struct service_timer *timer;
	void (*fd_fn)(void *arg, int fd);
	void *fd_arg;
	int fd;
	unsigned waits; /* vcpu_wait_for_interrupt */
};

extern uint64_t fake_counter; /* cpu_group_counter */

struct fake *fake_new(unsigned vcpus); /* with initialised, RUNNABLE vcpus of ids 0.. */
void fake_add_vcpu(struct fake *f, unsigned id);
int fake_try_add_vcpu(struct fake *f, unsigned id);
void fake_free(struct fake *f);
void fake_vcpu_created(struct vcpu *vcpu); /* a test may have its own: called before the vcpu counts */
static inline struct fake *fake_of(struct vm *vm)
{
	return (struct fake *)vm;
}

/* A GICv3 or GICv2 with the addresses above, initialised and mapped. */
struct fake *fake_gicv3(unsigned vcpus);
struct fake *fake_gicv2(unsigned vcpus);
void all_levels(struct fake *f); /* all SPIs level-sensitive, as operating systems begin; done in these two */

/* Device attributes */
int attr_set(struct fake *f, uint32_t group, uint64_t attr, const void *val);
int attr_get(struct fake *f, uint32_t group, uint64_t attr, void *val);
int attr_has(struct fake *f, uint32_t group, uint64_t attr);

/* Accesses of a vcpu to the bus and to a GICv2's CPU interface; reading where nobody answers fails the test */
uint64_t bus_read(struct fake *f, unsigned vcpu, ipa_t ipa, unsigned len);
void bus_write(struct fake *f, unsigned vcpu, ipa_t ipa, unsigned len, uint64_t val);

/* ICC_*_EL1 */
#define ICC_PMR SYSREG(3, 0, 4, 6, 0)
#define ICC_IAR0 SYSREG(3, 0, 12, 8, 0)
#define ICC_EOIR0 SYSREG(3, 0, 12, 8, 1)
#define ICC_HPPIR0 SYSREG(3, 0, 12, 8, 2)
#define ICC_BPR0 SYSREG(3, 0, 12, 8, 3)
#define ICC_AP0R0 SYSREG(3, 0, 12, 8, 4)
#define ICC_AP0R1 SYSREG(3, 0, 12, 8, 5)
#define ICC_AP1R0 SYSREG(3, 0, 12, 9, 0)
#define ICC_AP1R1 SYSREG(3, 0, 12, 9, 1)
#define ICC_DIR SYSREG(3, 0, 12, 11, 1)
#define ICC_RPR SYSREG(3, 0, 12, 11, 3)
#define ICC_IAR1 SYSREG(3, 0, 12, 12, 0)
#define ICC_EOIR1 SYSREG(3, 0, 12, 12, 1)
#define ICC_HPPIR1 SYSREG(3, 0, 12, 12, 2)
#define ICC_BPR1 SYSREG(3, 0, 12, 12, 3)
#define ICC_CTLR SYSREG(3, 0, 12, 12, 4)
#define ICC_SRE SYSREG(3, 0, 12, 12, 5)
#define ICC_IGRPEN0 SYSREG(3, 0, 12, 12, 6)
#define ICC_IGRPEN1 SYSREG(3, 0, 12, 12, 7)
uint64_t icc_read(struct fake *f, unsigned vcpu, uint32_t enc);
void icc_write(struct fake *f, unsigned vcpu, uint32_t enc, uint64_t val);

/* What the PE of a vcpu sees: CPU_IRQ, CPU_FIQ */
static inline uint32_t lines(struct fake *f, unsigned vcpu)
{
	return atomic_load(&f->vm.vcpus[vcpu]->cpu->irq_in);
}

#endif
