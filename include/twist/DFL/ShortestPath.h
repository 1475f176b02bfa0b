//===- ShortestPath.h - Paths through a grid --------------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_DFL_SHORTESTPATH_H
#define TWIST_DFL_SHORTESTPATH_H

#include "twist/DFL/Problem.h"

namespace twist::dfl {

/// The cheapest way from the first to the last node of a grid, to the right and
/// down. Edges are counted row by row: those within a row, then those to the
/// next. Exact for costs of any sign, for the grid has no cycles. Its
/// relaxation is the flow of one unit.
llvm::Expected<std::unique_ptr<Problem>> makeShortestPath(int64_t rows,
                                                          int64_t columns);

} // namespace twist::dfl

#endif // TWIST_DFL_SHORTESTPATH_H
