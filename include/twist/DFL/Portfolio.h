//===- Portfolio.h - Returns under a bound on risk --------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_DFL_PORTFOLIO_H
#define TWIST_DFL_PORTFOLIO_H

#include "twist/DFL/Problem.h"

namespace twist::dfl {

/// max c·x over x >= 0, sum x <= 1, xᵀ C x <= risk, for a positive definite
/// `covariance` C [assets, assets] and risk > 0. Exact: the optimum for each
/// price of risk is a line, followed from no price on until the risk is met
/// (Markowitz's critical line).
llvm::Expected<std::unique_ptr<Problem>>
makePortfolio(llvm::ArrayRef<double> covariance, int64_t assets, double risk);

} // namespace twist::dfl

#endif // TWIST_DFL_PORTFOLIO_H
