//===- AxisClasses.h - Classes of atoms, judged and named -------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_DIALECT_TWIST_ANALYSIS_AXISCLASSES_H
#define TWIST_LIB_DIALECT_TWIST_ANALYSIS_AXISCLASSES_H

#include "AxisGraph.h"

namespace twist::axes {

/// A weight that carries a class, as people write it.
struct Source {
  /// 0: makes it in a contraction or a lookup; 1: carries it; 2: is summed away
  /// over it.
  unsigned rank;
  /// Position of the op that uses the weight.
  unsigned position;
  mlir::Value weight;
  int64_t dim;
  std::string path; ///< without the weight's name and dimension

  std::string text(llvm::StringRef weightName) const;
};

/// All that is known of one class of atoms.
struct AtomClass {
  AxisGraph::Node atom;
  int64_t size = 0;
  std::vector<Source> sources; ///< sorted
  std::vector<AxisGraph::Sink> sinks;
  std::vector<AxisGraph::Barrier> barriers;
  llvm::SmallVector<mlir::Operation *> reads;
  bool isBatch = false, isContracted = false, isFree = false;
  bool hasDataSink = false;
  /// Summed away against a weight.
  bool hasWeightSink = false;
  /// Sum over the weights that make it of the part of a dimension it covers.
  double made = 0;
  /// Positions of the first op that sums it away, and the last that makes it.
  unsigned firstSink = ~0u, lastMaker = 0;

  bool isMade() const {
    return size > 1 && !sources.empty() && sources[0].rank < 2;
  }
  /// Some weight makes it, data flows into what sums it away, and no op
  /// objects.
  bool isAxis() const { return isMade() && hasDataSink && barriers.empty(); }
};

/// Every class of static size, in graph order of what makes it.
std::vector<AtomClass> classesOf(const AxisGraph &graph);

/// The kinds of classes, told by role: `isAxis` ones only.
std::vector<std::string> kindsOf(const AxisGraph &graph,
                                 llvm::ArrayRef<const AtomClass *> axes);

/// The names of sources; one text that stands for several classes gets @0, @1 …
/// in graph order.
std::vector<llvm::SmallVector<std::string>>
namesOf(llvm::ArrayRef<const AtomClass *> classes);

/// The weight's name in the model; empty if it has none.
llvm::StringRef weightName(mlir::Value weight);

/// Inputs that an output extends: (argument, result).
llvm::SmallVector<std::pair<unsigned, unsigned>>
findStatePairs(mlir::func::FuncOp function);

} // namespace twist::axes

#endif // TWIST_LIB_DIALECT_TWIST_ANALYSIS_AXISCLASSES_H
