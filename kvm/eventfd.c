/* SPDX-License-Identifier: MIT */
/*
 * Interrupts from and notifications to the client: KVM_IRQ_LINE (api.rst 4.25), KVM_IRQFD with resampling (4.75),
 * KVM_IOEVENTFD (4.59), KVM_SET_GSI_ROUTING (4.52), KVM_SIGNAL_MSI (4.70).
 *
 * An eventfd that is handed over is duplicated, as the client may close its own descriptor at once. That two
 * descriptors mean the same eventfd is told by the id that the kernel gives in /proc/self/fdinfo.
 *
 * An eventfd that two irqfds read from would wake one of them only, so it is one's, whichever VM's and process's. VMs learn of each
 * other's by locks of a file: all eventfds have the same inode, and who has the eventfd with id N has a lock of its byte N.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "eventfd.h"
#include "its.h"
#include "vgic.h"

enum { MAX_GSI = 4096, MAX_PIN = 988, FIRST_SPI = 32, FIRST_PPI = 16 };
enum { KEPT_FD_MIN = 512 }; /* our duplicates keep away from the low numbers, which clients see */

struct event { /* an eventfd that we hold */
	int fd;
	uint64_t id; /* NO_ID: the host does not tell */
};
#define NO_ID UINT64_MAX

struct irqfd {
	struct vm *vm;
	struct event event, resample; /* resample.fd -1: none */
	unsigned gsi;
	bool claimed;	    /* its byte is locked */
	struct irqfd *next; /* of the VM; under eventfds->lock */
};

struct ioeventfd {
	struct io_dev dev;
	struct event event;
	unsigned bus; /* flags PIO and CCW: such an address is never accessed here */
	unsigned len; /* bytes, 0 any */
	bool datamatch;
	uint64_t value;
	struct ioeventfd *next;
};

struct route {
	bool used, msi;
	unsigned pin; /* SPI - 32 */
	struct kvm_msi message;
};

struct eventfds {
	/* Taken on vcpu threads and the service thread; before the vgic's and the service's. Not held over iobus calls
	 */
	pthread_mutex_t lock;
	struct irqfd *irqfds;
	int claims; /* what the locks of our irqfds' bytes belong to, an eventfd itself; -1: none yet */
	struct route route[MAX_GSI];

	pthread_mutex_t io_lock; /* ioctls only */
	struct ioeventfd *ioeventfds;
};

/* ---- eventfds */

/*
 * To read the id takes a descriptor of a low number for a moment. Another thread's call that names this number, which the client
 * has just closed, must not find it there.
 */
static pthread_mutex_t identify_lock = PTHREAD_MUTEX_INITIALIZER; /* a leaf */

/* Away from the low numbers, if the limit allows. */
static int keep_descriptor(int fd)
{
	int kept = fcntl(fd, F_DUPFD_CLOEXEC, KEPT_FD_MIN);

	return kept >= 0 || errno == EBADF ? kept : fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

/* 0 and the id; -EINVAL: not an eventfd */
static int identify(struct event *e)
{
	bool is_eventfd = false;
	unsigned long long n;
	char line[128];
	FILE *f;

	e->id = NO_ID;
	snprintf(line, sizeof(line), "/proc/self/fdinfo/%d", e->fd);
	f = fopen(line, "re");
	if (!f)
		return 0; /* no /proc: believe it */
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "eventfd-count: %llx", &n) == 1)
			is_eventfd = true;
		if (sscanf(line, "eventfd-id: %llu", &n) == 1)
			e->id = n;
	}
	fclose(f);
	return is_eventfd ? 0 : -EINVAL;
}

static bool event_is(const struct event *a, const struct event *b)
{
	if (a->id != NO_ID && b->id != NO_ID)
		return a->id == b->id;
	return syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, (unsigned long)a->fd, (unsigned long)b->fd) == 0;
}

static void event_put(struct event *e)
{
	if (e->fd >= 0)
		close(e->fd);
	e->fd = -1;
}

/* 0; -EBADF no descriptor, -EINVAL not an eventfd */
static int event_get(int fd, struct event *e)
{
	int err;

	pthread_mutex_lock(&identify_lock);
	e->fd = keep_descriptor(fd);
	err = e->fd < 0 ? -errno : identify(e);
	pthread_mutex_unlock(&identify_lock);
	if (err)
		event_put(e);
	return err;
}

static void event_signal(const struct event *e)
{
	struct pollfd p = {.fd = e->fd, .events = POLLOUT};

	/* A counter that is full stays so: the client is awake already, and we must not block for it. */
	if (poll(&p, 1, 0) == 1)
		eventfd_write(e->fd, 1);
}

