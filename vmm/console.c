/* SPDX-License-Identifier: MIT */
/*
 * Standard input to the UART and its output to standard output. Output is gathered for a millisecond, so that a kernel
 * that prints its log costs few system calls, while a prompt appears at once for a person. Input that the UART does not
 * take waits here, so nothing that is piped in gets lost before the guest listens. On a terminal: raw mode, and an
 * escape key. termios(3); signal-safety(7) for what the fatal-signal handler may do.
 */
#include "console.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "pl011.h"

enum { OUT_SIZE = 1 << 16, IN_SIZE = 4096, ESCAPE = 0x01 /* Ctrl-A */ };
enum { GATHER_NS = 1000000, FLUSH_WAIT_MS = 100 };

struct console {
	struct console_events events;
	struct pl011 *uart;
	bool in_is_tty;
	bool threads;
	pthread_t writer, reader;
	int wake_fd;	/* eventfd: the reader looks again */
	int drained_fd; /* eventfd: the writer has ended */

	pthread_mutex_t lock;
	pthread_cond_t filled, emptied;
	/* under lock */
	uint8_t out[OUT_SIZE];
	size_t out_head, out_count;
	bool writing;	/* the writer has bytes in its hands */
	bool finishing; /* write the rest, then end */
	bool broken;	/* standard output is gone: drop */
	bool at_column_0;

	/* reader thread only */
	uint8_t in[IN_SIZE];
	size_t in_head, in_count;
	bool escaped, eof;

	atomic_bool reader_quit;
};

/* ---- the terminal: one per process, so that it can be put back on any way out */

static struct termios saved_termios;
static volatile sig_atomic_t terminal_is_raw;
static bool exit_hook_set;

static void terminal_restore(void)
{
	if (terminal_is_raw) {
		terminal_is_raw = 0;
		tcsetattr(STDIN_FILENO, TCSADRAIN, &saved_termios);
	}
}

static void fatal_signal(int sig)
{
	if (terminal_is_raw)
		tcsetattr(STDIN_FILENO, TCSANOW, &saved_termios);
	raise(sig); /* SA_RESETHAND: by default now, when this handler returns */
}

static void terminal_raw(void)
{
	struct termios t;

	if (tcgetattr(STDIN_FILENO, &saved_termios))
		return;
	t = saved_termios;
	t.c_iflag &= ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
	t.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
	t.c_cflag = (t.c_cflag & ~(tcflag_t)(CSIZE | PARENB)) | CS8;
	t.c_cc[VMIN] = 1;
	t.c_cc[VTIME] = 0;
	terminal_is_raw = 1;
	tcsetattr(STDIN_FILENO, TCSADRAIN, &t);
}

static void restore_on_every_way_out(void)
{
	static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS};
	struct sigaction old, sa = {.sa_handler = fatal_signal, .sa_flags = (int)(SA_RESETHAND | SA_NODEFER)};

	if (exit_hook_set)
		return;
	exit_hook_set = true;
	atexit(terminal_restore);
	for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
		if (!sigaction(fatal[i], NULL, &old) && old.sa_handler == SIG_DFL)
			sigaction(fatal[i], &sa, NULL);
}

/* ---- output */

/* 0, or the errno that ends all output. All signals are blocked on this thread. */
static int write_all(const uint8_t *p, size_t n)
{
	while (n) {
		ssize_t done = write(STDOUT_FILENO, p, n);

		if (done >= 0) {
			p += done;
			n -= (size_t)done;
		} else if (errno == EAGAIN) { /* somebody made it non-blocking */
			struct pollfd pfd = {.fd = STDOUT_FILENO, .events = POLLOUT};

			poll(&pfd, 1, -1);
		} else if (errno != EINTR) {
			return errno;
		}
	}
	return 0;
}

/* Wait for company, lock held. Wakes early when the buffer fills or the end comes. */
static void gather(struct console *c)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += GATHER_NS;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	while (!c->finishing && c->out_count < OUT_SIZE / 2)
		if (pthread_cond_timedwait(&c->filled, &c->lock, &until))
			return;
}

