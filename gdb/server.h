/* SPDX-License-Identifier: MIT */
/*
 * Inside of the gdb server. From the wire inwards: addresses (listen.c), framing (packet.c), the thread and its commands
 * (server.c, memory.c, query.c, monitor.c), running and stopping (run.c), what commands do to the machine (target.c,
 * walk.c, breakpoint.c, watch.c), registers and the target description (regs.c, sysregs.c), expressions that gdb has
 * evaluated here (agent.c), where the kernel is (kernel.c). The protocol is appendix "gdb Remote Serial Protocol" of the
 * gdb manual.
 *
 * Who may touch what: breakpoints, and which vcpus run, change on the server's thread only, and only while no vcpu runs.
 * So a vcpu's own thread (run_goes_on) reads all of it without a lock, and writes its own struct vcpu_run.
 */
#ifndef PAWL_GDB_SERVER_H
#define PAWL_GDB_SERVER_H

#include <pthread.h>
#include <stdio.h>

#include <pawl/kvm.h>

#include "gdb.h"

enum { PACKET_MAX = 0x4000 }; /* bytes of payload, as told to gdb */

/* ---- listen.c */

/*
 * A listening socket for addr, or -1 and one line in error. *to_unlink: the path of a unix socket, to be unlinked and
 * freed by the caller; else untouched.
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
void out_bytes(struct packet_out *out, const void *bytes, size_t len);
void out_str(struct packet_out *out, const char *s);
void out_fmt(struct packet_out *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void out_hex(struct packet_out *out, const void *bytes, size_t len);
/* Frame: $payload#sum with escapes; first is '$', or '%' for a notification. dst has room for 2 * PACKET_MAX + 4 bytes;
 * returns the length. */
size_t packet_frame(char *dst, char first, const char *payload, size_t len);

/* Hex parsing. They move *p behind what was read and return false, moving nothing, if there is no digit. */
bool hex_u64(const char **p, uint64_t *val);
/* Exactly len bytes in hex; false if there are fewer or other characters. */
bool hex_bytes(const char **p, void *dst, size_t len);

/* ---- agent.c: gdb manual, "The GDB Agent Expression Mechanism" */

struct agent_expr {
	uint32_t len;
	uint8_t code[];
};

struct agent_env {
	/* A register by gdb's number, as an unsigned value. 0 or -errno */
	int (*reg)(void *arg, unsigned n, uint64_t *val);
	int (*mem)(void *arg, uint64_t addr, void *buf, size_t len);
	void *arg;
};

enum agent_result { AGENT_OK, AGENT_BAD_CODE, AGENT_STACK, AGENT_TOO_LONG, AGENT_DIVIDE, AGENT_REGISTER, AGENT_MEMORY };

/* Run it; *val is the top of its stack at the end. Always ends: an expression gets a limited number of operations. */
enum agent_result agent_eval(const struct agent_expr *e, const struct agent_env *env, uint64_t *val);
const char *agent_error(enum agent_result r);

/* ---- the machine under debug: target.c */

enum bp_type { BP_SOFT, BP_HARD, BP_WRITE, BP_READ, BP_ACCESS }; /* the digit of Z packets */

enum bp_place {
	BP_IN_MEMORY,	  /* a BRK stands at ipa */
	BP_NOWHERE,	  /* the machine has been reset, and there was no room for it */
	BP_IN_COMPARATOR, /* of every vcpu; those that are more than there are, in the list of PAWL_CAP_BREAKPOINTS */
};

struct bp {
	enum bp_type type;
	uint64_t addr; /* VA */
	uint64_t len;  /* bytes watched; 4 for breakpoints */
	enum bp_place place;
	bool mmu_off; /* inserted with the MMU off: it is meant for the instruction at ipa, whatever its VA is later */
	uint64_t ipa; /* BP_IN_MEMORY */
	uint32_t saved; /* instruction word under the BRK */
	struct agent_expr **cond;
	unsigned n_cond;	      /* 0: always stops; else if any of them is not 0 */
	_Atomic uint64_t hits, skips; /* skips: hits whose conditions were all false */
};

struct sysreg; /* regs.c */

