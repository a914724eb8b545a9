/* SPDX-License-Identifier: MIT */
/* The UART's register model: PrimeCell UART (PL011) Technical Reference Manual, Arm DDI 0183. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "pl011.h"

enum {
	DR = 0x00,
	RSR = 0x04,
	FR = 0x18,
	IBRD = 0x24,
	FBRD = 0x28,
	LCR_H = 0x2c,
	CR = 0x30,
	IFLS = 0x34,
	IMSC = 0x38,
	RIS = 0x3c,
	MIS = 0x40,
	ICR = 0x44
};
enum { FR_RXFE = 0x10, FR_TXFF = 0x20, FR_RXFF = 0x40, FR_TXFE = 0x80 };
enum { INT_RX = 0x10, INT_TX = 0x20, INT_RT = 0x40, INT_OE = 0x400 };
enum { CR_ON = 0x301, CR_LBE = 0x80, LCR_FEN = 0x10 };

static struct pl011 uart;
static char sent[256];
static unsigned n_sent, n_wanted;
static int line; /* the interrupt output, and how often it was set */
static unsigned n_line;

static void transmit(void *arg, uint8_t byte)
{
	sent[n_sent++] = (char)byte;
}

static void wanted(void *arg)
{
	n_wanted++;
}

static void set_irq(void *arg, bool level)
{
	line = level;
	n_line++;
}

static uint32_t rd(uint64_t reg)
{
	uint32_t val;

	pthread_mutex_lock(&uart.dev.lock);
	val = uart.dev.ops->read(&uart.dev, reg, 4);
	pthread_mutex_unlock(&uart.dev.lock);
	return val;
}

static void wr(uint64_t reg, uint32_t val)
{
	pthread_mutex_lock(&uart.dev.lock);
	uart.dev.ops->write(&uart.dev, reg, 4, val);
	pthread_mutex_unlock(&uart.dev.lock);
}

static int reset(void **state)
{
	memset(&uart, 0, sizeof(uart));
	pthread_mutex_init(&uart.dev.lock, NULL);
	uart.dev.set_irq = set_irq;
	uart.transmit = transmit;
	uart.wanted = wanted;
	pl011_init(&uart);
	n_sent = n_wanted = n_line = 0;
	line = 0;
	return 0;
}

/* As a driver leaves it: FIFOs on, receiver and its interrupts on. */
static void listen(void)
{
	wr(LCR_H, 0x60 | LCR_FEN);
	wr(CR, CR_ON);
	wr(IMSC, INT_RX | INT_RT);
}

static void receive(const char *text)
{
	pl011_receive(&uart, (const uint8_t *)text, (unsigned)strlen(text));
}

static void registers_have_their_reset_values(void **state)
{
	assert_int_equal(rd(FR) & 0xf8, FR_RXFE | FR_TXFE);
	assert_int_equal(rd(CR), 0x300);
	assert_int_equal(rd(IFLS), 0x12);
	assert_int_equal(rd(RIS), 0);
	assert_int_equal(rd(IMSC), 0);
	assert_int_equal(rd(LCR_H), 0);
	assert_int_equal(rd(0x800), 0);
}

static void the_PrimeCell_ids_are_those_that_drivers_match(void **state)
{
	static const uint8_t id[8] = {0x11, 0x10, 0x34, 0x00, 0x0d, 0xf0, 0x05, 0xb1};

	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(rd(0xfe0 + 4 * i), id[i]);
}

static void written_registers_read_back_in_their_width(void **state)
{
	wr(IBRD, 0xffffffff);
	wr(FBRD, 0xffffffff);
	wr(LCR_H, 0xffffffff);
	wr(IFLS, 0xffffffff);
	wr(IMSC, 0xffffffff);
	assert_int_equal(rd(IBRD), 0xffff);
	assert_int_equal(rd(FBRD), 0x3f);
	assert_int_equal(rd(LCR_H), 0xff);
	assert_int_equal(rd(IFLS), 0x3f);
	assert_int_equal(rd(IMSC), 0x7ff);
}

static void a_byte_is_sent_at_once_even_before_the_UART_is_enabled(void **state)
{
	wr(DR, 'a');
	wr(CR, CR_ON);
	wr(DR, 0xffffff00 | 'b');
	assert_int_equal(n_sent, 2);
	assert_memory_equal(sent, "ab", 2);
	assert_int_equal(rd(FR) & (FR_TXFF | FR_TXFE), FR_TXFE);
}

