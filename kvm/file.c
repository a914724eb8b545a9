/* SPDX-License-Identifier: MIT */
/*
 * Descriptor -> object. The hot path is one array lookup and one reference count; everything else takes the table lock.
 *
 * Each object has a memfd of its own, whose inode number names it, so dup() and close-on-exec work without our
 * knowing. When a descriptor is closed through us, /proc/self/fd tells whether another one of this process still means
 * the same inode; if not, the object is released. A descriptor that is closed behind our back (close() without the preload
 * library) keeps its object alive until its number is given to another object of ours.
 */
#include "file.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FILE_CACHE_SIZE = 16384 }; /* descriptors beyond are found by inode each time */

struct file {
	/* References: one for "some descriptor is open", one per call in progress. 0: released, on the free list. */
	_Atomic unsigned users;
	const struct file_ops *ops;
	void *object;
	/* under table_lock */
	dev_t dev;
	ino_t ino;
	struct file *next;
};

static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
/* under table_lock; struct files are never given back to malloc, so that a late reader of the cache may look at users */
static struct file *files, *free_files;
static _Atomic unsigned n_files;
/* atomic; written under table_lock */
static _Atomic(struct file *) cache[FILE_CACHE_SIZE];
static _Atomic unsigned generation;

static void fork_child(void)
{
	atomic_fetch_add(&generation, 1);
}

static void register_fork(void)
{
	pthread_atfork(NULL, NULL, fork_child);
}

unsigned file_generation(void)
{
	return atomic_load_explicit(&generation, memory_order_relaxed);
}

static bool get_unless_zero(struct file *f)
{
	unsigned n = atomic_load_explicit(&f->users, memory_order_relaxed);

	do {
		if (n == 0)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(&f->users, &n, n + 1, memory_order_acquire, memory_order_relaxed));
	return true;
}

void file_put(struct file *f)
{
	if (atomic_fetch_sub_explicit(&f->users, 1, memory_order_acq_rel) != 1)
		return;
	f->ops->release(f->object);
	pthread_mutex_lock(&table_lock);
	f->next = free_files;
	free_files = f;
	pthread_mutex_unlock(&table_lock);
}

/* By inode; table_lock held. No reference is taken. */
static struct file *find_locked(int fd)
{
	struct stat st;

	if (atomic_load_explicit(&n_files, memory_order_relaxed) == 0 || fstat(fd, &st) != 0)
		return NULL;
	for (struct file *f = files; f; f = f->next)
		if (f->ino == st.st_ino && f->dev == st.st_dev)
			return f;
	return NULL;
}

static void remember_locked(int fd, struct file *f)
{
	if (fd >= 0 && fd < FILE_CACHE_SIZE)
		atomic_store_explicit(&cache[fd], f, memory_order_release);
}

static struct file *get_slow(int fd)
{
	struct file *f;

	if (fd < 0 || atomic_load_explicit(&n_files, memory_order_relaxed) == 0)
		return NULL;
	pthread_mutex_lock(&table_lock);
	f = find_locked(fd);
	if (f && get_unless_zero(f))
		remember_locked(fd, f);
	else
		f = NULL;
	pthread_mutex_unlock(&table_lock);
	return f;
}

struct file *file_get(int fd)
{
	if ((unsigned)fd < FILE_CACHE_SIZE) {
		struct file *f = atomic_load_explicit(&cache[fd], memory_order_acquire);

		if (f && get_unless_zero(f)) {
			if (atomic_load_explicit(&cache[fd], memory_order_relaxed) == f)
				return f;
			file_put(f); /* closed, and perhaps another object's by now */
		}
	}
	return get_slow(fd);
}

bool file_is(int fd)
{
	struct file *f;

	if ((unsigned)fd < FILE_CACHE_SIZE && atomic_load_explicit(&cache[fd], memory_order_relaxed))
		return true;
	f = get_slow(fd);
	if (f)
		file_put(f);
	return f;
}

void *file_object(struct file *f, const struct file_ops *ops)
{
	return f->ops == ops ? f->object : NULL;
}

long file_ioctl(struct file *f, unsigned long request, void *arg)
{
	return f->ops->ioctl(f->object, request, arg);
}

int file_new(const struct file_ops *ops, void *object, size_t size, bool cloexec)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct stat st;
	struct file *f;
	int err = 0, fd = memfd_create(ops->name, cloexec ? MFD_CLOEXEC : 0);

	pthread_once(&once, register_fork);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) != 0 || fstat(fd, &st) != 0) {
		err = -errno;
		close(fd);
		return err;
	}
	pthread_mutex_lock(&table_lock);
	f = free_files;
	if (f)
		free_files = f->next;
	else
		f = calloc(1, sizeof(*f));
	if (f) {
		f->ops = ops;
		f->object = object;
		f->dev = st.st_dev;
		f->ino = st.st_ino;
		f->next = files;
		files = f;
		atomic_store_explicit(&f->users, 1, memory_order_release);
		atomic_fetch_add(&n_files, 1);
		remember_locked(fd, f);
	}
	pthread_mutex_unlock(&table_lock);
	if (!f) {
		close(fd);
		return -ENOMEM;
	}
	return fd;
}

static bool means(int fd, const struct file *f)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_ino == f->ino && st.st_dev == f->dev;
}

/* Whether a descriptor of this process still means f; table_lock held. */
static bool still_open(const struct file *f)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *e;
	bool found = false;

	if (!dir) { /* no procfs: ask for every number there can be */
		struct rlimit lim;
		int n = getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur < 65536 ? (int)lim.rlim_cur : 65536;

		for (int fd = 0; fd < n && !found; fd++)
			found = means(fd, f);
		return found;
	}
	while (!found && (e = readdir(dir)))
		found = e->d_name[0] != '.' && means(atoi(e->d_name), f);
	closedir(dir);
	return found;
}

int file_close(int fd)
{
	struct file *f;
	bool last = false;
	int err = 0;

	if (fd < 0)
		return -EBADF;
	pthread_mutex_lock(&table_lock);
	f = find_locked(fd);
	if (!f) {
		remember_locked(fd, NULL); /* the number was closed behind our back */
		pthread_mutex_unlock(&table_lock);
		return -EBADF;
	}
	remember_locked(fd, NULL);
	if (syscall(SYS_close, fd) != 0) /* not close(): under the preload library that would come back here */
		err = -errno;
	if (!still_open(f)) {
		struct file **p = &files;

		last = true;
		while (*p != f)
			p = &(*p)->next;
		*p = f->next;
		atomic_fetch_sub(&n_files, 1);
		for (int i = 0; i < FILE_CACHE_SIZE; i++)
			if (atomic_load_explicit(&cache[i], memory_order_relaxed) == f)
				atomic_store_explicit(&cache[i], NULL, memory_order_relaxed);
	}
	pthread_mutex_unlock(&table_lock);
	if (last)
		file_put(f);
	return err;
}
