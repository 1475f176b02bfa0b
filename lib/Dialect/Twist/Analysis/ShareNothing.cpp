//===- ShareNothing.cpp - A copy for each use -----------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "AxisAnalysisImpl.h"

using namespace mlir;
using namespace twist;
using namespace twist::axes;

namespace {
/// Copies the ops behind one use, as far as an axis reaches.
class ViewCopier {
public:
  ViewCopier(const AxisAnalysis::Impl &impl, View view)
      : impl(impl), view(view) {}

  Value copy(Value value) {
    Operation *op = value.getDefiningOp();
    if (!op || !impl.graph.isCopyable(value) || !carriesAxis(value))
      return value;
    Operation *clone = clones.lookup(op);
    if (!clone) {
      clone = OpBuilder(op).clone(*op);
      clones[op] = clone;
      for (OpOperand &operand : clone->getOpOperands())
        operand.set(copy(operand.get()));
      copied.push_back(op);
    }
    return clone->getResult(cast<OpResult>(value).getResultNumber());
  }
  /// The ops that have been copied.
  SmallVector<Operation *> copied;

private:
  bool carriesAxis(Value value) {
    auto [it, isNew] = carries.insert({value, false});
    if (!isNew)
      return it->second;
    bool found = false;
    for (int64_t dim = 0, e = impl.graph.dims(value, view).size(); dim < e;
         ++dim)
      found |= !impl.placesOf(value, view, dim).empty();
    if (Operation *op = value.getDefiningOp(); op && !found)
      for (Value operand : op->getOperands())
        found |= impl.graph.isCopyable(operand) && carriesAxis(operand);
    carries[value] = found;
    return found;
  }

  const AxisAnalysis::Impl &impl;
  View view;
  llvm::DenseMap<Value, bool> carries;
  llvm::DenseMap<Operation *, Operation *> clones;
};
} // namespace

/// Whether the views of any value behind `value` differ.
static bool viewsDiffer(const AxisAnalysis::Impl &impl, Value value) {
  SmallVector<Value> pending = {value};
  llvm::DenseSet<Value> seen;
  while (!pending.empty()) {
    Value next = pending.pop_back_val();
    if (!impl.graph.isCopyable(next) || !seen.insert(next).second)
      continue;
    ArrayRef<View> views = impl.views.find(next)->second;
    for (int64_t dim = 0, e = impl.graph.dims(next, views[0]).size(); dim < e;
         ++dim)
      for (View view : views.drop_front())
        if (impl.placesOf(next, view, dim) !=
            impl.placesOf(next, views[0], dim))
          return true;
    for (Value operand : next.getDefiningOp()->getOperands())
      if (impl.views.contains(operand))
        pending.push_back(operand);
  }
  return false;
}

unsigned axes::shareNothing(func::FuncOp function,
                            const AxisAnalysis &analysis) {
  const AxisAnalysis::Impl &impl = analysis.implementation();
  llvm::SetVector<Operation *> originals;
  unsigned count = 0;
  for (View view = 1; view < impl.graph.numViews(); ++view) {
    OpOperand *root = impl.graph.root(view);
    if (!viewsDiffer(impl, root->get()))
      continue;
    ViewCopier copier(impl, view);
    root->set(copier.copy(root->get()));
    originals.insert(copier.copied.begin(), copier.copied.end());
    count += copier.copied.size();
  }
  // Those all uses have copies of.
  SmallVector<Operation *> order = llvm::to_vector(originals);
  llvm::sort(order,
             [](Operation *a, Operation *b) { return b->isBeforeInBlock(a); });
  for (Operation *op : order)
    if (isOpTriviallyDead(op)) {
      op->erase();
      --count;
    }
  return count;
}
