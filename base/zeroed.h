/* SPDX-License-Identifier: MIT */
/*
 * Memory that is 0 and of which only what is touched is there: for large structures most of which is not used, or not soon. calloc()
 * gives that only until the process has freed so large a piece; then it clears one that was used before, all of it.
 */
#ifndef PAWL_BASE_ZEROED_H
#define PAWL_BASE_ZEROED_H

#include <stddef.h>

void *zeroed_new(size_t bytes); /* at a page; NULL: there is none */
void zeroed_free(void *p, size_t bytes);

#endif
