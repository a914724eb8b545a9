/* SPDX-License-Identifier: MIT */
/*
 * 9P2000.L's messages, of which an answer has the number of its request plus 1: the table of diod's protocol.md, and the
 * "Plan 9 File Protocol" of the manual of Plan 9, section 5.
 */
#ifndef PAWL_VMM_P9_H
#define PAWL_VMM_P9_H

enum {
	TLERROR = 6,
	TSTATFS = 8,
	TLOPEN = 12,
	TLCREATE = 14,
	TSYMLINK = 16,
	TMKNOD = 18,
	TRENAME = 20,
	TREADLINK = 22,
	TGETATTR = 24,
	TSETATTR = 26,
	TXATTRWALK = 30,
	TXATTRCREATE = 32,
	TREADDIR = 40,
	TFSYNC = 50,
	TLOCK = 52,
	TGETLOCK = 54,
	TLINK = 70,
	TMKDIR = 72,
	TRENAMEAT = 74,
	TUNLINKAT = 76,
	TVERSION = 100,
	TAUTH = 102,
	TATTACH = 104,
	TFLUSH = 108,
	TWALK = 110,
	TREAD = 116,
	TWRITE = 118,
	TCLUNK = 120,
	TREMOVE = 122,
};

#endif
