/* SPDX-License-Identifier: MIT */
/*
 * Where the gdb server listens: TCP ports and unix sockets, as the user wrote the address (gdb.h, gdb_server_start). Knows
 * nothing of the protocol.
 */
#include "server.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { HOST_MAX = 255 /* characters of a host's name */ };

static int listen_unix(const char *path, char **to_unlink, char *error, size_t size)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	struct stat st;
	int fd;

	if (strlen(path) >= sizeof(sa.sun_path)) {
		snprintf(error, size, "gdb socket path is longer than %zu bytes: %s", sizeof(sa.sun_path) - 1, path);
		return -1;
	}
	strcpy(sa.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		goto fail;
	if (!lstat(path, &st) && S_ISSOCK(st.st_mode)) { /* left behind by a process that died? */
		if (!connect(fd, (struct sockaddr *)&sa, sizeof(sa))) {
			snprintf(error, size, "gdb socket %s is in use by another process", path);
			close(fd);
			return -1;
		}
		unlink(path);
		close(fd);
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	}
	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) || listen(fd, 1))
		goto fail;
	*to_unlink = strdup(path);
	return fd;
fail:
	snprintf(error, size, "cannot listen for gdb on %s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

static int listen_tcp(const char *host, const char *port, const char *addr, char *error, size_t size)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *ai;
	int rc = getaddrinfo(host, port, &hints, &ai), fd = -1, one = 1;

	if (rc) {
		snprintf(error, size, "bad gdb address '%s': %s", addr, gai_strerror(rc));
		return -1;
	}
	for (struct addrinfo *a = ai; a && fd < 0; a = a->ai_next) {
		fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
		if (fd < 0)
			continue;
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		if (bind(fd, a->ai_addr, a->ai_addrlen) || listen(fd, 1)) {
			rc = errno;
			close(fd);
			errno = rc;
			fd = -1;
		}
	}
	if (fd < 0)
		snprintf(error, size, "cannot listen for gdb on '%s': %s", addr, strerror(errno));
	freeaddrinfo(ai);
	return fd;
}

/* The path of a unix socket's address; NULL: it is none. */
static const char *unix_path(const char *addr)
{
	if (!strncmp(addr, "unix:", 5))
		return addr + 5;
	return strchr(addr, '/') ? addr : NULL;
}

bool gdb_address_is_valid(const char *addr, char *error, size_t size)
{
	const char *colon = strrchr(addr, ':');
	const char *digits = colon ? colon + 1 : addr;
	char *end;
	long port = strtol(digits, &end, 10);

	if (unix_path(addr) ? *unix_path(addr) != '\0'
			    : *digits >= '0' && *digits <= '9' && !*end && port >= 1 && port <= 65535 &&
				      digits - addr <= HOST_MAX)
		return true;
	snprintf(error, size,
		 "'%s' is no address for gdb: a TCP port (1 to 65535), HOST:PORT, unix:PATH or a path with a '/'",
		 addr);
	return false;
}

int listen_on(const char *addr, char **to_unlink, char *error, size_t size)
{
	const char *colon = strrchr(addr, ':');
	char host[HOST_MAX + 1];
	size_t n = colon ? (size_t)(colon - addr) : 0;

	if (!gdb_address_is_valid(addr, error, size))
		return -1;
	if (unix_path(addr))
		return listen_unix(unix_path(addr), to_unlink, error, size);
	if (!colon || !n)
		return listen_tcp("127.0.0.1", colon ? colon + 1 : addr, addr, error, size);
	memcpy(host, addr, n);
	host[n] = '\0';
	if (host[0] == '[' && host[n - 1] == ']') {
		host[n - 1] = '\0';
		return listen_tcp(host + 1, colon + 1, addr, error, size);
	}
	return listen_tcp(host, colon + 1, addr, error, size);
}
