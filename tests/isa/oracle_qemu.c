/* SPDX-License-Identifier: MIT */
/*
 * The oracle out of process: qemu-aarch64 (or any other way to run an aarch64 program, a real core among them) runs
 * qemu_runner.c, which shares the trials and both areas with us and answers over a pipe. Newer than Unicorn, and slower.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness.h"
#include "qemu_runner.h"

static struct trial *shared;
static int to_runner = -1, from_runner = -1;

static bool wait_for_answer(void)
{
	char c;
	ssize_t n;

	do
		n = read(from_runner, &c, 1);
	while (n < 0 && errno == EINTR);
	return n == 1;
}

/* The words of a command line; it is ours, so blanks are all that separates them. */
static void execute(const char *command)
{
	char *words[32], *s = strdup(command), *rest;
	unsigned n = 0;

	for (char *w = strtok_r(s, " ", &rest); w && n < 31; w = strtok_r(NULL, " ", &rest))
		words[n++] = w;
	words[n] = NULL;
	if (n)
		execvp(words[0], words);
	_exit(127);
}

static bool qemu_start(struct oracle *o)
{
	int fd = memfd_create("trials", 0), there[2], back[2];
	uint8_t *all;

	if (!o->command || fd < 0 || ftruncate(fd, RUNNER_SHARED) || pipe(there) || pipe(back))
		return false;
	all = mmap(NULL, RUNNER_SHARED, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (all == MAP_FAILED)
		return false;
	shared = (struct trial *)(void *)all;
	o->data = all + RUNNER_DATA;
	o->code = all + RUNNER_CODE;
	signal(SIGPIPE, SIG_IGN);
	if (fork() == 0) {
		/* first out of the way of the numbers that are wanted */
		int f = fcntl(fd, F_DUPFD, 32), r = fcntl(there[0], F_DUPFD, 32), w = fcntl(back[1], F_DUPFD, 32);

		dup2(f, RUNNER_FD);
		dup2(r, RUNNER_IN);
		dup2(w, RUNNER_OUT);
		for (int i = RUNNER_OUT + 1; i < 64; i++)
			close(i);
		execute(o->command);
	}
	close(fd);
	close(there[0]);
	close(back[1]);
	to_runner = there[1];
	from_runner = back[0];
	return wait_for_answer(); /* it is up */
}

static bool qemu_run(struct oracle *o, struct trial *t, unsigned n)
{
	char c = (char)n;

	memcpy(shared, t, n * sizeof(*t));
	if (write(to_runner, &c, 1) != 1 || !wait_for_answer())
		return false;
	for (unsigned i = 0; i < n; i++)
		t[i].them = shared[i].them;
	return true;
}

struct oracle oracle_qemu = {.name = "qemu", .start = qemu_start, .run = qemu_run};
