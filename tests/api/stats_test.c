/* SPDX-License-Identifier: MIT */
/* KVM_GET_STATS_FD (api.rst 4.134): files that describe themselves, counters that count. */
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <pawl/pawl.h>

#include "harness.h"

static int fd = -1;
static struct kvm_stats_header head;

static void open_stats(int of)
{
	fd = (int)call(of, KVM_GET_STATS_FD, NULL);
	if (fd < 0)
		fail("KVM_GET_STATS_FD: %s", strerror(-fd));
	expect_eq(pread(fd, &head, sizeof(head), 0), sizeof(head));
}

/* Values of the counter with that name; how many there are. */
static unsigned values(const char *name, uint64_t *out, unsigned max)
{
	size_t size = sizeof(struct kvm_stats_desc) + head.name_size;
	struct kvm_stats_desc *d = malloc(size);
	unsigned n = 0;

	for (unsigned i = 0; i < head.num_desc && !n; i++) {
		expect_eq(pread(fd, d, size, head.desc_offset + (off_t)(i * size)), size);
		if (strcmp(d->name, name) == 0)
			n = d->size;
	}
	if (!n)
		fail("no counter %s", name);
	n = n < max ? n : max;
	expect_eq(pread(fd, out, n * 8, head.data_offset + (off_t)d->offset), n * 8);
	free(d);
	return n;
}

static uint64_t counter(const char *name)
{
	uint64_t v;

	expect_eq(values(name, &v, 1), 1);
	return v;
}

/* What api.rst says of header and descriptors, for whatever counters there are. */
static void check_file(const char *id_prefix)
{
	size_t size = sizeof(struct kvm_stats_desc) + head.name_size, data = 0;
	char id[64] = "", rest[8];
	struct kvm_stats_desc *d = malloc(size);

	expect_eq(head.flags, 0);
	expect_eq(head.name_size, 48);
	expect_eq(head.id_offset, sizeof(head));
	expect_eq(head.desc_offset, sizeof(head) + 48);
	expect_eq(head.data_offset, head.desc_offset + head.num_desc * size);
	expect_eq(pread(fd, id, 48, head.id_offset), 48);
	expect_eq(strncmp(id, id_prefix, strlen(id_prefix)), 0);
	for (unsigned i = 0; i < head.num_desc; i++) {
		expect_eq(pread(fd, d, size, head.desc_offset + (off_t)(i * size)), size);
		test_variant = d->name;
		expect_eq(d->name[0] != 0 && memchr(d->name, 0, 48) != NULL, 1);
		expect_eq((d->flags & KVM_STATS_TYPE_MASK) <= KVM_STATS_TYPE_MAX, 1);
		expect_eq((d->flags & KVM_STATS_UNIT_MASK) <= KVM_STATS_UNIT_MAX, 1);
		expect_eq((d->flags & KVM_STATS_BASE_MASK) <= KVM_STATS_BASE_MAX, 1);
		expect_eq(d->size > 0, 1);
		expect_eq(d->offset, data); /* none overlaps, none is missing */
		data += d->size * 8ul;
	}
	test_variant = NULL;
	free(d);
	expect_eq(pread(fd, rest, 8, head.data_offset + (off_t)data - 8), 8);
	expect_eq(pread(fd, rest, sizeof(rest), head.data_offset + (off_t)data), 0);
}

TEST(a_vms_file_describes_itself)
{
	char id[32];

	machine_new(0);
	open_stats(m.vm);
	snprintf(id, sizeof(id), "kvm-%d", (int)getpid());
	check_file(id);
	close(fd);
}

TEST(a_vcpus_file_describes_itself_before_it_is_initialised)
{
	machine_new(WITHOUT_INIT);
	open_stats(m.vcpu);
	check_file("kvm-");
	close(fd);
}

TEST(exits_are_counted_by_their_kind_and_before_anybody_asked)
{
	guest(LDR_X0_DEV, LDR_W0_DIST, HVC, 0xd503205f /* wfe */, STR_X3_DEV);
	expect_exit(KVM_EXIT_MMIO);
	open_stats(m.vcpu);
	expect_eq(counter("mmio_exit_user"), 1);
	expect_eq(counter("mmio_exit_kernel"), 0);
	expect_exit(KVM_EXIT_MMIO);
	expect_eq(counter("mmio_exit_user"), 2);
	expect_eq(counter("mmio_exit_kernel"), 1);
	expect_eq(counter("hvc_exit_stat"), 1);
	expect_eq(counter("wfe_exit_stat") <= 1, 1); /* whether WFE traps is the host's choice */
	expect_eq(counter("wfi_exit_stat"), 0);
	expect_eq(counter("exits") >= 4, 1);
	close(fd);
}

