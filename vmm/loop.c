/* SPDX-License-Identifier: MIT */
/* The main thread's event loop on poll(2). */
#include "loop.h"

#include <poll.h>
#include <stdlib.h>

enum { LOOP_MAX = 64 };

struct loop {
	bool stop;
	unsigned n;
	struct pollfd fd[LOOP_MAX];
	struct {
		void (*fn)(void *arg);
		void *arg;
	} on[LOOP_MAX];
};

struct loop *loop_create(void)
{
	return calloc(1, sizeof(struct loop));
}

void loop_destroy(struct loop *loop)
{
	free(loop);
}

bool loop_add(struct loop *l, int fd, void (*fn)(void *arg), void *arg)
{
	if (l->n == LOOP_MAX)
		return false;
	l->fd[l->n] = (struct pollfd){.fd = fd, .events = POLLIN};
	l->on[l->n].fn = fn;
	l->on[l->n++].arg = arg;
	return true;
}

void loop_remove(struct loop *l, int fd)
{
	for (unsigned i = 0; i < l->n; i++)
		if (l->fd[i].fd == fd) {
			l->n--;
			l->fd[i] = l->fd[l->n];
			l->on[i] = l->on[l->n];
			return;
		}
}

void loop_run(struct loop *l)
{
	l->stop = false;
	while (!l->stop) {
		if (poll(l->fd, l->n, -1) < 0)
			continue; /* EINTR */
		for (unsigned i = 0; i < l->n && !l->stop; i++)
			if (l->fd[i].revents)
				l->on[i].fn(l->on[i].arg);
	}
}

void loop_stop(struct loop *l)
{
	l->stop = true;
}
