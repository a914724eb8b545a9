/* SPDX-License-Identifier: MIT */
/* The transport and the queues: VIRTIO 1.2, sections 2 and 4.2, with a device that answers each buffer with its own bytes. */
#include "virtio_driver.h"

enum { F_TOY = 3 };

static struct driver d;
static unsigned n_started, n_reset;

static uint32_t echo(struct virtio *vd, struct virtq_chain *c)
{
	uint8_t buf[256];
	size_t n = chain_read(c, 0, buf, sizeof(buf));

	return (uint32_t)chain_write(c, 0, buf, n);
}

static void toy_notify(struct virtio *vd, struct virtq *q)
{
	virtq_each(q, echo);
}

static void toy_started(struct virtio *vd)
{
	n_started++;
}

static void toy_reset(struct virtio *vd)
{
	n_reset++;
}

static void toy_config_write(struct virtio *vd, unsigned off, unsigned len, uint32_t val)
{
	if (off == 4 && len == 4)
		memcpy(vd->config + 4, &val, 4);
}

static void toy_free(struct virtio *vd)
{
	virtio_destroy(vd);
	free(vd);
}

static const struct virtio_ops toy_ops = {
	.name = "a toy",
	.id = 42,
	.n_queues = 2,
	.queue_size = 128,
	.notify = toy_notify,
	.started = toy_started,
	.reset = toy_reset,
	.config_write = toy_config_write,
	.free = toy_free,
};

static void make(void)
{
	d.vd = calloc(1, sizeof(*d.vd));
	assert_int_equal(virtio_init(d.vd, &toy_ops, &d.host, UINT64_C(1) << F_TOY), 0);
	d.vd->config_size = 8;
	n_started = n_reset = 0;
}

static int modern(void **state)
{
	driver_init(&d);
	make();
	return 0;
}

static int legacy(void **state)
{
	driver_init(&d);
	d.host.legacy = true;
	make();
	return 0;
}

static int end(void **state)
{
	driver_free(&d);
	return 0;
}

/* A request of one part to read and one to write, and its answer. */
static void ask(const char *text, bool indirect)
{
	size_t n = strlen(text);
	uint64_t out = take(&d, n), in = take(&d, n);
	struct part parts[] = {{out, (uint32_t)n, false}, {in, (uint32_t)n, true}};
	uint16_t head, got;
	uint32_t len;

	memcpy(at(&d, out), text, n);
	head = indirect ? offer_indirect(&d, 0, parts, 2) : offer(&d, 0, parts, 2);
	kick(&d, 0);
	assert_true(used(&d, 0, &got, &len));
	assert_int_equal(got, head);
	assert_int_equal(len, n);
	assert_memory_equal(at(&d, in), text, n);
}

static void expect_broken(const char *why)
{
	d.vd->n_broken = 0; /* the lines of a device are limited */
	assert_int_equal(reg(&d, R_STATUS) & S_NEEDS_RESET, S_NEEDS_RESET);
	assert_int_equal(d.messages, 1);
	if (!strstr(d.message, why))
		fail_msg("'%s' does not say '%s'", d.message, why);
	/* Deaf until a reset, and well after it. */
	kick(&d, 0);
	assert_int_equal(d.messages, 1);
	driver_start(&d, 0);
	assert_int_equal(reg(&d, R_STATUS) & S_NEEDS_RESET, 0);
	ask("again", false);
}

static void the_registers_say_what_it_is(void **state)
{
	assert_int_equal(reg(&d, R_MAGIC), 0x74726976);
	assert_int_equal(reg(&d, R_VERSION), 2);
	assert_int_equal(reg(&d, R_DEVICE_ID), 42);
	assert_int_equal(virtio_empty_slot(R_MAGIC, false), 0x74726976);
	assert_int_equal(virtio_empty_slot(R_DEVICE_ID, false), 0);
	for (unsigned q = 0; q < 2; q++) {
		set_reg(&d, R_QUEUE_SEL, q);
		assert_int_equal(reg(&d, R_QUEUE_NUM_MAX), 128);
	}
	set_reg(&d, R_QUEUE_SEL, 2);
	assert_int_equal(reg(&d, R_QUEUE_NUM_MAX), 0);
	assert_int_equal(d.vd->dev.ops->read(&d.vd->dev, R_MAGIC, 2), 0);
	assert_int_equal(reg(&d, 0x0b0), 0xffffffff); /* no shared memory */
}