static void *writer_thread(void *arg)
{
	struct console *c = arg;
	uint8_t *chunk = malloc(OUT_SIZE);
	uint64_t one = 1;

	pthread_mutex_lock(&c->lock);
	for (;;) {
		size_t n, first;
		int error = 0;

		while (!c->out_count && !c->finishing)
			pthread_cond_wait(&c->filled, &c->lock);
		if (!c->out_count)
			break;
		gather(c);
		n = c->out_count;
		first = n < OUT_SIZE - c->out_head ? n : OUT_SIZE - c->out_head;
		if (!chunk)
			n = first; /* no memory for a copy: the bytes stay in place while they are written */
		else {
			memcpy(chunk, c->out + c->out_head, first);
			memcpy(chunk + first, c->out, n - first);
			c->out_head = (c->out_head + n) % OUT_SIZE;
			c->out_count -= n;
		}
		c->writing = true;
		pthread_cond_broadcast(&c->emptied);
		if (!c->broken) {
			const uint8_t *from = chunk ? chunk : c->out + c->out_head;

			pthread_mutex_unlock(&c->lock);
			error = write_all(from, n);
			pthread_mutex_lock(&c->lock);
		}
		if (!chunk) {
			c->out_head = (c->out_head + n) % OUT_SIZE;
			c->out_count -= n;
		}
		c->writing = false;
		pthread_cond_broadcast(&c->emptied);
		if (error) {
			struct vmm_error e;

			c->broken = true;
			pthread_mutex_unlock(&c->lock);
			vmm_fail(&e, "cannot write the console's output: %s", strerror(error));
			c->events.failed(c->events.arg, e.text);
			pthread_mutex_lock(&c->lock);
		}
	}
	pthread_mutex_unlock(&c->lock);
	free(chunk);
	if (write(c->drained_fd, &one, sizeof(one)) < 0)
		abort(); /* an eventfd at 0 takes a 1 */
	return NULL;
}

void console_put(struct console *c, uint8_t byte)
{
	pthread_mutex_lock(&c->lock);
	while (c->out_count == OUT_SIZE && !c->finishing)
		pthread_cond_wait(&c->emptied, &c->lock);
	if (c->out_count < OUT_SIZE) {
		c->out[(c->out_head + c->out_count++) % OUT_SIZE] = byte;
		c->at_column_0 = byte == '\n' || byte == '\r';
		if (c->out_count == 1 || c->out_count == OUT_SIZE / 2)
			pthread_cond_signal(&c->filled);
	}
	pthread_mutex_unlock(&c->lock);
}

void console_text(struct console *c, const char *lines)
{
	struct timespec until;
	char *text = NULL;
	size_t len;
	FILE *out;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += FLUSH_WAIT_MS * 1000000L;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	pthread_mutex_lock(&c->lock);
	while ((c->out_count || c->writing) && c->threads)
		if (pthread_cond_timedwait(&c->emptied, &c->lock, &until))
			break;
	out = open_memstream(&text, &len);
	if (out && !c->at_column_0)
		fputs(terminal_is_raw ? "\r\n" : "\n", out);
	for (; out && *lines; lines++) {
		if (*lines == '\n' && terminal_is_raw)
			fputc('\r', out);
		fputc(*lines, out);
	}
	c->at_column_0 = true;
	pthread_mutex_unlock(&c->lock);
	if (out && !fclose(out) && write(STDERR_FILENO, text, len) < 0) {
		/* nobody to tell */
	}
	free(text);
}

void console_message(struct console *c, const char *line)
{
	char text[700];

	snprintf(text, sizeof(text), "pawl: %.690s\n", line);
	console_text(c, text);
}

/* ---- input */

static const char help_text[] = "\r\n"
				"Ctrl-A h       this help\r\n"
				"Ctrl-A x       end the machine\r\n"
				"Ctrl-A Ctrl-A  send Ctrl-A to the guest\r\n";

static void in_put(struct console *c, uint8_t byte)
{
	if (c->in_count < IN_SIZE) /* beyond that somebody types at a guest that does not listen */
		c->in[(c->in_head + c->in_count++) % IN_SIZE] = byte;
}

static void typed(struct console *c, uint8_t byte)
{
	if (!c->in_is_tty) {
		in_put(c, byte);
		return;
	}
	if (!c->escaped) {
		if (byte == ESCAPE)
			c->escaped = true;
		else
			in_put(c, byte);
		return;
	}
	c->escaped = false;
	switch (byte) {
	case ESCAPE: in_put(c, byte); break;
	case 'x':
	case 'X': c->events.quit(c->events.arg); break;
	case 'h':
	case 'H':
	case '?':
		for (const char *p = help_text; *p; p++)
			console_put(c, (uint8_t)*p);
		break;
	default: /* not a command: nothing */ break;
	}
}

/* False: end of input. */
static bool read_input(struct console *c)
{
	uint8_t buf[256];
	ssize_t n = read(STDIN_FILENO, buf, sizeof(buf));

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	for (ssize_t i = 0; i < n; i++)
		typed(c, buf[i]);
	return n > 0;
}