/* Take what was signalled; false if somebody else has. Never blocks, though the client may have made it blocking. */
static bool event_take(int fd)
{
	uint64_t count;
	struct iovec iov = {&count, sizeof(count)};
	struct pollfd p = {.fd = fd, .events = POLLIN};
	ssize_t n = preadv2(fd, &iov, 1, -1, RWF_NOWAIT);

	if (n == sizeof(count) || errno == EAGAIN)
		return n == sizeof(count);
	return poll(&p, 1, 0) == 1 && read(fd, &count, sizeof(count)) == sizeof(count);
}

/* ---- routing */

void irq_routing_set_default(struct vm *vm, unsigned n_spis)
{
	struct eventfds *e = vm->eventfd;

	if (!e)
		return;
	pthread_mutex_lock(&e->lock);
	for (unsigned i = 0; i < MAX_GSI; i++)
		e->route[i] = (struct route){.used = i < n_spis, .pin = i};
	pthread_mutex_unlock(&e->lock);
}

static int route_make(struct route *table, const struct kvm_irq_routing_entry *in)
{
	struct route *r;

	if (in->gsi >= MAX_GSI)
		return -EINVAL;
	r = &table[in->gsi];
	if (r->used) /* there is one irqchip, and an MSI shares its GSI with nothing */
		return -EINVAL;
	switch (in->type) {
	case KVM_IRQ_ROUTING_IRQCHIP:
		if (in->flags || in->u.irqchip.irqchip >= KVM_NR_IRQCHIPS || in->u.irqchip.pin >= MAX_PIN)
			return -EINVAL;
		*r = (struct route){.used = true, .pin = in->u.irqchip.pin};
		return 0;
	case KVM_IRQ_ROUTING_MSI:
		if (in->flags & ~KVM_MSI_VALID_DEVID)
			return -EINVAL;
		*r = (struct route){.used = true, .msi = true};
		r->message.address_lo = in->u.msi.address_lo;
		r->message.address_hi = in->u.msi.address_hi;
		r->message.data = in->u.msi.data;
		r->message.flags = in->flags;
		r->message.devid = in->u.msi.devid;
		return 0;
	default: return -EINVAL;
	}
}

int irq_routing_ioctl(struct vm *vm, const struct kvm_irq_routing *head, const struct kvm_irq_routing_entry *entries)
{
	struct eventfds *e = vm->eventfd;
	struct route *table;
	int err = 0;

	if (head->nr > MAX_GSI || head->flags)
		return -EINVAL;
	table = calloc(MAX_GSI, sizeof(*table));
	if (!table)
		return -ENOMEM;
	for (unsigned i = 0; !err && i < head->nr; i++)
		err = route_make(table, &entries[i]);
	if (!err) {
		pthread_mutex_lock(&e->lock);
		for (unsigned i = 0; i < MAX_GSI; i++)
			e->route[i] = table[i];
		pthread_mutex_unlock(&e->lock);
	}
	free(table);
	return err;
}

/* The SPI that a GSI stands for; 0: none, or an MSI. */
static unsigned route_spi_locked(const struct eventfds *e, unsigned gsi)
{
	const struct route *r = gsi < MAX_GSI ? &e->route[gsi] : NULL;

	return r && r->used && !r->msi ? r->pin + FIRST_SPI : 0;
}

static void gsi_set_locked(struct vm *vm, unsigned gsi, bool level)
{
	const struct eventfds *e = vm->eventfd;
	unsigned intid = route_spi_locked(e, gsi);

	if (intid)
		vgic_set_irq(vm, NULL, intid, level, NULL);
	else if (level && gsi < MAX_GSI && e->route[gsi].msi)
		its_signal_msi(vm, &e->route[gsi].message); /* an edge; one that the guest has not mapped is lost */
}

/* ---- irqfd */

/*
 * Service thread. The line of a level interrupt stays up, as in the kernel: with a resampler until the guest is done, else until
 * the client lowers it. For an edge each signal is one more.
 */
static void irqfd_ready(void *arg, int fd)
{
	struct irqfd *irqfd = arg;
	struct eventfds *e = irqfd->vm->eventfd;

	if (!event_take(fd))
		return;
	pthread_mutex_lock(&e->lock);
	gsi_set_locked(irqfd->vm, irqfd->gsi, true);
	pthread_mutex_unlock(&e->lock);
}

/* The guest has finished with a level interrupt: lower the line, and the client raises it again if its device still
 * wants it. */
