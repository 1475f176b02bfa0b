//===- Windows.cpp - Sliding windows of convolutions and pools ------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Dialect/ONNX/Windows.h"

#include "Relations.h"
#include "twist/Support/Integers.h"

#include <limits>

using namespace mlir;
using namespace twist;
using namespace twist::onnx;

//===----------------------------------------------------------------------===//
// Attributes
//===----------------------------------------------------------------------===//

/// An attribute of `count` integers, or `count` times `otherwise`.
static FailureOr<SmallVector<int64_t>>
integersOr(Operation *op, StringRef name, size_t count, int64_t otherwise) {
  auto given = dyn_cast_or_null<DenseI64ArrayAttr>(
      op->getInherentAttr(name).value_or(nullptr));
  if (!given)
    return SmallVector<int64_t>(count, otherwise);
  if (given.asArrayRef().size() != count)
    return op->emitOpError()
           << name << " has " << given.size() << " numbers, expected " << count;
  return SmallVector<int64_t>(given.asArrayRef());
}

/// The sizes of the window: as an attribute, or those of the weight.
static FailureOr<SmallVector<int64_t>> kernelOf(Operation *op,
                                                int64_t spatial) {
  auto weight = op->getNumOperands() > 1
                    ? dyn_cast<RankedTensorType>(op->getOperand(1).getType())
                    : RankedTensorType();
  FailureOr<SmallVector<int64_t>> kernel =
      integersOr(op, "kernel_shape", spatial, ShapedType::kDynamic);
  if (failed(kernel))
    return failure();
  if (weight && weight.getRank() != spatial + 2)
    return op->emitOpError() << "has a weight of rank " << weight.getRank()
                             << ", expected " << spatial + 2;
  for (int64_t dim = 0; dim < spatial; ++dim) {
    int64_t &size = (*kernel)[dim];
    int64_t known = weight ? weight.getDimSize(dim + 2) : ShapedType::kDynamic;
    if (ShapedType::isDynamic(size))
      size = known;
    if (ShapedType::isDynamic(size))
      return op->emitOpError("has a kernel whose size is not known");
    if (!ShapedType::isDynamic(known) && known != size)
      return op->emitOpError() << "kernel_shape is " << size << " in dimension "
                               << dim << ", the weight's size " << known;
    if (size < 1)
      return op->emitOpError() << "kernel_shape must be positive, is " << size;
  }
  return kernel;
}

FailureOr<Windows> onnx::windowsOf(Operation *op) {
  int64_t spatial = onnx::rankOf(op->getOperand(0)) - 2;
  if (spatial < 1)
    return op->emitOpError("expects [batch, channels, spatial...], has an "
                           "operand of type ")
           << op->getOperand(0).getType();
  FailureOr<SmallVector<int64_t>> kernel = kernelOf(op, spatial);
  auto strides = integersOr(op, "strides", spatial, 1);
  auto dilations = integersOr(op, "dilations", spatial, 1);
  auto pads = integersOr(op, "pads", 2 * spatial, 0);
  if (failed(kernel) || failed(strides) || failed(dilations) || failed(pads))
    return failure();
  Windows windows;
  StringRef autoPad =
      cast<StringAttr>(*op->getInherentAttr("auto_pad")).getValue();
  if (autoPad == "SAME_UPPER")
    windows.autoPad = AutoPad::SameUpper;
  else if (autoPad == "SAME_LOWER")
    windows.autoPad = AutoPad::SameLower;
  else if (autoPad != "NOTSET" && autoPad != "VALID" && !autoPad.empty())
    return op->emitOpError() << "auto_pad is unknown: '" << autoPad << "'";
  bool padded = autoPad == "NOTSET" || autoPad.empty();
  for (int64_t dim = 0; dim < spatial; ++dim) {
    Window window{(*kernel)[dim], (*strides)[dim], (*dilations)[dim]};
    if (window.stride < 1 || window.dilation < 1)
      return op->emitOpError("strides and dilations must be positive");
    if (padded) {
      window.before = (*pads)[dim];
      window.after = (*pads)[dim + spatial];
    }
    if (window.before < 0 || window.after < 0)
      return op->emitOpError("pads must not be negative");
    // Their sums and products are still numbers.
    for (int64_t number : {window.kernel, window.stride, window.dilation,
                           window.before, window.after})
      if (number > std::numeric_limits<int32_t>::max())
        return op->emitOpError() << "a kernel, stride, dilation or pad of "
                                 << number << " is out of range";
    windows.dims.push_back(window);
  }
  return windows;
}

//===----------------------------------------------------------------------===//
// Verifiers
//===----------------------------------------------------------------------===//

/// Size of a dimension, kDynamic where it or the rank is unknown.
static int64_t knownSize(Value value, int64_t dim) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  return type && dim < type.getRank() ? type.getDimSize(dim)
                                      : ShapedType::kDynamic;
}

static bool isRanked(Value value) {
  return isa<RankedTensorType>(value.getType());
}

