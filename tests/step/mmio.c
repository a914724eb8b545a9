/* SPDX-License-Identifier: MIT */
/* Rows 6 to 16: accesses that find no memory. */
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "step.h"

#define REPLY 0xf1e2d3c4b5a69788ull

TEST(row_06_a_load_from_a_device_of_the_client_exits_first_and_is_reported_by_the_next_run)
{
	static const struct {
		const char *text;
		uint32_t insn;
		unsigned len;
		uint64_t x0;
	} rows[] = {
		{"ldrb", 0x39400160 /* ldrb w0, [x11] */, 1, 0x88},
		{"ldrsb x", 0x39800160 /* ldrsb x0, [x11] */, 1, 0xffffffffffffff88},
		{"ldrsb w", 0x39c00160 /* ldrsb w0, [x11] */, 1, 0xffffff88},
		{"ldrh", 0x79400160 /* ldrh w0, [x11] */, 2, 0x9788},
		{"ldrsh x", 0x79800160 /* ldrsh x0, [x11] */, 2, 0xffffffffffff9788},
		{"ldrsh w", 0x79c00160 /* ldrsh w0, [x11] */, 2, 0xffff9788},
		{"ldr w", 0xb9400160 /* ldr w0, [x11] */, 4, 0xb5a69788},
		{"ldrsw", 0xb9800160 /* ldrsw x0, [x11] */, 4, 0xffffffffb5a69788},
		{"ldr x", 0xf9400160 /* ldr x0, [x11] */, 8, REPLY},
		{"ldur x", 0xf8400160 /* ldur x0, [x11] */, 8, REPLY},
		{"ldtr x", 0xf8400960 /* ldtr x0, [x11] */, 8, REPLY},
		{"ldar x", 0xc8dffd60 /* ldar x0, [x11] */, 8, REPLY},
		{"ldarb", 0x08dffd60 /* ldarb w0, [x11] */, 1, 0x88},
		{"ldapr", 0xb8bfc160 /* ldapr w0, [x11] */, 4, 0xb5a69788},
		{"register offset", 0xb8616960 /* ldr w0, [x11, x1] */, 4, 0xb5a69788},
		{"ldr xzr", 0xf940017f /* ldr xzr, [x11] */, 8, 0x77},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		variant(rows[i].text);
		stepping(0, rows[i].insn);
		set_reg(X(0), 0x77);
		mmio_read(DEVICE, rows[i].len);
		says(get_reg(X(0)), 0x77, "x0 at the MMIO exit, where nothing may be committed,");
		answer(REPLY);
		step_skipped(ENTRY + 4);
		says(get_reg(X(0)), rows[i].x0, "x0 at the report");
		step_executed(ENTRY + 8);
	}
	variant("back to back");
	guest(LDR_W0_DEV, LDR_W0_DEV, LDR_W0_DEV);
	debug(STEP);
	for (uint64_t i = 0; i < 3; i++) {
		mmio_read(DEVICE, 4);
		step_skipped(ENTRY + 4 * (i + 1));
	}
}

TEST(row_07_a_store_to_a_device_of_the_client_exits_first_and_is_reported_by_the_next_run)
{
	static const struct {
		const char *text;
		uint32_t insn;
		unsigned len;
		uint64_t data;
	} rows[] = {
		{"strb", 0x39000163 /* strb w3, [x11] */, 1, 0x08},
		{"strh", 0x79000163 /* strh w3, [x11] */, 2, 0x0708},
		{"str w", 0xb9000163 /* str w3, [x11] */, 4, 0x05060708},
		{"str x", 0xf9000163 /* str x3, [x11] */, 8, 0x0102030405060708},
		{"str xzr", 0xf900017f /* str xzr, [x11] */, 8, 0},
		{"stlr", 0xc89ffd63 /* stlr x3, [x11] */, 8, 0x0102030405060708},
		{"sttr", 0xb8000963 /* sttr w3, [x11] */, 4, 0x05060708},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t data = 0;

		variant(rows[i].text);
		stepping(0, rows[i].insn);
		set_reg(X(3), 0x0102030405060708);
		mmio_write(DEVICE, rows[i].len);
		memcpy(&data, m.run->mmio.data, rows[i].len);
		says(data, rows[i].data, "the data of the MMIO exit");
		step_skipped(ENTRY + 4);
		step_executed(ENTRY + 8);
	}
	variant("a store to a read-only slot");
	stepping(0, 0x790001a3 /* strh w3, [x13] */);
	set_reg(X(3), 0x1122);
	mmio_write(READONLY, 2);
	says(m.rom[0], 0, "the byte of the read-only slot");
	step_skipped(ENTRY + 4);
}

