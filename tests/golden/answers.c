/* SPDX-License-Identifier: MIT */
/*
 * What each ioctl answers to what can be asked wrongly, too early or too late: a line each, NAME = result or errno. Run on a kernel
 * and here: the lines are to be the same (answers.py says which are not, and why). Answers are the point: nothing is asserted.
 */
#include "answers.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

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
