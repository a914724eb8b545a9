/* SPDX-License-Identifier: MIT */
/*
 * What each ioctl answers to what can be asked wrongly, too early or too late: a line each, NAME = result or errno. Run on a kernel
 * and here: the lines are to be the same (answers.py says which are not, and why). Answers are the point: nothing is asserted.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <linux/kvm.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define PAGE 4096ull
#define BAD ((void *)8)

static const char *err_name(int err)
{
	static const struct {
		int err;
		const char *name;
	} names[] = {{EPERM, "EPERM"},	 {ENOENT, "ENOENT"},	     {EINTR, "EINTR"},	   {EIO, "EIO"},
		     {ENXIO, "ENXIO"},	 {E2BIG, "E2BIG"},	     {ENOEXEC, "ENOEXEC"}, {EBADF, "EBADF"},
		     {EAGAIN, "EAGAIN"}, {ENOMEM, "ENOMEM"},	     {EFAULT, "EFAULT"},   {EBUSY, "EBUSY"},
		     {EEXIST, "EEXIST"}, {ENODEV, "ENODEV"},	     {EINVAL, "EINVAL"},   {ENOTTY, "ENOTTY"},
		     {ENOSPC, "ENOSPC"}, {EOPNOTSUPP, "EOPNOTSUPP"}, {ENOSYS, "ENOSYS"},   {EACCES, "EACCES"}};
	static char text[16];

	for (unsigned i = 0; i < COUNT(names); i++)
		if (names[i].err == err)
			return names[i].name;
	snprintf(text, sizeof(text), "%d", err);
	return text;
}

static const char *section;

static long say(long ret, const char *fmt, ...)
{
	int err = errno;
	va_list ap;

	printf("%s: ", section);
	__builtin_va_start(ap, fmt);
	vprintf(fmt, ap);
	__builtin_va_end(ap);
	if (ret < 0)
		printf(" = %s\n", err_name(err));
	else
		printf(" = %#lx\n", ret);
	return ret;
}

/* A call whose success is a descriptor, or a value that means nothing: only that it succeeded is said. */
static long done(long ret, const char *fmt, ...)
{
	int err = errno;
	va_list ap;

	printf("%s: ", section);
	__builtin_va_start(ap, fmt);
	vprintf(fmt, ap);
	__builtin_va_end(ap);
	printf(" = %s\n", ret < 0 ? err_name(err) : "ok");
	return ret;
}

static int kvm, vm, vcpu;
static uint8_t *ram;

static long io(int fd, unsigned long request, const void *arg)
{
	return ioctl(fd, request, arg);
}
#define VAL(x) ((void *)(uintptr_t)(x))

static void vm_new(void)
{
	if (vcpu > 0)
		close(vcpu);
	if (vm > 0)
		close(vm);
	vcpu = -1;
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
}

static int vcpu_new(unsigned id)
{
	return ioctl(vm, KVM_CREATE_VCPU, id);
}

static long init_with(int fd, uint32_t target, unsigned features)
{
	struct kvm_vcpu_init init = {.target = target, .features = {features}};

	return io(fd, KVM_ARM_VCPU_INIT, &init);
}

static long slot(unsigned id, uint32_t flags, uint64_t gpa, uint64_t size, const void *hva)
{
	struct kvm_userspace_memory_region r = {.slot = id,
						.flags = flags,
						.guest_phys_addr = gpa,
						.memory_size = size,
						.userspace_addr = (uintptr_t)hva};

	return io(vm, KVM_SET_USER_MEMORY_REGION, &r);
}

static void vm_with_vcpu(unsigned features)
{
	vm_new();
	slot(0, 0, 0x40000000, 0x10000, ram);
	vcpu = vcpu_new(0);
	init_with(vcpu, 5, features);
}

static int device(unsigned type)
{
	struct kvm_create_device d = {.type = type};

	return io(vm, KVM_CREATE_DEVICE, &d) < 0 ? -1 : (int)d.fd;
}

static long attr(int fd, unsigned long request, uint32_t group, uint64_t a, const void *addr)
{
	struct kvm_device_attr d = {.group = group, .attr = a, .addr = (uintptr_t)addr};

	return io(fd, request, &d);
}
#define SET KVM_SET_DEVICE_ATTR
#define GET KVM_GET_DEVICE_ATTR
#define HAS KVM_HAS_DEVICE_ATTR

static long set64(int fd, uint32_t group, uint64_t a, uint64_t val)
{
	return attr(fd, SET, group, a, &val);
}

static long set32(int fd, uint32_t group, uint64_t a, uint32_t val)
{
	return attr(fd, SET, group, a, &val);
}

static int gicv3(void)
{
	int gic = device(KVM_DEV_TYPE_ARM_VGIC_V3);

	set32(gic, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, 64);
	set64(gic, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, 0x8000000);
	set64(gic, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, 0x80a0000);
	return gic;
}

/* ---- */

static void system_calls(void)
{
	static const uint64_t types[] = {0,  1,	 31, 32, 33, 36,  39,	 40,	  41,	      42,
					 44, 47, 48, 53, 64, 255, 0x100, 0x10028, 1ull << 31, 1ull << 32};

	section = "system";
	say(io(kvm, KVM_GET_API_VERSION, NULL), "KVM_GET_API_VERSION");
	say(io(kvm, KVM_GET_API_VERSION, VAL(1)), "KVM_GET_API_VERSION 1");
	say(io(kvm, KVM_GET_VCPU_MMAP_SIZE, NULL), "KVM_GET_VCPU_MMAP_SIZE");
	say(io(kvm, KVM_GET_VCPU_MMAP_SIZE, VAL(1)), "KVM_GET_VCPU_MMAP_SIZE 1");
	for (unsigned i = 0; i < COUNT(types); i++) {
		int fd = ioctl(kvm, KVM_CREATE_VM, types[i]);

		done(fd, "KVM_CREATE_VM %#lx", (long)types[i]);
		if (fd >= 0)
			close(fd);
	}
	for (unsigned nr = 0; nr < 256; nr++) {
		if (nr == 0x01)
			continue;
		errno = 0;
		say(ioctl(kvm, _IO(KVMIO, nr), 0) >= 0 ? 0 : -1, "request %#x", nr);
	}
	for (unsigned cap = 0; cap < 300; cap++)
		say(io(kvm, KVM_CHECK_EXTENSION, VAL(cap)), "capability %u", cap);
}

static void vm_requests(void)
{
	static const unsigned sizes[] = {0, 4, 8, 16, 24, 32, 64};

	section = "vm requests";
	vm_with_vcpu(1 << 2);
	for (unsigned cap = 0; cap < 300; cap++)
		say(io(vm, KVM_CHECK_EXTENSION, VAL(cap)), "capability %u", cap);
	for (unsigned nr = 0; nr < 256; nr++)
		for (unsigned s = 0; s < COUNT(sizes); s++)
			for (unsigned dir = 0; dir < 4; dir++) {
				unsigned long r = _IOC(dir, KVMIO, nr, sizes[s]);

				/* what makes descriptors or waits */
				if (r == KVM_CREATE_VCPU || r == KVM_GET_STATS_FD || r == KVM_RUN ||
				    r == KVM_CREATE_IRQCHIP || nr == 0xd4)
					continue;
				if (ioctl(vm, r, BAD) >= 0 || errno != EINVAL)
					say(ioctl(vm, r, BAD) >= 0 ? 0 : -1, "vm %#lx, bad pointer", r);
				if (ioctl(vcpu, r, BAD) >= 0 || errno != EINVAL)
					say(ioctl(vcpu, r, BAD) >= 0 ? 0 : -1, "vcpu %#lx, bad pointer", r);
			}
}

