/* SPDX-License-Identifier: MIT */
/*
 * guest_memfd (api.rst 4.142): files that hold a VM's memory, bound to slots by KVM_SET_USER_MEMORY_REGION2. As on an arm64
 * kernel only those that may be mapped (GUEST_MEMFD_FLAG_MMAP) can be bound, and the guest's memory is then the file's, whatever is at
 * the slot's userspace_addr.
 *
 * The descriptor is a memfd's that allows nothing by itself (O_PATH): read and write fail, as they should, and what is allowed
 * comes by here. The file is opened again for each such call; bound slots have a mapping of their own.
 */
#include "guest_memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core.h"
#include "memslot.h"

struct guest_memfd {
	struct vm *vm;	/* a reference */
	uint64_t size;	/* bytes */
	uint64_t flags; /* GUEST_MEMFD_FLAG_* */
	dev_t dev;
	ino_t ino;
	struct memslot *slots; /* bound to it; under memslots->lock */
};

/* ---- the file */

static bool is_the_file(const struct guest_memfd *g, int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_dev == g->dev && st.st_ino == g->ino;
}

/* Through one of the client's descriptors, which it may be closing just now. A descriptor to be closed, or -errno. */
static int open_file(const struct guest_memfd *g, int fd)
{
	char path[32];
	int file;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	file = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
	if (file < 0)
		file = fcntl(fd, F_DUPFD_CLOEXEC, 0); /* without /proc it is one for all purposes: restrict() */
	if (file < 0)
		return -errno;
	if (is_the_file(g, file))
		return file;
	syscall(SYS_close, file);
	return -EBADF;
}

/* The descriptor keeps its number. Where there is no /proc it can be read and written. */
static void restrict_to_path(int fd)
{
	char path[32];
	int only_path;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	only_path = (int)syscall(SYS_openat, AT_FDCWD, path, O_PATH | O_CLOEXEC);
	if (only_path < 0)
		return;
	syscall(SYS_dup3, only_path, fd, 0);
	syscall(SYS_close, only_path);
}

static long guest_memfd_ioctl(void *object, unsigned long request, void *arg)
{
	return -ENOTTY;
}

static void guest_memfd_release(void *object);

const struct file_ops guest_memfd_file_ops = {
	.name = "kvm-guest-memfd", .ioctl = guest_memfd_ioctl, .release = guest_memfd_release};

long guest_memfd_create(struct vm *vm, const struct kvm_create_guest_memfd *args)
{
	struct guest_memfd *g;
	struct stat st;
	long fd;

	if (args->flags & ~(uint64_t)GUEST_MEMFD_FLAGS)
		return -EINVAL;
	if ((int64_t)args->size <= 0 || args->size & (host_page_size() - 1))
		return -EINVAL;
	g = calloc(1, sizeof(*g));
	if (!g)
		return -ENOMEM;
	g->vm = vm;
	g->size = args->size;
	g->flags = args->flags;
	vm_get(vm);
	/* The client learns the number only when we return: nobody uses the object before it is ready. */
	fd = file_new(&guest_memfd_file_ops, g, g->size, false);
	if (fd < 0) {
		vm_put(vm);
		free(g);
		return fd;
	}
	if (fstat((int)fd, &st) != 0) {
		int err = -errno;

		file_close((int)fd);
		return err;
	}
	g->dev = st.st_dev;
	g->ino = st.st_ino;
	restrict_to_path((int)fd);
	return fd;
}

/* ---- binding: all under memslots->lock */

static bool is_bound(const struct guest_memfd *g, uint64_t offset, uint64_t size)
{
	for (const struct memslot *s = g->slots; s; s = s->memfd_next)
		if (offset < s->memfd_offset + s->size && s->memfd_offset < offset + size)
			return true;
	return false;
}

int guest_memfd_check(const struct vm *vm, const struct guest_memfd *g, uint64_t offset, uint64_t size)
{
	if (g->vm != vm || offset > g->size || size > g->size - offset)
		return -EINVAL;
	return is_bound(g, offset, size) ? -EEXIST : 0;
}

bool guest_memfd_can_back(const struct guest_memfd *g)
{
	return g->flags & GUEST_MEMFD_FLAG_MMAP;
}

uint8_t *guest_memfd_map_slot(const struct guest_memfd *g, int fd, uint64_t offset, uint64_t size)
{
	int file = open_file(g, fd);
	void *p;

	if (file < 0)
		return NULL;
	p = map_descriptor(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file, (off_t)offset);
	syscall(SYS_close, file);
	return p == MAP_FAILED ? NULL : p;
}