/* Blocks that code was made of, or that are interpreted, each time or the first. */
static uint64_t blocks_met(void)
{
	return counter("pawl_units") + counter("pawl_interpreted_blocks") + counter("pawl_interpreted_once");
}

TEST(pawl_adds_exits_by_exception_class_and_what_was_translated)
{
	uint64_t ec[64];

	guest(LDR_X0_DEV, HVC, LDR_X0_DEV, STR_X3_DEV);
	if (call(m.kvm, KVM_CHECK_EXTENSION, (void *)(uintptr_t)PAWL_CAP_DEBUG) <= 0)
		return; /* a kernel */
	expect_exit(KVM_EXIT_MMIO);
	open_stats(m.vcpu);
	expect_eq(values("pawl_exit_ec", ec, 64), 64);
	expect_eq(ec[0x24 /* data abort */], 1);
	expect_eq(blocks_met(), 1); /* and nobody waited for a clock */
	expect_eq(counter("pawl_translate_ns_insns"), 0);
	expect_exit(KVM_EXIT_MMIO);
	expect_exit(KVM_EXIT_MMIO);
	values("pawl_exit_ec", ec, 64);
	expect_eq(ec[0x24], 3);
	expect_eq(ec[0x16 /* HVC */], 1);
	expect_eq(blocks_met() > 1, 1);
	/* Met again: a block that was interpreted the first time is made now. */
	set_reg(PC, ENTRY);
	expect_exit(KVM_EXIT_MMIO);
	expect_eq(counter("pawl_translate_ns_insns") > 0, 1);
	expect_eq(counter("pawl_translate_ns") > 0, 1);
	expect_eq(counter("pawl_code_entered") > 0, counter("pawl_units") > 0);
	close(fd);
}

TEST(accesses_that_an_extent_settles_are_counted_if_asked_for)
{
	/* x0: 1000 rounds of a load and a store, which move on by 8 bytes */
	static const uint32_t code[] = {0xd2807d00 /* mov x0, #1000 */, 0xf8408541 /* ldr x1, [x10], #8 */,
					0xf9000141 /* str x1, [x10] */, 0xf1000400 /* subs x0, x0, #1 */,
					0x54ffffa1 /* b.ne */,		STR_X3_DEV};
	uint64_t hits, rest;

	setenv("PAWL_COUNT_ACCESSES", "1", 1);
	setenv("PAWL_HEAT", "100", 1);
	guest_words(0, code, sizeof(code) / 4);
	unsetenv("PAWL_COUNT_ACCESSES");
	unsetenv("PAWL_HEAT");
	if (kvm_path || call(m.kvm, KVM_CHECK_EXTENSION, (void *)(uintptr_t)PAWL_CAP_DEBUG) <= 0)
		return; /* a kernel */
	/* Stage 1, flat, by blocks of 1 GiB: with the MMU off every access is looked at. */
	memcpy(m.ram + 0xe000, (uint64_t[]){0x701, ENTRY | 0x701}, 16);
	set_reg(SYS(3, 0, 10, 2, 0), 0xff);
	set_reg(SYS(3, 0, 2, 0, 2), 25 | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 23 | 2ull << 32);
	set_reg(SYS(3, 0, 2, 0, 0), ENTRY + 0xe000);
	set_reg(SYS(3, 0, 1, 0, 0), 0x30d01805);
	expect_exit(KVM_EXIT_MMIO);
	open_stats(m.vcpu);
	hits = counter("pawl_extent_hit");
	rest = counter("pawl_tlb_hit") + counter("pawl_tlb_hit_in_c") + counter("pawl_tlb_shared") +
	       counter("pawl_tlb_walk");
	expect_eq(hits == 0 || hits + rest >= 1980, 1);	    /* a few are near the end of a page */
	expect_eq(hits >= 1700, counter("pawl_units") > 0); /* from when the loop is hot; the interpreter has none */
	expect_eq(hits <= 2000, 1);
	close(fd);
}

static void *runner(void *arg)
{
	*(long *)arg = call(m.vcpu, KVM_RUN, NULL);
	return NULL;
}

TEST(a_wait_is_counted_and_in_one_bucket)
{
	struct kvm_irq_level line = {.irq = KVM_ARM_IRQ_TYPE_CPU << KVM_ARM_IRQ_TYPE_SHIFT, .level = 1};
	uint64_t hist[64], sum = 0;
	long result = 1;
	pthread_t t;
	unsigned n;

	guest_with(WITHOUT_GIC, WFI, STR_X3_DEV);
	open_stats(m.vcpu);
	pthread_create(&t, NULL, runner, &result);
	while (counter("blocking") == 0)
		sched_yield();
	expect_eq(call(m.vm, KVM_IRQ_LINE, &line), 0);
	pthread_join(t, NULL);
	expect_eq(result, 0);
	expect_eq(m.run->exit_reason, KVM_EXIT_MMIO);
	expect_eq(counter("wfi_exit_stat"), 1);
	expect_eq(counter("halt_wakeup"), 1);
	expect_eq(counter("blocking"), 0);
	n = values("halt_wait_hist", hist, 64);
	for (unsigned i = 0; i < n; i++)
		sum += hist[i];
	expect_eq(sum, 1);
	close(fd);
}