static void vcpus(void)
{
	static const uint64_t ids[] = {1, 0, 1, 511, 512, 513, 1024, ~0ull, 1ull << 32};
	int gic, fds[4], fd;

	section = "vcpus";
	vm_new();
	for (unsigned i = 0; i < COUNT(ids); i++)
		done(ioctl(vm, KVM_CREATE_VCPU, ids[i]), "KVM_CREATE_VCPU %#lx", (long)ids[i]);
	vm_with_vcpu(1 << 2);
	gic = gicv3();
	done(fds[0] = vcpu_new(1), "vcpu 1 with a GIC that is not initialised");
	say(attr(gic, SET, KVM_DEV_ARM_VGIC_GRP_CTRL, 0, NULL), "GIC init");
	done(fds[1] = vcpu_new(2), "vcpu 2 after GIC init");
	done(fds[1] = vcpu_new(1), "vcpu 1 again after GIC init");
	close(gic);

	section = "before init";
	vm_new();
	fd = vcpu = vcpu_new(0);
	{
		uint64_t v[64] = {0};
		struct kvm_one_reg r = {0x6030000000100000, (uintptr_t)v};
		struct kvm_mp_state mp = {0};
		struct kvm_guest_debug dbg = {0};
		struct kvm_device_attr a = {0};

		say(io(fd, KVM_RUN, NULL), "KVM_RUN");
		say(io(fd, KVM_RUN, VAL(1)), "KVM_RUN 1");
		say(io(fd, KVM_GET_ONE_REG, &r), "KVM_GET_ONE_REG");
		say(io(fd, KVM_SET_ONE_REG, &r), "KVM_SET_ONE_REG");
		say(io(fd, KVM_GET_REG_LIST, v), "KVM_GET_REG_LIST");
		say(io(fd, KVM_GET_MP_STATE, &mp), "KVM_GET_MP_STATE");
		say(mp.mp_state, "mp_state");
		say(io(fd, KVM_SET_MP_STATE, &mp), "KVM_SET_MP_STATE");
		say(io(fd, KVM_GET_VCPU_EVENTS, v), "KVM_GET_VCPU_EVENTS");
		memset(v, 0, sizeof(v));
		say(io(fd, KVM_SET_VCPU_EVENTS, v), "KVM_SET_VCPU_EVENTS");
		say(io(fd, KVM_SET_GUEST_DEBUG, &dbg), "KVM_SET_GUEST_DEBUG");
		say(io(fd, KVM_ARM_VCPU_FINALIZE, &(int){4}), "KVM_ARM_VCPU_FINALIZE");
		say(io(fd, KVM_HAS_DEVICE_ATTR, &a), "KVM_HAS_DEVICE_ATTR");
		say(io(fd, KVM_SET_DEVICE_ATTR, &a), "KVM_SET_DEVICE_ATTR");
		say(io(fd, KVM_SET_SIGNAL_MASK, NULL), "KVM_SET_SIGNAL_MASK");
		done(io(fd, KVM_GET_STATS_FD, NULL), "KVM_GET_STATS_FD");
	}

	section = "init";
	for (unsigned t = 0; t < 8; t++)
		say(init_with(fd, t, 0), "target %u", t);
	say(init_with(fd, ~0u, 0), "target -1");
	for (unsigned b = 0; b < 32; b++) {
		if (b == 1 || b == 4 || b == 7 || b == 8) /* AArch32, SVE and EL2 are the host's */
			continue;
		vm_new();
		vcpu = vcpu_new(0);
		say(init_with(vcpu, 5, 1u << b), "feature %u", b);
	}
	for (unsigned w = 1; w < 7; w++) {
		struct kvm_vcpu_init init = {.target = 5};

		init.features[w] = 1;
		vm_new();
		vcpu = vcpu_new(0);
		say(io(vcpu, KVM_ARM_VCPU_INIT, &init), "word %u", w);
	}
	vm_with_vcpu(1 << 2);
	say(init_with(vcpu, 5, 1 << 2), "again");
	say(init_with(vcpu, 5, 1 << 2 | 1), "again, off");
	say(init_with(vcpu, 5, 0), "again, fewer features");
	say(init_with(vcpu, 5, 1 << 2 | 1 << 3), "again, more features");
	fd = vcpu_new(1);
	say(init_with(fd, 5, 0), "another vcpu, fewer features");
	say(init_with(fd, 5, 1 << 2), "another vcpu, the same");
	{
		struct kvm_vcpu_init p;

		memset(&p, 0xff, sizeof(p));
		say(io(vm, KVM_ARM_PREFERRED_TARGET, &p), "KVM_ARM_PREFERRED_TARGET");
		say(p.target, "its target");
		say(p.features[0] | p.features[1] | p.features[6], "its features");
		say(io(vm, KVM_ARM_PREFERRED_TARGET, BAD), "KVM_ARM_PREFERRED_TARGET, bad pointer");
	}
	for (int f = -1; f < 8; f++)
		if (f != 4)
			say(io(vcpu, KVM_ARM_VCPU_FINALIZE, &f), "KVM_ARM_VCPU_FINALIZE %d", f);
}

static void memory(void)
{
	static const struct {
		const char *text;
		unsigned slot;
		uint32_t flags;
		uint64_t gpa, size, hva; /* hva from ram's begin; above 1 << 32: as it is */
	} rows[] = {
		{"new", 1, 0, 0x1000000, 0x4000, 0},
		{"same again", 1, 0, 0x1000000, 0x4000, 0},
		{"other size", 1, 0, 0x1000000, 0x5000, 0},
		{"other hva", 1, 0, 0x1000000, 0x4000, 0x1000},
		{"read-only now", 1, 2, 0x1000000, 0x4000, 0},
		{"logged now", 1, 1, 0x1000000, 0x4000, 0},
		{"moved", 1, 1, 0x2000000, 0x4000, 0},
		{"moved back, not logged", 1, 0, 0x1000000, 0x4000, 0},
		{"overlap before", 2, 0, 0xffd000, 0x4000, 0},
		{"overlap behind", 2, 0, 0x1003000, 0x4000, 0},
		{"overlap inside", 2, 0, 0x1001000, 0x1000, 0},
		{"beside", 2, 0, 0x1004000, 0x1000, 0},
		{"moved over", 2, 0, 0x1003000, 0x1000, 0},
		{"flag 2", 3, 4, 0x3000000, 0x1000, 0},
		{"flag 3", 3, 8, 0x3000000, 0x1000, 0},
		{"flag 31", 3, 1u << 31, 0x3000000, 0x1000, 0},
		{"both flags", 3, 3, 0x3000000, 0x1000, 0},
		{"size unaligned", 4, 0, 0x4000000, 0x800, 0},
		{"size 1", 4, 0, 0x4000000, 1, 0},
		{"gpa unaligned", 4, 0, 0x4000800, 0x1000, 0},
		{"hva unaligned", 4, 0, 0x4000000, 0x1000, 0x800},
		{"wraps", 4, 0, ~0ull - 0xfff, 0x2000, 0},
		{"ends at the top", 4, 0, ~0ull - 0xfff, 0x1000, 0},
		{"ends at the IPA size", 4, 0, (1ull << 40) - 0x1000, 0x1000, 0},
		{"behind the IPA size", 5, 0, 1ull << 40, 0x1000, 0},
		{"over the IPA size", 5, 0, (1ull << 40) - 0x1000, 0x2000, 0},
		{"2^31 pages", 5, 0, 0, 1ull << 43, 0},
		{"kernel's hva", 5, 0, 0x5000000, 0x1000, 0xffff800000000000},
		{"hva that is not there", 5, 0, 0x5000000, 0x1000, 0x700000000000},
		{"deleted", 5, 0, 0x5000000, 0, 0x700000000000},
		{"deleted twice", 5, 0, 0, 0, 0},
		{"never was", 77, 0, 0, 0, 0},
		{"slot 32766", 32766, 0, 0x6000000, 0x1000, 0},
		{"slot 32767", 32767, 0, 0x7000000, 0x1000, 0},
		{"slot 65535", 65535, 0, 0x7000000, 0x1000, 0},
		{"address space 1", 1u << 16, 0, 0x7000000, 0x1000, 0},
		{"deleted with flags", 3, 3, 0, 0, 0},
		{"deleted, unaligned", 2, 0, 0x123, 0, 0},
		{"deleted", 2, 0, 0, 0, 0},
	};
	uint64_t bitmap[8] = {0};
	struct kvm_dirty_log log = {.slot = 1, .dirty_bitmap = bitmap};
	struct kvm_clear_dirty_log clear = {.slot = 1, .num_pages = 4, .dirty_bitmap = bitmap};

	section = "memory";
	vm_new();
	for (unsigned i = 0; i < COUNT(rows); i++)
		say(slot(rows[i].slot, rows[i].flags, rows[i].gpa, rows[i].size,
			 rows[i].hva >> 32 ? (void *)rows[i].hva : ram + rows[i].hva),
		    "%s", rows[i].text);
	{
		struct kvm_userspace_memory_region2 r = {
			.slot = 9, .guest_phys_addr = 0x9000000, .memory_size = PAGE, .userspace_addr = (uintptr_t)ram};

		r.pad1 = 1;
		say(io(vm, KVM_SET_USER_MEMORY_REGION2, &r), "region2, pad1");
		r.pad1 = 0;
		r.pad2[3] = 1;
		r.slot = 10;
		r.guest_phys_addr = 0xa000000;
		say(io(vm, KVM_SET_USER_MEMORY_REGION2, &r), "region2, pad2");
		r.pad2[3] = 0;
		r.slot = 11;
		r.guest_phys_addr = 0xb000000;
		r.flags = KVM_MEM_GUEST_MEMFD;
		r.guest_memfd = (uint32_t)kvm;
		say(io(vm, KVM_SET_USER_MEMORY_REGION2, &r), "region2, guest_memfd of another kind");
		r.guest_memfd = (uint32_t)-1;
		say(io(vm, KVM_SET_USER_MEMORY_REGION2, &r), "region2, guest_memfd -1");
		r.flags |= KVM_MEM_READONLY;
		say(io(vm, KVM_SET_USER_MEMORY_REGION2, &r), "region2, guest_memfd, read-only");
		r.flags = KVM_MEM_GUEST_MEMFD | KVM_MEM_LOG_DIRTY_PAGES;
		say(io(vm, KVM_SET_USER_MEMORY_REGION2, &r), "region2, guest_memfd, logged");
	}
	for (unsigned f = 0; f < 8; f++)
		for (unsigned s = 0; s < 3; s++) {
			static const uint64_t sizes[] = {0, 0x1000, 0x1800};
			struct kvm_create_guest_memfd g = {.size = sizes[s], .flags = f};
			long fd = ioctl(vm, KVM_CREATE_GUEST_MEMFD, &g);

			done(fd, "KVM_CREATE_GUEST_MEMFD size %#lx flags %u", (long)sizes[s], f);
			if (fd >= 0)
				close((int)fd);
		}

	section = "dirty log";
	vm_new();
	slot(1, 0, 0x1000000, 0x4000, ram);
	slot(2, 1, 0x2000000, 0x4000, ram);
	slot(3, 1, 0x3000000, 0x82000, ram);
	say(io(vm, KVM_GET_DIRTY_LOG, &log), "not logged");
	log.slot = 2;
	say(io(vm, KVM_GET_DIRTY_LOG, &log), "logged");
	say((long)bitmap[0], "bits");
	log.dirty_bitmap = BAD;
	say(io(vm, KVM_GET_DIRTY_LOG, &log), "bad pointer");
	log.dirty_bitmap = bitmap;
	log.slot = 7;
	say(io(vm, KVM_GET_DIRTY_LOG, &log), "no slot");
	log.slot = 32767;
	say(io(vm, KVM_GET_DIRTY_LOG, &log), "slot 32767");
	log.slot = 1 << 16 | 2;
	say(io(vm, KVM_GET_DIRTY_LOG, &log), "address space 1");
	say(io(vm, KVM_CLEAR_DIRTY_LOG, &clear), "clear, not logged");
	clear.slot = 2;
	say(io(vm, KVM_CLEAR_DIRTY_LOG, &clear), "clear all, no manual protection");
	clear.slot = 7;
	say(io(vm, KVM_CLEAR_DIRTY_LOG, &clear), "clear, no slot");
	clear.slot = 3;
	for (unsigned i = 0; i < 9; i++) {
		static const struct {
			unsigned n;
			uint64_t first;
		} r[] = {{64, 0}, {64, 64}, {64, 1}, {63, 0}, {0x82, 0}, {0x83, 0}, {2, 0x80}, {64, 0x80}, {0, 0}};

		clear.num_pages = r[i].n;
		clear.first_page = r[i].first;
		say(io(vm, KVM_CLEAR_DIRTY_LOG, &clear), "clear %u from %lu of 130", r[i].n, (long)r[i].first);
	}
	clear.num_pages = 64;
	clear.first_page = 1ull << 63;
	say(io(vm, KVM_CLEAR_DIRTY_LOG, &clear), "clear far");
	clear.first_page = 0;
	clear.dirty_bitmap = BAD;
	say(io(vm, KVM_CLEAR_DIRTY_LOG, &clear), "clear, bad pointer");
	say(io(vm, KVM_RESET_DIRTY_RINGS, NULL), "KVM_RESET_DIRTY_RINGS without");
}

