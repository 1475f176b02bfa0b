//===- Relations.cpp - Relations of contractions, norms, reductions -------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Relations.h"
#include "twist/Dialect/ONNX/EinsumEquation.h"
#include "llvm/ADT/SmallBitVector.h"

using namespace mlir;
using namespace twist;
using namespace twist::onnx;

//===----------------------------------------------------------------------===//
// Shared by all
//===----------------------------------------------------------------------===//

int64_t onnx::rankOf(Value value) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  return type ? type.getRank() : 0;
}

int64_t onnx::sizeOf(Value value, int64_t dim) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  return type && dim >= 0 && dim < type.getRank() ? type.getDimSize(dim)
                                                  : ShapedType::kDynamic;
}

std::optional<SmallVector<int64_t>> onnx::integersOf(Value value) {
  auto elements = dyn_cast_or_null<DenseIntElementsAttr>(constantOf(value));
  if (!elements)
    return std::nullopt;
  SmallVector<int64_t> integers;
  for (const APInt &element : elements.getValues<APInt>())
    integers.push_back(element.getSExtValue());
  return integers;
}

SmallVector<DimRef> onnx::dimsOf(Value value, bool isResult, unsigned number) {
  SmallVector<DimRef> dims;
  for (int64_t dim = 0, e = rankOf(value); dim < e; ++dim)
    dims.push_back({isResult, number, dim});
  return dims;
}

void onnx::relateOthers(Relations &relations, unsigned operand, unsigned result,
                        int64_t rank, int64_t but) {
  for (int64_t dim = 0; dim < rank; ++dim)
    if (dim != but)
      relations.same(operandDim(operand, dim), resultDim(result, dim));
}

void onnx::relateConstant(Operation *op, Relations &relations) {
  for (DimRef dim : dimsOf(op->getResult(0), true, 0))
    relations.source(dim);
}

void onnx::relateUnits(Operation *op, Relations &relations) {
  int64_t rank = rankOf(op->getResult(0));
  for (auto [number, operand] : llvm::enumerate(op->getOperands()))
    for (int64_t dim = 0, e = rankOf(operand); dim < e; ++dim)
      relations.same(operandDim(number, dim), resultDim(0, dim + rank - e));
}

//===----------------------------------------------------------------------===//
// Contractions
//===----------------------------------------------------------------------===//

/// Batch dimensions of a product, aligned from the right; `inner` trailing
/// dimensions are none.
static void relateBatch(Relations &relations, unsigned number, Value operand,
                        Value result, int64_t inner, int64_t resultInner) {
  int64_t batch = std::max<int64_t>(rankOf(operand) - inner, 0);
  int64_t resultBatch = rankOf(result) - resultInner;
  for (int64_t dim = 0; dim < batch; ++dim)
    relations.same(operandDim(number, dim),
                   resultDim(0, dim + resultBatch - batch), DimRole::Batch);
}

// A[…, m, k] · B[…, k, n]; an operand of rank 1 has k alone.
void MatMulOp::declareRelations(Relations &relations) {
  int64_t rankA = rankOf(getA()), rankB = rankOf(getB());
  int64_t rank = rankOf(getC());
  bool hasRows = rankA > 1, hasColumns = rankB > 1;
  relations.contract(operandDim(0, rankA - 1),
                     operandDim(1, hasColumns ? rankB - 2 : 0));
  if (hasRows)
    relations.same(operandDim(0, rankA - 2),
                   resultDim(0, rank - 1 - hasColumns), DimRole::Free);
  if (hasColumns)
    relations.same(operandDim(1, rankB - 1), resultDim(0, rank - 1),
                   DimRole::Free);
  relateBatch(relations, 0, getA(), getC(), 2, hasRows + hasColumns);
  relateBatch(relations, 1, getB(), getC(), 2, hasRows + hasColumns);
}

void GemmOp::declareRelations(Relations &relations) {
  bool transA = getTransA() != 0, transB = getTransB() != 0;
  relations.contract(operandDim(0, !transA), operandDim(1, transB));
  relations.same(operandDim(0, transA), resultDim(0, 0), DimRole::Free);
  relations.same(operandDim(1, !transB), resultDim(0, 1), DimRole::Free);
  for (int64_t dim = 0, e = rankOf(getC()); dim < e; ++dim)
    relations.same(operandDim(2, dim), resultDim(0, dim + 2 - e));
}

void EinsumOp::declareRelations(Relations &relations) {
  auto equation = EinsumEquation::parse(getEquation());
  if (!equation || equation->inputs.size() != getInputs().size() ||
      llvm::any_of(equation->inputs, EinsumEquation::hasDots))
    return relations.barrierAll(*this, "an Einsum with an ellipsis");
  std::map<char, SmallVector<DimRef>> uses;
  for (auto [number, input] : llvm::enumerate(equation->inputs))
    for (auto [dim, label] : llvm::enumerate(input)) {
      if (input.find(label, dim + 1) != std::string::npos)
        return relations.barrierAll(*this, "an Einsum that takes a diagonal");
      uses[label].push_back(operandDim(number, dim));
    }
  for (auto &[label, dims] : uses) {
    size_t position = equation->output.find(label);
    if (position != std::string::npos) {
      for (DimRef dim : dims)
        relations.same(dim, resultDim(0, position),
                       dims.size() > 1 ? DimRole::Batch : DimRole::Free);
    } else if (dims.size() == 1) {
      relations.reduce(ReduceKind::Sum, dims[0], "Einsum");
    } else {
      for (DimRef dim : ArrayRef(dims).drop_front())
        relations.contract(dims[0], dim);
    }
  }
}

