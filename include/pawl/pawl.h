/* SPDX-License-Identifier: MIT */
/**
 * @file pawl.h
 * pawl as a library: the arm64 /dev/kvm API in this process.
 *
 * The functions below stand for the system calls of the same name on /dev/kvm and the descriptors that come from
 * it. Requests and structures are those of <pawl/kvm.h>; their documentation is the kernel's
 * Documentation/virt/kvm/api.rst. All return -1 and set errno on error, with the kernel's errno.
 *
 * Descriptors are real descriptors: dup, poll, close-on-exec and passing to another thread work as always. Close them
 * with pawl_close() (or close(), under the preload library).
 *
 * All functions may be called from any thread, with the kernel's own rules for which calls wait for which.
 */
#ifndef PAWL_H
#define PAWL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

/**
 * @defgroup debug Debugging better than a kernel can
 * An extension of KVM_SET_GUEST_DEBUG that a kernel does not have. It is found as other extensions are: the value of
 * KVM_CHECK_EXTENSION(PAWL_CAP_DEBUG) on /dev/kvm or a VM is the set of the policies below that are known here; a kernel
 * answers 0. KVM_ENABLE_CAP on the VM with args[0] = a set of them chooses what holds for all vcpus of the VM, each from its
 * next KVM_RUN on (not added to what was chosen before; 0 is none, as at the start). EINVAL: an unknown policy. Nothing of it
 * changes anything for a client that does not ask.
 *
 *     struct kvm_enable_cap cap = {.cap = PAWL_CAP_DEBUG, .args = {PAWL_DEBUG_HOLD_IRQS | PAWL_DEBUG_KEEP_MONITOR}};
 *
 *     known = pawl_ioctl(vm, KVM_CHECK_EXTENSION, (void *)PAWL_CAP_DEBUG);
 *     if (known > 0 && !(cap.args[0] & ~(unsigned)known))
 *             pawl_ioctl(vm, KVM_ENABLE_CAP, &cap);
 * @{
 */
#define PAWL_CAP_DEBUG 0x7061776c /* "pawl": far from the numbers that kernels give out */

/**
 * While a vcpu is stepped (KVM_GUESTDBG_SINGLESTEP): IRQ, FIQ and SError stay pending, whatever PSTATE says. They are taken
 * once it runs freely again.
 */
#define PAWL_DEBUG_HOLD_IRQS (1u << 0)
/**
 * While a vcpu is stepped: KVM_RUN leaves the exclusive monitor as it is, so a store-exclusive succeeds that a kernel lets
 * fail for ever. An exception of the guest still clears it, and a value that changed in memory lets the store fail.
 */
#define PAWL_DEBUG_KEEP_MONITOR (1u << 1)
/** While a vcpu is stepped: WFI, WFIT and PSCI CPU_SUSPEND do not wait, so their step is reported at once. */
#define PAWL_DEBUG_WFI_RETURNS (1u << 2)
/**
 * Always: an access outside of memory for which KVM_RUN would fail with ENOSYS, or exit with KVM_EXIT_ARM_NISV, since its
 * syndrome does not describe it (pairs, writeback, SIMD, atomics, exclusives, DC ZVA), becomes ordinary KVM_EXIT_MMIOs, one
 * after the other, an element of at most 8 bytes each, in the order of the addresses; an atomic's read comes before its write. PC stays at
 * the instruction until the last one is answered; then the instruction completes, as one step, before anything else happens.
 * What the client changes in between (PC; other registers that the instruction uses) starts it over.
 */
#define PAWL_DEBUG_EMULATE_MMIO (1u << 3)
/**
 * Always: say where a guest does what works here, thanks to the policies above or because pawl's own checks are milder, and
 * would fail on a real KVM. Each place once: see pawl_set_lint().
 */
#define PAWL_DEBUG_LINT (1u << 4)

/** What would fail. */
enum pawl_lint {
	PAWL_LINT_NO_SYNDROME,	     /**< an access outside of memory without a syndrome: ENOSYS or KVM_EXIT_ARM_NISV */
	PAWL_LINT_STEPPED_EXCLUSIVE, /**< a store-exclusive that succeeded although its load-exclusive was stepped */
	PAWL_LINT_HOST_MEMORY	     /**< a slot whose memory the process does not have: EFAULT */
};

struct pawl_finding {
	enum pawl_lint kind;
	unsigned vcpu;	       /**< id */
	uint64_t pc;	       /**< of the instruction */
	uint64_t ipa;	       /**< of the access, or 0 */
	uint32_t insn;	       /**< the instruction; 0 if it cannot be read */
	const char *insn_name; /**< name of its encoding, "LDP_pre" */
	const char *text;      /**< what a real KVM would do, in a sentence */
};

/**
 * Who is told what PAWL_DEBUG_LINT finds.
 * @param vm      descriptor of the VM
 * @param report  called on the thread in KVM_RUN, which it must not call back into; the finding is its for as long as it runs.
 *                NULL: a line on standard error, or in the file that the environment variable PAWL_LINT names, with the symbol
 *                if PAWL_SYMBOLS names a file like System.map.
 * @return 0, or -1: EBADF, EINVAL (not a VM).
 */
int pawl_set_lint(int vm, void (*report)(void *arg, const struct pawl_finding *finding), void *arg);