static long cap(uint32_t number, uint64_t arg0, uint32_t flags)
{
	struct kvm_enable_cap c = {.cap = number, .flags = flags, .args = {arg0}};

	return io(vm, KVM_ENABLE_CAP, &c);
}

static void caps(void)
{
	static const uint64_t ring[] = {0, 1, 1024, 4096, 4097, 6144, 8192, 1 << 20, 1 << 21, 1ull << 32};

	section = "enable";
	for (unsigned i = 0; i < 260; i++) {
		if (i == KVM_CAP_ARM_MTE)
			continue;
		vm_new();
		say(cap(i, 0, 0), "capability %u", i);
		say(cap(i, 0, 1), "capability %u with flags", i);
	}
	for (unsigned a = 0; a < 5; a++) {
		vm_new();
		say(cap(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, a, 0), "MANUAL_DIRTY_LOG_PROTECT2 %u", a);
	}
	for (unsigned i = 0; i < COUNT(ring); i++) {
		vm_new();
		say(cap(KVM_CAP_DIRTY_LOG_RING_ACQ_REL, ring[i], 0), "ring of %#lx", (long)ring[i]);
		say(cap(KVM_CAP_DIRTY_LOG_RING_ACQ_REL, ring[i], 0), "ring of %#lx again", (long)ring[i]);
		say(cap(KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP, 0, 0), "its bitmap");
		say(io(vm, KVM_RESET_DIRTY_RINGS, NULL), "reset");
	}
	vm_new();
	say(cap(KVM_CAP_DIRTY_LOG_RING, 8192, 0), "DIRTY_LOG_RING");
	slot(1, 1, 0x1000000, 0x4000, ram);
	say(cap(KVM_CAP_DIRTY_LOG_RING_ACQ_REL, 8192, 0), "ring with slots");
	say(cap(KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP, 0, 0), "bitmap with slots");
	say(cap(KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE, 1 << 21, 0), "chunk size with slots");
	{
		uint64_t bitmap[8];
		struct kvm_dirty_log log = {.slot = 1, .dirty_bitmap = bitmap};

		say(io(vm, KVM_GET_DIRTY_LOG, &log), "dirty log of a ring");
	}
	vm_with_vcpu(1 << 2);
	say(cap(KVM_CAP_DIRTY_LOG_RING_ACQ_REL, 8192, 0), "ring with vcpus");
	say(cap(KVM_CAP_ARM_WRITABLE_IMP_ID_REGS, 0, 0), "WRITABLE_IMP_ID_REGS with vcpus");
	say(cap(KVM_CAP_ARM_NISV_TO_USER, 5, 0), "NISV_TO_USER with vcpus");
	say(cap(KVM_CAP_ARM_SYSTEM_SUSPEND, 5, 0), "SYSTEM_SUSPEND with vcpus");
	for (unsigned i = 0; i < 4; i++) {
		static const uint64_t sizes[] = {0, 4096, 1 << 21, 12345};

		vm_new();
		say(cap(KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE, sizes[i], 0), "chunk %lu", (long)sizes[i]);
		say(io(vm, KVM_CHECK_EXTENSION, VAL(KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE)), "chunk is");
	}
	vm_with_vcpu(1 << 2);
	{
		struct kvm_enable_cap c = {.cap = KVM_CAP_ARM_NISV_TO_USER};

		say(io(vcpu, KVM_ENABLE_CAP, &c), "KVM_ENABLE_CAP on a vcpu");
	}
}

static void devices(void)
{
	section = "devices";
	vm_new();
	for (unsigned t = 0; t < 24; t++) {
		if (t == 4 || t == 5 || t == 6) /* VFIO, the host's GICv2 */
			continue;
		for (unsigned f = 0; f < 4; f++) {
			struct kvm_create_device d = {.type = t, .flags = f};
			long ret;

			vm_new();
			ret = io(vm, KVM_CREATE_DEVICE, &d);
			done(ret, "KVM_CREATE_DEVICE type %u flags %u", t, f);
			if (ret == 0 && !(f & 1))
				close((int)d.fd);
		}
	}
	vm_new();
	done(device(7), "GICv3");
	done(device(7), "GICv3 again");
	done(device(8), "ITS");
	done(device(8), "ITS again");
	say(io(vm, KVM_CREATE_IRQCHIP, NULL), "KVM_CREATE_IRQCHIP with a GICv3");
	vm_new();
	done(device(8), "ITS without a GIC");
	{
		struct kvm_arm_device_addr a = {.id = 0, .addr = 0x8000000};

		say(io(vm, KVM_ARM_SET_DEVICE_ADDR, &a), "KVM_ARM_SET_DEVICE_ADDR without a GIC");
		a.id = 1 << 16;
		say(io(vm, KVM_ARM_SET_DEVICE_ADDR, &a), "KVM_ARM_SET_DEVICE_ADDR of another device");
		a.id = 5;
		say(io(vm, KVM_ARM_SET_DEVICE_ADDR, &a), "KVM_ARM_SET_DEVICE_ADDR of another kind");
		device(7);
		a.id = 0;
		say(io(vm, KVM_ARM_SET_DEVICE_ADDR, &a), "KVM_ARM_SET_DEVICE_ADDR with a GICv3");
	}
	section = "vm attributes";
	vm_new();
	for (unsigned g = 0; g < 3; g++)
		for (unsigned a = 0; a < 3; a++) {
			say(attr(vm, HAS, g, a, NULL), "has %u %u", g, a);
			say(attr(vm, SET, g, a, BAD), "set %u %u, bad pointer", g, a);
			say(attr(vm, GET, g, a, BAD), "get %u %u", g, a);
		}
	{
		static const struct {
			const char *text;
			uint32_t base, n;
			uint8_t action, pad;
		} rows[] = {{"none", 0x84000000, 0, 1, 0},
			    {"pad", 0x84000000, 1, 1, 1},
			    {"action 3", 0x84000000, 1, 3, 0},
			    {"overflow", 0xfffffff0, 0x20, 1, 0},
			    {"to the end", 0xfffffff0, 0x10, 1, 0},
			    {"PSCI denied", 0x84000000, 0x20, 1, 0},
			    {"again", 0x84000000, 0x20, 1, 0},
			    {"overlap", 0x8400001f, 2, 2, 0},
			    {"beside", 0x84000020, 2, 2, 0},
			    {"architecture", 0x80000000, 1, 1, 0},
			    {"architecture's end", 0x8000ffff, 1, 1, 0},
			    {"behind it", 0x80010000, 1, 1, 0},
			    {"architecture 64", 0xc0000000, 1, 1, 0},
			    {"over it", 0xbffffff0, 0x20, 1, 0},
			    {"everything", 0, 0xffffffff, 1, 0},
			    {"handled", 0xc4000000, 4, 0, 0}};

		for (unsigned i = 0; i < COUNT(rows); i++) {
			struct kvm_smccc_filter f = {
				.base = rows[i].base, .nr_functions = rows[i].n, .action = rows[i].action};

			f.pad[7] = rows[i].pad;
			say(attr(vm, SET, 0, 0, &f), "filter: %s", rows[i].text);
		}
	}
	section = "counter offset";
	vm_with_vcpu(1 << 2);
	{
		struct kvm_arm_counter_offset o = {.counter_offset = 5, .reserved = 1};

		say(io(vm, KVM_ARM_SET_COUNTER_OFFSET, &o), "reserved");
		o.reserved = 0;
		say(io(vm, KVM_ARM_SET_COUNTER_OFFSET, &o), "set");
		say(io(vm, KVM_ARM_SET_COUNTER_OFFSET, &o), "again");
		say(io(vm, KVM_ARM_SET_COUNTER_OFFSET, BAD), "bad pointer");
	}
	section = "writable masks";
	{
		static uint64_t masks[192];
		struct reg_mask_range r = {.addr = (uintptr_t)masks};

		say(io(vm, KVM_ARM_GET_REG_WRITABLE_MASKS, &r), "get");
		r.range = 1;
		say(io(vm, KVM_ARM_GET_REG_WRITABLE_MASKS, &r), "range 1");
		r.range = 0;
		r.reserved[12] = 1;
		say(io(vm, KVM_ARM_GET_REG_WRITABLE_MASKS, &r), "reserved");
		r.reserved[12] = 0;
		r.addr = 8;
		say(io(vm, KVM_ARM_GET_REG_WRITABLE_MASKS, &r), "bad pointer");
		for (unsigned i = 0; i < 192; i++)
			if (masks[i])
				say((long)masks[i], "mask %u", i);
	}
}

