/* SPDX-License-Identifier: MIT */
/*
 * The service thread: order of deadlines, cancelling, descriptors, its end. The counter stands still until a test moves
 * it, and tests wait for callbacks, never for time.
 */
#include <semaphore.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fake.h"

enum { FAR = 1 << 30 }; /* ticks: nobody waits for that */

static sem_t ran;
static unsigned order[8];
static unsigned n_ran;
static sigset_t mask_there;

static void note(void *arg)
{
	order[n_ran++] = (unsigned)(uintptr_t)arg;
	pthread_sigmask(SIG_SETMASK, NULL, &mask_there);
	sem_post(&ran);
}

static struct fake *start(void)
{
	struct fake *f = fake_new(0);

	sem_init(&ran, 0, 0);
	n_ran = 0;
	fake_counter = 1000;
	assert_int_equal(service_vm_init(&f->vm), 0);
	return f;
}

static void end(struct fake *f)
{
	service_vm_destroy(&f->vm);
	fake_free(f);
}

static void advance(uint64_t to)
{
	__atomic_store_n(&fake_counter, to, __ATOMIC_SEQ_CST);
}

static void what_is_due_runs_in_the_order_of_deadlines(void **state)
{
	struct service_timer t[4] = {{.fn = note, .arg = (void *)0},
				     {.fn = note, .arg = (void *)1},
				     {.fn = note, .arg = (void *)2},
				     {.fn = note, .arg = (void *)3}};
	struct fake *f = start();

	service_timer_arm(&f->vm, &t[0], FAR + 300);
	service_timer_arm(&f->vm, &t[1], FAR + 100);
	service_timer_arm(&f->vm, &t[2], FAR + 200);
	advance(FAR + 1000);
	service_timer_arm(&f->vm, &t[3], FAR + 50); /* earlier than all: wakes the thread */
	for (unsigned i = 0; i < 4; i++)
		sem_wait(&ran);
	assert_int_equal(order[0], 3);
	assert_int_equal(order[1], 1);
	assert_int_equal(order[2], 2);
	assert_int_equal(order[3], 0);
	end(f);
}

static void a_cancelled_timer_does_not_run_and_a_rearmed_one_runs_once(void **state)
{
	struct service_timer t[3] = {
		{.fn = note, .arg = (void *)0}, {.fn = note, .arg = (void *)1}, {.fn = note, .arg = (void *)2}};
	struct fake *f = start();

	service_timer_arm(&f->vm, &t[0], FAR);
	service_timer_arm(&f->vm, &t[1], FAR + 10);
	service_timer_arm(&f->vm, &t[1], FAR + 20);
	service_timer_cancel(&f->vm, &t[0]);
	service_timer_cancel(&f->vm, &t[0]);
	assert_false(t[0].queued);
	advance(FAR + 1000);
	service_timer_arm(&f->vm, &t[2], 2000);
	sem_wait(&ran);
	sem_wait(&ran);
	end(f); /* joins: nothing more can come */
	assert_int_equal(n_ran, 2);
	assert_int_equal(order[0], 2);
	assert_int_equal(order[1], 1);
}

static void a_deferred_timer_runs_in_its_new_turn_and_one_that_is_out_stays_out(void **state)
{
	struct service_timer t[3] = {
		{.fn = note, .arg = (void *)0}, {.fn = note, .arg = (void *)1}, {.fn = note, .arg = (void *)2}};
	struct fake *f = start();

	service_timer_arm(&f->vm, &t[0], FAR);
	service_timer_arm(&f->vm, &t[1], FAR + 10);
	service_timer_defer(&f->vm, &t[0], FAR + 20);
	service_timer_defer(&f->vm, &t[2], FAR + 30);
	assert_false(t[2].queued);
	advance(FAR + 1000);
	service_timer_arm(&f->vm, &t[2], 2000); /* wakes the thread */
	for (unsigned i = 0; i < 3; i++)
		sem_wait(&ran);
	end(f);
	assert_int_equal(n_ran, 3);
	assert_int_equal(order[0], 2);
	assert_int_equal(order[1], 1);
	assert_int_equal(order[2], 0);
}

