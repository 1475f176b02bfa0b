//===- FakeProgram.h - A program written by hand ----------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_UNITTESTS_RUNTIME_FAKEPROGRAM_H
#define TWIST_UNITTESTS_RUNTIME_FAKEPROGRAM_H

#include "twist/Runtime/Program.h"

#include "gtest/gtest.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <unistd.h>
#include <vector>

/// y[n, 2] = x[n, 2] + mask[n] · w, one task a row; the arena holds a row each.
struct FakeProgram {
  static constexpr const char *xSymbols[] = {"n", ""};
  static constexpr int64_t xDims[] = {-1, 2};
  static constexpr const char *maskSymbols[] = {"n"};
  static constexpr int64_t maskDims[] = {-1};
  static constexpr twist_tensor_info inputs[] = {
      {"x", TWIST_F32, 2, xDims, xSymbols},
      {"mask", TWIST_BOOL, 1, maskDims, maskSymbols}};
  static constexpr twist_tensor_info outputs[] = {
      {"y", TWIST_F32, 2, xDims, xSymbols}};
  static constexpr const char *sites[] = {"rows (add)"};
  static constexpr const char *checks[] = {"'add': it is negative"};

  struct Context {
    const float *x;
    const char *mask;
    float *y, *arena;
    const float *w;
  };

  static void row(void *opaque, int64_t i) {
    auto *context = static_cast<Context *>(opaque);
    for (int64_t j = 0; j < 2; ++j) {
      context->arena[2 * i + j] = context->mask[i] ? *context->w : 0;
      context->y[2 * i + j] = context->x[2 * i + j] + context->arena[2 * i + j];
    }
  }
  static void run(void *const *buffers, const int64_t *dims, void *arena,
                  const void *weights, twist_launcher *launcher) {
    Context context{static_cast<const float *>(buffers[0]),
                    static_cast<const char *>(buffers[1]),
                    static_cast<float *>(buffers[2]),
                    static_cast<float *>(arena),
                    static_cast<const float *>(weights)};
    launcher->parallel(launcher, row, &context, dims[0], 0);
    // Stands for any condition on values: the first element is not negative.
    launcher->require(launcher, dims[0] == 0 || context.x[0] >= 0, 0);
  }
  static void outputDims(const int64_t *in, int64_t *out) {
    out[0] = in[0];
    out[1] = 2;
  }
  static uint64_t arenaBytes(const int64_t *in) { return in[0] * 8; }

  twist_program_table table = {TWIST_PROGRAM_MAGIC,
                               TWIST_ABI_VERSION,
                               sizeof(twist_program_table),
                               "generic",
                               "sse3,avx",
                               64,
                               {1, 2, 3},
                               2,
                               1,
                               1,
                               inputs,
                               outputs,
                               sites,
                               run,
                               outputDims,
                               arenaBytes,
                               1,
                               checks};
  twist_weights_header header = {{'T', 'W', 'I', 'S', 'T', 'W', 'T', 'S'},
                                 TWIST_WEIGHTS_VERSION, 0, 4096, 64, {1, 2, 3}};
  std::string path = ::testing::TempDir() + "fake.weights";

  /// Writes the weights' file, of `bytes` bytes in all.
  void writeWeights(size_t bytes = 4096 + 64) const {
    std::vector<char> file(bytes);
    float w = 3;
    std::memcpy(file.data(), &header, std::min(bytes, sizeof(header)));
    if (bytes >= 4100)
      std::memcpy(file.data() + 4096, &w, sizeof(w));
    std::FILE *stream = std::fopen(path.c_str(), "wb");
    std::fwrite(file.data(), 1, bytes, stream);
    std::fclose(stream);
  }

  /// Loads it; on failure the message is in `error`.
  twist_status load(unsigned flags = 0) {
    twist_program_close(program);
    return twist_program_from_table(&table, path.c_str(), flags, &program,
                                    &error);
  }
  bool says(const char *text) const {
    return std::strstr(error.message, text) != nullptr;
  }
  ~FakeProgram() {
    twist_program_close(program);
    ::unlink(path.c_str());
  }

  twist_program *program = nullptr;
  twist_error error = {};
};

#endif // TWIST_UNITTESTS_RUNTIME_FAKEPROGRAM_H
