/* SPDX-License-Identifier: MIT */
/*
 * Finds a round that hangs, on a machine of any speed: not by the time that passes, which on a loaded machine says nothing, but by what
 * the process does. A thread of its own looks once per second. Without a new operation meanwhile, it is a hang if
 *
 *     the process has used BUSY_S seconds of processor time: an endless loop, or
 *     at ASLEEP_LOOKS looks all other threads slept: nobody will wake them. One that waits for a processor does not sleep.
 *
 * Then it says what every thread does, and aborts.
 */
#include "fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { BUSY_S = 60, ASLEEP_LOOKS = 60 };

static atomic_uint operations;
static _Atomic uint32_t current; /* the ioctl */

void watchdog_progress(uint32_t request)
{
	atomic_store_explicit(&current, request, memory_order_relaxed);
	atomic_fetch_add_explicit(&operations, 1, memory_order_relaxed);
}

/* The contents of /proc/self/task/TID/NAME, without the newline. */
static const char *task_file(const char *tid, const char *name, char *text, size_t size)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%.16s/%s", tid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, text, size - 1);
	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = 0;
	text[strcspn(text, "\n")] = 0;
	return text;
}

static char task_state(const char *tid)
{
	char text[512];
	const char *name_ends = strrchr(task_file(tid, "stat", text, sizeof(text)), ')');

	return name_ends && name_ends[1] ? name_ends[2] : '?';
}

/* Of the other threads: does each sleep? With say, what they do goes to stderr. */
static bool all_sleep(bool say)
{
	const pid_t me = (pid_t)syscall(SYS_gettid);
	DIR *dir = opendir("/proc/self/task");
	const struct dirent *e;
	bool sleep = dir;

	while (dir && (e = readdir(dir))) {
		char name[64], call[256];

		if (e->d_name[0] == '.' || atoi(e->d_name) == me)
			continue;
		sleep &= task_state(e->d_name) == 'S';
		if (say)
			fprintf(stderr, "ioctl-fuzz: thread %s (%s): state %c, system call %s\n", e->d_name,
				task_file(e->d_name, "comm", name, sizeof(name)), task_state(e->d_name),
				task_file(e->d_name, "syscall", call, sizeof(call)));
	}
	if (dir)
		closedir(dir);
	return sleep;
}

static time_t cpu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec;
}

static _Noreturn void hangs(const char *how)
{
	fprintf(stderr, "ioctl-fuzz: round %ju: %s, ioctl %#x: hangs, %s\n", (uintmax_t)round_number, doing,
		atomic_load(&current), how);
	all_sleep(true);
	abort();
}

static void *look(void *arg)
{
	unsigned seen = atomic_load(&operations), asleep = 0;
	time_t since = cpu_seconds();

	if (unshare(CLONE_FILES) != 0) /* what it opens is no descriptor of the round's */
		perror("unshare");
	for (;;) {
		sleep(1);
		if (atomic_load(&operations) != seen) {
			seen = atomic_load(&operations);
			since = cpu_seconds();
			asleep = 0;
			continue;
		}
		asleep += all_sleep(false);
		if (asleep == ASLEEP_LOOKS)
			hangs("asleep");
		if (cpu_seconds() - since >= BUSY_S)
			hangs("busy");
	}
	return NULL;
}

void watchdog_start(void)
{
	sigset_t all, old;
	pthread_t thread;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	if (pthread_create(&thread, NULL, look, NULL) != 0) {
		perror("pthread_create");
		exit(1);
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}
