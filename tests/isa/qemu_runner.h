/* SPDX-License-Identifier: MIT */
/* What oracle_qemu.c and qemu_runner.c agree about: the memory that they share, and the file descriptors of the runner. */
#ifndef PAWL_TESTS_ISA_QEMU_RUNNER_H
#define PAWL_TESTS_ISA_QEMU_RUNNER_H

#include "harness.h"

enum {
	RUNNER_DATA = 1 << 20, /* offsets; the trials are at 0 */
	RUNNER_CODE = RUNNER_DATA + DATA_SIZE,
	RUNNER_SHARED = RUNNER_CODE + CODE_SIZE,
	RUNNER_FD = 3,	/* the memory */
	RUNNER_IN = 4,	/* a byte: that many trials are to be run */
	RUNNER_OUT = 5, /* a byte: done, and once at the start */
};
_Static_assert(sizeof(struct trial) * MAX_TRIALS <= RUNNER_DATA, "the trials reach into the data");

#endif
