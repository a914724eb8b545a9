/* SPDX-License-Identifier: MIT */
/*
 * Boot placement: "Booting AArch64 Linux" (Documentation/arch/arm64/booting.rst), sections "Setup the device tree" and
 * "Call the kernel image". Does not run anything; the state of the first vcpu is machine.c's.
 */
#include "boot.h"

#include <inttypes.h>
#include <string.h>

#include "bits.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

enum { IMAGE_ALIGN = 0x200000 };

/* Kernels from before the header said how much memory they need (3.16): room for BSS behind the file. */
#define OLD_KERNEL_TEXT_OFFSET UINT64_C(0x80000)
#define OLD_KERNEL_BSS (16 * MIB)

/* The range [ipa, ipa + size) lies in RAM. No operand can overflow. */
static bool in_ram(struct boot_ram ram, uint64_t ipa, uint64_t size)
{
	return ipa >= ram.ipa && ipa - ram.ipa <= ram.size && size <= ram.size - (ipa - ram.ipa);
}

static int too_little(struct boot_ram ram, const char *what, uint64_t size, struct vmm_error *err)
{
	return vmm_fail(err,
			"%s needs %" PRIu64 " MiB, which do not fit into %" PRIu64 " MiB of guest memory (--memory)",
			what, (size + MIB - 1) / MIB, ram.size / MIB);
}

static int plan_linux(struct boot_plan *plan, const struct image *image, struct boot_ram ram, struct vmm_error *err)
{
	uint64_t text_offset = image->text_offset;
	uint64_t size = image->image_size;

	if (!size) {
		text_offset = OLD_KERNEL_TEXT_OFFSET;
		size = image->size + OLD_KERNEL_BSS;
	}
	if (size < image->size)
		size = image->size;
	if (text_offset >= ram.size)
		return vmm_fail(err, "the kernel's text_offset %#" PRIx64 " is beyond the guest's memory", text_offset);
	if (text_offset & 3)
		return vmm_fail(err, "the kernel's text_offset %#" PRIx64 " is not a multiple of 4", text_offset);
	/* The very bottom of RAM is left to the tree if there is nothing above for it, and to what a loader wants. */
	plan->kernel = align_up(ram.ipa, IMAGE_ALIGN) + text_offset;
	if (text_offset < 0x1000 && in_ram(ram, plan->kernel + IMAGE_ALIGN, size))
		plan->kernel += IMAGE_ALIGN;
	if (!in_ram(ram, plan->kernel, size))
		return too_little(ram, "the kernel", size, err);
	plan->kernel_end = plan->kernel + size;
	plan->entry = plan->kernel;
	return 0;
}

static int plan_elf(struct boot_plan *plan, const struct image *image, struct boot_ram ram, struct vmm_error *err)
{
	plan->kernel = UINT64_MAX;
	for (unsigned i = 0; i < image->n_seg; i++) {
		const struct image_segment *s = &image->seg[i];

		if (!in_ram(ram, s->ipa, s->memsz))
			return vmm_fail(err,
					"an arm64 ELF with a segment at %#" PRIx64 "..%#" PRIx64
					", outside the guest's memory at %#" PRIx64 "..%#" PRIx64,
					s->ipa, s->ipa + s->memsz - 1, ram.ipa, ram.ipa + ram.size - 1);
		if (s->ipa < plan->kernel)
			plan->kernel = s->ipa;
		if (s->ipa + s->memsz > plan->kernel_end)
			plan->kernel_end = s->ipa + s->memsz;
	}
	plan->entry = image->entry;
	return 0;
}

/*
 * A range of size bytes at or above `from`, or else anywhere, beside the kernel and the initrd.
 * Both are in few pieces, so the candidates are: from, and the ends of what is there.
 */
static bool place(const struct boot_plan *plan, struct boot_ram ram, uint64_t from, uint64_t size, uint64_t align,
		  uint64_t *ipa)
{
	uint64_t candidate[] = {from, plan->kernel_end, plan->initrd + plan->initrd_size, ram.ipa};

	for (size_t i = 0; i < sizeof(candidate) / sizeof(candidate[0]); i++) {
		uint64_t at = align_up(candidate[i] < ram.ipa ? ram.ipa : candidate[i], align);

		if (!in_ram(ram, at, size))
			continue;
		if (plan->kernel_end && at < plan->kernel_end && plan->kernel < at + size)
			continue;
		if (plan->initrd_size && at < plan->initrd + plan->initrd_size && plan->initrd < at + size)
			continue;
		*ipa = at;
		return true;
	}
	return false;
}

int boot_plan(struct boot_plan *plan, const struct image *image, uint64_t initrd_size, struct boot_ram ram,
	      struct vmm_error *err)
{
	uint64_t from = ram.ipa + (ram.size / 2 < 128 * MIB ? ram.size / 2 : 128 * MIB);
	uint64_t low, high;

	memset(plan, 0, sizeof(*plan));
	if (image && (image->kind == IMAGE_ELF ? plan_elf : plan_linux)(plan, image, ram, err))
		return -1;
	if (from < plan->kernel_end)
		from = plan->kernel_end;
	if (initrd_size) {
		uint64_t at;

		if (!place(plan, ram, from, initrd_size, 0x1000, &at))
			return too_little(ram, image ? "the initrd, beside the kernel," : "the initrd", initrd_size,
					  err);
		plan->initrd = at;
		plan->initrd_size = initrd_size;
		from = at + initrd_size;
	}
	/* A block of 2 MiB, aligned so: nothing else shares the mapping that the kernel makes for it. */
	if (!place(plan, ram, from, BOOT_DTB_SIZE, BOOT_DTB_SIZE, &plan->dtb))
		return too_little(ram, "the device tree, beside kernel and initrd,", BOOT_DTB_SIZE, err);

	/* "Must be contained within a 1 GiB-aligned window of up to 32 GiB", kernel and initrd together. */
	if (image && image->kind == IMAGE_LINUX && initrd_size) {
		low = plan->kernel < plan->initrd ? plan->kernel : plan->initrd;
		high = plan->kernel_end > plan->initrd + initrd_size ? plan->kernel_end : plan->initrd + initrd_size;
		if (align_up(high, GIB) - align_down(low, GIB) > 32 * GIB)
			return vmm_fail(err, "kernel and initrd span more than 32 GiB, which Linux does not map");
	}
	return 0;
}

void boot_load(const struct boot_plan *plan, const struct image *image, uint8_t *host, struct boot_ram ram)
{
	if (image->kind == IMAGE_LINUX) {
		memcpy(host + (plan->kernel - ram.ipa), image->data, image->size);
		return;
	}
	for (unsigned i = 0; i < image->n_seg; i++) {
		const struct image_segment *s = &image->seg[i];

		memcpy(host + (s->ipa - ram.ipa), image->data + s->offset, s->filesz);
		memset(host + (s->ipa - ram.ipa) + s->filesz, 0, s->memsz - s->filesz);
	}
}
