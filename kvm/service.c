/* SPDX-License-Identifier: MIT */
/*
 * The VM's service thread: it stands in for the kernel's timers and for what irqfds do on a wake-up. Started on first
 * need with all signals blocked, so that no handler of the client ever runs on it; joined when the VM goes.
 *
 * It sleeps in epoll_wait on the client's eventfds, an eventfd of its own (stop), and one timerfd for the earliest
 * deadline. Arming an earlier deadline is a timerfd_settime by the thread that asks; arming a later one costs no system
 * call: the thread wakes once too early, finds nothing due and sleeps on. Callbacks run without the lock held.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "kvm.h"

enum { TOKEN_TIMER = 0, TOKEN_STOP = 1, TOKEN_FIRST_FD = 2, EVENTS = 16 };

_Static_assert(1000000000 % CPU_CNTFRQ == 0, "a tick is a whole number of nanoseconds");

struct service_fd {
	uint64_t token;
	int fd;
	void (*fn)(void *arg, int fd);
	void *arg;
	struct service_fd *next;
};

struct service {
	struct vm *vm;
	pthread_mutex_t lock;
	/* under lock */
	struct service_timer *timers; /* by deadline, earliest first */
	struct service_fd *fds;
	uint64_t next_token;
	uint64_t programmed; /* the timerfd goes off at this counter value; UINT64_MAX: it does not */
	const void *running; /* the service_timer or service_fd whose callback is under way */
	pthread_cond_t idle; /* running became NULL */
	bool started, stop;
	/* constant once started */
	pthread_t thread;
	int epoll, timer, wake;
};

static int add_to_epoll(struct service *s, int fd, uint32_t events, uint64_t token)
{
	struct epoll_event ev = {.events = events, .data.u64 = token};

	return epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &ev) ? -errno : 0;
}

/* ---- timers */

/* The timerfd goes off at that value of the system counter. Relative time, as the two clocks need not have the same
 * zero. */
static void program_locked(struct service *s, uint64_t deadline)
{
	enum { NS = 1000000000 };
	uint64_t now = cpu_group_counter(s->vm->group), left = deadline > now ? deadline - now : 0;
	struct itimerspec it = {.it_value = {.tv_sec = (time_t)(left / CPU_CNTFRQ),
					     .tv_nsec = (long)(left % CPU_CNTFRQ * (NS / CPU_CNTFRQ))}};

	if (!left)
		it.it_value.tv_nsec = 1; /* 0 would disarm it */
	s->programmed = deadline;
	timerfd_settime(s->timer, 0, &it, NULL);
}

static void unlink_locked(struct service *s, struct service_timer *t)
{
	struct service_timer **p = &s->timers;

	if (!t->queued)
		return;
	while (*p != t)
		p = &(*p)->next;
	*p = t->next;
	t->queued = false;
}

static void link_locked(struct service *s, struct service_timer *t, uint64_t deadline)
{
	struct service_timer **p = &s->timers;

	while (*p && (*p)->deadline <= deadline)
		p = &(*p)->next;
	t->deadline = deadline;
	t->next = *p;
	t->queued = true;
	*p = t;
}

static void run_unlocked(struct service *s, const void *what, void (*fn)(void *), void *arg)
{
	s->running = what;
	pthread_mutex_unlock(&s->lock);
	fn(arg);
	pthread_mutex_lock(&s->lock);
	s->running = NULL;
	pthread_cond_broadcast(&s->idle);
}

/* Everything that is due, in the order of the deadlines; then sleep until the next. */
static void expire_locked(struct service *s)
{
	struct service_timer *t;

	while ((t = s->timers) && t->deadline <= cpu_group_counter(s->vm->group) && !s->stop) {
		unlink_locked(s, t);
		run_unlocked(s, t, t->fn, t->arg);
	}
	if (s->timers)
		program_locked(s, s->timers->deadline);
	else
		s->programmed = UINT64_MAX; /* it has gone off; if it has not, that wakes us once for nothing */
}

/* ---- descriptors */

struct fd_call {
	void (*fn)(void *arg, int fd);
	void *arg;
	int fd;
};

static void call_fd(void *arg)
{
	const struct fd_call *c = arg;

	c->fn(c->arg, c->fd);
}

/* The descriptor may have been removed since epoll_wait returned: tokens are never used twice. */
static void fd_ready_locked(struct service *s, uint64_t token)
{
	for (struct service_fd *f = s->fds; f; f = f->next) {
		if (f->token == token) {
			struct fd_call call = {f->fn, f->arg, f->fd};

			run_unlocked(s, f, call_fd, &call);
			return;
		}
	}
}

/* ---- the thread */

