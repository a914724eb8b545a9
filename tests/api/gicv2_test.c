/* SPDX-License-Identifier: MIT */
/* The CPU interface of a GICv2 as a guest's instructions reach it: mapped registers, not emulated accesses. */
#include "harness.h"

#define GICC (DIST + 0x10000)
static int gic;

enum { CTLR_ENABLE = 1, PMR = 0xf0, SPI = 40 };

static void put(int fd, uint32_t group, uint64_t attr, const void *val)
{
	struct kvm_device_attr a = {.group = group, .attr = attr, .addr = (uintptr_t)val};

	expect_eq(call(fd, KVM_SET_DEVICE_ATTR, &a), 0);
}

/* x9 = the CPU interface; SPI 40 is pending. */
static void machine(uint32_t insn)
{
	struct kvm_create_device d = {.type = KVM_DEV_TYPE_ARM_VGIC_V2};
	struct kvm_irq_level line = {.irq = KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT | SPI, .level = 1};
	uint64_t dist = DIST, gicc = GICC;
	uint32_t word = 1, spi = 1u << (SPI - 32), pmr = PMR >> 3;

	guest_with(WITHOUT_GIC, insn, STR_X3_DEV);
	expect_eq(call(m.vm, KVM_CREATE_DEVICE, &d), 0);
	put((int)d.fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V2_ADDR_TYPE_DIST, &dist);
	put((int)d.fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V2_ADDR_TYPE_CPU, &gicc);
	put((int)d.fd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL);
	put((int)d.fd, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0, &word);
	put((int)d.fd, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x104, &spi);
	put((int)d.fd, KVM_DEV_ARM_VGIC_GRP_CPU_REGS, 0, &word);
	put((int)d.fd, KVM_DEV_ARM_VGIC_GRP_CPU_REGS, 4, &pmr);
	expect_eq(call(m.vm, KVM_IRQ_LINE, &line), 0);
	gic = (int)d.fd;
	set_reg(X(9), GICC);
}

static uint32_t gicc(uint32_t off)
{
	uint32_t val = 0;
	struct kvm_device_attr a = {.group = KVM_DEV_ARM_VGIC_GRP_CPU_REGS, .attr = off, .addr = (uintptr_t)&val};

	expect_eq(call(gic, KVM_GET_DEVICE_ATTR, &a), 0);
	return val;
}

static bool is_active(void)
{
	uint32_t val = 0;
	struct kvm_device_attr a = {.group = KVM_DEV_ARM_VGIC_GRP_DIST_REGS, .attr = 0x304, .addr = (uintptr_t)&val};

	expect_eq(call(gic, KVM_GET_DEVICE_ATTR, &a), 0);
	return val >> (SPI - 32) & 1;
}

TEST(a_pair_is_two_registers)
{
	machine(0x29400520 /* ldp w0, w1, [x9] */);
	expect_exit(KVM_EXIT_MMIO);
	expect_reg(X(0), CTLR_ENABLE);
	expect_reg(X(1), PMR);
	expect_eq(is_active(), 0);
	machine_free();
	machine(0x29410520 /* ldp w0, w1, [x9, #8]: BPR, IAR */);
	expect_exit(KVM_EXIT_MMIO);
	expect_reg(X(1), SPI);
	expect_eq(is_active(), 1);
	machine_free();
	machine(0x29000d22 /* stp w2, w3, [x9] */);
	set_reg(X(2), 3);
	set_reg(X(3), 0x80);
	expect_exit(KVM_EXIT_MMIO);
	expect_eq(gicc(0), 3);
	expect_eq(gicc(4), 0x80 >> 3);
}

TEST(a_vector_is_as_many_registers_as_it_has_words)
{
	const uint64_t v0 =
		KVM_REG_ARM64 | KVM_REG_SIZE_U128 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(fp_regs.vregs[0]);
	const uint64_t cpacr = 3u << 20;
	uint32_t v[4] = {0};

	machine(0x4c407920 /* ld1 {v0.4s}, [x9] */);
	set_reg(SYS(3, 0, 1, 0, 2), cpacr);
	expect_exit(KVM_EXIT_MMIO);
	expect_eq(try_get_reg(v0, v), 0);
	expect_eq(v[0], CTLR_ENABLE);
	expect_eq(v[1], PMR);
	expect_eq(v[3], SPI);
	expect_eq(is_active(), 1);
	machine_free();
	machine(0xbd000520 /* str s0, [x9, #4] */);
	set_reg(SYS(3, 0, 1, 0, 2), cpacr);
	v[0] = 0xa0;
	expect_eq(try_set_reg(v0, v), 0);
	expect_exit(KVM_EXIT_MMIO);
	expect_eq(gicc(4), 0xa0 >> 3);
}

TEST(writeback_and_register_offsets_are_as_for_memory)
{
	machine(0xb8404d20 /* ldr w0, [x9, #4]! */);
	expect_exit(KVM_EXIT_MMIO);
	expect_reg(X(0), PMR);
	expect_reg(X(9), GICC + 4);
	machine_free();
	machine(0xb8004523 /* str w3, [x9], #4 */);
	expect_exit(KVM_EXIT_MMIO);
	expect_reg(X(9), GICC + 4);
	expect_eq(gicc(0), 0);
}

/* IMPLEMENTATION DEFINED for hardware, which may give an external abort. */
TEST(an_atomic_reads_and_writes_the_register)
{
	machine(0xb8230120 /* ldadd w3, w0, [x9] */);
	set_reg(X(3), 1);
	expect_exit(KVM_EXIT_MMIO);
	expect_reg(X(0), CTLR_ENABLE);
	expect_eq(gicc(0), CTLR_ENABLE + 1);
	machine_free();
	machine(0x885f7d20 /* ldxr w0, [x9] */);
	expect_exit(KVM_EXIT_MMIO);
	expect_reg(X(0), CTLR_ENABLE);
}

TEST(a_zeroed_block_is_an_alignment_fault_as_for_any_device)
{
	machine(0xd50b7429 /* dc zva, x9 */);
	put_words(VECTORS + 0x200, (const uint32_t[]){STR_X3_DEV}, 1);
	expect_exit(KVM_EXIT_MMIO);
	expect_pc(VECTORS + 0x200);
	expect_reg(ESR_EL1, 0x96000061);
	expect_eq(gicc(0), CTLR_ENABLE);
}
