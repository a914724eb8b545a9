/* SPDX-License-Identifier: MIT */
/*
 * Errors that a user reads: one line, without newline, made where the reason is known and printed once, at the top.
 */
#ifndef PAWL_VMM_ERROR_H
#define PAWL_VMM_ERROR_H

#include <stdarg.h>
#include <stdio.h>

struct vmm_error {
	char text[512];
};

/* Returns -1, so that it can be the value of a return statement. */
__attribute__((format(printf, 2, 3))) static inline int vmm_fail(struct vmm_error *e, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	return -1;
}

#endif
