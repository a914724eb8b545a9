/* SPDX-License-Identifier: MIT */
/*
 * The gdb server over a real socket, with a machine made of plain memory: what each packet does, and that no input of a
 * client, garbage included, ends or hangs it. The real gdb against a real guest is tested elsewhere.
 */
#include "fake.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static void a_new_connection_stops_the_machine_and_sees_its_vcpus_as_threads(void **state)
{
	assert_string_equal(ask("?"), "T05thread:1;");
	assert_int_equal(m.attached, 1);
	assert_string_equal(ask("qfThreadInfo"), "m1,2");
	assert_string_equal(ask("qsThreadInfo"), "l");
	assert_string_equal(ask("T2"), "OK");
	assert_string_equal(ask("T3"), "E16");
}

static void memory_is_read_and_written_and_holes_are_errors(void **state)
{
	assert_string_equal(ask("M40000010,4:01020304"), "OK");
	assert_string_equal(ask("m40000010,4"), "01020304");
	assert_string_equal(ask("m0,4"), "E0e");
	assert_string_equal(ask("m4000fffe,4"), "0000"); /* partial: up to the end of RAM's last page */
	assert_string_equal(ask("M4000fffe,4:ffffffff"), "E0e");
	assert_int_equal(m.ram[RAM_SIZE - 1], 0); /* all or nothing */
}

static void registers_go_through_one_reg(void **state)
{
	assert_string_equal(ask("P20=0000004000000000"), "OK");
	assert_string_equal(ask("p20"), "0000004000000000");
	assert_string_equal(ask("P21=c5030000"), "OK");
	assert_string_equal(ask("p21"), "c5030000");
	assert_string_equal(ask("P48=78563412785634ff"), "OK"); /* SCTLR_EL1: the only one this KVM lists */
	assert_string_equal(ask("p48"), "78563412785634ff");
	assert_string_equal(ask("p49"), "E16");
	assert_int_equal(strlen(ask("g")), 2 * (33 * 8 + 4 + 32 * 16 + 8));
}

static void a_software_breakpoint_is_a_brk_that_memory_reads_do_not_show(void **state)
{
	uint32_t word;

	assert_string_equal(ask("M40000100,4:1f2003d5"), "OK");
	assert_string_equal(ask("Z0,40000100,4"), "OK");
	memcpy(&word, m.ram + 0x100, 4);
	assert_int_equal(word, 0xd4200000);
	assert_string_equal(ask("m40000100,4"), "1f2003d5");
	assert_string_equal(ask("M40000102,2:04d5"), "OK"); /* a write under it is kept */
	memcpy(&word, m.ram + 0x100, 4);
	assert_int_equal(word, 0xd4200000);
	assert_string_equal(ask("z0,40000100,4"), "OK");
	memcpy(&word, m.ram + 0x100, 4);
	assert_int_equal(word, 0xd504201f);
}

static void a_breakpoint_on_an_unmapped_address_takes_a_comparator_until_they_run_out(void **state)
{
	assert_string_equal(ask("Z0,80000000,4"), "OK");
	assert_string_equal(ask("Z1,80000004,4"), "OK");
	assert_string_equal(ask("Z1,80000008,4"), "E1c"); /* ENOSPC */
	assert_string_equal(ask("Z2,40000000,8"), "OK");
	assert_string_equal(ask("Z4,40000001,0"), "E16"); /* nothing to watch */
}

static void breakpoints_beyond_the_comparators_go_to_the_list_of_a_kvm_that_has_one(void **state)
{
	char text[40];

	for (unsigned i = 0; i < 10; i++) {
		snprintf(text, sizeof(text), "Z0,%x,4", 0x80000000 + 4 * i);
		assert_string_equal(ask(text), "OK");
	}
	assert_int_equal(m.n_list, 8); /* two are in comparators */
	assert_int_equal(m.list[0], 0x80000008);
	stops_with((struct gdb_stop){.vcpu = 0, .kind = GDB_STOP_DEBUG, .hsr = 0xcb000022});
	assert_string_equal(ask("vCont;s:1"), "T05thread:1;");
	assert_int_equal(m.debug[0].control,
			 KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_HW | PAWL_GUESTDBG_USE_LIST);
	for (unsigned i = 0; i < 10; i++) {
		snprintf(text, sizeof(text), "z0,%x,4", 0x80000000 + 4 * i);
		assert_string_equal(ask(text), "OK");
	}
	assert_int_equal(m.n_list, 0);
}

