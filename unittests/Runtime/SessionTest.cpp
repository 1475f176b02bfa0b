//===- SessionTest.cpp - Runs ---------------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "FakeProgram.h"

#include <thread>

namespace {
/// One run of the fake program on n rows.
struct OneRun {
  explicit OneRun(int64_t n) : x(2 * n), y(2 * n), mask(n), xDims{n, 2}, maskDims{n} {
    for (int64_t i = 0; i < n; ++i) {
      x[2 * i] = float(i);
      mask[i] = i % 2;
    }
    inputs[0] = {x.data(), x.size() * 4, xDims};
    inputs[1] = {mask.data(), mask.size(), maskDims};
    output = {y.data(), y.size() * 4, nullptr};
  }
  twist_status on(twist_session *session, twist_error *error) {
    return twist_session_run(session, inputs, &output, error);
  }
  bool right() const {
    for (size_t i = 0; i < mask.size(); ++i)
      if (y[2 * i] != float(i) + (i % 2 ? 3 : 0) || y[2 * i + 1] != (i % 2 ? 3 : 0))
        return false;
    return true;
  }

  std::vector<float> x, y;
  std::vector<char> mask;
  int64_t xDims[2], maskDims[1];
  twist_buffer inputs[2], output;
};

class Session : public ::testing::Test {
protected:
  void SetUp() override {
    fake.writeWeights();
    ASSERT_EQ(fake.load(), TWIST_OK) << fake.error.message;
  }
  twist_session *create(int threads) {
    twist_session *session = nullptr;
    EXPECT_EQ(twist_session_create(fake.program, threads, &session, &fake.error),
              TWIST_OK);
    return session;
  }
  FakeProgram fake;
};
} // namespace

TEST_F(Session, RunsAnyShapeInAnyOrder) {
  twist_session *session = create(2);
  EXPECT_EQ(twist_session_threads(session), 2);
  for (int64_t n : {3, 3, 700000, 1, 0, 5}) {
    OneRun run(n);
    ASSERT_EQ(run.on(session, &fake.error), TWIST_OK) << fake.error.message;
    EXPECT_TRUE(run.right()) << n;
  }
  twist_session_close(session);
}

TEST_F(Session, ShareOneProgram) {
  std::vector<std::thread> threads;
  std::vector<int> wrong(4);
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      twist_error error;
      twist_session *session;
      if (twist_session_create(fake.program, 2, &session, &error)) {
        wrong[t] = -1;
        return;
      }
      for (int i = 0; i < 200; ++i) {
        OneRun run(1 + (i * 7 + t) % 50);
        wrong[t] += run.on(session, &error) != TWIST_OK || !run.right();
      }
      twist_session_close(session);
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4));
}

TEST_F(Session, RefusesBuffersThatDoNotFit) {
  twist_session *session = create(1);
  OneRun run(4);
  run.output.bytes -= 1;
  EXPECT_EQ(run.on(session, &fake.error), TWIST_ERROR_ARGUMENT);
  EXPECT_TRUE(fake.says("the buffer of output 'y' has 31 bytes, 32 are needed"));
  run.output.bytes += 1;
  run.inputs[0].data = nullptr;
  EXPECT_EQ(run.on(session, &fake.error), TWIST_ERROR_ARGUMENT);
  EXPECT_TRUE(fake.says("the buffer of input 'x' is null"));
  run.inputs[0].data = reinterpret_cast<char *>(run.x.data()) + 1;
  EXPECT_EQ(run.on(session, &fake.error), TWIST_ERROR_ARGUMENT);
  EXPECT_TRUE(fake.says("not aligned"));
  run.inputs[0].data = run.x.data();
  EXPECT_EQ(run.on(session, nullptr), TWIST_OK);
  EXPECT_TRUE(run.right());
  twist_session_close(session);
}

TEST_F(Session, ReportsACheckThatDoesNotHold) {
  twist_session *session = create(2);
  OneRun run(3);
  run.x[0] = -1;
  EXPECT_EQ(run.on(session, &fake.error), TWIST_ERROR_VALUE);
  EXPECT_TRUE(fake.says("'add': it is negative")) << fake.error.message;
  run.x[0] = 0; // and says so of that run alone
  EXPECT_EQ(run.on(session, &fake.error), TWIST_OK);
  EXPECT_TRUE(run.right());
  twist_session_close(session);
}

TEST_F(Session, RefusesAWrongNumberOfThreads) {
  twist_session *session;
  for (int threads : {-1, 100000}) {
    EXPECT_EQ(twist_session_create(fake.program, threads, &session, &fake.error),
              TWIST_ERROR_ARGUMENT);
    EXPECT_EQ(session, nullptr);
    EXPECT_TRUE(fake.says(" threads: give 0 (one per processor) to 1024"));
  }
}

TEST_F(Session, RefusesSizesBeyondMemory) {
  OneRun run(4);
  auto message = [&](uint64_t (*bytes)(const int64_t *)) {
    fake.table.arena_bytes = bytes;
    twist_session *session = create(1);
    EXPECT_EQ(run.on(session, &fake.error), TWIST_ERROR_MEMORY);
    twist_session_close(session);
    return std::string(fake.error.message);
  };
  EXPECT_EQ(message([](const int64_t *) { return UINT64_C(1) << 63; }),
            "these sizes ask for 9223372036854775808 bytes of working memory");
  EXPECT_EQ(message([](const int64_t *) { return UINT64_C(1) << 60; }),
            "no memory for 1152921504606846976 bytes of working memory");
}

TEST_F(Session, RefusesSizesThatMakeNone) {
  fake.table.output_dims = [](const int64_t *, int64_t *out) {
    out[0] = -3;
    out[1] = 2;
  };
  twist_session *session = create(1);
  EXPECT_EQ(OneRun(4).on(session, &fake.error), TWIST_ERROR_ARGUMENT);
  EXPECT_TRUE(fake.says(
      "these input sizes give output 'y' the size -3 in dimension 0"));
  twist_session_close(session);
}

TEST_F(Session, CountsTimePerSite) {
  twist_session *session = create(1);
  OneRun run(4);
  ASSERT_EQ(twist_session_profile_count(session), 1u);
  run.on(session, nullptr);
  EXPECT_EQ(twist_session_profile_entry(session, 0).calls, 0u);
  ASSERT_EQ(twist_session_profile(session, 1, nullptr), TWIST_OK);
  run.on(session, nullptr);
  run.on(session, nullptr);
  EXPECT_EQ(twist_session_profile_entry(session, 0).calls, 2u);
  EXPECT_STREQ(twist_session_profile_entry(session, 0).site, "rows (add)");
  EXPECT_STREQ(twist_session_profile_entry(session, 1).site, "");
  twist_session_close(session);
}
