/* SPDX-License-Identifier: MIT */
/* The device tree, read back by libfdt: vmm/board_fdt.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include <libfdt.h>

#include "board_fdt.h"

static uint8_t tree[0x10000];
static struct vmm_error error;
static const uint64_t mpidr[] = {0x80000000, 0x80000001, 0x80000100};

static struct fdt_config config(void)
{
	struct fdt_config c = {
		.devices = board_devices,
		.n_devices = board_n_devices,
		.ram = 0x40000000,
		.ram_size = 0x123450000,
		.n_cpus = 3,
		.mpidr = mpidr,
		.gic_dist = 0x08000000,
		.gic_dist_size = 0x10000,
		.gic_redist = 0x080a0000,
		.gic_redist_size = 0x60000,
		.initrd = 0x48000000,
		.initrd_size = 0x1234,
		.bootargs = "console=ttyAMA0 quiet",
		.kaslr_seed = 0x1122334455667788,
	};

	memset(c.rng_seed, 0x5a, sizeof(c.rng_seed));
	return c;
}

static void build(const struct fdt_config *c)
{
	if (fdt_build(tree, sizeof(tree), c, &error))
		fail_msg("%s", error.text);
	assert_int_equal(fdt_check_full(tree, sizeof(tree)), 0);
}

static int node(const char *path)
{
	int n = fdt_path_offset(tree, path);

	if (n < 0)
		fail_msg("no node %s", path);
	return n;
}

static void expect_cells(const char *path, const char *name, const uint32_t *val, unsigned n)
{
	int len;
	const fdt32_t *cell = fdt_getprop(tree, node(path), name, &len);

	if (!cell)
		fail_msg("no property %s in %s", name, path);
	assert_int_equal(len, n * 4);
	for (unsigned i = 0; i < n; i++)
		if (fdt32_to_cpu(cell[i]) != val[i])
			fail_msg("%s %s[%u] is %#x, not %#x", path, name, i, fdt32_to_cpu(cell[i]), val[i]);
}

#define EXPECT_CELLS(path, name, ...) \
	expect_cells(path, name, (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / 4)

static void expect_strings(const char *path, const char *name, const char *val, size_t len)
{
	int n;
	const char *p = fdt_getprop(tree, node(path), name, &n);

	if (!p)
		fail_msg("no property %s in %s", name, path);
	assert_int_equal(n, len);
	assert_memory_equal(p, val, len);
}

#define EXPECT_STRINGS(path, name, val) expect_strings(path, name, val, sizeof(val))

static void expect_empty(const char *path, const char *name)
{
	int len = -1;

	assert_non_null(fdt_getprop(tree, node(path), name, &len));
	assert_int_equal(len, 0);
}

static void the_root_is_the_virt_board_with_64_bit_cells(void **state)
{
	struct fdt_config c = config();

	build(&c);
	EXPECT_STRINGS("/", "compatible", "linux,dummy-virt");
	EXPECT_CELLS("/", "#address-cells", 2);
	EXPECT_CELLS("/", "#size-cells", 2);
	EXPECT_CELLS("/", "interrupt-parent", fdt_get_phandle(tree, node("/intc@8000000")));
	EXPECT_STRINGS("/memory@40000000", "device_type", "memory");
	EXPECT_CELLS("/memory@40000000", "reg", 0, 0x40000000, 1, 0x23450000);
}

static void a_cpu_node_has_the_affinity_of_its_vcpu(void **state)
{
	struct fdt_config c = config();
	static const uint64_t wide[] = {0x80000000, 0x0000000180000002};

	build(&c);
	EXPECT_CELLS("/cpus", "#address-cells", 1);
	EXPECT_CELLS("/cpus/cpu@0", "reg", 0);
	EXPECT_CELLS("/cpus/cpu@1", "reg", 1);
	EXPECT_CELLS("/cpus/cpu@100", "reg", 0x100);
	EXPECT_STRINGS("/cpus/cpu@100", "enable-method", "psci");
	EXPECT_STRINGS("/cpus/cpu@100", "compatible", "arm,armv8");
	EXPECT_CELLS("/cpus/cpu-map/socket0/cluster0/core2", "cpu", fdt_get_phandle(tree, node("/cpus/cpu@100")));
	c.mpidr = wide;
	c.n_cpus = 2;
	build(&c);
	EXPECT_CELLS("/cpus", "#address-cells", 2);
	EXPECT_CELLS("/cpus/cpu@100000002", "reg", 1, 2);
}

static void power_and_time_are_those_of_KVM(void **state)
{
	struct fdt_config c = config();

	build(&c);
	EXPECT_STRINGS("/psci", "compatible", "arm,psci-1.0\0arm,psci-0.2\0arm,psci");
	EXPECT_STRINGS("/psci", "method", "hvc");
	EXPECT_CELLS("/psci", "cpu_on", 0xc4000003);
	EXPECT_STRINGS("/timer", "compatible", "arm,armv8-timer");
	EXPECT_CELLS("/timer", "interrupts", 1, 13, 4, 1, 14, 4, 1, 11, 4, 1, 10, 4);
	expect_empty("/timer", "always-on");
}

static void the_GIC_has_redistributors_for_the_vcpus_that_exist(void **state)
{
	struct fdt_config c = config();

	build(&c);
	EXPECT_STRINGS("/intc@8000000", "compatible", "arm,gic-v3");
	expect_empty("/intc@8000000", "interrupt-controller");
	EXPECT_CELLS("/intc@8000000", "#interrupt-cells", 3);
	EXPECT_CELLS("/intc@8000000", "reg", 0, 0x8000000, 0, 0x10000, 0, 0x80a0000, 0, 0x60000);
	assert_true(fdt_path_offset(tree, "/intc@8000000/its@8080000") < 0);
}

static void devices_have_registers_interrupt_and_clocks(void **state)
{
	struct fdt_config c = config();
	uint32_t clock;

	build(&c);
	clock = fdt_get_phandle(tree, node("/apb-pclk"));
	EXPECT_CELLS("/apb-pclk", "clock-frequency", 24000000);
	EXPECT_STRINGS("/pl011@9000000", "compatible", "arm,pl011\0arm,primecell");
	EXPECT_CELLS("/pl011@9000000", "reg", 0, 0x9000000, 0, 0x1000);
	EXPECT_CELLS("/pl011@9000000", "interrupts", 0, 1, 4);
	EXPECT_CELLS("/pl011@9000000", "clocks", clock, clock);
	EXPECT_STRINGS("/pl011@9000000", "clock-names", "uartclk\0apb_pclk");
	EXPECT_STRINGS("/pl031@9010000", "compatible", "arm,pl031\0arm,primecell");
	EXPECT_CELLS("/pl031@9010000", "interrupts", 0, 2, 4);
	EXPECT_CELLS("/pl031@9010000", "clocks", clock);
	EXPECT_STRINGS("/pl031@9010000", "clock-names", "apb_pclk");
}

static void chosen_says_what_to_boot_with(void **state)
{
	struct fdt_config c = config();
	uint8_t seed[32];

	memset(seed, 0x5a, sizeof(seed));
	build(&c);
	EXPECT_STRINGS("/chosen", "stdout-path", "/pl011@9000000");
	EXPECT_STRINGS("/chosen", "bootargs", "console=ttyAMA0 quiet");
	EXPECT_CELLS("/chosen", "linux,initrd-start", 0, 0x48000000);
	EXPECT_CELLS("/chosen", "linux,initrd-end", 0, 0x48001234);
	EXPECT_CELLS("/chosen", "kaslr-seed", 0x11223344, 0x55667788);
	expect_strings("/chosen", "rng-seed", (const char *)seed, sizeof(seed));
}

static void what_was_not_given_is_not_there(void **state)
{
	struct fdt_config c = config();

	c.initrd_size = 0;
	c.bootargs = NULL;
	c.n_devices = 0;
	build(&c);
	assert_null(fdt_getprop(tree, node("/chosen"), "linux,initrd-start", NULL));
	assert_null(fdt_getprop(tree, node("/chosen"), "bootargs", NULL));
	assert_null(fdt_getprop(tree, node("/chosen"), "stdout-path", NULL));
	assert_true(fdt_path_offset(tree, "/pl011@9000000") < 0);
}

static void a_tree_that_does_not_fit_is_an_error_at_any_size(void **state)
{
	struct fdt_config c = config();
	unsigned fits = 0;

	for (size_t size = 0; size < 0x1000; size += 4) {
		uint8_t *small = test_malloc(size ? size : 1);

		if (fdt_build(small, size, &c, &error))
			assert_non_null(strstr(error.text, "does not fit"));
		else
			fits++;
		test_free(small);
	}
	assert_in_range(fits, 1, 0xfff);
}

static void flash_and_fw_cfg_are_there_with_firmware_only(void **state)
{
	struct fdt_config c = config();
	struct machine_config machine = {.firmware = NULL};

	c.machine = &machine;
	build(&c);
	assert_true(fdt_path_offset(tree, "/flash@0") < 0);
	assert_true(fdt_path_offset(tree, "/fw-cfg@9020000") < 0);
	machine.firmware = "x";
	build(&c);
	EXPECT_CELLS("/flash@0", "reg", 0, 0, 0, 0x04000000, 0, 0x04000000, 0, 0x04000000);
	EXPECT_CELLS("/flash@0", "bank-width", 4);
	EXPECT_CELLS("/fw-cfg@9020000", "reg", 0, 0x09020000, 0, 0x18);
}

static void the_power_button_is_a_key_on_pin_3(void **state)
{
	struct fdt_config c = config();
	const fdt32_t *gpios;
	int len;

	build(&c);
	gpios = fdt_getprop(tree, node("/gpio-keys/poweroff"), "gpios", &len);
	assert_int_equal(len, 12);
	assert_int_equal(fdt32_to_cpu(gpios[0]), fdt_get_phandle(tree, node("/pl061@9030000")));
	EXPECT_CELLS("/gpio-keys/poweroff", "linux,code", 116);
	assert_int_equal(fdt32_to_cpu(gpios[1]), 3);
}

/* ---- a tree of the user's */