static void wait_for_resumption(int n)
{
	while (m.resumed < n)
		poll(NULL, 0, 1);
}

static const char *console_text(void)
{
	static char text[sizeof(m.console) / 2 + 1];
	const char *p = m.console;
	unsigned i = 0, c;

	for (; sscanf(p, "%2x", &c) == 1; p += 2)
		text[i++] = (char)c;
	text[i] = '\0';
	return text;
}

static void after_a_reset_breakpoints_are_where_they_can_be_and_the_debugger_hears_of_it(void **state)
{
	uint32_t word;

	assert_string_equal(ask("Z0,40000100,4"), "OK"); /* with the MMU off: that instruction */
	set_reg(0, ARM64_SYS_REG(3, 0, 1, 0, 0), 1);
	assert_string_equal(ask("Z0,80000000,4"), "OK");
	set_reg(0, ARM64_SYS_REG(3, 0, 1, 0, 0), 0);
	send_packet("vCont;c");
	wait_for_resumption(1);
	resets();
	wait_for_resumption(2);
	assert_true(m.running[0] && m.running[1]);
	memcpy(&word, m.ram + 0x100, 4);
	assert_int_equal(word, 0xd4200000);
	send_raw("\003", 1);
	assert_string_equal(receive(), "T02thread:1;");
	assert_string_equal(console_text(), "The machine has been reset.\n");
	assert_string_equal(ask("z0,40000100,4"), "OK");
	memcpy(&word, m.ram + 0x100, 4);
	assert_int_equal(word, 0);
}

static void a_reset_while_all_is_stopped_leaves_it_stopped(void **state)
{
	uint32_t word;

	assert_string_equal(ask("Z0,40000100,4"), "OK");
	resets();
	do {
		poll(NULL, 0, 1);
		memcpy(&word, m.ram + 0x100, 4);
	} while (word != 0xd4200000);
	assert_string_equal(ask("?"), "T05thread:1;");
	assert_false(m.running[0] || m.running[1]);
	assert_int_equal(m.resumed, 0);
}

static void the_first_step_says_what_a_step_is(void **state)
{
	stops_with((struct gdb_stop){.vcpu = 0, .kind = GDB_STOP_DEBUG, .hsr = 0xcb000022});
	assert_string_equal(ask("vCont;s:1"), "T05thread:1;");
	assert_string_equal(
		console_text(),
		"Steps here (monitor policy): a step may end in the handler of an interrupt; a store-exclusive "
		"fails if it is stepped up to; a step over WFI waits for an interrupt\n");
	m.console[0] = '\0';
	stops_with((struct gdb_stop){.vcpu = 0, .kind = GDB_STOP_DEBUG, .hsr = 0xcb000022});
	assert_string_equal(ask("vCont;s:1"), "T05thread:1;");
	assert_string_equal(m.console, "");
}

static void a_step_arms_one_vcpu_and_reports_where_it_stopped(void **state)
{
	stops_with((struct gdb_stop){.vcpu = 1, .kind = GDB_STOP_DEBUG, .hsr = 0xcb000022});
	assert_string_equal(ask("vCont;s:2"), "T05thread:2;");
	assert_int_equal(m.debug[1].control, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP);
	assert_int_equal(m.debug[0].control, 0);
}

static void a_watchpoint_is_reported_with_its_kind_and_address(void **state)
{
	assert_string_equal(ask("Z2,40000020,4"), "OK");
	stops_with((struct gdb_stop){.vcpu = 0, .kind = GDB_STOP_DEBUG, .hsr = 0xd2000062, .far = RAM + 0x22});
	assert_string_equal(ask("vCont;c"), "T05thread:1;watch:40000022;");
	assert_int_equal(m.debug[0].arch.dbg_wcr[0] & 0x1fff, 1 | 3 << 1 | 2 << 3 | 0xf << 5);
}

