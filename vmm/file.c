/* SPDX-License-Identifier: MIT */
/*
 * Reads a kernel or initrd into memory. No seeking of what cannot seek, so that a pipe or <(command) does as well as a
 * file. What a reset will need again stays open: the file system may be out of reach by then (sandbox.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "machine.h"

/* All bytes from here to the end, malloc'ed. */
static int read_all(int fd, const char *path, uint64_t limit, uint8_t **data, size_t *size, struct vmm_error *err)
{
	size_t cap = 0, n = 0;
	uint8_t *p = NULL;
	struct stat st;

	if (!fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_size > 0 && (uint64_t)st.st_size <= limit)
		cap = (size_t)st.st_size + 1; /* one more, to see the end without growing */
	else
		cap = 1 << 16;
	for (;;) {
		uint8_t *grown = !p || n == cap ? realloc(p, n == cap ? cap *= 2 : cap) : p;
		ssize_t got;

		if (!grown) {
			vmm_fail(err, "%s: no memory to read it (%zu bytes so far)", path, n);
			break;
		}
		p = grown;
		got = read(fd, p + n, cap - n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			vmm_fail(err, "%s: %s", path, strerror(errno));
			break;
		}
		if (!got) {
			*data = p;
			*size = n;
			return 0;
		}
		n += (size_t)got;
		if (n > limit) {
			vmm_fail(err, "%s: larger than %" PRIu64 " %s, which is all the room there is", path,
				 limit >> 20 ? limit >> 20 : limit >> 10, limit >> 20 ? "MiB" : "KiB");
			break;
		}
	}
	free(p);
	return -1;
}

int source_open(struct source *s, const char *path, uint64_t limit, struct vmm_error *err)
{
	struct stat st;
	int rc = 0;

	*s = (struct source){.path = path, .fd = open(path, O_RDONLY | O_CLOEXEC), .open = true};
	if (s->fd < 0)
		return vmm_fail(err, "%s: %s", path, strerror(errno));
	if (!fstat(s->fd, &st) && S_ISREG(st.st_mode))
		return 0;
	rc = read_all(s->fd, path, limit, &s->data, &s->size, err);
	close(s->fd);
	s->fd = -1;
	return rc;
}

int source_read(struct source *s, uint64_t limit, struct bytes *b, struct vmm_error *err)
{
	memset(b, 0, sizeof(*b));
	if (s->fd < 0) {
		b->data = malloc(s->size ? s->size : 1);
		if (!b->data)
			return vmm_fail(err, "%s: no memory for a copy", s->path);
		memcpy(b->data, s->data, s->size);
		b->size = s->size;
		return 0;
	}
	if (lseek(s->fd, 0, SEEK_SET))
		return vmm_fail(err, "%s: %s", s->path, strerror(errno));
	return read_all(s->fd, s->path, limit, &b->data, &b->size, err);
}

int source_look(struct source *s, uint64_t limit, struct bytes *b, struct vmm_error *err)
{
	struct stat st;
	void *p;

	if (s->fd < 0 || fstat(s->fd, &st) || st.st_size <= 0 || (uint64_t)st.st_size > limit)
		return source_read(s, limit, b, err);
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, s->fd, 0);
	if (p == MAP_FAILED)
		return source_read(s, limit, b, err);
	madvise(p, (size_t)st.st_size, MADV_SEQUENTIAL);
	*b = (struct bytes){.data = p, .size = (size_t)st.st_size, .mapped = true};
	return 0;
}

void bytes_free(struct bytes *b)
{
	if (b->mapped)
		munmap(b->data, b->size);
	else
		free(b->data);
	memset(b, 0, sizeof(*b));
}

void source_close(struct source *s)
{
	if (s->open && s->fd >= 0)
		close(s->fd);
	free(s->data);
	memset(s, 0, sizeof(*s));
}
