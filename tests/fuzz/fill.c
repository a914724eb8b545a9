/* SPDX-License-Identifier: MIT */
/* Arguments of ioctls: numbers and addresses of chance that come near what counts, and structures made of them. */
#include "fuzz.h"

#include <string.h>

#include <pawl/kvm.h>

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

uint64_t interesting(void)
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

void fill_words(void *p, size_t size)
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

const uint64_t *reg_ids;
unsigned n_reg_ids;

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

size_t fill(uint32_t request, enum kind on, void *p, size_t space)
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
		r->guest_memfd_offset = one_in(8) ? interesting() : below(4) * (uint64_t)PAGE;
		r->guest_memfd = (uint32_t)(one_in(6) ? any_fd() : fd_of(MEMFD));
		if (one_in(2))
			r->flags = KVM_MEM_GUEST_MEMFD;
		break;
	}
	case KVM_CREATE_GUEST_MEMFD: {
		struct kvm_create_guest_memfd *g = p;

		g->size = one_in(6) ? interesting() : below(17) * (uint64_t)PAGE;
		g->flags = one_in(8) ? interesting() : below(4);
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
