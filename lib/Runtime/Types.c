/*===- Types.c - Element types and errors ---------------------------------===*
 *
 * Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
 * Exceptions.
 *
 *===----------------------------------------------------------------------===*/

#include "Internal.h"

#include <stdarg.h>
#include <stdio.h>

static const struct {
  const char *name;
  size_t size;
} types[] = {{"?", 0},   {"f64", 8}, {"f32", 4}, {"f16", 2}, {"bf16", 2},
             {"i64", 8}, {"i32", 4}, {"i16", 2}, {"i8", 1},  {"u64", 8},
             {"u32", 4}, {"u16", 2}, {"u8", 1},  {"bool", 1}};

static size_t type_index(twist_type type) {
  size_t index = (size_t)type;
  return index < sizeof(types) / sizeof(types[0]) ? index : 0;
}

size_t twist_type_size(twist_type type) { return types[type_index(type)].size; }

const char *twist_type_name(twist_type type) {
  return types[type_index(type)].name;
}

int64_t twist_element_count(const int64_t *dims, int32_t rank) {
  int64_t count = 1;
  for (int32_t d = 0; d < rank; ++d)
    if (dims[d] < 0 || __builtin_mul_overflow(count, dims[d], &count) ||
        count > (INT64_C(1) << 59))
      return -1;
  return count;
}

twist_status twist_fail(twist_error *error, twist_status status,
                        const char *format, ...) {
  if (error) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof(error->message), format, arguments);
    va_end(arguments);
  }
  return status;
}
