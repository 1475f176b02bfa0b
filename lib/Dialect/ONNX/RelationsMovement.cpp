//===- RelationsMovement.cpp - Relations of data movement -----------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Relations.h"

#include "llvm/ADT/SmallBitVector.h"

using namespace mlir;
using namespace twist;
using namespace twist::onnx;

//===----------------------------------------------------------------------===//
// The same elements under other dimensions
//===----------------------------------------------------------------------===//

void ReshapeOp::declareRelations(Relations &relations) {
  relations.sizeOperand(1);
  relations.tree(dimsOf(getData(), false, 0), dimsOf(getReshaped(), true, 0));
}

void FlattenOp::declareRelations(Relations &relations) {
  SmallVector<DimRef> dims = dimsOf(getX(), false, 0);
  int64_t axis = fromZero(getAxis(), rankOf(getX()));
  relations.tree(ArrayRef(dims).take_front(axis), resultDim(0, 0));
  relations.tree(ArrayRef(dims).drop_front(axis), resultDim(0, 1));
}

void TransposeOp::declareRelations(Relations &relations) {
  int64_t rank = rankOf(getX());
  std::optional<ArrayRef<int64_t>> perm = getPerm();
  for (int64_t dim = 0; dim < rank; ++dim)
    relations.same(operandDim(0, perm ? (*perm)[dim] : rank - 1 - dim),
                   resultDim(0, dim));
}

/// `larger` has dimensions of size 1 at `axes` that `smaller` has not.
static void relateAxes(Operation *op, Relations &relations,
                       std::optional<SmallVector<int64_t>> axes,
                       bool resultIsLarger) {
  relations.sizeOperand(1);
  Value larger = resultIsLarger ? op->getResult(0) : op->getOperand(0);
  int64_t rank = rankOf(larger);
  if (!axes)
    return relations.barrierAll(op, "its axes are known at run time");
  llvm::SmallBitVector extra(rank);
  for (int64_t axis : *axes) {
    if (axis < -rank || axis >= rank)
      return relations.barrierAll(op, "it has not the dimensions listed");
    extra.set(fromZero(axis, rank));
  }
  int64_t smallerDim = 0;
  for (int64_t dim = 0; dim < rank; ++dim) {
    if (extra[dim])
      continue;
    relations.same(operandDim(0, resultIsLarger ? smallerDim : dim),
                   resultDim(0, resultIsLarger ? dim : smallerDim));
    ++smallerDim;
  }
}

void SqueezeOp::declareRelations(Relations &relations) {
  std::optional<SmallVector<int64_t>> axes = integersOf(getAxes());
  if (isa<NoneType>(getAxes().getType())) {
    axes.emplace();
    for (int64_t dim = 0, e = rankOf(getData()); dim < e; ++dim)
      if (sizeOf(getData(), dim) == 1)
        axes->push_back(dim);
  }
  relateAxes(*this, relations, axes, /*resultIsLarger=*/false);
}

void UnsqueezeOp::declareRelations(Relations &relations) {
  relateAxes(*this, relations, integersOf(getAxes()), /*resultIsLarger=*/true);
}

//===----------------------------------------------------------------------===//
// Joined and cut
//===----------------------------------------------------------------------===//

void ConcatOp::declareRelations(Relations &relations) {
  int64_t rank = rankOf(getConcatResult());
  int64_t axis = fromZero(getAxis(), rank);
  SmallVector<DimRef> parts;
  for (unsigned number = 0; number < getInputs().size(); ++number) {
    parts.push_back(operandDim(number, axis));
    relateOthers(relations, number, 0, rank, axis);
  }
  relations.concat(parts, resultDim(0, axis));
}

void SplitOp::declareRelations(Relations &relations) {
  int64_t rank = rankOf(getInput());
  int64_t axis = fromZero(getAxis(), rank);
  relations.sizeOperand(1);
  SmallVector<DimRef> parts;
  for (unsigned number = 0; number < getNumResults(); ++number) {
    parts.push_back(resultDim(number, axis));
    relateOthers(relations, 0, number, rank, axis);
  }
  relations.concat(parts, operandDim(0, axis));
}

/// start clamped as Slice does for steps > 0.
static int64_t clampStart(int64_t start, int64_t size) {
  return std::clamp<int64_t>(fromZero(start, size), 0, size);
}

