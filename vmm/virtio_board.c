/* SPDX-License-Identifier: MIT */
/*
 * The 32 virtio-mmio slots of the board, filled from the first on. Queue notifications are ioeventfds and interrupts are
 * irqfds (api.rst 4.59, 4.75), so neither needs a vcpu to leave KVM_RUN.
 */
#include "virtio_board.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <libfdt.h>

#include "blk.h"
#include "board_fdt.h"
#include "devices.h"
#include "net.h"

enum { QUEUE_NOTIFY = 0x050 };

static const struct kind {
	const char *option;
	int (*check)(const char *arg, struct vmm_error *err);
	struct virtio *(*create)(const struct virtio_host *host, const char *arg, struct vmm_error *err);
} kinds[] = {
	[VIRTIO_DISK] = {"disk", blk_check, blk_create},
	[VIRTIO_NET] = {"net", net_check, net_create},
	[VIRTIO_SHARE] = {"share", share_check, share_create},
	[VIRTIO_RNG] = {"rng", rng_check, rng_create},
	[VIRTIO_CONSOLE] = {"console", vconsole_check, vconsole_create},
	[VIRTIO_VSOCK] = {"vsock", vsock_check, vsock_create},
	[VIRTIO_BALLOON] = {"balloon", balloon_check, balloon_create},
};

int machine_check_virtio(const struct virtio_spec *spec, struct vmm_error *err)
{
	struct vmm_error inner;

	if (kinds[spec->kind].check(spec->arg, &inner))
		return vmm_fail(err, "--%s: %.490s", kinds[spec->kind].option, inner.text);
	return 0;
}

static void say(void *arg, const char *text)
{
	machine_message(arg, "%s", text);
}

/* Guests mount folders by their tags, which are the configuration of the device. */
static int check_tag(const struct virtio_slots *s, unsigned slot, struct vmm_error *err)
{
	const struct virtio *vd = s->slot[slot];

	for (unsigned i = 0; vd->ops->id == VIRTIO_ID_9P && i < slot; i++) {
		const struct virtio *other = s->slot[i];

		if (other->ops->id == VIRTIO_ID_9P && other->config_size == vd->config_size &&
		    !memcmp(other->config, vd->config, vd->config_size))
			return vmm_fail(err, "--share: two folders with the tag '%.*s': give one another by tag=TAG",
					(int)vd->config_size - 2, (const char *)vd->config + 2);
	}
	return 0;
}

static int connect(struct machine *m, struct virtio *vd, unsigned slot, struct vmm_error *err)
{
	struct kvm_irqfd irqfd = {.fd = (uint32_t)vd->irq_fd, .gsi = VIRTIO_SPI + slot};

	if (m->sys->ioctl(m->vm_fd, KVM_IRQFD, &irqfd) < 0)
		return vmm_fail(err, "cannot give %s its interrupt: %s", vd->ops->name, strerror(errno));
	for (unsigned i = 0; i < vd->ops->n_queues; i++) {
		struct kvm_ioeventfd io = {
			.datamatch = i,
			.addr = VIRTIO_BASE + slot * VIRTIO_SLOT_SIZE + QUEUE_NOTIFY,
			.len = 4,
			.fd = vd->q[i].kick_fd,
			.flags = KVM_IOEVENTFD_FLAG_DATAMATCH,
		};

		if (m->sys->ioctl(m->vm_fd, KVM_IOEVENTFD, &io) < 0)
			return vmm_fail(err, "cannot give %s its notifications: %s", vd->ops->name, strerror(errno));
	}
	return 0;
}

