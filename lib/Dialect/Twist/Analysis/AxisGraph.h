//===- AxisGraph.h - A function's dimensions, view by view ------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_DIALECT_TWIST_ANALYSIS_AXISGRAPH_H
#define TWIST_LIB_DIALECT_TWIST_ANALYSIS_AXISGRAPH_H

#include "OpRelations.h"

#include "twist/Dialect/Twist/DimensionTrees.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

#include <map>

namespace twist::axes {

/// View 0 is the data graph. A value that may be computed once per use (of
/// weights and sizes alone, or broadcast) has no dimensions there; each of its
/// uses by an op of the data graph is a view of its own, and within a view the
/// ops that make the value are related once.
using View = unsigned;

/// The dimension trees of a function, and what its ops say of the nodes.
/// Statements are about nodes, so they hold for whatever the nodes turn out to
/// be made of, in any order.
class AxisGraph {
public:
  using Node = DimensionTrees::Node;

  AxisGraph(mlir::func::FuncOp function, onnx::SymbolicShapes shapes);

  /// Relates everything; `statePairs` are (argument, result) numbers.
  void build(llvm::ArrayRef<std::pair<unsigned, unsigned>> statePairs);

  //===--- What was said --------------------------------------------------===//
  struct Barrier {
    Node node;
    mlir::Operation *op;
    std::string text;
  };
  /// An operand summed away over `node`; `other` is null for a reduction.
  struct Sink {
    Node node;
    mlir::OpOperand *operand;
    int64_t dim;
    mlir::OpOperand *other;
    View view;
  };
  /// A dimension of a float weight as a view sees it.
  struct Weight {
    Node node;
    mlir::Value value;
    int64_t dim;
    View view;
  };
  struct Role {
    Node node;
    DimRole role;
    mlir::Operation *op;
  };
  struct Read {
    Node node;
    mlir::Operation *op;
  };
  std::vector<Barrier> barriers;
  std::vector<Sink> sinks;
  std::vector<Weight> weights;
  /// Roles in contractions of two operands that both depend on data.
  std::vector<Role> roles;
  std::vector<Read> reads;

  DimensionTrees trees;

  //===--- Asked later ----------------------------------------------------===//
  mlir::func::FuncOp function;
  onnx::SymbolicShapes shapes;
  llvm::DenseMap<mlir::Operation *, OpRelations> relations;
  /// Position of each op in the function.
  llvm::DenseMap<mlir::Operation *, unsigned> position;

  /// Nodes of a value's dimensions in a view; empty where it has none there.
  llvm::ArrayRef<Node> dims(mlir::Value value, View view) const;
  /// Every value that has dimensions, with its view.
  using Key = std::pair<mlir::Value, View>;
  const llvm::MapVector<Key, llvm::SmallVector<Node>> &all() const {
    return nodes;
  }
  /// Where an op of `view` sees `operand`.
  View viewOf(mlir::OpOperand &operand, View view) const;
  /// The operand a view is of; null for view 0.
  mlir::OpOperand *root(View view) const { return roots[view]; }
  unsigned numViews() const { return roots.size(); }

  bool isCopyable(mlir::Value value) const { return copyable.contains(value); }
  bool dependsOnData(mlir::Value value) const {
    return !fromWeights.contains(value);
  }

private:
  void classify(mlir::Operation *op);
  bool carriesAll(mlir::Operation *op, const OpRelations &relations) const;
  llvm::ArrayRef<Node> dimsOrMake(mlir::Value value, View view);
  void relate(mlir::Operation *op, View view);
  void relate(const Relation &relation, mlir::Operation *op, View view);
  void unify(Node a, Node b, mlir::Operation *op);
  void unifySlice(Node whole, Node part, const Relation &, mlir::Operation *op);
  void unifyGather(Node whole, Node part, llvm::ArrayRef<int64_t> indices,
                   mlir::Operation *op);
  void addContraction(const Relation &relation, mlir::Operation *op, View view);
  void addWeights(mlir::Operation *op, View view);
  void addBoundary(llvm::ArrayRef<std::pair<unsigned, unsigned>> statePairs);
  void barDynamicSegments();
  void barCaptured(mlir::Operation *op);
  Node nodeOf(DimRef ref, mlir::Operation *op, View view);
  mlir::OpOperand &operandOf(DimRef ref, mlir::Operation *op) const {
    return op->getOpOperand(ref.number);
  }

  llvm::MapVector<Key, llvm::SmallVector<Node>> nodes;
  /// Dimensions that only their op knows, by DimRef::inner.
  std::map<std::tuple<mlir::Operation *, View, unsigned>, Node> innerNodes;
  llvm::DenseMap<mlir::OpOperand *, View> viewByRoot;
  std::vector<mlir::OpOperand *> roots = {nullptr};
  llvm::DenseSet<std::pair<mlir::Operation *, View>> related;
  std::vector<std::pair<mlir::Operation *, View>> worklist;
  llvm::DenseSet<mlir::Value> copyable, fromWeights;
  std::vector<mlir::Operation *> tags = {nullptr};
};

} // namespace twist::axes

#endif // TWIST_LIB_DIALECT_TWIST_ANALYSIS_AXISGRAPH_H
