/* SPDX-License-Identifier: MIT */
/*
 * The signals that make a vcpu's thread leave the guest. The thread sanitizer keeps a signal back until the thread calls something it
 * knows of, which translated code never does; so it is not told of these. Their handlers may interrupt it with its locks held, and are
 * not instrumented (README.md).
 */
#ifndef PAWL_TEST_KICK_H
#define PAWL_TEST_KICK_H

#include <signal.h>
#include <stddef.h>

#define SIG_KICK SIGUSR1
#define SIG_KICK_TOO SIGUSR2

#if defined(__clang__)
#if __has_feature(thread_sanitizer)
#define KICK_HANDLER __attribute__((disable_sanitizer_instrumentation))
#endif
#elif defined(__SANITIZE_THREAD__)
#define KICK_HANDLER __attribute__((no_sanitize_thread))
#endif
#ifdef KICK_HANDLER
int __sigaction(int sig, const struct sigaction *sa, struct sigaction *old); /* the C library's other name for it */
#define KICK_SIGACTION __sigaction
#else
#define KICK_HANDLER
#define KICK_SIGACTION sigaction
#endif

static inline void kick_handle(int sig, void (*handler)(int), int sa_flags)
{
	struct sigaction sa = {.sa_handler = handler, .sa_flags = sa_flags};

	KICK_SIGACTION(sig, &sa, NULL);
}

#endif
