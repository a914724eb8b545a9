/* SPDX-License-Identifier: MIT */
/*
 * Libraries that few runs want: loaded when one does. What a program is linked with costs all of its runs the memory and the time
 * of loading it, with all that it is linked with itself.
 */
#ifndef PAWL_BASE_LIBRARY_H
#define PAWL_BASE_LIBRARY_H

#include <stdbool.h>
#include <stddef.h>

struct library_function {
	const char *name;
	void *at; /* a pointer to a function of that type, which is set */
};

/* Any thread. False: *why says why, until the thread's next call. The library stays to the end of the process. */
bool library_load(const char *soname, const struct library_function *functions, size_t n, const char **why);

#endif