static void *service_main(void *arg)
{
	struct epoll_event ev[EVENTS];
	struct service *s = arg;

	pthread_mutex_lock(&s->lock);
	while (!s->stop) {
		int n;

		pthread_mutex_unlock(&s->lock);
		n = epoll_wait(s->epoll, ev, EVENTS, -1);
		pthread_mutex_lock(&s->lock);
		for (int i = 0; i < n && !s->stop; i++) {
			if (ev[i].data.u64 == TOKEN_TIMER)
				expire_locked(s);
			else
				fd_ready_locked(s, ev[i].data.u64);
		}
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

static int start_thread(struct service *s)
{
	sigset_t all, old;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&s->thread, NULL, service_main, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -err;
}

static void close_fds(struct service *s)
{
	int *fds[] = {&s->epoll, &s->timer, &s->wake};

	for (unsigned i = 0; i < 3; i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

static int start_locked(struct service *s)
{
	int err;

	if (s->started)
		return 0;
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	s->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = s->epoll < 0 || s->timer < 0 || s->wake < 0 ? -errno : 0;
	if (!err)
		err = add_to_epoll(s, s->timer, EPOLLIN | EPOLLET, TOKEN_TIMER); /* edge: nobody has to read it */
	if (!err)
		err = add_to_epoll(s, s->wake, EPOLLIN, TOKEN_STOP);
	if (!err)
		err = start_thread(s);
	if (err)
		close_fds(s);
	s->started = !err;
	return err;
}

int service_vm_init(struct vm *vm)
{
	struct service *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->vm = vm;
	s->epoll = s->timer = s->wake = -1;
	s->programmed = UINT64_MAX;
	s->next_token = TOKEN_FIRST_FD;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->idle, NULL);
	vm->service = s;
	return 0;
}

void service_vm_destroy(struct vm *vm)
{
	struct service *s = vm->service;

	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_mutex_unlock(&s->lock);
	if (s->started) {
		eventfd_write(s->wake, 1);
		pthread_join(s->thread, NULL);
	}
	while (s->fds) {
		struct service_fd *next = s->fds->next;

		free(s->fds);
		s->fds = next;
	}
	close_fds(s);
	pthread_cond_destroy(&s->idle);
	pthread_mutex_destroy(&s->lock);
	free(s);
	vm->service = NULL;
}

/* ---- calls from other threads */

void service_timer_arm(struct vm *vm, struct service_timer *t, uint64_t deadline)
{
	struct service *s = vm->service;

	pthread_mutex_lock(&s->lock);
	unlink_locked(s, t);
	if (deadline != UINT64_MAX && !s->stop && start_locked(s) == 0) {
		link_locked(s, t, deadline);
		if (deadline < s->programmed)
			program_locked(s, deadline);
	}
	pthread_mutex_unlock(&s->lock);
}

/* The same to a later deadline; the thread does not wake for the one before. */
void service_timer_defer(struct vm *vm, struct service_timer *t, uint64_t deadline)
{
	struct service *s = vm->service;

	pthread_mutex_lock(&s->lock);
	if (t->queued) {
		unlink_locked(s, t);
		link_locked(s, t, deadline);
		if (s->programmed < s->timers->deadline)
			program_locked(s, s->timers->deadline);
	}
	pthread_mutex_unlock(&s->lock);
}

/* From a callback the wait would be for ourselves. */
static void wait_not_running_locked(struct service *s, const void *what)
{
	if (s->started && pthread_equal(s->thread, pthread_self()))
		return;
	while (s->running == what)
		pthread_cond_wait(&s->idle, &s->lock);
}

void service_timer_cancel(struct vm *vm, struct service_timer *t)
{
	struct service *s = vm->service;

	pthread_mutex_lock(&s->lock);
	do { /* its fn may have armed it again */
		unlink_locked(s, t);
		wait_not_running_locked(s, t);
	} while (t->queued);
	pthread_mutex_unlock(&s->lock);
}

int service_fd_add(struct vm *vm, int fd, void (*fn)(void *arg, int fd), void *arg)
{
	struct service_fd *f = malloc(sizeof(*f));
	struct service *s = vm->service;
	int err;

	if (!f)
		return -ENOMEM;
	pthread_mutex_lock(&s->lock);
	err = start_locked(s);
	if (!err) {
		*f = (struct service_fd){.token = s->next_token++, .fd = fd, .fn = fn, .arg = arg};
		err = add_to_epoll(s, fd, EPOLLIN, f->token);
	}
	if (!err) {
		f->next = s->fds;
		s->fds = f;
	}
	pthread_mutex_unlock(&s->lock);
	if (err)
		free(f);
	return err;
}

void service_fd_remove(struct vm *vm, int fd, void *arg)
{
	struct service *s = vm->service;
	struct service_fd **p, *f;

	pthread_mutex_lock(&s->lock);
	for (p = &s->fds; *p && ((*p)->fd != fd || (*p)->arg != arg);)
		p = &(*p)->next;
	f = *p;
	if (f) {
		*p = f->next;
		epoll_ctl(s->epoll, EPOLL_CTL_DEL, fd, NULL);
		wait_not_running_locked(s, f);
	}
	pthread_mutex_unlock(&s->lock);
	free(f);
}
