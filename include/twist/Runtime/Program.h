/*===- Program.h - What a compiled program and the runtime agree on -------===*
 *
 * Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
 * Exceptions.
 *
 * The compiler emits one exported symbol, `twist_program_table_v`, of type
 * twist_program_table, and a weights file that starts with a
 * twist_weights_header. Users of compiled programs need only twist.h.
 *
 *===----------------------------------------------------------------------===*/

#ifndef TWIST_RUNTIME_PROGRAM_H
#define TWIST_RUNTIME_PROGRAM_H

#include "twist/Runtime/twist.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TWIST_PROGRAM_SYMBOL "twist_program_table_v"
#define TWIST_PROGRAM_MAGIC 0x5453495754ull /* "TWIST" */
/* Alignment of arenas, arena slots and weights. */
#define TWIST_ALIGNMENT 64
/* What output_dims gives for input sizes that the model cannot take. */
#define TWIST_SIZES_REFUSED INT64_MIN

/* Handed to compiled code. `parallel` calls fn(context, i) for all i in [0, n);
 * `site` indexes the table's launch sites. `require` is told whether a condition
 * on values holds; `check` indexes the table's checks. A program runs on safely
 * where one does not hold, but its outputs mean nothing. */
typedef struct twist_launcher {
  void (*parallel)(struct twist_launcher *self,
                   void (*fn)(void *context, int64_t i), void *context,
                   int64_t n, int64_t site);
  void (*require)(struct twist_launcher *self, int64_t holds, int64_t check);
} twist_launcher;

/* `dims` are all sizes of all inputs in order, static ones included, for `run`
 * followed by those of all outputs; `buffers` the inputs, then the outputs. */
typedef struct twist_program_table {
  uint64_t magic;
  uint32_t abi_version;
  uint32_t table_bytes;
  const char *target_cpu;
  const char *cpu_features; /* comma-separated, LLVM's spelling */
  uint64_t weights_bytes;   /* 0: there is no weights file */
  uint8_t weights_sha256[32];
  uint64_t input_count;
  uint64_t output_count;
  uint64_t site_count;
  const twist_tensor_info *inputs;
  const twist_tensor_info *outputs;
  const char *const *sites;
  void (*run)(void *const *buffers, const int64_t *dims, void *arena,
              const void *weights, twist_launcher *launcher);
  void (*output_dims)(const int64_t *input_dims, int64_t *output_dims);
  uint64_t (*arena_bytes)(const int64_t *input_dims);
  uint64_t check_count;
  const char *const *checks; /* what is wrong where one does not hold */
} twist_program_table;

#define TWIST_WEIGHTS_MAGIC "TWISTWTS"
#define TWIST_WEIGHTS_VERSION 1u

/* The first page of NAME.weights; the data follow at `data_offset`. */
typedef struct twist_weights_header {
  char magic[8];
  uint32_t version;
  uint32_t reserved;
  uint64_t data_offset;
  uint64_t data_bytes;
  uint8_t sha256[32]; /* of the data */
} twist_weights_header;

#define TWIST_SEAL_MAGIC "TWISTSO1"

/* The last bytes of NAME.so, which loaders of shared objects do not read: a file
 * that is cut off or altered is refused before it can crash one. */
typedef struct twist_seal {
  char magic[8];
  uint64_t bytes;     /* of what is before the seal */
  uint8_t sha256[32]; /* of what is before the seal */
} twist_seal;

/* A program linked into this executable; `weights_path` may be null if
 * table->weights_bytes is 0. */
twist_status twist_program_from_table(const twist_program_table *table,
                                      const char *weights_path, unsigned flags,
                                      twist_program **program,
                                      twist_error *error);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* TWIST_RUNTIME_PROGRAM_H */
