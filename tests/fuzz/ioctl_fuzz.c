/* SPDX-License-Identifier: MIT */
/*
 * A client that makes every mistake: sequences of ioctls of all kinds on descriptors of all kinds, right and wrong, with
 * structures that are plausible, random, cut off by a page that faults, or not there; and guests that run in between.
 * What is checked, beside that nothing crashes, hangs or is found by a sanitizer:
 *
 *     a descriptor that is not pawl's gives EBADF;
 *     no errno but those that KVM has;
 *     an argument that cannot be read never succeeds, and one that is only read is not written;
 *     when all descriptors are closed, none is left.
 *
 *     ioctl-fuzz [--seed SEED] [--from ROUND] [--count SEQUENCES] [--verbose]
 *
 * A round is SEQUENCES sequences in one small world, which depends on the seed and the round's number alone (but for how far a
 * guest runs). A failure, or a round that does not end (watchdog.c), names the round: --from ROUND --count 1 --verbose repeats it.
 */
#include "fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <pawl/kvm.h>
#include <pawl/pawl.h>

enum { SEQUENCES = 64, OPS = 8 };

static bool verbose;

/* ---- what there is to call */

static const struct {
	uint32_t request;
	enum kind kind;
	unsigned weight;
	bool is_value; /* the argument is a number */
} requests[] = {
	{KVM_GET_API_VERSION, SYSTEM, 1, true},
	{KVM_CREATE_VM, SYSTEM, 2, true},
	{KVM_CHECK_EXTENSION, SYSTEM, 2, true},
	{KVM_GET_VCPU_MMAP_SIZE, SYSTEM, 1, true},
	{KVM_CREATE_VCPU, VM, 4, true},
	{KVM_GET_DIRTY_LOG, VM, 3, false},
	{KVM_CLEAR_DIRTY_LOG, VM, 3, false},
	{KVM_RESET_DIRTY_RINGS, VM, 2, true},
	{KVM_SET_USER_MEMORY_REGION, VM, 12, false},
	{KVM_SET_USER_MEMORY_REGION2, VM, 8, false},
	{KVM_CHECK_EXTENSION, VM, 2, true},
	{KVM_CREATE_IRQCHIP, VM, 1, true},
	{KVM_IRQ_LINE, VM, 8, false},
	{KVM_IRQ_LINE_STATUS, VM, 2, false},
	{KVM_REGISTER_COALESCED_MMIO, VM, 3, false},
	{KVM_UNREGISTER_COALESCED_MMIO, VM, 2, false},
	{KVM_SET_GSI_ROUTING, VM, 4, false},
	{KVM_IRQFD, VM, 8, false},
	{KVM_IOEVENTFD, VM, 8, false},
	{KVM_SIGNAL_MSI, VM, 4, false},
	{KVM_ARM_SET_DEVICE_ADDR, VM, 2, false},
	{KVM_ARM_PREFERRED_TARGET, VM, 1, false},
	{KVM_ARM_SET_COUNTER_OFFSET, VM, 1, false},
	{KVM_ARM_GET_REG_WRITABLE_MASKS, VM, 1, false},
	{KVM_CREATE_DEVICE, VM, 6, false},
	{KVM_ENABLE_CAP, VM, 4, false},
	{KVM_GET_STATS_FD, VM, 1, true},
	{KVM_SET_DEVICE_ATTR, VM, 2, false},
	{KVM_HAS_DEVICE_ATTR, VM, 1, false},
	{KVM_SET_MEMORY_ATTRIBUTES, VM, 1, false},
	{KVM_CREATE_GUEST_MEMFD, VM, 4, false},
	{KVM_ARM_MTE_COPY_TAGS, VM, 1, false},
	{KVM_SET_PMU_EVENT_FILTER, VM, 1, false},
	{KVM_RUN, VCPU, 40, true},
	{KVM_GET_REGS, VCPU, 1, false},
	{KVM_SET_REGS, VCPU, 1, false},
	{KVM_TRANSLATE, VCPU, 1, false},
	{KVM_INTERRUPT, VCPU, 1, false},
	{KVM_SET_SIGNAL_MASK, VCPU, 2, false},
	{KVM_GET_FPU, VCPU, 1, false},
	{KVM_GET_MP_STATE, VCPU, 2, false},
	{KVM_SET_MP_STATE, VCPU, 3, false},
	{KVM_NMI, VCPU, 1, true},
	{KVM_SET_GUEST_DEBUG, VCPU, 6, false},
	{KVM_GET_VCPU_EVENTS, VCPU, 2, false},
	{KVM_SET_VCPU_EVENTS, VCPU, 4, false},
	{KVM_DIRTY_TLB, VCPU, 1, false},
	{KVM_GET_ONE_REG, VCPU, 20, false},
	{KVM_SET_ONE_REG, VCPU, 40, false},
	{KVM_ARM_VCPU_INIT, VCPU, 6, false},
	{KVM_GET_REG_LIST, VCPU, 2, false},
	{KVM_ARM_VCPU_FINALIZE, VCPU, 2, false},
	{KVM_ENABLE_CAP, VCPU, 1, false},
	{KVM_SET_DEVICE_ATTR, VCPU, 6, false},
	{KVM_GET_DEVICE_ATTR, VCPU, 4, false},
	{KVM_HAS_DEVICE_ATTR, VCPU, 3, false},
	{KVM_GET_STATS_FD, VCPU, 1, true},
	{KVM_PRE_FAULT_MEMORY, VCPU, 1, false},
	{KVM_GET_REGS, MEMFD, 1, false} /* none is for it */,
	{KVM_SET_DEVICE_ATTR, DEVICE, 24, false},
	{KVM_GET_DEVICE_ATTR, DEVICE, 16, false},
	{KVM_HAS_DEVICE_ATTR, DEVICE, 8, false},
	{KVM_GET_REGS, STATS, 1, false} /* a file like others */,
};
static unsigned total_weight;

