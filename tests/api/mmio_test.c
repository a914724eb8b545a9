/* SPDX-License-Identifier: MIT */
/* KVM_EXIT_MMIO, KVM_EXIT_ARM_NISV, and what happens at addresses without memory. */
#include <sys/mman.h>

#include "harness.h"

static uint64_t load(uint32_t insn, uint64_t data)
{
	uint64_t val;

	guest(insn, STR_X3_DEV);
	expect_exit(KVM_EXIT_MMIO);
	expect_eq(m.run->mmio.is_write, 0);
	answer(data);
	expect_exit(KVM_EXIT_MMIO);
	val = get_reg(X(0));
	machine_free();
	return val;
}

TEST(mmio_loads_extend_as_their_instruction_says)
{
	expect_eq(load(0x39400160 /* ldrb w0, [x11] */, 0xf1e2d3c4b5a69788), 0x88);
	expect_eq(load(LDRSB_X0_DEV, 0xf1e2d3c4b5a69788), 0xffffffffffffff88);
	expect_eq(load(0x39c00160 /* ldrsb w0, [x11] */, 0xf1e2d3c4b5a69788), 0xffffff88);
	expect_eq(load(LDRSH_W0_DEV, 0xf1e2d3c4b5a69788), 0xffff9788);
	expect_eq(load(0x79800160 /* ldrsh x0, [x11] */, 0xf1e2d3c4b5a69788), 0xffffffffffff9788);
	expect_eq(load(LDR_W0_DEV, 0xf1e2d3c4b5a69788), 0xb5a69788);
	expect_eq(load(0xb9800160 /* ldrsw x0, [x11] */, 0xf1e2d3c4b5a69788), 0xffffffffb5a69788);
	expect_eq(load(LDR_X0_DEV, 0xf1e2d3c4b5a69788), 0xf1e2d3c4b5a69788);
}

TEST(mmio_store_carries_its_bytes_and_nothing_else)
{
	static const uint8_t want[8] = {0x88, 0x97, 0xa6, 0xb5};

	guest(STR_W3_DEV);
	set_reg(X(3), 0xf1e2d3c4b5a69788);
	expect_exit(KVM_EXIT_MMIO);
	expect_eq(m.run->mmio.phys_addr, DEVICE);
	expect_eq(m.run->mmio.len, 4);
	expect_eq(m.run->mmio.is_write, 1);
	expect_eq(memcmp(m.run->mmio.data, want, 8), 0);
	expect_pc(ENTRY);
}

TEST(mmio_is_completed_by_the_next_run_only)
{
	guest(LDR_X0_DEV, STR_X3_DEV);
	expect_exit(KVM_EXIT_MMIO);
	answer(5);
	expect_pc(ENTRY);
	expect_reg(X(0), 0);
	expect_exit(KVM_EXIT_MMIO);
	expect_pc(ENTRY + 4);
	expect_reg(X(0), 5);
}

TEST(mmio_destination_written_in_between_is_overwritten)
{
	guest(LDR_X0_DEV, STR_X3_DEV);
	expect_exit(KVM_EXIT_MMIO);
	set_reg(X(0), 0x5555);
	answer(6);
	expect_exit(KVM_EXIT_MMIO);
	expect_reg(X(0), 6);
}

TEST(mmio_is_repeated_if_the_client_overwrites_exit_reason)
{
	guest(LDR_X0_DEV, NOP);
	expect_exit(KVM_EXIT_MMIO);
	m.run->exit_reason = 0;
	expect_exit(KVM_EXIT_MMIO);
	expect_pc(ENTRY);
	expect_eq(m.run->mmio.is_write, 0);
}

TEST(mmio_to_xzr_is_discarded)
{
	guest(0xf940017f /* ldr xzr, [x11] */, STR_X3_DEV);
	expect_exit(KVM_EXIT_MMIO);
	answer(9);
	expect_exit(KVM_EXIT_MMIO);
	expect_pc(ENTRY + 4);
}

