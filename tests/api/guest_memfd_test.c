/* SPDX-License-Identifier: MIT */
/* guest_memfd: KVM_CREATE_GUEST_MEMFD, and slots of KVM_SET_USER_MEMORY_REGION2 that are bound to one (api.rst 4.140, 4.142). */
#include <fcntl.h>
#include <linux/falloc.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness.h"

enum { PAGE = 4096, PAGES = 4, MMAP = GUEST_MEMFD_FLAG_MMAP, SHARED = MMAP | GUEST_MEMFD_FLAG_INIT_SHARED };
#define MEMORY 0x60000000ull
#define KEEP FALLOC_FL_KEEP_SIZE
#define PUNCH (FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE)
#define LDR_X0_X20 0xf9400280u /* ldr x0, [x20] */
#define STR_X1_X20 0xf9000281u /* str x1, [x20] */

static long create(uint64_t size, uint64_t flags)
{
	struct kvm_create_guest_memfd args = {.size = size, .flags = flags};

	return call(m.vm, KVM_CREATE_GUEST_MEMFD, &args);
}

static int memfd(uint64_t flags)
{
	long fd = create(PAGES * PAGE, flags);

	if (fd < 0)
		fail("KVM_CREATE_GUEST_MEMFD: %ld", fd);
	return (int)fd;
}

static struct kvm_userspace_memory_region2 region(int fd)
{
	return (struct kvm_userspace_memory_region2){.slot = 2,
						     .flags = KVM_MEM_GUEST_MEMFD,
						     .guest_phys_addr = MEMORY,
						     .memory_size = PAGES * PAGE,
						     .guest_memfd = (uint32_t)fd};
}

static long set(struct kvm_userspace_memory_region2 r)
{
	return call(m.vm, KVM_SET_USER_MEMORY_REGION2, &r);
}

static long set_slot(unsigned slot, uint64_t ipa, uint64_t size, int fd, uint64_t offset)
{
	struct kvm_userspace_memory_region2 r = region(fd);

	r.slot = slot;
	r.guest_phys_addr = ipa;
	r.memory_size = size;
	r.guest_memfd_offset = offset;
	return set(r);
}

static void *map_as(int fd, size_t size, int prot, int flags)
{
	return kvm_path ? mmap(NULL, size, prot, flags, fd, 0) : pawl_mmap(NULL, size, prot, flags, fd, 0);
}

static uint8_t *map(int fd)
{
	void *p = map_as(fd, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);

	if (p == MAP_FAILED)
		fail("mmap: %s", strerror(errno));
	return p;
}

static long no_map(int fd, int prot, int flags)
{
	return map_as(fd, PAGE, prot, flags) == MAP_FAILED ? -errno : 0;
}

static long allocate(int fd, int mode, off_t offset, off_t length)
{
	int ret = kvm_path ? fallocate(fd, mode, offset, length) : pawl_fallocate(fd, mode, offset, length);

	return ret < 0 ? -errno : ret;
}