static void sending_raises_the_transmit_interrupt_until_it_is_cleared(void **state)
{
	wr(IMSC, INT_TX);
	assert_int_equal(line, 0);
	wr(DR, 'a');
	assert_int_equal(rd(MIS), INT_TX);
	assert_int_equal(line, 1);
	wr(ICR, INT_TX);
	assert_int_equal(line, 0);
	wr(DR, 'b');
	wr(IMSC, 0);
	assert_int_equal(rd(RIS), INT_TX);
	assert_int_equal(rd(MIS), 0);
	assert_int_equal(line, 0);
}

static void the_interrupt_line_is_told_of_changes_only(void **state)
{
	wr(IMSC, INT_TX);
	for (unsigned i = 0; i < 10; i++)
		wr(DR, 'x');
	assert_int_equal(n_line, 1);
}

static void received_bytes_come_out_in_order(void **state)
{
	listen();
	assert_int_equal(pl011_room(&uart), 16);
	receive("hello");
	assert_int_equal(rd(FR) & (FR_RXFE | FR_RXFF), 0);
	for (const char *p = "hello"; *p; p++)
		assert_int_equal(rd(DR), *p);
	assert_int_equal(rd(FR) & FR_RXFE, FR_RXFE);
	assert_int_equal(rd(DR), 0);
}

static void the_timeout_interrupt_lasts_until_the_FIFO_is_empty(void **state)
{
	listen();
	receive("ab");
	assert_int_equal(rd(MIS), INT_RT);
	assert_int_equal(line, 1);
	rd(DR);
	assert_int_equal(line, 1);
	wr(ICR, INT_RT); /* a byte is there still, and the line silent: it comes again */
	assert_int_equal(line, 1);
	rd(DR);
	assert_int_equal(line, 0);
}

static void the_receive_interrupt_follows_the_trigger_level(void **state)
{
	static const struct {
		uint8_t ifls, level;
	} levels[] = {{0 << 3, 2}, {1 << 3, 4}, {2 << 3, 8}, {3 << 3, 12}, {4 << 3, 14}};

	for (unsigned i = 0; i < 5; i++) {
		reset(NULL);
		listen();
		wr(IFLS, levels[i].ifls);
		for (unsigned n = 1; n <= 16; n++) {
			receive("x");
			assert_int_equal(!!(rd(RIS) & INT_RX), n >= levels[i].level);
		}
		for (unsigned n = 16; n > 0; n--) {
			assert_int_equal(!!(rd(RIS) & INT_RX), n >= levels[i].level);
			rd(DR);
		}
	}
}

static void without_FIFO_there_is_room_for_one_byte(void **state)
{
	listen();
	wr(LCR_H, 0x60);
	assert_int_equal(pl011_room(&uart), 1);
	receive("a");
	assert_int_equal(rd(FR) & FR_RXFF, FR_RXFF);
	assert_int_equal(rd(RIS) & INT_RX, INT_RX);
	assert_int_equal(pl011_room(&uart), 0);
	assert_int_equal(rd(DR), 'a');
	assert_int_equal(n_wanted, 1);
}

static void an_overrun_keeps_what_was_there_and_is_flagged(void **state)
{
	listen();
	receive("0123456789abcdefX");
	assert_int_equal(rd(RIS) & INT_OE, INT_OE);
	assert_int_equal(rd(RSR), 8);
	for (const char *p = "0123456789abcde"; *p; p++)
		assert_int_equal(rd(DR), *p);
	assert_int_equal(rd(DR), 0x800 | 'f');
	wr(RSR, 0);
	assert_int_equal(rd(RSR), 0);
}

static void input_waits_until_somebody_listens(void **state)
{
	assert_int_equal(pl011_room(&uart), 0);
	wr(CR, CR_ON);
	assert_int_equal(pl011_room(&uart), 0);
	wr(IMSC, INT_RX);
	assert_int_equal(n_wanted, 1);
	assert_int_equal(pl011_room(&uart), 1);
	wr(CR, 0);
	assert_int_equal(pl011_room(&uart), 0);
}

static void a_driver_that_polls_for_input_listens_too_and_one_that_prints_does_not(void **state)
{
	wr(CR, CR_ON);
	assert_int_equal(pl011_room(&uart), 0);
	for (unsigned i = 0; i < 100; i++) {
		rd(FR);
		wr(DR, 'x');
		rd(FR);
	}
	assert_int_equal(pl011_room(&uart), 0);
	for (unsigned i = 0; i < 100; i++)
		rd(FR);
	assert_int_equal(n_wanted, 1);
	assert_int_equal(pl011_room(&uart), 1);
}

