/* SPDX-License-Identifier: MIT */
/* Memory of a slot that the client takes away and gives back: EFAULT from KVM_RUN, never a signal (pawl_change_memory). */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "harness.h"

#define SLOT 0x60000000ull
enum { PAGES = 4 };
#define LDR_X0_X20 0xf9400280u
#define STR_X1_X20 0xf9000281u

static uint8_t *host;

struct change {
	int prot; /* -1: unmap */
	unsigned first, n;
};

static int apply(void *arg)
{
	const struct change *c = arg;

	return c->prot < 0 ? munmap(host + c->first * 4096, c->n * 4096ul)
			   : mprotect(host + c->first * 4096, c->n * 4096ul, c->prot);
}

static void change(int prot, unsigned first, unsigned n)
{
	struct change c = {prot, first, n};

	expect_eq(pawl_change_memory(host + first * 4096, n * 4096ul, apply, &c), 0);
}

static void map(unsigned first, unsigned n)
{
	void *p = mmap(host + first * 4096, n * 4096ul, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		       -1, 0);

	expect_eq(p == host + first * 4096, 1);
}

#define memory_guest(...) \
	do { \
		guest(__VA_ARGS__); \
		add_memory(); \
	} while (0)

static void add_memory(void)
{
	struct kvm_userspace_memory_region r = {.slot = 2, .guest_phys_addr = SLOT, .memory_size = PAGES * 4096ul};

	host = mmap(NULL, PAGES * 4096ul, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	r.userspace_addr = (uintptr_t)host;
	expect_eq(call(m.vm, KVM_SET_USER_MEMORY_REGION, &r), 0);
	set_reg(X(20), SLOT);
}

TEST(memory_that_is_protected_after_its_first_use_is_efault_until_it_is_given_back)
{
	memory_guest(STR_X1_X20, LDR_X0_X20, STR_X1_X20, NOP);
	set_reg(X(1), 5);
	debug(STEP);
	expect_step(ENTRY + 4, HSR_EXECUTED);
	change(PROT_NONE, 0, 1);
	for (unsigned i = 0; i < 2; i++) {
		expect_error(EFAULT);
		expect_pc(ENTRY + 4);
	}
	change(PROT_READ, 0, 1);
	expect_step(ENTRY + 8, HSR_EXECUTED);
	expect_reg(X(0), 5);
	expect_error(EFAULT); /* the store */
	expect_pc(ENTRY + 8);
	change(PROT_READ | PROT_WRITE, 0, 1);
	expect_step(ENTRY + 12, HSR_EXECUTED);
	munmap(host, PAGES * 4096ul);
}

TEST(memory_that_is_unmapped_is_efault_and_what_is_mapped_there_later_is_the_guests)
{
	memory_guest(STR_X1_X20, LDR_X0_X20, NOP);
	debug(STEP);
	set_reg(X(1), 7);
	expect_step(ENTRY + 4, HSR_EXECUTED);
	change(-1, 0, PAGES);
	expect_error(EFAULT);
	map(0, PAGES);
	memcpy(host, &(uint64_t){9}, 8);
	expect_step(ENTRY + 8, HSR_EXECUTED);
	expect_reg(X(0), 9);
	munmap(host, PAGES * 4096ul);
}

TEST(only_the_pages_that_change_are_concerned)
{
	memory_guest(STR_X1_X20, STR_X1_X20, STR_X1_X20, NOP);
	debug(STEP);
	expect_step(ENTRY + 4, HSR_EXECUTED);
	change(PROT_NONE, 1, 2);
	expect_step(ENTRY + 8, HSR_EXECUTED);
	set_reg(X(20), SLOT + 0x2000);
	expect_error(EFAULT);
	set_reg(X(20), SLOT + 0x3000);
	expect_step(ENTRY + 12, HSR_EXECUTED);
	munmap(host, PAGES * 4096ul);
}

TEST(code_that_is_taken_away_is_efault_too)
{
	memory_guest(NOP);
	memcpy(host, (uint32_t[]){NOP, NOP, NOP}, 12);
	set_reg(PC, SLOT);
	debug(STEP);
	expect_step(SLOT + 4, HSR_EXECUTED);
	change(PROT_NONE, 0, 1);
	expect_error(EFAULT);
	change(PROT_READ, 0, 1);
	expect_step(SLOT + 8, HSR_EXECUTED);
	munmap(host, PAGES * 4096ul);
}

static _Atomic bool stop;

static void *take_away_and_give_back(void *arg)
{
	for (unsigned i = 0; !atomic_load(&stop); i++) {
		struct change none = {i % 2 ? PROT_NONE : PROT_READ, 0, PAGES},
			      all = {PROT_READ | PROT_WRITE, 0, PAGES};

		pawl_change_memory(host, PAGES * 4096ul, apply, &none);
		pawl_change_memory(host, PAGES * 4096ul, apply, &all);
	}
	return NULL;
}

TEST(a_vcpu_that_runs_meanwhile_gets_efault_and_no_signal)
{
	pthread_t t;
	unsigned faults = 0, exits = 0;

	memory_guest(STR_X1_X20, LDR_X0_X20, ADD_X1_1, STR_X3_DEV, 0x17fffffc /* b .-16 */);
	atomic_store(&stop, false);
	pthread_create(&t, NULL, take_away_and_give_back, NULL);
	while (exits < 3000 || !faults) {
		long ret = run();

		if (ret == -EFAULT)
			faults++;
		else
			expect_eq(ret, 0);
		exits += ret == 0;
		expect_eq(get_reg(X(1)), exits);
	}
	atomic_store(&stop, true);
	pthread_join(t, NULL);
	munmap(host, PAGES * 4096ul);
}

TEST(two_vms_may_share_what_changes)
{
	struct machine first;

	memory_guest(STR_X1_X20, STR_X1_X20, NOP);
	debug(STEP);
	expect_step(ENTRY + 4, HSR_EXECUTED);
	first = m;
	{
		uint8_t *shared = host;
		struct kvm_userspace_memory_region r = {.slot = 3,
							.guest_phys_addr = SLOT + 0x100000,
							.memory_size = 4096,
							.userspace_addr = (uintptr_t)shared};

		guest(STR_X1_X20, STR_X1_X20, NOP);
		expect_eq(call(m.vm, KVM_SET_USER_MEMORY_REGION, &r), 0);
		set_reg(X(20), SLOT + 0x100000);
		debug(STEP);
		expect_step(ENTRY + 4, HSR_EXECUTED);
		change(PROT_NONE, 0, 1);
		expect_error(EFAULT);
		machine_free();
	}
	m = first;
	expect_error(EFAULT);
	change(PROT_READ | PROT_WRITE, 0, 1);
	expect_step(ENTRY + 8, HSR_EXECUTED);
	munmap(host, PAGES * 4096ul);
}

static void *moved;

static void on_signal(int sig)
{
	struct change c = {PROT_READ | PROT_WRITE, 3, 1};

	pawl_change_memory(host, 4096, apply, &c); /* neither a deadlock nor a wait for the interrupted vcpu */
	moved = host;
	m.run->immediate_exit = 1;
	pawl_signal_ran();
}

TEST(a_handler_that_interrupts_a_vcpu_may_change_memory)
{
	memory_guest(SPIN);
	moved = NULL;
	kick_handle(SIG_KICK, on_signal, 0);
	kick_every(2000);
	expect_error(EINTR);
	kick_every(0);
	expect_eq(moved == host, 1);
	munmap(host, PAGES * 4096ul);
}

/* ---- pages that are dropped: they come back, with other contents */

/* A library that is linked hears it from the client; the preload library and the resident see the system call. */
static void drop(unsigned first, unsigned n, int advice)
{
	expect_eq(madvise(host + first * 4096, n * 4096ul, advice), 0);
	if (!kvm_path)
		pawl_forget_memory(host + first * 4096, n * 4096ul);
}

/* An emulator below may take such advice and do nothing. */
static void needs(int advice)
{
	volatile uint64_t *last = (volatile uint64_t *)(host + (PAGES - 1) * 4096ul);

	*last = 1;
	drop(PAGES - 1, 1, advice);
	if (*last != 0)
		skip("madvise() drops nothing here");
}

/* The slot's memory is this file from now on, until the test's end. */
static int file_as_memory(void)
{
	int fd = memfd_create("slot", MFD_CLOEXEC);

	expect_eq(ftruncate(fd, PAGES * 4096l), 0);
	expect_eq(mmap(host, PAGES * 4096ul, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == host, 1);
	return fd;
}

#define MAPPED 0x80000000ull /* the slot's second page, by a table in its first */
#define TO_VECTOR (VECTORS + 0x200)

/* All below MAPPED is mapped one to one. An exception exits at TO_VECTOR. */
static void translate(void)
{
	enum { LEVEL1 = ENTRY + 0x5000, LEVEL2 = ENTRY + 0x6000 };
	uint64_t *level1 = (uint64_t *)(m.ram + (LEVEL1 - ENTRY)), *level2 = (uint64_t *)(m.ram + (LEVEL2 - ENTRY));

	level1[0] = 0x405;	   /* device memory */
	level1[1] = ENTRY | 0x701; /* normal memory, inner shareable */
	level1[2] = LEVEL2 | 3;
	level2[0] = SLOT | 3;
	*(uint64_t *)host = (SLOT + 0x1000) | 0x703;
	put_words(TO_VECTOR, (uint32_t[]){STR_X3_DEV}, 1);
	set_reg(SYS(3, 0, 10, 2, 0), 0x00ff);	  /* MAIR_EL1 */
	set_reg(SYS(3, 0, 2, 0, 2), 0x200803519); /* TCR_EL1: 39 bits in TTBR0_EL1, granules of 4 KiB */
	set_reg(SYS(3, 0, 2, 0, 0), LEVEL1);	  /* TTBR0_EL1 */
	set_reg(SYS(3, 0, 1, 0, 0), 0x30d01805);  /* SCTLR_EL1: M, C, I */
	set_reg(VBAR_EL1, VECTORS);
	set_reg(X(20), MAPPED);
}

#define DATA_ABORT_AT_LEVEL_3 0x96000007

static void expect_that_it_walks_again(void)
{
	expect_exit(KVM_EXIT_MMIO);
	expect_pc(TO_VECTOR);
	expect_reg(ESR_EL1, DATA_ABORT_AT_LEVEL_3);
	expect_reg(FAR_EL1, MAPPED);
}

TEST(a_page_table_that_is_dropped_translates_no_more)
{
	memory_guest(LDR_X0_X20, STR_X3_DEV, LDR_X0_X20, STR_X3_DEV);
	needs(MADV_DONTNEED);
	translate();
	expect_exit(KVM_EXIT_MMIO);
	expect_pc(ENTRY + 4);
	drop(0, 1, MADV_DONTNEED);
	expect_that_it_walks_again();
	munmap(host, PAGES * 4096ul);
}

TEST(a_page_table_that_is_removed_from_its_file_translates_no_more)
{
	int fd;

	memory_guest(LDR_X0_X20, STR_X3_DEV, LDR_X0_X20, STR_X3_DEV);
	fd = file_as_memory();
	needs(MADV_REMOVE);
	translate();
	expect_exit(KVM_EXIT_MMIO);
	expect_pc(ENTRY + 4);
	drop(0, 1, MADV_REMOVE);
	expect_that_it_walks_again();
	munmap(host, PAGES * 4096ul);
	close(fd);
}

TEST(a_page_table_where_a_hole_is_punched_into_the_file_translates_no_more)
{
	int fd;

	memory_guest(LDR_X0_X20, STR_X3_DEV, LDR_X0_X20, STR_X3_DEV);
	fd = file_as_memory();
	translate();
	expect_exit(KVM_EXIT_MMIO);
	expect_pc(ENTRY + 4);
	expect_eq(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), 0);
	if (!kvm_path)
		pawl_forget_memory(host, 4096);
	expect_that_it_walks_again();
	munmap(host, PAGES * 4096ul);
	close(fd);
}

TEST(pages_beside_the_slot_may_be_dropped)
{
	uint8_t *other = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memory_guest(LDR_X0_X20, STR_X3_DEV, LDR_X0_X20, STR_X3_DEV);
	translate();
	expect_exit(KVM_EXIT_MMIO);
	expect_eq(madvise(other, 4096, MADV_DONTNEED), 0);
	expect_exit(KVM_EXIT_MMIO);
	expect_pc(ENTRY + 12);
	munmap(other, 4096);
	munmap(host, PAGES * 4096ul);
}

TEST(code_that_is_dropped_is_executed_no_more)
{
	memory_guest(NOP);
	needs(MADV_DONTNEED);
	put_words(TO_VECTOR, (uint32_t[]){STR_X3_DEV}, 1);
	set_reg(VBAR_EL1, VECTORS);
	memcpy(host, (uint32_t[]){STR_X3_DEV, 0x17ffffff /* b .-4 */}, 8);
	set_reg(PC, SLOT);
	for (unsigned i = 0; i < 3; i++) {
		expect_exit(KVM_EXIT_MMIO);
		expect_pc(SLOT);
	}
	drop(0, 1, MADV_DONTNEED);
	expect_exit(KVM_EXIT_MMIO);
	expect_pc(TO_VECTOR);
	expect_reg(ESR_EL1, 0x02000000); /* zero is no instruction */
	expect_reg(ELR_EL1, SLOT + 4);
	munmap(host, PAGES * 4096ul);
}

static void *drop_the_table(void *arg)
{
	while (*(volatile uint64_t *)(host + 0x1000) == 0)
		usleep(100);
	drop(0, 1, MADV_DONTNEED);
	return NULL;
}

TEST(a_vcpu_that_runs_forgets_what_is_dropped)
{
	pthread_t t;

	memory_guest(STR_X1_X20, 0x17ffffff /* b .-4 */);
	needs(MADV_DONTNEED);
	translate();
	set_reg(X(1), 1);
	pthread_create(&t, NULL, drop_the_table, NULL);
	expect_exit(KVM_EXIT_MMIO);
	pthread_join(t, NULL);
	expect_pc(TO_VECTOR);
	munmap(host, PAGES * 4096ul);
}

/* ---- userfaultfd: pages that come when they are asked for */

struct pager {
	int fd;
	bool protects; /* pages are there, and write-protected */
	bool drops;    /* another page goes before one is brought */
	_Atomic int faults;
};

static void *bring_pages(void *arg)
{
	static uint8_t page[4096];
	struct pager *p = arg;
	struct uffd_msg msg;

	memset(page, 0x11, sizeof(page));
	while (read(p->fd, &msg, sizeof(msg)) == sizeof(msg) && msg.event == UFFD_EVENT_PAGEFAULT) {
		uint64_t at = msg.arg.pagefault.address & ~4095ull;
		struct uffdio_copy copy = {.dst = at, .src = (uintptr_t)page, .len = 4096};
		struct uffdio_writeprotect open = {.range = {at, 4096}};

		atomic_fetch_add(&p->faults, 1);
		if (p->drops)
			drop(1, 1, MADV_DONTNEED);
		if (ioctl(p->fd, p->protects ? UFFDIO_WRITEPROTECT : UFFDIO_COPY,
			  p->protects ? (void *)&open : &copy) != 0)
			break;
		if (at == (uintptr_t)host + 3 * 4096ul) /* the last one */
			break;
	}
	return NULL;
}

/* The guest's first access to a page is the instruction; then one to the last page ends the pager. */
static void paged(uint32_t insn, bool protects, bool drops)
{
	struct uffdio_api api = {.api = UFFD_API, .features = protects ? UFFD_FEATURE_PAGEFAULT_FLAG_WP : 0};
	struct uffdio_register range = {.mode = protects ? UFFDIO_REGISTER_MODE_WP : UFFDIO_REGISTER_MODE_MISSING};
	struct pager pager = {.fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC), .protects = protects, .drops = drops};
	pthread_t thread;

	if (pager.fd < 0)
		skip("no userfaultfd here");
	memory_guest(insn, 0x91400e94 /* add x20, x20, #3 << 12 */, STR_X1_X20, STR_X3_DEV);
	range.range = (struct uffdio_range){(uintptr_t)host, PAGES * 4096ul};
	if (protects)
		memset(host, 0x11, PAGES * 4096ul);
	if (ioctl(pager.fd, UFFDIO_API, &api) != 0 || ioctl(pager.fd, UFFDIO_REGISTER, &range) != 0)
		skip("userfaultfd cannot do this here");
	if (protects) {
		struct uffdio_writeprotect wp = {.range = range.range, .mode = UFFDIO_WRITEPROTECT_MODE_WP};

		expect_eq(ioctl(pager.fd, UFFDIO_WRITEPROTECT, &wp), 0);
	}
	set_reg(X(1), 0x77);
	expect_eq(pthread_create(&thread, NULL, bring_pages, &pager), 0);
	expect_exit(KVM_EXIT_MMIO);
	pthread_join(thread, NULL);
	expect_eq(pager.faults > 0, 1);
	close(pager.fd);
}

