/* SPDX-License-Identifier: MIT */
/*
 * <linux/kvm.h> for a client built with the flags of pawl-kvm.pc: the arm64 interface, whatever the host is. As with
 * the kernel's header, PSCI's numbers come along.
 */
#include <linux/const.h>
#include <linux/psci.h>

#include <pawl/kvm.h>