TEST(store_to_a_read_only_slot_is_mmio_and_leaves_it_alone)
{
	guest(STR_X3_ROM, 0xf94001a0 /* ldr x0, [x13] */, STR_X3_DEV);
	memcpy(m.rom, &(uint64_t){0x77}, 8);
	set_reg(X(3), 0x99);
	expect_exit(KVM_EXIT_MMIO);
	expect_eq(m.run->mmio.phys_addr, READONLY);
	expect_exit(KVM_EXIT_MMIO);
	expect_eq(m.run->mmio.phys_addr, DEVICE);
	expect_reg(X(0), 0x77);
}

TEST(access_without_syndrome_is_enosys_unless_the_client_asked_for_it)
{
	guest(LDP_DEV);
	expect_error(ENOSYS);
	expect_pc(ENTRY);
	machine_free();
	guest_with(WITH_NISV, LDP_DEV);
	expect_exit(KVM_EXIT_ARM_NISV);
	expect_eq(m.run->arm_nisv.fault_ipa, DEVICE);
	expect_eq(m.run->arm_nisv.esr_iss & ~0x17full, 0);
	expect_pc(ENTRY);
}

TEST(fetch_outside_memory_is_an_external_abort_for_the_guest)
{
	guest(0xd61f0160 /* br x11 */);
	put_words(VECTORS + 0x200, (const uint32_t[]){MRS_X2_ESR, STR_X3_DEV}, 2);
	expect_exit(KVM_EXIT_MMIO);
	expect_reg(ESR_EL1, 0x86000010);
	expect_reg(FAR_EL1, DEVICE);
	expect_reg(ELR_EL1, DEVICE);
}

TEST(access_beyond_the_ipa_size_is_an_external_abort_for_the_guest)
{
	guest(0xf9400160 /* ldr x0, [x11] */);
	set_reg(X(11), 1ull << 40);
	put_words(VECTORS + 0x200, (const uint32_t[]){MRS_X2_ESR, 0xf9000183 /* str x3, [x12] */}, 2);
	set_reg(X(12), DEVICE);
	expect_exit(KVM_EXIT_MMIO);
	expect_reg(ESR_EL1, 0x96000010);
	expect_reg(FAR_EL1, 1ull << 40);
}

TEST(coalesced_writes_fill_the_ring_and_then_exit)
{
	struct kvm_coalesced_mmio_zone zone = {.addr = DEVICE, .size = 0x100};
	struct kvm_coalesced_mmio_ring *ring;
	long page;
	char *map;

	guest(STR_X3_DEV, 0x17ffffff /* b .-4 */);
	page = call(m.kvm, KVM_CHECK_EXTENSION, value(KVM_CAP_COALESCED_MMIO));
	expect_eq(page, 1);
	map = kvm_path ? mmap(NULL, 2 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, m.vcpu, 0)
		       : pawl_mmap(NULL, 2 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, m.vcpu, 0);
	ring = (void *)(map + 4096);
	expect_eq(call(m.vm, KVM_REGISTER_COALESCED_MMIO, &zone), 0);
	set_reg(X(3), 0xabcd);
	expect_exit(KVM_EXIT_MMIO);
	expect_eq(ring->first, 0);
	expect_eq(ring->last, 169);
	expect_eq(ring->coalesced_mmio[0].phys_addr, DEVICE);
	expect_eq(ring->coalesced_mmio[0].len, 8);
	expect_eq(ring->coalesced_mmio[168].data[0], 0xcd);
	expect_eq(call(m.vm, KVM_UNREGISTER_COALESCED_MMIO, &zone), 0);
	ring->first = ring->last;
	expect_exit(KVM_EXIT_MMIO);
	expect_eq(ring->last, 169);
	zone.pio = 2;
	expect_eq(call(m.vm, KVM_REGISTER_COALESCED_MMIO, &zone), -EINVAL);
	expect_eq(call(m.vm, KVM_UNREGISTER_COALESCED_MMIO, &zone), -EINVAL);
}
