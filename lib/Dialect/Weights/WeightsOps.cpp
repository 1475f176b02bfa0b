//===- WeightsOps.cpp - Weights ops and views -----------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Dialect/Weights/Reader.h"
#include "twist/Support/Integers.h"

#include "mlir/IR/OpImplementation.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace twist;
using namespace twist::weights;

#define GET_OP_CLASSES
#include "twist/Dialect/Weights/WeightsOps.cpp.inc"

//===----------------------------------------------------------------------===//
// Views
//===----------------------------------------------------------------------===//

static LogicalResult verifySelect(function_ref<InFlightDiagnostic()> emitError,
                                  RankedTensorType stored, ArrayAttr select) {
  if (static_cast<int64_t>(select.size()) != stored.getRank())
    return emitError() << "has " << select.size()
                       << " selections for a stored tensor of rank "
                       << stored.getRank();
  for (auto [dim, entry] : llvm::enumerate(select)) {
    if (isa<UnitAttr>(entry))
      continue;
    auto indices = dyn_cast<DenseI64ArrayAttr>(entry);
    if (!indices)
      return emitError() << "selection of dimension " << dim
                         << " is neither unit nor array<i64>";
    for (int64_t index : indices.asArrayRef())
      if (index < 0 || index >= stored.getDimSize(dim))
        return emitError() << "selects index " << index << " of dimension "
                           << dim << ", which has " << stored.getDimSize(dim);
  }
  return success();
}

LogicalResult ViewAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                               FlatSymbolRefAttr source, int64_t offset,
                               RankedTensorType stored, ArrayAttr select,
                               DenseI64ArrayAttr permutation) {
  if (offset < 0)
    return emitError() << "offset " << offset << " is negative";
  if (!stored.hasStaticShape())
    return emitError() << "stored type " << stored << " is not static";
  if (storedBits(stored.getElementType()) == 0)
    return emitError() << "elements of type " << stored.getElementType()
                       << " have no form in a file";
  std::optional<int64_t> count = productOf(stored.getShape());
  int64_t bytes = count ? storedBytes(stored.getElementType(), *count) : -1;
  int64_t end;
  if (bytes < 0 || llvm::AddOverflow(offset, bytes, end))
    return emitError() << "a tensor " << stored << " at byte " << offset
                       << " ends beyond 63 bits";
  if (select && failed(verifySelect(emitError, stored, select)))
    return failure();
  if (!permutation)
    return success();
  llvm::SmallBitVector seen(stored.getRank());
  for (int64_t dim : permutation.asArrayRef())
    if (dim >= 0 && dim < stored.getRank())
      seen.set(dim);
  if (permutation.size() != stored.getRank() || !seen.all())
    return emitError() << permutation << " is no permutation of "
                       << stored.getRank() << " dimensions";
  return success();
}

SmallVector<int64_t> ViewAttr::getShape() const {
  SmallVector<int64_t> shape(getStored().getShape());
  if (ArrayAttr select = getSelect())
    for (auto [size, entry] : llvm::zip_equal(shape, select))
      if (auto indices = dyn_cast<DenseI64ArrayAttr>(entry))
        size = indices.size();
  if (DenseI64ArrayAttr permutation = getPermutation()) {
    SmallVector<int64_t> permuted;
    for (int64_t dim : permutation.asArrayRef())
      permuted.push_back(shape[dim]);
    return permuted;
  }
  return shape;
}

int64_t ViewAttr::getNumElements() const {
  int64_t count = 1;
  for (int64_t size : getShape())
    count *= size;
  return count;
}

RankedTensorType ViewAttr::getType() const {
  return RankedTensorType::get(getShape(), getStored().getElementType());
}

ViewAttr twist::weights::canonicalise(ViewAttr view) {
  ArrayAttr select = view.getSelect();
  if (select) {
    SmallVector<Attribute> entries;
    bool whole = true;
    for (auto [dim, entry] : llvm::enumerate(select)) {
      auto indices = dyn_cast<DenseI64ArrayAttr>(entry);
      bool all = !indices;
      if (indices && indices.size() == view.getStored().getDimSize(dim)) {
        all = true;
        for (auto [i, index] : llvm::enumerate(indices.asArrayRef()))
          all &= static_cast<int64_t>(i) == index;
      }
      entries.push_back(all ? UnitAttr::get(view.getContext()) : entry);
      whole &= all;
    }
    select = whole ? ArrayAttr() : ArrayAttr::get(view.getContext(), entries);
  }
  DenseI64ArrayAttr permutation = view.getPermutation();
  if (permutation) {
    bool identity = true;
    for (auto [i, dim] : llvm::enumerate(permutation.asArrayRef()))
      identity &= static_cast<int64_t>(i) == dim;
    if (identity)
      permutation = {};
  }
  return ViewAttr::get(view.getContext(), view.getSource(), view.getOffset(),
                       view.getStored(), select, permutation);
}

ViewAttr twist::weights::select(ViewAttr view, int64_t dim,
                                ArrayRef<int64_t> indices) {
  MLIRContext *context = view.getContext();
  int64_t stored =
      view.getPermutation() ? view.getPermutation().asArrayRef()[dim] : dim;
  SmallVector<Attribute> entries(view.getStored().getRank(),
                                 UnitAttr::get(context));
  if (view.getSelect())
    llvm::copy(view.getSelect(), entries.begin());
  SmallVector<int64_t> composed(indices);
  if (auto before = dyn_cast<DenseI64ArrayAttr>(entries[stored]))
    for (int64_t &index : composed)
      index = before.asArrayRef()[index];
  entries[stored] = DenseI64ArrayAttr::get(context, composed);
  return canonicalise(ViewAttr::get(
      context, view.getSource(), view.getOffset(), view.getStored(),
      ArrayAttr::get(context, entries), view.getPermutation()));
}

ViewAttr twist::weights::transpose(ViewAttr view,
                                   ArrayRef<int64_t> permutation) {
  SmallVector<int64_t> composed(permutation);
  if (view.getPermutation())
    for (int64_t &dim : composed)
      dim = view.getPermutation().asArrayRef()[dim];
  return canonicalise(ViewAttr::get(
      view.getContext(), view.getSource(), view.getOffset(), view.getStored(),
      view.getSelect(), DenseI64ArrayAttr::get(view.getContext(), composed)));
}

//===----------------------------------------------------------------------===//
// weights.load
//===----------------------------------------------------------------------===//

LogicalResult LoadOp::verify() {
  auto type = cast<RankedTensorType>(getTensor().getType());
  if (type.getShape() != ArrayRef<int64_t>(getView().getShape()))
    return emitOpError() << "gives " << type << ", but its view describes "
                         << getView().getType();
  Type from = getView().getStored().getElementType();
  if (!isConvertible(from, type.getElementType()))
    return emitOpError() << "cannot read stored " << from << " as "
                         << type.getElementType();
  return success();
}

LogicalResult LoadOp::verifySymbolUses(SymbolTableCollection &symbols) {
  if (!symbols.lookupNearestSymbolFrom<SourceOp>(*this, getView().getSource()))
    return emitOpError() << "'" << getView().getSource().getValue()
                         << "' is not a weights.source";
  return success();
}
