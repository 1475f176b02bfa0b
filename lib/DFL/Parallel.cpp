//===- Parallel.cpp - Loops over parts on some threads --------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/DFL/Parallel.h"

#include "llvm/Support/ThreadPool.h"

#include <algorithm>
#include <atomic>
#include <mutex>

using namespace llvm;
using namespace twist::dfl;

struct Parallel::Pool {
  explicit Pool(ThreadPoolStrategy strategy) : threads(strategy) {}
  DefaultThreadPool threads;
};

Parallel::Parallel(int threads) {
  ThreadPoolStrategy strategy = hardware_concurrency(unsigned(threads));
  strategy.UseHyperThreads = true;
  if (threads != 1 && strategy.compute_thread_count() > 1)
    pool = std::make_unique<Pool>(strategy);
}

Parallel::~Parallel() = default;

Error Parallel::forEach(int64_t n, function_ref<Error(int64_t)> fn) {
  Error first = Error::success();
  if (!pool || n < 2) {
    for (int64_t i = 0; i < n; ++i)
      if (Error error = fn(i)) {
        if (first)
          consumeError(std::move(error));
        else
          first = std::move(error);
      }
    return first;
  }
  std::atomic<int64_t> next = 0;
  std::mutex mutex;
  int64_t where = n;
  auto work = [&] {
    for (int64_t i; (i = next++) < n;)
      if (Error error = fn(i)) {
        std::lock_guard<std::mutex> lock(mutex);
        if (i < where) {
          consumeError(std::move(first));
          first = std::move(error);
          where = i;
        } else {
          consumeError(std::move(error));
        }
      }
  };
  ThreadPoolTaskGroup group(pool->threads);
  unsigned helpers = pool->threads.getMaxConcurrency() - 1;
  for (unsigned t = 0; t < std::min<int64_t>(helpers, n - 1); ++t)
    group.async(work);
  work();
  group.wait();
  return first;
}

Error Parallel::forRanges(int64_t n, int64_t grain,
                          function_ref<Error(int64_t, int64_t)> fn) {
  return forEach((n + grain - 1) / grain, [&](int64_t part) {
    return fn(part * grain, std::min(n, (part + 1) * grain));
  });
}
