//===- PoolTest.cpp - Work by index ---------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Internal.h"

#include "gtest/gtest.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

static void count(void *context, int64_t i) {
  ++static_cast<std::atomic<int> *>(context)[i];
}

/// Every index once, for loops of all lengths, awake or not.
static void checkLoops(int threads, bool awake) {
  twist_pool *pool = twist_pool_create(threads);
  ASSERT_NE(pool, nullptr);
  EXPECT_EQ(twist_pool_threads(pool), threads);
  if (awake)
    twist_pool_wake(pool);
  for (int64_t n : {0, 1, 2, 3, 7, 64, 1000}) {
    for (int repeat = 0; repeat < 100; ++repeat) {
      std::unique_ptr<std::atomic<int>[]> counts(new std::atomic<int>[n + 1]());
      twist_pool_run(pool, count, counts.get(), n);
      for (int64_t i = 0; i < n; ++i)
        ASSERT_EQ(counts[i], 1);
      ASSERT_EQ(counts[n], 0);
    }
  }
  twist_pool_destroy(pool);
}

TEST(Pool, DoesEachIndexOnce) {
  for (int threads : {1, 2, 4})
    for (bool awake : {false, true})
      checkLoops(threads, awake);
}

TEST(Pool, StartsAgainAfterSleeping) {
  twist_pool *pool = twist_pool_create(3);
  std::atomic<int> counts[8] = {};
  for (int i = 0; i < 5; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
    twist_pool_run(pool, count, counts, 8);
  }
  for (auto &value : counts)
    EXPECT_EQ(value, 5);
  twist_pool_destroy(pool);
}
