//===- DenseTest.cpp - Products and inverses of dense matrices ------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Dense.h"

#include "gtest/gtest.h"

using namespace twist::prune;

static RowMajor draw(int64_t rows, int64_t columns, unsigned seed) {
  std::srand(seed);
  return RowMajor::Random(rows, columns);
}

TEST(Dense, ProductsOfAnySize) {
  for (int64_t k : {0, 1, 63, 600})
    for (int64_t m : {1, 64, 130}) {
      RowMajor a = draw(k, m, 1), b = draw(k, 70, 2), to = draw(m, 70, 3);
      RowMajor want = to - 2 * (a.transpose() * b);
      addTransposed(a, b, -2, to);
      EXPECT_LT((to - want).cwiseAbs().maxCoeff(), 1e-11) << k << " " << m;
    }
  RowMajor whole = draw(90, 200, 4);
  EXPECT_LT((timesTransposed(whole.leftCols(65), whole.rightCols(70)) -
             RowMajor(whole.leftCols(65).transpose() * whole.rightCols(70)))
                .cwiseAbs()
                .maxCoeff(),
            1e-11);
}

TEST(Dense, Inverses) {
  for (int64_t n : {1, 2, 63, 64, 65, 127, 128, 129, 300}) {
    RowMajor a = draw(n + 20, n, unsigned(n));
    RowMajor matrix = a.transpose() * a, inverse = matrix;
    matrix.diagonal().array() += 1;
    inverse = matrix;
    ASSERT_TRUE(invertPositive(inverse)) << n;
    RowMajor rest = inverse * matrix - RowMajor::Identity(n, n);
    EXPECT_LT(rest.cwiseAbs().maxCoeff(), 1e-10) << n;
    EXPECT_LT((inverse - inverse.transpose()).cwiseAbs().maxCoeff(), 1e-12);
  }
}

TEST(Dense, SaysWhatIsNotPositive) {
  for (int64_t n : {3, 64, 150}) {
    RowMajor matrix = RowMajor::Identity(n, n);
    matrix(n - 1, n - 1) = -1;
    EXPECT_FALSE(invertPositive(matrix)) << n;
  }
}