static long line(uint32_t type, uint32_t cpu, uint32_t id, uint32_t level)
{
	struct kvm_irq_level l = {.irq = type << 24 | cpu << 16 | id, .level = level};

	return io(vm, KVM_IRQ_LINE, &l);
}

static void lines(const char *when)
{
	static const uint32_t ids[] = {0, 1, 2, 15, 16, 27, 31, 32, 63, 64, 255, 1020, 1023, 8192};

	for (unsigned type = 0; type < 5; type++)
		for (unsigned i = 0; i < COUNT(ids); i++)
			say(line(type, 0, ids[i], 0), "%s: type %u id %u", when, type, ids[i]);
	say(line(2, 1, 20, 0), "%s: PPI of vcpu 1", when);
	say(line(0, 1, 0, 0), "%s: IRQ of vcpu 1", when);
	say(line(1 | 1 << 4, 0, 40, 0), "%s: vcpu2 index", when);
}

static void routes(const char *when)
{
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry e[2];
	} r;
	static const struct {
		const char *text;
		unsigned nr, flags, gsi, type, eflags, chip, pin;
	} rows[] = {{"empty", 0, 0, 0, 0, 0, 0, 0},	  {"flags", 0, 1, 0, 0, 0, 0, 0},
		    {"too many", 4097, 0, 0, 0, 0, 0, 0}, {"pin", 1, 0, 5, 1, 0, 0, 5},
		    {"last pin", 1, 0, 5, 1, 0, 0, 987},  {"pin 988", 1, 0, 5, 1, 0, 0, 988},
		    {"chip 1", 1, 0, 5, 1, 0, 1, 5},	  {"pin flags", 1, 0, 5, 1, 1, 0, 5},
		    {"gsi 4095", 1, 0, 4095, 1, 0, 0, 5}, {"gsi 4096", 1, 0, 4096, 1, 0, 0, 5},
		    {"msi", 1, 0, 5, 2, 0, 0, 0},	  {"msi devid", 1, 0, 5, 2, 1, 0, 0},
		    {"msi flags", 1, 0, 5, 2, 2, 0, 0},	  {"type 0", 1, 0, 5, 0, 0, 0, 0},
		    {"type 3", 1, 0, 5, 3, 0, 0, 0},	  {"type 4", 1, 0, 5, 4, 0, 0, 0}};

	for (unsigned i = 0; i < COUNT(rows); i++) {
		memset(&r, 0, sizeof(r));
		r.head.nr = rows[i].nr;
		r.head.flags = rows[i].flags;
		r.e[0].gsi = rows[i].gsi;
		r.e[0].type = rows[i].type;
		r.e[0].flags = rows[i].eflags;
		r.e[0].u.irqchip.irqchip = rows[i].chip;
		r.e[0].u.irqchip.pin = rows[i].pin;
		say(io(vm, KVM_SET_GSI_ROUTING, &r), "%s: route %s", when, rows[i].text);
	}
	memset(&r, 0, sizeof(r));
	r.head.nr = 2;
	r.e[0].gsi = r.e[1].gsi = 7;
	r.e[0].type = r.e[1].type = 1;
	r.e[1].u.irqchip.pin = 1;
	say(io(vm, KVM_SET_GSI_ROUTING, &r), "%s: two pins of a gsi", when);
	r.e[1].type = 2;
	say(io(vm, KVM_SET_GSI_ROUTING, &r), "%s: a pin and an MSI of a gsi", when);
	r.e[0].type = 2;
	say(io(vm, KVM_SET_GSI_ROUTING, &r), "%s: two MSIs of a gsi", when);
}

static void irqfds(const char *when)
{
	int e = eventfd(0, 0), e2 = eventfd(0, 0), p[2];
	struct kvm_irqfd f = {.fd = (uint32_t)e, .gsi = 5};
	struct kvm_msi msi = {.address_lo = 0x8090040, .devid = 1, .flags = KVM_MSI_VALID_DEVID};

	if (pipe(p))
		return;
	say(io(vm, KVM_IRQFD, &f), "%s: irqfd", when);
	say(io(vm, KVM_IRQFD, &f), "%s: irqfd again", when);
	f.gsi = 6;
	say(io(vm, KVM_IRQFD, &f), "%s: the same for another gsi", when);
	f.flags = KVM_IRQFD_FLAG_DEASSIGN;
	say(io(vm, KVM_IRQFD, &f), "%s: another gsi away", when);
	f.gsi = 5;
	say(io(vm, KVM_IRQFD, &f), "%s: away", when);
	say(io(vm, KVM_IRQFD, &f), "%s: away again", when);
	f.flags = 4;
	say(io(vm, KVM_IRQFD, &f), "%s: flags 4", when);
	f.flags = KVM_IRQFD_FLAG_RESAMPLE;
	f.resamplefd = (uint32_t)e2;
	say(io(vm, KVM_IRQFD, &f), "%s: resample", when);
	f.flags |= KVM_IRQFD_FLAG_DEASSIGN;
	say(io(vm, KVM_IRQFD, &f), "%s: resample away", when);
	f.flags = KVM_IRQFD_FLAG_RESAMPLE;
	f.resamplefd = (uint32_t)p[0];
	say(io(vm, KVM_IRQFD, &f), "%s: resample, a pipe", when);
	f.flags = 0;
	f.fd = (uint32_t)p[0];
	say(io(vm, KVM_IRQFD, &f), "%s: a pipe", when);
	f.fd = 999;
	say(io(vm, KVM_IRQFD, &f), "%s: no descriptor", when);
	f.flags = KVM_IRQFD_FLAG_DEASSIGN;
	say(io(vm, KVM_IRQFD, &f), "%s: no descriptor away", when);
	f.flags = 0;
	f.fd = (uint32_t)e;
	f.gsi = 5000;
	say(io(vm, KVM_IRQFD, &f), "%s: gsi 5000", when);
	say(io(vm, KVM_SIGNAL_MSI, &msi), "%s: msi", when);
	msi.flags = 0;
	say(io(vm, KVM_SIGNAL_MSI, &msi), "%s: msi without a device", when);
	msi.flags = 2;
	say(io(vm, KVM_SIGNAL_MSI, &msi), "%s: msi flags", when);
	msi.flags = 1;
	msi.address_lo = 0x100;
	say(io(vm, KVM_SIGNAL_MSI, &msi), "%s: msi elsewhere", when);
	close(e);
	close(e2);
	close(p[0]);
	close(p[1]);
}

static void interrupts(void)
{
	int gic, its;

	section = "interrupts";
	vm_with_vcpu(1 << 2);
	lines("no GIC");
	routes("no GIC");
	irqfds("no GIC");
	vm_with_vcpu(1 << 2);
	gic = gicv3();
	lines("not initialised");
	routes("not initialised");
	irqfds("not initialised");
	close(gic);
	vm_with_vcpu(1 << 2);
	gic = gicv3();
	attr(gic, SET, KVM_DEV_ARM_VGIC_GRP_CTRL, 0, NULL);
	lines("initialised");
	routes("initialised");
	irqfds("initialised");
	its = device(8);
	set64(its, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_ITS_ADDR_TYPE, 0x8080000);
	attr(its, SET, KVM_DEV_ARM_VGIC_GRP_CTRL, 0, NULL);
	say(io(vm, KVM_CHECK_EXTENSION, VAL(KVM_CAP_MSI_DEVID)), "KVM_CAP_MSI_DEVID with an ITS");
	irqfds("with an ITS");
	close(its);
	close(gic);

	section = "ioeventfd";
	vm_with_vcpu(1 << 2);
	{
		static const struct {
			const char *text;
			uint64_t addr;
			unsigned len, flags;
			uint64_t match;
		} rows[] = {{"new", 0x1000, 4, 0, 0},
			    {"same", 0x1000, 4, 0, 0},
			    {"same, value", 0x1000, 4, 1, 5},
			    {"other length", 0x1000, 2, 0, 0},
			    {"any length", 0x1000, 0, 0, 0},
			    {"value", 0x2000, 4, 1, 5},
			    {"other value", 0x2000, 4, 1, 6},
			    {"same value", 0x2000, 4, 1, 6},
			    {"length 3", 0x3000, 3, 0, 0},
			    {"length 16", 0x3000, 16, 0, 0},
			    {"any length, value", 0x3000, 0, 1, 5},
			    {"wraps", ~0ull - 1, 4, 0, 0},
			    {"pio", 0x3000, 4, 2, 0},
			    {"pio again", 0x3000, 4, 2, 0},
			    {"ccw", 0x3000, 4, 8, 0},
			    {"flag 4", 0x3000, 4, 16, 0},
			    {"away, another value", 0x2000, 4, 5, 7},
			    {"away", 0x2000, 4, 5, 6},
			    {"away again", 0x2000, 4, 5, 6},
			    {"away, another length", 0x1000, 8, 4, 0},
			    {"away", 0x1000, 4, 4, 0}};
		int e = eventfd(0, 0);

		for (unsigned i = 0; i < COUNT(rows); i++) {
			struct kvm_ioeventfd f = {.addr = rows[i].addr,
						  .len = rows[i].len,
						  .flags = rows[i].flags,
						  .datamatch = rows[i].match,
						  .fd = e};

			say(io(vm, KVM_IOEVENTFD, &f), "%s", rows[i].text);
		}
		{
			struct kvm_ioeventfd f = {.addr = 0x9000, .len = 4, .fd = 999};

			say(io(vm, KVM_IOEVENTFD, &f), "no descriptor");
			f.fd = kvm;
			say(io(vm, KVM_IOEVENTFD, &f), "another kind of descriptor");
		}
		close(e);
	}
	section = "coalesced";
	{
		static const struct {
			const char *text;
			uint64_t addr;
			unsigned size, pio;
			int away;
		} rows[] = {{"new", 0x1000, 0x100, 0, 0},    {"same", 0x1000, 0x100, 0, 0},
			    {"pio", 0x1000, 0x100, 1, 0},    {"pio 2", 0x1000, 0x100, 2, 0},
			    {"none", 0x1000, 0, 0, 0},	     {"away, part", 0x1010, 4, 0, 1},
			    {"away", 0x1000, 0x100, 0, 1},   {"away, never was", 0x9000, 4, 0, 1},
			    {"away, pio 2", 0x9000, 4, 2, 1}};

		for (unsigned i = 0; i < COUNT(rows); i++) {
			struct kvm_coalesced_mmio_zone z = {
				.addr = rows[i].addr, .size = rows[i].size, .pio = rows[i].pio};

			say(io(vm, rows[i].away ? KVM_UNREGISTER_COALESCED_MMIO : KVM_REGISTER_COALESCED_MMIO, &z),
			    "%s", rows[i].text);
		}
	}
}

