/* SPDX-License-Identifier: MIT */
/*
 * The console device: VIRTIO 1.2, section 5.3, with one port (hvc0), beside the UART. Its other end is a pseudo-terminal, a
 * unix socket that takes one client at a time, or a file for the output. Output that nobody could see is dropped: without a
 * client, and when a pseudo-terminal is full. A client that is slow makes the guest wait.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "devices.h"
#include "unix_listen.h"

enum { QUEUE_RX = 0, QUEUE_TX = 1, OUT_MAX = 64 << 10 };
enum { F_EMERG_WRITE = 2, CONFIG_EMERG_WR = 8, CONFIG_SIZE = 12 };

struct vconsole {
	struct virtio vd;
	enum { PTY, UNIX, FILE_ONLY } kind;
	int listener; /* UNIX; -1 else */
	int fd;	      /* -1: no client */
	int slave;    /* PTY: held open, so that the master lives without a reader */
	char *path;   /* UNIX: to be removed */
	/* under the run lock */
	uint8_t out[OUT_MAX];
	size_t out_at, out_len;
	struct iovec part[VIRTIO_MAX_SEGS];
	/* under config_lock */
	uint8_t emergency[256];
	unsigned n_emergency;
};

static void client_gone(struct vconsole *v)
{
	if (v->kind == UNIX && v->fd >= 0) {
		close(v->fd);
		v->fd = -1;
	}
	v->out_len = 0;
}

/* Writes what waits. Afterwards nothing waits, or the client is slow. */
static void flush_out(struct vconsole *v)
{
	while (v->out_len) {
		ssize_t n = v->fd < 0	      ? (ssize_t)v->out_len
			    : v->kind == UNIX ? send(v->fd, v->out + v->out_at, v->out_len, MSG_NOSIGNAL | MSG_DONTWAIT)
					      : write(v->fd, v->out + v->out_at, v->out_len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN && v->kind == UNIX)
			return;
		if (n < 0) {
			client_gone(v);
			return;
		}
		v->out_at += (size_t)n;
		v->out_len -= (size_t)n;
	}
}

static void transmit(struct vconsole *v)
{
	struct virtq *q = &v->vd.q[QUEUE_TX];
	struct virtq_chain *c = &v->vd.chain;
	unsigned left = q->size;

	do {
		virtq_quiet(q);
		while (!v->out_len && left && virtq_pop(q, c)) {
			v->out_at = 0;
			v->out_len = chain_read(c, 0, v->out, sizeof(v->out)); /* Linux has 32 KiB at most */
			virtq_push(q, c, 0);
			virtio_signal(&v->vd, q);
			flush_out(v);
			left--;
		}
	} while (!v->out_len && left && virtq_rearm(q));
	q->again = !left;
}

static void receive(struct vconsole *v)
{
	struct virtq *q = &v->vd.q[QUEUE_RX];
	struct virtq_chain *c = &v->vd.chain;
	uint16_t mark = virtq_mark(q);
	ssize_t n;

	if (!virtio_running(&v->vd) || !virtq_pop(q, c))
		return;
	if (!c->n_in) {
		virtq_push(q, c, 0);
		return;
	}
	n = readv(v->fd, c->iov + c->n_out, c->n_in < 64 ? (int)c->n_in : 64);
	if (n > 0) {
		virtq_push(q, c, (uint32_t)n);
		virtio_signal(&v->vd, q);
		return;
	}
	virtq_rewind(q, mark);
	if (!n || (errno != EAGAIN && errno != EINTR))
		client_gone(v);
}

static void vconsole_notify(struct virtio *vd, struct virtq *q)
{
	if (q->index == QUEUE_TX)
		transmit((struct vconsole *)vd);
	/* Buffers to receive into: poll_fill looks. */
}

/* The configuration's emerg_wr: a character without any queue, for a kernel in distress. */
static void vconsole_config_write(struct virtio *vd, unsigned off, unsigned len, uint32_t val)
{
	struct vconsole *v = (struct vconsole *)vd;

	if (off != CONFIG_EMERG_WR || v->n_emergency == sizeof(v->emergency))
		return;
	v->emergency[v->n_emergency++] = (uint8_t)val;
	virtio_wake(vd);
}

static void emergency(struct vconsole *v)
{
	pthread_mutex_lock(&v->vd.config_lock);
	if (!v->out_len && v->n_emergency) {
		memcpy(v->out, v->emergency, v->n_emergency);
		v->out_at = 0;
		v->out_len = v->n_emergency;
		v->n_emergency = 0;
	}
	pthread_mutex_unlock(&v->vd.config_lock);
	flush_out(v);
}