static void a_users_tree_keeps_what_it_says_and_gets_command_line_and_initrd(void **state)
{
	static uint8_t user[0x10000];
	struct fdt_config c = config();
	int len;

	build(&c);
	memcpy(user, tree, sizeof(user));
	c.bootargs = "other";
	c.initrd = 0x50000000;
	c.kaslr_seed = 1;
	assert_int_equal(fdt_adopt(tree, sizeof(tree), user, sizeof(user), &c, &error), 0);
	assert_string_equal(fdt_getprop(tree, node("/chosen"), "bootargs", &len), "other");
	EXPECT_CELLS("/chosen", "linux,initrd-start", 0, 0x50000000);
	EXPECT_CELLS("/chosen", "kaslr-seed", 0x11223344, 0x55667788);
	c.bootargs = NULL;
	assert_int_equal(fdt_adopt(tree, sizeof(tree), user, sizeof(user), &c, &error), 0);
	assert_string_equal(fdt_getprop(tree, node("/chosen"), "bootargs", &len), "console=ttyAMA0 quiet");
}

static void a_users_tree_without_memory_gets_some(void **state)
{
	static uint8_t user[0x1000];
	struct fdt_config c = config();

	fdt_create_empty_tree(user, sizeof(user));
	fdt_setprop_u32(user, 0, "#address-cells", 2);
	fdt_setprop_u32(user, 0, "#size-cells", 2);
	assert_int_equal(fdt_adopt(tree, sizeof(tree), user, sizeof(user), &c, &error), 0);
	EXPECT_CELLS("/memory@40000000", "reg", 0, 0x40000000, 1, 0x23450000);
}