int virtio_slots_create(struct machine *m, struct vmm_error *err)
{
	struct virtio_slots *s = calloc(1, sizeof(*s));

	if (!s)
		return vmm_fail(err, "no memory for the virtio devices");
	m->virtio = s;
	s->m = m;
	s->host = (struct virtio_host){
		.ram = m->host_ram,
		.ram_ipa = m->ram.ipa,
		.ram_size = m->ram.size,
		.sandbox = &m->config.sandbox,
		.legacy = m->config.virtio_legacy,
		.message = say,
		.arg = m,
	};
	for (unsigned i = 0; i < m->config.n_virtio; i++) {
		const struct virtio_spec *spec = &m->config.virtio[i];
		struct vmm_error inner;
		struct virtio *vd;

		s->host.slot = s->n;
		vd = kinds[spec->kind].create(&s->host, spec->arg, &inner);
		if (!vd)
			return !strncmp(inner.text, "--", 2)
				       ? vmm_fail(err, "%.500s", inner.text)
				       : vmm_fail(err, "--%s: %.490s", kinds[spec->kind].option, inner.text);
		pthread_mutex_init(&vd->dev.lock, NULL);
		s->slot[s->n++] = vd;
		if (check_tag(s, s->n - 1, err) || connect(m, vd, s->n - 1, err))
			return -1;
	}
	return 0;
}

int virtio_slots_start(struct machine *m, struct vmm_error *err)
{
	for (unsigned i = 0; m->virtio && i < m->virtio->n; i++) {
		int rc = virtio_start_worker(m->virtio->slot[i]);

		if (rc)
			return vmm_fail(err, "cannot start a device's thread: %s", strerror(rc));
	}
	return 0;
}

void virtio_slots_reset(struct machine *m)
{
	for (unsigned i = 0; m->virtio && i < m->virtio->n; i++) {
		struct device *dev = &m->virtio->slot[i]->dev;

		pthread_mutex_lock(&dev->lock);
		dev->ops->reset(dev);
		pthread_mutex_unlock(&dev->lock);
	}
}

void virtio_slots_free(struct machine *m)
{
	for (unsigned i = 0; m->virtio && i < m->virtio->n; i++) {
		struct device *dev = &m->virtio->slot[i]->dev;

		pthread_mutex_destroy(&dev->lock);
		dev->ops->free(dev);
	}
	free(m->virtio);
	m->virtio = NULL;
}

int virtio_slots_balloon(struct machine *m, const char *size, uint64_t *wanted, uint64_t *actual, struct vmm_error *err)
{
	for (unsigned i = 0; i < m->virtio->n; i++) {
		struct virtio *vd = m->virtio->slot[i];

		if (vd->ops->id != VIRTIO_ID_BALLOON)
			continue;
		if (size && balloon_set(vd, size, err))
			return -1;
		balloon_get(vd, wanted, actual);
		return 0;
	}
	return vmm_fail(err, "this machine has no balloon (--balloon)");
}

uint32_t virtio_slots_access(struct machine *m, uint64_t off, unsigned len, uint32_t val, bool is_write)
{
	struct virtio *vd = m->virtio->slot[off / VIRTIO_SLOT_SIZE];

	off %= VIRTIO_SLOT_SIZE;
	if (!vd)
		return is_write ? 0 : virtio_empty_slot(off, m->config.virtio_legacy);
	pthread_mutex_lock(&vd->dev.lock);
	if (is_write)
		vd->dev.ops->write(&vd->dev, off, len, val);
	else
		val = vd->dev.ops->read(&vd->dev, off, len);
	pthread_mutex_unlock(&vd->dev.lock);
	return val;
}

void virtio_slots_fdt(void *fdt, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		uint32_t base = VIRTIO_BASE + i * VIRTIO_SLOT_SIZE;
		fdt32_t reg[4] = {0, cpu_to_fdt32(base), 0, cpu_to_fdt32(VIRTIO_SLOT_SIZE)};
		fdt32_t irq[3] = {cpu_to_fdt32(FDT_IRQ_SPI), cpu_to_fdt32(VIRTIO_SPI + i), cpu_to_fdt32(FDT_IRQ_EDGE)};
		char name[32];

		snprintf(name, sizeof(name), "virtio_mmio@%x", base);
		fdt_begin_node(fdt, name);
		fdt_property_string(fdt, "compatible", "virtio,mmio");
		fdt_property(fdt, "reg", reg, sizeof(reg));
		fdt_property(fdt, "interrupts", irq, sizeof(irq));
		fdt_property(fdt, "dma-coherent", NULL, 0);
		fdt_end_node(fdt);
	}
}
