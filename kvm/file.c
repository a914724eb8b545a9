/* SPDX-License-Identifier: MIT */
/*
 * Descriptor -> object. The hot path is one array lookup and two plain stores; everything else takes the table lock.
 *
 * Each object has a memfd of its own, whose inode number names it, so dup() and close-on-exec work without our
 * knowing. When a descriptor is closed through us, /proc/self/fd tells whether another one of this process still means
 * the same inode; if not, the object is released as soon as no call on it is in progress. A descriptor that is closed
 * behind our back (close() without the preload library) keeps its object alive until its number is given to another
 * object of ours.
 *
 * Calls in progress are known by hazard pointers: a thread writes the file into its own slot, then looks whether the cache
 * still has it; who closes takes it out of the cache, then looks at all slots. The second of the two stores must not
 * be overtaken by the look: the closing side, which is rare, gets that by membarrier() (order.h), so that the other needs no fence.
 */
#include "file.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "order.h"

enum { FILE_CACHE_SIZE = 16384 }; /* descriptors beyond are found by inode each time */
enum { CALL_DEPTH = 16 };	  /* calls in progress on one thread: handlers of signals may call us */

struct file { /* recycled, never freed: a late reader may look at closing */
	const struct file_ops *ops;
	void *object;
	_Atomic bool closing; /* no descriptor is left */
	/* under table_lock */
	bool released;
	dev_t dev;
	ino_t ino;
	struct file *next;
};

struct calls { /* of one thread; recycled, never freed */
	_Atomic(struct file *) in_use[CALL_DEPTH];
	unsigned depth; /* this thread and its signal handlers */
	bool taken;	/* under table_lock */
	struct calls *next;
};

static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
/* under table_lock */
static struct file *files, *free_files;
static struct calls *threads;
static _Atomic unsigned n_files;
/* atomic; written under table_lock */
static _Atomic(struct file *) cache[FILE_CACHE_SIZE];
_Atomic unsigned file_forks;
/* set once */
static pthread_key_t thread_key;
static bool have_key;

static __thread struct calls *mine __attribute__((tls_model("initial-exec")));

static void fork_child(void)
{
	atomic_fetch_add(&file_forks, 1);
}

static void thread_ends(void *arg)
{
	struct calls *c = arg;

	pthread_mutex_lock(&table_lock);
	c->depth = 0;
	c->taken = false;
	pthread_mutex_unlock(&table_lock);
	mine = NULL;
}

static void init_once(void)
{
	pthread_atfork(NULL, NULL, fork_child);
	have_key = pthread_key_create(&thread_key, thread_ends) == 0;
	order_init();
}

/* This thread's slots; NULL: out of memory. */
static struct calls *my_calls(void)
{
	struct calls *c;

	if (__builtin_expect(mine != NULL, 1))
		return mine;
	pthread_mutex_lock(&table_lock);
	for (c = threads; c && c->taken; c = c->next)
		;
	if (!c) {
		c = calloc(1, sizeof(*c));
		if (c) {
			c->next = threads;
			threads = c;
		}
	}
	if (c)
		c->taken = true;
	pthread_mutex_unlock(&table_lock);
	if (c && have_key)
		pthread_setspecific(thread_key, c);
	mine = c;
	return c;
}

/* ---- release */

static bool in_use_locked(const struct file *f)
{
	for (struct calls *c = threads; c; c = c->next)
		for (unsigned i = 0; i < CALL_DEPTH; i++)
			if (atomic_load_explicit(&c->in_use[i], memory_order_acquire) == f)
				return true;
	return false;
}

/* f is closing. The last one who could have used it releases it. */
static void release_if_unused(struct file *f)
{
	bool release;

	order_rare();
	pthread_mutex_lock(&table_lock);
	release = atomic_load(&f->closing) && !f->released && !in_use_locked(f);
	if (release)
		f->released = true;
	pthread_mutex_unlock(&table_lock);
	if (!release)
		return;
	f->ops->release(f->object);
	pthread_mutex_lock(&table_lock);
	f->next = free_files;
	free_files = f;
	pthread_mutex_unlock(&table_lock);
}

/* ---- lookups */

/* By inode; table_lock held. */
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

static struct file *get_slow(int fd, struct calls *c, unsigned i)
{
	struct file *f = NULL;

	if (fd >= 0 && atomic_load_explicit(&n_files, memory_order_relaxed)) {
		pthread_mutex_lock(&table_lock);
		f = find_locked(fd);
		if (f) {
			remember_locked(fd, f);
			atomic_store_explicit(&c->in_use[i], f, memory_order_relaxed);
		}
		pthread_mutex_unlock(&table_lock);
	}
	if (!f)
		c->depth = i;
	return f;
}