static void a_brk_of_the_guests_own_is_delivered_to_the_guest(void **state)
{
	set_reg(0, ARM64_SYS_REG(3, 0, 12, 0, 0), 0x40002000);	/* VBAR_EL1 */
	assert_string_equal(ask("P20=0010004000000000"), "OK"); /* PC */
	assert_string_equal(ask("P21=05000080"), "OK");		/* EL1h, N */
	stops_with((struct gdb_stop){.vcpu = 0, .kind = GDB_STOP_DEBUG, .hsr = 0xf2000800});
	assert_string_equal(ask("vCont;s:1"), "T05thread:1;");
	assert_string_equal(ask("p20"), "0022004000000000");
	assert_string_equal(ask("p21"), "c5034080"); /* N kept, PAN set (SPAN is 0), DAIF masked */
}

static void ctrl_c_stops_a_running_machine(void **state)
{
	send_packet("vCont;c");
	while (!m.resumed)
		poll(NULL, 0, 1);
	send_raw("\003", 1);
	assert_string_equal(receive(), "T02thread:1;");
	assert_false(m.running[0]);
}

static void a_packet_with_a_wrong_checksum_is_asked_for_again(void **state)
{
	char c;

	send_raw("$?#00", 5);
	assert_int_equal(recv(m.conn, &c, 1, 0), 1);
	assert_int_equal(c, '-');
	assert_string_equal(ask("?"), "T05thread:1;");
}

static void unknown_commands_get_an_empty_reply(void **state)
{
	assert_string_equal(ask("vMustReplyEmpty"), "");
	assert_string_equal(ask("qNothingOfTheKind"), "");
	assert_string_equal(ask("y"), "");
	assert_string_equal(ask("\x81\xff"), "");
}

static void malformed_commands_are_errors(void **state)
{
	static const char *const bad[] = {"m",
					  "mzz,4",
					  "m40000000",
					  "M40000000,4:12",
					  "Mx",
					  "G12",
					  "P",
					  "P1",
					  "P1=zz",
					  "pfffffff",
					  "Z1",
					  "Z1,",
					  "Z0,40000002,4",
					  "Hx1",
					  "Hg9",
					  "vCont;",
					  "vCont;q",
					  "vCont;s:9",
					  "vCont;r1",
					  "qRcmd,zz",
					  "X40000000,5:1",
					  "qXfer:features:read:target.xml:",
					  "qThreadExtraInfo,77",
					  "C"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *r = ask(bad[i]);

		if (r[0] != 'E')
			fail_msg("'%s' was answered '%s'", bad[i], r);
	}
}

static void the_target_description_comes_in_pieces_and_ends(void **state)
{
	char req[80];
	size_t off = 0;

	for (;;) {
		const char *r;

		snprintf(req, sizeof(req), "qXfer:features:read:target.xml:%zx,200", off);
		r = ask(req);
		assert_true(r[0] == 'm' || r[0] == 'l');
		off += strlen(r) - 1;
		if (r[0] == 'l') {
			assert_non_null(strstr(r, "</target>"));
			break;
		}
	}
	assert_true(off > 4000);
}

static void noise_of_any_kind_leaves_the_server_alive(void **state)
{
	uint32_t seed = 1;

	for (int round = 0; round < 200; round++) {
		char buf[600];

		for (size_t i = 0; i < sizeof(buf); i++) {
			seed = seed * 1664525 + 1013904223;
			/* mostly bytes that mean something to the framing */
			buf[i] = "$#}*+-\003mMgGpPZzHTvqQXcsD:;,=0123456789abcdef"[(seed >> 16) % 45];
			if (buf[i] == 'D' || buf[i] == 'c' || buf[i] == 's') /* would end the session or run */
				buf[i] = 'm';
		}
		if (send(m.conn, buf, sizeof(buf), MSG_NOSIGNAL) < 0)
			break;
		while (recv(m.conn, buf, sizeof(buf), MSG_DONTWAIT) > 0)
			;
	}
	close(m.conn);
	m.conn = dial(); /* and it serves the next one */
	assert_string_equal(ask("?"), "T05thread:1;");
}

