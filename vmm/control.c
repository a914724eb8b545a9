/* SPDX-License-Identifier: MIT */
/*
 * The control socket: a unix stream socket that takes a JSON object per line and answers each with one, RFC 8259.
 * pawl-run(1), "CONTROL SOCKET", is its documentation. It runs on the main thread's loop. Nothing here waits for a client:
 * one that does not read its answers is disconnected.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <jansson.h>

#include "machine.h"
#include "stats.h"
#include "unix_listen.h"
#include "virtio_board.h"

enum { MAX_CLIENTS = 8, LINE_MAX_BYTES = 4096 };

struct client {
	struct control *control;
	int fd;		 /* -1: a free place */
	uint64_t number; /* of this client among all */
	int passed;	 /* a descriptor that came with the bytes, or -1: the next command's */
	char line[LINE_MAX_BYTES];
	size_t len;
};

/* A core file is written on a thread of its own: it may take seconds, and a reader that is slow, for ever. */
struct vmcore_job {
	bool running; /* thread is valid; all vcpus are stopped */
	pthread_t thread;
	int fd;
	atomic_bool cancel;
	uint64_t client; /* who gets the answer, if it is still there */
	json_t *id;
	/* written by the thread, before done_fd */
	int rc;
	uint64_t size;
	struct vmm_error err;
};

struct control {
	struct machine *m;
	uint64_t n_clients; /* so far */
	struct vmcore_job job;
	int done_fd; /* eventfd: the job is done */
	int listen_fd;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* to be removed; "": none */
	struct client clients[MAX_CLIENTS];
};

/* ---- clients */

static void client_close(struct client *cl)
{
	if (cl->fd < 0)
		return;
	loop_remove(cl->control->m->loop, cl->fd);
	close(cl->fd);
	if (cl->passed >= 0)
		close(cl->passed);
	cl->fd = cl->passed = -1;
}

/* Takes the object. */
static void client_send(struct client *cl, json_t *object)
{
	char *text = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(12)) : NULL;
	size_t len = text ? strlen(text) : 0;

	json_decref(object);
	if (text && cl->fd >= 0) {
		text[len] = '\n'; /* in place of the NUL */
		if (send(cl->fd, text, len + 1, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)len + 1)
			client_close(cl);
	}
	free(text);
}

static void event(struct control *c, const char *name)
{
	for (unsigned i = 0; i < MAX_CLIENTS; i++)
		if (c->clients[i].fd >= 0)
			client_send(&c->clients[i], json_pack("{ss}", "event", name));
}

/* Takes the object, which is to be completed; NULL: it has failed. */
static void client_answer(struct client *cl, json_t *answer, json_t *id, const struct vmm_error *err)
{
	if (answer)
		json_object_set_new(answer, "ok", json_true());
	else
		answer = json_pack("{sb ss}", "ok", 0, "error", err->text);
	if (id)
		json_object_set(answer, "id", id);
	client_send(cl, answer);
}

/*
 * ---- commands: each returns an object to be completed by "ok", or NULL with a message, or this, for those that answer
 * when they are done
 */
static json_t *const later = (json_t *)&(char){0};

static json_t *do_status(struct client *cl, json_t *request, struct vmm_error *err)
{
	struct machine *m = cl->control->m;
	struct timespec now;
	int64_t ms;
	bool attached;

	clock_gettime(CLOCK_MONOTONIC, &now);
	ms = (now.tv_sec - m->started.tv_sec) * 1000 + (now.tv_nsec - m->started.tv_nsec) / 1000000;
	pthread_mutex_lock(&m->lock);
	attached = m->attached;
	pthread_mutex_unlock(&m->lock);
	return json_pack("{ss ss si si sI sb si sf}", "state", m->frozen & FREEZE_PAUSE ? "paused" : "running",
			 "version", PAWL_VERSION, "pid", (int)getpid(), "vcpus", (int)m->n_vcpus, "memory",
			 (json_int_t)m->ram.size, "debugger", (int)attached, "resets", (int)m->n_resets, "seconds",
			 (double)ms / 1000);
}

