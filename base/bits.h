/* SPDX-License-Identifier: MIT */
/*
 * Bit fields of 64-bit values, in the manual's notation: value<hi:lo>. Bounds are the caller's, 0 <= lo <= hi <= 63;
 * they are constants nearly everywhere, and nothing here checks them.
 */
#ifndef PAWL_BASE_BITS_H
#define PAWL_BASE_BITS_H

#include <stdbool.h>
#include <stdint.h>

/* n ones, 0 <= n <= 64 */
static inline uint64_t bits_ones(unsigned n)
{
	return n < 64 ? (UINT64_C(1) << n) - 1 : UINT64_MAX;
}

/* value<hi:lo> */
static inline uint64_t bits_get(uint64_t value, unsigned hi, unsigned lo)
{
	return value >> lo & bits_ones(hi - lo + 1);
}

/* value<n> == '1' */
static inline bool bits_test(uint64_t value, unsigned n)
{
	return value >> n & 1;
}

/* value, with value<hi:lo> = field<hi-lo:0> */
static inline uint64_t bits_set(uint64_t value, unsigned hi, unsigned lo, uint64_t field)
{
	uint64_t mask = bits_ones(hi - lo + 1);

	return (value & ~(mask << lo)) | (field & mask) << lo;
}

/* SignExtend(value<n-1:0>), 1 <= n <= 64 */
static inline int64_t bits_sext(uint64_t value, unsigned n)
{
	return (int64_t)(value << (64 - n)) >> (64 - n);
}

/* Align(value, align), align a power of two; up may wrap to 0 */
static inline uint64_t align_down(uint64_t value, uint64_t align)
{
	return value & ~(align - 1);
}

static inline uint64_t align_up(uint64_t value, uint64_t align)
{
	return align_down(value + align - 1, align);
}

#endif
