/*===- machine.c - What this machine could do at most -----------------------===*
 *
 * Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
 * Exceptions.
 *
 * machine THREADS: prints one JSON line with the f32 multiply-add rate of
 * independent chains in registers (GFLOP/s) and the bandwidth of reading and of
 * a triad over arrays far larger than the caches (GB/s). Best of several runs.
 * Build: clang-22 -O3 -march=native -mprefer-vector-width=512 -pthread machine.c -o machine
 *
 *===----------------------------------------------------------------------===*/

#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#if defined(__AVX512F__)
#define LANES 16
#define CHAINS 24
#else
#define LANES 8
#define CHAINS 12
#endif
typedef float vec __attribute__((vector_size(4 * LANES)));

enum { floats = 48 << 20, rounds = 6, steps = 20000000 / CHAINS };

static float *a, *b, *c;
static int threads;
static pthread_barrier_t barrier;
static volatile float sink;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void chains(void) {
  vec x[CHAINS], y, z;
  for (int l = 0; l < LANES; ++l)
    y[l] = 0.999f, z[l] = 0.001f;
  for (int j = 0; j < CHAINS; ++j)
    x[j] = y * (float)j;
  for (long i = 0; i < steps; ++i) {
#pragma clang loop unroll(full)
    for (int j = 0; j < CHAINS; ++j)
      x[j] = x[j] * y + z;
  }
  float sum = 0;
  for (int j = 0; j < CHAINS; ++j)
    sum += x[j][0];
  sink = sum;
}

static void triad(size_t begin, size_t end) {
  for (size_t i = begin; i < end; ++i)
    a[i] = b[i] + 0.5f * c[i];
}

static void reading(size_t begin, size_t end) {
  vec x[8];
  memset(x, 0, sizeof x);
  size_t quarter = (end - begin) / 4;
  for (size_t i = begin; i < begin + quarter; i += 2 * LANES)
    for (int j = 0; j < 8; ++j) {
      const float *p = a + i + (size_t)(j >> 1) * quarter + (size_t)(LANES * (j & 1));
      __builtin_prefetch(p + 512);
      x[j] += *(const vec *)p;
    }
  float sum = 0;
  for (int j = 0; j < 8; ++j)
    sum += x[j][0];
  sink = sum;
}

static double best[3] = {1e9, 1e9, 1e9};

static void *work(void *argument) {
  size_t k = (size_t)argument, width = floats / (size_t)threads;
  size_t begin = k * width, end = begin + width;
  for (size_t i = begin; i < end; ++i)
    a[i] = 1, b[i] = 2, c[i] = 3;
  for (int round = 0; round < rounds; ++round)
    for (int part = 0; part < 3; ++part) {
      pthread_barrier_wait(&barrier);
      double t = now();
      if (part == 0)
        chains();
      else if (part == 1)
        reading(begin, end);
      else
        triad(begin, end);
      pthread_barrier_wait(&barrier);
      t = now() - t;
      if (k == 0 && t < best[part])
        best[part] = t;
    }
  return NULL;
}

static float *large(void) {
  void *p = NULL;
  if (posix_memalign(&p, 2 << 20, floats * sizeof(float)))
    exit(1);
  madvise(p, floats * sizeof(float), MADV_HUGEPAGE);
  return p;
}

int main(int argc, char **argv) {
  threads = argc > 1 ? atoi(argv[1]) : 1;
  if (threads < 1 || threads > 256)
    return 1;
  a = large(), b = large(), c = large();
  pthread_t ids[256];
  pthread_barrier_init(&barrier, NULL, (unsigned)threads);
  for (long k = 0; k < threads; ++k)
    pthread_create(&ids[k], NULL, work, (void *)k);
  for (int k = 0; k < threads; ++k)
    pthread_join(ids[k], NULL);
  printf("{\"threads\": %d, \"fma_gflops\": %.1f, \"read_gbs\": %.1f, \"triad_gbs\": %.1f}\n", threads,
         2.0 * LANES * CHAINS * steps * threads / best[0] / 1e9, 4.0 * floats / best[1] / 1e9,
         12.0 * floats / best[2] / 1e9);
  return 0;
}