//===----------------------------------------------------------------------===//
// Norms and reductions
//===----------------------------------------------------------------------===//

/// An attribute every op of a family has.
static int64_t integerAttr(Operation *op, StringRef name) {
  return cast<IntegerAttr>(*op->getInherentAttr(name)).getSInt();
}

/// Normalised over the dimensions from `axis`; scale and bias have their sizes
/// or broadcast to them; statistics keep the others.
void onnx::relateNorm(Operation *op, Relations &relations, int64_t axis) {
  Value input = op->getOperand(0);
  int64_t rank = rankOf(input);
  axis = fromZero(axis, rank);
  StringRef name = op->getName().stripDialect();
  for (int64_t dim = 0; dim < rank; ++dim) {
    relations.same(operandDim(0, dim), resultDim(0, dim));
    if (dim >= axis)
      relations.reduce(ReduceKind::Statistic, operandDim(0, dim), name);
  }
  for (unsigned number = 1; number < op->getNumOperands(); ++number)
    for (int64_t dim = 0, e = rankOf(op->getOperand(number)); dim < e; ++dim)
      relations.same(operandDim(number, dim), resultDim(0, dim + rank - e));
  for (unsigned number = 1; number < op->getNumResults(); ++number)
    for (int64_t dim = 0; dim < axis; ++dim)
      relations.same(operandDim(0, dim), resultDim(number, dim));
}

void LayerNormalizationOp::declareRelations(Relations &relations) {
  relateNorm(*this, relations, getAxis());
}
void RMSNormalizationOp::declareRelations(Relations &relations) {
  relateNorm(*this, relations, getAxis());
}

void onnx::relateAlongAxis(Operation *op, Relations &relations) {
  int64_t rank = rankOf(op->getOperand(0));
  int64_t axis = fromZero(integerAttr(op, "axis"), rank);
  relateOthers(relations, 0, 0, rank, -1);
  relations.reduce(ReduceKind::Other, operandDim(0, axis),
                   op->getName().stripDialect());
}

/// What zeros do in a reduction.
static ReduceKind kindOf(Operation *op) {
  if (isa<ReduceSumOp, ReduceSumSquareOp, ReduceL1Op, ReduceL2Op>(op))
    return ReduceKind::Sum;
  return isa<ReduceMeanOp>(op) ? ReduceKind::Statistic : ReduceKind::Other;
}

/// Dimensions not in `reduced` go through, at the same place or moved up.
static void relateReduced(Operation *op, Relations &relations, ReduceKind kind,
                          const llvm::SmallBitVector &reduced, bool keepDims) {
  int64_t to = 0;
  for (int64_t dim = 0, e = rankOf(op->getOperand(0)); dim < e; ++dim) {
    if (reduced[dim])
      relations.reduce(kind, operandDim(0, dim), op->getName().stripDialect());
    else
      relations.same(operandDim(0, dim), resultDim(0, to));
    to += !reduced[dim] || keepDims;
  }
}

void onnx::relateReduction(Operation *op, Relations &relations) {
  int64_t rank = rankOf(op->getOperand(0));
  Value axes = op->getOperand(1);
  relations.sizeOperand(1);
  llvm::SmallBitVector reduced(rank);
  std::optional<SmallVector<int64_t>> numbers = integersOf(axes);
  if (numbers && !numbers->empty()) {
    for (int64_t number : *numbers) {
      if (number < -rank || number >= rank)
        return relations.barrierAll(op, "it has not the dimensions it reduces");
      reduced.set(fromZero(number, rank));
    }
  } else if (numbers || isa<NoneType>(axes.getType())) {
    if (integerAttr(op, "noop_with_empty_axes") == 0)
      reduced.set();
  } else {
    return relations.barrierAll(op, "it reduces dimensions known at run time");
  }
  relateReduced(op, relations, kindOf(op), reduced,
                integerAttr(op, "keepdims") != 0);
}

void onnx::relateArgReduction(Operation *op, Relations &relations) {
  int64_t rank = rankOf(op->getOperand(0));
  llvm::SmallBitVector reduced(rank);
  reduced.set(fromZero(integerAttr(op, "axis"), rank));
  relateReduced(op, relations, ReduceKind::Other, reduced,
                integerAttr(op, "keepdims") != 0);
}

void onnx::relateCumulative(Operation *op, Relations &relations) {
  int64_t rank = rankOf(op->getOperand(0));
  relations.sizeOperand(1);
  std::optional<SmallVector<int64_t>> axis = integersOf(op->getOperand(1));
  if (!axis || axis->size() != 1)
    return relations.barrierAll(
        op, "it accumulates along a dimension known at run time");
  if ((*axis)[0] < -rank || (*axis)[0] >= rank)
    return relations.barrierAll(op, "it has not the dimension it goes along");
  relateOthers(relations, 0, 0, rank, -1);
  relations.reduce(ReduceKind::Other, operandDim(0, fromZero((*axis)[0], rank)),
                   op->getName().stripDialect());
}
