//===- ShapeRulesImages.cpp - Sizes of convolutions, pools, resizing ------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "ShapeRules.h"
#include "twist/Dialect/ONNX/ONNX.h"
#include "twist/Dialect/ONNX/Windows.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace twist::onnx;

using MaybeDims = std::optional<Dims>;

static SizeExpr ceilDiv(MLIRContext *context, const SizeExpr &a, int64_t b) {
  return floorDiv(context, a + SizeExpr(b - 1), SizeExpr(b));
}

/// The number of windows along a dimension. With `ceil` one more may start
/// within the input or the padding before it, and reach beyond.
static SizeExpr countWindows(MLIRContext *context, const SizeExpr &size,
                             const Window &window, AutoPad autoPad, bool ceil) {
  if (autoPad != AutoPad::None)
    return ceilDiv(context, size, window.stride);
  SizeExpr room =
      size + SizeExpr(window.before + window.after) - SizeExpr(window.extent());
  SizeExpr floor =
      floorDiv(context, room, SizeExpr(window.stride)) + SizeExpr(1);
  if (!ceil || window.stride == 1)
    return floor;
  SizeExpr starts =
      ceilDiv(context, size + SizeExpr(window.before), window.stride);
  return minimum(context, ceilDiv(context, room, window.stride) + SizeExpr(1),
                 starts);
}

/// [batch, units, windows...], the first two as given.
static MaybeDims overWindows(const ShapeState &state, Operation *op,
                             SizeExpr units, bool ceil) {
  const MaybeDims &input = state.dims(op->getOperand(0));
  if (!input || input->size() < 3 ||
      !isa<RankedTensorType>(op->getOperand(0).getType()))
    return std::nullopt;
  FailureOr<Windows> windows = windowsOf(op);
  if (failed(windows))
    return std::nullopt;
  Dims sizes{(*input)[0], std::move(units)};
  for (auto [i, window] : llvm::enumerate(windows->dims))
    sizes.push_back(countWindows(state.context, (*input)[i + 2], window,
                                 windows->autoPad, ceil));
  return sizes;
}

static MaybeDims visit(const ShapeState &state, OpResult, ConvOp op) {
  const MaybeDims &weight = state.dims(op.getW());
  if (!weight || weight->size() < 3)
    return std::nullopt;
  return overWindows(state, op, (*weight)[0], /*ceil=*/false);
}

static MaybeDims visit(const ShapeState &state, OpResult, ConvTransposeOp op) {
  const MaybeDims &input = state.dims(op.getX()),
                  &weight = state.dims(op.getW());
  if (!input || !weight || input->size() < 3 ||
      weight->size() != input->size() ||
      !isa<RankedTensorType>(op.getX().getType()))
    return std::nullopt;
  FailureOr<Windows> windows = windowsOf(op);
  if (failed(windows))
    return std::nullopt;
  Dims sizes{(*input)[0],
             (*weight)[1] * SizeExpr(static_cast<int64_t>(op.getGroup()))};
  for (auto [i, window] : llvm::enumerate(windows->dims)) {
    if (op.getOutputShape()) {
      sizes.push_back(SizeExpr((*op.getOutputShape())[i]));
      continue;
    }
    SizeExpr size = (*input)[i + 2] * SizeExpr(window.stride);
    if (windows->autoPad == AutoPad::None) {
      int64_t extra = op.getOutputPadding() ? (*op.getOutputPadding())[i] : 0;
      size = size + SizeExpr(extra + window.extent() - window.stride -
                             window.before - window.after);
    }
    sizes.push_back(size);
  }
  return sizes;
}

/// MaxPool and its like.
template <typename Op>
static MaybeDims visitPool(const ShapeState &state, Op op) {
  const MaybeDims &input = state.dims(op.getX());
  if (!input || input->size() < 3)
    return std::nullopt;
  return overWindows(state, op, (*input)[1], op.getCeilMode() != 0);
}
static MaybeDims visit(const ShapeState &state, OpResult, MaxPoolOp op) {
  return visitPool(state, op);
}
static MaybeDims visit(const ShapeState &state, OpResult, AveragePoolOp op) {
  return visitPool(state, op);
}
static MaybeDims visit(const ShapeState &state, OpResult, LpPoolOp op) {
  return visitPool(state, op);
}

