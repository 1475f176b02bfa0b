//===- Subnetwork.h - Axes, their kept units, the masked model --*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_DIALECT_TWIST_TRANSFORMS_SUBNETWORK_H
#define TWIST_DIALECT_TWIST_TRANSFORMS_SUBNETWORK_H

#include "twist/Dialect/Twist/Transforms/KeepBiases.h"
#include "twist/Dialect/Twist/Twist.h"
#include "twist/Ticket/Ticket.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/StringMap.h"

namespace twist::axes {

/// The axes of a module with twist.axis ops, in their order.
std::vector<AxisInfo> axesOf(mlir::ModuleOp module);

/// Fills the layers of `axes`, those of a module with gates.
llvm::LogicalResult countLayers(mlir::ModuleOp module,
                                std::vector<AxisInfo> &axes);

/// Adds the subnetwork a ticket names; errors at `loc`. Masks of site "weight"
/// change biases too, which takes `evaluate`; without it they are an error.
llvm::LogicalResult applyTicket(mlir::ModuleOp module, const Ticket &ticket,
                                mlir::Location loc,
                                const EvaluateConstants &evaluate = {});

/// The kept units of one axis that loses some.
struct CutAxis {
  AxisOp axis;
  llvm::SmallVector<int64_t> keep; ///< ascending
  llvm::BitVector kept;            ///< one bit per unit
};

/// The axes that lose units under the module's subnetwork, by symbol. Fails
/// with a diagnostic when the subnetwork does not fit the axes; empty without a
/// subnetwork.
class CutAxes {
public:
  static mlir::FailureOr<CutAxes> of(mlir::ModuleOp module);

  /// Null for an axis that stays whole.
  const CutAxis *find(llvm::StringRef symbol) const {
    auto it = axes.find(symbol);
    return it == axes.end() ? nullptr : &it->second;
  }
  bool empty() const { return axes.empty(); }
  const llvm::StringMap<CutAxis> &all() const { return axes; }

private:
  llvm::StringMap<CutAxis> axes;
};

/// Clears in `keep` (one bit per index of a dimension) the indices of removed
/// units at `place`.
void clearRemoved(PlaceAttr place, const CutAxis &cut, llvm::BitVector &keep);

/// How many gates became a selection, and how many stood for nothing.
struct GateCounts {
  unsigned masks = 0, erased = 0;
};

/// Discardable attribute on the constant masks of selections, if asked for:
/// "gate" or "poison".
inline constexpr llvm::StringLiteral kMaskAttr = "twist.mask";

/// The pass twist-lower-gates. `tagMasks` puts `kMaskAttr` on masks.
llvm::LogicalResult lowerGates(mlir::ModuleOp module, GateCounts &counts,
                               bool tagMasks = false);

/// Erases axes and subnetwork.
void eraseAxes(mlir::ModuleOp module);

} // namespace twist::axes

#endif // TWIST_DIALECT_TWIST_TRANSFORMS_SUBNETWORK_H