/* A kernel debugger on a line that nobody has opened, where firmware would have enabled the UART. */
static void one_that_polls_listens_before_the_UART_is_enabled_unless_the_receiver_is_off(void **state)
{
	assert_int_equal(rd(CR), 0x300);
	wr(IMSC, INT_RX | INT_RT);
	assert_int_equal(pl011_room(&uart), 0);
	for (unsigned i = 0; i < 100; i++)
		rd(FR);
	assert_int_equal(n_wanted, 1);
	assert_int_equal(pl011_room(&uart), 1);
	receive("a");
	assert_int_equal(rd(DR), 'a');
	wr(CR, 0x101);
	for (unsigned i = 0; i < 100; i++)
		rd(FR);
	assert_int_equal(pl011_room(&uart), 0);
}

static void the_host_is_called_when_a_full_FIFO_has_room_again(void **state)
{
	listen();
	receive("0123456789abcdef");
	rd(DR);
	assert_int_equal(n_wanted, 0); /* it had not asked */
	receive("g");
	assert_int_equal(pl011_room(&uart), 0);
	rd(DR);
	assert_int_equal(n_wanted, 1);
	rd(DR);
	assert_int_equal(n_wanted, 1);
}

static void switching_the_FIFO_empties_it(void **state)
{
	listen();
	receive("abc");
	wr(LCR_H, 0x60);
	assert_int_equal(rd(FR) & FR_RXFE, FR_RXFE);
	assert_int_equal(line, 0);
}

static void loopback_sends_to_the_receiver_and_connects_the_modem_lines(void **state)
{
	listen();
	wr(CR, CR_ON | CR_LBE);
	assert_int_equal(rd(FR) & 0x107, 0);
	wr(CR, CR_ON | CR_LBE | 0x3c00);
	assert_int_equal(rd(FR) & 0x107, 0x107);
	wr(DR, 'q');
	assert_int_equal(n_sent, 0);
	assert_int_equal(rd(DR), 'q');
}

static void any_access_is_harmless(void **state)
{
	uint32_t r = 99;

	for (unsigned i = 0; i < 200000; i++) {
		unsigned len = 1u << (r >> 20 & 3) % 3;
		uint64_t off = (r >> 8 & 0xfff) & ~(uint64_t)(len - 1);

		if (r & 0x40000000)
			off &= 0x7f & ~(len - 1);
		pthread_mutex_lock(&uart.dev.lock);
		if (r & 0x80000000)
			uart.dev.ops->write(&uart.dev, off, len, r * 77);
		else
			uart.dev.ops->read(&uart.dev, off, len);
		pthread_mutex_unlock(&uart.dev.lock);
		assert_true(uart.rx_count <= PL011_FIFO);
		if (i % 7 == 0)
			receive("ab");
		n_sent = 0;
		r = r * 1664525 + 1013904223;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(registers_have_their_reset_values, reset),
		cmocka_unit_test_setup(the_PrimeCell_ids_are_those_that_drivers_match, reset),
		cmocka_unit_test_setup(written_registers_read_back_in_their_width, reset),
		cmocka_unit_test_setup(a_byte_is_sent_at_once_even_before_the_UART_is_enabled, reset),
		cmocka_unit_test_setup(sending_raises_the_transmit_interrupt_until_it_is_cleared, reset),
		cmocka_unit_test_setup(the_interrupt_line_is_told_of_changes_only, reset),
		cmocka_unit_test_setup(received_bytes_come_out_in_order, reset),
		cmocka_unit_test_setup(the_timeout_interrupt_lasts_until_the_FIFO_is_empty, reset),
		cmocka_unit_test_setup(the_receive_interrupt_follows_the_trigger_level, reset),
		cmocka_unit_test_setup(without_FIFO_there_is_room_for_one_byte, reset),
		cmocka_unit_test_setup(an_overrun_keeps_what_was_there_and_is_flagged, reset),
		cmocka_unit_test_setup(input_waits_until_somebody_listens, reset),
		cmocka_unit_test_setup(a_driver_that_polls_for_input_listens_too_and_one_that_prints_does_not, reset),
		cmocka_unit_test_setup(one_that_polls_listens_before_the_UART_is_enabled_unless_the_receiver_is_off,
				       reset),
		cmocka_unit_test_setup(the_host_is_called_when_a_full_FIFO_has_room_again, reset),
		cmocka_unit_test_setup(switching_the_FIFO_empties_it, reset),
		cmocka_unit_test_setup(loopback_sends_to_the_receiver_and_connects_the_modem_lines, reset),
		cmocka_unit_test_setup(any_access_is_harmless, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
