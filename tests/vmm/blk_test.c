/* SPDX-License-Identifier: MIT */
/* Disks: VIRTIO 1.2, section 5.2, on files, snapshots, storage that fails, and an NBD server if nbdkit is there. */
#include "virtio_driver.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "blk.h"

enum { IN = 0, OUT = 1, FLUSH = 4, GET_ID = 8, DISCARD = 11, WRITE_ZEROES = 13 };
enum { OK = 0, IOERR = 1, UNSUPP = 2 };
enum { SIZE = 64 << 10 };

static struct driver d;
static char dir[] = "/tmp/pawl-blk-test-XXXXXX", path[64];
static struct vmm_error error;

static void make_file(size_t size)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	for (size_t i = 0; i < size; i++) {
		uint8_t byte = (uint8_t)(i / 512 + i);

		assert_int_equal(write(fd, &byte, 1), 1);
	}
	close(fd);
}

static void file_bytes(uint64_t off, void *buf, size_t n)
{
	int fd = open(path, O_RDONLY);

	assert_int_equal(pread(fd, buf, n, (off_t)off), n);
	close(fd);
}

static int setup(void **state)
{
	make_file(SIZE);
	driver_init(&d);
	return 0;
}

static int teardown(void **state)
{
	driver_free(&d);
	unlink(path);
	return 0;
}

static void open_disk(const char *options)
{
	char arg[128];

	snprintf(arg, sizeof(arg), "%s%s", path, options);
	d.vd = blk_create(&d.host, arg, &error);
	if (!d.vd)
		fail_msg("%s", error.text);
	driver_start(&d, ~UINT64_C(0) & ~VIRTIO_F_EVENT_IDX);
}

static void refuse(const char *arg, const char *words)
{
	assert_null(blk_create(&d.host, arg, &error));
	if (!strstr(error.text, words))
		fail_msg("'%s' does not say '%s'", error.text, words);
}

static uint64_t header(uint32_t type, uint64_t sector)
{
	uint64_t ipa = take(&d, 16);
	uint32_t words[2] = {type, 0};

	memcpy(at(&d, ipa), words, 8);
	memcpy(at(&d, ipa + 8), &sector, 8);
	return ipa;
}

/* A request of three parts. Returns its status; *len is what the used ring says. */
static int request(uint32_t type, uint64_t sector, uint64_t data, uint32_t bytes, bool write, uint32_t *len)
{
	uint64_t status = take(&d, 1);
	struct part parts[3] = {{header(type, sector), 16, false}, {data, bytes, write}, {status, 1, true}};
	uint16_t head;
	uint32_t n;

	if (!bytes)
		parts[1] = parts[2];
	*(uint8_t *)at(&d, status) = 0xee;
	offer(&d, 0, parts, bytes ? 3 : 2);
	kick(&d, 0);
	for (unsigned i = 0; !used(&d, 0, &head, &n); i++) {
		if (i == 500 || !d.vd->ops->poll_fill)
			return -1;
		virtio_turn(d.vd, 100); /* a server takes its time */
	}
	if (len)
		*len = n;
	return *(uint8_t *)at(&d, status);
}

static int read_sectors(uint64_t sector, uint64_t data, uint32_t bytes)
{
	uint32_t len;
	int status = request(IN, sector, data, bytes, true, &len);

	if (status == OK)
		assert_int_equal(len, bytes + 1);
	return status;
}

static int write_sectors(uint64_t sector, uint64_t data, uint32_t bytes)
{
	uint32_t len;
	int status = request(OUT, sector, data, bytes, false, &len);

	assert_int_equal(len, 1);
	return status;
}

static int range(uint32_t type, uint64_t sector, uint32_t sectors, uint32_t flags)
{
	uint64_t ipa = take(&d, 16);

	memcpy(at(&d, ipa), &sector, 8);
	memcpy(at(&d, ipa + 8), &sectors, 4);
	memcpy(at(&d, ipa + 12), &flags, 4);
	return request(type, 0, ipa, 16, false, NULL);
}

static void the_configuration_describes_the_disk(void **state)
{
	open_disk("");
	assert_int_equal(reg(&d, R_DEVICE_ID), 2);
	assert_int_equal(reg(&d, R_CONFIG), SIZE / 512);
	assert_int_equal(reg(&d, R_CONFIG + 4), 0);
	assert_int_equal(reg(&d, R_CONFIG + 20), 512);
	assert_int_equal(features(&d) & 0xffff, 1 << 2 | 1 << 6 | 1 << 9 | 1 << 13 | 1 << 14);
}

