/* SPDX-License-Identifier: MIT */
/* A bank of flash: device_ops for its commands, and its bytes, which are a memory slot while nobody talks to it. */
#ifndef PAWL_VMM_FLASH_H
#define PAWL_VMM_FLASH_H

#include "machine.h"

enum {
	FLASH_BANK = 64 << 20,	 /* bytes */
	FLASH_BLOCK = 256 << 10, /* what an erase erases: 128 KiB of each chip */
	FLASH_BUFFER = 2 * 2048, /* the most that a buffered program takes, from both chips */
};

struct flash {
	struct device dev;
	uint8_t *bytes; /* FLASH_BANK of them, from flash_bytes() */
	bool writable;
	/* With dev.lock held: the array can be read directly, or not any more. */
	void (*show)(void *arg, bool array);
	/* With dev.lock held: bytes[off, off + len) have changed. False: they could not be kept. */
	bool (*keep)(void *arg, uint64_t off, uint64_t len);
	void *arg;

	/* under dev.lock */
	enum { FLASH_ARRAY, FLASH_STATUS, FLASH_QUERY, FLASH_ID } mode; /* what a read reads */
	enum {
		FLASH_COMMAND,
		FLASH_PROGRAM,
		FLASH_ERASE,
		FLASH_LOCK,
		FLASH_COUNT,
		FLASH_DATA,
		FLASH_CONFIRM
	} expects; /* what a write is */
	uint8_t status;
	bool shown;
	uint64_t buffer_off;
	unsigned buffer_len;		    /* bytes; 0 before the first word */
	unsigned buffer_words, buffer_left; /* left: to come */
	uint8_t buffer[FLASH_BUFFER];
};

/* FLASH_BANK bytes, all 0xff, for a few pages of memory; NULL and errno. free: munmap() */
uint8_t *flash_bytes(void);
/* A bank in array mode; the other members are set. Shows it. */
void flash_init(struct flash *f);

#endif
