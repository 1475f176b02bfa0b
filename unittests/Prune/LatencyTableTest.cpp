//===- LatencyTableTest.cpp - Written, read, refused ----------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Prune/LatencyTable.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/raw_ostream.h"
#include "gtest/gtest.h"

using namespace twist::prune;

namespace {
struct LatencyTableFile : testing::Test {
  void SetUp() override {
    ASSERT_FALSE(llvm::sys::fs::createTemporaryFile("table", "json", path));
  }
  void TearDown() override { llvm::sys::fs::remove(path); }

  std::string write(llvm::StringRef text) {
    std::error_code error;
    llvm::raw_fd_ostream(path, error) << text;
    auto read = LatencyTable::read(path);
    return read ? "" : toString(read.takeError());
  }
  llvm::SmallString<128> path;
};
} // namespace

static LatencyTable example() {
  return {"a machine", "abc", "batch=1",
          2,           0.5,   {{"up:1", 64, {0, 16, 48}, {0.25, 0.125, 0.0}}}};
}

TEST_F(LatencyTableFile, RoundTrip) {
  ASSERT_FALSE(bool(example().write(path)));
  auto read = LatencyTable::read(path);
  ASSERT_TRUE(bool(read));
  EXPECT_EQ(read->machine, "a machine");
  EXPECT_EQ(read->sizes, "batch=1");
  EXPECT_EQ(read->threads, 2);
  EXPECT_EQ(read->denseSeconds, 0.5);
  ASSERT_TRUE(read->find("up:1"));
  EXPECT_FALSE(read->find("down:0"));
  EXPECT_EQ(read->find("up:1")->widths, example().axes[0].widths);
  EXPECT_EQ(read->find("up:1")->saved, example().axes[0].saved);
}

TEST_F(LatencyTableFile, Refused) {
  EXPECT_NE(write("{}").find("is no latency table of version 1"),
            std::string::npos);
  EXPECT_NE(write("{\"version\":1,\"machine\":3}").find("machine"),
            std::string::npos);
  LatencyTable table = example();
  table.axes[0].widths = {16, 16, 48};
  ASSERT_FALSE(bool(table.write(path)));
  auto read = LatencyTable::read(path);
  ASSERT_FALSE(bool(read));
  EXPECT_NE(toString(read.takeError()).find("axis 'up:1'"), std::string::npos);
}

TEST(LatencyTable, OthersAreRefused) {
  EXPECT_FALSE(bool(example().check("t", "a machine", "abc")));
  EXPECT_EQ(toString(example().check("t", "mine", "abc")),
            "t: was measured on 'a machine', this machine is 'mine'");
  EXPECT_EQ(toString(example().check("t", "a machine", "x")),
            "t: was measured with another model");
}

TEST(LatencyTable, MachineHasAName) {
  EXPECT_NE(machineName().find(" x "), std::string::npos);
}
