//===- DimensionCuts.cpp - What a subnetwork leaves of each value ---------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "DimensionCuts.h"

#include "llvm/ADT/StringSet.h"

#include <numeric>

using namespace mlir;
using namespace twist;
using namespace twist::axes;

/// The kept indices of a dimension of `size` that the axes' places leave.
static DimCut cutStatic(int64_t size, ArrayRef<AxisPlace> places,
                        ArrayRef<const CutAxis *> cuts, MLIRContext *context) {
  llvm::BitVector keep(size, true);
  for (const AxisPlace &at : places)
    if (const CutAxis *cut = cuts[at.axis])
      clearRemoved(PlaceAttr::get(context, at.place.offset, at.place.outer,
                                  at.place.units, at.place.inner),
                   *cut, keep);
  DimCut result;
  if (keep.all())
    return result;
  int64_t count = keep.count();
  int64_t divisor = std::gcd(count, size);
  result.numerator = count / divisor;
  result.denominator = size / divisor;
  result.kept.emplace();
  for (unsigned index : keep.set_bits())
    result.kept->push_back(index);
  return result;
}

/// A dynamic dimension has one place, which is all of it.
static DimCut cutDynamic(ArrayRef<AxisPlace> places,
                         ArrayRef<const CutAxis *> cuts) {
  DimCut result;
  for (const AxisPlace &at : places)
    if (const CutAxis *cut = cuts[at.axis]) {
      result.numerator *= int64_t(cut->keep.size());
      result.denominator *= at.place.units;
    }
  int64_t divisor = std::gcd(result.numerator, result.denominator);
  result.numerator /= divisor;
  result.denominator /= divisor;
  return result;
}

FailureOr<DimensionCuts> DimensionCuts::of(func::FuncOp function,
                                           const AxisAnalysis &analysis,
                                           const CutAxes &cutAxes) {
  SmallVector<const CutAxis *> cuts;
  llvm::StringSet<> known;
  for (const Axis &axis : analysis.axes()) {
    cuts.push_back(cutAxes.find(axis.symbol));
    known.insert(axis.symbol);
    if (cuts.back() && cuts.back()->kept.size() != axis.units)
      return cuts.back()->axis->emitError()
             << "axis has " << axis.units << " units in this graph";
  }
  for (const auto &entry : cutAxes.all())
    if (!known.contains(entry.first()))
      return entry.second.axis->emitError()
             << "axis '" << entry.first() << "' is none of this graph's";

  DimensionCuts result;
  bool tooLong = false;
  auto add = [&](Value value) {
    auto type = dyn_cast<RankedTensorType>(value.getType());
    if (!type)
      return;
    SmallVector<DimCut> dims;
    for (int64_t dim = 0; dim < type.getRank(); ++dim) {
      SmallVector<AxisPlace> places = analysis.placesOf(value, dim);
      if (llvm::none_of(places,
                        [&](const AxisPlace &at) { return cuts[at.axis]; })) {
        dims.emplace_back();
        continue;
      }
      // Its indices are kept one by one.
      if (!type.isDynamicDim(dim) && !llvm::isInt<32>(type.getDimSize(dim))) {
        emitError(value.getLoc()) << "a dimension of " << type.getDimSize(dim)
                                  << " is too long to be cut";
        tooLong = true;
        return;
      }
      dims.push_back(type.isDynamicDim(dim)
                         ? cutDynamic(places, cuts)
                         : cutStatic(type.getDimSize(dim), places, cuts,
                                     function.getContext()));
    }
    if (llvm::any_of(dims, [](const DimCut &d) { return !d.whole(); }))
      result.values.insert({value, std::move(dims)});
  };
  for (Value argument : function.getArguments())
    add(argument);
  for (Operation &op : function.getBody().front())
    for (Value value : op.getResults())
      add(value);
  if (tooLong)
    return failure();
  return result;
}

const DimCut *DimensionCuts::find(Value value, int64_t dim) const {
  const SmallVector<DimCut> *dims = find(value);
  if (!dims || (*dims)[dim].whole())
    return nullptr;
  return &(*dims)[dim];
}

bool DimensionCuts::isEmpty(Value value) const {
  const SmallVector<DimCut> *dims = find(value);
  return dims &&
         llvm::any_of(*dims, [](const DimCut &d) { return d.numerator == 0; });
}

Type DimensionCuts::newType(Value value) const {
  const SmallVector<DimCut> *dims = find(value);
  if (!dims)
    return value.getType();
  auto type = cast<RankedTensorType>(value.getType());
  SmallVector<int64_t> shape(type.getShape());
  for (auto [size, cut] : llvm::zip_equal(shape, *dims))
    if (cut.kept)
      size = cut.kept->size();
  return type.clone(shape);
}
