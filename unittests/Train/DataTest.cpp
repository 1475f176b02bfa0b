//===- DataTest.cpp - Windows, shards and orders --------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Train/Data.h"
#include "twist/Train/Schedule.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/raw_ostream.h"
#include "gtest/gtest.h"

#include <set>

using namespace twist::train;

namespace {
struct DataTest : testing::Test {
  llvm::SmallString<128> folder;
  DataOptions options;

  void SetUp() override {
    ASSERT_FALSE(llvm::sys::fs::createUniqueDirectory("train", folder));
    options.tokenizer = "bytes";
    options.vocabulary = 256;
    options.context = 8;
    options.batch = 2;
    options.workers = 3;
    options.files = {write("text", text(200))};
  }
  void TearDown() override { llvm::sys::fs::remove_directories(folder); }

  static std::string text(int length) {
    std::string text;
    for (int i = 0; i < length; ++i)
      text.push_back(char(i % 251));
    return text;
  }
  std::string write(const char *name, const std::string &content) {
    std::string path = (folder + "/" + name).str();
    std::error_code code;
    llvm::raw_fd_ostream(path, code) << content;
    return path;
  }
  Data open() { return llvm::cantFail(Data::open(options)); }
  std::string error() {
    auto data = Data::open(options);
    return data ? "" : llvm::toString(data.takeError());
  }
  void expectError(const char *part) {
    std::string message = error();
    EXPECT_NE(message.find(part), std::string::npos) << message;
  }
};
} // namespace

TEST_F(DataTest, AnEpochHasEachWindowOnce) {
  Data data = open();
  ASSERT_EQ(data.windows(), 24); // the 25th lacks a label
  std::vector<int64_t> ids(16), labels(16);
  for (int epoch = 0; epoch < 2; ++epoch) {
    std::set<int64_t> starts;
    for (int64_t worker = 0; worker < 3; ++worker)
      for (int64_t step = 4 * epoch; step < 4 * epoch + 4; ++step) {
        llvm::cantFail(data.batch(worker, step, ids, labels));
        for (int64_t row = 0; row < 2; ++row) {
          int64_t start = ids[row * 8];
          EXPECT_EQ(start / 8 % 3, worker); // its own shard
          starts.insert(start);
          for (int64_t i = 0; i < 8; ++i) {
            EXPECT_EQ(ids[row * 8 + i], start + i);
            EXPECT_EQ(labels[row * 8 + i], start + i + 1);
          }
        }
      }
    EXPECT_EQ(starts.size(), 24u);
  }
}

/// To judge by: what `twist eval` tells, whatever the batch.
TEST_F(DataTest, InOrderEachTokenIsToldOnce) {
  options.inOrder = true;
  options.workers = 1;
  options.batch = 3;
  options.files = {write("even", text(200))};
  Data data = open();
  ASSERT_EQ(data.windows(), 25);
  ASSERT_EQ(data.batches(), 9);
  std::vector<int64_t> ids(24), labels(24), told;
  for (int64_t batch = 0; batch < data.batches(); ++batch) {
    llvm::cantFail(data.batch(0, batch, ids, labels));
    for (size_t i = 0; i < ids.size(); ++i)
      if (labels[i] != Data::kIgnored) {
        EXPECT_EQ(labels[i], ids[i] + 1);
        told.push_back(labels[i]);
      }
  }
  ASSERT_EQ(told.size(), 199u);
  for (size_t i = 0; i < told.size(); ++i)
    EXPECT_EQ(told[i], int64_t(i) + 1);
  EXPECT_NE(data.protocol().find("windows    25 of 8 tokens, not overlapping, "
                                 "the rest dropped; the data hold 200 tokens"),
            std::string::npos);
  options.limit = 4;
  EXPECT_EQ(open().windows(), 4);
}