static json_t *do_pause(struct client *cl, json_t *request, struct vmm_error *err)
{
	if (!(cl->control->m->frozen & FREEZE_PAUSE)) {
		machine_freeze(cl->control->m, FREEZE_PAUSE);
		event(cl->control, "pause");
	}
	return json_object();
}

static json_t *do_resume(struct client *cl, json_t *request, struct vmm_error *err)
{
	if (cl->control->m->frozen & FREEZE_PAUSE) {
		machine_thaw(cl->control->m, FREEZE_PAUSE);
		event(cl->control, "resume");
	}
	return json_object();
}

static json_t *do_reset(struct client *cl, json_t *request, struct vmm_error *err)
{
	if (cl->control->job.running) {
		vmm_fail(err, "a core file is being written");
		return NULL;
	}
	machine_want_reset(cl->control->m);
	return json_object();
}

static json_t *do_powerdown(struct client *cl, json_t *request, struct vmm_error *err)
{
	struct machine *m = cl->control->m;

	if (!m->power_button.press) {
		vmm_fail(err, "this machine has no power button");
		return NULL;
	}
	m->power_button.press(m->power_button.arg);
	return json_object();
}

static json_t *do_quit(struct client *cl, json_t *request, struct vmm_error *err)
{
	machine_cut(cl->control->m, MACHINE_QUIT);
	return json_object();
}

static json_t *do_gdb(struct client *cl, json_t *request, struct vmm_error *err)
{
	struct machine *m = cl->control->m;
	const char *address = json_string_value(json_object_get(request, "address"));
	int rc;

	if (!address || !address[0]) {
		vmm_fail(err, "gdb needs an \"address\", a string");
		return NULL;
	}
	if (!m->config.listen_gdb) {
		vmm_fail(err, "there is no gdb server here");
		return NULL;
	}
	machine_freeze(m, FREEZE_WORK);
	rc = m->config.listen_gdb(m->config.listen_gdb_arg, m, address, err);
	machine_thaw(m, FREEZE_WORK);
	return rc ? NULL : json_object();
}

static void *vmcore_thread(void *arg)
{
	struct control *c = arg;
	uint64_t one = 1;

	c->job.rc = vmcore_write(c->m, c->job.fd, &c->job.cancel, &c->job.size, &c->job.err);
	if (close(c->job.fd) && !c->job.rc)
		c->job.rc = vmm_fail(&c->job.err, "cannot write the core file: %s", strerror(errno));
	if (write(c->done_fd, &one, sizeof(one)) < 0)
		abort(); /* an eventfd at 0 takes a 1 */
	return NULL;
}

/* Into the descriptor that came along, or a file that is made here if the process may. */
static json_t *do_vmcore(struct client *cl, json_t *request, struct vmm_error *err)
{
	struct control *c = cl->control;
	const char *file = json_string_value(json_object_get(request, "file"));
	int rc;

	if (c->job.running) {
		vmm_fail(err, "another core file is being written");
		return NULL;
	}
	c->job.fd = cl->passed;
	cl->passed = -1;
	if (c->job.fd < 0 && !file) {
		vmm_fail(err, "vmcore needs a \"file\", a string, or a descriptor that comes with the request");
		return NULL;
	}
	if (c->job.fd < 0)
		c->job.fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (c->job.fd < 0) {
		vmm_fail(err, "%s: %s%s", file, strerror(errno),
			 errno == EACCES || errno == EPERM ? " (is it the sandbox? 'pawl control' brings its own file)"
							   : "");
		return NULL;
	}
	machine_freeze(c->m, FREEZE_VMCORE);
	atomic_store(&c->job.cancel, false);
	rc = pthread_create(&c->job.thread, NULL, vmcore_thread, c);
	if (rc) {
		close(c->job.fd);
		machine_thaw(c->m, FREEZE_VMCORE);
		vmm_fail(err, "cannot start a thread: %s", strerror(rc));
		return NULL;
	}
	c->job.running = true;
	c->job.client = cl->number;
	c->job.id = json_incref(json_object_get(request, "id"));
	return later;
}

