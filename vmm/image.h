/* SPDX-License-Identifier: MIT */
/*
 * Kernel files: what `--kernel` accepts, recognised by content and never by name. image_parse() looks at bytes only, so
 * it is tested without a machine. The placement in RAM is boot.c's.
 */
#ifndef PAWL_VMM_IMAGE_H
#define PAWL_VMM_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

enum { IMAGE_MAX_SEGMENTS = 64 };

struct image_segment {
	uint64_t ipa;		/* ELF: p_paddr */
	uint64_t offset;	/* in data */
	uint64_t filesz, memsz; /* bytes; what is not in the file is zero */
	uint64_t va;		/* ELF: p_vaddr */
};

struct image {
	enum { IMAGE_LINUX, IMAGE_ELF } kind;
	const uint8_t *data; /* the unwrapped payload: inside the file's bytes, or == owned */
	size_t size;	     /* bytes */
	uint8_t *owned;	     /* malloc'ed by decompression; NULL if nothing was wrapped */

	/* IMAGE_LINUX: fields of the header */
	uint64_t text_offset, image_size, flags;

	/* IMAGE_ELF */
	uint64_t entry; /* IPA */
	struct image_segment seg[IMAGE_MAX_SEGMENTS];
	unsigned n_seg;
};

/*
 * Recognise and unwrap the file's bytes. They must stay while the image is in use.
 * limit: no payload may be larger, in bytes (decompression stops there).
 * 0, or -1 with a message that says what was found instead.
 */
int image_parse(struct image *image, const void *file, size_t size, size_t limit, struct vmm_error *err);
/* Printable ASCII, mostly: text may have some UTF-8. */
bool image_is_text(const void *file, size_t size);
void image_free(struct image *image);

#endif