TEST_F(DataTest, BatchesFollowFromSeedWorkerAndStep) {
  Data data = open(), again = open();
  std::vector<int64_t> a(16), b(16), labels(16);
  llvm::cantFail(data.batch(1, 9, a, labels));
  llvm::cantFail(again.batch(1, 0, b, labels));
  llvm::cantFail(again.batch(1, 9, b, labels));
  EXPECT_EQ(a, b);
  EXPECT_EQ(data.hash(), again.hash());
  options.seed = 1;
  Data other = open();
  int differ = 0;
  for (int64_t step = 0; step < 4; ++step) {
    llvm::cantFail(data.batch(1, step, a, labels));
    llvm::cantFail(other.batch(1, step, b, labels));
    differ += a != b;
  }
  EXPECT_GT(differ, 0);
  EXPECT_NE(data.hash(), other.hash());
}

TEST_F(DataTest, MaskedTokens) {
  options.objective = Objective::MaskedToken;
  options.maskToken = 255;
  options.workers = 1;
  options.files = {write("long", text(4000))};
  Data data = open();
  EXPECT_EQ(data.windows(), 500);
  int64_t chosen = 0, masked = 0, kept = 0, total = 0;
  std::vector<int64_t> ids(16), labels(16);
  for (int64_t step = 0; step < 250; ++step) {
    llvm::cantFail(data.batch(0, step, ids, labels));
    for (int i = 0; i < 16; ++i, ++total) {
      if (labels[i] == Data::kIgnored)
        continue;
      ++chosen;
      masked += ids[i] == 255;
      kept += ids[i] == labels[i];
    }
  }
  EXPECT_NEAR(double(chosen) / double(total), 0.15, 0.02);
  EXPECT_NEAR(double(masked) / double(chosen), 0.8, 0.06);
  EXPECT_NEAR(double(kept) / double(chosen), 0.1, 0.05);
}

TEST_F(DataTest, WhatIsNoDataIsRefused) {
  options.batch = 9;
  expectError("too short: 200 tokens are 24 windows of 8, but 3 workers take 9 "
              "each for one step");
  options.batch = 2;
  options.vocabulary = 100;
  expectError("has tokens up to 255, but the model's vocabulary has 100");
  options.vocabulary = 256;
  options.tokenizer.clear();
  expectError("is no token file; text needs --tokenizer");
  options.tokenizer = "bytes";
  options.files = {write("empty", "")};
  expectError("is empty");
  options.files = {(folder + "/none").str()};
  expectError("cannot be read");
  options.files.clear();
  expectError("there are no data");
  options.files = {write("text", text(200))};
  options.context = 0;
  expectError("1 at least");
  options.context = 8;
  options.objective = Objective::MaskedToken;
  expectError("masked tokens need --mask-token, an id below 256");
  options.maskToken = 3;
  options.maskShare = 0;
  expectError("has to be above 0");
}

TEST(Schedule, IsItsFormula) {
  Schedule s;
  s.steps = 110;
  s.warmup = 10;
  EXPECT_DOUBLE_EQ(s.factor(0), 0.1);
  EXPECT_DOUBLE_EQ(s.factor(9), 1);
  EXPECT_DOUBLE_EQ(s.factor(60), 0.5);
  EXPECT_DOUBLE_EQ(s.factor(110), 0);
  s.kind = Schedule::Kind::Cosine;
  EXPECT_NEAR(s.factor(60), 0.5, 1e-15);
  EXPECT_NEAR(s.factor(35), (1 + std::sqrt(0.5)) / 2, 1e-15);
  s.kind = Schedule::Kind::ConstantLinear;
  s.floor = 0.1;
  EXPECT_DOUBLE_EQ(s.factor(89), 1);
  EXPECT_DOUBLE_EQ(s.factor(100), 0.55);
  s.kind = Schedule::Kind::Constant;
  EXPECT_DOUBLE_EQ(s.factor(100), 1);
  auto kind = parseScheduleKind("sine");
  ASSERT_FALSE(bool(kind));
  EXPECT_EQ(llvm::toString(kind.takeError()),
            "the schedule 'sine' is not known; constant, linear, cosine and "
            "constant-linear are");
}
