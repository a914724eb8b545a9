/* SPDX-License-Identifier: MIT */
/*
 * What `pawl exec` tells the resident, in the process's memory: argv[1] is its address in hexadecimal. Also where the
 * program is to go on.
 */
#ifndef PAWL_HANDOVER_H
#define PAWL_HANDOVER_H

#include <stdint.h>

struct handover {
	uint64_t pc, sp; /* the program, at its first instruction */
	char name[64];	 /* of the program, for messages */
};

#endif
