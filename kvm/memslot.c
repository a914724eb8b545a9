/* SPDX-License-Identifier: MIT */
/*
 * Memory slots (api.rst 4.35): KVM_SET_USER_MEMORY_REGION, and what is made of them: a sorted table of address ranges, published to
 * the PEs as their stage 2. Every change makes a new table.
 *
 * memslots->lock orders the writers and is held while PEs are stopped, so no PE may take it. readers_lock guards the
 * pointer to the current table for everybody outside of the PEs, and is never held while PEs are stopped.
 */
#include "memslot.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core.h"
#include "guest_memfd.h"

enum { MAX_SLOTS = 32767, GUEST_PAGE = 1 << IR_PAGE_SHIFT /* bytes; of the bitmaps */ };
static const uint64_t MAX_PAGES = 0x7fffffff;
static const uint64_t HVA_LIMIT = 1ull << 56; /* above are tags, or no addresses at all */

static bool page_aligned(uint64_t v)
{
	return (v & (host_page_size() - 1)) == 0;
}

int memslot_vm_init(struct vm *vm)
{
	struct memslots *m = calloc(1, sizeof(*m));
	struct stage2 *empty = calloc(1, sizeof(*empty));

	if (!m || !empty) {
		free(m);
		free(empty);
		return -ENOMEM;
	}
	pthread_mutex_init(&m->lock, NULL);
	pthread_rwlock_init(&m->readers_lock, NULL);
	empty->ipa_bits = vm->ipa_bits;
	m->table = empty;
	vm->memslots = m;
	cpu_group_set_stage2(vm->group, empty);
	return 0;
}

static void unmap_own(const struct memslot *s)
{
	if (s->flags & KVM_MEM_GUEST_MEMFD)
		munmap(s->host, s->size);
}

static void slot_free(struct memslot *s)
{
	if (s) {
		free(s->dirty);
		free(s->bitmap);
		free(s->backed);
	}
	free(s);
}

void memslot_vm_destroy(struct vm *vm)
{
	struct memslots *m = vm->memslots;

	if (!m)
		return;
	for (unsigned i = 0; i < m->count; i++) {
		unmap_own(m->sorted[i]);
		slot_free(m->sorted[i]);
	}
	free(m->sorted);
	free(m->by_id);
	free(m->table);
	pthread_rwlock_destroy(&m->readers_lock);
	pthread_mutex_destroy(&m->lock);
	free(m);
	vm->memslots = NULL;
}

struct memslot *memslot_by_id(struct memslots *m, unsigned id)
{
	return id < m->n_ids ? m->by_id[id] : NULL;
}

