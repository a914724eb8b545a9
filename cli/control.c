/* SPDX-License-Identifier: MIT */
/*
 * pawl control: one command for a machine's control socket, and its answer. Files that a command writes are made here, in
 * the caller's name, and handed over as descriptors: the machine itself may be confined and see no file system.
 */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <jansson.h>

static int say(int fd, json_t *request, int pass)
{
	char *text = json_dumps(request, JSON_COMPACT);
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
	struct iovec iov = {text, text ? strlen(text) + 1 : 0};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (!text)
		return -1;
	text[iov.iov_len - 1] = '\n';
	if (pass >= 0) {
		memcpy(CMSG_DATA(&control.header), &pass, sizeof(int));
		msg.msg_control = control.space;
		msg.msg_controllen = sizeof(control.space);
	}
	n = sendmsg(fd, &msg, MSG_NOSIGNAL);
	free(text);
	return n == (ssize_t)iov.iov_len ? 0 : -1;
}

/* Lines until the answer: events come between. */
static json_t *hear(int fd)
{
	FILE *in = fdopen(fd, "r");
	char *line = NULL;
	size_t cap = 0;
	json_t *answer = NULL;

	while (in && !answer && getline(&line, &cap, in) > 0) {
		answer = json_loads(line, 0, NULL);
		if (json_object_get(answer, "event")) {
			json_decref(answer);
			answer = NULL;
		}
	}
	free(line);
	if (in)
		fclose(in);
	return answer;
}

static int connect_to(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = -1;

	errno = ENAMETOOLONG;
	if (strlen(path) < sizeof(addr.sun_path)) {
		strcpy(addr.sun_path, path);
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	}
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		cli_error("control", "%s: %s", path,
			  errno == ECONNREFUSED ? "no machine listens there any more" : strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

/* "key: value"; what is in objects and in lists of them, further to the right. */
static void show(json_t *of, unsigned indent)
{
	const char *key;
	json_t *value;

	json_object_foreach(of, key, value)
	{
		char *text = NULL;

		printf("%*s%s:", (int)indent, "", key);
		if (json_is_object(value)) {
			putchar('\n');
			show(value, indent + 2);
		} else if (json_is_object(json_array_get(value, 0))) {
			for (size_t i = 0; i < json_array_size(value); i++) {
				printf("%s%*s%zu:\n", i ? "" : "\n", (int)indent + 2, "", i);
				show(json_array_get(value, i), indent + 4);
			}
		} else {
			text = json_is_string(value)
				       ? NULL
				       : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(12));
			printf(" %s\n", text ? text : json_string_value(value));
			free(text);
		}
	}
}

static int converse(const char *path, json_t *request, int pass)
{
	int fd = connect_to(path), rc = 1;
	json_t *answer;
	const char *key;

	if (fd < 0)
		return 1;
	answer = say(fd, request, pass) ? (close(fd), NULL) : hear(fd);
	if (!answer) {
		cli_error("control", "%s: the machine has ended, or gives no answer", path);
	} else if (!json_is_true(json_object_get(answer, "ok"))) {
		key = json_string_value(json_object_get(answer, "error"));
		cli_error("control", "%s", key ? key : "an answer that has no meaning");
	} else {
		rc = 0;
		json_object_del(answer, "ok");
		show(answer, 0);
	}
	json_decref(answer);
	return rc;
}

int cmd_control(int argc, char **argv)
{
	/* commands with an argument: its name in the request; "file" is opened here */
	static const struct {
		const char *command, *argument;
	} with_argument[] = {{"gdb", "address"}, {"vmcore", "file"}, {"balloon", "size"}};
	const char *argument = NULL;
	json_t *request;
	int pass = -1, rc;
	struct stat st;

	if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")))
		return cli_help("control");
	if (argc < 3)
		return cli_usage_error("control", "%s is missing", argc < 2 ? "the socket's path" : "a command");
	for (size_t i = 0; i < sizeof(with_argument) / sizeof(with_argument[0]); i++)
		if (!strcmp(argv[2], with_argument[i].command))
			argument = with_argument[i].argument;
	if (argument && argc < 4)
		return cli_usage_error("control", "%s needs an argument: its %s", argv[2], argument);
	if (argc > (argument ? 4 : 3))
		return cli_usage_error("control", "unexpected argument '%s'", argv[argument ? 4 : 3]);
	request = json_pack("{ss}", "command", argv[2]);
	if (argument && !strcmp(argument, "file")) {
		pass = open(argv[3], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		if (pass < 0) {
			cli_error("control", "%s: %s", argv[3], strerror(errno));
			json_decref(request);
			return 1;
		}
	} else if (argument) {
		json_object_set_new(request, argument, json_string(argv[3]));
	}
	rc = converse(argv[1], request, pass);
	json_decref(request);
	if (pass >= 0) {
		if (close(pass) && !rc) {
			cli_error("control", "%s: %s", argv[3], strerror(errno));
			rc = 1;
		}
		if (rc && !stat(argv[3], &st) && S_ISREG(st.st_mode)) /* half a file is of no use */
			unlink(argv[3]);
	}
	return rc;
}
