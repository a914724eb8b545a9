/* SPDX-License-Identifier: MIT */
/* Reads a kernel or initrd into memory. No seeking, so that a pipe or <(command) does as well as a file. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "machine.h"

int file_read(const char *path, uint64_t limit, uint8_t **data, size_t *size, struct vmm_error *err)
{
	size_t cap = 0, n = 0;
	uint8_t *p = NULL;
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return vmm_fail(err, "%s: %s", path, strerror(errno));
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
			close(fd);
			*data = p;
			*size = n;
			return 0;
		}
		n += (size_t)got;
		if (n > limit) {
			vmm_fail(err, "%s: larger than the guest's memory (%" PRIu64 " %s)", path,
				 limit >> 20 ? limit >> 20 : limit >> 10, limit >> 20 ? "MiB" : "KiB");
			break;
		}
	}
	close(fd);
	free(p);
	return -1;
}
