/* SPDX-License-Identifier: MIT */
/*
 * Framing of the gdb remote protocol: bytes to packets and back, and the hex notation inside them. gdb manual,
 * "Overview" of the remote protocol. Run-length encoding is not used in replies, which the protocol allows.
 */
#include "server.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int hex_digit(int c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static enum packet_event feed_idle(struct packet_in *in, uint8_t c)
{
	switch (c) {
	case '$':
		in->state = PACKET_DATA;
		in->len = 0;
		in->sum = 0;
		in->overflow = in->escaped = false;
		return PACKET_NONE;
	case '+': return PACKET_ACK;
	case '-': return PACKET_NACK;
	case 3: return PACKET_INTERRUPT;
	default: return PACKET_NONE; /* noise between packets */
	}
}

static enum packet_event feed_data(struct packet_in *in, uint8_t c)
{
	if (c == '#') {
		in->state = PACKET_SUM1;
		return PACKET_NONE;
	}
	if (c == '$') /* a new packet begins: the old one was cut off */
		return feed_idle(in, c);
	in->sum += c;
	if (c == '}' && !in->escaped) {
		in->escaped = true;
		return PACKET_NONE;
	}
	if (in->escaped) {
		c ^= 0x20;
		in->escaped = false;
	}
	if (in->len < PACKET_MAX)
		in->data[in->len++] = (char)c;
	else
		in->overflow = true;
	return PACKET_NONE;
}

enum packet_event packet_feed(struct packet_in *in, uint8_t c)
{
	int digit = hex_digit(c);

	switch (in->state) {
	case PACKET_IDLE: return feed_idle(in, c);
	case PACKET_DATA: return feed_data(in, c);
	case PACKET_SUM1:
		in->want = digit < 0 ? 0 : (uint8_t)(digit << 4);
		in->state = PACKET_SUM2;
		if (digit < 0)
			in->overflow = true;
		return PACKET_NONE;
	case PACKET_SUM2:
		in->state = PACKET_IDLE;
		if (digit < 0 || in->overflow || (in->want | digit) != in->sum)
			return PACKET_BAD;
		in->data[in->len] = '\0';
		return PACKET_COMMAND;
	}
	return PACKET_NONE;
}

void out_reset(struct packet_out *out)
{
	out->len = 0;
}

void out_bytes(struct packet_out *out, const void *s, size_t len)
{
	if (len > PACKET_MAX - out->len)
		len = PACKET_MAX - out->len;
	memcpy(out->data + out->len, s, len);
	out->len += len;
}

void out_str(struct packet_out *out, const char *s)
{
	out_bytes(out, s, strlen(s));
}

void out_fmt(struct packet_out *out, const char *fmt, ...)
{
	char buf[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	out_str(out, buf);
}

void out_hex(struct packet_out *out, const void *bytes, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *b = bytes;

	for (size_t i = 0; i < len; i++) {
		char two[2] = {digits[b[i] >> 4], digits[b[i] & 15]};

		out_bytes(out, two, 2);
	}
}

size_t packet_frame(char *dst, char first, const char *payload, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	uint8_t sum = 0;
	size_t n = 0;

	dst[n++] = first;
	for (size_t i = 0; i < len; i++) {
		char c = payload[i];

		if (c == '$' || c == '#' || c == '}' || c == '*') {
			dst[n++] = '}';
			sum += '}';
			c ^= 0x20;
		}
		dst[n++] = c;
		sum += (uint8_t)c;
	}
	dst[n++] = '#';
	dst[n++] = digits[sum >> 4];
	dst[n++] = digits[sum & 15];
	return n;
}

bool hex_u64(const char **p, uint64_t *val)
{
	const char *s = *p;
	uint64_t v = 0;

	while (hex_digit(*s) >= 0)
		v = v << 4 | (unsigned)hex_digit(*s++);
	if (s == *p)
		return false;
	*p = s;
	*val = v;
	return true;
}

bool hex_bytes(const char **p, void *dst, size_t len)
{
	uint8_t *d = dst;
	const char *s = *p;

	for (size_t i = 0; i < len; i++, s += 2) {
		int hi = hex_digit(s[0]), lo = hi < 0 ? -1 : hex_digit(s[1]);

		if (lo < 0)
			return false;
		d[i] = (uint8_t)(hi << 4 | lo);
	}
	*p = s;
	return true;
}
