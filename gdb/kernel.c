/* SPDX-License-Identifier: MIT */
/*
 * Where a Linux kernel is. With the MMU on its text is the largest executable mapping in TTBR1's tables that is contiguous in
 * both addresses; before, its image in RAM is found by the header that begins it ("Booting AArch64 Linux", "Call the kernel
 * image"). So nothing has to be known of the kernel: no symbols, no address space layout, no KASLR offset.
 */
#include "server.h"

#include <string.h>

#define IMAGE_MAGIC 0x644d5241u /* "ARM\x64" at byte 56 */
#define PXN (1ull << 53)

enum { IMAGE_ALIGN = 0x10000, LEAST_TEXT = 0x100000 };

/* Bytes that an image at ipa takes in memory, 0 if there is none. */
static uint64_t image_size(struct target *t, uint64_t ipa)
{
	uint64_t head[8];

	if (t->ops->read_mem(t->opaque, ipa, head, sizeof(head)) || (uint32_t)head[7] != IMAGE_MAGIC)
		return 0;
	return head[2] >= 0x10000 && head[2] < 1ull << 32 ? head[2] : 0;
}

static bool find_image(struct target *t, struct kernel *k)
{
	uint64_t start, size;

	for (unsigned i = 0; t->ops->ram(t->opaque, i, &start, &size) > 0; i++)
		for (uint64_t at = (start + IMAGE_ALIGN - 1) & ~(IMAGE_ALIGN - 1ull); at - start < size;
		     at += IMAGE_ALIGN) {
			k->size = image_size(t, at);
			k->ipa = at;
			if (k->size)
				return true;
		}
	return false;
}

struct run {			     /* mapped without a gap in either address, from an executable page on */
	uint64_t va, pa, size, text; /* text: executable bytes of size */
};

struct search {
	struct run now, best;
};

static bool visit(void *arg, uint64_t va, uint64_t desc, uint64_t size)
{
	struct search *s = arg;
	uint64_t pa = desc & 0x000ffffffffff000ull;
	bool text = !(desc & PXN);

	if (!s->now.size || va != s->now.va + s->now.size || pa != s->now.pa + s->now.size) {
		s->now = (struct run){0};
		if (!text)
			return true;
		s->now.va = va;
		s->now.pa = pa;
	}
	s->now.size += size;
	s->now.text += text ? size : 0;
	if (s->now.text > s->best.text || s->now.va == s->best.va)
		s->best = s->now;
	return true;
}

static bool find_mapped(struct target *t, unsigned vcpu, uint64_t ttbr1, struct kernel *k)
{
	struct search s = {0};
	uint64_t head = 0;

	walk_high(t, vcpu, ttbr1, visit, &s);
	if (s.best.text < LEAST_TEXT)
		return false;
	/* Since 5.11 the first 64 KiB, with the header, are not mapped, and their memory is used for something else. */
	if (!image_size(t, s.best.pa))
		head = IMAGE_ALIGN;
	k->ipa = s.best.pa - head;
	k->va = s.best.va - head;
	k->size = s.best.size + head;
	t->kernel_ttbr1 = ttbr1;
	return true;
}

/*
 * With page-table isolation a vcpu in user space has another table, with a trampoline only. Another vcpu may be in the kernel; if
 * not, Linux has the kernel's table two pages behind (arch/arm64, TRAMP_SWAPPER_OFFSET).
 */
static bool find_in_tables(struct target *t, struct kernel *k)
{
	for (unsigned pages = 0; pages <= 2; pages += 2)
		for (unsigned i = 0; i < t->n; i++) {
			uint64_t ttbr1 = target_get_u64(t, i, ARM64_SYS_REG(3, 0, 2, 0, 1)) & 0xffffffffffffull;

			if (walk_mmu_on(t, i) && find_mapped(t, i, ttbr1 + pages * walk_high_page(t, i), k))
				return true;
		}
	return false;
}

bool kernel_find(struct target *t, struct kernel *k)
{
	memset(k, 0, sizeof(*k));
	return find_in_tables(t, k) || find_image(t, k);
}

void kernel_note(struct target *t)
{
	struct kernel k;

	if (t->kernel_ttbr1 || t->kernel_wait-- || find_in_tables(t, &k))
		return;
	t->kernel_look = t->kernel_look ? 2 * t->kernel_look : 1;
	t->kernel_wait = t->kernel_look;
}
