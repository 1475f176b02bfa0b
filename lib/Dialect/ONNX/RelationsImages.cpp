//===- RelationsImages.cpp - Relations of convolutions, pools, norms ------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
// Tensors are [batch, channels, spatial...]: channels are units, and spatial
// dimensions are windowed.
//
//===----------------------------------------------------------------------===//

#include "Relations.h"

#include "twist/Dialect/ONNX/Windows.h"

using namespace mlir;
using namespace twist;
using namespace twist::onnx;

/// The factors of a dimension of static size: `groups`, and what each holds.
static std::pair<DimRef, DimRef> factors(Relations &relations, DimRef whole,
                                         int64_t size, int64_t groups) {
  DimRef outer = relations.inner(whole, groups);
  DimRef inner = relations.inner(whole, size / groups);
  relations.tree(whole, {outer, inner});
  return {outer, inner};
}

//===----------------------------------------------------------------------===//
// Convolutions
//===----------------------------------------------------------------------===//

/// Spatial dimensions of input, weight and result.
static void relateWindows(Operation *op, Relations &relations,
                          const Windows &windows) {
  for (auto [i, window] : llvm::enumerate(windows.dims)) {
    int64_t dim = i + 2;
    if (window.isPoint())
      relations.same(operandDim(0, dim), resultDim(0, dim));
    else
      relations.window(operandDim(0, dim), operandDim(1, dim),
                       resultDim(0, dim));
  }
}

// X[n, (g c), …] · W[(g m), c, …] → Y[n, (g m), …]
void ConvOp::declareRelations(Relations &relations) {
  FailureOr<Windows> windows = windowsOf(*this);
  int64_t groups = getGroup(), channels = sizeOf(getX(), 1),
          units = sizeOf(getW(), 0);
  if (failed(windows))
    return relations.barrierAll(*this, "its windows are not known");
  relations.same(operandDim(0, 0), resultDim(0, 0), DimRole::Free);
  relations.same(operandDim(1, 0), resultDim(0, 1), DimRole::Free);
  relations.same(operandDim(2, 0), resultDim(0, 1));
  relateWindows(*this, relations, *windows);
  if (groups == 1)
    return relations.contract(operandDim(1, 1), operandDim(0, 1));
  if (ShapedType::isDynamic(channels) || ShapedType::isDynamic(units))
    return relations.barrierAll(*this, "it groups an unknown number");
  auto [from, summed] = factors(relations, operandDim(0, 1), channels, groups);
  auto [to, made] = factors(relations, resultDim(0, 1), units, groups);
  (void)made;
  relations.same(from, to, DimRole::Batch);
  relations.contract(operandDim(1, 1), summed);
}

// X[n, (g c), …] · W[(g c), m, …] → Y[n, (g m), …]
void ConvTransposeOp::declareRelations(Relations &relations) {
  FailureOr<Windows> windows = windowsOf(*this);
  int64_t groups = getGroup(), channels = sizeOf(getX(), 1),
          units = sizeOf(getY(), 1);
  if (failed(windows))
    return relations.barrierAll(*this, "its windows are not known");
  relations.same(operandDim(0, 0), resultDim(0, 0), DimRole::Free);
  relations.same(operandDim(2, 0), resultDim(0, 1));
  // Output padding and output_shape move even a point's elements.
  for (int64_t dim = 2, e = rankOf(getX()); dim < e; ++dim)
    relations.window(operandDim(0, dim), operandDim(1, dim), resultDim(0, dim));
  if (groups == 1) {
    relations.same(operandDim(1, 1), resultDim(0, 1), DimRole::Free);
    return relations.contract(operandDim(1, 0), operandDim(0, 1));
  }
  if (ShapedType::isDynamic(channels) || ShapedType::isDynamic(units))
    return relations.barrierAll(*this, "it groups an unknown number");
  auto [from, summed] = factors(relations, operandDim(0, 1), channels, groups);
  auto [in, inner] = factors(relations, operandDim(1, 0), channels, groups);
  auto [to, made] = factors(relations, resultDim(0, 1), units, groups);
  relations.same(from, to, DimRole::Batch);
  relations.same(in, to, DimRole::Batch);
  relations.same(operandDim(1, 1), made, DimRole::Free);
  relations.contract(inner, summed);
}

//===----------------------------------------------------------------------===//
// Pools and resizing
//===----------------------------------------------------------------------===//

void onnx::relatePool(Operation *op, Relations &relations) {
  for (unsigned number = 0; number < op->getNumResults(); ++number) {
    Value result = op->getResult(number);
    if (isa<NoneType>(result.getType()))
      continue;
    for (int64_t dim = 0, e = rankOf(result); dim < e; ++dim)
      if (dim < 2)
        relations.same(operandDim(0, dim), resultDim(number, dim));
      else
        relations.window(operandDim(0, dim), std::nullopt,
                         resultDim(number, dim));
    // Positions in the whole tensor.
    if (number > 0 && !result.use_empty())
      for (int64_t dim = 0; dim < 2; ++dim)
        relations.barrier(resultDim(number, dim), "its indices count over it");
  }
}