void SliceOp::declareRelations(Relations &relations) {
  int64_t rank = rankOf(getData());
  for (unsigned number = 1; number < 5; ++number)
    relations.sizeOperand(number);
  auto starts = integersOf(getStarts()), axes = integersOf(getAxes()),
       steps = integersOf(getSteps());
  bool axesKnown = axes || isa<NoneType>(getAxes().getType());
  bool stepsKnown = steps || isa<NoneType>(getSteps().getType());
  if (!axesKnown)
    return relations.barrierAll(*this, "its axes are known at run time");
  if (rankOf(getStarts()) != 1)
    return relations.barrierAll(*this, "its starts are no list");
  auto count = static_cast<size_t>(sizeOf(getStarts(), 0));
  auto fits = [&](const auto &list) { return !list || list->size() == count; };
  auto inRange = [&](int64_t axis) { return -rank <= axis && axis < rank; };
  if (!fits(starts) || !fits(axes) || !fits(steps) ||
      (axes ? !llvm::all_of(*axes, inRange) : count > size_t(rank)))
    return relations.barrierAll(*this, "its starts, axes and steps do not fit");
  llvm::SmallBitVector cut(rank);
  for (size_t i = 0; i < count; ++i) {
    int64_t dim = axes ? fromZero((*axes)[i], rank) : i;
    int64_t size = sizeOf(getData(), dim);
    int64_t step = steps ? (*steps)[i] : 1;
    cut.set(dim);
    // Bounds beyond the end leave a dimension whole.
    if (starts && stepsKnown && step == 1 && !ShapedType::isDynamic(size) &&
        sizeOf(getOutput(), dim) == size) {
      relations.same(operandDim(0, dim), resultDim(0, dim));
    } else if (starts && stepsKnown && step >= 1 &&
               !ShapedType::isDynamic(size) &&
               !ShapedType::isDynamic(sizeOf(getOutput(), dim))) {
      relations.slice(operandDim(0, dim), resultDim(0, dim),
                      clampStart((*starts)[i], size), step);
    } else {
      StringRef why = step < 0 ? "it is sliced backwards"
                               : "it is sliced at bounds known at run time";
      relations.barrier(operandDim(0, dim), why);
      relations.barrier(resultDim(0, dim), why);
    }
  }
  for (int64_t dim = 0; dim < rank; ++dim)
    if (!cut[dim])
      relations.same(operandDim(0, dim), resultDim(0, dim));
}

void PadOp::declareRelations(Relations &relations) {
  int64_t rank = rankOf(getData());
  for (unsigned number = 1; number < 4; ++number)
    relations.sizeOperand(number);
  auto pads = integersOf(getPads()), axes = integersOf(getAxes());
  if (!pads || (!axes && !isa<NoneType>(getAxes().getType())))
    return relations.barrierAll(*this, "its padding is known at run time");
  llvm::SmallBitVector padded(rank);
  int64_t count = pads->size() / 2;
  if (axes ? int64_t(axes->size()) != count : count != rank)
    return relations.barrierAll(*this, "its pads and axes do not fit");
  for (int64_t i = 0; i < count; ++i) {
    int64_t dim = axes ? fromZero((*axes)[i], rank) : i;
    if (dim < 0 || dim >= rank)
      return relations.barrierAll(*this, "it has not the dimensions listed");
    int64_t before = (*pads)[i], after = (*pads)[i + count];
    if (before == 0 && after == 0)
      continue;
    padded.set(dim);
    if (getMode() == "constant" && before >= 0 && after >= 0 &&
        !ShapedType::isDynamic(sizeOf(getData(), dim))) {
      relations.slice(resultDim(0, dim), operandDim(0, dim), before, 1);
    } else {
      relations.barrier(operandDim(0, dim), "it is padded with its own values");
      relations.barrier(resultDim(0, dim), "it is padded with its own values");
    }
  }
  for (int64_t dim = 0; dim < rank; ++dim)
    if (!padded[dim])
      relations.same(operandDim(0, dim), resultDim(0, dim));
}

//===----------------------------------------------------------------------===//
// Repeated
//===----------------------------------------------------------------------===//

void ExpandOp::declareRelations(Relations &relations) {
  relations.sizeOperand(1);
  int64_t rank = rankOf(getOutput()), inputRank = rankOf(getInput());
  for (int64_t dim = 0; dim < rank; ++dim) {
    int64_t from = dim - (rank - inputRank);
    if (from < 0 || sizeOf(getInput(), from) == 1)
      relations.repeat(std::nullopt, resultDim(0, dim));
    else
      relations.same(operandDim(0, from), resultDim(0, dim));
  }
}

void TileOp::declareRelations(Relations &relations) {
  relations.sizeOperand(1);
  auto repeats = integersOf(getRepeats());
  for (int64_t dim = 0, e = rankOf(getOutput()); dim < e; ++dim) {
    if (repeats && (*repeats)[dim] == 1)
      relations.same(operandDim(0, dim), resultDim(0, dim));
    else
      relations.repeat(operandDim(0, dim), resultDim(0, dim));
  }
}

//===----------------------------------------------------------------------===//
// Picked by index
//===----------------------------------------------------------------------===//

// data[…, axis, …] by indices[…]: the dimensions of the indices stand in the
// place of `axis`.
void GatherOp::declareRelations(Relations &relations) {
  int64_t rank = rankOf(getData()), indexRank = rankOf(getIndices());
  int64_t axis = fromZero(getAxis(), rank);
  for (int64_t dim = 0; dim < axis; ++dim)
    relations.same(operandDim(0, dim), resultDim(0, dim));
  for (int64_t dim = axis + 1; dim < rank; ++dim)
    relations.same(operandDim(0, dim), resultDim(0, dim - 1 + indexRank));

  int64_t size = sizeOf(getData(), axis);
  auto indices = integersOf(getIndices());
  if (indices && indexRank <= 1 && !ShapedType::isDynamic(size)) {
    relations.sizeOperand(1);
    for (int64_t &index : *indices)
      index = fromZero(index, size);
    // Without a dimension of its own in the result the unit still has its
    // place.
    if (indexRank == 1)
      return relations.gather(operandDim(0, axis), resultDim(0, axis),
                              *indices);
    return relations.gather(operandDim(0, axis), std::nullopt, *indices);
  }
  relations.barrier(operandDim(0, axis), "it is indexed at run time");
  for (int64_t dim = 0; dim < indexRank; ++dim)
    relations.same(operandDim(1, dim), resultDim(0, axis + dim));
}