static void vconsole_poll_fill(struct virtio *vd, struct pollfds *set)
{
	struct vconsole *v = (struct vconsole *)vd;
	short events = v->out_len ? POLLOUT : 0;

	if (v->fd < 0) {
		pollfds_add(set, v->listener, POLLIN);
		return;
	}
	if (v->kind != FILE_ONLY && virtio_running(vd) && virtq_rearm(&vd->q[QUEUE_RX])) {
		virtq_quiet(&vd->q[QUEUE_RX]);
		events |= POLLIN;
	}
	if (events)
		pollfds_add(set, v->fd, events);
}

static void vconsole_poll_done(struct virtio *vd, struct pollfds *set)
{
	struct vconsole *v = (struct vconsole *)vd;

	if (v->fd < 0 && v->listener >= 0 && pollfds_seen(set, v->listener))
		v->fd = accept4(v->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	else if (v->fd >= 0 && pollfds_seen(set, v->fd) & (POLLIN | POLLHUP | POLLERR))
		receive(v);
	emergency(v);
	if (virtio_running(vd))
		transmit(v); /* what waited for the client */
}

static void vconsole_reset(struct virtio *vd)
{
	((struct vconsole *)vd)->out_len = 0;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

static void vconsole_free(struct virtio *vd)
{
	struct vconsole *v = (struct vconsole *)vd;

	close_fd(v->fd);
	close_fd(v->listener);
	close_fd(v->slave);
	if (v->path)
		unlink(v->path);
	free(v->path);
	virtio_destroy(vd);
	free(v);
}

static const struct virtio_ops vconsole_ops = {
	.name = "a console",
	.id = VIRTIO_ID_CONSOLE,
	.n_queues = 2,
	.queue_size = 64,
	.notify = vconsole_notify,
	.reset = vconsole_reset,
	.config_write = vconsole_config_write,
	.poll_fill = vconsole_poll_fill,
	.poll_done = vconsole_poll_done,
	.free = vconsole_free,
};

/* ---- the other end */

static int open_pty(struct vconsole *v, struct vmm_error *err)
{
	struct termios t;
	char name[64], text[128];

	v->fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (v->fd < 0 || grantpt(v->fd) || unlockpt(v->fd) || ptsname_r(v->fd, name, sizeof(name)) ||
	    (v->slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC)) < 0)
		return vmm_fail(err, "--console pty: %s", strerror(errno));
	if (!tcgetattr(v->slave, &t)) {
		cfmakeraw(&t);
		tcsetattr(v->slave, TCSANOW, &t);
	}
	snprintf(text, sizeof(text), "the virtio console is %s", name);
	v->vd.host->message(v->vd.host->arg, text);
	return 0;
}

static int open_unix(struct vconsole *v, const char *path, struct vmm_error *err)
{
	v->listener = unix_listen("console", path, 1, err);
	if (v->listener < 0)
		return -1;
	v->path = strdup(path);
	if (v->vd.host->sandbox && v->path)
		v->vd.host->sandbox->sockets[v->vd.host->sandbox->n_sockets++] = v->path;
	return 0;
}

static int open_end(struct vconsole *v, const char *arg, struct vmm_error *err)
{
	if (!strcmp(arg, "pty")) {
		v->kind = PTY;
		return open_pty(v, err);
	}
	if (!strncmp(arg, "unix:", 5)) {
		v->kind = UNIX;
		return open_unix(v, arg + 5, err);
	}
	v->kind = FILE_ONLY;
	v->fd = open(arg + 5, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK, 0666);
	return v->fd < 0 ? vmm_fail(err, "--console: %.300s: %s", arg + 5, strerror(errno)) : 0;
}

int vconsole_check(const char *arg, struct vmm_error *err)
{
	if (!strcmp(arg, "pty") || ((!strncmp(arg, "unix:", 5) || !strncmp(arg, "file:", 5)) && arg[5]))
		return 0;
	return vmm_fail(err, "'%.200s' is none of pty, unix:PATH, file:PATH", arg);
}

struct virtio *vconsole_create(const struct virtio_host *host, const char *arg, struct vmm_error *err)
{
	struct vconsole *v = calloc(1, sizeof(*v));

	if (!v || virtio_init(&v->vd, &vconsole_ops, host, 1u << F_EMERG_WRITE)) {
		vmm_fail(err, "cannot make a console: %s", strerror(errno));
		free(v);
		return NULL;
	}
	v->vd.config_size = CONFIG_SIZE;
	v->fd = v->listener = v->slave = -1;
	if (vconsole_check(arg, err) || open_end(v, arg, err)) {
		vconsole_free(&v->vd);
		return NULL;
	}
	return &v->vd;
}
