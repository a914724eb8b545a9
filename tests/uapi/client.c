/* SPDX-License-Identifier: MIT */
/*
 * A KVM client's includes, with the flags of pawl-kvm.pc: the C library's own users of register sets and signals, in
 * company of <linux/kvm.h> as arm64 has it. INCLUDE_LAST turns the order round. It is compiled, nothing more.
 */
#ifndef INCLUDE_LAST
#include <asm/kvm.h>
#include <asm/sve_context.h>
#include <linux/kvm.h>
#endif

#include <signal.h>
#include <sys/procfs.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <ucontext.h>

/* These come after the C library's, on x86-64 with any flags. */
#include <asm/ptrace.h>
#include <linux/elf.h>
#include <linux/ptrace.h>
#include <linux/vfio.h>
#include <linux/vhost.h>

#ifdef INCLUDE_LAST
#include <asm/sve_context.h>
#include <linux/kvm.h>
#endif

#if !defined(PSCI_RET_SUCCESS) || !defined(__KVM_HAVE_IRQ_LINE) || KVM_PSCI_RET_DENIED != PSCI_RET_DENIED
#error "the kernel's header brings these along"
#endif

int main(void)
{
	struct user_pt_regs regs = {.pstate = PSR_MODE_EL1h | PSR_D_BIT};
	ucontext_t context = {.uc_flags = 0};
	sigset_t set;

	sigemptyset(&set);
	return regs.pstate != 0x205 || context.uc_flags || sigismember(&set, SIGUSR1) || __SVE_VQ_MAX != 512;
}