static void a_client_that_vanishes_leaves_the_machine_running_without_breakpoints(void **state)
{
	assert_string_equal(ask("Z0,40000100,4"), "OK");
	assert_int_equal(m.ram[0x103], 0xd4);
	close(m.conn);
	while (!m.detached)
		poll(NULL, 0, 1);
	assert_int_equal(m.ram[0x103], 0);
	m.conn = dial();
	assert_string_equal(ask("?"), "T05thread:1;");
}

static void kill_ends_the_machine(void **state)
{
	assert_string_equal(ask("vKill;1"), "OK");
	while (!m.killed)
		poll(NULL, 0, 1);
}

static void an_address_in_use_or_nonsense_is_refused_with_its_name(void **state)
{
	static const char *const bad[] = {
		"", "x", "0", "99999", "localhost:", "12a", ":", "no.such.host.invalid:1", "/no/such/dir/sock"};
	char error[200];

	assert_null(gdb_server_start(m.path, &fake_ops, NULL, false, error, sizeof(error)));
	assert_non_null(strstr(error, "in use"));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		error[0] = '\0';
		assert_null(gdb_server_start(bad[i], &fake_ops, NULL, false, error, sizeof(error)));
		assert_non_null(strstr(error, bad[i]));
	}
}

#define CORE(field) (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(field))
#define PC CORE(regs.pc)

static const struct gdb_stop step_of_0 = {.vcpu = 0, .kind = GDB_STOP_DEBUG, .hsr = 0xcb000022},
			     brk_of_0 = {.vcpu = 0, .kind = GDB_STOP_DEBUG, .hsr = 0xf2000000},
			     comparator_of_0 = {.vcpu = 0, .kind = GDB_STOP_DEBUG, .hsr = 0xc2000022};

static void memory_is_read_binary_with_escapes(void **state)
{
	assert_string_equal(ask("M40000010,5:41237d2442"), "OK");
	assert_string_equal(ask("x40000010,5"), "bA}\003}]}\004B");
	assert_string_equal(ask("x0,4"), "E0e");
	m.ram[RAM_SIZE - 1] = 'Z';
	assert_string_equal(ask("x4000ffff,1"), "bZ");
}

static void memory_is_searched_here_and_not_by_the_client(void **state)
{
	memcpy(m.ram + 0x9ffe, "pawl", 4); /* across a page */
	assert_string_equal(ask("qSearch:memory:40000000;10000;pawl"), "1,40009ffe");
	assert_string_equal(ask("qSearch:memory:40000000;a001;pawl"), "0"); /* its last byte is outside */
	assert_string_equal(ask("qSearch:memory:40000000;a002;pawl"), "1,40009ffe");
	assert_string_equal(ask("qSearch:memory:4000f000;2000;pawl"), "E0e"); /* memory ends first */
	assert_string_equal(ask("qSearch:memory:40000000;10;"), "E16");
}

static void a_checksum_of_memory_is_that_of_the_protocol(void **state)
{
	memcpy(m.ram, "123456789", 9);
	assert_string_equal(ask("qCRC:40000000,9"), "C376e6e7"); /* CRC-32/MPEG-2 of the customary string */
	assert_string_equal(ask("qCRC:4000ffff,2"), "E0e");
}

static void the_memory_map_covers_all_virtual_addresses(void **state)
{
	const char *r = ask("qXfer:memory-map:read::0,2000");

	assert_true(r[0] == 'l');
	assert_non_null(strstr(r, "start=\"0x0\" length=\"0x8000000000000000\""));
}

static void a_range_step_goes_on_until_pc_is_outside(void **state)
{
	set_reg(0, PC, RAM + 0x10);
	stops_with(step_of_0);
	send_packet("vCont;r40000000,40000020:1");
	while (!m.resumed)
		poll(NULL, 0, 1);
	assert_false(m.fired); /* PC is inside: the debugger hears nothing */
	send_raw("\003", 1);
	assert_string_equal(receive(), "T02thread:1;");
	set_reg(0, PC, RAM + 0x20);
	stops_with(step_of_0);
	assert_string_equal(ask("vCont;r40000000,40000020:1"), "T05thread:1;");
}

/* x0 == 5: reg 0, const8 5, equal, end */
static const char with_condition[] = "Z0,40000100,4;X7,26000022051327";

