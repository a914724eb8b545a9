/* SPDX-License-Identifier: MIT */
/*
 * Storage on an NBD server, by libnbd(3): what qemu-nbd, nbdkit and others serve, in any format that they know. Transfers and
 * flushes go to it as they come, and come back in any order; the rest, and what a snapshot reads, is one command at a time. A server
 * that goes away, or does not answer for a minute, is gone, and requests are errors until it is back: they are what looks for it, once a
 * second at the most. It must then have the same export. What was written and not flushed may have gone with it, so the next flush is an
 * error, as fsync(2) is after one.
 */
#include "blk.h"

#include <errno.h>

#ifdef HAVE_LIBNBD
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libnbd.h>

#include "library.h"

enum {
	PART_MAX = 2 << 20,
	IO_PART_MAX = 512 << 10, /* of each of those that are under way at once */
	PATIENCE_MS = 60000,
	LOOK_MS = 250 /* between looks at quit */,
	CONNECT_MS = 3000,
	RETRY_MS = 1000,
	GOODBYE_MS = 1000
};

/* What is called of the library, which is loaded with the first disk that wants it: it brings a dozen others along. */
/* clang-format off */
#define FUNCTIONS(F) \
	F(close) F(aio_get_direction) F(aio_get_fd) F(aio_notify_read) F(aio_notify_write) F(aio_is_dead) \
	F(aio_is_closed) F(aio_is_ready) F(aio_command_completed) F(get_errno) F(get_size) \
	F(get_block_size) F(get_error) F(is_read_only) F(can_flush) F(can_trim) F(can_zero) F(create) \
	F(aio_connect_uri) F(aio_is_connecting) F(aio_pread) F(aio_pwrite) F(aio_flush) F(aio_trim) \
	F(aio_zero) F(aio_peek_command_completed) F(aio_disconnect) F(connect_uri)
/* clang-format on */
static struct {
#define FUNCTION(name) __typeof__(nbd_##name) *name;
	FUNCTIONS(FUNCTION)
#undef FUNCTION
} lib;

static bool load(const char **why)
{
#define FUNCTION(name) {"nbd_" #name, &lib.name},
	static const struct library_function functions[] = {FUNCTIONS(FUNCTION)};
#undef FUNCTION

	return library_load("libnbd.so.0", functions, sizeof(functions) / sizeof(functions[0]), why);
}

struct blk_nbd {
	struct blk_store store;
	struct nbd_handle *h; /* NULL: gone */
	uint8_t *buf;	      /* PART_MAX bytes, so that no late answer gets into the guest's memory */
	uint32_t part_max;
	bool flush, trim, zero;
	char *uri;
	int64_t retry_at; /* ms: gone, and not looked for before */
	/* A flush makes safe what was written when it began. */
	uint64_t written, flushed; /* writes that the guest was told are done; those of them that are safe */
	bool lost;		   /* the server has gone with some that were not */
	struct blk_io *ios;	   /* under way, on h */
};

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void io_end(struct blk_io *io, int error)
{
	free(io->buf);
	io->buf = NULL;
	io->done(io, error);
}

/* All that is under way is an error; nobody begins anything from done(). */
static int gone(struct blk_nbd *b, const char *why)
{
	struct blk_io *io;

	b->store.why = why;
	b->lost |= b->written != b->flushed;
	b->flushed = b->written;
	b->retry_at = now_ms() + RETRY_MS;
	if (b->h)
		lib.close(b->h); /* before a buffer may be used again */
	b->h = NULL;
	while ((io = b->ios)) {
		b->ios = io->next;
		b->store.why = why;
		io_end(io, ENOTCONN);
	}
	b->store.why = why;
	return ENOTCONN;
}

/*
 * Moves the connection on, or waits for that. Only for what is ready now: libnbd 1.14 that is told of an answer and finds none sends no
 * command before there is one.
 */