static void gic_addresses(void)
{
	static const struct {
		const char *text;
		uint64_t attr, val;
	} rows[] = {{"read-type dist unaligned", 2, 0x8001000},
		    {"dist beyond", 2, 1ull << 40},
		    {"dist over the end", 2, (1ull << 40) - 0x8000},
		    {"dist", 2, 0x8000000},
		    {"dist again", 2, 0x8000000},
		    {"v2 dist", 0, 0x8000000},
		    {"v2 cpu", 1, 0x8010000},
		    {"its", 4, 0x8080000},
		    {"region flags", 5, 1ull << 52 | 0x80a0000 | 1 << 12},
		    {"region none", 5, 0x80a0000},
		    {"region index 1", 5, 1ull << 52 | 0x80a0000 | 1},
		    {"region unaligned", 5, 1ull << 52 | 0x80a1000},
		    {"region over the dist", 5, 1ull << 52 | 0x7ff0000},
		    {"region beyond", 5, 1ull << 52 | 0xff00000000000ull},
		    {"region", 5, 1ull << 52 | 0x80a0000},
		    {"region same index", 5, 1ull << 52 | 0x90a0000},
		    {"region overlap", 5, 1ull << 52 | 0x80b0000 | 1},
		    {"region 2 behind", 5, 2ull << 52 | 0x80c0000 | 1},
		    {"region 3 apart", 5, 2ull << 52 | 0x9000000 | 3},
		    {"redist", 3, 0xa000000},
		    {"attr 6", 6, 0},
		    {"attr 7", 7, 0}};
	static const uint32_t nr[] = {0, 31, 32, 63, 64, 65, 96, 992, 1019, 1020, 1023, 1024, 1 << 20};
	uint64_t v;
	int gic;

	section = "gic addresses";
	vm_with_vcpu(1 << 2);
	gic = device(7);
	for (unsigned g = 0; g < 12; g++)
		for (unsigned a = 0; a < 8; a++)
			say(attr(gic, HAS, g, a, NULL), "has %u %u", g, a);
	for (unsigned a = 0; a < 8; a++) {
		v = a == 5 ? 0 : 7;
		say(attr(gic, GET, 0, a, &v), "get %u before", a);
		say((long)v, "is");
	}
	for (unsigned i = 0; i < COUNT(rows); i++)
		say(set64(gic, 0, rows[i].attr, rows[i].val), "%s", rows[i].text);
	for (unsigned a = 2; a < 6; a++) {
		v = a == 5 ? 1 : 7;
		say(attr(gic, GET, 0, a, &v), "get %u", a);
		say((long)v, "is");
	}
	v = 9;
	say(attr(gic, GET, 0, 5, &v), "get region 9");
	say(attr(gic, SET, 0, 2, BAD), "bad pointer");
	close(gic);
	for (unsigned i = 0; i < COUNT(nr); i++) {
		vm_with_vcpu(1 << 2);
		gic = device(7);
		say(set32(gic, 3, 0, nr[i]), "%u interrupts", nr[i]);
		say(set32(gic, 3, 0, nr[i]), "%u interrupts again", nr[i]);
		{
			uint32_t n = 7;

			say(attr(gic, GET, 3, 0, &n), "get");
			say(n, "is");
		}
		close(gic);
	}
	vm_with_vcpu(1 << 2);
	gic = device(7);
	set64(gic, 0, 3, 0x80a0000);
	say(set64(gic, 0, 5, 1ull << 52 | 0x90a0000), "a region after the redistributors");
	say(set64(gic, 0, 3, 0x90a0000), "redistributors again");
	close(gic);
	section = "gic control";
	vm_new();
	gic = device(7);
	say(attr(gic, SET, 4, 0, NULL), "init without vcpus");
	say(attr(gic, SET, 4, 3, NULL), "save tables");
	close(gic);
	vm_with_vcpu(1 << 2);
	gic = device(7);
	for (unsigned a = 0; a < 6; a++)
		if (a != 0)
			say(attr(gic, SET, 4, a, NULL), "%u before init", a);
	{
		uint32_t w = 0;
		uint64_t d = 0;

		say(attr(gic, GET, 1, 0, &w), "GICD_CTLR before init");
		say(attr(gic, GET, 1, 8, &w), "GICD_IIDR before init");
		say(w, "is");
		say(attr(gic, SET, 1, 8, &w), "GICD_IIDR before init, written");
		say(attr(gic, GET, 5, 0, &w), "GICR_CTLR before init");
		say(attr(gic, GET, 6, 0xc230, &d), "ICC_PMR before init");
		say(attr(gic, GET, 7, 32, &w), "levels before init");
		say(attr(gic, SET, 4, 0, NULL), "init");
		say(attr(gic, SET, 4, 0, NULL), "init again");
		say(set32(gic, 3, 0, 64), "interrupts after init");
		say(attr(gic, GET, 1, 0, &w), "GICD_CTLR");
		say(attr(gic, GET, 1, 0, BAD), "GICD_CTLR, bad pointer");
		say(attr(gic, GET, 1, 1ull << 32, &w), "GICD_CTLR of vcpu 1");
		say(attr(gic, GET, 5, 1ull << 32, &w), "GICR_CTLR of vcpu 1");
		say(attr(gic, GET, 6, 1ull << 32 | 0xc230, &d), "ICC_PMR of vcpu 1");
		for (unsigned r = 1; r < 4; r++) {
			w = 0x4b00043b | r << 12;
			say(attr(gic, SET, 1, 8, &w), "GICD_IIDR revision %u", r);
		}
		w = 0x4b00343c;
		say(attr(gic, SET, 1, 8, &w), "GICD_IIDR of somebody else");
		for (uint64_t off = 0; off < 0x10000; off += 4) {
			static int last[3] = {1, 1, 1};
			int now[3];

			errno = 0;
			now[0] = attr(gic, HAS, 1, off, NULL) < 0 ? errno : 0;
			errno = 0;
			w = 0;
			now[1] = attr(gic, GET, 1, off, &w) < 0 ? errno : 0;
			errno = 0;
			now[2] = attr(gic, HAS, 5, off, NULL) < 0 ? errno : 0;
			for (unsigned k = 0; k < 3; k++)
				if (off == 0 || now[k] != last[k])
					say(now[k] ? (errno = now[k], -1) : 0, "%s from %#lx",
					    k == 0   ? "has GICD"
					    : k == 1 ? "get GICD"
						     : "has GICR",
					    (long)off);
			memcpy(last, now, sizeof(now));
			/* what is there and constant after init; not TYPER, IIDR, ID registers of another revision */
			if (!now[1] && w)
				say(w, "GICD+%#lx", (long)off);
		}
		for (uint64_t off = 0; off < 0x20000; off += 4) {
			static int last = 1;
			int now;

			errno = 0;
			w = 0;
			now = attr(gic, GET, 5, off, &w) < 0 ? errno : 0;
			if (off == 0 || now != last)
				say(now ? (errno = now, -1) : 0, "get GICR from %#lx", (long)off);
			last = now;
			if (!now && w)
				say(w, "GICR+%#lx", (long)off);
		}
		for (unsigned off = 1; off < 8; off++)
			say(attr(gic, HAS, 1, off, NULL), "has GICD+%u", off);
		for (uint64_t enc = 0xc000; enc < 0x10000; enc++) {
			d = 0;
			errno = 0;
			if (attr(gic, HAS, 6, enc, NULL) == 0 || errno != ENXIO)
				say(attr(gic, HAS, 6, enc, NULL), "has ICC %#lx", (long)enc);
			errno = 0;
			if (attr(gic, GET, 6, enc, &d) == 0 || errno != ENOENT)
				say(attr(gic, GET, 6, enc, &d) < 0 ? -1 : (long)d, "get ICC %#lx", (long)enc);
		}
		for (unsigned i = 0; i < 7; i++) {
			static const struct {
				const char *text;
				uint32_t enc;
				uint64_t val;
			} icc[] = {{"PMR 0xff", 0xc230, 0xff}, {"BPR0 0", 0xc643, 0}, {"BPR1 0", 0xc663, 0},
				   {"SRE 0", 0xc665, 0},       {"SRE 1", 0xc665, 1},  {"CTLR 0", 0xc664, 0},
				   {"IGRPEN1 1", 0xc667, 1}};

			say(attr(gic, SET, 6, icc[i].enc, &icc[i].val), "set %s", icc[i].text);
			say(attr(gic, GET, 6, icc[i].enc, &d) < 0 ? -1 : (long)d, "get %s", icc[i].text);
		}
		for (unsigned i = 0; i < 4; i++) {
			static const uint32_t ppi[] = {0, 15, 25, 40};

			w = ppi[i];
			say(attr(gic, SET, KVM_DEV_ARM_VGIC_GRP_MAINT_IRQ, 0, &w),
			    "maintenance interrupt %u after init", ppi[i]);
			say(attr(gic, GET, KVM_DEV_ARM_VGIC_GRP_MAINT_IRQ, 0, &w), "get");
		}
		for (unsigned i = 0; i < 6; i++) {
			static const uint64_t a[] = {32, 33, 0, 16, 64, 1 << 10 | 32};

			say(attr(gic, GET, 7, a[i], &w), "levels %#lx", (long)a[i]);
		}
	}
	close(gic);
	vm_with_vcpu(1 << 2);
	gic = device(7);
	for (unsigned i = 0; i < 6; i++) {
		static const uint32_t ppi[] = {0, 15, 16, 25, 31, 40};
		uint32_t w = ppi[i];

		say(attr(gic, SET, KVM_DEV_ARM_VGIC_GRP_MAINT_IRQ, 0, &w), "maintenance interrupt %u", ppi[i]);
		say(attr(gic, SET, KVM_DEV_ARM_VGIC_GRP_MAINT_IRQ, 1, &w), "maintenance interrupt %u, attribute 1",
		    ppi[i]);
		w = 7;
		say(attr(gic, GET, KVM_DEV_ARM_VGIC_GRP_MAINT_IRQ, 0, &w), "get");
		say(w, "is");
	}
	say(attr(gic, SET, KVM_DEV_ARM_VGIC_GRP_MAINT_IRQ, 0, BAD), "maintenance interrupt, bad pointer");
	close(gic);

	section = "its";
	vm_with_vcpu(1 << 2);
	gic = gicv3();
	{
		int its = device(8);
		uint64_t d = 0;

		for (unsigned g = 0; g < 10; g++)
			for (unsigned a = 0; a < 6; a++)
				say(attr(its, HAS, g, a, NULL), "has %u %u", g, a);
		say(attr(its, GET, 8, 0, &d), "GITS_CTLR without an address");
		say(attr(its, SET, 4, 1, NULL), "save without an address");
		say(attr(its, GET, 0, 4, &d), "get address before");
		say(set64(its, 0, 3, 0x8080000), "another attribute");
		say(set64(its, 0, 4, 0x8081000), "unaligned");
		say(set64(its, 0, 4, 1ull << 40), "beyond");
		say(set64(its, 0, 4, 0x8080000), "address");
		say(set64(its, 0, 4, 0x8080000), "address again");
		say(attr(its, GET, 0, 4, &d), "get address");
		say((long)d, "is");
		say(attr(its, SET, 4, 0, NULL), "init");
		say(attr(its, SET, 4, 0, NULL), "init again");
		for (uint64_t off = 0; off < 0x20000; off += 8) {
			static int last = 1;
			int now;

			errno = 0;
			d = 0;
			now = attr(its, GET, 8, off, &d) < 0 ? errno : 0;
			if (off == 0 || now != last)
				say(now ? (errno = now, -1) : 0, "get from %#lx", (long)off);
			last = now;
			if (!now && d)
				say((long)d, "GITS+%#lx", (long)off);
		}
		for (unsigned i = 0; i < 9; i++) {
			static const uint64_t odd[] = {1, 2, 4, 5, 0xc, 0x84, 0x104, 0xffd4, 0xffe2};

			say(attr(its, HAS, 8, odd[i], NULL), "has %#lx", (long)odd[i]);
			say(attr(its, GET, 8, odd[i], &d), "get %#lx", (long)odd[i]);
		}
		for (unsigned i = 0; i < 3; i++) {
			static const uint64_t regs[] = {0x80, 0x100, 0x108};

			d = ~0ull;
			say(attr(its, SET, 8, regs[i], &d), "set %#lx to all ones", (long)regs[i]);
			d = 0;
			say(attr(its, GET, 8, regs[i], &d), "get %#lx", (long)regs[i]);
			say((long)(d >> 32), "upper half");
			say((long)(uint32_t)d, "lower half");
		}
		d = 0x1000;
		say(attr(its, SET, 8, 4, &d), "GITS_IIDR");
		say(attr(its, SET, 8, 8, &d), "GITS_TYPER");
		say(attr(its, SET, 8, 0x90, &d), "GITS_CREADR");
		for (unsigned a = 1; a < 6; a++)
			say(attr(its, SET, 4, a, NULL), "control %u", a);
		close(its);
	}
	close(gic);
}

