/* SPDX-License-Identifier: MIT */
/* Memory slots and the dirty log. */
#include <sys/mman.h>

#include "harness.h"

static uint8_t *pages(unsigned n)
{
	return mmap(NULL, n * 4096ul, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static long set_slot(unsigned id, uint32_t flags, uint64_t ipa, uint64_t size, const void *host)
{
	struct kvm_userspace_memory_region r = {.slot = id,
						.flags = flags,
						.guest_phys_addr = ipa,
						.memory_size = size,
						.userspace_addr = (uintptr_t)host};

	return call(m.vm, KVM_SET_USER_MEMORY_REGION, &r);
}

TEST(slots_are_checked)
{
	uint8_t *p = pages(4);

	machine_new(WITHOUT_GIC);
	expect_eq(set_slot(2, 4, 0, 4096, p), -EINVAL);
	expect_eq(set_slot(2, 0, 1, 4096, p), -EINVAL);
	expect_eq(set_slot(2, 0, 0, 4095, p), -EINVAL);
	expect_eq(set_slot(2, 0, 0, 4096, p + 1), -EINVAL);
	expect_eq(set_slot(32767, 0, 0, 4096, p), -EINVAL);
	expect_eq(set_slot(1 << 16, 0, 0, 4096, p), -EINVAL);
	expect_eq(set_slot(2, 0, -4096ull, 8192, p), -EINVAL);
	expect_eq(set_slot(2, 0, 0, 4096, (void *)(1ull << 60)), -EINVAL);
	expect_eq(set_slot(2, 0, 0, 0, p), -EINVAL);
	expect_eq(set_slot(2, 0, (1ull << 40) - 4096, 8192, p), -EFAULT);
	expect_eq(set_slot(2, 0, (1ull << 40) - 4096, 4096, p), 0);
	expect_eq(set_slot(3, 0, (1ull << 40) - 8192, 8192, p), -EEXIST);
	expect_eq(set_slot(3, 0, ENTRY + 0x1000, 4096, p), -EEXIST);
	expect_eq(set_slot(3, 0, ENTRY - 0x1000, 8192, p), -EEXIST);
	expect_eq(set_slot(3, 0, ENTRY - 0x1000, 4096, p), 0);
	expect_eq(set_slot(3, 0, ENTRY - 0x1000, 4096, p), 0);
	expect_eq(set_slot(3, 0, ENTRY - 0x1000, 8192, p), -EINVAL);
	expect_eq(set_slot(3, 0, ENTRY - 0x1000, 4096, p + 4096), -EINVAL);
	expect_eq(set_slot(3, KVM_MEM_READONLY, ENTRY - 0x1000, 4096, p), -EINVAL);
	expect_eq(set_slot(3, KVM_MEM_LOG_DIRTY_PAGES, ENTRY - 0x1000, 4096, p), 0);
	expect_eq(set_slot(3, 0, ENTRY + 0x1000, 4096, p), -EEXIST);
	expect_eq(set_slot(3, 0, 0x1000, 4096, p), 0);
	expect_eq(set_slot(3, 0, 0, 0, NULL), 0);
	expect_eq(set_slot(3, 0, 0, 0, NULL), -EINVAL);
	munmap(p, 4 * 4096);
}

TEST(memory_at_the_clients_address_0_is_not_there)
{
	machine_new(WITHOUT_GIC);
	expect_eq(set_slot(2, 0, 0, 4096, NULL), 0);
	set_reg(PC, 0x200);
	expect_error(EFAULT);
	guest(0xf9400280 /* ldr x0, [x20] */);
	expect_eq(set_slot(2, 0, 0, 4096, NULL), 0);
	set_reg(X(20), 8);
	expect_error(EFAULT);
}

TEST(a_deleted_slot_is_mmio_again)
{
	uint8_t *p = pages(1);

	guest(LDR_X0_DEV, LDR_X0_DEV, STR_X3_DEV);
	memcpy(p, &(uint64_t){77}, 8);
	expect_eq(set_slot(2, 0, DEVICE, 4096, p), 0);
	set_reg(X(3), 1);
	debug(STEP);
	expect_step(ENTRY + 4, HSR_EXECUTED);
	expect_reg(X(0), 77);
	expect_eq(set_slot(2, 0, 0, 0, NULL), 0);
	expect_exit(KVM_EXIT_MMIO);
	munmap(p, 4096);
}

TEST(dirty_log_names_the_pages_written_since_it_was_read)
{
	uint64_t map[1];
	struct kvm_dirty_log log = {.slot = 2, .dirty_bitmap = map};
	uint8_t *p = pages(16);

	guest(0xf9000281 /* str x1, [x20] */, STR_X3_DEV, 0x17fffffe /* b .-8 */);
	expect_eq(set_slot(2, KVM_MEM_LOG_DIRTY_PAGES, 0x60000000, 16 * 4096, p), 0);
	log.slot = 0;
	expect_eq(call(m.vm, KVM_GET_DIRTY_LOG, &log), -ENOENT);
	log.slot = 40000;
	expect_eq(call(m.vm, KVM_GET_DIRTY_LOG, &log), -EINVAL);
	log.slot = 2;
	for (unsigned i = 0; i < 3;
	     i++) { /* the same page again: not in the log if its TLB entry outlives the clearing */
		set_reg(X(20), 0x60003008);
		expect_exit(KVM_EXIT_MMIO);
		expect_eq(call(m.vm, KVM_GET_DIRTY_LOG, &log), 0);
		expect_eq(map[0], 1 << 3);
	}
	expect_eq(call(m.vm, KVM_GET_DIRTY_LOG, &log), 0);
	expect_eq(map[0], 0);
	set_reg(X(20), 0x60005000);
	expect_exit(KVM_EXIT_MMIO);
	set_reg(X(20), 0x6000fff8);
	expect_exit(KVM_EXIT_MMIO);
	expect_eq(call(m.vm, KVM_GET_DIRTY_LOG, &log), 0);
	expect_eq(map[0], 1 << 5 | 1 << 15);
	munmap(p, 16 * 4096);
}

TEST(dirty_log_is_cleared_by_hand_with_manual_protection)
{
	struct kvm_enable_cap cap = {.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, .args = {3}};
	uint64_t map[2] = {0};
	struct kvm_dirty_log log = {.slot = 2, .dirty_bitmap = map};
	struct kvm_clear_dirty_log clear = {.slot = 2, .num_pages = 64, .dirty_bitmap = map};
	uint8_t *p = pages(70);

	guest(STR_X3_DEV);
	expect_eq(call(m.vm, KVM_ENABLE_CAP, &cap), 0);
	expect_eq(set_slot(2, KVM_MEM_LOG_DIRTY_PAGES, 0x60000000, 70 * 4096, p), 0);
	expect_eq(call(m.vm, KVM_GET_DIRTY_LOG, &log), 0);
	expect_eq(map[0], UINT64_MAX);
	expect_eq(map[1], 0x3f);
	map[0] = 0xff;
	expect_eq(call(m.vm, KVM_CLEAR_DIRTY_LOG, &clear), 0);
	expect_eq(call(m.vm, KVM_GET_DIRTY_LOG, &log), 0);
	expect_eq(map[0], UINT64_MAX << 8);
	clear.first_page = 1;
	expect_eq(call(m.vm, KVM_CLEAR_DIRTY_LOG, &clear), -EINVAL);
	clear.first_page = 64;
	expect_eq(call(m.vm, KVM_CLEAR_DIRTY_LOG, &clear), -EINVAL);
	clear.num_pages = 6;
	expect_eq(call(m.vm, KVM_CLEAR_DIRTY_LOG, &clear), 0);
	clear.first_page = 0;
	expect_eq(call(m.vm, KVM_CLEAR_DIRTY_LOG, &clear), -EINVAL);
	munmap(p, 70 * 4096);
}

TEST(the_newer_request_means_the_same)
{
	struct kvm_userspace_memory_region2 r = {.slot = 2, .guest_phys_addr = DEVICE, .memory_size = 65536};
	uint8_t *p = pages(16);

	guest(LDR_X0_DEV, NOP);
	memcpy(p, &(uint64_t){78}, 8);
	r.userspace_addr = (uintptr_t)p;
	r.flags = KVM_MEM_GUEST_MEMFD; /* 0 is none */
	expect_eq(call(m.vm, KVM_SET_USER_MEMORY_REGION2, &r), -EINVAL);
	r.flags = 0;
	expect_eq(call(m.vm, KVM_SET_USER_MEMORY_REGION2, &r), 0);
	debug(STEP);
	expect_step(ENTRY + 4, HSR_EXECUTED);
	expect_reg(X(0), 78);
	r.memory_size = 0;
	expect_eq(call(m.vm, KVM_SET_USER_MEMORY_REGION2, &r), 0);
	munmap(p, 16 * 4096);
}
