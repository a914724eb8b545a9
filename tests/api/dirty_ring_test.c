/* SPDX-License-Identifier: MIT */
/* Dirty rings: KVM_CAP_DIRTY_LOG_RING_ACQ_REL, KVM_RESET_DIRTY_RINGS, KVM_EXIT_DIRTY_RING_FULL (api.rst 8.29). */
#include <sys/mman.h>
#include <unistd.h>

#include "harness.h"

#define LOGGED 0x60000000ull
enum { ENTRIES = 256, RESERVED = 64, SLOT = 2, PAGES = 512 };
#define STR_X1_X20 0xf9000281u	 /* str x1, [x20] */
#define ADD_X20_PAGE 0x91400694u /* add x20, x20, #1, lsl #12 */
#define BACK_2 0x17fffffeu	 /* b .-8 */

static struct kvm_dirty_gfn *ring;
static uint8_t *pages;

static long enable(uint32_t cap, uint64_t arg)
{
	struct kvm_enable_cap c = {.cap = cap, .args = {arg}};

	return call(m.vm, KVM_ENABLE_CAP, &c);
}

static void log_slot(uint32_t flags)
{
	struct kvm_userspace_memory_region r = {
		.slot = SLOT, .flags = flags, .guest_phys_addr = LOGGED, .memory_size = PAGES * 4096ul};

	if (!pages)
		pages = mmap(NULL, PAGES * 4096ul, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	r.userspace_addr = (uintptr_t)pages;
	expect_eq(call(m.vm, KVM_SET_USER_MEMORY_REGION, &r), 0);
}

static void *map_ring(int prot, int flags)
{
	if (kvm_path)
		return mmap(NULL, 4096, prot, flags, m.vcpu, KVM_DIRTY_LOG_PAGE_OFFSET * 4096);
	return pawl_mmap(NULL, 4096, prot, flags, m.vcpu, KVM_DIRTY_LOG_PAGE_OFFSET * 4096);
}

/* A guest whose slot is logged to a ring of 256 entries. */
#define ring_guest(flags, ...) \
	do { \
		if (sysconf(_SC_PAGESIZE) != 4096) \
			skip("the sizes here are for pages of 4 KiB"); \
		guest_with(flags, __VA_ARGS__); \
		log_slot(KVM_MEM_LOG_DIRTY_PAGES); \
		ring = map_ring(PROT_READ | PROT_WRITE, MAP_SHARED); \
		if (ring == MAP_FAILED) \
			fail("mmap of the ring: %s", strerror(errno)); \
	} while (0)

static void expect_entry(unsigned i, uint64_t page)
{
	expect_eq(__atomic_load_n(&ring[i % ENTRIES].flags, __ATOMIC_ACQUIRE), KVM_DIRTY_GFN_F_DIRTY);
	expect_eq(ring[i % ENTRIES].slot, SLOT);
	expect_eq(ring[i % ENTRIES].offset, page);
}

static void take(unsigned i)
{
	__atomic_store_n(&ring[i % ENTRIES].flags, (uint32_t)KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
}

static long reset(void)
{
	return call(m.vm, KVM_RESET_DIRTY_RINGS, NULL);
}

TEST(the_size_is_checked_and_set_once_before_vcpus)
{
	int kvm = api_open(0), vm = (int)call(kvm, KVM_CREATE_VM, NULL);

	m.kvm = kvm;
	m.vm = vm;
	expect_eq(call(m.vm, KVM_CHECK_EXTENSION, value(KVM_CAP_DIRTY_LOG_RING)), 0);
	expect_eq(call(m.vm, KVM_CHECK_EXTENSION, value(KVM_CAP_DIRTY_LOG_RING_ACQ_REL)), 1 << 20);
	expect_eq(call(m.vm, KVM_CHECK_EXTENSION, value(KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP)), 1);
	expect_eq(reset(), -EINVAL);
	expect_eq(enable(KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP, 0), -EINVAL);
	expect_eq(enable(KVM_CAP_DIRTY_LOG_RING, 65536), -EINVAL);
	expect_eq(enable(KVM_CAP_DIRTY_LOG_RING_ACQ_REL, 0), -EINVAL);
	expect_eq(enable(KVM_CAP_DIRTY_LOG_RING_ACQ_REL, 65536 + 4096), -EINVAL);
	expect_eq(enable(KVM_CAP_DIRTY_LOG_RING_ACQ_REL, 512), -EINVAL);
	expect_eq(enable(KVM_CAP_DIRTY_LOG_RING_ACQ_REL, 1 << 21), -E2BIG);
	expect_eq(enable(KVM_CAP_DIRTY_LOG_RING_ACQ_REL, 1 << 20), 0);
	expect_eq(enable(KVM_CAP_DIRTY_LOG_RING_ACQ_REL, 1 << 20), -EINVAL);
	expect_eq(enable(KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP, 0), 0);
	expect_eq(reset(), 0);
	machine_free();

	machine_new(0);
	expect_eq(enable(KVM_CAP_DIRTY_LOG_RING_ACQ_REL, 65536), -EINVAL); /* there is a vcpu */
	machine_free();

	machine_new(WITH_RING);
	expect_eq(enable(KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP, 0), -EINVAL); /* there are slots */
}

TEST(the_ring_is_mapped_shared_and_not_executable)
{
	ring_guest(WITH_RING, NOP);
	expect_eq(map_ring(PROT_READ, MAP_PRIVATE) == MAP_FAILED, 1);
	expect_eq(errno, EINVAL);
	expect_eq(map_ring(PROT_READ | PROT_EXEC, MAP_SHARED) == MAP_FAILED, 1);
	expect_eq(errno, EPERM);
	expect_eq(call(m.kvm, KVM_GET_VCPU_MMAP_SIZE, NULL), 2 * 4096); /* the ring is not in it */
}

TEST(a_page_is_in_the_ring_once_until_it_is_reset)
{
	ring_guest(WITH_RING, STR_X1_X20, STR_X3_DEV, BACK_2);
	set_reg(X(20), LOGGED + 0x5008);
	expect_exit(KVM_EXIT_MMIO);
	expect_entry(0, 5);
	expect_eq(ring[1].flags, 0);
	expect_exit(KVM_EXIT_MMIO); /* the same page again */
	expect_eq(ring[1].flags, 0);
	set_reg(X(20), LOGGED + 0x1ff000);
	expect_exit(KVM_EXIT_MMIO);
	expect_entry(1, 511);

	expect_eq(reset(), 0); /* nothing was taken */
	take(0);
	expect_eq(reset(), 1);
	expect_eq(ring[0].flags, 0);
	expect_exit(KVM_EXIT_MMIO); /* 511 is still in */
	expect_eq(ring[2].flags, 0);
	set_reg(X(20), LOGGED + 0x5000);
	expect_exit(KVM_EXIT_MMIO);
	expect_entry(2, 5);
}

TEST(an_entry_that_is_taken_out_of_order_waits_for_those_before_it)
{
	ring_guest(WITH_RING, STR_X1_X20, ADD_X20_PAGE, STR_X1_X20, STR_X3_DEV);
	set_reg(X(20), LOGGED);
	expect_exit(KVM_EXIT_MMIO);
	take(1);
	expect_eq(reset(), 0);
	take(0);
	expect_eq(reset(), 2);
}

TEST(nothing_is_stored_while_the_ring_is_full)
{
	ring_guest(WITH_RING, STR_X1_X20, ADD_X20_PAGE, BACK_2);
	set_reg(X(1), 0x1234);
	set_reg(X(20), LOGGED);
	for (unsigned i = 0; i < 3; i++) {
		expect_exit(KVM_EXIT_DIRTY_RING_FULL);
		expect_pc(ENTRY);
		expect_reg(X(20), LOGGED + (ENTRIES - RESERVED) * 4096ull);
	}
	expect_eq(pages[(ENTRIES - RESERVED - 1) * 4096], 0x34);
	expect_eq(pages[(ENTRIES - RESERVED) * 4096], 0);
	for (unsigned i = 0; i < ENTRIES - RESERVED; i++)
		expect_entry(i, i);
	for (unsigned i = 0; i < 100; i++)
		take(i);
	expect_eq(reset(), 100);
	expect_exit(KVM_EXIT_DIRTY_RING_FULL);
	expect_reg(X(20), LOGGED + (ENTRIES - RESERVED + 100) * 4096ull);
	expect_entry(ENTRIES - RESERVED + 99, ENTRIES - RESERVED + 99); /* round the end */
}

TEST(a_full_ring_comes_before_a_step_and_before_one_that_is_owed)
{
	ring_guest(WITH_RING, STR_X1_X20, ADD_X20_PAGE, BACK_2, LDR_X0_DEV, NOP);
	set_reg(X(20), LOGGED);
	expect_exit(KVM_EXIT_DIRTY_RING_FULL);
	debug(STEP);
	expect_exit(KVM_EXIT_DIRTY_RING_FULL);
	expect_pc(ENTRY);
	take(0);
	expect_eq(reset(), 1);
	expect_step(ENTRY + 4, HSR_EXECUTED);
	set_reg(PC, ENTRY + 12);
	expect_exit(KVM_EXIT_DIRTY_RING_FULL); /* that one store filled it again */
	take(1);
	expect_eq(reset(), 1);
	expect_exit(KVM_EXIT_MMIO);
	answer(9);
	expect_step(ENTRY + 16, HSR_PENDING);
}

TEST(entries_that_the_client_has_overwritten_do_no_harm)
{
	ring_guest(WITH_RING, STR_X1_X20, ADD_X20_PAGE, BACK_2);
	set_reg(X(20), LOGGED);
	expect_exit(KVM_EXIT_DIRTY_RING_FULL);
	for (unsigned i = 0; i < ENTRIES; i++) {
		ring[i].slot = i % 3 ? 0xffffffff : SLOT;
		ring[i].offset = i % 2 ? UINT64_MAX : PAGES + i;
		take(i);
	}
	expect_eq(reset(), ENTRIES - RESERVED);
	expect_exit(KVM_EXIT_DIRTY_RING_FULL);
	expect_reg(X(20), LOGGED + 2 * (ENTRIES - RESERVED) * 4096ull);
}

TEST(with_rings_alone_there_is_no_bitmap)
{
	uint64_t map[PAGES / 64];
	struct kvm_dirty_log log = {.slot = SLOT, .dirty_bitmap = map};
	struct kvm_clear_dirty_log clear = {.slot = SLOT, .num_pages = PAGES, .dirty_bitmap = map};

	ring_guest(WITH_RING, NOP);
	expect_eq(call(m.vm, KVM_GET_DIRTY_LOG, &log), -ENXIO);
	expect_eq(call(m.vm, KVM_CLEAR_DIRTY_LOG, &clear), -ENXIO);
}

TEST(the_backup_bitmap_does_not_name_what_is_in_a_ring)
{
	uint64_t map[PAGES / 64];
	struct kvm_dirty_log log = {.slot = SLOT, .dirty_bitmap = map};

	ring_guest(WITH_RING_BITMAP, STR_X1_X20, STR_X3_DEV);
	set_reg(X(20), LOGGED + 0x3000);
	expect_exit(KVM_EXIT_MMIO);
	expect_entry(0, 3);
	expect_eq(call(m.vm, KVM_GET_DIRTY_LOG, &log), 0);
	expect_eq(map[0], 0);
}

TEST(a_slot_that_is_not_logged_any_more_leaves_its_entries_behind)
{
	ring_guest(WITH_RING, STR_X1_X20, STR_X3_DEV, BACK_2);
	set_reg(X(20), LOGGED);
	expect_exit(KVM_EXIT_MMIO);
	log_slot(0);
	take(0);
	expect_eq(reset(), 1);
	log_slot(KVM_MEM_LOG_DIRTY_PAGES);
	expect_exit(KVM_EXIT_MMIO);
	expect_entry(1, 0);
}