static void a_condition_that_is_false_is_passed_by_and_one_that_is_true_stops(void **state)
{
	set_reg(0, ARM64_SYS_REG(3, 0, 1, 0, 0), 1); /* the MMU is on, and nothing mapped: it takes a comparator */
	assert_string_equal(ask(with_condition), "OK");
	set_reg(0, PC, RAM + 0x100);
	set_reg(0, CORE(regs.regs[0]), 4);
	stops_with(comparator_of_0);
	send_packet("vCont;c");
	while (!m.resumed)
		poll(NULL, 0, 1);
	assert_false(m.fired);
	assert_int_equal(m.debug[0].control,
			 KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW | KVM_GUESTDBG_SINGLESTEP); /* steps off it, */
	assert_int_equal(m.debug[0].arch.dbg_bcr[0], 0); /* which is out of the way */
	send_raw("\003", 1);
	assert_string_equal(receive(), "T02thread:1;");
	set_reg(0, CORE(regs.regs[0]), 5);
	stops_with(comparator_of_0);
	assert_string_equal(ask("vCont;c"), "T05thread:1;");
	assert_string_equal(ask("z0,40000100,4"), "OK");
}

static void a_condition_that_cannot_be_evaluated_stops(void **state)
{
	static const char *const code[] = {"X1,02", "X3,2200ff", "X4,22001719", "X3,210000", "X5,2200220004", "X1,ff"};

	for (size_t i = 0; i < sizeof(code) / sizeof(code[0]); i++) {
		char z[60];

		snprintf(z, sizeof(z), "Z0,40000100,4;%s", code[i]);
		assert_string_equal(ask(z), "OK");
		set_reg(0, PC, RAM + 0x100);
		stops_with(comparator_of_0);
		assert_string_equal(ask("vCont;c"), "T05thread:1;");
		assert_string_equal(ask("z0,40000100,4"), "OK");
	}
}

