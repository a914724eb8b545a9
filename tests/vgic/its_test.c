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

/* A guest with LPIs enabled on all its vcpus and an ITS whose tables are valid, in memory as it is. */
static struct fake *guest_in_ram(unsigned vcpus)
{
	struct fake *f = fake_gicv3(vcpus);
	uint64_t base = ITS;

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

/* The same in fresh memory */
static struct fake *guest(unsigned vcpus)
{
	memset(fake_ram, 0, sizeof(fake_ram));
	memset(fake_ram + (PROP - FAKE_RAM), 0xa1, 0x1000); /* enabled, priority 0xa0 */
	return guest_in_ram(vcpus);
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
	struct kvm_msi m = {.address_lo = ITS + 0x20000, .flags = KVM_MSI_VALID_DEVID};

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

/* ---- saving and restoring */

enum { ITT = FAKE_RAM + 0x50000, ITT_2 = FAKE_RAM + 0x50800 };

static void mapd_at(struct fake *f, uint32_t device, ipa_t itt)
{
	command(f, 0x08 | (uint64_t)device << 32, 4, VALID | itt, 0);
}

static int control(uint64_t what)
{
	return its_attr(KVM_DEV_ARM_VGIC_GRP_CTRL, what, NULL, its_set_attr);
}

static uint64_t entry(ipa_t at, unsigned n)
{
	uint64_t v;

	memcpy(&v, fake_ram + (at - FAKE_RAM) + n * 8, 8);
	return v;
}

static void put_entry(ipa_t at, unsigned n, uint64_t v)
{
	memcpy(fake_ram + (at - FAKE_RAM) + n * 8, &v, 8);
}

/* Two devices, three events, two collections that are mapped and one that is not. */
static struct fake *guest_with_maps(void)
{
	struct fake *f = guest(2);

