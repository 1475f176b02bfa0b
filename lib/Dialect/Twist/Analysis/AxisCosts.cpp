//===- AxisCosts.cpp - What each axis holds -------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "AxisAnalysisImpl.h"

#include "twist/Dialect/ONNX/ONNX.h"
#include "twist/Dialect/Weights/Weights.h"

using namespace mlir;
using namespace twist;
using namespace twist::axes;

namespace {
/// Adds an amount spread evenly over a box of dimensions to a total and to the
/// axes that reach into the box.
class Shares {
public:
  Shares(const AxisAnalysis &analysis, int64_t AxisCost::*field,
         AxisCosts &costs)
      : analysis(analysis), field(field), costs(costs),
        untouched(costs.axes.size(), 1.0) {}

  void add(Value value, int64_t dim) {
    int64_t size = cast<RankedTensorType>(value.getType()).getDimSize(dim);
    std::vector<double> covered(untouched.size());
    for (const AxisPlace &found : analysis.placesOf(value, dim)) {
      const Place &place = found.place;
      covered[found.axis] +=
          place.isStatic()
              ? double(place.outer * place.units * place.inner) / double(size)
              : 1.0;
    }
    for (auto [axis, part] : llvm::enumerate(covered))
      untouched[axis] *= 1 - part;
  }
  /// `before`: what copies of the same have given each axis, kept up to date.
  void finish(int64_t amount, std::vector<int64_t> *before = nullptr) {
    if (!before || before->empty())
      costs.total.*field += amount;
    if (before)
      before->resize(untouched.size());
    for (auto [axis, part] : llvm::enumerate(untouched)) {
      int64_t own = std::llround(double(amount) * (1 - part));
      int64_t given = before ? (*before)[axis] : 0;
      costs.axes[axis].*field += std::max<int64_t>(own - given, 0);
      if (before)
        (*before)[axis] = std::max(own, given);
    }
  }

private:
  const AxisAnalysis &analysis;
  int64_t AxisCost::*field;
  AxisCosts &costs;
  std::vector<double> untouched;
};
} // namespace

using CopiedCosts = llvm::DenseMap<Attribute, std::vector<int64_t>>;

static void addParameters(Operation *op, const AxisAnalysis &analysis,
                          CopiedCosts &copied, AxisCosts &costs) {
  auto type = dyn_cast<RankedTensorType>(op->getResult(0).getType());
  if (!type || !type.hasStaticShape() || !isa<FloatType>(type.getElementType()))
    return;
  Shares shares(analysis, &AxisCost::parameters, costs);
  for (int64_t dim = 0; dim < type.getRank(); ++dim)
    shares.add(op->getResult(0), dim);
  // Copies of a load are one weight.
  auto load = dyn_cast<weights::LoadOp>(op);
  shares.finish(type.getNumElements(),
                load ? &copied[load.getView()] : nullptr);
}

static int64_t sizeOrOne(Value value, int64_t dim) {
  int64_t size = cast<RankedTensorType>(value.getType()).getDimSize(dim);
  return ShapedType::isDynamic(size) ? 1 : size;
}

/// Two operations for each element of the result and of what is summed away.
static void addFlops(Operation *op, const OpRelations &said,
                     const AxisAnalysis &analysis, AxisCosts &costs) {
  bool contracts = false;
  int64_t flops = 2;
  Shares shares(analysis, &AxisCost::flops, costs);
  for (const Relation &relation : said.list) {
    bool isKernel =
        relation.kind == Relation::Window && relation.from.size() == 2;
    if (relation.kind != Relation::Contract && !isKernel)
      continue;
    contracts = true;
    DimRef summed = relation.from[isKernel ? 1 : 0];
    if (summed.inner)
      continue; // counted by the result alone
    Value operand = op->getOperand(summed.number);
    flops *= sizeOrOne(operand, summed.dim);
    shares.add(operand, summed.dim);
  }
  auto type = dyn_cast<RankedTensorType>(op->getResult(0).getType());
  if (!contracts || !type)
    return;
  for (int64_t dim = 0; dim < type.getRank(); ++dim) {
    flops *= sizeOrOne(op->getResult(0), dim);
    shares.add(op->getResult(0), dim);
  }
  shares.finish(flops);
}

AxisCosts AxisAnalysis::costs() const {
  AxisCosts costs;
  costs.axes.resize(axes().size());
  CopiedCosts copied;
  for (Operation &op : impl->graph.function.getBody().front()) {
    if (isa<weights::LoadOp, onnx::ConstantOp>(op)) {
      addParameters(&op, *this, copied, costs);
      continue;
    }
    auto it = impl->graph.relations.find(&op);
    if (it != impl->graph.relations.end() && op.getNumResults() > 0)
      addFlops(&op, it->second, *this, costs);
  }
  return costs;
}