static void features_are_version_1_and_the_devices_own(void **state)
{
	assert_true(features(&d) == (VIRTIO_F_VERSION_1 | VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC |
				     VIRTIO_F_RING_PACKED | VIRTIO_F_RING_RESET | 1 << F_TOY));
}

static void features_that_are_not_offered_are_not_accepted(void **state)
{
	set_reg(&d, R_STATUS, S_ACK | S_DRIVER);
	set_reg(&d, R_DRIVER_FEATURES_SEL, 1);
	set_reg(&d, R_DRIVER_FEATURES, 1 | 1 << 1); /* a platform's IOMMU */
	set_reg(&d, R_STATUS, S_ACK | S_DRIVER | S_FEATURES_OK);
	assert_int_equal(reg(&d, R_STATUS), S_ACK | S_DRIVER);
}

static void a_driver_without_version_1_is_not_accepted(void **state)
{
	set_reg(&d, R_STATUS, S_ACK | S_DRIVER);
	set_reg(&d, R_STATUS, S_ACK | S_DRIVER | S_FEATURES_OK);
	assert_int_equal(reg(&d, R_STATUS), S_ACK | S_DRIVER);
	set_reg(&d, R_STATUS, S_ACK | S_DRIVER | S_DRIVER_OK); /* and cannot go on without */
	assert_int_equal(reg(&d, R_STATUS), S_ACK | S_DRIVER);
	assert_int_equal(n_started, 0);
}

static void features_stay_as_they_were_accepted(void **state)
{
	driver_start(&d, 1 << F_TOY);
	assert_true(d.vd->features == (VIRTIO_F_VERSION_1 | 1 << F_TOY));
	set_reg(&d, R_DRIVER_FEATURES_SEL, 0);
	set_reg(&d, R_DRIVER_FEATURES, 0);
	assert_true(d.vd->features == (VIRTIO_F_VERSION_1 | 1 << F_TOY));
	assert_int_equal(n_started, 1);
}

static void a_buffer_comes_back_with_what_the_device_wrote(void **state)
{
	driver_start(&d, 0);
	for (unsigned i = 0; i < 200; i++)
		ask("hello", false);
	assert_int_equal(interrupts(&d), 1); /* nobody acknowledged */
	assert_int_equal(reg(&d, R_INTERRUPT_STATUS), 1);
	set_reg(&d, R_INTERRUPT_ACK, 1);
	assert_int_equal(reg(&d, R_INTERRUPT_STATUS), 0);
	ask("hello", false);
	assert_int_equal(interrupts(&d), 1);
}

static void a_buffer_may_be_described_indirectly(void **state)
{
	driver_start(&d, VIRTIO_F_INDIRECT_DESC);
	for (unsigned i = 0; i < 100; i++)
		ask("indirect", true);
}

static void buffers_put_before_DRIVER_OK_are_seen(void **state)
{
	uint64_t p = take(&d, 8);
	struct part parts[] = {{p, 4, false}, {p + 4, 4, true}};
	uint16_t head;
	uint32_t len;

	driver_start(&d, 0);
	set_reg(&d, R_STATUS, 0);
	set_reg(&d, R_STATUS, S_ACK | S_DRIVER);
	set_reg(&d, R_DRIVER_FEATURES_SEL, 1);
	set_reg(&d, R_DRIVER_FEATURES, 1);
	set_reg(&d, R_STATUS, S_ACK | S_DRIVER | S_FEATURES_OK);
	queue_addresses(&d, 0, RAM_IPA + QUEUE_AREA, RAM_IPA + QUEUE_AREA + 0x1000, RAM_IPA + QUEUE_AREA + 0x2000);
	set_reg(&d, R_QUEUE_READY, 1);
	offer(&d, 0, parts, 2);
	kick(&d, 0);
	assert_false(used(&d, 0, &head, &len));
	set_reg(&d, R_STATUS, S_ACK | S_DRIVER | S_FEATURES_OK | S_DRIVER_OK);
	work(&d);
	assert_true(used(&d, 0, &head, &len));
}

