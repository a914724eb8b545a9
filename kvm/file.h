/* SPDX-License-Identifier: MIT */
/*
 * Descriptors of the library: real descriptors (memfds) that stand for an object. Which object a descriptor means is
 * found by its number in a cache, and, for one that came from dup(), by the memfd's inode. Knows no KVM.
 */
#ifndef PAWL_KVM_FILE_H
#define PAWL_KVM_FILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct file_ops {
	const char *name;
	long (*ioctl)(void *object, unsigned long request, void *arg); /* >= 0 or a negative errno */
	/* Called once, after the last descriptor was closed and the last call on it returned. Any thread. */
	void (*release)(void *object);
};

struct file;

/*
 * A new descriptor of `size` bytes for object. Returns it, or a negative errno (EMFILE, ENFILE, ENOMEM). From then on any
 * thread may use it: the object must be ready.
 */
int file_new(const struct file_ops *ops, void *object, size_t size, bool cloexec);

/* The object's file with a reference held, or NULL: not one of ours. */
struct file *file_get(int fd);
void file_put(struct file *f);
/* The file's object if it is of this kind, else NULL. */
void *file_object(struct file *f, const struct file_ops *ops);
long file_ioctl(struct file *f, unsigned long request, void *arg);
/*
 * Close a descriptor; the object goes if no descriptor of this process means it any more. 0 or a negative errno; EBADF: not
 * ours, and not closed.
 */
int file_close(int fd);
bool file_is(int fd);
bool file_in_call(void); /* this thread is in one, and what runs is a signal handler */

/* Counts forks: an object made before the last one belongs to another address space. */
extern _Atomic unsigned file_forks;
static inline unsigned file_generation(void)
{
	return atomic_load_explicit(&file_forks, memory_order_relaxed);
}

#endif
