/* SPDX-License-Identifier: MIT */
/* Where the machine listens for the host's programs: the control socket, a console's end, the guest's sockets. unix(7). */
#include "unix_listen.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static bool is_socket(const char *path)
{
	struct stat st;

	return !lstat(path, &st) && S_ISSOCK(st.st_mode);
}

/* A socket file that nobody listens at any more: left by a process that was killed. */
static bool stale(const struct sockaddr_un *addr)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool yes;

	if (fd < 0)
		return false;
	yes = is_socket(addr->sun_path) && connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) &&
	      errno == ECONNREFUSED;
	close(fd);
	return yes;
}

static int bind_to(int fd, const struct sockaddr_un *addr)
{
	int rc = bind(fd, (const struct sockaddr *)addr, sizeof(*addr));

	if (!rc || errno != EADDRINUSE)
		return rc;
	if (!stale(addr) || unlink(addr->sun_path)) {
		errno = EADDRINUSE;
		return -1;
	}
	return bind(fd, (const struct sockaddr *)addr, sizeof(*addr));
}

int unix_listen(const char *option, const char *path, int backlog, struct vmm_error *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd;

	if (strlen(path) >= sizeof(addr.sun_path))
		return vmm_fail(err, "--%s: %.200s...: longer than the %zu bytes of a socket's path", option, path,
				sizeof(addr.sun_path) - 1);
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return vmm_fail(err, "--%s: %s", option, strerror(errno));
	if (bind_to(fd, &addr)) {
		if (errno == EADDRINUSE && !is_socket(path))
			vmm_fail(err, "--%s: %s: there already, and no socket", option, path);
		else
			vmm_fail(err, "--%s: %s: %s", option, path, strerror(errno));
	} else if (listen(fd, backlog)) {
		vmm_fail(err, "--%s: %s: %s", option, path, strerror(errno));
		unlink(path);
	} else {
		return fd;
	}
	close(fd);
	return -1;
}