static void no_interrupt_if_the_driver_wants_none(void **state)
{
	driver_start(&d, 0);
	d.q[0].avail[0] = 1; /* VIRTQ_AVAIL_F_NO_INTERRUPT */
	ask("quiet", false);
	assert_int_equal(interrupts(&d), 0);
	assert_int_equal(reg(&d, R_INTERRUPT_STATUS), 0);
}

static void event_indices_choose_the_interrupt_and_the_notification(void **state)
{
	driver_start(&d, VIRTIO_F_EVENT_IDX);
	d.q[0].avail[2 + Q_SIZE] = 0; /* used_event: tell of the first */
	ask("one", false);
	assert_int_equal(interrupts(&d), 1);
	set_reg(&d, R_INTERRUPT_ACK, 1);
	d.q[0].avail[2 + Q_SIZE] = 3; /* not before the fourth */
	ask("two", false);
	ask("three", false);
	assert_int_equal(interrupts(&d), 0);
	ask("four", false);
	assert_int_equal(interrupts(&d), 1);
	/* avail_event: the device wants to know of the next */
	assert_int_equal(d.q[0].used[2 + Q_SIZE * 4], 4);
	assert_int_equal(d.q[0].used[0], 0);
}

static void a_full_queue_is_done_in_one_notification(void **state)
{
	uint64_t p = take(&d, 8);
	struct part parts[] = {{p, 4, false}, {p + 4, 4, true}};
	uint16_t head;
	uint32_t len;
	unsigned n = 0;

	driver_start(&d, 0);
	for (unsigned i = 0; i < Q_SIZE / 2; i++)
		offer(&d, 0, parts, 2);
	kick(&d, 0);
	while (used(&d, 0, &head, &len))
		n++;
	assert_int_equal(n, Q_SIZE / 2);
}

static void a_reset_forgets_everything(void **state)
{
	driver_start(&d, VIRTIO_F_EVENT_IDX);
	ask("x", false);
	set_reg(&d, R_STATUS, 0);
	assert_int_equal(n_reset, 2); /* by the driver before it began, and now */
	assert_int_equal(reg(&d, R_STATUS), 0);
	assert_int_equal(reg(&d, R_INTERRUPT_STATUS), 0);
	set_reg(&d, R_QUEUE_SEL, 0);
	assert_int_equal(reg(&d, R_QUEUE_READY), 0);
	interrupts(&d);
	set_reg(&d, R_QUEUE_NOTIFY, 0);
	work(&d);
	assert_int_equal(interrupts(&d), 0);
	driver_start(&d, 0);
	ask("y", false);
}

static void the_configuration_has_a_generation_and_tells_of_changes(void **state)
{
	uint32_t before, val = 0x12345678;

	driver_start(&d, 0);
	before = reg(&d, R_GENERATION);
	virtio_config_set(d.vd, 0, &val, 4);
	assert_int_not_equal(reg(&d, R_GENERATION), before);
	assert_int_equal(reg(&d, R_CONFIG), val);
	assert_int_equal(d.vd->dev.ops->read(&d.vd->dev, R_CONFIG + 1, 1), 0x56);
	assert_int_equal(reg(&d, R_INTERRUPT_STATUS), 2);
	assert_int_equal(interrupts(&d), 1);
	set_reg(&d, R_CONFIG + 4, 77);
	assert_int_equal(reg(&d, R_CONFIG + 4), 77);
	set_reg(&d, R_CONFIG, 77); /* not the driver's to change */
	assert_int_equal(reg(&d, R_CONFIG), val);
	assert_int_equal(reg(&d, R_CONFIG + 8), 0);
	set_reg(&d, R_CONFIG + 8, 1);
}