static void never_takes_a_timer_out(void **state)
{
	struct service_timer t = {.fn = note};
	struct fake *f = start();

	service_timer_arm(&f->vm, &t, FAR);
	service_timer_arm(&f->vm, &t, UINT64_MAX);
	assert_false(t.queued);
	advance(2ull * FAR);
	end(f);
	assert_int_equal(n_ran, 0);
}

static void its_thread_has_all_signals_blocked(void **state)
{
	struct service_timer t = {.fn = note};
	struct fake *f = start();

	service_timer_arm(&f->vm, &t, 0);
	sem_wait(&ran);
	end(f);
	assert_int_equal(sigismember(&mask_there, SIGUSR1), 1);
	assert_int_equal(sigismember(&mask_there, SIGALRM), 1);
}

static struct fake *again_vm;
static unsigned again_left;
static void again(void *arg)
{
	struct service_timer *t = arg;

	if (again_left-- > 1)
		service_timer_arm(&again_vm->vm, t, fake_counter);
	sem_post(&ran);
}

static void a_callback_may_arm_and_cancel_its_own_timer(void **state)
{
	struct service_timer t = {.fn = again, .arg = &t};

	again_vm = start();
	again_left = 5;
	service_timer_arm(&again_vm->vm, &t, 0);
	for (unsigned i = 0; i < 5; i++)
		sem_wait(&ran);
	service_timer_cancel(&again_vm->vm, &t);
	assert_false(t.queued);
	end(again_vm);
}

static sem_t entered, go_on;
static bool finished;
static void slow(void *arg)
{
	sem_post(&entered);
	sem_wait(&go_on);
	__atomic_store_n(&finished, true, __ATOMIC_SEQ_CST);
}

static void *let_it_go(void *arg)
{
	sem_post(&go_on);
	return NULL;
}

static void cancelling_waits_for_the_callback_that_runs(void **state)
{
	struct service_timer t = {.fn = slow};
	struct fake *f = start();
	pthread_t helper;

	sem_init(&entered, 0, 0);
	sem_init(&go_on, 0, 0);
	finished = false;
	service_timer_arm(&f->vm, &t, 0);
	sem_wait(&entered);
	pthread_create(&helper, NULL, let_it_go, NULL);
	service_timer_cancel(&f->vm, &t);
	assert_true(__atomic_load_n(&finished, __ATOMIC_SEQ_CST));
	pthread_join(helper, NULL);
	end(f);
}

static uint64_t sum;
static void add(void *arg, int fd)
{
	uint64_t n;

	if (read(fd, &n, sizeof(n)) == sizeof(n))
		sum += n;
	sem_post(&ran);
}

static void a_readable_descriptor_calls_until_it_is_removed(void **state)
{
	struct fake *f = start();
	int fd = eventfd(0, 0);

	sum = 0;
	assert_int_equal(service_fd_add(&f->vm, fd, add, &sum), 0);
	eventfd_write(fd, 3);
	sem_wait(&ran);
	eventfd_write(fd, 4);
	sem_wait(&ran);
	service_fd_remove(&f->vm, fd, &sum);
	service_fd_remove(&f->vm, fd, &sum); /* not there any more: no harm */
	eventfd_write(fd, 100);
	end(f);
	assert_int_equal(sum, 7);
	close(fd);
}

static void a_descriptor_that_cannot_be_polled_is_an_error(void **state)
{
	struct fake *f = start();

	assert_int_equal(service_fd_add(&f->vm, -1, add, NULL), -EBADF);
	end(f);
}

static void a_vm_that_never_needed_it_ends_without_a_thread(void **state)
{
	end(start());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_due_runs_in_the_order_of_deadlines),
		cmocka_unit_test(a_cancelled_timer_does_not_run_and_a_rearmed_one_runs_once),
		cmocka_unit_test(a_deferred_timer_runs_in_its_new_turn_and_one_that_is_out_stays_out),
		cmocka_unit_test(never_takes_a_timer_out),
		cmocka_unit_test(its_thread_has_all_signals_blocked),
		cmocka_unit_test(a_callback_may_arm_and_cancel_its_own_timer),
		cmocka_unit_test(cancelling_waits_for_the_callback_that_runs),
		cmocka_unit_test(a_readable_descriptor_calls_until_it_is_removed),
		cmocka_unit_test(a_descriptor_that_cannot_be_polled_is_an_error),
		cmocka_unit_test(a_vm_that_never_needed_it_ends_without_a_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
