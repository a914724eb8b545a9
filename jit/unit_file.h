/* SPDX-License-Identifier: MIT */
/*
 * A file of translated units, for people who read host code: PAWL_UNITS=FILE makes it, `pawl units` reads it. Records one behind
 * the other, in the order in which units were made; of this host's byte order. Not an interface: the version is the program's.
 */
#ifndef PAWL_JIT_UNIT_FILE_H
#define PAWL_JIT_UNIT_FILE_H

#include <stdint.h>

enum { UNIT_MAGIC = 0x32554a50 /* "PJU2" */, UNIT_EL1 = 1 /* flags */ };

struct unit_record {
	uint32_t magic, flags;
	uint64_t pc;	  /* guest VA of the first instruction */
	uint64_t host;	  /* address that the code runs at */
	uint32_t n_insns; /* guest instructions */
	uint32_t n_bytes; /* of host code */
			  /*
	 * Behind it: n_insns words of guest code; n_insns bytes from pc to each of them, with a sign: a loop that is one unit has them in
	 * the order of control, and perhaps several times; n_insns + 1 offsets into the host code, where each instruction begins, and where
	 * what is seldom needed begins; n_bytes of host code, and zeros to a multiple of 8.
	 */
};

#endif
