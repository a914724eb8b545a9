/* SPDX-License-Identifier: MIT */
/*
 * answers.c's part about devices: their creation, interrupts and routes, the vGIC's and the ITS's attributes.
 */
#include "answers.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

void devices(void)
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

void interrupts(void)
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

/* All registers of a group: where the answer changes, and those that are not 0. */
static void scan(int fd, uint32_t group, unsigned bytes, const char *get, const char *name)
{
	int last = 0;

	for (uint64_t off = 0; off < 0x20000; off += bytes) {
		uint64_t val = 0;
		int now;

		errno = 0;
		now = attr(fd, GET, group, off, &val) < 0 ? errno : 0;
		if (off == 0 || now != last)
			say(now ? (errno = now, -1) : 0, "%s from %#lx", get, (long)off);
		last = now;
		if (!now && val)
			say((long)val, "%s+%#lx", name, (long)off);
	}
}

void gic_addresses(void)
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
		scan(gic, 5, 4, "get GICR", "GICR");
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
		scan(its, 8, 8, "get", "GITS");
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
