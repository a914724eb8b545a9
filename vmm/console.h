/* SPDX-License-Identifier: MIT */
/*
 * The console: standard input and output, and the terminal if they are one. Two threads of its own, so that a terminal
 * or pipe that is stuck stops neither the main thread nor a vcpu that does not print.
 */
#ifndef PAWL_VMM_CONSOLE_H
#define PAWL_VMM_CONSOLE_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

struct console;
struct pl011;

struct console_events {				     /* called on the console's threads */
	void (*quit)(void *arg);		     /* the quit key */
	void (*failed)(void *arg, const char *text); /* output cannot be written any more */
	void *arg;
};

struct console *console_create(const struct console_events *events, struct vmm_error *err);
void console_set_uart(struct console *c, struct pl011 *uart);
/* Raw mode, and the threads. Call it with the signals blocked that the threads should not get. */
int console_start(struct console *c, struct vmm_error *err);
/*
 * No more input; write what has been put, and end the threads. console_drained() tells a caller with a poll loop when
 * this will not wait: a descriptor that becomes readable.
 */
void console_finish(struct console *c); /* starts it */
int console_drained(struct console *c);
/* The terminal as it was. Threads that are stuck in a system call are left to the end of the process. */
void console_destroy(struct console *c);

/* Around a stop by SIGTSTP. */
void console_suspend(struct console *c);
void console_resume(struct console *c);

/* UART side: a byte for the output; waits while too much is in front of it. */
void console_put(struct console *c, uint8_t byte);
/* UART side: it takes input again. */
void console_input_wanted(struct console *c);

/* A line of our own to standard error, after what the guest has printed so far as far as that can be written soon. */
void console_message(struct console *c, const char *line);
void console_text(struct console *c, const char *lines); /* the same for whole lines, each with its end */

#endif
