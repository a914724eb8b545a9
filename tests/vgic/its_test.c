/* SPDX-License-Identifier: MIT */
/* The ITS and LPIs: commands, translation, redistributor side, the client's attributes. IHI 0069, "The ITS". */
#include "fake.h"
#include "its.h"

enum { ITS = 0x08080000, QUEUE = FAKE_RAM, DEVICES = FAKE_RAM + 0x10000, COLLECTIONS = FAKE_RAM + 0x20000 };
enum { PROP = FAKE_RAM + 0x30000, PEND = FAKE_RAM + 0x40000, LPI = 8192 + 5, DEVICE = 7, EVENT = 3, SPURIOUS = 1023 };
#define VALID (1ull << 63)

static struct its *its;
static unsigned queued;

static int its_attr(uint32_t group, uint64_t attr, void *val, int (*fn)(struct its *, const struct kvm_device_attr *))
{
	struct kvm_device_attr a = {.group = group, .attr = attr, .addr = (uintptr_t)val};

	return fn(its, &a);
}

/* A guest with LPIs enabled on all its vcpus and an ITS whose tables are valid. */
static struct fake *guest(unsigned vcpus)
{
	struct fake *f = fake_gicv3(vcpus);
	uint64_t base = ITS;

	memset(fake_ram, 0, sizeof(fake_ram));
	memset(fake_ram + (PROP - FAKE_RAM), 0xa1, 0x1000); /* enabled, priority 0xa0 */
	assert_int_equal(its_create(&f->vm, &its), 0);
	assert_int_equal(its_attr(KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_ITS_ADDR_TYPE, &base, its_set_attr), 0);
	bus_write(f, 0, DIST, 4, 2);
	for (unsigned i = 0; i < vcpus; i++) {
		icc_write(f, i, ICC_PMR, 0xf0);
		icc_write(f, i, ICC_IGRPEN1, 1);
		bus_write(f, i, REDIST + i * REDIST_SIZE + 0x70, 8, PROP | 15);
		bus_write(f, i, REDIST + i * REDIST_SIZE + 0x78, 8, PEND);
		bus_write(f, i, REDIST + i * REDIST_SIZE, 4, 1);
	}
	bus_write(f, 0, ITS + 0x100, 8, VALID | DEVICES);
	bus_write(f, 0, ITS + 0x108, 8, VALID | COLLECTIONS);
	bus_write(f, 0, ITS + 0x80, 8, VALID | QUEUE);
	bus_write(f, 0, ITS, 4, 1);
	queued = 0;
	return f;
}

static void command(struct fake *f, uint64_t c0, uint64_t c1, uint64_t c2, uint64_t c3)
{
	uint64_t c[4] = {c0, c1, c2, c3};

	memcpy(fake_ram + queued, c, sizeof(c));
	queued = (queued + sizeof(c)) % 4096;
	bus_write(f, 0, ITS + 0x88, 8, queued);
	assert_int_equal(bus_read(f, 0, ITS + 0x90, 8), queued); /* CREADR: done at once */
}

static void mapd(struct fake *f, uint32_t device, bool valid)
{
	command(f, 0x08 | (uint64_t)device << 32, 4, valid ? VALID : 0, 0);
}
static void mapc(struct fake *f, uint32_t collection, unsigned vcpu, bool valid)
{
	command(f, 0x09, 0, collection | (uint64_t)vcpu << 16 | (valid ? VALID : 0), 0);
}
static void mapti(struct fake *f, uint32_t device, uint32_t event, uint32_t lpi, uint32_t collection)
{
	command(f, 0x0a | (uint64_t)device << 32, event | (uint64_t)lpi << 32, collection, 0);
}

static int msi(struct fake *f, uint32_t device, uint32_t event)
{
	struct kvm_msi m = {.address_lo = ITS + 0x10040, .data = event, .flags = KVM_MSI_VALID_DEVID, .devid = device};

	return its_signal_msi(&f->vm, &m);
}

static void map_one(struct fake *f)
{
	mapd(f, DEVICE, true);
	mapc(f, 1, 0, true);
	mapti(f, DEVICE, EVENT, LPI, 1);
}