static void vcpu_attributes(void)
{
	int gic, irq;
	static const int irqs[] = {0, 15, 16, 23, 27, 31, 32, 63, 64, 1020, -1};
	struct kvm_pmu_event_filter f = {0};
	uint64_t ipa;

	section = "vcpu attributes";
	vm_with_vcpu(1 << 2);
	for (unsigned g = 0; g < 5; g++)
		for (unsigned a = 0; a < 6; a++) {
			uint64_t v = 7; /* some are 64 bits */

			say(attr(vcpu, HAS, g, a, NULL), "has %u %u", g, a);
			say(attr(vcpu, GET, g, a, BAD), "get %u %u, bad pointer", g, a);
			say(attr(vcpu, SET, g, a, BAD), "set %u %u, bad pointer", g, a);
			say(attr(vcpu, SET, g, a, &v), "set %u %u", g, a);
		}
	vm_with_vcpu(1 << 2 | 1 << 3);
	for (unsigned a = 0; a < 6; a++)
		say(attr(vcpu, HAS, 0, a, NULL), "with a PMU: has %u", a);
	irq = 23;
	say(attr(vcpu, SET, 0, 0, &irq), "PMU interrupt without a GIC");
	say(attr(vcpu, SET, 0, 1, NULL), "PMU init without a GIC");
	say(attr(vcpu, SET, 0, 1, NULL), "PMU init again");
	vm_with_vcpu(1 << 2 | 1 << 3);
	gic = gicv3();
	say(attr(vcpu, GET, 0, 0, &irq), "PMU interrupt before");
	say(attr(vcpu, SET, 0, 1, NULL), "PMU init before its interrupt");
	for (unsigned i = 0; i < COUNT(irqs); i++) {
		if (irqs[i] == 23)
			continue;
		vm_with_vcpu(1 << 2 | 1 << 3);
		close(gic);
		gic = gicv3();
		say(attr(vcpu, SET, 0, 0, &irqs[i]), "PMU interrupt %d", irqs[i]);
	}
	vm_with_vcpu(1 << 2 | 1 << 3);
	close(gic);
	gic = gicv3();
	say(attr(vcpu, SET, 0, 0, &irq), "PMU interrupt");
	say(attr(vcpu, SET, 0, 0, &irq), "PMU interrupt again");
	say(attr(vcpu, GET, 0, 0, &irq) < 0 ? -1 : irq, "PMU interrupt is");
	say(attr(vcpu, SET, 0, 1, NULL), "PMU init before the GIC's");
	attr(gic, SET, 4, 0, NULL);
	for (unsigned i = 0; i < 7; i++) {
		static const struct kvm_pmu_event_filter rows[] = {
			{.base_event = 0x11, .nevents = 1, .action = 1},
			{.base_event = 0x10, .nevents = 0, .action = 0},
			{.base_event = 0xffff, .nevents = 1, .action = 0},
			{.base_event = 0xffff, .nevents = 2, .action = 0},
			{.base_event = 0x10, .nevents = 1, .action = 2},
			{.base_event = 0x10, .nevents = 1, .action = 0, .pad = {1}},
			{.base_event = 8, .nevents = 4, .action = 1}};

		f = rows[i];
		say(attr(vcpu, SET, 0, 2, &f), "PMU filter %u", i);
	}
	for (unsigned i = 0; i < 5; i++) {
		static const uint32_t n[] = {0, 1, 4, 6, 33};

		if (n[i] != 6)
			say(attr(vcpu, SET, 0, 4, &n[i]), "%u counters", n[i]);
	}
	say(attr(vcpu, SET, 0, 1, NULL), "PMU init");
	say(attr(vcpu, SET, 0, 1, NULL), "PMU init again");
	say(attr(vcpu, SET, 0, 0, &irq), "PMU interrupt after init");
	say(attr(vcpu, SET, 0, 2, &f), "PMU filter after init");

	section = "timers";
	vm_with_vcpu(1 << 2);
	for (unsigned a = 0; a < 5; a++) {
		int v = 0;

		say(attr(vcpu, GET, 1, a, &v), "get %u without a GIC", a);
		say(v, "is");
		v = 20;
		say(attr(vcpu, SET, 1, a, &v), "set %u without a GIC", a);
	}
	vm_with_vcpu(1 << 2);
	close(gic);
	gic = gicv3();
	for (unsigned i = 0; i < COUNT(irqs); i++)
		say(attr(vcpu, SET, 1, 0, &irqs[i]), "virtual timer %d", irqs[i]);
	for (unsigned a = 0; a < 5; a++) {
		int v = 25;

		say(attr(vcpu, SET, 1, a, &v), "set %u to 25", a);
		say(attr(vcpu, GET, 1, a, &v) < 0 ? -1 : v, "get %u", a);
	}

	section = "stolen time";
	vm_with_vcpu(1 << 2);
	for (unsigned i = 0; i < 6; i++) {
		static const uint64_t a[] = {0x40000020, 0x30000000, ~0ull, ~0ull & ~63ull, 0x40000040, 0x40000080};

		ipa = a[i];
		say(attr(vcpu, SET, 2, 0, &ipa), "at %#lx", (long)a[i]);
		ipa = 0;
		say(attr(vcpu, GET, 2, 0, &ipa), "get");
		say((long)ipa, "is");
	}
	close(gic);
}

