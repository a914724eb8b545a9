/* SPDX-License-Identifier: MIT */
/* Statistics of a machine: stats.c. */
#ifndef PAWL_VMM_STATS_H
#define PAWL_VMM_STATS_H

#include <jansson.h>

#include "error.h"

struct machine;

/* Before anything has run: sets m->stats. -1 with a message: KVM has none. stats_close() in any case. */
int stats_open(struct machine *m, struct vmm_error *err);
void stats_close(struct machine *m);
/* A table to standard error. Main thread, at any time. */
void stats_print(struct machine *m);
/* {"all": counters of the vcpus together, "vm": ..., "vcpus": [...]}; NULL with a message. */
json_t *stats_json(struct machine *m, struct vmm_error *err);

#endif
