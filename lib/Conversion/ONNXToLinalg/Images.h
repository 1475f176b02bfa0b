//===- Images.h - [batch, channels, spatial...] -----------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_CONVERSION_ONNXTOLINALG_IMAGES_H
#define TWIST_LIB_CONVERSION_ONNXTOLINALG_IMAGES_H

#include "Lowering.h"
#include "twist/Dialect/ONNX/Windows.h"

namespace twist::lowering {

/// What is added to each end of every dimension; negative: cut off.
struct Padding {
  Sizes before, after;
};

/// `data` with the scalar `value` around it.
Value padConstant(Lowering &l, Value data, Value value, const Padding &padding);

/// The windows of an op over its input, with the sizes they lead to.
struct Slides {
  llvm::SmallVector<onnx::Window, 3> dims;
  /// Elements added before and after the input, and windows along each spatial
  /// dimension.
  Sizes before, after, out;
};

/// Windows of a Conv or pool over `input`; `ceil` as the attribute ceil_mode.
/// With it the padding behind may be more than the op declares.
FailureOr<Slides> slidesOf(Lowering &l, Operation *op, Value input, bool ceil);

/// `input` with its spatial dimensions, the last ones, padded by `value`.
Value padSpatial(Lowering &l, Value input, Value value, const Slides &slides);

/// out + x · y · … over loops that the result's map, the last, does not name;
/// a result of `element`, summed in f32 for halves.
Value contract(Lowering &l, ValueRange operands, ArrayRef<AffineMap> maps,
               const Sizes &outSizes, Type element);

} // namespace twist::lowering

#endif // TWIST_LIB_CONVERSION_ONNXTOLINALG_IMAGES_H