/* Index in sorted[] of the first slot that ends above ipa. */
static unsigned slot_position(const struct memslots *m, ipa_t ipa)
{
	unsigned lo = 0, hi = m->count;

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;

		if (m->sorted[mid]->gpa + (m->sorted[mid]->size - 1) < ipa)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool slot_overlaps(const struct memslots *m, ipa_t gpa, uint64_t size, const struct memslot *except)
{
	for (unsigned i = slot_position(m, gpa); i < m->count && m->sorted[i]->gpa <= gpa + (size - 1); i++)
		if (m->sorted[i] != except)
			return true;
	return false;
}

static struct stage2 *table_new(const struct vm *vm, const struct memslots *m)
{
	struct stage2 *t = malloc(sizeof(*t) + m->count * sizeof(t->range[0]));

	if (!t)
		return NULL;
	t->count = m->count;
	t->ipa_bits = vm->ipa_bits;
	t->device = m->device;
	t->device_size = m->device_size;
	for (unsigned i = 0; i < m->count; i++) {
		const struct memslot *s = m->sorted[i];

		t->range[i] = (struct stage2_range){
			.base = s->gpa,
			.size = s->size,
			.host = s->host,
			.readonly = s->flags & KVM_MEM_READONLY,
			.dirty = s->dirty,
			.log_tag = vm->priv->dirty_ring_bytes ? s->id + 1 : 0,
			.backed = s->backed,
			.owner = m->sorted[i],
		};
	}
	return t;
}

static void count_flush(struct vm *vm)
{
	vm->priv->stats.value[VM_STAT_REMOTE_TLB_FLUSH]++;
	vm->priv->stats.value[VM_STAT_REMOTE_TLB_FLUSH_REQUESTS]++;
}

void memslot_flush_tlbs(struct vm *vm)
{
	count_flush(vm);
	cpu_group_flush_tlbs(vm->group);
}

/* New table in, wait until no PE and no reader uses the old one, free it. m->lock held. */
static int publish_locked(struct vm *vm, struct memslots *m)
{
	struct stage2 *t = table_new(vm, m), *old = m->table;

	if (!t)
		return -ENOMEM;
	pthread_rwlock_wrlock(&m->readers_lock);
	m->table = t;
	pthread_rwlock_unlock(&m->readers_lock);
	cpu_group_set_stage2(vm->group, t);
	count_flush(vm);
	free(old);
	return 0;
}

int memslot_set_device(struct vm *vm, ipa_t base, uint64_t size)
{
	struct memslots *m = vm->memslots;
	int err;

	pthread_mutex_lock(&m->lock);
	m->device = base;
	m->device_size = size;
	err = publish_locked(vm, m);
	if (err)
		m->device_size = 0;
	pthread_mutex_unlock(&m->lock);
	return err;
}

static unsigned long *bits_new(uint64_t size, bool set)
{
	uint64_t bytes = dirty_words(size) * sizeof(unsigned long);
	unsigned long *d = calloc(1, bytes);

	if (d && set)
		memset(d, 0xff, bytes);
	return d;
}

/* Begin to log a slot. 0, -ENOMEM with nothing changed */
static int log_begin(const struct vm *vm, struct memslot *s)
{
	const struct vm_priv *p = vm->priv;

	s->dirty = bits_new(s->size, p->dirty_initially_set && !p->dirty_ring_bytes);
	if (s->dirty && p->dirty_ring_bitmap && !(s->bitmap = bits_new(s->size, p->dirty_initially_set))) {
		free(s->dirty);
		s->dirty = NULL;
	}
	return s->dirty ? 0 : -ENOMEM;
}

static void insert_sorted(struct memslots *m, struct memslot *s)
{
	unsigned at = slot_position(m, s->gpa);

	memmove(&m->sorted[at + 1], &m->sorted[at], (m->count - at) * sizeof(m->sorted[0]));
	m->sorted[at] = s;
	m->count++;
}

static void remove_sorted(struct memslots *m, const struct memslot *s)
{
	unsigned at = slot_position(m, s->gpa);

	assert(at < m->count && m->sorted[at] == s);
	m->count--;
	memmove(&m->sorted[at], &m->sorted[at + 1], (m->count - at) * sizeof(m->sorted[0]));
}

/* Room for one more slot, and for this id. */
static int reserve(struct memslots *m, unsigned id)
{
	if (m->count == m->sorted_room) {
		unsigned room = m->sorted_room ? 2 * m->sorted_room : 16;
		struct memslot **p = realloc(m->sorted, room * sizeof(*p));

		if (!p)
			return -ENOMEM;
		m->sorted = p;
		m->sorted_room = room;
	}
	if (id >= m->n_ids) {
		unsigned n = id + 1 > 2 * m->n_ids ? id + 1 : 2 * m->n_ids;
		struct memslot **p = realloc(m->by_id, n * sizeof(*p));

		if (!p)
			return -ENOMEM;
		memset(p + m->n_ids, 0, (n - m->n_ids) * sizeof(*p));
		m->by_id = p;
		m->n_ids = n;
	}
	return 0;
}

static int slot_create(struct vm *vm, struct memslots *m, const struct memslot *want)
{
	struct memslot *s;
	int err = reserve(m, want->id);

	if (err)
		return err;
	s = malloc(sizeof(*s));
	if (!s)
		return -ENOMEM;
	*s = *want;
	s->backed = calloc(stage2_backed_words(s->size), sizeof(*s->backed));
	if (!s->backed || ((s->flags & KVM_MEM_LOG_DIRTY_PAGES) && log_begin(vm, s) != 0)) {
		slot_free(s);
		return -ENOMEM;
	}
	insert_sorted(m, s);
	m->by_id[s->id] = s;
	vm_note_memory(s->hva, s->hva + s->size);
	err = publish_locked(vm, m);
	if (err) {
		remove_sorted(m, s);
		m->by_id[s->id] = NULL;
		slot_free(s);
	}
	return err;
}

static int slot_delete(struct vm *vm, struct memslots *m, struct memslot *s)
{
	int err;

	remove_sorted(m, s);
	err = publish_locked(vm, m);
	if (err) {
		insert_sorted(m, s);
		return err;
	}
	m->by_id[s->id] = NULL;
	guest_memfd_unbind(s);
	unmap_own(s);
	slot_free(s);
	return 0;
}

/* Move, or switch the dirty log. */
static int slot_change(struct vm *vm, struct memslots *m, struct memslot *s, const struct memslot *want)
{
	struct memslot before = *s;
	int err;

	if (want->flags & KVM_MEM_LOG_DIRTY_PAGES) {
		if (!s->dirty && log_begin(vm, s) != 0)
			return -ENOMEM;
	} else {
		s->dirty = s->bitmap = NULL;
	}
	remove_sorted(m, s);
	s->gpa = want->gpa;
	s->flags = want->flags;
	insert_sorted(m, s);
	err = publish_locked(vm, m);
	if (err) {
		remove_sorted(m, s);
		if (s->dirty != before.dirty) {
			free(s->dirty);
			free(s->bitmap);
		}
		*s = before;
		insert_sorted(m, s);
		return err;
	}
	if (s->dirty != before.dirty) {
		free(before.dirty);
		free(before.bitmap);
	}
	return 0;
}

static int check_region(const struct kvm_userspace_memory_region2 *r)
{
	uint32_t others = r->flags & KVM_MEM_GUEST_MEMFD ? 0 : KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY;

	if (r->flags & ~(others | KVM_MEM_GUEST_MEMFD))
		return -EINVAL;
	if (!page_aligned(r->memory_size) || !page_aligned(r->guest_phys_addr) || !page_aligned(r->userspace_addr))
		return -EINVAL;
	if (r->userspace_addr >= HVA_LIMIT || r->memory_size > HVA_LIMIT - r->userspace_addr)
		return -EINVAL;
	if (r->flags & KVM_MEM_GUEST_MEMFD &&
	    (!page_aligned(r->guest_memfd_offset) || r->guest_memfd_offset + r->memory_size < r->guest_memfd_offset))
		return -EINVAL;
	if (r->slot >= MAX_SLOTS) /* also: address space 0 is the only one */
		return -EINVAL;
	if (r->guest_phys_addr + r->memory_size < r->guest_phys_addr)
		return -EINVAL;
	return r->memory_size / host_page_size() > MAX_PAGES ? -EINVAL : 0;
}

/* The file, if fd is a guest_memfd's. */
static struct file *memfd_get(const struct kvm_userspace_memory_region2 *r, struct guest_memfd **g)
{
	struct file *f = r->flags & KVM_MEM_GUEST_MEMFD ? file_get((int)r->guest_memfd) : NULL;

	*g = f ? file_object(f, &guest_memfd_file_ops) : NULL;
	return f;
}

static int create_on_memfd(struct vm *vm, struct memslots *m, struct memslot *want, int fd)
{
	int err;

	want->host = guest_memfd_map_slot(want->memfd, fd, want->memfd_offset, want->size);
	if (!want->host)
		return -ENOMEM;
	err = slot_create(vm, m, want);
	if (err)
		unmap_own(want);
	else
		guest_memfd_bind(want->memfd, memslot_by_id(m, want->id));
	return err;
}

static int set_locked(struct vm *vm, struct memslots *m, const struct kvm_userspace_memory_region2 *r,
		      struct guest_memfd *memfd)
{
	bool on_memfd = r->flags & KVM_MEM_GUEST_MEMFD;
	int err;
	struct memslot *s = memslot_by_id(m, r->slot);
	struct memslot want = {.id = r->slot,
			       .flags = r->flags,
			       .gpa = r->guest_phys_addr,
			       .size = r->memory_size,
			       .hva = r->userspace_addr,
			       .host = (uint8_t *)(uintptr_t)r->userspace_addr,
			       .memfd = memfd,
			       .memfd_offset = r->guest_memfd_offset};

	if (want.size == 0)
		return s ? slot_delete(vm, m, s) : -EINVAL;
	if (s) {
		if (on_memfd || want.hva != s->hva || want.size != s->size ||
		    ((want.flags ^ s->flags) & (KVM_MEM_READONLY | KVM_MEM_GUEST_MEMFD)))
			return -EINVAL;
		if (want.gpa == s->gpa && want.flags == s->flags)
			return 0;
	}
	if ((!s || want.gpa != s->gpa) && slot_overlaps(m, want.gpa, want.size, s))
		return -EEXIST;
	if (on_memfd) {
		if (!memfd)
			return fcntl((int)r->guest_memfd, F_GETFD) < 0 ? -EBADF : -EINVAL;
		err = guest_memfd_check(vm, memfd, want.memfd_offset, want.size);
		if (err)
			return err;
	}
	if ((want.gpa + want.size - 1) >> vm->ipa_bits)
		return -EFAULT;
	if (on_memfd)
		return guest_memfd_can_back(memfd) ? create_on_memfd(vm, m, &want, (int)r->guest_memfd) : -EINVAL;
	return s ? slot_change(vm, m, s, &want) : slot_create(vm, m, &want);
}

int memslot_set(struct vm *vm, const struct kvm_userspace_memory_region2 *region)
{
	int err = check_region(region);
	struct guest_memfd *memfd;
	struct file *f;

	if (err)
		return err;
	f = memfd_get(region, &memfd); /* and back without the lock, which a release takes */
	pthread_mutex_lock(&vm->memslots->lock);
	err = set_locked(vm, vm->memslots, region, memfd);
	pthread_mutex_unlock(&vm->memslots->lock);
	if (f)
		file_put(f);
	return err;
}

bool memslot_is_guest_memfd(struct vm *vm, ipa_t ipa)
{
	struct memslots *m = vm->memslots;
	const struct stage2_range *r;
	bool is;

	pthread_rwlock_rdlock(&m->readers_lock);
	r = stage2_find(m->table, ipa);
	is = r && ((const struct memslot *)r->owner)->flags & KVM_MEM_GUEST_MEMFD;
	pthread_rwlock_unlock(&m->readers_lock);
	return is;
}

bool vm_has_slot(struct vm *vm, ipa_t ipa)
{
	struct memslots *m = vm->memslots;
	const struct stage2_range *r;
	bool has;

	pthread_rwlock_rdlock(&m->readers_lock);
	r = stage2_find(m->table, ipa);
	has = r && !r->readonly;
	pthread_rwlock_unlock(&m->readers_lock);
	return has;
}

/* Bytes from ipa to the end of its page, at most len, and where they are; NULL where the guest would find no memory. */
static uint8_t *page_bytes(const struct stage2_range *r, ipa_t ipa, bool write, uint64_t len, uint64_t *n)
{
	if (!r || (write && r->readonly) || !stage2_is_backed(r, ipa, write))
		return NULL;
	*n = ~IR_PAGE_MASK + 1 - (ipa & ~IR_PAGE_MASK);
	if (*n > len)
		*n = len;
	return r->host + (ipa - r->base);
}

int vm_read_guest(struct vm *vm, ipa_t ipa, void *buf, uint64_t len)
{
	struct memslots *m = vm->memslots;
	uint8_t *dst = buf;
	int err = 0;

	pthread_rwlock_rdlock(&m->readers_lock);
	while (len) {
		uint64_t n;
		const uint8_t *src = page_bytes(stage2_find(m->table, ipa), ipa, false, len, &n);

		if (!src) {
			err = -EFAULT;
			break;
		}
		memcpy(dst, src, n);
		dst += n;
		ipa += n;
		len -= n;
	}
	pthread_rwlock_unlock(&m->readers_lock);
	return err;
}

static bool set_bit(unsigned long *map, uint64_t n) /* was it clear? */
{
	unsigned long bit = 1ul << n % DIRTY_WORD_BITS;

	return !(__atomic_fetch_or(&map[n / DIRTY_WORD_BITS], bit, __ATOMIC_SEQ_CST) & bit);
}

/* With rings, what no vcpu writes has only the bitmap to go to. */
static void mark_page(struct vm *vm, const struct stage2_range *r, uint64_t page)
{
	struct memslot *s = r->owner;

	if (!r->log_tag) {
		set_bit(r->dirty, page);
	} else if (!dirty_ring_here(vm)) {
		if (s->bitmap)
			set_bit(s->bitmap, page);
	} else if (set_bit(r->dirty, page)) {
		dirty_ring_log_own(s->id, page);
	}
}

static void mark_dirty(struct vm *vm, const struct stage2_range *r, ipa_t ipa, uint64_t len)
{
	for (uint64_t page = (ipa - r->base) >> IR_PAGE_SHIFT;
	     r->dirty && page <= (ipa - r->base + len - 1) >> IR_PAGE_SHIFT; page++)
		mark_page(vm, r, page);
}

int vm_write_guest(struct vm *vm, ipa_t ipa, const void *buf, uint64_t len)
{
	struct memslots *m = vm->memslots;
	const uint8_t *src = buf;
	int err = 0;

	pthread_rwlock_rdlock(&m->readers_lock);
	while (len) {
		const struct stage2_range *r = stage2_find(m->table, ipa);
		uint64_t n;
		uint8_t *dst = page_bytes(r, ipa, true, len, &n);

		if (!dst) {
			err = -EFAULT;
			break;
		}
		mark_dirty(vm, r, ipa, n);
		memcpy(dst, src, n);
		src += n;
		ipa += n;
		len -= n;
	}
	pthread_rwlock_unlock(&m->readers_lock);
	return err;
}

/* ---- the client's memory changes */

struct change {
	uint64_t from, to; /* in this process */
	int (*fn)(void *arg);
	void *arg;
	int result;
	struct vm *vm; /* whose PEs are being stopped */
};

static bool concerns(const struct memslots *m, const struct change *c)
{
	for (unsigned i = 0; i < m->count; i++)
		if (!(m->sorted[i]->flags & KVM_MEM_GUEST_MEMFD) && m->sorted[i]->hva < c->to &&
		    m->sorted[i]->hva + m->sorted[i]->size > c->from)
			return true;
	return false;
}

/* What is known of the pages is not true any more. */
static void forget_pages(struct memslots *m, const struct change *c)
{
	enum { BITS = 8 * sizeof(unsigned long) };

	for (unsigned i = 0; i < m->count; i++) {
		const struct memslot *s = m->sorted[i];
		uint64_t first = c->from > s->hva ? (c->from - s->hva) >> IR_PAGE_SHIFT : 0;
		uint64_t end = c->to < s->hva ? 0 : (c->to - s->hva + GUEST_PAGE - 1) >> IR_PAGE_SHIFT;

		if (s->flags & KVM_MEM_GUEST_MEMFD) /* whatever is at hva */
			continue;
		if (end > s->size >> IR_PAGE_SHIFT)
			end = s->size >> IR_PAGE_SHIFT;
		for (uint64_t bit = first * 2; bit < end * 2;) {
			if (bit % BITS == 0 && bit + BITS <= end * 2) {
				__atomic_store_n(&s->backed[bit / BITS], 0, __ATOMIC_RELAXED);
				bit += BITS;
			} else {
				__atomic_fetch_and(&s->backed[bit / BITS], ~(1ul << bit % BITS), __ATOMIC_RELAXED);
				bit++;
			}
		}
	}
}

static void change_from(struct vm *vm, struct change *c);

static void change_stopped(struct cpu_group *g, void *arg)
{
	struct change *c = arg;
	struct vm *vm = c->vm;
	struct memslots *m = vm->memslots;

	pthread_rwlock_wrlock(&m->readers_lock);
	change_from(vm->priv->next_vm, c);
	forget_pages(m, c);
	pthread_rwlock_unlock(&m->readers_lock);
}

/* With the PEs stopped of this VM and those behind it that have something to do with it. */
static void change_from(struct vm *vm, struct change *c)
{
	bool done = false;

	for (; vm && !done; vm = vm->priv->next_vm) {
		pthread_mutex_lock(&vm->memslots->lock);
		if (concerns(vm->memslots, c)) {
			c->vm = vm;
			cpu_group_stopped(vm->group, change_stopped, c);
			done = true;
		}
		pthread_mutex_unlock(&vm->memslots->lock);
	}
	if (!done)
		c->result = c->fn(c->arg);
}

int memslot_change_memory(struct vm *vms, uint64_t from, uint64_t to, int (*fn)(void *arg), void *arg)
{
	struct change c = {.from = from, .to = to, .fn = fn, .arg = arg};

	change_from(vms, &c);
	return c.result;
}

void memslot_forget_memory(struct vm *vms, uint64_t from, uint64_t to)
{
	const struct change c = {.from = from, .to = to};

	for (struct vm *vm = vms; vm; vm = vm->priv->next_vm) {
		pthread_mutex_lock(&vm->memslots->lock);
		if (concerns(vm->memslots, &c)) {
			forget_pages(vm->memslots, &c);
			cpu_group_forget_memory(vm->group);
		}
		pthread_mutex_unlock(&vm->memslots->lock);
	}
}