static void a_queue_outside_of_RAM_breaks_the_device(void **state)
{
	static const uint64_t bad[][3] = {
		{0, RAM_IPA, RAM_IPA},
		{RAM_IPA + RAM_BYTES - Q_SIZE * 16 + 16, RAM_IPA, RAM_IPA},
		{RAM_IPA, RAM_IPA + RAM_BYTES - 8, RAM_IPA},
		{RAM_IPA, RAM_IPA, RAM_IPA + RAM_BYTES - 4},
		{UINT64_MAX - 15, RAM_IPA, RAM_IPA},
		{RAM_IPA + 8, RAM_IPA, RAM_IPA},
		{RAM_IPA, RAM_IPA + 1, RAM_IPA},
		{RAM_IPA, RAM_IPA, RAM_IPA + 2},
	};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		d.messages = 0;
		driver_start(&d, 0);
		set_reg(&d, R_QUEUE_SEL, 0);
		set_reg(&d, R_QUEUE_READY, 0);
		queue_addresses(&d, 0, bad[i][0], bad[i][1], bad[i][2]);
		set_reg(&d, R_QUEUE_READY, 1);
		assert_int_equal(reg(&d, R_QUEUE_READY), 0);
		expect_broken("not in RAM");
	}
}

static void a_queue_size_that_is_none_breaks_the_device(void **state)
{
	static const uint32_t bad[] = {0, 3, 48, 256, 0x80000000, 0xffffffff};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		d.messages = 0;
		driver_start(&d, 0);
		set_reg(&d, R_QUEUE_SEL, 0);
		set_reg(&d, R_QUEUE_READY, 0);
		set_reg(&d, R_QUEUE_NUM, bad[i]);
		set_reg(&d, R_QUEUE_READY, 1);
		expect_broken("queue");
	}
}

static void offer_raw(struct vq_desc first, struct vq_desc second)
{
	d.messages = 0;
	driver_start(&d, VIRTIO_F_INDIRECT_DESC);
	d.q[0].desc[0] = first;
	d.q[0].desc[1] = second;
	offer_head(&d, 0, 0);
	kick(&d, 0);
}

static void chains_that_no_driver_may_make_break_the_device(void **state)
{
	uint64_t ok = RAM_IPA + DATA_AREA;
	struct vq_desc none = {0, 0, 0, 0}, table[2] = {{ok, 4, D_INDIRECT, 0}, {ok, 4, 0, 0}};

	memcpy(at(&d, ok), table, sizeof(table));
	offer_raw((struct vq_desc){ok, 4, D_NEXT, 1}, (struct vq_desc){ok, 4, D_NEXT, 0});
	expect_broken("without end");
	offer_raw((struct vq_desc){ok, 4, D_NEXT, Q_SIZE}, none);
	expect_broken("outside its table");
	offer_raw((struct vq_desc){RAM_IPA + RAM_BYTES - 3, 4, 0, 0}, none);
	expect_broken("not in RAM");
	offer_raw((struct vq_desc){UINT64_MAX, 4, 0, 0}, none);
	expect_broken("not in RAM");
	offer_raw((struct vq_desc){ok, 4, D_NEXT | D_WRITE, 1}, (struct vq_desc){ok, 4, 0, 0});
	expect_broken("readable buffer behind");
	offer_raw((struct vq_desc){ok, 32, D_INDIRECT, 0}, none); /* a table in a table */
	expect_broken("where none may be");
	offer_raw((struct vq_desc){ok, 32, D_INDIRECT | D_NEXT, 1}, none);
	expect_broken("where none may be");
	offer_raw((struct vq_desc){ok, 33, D_INDIRECT, 0}, none);
	expect_broken("bad table");
	offer_raw((struct vq_desc){ok, 0, D_INDIRECT, 0}, none);
	expect_broken("bad table");
	offer_raw((struct vq_desc){ok, 0x40000000, D_INDIRECT, 0}, none);
	expect_broken("bad table");
}