enum { LIFT_BREAK = 1, LIFT_WATCH = 2 };

struct vcpu_run {     /* one vcpu, as the debugger has told it to run */
	bool running; /* resumed, and nothing reported since */
	bool step;
	struct {
		uint64_t start, end;
	} range; /* step on while PC is inside; empty: one step */
	/* its own thread while it runs, else the server's */
	unsigned lift;	 /* LIFT_*: these are out of the way while one instruction runs */
	bool brk_lifted; /* at lift_ipa the instruction stands in memory instead of a BRK */
	uint64_t lift_ipa;
	bool owed;	 /* KVM may still owe the report of a step that nobody waits for any more */
	bool alone;	 /* needs to step off a BRK in memory while no other vcpu runs */
	bool reinjected; /* the last event was a BRK of the guest's own, which has been delivered to it */
	/* server's thread */
	bool has_event;
	struct gdb_stop event; /* has_event: fetched, to be handled when the step alone is done */
	char stop[128];	       /* its last stop reply */
	bool unreported;       /* non-stop: stop is to be told by a notification */
};

enum view_kind { VIEW_VIRTUAL, VIEW_PHYSICAL, VIEW_TABLE };

struct view { /* through what memory commands see memory */
	enum view_kind kind;
	uint64_t ttbr0; /* VIEW_TABLE: instead of the vcpu's */
};

enum { SPACES = 64 };

struct target {
	const struct gdb_target_ops *ops;
	void *opaque;
	unsigned n;		   /* vcpus */
	unsigned max_bps, max_wps; /* comparators per vcpu */
	unsigned max_list;	   /* breakpoints that need none: PAWL_CAP_BREAKPOINTS; 0 on a kernel */
	unsigned n_list;	   /* those that KVM has now */
	unsigned policies;	   /* PAWL_DEBUG_* that this KVM knows; 0 on a kernel */
	unsigned policy;	   /* those that hold */
	struct bp *bps;		   /* in order of addr */
	unsigned n_bps, cap_bps;
	struct kvm_guest_debug plan; /* comparators and control for a vcpu that runs freely */
	bool watch_wide;	     /* comparators watch more bytes than was asked for */
	struct vcpu_run *vcpu;
	unsigned n_running;
	struct view view;
	struct {
		unsigned asid;
		uint64_t ttbr0;
	} spaces[SPACES]; /* address spaces seen at stops, the last first */
	unsigned n_spaces;
	uint64_t kernel_ttbr1; /* where the kernel's text is mapped, for a vcpu that cannot see it; 0: not known */
	unsigned kernel_look, kernel_wait; /* looks for it are made ever more seldom, counted in stops */
	const struct sysreg **sysregs;	   /* those that this KVM lists; regs.c */
	unsigned n_sysregs;
	struct sysreg *unnamed; /* listed by KVM and not in our table */
	char (*unnamed_names)[24];
	bool pauth;
	char *xml;
};

int target_open(struct target *t, const struct gdb_target_ops *ops, void *opaque); /* 0 or -errno */
void target_close(struct target *t);
int target_get_reg(struct target *t, unsigned vcpu, uint64_t id, void *val);
int target_set_reg(struct target *t, unsigned vcpu, uint64_t id, const void *val);
uint64_t target_get_u64(struct target *t, unsigned vcpu, uint64_t id); /* 0 if it cannot be read */
/* Memory by address in a view, through the vcpu's own tables. 0, or -EFAULT with nothing written. Breakpoints are
 * invisible. */
int target_read(struct target *t, unsigned vcpu, const struct view *view, uint64_t addr, void *buf, size_t len);
int target_write(struct target *t, unsigned vcpu, const struct view *view, uint64_t addr, const void *buf, size_t len);
extern const struct view view_virtual;
/* KVM_SET_GUEST_DEBUG as the breakpoints and the vcpu's struct vcpu_run ask for. Also on the vcpu's own thread. */
int target_arm(struct target *t, unsigned vcpu);
/* The policies of include/pawl/pawl.h that hold from now on. 0 or -errno */
int target_set_policy(struct target *t, unsigned policy);
void target_note_space(struct target *t, unsigned vcpu); /* remember which table its ASID has */
void target_disarm_all(struct target *t);		 /* before detaching: memory and debug state as without us */
/* Deliver the BRK at PC to the guest's own EL1 handler, as the PE would have without a debugger. */
int target_reinject_brk(struct target *t, unsigned vcpu, uint64_t hsr);