static void what_is_written_is_in_the_file_and_read_back(void **state)
{
	uint64_t data = take(&d, 8192), back = take(&d, 8192);
	uint8_t buf[8192];

	open_disk("");
	memset(at(&d, data), 0x5a, 8192);
	assert_int_equal(read_sectors(3, back, 1024), OK);
	assert_int_equal(((uint8_t *)at(&d, back))[0], 3);
	assert_int_equal(((uint8_t *)at(&d, back))[513], 5);
	assert_int_equal(write_sectors(5, data, 8192), OK);
	file_bytes(5 * 512, buf, 8192);
	assert_memory_equal(buf, at(&d, data), 8192);
	assert_int_equal(read_sectors(5, back, 8192), OK);
	assert_memory_equal(at(&d, back), at(&d, data), 8192);
	assert_int_equal(request(FLUSH, 0, 0, 0, false, NULL), OK);
}

static void a_request_may_be_cut_anywhere(void **state)
{
	uint64_t h = header(IN, 1), data = take(&d, 512), status = data + 512;
	struct part parts[] = {{h, 3, false},
			       {h + 3, 13, false},
			       {data, 1, true},
			       {data + 1, 500, true},
			       {data + 501, 12, true}}; /* the last byte is the status */
	uint16_t head;
	uint32_t len;

	open_disk("");
	take(&d, 1);
	*(uint8_t *)at(&d, status) = 0xee;
	offer_indirect(&d, 0, parts, 5);
	kick(&d, 0);
	assert_true(used(&d, 0, &head, &len));
	assert_int_equal(len, 513);
	assert_int_equal(*(uint8_t *)at(&d, status), OK);
	for (unsigned i = 0; i < 512; i++)
		assert_int_equal(((uint8_t *)at(&d, data))[i], (uint8_t)(1 + i));
}

static void requests_outside_the_disk_are_errors(void **state)
{
	uint64_t data = take(&d, 1024);

	open_disk("");
	assert_int_equal(read_sectors(SIZE / 512 - 1, data, 512), OK);
	assert_int_equal(read_sectors(SIZE / 512 - 1, data, 1024), IOERR);
	assert_int_equal(read_sectors(SIZE / 512, data, 512), IOERR);
	assert_int_equal(read_sectors(UINT64_MAX, data, 512), IOERR);
	assert_int_equal(read_sectors(UINT64_MAX / 512 + 1, data, 512), IOERR);
	assert_int_equal(read_sectors(0, data, 511), IOERR);
	assert_int_equal(write_sectors(SIZE / 512, data, 512), IOERR);
	assert_int_equal(range(DISCARD, SIZE / 512, 1, 0), IOERR);
	assert_int_equal(range(WRITE_ZEROES, 0, 0xffffffff, 0), IOERR);
	assert_int_equal(request(99, 0, data, 512, true, NULL), UNSUPP);
}

static void a_request_without_header_or_status_breaks_the_device(void **state)
{
	struct part p = {take(&d, 512), 512, true};

	open_disk("");
	offer(&d, 0, &p, 1);
	kick(&d, 0);
	assert_int_equal(reg(&d, R_STATUS) & S_NEEDS_RESET, S_NEEDS_RESET);
}

static void zeroes_and_discarded_blocks_read_as_zeroes(void **state)
{
	uint64_t data = take(&d, 1024);
	uint8_t buf[1024], zero[1024] = {0};

	open_disk("");
	assert_int_equal(range(WRITE_ZEROES, 2, 2, 0), OK);
	file_bytes(1024, buf, 1024);
	assert_memory_equal(buf, zero, 1024);
	assert_int_equal(range(WRITE_ZEROES, 8, 16, 1), OK);
	assert_int_equal(read_sectors(8, data, 1024), OK);
	assert_memory_equal(at(&d, data), zero, 1024);
	assert_int_equal(range(DISCARD, 32, 16, 0), OK);
	assert_int_equal(range(DISCARD, 0, 1, 1), UNSUPP);
	assert_int_equal(range(WRITE_ZEROES, 0, 1, 2), UNSUPP);
	assert_int_equal(read_sectors(4, data, 512), OK);
	assert_int_equal(((uint8_t *)at(&d, data))[0], 4);
}