	mapd_at(f, 7, ITT);
	mapd_at(f, 300, ITT_2);
	mapc(f, 1, 0, true);
	mapc(f, 2, 1, true);
	mapti(f, 7, 3, LPI, 1);
	mapti(f, 7, 20, LPI + 1, 2);
	mapti(f, 300, 0, LPI + 2, 9);
	return f;
}

static void saved_tables_have_the_layout_of_revision_0(void **state)
{
	struct fake *f = guest_with_maps();
	uint64_t collections[3], sum = 0;

	assert_int_equal(control(KVM_DEV_ARM_ITS_SAVE_TABLES), 0);
	assert_true(entry(DEVICES, 7) == (VALID | 293ull << 49 | (uint64_t)(ITT >> 8) << 5 | 4));
	assert_true(entry(DEVICES, 300) == (VALID | (uint64_t)(ITT_2 >> 8) << 5 | 4));
	assert_true(entry(ITT, 3) == (17ull << 48 | (uint64_t)LPI << 16 | 1));
	assert_true(entry(ITT, 20) == ((uint64_t)(LPI + 1) << 16 | 2));
	assert_true(entry(ITT_2, 0) == ((uint64_t)(LPI + 2) << 16 | 9));
	for (unsigned i = 0; i < 3; i++) { /* in any order */
		collections[i] = entry(COLLECTIONS, i);
		sum += collections[i];
	}
	assert_true(sum == 3 * VALID + 1 + (1ull << 16 | 2) + (0xffffffffull << 16 | 9));
	assert_true(entry(COLLECTIONS, 3) == 0);
	fake_free(f);
}

static void what_was_saved_works_the_same_after_it_was_restored(void **state)
{
	struct fake *f = guest_with_maps();

	assert_int_equal(msi(f, 7, 20), 1); /* pending on vcpu 1 when it is saved */
	assert_int_equal(attr_set(f, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES, NULL), 0);
	assert_int_equal(control(KVM_DEV_ARM_ITS_SAVE_TABLES), 0);
	assert_int_equal(fake_ram[PEND - FAKE_RAM + (LPI + 1) / 8], 1u << (LPI + 1) % 8);
	fake_free(f);

	f = guest_in_ram(2);
	assert_int_equal(msi(f, 7, 3), 0);
	assert_int_equal(control(KVM_DEV_ARM_ITS_RESTORE_TABLES), 0);
	assert_int_equal(lines(f, 0), 0);
	assert_int_equal(lines(f, 1), CPU_IRQ);
	assert_int_equal(icc_read(f, 1, ICC_IAR1), LPI + 1);
	assert_int_equal(fake_ram[PEND - FAKE_RAM + (LPI + 1) / 8], 0); /* taken out of the table */
	assert_int_equal(msi(f, 7, 3), 1);
	assert_int_equal(icc_read(f, 0, ICC_IAR1), LPI);
	assert_int_equal(icc_read(f, 0, ICC_RPR), 0xa0);
	assert_int_equal(msi(f, 300, 0), 0); /* its collection is not mapped */
	mapc(f, 9, 1, true);
	assert_int_equal(msi(f, 300, 0), 1);
	fake_free(f);
}

static void a_table_of_two_levels_is_saved_and_restored(void **state)
{
	enum { LEVEL_2 = FAKE_RAM + 0x60000 };
	struct fake *f = guest(1);

	bus_write(f, 0, ITS, 4, 0);
	bus_write(f, 0, ITS + 0x100, 8, VALID | 1ull << 62 | DEVICES);
	bus_write(f, 0, ITS, 4, 1);
	put_entry(DEVICES, 2, VALID | LEVEL_2); /* devices 16384 to 24575 */
	mapd_at(f, 16384 + 5, ITT);
	mapc(f, 1, 0, true);
	mapti(f, 16384 + 5, 1, LPI, 1);
	assert_int_equal(control(KVM_DEV_ARM_ITS_SAVE_TABLES), 0);
	assert_true(entry(LEVEL_2, 5) == (VALID | (uint64_t)(ITT >> 8) << 5 | 4));
	assert_int_equal(control(KVM_DEV_ARM_ITS_CTRL_RESET), 0);
	bus_write(f, 0, ITS + 0x100, 8, VALID | 1ull << 62 | DEVICES);
	bus_write(f, 0, ITS + 0x108, 8, VALID | COLLECTIONS);
	bus_write(f, 0, ITS + 0x80, 8, VALID | QUEUE);
	assert_int_equal(control(KVM_DEV_ARM_ITS_RESTORE_TABLES), 0);
	bus_write(f, 0, ITS, 4, 1);
	assert_int_equal(msi(f, 16384 + 5, 1), 1);
	fake_free(f);
}

static void tables_that_are_not_valid_are_neither_saved_nor_restored(void **state)
{
	struct fake *f = guest(1);

	assert_int_equal(control(KVM_DEV_ARM_ITS_CTRL_RESET), 0);
	assert_int_equal(control(KVM_DEV_ARM_ITS_SAVE_TABLES), 0);
	assert_int_equal(control(KVM_DEV_ARM_ITS_RESTORE_TABLES), 0);
	fake_free(f);
}

static void bad_tables_are_refused_and_nothing_of_them_stays(void **state)
{
	static const struct {
		uint64_t dte, ite, cte;
		int err;
	} rows[] = {
		{VALID | (uint64_t)(ITT >> 8) << 5 | 4, (uint64_t)100 << 16 | 1, VALID | 1, -EINVAL}, /* no LPI */
		{VALID | (uint64_t)(ITT >> 8) << 5 | 4, 0x1000000ull << 16 | 1, VALID | 1, -EINVAL},  /* beyond */
		{VALID | (uint64_t)(ITT >> 8) << 5 | 4, (uint64_t)LPI << 16 | 2, VALID | 1, -EINVAL}, /* collection */
		{VALID | (uint64_t)(ITT >> 8) << 5 | 4, 32ull << 48 | LPI << 16 | 1, VALID | 1,
		 -EINVAL},									       /* next event */
		{VALID | (uint64_t)(ITT >> 8) << 5 | 16, (uint64_t)LPI << 16 | 1, VALID | 1, -EINVAL}, /* 17 bits */
		{VALID | 1ull << 20 | 4, (uint64_t)LPI << 16 | 1, VALID | 1, -EFAULT},		       /* no memory */
		{0, 0, VALID | 7 << 16 | 1, -EINVAL}, /* no such vcpu */
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fake *f = guest(1);

		put_entry(DEVICES, 0, rows[i].dte);
		put_entry(ITT, 0, rows[i].ite);
		put_entry(COLLECTIONS, 0, rows[i].cte);
		assert_int_equal(control(KVM_DEV_ARM_ITS_RESTORE_TABLES), rows[i].err);
		assert_int_equal(msi(f, 0, 0), 0);
		put_entry(DEVICES, 0, 0);
		put_entry(COLLECTIONS, 0, VALID | 1);
		assert_int_equal(control(KVM_DEV_ARM_ITS_RESTORE_TABLES), 0);
		assert_int_equal(control(KVM_DEV_ARM_ITS_RESTORE_TABLES), -EEXIST); /* the collection is there */
		fake_free(f);
	}
}

static void tables_are_left_alone_while_a_vcpu_runs(void **state)
{
	struct fake *f = guest(1);

	pthread_mutex_lock(&f->vm.vcpus[0]->mutex);
	assert_int_equal(control(KVM_DEV_ARM_ITS_SAVE_TABLES), -EBUSY);
	assert_int_equal(control(KVM_DEV_ARM_ITS_RESTORE_TABLES), -EBUSY);
	assert_int_equal(attr_set(f, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES, NULL), -EBUSY);
	pthread_mutex_unlock(&f->vm.vcpus[0]->mutex);
	assert_int_equal(its_attr(KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_ITS_SAVE_TABLES, NULL, its_has_attr), 0);
	assert_int_equal(its_attr(KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_ITS_RESTORE_TABLES, NULL, its_has_attr), 0);
	assert_int_equal(its_attr(KVM_DEV_ARM_VGIC_GRP_CTRL, 3, NULL, its_has_attr), -ENXIO);
	fake_free(f);
}

static void a_table_full_of_rubbish_does_no_harm(void **state)
{
	uint64_t seed = 777;

	for (unsigned round = 0; round < 300; round++) {
		struct fake *f = guest(2);

		for (unsigned i = 0; i < 64; i++) {
			seed = seed * 6364136223846793005ull + 1442695040888963407ull;
			put_entry(DEVICES, i, (seed & ~0x3ffull << 53) | (uint64_t)(ITT >> 8) << 5);
			put_entry(ITT, i, (seed >> 9 & 0x3fffffffffull) | (uint64_t)LPI << 16);
			put_entry(COLLECTIONS, i, seed >> 5 & (VALID | 0x1001f));
		}
		control(KVM_DEV_ARM_ITS_RESTORE_TABLES);
		for (unsigned i = 0; i < 8; i++)
			msi(f, i, i);
		control(KVM_DEV_ARM_ITS_SAVE_TABLES);
		fake_free(f);
	}
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
		cmocka_unit_test(saved_tables_have_the_layout_of_revision_0),
		cmocka_unit_test(what_was_saved_works_the_same_after_it_was_restored),
		cmocka_unit_test(a_table_of_two_levels_is_saved_and_restored),
		cmocka_unit_test(tables_that_are_not_valid_are_neither_saved_nor_restored),
		cmocka_unit_test(bad_tables_are_refused_and_nothing_of_them_stays),
		cmocka_unit_test(tables_are_left_alone_while_a_vcpu_runs),
		cmocka_unit_test(a_table_full_of_rubbish_does_no_harm),
		cmocka_unit_test(hostile_writes_leave_it_consistent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