static void a_users_tree_that_is_none_is_refused_wherever_it_is_cut(void **state)
{
	static uint8_t user[0x10000];
	struct fdt_config c = config();
	size_t size;

	build(&c);
	memcpy(user, tree, sizeof(user));
	size = fdt_totalsize(user);
	for (size_t n = 0; n < size; n += 13)
		assert_int_equal(fdt_adopt(tree, sizeof(tree), user, n, &c, &error), -1);
	c.ram_size = 1 << 20;
	assert_int_equal(fdt_adopt(tree, sizeof(tree), user, size, &c, &error), -1);
	assert_non_null(strstr(error.text, "--memory"));
	assert_int_equal(fdt_adopt(tree, 2048, user, size, &c, &error), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_root_is_the_virt_board_with_64_bit_cells),
		cmocka_unit_test(a_cpu_node_has_the_affinity_of_its_vcpu),
		cmocka_unit_test(power_and_time_are_those_of_KVM),
		cmocka_unit_test(the_GIC_has_redistributors_for_the_vcpus_that_exist),
		cmocka_unit_test(devices_have_registers_interrupt_and_clocks),
		cmocka_unit_test(chosen_says_what_to_boot_with),
		cmocka_unit_test(what_was_not_given_is_not_there),
		cmocka_unit_test(a_tree_that_does_not_fit_is_an_error_at_any_size),
		cmocka_unit_test(flash_and_fw_cfg_are_there_with_firmware_only),
		cmocka_unit_test(the_power_button_is_a_key_on_pin_3),
		cmocka_unit_test(a_users_tree_keeps_what_it_says_and_gets_command_line_and_initrd),
		cmocka_unit_test(a_users_tree_without_memory_gets_some),
		cmocka_unit_test(a_users_tree_that_is_none_is_refused_wherever_it_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