static void the_serial_number_is_the_users(void **state)
{
	uint64_t data = take(&d, 20);

	open_disk(",serial=12345678901234567890");
	assert_int_equal(request(GET_ID, 0, data, 20, true, NULL), OK);
	assert_memory_equal(at(&d, data), "12345678901234567890", 20);
}

static void a_read_only_disk_cannot_be_written(void **state)
{
	uint64_t data = take(&d, 512);

	open_disk(",ro");
	assert_int_equal(features(&d) >> 5 & 1, 1);
	assert_int_equal(features(&d) >> 13 & 3, 0);
	assert_int_equal(read_sectors(0, data, 512), OK);
	assert_int_equal(write_sectors(0, data, 512), IOERR);
	assert_int_equal(range(DISCARD, 0, 1, 0), IOERR);
	assert_int_equal(range(WRITE_ZEROES, 0, 1, 0), IOERR);
}

/* The same random requests to a snapshot and to a buffer. */
static void a_snapshot_is_a_disk_that_leaves_its_file_alone(void **state)
{
	static uint8_t model[SIZE], before[SIZE], after[SIZE];
	uint64_t data = take(&d, 16384), seed = 42;

	open_disk(",snapshot");
	file_bytes(0, model, SIZE);
	memcpy(before, model, SIZE);
	for (unsigned i = 0; i < 3000; i++) {
		uint32_t n, sector;
		uint8_t *p = at(&d, data);

		seed = seed * 6364136223846793005u + 1442695040888963407u;
		n = (uint32_t)(seed >> 33) % 32 + 1;
		sector = (uint32_t)(seed >> 40) % (SIZE / 512 - n);
		switch (seed >> 60) {
		case 0:
			assert_int_equal(range(WRITE_ZEROES, sector, n, 1), OK);
			memset(model + sector * 512, 0, n * 512);
			break;
		case 1:
		case 2:
		case 3:
		case 4:
			memset(p, (int)i, n * 512);
			assert_int_equal(write_sectors(sector, data, n * 512), OK);
			memset(model + sector * 512, (int)i, n * 512);
			break;
		default:
			assert_int_equal(read_sectors(sector, data, n * 512), OK);
			assert_memory_equal(p, model + sector * 512, n * 512);
		}
		if (d.data > RAM_IPA + RAM_BYTES - 0x10000)
			d.data = data + 16384;
	}
	assert_int_equal(range(DISCARD, 0, SIZE / 512, 0), OK);
	assert_int_equal(request(FLUSH, 0, 0, 0, false, NULL), OK);
	file_bytes(0, after, SIZE);
	assert_memory_equal(before, after, SIZE);
}

static void a_file_with_a_piece_of_a_sector_at_its_end_has_the_sector(void **state)
{
	uint64_t data = take(&d, 1024);
	uint8_t zero[412] = {0};

	make_file(1024 + 100);
	open_disk("");
	assert_int_equal(reg(&d, R_CONFIG), 3);
	memset(at(&d, data), 0xff, 1024);
	assert_int_equal(read_sectors(1, data, 1024), OK);
	assert_int_equal(((uint8_t *)at(&d, data))[512 + 99], (uint8_t)(2 + 512 * 2 + 99));
	assert_memory_equal(at(&d, data + 512 + 100), zero, 412);
}

static void a_file_that_becomes_shorter_gives_errors(void **state)
{
	uint64_t data = take(&d, 512);

	open_disk("");
	assert_int_equal(truncate(path, 512), 0);
	assert_int_equal(read_sectors(0, data, 512), OK);
	assert_int_equal(read_sectors(5, data, 512), IOERR);
	assert_int_equal(read_sectors(6, data, 512), IOERR);
	assert_int_equal(d.messages, 1);
	assert_non_null(strstr(d.message, path));
}

/* ---- storage that fails */

static int store_error;

static int fail_rw(struct blk_store *s, const struct iovec *iov, unsigned n, uint64_t off, uint64_t len)
{
	return store_error;
}

static int fail_flush(struct blk_store *s)
{
	return store_error;
}

static int fail_range(struct blk_store *s, uint64_t off, uint64_t len)
{
	return store_error;
}