struct file *file_get(int fd)
{
	struct calls *c = my_calls();
	struct file *f;
	unsigned i;

	if (!c || c->depth == CALL_DEPTH)
		return NULL;
	i = c->depth;
	c->depth = i + 1; /* first: a signal handler that comes now takes the next slot */
	atomic_signal_fence(memory_order_seq_cst);
	if ((unsigned)fd < FILE_CACHE_SIZE) {
		f = atomic_load_explicit(&cache[fd], memory_order_acquire);
		if (f) {
			atomic_store_explicit(&c->in_use[i], f, memory_order_release);
			order_hot();
			if (__builtin_expect(atomic_load_explicit(&cache[fd], memory_order_acquire) == f, 1))
				return f;
			atomic_store_explicit(&c->in_use[i], NULL, memory_order_release);
		}
	}
	return get_slow(fd, c, i);
}

void file_put(struct file *f)
{
	struct calls *c = mine;
	unsigned i = c->depth - 1;

	atomic_store_explicit(&c->in_use[i], NULL, memory_order_release);
	order_hot();
	c->depth = i;
	if (__builtin_expect(atomic_load_explicit(&f->closing, memory_order_relaxed), 0))
		release_if_unused(f);
}

bool file_in_call(void)
{
	return mine && mine->depth;
}

bool file_is(int fd)
{
	struct file *f;

	if ((unsigned)fd < FILE_CACHE_SIZE && atomic_load_explicit(&cache[fd], memory_order_relaxed))
		return true;
	if (fd < 0 || atomic_load_explicit(&n_files, memory_order_relaxed) == 0)
		return false;
	f = file_get(fd);
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

	if (fd < 0)
		return -errno;
	pthread_once(&once, init_once);
	if (ftruncate(fd, (off_t)size) != 0 || fchmod(fd, S_IRUSR | S_IWUSR) != 0 || fstat(fd, &st) != 0) {
		err = -errno;
		syscall(SYS_close, fd);
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
		f->released = false;
		atomic_store(&f->closing, false);
		f->next = files;
		files = f;
		atomic_fetch_add(&n_files, 1);
		remember_locked(fd, f);
	}
	pthread_mutex_unlock(&table_lock);
	if (!f) {
		syscall(SYS_close, fd);
		return -ENOMEM;
	}
	return fd;
}

/* ---- close */

/* Any descriptor of the process, which another thread may just be closing: not by fstat(), for tools that watch who uses which. */
static bool means(int fd, const struct file *f)
{
	struct stat st;

	return syscall(SYS_fstat, fd, &st) == 0 && st.st_ino == f->ino && st.st_dev == f->dev;
}

/* Many numbers with one system call: poll() tells which are open. */
static bool still_open_by_number(const struct file *f)
{
	enum { SOME = 512 };
	struct rlimit lim;
	int n = getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur < 65536 ? (int)lim.rlim_cur : 65536;
	struct pollfd pfd[SOME];

	for (int first = 0; first < n; first += SOME) {
		int some = n - first < SOME ? n - first : SOME, rc;

		for (int i = 0; i < some; i++)
			pfd[i] = (struct pollfd){.fd = first + i};
		rc = poll(pfd, (nfds_t)some, 0);
		for (int i = 0; i < some; i++)
			if ((rc < 0 || !(pfd[i].revents & POLLNVAL)) && means(first + i, f))
				return true;
	}
	return false;
}

/* Whether a descriptor of this process still means f; table_lock held. */
static bool still_open(const struct file *f)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *e;
	bool found = false;

	if (!dir) /* no procfs, or a sandbox: ask for every number there can be */
		return still_open_by_number(f);
	while (!found && (e = readdir(dir)))
		found = e->d_name[0] != '.' && means(atoi(e->d_name), f);
	closedir(dir);
	return found;
}

static void unlink_locked(struct file *f)
{
	struct file **p = &files;

	while (*p != f)
		p = &(*p)->next;
	*p = f->next;
	atomic_fetch_sub(&n_files, 1);
	for (int i = 0; i < FILE_CACHE_SIZE; i++)
		if (atomic_load_explicit(&cache[i], memory_order_relaxed) == f)
			atomic_store_explicit(&cache[i], NULL, memory_order_relaxed);
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
	remember_locked(fd, NULL); /* if it is not ours, the number was closed behind our back */
	if (!f) {
		pthread_mutex_unlock(&table_lock);
		return -EBADF;
	}
	if (syscall(SYS_close, fd) != 0) /* not close(): under the preload library that would come back here */
		err = -errno;
	if (!still_open(f)) {
		last = true;
		unlink_locked(f);
		atomic_store(&f->closing, true);
	}
	pthread_mutex_unlock(&table_lock);
	if (last)
		release_if_unused(f);
	return err;
}
