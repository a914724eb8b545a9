/* SPDX-License-Identifier: MIT */
/*
 * <asm/kvm.h> for a client built with the flags of pawl-kvm.pc: the arm64 interface, whatever the host is. Generic and
 * architecture's part are one file here.
 */
#include <pawl/kvm.h>