static void a_driver_that_breaks_it_for_ever_does_not_fill_the_users_terminal(void **state)
{
	for (unsigned i = 0; i < 100; i++) {
		driver_start(&d, 0);
		offer_head(&d, 0, Q_SIZE);
		kick(&d, 0);
		assert_int_equal(reg(&d, R_STATUS) & S_NEEDS_RESET, S_NEEDS_RESET);
	}
	assert_int_equal(d.messages, 3);
}

static void an_available_index_that_runs_away_breaks_the_device(void **state)
{
	driver_start(&d, 0);
	d.q[0].avail[1] = Q_SIZE + 1;
	kick(&d, 0);
	expect_broken("index");
}

static void a_head_outside_the_table_breaks_the_device(void **state)
{
	driver_start(&d, 0);
	offer_head(&d, 0, Q_SIZE);
	kick(&d, 0);
	expect_broken("outside its table");
}

static void indirect_descriptors_without_the_feature_break_the_device(void **state)
{
	struct part p = {RAM_IPA + DATA_AREA, 4, false};

	driver_start(&d, 0);
	offer_indirect(&d, 0, &p, 1);
	kick(&d, 0);
	expect_broken("where none may be");
}

static void a_queue_is_reset_alone(void **state)
{
	uint64_t p = take(&d, 8);
	struct part parts[] = {{p, 4, false}, {p + 4, 4, true}};
	uint16_t head;
	uint32_t len;

	driver_start(&d, VIRTIO_F_RING_RESET);
	ask("x", false);
	ask("y", false);
	offer(&d, 1, parts, 2);
	set_reg(&d, R_QUEUE_SEL, 0);
	set_reg(&d, R_QUEUE_RESET, 1);
	assert_int_equal(reg(&d, R_QUEUE_RESET), 0); /* it is over */
	assert_int_equal(reg(&d, R_QUEUE_READY), 0);
	assert_int_equal(n_reset, 1); /* by the driver before it began: the device is not reset */
	kick(&d, 1);
	assert_true(used(&d, 1, &head, &len)); /* the other one goes on */
	start_queue(&d, 0);
	ask("z", false);
	assert_int_equal(reg(&d, R_STATUS) & S_NEEDS_RESET, 0);
}

static void a_queue_is_not_reset_without_the_feature(void **state)
{
	driver_start(&d, 0);
	set_reg(&d, R_QUEUE_SEL, 0);
	set_reg(&d, R_QUEUE_RESET, 1);
	assert_int_equal(reg(&d, R_QUEUE_READY), 1);
	ask("x", false);
}

/* ---- packed queues: 2.8 */

static void packed_start(uint64_t wanted)
{
	d.packed = true;
	d.messages = 0;
	driver_start(&d, wanted);
}

static void a_packed_ring_goes_round(void **state)
{
	packed_start(VIRTIO_F_INDIRECT_DESC);
	for (unsigned i = 0; i < 500; i++)
		ask("round", i % 3 == 0);
	assert_int_equal(interrupts(&d), 1);
}

/* 2.8.1: its size need not be a power of 2. Here the driver's is, and the device's is less. */
static void a_packed_ring_may_have_any_size(void **state)
{
	struct packed_desc *ring;
	uint64_t p = take(&d, 8);
	enum { N = 3 };

	packed_start(0);
	set_reg(&d, R_QUEUE_SEL, 1);
	set_reg(&d, R_QUEUE_READY, 0);
	set_reg(&d, R_QUEUE_NUM, N);
	set_reg(&d, R_QUEUE_READY, 1);
	assert_int_equal(reg(&d, R_QUEUE_READY), 1);
	ring = d.q[1].ring;
	for (unsigned i = 0; i < 20; i++) {
		bool wrap = i / N % 2 == 0;

		ring[i % N] = (struct packed_desc){p, 4, (uint16_t)(1000 + i), wrap ? D_AVAIL : D_USED};
		kick(&d, 1);
		assert_int_equal(ring[i % N].flags, wrap ? D_AVAIL | D_USED : 0);
		assert_int_equal(ring[i % N].id, 1000 + i); /* any number */
	}
}

