/*===- Tools.h - What twist run and a compiled executable share -----------===*
 *
 * Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
 * Exceptions.
 *
 * Used by `twist run` and linked into what `twist compile --emit exe` makes.
 *
 *===----------------------------------------------------------------------===*/

#ifndef TWIST_RUNTIME_TOOLS_H
#define TWIST_RUNTIME_TOOLS_H

#include "twist/Runtime/twist.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A tensor in memory of its own; zeroed is empty. */
typedef struct twist_array {
  twist_type type;
  int32_t rank;
  int64_t dims[TWIST_MAX_RANK];
  uint64_t bytes;
  void *data; /* 64-byte aligned */
} twist_array;

/* An element of floats, of 16 bits too; NaN for other types. */
double twist_load_float(const void *data, twist_type type, int64_t at);
/* Writes an integer as an element of any type, rounded to nearest even. */
void twist_store_integer(void *data, twist_type type, int64_t at,
                         int64_t value);

/* Gives `array` memory for its type, rank and dims, zeroed. */
twist_status twist_array_allocate(twist_array *array, twist_error *error);
void twist_array_free(twist_array *array);

/* Reads NumPy's format (versions 1 to 3, C order, little-endian). bf16 has no
 * type there: it is read and written as u16. */
twist_status twist_npy_read(const char *path, twist_array *array,
                            twist_error *error);
/* The same of a file in memory, called `name` in errors. */
twist_status twist_npy_parse(const void *bytes, size_t size, const char *name,
                             twist_array *array, twist_error *error);
/* The file is whole or absent (Output.h). */
twist_status twist_npy_write(const char *path, const twist_array *array,
                             twist_error *error);

/* The command `run`, behind its program: [--input NAME=FILE.npy …]
 * [--output-dir DIR] [--threads N]. Prints one line per
 * output; writes DIR/NAME.npy. Returns an exit code; errors go to stderr. */
int twist_run_main(const twist_program *program, int argc, char **argv);

/* The command `generate`, behind its program: greedy decoding with a language
 * model. Prints the ids it makes. The same exit codes. */
int twist_generate_main(const twist_program *program, int argc, char **argv);

/* The same, but for --json; each id goes to `tell` in place of being printed.
 */
int twist_generate_tell(const twist_program *program, int argc, char **argv,
                        void (*tell)(void *context, int64_t id), void *context);

/* Their arguments' help, without the program's name. */
extern const char twist_run_options[];
extern const char twist_generate_options[];

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* TWIST_RUNTIME_TOOLS_H */