static MaybeDims visitGlobalPool(const ShapeState &state, Value data) {
  const MaybeDims &input = state.dims(data);
  if (!input || input->size() < 2)
    return std::nullopt;
  Dims sizes(input->size(), SizeExpr(1));
  sizes[0] = (*input)[0];
  sizes[1] = (*input)[1];
  return sizes;
}

static MaybeDims visit(const ShapeState &state, OpResult result,
                       BatchNormalizationOp op) {
  return state.dims(result.getResultNumber() == 0 ? op.getX()
                                                  : op.getInputMean());
}

/// size · scale, rounded down; none where that is no quotient of small
/// integers.
static std::optional<SizeExpr> scaled(MLIRContext *context,
                                      const SizeExpr &size, double scale) {
  if (std::optional<int64_t> constant = size.constant()) {
    double result = std::floor(static_cast<double>(*constant) * scale);
    if (!(result >= 0 && result < double(int64_t(1) << 53)))
      return std::nullopt;
    return SizeExpr(static_cast<int64_t>(result));
  }
  for (int64_t divisor : {1, 2, 4, 8, 16, 32}) {
    double times = scale * static_cast<double>(divisor);
    if (times >= 1 && times < (1 << 20) && times == std::floor(times))
      return floorDiv(context, size * SizeExpr(static_cast<int64_t>(times)),
                      SizeExpr(divisor));
  }
  return std::nullopt;
}

static MaybeDims visit(const ShapeState &state, OpResult result, ResizeOp op) {
  const MaybeDims &input = state.dims(op.getX());
  if (!input)
    return std::nullopt;
  Dims sizes = *input;
  SmallVector<int64_t> axes =
      llvm::to_vector(llvm::seq<int64_t>(0, sizes.size()));
  if (op.getAxes())
    axes.assign(op.getAxes()->begin(), op.getAxes()->end());
  const std::optional<Contents> &target = state.contents(op.getSizes());
  auto scales =
      dyn_cast_or_null<DenseFPElementsAttr>(constantOf(op.getScales()));
  bool stretch = op.getKeepAspectRatioPolicy() == "stretch";
  bool crop = op.getCoordinateTransformationMode() == "tf_crop_and_resize";
  for (auto [i, axis] : llvm::enumerate(axes)) {
    int64_t dim = axis < 0 ? axis + int64_t(sizes.size()) : axis;
    if (dim < 0 || dim >= int64_t(sizes.size()))
      return std::nullopt;
    std::optional<SizeExpr> size;
    if (target && i < target->size() && stretch)
      size = (*target)[i];
    else if (scales && int64_t(i) < scales.getNumElements() && !crop)
      size = scaled(state.context, sizes[dim],
                    scales.getValues<APFloat>()[i].convertToDouble());
    sizes[dim] = size.value_or(state.fresh(result, dim));
  }
  return sizes;
}

static MaybeDims visit(const ShapeState &state, OpResult, DepthToSpaceOp op) {
  const MaybeDims &input = state.dims(op.getX());
  if (!input || input->size() != 4)
    return std::nullopt;
  SizeExpr block(static_cast<int64_t>(op.getBlocksize()));
  return Dims{(*input)[0], floorDiv(state.context, (*input)[1], block * block),
              (*input)[2] * block, (*input)[3] * block};
}

static MaybeDims visit(const ShapeState &state, OpResult, SpaceToDepthOp op) {
  const MaybeDims &input = state.dims(op.getX());
  if (!input || input->size() != 4)
    return std::nullopt;
  SizeExpr block(static_cast<int64_t>(op.getBlocksize()));
  return Dims{(*input)[0], (*input)[1] * block * block,
              floorDiv(state.context, (*input)[2], block),
              floorDiv(state.context, (*input)[3], block)};
}

MaybeDims twist::onnx::inferImageDims(const ShapeState &state,
                                      OpResult result) {
  return TypeSwitch<Operation *, MaybeDims>(result.getOwner())
      .Case<InstanceNormalizationOp, GroupNormalizationOp, LRNOp>(
          [&](auto op) { return state.dims(op->getOperand(0)); })
      .Case<GlobalAveragePoolOp, GlobalMaxPoolOp, GlobalLpPoolOp>(
          [&](auto op) { return visitGlobalPool(state, op.getX()); })
      .Case<ConvOp, ConvTransposeOp, MaxPoolOp, AveragePoolOp, LpPoolOp,
            BatchNormalizationOp, ResizeOp, DepthToSpaceOp, SpaceToDepthOp>(
          [&](auto op) { return visit(state, result, op); })
      .Default([](Operation *) { return MaybeDims(); });
}