/// `size` units in `groups` equal parts.
static LogicalResult verifyGroups(Operation *op, int64_t size, int64_t groups,
                                  StringRef what) {
  if (groups < 1)
    return op->emitOpError() << "needs one group at least, has " << groups;
  if (!ShapedType::isDynamic(size) && size % groups != 0)
    return op->emitOpError()
           << "has " << size << " " << what << ", not divisible by its "
           << groups << " groups";
  return success();
}

/// Both known and not the same.
static bool differ(int64_t a, int64_t b) {
  return !ShapedType::isDynamic(a) && !ShapedType::isDynamic(b) && a != b;
}

LogicalResult ConvOp::verify() {
  if (!isRanked(getX()) || !isRanked(getW()))
    return success();
  if (failed(windowsOf(*this)))
    return failure();
  int64_t group = getGroup(), channels = knownSize(getX(), 1);
  int64_t units = knownSize(getW(), 0), perGroup = knownSize(getW(), 1);
  if (failed(verifyGroups(*this, channels, group, "input channels")) ||
      failed(verifyGroups(*this, units, group, "output channels")))
    return failure();
  if (!ShapedType::isDynamic(perGroup) &&
      differ(channels, wrapMul(perGroup, group)))
    return emitOpError() << "has " << channels << " input channels, its weight "
                         << perGroup << " for each of " << group << " groups";
  if (isRanked(getB()) && differ(knownSize(getB(), 0), units))
    return emitOpError() << "has " << units << " output channels and a bias of "
                         << getB().getType();
  return success();
}

LogicalResult ConvTransposeOp::verify() {
  if (!isRanked(getX()) || !isRanked(getW()))
    return success();
  FailureOr<Windows> windows = windowsOf(*this);
  if (failed(windows))
    return failure();
  for (StringRef name : {"output_padding", "output_shape"}) {
    auto sizes = integersOr(*this, name, windows->dims.size(), 0);
    if (failed(sizes))
      return failure();
    for (int64_t size : *sizes)
      if (size < 0 || size > std::numeric_limits<int32_t>::max())
        return emitOpError() << name << " is out of range: " << size;
  }
  int64_t group = getGroup(), channels = knownSize(getX(), 1);
  int64_t units = knownSize(getW(), 1);
  if (failed(verifyGroups(*this, channels, group, "input channels")))
    return failure();
  if (differ(channels, knownSize(getW(), 0)))
    return emitOpError() << "has " << channels << " input channels, its weight "
                         << knownSize(getW(), 0);
  if (isRanked(getB()) && !ShapedType::isDynamic(units) &&
      differ(knownSize(getB(), 0), wrapMul(units, group)))
    return emitOpError() << "has " << wrapMul(units, group)
                         << " output channels and a bias of "
                         << getB().getType();
  return success();
}

static LogicalResult verifyPool(Operation *op) {
  return isRanked(op->getOperand(0)) ? LogicalResult(windowsOf(op)) : success();
}
LogicalResult AveragePoolOp::verify() { return verifyPool(*this); }
LogicalResult LpPoolOp::verify() { return verifyPool(*this); }
LogicalResult MaxPoolOp::verify() { return verifyPool(*this); }

/// Vectors of one number for each channel.
static LogicalResult verifyPerChannel(Operation *op, int64_t channels,
                                      ArrayRef<Value> vectors) {
  for (Value each : vectors)
    if (isRanked(each) &&
        (onnx::rankOf(each) != 1 || differ(knownSize(each, 0), channels)))
      return op->emitOpError()
             << "has " << channels << " channels, and for each of them "
             << each.getType();
  return success();
}

LogicalResult BatchNormalizationOp::verify() {
  int64_t channels = knownSize(getX(), 1);
  return verifyPerChannel(*this, channels,
                          {getScale(), getB(), getInputMean(), getInputVar()});
}

LogicalResult GroupNormalizationOp::verify() {
  int64_t channels = knownSize(getX(), 1);
  if (failed(verifyGroups(*this, channels, getNumGroups(), "channels")))
    return failure();
  return verifyPerChannel(*this, channels, {getScale(), getBias()});
}

LogicalResult DepthToSpaceOp::verify() {
  if (getMode() != "DCR" && getMode() != "CRD")
    return emitOpError() << "mode is unknown: '" << getMode() << "'";
  if (isRanked(getX()) && onnx::rankOf(getX()) != 4)
    return emitOpError() << "expects rank 4, not " << getX().getType();
  int64_t block = getBlocksize();
  if (block < 1 || block > (1 << 15))
    return emitOpError() << "blocksize is out of range: " << block;
  return verifyGroups(*this, knownSize(getX(), 1), block * block, "channels");
}

LogicalResult SpaceToDepthOp::verify() {
  if (isRanked(getX()) && onnx::rankOf(getX()) != 4)
    return emitOpError() << "expects rank 4, not " << getX().getType();
  int64_t block = getBlocksize();
  if (block < 1 || block > (1 << 15))
    return emitOpError() << "blocksize is out of range: " << block;
  for (int64_t dim : {2, 3})
    if (failed(verifyGroups(*this, knownSize(getX(), dim), block,
                            "rows or columns")))
      return failure();
  return success();
}
