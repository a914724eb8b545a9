/* SPDX-License-Identifier: MIT */
/* The balloon: VIRTIO 1.2, section 5.5. What goes into it, or is reported free, reads as zeroes afterwards: the host has it. */
#include "virtio_driver.h"

#include <sys/mman.h>

#include "devices.h"

enum { INFLATE = 0, DEFLATE = 1, REPORTING = 2 };

static struct driver d;
static struct vmm_error error;
static uint32_t per_host_page;

static int setup(void **state)
{
	driver_init(&d);
	/* RAM as a machine has it, which can be given back. */
	free(d.ram);
	d.ram = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	d.host.ram = d.ram;
	per_host_page = (uint32_t)(sysconf(_SC_PAGESIZE) / 4096);
	d.vd = balloon_create(&d.host, "2M", &error);
	assert_non_null(d.vd);
	driver_start(&d, ~0ull & ~VIRTIO_F_EVENT_IDX);
	return 0;
}

static int teardown(void **state)
{
	munmap(d.ram, RAM_BYTES);
	d.ram = NULL;
	driver_free(&d);
	return 0;
}

/* n pages from ipa on, into a queue */
static void pages(unsigned q, uint64_t ipa, uint32_t n)
{
	uint64_t list = take(&d, 4 * n);
	struct part p = {list, 4 * n, false};
	uint16_t head;
	uint32_t len;

	for (uint32_t i = 0; i < n; i++)
		((uint32_t *)at(&d, list))[i] = (uint32_t)(ipa >> 12) + i;
	offer(&d, q, &p, 1);
	kick(&d, q);
	assert_true(used(&d, q, &head, &len));
	assert_int_equal(len, 0);
}

static bool is_zero(uint64_t ipa, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		if (((uint8_t *)at(&d, ipa))[i])
			return false;
	return true;
}

static void the_configuration_has_the_size_wanted(void **state)
{
	assert_int_equal(reg(&d, R_DEVICE_ID), 5);
	assert_int_equal(reg(&d, R_CONFIG), 512);
	assert_int_equal(reg(&d, R_CONFIG + 4), 0);
	set_reg(&d, R_CONFIG + 4, 100);
	assert_int_equal(reg(&d, R_CONFIG + 4), 100);
	set_reg(&d, R_CONFIG, 100); /* not the guest's to say */
	assert_int_equal(reg(&d, R_CONFIG), 512);
}

static void pages_in_the_balloon_are_the_hosts(void **state)
{
	uint64_t ipa = RAM_IPA + 0x400000, bytes = 0x20000;

	memset(at(&d, ipa), 0x5a, bytes + 0x10000);
	pages(INFLATE, ipa, (uint32_t)(bytes >> 12));
	assert_true(is_zero(ipa, bytes));
	assert_int_equal(*(uint8_t *)at(&d, ipa + bytes), 0x5a);
	pages(DEFLATE, ipa, (uint32_t)(bytes >> 12));
	*(uint8_t *)at(&d, ipa) = 1;
	assert_int_equal(*(uint8_t *)at(&d, ipa), 1);
}

static void half_a_page_of_the_host_is_not_given_back(void **state)
{
	uint64_t ipa = RAM_IPA + 0x400000;

	if (per_host_page == 1)
		skip();
	memset(at(&d, ipa), 0x5a, 0x10000);
	pages(INFLATE, ipa, per_host_page - 1);
	assert_int_equal(*(uint8_t *)at(&d, ipa), 0x5a);
	pages(INFLATE, ipa + (uint64_t)(per_host_page - 1) * 4096, 1);
	assert_int_equal(*(uint8_t *)at(&d, ipa), 0);
}

static void pages_that_are_no_RAM_change_nothing(void **state)
{
	uint64_t ipa = RAM_IPA + 0x400000;

	memset(at(&d, ipa), 0x5a, 0x10000);
	pages(INFLATE, 0, 4);
	pages(INFLATE, RAM_IPA - 4096, 1);
	pages(INFLATE, RAM_IPA + RAM_BYTES, 4);
	pages(INFLATE, 0xffffffffull << 12, 1);
	pages(DEFLATE, 0xffffffffull << 12, 1);
	assert_int_equal(*(uint8_t *)at(&d, ipa), 0x5a);
}

static void free_pages_that_are_reported_are_given_back(void **state)
{
	uint64_t ipa = RAM_IPA + 0x400000;
	struct part p = {ipa, 0x100000, true};
	uint16_t head;
	uint32_t len;

	memset(at(&d, ipa), 0x5a, 0x110000);
	offer(&d, REPORTING, &p, 1);
	kick(&d, REPORTING);
	assert_true(used(&d, REPORTING, &head, &len));
	assert_true(is_zero(ipa, 0x100000));
	assert_int_equal(*(uint8_t *)at(&d, ipa + 0x100000), 0x5a);
}

static void another_size_can_be_asked_for(void **state)
{
	uint64_t wanted, actual;

	assert_int_equal(balloon_set(d.vd, "1M", &error), 0);
	assert_int_equal(reg(&d, R_CONFIG), 256);
	assert_int_equal(reg(&d, R_INTERRUPT_STATUS), 2); /* the configuration has changed */
	set_reg(&d, R_CONFIG + 4, 16);
	balloon_get(d.vd, &wanted, &actual);
	assert_int_equal(wanted, 1 << 20);
	assert_int_equal(actual, 16 << 12);
	assert_int_equal(balloon_set(d.vd, "8M", &error), -1);
	assert_int_equal(reg(&d, R_CONFIG), 256);
}

static void wrong_sizes_are_refused(void **state)
{
	static const char *const bad[] = {"", "x", "-1", "1T", "12MM", "99999999999999999999", "8M"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_null(balloon_create(&d.host, bad[i], &error));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(the_configuration_has_the_size_wanted),
		T(pages_in_the_balloon_are_the_hosts),
		T(half_a_page_of_the_host_is_not_given_back),
		T(pages_that_are_no_RAM_change_nothing),
		T(free_pages_that_are_reported_are_given_back),
		T(another_size_can_be_asked_for),
		T(wrong_sizes_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