/* ---- operations */

static bool known_errno(int err)
{
	switch (err) {
	case EFAULT:
	case EINVAL:
	case ENOTTY:
	case ENXIO:
	case EPERM:
	case EBUSY:
	case EEXIST:
	case ENOENT:
	case ENOMEM:
	case E2BIG:
	case EBADF:
	case ENOSYS:
	case ENODEV:
	case EAGAIN:
	case EINTR:
	case EMFILE:
	case ENOEXEC:
	case EIO:
	case EOPNOTSUPP:
	case ENOSPC: return true;
	default: return false;
	}
}

static void on_alarm(int sig)
{
	pawl_signal_ran();
}

static void alarms(unsigned us)
{
	struct itimerval t = {{0, (int)us}, {0, (int)us}};

	setitimer(ITIMER_REAL, &t, NULL);
}

/* A structure at the end of the buffer, or an address that cannot be had. */
static void *argument(uint32_t request, enum kind on, bool *bad)
{
	size_t size;

	switch (*bad ? below(4) : 4) {
	case 0: return NULL;
	case 1: return nowhere;
	case 2: return (void *)0xffff800000000000;
	case 3: return buffer + BUFFER; /* the page behind */
	default: break;
	}
	size = fill(request, on, buffer, BUFFER);
	memmove(buffer + BUFFER - size, buffer, size);
	return buffer + BUFFER - size;
}

static void new_object(uint32_t request, const void *arg, int result)
{
	switch (request) {
	case KVM_CREATE_VM: add(VM, result); break;
	case KVM_CREATE_VCPU: {
		int fd = add(VCPU, result);
		struct kvm_run *run;

		if (fd < 0 || one_in(8))
			break;
		run = pawl_mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (run == MAP_FAILED)
			fail("mmap of a vcpu: errno %d", errno);
		objects[n_objects - 1].run = run;
		break;
	}
	case KVM_CREATE_GUEST_MEMFD: add(MEMFD, result); break;
	case KVM_GET_STATS_FD: add(STATS, result); break;
	case KVM_CREATE_DEVICE: {
		struct kvm_create_device d;

		memcpy(&d, arg, sizeof(d));
		if (!(d.flags & KVM_CREATE_DEVICE_TEST))
			add(DEVICE, (int)d.fd);
		break;
	}
	default: break;
	}
}

static void op_run(struct object *o)
{
	int ret;

	if (!o->run)
		return;
	if (one_in(6))
		((uint8_t *)o->run)[below((unsigned)sizeof(*o->run))] = (uint8_t)rnd();
	if (one_in(6))
		fill_words(o->run->mmio.data, 8);
	o->run->immediate_exit = !one_in(12);
	if (!o->run->immediate_exit)
		alarms(200);
	watchdog_progress(KVM_RUN);
	ret = pawl_ioctl(o->fd, KVM_RUN, one_in(50) ? buffer : NULL);
	if (ret < 0 && !known_errno(errno))
		fail("errno %d", errno);
	if (!o->run->immediate_exit)
		alarms(0);
}

