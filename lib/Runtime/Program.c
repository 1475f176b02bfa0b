/*===- Program.c - Loading a compiled program -----------------------------===*
 *
 * Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
 * Exceptions.
 *
 *===----------------------------------------------------------------------===*/

#define _GNU_SOURCE
#include "Internal.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t count_dims(const twist_tensor_info *infos, uint64_t count) {
  size_t dims = 0;
  for (uint64_t i = 0; i < count; ++i)
    dims += (size_t)infos[i].rank;
  return dims;
}

static twist_status check_table(const twist_program_table *table,
                                const char *path, twist_error *error) {
  if (table->magic != TWIST_PROGRAM_MAGIC)
    return twist_fail(error, TWIST_ERROR_FORMAT,
                      "'%s' is not a compiled program: bad magic", path);
  if (table->abi_version != TWIST_ABI_VERSION ||
      table->table_bytes != sizeof(twist_program_table))
    return twist_fail(error, TWIST_ERROR_ABI,
                      "'%s' was compiled for ABI version %u, this runtime has "
                      "%u: compile the model again",
                      path, table->abi_version, TWIST_ABI_VERSION);
  return twist_check_cpu(table->cpu_features, table->target_cpu, error);
}

static twist_status open_table(twist_program *program,
                               const twist_program_table *table,
                               const char *path, const char *weights_path,
                               unsigned flags, twist_error *error) {
  twist_status status = check_table(table, path, error);
  if (status)
    return status;
  program->table = table;
  program->input_dim_count = count_dims(table->inputs, table->input_count);
  program->output_dim_count = count_dims(table->outputs, table->output_count);
  if (table->weights_bytes == 0)
    return TWIST_OK;
  return twist_weights_open(program, weights_path, flags, error);
}

/* NAME of `path`, which is NAME or NAME.so, with `suffix`; a path without a
 * folder gets one, or the loader would search its library path. */
static char *artefact_path(const char *path, const char *suffix) {
  size_t length = strlen(path);
  if (length > 3 && !strcmp(path + length - 3, ".so"))
    length -= 3;
  char *result = malloc(length + strlen(suffix) + 3);
  if (result)
    sprintf(result, "%s%.*s%s", strchr(path, '/') ? "" : "./", (int)length,
            path, suffix);
  return result;
}

static twist_status load_library(twist_program *program, const char *library,
                                 const char *weights, unsigned flags,
                                 twist_error *error) {
  twist_status status = twist_check_seal(library, error);
  if (status)
    return status;
  program->library = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  if (!program->library)
    return twist_fail(error, TWIST_ERROR_FORMAT, "cannot load '%s': %s",
                      library, dlerror());
  const twist_program_table *table =
      dlsym(program->library, TWIST_PROGRAM_SYMBOL);
  if (!table)
    return twist_fail(error, TWIST_ERROR_FORMAT,
                      "'%s' is not a compiled program: it has no '%s'", library,
                      TWIST_PROGRAM_SYMBOL);
  return open_table(program, table, library, weights, flags, error);
}

/* The program on success, an error and nothing left behind otherwise. */
static twist_status finish(twist_program *loading, twist_status status,
                           twist_program **program) {
  if (status)
    twist_program_close(loading);
  else
    *program = loading;
  return status;
}

twist_status twist_program_load(const char *path, unsigned flags,
                                twist_program **program, twist_error *error) {
  *program = NULL;
  twist_program *loading = calloc(1, sizeof(*loading));
  char *library = artefact_path(path, ".so");
  char *weights = artefact_path(path, ".weights");
  twist_status status =
      loading && library && weights
          ? load_library(loading, library, weights, flags, error)
          : twist_fail(error, TWIST_ERROR_MEMORY, "out of memory");
  free(library);
  free(weights);
  return finish(loading, status, program);
}

twist_status twist_program_from_table(const twist_program_table *table,
                                      const char *weights_path, unsigned flags,
                                      twist_program **program,
                                      twist_error *error) {
  *program = NULL;
  twist_program *loading = calloc(1, sizeof(*loading));
  if (!loading)
    return twist_fail(error, TWIST_ERROR_MEMORY, "out of memory");
  return finish(
      loading,
      open_table(loading, table, "this executable", weights_path, flags, error),
      program);
}

void twist_program_close(twist_program *program) {
  if (!program)
    return;
  twist_weights_close(program);
  if (program->library)
    dlclose(program->library);
  free(program);
}

size_t twist_program_input_count(const twist_program *program) {
  return (size_t)program->table->input_count;
}

size_t twist_program_output_count(const twist_program *program) {
  return (size_t)program->table->output_count;
}

const twist_tensor_info *twist_program_input(const twist_program *program,
                                             size_t index) {
  return index < program->table->input_count ? &program->table->inputs[index]
                                             : NULL;
}

const twist_tensor_info *twist_program_output(const twist_program *program,
                                              size_t index) {
  return index < program->table->output_count ? &program->table->outputs[index]
                                              : NULL;
}

const char *twist_program_target_cpu(const twist_program *program) {
  return program->table->target_cpu;
}

const char *twist_program_cpu_features(const twist_program *program) {
  return program->table->cpu_features;
}

uint64_t twist_program_weights_bytes(const twist_program *program) {
  return program->table->weights_bytes;
}
