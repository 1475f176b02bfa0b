//===- AxisAnalysisImpl.h - What the analysis keeps -------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_DIALECT_TWIST_ANALYSIS_AXISANALYSISIMPL_H
#define TWIST_LIB_DIALECT_TWIST_ANALYSIS_AXISANALYSISIMPL_H

#include "AxisClasses.h"

#include "twist/Dialect/Twist/AxisAnalysis.h"

namespace twist::axes {

struct AxisAnalysis::Impl {
  AxisGraph graph;
  std::vector<Axis> axes;
  std::vector<RefusedClass> refused;
  llvm::DenseMap<AxisGraph::Node, unsigned> axisOf;
  llvm::SmallVector<std::pair<unsigned, unsigned>> statePairs;
  /// Views of each value, in order of making.
  llvm::DenseMap<mlir::Value, llvm::SmallVector<View, 1>> views;

  explicit Impl(mlir::func::FuncOp function)
      : graph(function, onnx::SymbolicShapes::compute(function)) {}

  llvm::SmallVector<AxisPlace> placesOf(mlir::Value value, View view,
                                        int64_t dim) const;
  void judge();
  void addAxes(llvm::ArrayRef<const AtomClass *> found);
  void addRefused(llvm::ArrayRef<const AtomClass *> found);
  void takeNamesOfGates();
};

} // namespace twist::axes

#endif // TWIST_LIB_DIALECT_TWIST_ANALYSIS_AXISANALYSISIMPL_H
