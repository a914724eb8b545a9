/* SPDX-License-Identifier: MIT */
/*
 * Builds the device tree: Devicetree Specification, and the bindings of the kernel's Documentation/devicetree/bindings
 * (arm/cpus.yaml, arm/psci.yaml, timer/arm,arch_timer.yaml, interrupt-controller/arm,gic-v3.yaml, serial/pl011.yaml).
 * Sequential writing: nodes appear in the order of the calls. Errors add up in libfdt's state: each call after a failed
 * one fails too, and fdt_finish reports it.
 */
#include "board_fdt.h"

#include <inttypes.h>
#include <string.h>

#include <libfdt.h>

#include "virtio_board.h"

/* One of many: after FDT_ERR_NOSPACE all later calls fail likewise, so only fdt_finish() is asked. */
static void cells(void *fdt, const char *name, const uint32_t *val, unsigned n)
{
	fdt32_t be[16];

	for (unsigned i = 0; i < n; i++)
		be[i] = cpu_to_fdt32(val[i]);
	fdt_property(fdt, name, be, (int)(n * sizeof(be[0])));
}

#define CELLS(fdt, name, ...) \
	cells(fdt, name, (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

static uint32_t hi(uint64_t v)
{
	return (uint32_t)(v >> 32);
}

static uint32_t lo(uint64_t v)
{
	return (uint32_t)v;
}

static void node_at(void *fdt, const char *name, uint64_t unit)
{
	char buf[64];

	snprintf(buf, sizeof(buf), "%s@%" PRIx64, name, unit);
	fdt_begin_node(fdt, buf);
}

static const uint64_t affinity_mask = UINT64_C(0xff00ffffff);

static void cpus(void *fdt, const struct fdt_config *c)
{
	bool wide = false;

	for (unsigned i = 0; i < c->n_cpus; i++)
		wide |= (c->mpidr[i] & affinity_mask) > UINT32_MAX;
	fdt_begin_node(fdt, "cpus");
	fdt_property_u32(fdt, "#address-cells", wide ? 2 : 1);
	fdt_property_u32(fdt, "#size-cells", 0);
	for (unsigned i = 0; i < c->n_cpus; i++) {
		uint64_t affinity = c->mpidr[i] & affinity_mask;

		node_at(fdt, "cpu", affinity);
		fdt_property_string(fdt, "device_type", "cpu");
		fdt_property_string(fdt, "compatible", "arm,armv8");
		if (wide)
			fdt_property_u64(fdt, "reg", affinity);
		else
			fdt_property_u32(fdt, "reg", lo(affinity));
		fdt_property_string(fdt, "enable-method", "psci");
		fdt_property_u32(fdt, "phandle", FDT_PHANDLE_CPU0 + i);
		fdt_end_node(fdt);
	}
	fdt_begin_node(fdt, "cpu-map");
	fdt_begin_node(fdt, "socket0");
	fdt_begin_node(fdt, "cluster0");
	for (unsigned i = 0; i < c->n_cpus; i++) {
		char name[16];

		snprintf(name, sizeof(name), "core%u", i);
		fdt_begin_node(fdt, name);
		fdt_property_u32(fdt, "cpu", FDT_PHANDLE_CPU0 + i);
		fdt_end_node(fdt);
	}
	fdt_end_node(fdt);
	fdt_end_node(fdt);
	fdt_end_node(fdt);
	fdt_end_node(fdt);
}

static void psci(void *fdt)
{
	static const char compatible[] = "arm,psci-1.0\0arm,psci-0.2\0arm,psci";

	fdt_begin_node(fdt, "psci");
	fdt_property(fdt, "compatible", compatible, sizeof(compatible));
	fdt_property_string(fdt, "method", "hvc");
	fdt_property_u32(fdt, "cpu_suspend", 0xc4000001);
	fdt_property_u32(fdt, "cpu_off", 0x84000002);
	fdt_property_u32(fdt, "cpu_on", 0xc4000003);
	fdt_property_u32(fdt, "migrate", 0xc4000005);
	fdt_end_node(fdt);
}

static void timer(void *fdt)
{
	fdt_begin_node(fdt, "timer");
	fdt_property_string(fdt, "compatible", "arm,armv8-timer");
	CELLS(fdt, "interrupts", FDT_IRQ_PPI, 13, FDT_IRQ_LEVEL, FDT_IRQ_PPI, 14, FDT_IRQ_LEVEL, FDT_IRQ_PPI, 11,
	      FDT_IRQ_LEVEL, FDT_IRQ_PPI, 10, FDT_IRQ_LEVEL);
	fdt_property(fdt, "always-on", NULL, 0);
	fdt_end_node(fdt);
}

static void intc(void *fdt, const struct fdt_config *c)
{
	node_at(fdt, "intc", c->gic_dist);
	fdt_property_string(fdt, "compatible", "arm,gic-v3");
	fdt_property(fdt, "interrupt-controller", NULL, 0);
	fdt_property_u32(fdt, "#interrupt-cells", 3);
	CELLS(fdt, "reg", hi(c->gic_dist), lo(c->gic_dist), hi(c->gic_dist_size), lo(c->gic_dist_size),
	      hi(c->gic_redist), lo(c->gic_redist), hi(c->gic_redist_size), lo(c->gic_redist_size));
	fdt_property_u32(fdt, "#redistributor-regions", 1);
	fdt_property_u32(fdt, "#address-cells", 2);
	fdt_property_u32(fdt, "#size-cells", 2);
	fdt_property(fdt, "ranges", NULL, 0);
	fdt_property_u32(fdt, "phandle", FDT_PHANDLE_GIC);
	fdt_end_node(fdt);
}

static void clock_24mhz(void *fdt)
{
	fdt_begin_node(fdt, "apb-pclk");
	fdt_property_string(fdt, "compatible", "fixed-clock");
	fdt_property_u32(fdt, "#clock-cells", 0);
	fdt_property_u32(fdt, "clock-frequency", 24000000);
	fdt_property_string(fdt, "clock-output-names", "clk24mhz");
	fdt_property_u32(fdt, "phandle", FDT_PHANDLE_CLOCK);
	fdt_end_node(fdt);
}

static void chosen(void *fdt, const struct fdt_config *c)
{
	fdt_begin_node(fdt, "chosen");
	for (unsigned i = 0; i < c->n_devices; i++)
		if (c->devices[i].stdout_name) {
			char path[64];

			snprintf(path, sizeof(path), "/%s@%" PRIx64, c->devices[i].stdout_name, c->devices[i].ipa);
			fdt_property_string(fdt, "stdout-path", path);
		}
	if (c->bootargs)
		fdt_property_string(fdt, "bootargs", c->bootargs);
	if (c->initrd_size) {
		fdt_property_u64(fdt, "linux,initrd-start", c->initrd);
		fdt_property_u64(fdt, "linux,initrd-end", c->initrd + c->initrd_size);
	}
	fdt_property_u64(fdt, "kaslr-seed", c->kaslr_seed);
	fdt_property(fdt, "rng-seed", c->rng_seed, sizeof(c->rng_seed));
	fdt_end_node(fdt);
}

void fdt_amba_begin(void *fdt, const struct board_device *dev, const char *name, unsigned n_clocks,
		    const char *clock_names, size_t clock_names_size)
{
	char compatible[48];
	int n = snprintf(compatible, sizeof(compatible), "arm,%s%carm,primecell", name, 0);
	uint32_t clock[2] = {FDT_PHANDLE_CLOCK, FDT_PHANDLE_CLOCK};

	node_at(fdt, name, dev->ipa);
	fdt_property(fdt, "compatible", compatible, n + 1);
	CELLS(fdt, "reg", hi(dev->ipa), lo(dev->ipa), hi(dev->size), lo(dev->size));
	CELLS(fdt, "interrupts", FDT_IRQ_SPI, dev->spi, FDT_IRQ_LEVEL);
	cells(fdt, "clocks", clock, n_clocks);
	fdt_property(fdt, "clock-names", clock_names, (int)clock_names_size);
}

void fdt_amba_device(void *fdt, const struct board_device *dev, const char *name, unsigned n_clocks,
		     const char *clock_names, size_t clock_names_size)
{
	fdt_amba_begin(fdt, dev, name, n_clocks, clock_names, clock_names_size);
	fdt_end_node(fdt);
}

void fdt_plain_begin(void *fdt, const struct board_device *dev, const char *name, const char *compatible)
{
	node_at(fdt, name, dev->ipa);
	fdt_property_string(fdt, "compatible", compatible);
	CELLS(fdt, "reg", hi(dev->ipa), lo(dev->ipa), hi(dev->size), lo(dev->size));
}

void fdt_plain_device(void *fdt, const struct board_device *dev, const char *name, const char *compatible)
{
	fdt_plain_begin(fdt, dev, name, compatible);
	fdt_end_node(fdt);
}

void fdt_flash(void *fdt, uint64_t bank0, uint64_t bank1, uint64_t size, unsigned width)
{
	node_at(fdt, "flash", bank0);
	fdt_property_string(fdt, "compatible", "cfi-flash");
	CELLS(fdt, "reg", hi(bank0), lo(bank0), hi(size), lo(size), hi(bank1), lo(bank1), hi(size), lo(size));
	fdt_property_u32(fdt, "bank-width", width);
	fdt_end_node(fdt);
}

static bool has(const struct fdt_config *c, const struct board_device *dev)
{
	return !dev->wanted || (c->machine && dev->wanted(c->machine));
}

int fdt_build(void *buf, size_t size, const struct fdt_config *c, struct vmm_error *err)
{
	int rc;

	fdt_create(buf, (int)size);
	fdt_finish_reservemap(buf);
	fdt_begin_node(buf, "");
	fdt_property_u32(buf, "#address-cells", 2);
	fdt_property_u32(buf, "#size-cells", 2);
	fdt_property_string(buf, "compatible", "linux,dummy-virt");
	fdt_property_string(buf, "model", "linux,dummy-virt");
	fdt_property_u32(buf, "interrupt-parent", FDT_PHANDLE_GIC);
	chosen(buf, c);
	node_at(buf, "memory", c->ram);
	fdt_property_string(buf, "device_type", "memory");
	CELLS(buf, "reg", hi(c->ram), lo(c->ram), hi(c->ram_size), lo(c->ram_size));
	fdt_end_node(buf);
	cpus(buf, c);
	psci(buf);
	timer(buf);
	intc(buf, c);
	clock_24mhz(buf);
	for (unsigned i = 0; i < c->n_devices; i++)
		if (c->devices[i].fdt && has(c, &c->devices[i]))
			c->devices[i].fdt(buf, &c->devices[i]);
	virtio_slots_fdt(buf, c->n_virtio);
	fdt_end_node(buf);
	rc = fdt_finish(buf);
	if (rc)
		return vmm_fail(err, "the device tree does not fit into %zu KiB: %s", size >> 10, fdt_strerror(rc));
	return 0;
}