/* ---- breakpoint.c, watch.c */

/*
 * Insert; if it is there, replace its conditions. The conditions become the table's own, also on failure.
 * -ENOSPC: no comparator is free; -EINVAL: the address cannot carry one.
 */
int bp_insert(struct target *t, unsigned vcpu, enum bp_type type, uint64_t addr, uint64_t len, struct agent_expr **cond,
	      unsigned n_cond);
int bp_remove(struct target *t, enum bp_type type, uint64_t addr, uint64_t len);
void bp_remove_all(struct target *t);
/* Memory is that of the machine's start: BRKs are put again, or what they stood for elsewhere. How many are nowhere now. */
unsigned bp_machine_reset(struct target *t);
/* The breakpoint that a vcpu at pc has hit, the first in the table if there are several; NULL: none. */
struct bp *bp_find(struct target *t, unsigned vcpu, uint64_t pc);
/* The BRK in memory at pc is one of ours: its place. False: the guest's own. */
bool bp_brk_is_ours(struct target *t, unsigned vcpu, uint64_t pc, uint64_t *ipa);
/* Take the BRK at ipa out of memory, or put it back. */
void bp_lift_brk(struct target *t, uint64_t ipa);
void bp_lower_brk(struct target *t, uint64_t ipa);
/* Replace our BRKs by what they hide, in a buffer that was read from ipa; keep them when something is written. */
void bp_hide(const struct target *t, uint64_t ipa, void *buf, size_t len);
void bp_absorb(struct target *t, uint64_t ipa, void *buf, size_t len);
void bp_free_conditions(struct agent_expr **cond, unsigned n);

static inline bool bp_is_watch(enum bp_type type)
{
	return type >= BP_WRITE;
}

/* Comparators for all watchpoints of t->bps, in dbg and its count; *wide: some watch more than was asked for. -ENOSPC */
int watch_plan(const struct target *t, struct kvm_guest_debug *dbg, bool *wide);
/* The watchpoint that an access hit; NULL: none, the comparator watches more than was asked for. */
struct bp *watch_find(struct target *t, unsigned vcpu, const struct gdb_stop *stop);
/* One comparator for [addr, addr + len) and no other byte; false: it takes a wider one. */
bool watch_exact(uint64_t addr, uint64_t len);

/* ---- walk.c */
/* VA -> IPA through the vcpu's stage 1 (EL1&0), or the view's. 0, or -EFAULT. *size: bytes to the end of the page or
 * block. */
int walk(struct target *t, unsigned vcpu, const struct view *view, uint64_t va, uint64_t *ipa, uint64_t *size);
/* Visit the leaves of the high half's tables in ascending order; visit returns false to end it. */
void walk_high(struct target *t, unsigned vcpu, uint64_t ttbr1,
	       bool (*visit)(void *arg, uint64_t va, uint64_t desc, uint64_t size), void *arg);
unsigned walk_high_page(struct target *t, unsigned vcpu); /* bytes of its granule */
/* Bits of a pointer that hold a pointer authentication code; high: addresses whose bit 55 is set. */
uint64_t walk_pac_mask(struct target *t, unsigned vcpu, bool high, bool code);
bool walk_mmu_on(struct target *t, unsigned vcpu);

/* ---- kernel.c */
struct kernel {
	uint64_t ipa, size; /* of its image in RAM */
	uint64_t va;	    /* of the image's first byte; 0: not mapped yet */
};
/* Find a Linux kernel. False: there is none in RAM. */
bool kernel_find(struct target *t, struct kernel *k);
void kernel_note(struct target *t); /* at a stop: find out kernel_ttbr1 */

/* ---- regs.c, sysregs.c */
enum {
	REG_SP = 31,
	REG_PC = 32,
	REG_CPSR = 33,
	REG_V0 = 34,
	REG_FPSR = 66,
	REG_FPCR = 67,
	REG_PAC = 68, /* data mask, code mask; both again for high addresses */
	REG_SYS = 72
};

