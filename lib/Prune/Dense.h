//===- Dense.h - Products and inverses of dense matrices --------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
// Eigen chooses its instructions when it is compiled, for any processor: what
// takes time goes through the kernel of the Gram matrices, which chooses when
// it runs.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_PRUNE_DENSE_H
#define TWIST_LIB_PRUNE_DENSE_H

#include <Eigen/Core>

namespace twist::prune {

using RowMajor =
    Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using ConstView = Eigen::Ref<const RowMajor, 0, Eigen::OuterStride<>>;
using View = Eigen::Ref<RowMajor, 0, Eigen::OuterStride<>>;

/// to += factor aᵀ b, for a [k, m], b [k, n], to [m, n].
void addTransposed(ConstView a, ConstView b, double factor, View to);
/// aᵀ b
RowMajor timesTransposed(ConstView a, ConstView b);

/// Puts the inverse in place of a symmetric matrix, all of it; false where it
/// is not positive definite.
bool invertPositive(View matrix);

} // namespace twist::prune

#endif // TWIST_LIB_PRUNE_DENSE_H
