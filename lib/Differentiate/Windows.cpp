//===- Windows.cpp - Gradients of what reads in windows -------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "GenericGradient.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace twist;

/// The dimension and factor of `d` or `d * c`.
static std::optional<std::pair<unsigned, int64_t>> scaledDim(AffineExpr expr) {
  if (auto dim = dyn_cast<AffineDimExpr>(expr))
    return std::pair(dim.getPosition(), int64_t(1));
  auto product = dyn_cast<AffineBinaryOpExpr>(expr);
  if (!product || product.getKind() != AffineExprKind::Mul)
    return std::nullopt;
  auto dim = dyn_cast<AffineDimExpr>(product.getLHS());
  auto factor = dyn_cast<AffineConstantExpr>(product.getRHS());
  if (!dim || !factor || factor.getValue() < 1)
    return std::nullopt;
  return std::pair(dim.getPosition(), factor.getValue());
}

/// `results` is the map of the cotangent: it has the window's `out`, not `tap`.
std::optional<Window> Window::of(AffineExpr read, AffineMap results,
                                 ArrayRef<int64_t> loopSizes) {
  auto sum = dyn_cast<AffineBinaryOpExpr>(read);
  if (!sum || sum.getKind() != AffineExprKind::Add)
    return std::nullopt;
  auto first = scaledDim(sum.getLHS()), second = scaledDim(sum.getRHS());
  if (!first || !second)
    return std::nullopt;
  if (!results.isFunctionOfDim(first->first))
    std::swap(first, second);
  auto [out, stride] = *first;
  auto [tap, dilation] = *second;
  if (!results.isFunctionOfDim(out) || results.isFunctionOfDim(tap) ||
      ShapedType::isDynamic(loopSizes[tap]))
    return std::nullopt;
  return Window{out, tap, stride, dilation, loopSizes[tap], nullptr};
}

/// `operand`, read through `map` at the windows' `out`, with zeros between and
/// before its elements; `map` then reads it at positions and taps.
Value GenericGradient::spread(Value operand, AffineMap &map,
                              const DenseMap<unsigned, Window> &windows) {
  OpBuilder &b = backward.builder;
  SmallVector<OpFoldResult> part = tensor::getMixedSizes(b, loc, operand);
  SmallVector<OpFoldResult> whole = part, at(part.size(), b.getIndexAttr(0)),
                            strides(part.size(), b.getIndexAttr(1));
  SmallVector<AffineExpr> exprs(map.getResults());
  for (auto [d, expr] : llvm::enumerate(exprs)) {
    auto found = windows.find(cast<AffineDimExpr>(expr).getPosition());
    if (found == windows.end())
      continue;
    const Window &window = found->second;
    int64_t before = window.dilation * (window.taps - 1);
    at[d] = b.getIndexAttr(before);
    strides[d] = b.getIndexAttr(window.stride);
    Value more = arith::ConstantIndexOp::create(b, loc, before);
    whole[d] = getAsOpFoldResult(
        b.createOrFold<arith::AddIOp>(loc, window.size, more));
    expr = expr + before -
           getAffineDimExpr(window.tap, b.getContext()) * window.dilation;
  }
  map = AffineMap::get(map.getNumDims(), 0, exprs, b.getContext());
  Type element = cast<RankedTensorType>(operand.getType()).getElementType();
  Value zeros = zerosOf(b, loc, whole, element);
  return tensor::InsertSliceOp::create(b, loc, operand, zeros, at, part,
                                       strides);
}

/// Lets the loop over a window's `out` run over the positions p of `input`
/// instead: what was read at `out` is spread, with zeros between and before,
/// and read at p + dilation * (taps - 1 - tap).
LogicalResult GenericGradient::followWindows(OpOperand &input, AffineMap &map,
                                             Reads &reads) {
  OpBuilder &b = backward.builder;
  MLIRContext *context = b.getContext();
  auto refuse = [&] {
    return op.emitError(
        "has no gradient: it reads a computed tensor in windows "
        "that are no convolution's");
  };
  AffineMap results = op.getMatchingIndexingMap(op.getDpsInitOperand(0));
  SmallVector<int64_t> loopSizes = op.getStaticLoopRanges();
  if (op->getNumResults() != 1 || !results.isProjectedPermutation() ||
      !op.getBlock()->getOps<linalg::IndexOp>().empty())
    return refuse();

  SmallVector<AffineExpr> direct(map.getResults());
  DenseMap<unsigned, Window> windows; // by out
  SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(b, loc, input.get());
  for (auto [d, read] : llvm::enumerate(direct)) {
    if (isa<AffineDimExpr, AffineConstantExpr>(read))
      continue;
    std::optional<Window> window = Window::of(read, results, loopSizes);
    if (!window)
      return refuse();
    window->size = getValueOrCreateConstantIndexOp(b, loc, sizes[d]);
    if (!windows.try_emplace(window->out, *window).second)
      return refuse();
    read = getAffineDimExpr(window->out, context);
  }
  map = AffineMap::get(map.getNumDims(), 0, direct, context);

  unsigned inputs = op.getNumDpsInputs();
  for (auto [i, operand, operandMap] :
       llvm::enumerate(reads.operands, reads.maps)) {
    if (i == input.getOperandNumber()) {
      operandMap = map;
      continue;
    }
    bool concerned = llvm::any_of(
        windows, [&](auto &w) { return operandMap.isFunctionOfDim(w.first); });
    if (!concerned)
      continue;
    if (i < inputs || !operandMap.isProjectedPermutation())
      return refuse();
    operand = spread(operand, operandMap, windows);
  }
  return success();
}