static void feed_uart(struct console *c)
{
	while (c->in_count) {
		unsigned n = pl011_room(c->uart);
		uint8_t bytes[PL011_FIFO];

		if (n > c->in_count)
			n = (unsigned)c->in_count;
		if (!n)
			return;
		for (unsigned i = 0; i < n; i++) {
			bytes[i] = c->in[c->in_head];
			c->in_head = (c->in_head + 1) % IN_SIZE;
		}
		c->in_count -= n;
		pl011_receive(c->uart, bytes, n);
	}
}

static void *reader_thread(void *arg)
{
	struct console *c = arg;

	while (!atomic_load(&c->reader_quit)) {
		/* A terminal is always read, for the quit key; anything else when there is room for all that comes. */
		bool want = !c->eof && (c->in_is_tty || c->in_count <= IN_SIZE - 256);
		struct pollfd pfd[2] = {{.fd = c->wake_fd, .events = POLLIN},
					{.fd = want ? STDIN_FILENO : -1, .events = POLLIN}};
		uint64_t n;

		if (poll(pfd, 2, -1) < 0)
			continue;
		if (pfd[0].revents && read(c->wake_fd, &n, sizeof(n)) < 0)
			continue;
		if (pfd[1].revents && !read_input(c))
			c->eof = true;
		feed_uart(c);
	}
	return NULL;
}

static void wake_reader(struct console *c)
{
	uint64_t one = 1;

	if (write(c->wake_fd, &one, sizeof(one)) < 0)
		return; /* full: it is awake */
}

void console_input_wanted(struct console *c)
{
	wake_reader(c);
}

/* ---- life */

struct console *console_create(const struct console_events *events, struct vmm_error *err)
{
	struct console *c = calloc(1, sizeof(*c));
	pthread_condattr_t attr;

	if (!c) {
		vmm_fail(err, "no memory for the console");
		return NULL;
	}
	c->events = *events;
	c->in_is_tty = isatty(STDIN_FILENO);
	c->at_column_0 = true;
	c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	c->drained_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->wake_fd < 0 || c->drained_fd < 0) {
		vmm_fail(err, "cannot make an eventfd for the console: %s", strerror(errno));
		console_destroy(c);
		return NULL;
	}
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->filled, &attr);
	pthread_cond_init(&c->emptied, &attr);
	pthread_condattr_destroy(&attr);
	return c;
}

void console_set_uart(struct console *c, struct pl011 *uart)
{
	c->uart = uart;
}

int console_start(struct console *c, struct vmm_error *err)
{
	int rc;

	if (c->in_is_tty) {
		restore_on_every_way_out();
		terminal_raw();
	}
	rc = pthread_create(&c->writer, NULL, writer_thread, c);
	if (!rc) {
		rc = pthread_create(&c->reader, NULL, reader_thread, c);
		if (rc) {
			console_finish(c);
			pthread_join(c->writer, NULL);
		}
	}
	if (rc) {
		terminal_restore();
		return vmm_fail(err, "cannot start the console's threads: %s", strerror(rc));
	}
	c->threads = true;
	return 0;
}

void console_finish(struct console *c)
{
	atomic_store(&c->reader_quit, true);
	wake_reader(c);
	pthread_mutex_lock(&c->lock);
	c->finishing = true;
	pthread_cond_broadcast(&c->filled);
	pthread_cond_broadcast(&c->emptied);
	pthread_mutex_unlock(&c->lock);
}

int console_drained(struct console *c)
{
	return c->drained_fd;
}

void console_destroy(struct console *c)
{
	struct pollfd pfd = {.fd = c->drained_fd, .events = POLLIN};

	if (c->threads) {
		console_finish(c);
		pthread_join(c->reader, NULL);
		if (poll(&pfd, 1, 0) != 1) { /* stuck in write(2): the process is about to end */
			terminal_restore();
			return;
		}
		pthread_join(c->writer, NULL);
		c->threads = false;
		pthread_cond_destroy(&c->filled);
		pthread_cond_destroy(&c->emptied);
		pthread_mutex_destroy(&c->lock);
	}
	terminal_restore();
	if (c->wake_fd >= 0)
		close(c->wake_fd);
	if (c->drained_fd >= 0)
		close(c->drained_fd);
	free(c);
}

void console_suspend(struct console *c)
{
	terminal_restore();
}

void console_resume(struct console *c)
{
	if (c->in_is_tty)
		terminal_raw();
}