static void malformed_conditions_are_errors_and_set_nothing(void **state)
{
	static const char *const bad[] = {"Z0,40000100,4;X",	 "Z0,40000100,4;X2,",	       "Z0,40000100,4;X2,2",
					  "Z0,40000100,4;X0,",	 "Z0,40000100,4;Xffffffff,27", "Z0,40000100,4;X1,27X",
					  "Z0,40000100,4;X1,27z"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_string_equal(ask(bad[i]), "E16");
	assert_int_equal(m.ram[0x103], 0);
}

static void the_brk_of_another_address_of_the_same_instruction_is_stepped_off(void **state)
{
	uint32_t word = 0xd503201f, now;

	memcpy(m.ram + 0x100, &word, 4);
	assert_string_equal(ask("Z0,40000100,4"), "OK");
	set_reg(0, PC, RAM + 0x100);
	stops_with(brk_of_0);
	assert_string_equal(ask("vCont;c:1"), "T05thread:1;");
	memcpy(&now, m.ram + 0x100, 4);
	assert_int_equal(now, 0xd4200000);
}

static void there_may_be_more_watchpoints_than_comparators(void **state)
{
	assert_string_equal(ask("Z2,40000000,8"), "OK");
	assert_string_equal(ask("Z2,40000100,4"), "OK");
	assert_string_equal(ask("Z3,40000118,8"), "OK");    /* shares a comparator with the one before */
	memcpy(m.ram + 0x200, (uint32_t[]){0xb9000020}, 4); /* str w0, [x1] */
	set_reg(0, PC, RAM + 0x200);
	stops_with((struct gdb_stop){.vcpu = 0, .kind = GDB_STOP_DEBUG, .hsr = 0xd2000062, .far = RAM + 0x110});
	send_packet("vCont;c:1");
	while (!m.resumed)
		poll(NULL, 0, 1);
	assert_int_equal(m.debug[0].control, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW | KVM_GUESTDBG_SINGLESTEP);
	send_raw("\003", 1);
	assert_string_equal(receive(), "T02thread:1;"); /* nobody watches 0x110 */
	stops_with((struct gdb_stop){.vcpu = 0, .kind = GDB_STOP_DEBUG, .hsr = 0xd2000062, .far = RAM + 0x100});
	assert_string_equal(ask("vCont;c:1"), "T05thread:1;watch:40000100;");
	assert_string_equal(ask("Z2,ffff000000000000,4"), "OK");
	assert_string_equal(ask("Z2,100000000000,4"), "E1c"); /* too far away from each to share */
}

static void a_watchpoint_of_any_size_covers_all_of_it(void **state)
{
	assert_string_equal(ask("Z4,40000001,9"), "OK"); /* crosses a doubleword */
	assert_string_equal(ask("vCont;t"), "T05thread:1;");
	assert_string_equal(ask("z4,40000001,9"), "OK");
}

static void in_non_stop_mode_stops_are_notifications(void **state)
{
	assert_string_equal(ask("QNonStop:1"), "OK");
	assert_string_equal(ask("?"), "T05thread:1;");
	assert_string_equal(ask("vStopped"), "OK");
	assert_string_equal(receive(), "Stop:T05thread:2;");
	assert_string_equal(ask("vStopped"), "OK");
	assert_string_equal(ask("vCont;c:2"), "OK");
	while (!m.running[1])
		poll(NULL, 0, 1);
	assert_false(m.running[0]);
	assert_string_equal(ask("m40000000,1"), "00"); /* commands are served while a vcpu runs */
	while (!m.running[1])
		poll(NULL, 0, 1);
	assert_string_equal(ask("vCont;t:2"), "OK");
	assert_string_equal(receive(), "Stop:T00thread:2;");
	assert_string_equal(ask("vStopped"), "OK");
	assert_false(m.running[1]);
	assert_string_equal(ask("vCont;c"), "OK");
	assert_string_equal(ask("vCtrlC"), "OK");
	assert_string_equal(receive(), "Stop:T02thread:1;");
	assert_string_equal(ask("vStopped"), "T02thread:2;");
	assert_string_equal(ask("vStopped"), "OK");
}

static void locking_the_scheduler_runs_one_vcpu_only(void **state)
{
	stops_with(step_of_0);
	assert_string_equal(ask("vCont;s:1"), "T05thread:1;");
	assert_int_equal(m.debug[1].control, 0);
	send_packet("vCont;c:2");
	while (m.resumed < 2)
		poll(NULL, 0, 1);
	assert_true(m.running[1] && !m.running[0]);
	send_raw("\003", 1);
	assert_string_equal(receive(), "T02thread:2;");
}

static void physical_addresses_can_be_chosen_as_in_qemu(void **state)
{
	set_reg(0, ARM64_SYS_REG(3, 0, 1, 0, 0), 1); /* the MMU is on, and no table is there */
	assert_string_equal(ask("m40000000,4"), "E0e");
	assert_string_equal(ask("Qqemu.PhyMemMode:1"), "OK");
	assert_string_equal(ask("qqemu.PhyMemMode"), "1");
	assert_string_equal(ask("m40000000,4"), "00000000");
	assert_string_equal(ask("Qqemu.PhyMemMode:0"), "OK");
}

/* The text that a monitor command answers. */
static const char *monitor(const char *command)
{
	static char text[8192];
	char packet[600] = "qRcmd,";
	const char *r;
	size_t n = 0;

	for (const char *p = command; *p; p++)
		sprintf(packet + strlen(packet), "%02x", (unsigned char)*p);
	r = ask(packet);
	for (; r[0] && r[1] && n < sizeof(text) - 1; r += 2) {
		char two[3] = {r[0], r[1], 0};

		text[n++] = (char)strtol(two, NULL, 16);
	}
	text[n] = '\0';
	return text;
}

static void monitor_commands_say_what_they_do_or_how_they_are_used(void **state)
{
	assert_non_null(strstr(monitor("help"), "policy [NAME on|off]"));
	assert_non_null(strstr(monitor("policy"), "this KVM cannot do otherwise")); /* the fake one is no pawl */
	assert_non_null(strstr(monitor("policy hold-irqs on"), "extension of pawl"));
	assert_non_null(strstr(monitor("policy nonsense on"), "usage"));
	assert_non_null(strstr(monitor("translate 40000000"), "IPA 0x40000000"));
	assert_non_null(strstr(monitor("translate"), "usage"));
	assert_non_null(strstr(monitor("reg SCTLR_EL1 30d00800"), "0x30d00800"));
	assert_int_equal(get_reg(0, ARM64_SYS_REG(3, 0, 1, 0, 0)), 0x30d00800);
	assert_non_null(strstr(monitor("reg sctlr_el1"), "0x30d00800"));
	assert_non_null(strstr(monitor("reg sctlr_el1 zz"), "not a hexadecimal"));
	assert_non_null(strstr(monitor("reg nothing"), "no system register"));
	assert_non_null(strstr(monitor("exits"), "MMIO write of 4 bytes at 0x9000000: 0x41"));
	assert_non_null(strstr(monitor("view physical"), "physical"));
	assert_non_null(strstr(monitor("view virtual"), "virtual"));
	assert_non_null(strstr(monitor("view ttbr0"), "usage"));
	assert_non_null(strstr(monitor("asid 77"), "no vcpu has had ASID 77"));
	assert_non_null(strstr(monitor("kernel"), "no Linux kernel"));
	assert_non_null(strstr(monitor("nonsense"), "monitor help"));
}

static void a_kernel_is_found_by_its_header_before_the_mmu_is_on(void **state)
{
	memcpy(m.ram + 16, (uint64_t[]){0x10000}, 8);
	memcpy(m.ram + 56, "ARM\x64", 4);
	assert_non_null(strstr(monitor("kernel"), "IPA 0x40000000, 0x10000 bytes, not mapped yet"));
	assert_string_equal(ask("qOffsets"), "");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_new_connection_stops_the_machine_and_sees_its_vcpus_as_threads),
		T(memory_is_read_and_written_and_holes_are_errors),
		T(registers_go_through_one_reg),
		T(a_software_breakpoint_is_a_brk_that_memory_reads_do_not_show),
		T(a_breakpoint_on_an_unmapped_address_takes_a_comparator_until_they_run_out),
		cmocka_unit_test_setup_teardown(breakpoints_beyond_the_comparators_go_to_the_list_of_a_kvm_that_has_one,
						setup_with_list, teardown),
		cmocka_unit_test_setup_teardown(
			after_a_reset_breakpoints_are_where_they_can_be_and_the_debugger_hears_of_it, setup_with_list,
			teardown),
		T(a_reset_while_all_is_stopped_leaves_it_stopped),
		T(the_first_step_says_what_a_step_is),
		T(a_step_arms_one_vcpu_and_reports_where_it_stopped),
		T(a_watchpoint_is_reported_with_its_kind_and_address),
		T(a_brk_of_the_guests_own_is_delivered_to_the_guest),
		T(ctrl_c_stops_a_running_machine),
		T(a_packet_with_a_wrong_checksum_is_asked_for_again),
		T(unknown_commands_get_an_empty_reply),
		T(malformed_commands_are_errors),
		T(the_target_description_comes_in_pieces_and_ends),
		T(noise_of_any_kind_leaves_the_server_alive),
		T(a_client_that_vanishes_leaves_the_machine_running_without_breakpoints),
		T(kill_ends_the_machine),
		T(memory_is_read_binary_with_escapes),
		T(memory_is_searched_here_and_not_by_the_client),
		T(a_checksum_of_memory_is_that_of_the_protocol),
		T(the_memory_map_covers_all_virtual_addresses),
		T(a_range_step_goes_on_until_pc_is_outside),
		T(a_condition_that_is_false_is_passed_by_and_one_that_is_true_stops),
		T(a_condition_that_cannot_be_evaluated_stops),
		T(malformed_conditions_are_errors_and_set_nothing),
		T(the_brk_of_another_address_of_the_same_instruction_is_stepped_off),
		T(there_may_be_more_watchpoints_than_comparators),
		T(a_watchpoint_of_any_size_covers_all_of_it),
		T(in_non_stop_mode_stops_are_notifications),
		T(locking_the_scheduler_runs_one_vcpu_only),
		T(physical_addresses_can_be_chosen_as_in_qemu),
		T(monitor_commands_say_what_they_do_or_how_they_are_used),
		T(a_kernel_is_found_by_its_header_before_the_mmu_is_on),
		T(an_address_in_use_or_nonsense_is_refused_with_its_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