void guest_memfd_bind(struct guest_memfd *g, struct memslot *s)
{
	s->memfd = g;
	s->memfd_next = g->slots;
	g->slots = s;
}

void guest_memfd_unbind(struct memslot *s)
{
	struct memslot **at;

	if (!s->memfd)
		return;
	for (at = &s->memfd->slots; *at != s; at = &(*at)->memfd_next)
		;
	*at = s->memfd_next;
	s->memfd = NULL;
}

/* ---- the last descriptor is closed: the slots lose their memory, unless the client has it mapped, which keeps a file */

/* Bytes of this process that are mapped to the file. */
static uint64_t mapped_bytes(const struct guest_memfd *g)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long from, to, ino;
	uint64_t bytes = 0;
	char line[512];

	if (!maps)
		return 0;
	while (fgets(line, sizeof(line), maps)) {
		/* The device in there need not be the one that fstat() shows, so the name has to do. */
		if (sscanf(line, "%lx-%lx %*s %*s %*s %lu", &from, &to, &ino) == 3 && ino == g->ino &&
		    strstr(line, guest_memfd_file_ops.name))
			bytes += to - from;
	}
	fclose(maps);
	return bytes;
}

static bool client_has_it_mapped(const struct guest_memfd *g)
{
	uint64_t bytes = 0;

	for (const struct memslot *s = g->slots; s; s = s->memfd_next)
		bytes += s->size;
	return mapped_bytes(g) > bytes;
}

static void take_away(struct cpu_group *group, void *arg)
{
	struct guest_memfd *g = arg;
	struct memslots *m = g->vm->memslots;

	pthread_rwlock_wrlock(&m->readers_lock);
	for (struct memslot *s = g->slots; s; s = s->memfd_next) {
		map_descriptor(s->host, s->size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
			       0);
		memset(s->backed, 0, stage2_backed_words(s->size) * sizeof(*s->backed));
	}
	pthread_rwlock_unlock(&m->readers_lock);
}

static void guest_memfd_release(void *object)
{
	struct guest_memfd *g = object;
	struct vm *vm = g->vm;

	if (!vm_is_foreign(vm)) {
		pthread_mutex_lock(&vm->memslots->lock);
		/* A handler of a signal that interrupted KVM_RUN must not wait for that: then the slots keep what they have. */
		if (g->slots && !file_in_call() && !client_has_it_mapped(g))
			cpu_group_stopped(vm->group, take_away, g);
		while (g->slots)
			guest_memfd_unbind(g->slots);
		pthread_mutex_unlock(&vm->memslots->lock);
	}
	vm_put(vm);
	free(g);
}

/* ---- what the client may do with the descriptor */

int guest_memfd_open_for_mmap(const struct guest_memfd *g, int fd, int flags, off_t *offset)
{
	int type = flags & MAP_TYPE;

	if (!(g->flags & GUEST_MEMFD_FLAG_MMAP))
		return -ENODEV;
	if (type != MAP_SHARED && type != MAP_SHARED_VALIDATE)
		return -EINVAL;
	if (!(g->flags & GUEST_MEMFD_FLAG_INIT_SHARED)) { /* private: SIGBUS, as behind the end */
		if (*offset < 0 || g->size > INT64_MAX - (uint64_t)*offset)
			return -EOVERFLOW;
		*offset += (off_t)g->size;
	}
	return open_file(g, fd);
}

int guest_memfd_fallocate(const struct guest_memfd *g, int fd, int mode, off_t offset, off_t len)
{
	uint64_t unaligned = ((uint64_t)offset | (uint64_t)len) & (host_page_size() - 1);
	int file, err = 0;

	if (offset < 0 || len <= 0)
		return -EINVAL;
	if (mode != FALLOC_FL_KEEP_SIZE && mode != (FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE))
		return -EOPNOTSUPP;
	if (offset > INT64_MAX - len)
		return -EFBIG;
	if (unaligned)
		return -EINVAL;
	if (!(mode & FALLOC_FL_PUNCH_HOLE) && (uint64_t)(offset + len) > g->size)
		return -EINVAL;
	file = open_file(g, fd);
	if (file < 0)
		return file;
	if (syscall(SYS_fallocate, file, mode, offset, len) != 0)
		err = -errno;
	syscall(SYS_close, file);
	return err;
}