TEST(row_08_an_access_that_the_kernel_emulates_is_reported_in_the_same_run)
{
	static const struct {
		const char *text;
		uint32_t insn;
	} rows[] = {
		{"distributor read", 0xb9400580 /* ldr w0, [x12, #4] */},
		{"distributor write", 0xb9000183 /* str w3, [x12] */},
		{"distributor byte", 0x39508180 /* ldrb w0, [x12, #0x420] */},
		{"redistributor read", 0xb94009e0 /* ldr w0, [x15, #8] */},
		{"redistributor 64 bits", 0xf94005e0 /* ldr x0, [x15, #8] */},
		{"redistributor write", 0xb90015e3 /* str w3, [x15, #0x14] */},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		variant(rows[i].text);
		stepping(0, rows[i].insn);
		step_skipped(ENTRY + 4);
		step_executed(ENTRY + 8);
	}
	variant("ioeventfd");
	{
		struct kvm_ioeventfd e = {.addr = DEVICE, .len = 4, .fd = eventfd(0, EFD_NONBLOCK)};
		uint64_t n = 0;

		stepping(0, STR_W3_DEV);
		says(call(m.vm, KVM_IOEVENTFD, &e), 0, "KVM_IOEVENTFD");
		step_skipped(ENTRY + 4);
		says(read(e.fd, &n, 8), 8, "the bytes read from the eventfd");
		says(n, 1, "the eventfd's count");
		close(e.fd);
	}
	variant("coalesced");
	{
		struct kvm_coalesced_mmio_zone z = {.addr = DEVICE, .size = 0x100};

		guest(STR_W3_DEV, STR_W3_DEV, LDR_W0_DEV);
		says(call(m.vm, KVM_REGISTER_COALESCED_MMIO, &z), 0, "KVM_REGISTER_COALESCED_MMIO");
		debug(STEP);
		step_skipped(ENTRY + 4);
		step_skipped(ENTRY + 8);
		mmio_read(DEVICE, 4);
		step_skipped(ENTRY + 12);
	}
}

TEST(row_09_an_access_of_the_wrong_size_or_place_in_the_gic_reads_as_zero_and_is_reported)
{
	static const struct {
		const char *text;
		uint32_t insn;
	} rows[] = {
		{"halfword of the distributor", 0x79400980 /* ldrh w0, [x12, #4] */},
		{"doubleword of the distributor", 0xf9400180 /* ldr x0, [x12] */},
		{"halfword of the redistributor", 0x794011e0 /* ldrh w0, [x15, #8] */},
		{"unimplemented register", 0xb940c180 /* ldr w0, [x12, #0xc0] */},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		variant(rows[i].text);
		stepping(0, rows[i].insn);
		set_reg(X(0), 0x77);
		step_skipped(ENTRY + 4);
		says(get_reg(X(0)), 0, "what was read");
		step_executed(ENTRY + 8);
	}
	variant("a store of the wrong size");
	stepping(0, 0x79000983 /* strh w3, [x12, #4] */);
	step_skipped(ENTRY + 4);
}

TEST(row_08_the_cpu_interface_of_a_gicv2_is_mapped_and_an_access_to_it_is_executed)
{
	static const struct {
		const char *text;
		uint32_t insn;
	} rows[] = {
		{"GICC_CTLR read", 0xb9400120 /* ldr w0, [x9] */},
		{"GICC_PMR write", 0xb9000523 /* str w3, [x9, #4] */},
		{"GICC_IAR read", 0xb9400d20 /* ldr w0, [x9, #12] */},
		{"pair", 0x29408520 /* ldp w0, w1, [x9, #4] */},
		{"pair written", 0x29000d22 /* stp w2, w3, [x9] */},
		{"writeback", 0xb8404d20 /* ldr w0, [x9, #4]! */},
		{"vector", 0x4c407920 /* ld1 {v0.4s}, [x9] */},
		{"SIMD register written", 0xbd000521 /* str s1, [x9, #4] */},
		{"clean by address", 0xd50b7a29 /* dc cvac, x9 */},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		variant(rows[i].text);
		guest_gicv2(rows[i].insn, 0xb9400180 /* ldr w0, [x12] */);
		debug(STEP);
		step_executed(ENTRY + 4);
		step_skipped(ENTRY + 8);
		step_executed(ENTRY + 12);
	}
}

