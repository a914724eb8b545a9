/* SPDX-License-Identifier: MIT */
/* What the files of the ioctl fuzzer share: chance, the world that a round has, arguments of ioctls, the watchdog. */
#ifndef PAWL_TEST_IOCTL_FUZZ_H
#define PAWL_TEST_IOCTL_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PAGE = 4096, BUFFER = 2 * PAGE, RAM_SIZE = 64 << 10, OBJECTS = 40 };

#define RAM 0x40000000ull
#define GICD 0x08000000ull
#define GICR 0x080a0000ull
#define ITS 0x08080000ull
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- world.c: chance */
void rnd_seed(uint64_t seed);
uint64_t rnd(void);
unsigned below(unsigned n);
bool one_in(unsigned n);

/* ---- world.c: descriptors, and memory that ends where a page faults */
enum kind { SYSTEM, VM, VCPU, MEMFD, DEVICE, STATS, EVENT, OTHER, CLOSED, N_KINDS };
extern const char *const kind_names[N_KINDS];

struct object {
	enum kind kind;
	int fd;
	struct kvm_run *run; /* VCPU: its mapping, or NULL */
};
extern struct object objects[OBJECTS];
extern unsigned n_objects;
extern size_t run_size;

extern uint8_t *buffer, *inner, *ram; /* each followed by a page that faults */
extern void *nowhere, *readonly;

void world_init(void);	/* once: the memory */
void world_clear(void); /* a round begins: no descriptors, and memory that says nothing of rounds before */
int add(enum kind kind, int fd);
void drop(unsigned i);
struct object *any(enum kind kind);
int fd_of(enum kind kind);
int any_fd(void);

extern uint64_t round_number;
extern const char *doing;
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- fill.c: arguments */
extern const uint64_t *reg_ids; /* the client's register list */
extern unsigned n_reg_ids;
uint64_t interesting(void);
void fill_words(void *p, size_t size);
/* A structure for the request at p, which has space for `space` bytes; how many it takes. */
size_t fill(uint32_t request, enum kind on, void *p, size_t space);

/* ---- watchdog.c */
void watchdog_start(void);
void watchdog_progress(uint32_t request); /* 0: not an ioctl */

#endif