static long reg(unsigned long request, uint64_t id, uint64_t val)
{
	uint64_t v[64] = {val};
	struct kvm_one_reg r = {id, (uintptr_t)v};
	long ret = io(vcpu, request, &r);

	return ret < 0 ? -1 : request == KVM_GET_ONE_REG ? (long)v[0] : ret;
}

static void registers(void)
{
	static const uint64_t ids[] = {
		0,
		0x6030000000000000,
		0x4030000000100000,
		0x6130000000100000,
		0x6030000100100000,
		0x6020000000100000,
		0x6040000000100000,
		0x6030000000100001,
		0x6030000000100044,
		0x6030000000100050,
		0x6030000000100052,
		0x6030000000100054,
		0x6040000000100054,
		0x6040000000100055,
		0x60200000001000d4,
		0x60300000001000d4,
		0x60200000001000d6,
		0x60300000001000d6,
		0x60300000001000d8,
		0x603000000010ffff,
		0x6020000000110000,
		0x602000000011000e,
		0x6020000000110100,
		0x6030000000110000,
		0x6020000000120000,
		0x6030000000120000,
		0x602000000013c080,
		0x6030000000130000,
		0x603000000013ffff,
		0x6020000000140000,
		0x603000000014ffff,
		0x6030000000140004,
		0x6030000000150000,
		0x606000000015ffff,
		0x6080000000150000,
		0x6050000000150400,
		0x6030000000160004,
		0x603000000016ffff,
		0x6030000000170000,
		0x6030000000180000,
		0x60f0000000100000,
		0x60a0000000100000,
		0x6090000000100000,
	};
	static const struct {
		const char *text;
		uint64_t id, val;
	} sets[] = {
		{"PSTATE EL2h", 0x6030000000100042, 0x3c9},
		{"PSTATE EL3h", 0x6030000000100042, 0x3cd},
		{"PSTATE 2", 0x6030000000100042, 2},
		{"PSTATE EL0t", 0x6030000000100042, 0},
		{"PSTATE EL1t", 0x6030000000100042, 0x3c4},
		{"PSTATE all flags", 0x6030000000100042, 0xffffffffffffffe5},
		{"PSTATE AArch32 svc", 0x6030000000100042, 0x1d3},
		{"PSTATE EL1h", 0x6030000000100042, 0x3c5},
		{"PSCI 0.1", 0x6030000000140000, 1},
		{"PSCI 0.2", 0x6030000000140000, 2},
		{"PSCI 0.3", 0x6030000000140000, 3},
		{"PSCI 1.0", 0x6030000000140000, 0x10000},
		{"PSCI 1.1", 0x6030000000140000, 0x10001},
		{"PSCI 1.2", 0x6030000000140000, 0x10002},
		{"PSCI 1.3", 0x6030000000140000, 0x10003},
		{"PSCI 1.4", 0x6030000000140000, 0x10004},
		{"PSCI 2.0", 0x6030000000140000, 0x20000},
		{"PSCI high", 0x6030000000140000, 1ull << 32 | 2},
		{"WORKAROUND_1 0", 0x6030000000140001, 0},
		{"WORKAROUND_1 3", 0x6030000000140001, 3},
		{"WORKAROUND_2 0", 0x6030000000140002, 0},
		{"WORKAROUND_2 7", 0x6030000000140002, 7},
		{"WORKAROUND_3 0", 0x6030000000140003, 0},
		{"WORKAROUND_3 9", 0x6030000000140003, 9},
		{"STD_BMAP 0", 0x6030000000160000, 0},
		{"STD_BMAP 1", 0x6030000000160000, 1},
		{"STD_BMAP 2", 0x6030000000160000, 2},
		{"STD_HYP 1", 0x6030000000160001, 1},
		{"STD_HYP 3", 0x6030000000160001, 3},
		{"VENDOR 3", 0x6030000000160002, 3},
		{"VENDOR 4", 0x6030000000160002, 4},
		{"VENDOR_2 3", 0x6030000000160003, 3},
		{"VENDOR_2 4", 0x6030000000160003, 4},
		{"OSLSR 0xa", 0x603000000013808c, 0xa},
		{"OSLSR 8", 0x603000000013808c, 8},
		{"OSLSR 0", 0x603000000013808c, 0},
		{"OSLSR 0x18", 0x603000000013808c, 0x18},
		{"CCSIDR huge", 0x6020000000110000, 0xf0000000},
		{"CCSIDR small line", 0x6020000000110000, 0},
		{"CCSIDR", 0x6020000000110000, 0x700fe01a & 0x0fffffff},
		{"CSSELR 1", 0x603000000013d000, 1},
		{"TIMER_CTL 7", 0x603000000013df19, 7},
		{"TIMER_CTL 0", 0x603000000013df19, 0},
		{"TIMER_CVAL", 0x603000000013df02, 1ull << 60},
		{"PTIMER_CVAL", 0x603000000013df12, 1ull << 60},
		{"TIMER_CNT", 0x603000000013df1a, 1000},
		{"PTIMER_CNT", 0x603000000013df01, 1000},
		{"MPIDR", 0x603000000013c005, 0x80000001},
		{"MPIDR any", 0x603000000013c005, 0xff00ffffff},
		{"AArch32 ID_PFR0", 0x603000000013c008, 0x55},
		{"unallocated ID 1", 0x603000000013c01f, 1},
		{"unallocated ID 0", 0x603000000013c01f, 0},
		{"MIDR other", 0x603000000013c000, 0x1234},
		{"SCTLR_EL1 any", 0x603000000013c080, ~0ull},
		{"TCR_EL1 any", 0x603000000013c102, ~0ull},
		{"MDSCR_EL1 any", 0x6030000000138012, ~0ull},
		{"DBGBCR0 any", 0x6030000000138005, ~0ull},
		{"DBGBVR15 any", 0x603000000013807c, ~0ull},
		{"FPCR", 0x60200000001000d5, 0xffffffff},
		{"FPSR", 0x60200000001000d4, 0xffffffff},
		{"SPSR_FIQ", 0x6030000000100050, ~0ull},
		{"DACR32", 0x603000000013e180, ~0ull},
		{"FPEXC32", 0x603000000013e298, 0},
		{"IFSR32", 0x603000000013e281, 5},
		{"DBGVCR32", 0x6030000000138038 + 0x2000, 1},
		{"CNTKCTL any", 0x603000000013c708, ~0ull},
		{"CPACR any", 0x603000000013c082, ~0ull},
		{"PAR any", 0x603000000013c3a0, ~0ull},
		{"CLIDR 0", 0x603000000013c801, 0},
		{"ACTLR", 0x603000000013c081, 0},
	};

	section = "registers";
	vm_with_vcpu(1 << 2);
	for (unsigned i = 0; i < COUNT(ids); i++) {
		done(reg(KVM_GET_ONE_REG, ids[i], 0), "get %#lx", (long)ids[i]);
		done(reg(KVM_SET_ONE_REG, ids[i], 0), "set %#lx", (long)ids[i]);
	}
	vm_with_vcpu(1 << 2);
	for (unsigned i = 0; i < COUNT(sets); i++) {
		long ret = reg(KVM_SET_ONE_REG, sets[i].id, sets[i].val);

		say(ret, "%s", sets[i].text);
		if ((sets[i].id & 0x0fff0000) != 0x00130000 || ret == 0)
			if (!strstr(sets[i].text, "CNT") && !strstr(sets[i].text, "WORKAROUND") &&
			    !strstr(sets[i].text, "ACTLR"))
				say(reg(KVM_GET_ONE_REG, sets[i].id, 0), "%s is", sets[i].text);
	}
	{
		struct kvm_one_reg r = {0x6030000000100000, 8};

		say(io(vcpu, KVM_GET_ONE_REG, &r), "get, bad value pointer");
		say(io(vcpu, KVM_SET_ONE_REG, &r), "set, bad value pointer");
	}
	vm_with_vcpu(0);
	say(reg(KVM_GET_ONE_REG, 0x6030000000140000, 0), "PSCI version without PSCI_0_2");
	for (unsigned i = 8; i < 17; i++)
		say(reg(KVM_SET_ONE_REG, sets[i].id, sets[i].val), "without PSCI_0_2: %s", sets[i].text);

	section = "states";
	vm_with_vcpu(1 << 2);
	for (unsigned s = 0; s < 13; s++) {
		struct kvm_mp_state mp = {s}, is = {99};

		say(io(vcpu, KVM_SET_MP_STATE, &mp), "mp_state %u", s);
		io(vcpu, KVM_GET_MP_STATE, &is);
		say(is.mp_state, "is");
	}
	for (unsigned b = 0; b < 32; b++) {
		struct kvm_guest_debug d = {.control = 1u << b};

		say(io(vcpu, KVM_SET_GUEST_DEBUG, &d), "guest debug bit %u", b);
	}
	for (unsigned i = 0; i < 8; i++) {
		static const unsigned char rows[][4] = {/* pending, has_esr, ext_dabt, bad */ {0, 0, 0, 0},
							{1, 0, 0, 0},
							{1, 1, 0, 0},
							{0, 1, 0, 0},
							{1, 1, 0, 1},
							{0, 0, 0, 2},
							{0, 0, 0, 3},
							{2, 0, 0, 0}};
		struct kvm_vcpu_events e = {0};

		vm_with_vcpu(1 << 2);
		e.exception.serror_pending = rows[i][0];
		e.exception.serror_has_esr = rows[i][1];
		e.exception.ext_dabt_pending = rows[i][2];
		e.exception.serror_esr = rows[i][3] == 1 ? 1ull << 25 : 0x1234;
		if (rows[i][3] == 2)
			e.exception.pad[0] = 1;
		if (rows[i][3] == 3)
			e.reserved[11] = 1;
		say(io(vcpu, KVM_SET_VCPU_EVENTS, &e), "events %u", i);
		memset(&e, 0xff, sizeof(e));
		say(io(vcpu, KVM_GET_VCPU_EVENTS, &e), "get");
		say(e.exception.serror_pending, "pending");
		say(e.exception.serror_has_esr, "has_esr");
		say((long)e.exception.serror_esr, "esr");
		say(e.exception.ext_dabt_pending, "ext_dabt");
		say(e.exception.pad[0] | e.reserved[0], "reserved");
	}
	for (unsigned len = 0; len < 17; len += 4) {
		struct {
			struct kvm_signal_mask m;
			uint8_t set[16];
		} k = {.m = {.len = len}};

		say(io(vcpu, KVM_SET_SIGNAL_MASK, &k), "signal mask of %u bytes", len);
	}
	say(io(vcpu, KVM_SET_SIGNAL_MASK, BAD), "signal mask, bad pointer");
}