static int fail_zero(struct blk_store *s, uint64_t off, uint64_t len, bool unmap)
{
	return store_error;
}

static void close_nothing(struct blk_store *s) {}

static void a_full_host_disk_is_an_io_error_and_one_line(void **state)
{
	static const struct blk_ops ops = {.read = fail_rw,
					   .write = fail_rw,
					   .flush = fail_flush,
					   .discard = fail_range,
					   .zero = fail_zero,
					   .close = close_nothing};
	static struct blk_store store = {.ops = &ops, .size = SIZE, .block_size = 512};
	uint64_t data = take(&d, 512);

	d.vd = blk_device(&d.host, &store, "thin", "", &error);
	driver_start(&d, 0);
	assert_int_equal(write_sectors(0, data, 512), OK);
	store_error = ENOSPC;
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(write_sectors(0, data, 512), IOERR);
	assert_int_equal(request(FLUSH, 0, 0, 0, false, NULL), IOERR);
	assert_int_equal(range(WRITE_ZEROES, 0, 1, 0), IOERR);
	assert_int_equal(d.messages, 1);
	assert_string_equal(d.message, "thin: cannot write: No space left on device; the guest gets I/O errors");
	store_error = 0;
	assert_int_equal(write_sectors(0, data, 512), OK);
}

/* ---- storage that does several at once: here it ends them when the test says so */

static struct blk_io *under_way[100];
static unsigned n_under_way, n_drained;

static void slow_submit(struct blk_store *s, struct blk_io *io)
{
	under_way[n_under_way++] = io;
}

static void slow_poll_fill(struct blk_store *s, struct pollfds *set) {}

static bool slow_poll_done(struct blk_store *s)
{
	return false;
}

static void slow_end(unsigned i, int number)
{
	struct blk_io *io = under_way[i];

	under_way[i] = under_way[--n_under_way];
	io->done(io, number);
}

static void slow_drain(struct blk_store *s)
{
	n_drained++;
	while (n_under_way)
		slow_end(0, 0);
}

static const struct blk_ops slow_ops = {
	.read = fail_rw,
	.write = fail_rw,
	.flush = fail_flush,
	.discard = fail_range,
	.zero = fail_zero,
	.close = close_nothing,
	.submit = slow_submit,
	.poll_fill = slow_poll_fill,
	.poll_done = slow_poll_done,
	.drain = slow_drain,
};

static struct blk_store slow_store = {.ops = &slow_ops, .size = SIZE, .block_size = 512};

static void open_slow(void)
{
	n_under_way = n_drained = 0;
	d.vd = blk_device(&d.host, &slow_store, "slow", "", &error);
	driver_start(&d, ~UINT64_C(0) & ~VIRTIO_F_EVENT_IDX);
	n_drained = 0;
}

/* Offers a transfer of a sector and leaves it; returns where its status will be. */
static uint8_t *offer_sector(uint32_t type, uint64_t sector, uint64_t data, uint16_t *head)
{
	uint64_t status = take(&d, 1);
	struct part parts[3] = {{header(type, sector), 16, false}, {data, 512, type == IN}, {status, 1, true}};

	*(uint8_t *)at(&d, status) = 0xee;
	*head = offer(&d, 0, parts, 3);
	return at(&d, status);
}

static void several_requests_are_under_way_at_once_and_end_in_any_order(void **state)
{
	uint64_t data = take(&d, 512);
	uint16_t head[5], got;
	uint8_t *status[5];
	uint32_t len;

	open_slow();
	for (unsigned i = 0; i < 5; i++)
		status[i] = offer_sector(i == 3 ? OUT : IN, i, data, &head[i]);
	kick(&d, 0);
	assert_int_equal(n_under_way, 5);
	assert_false(used(&d, 0, &got, &len));
	assert_int_equal(interrupts(&d), 0);
	slow_end(4, 0);
	assert_true(used(&d, 0, &got, &len));
	assert_int_equal(got, head[4]);
	assert_int_equal(len, 513);
	assert_int_equal(*status[4], OK);
	assert_int_equal(*status[0], 0xee);
	slow_end(3, EIO);
	assert_true(used(&d, 0, &got, &len));
	assert_int_equal(got, head[3]);
	assert_int_equal(len, 1);
	assert_int_equal(*status[3], IOERR);
	assert_string_equal(d.message, "slow: cannot write: Input/output error; the guest gets I/O errors");
	assert_int_equal(interrupts(&d), 1);
	/* What does not take long is not kept waiting, nor is what is wrong. */
	assert_int_equal(request(GET_ID, 0, data, 20, true, NULL), OK);
	assert_int_equal(request(IN, SIZE, data, 512, true, NULL), IOERR);
	assert_int_equal(n_under_way, 3);
}