static void a_mapped_msi_is_an_lpi_that_is_acknowledged_once(void **state)
{
	struct fake *f = guest(1);

	map_one(f);
	assert_int_equal(msi(f, DEVICE, EVENT), 1);
	assert_int_equal(lines(f, 0), CPU_IRQ);
	assert_int_equal(icc_read(f, 0, ICC_IAR1), LPI);
	assert_int_equal(icc_read(f, 0, ICC_RPR), 0xa0);
	assert_int_equal(icc_read(f, 0, ICC_IAR1), SPURIOUS);
	assert_int_equal(msi(f, DEVICE, EVENT), 1); /* no active state: pending again at once */
	icc_write(f, 0, ICC_EOIR1, LPI);
	assert_int_equal(icc_read(f, 0, ICC_IAR1), LPI);
	icc_write(f, 0, ICC_EOIR1, LPI);
	assert_int_equal(lines(f, 0), 0);
	fake_free(f);
}

static void an_msi_that_nothing_is_mapped_to_is_reported_as_blocked(void **state)
{
	struct fake *f = guest(1);
	struct kvm_msi m = {.address_lo = ITS + 0x10044, .flags = KVM_MSI_VALID_DEVID};

	assert_int_equal(msi(f, DEVICE, EVENT), 0);
	map_one(f);
	assert_int_equal(msi(f, DEVICE, EVENT + 1), 0);
	assert_int_equal(msi(f, DEVICE + 1, EVENT), 0);
	assert_int_equal(its_signal_msi(&f->vm, &m), -EINVAL);
	m.flags = 0;
	assert_int_equal(its_signal_msi(&f->vm, &m), -EINVAL);
	bus_write(f, 0, ITS, 4, 0);
	assert_int_equal(msi(f, DEVICE, EVENT), -EBUSY);
	fake_free(f);
}

static void lpis_are_configured_by_the_table_and_reread_by_inv(void **state)
{
	struct fake *f = guest(1);
	uint8_t *config = fake_ram + (PROP - FAKE_RAM) + LPI - 8192;

	*config = 0xa0; /* disabled */
	map_one(f);
	assert_int_equal(msi(f, DEVICE, EVENT), 1);
	assert_int_equal(lines(f, 0), 0);
	*config = 0x41;
	assert_int_equal(lines(f, 0), 0);
	command(f, 0x0c | (uint64_t)DEVICE << 32, EVENT, 0, 0); /* INV */
	assert_int_equal(lines(f, 0), CPU_IRQ);
	assert_int_equal(icc_read(f, 0, ICC_IAR1), LPI);
	assert_int_equal(icc_read(f, 0, ICC_RPR), 0x40);
	icc_write(f, 0, ICC_EOIR1, LPI);
	*config = 0x40;
	command(f, 0x0d, 0, 1, 0); /* INVALL */
	assert_int_equal(msi(f, DEVICE, EVENT), 1);
	assert_int_equal(lines(f, 0), 0);
	fake_free(f);
}

static void int_clear_and_discard_do_what_they_say(void **state)
{
	struct fake *f = guest(1);

	map_one(f);
	command(f, 0x03 | (uint64_t)DEVICE << 32, EVENT, 0, 0); /* INT */
	assert_int_equal(lines(f, 0), CPU_IRQ);
	command(f, 0x04 | (uint64_t)DEVICE << 32, EVENT, 0, 0); /* CLEAR */
	assert_int_equal(lines(f, 0), 0);
	command(f, 0x03 | (uint64_t)DEVICE << 32, EVENT, 0, 0);
	command(f, 0x0f | (uint64_t)DEVICE << 32, EVENT, 0, 0); /* DISCARD */
	assert_int_equal(lines(f, 0), 0);
	assert_int_equal(msi(f, DEVICE, EVENT), 0);
	fake_free(f);
}

static void movi_and_movall_and_mapc_move_pending_lpis_to_another_vcpu(void **state)
{
	struct fake *f = guest(2);

	map_one(f);
	mapc(f, 2, 1, true);
	assert_int_equal(msi(f, DEVICE, EVENT), 1);
	assert_int_equal(lines(f, 0), CPU_IRQ);
	command(f, 0x01 | (uint64_t)DEVICE << 32, EVENT, 2, 0); /* MOVI */
	assert_int_equal(lines(f, 0), 0);
	assert_int_equal(lines(f, 1), CPU_IRQ);
	command(f, 0x0e, 0, 1ull << 16, 0); /* MOVALL from 1 to 0 */
	assert_int_equal(lines(f, 0), CPU_IRQ);
	mapc(f, 2, 1, true); /* again: the collection's interrupts follow it */
	assert_int_equal(lines(f, 1), CPU_IRQ);
	mapc(f, 2, 0, false);
	assert_int_equal(lines(f, 1), 0);
	assert_int_equal(msi(f, DEVICE, EVENT), 0);
	fake_free(f);
}