/* Waits for its timer a hundred times; the client is told of each change of the line. */
static void waits_polled_for(uint64_t most_ns)
{
	static const uint32_t code[] = {0xd51be301 /* msr cntv_tval_el0, x1 */,
					0xd51be325 /* msr cntv_ctl_el0, x5 */,
					WFI /* 2: */,
					0xd53be326 /* mrs x6, cntv_ctl_el0 */,
					0x3617ffc6 /* tbz w6, #2, 2b */,
					0xd51be33f /* msr cntv_ctl_el0, xzr */,
					0xf1000442 /* subs x2, x2, #1 */,
					0x54ffff21 /* b.ne 1b */,
					STR_X3_DEV};
	struct kvm_enable_cap poll = {.cap = KVM_CAP_HALT_POLL, .args = {most_ns}};

	guest_words(WITHOUT_GIC, code, sizeof(code) / 4);
	expect_eq(call(m.vm, KVM_ENABLE_CAP, &poll), 0);
	set_reg(X(1), 3000);
	set_reg(X(2), 100);
	set_reg(X(5), 1);
	while (call(m.vcpu, KVM_RUN, NULL) == -EINTR)
		;
	expect_eq(m.run->exit_reason, KVM_EXIT_MMIO);
	open_stats(m.vcpu);
}

TEST(polls_are_counted_and_how_they_ended)
{
	uint64_t hist[64], polls = 0;
	unsigned n;

	waits_polled_for(UINT32_MAX);
	for (int i = 0; i < 2; i++) {
		n = values(i ? "halt_poll_fail_hist" : "halt_poll_success_hist", hist, 64);
		while (n)
			polls += hist[--n];
	}
	expect_eq(polls, counter("halt_attempted_poll"));
	expect_eq(counter("halt_successful_poll") <= polls, 1);
	close(fd);
}

TEST(a_client_can_have_no_polls)
{
	waits_polled_for(0);
	expect_eq(counter("halt_attempted_poll"), 0);
	close(fd);
}

TEST(a_change_of_the_slots_is_a_flush)
{
	struct kvm_userspace_memory_region r = {.slot = 1};
	uint64_t before;

	machine_new(0);
	open_stats(m.vm);
	before = counter("remote_tlb_flush");
	expect_eq(call(m.vm, KVM_SET_USER_MEMORY_REGION, &r), 0);
	expect_eq(counter("remote_tlb_flush") > before, 1);
	close(fd);
}

TEST(the_descriptor_is_read_only_of_its_own_and_outlives_the_vm)
{
	int other;

	guest(LDR_X0_DEV);
	open_stats(m.vcpu);
	other = (int)call(m.vcpu, KVM_GET_STATS_FD, NULL);
	expect_eq(other != fd, 1);
	expect_eq(write(fd, "x", 1), -1);
	expect_eq(errno, EBADF);
	expect_exit(KVM_EXIT_MMIO);
	close(other);
	expect_eq(counter("mmio_exit_user"), 1);
	machine_free();
	expect_eq(counter("mmio_exit_user"), 1);
	close(fd);
}

/* On a kernel the test's own lseek() is what pawl_lseek() is here. */
static long seek(int at, long offset, int whence)
{
	long ret = kvm_path ? lseek(at, offset, whence) : pawl_lseek(at, offset, whence);

	return ret < 0 ? -errno : ret;
}

TEST(no_descriptor_can_be_wound)
{
	char data[24];
	int copy;

	machine_new(0);
	open_stats(m.vm);
	expect_eq(read(fd, data, sizeof(data)), sizeof(data));
	expect_eq(seek(fd, 0, SEEK_SET), sizeof(data));
	expect_eq(seek(fd, 0, SEEK_END), sizeof(data));
	expect_eq(seek(fd, -1, SEEK_CUR), sizeof(data));
	expect_eq(seek(fd, 0, 99), -EINVAL);
	copy = dup(fd);
	expect_eq(seek(copy, 0, SEEK_SET), sizeof(data));
	close(copy);
	expect_eq(seek(m.kvm, 8, SEEK_SET), 0);
	expect_eq(seek(m.vm, 8, SEEK_SET), 0);
	expect_eq(seek(m.vcpu, 8, SEEK_SET), 0);
	expect_eq(seek(m.gic, 8, SEEK_SET), -ESPIPE);
	close(fd);
}