static void resample(struct vm *vm, unsigned intid)
{
	struct eventfds *e = vm->eventfd;

	pthread_mutex_lock(&e->lock);
	for (struct irqfd *f = e->irqfds; f; f = f->next) {
		if (f->resample.fd < 0 || route_spi_locked(e, f->gsi) != intid)
			continue;
		gsi_set_locked(vm, f->gsi, false);
		event_signal(&f->resample);
	}
	pthread_mutex_unlock(&e->lock);
}

static bool resampler_exists_locked(const struct eventfds *e, unsigned gsi)
{
	for (const struct irqfd *f = e->irqfds; f; f = f->next)
		if (f->gsi == gsi && f->resample.fd >= 0)
			return true;
	return false;
}

static int lock_byte(const struct eventfds *e, const struct irqfd *f, short type)
{
	struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)f->event.id, .l_len = 1};

	return fcntl(e->claims, F_OFD_SETLK, &l);
}

static int claims_descriptor(void)
{
	int low = eventfd(0, EFD_CLOEXEC), kept = low < 0 ? -1 : keep_descriptor(low);

	if (low >= 0)
		close(low);
	return kept;
}

/* 0, or -EBUSY: another irqfd has its eventfd. Where the host does not tell the id, others of this VM are all that is known. */
static int claim_locked(struct eventfds *e, struct irqfd *f)
{
	for (const struct irqfd *o = e->irqfds; o; o = o->next)
		if (event_is(&o->event, &f->event))
			return -EBUSY;
	if (f->event.id == NO_ID)
		return 0;
	if (e->claims < 0)
		e->claims = claims_descriptor();
	f->claimed = e->claims >= 0 && lock_byte(e, f, F_WRLCK) == 0;
	return !f->claimed && e->claims >= 0 && (errno == EAGAIN || errno == EACCES) ? -EBUSY : 0;
}

/* Unless another irqfd of the VM, which shares the lock, has been made of the eventfd meanwhile. */
static void unclaim(const struct irqfd *f)
{
	struct eventfds *e = f->vm->eventfd;
	const struct irqfd *o;

	pthread_mutex_lock(&e->lock);
	for (o = e->irqfds; o && !event_is(&o->event, &f->event); o = o->next)
		;
	if (!o)
		lock_byte(e, f, F_UNLCK);
	pthread_mutex_unlock(&e->lock);
}

/* It is in no list any more. */
static void irqfd_free(struct irqfd *f)
{
	if (f->claimed)
		unclaim(f);
	event_put(&f->event);
	event_put(&f->resample);
	free(f);
}

static int irqfd_assign(struct vm *vm, const struct kvm_irqfd *args)
{
	struct eventfds *e = vm->eventfd;
	struct irqfd *f;
	int err;

	if (!vgic_initialized(vm))
		return -EAGAIN;
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	*f = (struct irqfd){.vm = vm, .event.fd = -1, .resample.fd = -1, .gsi = args->gsi};
	err = event_get((int)args->fd, &f->event);
	if (!err && (args->flags & KVM_IRQFD_FLAG_RESAMPLE))
		err = event_get((int)args->resamplefd, &f->resample);
	if (err) {
		irqfd_free(f);
		return err;
	}
	pthread_mutex_lock(&e->lock);
	err = claim_locked(e, f);
	if (!err)
		err = service_fd_add(vm, f->event.fd, irqfd_ready, f);
	if (!err) {
		f->next = e->irqfds;
		e->irqfds = f;
	}
	pthread_mutex_unlock(&e->lock);
	if (err)
		irqfd_free(f);
	else if (f->resample.fd >= 0)
		vgic_set_eoi_notifier(vm, resample);
	return err;
}

static void irqfd_remove(struct vm *vm, struct irqfd *f)
{
	struct eventfds *e = vm->eventfd;

	service_fd_remove(vm, f->event.fd, f); /* its callback is not running any more */
	if (f->resample.fd >= 0) {
		pthread_mutex_lock(&e->lock);
		if (!resampler_exists_locked(e, f->gsi))
			gsi_set_locked(vm, f->gsi, false);
		pthread_mutex_unlock(&e->lock);
	}
	irqfd_free(f);
}

