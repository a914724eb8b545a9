/* SPDX-License-Identifier: MIT */
/*
 * Where a Linux kernel is: its image in RAM by the header that begins it ("Booting AArch64 Linux", "Call the kernel
 * image"), its virtual address by the executable mapping of that memory in TTBR1's tables. So nothing has to be known of the
 * kernel: no symbols, no address space layout, no KASLR offset.
 */
#include "server.h"

#include <string.h>

#define IMAGE_MAGIC 0x644d5241u /* "ARM\x64" at byte 56 */
#define PXN (1ull << 53)

enum { IMAGE_ALIGN = 0x10000, MOST_CANDIDATES = 16, MOST_BASES = 32 };

/* Bytes that an image at ipa takes in memory, 0 if there is none. */
static uint64_t image_size(struct target *t, uint64_t ipa)
{
	uint64_t head[8];

	if (t->ops->read_mem(t->opaque, ipa, head, sizeof(head)) || (uint32_t)head[7] != IMAGE_MAGIC)
		return 0;
	return head[2] >= 0x10000 && head[2] < 1ull << 32 ? head[2] : 0;
}

struct search {
	const struct kernel *image;
	struct {
		uint64_t va, mapped; /* where the image would begin; executable bytes of it that agree */
	} base[MOST_BASES];
	unsigned n;
};

static bool visit(void *arg, uint64_t va, uint64_t desc, uint64_t size)
{
	struct search *s = arg;
	uint64_t pa = desc & 0x000ffffffffff000ull, base;

	if ((desc & PXN) || pa + size <= s->image->ipa || pa >= s->image->ipa + s->image->size)
		return true;
	base = va - (pa - s->image->ipa);
	for (unsigned i = 0; i < s->n; i++)
		if (s->base[i].va == base) {
			s->base[i].mapped += size;
			return true;
		}
	if (s->n < MOST_BASES) {
		s->base[s->n].va = base;
		s->base[s->n++].mapped = size;
	}
	return true;
}

/* The most of its text is mapped where it runs; a trampoline page or two may be elsewhere. */
static uint64_t find_va(struct target *t, unsigned vcpu, const struct kernel *k, uint64_t *mapped)
{
	struct search s = {.image = k};
	uint64_t va = 0;

	*mapped = 0;
	walk_high(t, vcpu, visit, &s);
	for (unsigned i = 0; i < s.n; i++)
		if (s.base[i].mapped > *mapped) {
			*mapped = s.base[i].mapped;
			va = s.base[i].va;
		}
	return va;
}

bool kernel_find(struct target *t, unsigned vcpu, struct kernel *k)
{
	uint64_t start, size, most = 0;
	unsigned n = 0;

	memset(k, 0, sizeof(*k));
	for (unsigned i = 0; t->ops->ram(t->opaque, i, &start, &size) > 0; i++)
		for (uint64_t at = (start + IMAGE_ALIGN - 1) & ~(IMAGE_ALIGN - 1ull);
		     at - start < size && n < MOST_CANDIDATES; at += IMAGE_ALIGN) {
			struct kernel c = {.ipa = at, .size = image_size(t, at)};
			uint64_t mapped;

			if (!c.size)
				continue;
			n++;
			c.va = find_va(t, vcpu, &c, &mapped);
			if (!k->size || mapped > most) { /* a copy of it lies somewhere, at times */
				*k = c;
				most = mapped;
			}
		}
	return k->size;
}