void onnx::relateGlobalPool(Operation *op, Relations &relations) {
  ReduceKind kind =
      isa<GlobalAveragePoolOp>(op) ? ReduceKind::Statistic : ReduceKind::Other;
  for (int64_t dim = 0, e = rankOf(op->getOperand(0)); dim < e; ++dim)
    if (dim < 2)
      relations.same(operandDim(0, dim), resultDim(0, dim));
    else
      relations.reduce(kind, operandDim(0, dim), op->getName().stripDialect());
}

/// Dimensions whose size does not change are not looked at, unless the op crops
/// to a region.
void ResizeOp::declareRelations(Relations &relations) {
  for (unsigned number = 1; number < 4; ++number)
    relations.sizeOperand(number);
  int64_t rank = rankOf(getX());
  if (getCoordinateTransformationMode() == "tf_crop_and_resize")
    return relations.barrierAll(*this, "it is cropped and resized");
  llvm::SmallBitVector listed(rank, !getAxes());
  if (std::optional<ArrayRef<int64_t>> axes = getAxes())
    for (int64_t axis : *axes) {
      if (axis < -rank || axis >= rank)
        return relations.barrierAll(*this, "it has not the dimensions listed");
      listed.set(fromZero(axis, rank));
    }
  for (int64_t dim = 0; dim < rank; ++dim) {
    // Batch and channels have one size and a scale of 1 wherever the sizes are
    // the same; a dynamic batch has no other reading either.
    int64_t from = sizeOf(getX(), dim), to = sizeOf(getY(), dim);
    if (!listed[dim] ||
        (from == to && (!ShapedType::isDynamic(from) || dim < 2)))
      relations.same(operandDim(0, dim), resultDim(0, dim));
    else
      relations.window(operandDim(0, dim), std::nullopt, resultDim(0, dim));
  }
}

// [n, (b b c), h, w] or [n, (c b b), h, w] → [n, c, (h b), (w b)]
void DepthToSpaceOp::declareRelations(Relations &relations) {
  int64_t channels = sizeOf(getX(), 1), block = getBlocksize();
  relations.same(operandDim(0, 0), resultDim(0, 0));
  for (int64_t dim : {2, 3})
    relations.window(operandDim(0, dim), std::nullopt, resultDim(0, dim));
  if (ShapedType::isDynamic(channels))
    return relations.barrierAll(*this, "it groups an unknown number");
  bool blocksFirst = getMode() == "DCR";
  int64_t groups = blocksFirst ? block * block : channels / (block * block);
  auto [outer, inner] = factors(relations, operandDim(0, 1), channels, groups);
  relations.same(blocksFirst ? inner : outer, resultDim(0, 1));
  relations.barrier(blocksFirst ? outer : inner, "it becomes rows and columns");
}

// [n, c, (h b), (w b)] → [n, (b b c), h, w]
void SpaceToDepthOp::declareRelations(Relations &relations) {
  int64_t channels = sizeOf(getY(), 1), block = getBlocksize();
  relations.same(operandDim(0, 0), resultDim(0, 0));
  for (int64_t dim : {2, 3})
    relations.window(operandDim(0, dim), std::nullopt, resultDim(0, dim));
  if (ShapedType::isDynamic(channels))
    return relations.barrierAll(*this, "it groups an unknown number");
  auto [outer, inner] =
      factors(relations, resultDim(0, 1), channels, block * block);
  relations.same(operandDim(0, 1), inner);
  relations.barrier(outer, "it is made of rows and columns");
}

//===----------------------------------------------------------------------===//
// Norms
//===----------------------------------------------------------------------===//

/// One value for each channel, in operands from the second on.
static void relateChannels(Operation *op, Relations &relations) {
  relateOthers(relations, 0, 0, rankOf(op->getOperand(0)), -1);
  for (unsigned number = 1; number < op->getNumOperands(); ++number)
    relations.same(operandDim(number, 0), resultDim(0, 1));
}

void BatchNormalizationOp::declareRelations(Relations &relations) {
  if (getTrainingMode())
    return relations.barrierAll(*this, "it normalises over the batch");
  relateChannels(*this, relations);
  for (unsigned number = 1; number < getNumResults(); ++number)
    relations.same(operandDim(2 + number, 0), resultDim(number, 0));
}

void InstanceNormalizationOp::declareRelations(Relations &relations) {
  relateChannels(*this, relations);
  for (int64_t dim = 2, e = rankOf(getInput()); dim < e; ++dim)
    relations.reduce(ReduceKind::Statistic, operandDim(0, dim),
                     "InstanceNormalization");
}

void GroupNormalizationOp::declareRelations(Relations &relations) {
  int64_t channels = sizeOf(getX(), 1);
  relateChannels(*this, relations);
  if (ShapedType::isDynamic(channels))
    return relations.barrierAll(*this, "it groups an unknown number");
  auto [groups, members] =
      factors(relations, operandDim(0, 1), channels, getNumGroups());
  (void)groups;
  relations.reduce(ReduceKind::Statistic, members, "GroupNormalization");
  for (int64_t dim = 2, e = rankOf(getX()); dim < e; ++dim)
    relations.reduce(ReduceKind::Statistic, operandDim(0, dim),
                     "GroupNormalization");
}

void LRNOp::declareRelations(Relations &relations) {
  relateOthers(relations, 0, 0, rankOf(getX()), -1);
  relations.reduce(ReduceKind::Other, operandDim(0, 1), "LRN");
}