static void op_ioctl(void)
{
	static uint8_t before[BUFFER];
	unsigned pick = below(total_weight), i;
	struct object *o;
	uint32_t request;
	enum kind on;
	bool bad = one_in(16);
	size_t size;
	void *arg;
	int ret;

	for (i = 0; pick >= requests[i].weight; i++)
		pick -= requests[i].weight;
	request = requests[i].request;
	on = requests[i].kind;
	o = one_in(24) && n_objects ? &objects[below(n_objects)] : any(on);
	if (!o)
		return;
	if (request == KVM_RUN && o->kind == VCPU) {
		op_run(o);
		return;
	}
	if (one_in(64)) /* a request that there is not, or of another size */
		request ^= 1u << below(30);
	size = _IOC_SIZE(request);
	if (requests[i].is_value && request == requests[i].request)
		arg = (void *)(uintptr_t)(request == KVM_CREATE_VCPU ? one_in(6) ? interesting() : below(4)
					  : one_in(3) ? interesting()
								     : below(256));
	else
		arg = argument(request, o->kind, &bad);
	if (request == KVM_CREATE_VM && one_in(2))
		arg = NULL;
	if (!bad)
		memcpy(before, buffer, BUFFER);
	if (verbose)
		fprintf(stderr, "  ioctl %#x on %s %d, %p%s\n", request, kind_names[o->kind], o->fd, arg,
			bad ? " (bad)" : "");
	watchdog_progress(request);
	ret = pawl_ioctl(o->fd, request, arg);
	if (verbose)
		fprintf(stderr, "    = %d, errno %d\n", ret, ret < 0 ? errno : 0);
	if (o->kind > DEVICE && (ret != -1 || errno != EBADF))
		fail("ioctl %#x on a descriptor that is not pawl's gives %d, errno %d", request, ret, errno);
	if (ret < 0 && !known_errno(errno))
		fail("ioctl %#x gives errno %d", request, errno);
	if (ret >= 0)
		new_object(request, arg, ret);
	if (request != requests[i].request)
		return;
	/* no mask is no error */
	if (bad && ret >= 0 && size && !requests[i].is_value && !(request == KVM_SET_SIGNAL_MASK && !arg))
		fail("ioctl %#x on a %s succeeds with an argument that is not there", request, kind_names[o->kind]);
	if (!bad && !requests[i].is_value && !(_IOC_DIR(request) & _IOC_READ) && memcmp(before, buffer, BUFFER) != 0)
		fail("ioctl %#x on a %s writes to an argument that is to be read", request, kind_names[o->kind]);
}

static void op_guest_words(void)
{
	static const uint32_t words[] = {
		0xd503207f /* wfi */,	       0xd503205f /* wfe */,	0xd4000002 /* hvc */,
		0xd4000003 /* smc */,	       0xf9400160 /* ldr */,	0xf9000163 /* str */,
		0xa9400560 /* ldp */,	       0xd4200000 /* brk */,	0xd4000001 /* svc */,
		0x14000000 /* b . */,	       0x17fffff0 /* b back */, 0xd69f03e0 /* eret */,
		0xd538cc00 /* iar1 */,	       0xd518cc20 /* eoir */,	0xd518cba0 /* sgi1r */,
		0xf9400181 /* ldr x1,[x12] */, 0xd53be040 /* cntvct */, 0xd51be320 /* cntv */,
		0xf9000141 /* str [x10] */,    0xd5384100 /* sp_el0 */,
	};
	uint32_t *code = (uint32_t *)(void *)ram;
	unsigned n = 1 + below(16), at = below(RAM_SIZE / 4 - 16) & (one_in(2) ? 15 : ~0u);

	for (unsigned i = 0; i < n; i++)
		code[at + i] = one_in(4) ? (uint32_t)rnd() : words[below(COUNT(words))];
}

