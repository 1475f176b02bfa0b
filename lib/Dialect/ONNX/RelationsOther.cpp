//===- RelationsOther.cpp - Relations of indexing, recurrence, losses -----===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Relations.h"
#include "twist/Support/Integers.h"

using namespace mlir;
using namespace twist;
using namespace twist::onnx;

static int64_t integerAttr(Operation *op, StringRef name) {
  return cast<IntegerAttr>(*op->getInherentAttr(name)).getSInt();
}

//===----------------------------------------------------------------------===//
// Quantisation, norms, losses
//===----------------------------------------------------------------------===//

void onnx::relateQuantization(Operation *op, Relations &relations) {
  int64_t rank = rankOf(op->getOperand(0));
  int64_t axis = fromZero(integerAttr(op, "axis"), rank);
  if (rankOf(op->getOperand(1)) > 1)
    return relations.barrierAll(op, "blocks of its units have one scale");
  relateOthers(relations, 0, 0, rank, -1);
  for (unsigned number = 1; number < 3; ++number) {
    Value scale = op->getOperand(number);
    if (rankOf(scale) == 1 && axis < rank && sizeOf(scale, 0) != 1)
      relations.same(operandDim(number, 0), resultDim(0, axis));
  }
}

void MatMulIntegerOp::declareRelations(Relations &relations) {
  relations.barrierAll(*this, "its zeros are not 0");
}

void MeanVarianceNormalizationOp::declareRelations(Relations &relations) {
  int64_t rank = rankOf(getX());
  relateOthers(relations, 0, 0, rank, -1);
  SmallVector<int64_t> axes{0, 2, 3};
  if (auto given = getAxes())
    axes = llvm::to_vector(*given);
  if (llvm::any_of(axes, [&](int64_t a) { return a < -rank || a >= rank; }))
    return relations.barrierAll(*this, "it has not the dimensions it norms");
  for (int64_t axis : axes)
    relations.reduce(ReduceKind::Statistic, operandDim(0, fromZero(axis, rank)),
                     "MeanVarianceNormalization");
}

// scores [batch, classes, …], labels [batch, …]
void onnx::relateLoss(Operation *op, Relations &relations) {
  bool reduced = cast<StringAttr>(*op->getInherentAttr("reduction")) != "none";
  int64_t rank = rankOf(op->getOperand(0));
  relations.barrier(operandDim(0, 1), "labels pick among its units");
  for (int64_t dim = 0; dim < rank; ++dim) {
    if (dim == 1)
      continue;
    int64_t to = dim ? dim - 1 : 0;
    if (reduced) {
      relations.reduce(ReduceKind::Other, operandDim(0, dim),
                       op->getName().stripDialect());
      relations.same(operandDim(0, dim), operandDim(1, to));
    } else {
      relations.same(operandDim(0, dim), resultDim(0, to));
      relations.same(operandDim(1, to), resultDim(0, to));
    }
  }
  if (op->getNumResults() == 2 && !isa<NoneType>(op->getResult(1).getType()))
    relateOthers(relations, 0, 1, rank, 1);
}

//===----------------------------------------------------------------------===//
// Recurrent nets
//===----------------------------------------------------------------------===//

// A unit of the state reaches every other through R, at each step anew, where
// no gate can stand; what goes in is summed as in any product.
void onnx::relateRecurrent(Operation *op, Relations &relations) {
  relations.contract(operandDim(0, 2), operandDim(1, 2));
  for (unsigned number : {1u, 2u})
    relations.barrier(operandDim(number, 1),
                      "each unit of a recurrent state reaches all others");
}

//===----------------------------------------------------------------------===//
// Picked and placed by index
//===----------------------------------------------------------------------===//

void ScatterElementsOp::declareRelations(Relations &relations) {
  int64_t rank = rankOf(getData());
  int64_t axis = fromZero(getAxis(), rank);
  for (unsigned number = 0; number < 3; ++number)
    relateOthers(relations, number, 0, rank, axis);
  for (unsigned number = 0; number < 3; ++number)
    relations.barrier(operandDim(number, axis), "it is indexed at run time");
}

void TensorScatterOp::declareRelations(Relations &relations) {
  int64_t rank = rankOf(getPastCache());
  int64_t axis = fromZero(getAxis(), rank);
  relateOthers(relations, 0, 0, rank, axis);
  relateOthers(relations, 1, 0, rank, axis);
  relations.barrier(operandDim(0, axis), "it is written at run time");
  relations.barrier(operandDim(1, axis), "it is written at run time");
  if (rankOf(getWriteIndices()) == 1)
    relations.same(operandDim(2, 0), resultDim(0, 0));
}

void TopKOp::declareRelations(Relations &relations) {
  int64_t rank = rankOf(getX());
  int64_t axis = fromZero(getAxis(), rank);
  relations.sizeOperand(1);
  relateOthers(relations, 0, 0, rank, axis);
  relateOthers(relations, 0, 1, rank, axis);
  relations.reduce(ReduceKind::Other, operandDim(0, axis), "TopK");
}

void OneHotOp::declareRelations(Relations &relations) {
  int64_t rank = rankOf(getOutput());
  int64_t axis = fromZero(getAxis(), rank);
  relations.sizeOperand(1);
  for (int64_t dim = 0; dim + 1 < rank; ++dim)
    relations.same(operandDim(0, dim), resultDim(0, dim + (dim >= axis)));
  relations.barrier(resultDim(0, axis), "indices pick among its units");
}

