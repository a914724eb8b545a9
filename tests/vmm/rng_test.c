/* SPDX-License-Identifier: MIT */
/* Entropy: VIRTIO 1.2, section 5.4. */
#include "virtio_driver.h"

#include "devices.h"

static struct driver d;
static struct vmm_error error;

static int setup(void **state)
{
	driver_init(&d);
	d.vd = rng_create(&d.host, NULL, &error);
	driver_start(&d, 0);
	return 0;
}

static int teardown(void **state)
{
	driver_free(&d);
	return 0;
}

static void a_buffer_is_filled_with_bytes_that_differ(void **state)
{
	uint64_t ipa = take(&d, 4096);
	struct part parts[2] = {{ipa, 1000, true}, {ipa + 1000, 3096, true}};
	uint16_t head;
	uint32_t len;
	unsigned bits = 0;

	assert_int_equal(reg(&d, R_DEVICE_ID), 4);
	offer(&d, 0, parts, 2);
	kick(&d, 0);
	assert_true(used(&d, 0, &head, &len));
	assert_int_equal(len, 4096);
	for (unsigned i = 0; i < 4096; i++)
		bits += (unsigned)__builtin_popcount(((uint8_t *)at(&d, ipa))[i]);
	assert_in_range(bits, 15000, 17768); /* 16384, and ten standard deviations either way are 905 */
}

static void a_buffer_that_cannot_be_written_comes_back_empty(void **state)
{
	struct part p = {take(&d, 16), 16, false};
	uint16_t head;
	uint32_t len;

	offer(&d, 0, &p, 1);
	kick(&d, 0);
	assert_true(used(&d, 0, &head, &len));
	assert_int_equal(len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_buffer_is_filled_with_bytes_that_differ, setup, teardown),
		cmocka_unit_test_setup_teardown(a_buffer_that_cannot_be_written_comes_back_empty, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
