/*===- Internal.h - What the runtime's files share ------------------------===*
 *
 * Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
 * Exceptions.
 *
 *===----------------------------------------------------------------------===*/

#ifndef TWIST_LIB_RUNTIME_INTERNAL_H
#define TWIST_LIB_RUNTIME_INTERNAL_H

#include "twist/Runtime/Program.h"

#ifdef __cplusplus
extern "C" {
#endif

struct twist_program {
  const twist_program_table *table;
  void *library;            /* from dlopen; null for a linked program */
  const void *weights;      /* the data, behind the header; may be null */
  void *weights_mapping;    /* what to unmap, */
  size_t weights_map_bytes; /* and how much */
  size_t input_dim_count;   /* sizes of all inputs together */
  size_t output_dim_count;
};

/* Formats into `error` (may be null) and returns `status`. */
twist_status twist_fail(twist_error *error, twist_status status,
                        const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Checks a comma-separated list of LLVM feature names against this machine. */
twist_status twist_check_cpu(const char *features, const char *target_cpu,
                             twist_error *error);

typedef struct twist_sha256 {
  uint32_t state[8];
  uint64_t bytes;
  uint8_t block[64];
} twist_sha256;
void twist_sha256_init(twist_sha256 *hash);
void twist_sha256_update(twist_sha256 *hash, const void *data, size_t bytes);
void twist_sha256_final(twist_sha256 *hash, uint8_t digest[32]);

/* Checks that NAME.so is machine code for this kind of machine and has the hash
 * of its seal. */
twist_status twist_check_seal(const char *path, twist_error *error);

/* Maps NAME.weights into program->weights. */
twist_status twist_weights_open(twist_program *program, const char *path,
                                unsigned flags, twist_error *error);
void twist_weights_close(twist_program *program);

/* Elements of a tensor of these sizes; -1 if negative or beyond 2^62. */
int64_t twist_element_count(const int64_t *dims, int32_t rank);

/* Threads that wait for work by index. */
typedef struct twist_pool twist_pool;
twist_pool *twist_pool_create(int threads);
void twist_pool_destroy(twist_pool *pool);
int twist_pool_threads(const twist_pool *pool);
void twist_pool_run(twist_pool *pool, void (*fn)(void *, int64_t),
                    void *context, int64_t n);
/* Between these two, idle threads spin before they sleep; the first also takes
 * them off the caller's processor. */
void twist_pool_wake(twist_pool *pool);
void twist_pool_rest(twist_pool *pool);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* TWIST_LIB_RUNTIME_INTERNAL_H */
