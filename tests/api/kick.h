/* SPDX-License-Identifier: MIT */
/*
 * The signals that make a vcpu's thread leave the guest. The thread sanitizer keeps a signal back until the thread calls something it
 * knows of, which translated code never does; but not those by which a processor says what went wrong.
 */
#ifndef PAWL_TEST_KICK_H
#define PAWL_TEST_KICK_H

#include <signal.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1
#endif
#endif
#ifdef __SANITIZE_THREAD__
#define SIG_KICK SIGTRAP
#define SIG_KICK_TOO SIGSYS
#else
#define SIG_KICK SIGUSR1
#define SIG_KICK_TOO SIGUSR2
#endif

#endif
