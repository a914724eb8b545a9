/* SPDX-License-Identifier: MIT */
/* Chance, and the world of a round: the descriptors there are, and memory whose end is known. */
#include "fuzz.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <pawl/kvm.h>
#include <pawl/pawl.h>

/* ---- chance */

static uint64_t state;

void rnd_seed(uint64_t seed)
{
	state = seed;
	rnd();
}

uint64_t rnd(void)
{
	uint64_t z = state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

unsigned below(unsigned n)
{
	return (unsigned)(rnd() % n);
}

bool one_in(unsigned n)
{
	return below(n) == 0;
}

/* ---- the world */

const char *const kind_names[N_KINDS] = {"system", "VM",      "vcpu",  "guest_memfd", "device",
					 "stats",  "eventfd", "other", "closed"};

struct object objects[OBJECTS];
unsigned n_objects;
size_t run_size;

uint8_t *buffer, *inner, *ram;
void *nowhere, *readonly;

uint64_t round_number;
const char *doing = "";

void fail(const char *format, ...)
{
	va_list ap;

	fprintf(stderr, "ioctl-fuzz: round %ju: %s: ", (uintmax_t)round_number, doing);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
	abort();
}

static uint8_t *guarded(size_t size)
{
	uint8_t *p = mmap(NULL, size + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || mprotect(p + PAGE, size, PROT_READ | PROT_WRITE) != 0) {
		perror("mmap");
		exit(1);
	}
	return p + PAGE;
}

void world_init(void)
{
	buffer = guarded(BUFFER);
	inner = guarded(BUFFER);
	ram = guarded(RAM_SIZE);
	nowhere = guarded(PAGE) + PAGE;
	readonly = guarded(PAGE);
	mprotect(readonly, PAGE, PROT_READ);
}

void world_clear(void)
{
	memset(buffer, 0, BUFFER);
	memset(inner, 0, BUFFER);
	memset(ram, 0, RAM_SIZE);
	n_objects = 0;
	n_reg_ids = 0;
}

int add(enum kind kind, int fd)
{
	if (fd < 0)
		return fd;
	if (n_objects == OBJECTS) {
		kind <= DEVICE ? pawl_close(fd) : close(fd);
		return -1;
	}
	objects[n_objects++] = (struct object){kind, fd, NULL};
	return fd;
}

void drop(unsigned i)
{
	struct object *o = &objects[i];

	if (o->run)
		munmap(o->run, run_size);
	if (o->kind <= DEVICE) {
		if (pawl_close(o->fd) != 0)
			fail("close of a %s gives errno %d", kind_names[o->kind], errno);
	} else if (o->kind != CLOSED) {
		close(o->fd);
	}
	*o = objects[--n_objects];
}

struct object *any(enum kind kind)
{
	unsigned n = n_objects ? below(n_objects) : 0;

	for (unsigned i = 0; i < n_objects; i++) {
		struct object *o = &objects[(n + i) % n_objects];

		if (o->kind == kind)
			return o;
	}
	return NULL;
}

int fd_of(enum kind kind)
{
	const struct object *o = any(kind);

	return o ? o->fd : -1;
}

int any_fd(void)
{
	return one_in(12) ? (int)below(300) - 5 : n_objects ? objects[below(n_objects)].fd : -1;
}