static long runs(int imm)
{
	struct kvm_run *run = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	long ret;

	run->immediate_exit = (uint8_t)imm;
	run->exit_reason = 99;
	ret = ioctl(vcpu, KVM_RUN, 0);
	{
		int err = errno;

		printf("%s: exit_reason %u\n", section, run->exit_reason);
		munmap(run, 8192);
		errno = err;
	}
	return ret;
}

static void running(void)
{
	uint32_t *code = (uint32_t *)ram;
	int gic, fd;
	static const uint64_t places[] = {0, 1, 2, 3, 63, 64, 65, 79, 80, 1000};

	section = "run";
	code[0] = 0xf9000001; /* str x1, [x0] */
	code[1] = 0x14000000;
	vm_with_vcpu(1 << 2);
	reg(KVM_SET_ONE_REG, 0x6030000000100040, 0x40000000);
	say(runs(1), "immediate_exit");
	say(runs(0), "MMIO");
	say(runs(1), "immediate_exit with a write owed");
	say(reg(KVM_GET_ONE_REG, 0x6030000000100040, 0), "pc");
	say(reg(KVM_SET_ONE_REG, 0x6030000000160000, 0), "bitmap after the first run");
	say(reg(KVM_SET_ONE_REG, 0x6030000000160000, 1), "the same bitmap after the first run");
	say(reg(KVM_SET_ONE_REG, 0x6030000000140000, 0x10000), "PSCI version after the first run");
	say(reg(KVM_SET_ONE_REG, 0x603000000013c020, 0), "ID_AA64PFR0_EL1 after the first run");
	say(reg(KVM_SET_ONE_REG, 0x603000000013c020, (uint64_t)reg(KVM_GET_ONE_REG, 0x603000000013c020, 0)),
	    "the same after the first run");
	done(device(7), "a GIC after the first run");
	say(init_with(vcpu, 5, 1 << 2), "init after the first run");
	{
		struct kvm_smccc_filter f = {.base = 0x84000000, .nr_functions = 1, .action = 1};

		say(attr(vm, SET, 0, 0, &f), "SMCCC filter after the first run");
	}
	done(fd = vcpu_new(1), "a vcpu after the first run");
	vm_with_vcpu(1 << 2);
	gic = device(7);
	say(runs(0), "GIC without addresses");
	say(io(vm, KVM_CHECK_EXTENSION, NULL), "the VM afterwards");
	say(reg(KVM_GET_ONE_REG, 0x6030000000100040, 0), "the vcpu afterwards");
	close(gic);
	vm_with_vcpu(1 << 2);
	gic = gicv3();
	say(runs(0), "GIC that is not initialised");
	say(io(vm, KVM_CHECK_EXTENSION, NULL), "the VM afterwards");
	close(gic);
	vm_with_vcpu(1 << 2);
	gic = gicv3();
	attr(gic, SET, 4, 0, NULL);
	{
		int ppi = 27;

		attr(vcpu, SET, 1, 1, &ppi);
	}
	say(runs(0), "timers that share a PPI");
	close(gic);
	vm_with_vcpu(1 << 2 | 1 << 3);
	gic = gicv3();
	attr(gic, SET, 4, 0, NULL);
	say(runs(0), "PMU that is not initialised");
	close(gic);
	vm_with_vcpu(1 << 2);
	gic = gicv3();
	attr(gic, SET, 4, 0, NULL);
	reg(KVM_SET_ONE_REG, 0x6030000000100040, 0x40000000);
	say(runs(0), "with a GIC");
	{
		int ppi = 25;
		uint32_t w;

		say(attr(vcpu, SET, 1, 0, &ppi), "timer after the first run");
		say(attr(vcpu, SET, 1, 0, BAD), "timer after the first run, bad pointer");
		say(attr(gic, GET, 1, 0, &w), "GICD_CTLR after the first run");
		done(fd = vcpu_new(1), "a vcpu after the first run");
		done(device(8), "an ITS after the first run");
		done(device(7), "a GIC after the first run");
	}
	close(gic);
	vm_with_vcpu(1 << 2);
	reg(KVM_SET_ONE_REG, 0x6030000000100040, 0x70000000);
	munmap(ram + 0x8000, PAGE);
	code[0] = 0xf9000001;
	reg(KVM_SET_ONE_REG, 0x6030000000100040, 0x40000000);
	reg(KVM_SET_ONE_REG, 0x6030000000100000, 0x40008000);
	say(runs(0), "memory that is not there");
	if (mmap(ram + 0x8000, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
	    MAP_FAILED)
		return;
	code[0] = 0xa9000001; /* stp x1, x0, [x0] */
	reg(KVM_SET_ONE_REG, 0x6030000000100000, 0x1000);
	say(runs(0), "no syndrome");
	cap(KVM_CAP_ARM_NISV_TO_USER, 0, 0);
	say(runs(0), "no syndrome, asked for");

	section = "mmap";
	vm_with_vcpu(1 << 2);
	for (unsigned i = 0; i < COUNT(places); i++)
		for (unsigned n = 1; n < 4; n += 2) {
			void *p = mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu,
				       (off_t)(places[i] * PAGE));

			done(p == MAP_FAILED ? -1 : 0, "%u pages at %lu", n, (long)places[i]);
			if (p != MAP_FAILED)
				munmap(p, n * PAGE);
		}
	vm_new();
	cap(KVM_CAP_DIRTY_LOG_RING_ACQ_REL, 8192, 0);
	vcpu = vcpu_new(0);
	for (unsigned i = 0; i < 6; i++) {
		static const struct {
			unsigned at, n;
			int prot, flags;
		} rows[] = {{64, 2, PROT_READ | PROT_WRITE, MAP_SHARED},
			    {64, 2, PROT_READ | PROT_WRITE, MAP_PRIVATE},
			    {64, 2, PROT_READ | PROT_EXEC, MAP_SHARED},
			    {64, 1, PROT_READ, MAP_SHARED},
			    {65, 1, PROT_READ, MAP_SHARED},
			    {0, 2, PROT_READ | PROT_WRITE, MAP_PRIVATE}};
		void *p = mmap(NULL, rows[i].n * PAGE, rows[i].prot, rows[i].flags, vcpu, (off_t)(rows[i].at * PAGE));

		done(p == MAP_FAILED ? -1 : 0, "ring: %u pages at %u, %d, %d", rows[i].n, rows[i].at, rows[i].prot,
		     rows[i].flags);
		if (p != MAP_FAILED)
			munmap(p, rows[i].n * PAGE);
	}
	say(io(vm, KVM_RESET_DIRTY_RINGS, NULL), "KVM_RESET_DIRTY_RINGS");
	say(io(vm, KVM_RESET_DIRTY_RINGS, VAL(5)), "KVM_RESET_DIRTY_RINGS 5");
}

int main(void)
{
	struct rlimit lim = {65536, 65536};

	setrlimit(RLIMIT_NOFILE, &lim);
	setvbuf(stdout, NULL, _IOLBF, 0);
	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0)
		return perror("/dev/kvm"), 1;
	ram = mmap(NULL, 0x100000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	system_calls();
	vm_requests();
	vcpus();
	memory();
	caps();
	devices();
	interrupts();
	gic_addresses();
	vcpu_attributes();
	registers();
	running();
	return 0;
}
