/*===- twist.h - Loading and running compiled programs --------------------===*
 *
 * Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
 * Exceptions.
 *
 * The plain C interface to what `twist compile` makes: a shared object NAME.so
 * and, beside it, NAME.weights. Link with libTwistRuntime; nothing of LLVM and
 * no C++ is needed.
 *
 *   twist_program   a loaded program: immutable, shared freely between threads
 *   twist_session   its working memory and its threads: one caller at a time;
 *                   any number of sessions run at once
 *
 * Every function that can fail returns a twist_status and, where `error` is not
 * null, writes a sentence there. Nothing is written to stderr and nothing
 * aborts.
 *
 * Tensors are dense, row-major and little-endian. Buffers belong to the caller;
 * they need the alignment of their element type (64 bytes is fastest), and an
 * output may not overlap an input.
 *
 *===----------------------------------------------------------------------===*/

#ifndef TWIST_RUNTIME_TWIST_H
#define TWIST_RUNTIME_TWIST_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Raised whenever this file or Program.h changes in meaning. */
#define TWIST_ABI_VERSION 3u
/* Dimensions a tensor may have. */
#define TWIST_MAX_RANK 16

typedef enum twist_status {
  TWIST_OK = 0,
  TWIST_ERROR_FILE = 1,     /* a file is missing, unreadable or truncated */
  TWIST_ERROR_FORMAT = 2,   /* a file is not what it should be */
  TWIST_ERROR_ABI = 3,      /* made by another version of the compiler */
  TWIST_ERROR_CPU = 4,      /* the machine lacks an instruction set */
  TWIST_ERROR_ARGUMENT = 5, /* a name, shape, type or count is wrong */
  TWIST_ERROR_MEMORY = 6,   /* out of memory, or a size beyond 63 bits */
  TWIST_ERROR_VALUE = 7     /* an index is outside what it points into */
} twist_status;

typedef struct twist_error {
  char message[512];
} twist_error;

typedef enum twist_type {
  TWIST_F64 = 1,
  TWIST_F32 = 2,
  TWIST_F16 = 3,
  TWIST_BF16 = 4,
  TWIST_I64 = 5,
  TWIST_I32 = 6,
  TWIST_I16 = 7,
  TWIST_I8 = 8,
  TWIST_U64 = 9,
  TWIST_U32 = 10,
  TWIST_U16 = 11,
  TWIST_U8 = 12,
  TWIST_BOOL = 13 /* one byte, 0 or 1 */
} twist_type;

/* Bytes of an element; 0 for a value that is no twist_type. */
size_t twist_type_size(twist_type type);
/* "f32", "i64", "bool", …; "?" for a value that is no twist_type. */
const char *twist_type_name(twist_type type);

/* An input or output. dims[d] is -1 where the size is only known at run time;
 * symbols[d] is then the model's name for it ("batch"), "" if it has none. An
 * `updated` input is written in place by a run: its buffer holds the new value
 * afterwards. */
typedef struct twist_tensor_info {
  const char *name;
  int32_t type; /* twist_type */
  int32_t rank;
  const int64_t *dims;
  const char *const *symbols;
  int64_t updated; /* 0 or 1 */
} twist_tensor_info;

typedef struct twist_program twist_program;
typedef struct twist_session twist_session;

/* Flags of twist_program_load. */
enum {
  TWIST_VERIFY_WEIGHTS = 1, /* hash the weights (reads them all) */
  TWIST_COPY_WEIGHTS = 2    /* copy them into private 2 MiB pages */
};

/* Loads PATH (`NAME` or `NAME.so`) and maps NAME.weights. Refused, each with its
 * own message: another ABI version, a missing CPU feature, weights that are
 * missing, truncated, of another version, or not those of this program. */
twist_status twist_program_load(const char *path, unsigned flags,
                                twist_program **program, twist_error *error);
/* Sessions must be closed before. Null is allowed. */
void twist_program_close(twist_program *program);

size_t twist_program_input_count(const twist_program *program);
size_t twist_program_output_count(const twist_program *program);
/* Null if `index` is out of range. Valid until the program is closed. */
const twist_tensor_info *twist_program_input(const twist_program *program,
                                             size_t index);
const twist_tensor_info *twist_program_output(const twist_program *program,
                                              size_t index);
/* The processor it was compiled for ("znver5") and the instruction sets it needs
 * ("avx2,fma,…"). */
const char *twist_program_target_cpu(const twist_program *program);
const char *twist_program_cpu_features(const twist_program *program);
/* Bytes of weights, without the header of their file. */
uint64_t twist_program_weights_bytes(const twist_program *program);

/* input_dims[i] points to the rank(i) sizes of input i; output_dims[i] receives
 * the rank(i) sizes of output i. */
twist_status twist_program_output_dims(const twist_program *program,
                                       const int64_t *const *input_dims,
                                       int64_t *const *output_dims,
                                       twist_error *error);
/* Bytes of working memory a run with these input sizes takes. */
twist_status twist_program_arena_bytes(const twist_program *program,
                                       const int64_t *const *input_dims,
                                       uint64_t *bytes, twist_error *error);

/* A session with `threads` threads, the caller's among them; 0 takes one per
 * processor this process may use. */
twist_status twist_session_create(const twist_program *program, int threads,
                                  twist_session **session, twist_error *error);
void twist_session_close(twist_session *session);
int twist_session_threads(const twist_session *session);

typedef struct twist_buffer {
  void *data;
  uint64_t bytes;      /* size of `data`: at least what its dims take */
  const int64_t *dims; /* inputs: rank sizes; outputs: ignored, may be null */
} twist_buffer;

/* One buffer per input and per output, in the program's order. The first run of
 * a shape sizes the working memory; later runs of it allocate nothing. The bytes
 * of the outputs do not depend on the number of threads. After
 * TWIST_ERROR_VALUE the outputs' contents mean nothing. */
twist_status twist_session_run(twist_session *session,
                               const twist_buffer *inputs,
                               const twist_buffer *outputs, twist_error *error);

/* Time per launch site, when switched on: seconds and calls since then. */
typedef struct twist_profile_entry {
  const char *site; /* "kernel (node)" */
  double seconds;
  uint64_t calls;
} twist_profile_entry;

/* Starts (1) or stops (0) counting; starting clears the counts. */
twist_status twist_session_profile(twist_session *session, int on,
                                   twist_error *error);
size_t twist_session_profile_count(const twist_session *session);
twist_profile_entry twist_session_profile_entry(const twist_session *session,
                                                size_t index);

/* Calls fn(context, i) once for every i in [0, n), on the session's threads, and
 * returns when all are done. Which thread runs which i is open. */
void twist_parallel(twist_session *session, void (*fn)(void *context, int64_t i),
                    void *context, int64_t n);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* TWIST_RUNTIME_TWIST_H */