/* With a proxy the kernel skips it and makes an SError pending. Where the interface is mapped, as here, it is an instruction like others. */
TEST(row_10_an_odd_access_to_gicv_is_one_step_and_shows_nothing)
{
	static const struct {
		const char *text;
		uint32_t insn;
	} rows[] = {
		{"doubleword", 0xf9400120 /* ldr x0, [x9] */},
		{"byte", 0x39401120 /* ldrb w0, [x9, #4] */},
		{"halfword", 0x79400920 /* ldrh w0, [x9, #4] */},
		{"pair of doublewords", 0xa9400520 /* ldp x0, x1, [x9] */},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		variant(rows[i].text);
		guest_gicv2(rows[i].insn, NOP);
		if (kvm_path)
			skip("up to the hardware");
		set_reg(X(0), 0x77);
		debug(STEP);
		step_executed(ENTRY + 4);
		says(get_reg(X(0)), 0, "what was read");
		step_executed(ENTRY + 8);
	}
	variant("unaligned");
	guest_gicv2(0xb8402120 /* ldur w0, [x9, #2] */, NOP);
	debug(STEP);
	step_vector(EL1H_VECTOR);
	says(get_reg(ESR_EL1), 0x96000021, "ESR_EL1 of the alignment fault");
	variant("unaligned, and memory for stage 1");
	guest_gicv2(0xb8402120 /* ldur w0, [x9, #2] */, NOP);
	stage1_on();
	debug(STEP);
	says(run(), -EFAULT, "the result of KVM_RUN, which has an alignment fault of stage 2,");
}

TEST(row_11_an_access_to_an_address_with_nothing_is_an_ordinary_mmio_exit)
{
	variant("in no memslot, store");
	stepping(0, 0xf90001c3 /* str x3, [x14] */);
	mmio_write(HOLE, 8);
	step_skipped(ENTRY + 4);
	variant("in no memslot, load");
	stepping(0, 0xb947fdc0 /* ldr w0, [x14, #0x7fc] */);
	mmio_read(HOLE + 0x7fc, 4);
	step_skipped(ENTRY + 4);
	variant("distributor's address without a GIC");
	stepping(WITHOUT_GIC, LDR_W0_DIST);
	mmio_read(DIST, 4);
	step_skipped(ENTRY + 4);
	variant("just behind a memslot");
	stepping(0, 0xb9400120 /* ldr w0, [x9] */);
	set_reg(X(9), ENTRY + RAM_SIZE);
	mmio_read(ENTRY + RAM_SIZE, 4);
	step_skipped(ENTRY + 4);
}

TEST(row_12_an_address_beyond_the_vms_is_an_external_abort_for_the_guest)
{
	variant("data");
	stepping(0, 0xf9400120 /* ldr x0, [x9] */);
	set_reg(X(9), 1ull << 40);
	step_vector(EL1H_VECTOR);
	says(get_reg(ESR_EL1), 0x96000010, "ESR_EL1");
	says(get_reg(FAR_EL1), 1ull << 40, "FAR_EL1");
	says(get_reg(ELR_EL1), ENTRY, "ELR_EL1");
	variant("fetch");
	stepping(0, 0xd61f0120 /* br x9 */);
	set_reg(X(9), 1ull << 40);
	step_executed(1ull << 40);
	step_vector(EL1H_VECTOR);
	says(get_reg(ESR_EL1), 0x86000010, "ESR_EL1");
	says(get_reg(ELR_EL1), 1ull << 40, "ELR_EL1");
}

static const struct {
	const char *text;
	uint32_t insn;
	bool write, stage1;
} no_syndrome[] = {
	{"ldp", 0xa9400560 /* ldp x0, x1, [x11] */, false, false},
	{"stp", 0xa9000560 /* stp x0, x1, [x11] */, true, false},
	{"ldpsw", 0x69400560 /* ldpsw x0, x1, [x11] */, false, false},
	{"ldr pre-index", 0xf8408d60 /* ldr x0, [x11, #8]! */, false, false},
	{"ldr post-index", 0xf8408560 /* ldr x0, [x11], #8 */, false, false},
	{"str pre-index", 0xf8008d60 /* str x0, [x11, #8]! */, true, false},
	{"ldr q", 0x3dc00160 /* ldr q0, [x11] */, false, false},
	{"str d", 0xfd000160 /* str d0, [x11] */, true, false},
	{"ld1", 0x4c407160 /* ld1 {v0.16b}, [x11] */, false, false},
	{"st1", 0x4c007160 /* st1 {v0.16b}, [x11] */, true, false},
	{"ldxr", 0xc85f7d60 /* ldxr x0, [x11] */, false, false},
	{"ldadd", 0xf8210160 /* ldadd x1, x0, [x11] */, true, false},
	{"swp", 0xf8218160 /* swp x1, x0, [x11] */, true, false},
	{"cas", 0xc8a07d61 /* cas x0, x1, [x11] */, true, false},
	{"dc zva", 0xd50b742b /* dc zva, x11 */, true, true},
};
enum { N_NO_SYNDROME = sizeof(no_syndrome) / sizeof(no_syndrome[0]) };

static void without_syndrome(unsigned i, unsigned flags)
{
	variant(no_syndrome[i].text);
	stepping(flags, no_syndrome[i].insn);
	set_reg(SYS(3, 0, 1, 0, 2), 3 << 20);
	if (no_syndrome[i].stage1)
		stage1_on();
}

