/*===- Cpu.c - Instruction sets of this machine ---------------------------===*
 *
 * Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
 * Exceptions.
 *
 * Asked of the processor directly: the usual builtins need a compiler's support
 * library, which an artefact would then have to carry.
 *
 *===----------------------------------------------------------------------===*/

#include "Internal.h"

#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>

enum { EAX, EBX, ECX, EDX };
enum {
  STATE_NONE = 0,
  STATE_AVX = 0x6,
  STATE_AVX512 = 0xe6,
  STATE_AMX = 0x60000
};

/* The name LLVM gives it, where cpuid tells it, and the register state that the
 * operating system must save for it (XCR0). */
static const struct feature {
  const char *name;
  uint32_t leaf, subleaf;
  uint8_t reg, bit;
  uint32_t state;
} known[] = {
    {"sse3", 1, 0, ECX, 0, STATE_NONE},
    {"ssse3", 1, 0, ECX, 9, STATE_NONE},
    {"sse4.1", 1, 0, ECX, 19, STATE_NONE},
    {"sse4.2", 1, 0, ECX, 20, STATE_NONE},
    {"popcnt", 1, 0, ECX, 23, STATE_NONE},
    {"movbe", 1, 0, ECX, 22, STATE_NONE},
    {"avx", 1, 0, ECX, 28, STATE_AVX},
    {"fma", 1, 0, ECX, 12, STATE_AVX},
    {"f16c", 1, 0, ECX, 29, STATE_AVX},
    {"avx2", 7, 0, EBX, 5, STATE_AVX},
    {"bmi", 7, 0, EBX, 3, STATE_NONE},
    {"bmi2", 7, 0, EBX, 8, STATE_NONE},
    {"lzcnt", 0x80000001u, 0, ECX, 5, STATE_NONE},
    {"fma4", 0x80000001u, 0, ECX, 16, STATE_AVX},
    {"xop", 0x80000001u, 0, ECX, 11, STATE_AVX},
    {"tbm", 0x80000001u, 0, ECX, 21, STATE_NONE},
    {"avx512f", 7, 0, EBX, 16, STATE_AVX512},
    {"avx512dq", 7, 0, EBX, 17, STATE_AVX512},
    {"avx512ifma", 7, 0, EBX, 21, STATE_AVX512},
    {"avx512cd", 7, 0, EBX, 28, STATE_AVX512},
    {"avx512bw", 7, 0, EBX, 30, STATE_AVX512},
    {"avx512vl", 7, 0, EBX, 31, STATE_AVX512},
    {"avx512vbmi", 7, 0, ECX, 1, STATE_AVX512},
    {"avx512vbmi2", 7, 0, ECX, 6, STATE_AVX512},
    {"avx512vnni", 7, 0, ECX, 11, STATE_AVX512},
    {"avx512bitalg", 7, 0, ECX, 12, STATE_AVX512},
    {"avx512vpopcntdq", 7, 0, ECX, 14, STATE_AVX512},
    {"avx512vp2intersect", 7, 0, EDX, 8, STATE_AVX512},
    {"gfni", 7, 0, ECX, 8, STATE_NONE},
    {"avx512fp16", 7, 0, EDX, 23, STATE_AVX512},
    {"amx-bf16", 7, 0, EDX, 22, STATE_AMX},
    {"amx-tile", 7, 0, EDX, 24, STATE_AMX},
    {"amx-int8", 7, 0, EDX, 25, STATE_AMX},
    {"avxvnni", 7, 1, EAX, 4, STATE_AVX},
    {"avx512bf16", 7, 1, EAX, 5, STATE_AVX512},
    {"amx-fp16", 7, 1, EAX, 21, STATE_AMX},
    {"avxifma", 7, 1, EAX, 23, STATE_AVX},
    {"avxvnniint8", 7, 1, EDX, 4, STATE_AVX},
    {"avxneconvert", 7, 1, EDX, 5, STATE_AVX},
};

static uint64_t saved_states(void) {
  uint32_t r[4];
  if (!__get_cpuid_count(1, 0, &r[0], &r[1], &r[2], &r[3]) ||
      !(r[ECX] >> 27 & 1))
    return 0;
  uint32_t low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t)high << 32 | low;
}

static int has_feature(const struct feature *f) {
  uint32_t r[4] = {0, 0, 0, 0};
  if (!__get_cpuid_count(f->leaf, f->subleaf, &r[0], &r[1], &r[2], &r[3]))
    return 0;
  return (r[f->reg] >> f->bit & 1) && (saved_states() & f->state) == f->state;
}

static int machine_has(const char *name, size_t length) {
  for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); ++i)
    if (strlen(known[i].name) == length && !memcmp(known[i].name, name, length))
      return has_feature(&known[i]);
  return 0;
}
#else
static int machine_has(const char *name, size_t length) { return 0; }
#endif

twist_status twist_check_cpu(const char *features, const char *target_cpu,
                             twist_error *error) {
  for (const char *at = features; *at;) {
    size_t length = strcspn(at, ",");
    if (length && !machine_has(at, length))
      return twist_fail(error, TWIST_ERROR_CPU,
                        "the program was compiled for %s, which needs '%.*s': "
                        "this machine has no such instructions",
                        target_cpu, (int)length, at);
    at += length + (at[length] == ',');
  }
  return TWIST_OK;
}
