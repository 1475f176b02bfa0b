/*===- Pool.c - Threads that take work by index ---------------------------===*
 *
 * Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
 * Exceptions.
 *
 * A run of a model is a few hundred short parallel loops: the threads spin for
 * a while between them and sleep between runs. Work is taken by index from one
 * counter; since every index owns what it writes, the result does not depend on
 * who took it. Linux may leave a worker it wakes on its caller's processor for
 * many milliseconds, longer than a short run takes: workers keep off it.
 *
 *===----------------------------------------------------------------------===*/

#define _GNU_SOURCE
#include "Internal.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

struct twist_pool {
  int threads;
  pthread_t *workers; /* threads - 1 of them: the caller works too */
  pthread_mutex_t mutex;
  pthread_cond_t posted;
  /* One loop at a time. `round` says that a new one is posted. A worker enters
   * (`active`), then looks whether the loop is open; the caller closes it, then
   * waits until none is in it: so nobody waits for one that is still asleep,
   * and what follows is only written while none can read it. */
  _Alignas(64) atomic_uint round;
  atomic_int sleeping, awake, stop;
  _Alignas(64) atomic_int_fast64_t next;
  _Alignas(64) atomic_int active, open;
  void (*fn)(void *, int64_t);
  void *context;
  int64_t n;
  /* Where the workers may run: `usable` but the caller's. */
  cpu_set_t usable;
  int caller;
};

static void relax(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

static void take_work(twist_pool *pool) {
  for (;;) {
    int64_t i = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed);
    if (i >= pool->n)
      return;
    pool->fn(pool->context, i);
  }
}

/* Spins, then yields now and then, while a run is under way; sleeps otherwise.
 */
static void wait_for_round(twist_pool *pool, unsigned seen) {
  for (int spins = 0;
       atomic_load_explicit(&pool->awake, memory_order_relaxed) &&
       spins < 20000;
       ++spins) {
    if (atomic_load_explicit(&pool->round, memory_order_acquire) != seen)
      return;
    relax();
  }
  pthread_mutex_lock(&pool->mutex);
  atomic_fetch_add(&pool->sleeping, 1);
  while (atomic_load(&pool->round) == seen && !atomic_load(&pool->stop))
    pthread_cond_wait(&pool->posted, &pool->mutex);
  atomic_fetch_sub(&pool->sleeping, 1);
  pthread_mutex_unlock(&pool->mutex);
}

static void *worker(void *argument) {
  twist_pool *pool = argument;
  unsigned seen = 0;
  for (;;) {
    wait_for_round(pool, seen);
    if (atomic_load(&pool->stop))
      return NULL;
    seen = atomic_load_explicit(&pool->round, memory_order_acquire);
    atomic_fetch_add(&pool->active, 1);
    if (atomic_load(&pool->open))
      take_work(pool);
    atomic_fetch_sub_explicit(&pool->active, 1, memory_order_release);
  }
}

static void wake_sleepers(twist_pool *pool) {
  if (!atomic_load(&pool->sleeping))
    return;
  pthread_mutex_lock(&pool->mutex);
  pthread_cond_broadcast(&pool->posted);
  pthread_mutex_unlock(&pool->mutex);
}

void twist_pool_run(twist_pool *pool, void (*fn)(void *, int64_t),
                    void *context, int64_t n) {
  if (n <= 1 || pool->threads == 1) {
    for (int64_t i = 0; i < n; ++i)
      fn(context, i);
    return;
  }
  pool->fn = fn;
  pool->context = context;
  pool->n = n;
  atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
  atomic_store(&pool->open, 1);
  atomic_fetch_add(&pool->round, 1); /* ordered before the look at `sleeping` */
  wake_sleepers(pool);
  take_work(pool);
  atomic_store(&pool->open, 0);
  for (int spins = 1; atomic_load(&pool->active); ++spins)
    if (spins % 512)
      relax();
    else
      sched_yield();
}

/* Moves the workers off the caller's processor, if there is one for each. */
static void keep_apart(twist_pool *pool) {
  int caller = sched_getcpu();
  if (caller < 0 || caller == pool->caller)
    return;
  pool->caller = caller;
  cpu_set_t others = pool->usable;
  if (caller < CPU_SETSIZE)
    CPU_CLR(caller, &others);
  if (CPU_COUNT(&others) < pool->threads - 1)
    return;
  for (int i = 0; i < pool->threads - 1; ++i)
    pthread_setaffinity_np(pool->workers[i], sizeof(others), &others);
}

void twist_pool_wake(twist_pool *pool) {
  if (pool->threads > 1)
    keep_apart(pool);
  atomic_store(&pool->awake, 1);
}
void twist_pool_rest(twist_pool *pool) { atomic_store(&pool->awake, 0); }
int twist_pool_threads(const twist_pool *pool) { return pool->threads; }

void twist_pool_destroy(twist_pool *pool) {
  if (!pool)
    return;
  pthread_mutex_lock(&pool->mutex);
  atomic_store(&pool->stop, 1);
  pthread_cond_broadcast(&pool->posted);
  pthread_mutex_unlock(&pool->mutex);
  for (int i = 0; i < pool->threads - 1; ++i)
    pthread_join(pool->workers[i], NULL);
  pthread_cond_destroy(&pool->posted);
  pthread_mutex_destroy(&pool->mutex);
  free(pool->workers);
  free(pool);
}

twist_pool *twist_pool_create(int threads) {
  size_t bytes = (sizeof(twist_pool) + 63) / 64 * 64;
  twist_pool *pool = aligned_alloc(64, bytes);
  if (!pool)
    return NULL;
  *pool = (twist_pool){.threads = 1, .caller = -1};
  if (sched_getaffinity(0, sizeof(pool->usable), &pool->usable))
    CPU_ZERO(&pool->usable);
  pthread_mutex_init(&pool->mutex, NULL);
  pthread_cond_init(&pool->posted, NULL);
  pool->workers = calloc((size_t)threads, sizeof(pthread_t));
  for (; pool->workers && pool->threads < threads; ++pool->threads)
    if (pthread_create(&pool->workers[pool->threads - 1], NULL, worker, pool))
      break;
  if (pool->threads == threads)
    return pool;
  twist_pool_destroy(pool);
  return NULL;
}
