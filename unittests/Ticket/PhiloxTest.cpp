//===- PhiloxTest.cpp - The generator against its published vectors -------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Support/Philox.h"

#include "gtest/gtest.h"

#include <algorithm>

using namespace twist;

// Known answers of the authors' Random123 library (kat_vectors).
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}),
            (PhiloxCounter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
                       {0xffffffff, 0xffffffff}),
            (PhiloxCounter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
                       {0xa4093822, 0x299f31d0}),
            (PhiloxCounter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, SubsetsOfOneStreamAreNested) {
  PhiloxStream a(7, 0, 3, 1), b(7, 0, 3, 1);
  std::vector<int64_t> small = shuffledPrefix(a, 100, 25);
  std::vector<int64_t> large = shuffledPrefix(b, 100, 75);
  EXPECT_TRUE(std::equal(small.begin(), small.end(), large.begin()));
  std::sort(large.begin(), large.end());
  EXPECT_EQ(std::unique(large.begin(), large.end()), large.end());
}

TEST(Philox, SubsetsAreUniform) {
  // Each of 8 units is in a 4-subset half of the time: 4096 draws, 6 sigma.
  std::vector<int> held(8);
  for (uint32_t layer = 0; layer < 4096; ++layer) {
    PhiloxStream stream(1, 0, layer, 0);
    for (int64_t unit : shuffledPrefix(stream, 8, 4))
      ++held[unit];
  }
  for (int count : held)
    EXPECT_NEAR(count, 2048, 6 * 32);
}
