/* SPDX-License-Identifier: MIT */
/*
 * The resident's start. The kernel has just made the process and the program has not run yet; the C library that is
 * linked here sets itself up as in any program, on a stack of its own, and main() arms the dispatch and becomes the
 * program. What this main thread leaves behind, its thread-local storage, makes the twins (thread.c).
 */
#include <errno.h>
#include <linux/prctl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include "resident.h"

enum { HEAP_SIZE = 1 << 30, ARCH_SET_FS_ = 0x1002, HWCAP2_FSGSBASE_ = 1 << 1 };

/* The image's ends, by the linker. */
extern const char __ehdr_start[] __attribute__((visibility("hidden")));
extern const char _end[] __attribute__((visibility("hidden")));

bool have_fsgsbase;
static char name[sizeof(((struct handover *)0)->name)];

/*
 * The program owns the process's break; this C library's heap grows elsewhere. It takes the place of the C library's own
 * function, which malloc() and the start-up code call.
 */
void *__sbrk(intptr_t increment);
void *__sbrk(intptr_t increment)
{
	static char *heap, *top;
	char *old;

	if (!heap) {
		long p = raw(SYS_mmap, 0, HEAP_SIZE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (is_error(p))
			return (void *)-1;
		heap = top = (char *)p;
	}
	old = top;
	if (increment > heap + HEAP_SIZE - top || increment < heap - top)
		return (void *)-1;
	top += increment;
	return old;
}

static void write_text(const char *text)
{
	raw(SYS_write, 2, text, strlen(text));
}

void say(const char *text)
{
	write_text("pawl exec: ");
	write_text(name);
	write_text(": ");
	write_text(text);
	write_text("\n");
}

bool dispatch_on(void)
{
	return raw(SYS_prctl, PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, __ehdr_start, _end - __ehdr_start,
		   NULL) == 0;
}

static bool install_handler(void)
{
	/* the kernel's structure */
	const struct {
		void (*handler)(int, siginfo_t *, void *);
		unsigned long flags;
		void (*restorer)(void);
		uint64_t mask;
	} action = {calls_dispatch, SA_SIGINFO | SA_NODEFER | SA_ONSTACK | SA_RESTART | 0x04000000 /* SA_RESTORER */,
		    restorer, 0};
	const uint64_t sigsys = SIGSYS_BIT;

	return raw(SYS_rt_sigaction, SIGSYS, &action, NULL, SIGSET_SIZE) == 0 &&
	       raw(SYS_rt_sigprocmask, SIG_UNBLOCK, &sigsys, NULL, SIGSET_SIZE) == 0;
}

int main(int argc, char **argv)
{
	const struct handover *h = argc == 2 ? (const struct handover *)strtoul(argv[1], NULL, 16) : NULL;

	if (!h) {
		write_text("pawl-resident: is started by pawl exec\n");
		return 2;
	}
	memcpy(name, h->name, sizeof(name));
	have_fsgsbase = getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE_;
	thread_init();
	if (!install_handler() || !dispatch_on()) {
		say("the kernel has no Syscall User Dispatch (Linux 5.11), which a program of this kind needs");
		return 126;
	}
	raw(SYS_arch_prctl, ARCH_SET_FS_, 0);
	start_program(h);
}
