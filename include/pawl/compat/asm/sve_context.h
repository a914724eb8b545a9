/* SPDX-License-Identifier: MIT */
/*
 * <asm/sve_context.h> for a client built with the flags of pawl-kvm.pc: SVE's sizes, on hosts that have no such file.
 */
#if defined(__aarch64__)
#include_next <asm/sve_context.h>
#else
#include <pawl/ptrace.h>
#endif
