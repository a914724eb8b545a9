/* SPDX-License-Identifier: MIT */
/* The loop over trials that the payloads share, and the tables that they
 * themselves run with. */
#include "payload.h"

enum { CHUNK = 100 };

static u64 result[40];
static unsigned n_results;

void note(u64 v)
{
	result[n_results++] = v;
}

static void print_trial(unsigned n, const char *const *names, unsigned n_names)
{
	put("trial ");
	put_hex(n, 6);
	put("\n");
	for (unsigned i = 0; i < n_results; i++) {
		put("  ");
		put(names[i % n_names]);
		put(" ");
		put_hex(result[i], 16);
		put(i % n_names == n_names - 1 ? "\n" : "");
	}
}

void run_trials(void (*trial)(unsigned n), const char *const *names, unsigned n_names)
{
	u64 digest = 0;

	for (unsigned n = 0; n < TRIALS; n++) {
		n_results = 0;
		trial(n);
		if (n >= FROM && n < TO)
			print_trial(n, names, n_names);
		for (unsigned i = 0; i < n_results; i++)
			mix(&digest, result[i]);
		if (n % CHUNK == CHUNK - 1) {
			put_hex(n + 1 - CHUNK, 6);
			put(" ");
			put_hex(digest, 16);
			put("\n");
			digest = 0;
		}
	}
	put("end\n");
}

void own_tables(u64 *l1, u64 *l2, u64 play)
{
	l1[1] = (u64)l2 | 3; /* 0x40000000 */
	l2[1] = 0x40200000 | DESC_BLOCK | DESC_AF | DESC_SH | DESC_RO | DESC_USER;
	l2[2] = 0x40400000 | DESC_BLOCK | DESC_AF | DESC_SH | DESC_XN;
	l2[3] = play;
}

void own_mmu_on(const u64 *l1_low, const u64 *l1_high, u64 mair, u64 sctlr)
{
	write_sysreg(mair_el1, mair);
	write_sysreg(ttbr0_el1, (u64)l1_low);
	write_sysreg(ttbr1_el1, (u64)l1_high);
	write_sysreg(tcr_el1, TCR_OWN);
	tlb_drop();
	write_sysreg(sctlr_el1, sctlr);
	isb();
}

void own_mmu_off(void)
{
	write_sysreg(sctlr_el1, SCTLR_OFF);
	isb();
}
