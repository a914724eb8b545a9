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
 * guest runs). A failure names the round: --from ROUND --count 1 --verbose repeats it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <pawl/kvm.h>
#include <pawl/pawl.h>

enum { SEQUENCES = 64, OPS = 8, PAGE = 4096, BUFFER = 2 * PAGE, RAM_SIZE = 64 << 10, OBJECTS = 40, PATIENCE_S = 120 };

#define RAM 0x40000000ull
#define GICD 0x08000000ull
#define GICR 0x080a0000ull
#define ITS 0x08080000ull
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- chance */

static uint64_t state;

static uint64_t rnd(void)
{
	uint64_t z = state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static unsigned below(unsigned n)
{
	return (unsigned)(rnd() % n);
}

static bool one_in(unsigned n)
{
	return below(n) == 0;
}

/* ---- the world */

enum kind { SYSTEM, VM, VCPU, DEVICE, STATS, EVENT, OTHER, CLOSED, N_KINDS };
static const char *const kind_names[] = {"system", "VM", "vcpu", "device", "stats", "eventfd", "other", "closed"};

static struct object {
	enum kind kind;
	int fd;
	struct kvm_run *run; /* VCPU: its mapping, or NULL */
} objects[OBJECTS];
static unsigned n_objects;
static size_t run_size;

/* Each followed by a page that faults. */
static uint8_t *buffer, *inner, *ram;
static void *nowhere, *readonly;

static uint64_t round_number;
static bool verbose;
static const char *doing = "";

static _Noreturn void fail(const char *format, ...)
{
	va_list ap;

	fprintf(stderr, "ioctl-fuzz: round %ju: %s: ", (uintmax_t)round_number, doing);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
	abort();
}

static uint8_t *guarded(size_t size)
{
	uint8_t *p = mmap(NULL, size + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || mprotect(p + PAGE, size, PROT_READ | PROT_WRITE) != 0) {
		perror("mmap");
		exit(1);
	}
	return p + PAGE;
}

static int add(enum kind kind, int fd)
{
	if (fd < 0)
		return fd;
	if (n_objects == OBJECTS) {
		kind <= DEVICE ? pawl_close(fd) : close(fd);
		return -1;
	}
	objects[n_objects++] = (struct object){kind, fd, NULL};
	return fd;
}

static void drop(unsigned i)
{
	struct object *o = &objects[i];

	if (o->run)
		munmap(o->run, run_size);
	if (o->kind <= DEVICE) {
		if (pawl_close(o->fd) != 0)
			fail("close of a %s gives errno %d", kind_names[o->kind], errno);
	} else if (o->kind != CLOSED) {
		close(o->fd);
	}
	*o = objects[--n_objects];
}

static struct object *any(enum kind kind)
{
	unsigned n = n_objects ? below(n_objects) : 0;

	for (unsigned i = 0; i < n_objects; i++) {
		struct object *o = &objects[(n + i) % n_objects];

		if (o->kind == kind)
			return o;
	}
	return NULL;
}

static int fd_of(enum kind kind)
{
	const struct object *o = any(kind);

	return o ? o->fd : -1;
}

static int any_fd(void)
{
	return one_in(12) ? (int)below(300) - 5 : n_objects ? objects[below(n_objects)].fd : -1;
}

/* ---- values */

static uint64_t host_address(void)
{
	switch (below(10)) {
	case 0: return 0;
	case 1: return (uintptr_t)nowhere;
	case 2: return (uintptr_t)readonly;
	case 3: return 0xffff800000000000;
	case 4: return (uintptr_t)inner + BUFFER - below(64);
	case 5: return (uintptr_t)inner + BUFFER - 8;
	default: return (uintptr_t)inner + below(BUFFER / 16) * 8;
	}
}

static uint64_t guest_address(void)
{
	static const uint64_t bases[] = {RAM,
					 RAM,
					 RAM,
					 GICD,
					 GICR,
					 ITS,
					 0,
					 0x50000000,
					 0x0a000000,
					 1ull << 32,
					 (1ull << 40) - 0x10000,
					 1ull << 40,
					 1ull << 48};
	uint64_t a = bases[below(COUNT(bases))];

	switch (below(4)) {
	case 0: return a + below(16) * 0x10000;
	case 1: return a + below(0x10000);
	default: return a + below(16) * PAGE;
	}
}

static uint64_t interesting(void)
{
	switch (below(12)) {
	case 0: return 0;
	case 1: return rnd();
	case 2: return ~0ull;
	case 3: return 1ull << below(64);
	case 4: return (1ull << below(64)) - 1;
	case 5: return guest_address();
	case 6: return host_address();
	case 7: return (uint32_t)rnd();
	default: return below(64);
	}
}

/* ---- structures */

static void fill_words(void *p, size_t size)
{
	for (size_t i = 0; i < size; i += 4) {
		uint32_t word = one_in(3) ? (uint32_t)interesting() : one_in(8) ? (uint32_t)rnd() : 0;

		memcpy((uint8_t *)p + i, &word, size - i < 4 ? size - i : 4);
	}
}

/* An address of chance could be that of something else of ours. */
static void tame(void *field)
{
	uint64_t address;

	memcpy(&address, field, sizeof(address));
	if (address >= PAGE && address < 1ull << 47)
		address = host_address();
	memcpy(field, &address, sizeof(address));
}

static void fill_slot(struct kvm_userspace_memory_region *r)
{
	r->slot = one_in(8) ? (uint32_t)interesting() : below(6);
	r->flags = one_in(3) ? below(8) : below(2);
	r->guest_phys_addr = one_in(4) ? interesting() : guest_address() & ~(uint64_t)(PAGE - 1);
	r->memory_size = one_in(8) ? interesting() : below(17) * (uint64_t)PAGE;
	r->userspace_addr = (uintptr_t)ram + below(4) * PAGE;
	if (one_in(8)) {
		r->userspace_addr = interesting();
		tame(&r->userspace_addr);
	}
}

static void tame_pointers(uint32_t request, void *p)
{
	switch (request) {
	case KVM_GET_DIRTY_LOG: tame(&((struct kvm_dirty_log *)p)->dirty_bitmap); break;
	case KVM_CLEAR_DIRTY_LOG: tame(&((struct kvm_clear_dirty_log *)p)->dirty_bitmap); break;
	case KVM_GET_ONE_REG:
	case KVM_SET_ONE_REG: tame(&((struct kvm_one_reg *)p)->addr); break;
	case KVM_SET_DEVICE_ATTR:
	case KVM_GET_DEVICE_ATTR:
	case KVM_HAS_DEVICE_ATTR: tame(&((struct kvm_device_attr *)p)->addr); break;
	case KVM_SET_USER_MEMORY_REGION:
	case KVM_SET_USER_MEMORY_REGION2: tame(&((struct kvm_userspace_memory_region *)p)->userspace_addr); break;
	case KVM_ARM_GET_REG_WRITABLE_MASKS: tame(p); break;
	default: break;
	}
}

static const uint64_t *reg_ids;
static unsigned n_reg_ids;

static uint64_t reg_id(void)
{
	uint64_t id = n_reg_ids ? reg_ids[below(n_reg_ids)] : 0;

	if (one_in(6))
		id ^= 1ull << below(64);
	return one_in(20) ? rnd() : id;
}

static void fill_attr(struct kvm_device_attr *a, enum kind on)
{
	a->flags = one_in(16) ? below(4) : 0;
	a->addr = host_address();
	if (on == VCPU) {
		a->group = below(5);
		a->attr = below(6);
	} else if (on == VM) {
		a->group = below(3);
		a->attr = below(3);
	} else {
		a->group = below(12);
		switch (a->group) {
		case KVM_DEV_ARM_VGIC_GRP_ADDR: a->attr = below(8); break;
		case KVM_DEV_ARM_VGIC_GRP_CTRL: a->attr = below(6); break;
		case KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS:
			a->attr = (uint64_t)below(3) << 32 | (3u << 14 | below(0x4000));
			break;
		case KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO: a->attr = (uint64_t)below(3) << 32 | below(32) * 32; break;
		case KVM_DEV_ARM_VGIC_GRP_ITS_REGS: a->attr = below(2) ? below(0x20) * 8 : below(0x11000); break;
		default: a->attr = (uint64_t)below(3) << 32 | below(one_in(4) ? 0x20000 : 0x1000) * 4; break;
		}
		if (one_in(10))
			a->attr = interesting();
	}
	/* what it may point at */
	if (a->addr >= (uintptr_t)inner && a->addr + 16 <= (uintptr_t)inner + BUFFER) {
		uint64_t value = one_in(2) ? guest_address() & ~0xffffull : interesting();

		if (a->group == KVM_DEV_ARM_VGIC_GRP_NR_IRQS && on == DEVICE)
			value = 32 * below(40);
		memcpy((void *)(uintptr_t)a->addr, &value, sizeof(value));
	}
}

static size_t fill_routing(struct kvm_irq_routing *r, size_t space)
{
	r->nr = one_in(6) ? (uint32_t)interesting() : below(20);
	r->flags = one_in(10);
	for (unsigned i = 0; i < r->nr && sizeof(*r) + (i + 1) * sizeof(r->entries[0]) <= space; i++) {
		struct kvm_irq_routing_entry *e = &r->entries[i];

		fill_words(e, sizeof(*e));
		e->gsi = below(one_in(6) ? 5000 : 64);
		e->type = 1 + below(3);
		e->flags = one_in(5) ? below(4) : 0;
		if (e->type == KVM_IRQ_ROUTING_IRQCHIP) {
			e->u.irqchip.irqchip = one_in(6);
			e->u.irqchip.pin = below(one_in(6) ? 2000 : 64);
		} else {
			e->u.msi.address_lo = (uint32_t)(ITS + 0x10040);
			e->u.msi.address_hi = one_in(8);
			e->u.msi.data = below(16);
			e->u.msi.devid = below(4);
		}
	}
	return r->nr < 64 ? sizeof(*r) + r->nr * sizeof(r->entries[0]) : space;
}

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
	{KVM_SET_USER_MEMORY_REGION2, VM, 4, false},
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
	{KVM_CREATE_GUEST_MEMFD, VM, 1, false},
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
	{KVM_SET_DEVICE_ATTR, DEVICE, 24, false},
	{KVM_GET_DEVICE_ATTR, DEVICE, 16, false},
	{KVM_HAS_DEVICE_ATTR, DEVICE, 8, false},
	{KVM_GET_REGS, STATS, 1, false} /* a file like others */,
};
static unsigned total_weight;