static void op_descriptor(void)
{
	unsigned i;
	void *p;

	if (!n_objects)
		return;
	i = below(n_objects);
	switch (below(9)) {
	case 0: drop(i); break;
	case 1: /* a duplicate is as good */
		if (objects[i].kind <= DEVICE)
			add(objects[i].kind, dup(objects[i].fd));
		break;
	case 2: { /* any part of any of them may be mapped */
		size_t size = one_in(4) ? (size_t)below(64) * PAGE : run_size;

		if (objects[i].kind > DEVICE)
			break;
		p = pawl_mmap(NULL, size, one_in(3) ? PROT_READ : PROT_READ | PROT_WRITE,
			      one_in(4) ? MAP_PRIVATE : MAP_SHARED, objects[i].fd,
			      one_in(3) ? (off_t)below(32) * PAGE : 0);
		if (p != MAP_FAILED)
			munmap(p, size);
		break;
	}
	case 3: {
		struct pollfd f = {objects[i].fd, POLLIN, 0};

		poll(&f, 1, 0);
		break;
	}
	case 4: {
		char data[256];

		if (pread(objects[i].fd, data, sizeof(data), below(2) ? 0 : below(4096)) < 0 && !known_errno(errno) &&
		    errno != ESPIPE)
			fail("pread gives errno %d", errno);
		break;
	}
	case 5:
		if (any(EVENT) && eventfd_write(fd_of(EVENT), 1) != 0)
			break;
		break;
	case 7:
		if (objects[i].kind <= DEVICE &&
		    pawl_fallocate(objects[i].fd,
				   one_in(3)   ? (int)below(16)
				   : one_in(2) ? 1
					       : 3,
				   one_in(4) ? (off_t)interesting() : (off_t)below(8) * PAGE,
				   one_in(4) ? (off_t)below(3 * PAGE) : (off_t)below(8) * PAGE) < 0 &&
		    !known_errno(errno) && errno != EFBIG)
			fail("fallocate gives errno %d", errno);
		break;
	case 6: /* memory that goes and comes back */ mprotect(ram, PAGE, PROT_READ | PROT_WRITE); break;
	default: add(EVENT, eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)); break;
	}
}

/* ---- rounds */

static void learn_registers(int vcpu)
{
	static uint64_t ids[1024];
	struct {
		uint64_t n;
		uint64_t id[1023];
	} list = {.n = 1023};

	if (n_reg_ids || pawl_ioctl(vcpu, KVM_GET_REG_LIST, &list) != 0)
		return;
	memcpy(ids, list.id, list.n * sizeof(ids[0]));
	reg_ids = ids;
	n_reg_ids = (unsigned)list.n;
}

static int must(int ret, const char *what)
{
	if (ret < 0)
		fail("%s: errno %d", what, errno);
	return ret;
}