static void move_on(struct nbd_handle *h, int timeout_ms)
{
	unsigned direction = lib.aio_get_direction(h);
	struct pollfd p = {.fd = lib.aio_get_fd(h)};

	if (direction & LIBNBD_AIO_DIRECTION_READ)
		p.events |= POLLIN;
	if (direction & LIBNBD_AIO_DIRECTION_WRITE)
		p.events |= POLLOUT;
	if (poll(&p, 1, timeout_ms) <= 0)
		return;
	if (direction & LIBNBD_AIO_DIRECTION_READ && p.revents & (POLLIN | POLLHUP | POLLERR))
		lib.aio_notify_read(h);
	else if (direction & LIBNBD_AIO_DIRECTION_WRITE && p.revents & (POLLOUT | POLLHUP | POLLERR))
		lib.aio_notify_write(h);
}

static bool is_gone(struct nbd_handle *h)
{
	return lib.aio_is_dead(h) || lib.aio_is_closed(h);
}

static int finish(struct blk_nbd *b, int64_t cookie)
{
	int64_t until = now_ms() + PATIENCE_MS;

	if (cookie < 0)
		return lib.aio_is_ready(b->h) ? EIO : gone(b, "the NBD server has gone");
	for (;;) {
		int rc = lib.aio_command_completed(b->h, (uint64_t)cookie);

		if (rc > 0)
			return 0;
		if (is_gone(b->h))
			return gone(b, "the NBD server has gone");
		if (rc < 0) {
			b->store.why = NULL;
			return lib.get_errno() ? lib.get_errno() : EIO;
		}
		if (atomic_load(b->store.quit))
			return gone(b, "the machine is ending");
		if (now_ms() > until)
			return gone(b, "the NBD server does not answer");
		move_on(b->h, LOOK_MS);
	}
}

/* What is there, of an export: false with a reason if it does not do for this disk. */
static bool take_export(struct blk_nbd *b, struct nbd_handle *h, bool read_only, const char **why)
{
	int64_t size = lib.get_size(h), min = lib.get_block_size(h, LIBNBD_SIZE_MINIMUM),
		max = lib.get_block_size(h, LIBNBD_SIZE_MAXIMUM);

	if (size <= 0)
		*why = size ? lib.get_error() : "an export of no bytes";
	else if (!read_only && lib.is_read_only(h) > 0)
		*why = "the export is read-only: use ,ro or ,snapshot";
	else if (min > 4096)
		*why = "its blocks are larger than the 4096 bytes that a guest can have";
	else if (b->store.size && ((uint64_t)size != b->store.size || min > (int64_t)b->store.block_size))
		*why = "the NBD server is back with another export";
	else
		*why = NULL;
	if (*why)
		return false;
	b->store.size = (uint64_t)size;
	if (!b->store.block_size)
		b->store.block_size = min > BLK_SECTOR ? (unsigned)min : BLK_SECTOR;
	b->part_max = max > 0 && max < PART_MAX ? (uint32_t)max : PART_MAX;
	b->flush = lib.can_flush(h) > 0;
	b->trim = lib.can_trim(h) > 0;
	b->zero = lib.can_zero(h) > 0;
	return true;
}

/* 0: connected, or looked for and found; else the error that requests have. */
static int look(struct blk_nbd *b)
{
	int64_t until = now_ms() + CONNECT_MS;
	struct nbd_handle *h;
	const char *why;

	if (b->h)
		return 0;
	if (b->retry_at == INT64_MAX)
		return ESTALE;
	if (now_ms() < b->retry_at)
		return ENOTCONN;
	b->retry_at = now_ms() + RETRY_MS;
	h = lib.create();
	if (!h)
		return ENOMEM;
	if (!lib.aio_connect_uri(h, b->uri))
		while (lib.aio_is_connecting(h) && now_ms() < until && !atomic_load(b->store.quit))
			move_on(h, LOOK_MS);
	if (!lib.aio_is_ready(h) || !take_export(b, h, b->store.read_only, &why)) {
		if (lib.aio_is_ready(h)) {
			b->store.why = "the NBD server is back with another export";
			b->retry_at = INT64_MAX;
		}
		lib.close(h);
		return b->retry_at == INT64_MAX ? ESTALE : ENOTCONN;
	}
	b->h = h;
	b->store.news = "the NBD server is back";
	return 0;
}

/* The server's last sector may be shorter than a sector: the rest reads as zeroes, and cannot be written. */
static uint64_t clip(const struct blk_nbd *b, uint64_t off, uint64_t len)
{
	return off >= b->store.size ? 0 : len < b->store.size - off ? len : b->store.size - off;
}

