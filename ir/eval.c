/* SPDX-License-Identifier: MIT */
/*
 * The parts of eval.h that are too long to be inline: CRC32 and CRC32C. Arm ARM DDI 0487, "CRC32" and "CRC32C"
 * instructions: polynomials 0x04C11DB7 and 0x1EDC6F41, bit-reflected, no inversion of input or output.
 */
#include "eval.h"

uint32_t ir_crc32_val(uint32_t acc, uint64_t val, unsigned log2size, bool castagnoli)
{
	/* Four steps of the bitwise division for each value of the low nibble. */
	static const uint32_t nibble[2][16] = {
		{0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
		 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c},
		{0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
		 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75},
	};
	const uint32_t *row = nibble[castagnoli];

	for (unsigned i = 0; i < 2u << log2size; i++, val >>= 4)
		acc = acc >> 4 ^ row[(acc ^ val) & 15];
	return acc;
}