static void unmapping_a_device_drops_its_interrupts(void **state)
{
	struct fake *f = guest(1);

	map_one(f);
	assert_int_equal(msi(f, DEVICE, EVENT), 1);
	mapd(f, DEVICE, false);
	assert_int_equal(lines(f, 0), 0);
	assert_int_equal(msi(f, DEVICE, EVENT), 0);
	fake_free(f);
}

static void bad_commands_are_passed_over(void **state)
{
	struct fake *f = guest(1);

	mapd(f, 1u << 16, true);			     /* no such device id */
	mapti(f, DEVICE, EVENT, LPI, 1);		     /* device not mapped */
	mapd(f, DEVICE, true);				     /* 5 bits of event id */
	mapti(f, DEVICE, 32, LPI, 1);			     /* event id out of range */
	mapti(f, DEVICE, EVENT, 100, 1);		     /* not an LPI */
	mapti(f, DEVICE, EVENT, 70000, 1);		     /* beyond the table */
	mapc(f, 1, 5, true);				     /* no such vcpu */
	command(f, 0x0f | (uint64_t)DEVICE << 32, 9, 0, 0);  /* DISCARD of what is not there */
	command(f, 0x01 | (uint64_t)DEVICE << 32, 9, 77, 0); /* MOVI of it */
	command(f, 0xee, ~0ull, ~0ull, ~0ull);
	assert_int_equal(msi(f, DEVICE, EVENT), 0);
	map_one(f);
	assert_int_equal(msi(f, DEVICE, EVENT), 1);
	fake_free(f);
}

static void enabling_lpis_takes_what_is_pending_from_the_guests_table(void **state)
{
	struct fake *f = guest(1);

	map_one(f);
	bus_write(f, 0, REDIST, 4, 0);
	assert_int_equal(msi(f, DEVICE, EVENT), -EBUSY);
	fake_ram[PEND - FAKE_RAM + LPI / 8] |= 1 << LPI % 8;
	bus_write(f, 0, REDIST, 4, 1);
	assert_int_equal(lines(f, 0), CPU_IRQ);
	bus_write(f, 0, REDIST, 4, 0); /* and disabling forgets */
	assert_int_equal(lines(f, 0), 0);
	bus_write(f, 0, REDIST + 0x78, 8, PEND | 1ull << 62); /* PTZ: the table is all zero, do not look */
	bus_write(f, 0, REDIST, 4, 1);
	assert_int_equal(lines(f, 0), 0);
	fake_free(f);
}

static void registers_read_as_kvms_and_say_that_there_are_lpis(void **state)
{
	struct fake *f = guest(2);

	assert_int_equal(bus_read(f, 0, ITS, 4), 0x80000001);
	assert_int_equal(bus_read(f, 0, ITS + 4, 4), 0x4b00043b);
	assert_int_equal(bus_read(f, 0, ITS + 8, 8), 0x1ef71);
	assert_int_equal(bus_read(f, 0, ITS + 0xffe8, 4), 0x3b);
	assert_int_equal(bus_read(f, 0, ITS + 0x100, 8) >> 48 & 0x71f, 0x107);
	assert_int_equal(bus_read(f, 0, ITS + 0x110, 8), 0);
	assert_int_equal(bus_read(f, 0, ITS + 0x10040, 4), 0);
	bus_write(f, 0, ITS + 0x100, 8, 0); /* no change while enabled */
	assert_true(bus_read(f, 0, ITS + 0x100, 8) & VALID);
	assert_int_equal(bus_read(f, 0, DIST + 4, 4) >> 17 & 0x7d, 0x3d); /* LPIS, 16 bits of INTID */
	assert_int_equal(bus_read(f, 0, REDIST + 8, 4) & 1, 1);
	assert_int_equal(bus_read(f, 0, REDIST, 4) & 1, 1);
	fake_free(f);
}

