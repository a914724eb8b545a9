/* SPDX-License-Identifier: MIT */
/*
 * Inside of the gdb server: addresses (listen.c), framing (packet.c), commands (server.c), what commands do to the machine (target.c,
 * breakpoint.c, walk.c), registers and the target description (regs.c). The protocol is appendix "gdb Remote Serial
 * Protocol" of the gdb manual.
 */
#ifndef PAWL_GDB_SERVER_H
#define PAWL_GDB_SERVER_H

#include <pawl/kvm.h>

#include "gdb.h"

enum { PACKET_MAX = 0x4000 }; /* bytes of payload, as told to gdb */

/* ---- listen.c */

/*
 * A listening socket for addr, or -1 and one line in error. *to_unlink: the path of a unix socket, to be unlinked and freed by
 * the caller; else untouched.
 */
int listen_on(const char *addr, char **to_unlink, char *error, size_t size);

/* ---- packet.c */

enum packet_event {
	PACKET_NONE,	  /* nothing complete yet */
	PACKET_COMMAND,	  /* in->data holds a command, NUL ended */
	PACKET_BAD,	  /* checksum wrong or too long: ask for it again */
	PACKET_ACK,	  /* '+' */
	PACKET_NACK,	  /* '-': send the last one again */
	PACKET_INTERRUPT, /* Ctrl-C, outside any packet */
};

struct packet_in {
	char data[PACKET_MAX + 1];
	size_t len;
	bool overflow, escaped;
	uint8_t sum, want;
	enum { PACKET_IDLE, PACKET_DATA, PACKET_SUM1, PACKET_SUM2 } state;
};

enum packet_event packet_feed(struct packet_in *in, uint8_t c);

struct packet_out { /* the reply being made; truncated silently at PACKET_MAX */
	char data[PACKET_MAX + 1];
	size_t len;
};
void out_reset(struct packet_out *out);
void out_str(struct packet_out *out, const char *s);
void out_fmt(struct packet_out *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void out_hex(struct packet_out *out, const void *bytes, size_t len);
/* Frame: $payload#sum with escapes. dst has room for 2 * PACKET_MAX + 4 bytes; returns the length. */
size_t packet_frame(char *dst, const char *payload, size_t len);

/* Hex parsing. They move *p behind what was read and return false, moving nothing, if there is no digit. */
bool hex_u64(const char **p, uint64_t *val);
/* Exactly len bytes in hex; false if there are fewer or other characters. */
bool hex_bytes(const char **p, void *dst, size_t len);

/* ---- the machine under debug: target.c */

enum bp_type { BP_SOFT, BP_HARD, BP_WRITE, BP_READ, BP_ACCESS }; /* the digit of Z packets */

struct bp {
	enum bp_type type;
	uint64_t addr;	/* VA */
	uint64_t len;	/* bytes watched; 4 for breakpoints */
	bool in_memory; /* a BRK stands at ipa; else a hardware comparator does the work */
	uint64_t ipa;
	uint32_t saved; /* instruction word under the BRK */
};

struct sysreg; /* regs.c */

struct target {
	const struct gdb_target_ops *ops;
	void *opaque;
	unsigned n;		   /* vcpus */
	unsigned max_bps, max_wps; /* comparators per vcpu */
	struct bp *bps;
	unsigned n_bps, cap_bps;
	const struct sysreg **sysregs; /* those that this KVM lists; regs.c */
	unsigned n_sysregs;
	char *xml;
};

int target_open(struct target *t, const struct gdb_target_ops *ops, void *opaque); /* 0 or -errno */
void target_close(struct target *t);
int target_get_reg(struct target *t, unsigned vcpu, uint64_t id, void *val);
int target_set_reg(struct target *t, unsigned vcpu, uint64_t id, const void *val);
uint64_t target_get_u64(struct target *t, unsigned vcpu, uint64_t id); /* 0 if it cannot be read */
/* Memory by VA through the vcpu's own tables. 0, or -EFAULT with nothing written. Breakpoints are invisible. */
int target_read(struct target *t, unsigned vcpu, uint64_t va, void *buf, size_t len);
int target_write(struct target *t, unsigned vcpu, uint64_t va, const void *buf, size_t len);
/* KVM_SET_GUEST_DEBUG as the breakpoints and the step ask for. */
int target_arm(struct target *t, unsigned vcpu, bool step);
void target_disarm_all(struct target *t); /* before detaching: memory and debug state as without us */
/* Deliver the BRK at PC to the guest's own EL1 handler, as the PE would have without a debugger. */
int target_reinject_brk(struct target *t, unsigned vcpu, uint64_t hsr);

/* ---- breakpoint.c */
int bp_insert(struct target *t, unsigned vcpu, enum bp_type type, uint64_t addr, uint64_t len);
int bp_remove(struct target *t, enum bp_type type, uint64_t addr, uint64_t len);
void bp_remove_all(struct target *t);
bool bp_is_ours(const struct target *t, uint64_t pc); /* a software breakpoint of ours stands at this VA */
const struct bp *bp_find_watch(const struct target *t, uint64_t far); /* NULL: none */
void bp_fill_debug(const struct target *t, struct kvm_guest_debug *dbg);
/* Replace our BRKs by what they hide, in a buffer that was read from ipa; keep them when something is written. */
void bp_hide(const struct target *t, uint64_t ipa, void *buf, size_t len);
void bp_absorb(struct target *t, uint64_t ipa, void *buf, size_t len);

/* ---- walk.c */
/* VA -> IPA through the vcpu's stage 1 (EL1&0). 0, or -EFAULT. *size: bytes to the end of the page or block. */
int walk(struct target *t, unsigned vcpu, uint64_t va, uint64_t *ipa, uint64_t *size);

/* ---- regs.c */
enum { REG_SP = 31, REG_PC = 32, REG_CPSR = 33, REG_V0 = 34, REG_FPSR = 66, REG_FPCR = 67, REG_SYS = 68 };
int regs_init(struct target *t); /* lists the system registers, builds the XML */
void regs_free(struct target *t);
unsigned regs_count(const struct target *t);
size_t regs_size(const struct target *t, unsigned n); /* bytes; 0: no such register */
/* val: regs_size() bytes, at most 16. 0 or -errno */
int regs_get(struct target *t, unsigned vcpu, unsigned n, void *val);
int regs_set(struct target *t, unsigned vcpu, unsigned n, const void *val);
/* By name, any case ("sctlr_el1"); number or -1 */
int regs_find(const struct target *t, const char *name);

uint64_t reg_x(unsigned n); /* ONE_REG id of x0..x30 */
extern const uint64_t reg_id_pc, reg_id_pstate, reg_id_sp_el0, reg_id_sp_el1, reg_id_elr_el1, reg_id_spsr_el1;

#endif