static void packed_interrupts_are_as_the_driver_wants_them(void **state)
{
	packed_start(VIRTIO_F_EVENT_IDX);
	d.q[0].avail[1] = 1; /* none */
	ask("one", false);
	assert_int_equal(interrupts(&d), 0);
	d.q[0].avail[1] = 0; /* each */
	ask("two", false);
	assert_int_equal(interrupts(&d), 1);
	set_reg(&d, R_INTERRUPT_ACK, 1);
	d.q[0].avail[1] = 2; /* when descriptor 8 is used, this time round: the fifth buffer of two */
	d.q[0].avail[0] = 8 | 1 << 15;
	ask("three", false);
	ask("four", false);
	assert_int_equal(interrupts(&d), 0);
	ask("five", false);
	assert_int_equal(interrupts(&d), 1);
	set_reg(&d, R_INTERRUPT_ACK, 1);
	d.q[0].avail[0] = 2; /* the next time round */
	for (unsigned i = 5; i < Q_SIZE / 2 + 1; i++)
		ask("on", false);
	assert_int_equal(interrupts(&d), 0);
	ask("there", false);
	assert_int_equal(interrupts(&d), 1);
	/* The device wants to know of the next buffer, at its place and time round. */
	assert_int_equal(d.q[0].used[1], 2);
	assert_int_equal(d.q[0].used[0], 4);
}

static void a_packed_queue_outside_of_RAM_breaks_the_device(void **state)
{
	static const uint64_t bad[][3] = {
		{0, RAM_IPA, RAM_IPA},
		{RAM_IPA + RAM_BYTES - Q_SIZE * 16 + 16, RAM_IPA, RAM_IPA},
		{RAM_IPA, RAM_IPA + RAM_BYTES, RAM_IPA},
		{RAM_IPA, RAM_IPA, RAM_IPA - 4},
		{RAM_IPA + 8, RAM_IPA, RAM_IPA},
		{RAM_IPA, RAM_IPA + 2, RAM_IPA},
		{RAM_IPA, RAM_IPA, RAM_IPA + 2},
	};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		packed_start(0);
		set_reg(&d, R_QUEUE_SEL, 0);
		set_reg(&d, R_QUEUE_READY, 0);
		queue_addresses(&d, 0, bad[i][0], bad[i][1], bad[i][2]);
		set_reg(&d, R_QUEUE_READY, 1);
		assert_int_equal(reg(&d, R_QUEUE_READY), 0);
		expect_broken("not in RAM");
	}
}

static void packed_raw(struct packed_desc first, struct packed_desc second)
{
	packed_start(VIRTIO_F_INDIRECT_DESC);
	for (unsigned i = 1; i < Q_SIZE; i++)
		d.q[0].ring[i] = second;
	first.flags |= D_AVAIL;
	d.q[0].ring[0] = first;
	kick(&d, 0);
}

static void packed_chains_that_no_driver_may_make_break_the_device(void **state)
{
	uint64_t ok = RAM_IPA + DATA_AREA;
	struct packed_desc none = {0, 0, 0, 0}, table[2] = {{ok, 4, 0, D_INDIRECT}, {ok, 4, 0, 0}};

	memcpy(at(&d, ok), table, sizeof(table));
	packed_raw((struct packed_desc){ok, 4, 0, D_NEXT}, (struct packed_desc){ok, 4, 0, D_NEXT});
	expect_broken("without end");
	packed_raw((struct packed_desc){UINT64_MAX, 4, 0, 0}, none);
	expect_broken("not in RAM");
	packed_raw((struct packed_desc){ok, 4, 0, D_NEXT | D_WRITE}, (struct packed_desc){ok, 4, 0, 0});
	expect_broken("readable buffer behind");
	packed_raw((struct packed_desc){ok, 32, 0, D_INDIRECT}, none); /* a table in a table */
	expect_broken("where none may be");
	packed_raw((struct packed_desc){ok, 32, 0, D_INDIRECT | D_NEXT}, none);
	expect_broken("where none may be");
	packed_raw((struct packed_desc){ok, 4, 0, D_NEXT}, (struct packed_desc){ok, 32, 0, D_INDIRECT});
	expect_broken("where none may be");
	packed_raw((struct packed_desc){ok, 33, 0, D_INDIRECT}, none);
	expect_broken("bad table");
}

