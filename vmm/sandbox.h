/* SPDX-License-Identifier: MIT */
/* Confinement of the process: what it may still do after set-up. */
#ifndef PAWL_VMM_SANDBOX_H
#define PAWL_VMM_SANDBOX_H

#include "vmm.h"

/* Open nothing but what the configuration may still need: the calling thread and those that it starts. */
int sandbox_files(const struct sandbox *s, struct vmm_error *err);
/* System calls of a running machine only: all threads. */
int sandbox_calls(const struct sandbox *s, struct vmm_error *err);

#endif