TEST(row_13_an_access_without_syndrome_is_enosys_and_no_step)
{
	for (unsigned i = 0; i < N_NO_SYNDROME; i++) {
		without_syndrome(i, 0);
		for (int again = 0; again < 3; again++) {
			says(run(), -ENOSYS, "the result of KVM_RUN");
			says(m.run->exit_reason, 0, "the exit reason");
			says(get_reg(PC), ENTRY, "PC");
			says(get_reg(X(11)), DEVICE, "the base register");
		}
		set_reg(PC, ENTRY + 4);
		step_executed(ENTRY + 8);
	}
}

TEST(row_14_an_access_without_syndrome_is_the_clients_to_emulate_and_not_counted)
{
	for (unsigned i = 0; i < N_NO_SYNDROME; i++) {
		without_syndrome(i, WITH_NISV);
		for (int again = 0; again < 2; again++) {
			expect_exit(KVM_EXIT_ARM_NISV);
			says(get_reg(PC), ENTRY, "PC");
			says(m.run->arm_nisv.fault_ipa >> 12, DEVICE >> 12, "the page of the fault");
			says(m.run->arm_nisv.esr_iss >> 6 & 1, no_syndrome[i].write, "WnR of the syndrome");
			says(m.run->arm_nisv.esr_iss & 0x3c, 4, "the fault status: translation,");
		}
		set_reg(PC, ENTRY + 4);
		step_executed(ENTRY + 8);
	}
	variant("a store pair to a read-only slot");
	stepping(WITH_NISV, 0xa90005a0 /* stp x0, x1, [x13] */);
	expect_exit(KVM_EXIT_ARM_NISV);
	says(m.run->arm_nisv.fault_ipa, READONLY, "the address of the fault");
	variant("a load pair that leaves the memslot");
	stepping(WITH_NISV, 0xa9400520 /* ldp x0, x1, [x9] */);
	stage1_on();
	set_reg(X(9), ENTRY + RAM_SIZE - 8);
	expect_exit(KVM_EXIT_ARM_NISV);
	says(get_reg(X(0)), 0, "x0");
	says(get_reg(PC), ENTRY, "PC");
}

static void inject_ext_dabt(void)
{
	struct kvm_vcpu_events e = {.exception.ext_dabt_pending = 1};

	says(call(m.vcpu, KVM_SET_VCPU_EVENTS, &e), 0, "KVM_SET_VCPU_EVENTS");
}

TEST(row_15_an_external_abort_of_the_client_is_not_counted)
{
	static const struct {
		const char *text;
		uint32_t insn;
		unsigned flags, reason;
	} rows[] = {
		{"after MMIO read", LDR_X0_DEV, 0, KVM_EXIT_MMIO},
		{"after MMIO write", STR_X3_DEV, 0, KVM_EXIT_MMIO},
		{"after NISV", LDP_DEV, WITH_NISV, KVM_EXIT_ARM_NISV},
	};

	for (unsigned i = 0; i < 3; i++) {
		for (unsigned ss = 0; ss < 2; ss++) {
			variant(rows[i].text);
			stepping(rows[i].flags, rows[i].insn);
			set_reg(PSTATE, PSTATE_EL1H | (ss ? PSTATE_SS : 0));
			expect_exit(rows[i].reason);
			answer(0x1234);
			inject_ext_dabt();
			says(get_reg(PC), VECTORS + EL1H_VECTOR, "PC right after the ioctl");
			says(get_reg(ELR_EL1), ENTRY, "ELR_EL1");
			says(get_reg(ESR_EL1), 0x96000010, "ESR_EL1");
			says(get_reg(FAR_EL1), DEVICE, "FAR_EL1");
			says(get_reg(SPSR_EL1) >> 21 & 1, ss, "SPSR_EL1.SS, the guest's own,");
			step_executed(VECTORS + EL1H_VECTOR + 4);
			says(get_reg(X(0)), 0, "x0, which no completion may write,");
		}
	}
}

TEST(row_16_cache_maintenance_outside_memory_is_skipped)
{
	static const struct {
		const char *text;
		uint32_t insn;
	} rows[] = {
		{"dc cvac", 0xd50b7a2e /* dc cvac, x14 */}, {"dc civac", 0xd50b7e2e /* dc civac, x14 */},
		{"dc ivac", 0xd508762e /* dc ivac, x14 */}, {"dc cvau", 0xd50b7b2e /* dc cvau, x14 */},
		{"dc cvap", 0xd50b7c2e /* dc cvap, x14 */},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		variant(rows[i].text);
		stepping(0, rows[i].insn);
		step_skipped(ENTRY + 4);
		step_executed(ENTRY + 8);
	}
	variant("dc ivac on memory");
	steps_over(0xd508762a /* dc ivac, x10 */);
}