/**
 * KVM_CAP of ours: breakpoints without number. The value of KVM_CHECK_EXTENSION is how many. KVM_ENABLE_CAP on the VM takes
 * args[1] addresses from the array of uint64_t that args[0] points to, in any order, instead of those that it took before. A vcpu whose
 * KVM_SET_GUEST_DEBUG has PAWL_GUESTDBG_USE_LIST leaves KVM_RUN before the instruction at each of them as at a breakpoint comparator
 * that matches at EL0 and EL1; the addresses need not be mapped, nor the MMU be on. Each vcpu goes by the list that there is when its
 * KVM_RUN begins. EINVAL: too many, or an address that is no multiple of 4 (bits 63:56 are ignored, as by a comparator);
 * EFAULT; ENOMEM.
 */
#define PAWL_CAP_BREAKPOINTS 0x7061776e
/** In kvm_guest_debug.control, beside KVM_GUESTDBG_ENABLE. EINVAL on a VM that has never had a list. */
#define PAWL_GUESTDBG_USE_LIST (1u << 31)
/** @} */

/** Version of the library: "0.1.0". */
const char *pawl_version(void);

/**
 * Open the system device, as open("/dev/kvm", flags).
 * @param flags  O_CLOEXEC is honoured; the access mode is ignored.
 * @return a descriptor, or -1: EMFILE, ENFILE, ENOMEM.
 */
int pawl_open(int flags);

/**
 * ioctl() on any pawl descriptor.
 * @param arg  what the request's documentation says: a value or a pointer.
 * @return as the kernel's ioctl; -1 and errno on error; EBADF if fd is not pawl's.
 */
int pawl_ioctl(int fd, unsigned long request, void *arg);

/**
 * mmap() of a vcpu descriptor (kvm_run, coalesced ring, dirty ring) or a guest_memfd. munmap() undoes it.
 */
void *pawl_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset);

/**
 * fallocate() of a guest_memfd, whose descriptor allows nothing by itself but fstat().
 * @param mode  FALLOC_FL_KEEP_SIZE, and FALLOC_FL_PUNCH_HOLE or not.
 * @return 0, or -1: EBADF, EINVAL (unaligned, or behind the end), EOPNOTSUPP (another mode, another kind of descriptor).
 */
int pawl_fallocate(int fd, int mode, off_t offset, off_t length);

/**
 * lseek() as a kernel's descriptors do it: nothing moves. For descriptors of KVM_GET_STATS_FD, too, where read() goes on from where
 * it was.
 * @return the position, or -1: EBADF (none of ours), EINVAL (no such whence), ESPIPE (a device, a guest_memfd).
 */
long pawl_lseek(int fd, long offset, int whence);

/**
 * Change memory of this process that may be guest memory: unmap it, map something else there, protect it. change(arg) is
 * called with no vcpu of a VM whose slots have some of it in the guest, and its result returned. After that KVM_RUN fails
 * with EFAULT where the guest uses what is not there, or not writable, any more; without this call that would be a
 * SIGSEGV. change() calls nothing of this library. The preload library does it for mmap(), munmap(), mremap() and
 * mprotect() of the program.
 */
int pawl_change_memory(void *addr, size_t length, int (*change)(void *arg), void *arg);

/**
 * Tell that pages of this process that may be guest memory were dropped, as by madvise(MADV_DONTNEED) or by a hole punched into a
 * file: contents are others, but a page comes back when it is used. What the vcpus of the VMs concerned know of their memory
 * (translations through page tables there, code) is gone at the next KVM_RUN; a vcpu that runs forgets it soon, and is
 * not waited for. The preload library does it for madvise() and fallocate() of the program.
 */
void pawl_forget_memory(void *addr, size_t length);

/** close() of a pawl descriptor. An object goes when its last descriptor is closed. */
int pawl_close(int fd);

/** Whether fd is a pawl descriptor (also a dup of one). */
bool pawl_is_fd(int fd);

/**
 * Tell the library that a signal handler is running on this thread: a KVM_RUN in progress here returns EINTR, as it
 * does with the kernel. Async-signal-safe. The preload library calls it from the handlers it wraps; a program
 * linked with the library calls it from its own handlers, or sets kvm_run.immediate_exit.
 */
void pawl_signal_ran(void);

/**
 * KVM_CAP of ours, for KVM_CHECK_EXTENSION and, on a VM without vcpus, KVM_ENABLE_CAP: the VM's CPU is the model whose
 * name args[0] points to ("max", "cortex-a72", "max,-sha3"). What the ID registers show, and the most that they can be
 * set to, are then that model's. Without it a VM has the model of the environment variable PAWL_CPU, or neoverse-n1.
 * EINVAL: no such model; EBUSY: there are vcpus; EFAULT.
 */
#define PAWL_CAP_CPU_MODEL 0x7061776d

/** Name of the i-th CPU model and what it is, or NULL behind the last one. */
const char *pawl_cpu_model(unsigned i, const char **what);
/** Name of the i-th feature that "+NAME" and "-NAME" behind a model switch, or NULL behind the last one. */
const char *pawl_cpu_feature(unsigned i);
/** Whether text names a CPU model; if not, why says what is wrong with it. */
bool pawl_cpu_model_is_valid(const char *text, char *why, size_t len);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif
#endif
