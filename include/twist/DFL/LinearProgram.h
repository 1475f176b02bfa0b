//===- LinearProgram.h - Any linear or integer programme --------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_DFL_LINEARPROGRAM_H
#define TWIST_DFL_LINEARPROGRAM_H

#include "twist/DFL/Problem.h"

namespace twist::dfl {

/// The constraints, bounds, integrality and direction of an .mps or .lp file;
/// one cost per column, in place of the file's. Solved by HiGHS (Huangfu, Hall:
/// Parallelizing the dual revised simplex method, 2018), which is loaded when
/// first asked for: the library that TWIST_HIGHS names, or libhighs.so where
/// the loader finds it. The file is read once for each batch of instances. An
/// infeasible or unbounded instance is an error that names it.
llvm::Expected<std::unique_ptr<Problem>>
makeLinearProgram(llvm::StringRef path);

} // namespace twist::dfl

#endif // TWIST_DFL_LINEARPROGRAM_H
