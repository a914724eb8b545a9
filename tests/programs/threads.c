/* SPDX-License-Identifier: MIT */
/*
 * Threads that add with atomics, pass a token by condition variables, take turns by a barrier, and hand signals to each
 * other; what it prints does not depend on who was first.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { THREADS = 6, ROUNDS = 3000 };

static _Atomic unsigned long sum, cas_sum, signals;
static unsigned long plain;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static unsigned turn, passed;
static pthread_barrier_t barrier;
static unsigned long column[THREADS], stages;
static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static __thread unsigned long own;

static void on_signal(int sig)
{
	atomic_fetch_add(&signals, 1);
}

static void *work(void *arg)
{
	unsigned me = (unsigned)(unsigned long)arg;

	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned long v;

		atomic_fetch_add(&sum, i * me);
		v = atomic_load(&cas_sum);
		while (!atomic_compare_exchange_weak(&cas_sum, &v, v + (i ^ me)))
			;
		own += i;
		pthread_mutex_lock(&lock);
		plain += me + 1;
		pthread_mutex_unlock(&lock);
	}
	for (unsigned i = 0; i < 100; i++) {
		pthread_mutex_lock(&lock);
		while (turn != me)
			pthread_cond_wait(&cond, &lock);
		turn = (turn + 1) % THREADS;
		passed++;
		pthread_cond_broadcast(&cond);
		pthread_mutex_unlock(&lock);
	}
	for (unsigned i = 0; i < 100; i++) {
		column[me] = (i + 1) * (me + 3);
		if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
			for (unsigned k = 0; k < THREADS; k++)
				stages += column[k];
		pthread_barrier_wait(&barrier);
		pthread_rwlock_rdlock(&rw);
		own += stages % 2;
		pthread_rwlock_unlock(&rw);
		raise(SIGUSR1);
	}
	return (void *)own;
}

int main(void)
{
	pthread_t t[THREADS];
	unsigned long all = 0;
	void *r;

	signal(SIGUSR1, on_signal);
	pthread_barrier_init(&barrier, NULL, THREADS);
	for (unsigned long i = 0; i < THREADS; i++)
		if (pthread_create(&t[i], NULL, work, (void *)i))
			abort();
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(t[i], &r);
		all += (unsigned long)r / 1000;
	}
	printf("%lu %lu %lu %u %lu %lu %lu\n", sum, cas_sum, plain, passed, stages, signals, all);
	return 0;
}
