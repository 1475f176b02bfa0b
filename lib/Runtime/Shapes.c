/*===- Shapes.c - Sizes of inputs, outputs and the arena ------------------===*
 *
 * Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
 * Exceptions.
 *
 *===----------------------------------------------------------------------===*/

#include "Shapes.h"

#include <stdlib.h>
#include <string.h>

/* Sizes that carry one symbol must agree: remembers the first, finds the rest.
 */
static twist_status check_symbol(const twist_program *program, size_t input,
                                 int32_t dim, const int64_t *flat,
                                 twist_error *error) {
  const twist_tensor_info *info = &program->table->inputs[input];
  const char *symbol = info->symbols[dim];
  if (!*symbol)
    return TWIST_OK;
  size_t at = 0;
  int64_t size = 0;
  for (size_t i = 0; i <= input; ++i) /* this one's place in `flat` */
    for (int32_t d = 0; d < program->table->inputs[i].rank; ++d, ++at)
      if (i == input && d == dim)
        size = flat[at];
  at = 0;
  for (size_t i = 0; i <= input; ++i) {
    const twist_tensor_info *other = &program->table->inputs[i];
    for (int32_t d = 0; d < other->rank; ++d, ++at) {
      if (i == input && d == dim)
        return TWIST_OK;
      if (!strcmp(other->symbols[d], symbol) && flat[at] != size)
        return twist_fail(error, TWIST_ERROR_ARGUMENT,
                          "'%s' is %lld in dimension %d of input '%s', but "
                          "%lld in dimension %d of input '%s'",
                          symbol, (long long)flat[at], d, other->name,
                          (long long)size, dim, info->name);
    }
  }
  return TWIST_OK;
}

static twist_status check_dim(const twist_tensor_info *info, int32_t dim,
                              int64_t size, twist_error *error) {
  if (size < 0)
    return twist_fail(error, TWIST_ERROR_ARGUMENT,
                      "input '%s' has size %lld in dimension %d", info->name,
                      (long long)size, dim);
  if (info->dims[dim] >= 0 && info->dims[dim] != size)
    return twist_fail(error, TWIST_ERROR_ARGUMENT,
                      "input '%s' has size %lld in dimension %d, the program "
                      "takes %lld",
                      info->name, (long long)size, dim,
                      (long long)info->dims[dim]);
  return TWIST_OK;
}

twist_status twist_flatten_dims(const twist_program *program,
                                const int64_t *const *input_dims, int64_t *flat,
                                twist_error *error) {
  size_t at = 0;
  for (size_t i = 0; i < program->table->input_count; ++i)
    for (int32_t d = 0; d < program->table->inputs[i].rank; ++d, ++at) {
      flat[at] = input_dims[i][d];
      twist_status status =
          check_dim(&program->table->inputs[i], d, flat[at], error);
      if (!status)
        status = check_symbol(program, i, d, flat, error);
      if (status)
        return status;
    }
  for (size_t i = 0, first = 0; i < program->table->input_count; ++i) {
    const twist_tensor_info *info = &program->table->inputs[i];
    if (twist_element_count(flat + first, info->rank) < 0)
      return twist_fail(error, TWIST_ERROR_MEMORY, "input '%s' is too large",
                        info->name);
    first += (size_t)info->rank;
  }
  return TWIST_OK;
}

twist_status twist_shape_outputs(const twist_program *program,
                                 const int64_t *flat, int64_t *output_flat,
                                 twist_error *error) {
  if (program->output_dim_count)
    program->table->output_dims(flat, output_flat);
  for (size_t i = 0, first = 0; i < program->table->output_count; ++i) {
    const twist_tensor_info *info = &program->table->outputs[i];
    for (int32_t d = 0; d < info->rank; ++d)
      if (output_flat[first + (size_t)d] == TWIST_SIZES_REFUSED)
        return twist_fail(error, TWIST_ERROR_ARGUMENT,
                          "the model does not take inputs of these sizes: one "
                          "is beyond a table of it");
      else if (output_flat[first + (size_t)d] < 0)
        return twist_fail(error, TWIST_ERROR_ARGUMENT,
                          "these input sizes give output '%s' the size %lld in "
                          "dimension %d",
                          info->name, (long long)output_flat[first + (size_t)d],
                          d);
    if (twist_element_count(output_flat + first, info->rank) < 0)
      return twist_fail(error, TWIST_ERROR_MEMORY, "output '%s' is too large",
                        info->name);
    first += (size_t)info->rank;
  }
  return TWIST_OK;
}

twist_status twist_program_output_dims(const twist_program *program,
                                       const int64_t *const *input_dims,
                                       int64_t *const *output_dims,
                                       twist_error *error) {
  size_t inputs = program->input_dim_count, outputs = program->output_dim_count;
  int64_t *flat = malloc((inputs + outputs + 1) * sizeof(int64_t));
  if (!flat)
    return twist_fail(error, TWIST_ERROR_MEMORY, "out of memory");
  twist_status status = twist_flatten_dims(program, input_dims, flat, error);
  if (!status)
    status = twist_shape_outputs(program, flat, flat + inputs, error);
  for (size_t i = 0, at = inputs; !status && i < program->table->output_count;
       ++i)
    for (int32_t d = 0; d < program->table->outputs[i].rank; ++d)
      output_dims[i][d] = flat[at++];
  free(flat);
  return status;
}

twist_status twist_program_arena_bytes(const twist_program *program,
                                       const int64_t *const *input_dims,
                                       uint64_t *bytes, twist_error *error) {
  int64_t *flat = malloc((program->input_dim_count + 1) * sizeof(int64_t));
  if (!flat)
    return twist_fail(error, TWIST_ERROR_MEMORY, "out of memory");
  twist_status status = twist_flatten_dims(program, input_dims, flat, error);
  if (!status)
    *bytes = program->table->arena_bytes(flat);
  free(flat);
  return status;
}