static void vmcore_finish(struct control *c)
{
	pthread_join(c->job.thread, NULL);
	c->job.running = false;
	machine_thaw(c->m, FREEZE_VMCORE);
	for (unsigned i = 0; i < MAX_CLIENTS; i++)
		if (c->clients[i].fd >= 0 && c->clients[i].number == c->job.client)
			client_answer(&c->clients[i],
				      c->job.rc ? NULL : json_pack("{sI}", "size", (json_int_t)c->job.size), c->job.id,
				      &c->job.err);
	json_decref(c->job.id);
	c->job.id = NULL;
}

static void vmcore_done(void *arg)
{
	struct control *c = arg;
	uint64_t n;

	if (read(c->done_fd, &n, sizeof(n)) == sizeof(n) && c->job.running)
		vmcore_finish(c);
}

static json_t *do_balloon(struct client *cl, json_t *request, struct vmm_error *err)
{
	const char *size = json_string_value(json_object_get(request, "size"));
	uint64_t wanted, actual;

	if (virtio_slots_balloon(cl->control->m, size, &wanted, &actual, err))
		return NULL;
	return json_pack("{sI sI}", "size", (json_int_t)wanted, "actual", (json_int_t)actual);
}

static json_t *do_stats(struct client *cl, json_t *request, struct vmm_error *err)
{
	return stats_json(cl->control->m, err);
}

static json_t *do_help(struct client *cl, json_t *request, struct vmm_error *err);

static const struct command {
	const char *name;
	json_t *(*run)(struct client *cl, json_t *request, struct vmm_error *err);
	const char *help;
} commands[] = {
	{"status", do_status, "what the machine is doing"},
	{"pause", do_pause, "stop the virtual CPUs and the guest's time"},
	{"resume", do_resume, "let them go on"},
	{"reset", do_reset, "push the reset button"},
	{"powerdown", do_powerdown, "push the power button: the guest may shut down"},
	{"quit", do_quit, "end the machine, with status 5"},
	{"gdb", do_gdb, "listen for gdb at \"address\""},
	{"vmcore", do_vmcore, "write a core file for crash and drgn to \"file\""},
	{"balloon", do_balloon, "take \"size\" of memory, a string such as \"64M\", from the guest"},
	{"stats", do_stats, "what the virtual CPUs have done so far, in numbers"},
	{"help", do_help, "this list"},
};

enum { N_COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static json_t *do_help(struct client *cl, json_t *request, struct vmm_error *err)
{
	json_t *list = json_object();