struct sysreg {
	const char *name;
	uint64_t id;	   /* ONE_REG id, or the encoding of a register of the GIC CPU interface */
	const char *group; /* of `info registers GROUP` */
};
extern const char sysreg_gic_group[];
const struct sysreg *sysreg_table(unsigned *n);

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

/* ---- server.c */

struct gdb_server {
	struct target t;
	struct gdb_hook hook;
	pthread_t thread;
	int listener, conn, wake; /* wake: eventfd, gdb_server_stop() */
	char *unix_path;	  /* to unlink, or NULL */
	bool held;		  /* nothing has run yet: the first debugger finds the vcpus at their entry */
	_Atomic int exit_status;

	/* server thread, while connected */
	bool no_ack, quit;
	bool features;	  /* gdb asked for swbreak and hwbreak in stop replies */
	bool error_texts; /* gdb takes E.text */
	bool non_stop;
	bool asked;	       /* non-stop: the next vStopped belongs to a "?" */
	int notified;	       /* non-stop: the vcpu whose notification waits for vStopped, or -1 */
	bool all_stop_running; /* all-stop: the last resumption has not been answered */
	bool told_policy;      /* what a step is, at the first one */
	int alone;	       /* vcpu that steps while the others are held back, or -1 */
	unsigned cur;	       /* vcpu of register and memory commands */
	unsigned stopped;      /* vcpu of the last stop reply in all-stop mode */
	struct packet_in in;
	struct packet_out out;
	char frame[2 * PACKET_MAX + 8]; /* the last one sent, for a '-' */
	size_t frame_len;
	char inbuf[8192]; /* received and not yet parsed: between inpos and inlen */
	size_t inpos, inlen;
};

void policy_tell(struct gdb_server *s); /* before the first step; monitor.c */
void reply(struct gdb_server *s, const char *text);
void reply_rc(struct gdb_server *s, int rc);			  /* OK or Exx */
void reply_error(struct gdb_server *s, int rc, const char *text); /* text if the client takes it */
void reply_out(struct gdb_server *s);				  /* s->out */
void send_notification(struct gdb_server *s, const char *text);
void console(struct gdb_server *s, const char *text);		    /* text on the debugger's console */
bool parse_thread(struct gdb_server *s, const char **p, int *vcpu); /* -1: any or all */
bool parse_addr_len(const char **p, uint64_t *addr, uint64_t *len);
const char *power_state(struct gdb_server *s, unsigned vcpu);

/* ---- run.c */
void run_attach(struct gdb_server *s); /* a debugger is there: everything stops */
void run_detach(struct gdb_server *s); /* it has gone: everything runs, as without a debugger */
void run_event(struct gdb_server *s);  /* the machine's descriptor is readable */
void run_interrupt(struct gdb_server *s);
bool run_any(const struct gdb_server *s);
/* No vcpu runs between the two; those that ran go on at the second. */
void run_pause(struct gdb_server *s);
void run_go(struct gdb_server *s);
/* On the vcpu's thread. */
bool run_goes_on(void *server, const struct gdb_stop *stop);
void cmd_stop_reason(struct gdb_server *s, const char *p);
void cmd_resume_simple(struct gdb_server *s, const char *p);
void cmd_vcont(struct gdb_server *s, const char *p);
void cmd_vstopped(struct gdb_server *s, const char *p);
void cmd_vctrlc(struct gdb_server *s, const char *p);
void q_nonstop(struct gdb_server *s, const char *p);

/* ---- memory.c */
void cmd_read_mem(struct gdb_server *s, const char *p);
void cmd_read_binary(struct gdb_server *s, const char *p);
void cmd_write_mem(struct gdb_server *s, const char *p);
void cmd_write_binary(struct gdb_server *s, const char *p);
void q_search(struct gdb_server *s, const char *p);
void q_crc(struct gdb_server *s, const char *p);

/* ---- query.c */
void cmd_query(struct gdb_server *s, const char *p);

/* ---- monitor.c */
void cmd_monitor(struct gdb_server *s, const char *p);

#endif