static void the_legacy_transport_works_as_old_drivers_expect(void **state)
{
	assert_int_equal(reg(&d, R_VERSION), 1);
	assert_int_equal(features(&d) >> 32, 0);
	driver_start(&d, VIRTIO_F_INDIRECT_DESC);
	set_reg(&d, R_QUEUE_SEL, 0);
	assert_int_equal(reg(&d, R_QUEUE_PFN), (RAM_IPA + QUEUE_AREA) >> 12);
	for (unsigned i = 0; i < 100; i++)
		ask("old", i & 1);
	set_reg(&d, R_STATUS, 0);
	assert_int_equal(reg(&d, R_QUEUE_PFN), 0);
}

static void the_worker_does_it_by_itself(void **state)
{
	uint64_t p = take(&d, 8);
	struct part parts[] = {{p, 4, false}, {p + 4, 4, true}};
	uint16_t head;
	uint32_t len;

	driver_start(&d, 0);
	assert_int_equal(virtio_start_worker(d.vd), 0);
	for (unsigned i = 0; i < 200; i++) {
		struct pollfd irq = {.fd = d.vd->irq_fd, .events = POLLIN};

		offer(&d, 0, parts, 2);
		set_reg(&d, R_QUEUE_NOTIFY, 0);
		assert_int_equal(poll(&irq, 1, -1), 1);
		interrupts(&d);
		set_reg(&d, R_INTERRUPT_ACK, 1);
		assert_true(used(&d, 0, &head, &len));
		if (i % 50 == 49)
			driver_start(&d, 0); /* a reset while it waits */
	}
}

int main(void)
{
#define MODERN(name) cmocka_unit_test_setup_teardown(name, modern, end)
	const struct CMUnitTest tests[] = {
		MODERN(the_registers_say_what_it_is),
		MODERN(features_are_version_1_and_the_devices_own),
		MODERN(features_that_are_not_offered_are_not_accepted),
		MODERN(a_driver_without_version_1_is_not_accepted),
		MODERN(features_stay_as_they_were_accepted),
		MODERN(a_buffer_comes_back_with_what_the_device_wrote),
		MODERN(a_buffer_may_be_described_indirectly),
		MODERN(buffers_put_before_DRIVER_OK_are_seen),
		MODERN(no_interrupt_if_the_driver_wants_none),
		MODERN(event_indices_choose_the_interrupt_and_the_notification),
		MODERN(a_full_queue_is_done_in_one_notification),
		MODERN(a_reset_forgets_everything),
		MODERN(the_configuration_has_a_generation_and_tells_of_changes),
		MODERN(a_queue_outside_of_RAM_breaks_the_device),
		MODERN(a_queue_size_that_is_none_breaks_the_device),
		MODERN(chains_that_no_driver_may_make_break_the_device),
		MODERN(a_driver_that_breaks_it_for_ever_does_not_fill_the_users_terminal),
		MODERN(an_available_index_that_runs_away_breaks_the_device),
		MODERN(a_head_outside_the_table_breaks_the_device),
		MODERN(indirect_descriptors_without_the_feature_break_the_device),
		MODERN(a_queue_is_reset_alone),
		MODERN(a_queue_is_not_reset_without_the_feature),
		MODERN(a_packed_ring_goes_round),
		MODERN(a_packed_ring_may_have_any_size),
		MODERN(packed_interrupts_are_as_the_driver_wants_them),
		MODERN(a_packed_queue_outside_of_RAM_breaks_the_device),
		MODERN(packed_chains_that_no_driver_may_make_break_the_device),
		cmocka_unit_test_setup_teardown(the_legacy_transport_works_as_old_drivers_expect, legacy, end),
		MODERN(the_worker_does_it_by_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