static void no_more_are_begun_than_there_is_room_for_and_none_is_forgotten(void **state)
{
	uint64_t data = take(&d, 512);
	unsigned begun = 0, ended = 0;
	uint16_t head;
	uint32_t len;

	open_slow();
	for (unsigned i = 0; i < 300; i++) {
		while (begun - ended < Q_SIZE / 3) {
			offer_sector(IN, begun++ % 100, data, &head);
			if (d.data > RAM_IPA + RAM_BYTES - 0x10000)
				d.data = data + 512;
		}
		kick(&d, 0);
		assert_int_equal(n_under_way, begun - ended);
		slow_end((unsigned)(i * 7) % n_under_way, 0);
		assert_true(used(&d, 0, &head, &len));
		ended++;
	}
}

static void a_reset_and_a_queue_that_stops_wait_for_what_is_under_way(void **state)
{
	uint64_t data = take(&d, 512);
	uint16_t head;

	open_slow();
	offer_sector(IN, 0, data, &head);
	kick(&d, 0);
	set_reg(&d, R_STATUS, 0);
	assert_int_equal(n_drained, 1);
	assert_int_equal(n_under_way, 0);
	driver_start(&d, ~UINT64_C(0) & ~VIRTIO_F_EVENT_IDX);
	n_drained = 0;
	for (unsigned i = 0; i < 2; i++) {
		offer_sector(IN, 0, data, &head);
		kick(&d, 0);
		assert_int_equal(n_under_way, 1);
		set_reg(&d, R_QUEUE_SEL, 0);
		set_reg(&d, i ? R_QUEUE_RESET : R_QUEUE_READY, i);
		assert_int_equal(n_drained, i + 1);
		assert_int_equal(n_under_way, 0);
		start_queue(&d, 0);
	}
}

/* ---- options */

static void wrong_options_and_files_are_refused(void **state)
{
	char arg[128];
	int fd;

	refuse("/nonexistent", "/nonexistent: No such file");
	refuse("", "the file's name is empty");
	refuse(",ro", "the file's name is empty");
	refuse("x,ro,snapshot", "exclude each other");
	refuse("x,serial=123456789012345678901", "at most 20");
	refuse("/", "/: Is a directory");
	refuse("/dev/null", "neither a regular file nor a block device");
	snprintf(arg, sizeof(arg), "%s,bogus", path);
	refuse(arg, ",bogus: No such file"); /* a file may be called so */
	fd = open(path, O_RDWR);
	assert_int_equal(flock(fd, LOCK_SH | LOCK_NB), 0);
	refuse(path, "in use by another machine");
	close(fd);
	assert_int_equal(truncate(path, 0), 0);
	refuse(path, "empty");
	refuse("nbd+unix:///?socket=/nonexistent", "nbd+unix:///?socket=/nonexistent: ");
}

/* ---- NBD */

static pid_t nbdkit(const char *socket, char *const argv[])
{
	pid_t pid = fork();

	if (!pid) {
		execvp("nbdkit", argv);
		_exit(127);
	}
	for (;;) {
		int status;

		if (!access(socket, F_OK))
			return pid;
		if (waitpid(pid, &status, WNOHANG) == pid)
			return -1; /* not installed */
		usleep(10000);
	}
}

