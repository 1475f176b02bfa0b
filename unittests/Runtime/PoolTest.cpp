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
#include <sched.h>
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

namespace {
/// A loop whose context lies in the frame of its caller, as in compiled code,
/// and whose tasks write memory that is not atomic.
struct Frame {
  std::vector<int64_t> *out;
  int64_t scale;
};
} // namespace

static void scaleTask(void *context, int64_t i) {
  auto *frame = static_cast<Frame *>(context);
  (*frame->out)[i] = (*frame->out)[i] * 3 + frame->scale * i;
}

/// Launches of changing length, each reading what the one before wrote.
/// Returns how many elements are wrong.
static int64_t chainLaunches(twist_pool *pool, int64_t launches) {
  std::vector<int64_t> out(67), expected(67);
  for (int64_t l = 0; l < launches; ++l) {
    int64_t n = 1 + (l * 29) % 67;
    if (l % 512 == 0)
      twist_pool_rest(pool); // as between runs: workers go to sleep
    else if (l % 512 == 3)
      twist_pool_wake(pool);
    Frame frame{&out, l};
    twist_pool_run(pool, scaleTask, &frame, n);
    frame = {nullptr, 0}; // a late worker must not read it
    for (int64_t i = 0; i < n; ++i)
      expected[i] =
          int64_t(uint64_t(expected[i]) * 3 + uint64_t(l) * i) & 0xffff;
    for (int64_t i = 0; i < n; ++i)
      out[i] &= 0xffff;
  }
  int64_t wrong = 0;
  for (size_t i = 0; i < out.size(); ++i)
    wrong += out[i] != expected[i];
  return wrong;
}

TEST(Pool, RunsThousandsOfLaunchesInOrder) {
  for (int threads : {1, 2, 3, 4}) {
    twist_pool *pool = twist_pool_create(threads);
    EXPECT_EQ(chainLaunches(pool, 5000), 0) << threads;
    twist_pool_destroy(pool);
  }
}

TEST(Pool, WorksBesideOtherPools) {
  std::vector<std::thread> callers;
  std::vector<int64_t> wrong(3, -1);
  for (int c = 0; c < 3; ++c)
    callers.emplace_back([&, c] {
      twist_pool *pool = twist_pool_create(1 + c);
      wrong[c] = chainLaunches(pool, 2000);
      twist_pool_destroy(pool);
    });
  for (std::thread &caller : callers)
    caller.join();
  EXPECT_EQ(wrong, std::vector<int64_t>(3));
}

namespace {
/// Where the two threads of a loop over two indices were allowed to run.
struct Places {
  std::atomic<int> arrived{0};
  std::thread::id caller = std::this_thread::get_id();
  cpu_set_t worker;
};
} // namespace

/// Ends when both indices have been taken, so by two threads.
static void notePlace(void *context, int64_t) {
  auto &places = *static_cast<Places *>(context);
  if (std::this_thread::get_id() != places.caller)
    sched_getaffinity(0, sizeof(places.worker), &places.worker);
  for (++places.arrived; places.arrived < 2;)
    std::this_thread::yield();
}

TEST(Pool, WorkersKeepOffTheCallersProcessor) {
  cpu_set_t usable;
  ASSERT_EQ(sched_getaffinity(0, sizeof(usable), &usable), 0);
  if (CPU_COUNT(&usable) < 2)
    GTEST_SKIP() << "one processor";
  twist_pool *pool = twist_pool_create(2);
  int tried = 0;
  for (int cpu = 0; cpu < CPU_SETSIZE && tried < 2; ++cpu) {
    if (!CPU_ISSET(cpu, &usable))
      continue;
    ++tried;
    cpu_set_t here; // the caller moves: so does the worker
    CPU_ZERO(&here);
    CPU_SET(cpu, &here);
    ASSERT_EQ(sched_setaffinity(0, sizeof(here), &here), 0);
    Places places;
    twist_pool_wake(pool);
    twist_pool_run(pool, notePlace, &places, 2);
    twist_pool_rest(pool);
    EXPECT_FALSE(CPU_ISSET(cpu, &places.worker));
    EXPECT_EQ(CPU_COUNT(&places.worker), CPU_COUNT(&usable) - 1);
  }
  sched_setaffinity(0, sizeof(usable), &usable);
  twist_pool_destroy(pool);
}