/* A structure for the request at p, which has space for `space` bytes; how many it takes. */
static size_t fill(uint32_t request, enum kind on, void *p, size_t space)
{
	size_t size = _IOC_SIZE(request) < space ? _IOC_SIZE(request) : space;

	memset(p, 0, space < 512 ? space : 512);
	fill_words(p, size);
	if (one_in(10)) {
		tame_pointers(request, p);
		return size;
	}
	switch (request) {
	case KVM_SET_USER_MEMORY_REGION: fill_slot(p); break;
	case KVM_SET_USER_MEMORY_REGION2: {
		struct kvm_userspace_memory_region2 *r = p;

		memset(r, 0, sizeof(*r));
		fill_slot(p);
		r->guest_memfd_offset = one_in(8);
		break;
	}
	case KVM_GET_DIRTY_LOG: {
		struct kvm_dirty_log *d = p;

		d->slot = below(7);
		d->dirty_bitmap = (void *)(uintptr_t)host_address();
		break;
	}
	case KVM_CLEAR_DIRTY_LOG: {
		struct kvm_clear_dirty_log *d = p;

		d->slot = below(7);
		d->first_page = below(3) * 64ull;
		d->num_pages = one_in(4) ? (uint32_t)interesting() : below(80);
		d->dirty_bitmap = (void *)(uintptr_t)host_address();
		break;
	}
	case KVM_IRQ_LINE:
	case KVM_IRQ_LINE_STATUS: {
		struct kvm_irq_level *l = p;

		l->irq = below(3) << 24 | below(3) << 16 | below(one_in(4) ? 0x400 : 80);
		l->level = below(2);
		break;
	}
	case KVM_SET_GSI_ROUTING: return fill_routing(p, space);
	case KVM_IRQFD: {
		struct kvm_irqfd *f = p;

		memset(f, 0, sizeof(*f));
		f->fd = (uint32_t)(one_in(5) ? any_fd() : fd_of(EVENT));
		f->gsi = below(one_in(5) ? 5000 : 64);
		f->flags = one_in(3) ? below(8) : below(2) * 2;
		f->resamplefd = (uint32_t)(one_in(5) ? any_fd() : fd_of(EVENT));
		break;
	}
	case KVM_IOEVENTFD: {
		struct kvm_ioeventfd *f = p;

		memset(f, 0, sizeof(*f));
		f->datamatch = below(4);
		f->addr = one_in(6) ? interesting() : 0x0a000000 + below(8) * 4;
		f->len = one_in(6) ? below(20) : 1u << below(4);
		f->fd = one_in(5) ? any_fd() : fd_of(EVENT);
		f->flags = below(one_in(4) ? 16 : 8);
		break;
	}
	case KVM_REGISTER_COALESCED_MMIO:
	case KVM_UNREGISTER_COALESCED_MMIO: {
		struct kvm_coalesced_mmio_zone *z = p;

		z->addr = 0x0a000000 + below(8) * 4;
		z->size = one_in(6) ? (uint32_t)interesting() : below(32);
		z->pad = one_in(10);
		break;
	}
	case KVM_SIGNAL_MSI: {
		struct kvm_msi *m = p;

		memset(m, 0, sizeof(*m));
		m->address_lo = (uint32_t)(ITS + 0x10040);
		m->data = below(32);
		m->flags = one_in(8) ? (uint32_t)interesting() : 1;
		m->devid = below(8);
		break;
	}
	case KVM_CREATE_DEVICE: {
		struct kvm_create_device *d = p;

		d->type = one_in(4) ? below(16) : KVM_DEV_TYPE_ARM_VGIC_V2 + below(4);
		d->flags = one_in(4) ? below(4) : 0;
		break;
	}
	case KVM_ENABLE_CAP: {
		static const uint32_t caps[] = {KVM_CAP_ARM_NISV_TO_USER,	   KVM_CAP_ARM_SYSTEM_SUSPEND,
						KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, KVM_CAP_HALT_POLL,
						KVM_CAP_DIRTY_LOG_RING_ACQ_REL,	   KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP,
						KVM_CAP_ARM_WRITABLE_IMP_ID_REGS,  KVM_CAP_ARM_MTE};
		struct kvm_enable_cap *c = p;

		memset(c, 0, sizeof(*c));
		c->cap = one_in(4) ? below(300) : caps[below(COUNT(caps))];
		c->args[0] = one_in(2) ? below(4) : 1ull << below(20);
		c->flags = one_in(8);
		break;
	}
	case KVM_ARM_VCPU_INIT: {
		struct kvm_vcpu_init *i = p;

		memset(i, 0, sizeof(*i));
		i->target = one_in(8) ? below(8) : KVM_ARM_TARGET_GENERIC_V8;
		i->features[0] = one_in(4) ? (uint32_t)interesting() : below(16);
		break;
	}
	case KVM_GET_ONE_REG:
	case KVM_SET_ONE_REG: {
		struct kvm_one_reg *r = p;
		uint64_t value[2] = {interesting(), interesting()};

		r->id = reg_id();
		r->addr = host_address();
		if (r->addr >= (uintptr_t)inner && r->addr + sizeof(value) <= (uintptr_t)inner + BUFFER)
			memcpy((void *)(uintptr_t)r->addr, value, sizeof(value));
		break;
	}
	case KVM_GET_REG_LIST: {
		struct kvm_reg_list *l = p;

		l->n = one_in(2) ? below(700) : interesting();
		return sizeof(*l);
	}
	case KVM_SET_DEVICE_ATTR:
	case KVM_GET_DEVICE_ATTR:
	case KVM_HAS_DEVICE_ATTR: fill_attr(p, on); break;
	case KVM_SET_GUEST_DEBUG: {
		struct kvm_guest_debug *d = p;

		d->control = one_in(4) ? (uint32_t)interesting()
				       : below(2) | below(2) << 1 | below(2) << 16 | below(2) << 17;
		break;
	}
	case KVM_SET_MP_STATE: ((struct kvm_mp_state *)p)->mp_state = below(12); break;
	case KVM_SET_SIGNAL_MASK: {
		struct kvm_signal_mask *m = p;

		m->len = one_in(4) ? (uint32_t)interesting() : 8;
		memset(m->sigset, below(2) ? 0xff : 0, 8);
		return sizeof(*m) + 8;
	}
	case KVM_SET_VCPU_EVENTS: {
		struct kvm_vcpu_events *e = p;

		memset(e, 0, sizeof(*e));
		e->exception.serror_pending = (uint8_t)below(3);
		e->exception.serror_has_esr = (uint8_t)below(3);
		e->exception.ext_dabt_pending = (uint8_t)below(3);
		e->exception.serror_esr = one_in(2) ? interesting() : 0;
		break;
	}
	default: break;
	}
	return size;
}

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
	switch (below(8)) {
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

	state = seed * 0x2545f4914f6cdd1d + round_number;
	rnd();
	n_objects = 0;
	populate();
	for (unsigned s = 0; s < SEQUENCES; s++) {
		unsigned n = 1 + below(OPS);

		if (verbose)
			fprintf(stderr, "sequence %u\n", s);
		while (n--) {
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

static void hang(int sig)
{
	static const char text[] = "ioctl-fuzz: something hangs\n";

	if (write(2, text, sizeof(text) - 1) > 0)
		abort();
}

/* A clock of its own: SIGALRM ends the guests. */
static timer_t watchdog(void)
{
	struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	timer_t t;

	signal(SIGUSR1, hang);
	if (timer_create(CLOCK_MONOTONIC, &e, &t) != 0)
		perror("timer_create");
	return t;
}

int main(int argc, char **argv)
{
	uint64_t seed = 1, from = 0, sequences = 20000, rounds;
	const struct itimerspec patience = {.it_value.tv_sec = PATIENCE_S};
	timer_t dog = watchdog();
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
	buffer = guarded(BUFFER);
	inner = guarded(BUFFER);
	ram = guarded(RAM_SIZE);
	nowhere = guarded(PAGE) + PAGE;
	readonly = guarded(PAGE);
	mprotect(readonly, PAGE, PROT_READ);
	for (unsigned i = 0; i < COUNT(requests); i++)
		total_weight += requests[i].weight;
	rounds = (sequences + SEQUENCES - 1) / SEQUENCES;
	for (uint64_t r = 0; r < rounds; r++) {
		round_number = from + r;
		timer_settime(dog, 0, &patience, NULL);
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