void ReverseSequenceOp::declareRelations(Relations &relations) {
  int64_t rank = rankOf(getInput());
  int64_t time = fromZero(getTimeAxis(), rank);
  relateOthers(relations, 0, 0, rank, time);
  relations.barrier(operandDim(0, time), "it is reversed at run time");
  relations.same(operandDim(1, 0),
                 resultDim(0, fromZero(getBatchAxis(), rank)));
}

void CenterCropPadOp::declareRelations(Relations &relations) {
  int64_t rank = rankOf(getInputData());
  relations.sizeOperand(1);
  llvm::SmallBitVector changed(rank, !getAxes());
  for (int64_t axis : getAxes().value_or(ArrayRef<int64_t>{})) {
    if (axis < -rank || axis >= rank)
      return relations.barrierAll(*this, "it has not the dimensions listed");
    changed.set(fromZero(axis, rank));
  }
  for (int64_t dim = 0; dim < rank; ++dim)
    if (changed[dim])
      relations.barrier(operandDim(0, dim), "it is cropped around its centre");
    else
      relations.same(operandDim(0, dim), resultDim(0, dim));
}

void Col2ImOp::declareRelations(Relations &relations) {
  relations.sizeOperand(1);
  relations.sizeOperand(2);
  relations.same(operandDim(0, 0), resultDim(0, 0));
  relations.barrier(operandDim(0, 1), "its blocks overlap");
}

// X [batch, channels, …], grid [batch, …, coordinates]
void GridSampleOp::declareRelations(Relations &relations) {
  int64_t rank = rankOf(getX());
  relations.same(operandDim(0, 0), resultDim(0, 0));
  relations.same(operandDim(0, 1), resultDim(0, 1));
  relations.same(operandDim(1, 0), resultDim(0, 0));
  for (int64_t dim = 2; dim < rank; ++dim) {
    relations.barrier(operandDim(0, dim), "it is sampled at run time");
    relations.same(operandDim(1, dim - 1), resultDim(0, dim));
  }
  relations.barrier(operandDim(1, rank - 1), "it holds coordinates");
}

void CompressOp::declareRelations(Relations &relations) {
  std::optional<int64_t> given = getAxis();
  if (!given)
    return relations.barrierAll(*this, "what it picks depends on data");
  int64_t rank = rankOf(getInput()), axis = fromZero(*given, rank);
  relateOthers(relations, 0, 0, rank, axis);
  relations.barrier(operandDim(0, axis), "what it picks depends on data");
}

void NonZeroOp::declareRelations(Relations &relations) {
  relations.barrierAll(*this, "what it finds depends on data");
}

void UniqueOp::declareRelations(Relations &relations) {
  relations.barrierAll(*this, "what it finds depends on data");
}

//===----------------------------------------------------------------------===//
// Sources
//===----------------------------------------------------------------------===//

void EyeLikeOp::declareRelations(Relations &relations) {
  relations.barrierAll(*this, "a diagonal depends on its indices");
}

void AffineGridOp::declareRelations(Relations &relations) {
  relations.sizeOperand(1);
  relations.same(operandDim(0, 0), resultDim(0, 0));
  relations.barrier(operandDim(0, 1), "it holds coordinates");
}

//===----------------------------------------------------------------------===//
// Verifiers
//===----------------------------------------------------------------------===//

LogicalResult ScatterElementsOp::verify() {
  if (llvm::is_contained({"none", "add", "mul", "max", "min"}, getReduction()))
    return success();
  return emitOpError("has an unknown reduction '") << getReduction() << "'";
}

LogicalResult GridSampleOp::verify() {
  if (!llvm::is_contained({"linear", "bilinear", "nearest", "cubic", "bicubic"},
                          getMode()))
    return emitOpError("has an unknown mode '") << getMode() << "'";
  if (!llvm::is_contained({"zeros", "border", "reflection"}, getPaddingMode()))
    return emitOpError("has an unknown padding mode '")
           << getPaddingMode() << "'";
  return success();
}

/// `gates` gates; X [s, b, i], W [d, gates * h, i], R [d, gates * h, h].
template <typename Op> static LogicalResult verifyRecurrent(Op op, int gates) {
  if (!llvm::is_contained({"forward", "reverse", "bidirectional"},
                          op.getDirection()))
    return op.emitOpError("has an unknown direction '")
           << op.getDirection() << "'";
  if (op.getLayout() != 0 && op.getLayout() != 1)
    return op.emitOpError("layout ") << op.getLayout() << " is not 0 or 1";
  for (Value value : {op.getX(), op.getW(), op.getR()}) {
    auto type = dyn_cast<RankedTensorType>(value.getType());
    if (type && type.getRank() != 3)
      return op.emitOpError("takes X, W and R of rank 3, not ") << type;
  }
  auto type = dyn_cast<RankedTensorType>(op.getR().getType());
  if (!type || ShapedType::isDynamic(type.getDimSize(1)) ||
      ShapedType::isDynamic(type.getDimSize(2)))
    return success();
  int64_t hidden = type.getDimSize(2);
  if (type.getDimSize(1) != wrapMul(gates, hidden))
    return op.emitOpError("needs ") << gates << " gates of " << hidden
                                    << " hidden units, but R is " << type;
  if (op.getHiddenSize() && *op.getHiddenSize() != hidden)
    return op.emitOpError("has hidden_size ")
           << *op.getHiddenSize() << ", but R is " << type;
  return success();
}

LogicalResult RNNOp::verify() { return verifyRecurrent(*this, 1); }
LogicalResult GRUOp::verify() { return verifyRecurrent(*this, 3); }
LogicalResult LSTMOp::verify() { return verifyRecurrent(*this, 4); }
