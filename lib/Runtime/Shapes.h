/*===- Shapes.h - Sizes of inputs, outputs and the arena ------------------===*
 *
 * Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
 * Exceptions.
 *
 *===----------------------------------------------------------------------===*/

#ifndef TWIST_LIB_RUNTIME_SHAPES_H
#define TWIST_LIB_RUNTIME_SHAPES_H

#include "Internal.h"

/* Checks the inputs' sizes (static ones, symbols that repeat) and writes them
 * one after the other. */
twist_status twist_flatten_dims(const twist_program *program,
                                const int64_t *const *input_dims, int64_t *flat,
                                twist_error *error);

/* The outputs' sizes, flattened, checked to be sizes. */
twist_status twist_shape_outputs(const twist_program *program,
                                 const int64_t *flat, int64_t *output_flat,
                                 twist_error *error);

#endif /* TWIST_LIB_RUNTIME_SHAPES_H */
