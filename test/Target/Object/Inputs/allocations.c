/*===- allocations.c - Counts what runs allocate --------------------------===*
 *
 * Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
 * Exceptions.
 *
 * allocations NAME: runs the program of mlp.mlir on batches of 3 and 700, once
 * each, and then a hundred times. Prints how often memory was asked for until
 * then, and since.
 *
 *===----------------------------------------------------------------------===*/

#define _GNU_SOURCE
#include "twist/Runtime/twist.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_long calls;

/* In place of libc's, for all that is loaded. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void *malloc(size_t size) {
  ++calls;
  return __libc_malloc(size);
}
void *calloc(size_t count, size_t size) {
  ++calls;
  return __libc_calloc(count, size);
}
void *realloc(void *old, size_t size) {
  ++calls;
  return __libc_realloc(old, size);
}
void *aligned_alloc(size_t alignment, size_t size) {
  ++calls;
  return __libc_memalign(alignment, size);
}
void *mmap(void *at, size_t size, int protection, int flags, int file,
           off_t offset) {
  ++calls;
  return (void *)syscall(SYS_mmap, at, size, protection, flags, file, offset);
}

static twist_error error;

static void check(twist_status status) {
  if (status != TWIST_OK)
    fprintf(stderr, "error: %s\n", error.message), exit(1);
}

static float x[700 * 4], y[700 * 8], s[700];

static void run(twist_session *session, int64_t rows) {
  int64_t in[2] = {rows, 4}, out[2] = {rows, 8};
  twist_buffer input = {x, (uint64_t)rows * 16, in};
  twist_buffer outputs[2] = {{y, (uint64_t)rows * 32, out},
                             {s, (uint64_t)rows * 4, in}};
  check(twist_session_run(session, &input, outputs, &error));
}

int main(int argc, char **argv) {
  twist_program *program;
  twist_session *session;
  check(twist_program_load(argv[argc - 1], 0, &program, &error));
  check(twist_session_create(program, /*threads=*/2, &session, &error));
  run(session, 3);
  run(session, 700);
  long before = calls;
  for (int i = 0; i < 100; ++i)
    run(session, i % 2 ? 3 : 700);
  printf("%ld before, %ld since\n", before, calls - before);
}
