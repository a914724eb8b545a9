/* SPDX-License-Identifier: MIT */
/* The firmware configuration device: what its items are, and its registers for the guest. */
#ifndef PAWL_VMM_FW_CFG_H
#define PAWL_VMM_FW_CFG_H

#include "machine.h"

enum { /* keys of the device's specification */
       FW_CFG_SIGNATURE = 0x00,
       FW_CFG_ID = 0x01,
       FW_CFG_NB_CPUS = 0x05,
       FW_CFG_KERNEL_SIZE = 0x08,
       FW_CFG_INITRD_SIZE = 0x0b,
       FW_CFG_MAX_CPUS = 0x0f,
       FW_CFG_KERNEL_DATA = 0x11,
       FW_CFG_INITRD_DATA = 0x12,
       FW_CFG_CMDLINE_SIZE = 0x14,
       FW_CFG_CMDLINE_DATA = 0x15,
       FW_CFG_FILE_DIR = 0x19,
       FW_CFG_N_KEYS
};

struct fw_cfg {
	struct device dev;
	/* Guest memory for DMA, or NULL if any byte is outside RAM. With dev.lock held. */
	uint8_t *(*ram)(void *arg, uint64_t ipa, uint64_t len);
	void *arg;

	/* under dev.lock */
	struct {
		const uint8_t *data; /* size bytes that outlive the device, or NULL: in small */
		uint64_t size;
		uint8_t small[4];
	} item[FW_CFG_N_KEYS];
	uint16_t key;
	uint64_t at; /* of the next byte of the item */
	uint32_t dma_high;
};

void fw_cfg_init(struct fw_cfg *f);
void fw_cfg_set(struct fw_cfg *f, unsigned key, const void *data, uint64_t size);
/* A number of 2 or 4 bytes, little endian as numbers are here. */
void fw_cfg_set_number(struct fw_cfg *f, unsigned key, uint32_t val, unsigned size);

#endif