static void an_NBD_server_is_a_disk_until_it_vanishes(void **state)
{
	char socket[80], uri[160];
	char *argv[] = {"nbdkit", "-f", "-U", socket, "memory", "1000300", NULL};
	uint64_t data = take(&d, 65536), back = take(&d, 65536);
	pid_t pid;

#ifndef HAVE_LIBNBD
	skip();
#endif
	snprintf(socket, sizeof(socket), "%s/nbd", dir);
	snprintf(uri, sizeof(uri), "nbd+unix:///?socket=%s", socket);
	pid = nbdkit(socket, argv);
	if (pid < 0)
		skip();
	d.vd = blk_create(&d.host, uri, &error);
	if (!d.vd)
		fail_msg("%s", error.text);
	driver_start(&d, 0);
	assert_int_equal(reg(&d, R_CONFIG), 1000300 / 512 + 1);
	memset(at(&d, data), 0x77, 65536);
	assert_int_equal(write_sectors(7, data, 65536), OK);
	assert_int_equal(read_sectors(7, back, 65536), OK);
	assert_memory_equal(at(&d, data), at(&d, back), 65536);
	assert_int_equal(range(WRITE_ZEROES, 8, 1, 1), OK);
	assert_int_equal(range(DISCARD, 9, 1, 0), OK);
	assert_int_equal(read_sectors(7, back, 1024), OK);
	assert_int_equal(((uint8_t *)at(&d, back))[511], 0x77);
	assert_int_equal(((uint8_t *)at(&d, back))[512], 0);
	assert_int_equal(request(FLUSH, 0, 0, 0, false, NULL), OK);
	assert_int_equal(write_sectors(1000300 / 512, data, 512), OK); /* the last, which is not whole */
	memset(at(&d, back), 0xee, 512);
	assert_int_equal(read_sectors(1000300 / 512, back, 512), OK);
	assert_int_equal(((uint8_t *)at(&d, back))[1000300 % 512 - 1], 0x77);
	assert_int_equal(((uint8_t *)at(&d, back))[1000300 % 512], 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(write_sectors(7, data, 512), IOERR);
		assert_int_equal(read_sectors(7, back, 512), IOERR);
	}
	assert_int_equal(request(FLUSH, 0, 0, 0, false, NULL), IOERR);
	assert_int_equal(d.messages, 1);
	assert_non_null(strstr(d.message, "the NBD server has gone"));
	unlink(socket);

	/* Another one at its place, which it looks for once a second. */
	pid = nbdkit(socket, argv);
	assert_true(pid > 0);
	for (unsigned i = 0; i < 500 && read_sectors(7, back, 512) != OK; i++)
		usleep(10000);
	assert_int_equal(read_sectors(7, back, 512), OK);
	assert_string_equal(strrchr(d.message, ':'), ": the NBD server is back");
	assert_int_equal(request(FLUSH, 0, 0, 0, false, NULL), IOERR); /* what was written before is lost */
	assert_non_null(strstr(d.message, "data that was not flushed"));
	assert_int_equal(write_sectors(7, data, 512), OK);
	assert_int_equal(request(FLUSH, 0, 0, 0, false, NULL), OK);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	unlink(socket);

	/* And one that is not the same. */
	argv[5] = "2000300";
	assert_int_equal(read_sectors(7, back, 512), IOERR);
	pid = nbdkit(socket, argv);
	for (unsigned i = 0; i < 500 && !strstr(d.message, "another export"); i++) {
		assert_int_equal(read_sectors(7, back, 512), IOERR);
		usleep(10000);
	}
	if (!strstr(d.message, "back with another export"))
		fail_msg("%s", d.message);
	assert_int_equal(read_sectors(7, back, 512), IOERR);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	unlink(socket);
}

static void requests_under_way_are_errors_when_the_server_vanishes(void **state)
{
	char socket[80], uri[160];
	char *argv[] = {"nbdkit", "-f", "-U", socket, "--filter=delay", "memory", "1M", "rdelay=600", NULL};
	uint64_t data = take(&d, 512);
	uint8_t *status[10]; /* fewer than nbdkit has threads */
	uint16_t head;
	uint32_t len;
	unsigned n = 0;
	pid_t pid;

#ifndef HAVE_LIBNBD
	skip();
#endif
	snprintf(socket, sizeof(socket), "%s/nbd", dir);
	snprintf(uri, sizeof(uri), "nbd+unix:///?socket=%s", socket);
	pid = nbdkit(socket, argv);
	if (pid < 0)
		skip();
	d.vd = blk_create(&d.host, uri, &error);
	if (!d.vd)
		fail_msg("%s", error.text);
	driver_start(&d, 0);
	assert_int_equal(write_sectors(3, data, 512), OK); /* nothing delays it */
	for (unsigned i = 0; i < 10; i++)
		status[i] = offer_sector(IN, i, data, &head);
	kick(&d, 0);
	assert_int_equal(write_sectors(4, data, 512), OK); /* and the reads do not either */
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	for (unsigned i = 0; i < 500 && n < 10; i++) {
		virtio_turn(d.vd, 100);
		while (used(&d, 0, &head, &len))
			n++;
	}
	assert_int_equal(n, 10);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(*status[i], IOERR);
	assert_int_equal(d.messages, 1);
	assert_non_null(strstr(d.message, "the NBD server has gone"));
	unlink(socket);
}