static int irqfd_deassign(struct vm *vm, const struct kvm_irqfd *args)
{
	struct eventfds *e = vm->eventfd;
	struct irqfd *gone = NULL;
	struct event event;
	int err = event_get((int)args->fd, &event);

	if (err)
		return err;
	pthread_mutex_lock(&e->lock);
	for (struct irqfd **p = &e->irqfds; *p;) {
		struct irqfd *f = *p;

		if (f->gsi == args->gsi && event_is(&f->event, &event)) {
			*p = f->next;
			f->next = gone;
			gone = f;
		} else {
			p = &f->next;
		}
	}
	pthread_mutex_unlock(&e->lock);
	while (gone) {
		struct irqfd *next = gone->next;

		irqfd_remove(vm, gone);
		gone = next;
	}
	event_put(&event);
	return 0;
}

int irqfd_ioctl(struct vm *vm, const struct kvm_irqfd *args)
{
	if (args->flags & ~(uint32_t)(KVM_IRQFD_FLAG_DEASSIGN | KVM_IRQFD_FLAG_RESAMPLE))
		return -EINVAL;
	return args->flags & KVM_IRQFD_FLAG_DEASSIGN ? irqfd_deassign(vm, args) : irqfd_assign(vm, args);
}

/* ---- ioeventfd */

static int ioeventfd_write(struct vcpu *vcpu, struct io_dev *dev, uint64_t off, unsigned len, uint64_t val)
{
	const struct ioeventfd *io = (const struct ioeventfd *)dev;
	uint64_t mask = len < 8 ? (1ull << len * 8) - 1 : ~0ull;

	if (off || (io->len && io->len != len) || (io->datamatch && (val & mask) != io->value))
		return -EOPNOTSUPP;
	event_signal(&io->event);
	return 0;
}

_Static_assert(offsetof(struct ioeventfd, dev) == 0, "an io_dev is the head of its ioeventfd");
static const struct io_dev_ops ioeventfd_ops = {.write = ioeventfd_write};

static unsigned ioeventfd_bus(uint32_t flags)
{
	return flags & (KVM_IOEVENTFD_FLAG_PIO | KVM_IOEVENTFD_FLAG_VIRTIO_CCW_NOTIFY);
}

static bool ioeventfds_collide(const struct ioeventfd *a, const struct ioeventfd *b)
{
	if (a->bus != b->bus || a->dev.base != b->dev.base)
		return false;
	if (!a->len || !b->len)
		return true;
	return a->len == b->len && (!a->datamatch || !b->datamatch || a->value == b->value);
}

static void ioeventfd_free(struct ioeventfd *io)
{
	event_put(&io->event);
	free(io);
}

static int ioeventfd_assign(struct vm *vm, const struct kvm_ioeventfd *args)
{
	struct eventfds *e = vm->eventfd;
	bool match = args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH;
	struct ioeventfd *io;
	int err;

	switch (args->len) {
	case 0:
		if (match)
			return -EINVAL;
		break;
	case 1:
	case 2:
	case 4:
	case 8: break;
	default: return -EINVAL;
	}
	if (args->addr + args->len < args->addr)
		return -EINVAL;
	io = calloc(1, sizeof(*io));
	if (!io)
		return -ENOMEM;
	*io = (struct ioeventfd){
		.dev = {.base = args->addr, .size = args->len ? args->len : 8, .ops = &ioeventfd_ops},
		.bus = ioeventfd_bus(args->flags),
		.len = args->len,
		.datamatch = match,
		.value = match ? args->datamatch : 0,
	};
	err = event_get(args->fd, &io->event);
	if (err) {
		free(io);
		return err;
	}
	pthread_mutex_lock(&e->io_lock);
	for (const struct ioeventfd *o = e->ioeventfds; o && !err; o = o->next)
		if (ioeventfds_collide(o, io))
			err = -EEXIST;
	if (!err && !io->bus)
		err = iobus_add(vm, &io->dev);
	if (!err) {
		io->next = e->ioeventfds;
		e->ioeventfds = io;
	}
	pthread_mutex_unlock(&e->io_lock);
	if (err)
		ioeventfd_free(io);
	return err;
}

static int ioeventfd_deassign(struct vm *vm, const struct kvm_ioeventfd *args)
{
	struct eventfds *e = vm->eventfd;
	bool match = args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH;
	struct ioeventfd **p, *io;
	struct event event;
	int err = event_get(args->fd, &event);

	if (err)
		return err;
	pthread_mutex_lock(&e->io_lock);
	for (p = &e->ioeventfds; (io = *p); p = &io->next)
		if (io->bus == ioeventfd_bus(args->flags) && io->dev.base == args->addr && io->len == args->len &&
		    io->datamatch == match && (!match || io->value == args->datamatch) && event_is(&io->event, &event))
			break;
	if (io) {
		*p = io->next;
		if (!io->bus)
			iobus_remove(vm, &io->dev); /* no vcpu is in its handler any more */
		ioeventfd_free(io);
	}
	pthread_mutex_unlock(&e->io_lock);
	event_put(&event);
	return io ? 0 : -ENOENT;
}

