//===- AxisAnalysis.h - The axes of a graph and where they lie --*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
// Finds the sets of units of a normalised graph that can be removed together,
// by following how ops relate dimensions (Interfaces/DimensionRelations.h).
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_DIALECT_TWIST_AXISANALYSIS_H
#define TWIST_DIALECT_TWIST_AXISANALYSIS_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Value.h"

#include <memory>

namespace twist::axes {

/// Where the units of an axis lie in one dimension, in dense numbers: unit u
/// occupies offset + (o·units + u)·inner + i for o in [0, outer), i in
/// [0, inner). In a dimension of dynamic size `outer` or `inner` may be
/// ShapedType::kDynamic; then the place is the dimension's only one, has offset
/// 0, and tells that new size : old size = kept units : units.
struct Place {
  int64_t offset = 0;
  int64_t outer = 1;
  int64_t units = 1;
  int64_t inner = 1;

  bool isStatic() const;
  bool operator==(const Place &) const = default;
};

/// A place and whose it is. Several places of one axis in one dimension are
/// disjoint. Places of different axes may nest (the query heads inside a KV
/// group, the width of a head inside the head) or be disjoint (segments of a
/// packed weight). An index is kept when every place that covers it keeps its
/// unit there; an index no place covers is always kept.
struct AxisPlace {
  /// Index into AxisAnalysis::axes().
  unsigned axis;
  Place place;
  bool operator==(const AxisPlace &) const = default;
};

/// An operand that is summed away over a dimension.
struct AxisSink {
  mlir::OpOperand *operand;
  int64_t dim;
  bool operator==(const AxisSink &) const = default;
};

struct Axis {
  /// Symbol of the twist.axis: kind and index ("head_0").
  std::string symbol;
  /// "head", "kv_group", "query_group", "qk", "v", "qkv", "ffn", "channel"
  /// (docs/Rationale-Twist.md).
  std::string kind;
  /// Place among its kind in graph order.
  int64_t index = 0;
  int64_t units = 0;
  /// Paths of the weights that carry it, `weight:dim[:segment…]`: those that
  /// make it first, so sources[0] is its name for people.
  llvm::SmallVector<std::string> sources;
  /// The operands that are summed away over the axis, both of a contraction.
  llvm::SmallVector<AxisSink> sinks;
  /// Ops whose result holds a size that a cut of the axis changes.
  llvm::SmallVector<mlir::Operation *> reads;
};

/// A set of units some float weight makes that can't be cut.
struct RefusedClass {
  int64_t size = 0;
  /// Whether some op sums it away; if not, it reaches an output.
  bool isSummedAway = false;
  /// As Axis::sources.
  llvm::SmallVector<std::string> sources;
  /// Each different reason once, in graph order, at the op it is due to (the
  /// function for its arguments, the return op for its results).
  struct Reason {
    mlir::Operation *op;
    std::string text;
  };
  llvm::SmallVector<Reason> reasons;
};

/// On a module: state pairs given to discovery, which hold for every later
/// analysis too. An array of strings as in AxisAnalysisOptions::state.
inline constexpr llvm::StringLiteral kStateAttr = "twist.state";

/// Parameters: elements of float weights. FLOPs: two for each multiplication
/// and addition of contractions; a dimension of dynamic size counts as 1.
struct AxisCost {
  int64_t parameters = 0;
  int64_t flops = 0;
};

/// What the model holds, and what would be gone if all units of one axis were.
struct AxisCosts {
  AxisCost total;
  std::vector<AxisCost> axes;
};

/// How many axes of its kind come before an axis, and after it, in the longest
/// chain through its stack. Data flow orders axes; an encoder and its decoder
/// are stacks of their own, as are the towers of a model with two.
struct AxisLayer {
  int64_t before = 0, after = 0;
};

struct AxisAnalysisOptions {
  /// State pairs `input=output`, where one `*` may stand for the same text on
  /// both sides. Inputs that an output extends by concatenation or update are
  /// paired without being named.
  llvm::SmallVector<std::string> state;
};

/// The axes of `function`, a normalised graph with or without gates. On a graph
/// with gates, axes that gates name keep their symbols, kinds and indices.
///
/// A value of weights and sizes alone (and what an Expand or Tile repeats) has
/// a *view* per use, as if each use had its own copy of the ops that make it;
/// until `shareNothing` has made those copies, a value with views that differ
/// answers with none of them.
class AxisAnalysis {
public:
  /// Errors: a state option that names no input and output of the function.
  static mlir::FailureOr<AxisAnalysis>
  compute(mlir::func::FuncOp function, const AxisAnalysisOptions &options = {});
  AxisAnalysis(AxisAnalysis &&);
  AxisAnalysis &operator=(AxisAnalysis &&);
  ~AxisAnalysis();

  llvm::ArrayRef<Axis> axes() const;
  llvm::ArrayRef<RefusedClass> refused() const;

  /// Where axes lie in dimension `dim` of `value`, a ranked tensor; sorted by
  /// axis, then offset. Empty where none does.
  llvm::SmallVector<AxisPlace> placesOf(mlir::Value value, int64_t dim) const;
  /// The same as `operand` sees it: its own view.
  llvm::SmallVector<AxisPlace> placesOf(mlir::OpOperand &operand,
                                        int64_t dim) const;

  /// Costs of the function and of each of axes().
  AxisCosts costs() const;

  /// The layer of each of axes().
  std::vector<AxisLayer> layers() const;

  /// The inputs and outputs paired as state, (argument number, result number).
  llvm::ArrayRef<std::pair<unsigned, unsigned>> statePairs() const;

  /// As the pass twist-print-dimensions.
  void printDimensions(llvm::raw_ostream &os) const;

  struct Impl;
  const Impl &implementation() const { return *impl; }

private:
  explicit AxisAnalysis(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl;
};

/// Gives each use of a value whose views differ its own copy of the ops that
/// make it (`analysis` is out of date then). After it AxisAnalysis has one
/// answer for every value. Returns the number of ops copied.
unsigned shareNothing(mlir::func::FuncOp function,
                      const AxisAnalysis &analysis);

} // namespace twist::axes

#endif // TWIST_DIALECT_TWIST_AXISANALYSIS_H