static uint64_t word(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static void put(uint8_t *p, uint64_t v)
{
	memcpy(p, &v, sizeof(v));
}

/* One instruction of the guest. */
static void guest_runs_one(uint32_t insn)
{
	put_words(ENTRY, (const uint32_t[]){insn, NOP}, 2);
	set_reg(PC, ENTRY);
	debug(STEP);
	expect_step(ENTRY + 4, HSR_EXECUTED);
}

static uint64_t guest_reads(uint64_t ipa)
{
	set_reg(X(20), ipa);
	guest_runs_one(LDR_X0_X20);
	return get_reg(X(0));
}

static void guest_writes(uint64_t ipa, uint64_t v)
{
	set_reg(X(20), ipa);
	set_reg(X(1), v);
	guest_runs_one(STR_X1_X20);
}

static sigjmp_buf bus;

static void on_bus(int sig)
{
	siglongjmp(bus, 1);
}

static bool is_sigbus(volatile const uint8_t *p)
{
	struct sigaction sa = {.sa_handler = on_bus}, old;
	volatile bool was = true;

	sigaction(SIGBUS, &sa, &old);
	if (!sigsetjmp(bus, 1)) {
		(void)*p;
		was = false;
	}
	sigaction(SIGBUS, &old, NULL);
	return was;
}

/* ---- the file */

TEST(the_capabilities_say_that_it_is_there)
{
	machine_new(WITHOUT_GIC);
	expect_eq(call(m.kvm, KVM_CHECK_EXTENSION, value(KVM_CAP_GUEST_MEMFD)), 1);
	expect_eq(call(m.vm, KVM_CHECK_EXTENSION, value(KVM_CAP_GUEST_MEMFD)), 1);
	expect_eq(call(m.kvm, KVM_CHECK_EXTENSION, value(KVM_CAP_GUEST_MEMFD_FLAGS)), SHARED);
	expect_eq(call(m.vm, KVM_CHECK_EXTENSION, value(KVM_CAP_GUEST_MEMFD_FLAGS)), SHARED);
	expect_eq(call(m.vm, KVM_CHECK_EXTENSION, value(KVM_CAP_MEMORY_ATTRIBUTES)), 0);
}

TEST(size_and_flags_are_checked)
{
	machine_new(WITHOUT_GIC);
	expect_eq(create(0, 0), -EINVAL);
	expect_eq(create(PAGE - 1, 0), -EINVAL);
	expect_eq(create(PAGE + 1, 0), -EINVAL);
	expect_eq(create(-(uint64_t)PAGE, 0), -EINVAL);
	expect_eq(create(PAGE, 4), -EINVAL);
	expect_eq(create(PAGE, 1ull << 63), -EINVAL);
	expect_eq(call(m.vm, KVM_CREATE_GUEST_MEMFD, value(8)), -EFAULT);
	for (uint64_t flags = 0; flags <= SHARED; flags++) { /* INIT_SHARED alone, too */
		long fd = create(PAGE, flags);

		expect_eq(fd >= 0, true);
		api_close((int)fd);
	}
}

TEST(the_descriptor_shows_its_size_and_is_not_read_written_or_resized)
{
	char buf[8] = {0};
	struct stat st, other;
	int fd, second;

	machine_new(WITHOUT_GIC);
	fd = memfd(SHARED);
	second = memfd(0);
	expect_eq(fstat(fd, &st), 0);
	expect_eq(st.st_size, PAGES * PAGE);
	expect_eq(fstat(second, &other), 0);
	expect_eq(st.st_ino == other.st_ino, false);
	expect_eq(fcntl(fd, F_GETFD), 0); /* close-on-exec is for the client to set */
	expect_eq(read(fd, buf, sizeof(buf)) < 0, true);
	expect_eq(write(fd, buf, sizeof(buf)) < 0, true);
	expect_eq(pread(fd, buf, sizeof(buf), 0) < 0, true);
	expect_eq(pwrite(fd, buf, sizeof(buf), 0) < 0, true);
	expect_eq(ftruncate(fd, PAGE) < 0, true);
	expect_eq(call(fd, KVM_CHECK_EXTENSION, value(1)), -ENOTTY);
	api_close(fd);
	api_close(second);
}

TEST(mmap_is_for_files_that_were_made_for_it_shared_and_not_executable)
{
	int fd, none;

	machine_new(WITHOUT_GIC);
	fd = memfd(SHARED);
	none = memfd(0);
	expect_eq(no_map(none, PROT_READ, MAP_SHARED), -ENODEV);
	expect_eq(no_map(none, PROT_READ, MAP_PRIVATE), -ENODEV);
	expect_eq(no_map(fd, PROT_READ | PROT_WRITE, MAP_PRIVATE), -EINVAL);
	expect_eq(no_map(fd, PROT_READ | PROT_EXEC, MAP_SHARED), -EPERM);
	expect_eq(no_map(none, PROT_READ | PROT_EXEC, MAP_SHARED), -EPERM);
	munmap(map(fd), PAGES * PAGE);
	api_close(fd);
	api_close(none);
}

TEST(a_mapping_shows_the_file_to_its_end_and_all_show_the_same)
{
	uint8_t *p, *q;
	int fd;

	machine_new(WITHOUT_GIC);
	fd = memfd(SHARED);
	p = map(fd);
	q = map_as(fd, 2 * PAGES * PAGE, PROT_READ, MAP_SHARED);
	expect_eq(q != MAP_FAILED, true);
	expect_eq(word(p), 0);
	put(p + PAGE, 0x1234);
	expect_eq(word(q + PAGE), 0x1234);
	expect_eq(is_sigbus(q + PAGES * PAGE - 1), false);
	expect_eq(is_sigbus(q + PAGES * PAGE), true);
	munmap(p, PAGES * PAGE);
	munmap(q, 2 * PAGES * PAGE);
	api_close(fd);
}

TEST(memory_that_does_not_begin_shared_can_be_mapped_but_not_touched)
{
	uint8_t *p;
	int fd;

	guest(NOP);
	fd = memfd(MMAP);
	p = map(fd);
	expect_eq(is_sigbus(p), true);
	expect_eq(set(region(fd)), 0);
	guest_writes(MEMORY, 7); /* the guest may */
	expect_eq(guest_reads(MEMORY), 7);
	expect_eq(is_sigbus(p), true);
	munmap(p, PAGES * PAGE);
	api_close(fd);
}

TEST(fallocate_allocates_and_punches_holes_of_whole_pages)
{
	uint8_t *p;
	int fd;

	machine_new(WITHOUT_GIC);
	fd = memfd(SHARED);
	p = map(fd);
	expect_eq(allocate(fd, 0, 0, PAGE), -EOPNOTSUPP);
	expect_eq(allocate(fd, KEEP | FALLOC_FL_ZERO_RANGE, 0, PAGE), -EOPNOTSUPP);
	expect_eq(allocate(fd, KEEP, 0, PAGES * PAGE), 0);
	expect_eq(allocate(fd, KEEP, 1, PAGE), -EINVAL);
	expect_eq(allocate(fd, KEEP, 0, PAGE - 1), -EINVAL);
	expect_eq(allocate(fd, KEEP, 0, 0), -EINVAL);
	expect_eq(allocate(fd, KEEP, -PAGE, PAGE), -EINVAL);
	expect_eq(allocate(fd, KEEP, PAGES * PAGE, PAGE), -EINVAL);
	expect_eq(allocate(fd, KEEP, (PAGES - 1) * PAGE, 2 * PAGE), -EINVAL);
	expect_eq(allocate(fd, PUNCH, 1, PAGE), -EINVAL);
	expect_eq(allocate(fd, PUNCH, 0, PAGE + 1), -EINVAL);
	expect_eq(allocate(fd, PUNCH, PAGES * PAGE, PAGE), 0); /* behind the end there is nothing to take */
	put(p, 1);
	put(p + PAGE, 2);
	expect_eq(allocate(fd, PUNCH, 0, PAGE), 0);
	expect_eq(word(p), 0);
	expect_eq(word(p + PAGE), 2);
	munmap(p, PAGES * PAGE);
	api_close(fd);
}

/* ---- slots */

TEST(guest_and_client_share_the_file)
{
	uint8_t *p;
	int fd;

	guest(NOP);
	fd = memfd(SHARED);
	expect_eq(set(region(fd)), 0);
	p = map(fd);
	put(p + 8, 0x55);
	expect_eq(guest_reads(MEMORY + 8), 0x55);
	guest_writes(MEMORY + 2 * PAGE, 0x66);
	expect_eq(word(p + 2 * PAGE), 0x66);
	expect_eq(allocate(fd, PUNCH, 0, PAGES * PAGE), 0);
	expect_eq(guest_reads(MEMORY + 8), 0);
	expect_eq(guest_reads(MEMORY + 2 * PAGE), 0);
	munmap(p, PAGES * PAGE);
	api_close(fd);
}

TEST(what_is_at_userspace_addr_does_not_matter)
{
	uint8_t *other = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *p;
	struct kvm_userspace_memory_region2 r;
	int fd;

	guest(NOP);
	fd = memfd(SHARED);
	r = region(fd);
	r.userspace_addr = (uintptr_t)other;
	expect_eq(set(r), 0);
	p = map(fd);
	put(other, 1);
	put(p, 2);
	expect_eq(guest_reads(MEMORY), 2);
	munmap(other, PAGES * PAGE);
	expect_eq(guest_reads(MEMORY), 2);
	munmap(p, PAGES * PAGE);
	expect_eq(guest_reads(MEMORY), 2);
	api_close(fd);
}

TEST(parts_of_a_file_may_be_in_slots_of_their_own)
{
	uint8_t *p;
	int fd;

	guest(NOP);
	fd = memfd(SHARED);
	expect_eq(set_slot(2, MEMORY, PAGE, fd, 3 * PAGE), 0);
	expect_eq(set_slot(3, MEMORY + PAGE, 2 * PAGE, fd, 0), 0);
	p = map(fd);
	for (unsigned i = 0; i < PAGES; i++)
		put(p + i * PAGE, 10 + i);
	expect_eq(guest_reads(MEMORY), 13);
	expect_eq(guest_reads(MEMORY + PAGE), 10);
	expect_eq(guest_reads(MEMORY + 2 * PAGE), 11);
	munmap(p, PAGES * PAGE);
	api_close(fd);
}

TEST(no_page_of_a_file_is_in_two_slots)
{
	int fd;

	guest(NOP);
	fd = memfd(SHARED);
	expect_eq(set_slot(2, MEMORY, 2 * PAGE, fd, PAGE), 0);
	expect_eq(set_slot(3, MEMORY + 0x100000, PAGES * PAGE, fd, 0), -EEXIST);
	expect_eq(set_slot(3, MEMORY + 0x100000, 2 * PAGE, fd, 2 * PAGE), -EEXIST);
	expect_eq(set_slot(3, MEMORY + 0x100000, PAGE, fd, 3 * PAGE), 0);
	expect_eq(set_slot(4, MEMORY + 0x200000, PAGE, fd, 0), 0);
	expect_eq(set_slot(2, 0, 0, fd, 0), 0); /* deleted: its pages are free again */
	expect_eq(set_slot(5, MEMORY + 0x300000, 2 * PAGE, fd, PAGE), 0);
	api_close(fd);
}

TEST(what_is_bound_is_checked)
{
	int fd, none, closed, pipe_ends[2];
	struct machine first;

	guest(NOP);
	fd = memfd(SHARED);
	none = memfd(0);
	closed = memfd(SHARED);
	api_close(closed);
	expect_eq(set_slot(2, MEMORY, PAGE, -1, 0), -EBADF);
	expect_eq(set_slot(2, MEMORY, PAGE, closed, 0), -EBADF);
	expect_eq(pipe(pipe_ends), 0);
	expect_eq(set_slot(2, MEMORY, PAGE, pipe_ends[0], 0), -EINVAL);
	expect_eq(set_slot(2, MEMORY, PAGE, m.vcpu, 0), -EINVAL);
	expect_eq(set_slot(2, MEMORY, PAGE, none, 0), -EINVAL); /* not without GUEST_MEMFD_FLAG_MMAP on arm64 */
	expect_eq(set_slot(2, MEMORY, PAGE, fd, 1), -EINVAL);
	expect_eq(set_slot(2, MEMORY, PAGE, fd, PAGES * PAGE), -EINVAL);
	expect_eq(set_slot(2, MEMORY, 2 * PAGE, fd, (PAGES - 1) * PAGE), -EINVAL);
	expect_eq(set_slot(2, MEMORY, PAGE, fd, INT64_MAX & -(uint64_t)PAGE), -EINVAL);
	expect_eq(set_slot(2, MEMORY, PAGE, fd, -(uint64_t)PAGE), -EINVAL);
	/* In this order: other slots, the file, the guest's addresses, and whether it can be mapped. */
	expect_eq(set_slot(2, ENTRY, PAGE, -1, 0), -EEXIST);
	expect_eq(set_slot(2, (1ull << 40) - PAGE, 2 * PAGE, -1, 0), -EBADF);
	expect_eq(set_slot(2, (1ull << 40) - PAGE, 2 * PAGE, fd, 0), -EFAULT);
	expect_eq(set_slot(2, (1ull << 40) - PAGE, 2 * PAGE, none, 0), -EFAULT);
	first = m; /* another VM's */
	m.vm = (int)call(m.kvm, KVM_CREATE_VM, NULL);
	expect_eq(set(region(fd)), -EINVAL);
	api_close(m.vm);
	m = first;
	expect_eq(set(region(fd)), 0);
	close(pipe_ends[0]);
	close(pipe_ends[1]);
	api_close(none);
	api_close(fd);
}

TEST(flags_of_a_bound_slot_are_for_the_newer_request_and_go_with_no_others)
{
	struct kvm_userspace_memory_region old = {
		.slot = 2, .flags = KVM_MEM_GUEST_MEMFD, .guest_phys_addr = MEMORY, .memory_size = PAGE};
	struct kvm_userspace_memory_region2 r;
	int fd;

	guest(NOP);
	fd = memfd(SHARED);
	r = region(fd);
	expect_eq(call(m.vm, KVM_SET_USER_MEMORY_REGION, &old), -EINVAL);
	r.flags = KVM_MEM_GUEST_MEMFD | KVM_MEM_LOG_DIRTY_PAGES;
	expect_eq(set(r), -EINVAL);
	r.flags = KVM_MEM_GUEST_MEMFD | KVM_MEM_READONLY;
	expect_eq(set(r), -EINVAL);
	r.flags = KVM_MEM_GUEST_MEMFD | 8;
	expect_eq(set(r), -EINVAL);
	api_close(fd);
}

TEST(a_bound_slot_is_deleted_and_not_changed)
{
	struct kvm_userspace_memory_region2 r;
	int fd;

	guest(NOP);
	fd = memfd(SHARED);
	r = region(fd);
	expect_eq(set(r), 0);
	expect_eq(set(r), -EINVAL); /* not even as it is */
	r.guest_phys_addr += 0x100000;
	expect_eq(set(r), -EINVAL);
	r = region(fd);
	r.flags = 0;
	expect_eq(set(r), -EINVAL);
	r.flags = KVM_MEM_LOG_DIRTY_PAGES;
	expect_eq(set(r), -EINVAL);
	r.memory_size = 0;
	expect_eq(set(r), 0);
	expect_eq(set(r), -EINVAL);
	expect_eq(set(region(fd)), 0);
	api_close(fd);
}

/* ---- the end of the file */

TEST(a_file_that_is_closed_takes_the_memory_with_it_and_the_exit_says_where)
{
	int fd;

	guest(NOP);
	fd = memfd(SHARED);
	expect_eq(set(region(fd)), 0);
	guest_writes(MEMORY + PAGE, 5);
	api_close(fd);
	put_words(ENTRY, (const uint32_t[]){LDR_X0_X20, NOP}, 2);
	set_reg(PC, ENTRY);
	set_reg(X(20), MEMORY + PAGE + 16);
	expect_error(EFAULT);
	expect_eq(m.run->exit_reason, KVM_EXIT_MEMORY_FAULT);
	expect_eq(m.run->memory_fault.flags, 0);
	expect_eq(m.run->memory_fault.gpa, MEMORY + PAGE);
	expect_eq(m.run->memory_fault.size, PAGE);
	expect_pc(ENTRY);
	fd = memfd(SHARED); /* the slot is still there, and can be replaced */
	expect_eq(set(region(fd)), -EINVAL);
	expect_eq(set_slot(2, MEMORY, 0, fd, 0), 0);
	expect_eq(set(region(fd)), 0);
	expect_eq(guest_reads(MEMORY + PAGE), 0);
	api_close(fd);
}

TEST(a_mapping_or_another_descriptor_keeps_the_file)
{
	int fd, second;
	uint8_t *p;

	guest(NOP);
	fd = memfd(SHARED);
	expect_eq(set(region(fd)), 0);
	p = map(fd);
	put(p, 9);
	second = dup(fd);
	api_close(fd);
	expect_eq(guest_reads(MEMORY), 9);
	munmap(map(second), PAGES * PAGE);
	expect_eq(allocate(second, KEEP, 0, PAGE), 0);
	api_close(second);
	expect_eq(guest_reads(MEMORY), 9);
	munmap(p, PAGES * PAGE);
}

TEST(the_file_may_outlive_its_vm)
{
	uint8_t *p;
	int fd;

	guest(NOP);
	fd = memfd(SHARED);
	expect_eq(set(region(fd)), 0);
	guest_writes(MEMORY, 11);
	machine_free();
	p = map(fd);
	expect_eq(word(p), 11);
	munmap(p, PAGES * PAGE);
	api_close(fd);
}