	for (int i = 0; i < N_COMMANDS; i++)
		json_object_set_new(list, commands[i].name, json_string(commands[i].help));
	return json_pack("{so}", "commands", list);
}

static json_t *obey(struct client *cl, json_t *request, struct vmm_error *err)
{
	const char *name = json_string_value(json_object_get(request, "command"));

	if (!name) {
		vmm_fail(err, "a request is an object with a \"command\", a string");
		return NULL;
	}
	for (int i = 0; i < N_COMMANDS; i++)
		if (!strcmp(commands[i].name, name))
			return commands[i].run(cl, request, err);
	vmm_fail(err, "unknown command '%.40s'", name);
	return NULL;
}

/* One line, without its end. */
static void client_line(struct client *cl, const char *text, size_t len)
{
	struct vmm_error err = {"no memory"};
	json_error_t where;
	json_t *request, *answer = NULL;

	if (strspn(text, " \t\r") >= len)
		return;
	request = json_loadb(text, len, JSON_REJECT_DUPLICATES, &where);
	if (request)
		answer = obey(cl, request, &err);
	else
		vmm_fail(&err, "not JSON: %s, at byte %d", where.text, where.position);
	if (answer != later)
		client_answer(cl, answer, json_object_get(request, "id"), &err);
	json_decref(request);
	if (cl->passed >= 0) { /* nobody has taken it */
		close(cl->passed);
		cl->passed = -1;
	}
}

static void client_readable(void *arg)
{
	struct client *cl = arg;
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {cl->line + cl->len, sizeof(cl->line) - cl->len};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.space,
			     .msg_controllen = sizeof(control.space)};
	ssize_t n = recvmsg(cl->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *cmsg = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;
	char *end;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		client_close(cl);
		return;
	}
	if (cmsg && cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS &&
	    cmsg->cmsg_len >= CMSG_LEN(sizeof(int))) {
		if (cl->passed >= 0)
			close(cl->passed);
		memcpy(&cl->passed, CMSG_DATA(cmsg), sizeof(int));
	}
	cl->len += (size_t)n;
	while (cl->fd >= 0 && (end = memchr(cl->line, '\n', cl->len))) {
		size_t used = (size_t)(end - cl->line) + 1;

		client_line(cl, cl->line, used - 1);
		cl->len -= used;
		memmove(cl->line, end + 1, cl->len);
	}
	if (cl->fd >= 0 && cl->len == sizeof(cl->line)) {
		client_send(cl, json_pack("{sb ss}", "ok", 0, "error", "the line is too long"));
		client_close(cl);
	}
}

static void client_arrives(void *arg)
{
	struct control *c = arg;
	int fd = accept4(c->listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	for (unsigned i = 0; i < MAX_CLIENTS; i++) {
		struct client *cl = &c->clients[i];

		if (cl->fd >= 0)
			continue;
		if (!loop_add(c->m->loop, fd, client_readable, cl))
			break;
		cl->fd = fd;
		cl->len = 0;
		cl->number = ++c->n_clients;
		return;
	}
	close(fd); /* all places are taken */
}

/* ---- life */

struct control *control_start(struct machine *m, const char *path, struct vmm_error *err)
{
	struct control *c = calloc(1, sizeof(*c));
	mode_t mask;

	if (!c) {
		vmm_fail(err, "no memory for the control socket");
		return NULL;
	}
	c->m = m;
	c->listen_fd = -1;
	c->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	for (unsigned i = 0; i < MAX_CLIENTS; i++) {
		c->clients[i].control = c;
		c->clients[i].fd = c->clients[i].passed = -1;
	}
	mask = umask(077); /* whoever may connect rules the machine */
	c->listen_fd = unix_listen("control", path, 8, err);
	umask(mask);
	if (c->listen_fd < 0)
		goto fail;
	strcpy(c->path, path); /* which has the length of one */
	if (c->done_fd < 0 || !loop_add(m->loop, c->done_fd, vmcore_done, c) ||
	    !loop_add(m->loop, c->listen_fd, client_arrives, c)) {
		vmm_fail(err, "--control: too many descriptors");
		goto fail;
	}
	return c;
fail:
	control_stop(c);
	return NULL;
}

void control_reset_done(struct control *c)
{
	if (c)
		event(c, "reset");
}

void control_stop(struct control *c)
{
	if (!c)
		return;
	if (c->job.running) {
		atomic_store(&c->job.cancel, true);
		vmcore_finish(c);
	}
	for (unsigned i = 0; i < MAX_CLIENTS; i++) {
		if (c->clients[i].fd >= 0)
			client_send(&c->clients[i], json_pack("{ss si}", "event", "end", "status", c->m->status));
		client_close(&c->clients[i]);
	}
	if (c->listen_fd >= 0) {
		loop_remove(c->m->loop, c->listen_fd);
		close(c->listen_fd);
	}
	if (c->done_fd >= 0) {
		loop_remove(c->m->loop, c->done_fd);
		close(c->done_fd);
	}
	if (c->path[0])
		unlink(c->path);
	free(c);
}