int ioeventfd_ioctl(struct vm *vm, const struct kvm_ioeventfd *args)
{
	if (args->flags & KVM_IOEVENTFD_FLAG_DEASSIGN)
		return ioeventfd_deassign(vm, args);
	if (args->flags & ~(uint32_t)KVM_IOEVENTFD_VALID_FLAG_MASK)
		return -EINVAL;
	return ioeventfd_assign(vm, args);
}

/* ---- KVM_IRQ_LINE, KVM_SIGNAL_MSI */

static int cpu_line(struct vm *vm, struct vcpu *vcpu, unsigned num, bool level)
{
	uint32_t bit = num == KVM_ARM_IRQ_CPU_IRQ ? CPU_IRQ : CPU_FIQ;

	if (vm->vgic)
		return -ENXIO;
	if (!vcpu || num > KVM_ARM_IRQ_CPU_FIQ)
		return -EINVAL;
	if (!level) {
		atomic_fetch_and(&vcpu->cpu->irq_in, ~bit);
	} else if (!(atomic_fetch_or(&vcpu->cpu->irq_in, bit) & bit)) {
		vcpu_kick(vcpu);
	}
	return 0;
}

int irq_line_ioctl(struct vm *vm, const struct kvm_irq_level *args)
{
	uint32_t irq = args->irq;
	unsigned num = irq >> KVM_ARM_IRQ_NUM_SHIFT & KVM_ARM_IRQ_NUM_MASK;
	unsigned id = (irq >> KVM_ARM_IRQ_VCPU_SHIFT & KVM_ARM_IRQ_VCPU_MASK) +
		      (irq >> KVM_ARM_IRQ_VCPU2_SHIFT & KVM_ARM_IRQ_VCPU2_MASK) * (KVM_ARM_IRQ_VCPU_MASK + 1);
	struct vcpu *vcpu = vm_vcpu_by_id(vm, id);
	int err;

	switch (irq >> KVM_ARM_IRQ_TYPE_SHIFT & KVM_ARM_IRQ_TYPE_MASK) {
	case KVM_ARM_IRQ_TYPE_CPU: return cpu_line(vm, vcpu, num, args->level);
	case KVM_ARM_IRQ_TYPE_PPI:
		if (!vm->vgic)
			return -ENXIO;
		err = vgic_lazy_init(vm);
		if (err)
			return err;
		if (!vcpu || num < FIRST_PPI || num >= FIRST_SPI)
			return -EINVAL;
		return vgic_set_irq(vm, vcpu, num, args->level, NULL);
	case KVM_ARM_IRQ_TYPE_SPI:
		if (!vm->vgic)
			return -ENXIO;
		err = vgic_lazy_init(vm);
		if (err)
			return err;
		if (num < FIRST_SPI)
			return -EINVAL;
		return vgic_set_irq(vm, NULL, num, args->level, NULL);
	default: return -EINVAL;
	}
}

int signal_msi_ioctl(struct vm *vm, const struct kvm_msi *args)
{
	if (!vm->vgic || (args->flags & ~KVM_MSI_VALID_DEVID))
		return -EINVAL;
	return its_signal_msi(vm, args);
}

/* ---- life */

int eventfd_vm_init(struct vm *vm)
{
	struct eventfds *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	pthread_mutex_init(&e->lock, NULL);
	pthread_mutex_init(&e->io_lock, NULL);
	e->claims = -1;
	vm->eventfd = e;
	return 0;
}

/* No vcpu runs any more; the service thread may. */
void eventfd_vm_destroy(struct vm *vm)
{
	struct eventfds *e = vm->eventfd;

	if (!e)
		return;
	vgic_set_eoi_notifier(vm, NULL);
	while (e->irqfds) {
		struct irqfd *f = e->irqfds;

		pthread_mutex_lock(&e->lock);
		e->irqfds = f->next;
		pthread_mutex_unlock(&e->lock);
		service_fd_remove(vm, f->event.fd, f);
		irqfd_free(f);
	}
	while (e->ioeventfds) {
		struct ioeventfd *io = e->ioeventfds;

		e->ioeventfds = io->next;
		ioeventfd_free(io); /* its place on the bus goes with the bus */
	}
	if (e->claims >= 0)
		close(e->claims);
	pthread_mutex_destroy(&e->lock);
	pthread_mutex_destroy(&e->io_lock);
	free(e);
	vm->eventfd = NULL;
}
