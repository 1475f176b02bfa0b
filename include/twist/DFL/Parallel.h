//===- Parallel.h - Loops over parts on some threads ------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_DFL_PARALLEL_H
#define TWIST_DFL_PARALLEL_H

#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <memory>

namespace twist::dfl {

/// Threads for loops whose steps do not depend on one another. What a step
/// computes may not depend on which thread runs it: results are then the same
/// for any number of threads.
class Parallel {
public:
  /// 1: the caller's thread alone; 0: one thread per processor.
  explicit Parallel(int threads = 1);
  ~Parallel();

  /// Runs fn(i) for i in [0, n). All steps run; the error is that of the
  /// smallest i that had one.
  llvm::Error forEach(int64_t n, llvm::function_ref<llvm::Error(int64_t)> fn);
  /// Runs fn(begin, end) for parts of [0, n) of `grain` each.
  llvm::Error forRanges(int64_t n, int64_t grain,
                        llvm::function_ref<llvm::Error(int64_t, int64_t)> fn);

private:
  struct Pool;
  std::unique_ptr<Pool> pool;
};

} // namespace twist::dfl

#endif // TWIST_DFL_PARALLEL_H