/* A part of io is over: read, or written. */
static void io_part_done(struct blk_nbd *b, struct blk_io *io)
{
	if (io->kind == BLK_IO_READ) {
		memset(io->buf + io->there, 0, io->part - io->there);
		iov_write(io->iov, io->n, io->at, io->buf, io->part);
	} else {
		b->written++;
	}
	io->at += io->part;
}

static int nbd_read(struct blk_store *s, const struct iovec *iov, unsigned n, uint64_t off, uint64_t len)
{
	struct blk_nbd *b = (struct blk_nbd *)s;

	for (uint64_t done = 0; done < len;) {
		size_t part = len - done < b->part_max ? len - done : b->part_max;
		size_t there = clip(b, off + done, part);
		int error = look(b);

		if (!error && there)
			error = finish(b, lib.aio_pread(b->h, b->buf, there, off + done, NBD_NULL_COMPLETION, 0));
		if (error)
			return error;
		memset(b->buf + there, 0, part - there);
		iov_write(iov, n, done, b->buf, part);
		done += part;
	}
	return 0;
}

static int nbd_write(struct blk_store *s, const struct iovec *iov, unsigned n, uint64_t off, uint64_t len)
{
	struct blk_nbd *b = (struct blk_nbd *)s;

	for (uint64_t done = 0; done < len;) {
		size_t part = len - done < b->part_max ? len - done : b->part_max;
		size_t there = clip(b, off + done, part);
		int error = look(b);

		iov_read(iov, n, done, b->buf, part);
		if (!error && there)
			error = finish(b, lib.aio_pwrite(b->h, b->buf, there, off + done, NBD_NULL_COMPLETION, 0));
		if (error)
			return error;
		b->written++;
		done += part;
	}
	return 0;
}

/* The server has flushed what was written before; the error that the guest gets. */
static int flush_done(struct blk_nbd *b, uint64_t covers)
{
	if (b->lost) {
		b->store.why = "the NBD server went with data that was not flushed";
		b->lost = false;
		return EIO;
	}
	if (covers > b->flushed)
		b->flushed = covers;
	return 0;
}

static int nbd_flush_all(struct blk_store *s)
{
	struct blk_nbd *b = (struct blk_nbd *)s;
	uint64_t covers = b->written;
	int error = look(b);

	if (!error && b->flush)
		error = finish(b, lib.aio_flush(b->h, NBD_NULL_COMPLETION, 0));
	return error ? error : flush_done(b, covers);
}

static int nbd_discard(struct blk_store *s, uint64_t off, uint64_t len)
{
	struct blk_nbd *b = (struct blk_nbd *)s;
	int error = look(b);

	len = clip(b, off, len);
	if (error)
		return error;
	b->written++;
	return b->trim && len ? finish(b, lib.aio_trim(b->h, len, off, NBD_NULL_COMPLETION, 0)) : 0;
}

static int write_zeroes(struct blk_nbd *b, uint64_t off, uint64_t len)
{
	memset(b->buf, 0, b->part_max);
	for (uint64_t done = 0; done < len;) {
		size_t part = len - done < b->part_max ? len - done : b->part_max;
		int error = !b->h ? ENOTCONN
				  : finish(b, lib.aio_pwrite(b->h, b->buf, part, off + done, NBD_NULL_COMPLETION, 0));

		if (error)
			return error;
		done += part;
	}
	return 0;
}

static int nbd_zero_range(struct blk_store *s, uint64_t off, uint64_t len, bool unmap)
{
	struct blk_nbd *b = (struct blk_nbd *)s;
	int error = look(b);

	len = clip(b, off, len);
	if (error)
		return error;
	if (!len)
		return 0;
	b->written++;
	if (!b->zero)
		return write_zeroes(b, off, len);
	return finish(b, lib.aio_zero(b->h, len, off, NBD_NULL_COMPLETION, unmap ? 0 : LIBNBD_CMD_FLAG_NO_HOLE));
}

/* ---- several at a time */

