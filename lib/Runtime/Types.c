/*===- Types.c - Element types and errors ---------------------------------===*
 *
 * Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
 * Exceptions.
 *
 *===----------------------------------------------------------------------===*/

#include "Internal.h"
#include "twist/Runtime/Tools.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

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

/* The formats of IEEE 754 binary16 and of bfloat16, without hardware's help. */
static double from_f16(uint16_t bits) {
  int exponent = bits >> 10 & 31, fraction = bits & 1023;
  double value = exponent == 0    ? ldexp(fraction, -24)
                 : exponent == 31 ? (fraction ? NAN : INFINITY)
                                  : ldexp(fraction + 1024, exponent - 25);
  return bits >> 15 ? -value : value;
}

static uint16_t to_f16(double value) {
  uint16_t sign = signbit(value) ? 0x8000 : 0;
  value = fabs(value);
  if (isnan(value) || value >= 65520)
    return sign | (isnan(value) ? 0x7e00 : 0x7c00);
  int exponent;
  frexp(value, &exponent);
  exponent = value == 0 || exponent < -13 ? -13 : exponent;
  /* 1024 or more is a normal number; 2048 carries into the exponent. */
  int fraction = (int)rint(ldexp(value, 11 - exponent));
  return sign | (uint16_t)(((exponent + 13) << 10) + fraction);
}

static double from_bf16(uint16_t bits) {
  uint32_t wide = (uint32_t)bits << 16;
  float value;
  memcpy(&value, &wide, sizeof(value));
  return (double)value;
}

static uint16_t to_bf16(double value) {
  float single = (float)value;
  uint32_t bits;
  memcpy(&bits, &single, sizeof(bits));
  if (isnan(value))
    return (uint16_t)(bits >> 16 | 0x40);
  return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

double twist_load_float(const void *data, twist_type type, int64_t at) {
  switch (type) {
  case TWIST_F64:
    return ((const double *)data)[at];
  case TWIST_F32:
    return (double)((const float *)data)[at];
  case TWIST_F16:
    return from_f16(((const uint16_t *)data)[at]);
  case TWIST_BF16:
    return from_bf16(((const uint16_t *)data)[at]);
  default:
    return NAN;
  }
}

void twist_store_integer(void *data, twist_type type, int64_t at,
                         int64_t value) {
  double real = (double)value;
  float single = (float)value;
  uint16_t half = type == TWIST_F16 ? to_f16(real) : to_bf16(real);
  size_t width = twist_type_size(type);
  const void *from = type == TWIST_F64                         ? (void *)&real
                     : type == TWIST_F32                       ? (void *)&single
                     : type == TWIST_F16 || type == TWIST_BF16 ? (void *)&half
                                                               : (void *)&value;
  memcpy((char *)data + at * (int64_t)width, from, width);
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