TEST(a_page_that_a_userfaultfd_brings_is_waited_for_by_loads)
{
	paged(LDR_X0_X20, false, false);
	expect_reg(X(0), 0x1111111111111111);
}

TEST(a_page_that_a_userfaultfd_brings_is_waited_for_by_stores)
{
	paged(STR_X1_X20, false, false);
	expect_eq(host[0] | host[8] << 8, 0x1177);
}

TEST(a_page_that_a_userfaultfd_protects_is_waited_for_by_stores)
{
	paged(STR_X1_X20, true, false);
	expect_eq(host[0] | host[8] << 8, 0x1177);
}

TEST(who_brings_a_page_may_drop_another_meanwhile)
{
	paged(LDR_X0_X20, false, true);
	expect_reg(X(0), 0x1111111111111111);
}

TEST(a_dropped_page_that_nobody_brings_is_efault_and_no_signal)
{
	struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_SIGBUS};
	struct uffdio_register range = {.mode = UFFDIO_REGISTER_MODE_MISSING};
	struct uffdio_zeropage zero;
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

	if (fd < 0)
		skip("no userfaultfd here");
	memory_guest(LDR_X0_X20, STR_X3_DEV, LDR_X0_X20, STR_X3_DEV);
	memset(host, 0x11, PAGES * 4096ul);
	range.range = (struct uffdio_range){(uintptr_t)host, PAGES * 4096ul};
	zero.range = (struct uffdio_range){(uintptr_t)host, 4096};
	zero.mode = 0;
	if (ioctl(fd, UFFDIO_API, &api) != 0 || ioctl(fd, UFFDIO_REGISTER, &range) != 0)
		skip("userfaultfd cannot do this here");
	expect_exit(KVM_EXIT_MMIO);
	expect_reg(X(0), 0x1111111111111111);
	drop(0, 1, MADV_DONTNEED);
	expect_error(EFAULT);
	expect_pc(ENTRY + 8);
	expect_eq(ioctl(fd, UFFDIO_ZEROPAGE, &zero), 0);
	expect_exit(KVM_EXIT_MMIO);
	expect_reg(X(0), 0);
	close(fd);
	munmap(host, PAGES * 4096ul);
}

#define CAS_X0_X1_X20 0xc8a07e81u

TEST(an_atomic_on_memory_that_is_read_only_reads_first)
{
	struct kvm_userspace_memory_region r = {
		.slot = 4, .flags = KVM_MEM_READONLY, .guest_phys_addr = SLOT + 0x100000, .memory_size = 4096};

	memory_guest(CAS_X0_X1_X20);
	r.userspace_addr = (uintptr_t)host;
	expect_eq(call(m.vm, KVM_SET_USER_MEMORY_REGION, &r), 0);
	set_reg(X(20), SLOT + 0x100000);
	change(PROT_NONE, 0, 1);
	expect_error(EFAULT); /* there is nothing to read */
	change(PROT_READ, 0, 1);
	expect_error(ENOSYS); /* the store cannot be emulated */
	munmap(host, PAGES * 4096ul);
}