/* The next command of io, which is on no list. */
static void io_go(struct blk_nbd *b, struct blk_io *io)
{
	int error = 0;

	for (io->cookie = 0; !io->cookie && !error;) {
		uint64_t off = io->off + io->at, left = io->len - io->at;

		error = look(b);
		if (error)
			break;
		if (io->kind == BLK_IO_FLUSH && b->flush) {
			io->cookie = lib.aio_flush(b->h, NBD_NULL_COMPLETION, 0);
			break;
		}
		if (!left) { /* a flush that the server does not know, or nothing */
			error = io->kind == BLK_IO_FLUSH ? flush_done(b, io->covers) : 0;
			io_end(io, error);
			return;
		}
		io->part = left < IO_PART_MAX ? left : IO_PART_MAX;
		if (io->part > b->part_max)
			io->part = b->part_max;
		io->there = clip(b, off, io->part);
		if (!io->buf)
			io->buf = malloc(io->part); /* the first is the longest */
		if (!io->buf)
			error = ENOMEM;
		else if (io->kind == BLK_IO_WRITE)
			iov_read(io->iov, io->n, io->at, io->buf, io->part);
		if (!error && io->there)
			io->cookie = io->kind == BLK_IO_READ
					     ? lib.aio_pread(b->h, io->buf, io->there, off, NBD_NULL_COMPLETION, 0)
					     : lib.aio_pwrite(b->h, io->buf, io->there, off, NBD_NULL_COMPLETION, 0);
		else if (!error)
			io_part_done(b, io); /* behind the end */
	}
	if (io->cookie < 0)
		error = lib.aio_is_ready(b->h) ? EIO : gone(b, "the NBD server has gone");
	if (error) {
		io_end(io, error);
		return;
	}
	io->until_ms = now_ms() + PATIENCE_MS;
	io->next = b->ios;
	b->ios = io;
}

static void nbd_submit(struct blk_store *s, struct blk_io *io)
{
	struct blk_nbd *b = (struct blk_nbd *)s;

	io->at = 0;
	io->buf = NULL;
	io->covers = b->written;
	if (io->kind == BLK_IO_FLUSH)
		io->len = 0;
	io_go(b, io);
}

static struct blk_io *io_take(struct blk_nbd *b, int64_t cookie)
{
	for (struct blk_io **p = &b->ios; *p; p = &(*p)->next)
		if ((*p)->cookie == cookie) {
			struct blk_io *io = *p;

			*p = io->next;
			return io;
		}
	return NULL; /* one of those that are waited for, which asks for itself */
}

static void io_answered(struct blk_nbd *b, struct blk_io *io, int rc)
{
	if (rc < 0 && is_gone(b->h)) {
		io_end(io, gone(b, "the NBD server has gone"));
	} else if (rc < 0) {
		b->store.why = NULL;
		io_end(io, lib.get_errno() ? lib.get_errno() : EIO);
	} else if (io->kind == BLK_IO_FLUSH) {
		io_end(io, flush_done(b, io->covers));
	} else {
		io_part_done(b, io);
		if (io->at < io->len)
			io_go(b, io);
		else
			io_end(io, 0);
	}
}

/* What the server has answered. Whether there was something. */
static bool collect(struct blk_nbd *b)
{
	bool any = false;
	int64_t cookie;

	while (b->ios && (cookie = lib.aio_peek_command_completed(b->h)) > 0) {
		struct blk_io *io = io_take(b, cookie);
		int rc = lib.aio_command_completed(b->h, (uint64_t)cookie);

		if (io)
			io_answered(b, io, rc);
		any = true;
	}
	if (b->ios && is_gone(b->h)) {
		gone(b, "the NBD server has gone");
		return true;
	}
	for (const struct blk_io *io = b->ios; io; io = io->next)
		if (now_ms() > io->until_ms) {
			gone(b, "the NBD server does not answer");
			return true;
		}
	return any;
}

static void nbd_poll_fill(struct blk_store *s, struct pollfds *set)
{
	struct blk_nbd *b = (struct blk_nbd *)s;
	unsigned direction;

	if (!b->ios)
		return;
	direction = lib.aio_get_direction(b->h);
	pollfds_add(set, lib.aio_get_fd(b->h),
		    (direction & LIBNBD_AIO_DIRECTION_READ ? POLLIN : 0) |
			    (direction & LIBNBD_AIO_DIRECTION_WRITE ? POLLOUT : 0));
	if (set->timeout_ms < 0 || set->timeout_ms > LOOK_MS)
		set->timeout_ms = LOOK_MS; /* for those that are late */
}

