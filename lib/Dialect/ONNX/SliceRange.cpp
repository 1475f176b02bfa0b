//===- SliceRange.cpp - What a Slice takes of one dimension ---------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "ShapeRules.h"

#include <algorithm>
#include <limits>

using namespace mlir;
using namespace twist::onnx;

std::optional<SliceRange> twist::onnx::sliceRange(MLIRContext *context,
                                                  const SizeExpr &dim,
                                                  const SizeExpr &start,
                                                  const SizeExpr &end,
                                                  int64_t step) {
  std::optional<int64_t> first = start.constant(), last = end.constant();
  std::optional<int64_t> size = dim.constant();
  if (step == 0)
    return std::nullopt;
  // A bound of positive steps, as an index in [0, dim].
  auto bound = [&](const SizeExpr &at) -> std::optional<SizeExpr> {
    std::optional<int64_t> constant = at.constant();
    if (constant && size) {
      int64_t index = *constant < 0 ? *constant + *size : *constant;
      return SizeExpr(std::clamp<int64_t>(index, 0, *size));
    }
    if (constant && *constant >= std::numeric_limits<int32_t>::max())
      return dim;
    if (constant && *constant < 0) {
      SizeExpr index = dim + at;
      if (index.isNonNegative() || *constant == -1)
        return index;
      return maximum(context, SizeExpr(0), index);
    }
    if (constant && *constant <= 1)
      return at;
    if (at.isNonNegative())
      return size ? at : minimum(context, at, dim);
    // dim - k, written out by the exporter.
    if ((dim - at).isNonNegative())
      return at;
    return std::nullopt;
  };
  if (step > 0) {
    std::optional<SizeExpr> from = bound(start), to = bound(end);
    if (!from || !to)
      return std::nullopt;
    SizeExpr length = *to - *from;
    // The last k elements, of a dimension that may be shorter.
    if (!size && first && *first < -1 && *to == dim)
      length = minimum(context, dim, SizeExpr(0) - start);
    if (std::optional<int64_t> constant = length.constant())
      length = SizeExpr(std::max<int64_t>(*constant, 0));
    if (step > 1 && !length.exactDiv(SizeExpr(step)))
      length = floorDiv(context, length + SizeExpr(step - 1), SizeExpr(step));
    else if (step > 1)
      length = *length.exactDiv(SizeExpr(step));
    return SliceRange{*from, length};
  }
  if (!first || !last)
    return std::nullopt;
  if (size) {
    int64_t from = std::clamp<int64_t>(*first < 0 ? *first + *size : *first, -1,
                                       *size - 1);
    // Below -dim is "past the first element".
    int64_t to = *last < -*size ? -1 : *last < 0 ? *last + *size : *last;
    to = std::clamp<int64_t>(to, -1, *size - 1);
    int64_t length = from > to ? (from - to - step - 1) / -step : 0;
    return SliceRange{SizeExpr(from), SizeExpr(length)};
  }
  // All of it, backwards.
  bool whole =
      (*first == -1 || *first >= std::numeric_limits<int32_t>::max()) &&
      *last <= std::numeric_limits<int32_t>::min();
  if (!whole || step != -1)
    return std::nullopt;
  return SliceRange{dim - SizeExpr(1), dim};
}
