//===- Methods.h - What the table of methods is made of ---------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_DFL_METHODS_H
#define TWIST_LIB_DFL_METHODS_H

#include "twist/DFL/Method.h"

namespace twist::dfl {

struct MethodRow {
  llvm::StringRef name;
  bool needsRelaxation;
  MethodParameters defaults; ///< all positive
  std::unique_ptr<Method> (*make)(const MethodParameters &values);
};

std::unique_ptr<Method> makeMSE(const MethodParameters &values);
std::unique_ptr<Method> makeNotOptimal(const MethodParameters &values);
// SolverMethods.cpp: a solve or two per instance.
std::unique_ptr<Method> makeSPOPlus(const MethodParameters &values);
std::unique_ptr<Method> makeDBB(const MethodParameters &values);
std::unique_ptr<Method> makeIMLE(const MethodParameters &values);
std::unique_ptr<Method> makeFY(const MethodParameters &values);
std::unique_ptr<Method> makeHSD(const MethodParameters &values);
std::unique_ptr<Method> makeQPTL(const MethodParameters &values);
// PoolMethods.cpp: solutions seen before stand for the feasible set.
std::unique_ptr<Method> makeListwise(const MethodParameters &values);
std::unique_ptr<Method> makePairwise(const MethodParameters &values);
std::unique_ptr<Method> makePairwiseDiff(const MethodParameters &values);
std::unique_ptr<Method> makeMAP(const MethodParameters &values);

} // namespace twist::dfl

#endif // TWIST_LIB_DFL_METHODS_H
