/* SPDX-License-Identifier: MIT */
/* struct kvm_sys on the kernel: a real /dev/kvm of an arm64 host. A signal ends KVM_RUN by itself there. */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sys.h"

static int sys_open(const char *path, int flags)
{
	return open(path, flags);
}

static int sys_ioctl(int fd, unsigned long request, void *arg)
{
	return ioctl(fd, request, arg);
}

static void sys_signal_ran(void) {}

const struct kvm_sys kvm_sys_kernel = {
	.name = "/dev/kvm",
	.open = sys_open,
	.ioctl = sys_ioctl,
	.mmap = mmap,
	.close = close,
	.signal_ran = sys_signal_ran,
};
