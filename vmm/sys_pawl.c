/* SPDX-License-Identifier: MIT */
/* struct kvm_sys on libpawl: KVM in this process. */
#include <pawl/pawl.h>

#include "sys.h"

static int sys_open(const char *path, int flags)
{
	return pawl_open(flags);
}

const struct kvm_sys kvm_sys_pawl = {
	.name = "pawl",
	.open = sys_open,
	.ioctl = pawl_ioctl,
	.mmap = pawl_mmap,
	.close = pawl_close,
	.signal_ran = pawl_signal_ran,
};
