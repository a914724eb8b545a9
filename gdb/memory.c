/* SPDX-License-Identifier: MIT */
/*
 * Memory commands: m M x X, qSearch:memory, qCRC. Addresses are what the view says (`monitor view`): virtual through the
 * vcpu's own tables, virtual through another table, or physical. gdb manual, "Packets", "General Query Packets".
 */
#include "server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int read_view(struct gdb_server *s, uint64_t addr, void *buf, size_t len)
{
	return target_read(&s->t, s->cur, &s->t.view, addr, buf, len);
}

/* A read may be answered in part: what is there up to the first unmapped page. 0 or -errno */
static int read_some(struct gdb_server *s, uint64_t addr, void *buf, uint64_t *len)
{
	for (;;) {
		uint64_t page = (addr + *len - 1) & ~0xfffull;
		int rc = read_view(s, addr, buf, *len);

		if (!rc || !*len || page <= addr || page - addr >= *len)
			return rc;
		*len = page - addr;
	}
}

void cmd_read_mem(struct gdb_server *s, const char *p)
{
	uint64_t addr, len;
	char buf[PACKET_MAX / 2];
	int rc;

	if (!parse_addr_len(&p, &addr, &len))
		return reply_rc(s, -EINVAL);
	if (len > sizeof(buf))
		len = sizeof(buf);
	rc = read_some(s, addr, buf, &len);
	if (rc)
		return reply_rc(s, rc);
	out_reset(&s->out);
	out_hex(&s->out, buf, len);
	reply_out(s);
}

void cmd_read_binary(struct gdb_server *s, const char *p)
{
	uint64_t addr, len;
	char buf[PACKET_MAX / 2]; /* escapes may double it */
	int rc;

	if (!parse_addr_len(&p, &addr, &len))
		return reply_rc(s, -EINVAL);
	if (len > sizeof(buf))
		len = sizeof(buf);
	rc = read_some(s, addr, buf, &len);
	if (rc)
		return reply_rc(s, rc);
	out_reset(&s->out);
	out_str(&s->out, "b");
	out_bytes(&s->out, buf, len);
	reply_out(s);
}

void cmd_write_mem(struct gdb_server *s, const char *p)
{
	uint64_t addr, len;
	char buf[PACKET_MAX / 2];

	if (!parse_addr_len(&p, &addr, &len) || *p++ != ':' || len > sizeof(buf) || !hex_bytes(&p, buf, len))
		return reply_rc(s, -EINVAL);
	reply_rc(s, target_write(&s->t, s->cur, &s->t.view, addr, buf, len));
}

void cmd_write_binary(struct gdb_server *s, const char *p)
{
	uint64_t addr, len;

	if (!parse_addr_len(&p, &addr, &len) || *p++ != ':' || len > (size_t)(s->in.data + s->in.len - p))
		return reply_rc(s, -EINVAL);
	reply_rc(s, target_write(&s->t, s->cur, &s->t.view, addr, p, len));
}

enum { CHUNK = 0x10000 };

/* qSearch:memory:ADDR;LEN;PATTERN, binary: 1,ADDR or 0, or an error if memory ends before the pattern is found. */
void q_search(struct gdb_server *s, const char *p)
{
	const char *end = s->in.data + s->in.len;
	uint64_t addr, len;
	size_t n;
	char *buf;
	int rc = 0;

	if (!hex_u64(&p, &addr) || *p++ != ';' || !hex_u64(&p, &len) || *p++ != ';' || p >= end)
		return reply_rc(s, -EINVAL);
	n = (size_t)(end - p);
	buf = malloc(CHUNK + n);
	if (!buf)
		return reply_rc(s, -ENOMEM);
	while (len >= n) {
		uint64_t take = len < CHUNK + n - 1 ? len : CHUNK + n - 1, got = take;
		const char *hit;

		rc = read_some(s, addr, buf, &got);
		if (rc)
			break;
		hit = memmem(buf, got, p, n);
		if (hit) {
			out_reset(&s->out);
			addr += (uint64_t)(hit - buf);
			out_fmt(&s->out, "1,%llx", (unsigned long long)addr);
			free(buf);
			return reply_out(s);
		}
		if (got < take) {
			rc = -EFAULT;
			break;
		}
		take -= n - 1; /* the pattern may begin in this chunk and end in the next */
		addr += take;
		len -= take;
	}
	free(buf);
	if (rc)
		return reply_rc(s, rc);
	reply(s, "0");
}

/* The CRC-32 of `compare-sections`: polynomial 0x04c11db7, highest bit first, begins with all ones, not inverted. */
static uint32_t crc_add(uint32_t crc, const uint8_t *p, size_t len)
{
	while (len--) {
		crc ^= (uint32_t)*p++ << 24;
		for (int i = 0; i < 8; i++)
			crc = crc << 1 ^ (crc >> 31 ? 0x04c11db7u : 0);
	}
	return crc;
}

void q_crc(struct gdb_server *s, const char *p)
{
	uint32_t crc = 0xffffffff;
	uint64_t addr, len;
	uint8_t buf[4096];

	if (!parse_addr_len(&p, &addr, &len))
		return reply_rc(s, -EINVAL);
	while (len) {
		size_t n = len < sizeof(buf) ? len : sizeof(buf);
		int rc = read_view(s, addr, buf, n);

		if (rc)
			return reply_rc(s, rc);
		crc = crc_add(crc, buf, n);
		addr += n;
		len -= n;
	}
	out_reset(&s->out);
	out_fmt(&s->out, "C%x", crc);
	reply_out(s);
}