static void attributes_have_the_kernels_errors(void **state)
{
	struct fake *f = fake_gicv3(1);
	uint64_t v = ITS + 0x1000;

	assert_int_equal(its_create(&f->vm, &its), 0);
	assert_int_equal(its_attr(KVM_DEV_ARM_VGIC_GRP_ITS_REGS, 0, &v, its_get_attr), -ENXIO); /* no address yet */
	assert_int_equal(its_attr(KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_ITS_ADDR_TYPE, &v, its_set_attr), -EINVAL);
	v = 1ull << 52;
	assert_int_equal(its_attr(KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_ITS_ADDR_TYPE, &v, its_set_attr), -E2BIG);
	assert_int_equal(its_attr(KVM_DEV_ARM_VGIC_GRP_ADDR, 1, &v, its_set_attr), -ENODEV);
	v = ITS;
	assert_int_equal(its_attr(KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_ITS_ADDR_TYPE, &v, its_set_attr), 0);
	assert_int_equal(its_attr(KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_ITS_ADDR_TYPE, &v, its_set_attr), -EEXIST);
	assert_int_equal(its_attr(KVM_DEV_ARM_VGIC_GRP_ITS_REGS, 0x8, &v, its_get_attr), 0);
	assert_int_equal(v, 0x1ef71);
	assert_int_equal(its_attr(KVM_DEV_ARM_VGIC_GRP_ITS_REGS, 0x4, &v, its_get_attr), 0);
	assert_int_equal(v, 0x4b00043b);
	assert_int_equal(its_attr(KVM_DEV_ARM_VGIC_GRP_ITS_REGS, 0x84 /* half of CBASER */, &v, its_get_attr), -EINVAL);
	assert_int_equal(its_attr(KVM_DEV_ARM_VGIC_GRP_ITS_REGS, 0x18, &v, its_get_attr), -ENXIO);
	v = 0x4b00143b;
	assert_int_equal(its_attr(KVM_DEV_ARM_VGIC_GRP_ITS_REGS, 0x4, &v, its_set_attr), -EINVAL);
	assert_int_equal(its_attr(KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL, its_set_attr), 0);
	assert_int_equal(its_attr(KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_ITS_CTRL_RESET, NULL, its_set_attr), 0);
	assert_int_equal(its_attr(99, 0, NULL, its_has_attr), -ENXIO);
	pthread_mutex_lock(&f->vm.vcpus[0]->mutex); /* a vcpu runs */
	assert_int_equal(its_attr(KVM_DEV_ARM_VGIC_GRP_ITS_REGS, 0, &v, its_get_attr), -EBUSY);
	pthread_mutex_unlock(&f->vm.vcpus[0]->mutex);
	fake_free(f);
}

static void there_is_no_its_without_a_gicv3(void **state)
{
	struct fake *f = fake_gicv2(1);

	assert_int_equal(its_create(&f->vm, &its), -ENODEV);
	assert_int_equal(msi(f, DEVICE, EVENT), -ENODEV);
	fake_free(f);
}

/* Random writes to all of its registers, and random commands. */
static void hostile_writes_leave_it_consistent(void **state)
{
	struct fake *f = guest(2);
	uint64_t seed = 12345;

	for (unsigned n = 0; n < 40000; n++) {
		uint64_t r, c[4];

		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		r = seed >> 20;
		for (unsigned i = 0; i < 4; i++)
			c[i] = (r * (i + 3)) & (i == 0 ? 0x30000000full : i == 2 ? VALID | 0x2000f : ~0ull);
		memcpy(fake_ram + (r % 128) * 32, c, sizeof(c));
		switch (r % 5) {
		case 0: bus_write(f, 0, ITS + (r >> 8) % 0x140, 1u << (r >> 3) % 4, r << 8); break;
		case 1: bus_write(f, 0, ITS + 0x88, 8, r & 0xfe0); break;
		case 2: bus_write(f, 0, ITS, 4, r >> 4 & 1); break;
		case 3: msi(f, r >> 5 & 7, r >> 9 & 31); break;
		default: icc_write(f, r >> 7 & 1, ICC_EOIR1, icc_read(f, r >> 7 & 1, ICC_IAR1));
		}
	}
	fake_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_mapped_msi_is_an_lpi_that_is_acknowledged_once),
		cmocka_unit_test(an_msi_that_nothing_is_mapped_to_is_reported_as_blocked),
		cmocka_unit_test(lpis_are_configured_by_the_table_and_reread_by_inv),
		cmocka_unit_test(int_clear_and_discard_do_what_they_say),
		cmocka_unit_test(movi_and_movall_and_mapc_move_pending_lpis_to_another_vcpu),
		cmocka_unit_test(unmapping_a_device_drops_its_interrupts),
		cmocka_unit_test(bad_commands_are_passed_over),
		cmocka_unit_test(enabling_lpis_takes_what_is_pending_from_the_guests_table),
		cmocka_unit_test(registers_read_as_kvms_and_say_that_there_are_lpis),
		cmocka_unit_test(attributes_have_the_kernels_errors),
		cmocka_unit_test(there_is_no_its_without_a_gicv3),
		cmocka_unit_test(hostile_writes_leave_it_consistent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
