//===- DataTest.cpp - Reading data, and what is wrong with it -------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/DFL/Data.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/raw_ostream.h"

#include "gtest/gtest.h"

#include <cmath>

using namespace twist::dfl;
using Vector = std::vector<double>;

namespace {

/// A file of some bytes that goes away.
struct File {
  explicit File(llvm::StringRef bytes, llvm::StringRef suffix = "csv") {
    int descriptor;
    llvm::sys::fs::createTemporaryFile("dfl", suffix, descriptor, path);
    llvm::raw_fd_ostream(descriptor, true) << bytes;
  }
  ~File() { llvm::sys::fs::remove(path); }
  llvm::SmallString<128> path;
};

/// The error without the path in front.
template <typename T> std::string message(llvm::Expected<T> result) {
  std::string text = llvm::toString(result.takeError());
  return text.substr(text.rfind("dfl-") == std::string::npos
                         ? 0
                         : text.find('.', text.rfind("dfl-")));
}

TEST(Data, ReadsCsv) {
  File file("x1,c1,x2,c2\n1,10,2,20\n-3,1e2,4,.5\n");
  Dataset data = llvm::cantFail(readDataset(file.path));
  EXPECT_EQ(data.instances, 2);
  EXPECT_EQ(data.features, 2);
  EXPECT_EQ(data.items, 2);
  EXPECT_EQ(data.x, std::vector<double>({1, 2, -3, 4}));
  EXPECT_EQ(data.c, std::vector<double>({10, 20, 100, .5}));
}

TEST(Data, SaysWhatIsWrongWithCsv) {
  auto error = [](llvm::StringRef text) {
    return message(readDataset(File(text).path));
  };
  EXPECT_EQ(error("x,y\n1,2\n"),
            ".csv: column 'y' is neither a feature (x…) nor a cost (c…)");
  EXPECT_EQ(error("x,c\n1,2\n1\n"), ".csv:3: 1 values for 2 columns");
  EXPECT_EQ(error("x,c\n1,two\n"), ".csv:2: 'two' is not a number");
  EXPECT_EQ(error("x,c\n1,\n"), ".csv:2: '' is not a number");
  EXPECT_EQ(error("x,c\n1,nan\n"), ".csv: cost of instance 0, item 0 is nan");
  EXPECT_EQ(error("x,c\ninf,2\n"),
            ".csv: feature of instance 0, item 0 is inf");
  EXPECT_EQ(error("x,c\n"), ".csv: there are no instances, features or costs");
  EXPECT_EQ(error(""), ".csv: is empty");
}

TEST(Data, AFileThatIsNoArchive) {
  EXPECT_EQ(message(readNpz(File("PK nothing", "npz").path)),
            ".npz: is no .npz file, or is cut off");
  EXPECT_EQ(message(readNpz("/nowhere/dfl.npz")),
            "/nowhere/dfl.npz: No such file or directory");
}

TEST(Data, StandardisesByTheFirstInstances) {
  Dataset data{3, 1, 2, 1, {1, 5, 3, 5, 7, 5}, {1, 2, 3}};
  standardise(data, 2);
  EXPECT_EQ(data.x, std::vector<double>({-1, 0, 1, 0, 5, 0}));
}

TEST(Data, SplitsAreDisjointAndFollowTheSeed) {
  Dataset data{10, 1, 1, 1, {}, {}};
  for (int i = 0; i < 10; ++i) {
    data.x.push_back(i);
    data.c.push_back(i);
  }
  Split one = llvm::cantFail(split(data, 5, 2, 3, 4));
  Split same = llvm::cantFail(split(data, 5, 2, 3, 4));
  Split other = llvm::cantFail(split(data, 5, 2, 3, 5));
  EXPECT_EQ(one.train.x, same.train.x);
  EXPECT_NE(one.train.x, other.train.x);
  std::vector<double> all = one.train.x;
  all.insert(all.end(), one.validation.x.begin(), one.validation.x.end());
  all.insert(all.end(), one.test.x.begin(), one.test.x.end());
  std::sort(all.begin(), all.end());
  EXPECT_EQ(all, data.x);
  // Features are the instances' numbers here.
  for (int64_t i = 0; i < 5; ++i)
    EXPECT_EQ(double(one.train.number(i)), one.train.x[i]);
  EXPECT_EQ(double(one.train.take({3, 1}).number(0)), one.train.x[3]);
  EXPECT_EQ(
      message(split(data, 8, 2, 3, 0)),
      "10 instances can't be cut into 8 for training, 2 for validation and "
      "3 for testing");
}

/// Orders that numpy.random.RandomState(seed).permutation(10) printed.
TEST(Data, SplitsAsNumpyDoes) {
  Dataset data{10, 1, 1, 1, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, Vector(10, 1.0)};
  auto order = [&](uint64_t seed) {
    Split parts = llvm::cantFail(split(data, 5, 2, 3, seed, Shuffle::MT19937));
    Vector all = parts.train.x;
    all.insert(all.end(), parts.validation.x.begin(), parts.validation.x.end());
    all.insert(all.end(), parts.test.x.begin(), parts.test.x.end());
    return all;
  };
  EXPECT_EQ(order(0), Vector({2, 8, 4, 9, 1, 6, 7, 3, 0, 5}));
  EXPECT_EQ(order(7), Vector({8, 5, 0, 2, 1, 9, 7, 3, 6, 4}));
  EXPECT_EQ(message(split(data, 5, 2, 3, uint64_t(1) << 32, Shuffle::MT19937)),
            "shuffle 'mt19937' takes seeds below 2^32, not 4294967296");
}
} // namespace
