/* SPDX-License-Identifier: MIT */
/* The console of the payloads: PL011 at 0x09000000, polled. Random numbers' state, and what the compiler calls. */
#include "payload.h"

u64 rng;

static void put_char(char c)
{
	volatile u32 *uart = (volatile u32 *)0x09000000;

	while (uart[6] & 1 << 5)
		;
	uart[0] = (unsigned char)c;
}

void put(const char *s)
{
	for (; *s; s++)
		put_char(*s);
}

void put_hex(u64 v, unsigned digits)
{
	while (digits--)
		put_char("0123456789abcdef"[v >> 4 * digits & 15]);
}

void *memset(void *p, int c, u64 n)
{
	for (u64 i = 0; i < n; i++)
		((volatile char *)p)[i] = (char)c;
	return p;
}

void *memcpy(void *to, const void *from, u64 n)
{
	for (u64 i = 0; i < n; i++)
		((volatile char *)to)[i] = ((const char *)from)[i];
	return to;
}
