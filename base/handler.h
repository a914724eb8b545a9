/* SPDX-License-Identifier: MIT */
/*
 * Functions that signal handlers call. The thread sanitizer's run-time has a lock for each atomic object, and a handler that interrupts
 * it would wait for its own thread: so such functions are not instrumented, and call none that is.
 */
#ifndef PAWL_BASE_HANDLER_H
#define PAWL_BASE_HANDLER_H

#if defined(__clang__)
#if __has_feature(thread_sanitizer)
#define IN_HANDLER __attribute__((disable_sanitizer_instrumentation))
#endif
#elif defined(__SANITIZE_THREAD__)
#define IN_HANDLER __attribute__((no_sanitize_thread))
#endif
#ifndef IN_HANDLER
#define IN_HANDLER
#endif

#endif
