//===- WithHighs.h - Tests that ask HiGHS -----------------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_UNITTESTS_DFL_WITHHIGHS_H
#define TWIST_UNITTESTS_DFL_WITHHIGHS_H

#include "twist/DFL/LinearProgram.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/raw_ostream.h"

#include "gtest/gtest.h"

#include <cstdlib>

/// Tests where ./dev has put HiGHS; where it has not, they are skipped.
class WithHighs : public testing::Test {
protected:
  void SetUp() override {
    if (!*TWIST_TEST_HIGHS)
      GTEST_SKIP() << "HiGHS was not there when this was configured";
    setenv("TWIST_HIGHS", TWIST_TEST_HIGHS, /*overwrite=*/1);
    int descriptor;
    ASSERT_FALSE(
        llvm::sys::fs::createTemporaryFile("dfl", suffix, descriptor, path));
    ::close(descriptor);
  }
  void TearDown() override { llvm::sys::fs::remove(path); }
  std::unique_ptr<twist::dfl::Problem> read(llvm::StringRef text) {
    std::error_code code;
    llvm::raw_fd_ostream(path, code) << text;
    return llvm::cantFail(twist::dfl::makeLinearProgram(path));
  }
  llvm::StringRef suffix = "lp";
  llvm::SmallString<128> path;
};

#endif // TWIST_UNITTESTS_DFL_WITHHIGHS_H
