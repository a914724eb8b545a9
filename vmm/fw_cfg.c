/* SPDX-License-Identifier: MIT */
/*
 * The firmware configuration device: QEMU's document "QEMU Firmware Configuration (fw_cfg) Device", memory-mapped form.
 * Items are bytes behind keys, which firmware reads through a data register or by DMA. Here: the signature, the number
 * of CPUs, and kernel, initrd and command line, which EDK2 boots. The file directory is empty, no item can be written.
 */
#include "fw_cfg.h"

#include <stdlib.h>
#include <string.h>

#include <libfdt.h>

#include "board_fdt.h"

enum { DATA = 0, SELECTOR = 8, DMA = 16, DMA_LOW = 20 };
enum { DMA_ERROR = 1, DMA_READ = 2, DMA_SKIP = 4, DMA_SELECT = 8, DMA_WRITE = 16 };
enum { ID_TRADITIONAL = 1, ID_DMA = 2 };

static const uint8_t dma_signature[8] = "QEMU CFG";

/* n bytes of the selected item, zeros behind its end; to == NULL: over them. */
static void take(struct fw_cfg *f, uint8_t *to, uint64_t n)
{
	unsigned key = f->key & 0x3fff; /* the upper bits are flags */
	uint64_t size = key < FW_CFG_N_KEYS ? f->item[key].size : 0;
	uint64_t left = f->at < size ? size - f->at : 0, some = n < left ? n : left;

	if (to && some)
		memcpy(to, (f->item[key].data ? f->item[key].data : f->item[key].small) + f->at, some);
	if (to)
		memset(to + some, 0, n - some);
	f->at += some;
}

static void put_be32(uint8_t *to, uint32_t val)
{
	for (int i = 0; i < 4; i++)
		to[i] = (uint8_t)(val >> (24 - 8 * i));
}

static uint32_t get_be32(const uint8_t *from)
{
	return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 | from[3];
}

/* The descriptor: control, length, address; big endian. The guest may change it meanwhile: it is read once. */
static void dma(struct fw_cfg *f, uint64_t ipa)
{
	uint8_t *host = f->ram(f->arg, ipa, 16), *target = NULL, desc[16];
	uint32_t control, length, result = 0;

	if (!host)
		return; /* nobody to tell */
	memcpy(desc, host, sizeof(desc));
	control = get_be32(desc);
	length = get_be32(desc + 4);
	if (control & DMA_SELECT) {
		f->key = (uint16_t)(control >> 16);
		f->at = 0;
	}
	if (control & DMA_READ && length) {
		target = f->ram(f->arg, (uint64_t)get_be32(desc + 8) << 32 | get_be32(desc + 12), length);
		if (!target)
			result = DMA_ERROR;
	}
	if (control & DMA_WRITE && !(control & DMA_READ))
		result = DMA_ERROR;
	else if (!result && control & (DMA_READ | DMA_SKIP))
		take(f, target, length);
	put_be32(host, result);
}

static uint32_t fw_cfg_read(struct device *dev, uint64_t off, unsigned len)
{
	struct fw_cfg *f = (struct fw_cfg *)dev;
	uint32_t val = 0;

	if (off < SELECTOR) /* in the order of the item's bytes, whatever the size of the access */
		take(f, (uint8_t *)&val, len);
	else if (off >= DMA && off + len <= DMA + sizeof(dma_signature))
		memcpy(&val, dma_signature + (off - DMA), len);
	return val;
}

static void fw_cfg_write(struct device *dev, uint64_t off, unsigned len, uint32_t val)
{
	struct fw_cfg *f = (struct fw_cfg *)dev;

	if (off == SELECTOR && len >= 2) {
		f->key = __builtin_bswap16((uint16_t)val);
		f->at = 0;
	} else if (off == DMA && len == 4) {
		f->dma_high = __builtin_bswap32(val);
	} else if (off == DMA_LOW && len == 4) {
		dma(f, (uint64_t)f->dma_high << 32 | __builtin_bswap32(val));
		f->dma_high = 0;
	}
}

static void fw_cfg_reset(struct device *dev)
{
	struct fw_cfg *f = (struct fw_cfg *)dev;

	f->key = 0;
	f->at = 0;
	f->dma_high = 0;
}

static void fw_cfg_free(struct device *dev)
{
	free(dev);
}

static const struct device_ops fw_cfg_ops = {
	.read = fw_cfg_read, .write = fw_cfg_write, .reset = fw_cfg_reset, .free = fw_cfg_free};

void fw_cfg_set(struct fw_cfg *f, unsigned key, const void *data, uint64_t size)
{
	f->item[key].data = data;
	f->item[key].size = data ? size : 0;
}

void fw_cfg_set_number(struct fw_cfg *f, unsigned key, uint32_t val, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		f->item[key].small[i] = (uint8_t)(val >> 8 * i);
	f->item[key].data = NULL;
	f->item[key].size = size;
}

void fw_cfg_init(struct fw_cfg *f)
{
	f->dev.ops = &fw_cfg_ops;
	fw_cfg_set(f, FW_CFG_SIGNATURE, "QEMU", 4);
	fw_cfg_set_number(f, FW_CFG_ID, ID_TRADITIONAL | ID_DMA, 4);
	fw_cfg_set_number(f, FW_CFG_FILE_DIR, 0, 4);
}

/* ---- on the board */

static uint8_t *board_ram(void *arg, uint64_t ipa, uint64_t len)
{
	return machine_ram(arg, ipa, len);
}

struct device *fw_cfg_create(struct machine *m, const struct board_device *row, struct vmm_error *err)
{
	struct fw_cfg *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->ram = board_ram;
	f->arg = m;
	fw_cfg_init(f);
	fw_cfg_set_number(f, FW_CFG_NB_CPUS, m->config.smp, 2);
	fw_cfg_set_number(f, FW_CFG_MAX_CPUS, m->config.smp, 2);
	m->fw_cfg = f;
	return &f->dev;
}

bool fw_cfg_wanted(const struct machine_config *config)
{
	return config->firmware;
}

void fw_cfg_fdt(void *fdt, const struct board_device *dev)
{
	fdt_plain_begin(fdt, dev, "fw-cfg", "qemu,fw-cfg-mmio");
	fdt_property(fdt, "dma-coherent", NULL, 0);
	fdt_end_node(fdt);
}
