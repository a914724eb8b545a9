/* SPDX-License-Identifier: MIT */
/*
 * In the guest, for devices_test.sh: says a line to the host's port 5000 and prints the answer; then takes one connection
 * to its own port 1000 and sends back what comes, until its end.
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

static int fail(const char *what)
{
	perror(what);
	return 1;
}

int main(void)
{
	struct sockaddr_vm host = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = 5000};
	struct sockaddr_vm own = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = 1000};
	int listener = socket(AF_VSOCK, SOCK_STREAM, 0), out = socket(AF_VSOCK, SOCK_STREAM, 0), in;
	static char buf[1 << 16];
	ssize_t n;

	if (bind(listener, (struct sockaddr *)&own, sizeof(own)) || listen(listener, 1))
		return fail("bind");
	if (connect(out, (struct sockaddr *)&host, sizeof(host)))
		return fail("connect");
	if (write(out, "from the guest\n", 15) != 15)
		return fail("write");
	n = read(out, buf, sizeof(buf) - 1);
	if (n <= 0)
		return fail("read");
	buf[n] = 0;
	printf("vsock: %s", buf);
	close(out);
	in = accept(listener, NULL, NULL);
	if (in < 0)
		return fail("accept");
	while ((n = read(in, buf, sizeof(buf))) > 0)
		if (write(in, buf, (size_t)n) != n)
			return fail("write");
	return 0;
}
