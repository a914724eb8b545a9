/* SPDX-License-Identifier: MIT */
/* The main thread's event loop: descriptors and what to call when they are readable. Not for use by two threads at
 * once. */
#ifndef PAWL_VMM_LOOP_H
#define PAWL_VMM_LOOP_H

#include <stdbool.h>

struct loop;

struct loop *loop_create(void); /* NULL: no memory */
void loop_destroy(struct loop *loop);
/* Level triggered: fn reads what there is. False: no room. */
bool loop_add(struct loop *loop, int fd, void (*fn)(void *arg), void *arg);
void loop_remove(struct loop *loop, int fd);
/* Until a function has called loop_stop(). */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

#endif
