/* SPDX-License-Identifier: MIT */
/*
 * <asm/ptrace.h> for a client built with the flags of pawl-kvm.pc: the host's own, which the C library needs, and
 * beside it arm64's register sets. The two share no name.
 */
#include_next <asm/ptrace.h>
#include <pawl/ptrace.h>