/* A VM that could run, most of the time. */
static void populate(void)
{
	struct kvm_userspace_memory_region slot = {
		.guest_phys_addr = RAM, .memory_size = RAM_SIZE, .userspace_addr = (uintptr_t)ram};
	struct kvm_create_device gic = {.type = one_in(3) ? KVM_DEV_TYPE_ARM_VGIC_V2 : KVM_DEV_TYPE_ARM_VGIC_V3};
	struct kvm_vcpu_init init = {.target = KVM_ARM_TARGET_GENERIC_V8};
	int kvm, vm;

	doing = "setting up";
	kvm = must(add(SYSTEM, pawl_open(O_CLOEXEC)), "open");
	run_size = (size_t)must(pawl_ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, NULL), "KVM_GET_VCPU_MMAP_SIZE");
	vm = must(add(VM, pawl_ioctl(kvm, KVM_CREATE_VM, NULL)), "KVM_CREATE_VM");
	must(pawl_ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot), "memory");
	init.features[0] = 1u << KVM_ARM_VCPU_PSCI_0_2 | (one_in(3) ? 1u << KVM_ARM_VCPU_PMU_V3 : 0);
	for (unsigned i = 0, n = 1 + (unsigned)one_in(3); i < n; i++) {
		int vcpu = must(pawl_ioctl(vm, KVM_CREATE_VCPU, (void *)(uintptr_t)i), "KVM_CREATE_VCPU");

		new_object(KVM_CREATE_VCPU, NULL, vcpu);
		if (one_in(8))
			continue;
		must(pawl_ioctl(vcpu, KVM_ARM_VCPU_INIT, &init), "KVM_ARM_VCPU_INIT");
		learn_registers(vcpu);
		for (unsigned r = 9; r < 14; r++) {
			const uint64_t where[] = {RAM, RAM + 0x8000, 0x0a000000, GICD, GICR};
			uint64_t pc = RAM;
			struct kvm_one_reg x = {KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | 2 * r,
						(uintptr_t)&where[r - 9]};
			struct kvm_one_reg p = {KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | 0x40,
						(uintptr_t)&pc};

			must(pawl_ioctl(vcpu, KVM_SET_ONE_REG, &x), "register");
			must(pawl_ioctl(vcpu, KVM_SET_ONE_REG, &p), "register");
		}
	}
	if (!one_in(4) && pawl_ioctl(vm, KVM_CREATE_DEVICE, &gic) == 0) {
		bool v2 = gic.type == KVM_DEV_TYPE_ARM_VGIC_V2;
		uint64_t dist = GICD, second = v2 ? GICD + 0x10000 : GICR;
		struct kvm_device_attr a = {.group = KVM_DEV_ARM_VGIC_GRP_ADDR,
					    .attr = v2 ? KVM_VGIC_V2_ADDR_TYPE_DIST : KVM_VGIC_V3_ADDR_TYPE_DIST,
					    .addr = (uintptr_t)&dist};

		add(DEVICE, (int)gic.fd);
		pawl_ioctl((int)gic.fd, KVM_SET_DEVICE_ATTR, &a);
		a.attr = v2 ? KVM_VGIC_V2_ADDR_TYPE_CPU : KVM_VGIC_V3_ADDR_TYPE_REDIST;
		a.addr = (uintptr_t)&second;
		pawl_ioctl((int)gic.fd, KVM_SET_DEVICE_ATTR, &a);
		if (!v2 && one_in(2)) {
			struct kvm_create_device its = {.type = KVM_DEV_TYPE_ARM_VGIC_ITS};
			uint64_t at = ITS;
			struct kvm_device_attr where = {.group = KVM_DEV_ARM_VGIC_GRP_ADDR,
							.attr = KVM_VGIC_ITS_ADDR_TYPE,
							.addr = (uintptr_t)&at};

			if (pawl_ioctl(vm, KVM_CREATE_DEVICE, &its) == 0) {
				add(DEVICE, (int)its.fd);
				pawl_ioctl((int)its.fd, KVM_SET_DEVICE_ATTR, &where);
				where.group = KVM_DEV_ARM_VGIC_GRP_CTRL;
				where.attr = KVM_DEV_ARM_VGIC_CTRL_INIT;
				pawl_ioctl((int)its.fd, KVM_SET_DEVICE_ATTR, &where);
			}
		}
		a.group = KVM_DEV_ARM_VGIC_GRP_CTRL;
		a.attr = KVM_DEV_ARM_VGIC_CTRL_INIT;
		if (!one_in(4))
			pawl_ioctl((int)gic.fd, KVM_SET_DEVICE_ATTR, &a);
	}
	add(EVENT, eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
	add(EVENT, eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
	add(OTHER, open("/dev/null", O_RDWR | O_CLOEXEC));
	objects[n_objects++] = (struct object){CLOSED, 999, NULL};
}

static unsigned open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

static void one_round(uint64_t seed)
{
	unsigned before = open_descriptors();

	rnd_seed(seed * 0x2545f4914f6cdd1d + round_number);
	world_clear();
	populate();
	for (unsigned s = 0; s < SEQUENCES; s++) {
		unsigned n = 1 + below(OPS);

		if (verbose)
			fprintf(stderr, "sequence %u\n", s);
		while (n--) {
			watchdog_progress(0);
			switch (below(16)) {
			case 0:
				doing = "descriptors";
				op_descriptor();
				break;
			case 1: op_guest_words(); break;
			default:
				doing = "ioctl";
				op_ioctl();
				break;
			}
		}
	}
	doing = "closing";
	while (n_objects)
		drop(n_objects - 1);
	if (open_descriptors() != before)
		fail("%u descriptors were open before, %u after", before, open_descriptors());
}

int main(int argc, char **argv)
{
	uint64_t seed = 1, from = 0, sequences = 20000, rounds;
	time_t said = time(NULL);

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
			seed = strtoull(argv[++i], NULL, 0);
		else if (strcmp(argv[i], "--from") == 0 && i + 1 < argc)
			from = strtoull(argv[++i], NULL, 0);
		else if (strcmp(argv[i], "--count") == 0 && i + 1 < argc)
			sequences = strtoull(argv[++i], NULL, 0);
		else if (strcmp(argv[i], "--verbose") == 0)
			verbose = true;
		else
			return fprintf(stderr,
				       "usage: %s [--seed SEED] [--from ROUND] [--count SEQUENCES] [--verbose]\n",
				       argv[0]),
			       2;
	}
	signal(SIGALRM, on_alarm);
	world_init();
	watchdog_start();
	for (unsigned i = 0; i < COUNT(requests); i++)
		total_weight += requests[i].weight;
	rounds = (sequences + SEQUENCES - 1) / SEQUENCES;
	for (uint64_t r = 0; r < rounds; r++) {
		round_number = from + r;
		one_round(seed);
		if (time(NULL) - said >= 60) {
			said = time(NULL);
			fprintf(stderr, "ioctl-fuzz: seed %ju, round %ju, %ju sequences\n", (uintmax_t)seed,
				(uintmax_t)round_number, (uintmax_t)((r + 1) * SEQUENCES));
		}
	}
	printf("ioctl-fuzz: seed %ju, rounds %ju to %ju, %ju sequences, nothing found\n", (uintmax_t)seed,
	       (uintmax_t)from, (uintmax_t)(from + rounds - 1), (uintmax_t)(rounds * SEQUENCES));
	return 0;
}
