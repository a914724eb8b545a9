/* SPDX-License-Identifier: MIT */
#ifndef PAWL_VMM_UNIX_LISTEN_H
#define PAWL_VMM_UNIX_LISTEN_H

#include "error.h"

/*
 * A unix stream socket, not blocking, that listens at path. One that a killed process has left there is replaced.
 * Returns the descriptor, or -1 with a message that begins with the option's name. The caller removes the path at the end.
 */
int unix_listen(const char *option, const char *path, int backlog, struct vmm_error *err);

#endif