/* Each sector is read and written by one request at a time, and there are many. */
static void many_requests_at_once_leave_the_data_right(void **state)
{
	enum { N = 12, ROUNDS = 100, LONG = 700 << 10 };
	char socket[80], uri[160];
	char *argv[] = {"nbdkit", "-f", "-U", socket, "memory", "12M", NULL};
	uint64_t data = take(&d, N * 512), big = take(&d, LONG);
	pid_t pid;

#ifndef HAVE_LIBNBD
	skip();
#endif
	snprintf(socket, sizeof(socket), "%s/nbd", dir);
	snprintf(uri, sizeof(uri), "nbd+unix:///?socket=%s", socket);
	pid = nbdkit(socket, argv);
	if (pid < 0)
		skip();
	d.vd = blk_create(&d.host, uri, &error);
	if (!d.vd)
		fail_msg("%s", error.text);
	driver_start(&d, 0);
	for (unsigned round = 0; round < ROUNDS; round++) {
		uint64_t keep = d.data;
		uint8_t *status[N];
		uint16_t head;
		uint32_t len;

		for (unsigned i = 0; i < N; i++) {
			if (round % 2 == 0)
				memset(at(&d, data + i * 512), (int)(round + i), 512);
			else
				memset(at(&d, data + i * 512), 0xee, 512);
			status[i] = offer_sector(round % 2 ? IN : OUT, i * 1000, data + i * 512, &head);
		}
		kick(&d, 0);
		for (unsigned n = 0; n < N;) {
			virtio_turn(d.vd, 1000);
			while (used(&d, 0, &head, &len))
				n++;
		}
		for (unsigned i = 0; i < N; i++) {
			assert_int_equal(*status[i], OK);
			assert_int_equal(*(uint8_t *)at(&d, data + i * 512 + 511), (uint8_t)((round & ~1u) + i));
		}
		d.data = keep;
	}
	for (unsigned i = 0; i < LONG; i++) /* in parts */
		*(uint8_t *)at(&d, big + i) = (uint8_t)(i / 511);
	assert_int_equal(write_sectors(1, big, LONG), OK);
	memset(at(&d, big), 0, LONG);
	assert_int_equal(read_sectors(1, big, LONG), OK);
	for (unsigned i = 0; i < LONG; i++)
		if (*(uint8_t *)at(&d, big + i) != (uint8_t)(i / 511))
			fail_msg("byte %u", i);
	assert_int_equal(request(FLUSH, 0, 0, 0, false, NULL), OK);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	unlink(socket);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(the_configuration_describes_the_disk),
		T(what_is_written_is_in_the_file_and_read_back),
		T(a_request_may_be_cut_anywhere),
		T(requests_outside_the_disk_are_errors),
		T(a_request_without_header_or_status_breaks_the_device),
		T(zeroes_and_discarded_blocks_read_as_zeroes),
		T(the_serial_number_is_the_users),
		T(a_read_only_disk_cannot_be_written),
		T(a_snapshot_is_a_disk_that_leaves_its_file_alone),
		T(a_file_with_a_piece_of_a_sector_at_its_end_has_the_sector),
		T(a_file_that_becomes_shorter_gives_errors),
		T(a_full_host_disk_is_an_io_error_and_one_line),
		T(wrong_options_and_files_are_refused),
		T(several_requests_are_under_way_at_once_and_end_in_any_order),
		T(no_more_are_begun_than_there_is_room_for_and_none_is_forgotten),
		T(a_reset_and_a_queue_that_stops_wait_for_what_is_under_way),
		T(an_NBD_server_is_a_disk_until_it_vanishes),
		T(requests_under_way_are_errors_when_the_server_vanishes),
		T(many_requests_at_once_leave_the_data_right),
	};
	int rc;

	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof(path), "%s/disk", dir);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(dir);
	return rc;
}
