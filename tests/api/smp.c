/* SPDX-License-Identifier: MIT */
#include "smp.h"

#include <sys/mman.h>

struct one one[VCPUS];
__thread struct one *self;

void smp_set(unsigned vcpu, uint64_t id, uint64_t val)
{
	struct kvm_one_reg r = {id, (uintptr_t)&val};

	expect_eq(call(one[vcpu].fd, KVM_SET_ONE_REG, &r), 0);
}

static void add_gic(void)
{
	struct kvm_create_device d = {.type = KVM_DEV_TYPE_ARM_VGIC_V3};

	expect_eq(call(m.vm, KVM_CREATE_DEVICE, &d), 0);
	m.gic = (int)d.fd;
	gic_reg(KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, DIST);
	gic_reg(KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, REDIST);
	gic_reg(KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, 0);
	gic_reg(KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x0, 0x12);
	for (unsigned word = 1; word < 3; word++) {
		gic_reg(KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x80 + 4 * word, 0xffffffff);
		gic_reg(KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x100 + 4 * word, 0xffffffff);
	}
	for (uint64_t i = 0; i < VCPUS; i++) {
		gic_reg(KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, i << 32 | 0x10080, 0xffffffff);
		gic_reg(KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, i << 32 | 0x10100, 0xffffffff);
		gic_reg(KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, i << 32 | 3 << 14 | 4 << 7 | 6 << 3, 0xf0);
		gic_reg(KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, i << 32 | 3 << 14 | 12 << 7 | 12 << 3 | 7, 1);
	}
}

void smp_new(const uint32_t *code, unsigned words)
{
	machine_new(WITHOUT_GIC);
	one[0].fd = m.vcpu;
	one[0].run = m.run;
	for (unsigned i = 1; i < VCPUS; i++)
		one[i].fd = add_vcpu(i, 1u << KVM_ARM_VCPU_PSCI_0_2, &one[i].run);
	add_gic();
	put_words(ENTRY, code, words);
	for (unsigned i = 0; i < VCPUS; i++) {
		atomic_store(&one[i].exits, 0);
		atomic_store(&one[i].done, false);
		smp_set(i, PC, ENTRY);
	}
}

void smp_free(void)
{
	for (unsigned i = 1; i < VCPUS; i++) {
		munmap(one[i].run, 8192);
		api_close(one[i].fd);
	}
}

static KICK_HANDLER void on_kick(int sig)
{
	pawl_signal_ran();
}

static KICK_HANDLER void on_kick_too(int sig)
{
	if (self)
		*(volatile uint8_t *)&self->run->immediate_exit = 1;
}

void smp_handle_signals(int sa_flags)
{
	kick_handle(SIG_KICK, on_kick, sa_flags);
	kick_handle(SIG_KICK_TOO, on_kick_too, sa_flags);
}