void GatherElementsOp::declareRelations(Relations &relations) {
  int64_t rank = rankOf(getData());
  int64_t axis = fromZero(getAxis(), rank);
  relations.barrier(operandDim(0, axis), "it is indexed at run time");
  relations.same(operandDim(1, axis), resultDim(0, axis));
  for (int64_t dim = 0; dim < rank; ++dim) {
    if (dim == axis)
      continue;
    relations.same(operandDim(1, dim), resultDim(0, dim));
    relations.same(operandDim(0, dim), resultDim(0, dim));
  }
}

void GatherNDOp::declareRelations(Relations &relations) {
  int64_t rank = rankOf(getData()), indexRank = rankOf(getIndices());
  int64_t batch = getBatchDims();
  int64_t depth = sizeOf(getIndices(), indexRank - 1);
  if (ShapedType::isDynamic(depth))
    return relations.barrierAll(*this, "its indices are of unknown length");
  if (batch < 0 || batch >= indexRank || depth > rank - batch)
    return relations.barrierAll(*this, "its indices are too long");
  for (int64_t dim = 0; dim < indexRank - 1; ++dim)
    relations.same(operandDim(1, dim), resultDim(0, dim));
  relations.barrier(operandDim(1, indexRank - 1), "it holds indices");
  for (int64_t dim = 0; dim < rank; ++dim) {
    if (dim < batch)
      relations.same(operandDim(0, dim), resultDim(0, dim));
    else if (dim < batch + depth)
      relations.barrier(operandDim(0, dim), "it is indexed at run time");
    else
      relations.same(operandDim(0, dim),
                     resultDim(0, dim - batch - depth + indexRank - 1));
  }
}

// The first `depth` dimensions of data are indexed, the others go through; the
// rows of updates go to rows known at run time.
void ScatterNDOp::declareRelations(Relations &relations) {
  int64_t rank = rankOf(getData()), indexRank = rankOf(getIndices());
  int64_t depth = sizeOf(getIndices(), indexRank - 1);
  if (ShapedType::isDynamic(depth))
    return relations.barrierAll(*this, "its indices are of unknown length");
  if (depth > rank || rankOf(getUpdates()) != indexRank - 1 + rank - depth)
    return relations.barrierAll(*this, "its indices or updates do not fit");
  relateOthers(relations, 0, 0, rank, -1);
  for (int64_t dim = 0; dim < depth; ++dim)
    relations.barrier(operandDim(0, dim), "it is indexed at run time");
  for (int64_t dim = depth; dim < rank; ++dim)
    relations.same(operandDim(2, dim - depth + indexRank - 1),
                   resultDim(0, dim));
  for (int64_t dim = 0; dim < indexRank - 1; ++dim) {
    relations.same(operandDim(1, dim), operandDim(2, dim));
    relations.barrier(operandDim(2, dim), "it is scattered at run time");
  }
  relations.barrier(operandDim(1, indexRank - 1), "it holds indices");
}

void TriluOp::declareRelations(Relations &relations) {
  int64_t rank = rankOf(getInput());
  relations.sizeOperand(1);
  relateOthers(relations, 0, 0, rank, -1);
  for (int64_t dim = rank - 2; dim < rank; ++dim)
    relations.barrier(operandDim(0, dim), "a triangle depends on its indices");
}

//===----------------------------------------------------------------------===//
// Sizes and sources
//===----------------------------------------------------------------------===//

void ShapeOp::declareRelations(Relations &relations) {
  int64_t rank = rankOf(getData());
  int64_t start = clampStart(getStart(), rank);
  int64_t end = getEnd() ? clampStart(*getEnd(), rank) : rank;
  for (int64_t dim = start; dim < end; ++dim)
    relations.read(operandDim(0, dim));
  for (int64_t dim = 0; dim < rank; ++dim)
    if (dim < start || dim >= end)
      relations.read(operandDim(0, dim));
  relations.barrier(resultDim(0, 0), "it holds sizes");
}

void SizeOp::declareRelations(Relations &relations) {
  for (DimRef dim : dimsOf(getX(), false, 0))
    relations.read(dim);
}

void RangeOp::declareRelations(Relations &relations) {
  for (unsigned number = 0; number < 3; ++number)
    relations.sizeOperand(number);
  relations.source(resultDim(0, 0));
}

void ConstantOfShapeOp::declareRelations(Relations &relations) {
  relations.sizeOperand(0);
  for (DimRef dim : dimsOf(getOutput(), true, 0))
    relations.source(dim);
}
