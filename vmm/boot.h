/* SPDX-License-Identifier: MIT */
/*
 * Where kernel, initrd and device tree go in guest RAM, and putting them there. The plan is a pure function of sizes,
 * so it is tested without a machine.
 */
#ifndef PAWL_VMM_BOOT_H
#define PAWL_VMM_BOOT_H

#include "error.h"
#include "image.h"

enum { BOOT_DTB_SIZE = 0x200000 }; /* bytes: the most that Linux takes, and the room that it gets */

struct boot_ram {
	uint64_t ipa, size; /* bytes */
};

struct boot_plan {
	uint64_t kernel;     /* IPA of the image's first byte; lowest segment of an ELF */
	uint64_t kernel_end; /* exclusive; with BSS */
	uint64_t initrd, initrd_size;
	uint64_t dtb; /* BOOT_DTB_SIZE bytes from here are the tree's alone */
	uint64_t entry;
};

/* image may be NULL: only an initrd and a tree. 0, or -1 with a message that says what does not fit. */
int boot_plan(struct boot_plan *plan, const struct image *image, uint64_t initrd_size, struct boot_ram ram,
	      struct vmm_error *err);

/* Copy the kernel to where the plan says. ram points to the host's memory of ram.ipa, zero so far. */
void boot_load(const struct boot_plan *plan, const struct image *image, uint8_t *host, struct boot_ram ram);

#endif