static bool nbd_poll_done(struct blk_store *s)
{
	struct blk_nbd *b = (struct blk_nbd *)s;

	if (!b->ios)
		return false;
	move_on(b->h, 0); /* what poll_fill's wait has seen may be over */
	return collect(b);
}

static void nbd_drain(struct blk_store *s)
{
	struct blk_nbd *b = (struct blk_nbd *)s;

	/* Look before waiting: answers may be here already. */
	for (collect(b); b->ios; collect(b)) {
		if (atomic_load(s->quit))
			gone(b, "the machine is ending");
		else
			move_on(b->h, LOOK_MS);
	}
}

/* As the protocol wants it: no answer is outstanding, then a disconnect. nbdkit 1.32 fails an assertion else. Does not wait for long. */
static void take_leave(struct blk_nbd *b)
{
	int64_t until = now_ms() + GOODBYE_MS, cookie;

	while (b->ios && !is_gone(b->h) && now_ms() < until) {
		while ((cookie = lib.aio_peek_command_completed(b->h)) > 0) {
			struct blk_io *io = io_take(b, cookie);

			lib.aio_command_completed(b->h, (uint64_t)cookie);
			if (io)
				free(io->buf);
		}
		if (b->ios)
			move_on(b->h, GOODBYE_MS / 10);
	}
	if (!b->ios && lib.aio_is_ready(b->h) && !lib.aio_disconnect(b->h, 0))
		while (!is_gone(b->h) && now_ms() < until)
			move_on(b->h, GOODBYE_MS / 10);
}

static void nbd_store_close(struct blk_store *s)
{
	struct blk_nbd *b = (struct blk_nbd *)s;

	if (b->h) {
		take_leave(b);
		lib.close(b->h); /* before a buffer may be used again */
	}
	for (struct blk_io *io = b->ios; io; io = io->next)
		free(io->buf);
	free(b->buf);
	free(b->uri);
	free(b);
}

static const struct blk_ops blk_nbd_ops = {
	.read = nbd_read,
	.write = nbd_write,
	.flush = nbd_flush_all,
	.discard = nbd_discard,
	.zero = nbd_zero_range,
	.close = nbd_store_close,
	.submit = nbd_submit,
	.poll_fill = nbd_poll_fill,
	.poll_done = nbd_poll_done,
	.drain = nbd_drain,
};

static int setup(struct blk_nbd *b, const char *uri, bool read_only, struct vmm_error *err)
{
	const char *why;

	if (!b->h || !b->buf || !b->uri)
		return vmm_fail(err, "%.300s: no memory", uri);
	if (lib.connect_uri(b->h, uri)) {
		static const char function[] = "nbd_connect_uri: ";

		why = lib.get_error();
		if (!strncmp(why, function, sizeof(function) - 1))
			why += sizeof(function) - 1;
		return vmm_fail(err, "%.250s: %.250s", uri, why);
	}
	if (!take_export(b, b->h, read_only, &why))
		return vmm_fail(err, "%.250s: %.250s", uri, why);
	b->store.read_only = read_only;
	return 0;
}

struct blk_store *blk_nbd_open(const char *uri, bool read_only, struct vmm_error *err)
{
	static const atomic_bool never;
	struct blk_nbd *b;
	const char *why;

	if (!load(&why)) {
		vmm_fail(err, "%.250s: libnbd: %.200s", uri, why);
		return NULL;
	}
	b = calloc(1, sizeof(*b));
	if (!b) {
		vmm_fail(err, "%.300s: no memory", uri);
		return NULL;
	}
	b->store.ops = &blk_nbd_ops;
	b->store.quit = &never;
	b->h = lib.create();
	b->buf = malloc(PART_MAX);
	b->uri = strdup(uri);
	if (setup(b, uri, read_only, err)) {
		nbd_store_close(&b->store);
		return NULL;
	}
	return &b->store;
}

#else

struct blk_store *blk_nbd_open(const char *uri, bool read_only, struct vmm_error *err)
{
	vmm_fail(err, "%.300s: this pawl is built without libnbd", uri);
	return NULL;
}

#endif
