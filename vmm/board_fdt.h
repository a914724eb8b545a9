/* SPDX-License-Identifier: MIT */
/* The flattened device tree that the guest gets in x0: a description of what the machine has, and of nothing else. */
#ifndef PAWL_VMM_BOARD_FDT_H
#define PAWL_VMM_BOARD_FDT_H

#include "error.h"
#include "machine.h"

struct fdt_config {
	const struct board_device *devices; /* those with an `fdt` function get a node */
	unsigned n_devices;
	unsigned n_virtio;		      /* virtio-mmio slots in use, from the first on */
	const struct machine_config *machine; /* for the devices' `wanted`; NULL: none that has it */
	uint64_t ram, ram_size;
	unsigned n_cpus;
	const uint64_t *mpidr; /* of each vcpu; only the affinity fields count */
	uint64_t gic_dist, gic_dist_size, gic_redist, gic_redist_size;
	uint64_t initrd, initrd_size; /* size 0: none */
	const char *bootargs;	      /* NULL: none */
	uint64_t kaslr_seed;
	uint8_t rng_seed[32];
};

/* phandles, for references between nodes */
enum { FDT_PHANDLE_GIC = 1, FDT_PHANDLE_CLOCK, FDT_PHANDLE_GPIO, FDT_PHANDLE_CPU0 };

/* cells of an interrupt specifier with GICv3 */
enum { FDT_IRQ_SPI = 0, FDT_IRQ_PPI = 1, FDT_IRQ_EDGE = 1, FDT_IRQ_LEVEL = 4 };

/*
 * Build the tree in buf. 0, or -1 with a message if it does not fit into size bytes.
 * On return its total size (fdt_totalsize) is what it uses.
 */
int fdt_build(void *buf, size_t size, const struct fdt_config *config, struct vmm_error *err);

/*
 * The user's tree (user_size bytes, unchecked) in buf, completed by what of the configuration a tree does not have by
 * itself: RAM, bootargs, initrd. 0, or -1 with a message.
 */
int fdt_adopt(void *buf, size_t size, const void *user, size_t user_size, const struct fdt_config *config,
	      struct vmm_error *err);

/* For the device rows' fdt functions: a node with nothing but compatible and reg. */
void fdt_plain_begin(void *fdt, const struct board_device *dev, const char *name, const char *compatible);
/* A cfi-flash node with two banks. */
void fdt_flash(void *fdt, uint64_t bank0, uint64_t bank1, uint64_t size, unsigned width);
void fdt_plain_device(void *fdt, const struct board_device *dev, const char *name, const char *compatible);
/* The properties that every AMBA device on SPI n has. */
void fdt_amba_begin(void *fdt, const struct board_device *dev, const char *name, unsigned n_clocks,
		    const char *clock_names, size_t clock_names_size); /* fdt_end_node() follows */
void fdt_amba_device(void *fdt, const struct board_device *dev, const char *name, unsigned n_clocks,
		     const char *clock_names, size_t clock_names_size);

#endif
