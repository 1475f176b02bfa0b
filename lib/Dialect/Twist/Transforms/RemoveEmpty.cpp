//===- RemoveEmpty.cpp - Layers without a unit ----------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
// A contraction over no unit is zero. Zeros and what biases make of them are
// followed as small values that broadcast to the full one:
//
//   y = MatMul(h[B, S, 0], W[0, N]); z = Add(y, b[N]); r = Add(x[B, S, N], z)
//   y ~ 0                          ; z ~ b           ; r = Add(x, b)
//
// Where an op needs the full value, an Expand makes it.
//
//===----------------------------------------------------------------------===//

#include "RemoveEmpty.h"

#include "twist/Dialect/ONNX/ONNX.h"
#include "twist/Dialect/ONNX/SymbolicShapes.h"
#include "twist/Dialect/Twist/Twist.h"

#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace twist;
using namespace twist::axes;
using onnx::SizeExpr;

void twist::axes::eraseDead(func::FuncOp function) {
  Block &body = function.getBody().front();
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(body)))
    if (isOpTriviallyDead(&op))
      op.erase();
}

namespace {

class EmptyRemover {
public:
  EmptyRemover(func::FuncOp function, const DimensionCuts &cuts,
               const onnx::SymbolicShapes &dense)
      : function(function), body(function.getBody().front()), cuts(cuts),
        dense(dense), builder(function.getContext()) {
    for (const auto &entry : cuts.all())
      if (cuts.isEmpty(entry.first))
        empty.insert(entry.first);
  }

  LogicalResult run();

private:
  LogicalResult visit(Operation *op);
  LogicalResult visitReadOfEmpty(Operation *op);
  LogicalResult visitContraction(Operation *op);
  LogicalResult visitConvolution(Operation *op, Value bias);
  LogicalResult visitConcat(onnx::ConcatOp op);
  LogicalResult visitShape(Operation *op, Value data);
  LogicalResult visitSplit(onnx::SplitOp op);
  void visitElementwise(Operation *op);
  bool carriesSmall(Operation *op);
  LogicalResult materialise(Operation *op);
  LogicalResult dropInterface();

  SmallVector<SizeExpr> sizesOf(Value value);
  FailureOr<Value> size(Operation *at, const SizeExpr &expr);
  FailureOr<Value> sizes(Operation *at, ArrayRef<SizeExpr> exprs);
  FailureOr<Value> atomSize(Operation *at, StringAttr atom);
  Value ints(Location loc, ArrayRef<int64_t> values);
  Value zero(Location loc, Type elementType);

  func::FuncOp function;
  Block &body;
  const DimensionCuts &cuts;
  const onnx::SymbolicShapes &dense;
  llvm::DenseSet<Value> empty;
  OpBuilder builder;
  /// Values that equal a smaller one broadcast to their shape.
  llvm::DenseMap<Value, Value> small;
  llvm::DenseSet<Value> zeros; ///< the small values that are 0
};

} // namespace

Value EmptyRemover::ints(Location loc, ArrayRef<int64_t> values) {
  auto type =
      RankedTensorType::get({int64_t(values.size())}, builder.getI64Type());
  return onnx::ConstantOp::create(builder, loc, type,
                                  DenseElementsAttr::get(type, values));
}

Value EmptyRemover::zero(Location loc, Type elementType) {
  auto type = RankedTensorType::get({}, elementType);
  Value value = onnx::ConstantOp::create(
      builder, loc, type,
      DenseElementsAttr::get(type,
                             Attribute(builder.getZeroAttr(elementType))));
  zeros.insert(value);
  return value;
}

/// The sizes of a value after the cut.
SmallVector<SizeExpr> EmptyRemover::sizesOf(Value value) {
  SmallVector<SizeExpr> sizes;
  ArrayRef<int64_t> shape = cast<RankedTensorType>(value.getType()).getShape();
  for (auto [dim, size] : llvm::enumerate(shape)) {
    if (!ShapedType::isDynamic(size)) {
      sizes.push_back(size);
      continue;
    }
    SizeExpr expr = dense.dimsOf(value)[dim];
    if (const DimCut *cut = cuts.find(value, dim))
      expr = (expr * cut->numerator).exactDiv(cut->denominator).value_or(expr);
    sizes.push_back(expr);
  }
  return sizes;
}

/// The value of an atom: a dimension of an argument that is nothing else.
FailureOr<Value> EmptyRemover::atomSize(Operation *at, StringAttr atom) {
  for (BlockArgument argument : body.getArguments()) {
    if (empty.contains(argument) || !dense.hasRank(argument))
      continue;
    for (auto [dim, expr] : llvm::enumerate(dense.dimsOf(argument))) {
      if (expr != SizeExpr::atom(atom))
        continue;
      auto one = RankedTensorType::get({1}, builder.getI64Type());
      return onnx::ShapeOp::create(
                 builder, at->getLoc(), one, argument,
                 builder.getIntegerAttr(builder.getIntegerType(64, true),
                                        dim + 1),
                 builder.getIntegerAttr(builder.getIntegerType(64, true), dim))
          .getShape();
    }
  }
  return at->emitError() << "without the units that were cut, no input tells "
                            "the size '"
                         << atom.getValue() << "'";
}

FailureOr<Value> EmptyRemover::size(Operation *at, const SizeExpr &expr) {
  auto one = RankedTensorType::get({1}, builder.getI64Type());
  Value sum;
  for (const SizeExpr::Term &term : expr.terms()) {
    Value product;
    if (term.coefficient != 1 || term.factors.empty())
      product = ints(at->getLoc(), {term.coefficient});
    for (const SizeExpr::Factor &factor : term.factors)
      for (unsigned i = 0; i < factor.power; ++i) {
        FailureOr<Value> atom = atomSize(at, factor.atom);
        if (failed(atom))
          return failure();
        product = product ? onnx::MulOp::create(builder, at->getLoc(), one,
                                                product, *atom)
                                .getResult()
                          : *atom;
      }
    sum = sum ? onnx::AddOp::create(builder, at->getLoc(), one, sum, product)
                    .getResult()
              : product;
  }
  return sum ? sum : ints(at->getLoc(), {0});
}

/// A tensor of sizes, constant where all are.
FailureOr<Value> EmptyRemover::sizes(Operation *at, ArrayRef<SizeExpr> exprs) {
  SmallVector<int64_t> constants;
  for (const SizeExpr &expr : exprs)
    if (auto constant = expr.constant())
      constants.push_back(*constant);
  if (constants.size() == exprs.size())
    return ints(at->getLoc(), constants);
  SmallVector<Value> pieces;
  for (const SizeExpr &expr : exprs) {
    FailureOr<Value> piece = size(at, expr);
    if (failed(piece))
      return failure();
    pieces.push_back(*piece);
  }
  if (pieces.size() == 1)
    return pieces.front();
  auto type =
      RankedTensorType::get({int64_t(pieces.size())}, builder.getI64Type());
  return onnx::ConcatOp::create(
             builder, at->getLoc(), type, pieces,
             builder.getIntegerAttr(builder.getIntegerType(64, true), 0))
      .getResult();
}

//===----------------------------------------------------------------------===//
// Ops that read something empty and give something that is not
//===----------------------------------------------------------------------===//

LogicalResult EmptyRemover::visitContraction(Operation *op) {
  Value result = op->getResult(0);
  auto type = cast<RankedTensorType>(result.getType());
  if (auto gemm = dyn_cast<onnx::GemmOp>(op);
      gemm && !isa<NoneType>(gemm.getC().getType())) {
    Value bias = gemm.getC();
    if (gemm.getBeta().convertToFloat() != 1.0f) {
      auto scalar = RankedTensorType::get({}, type.getElementType());
      auto beta = onnx::ConstantOp::create(
          builder, op->getLoc(), scalar,
          DenseElementsAttr::get(
              scalar,
              Attribute(builder.getFloatAttr(
                  type.getElementType(), gemm.getBeta().convertToFloat()))));
      bias = onnx::MulOp::create(builder, op->getLoc(), bias.getType(), bias,
                                 beta);
    }
    small[result] = bias;
    return success();
  }
  small[result] = zero(op->getLoc(), type.getElementType());
  return success();
}

/// The bias [C] as [C, 1, …], which broadcasts to the result.
LogicalResult EmptyRemover::visitConvolution(Operation *op, Value bias) {
  if (isa<NoneType>(bias.getType()))
    return visitContraction(op);
  auto type = cast<RankedTensorType>(bias.getType());
  SmallVector<int64_t> shape(
      cast<RankedTensorType>(op->getResult(0).getType()).getRank() - 1, 1);
  shape[0] = type.getDimSize(0);
  small[op->getResult(0)] =
      onnx::ReshapeOp::create(builder, op->getLoc(), type.clone(shape), bias,
                              ints(op->getLoc(), shape));
  return success();
}

LogicalResult EmptyRemover::visitConcat(onnx::ConcatOp op) {
  SmallVector<Value> inputs;
  for (Value input : op.getInputs())
    if (!empty.contains(input))
      inputs.push_back(input);
  if (inputs.size() == 1)
    op.getConcatResult().replaceAllUsesWith(inputs.front());
  else
    op.getInputsMutable().assign(inputs);
  return success();
}

/// Sizes of an empty value: what arithmetic on shapes sees are dense ones.
LogicalResult EmptyRemover::visitShape(Operation *op, Value data) {
  ArrayRef<SizeExpr> dims = dense.dimsOf(data);
  if (auto shape = dyn_cast<onnx::ShapeOp>(op)) {
    int64_t rank = dims.size(), start = shape.getStart();
    start = std::clamp<int64_t>(start < 0 ? start + rank : start, 0, rank);
    auto type = cast<RankedTensorType>(shape.getShape().getType());
    dims = dims.slice(start, type.getDimSize(0));
    FailureOr<Value> value = sizes(op, dims);
    if (failed(value))
      return failure();
    shape.getShape().replaceAllUsesWith(*value);
    return success();
  }
  return op->emitError("counts the elements of a layer that has none left");
}

LogicalResult EmptyRemover::visitReadOfEmpty(Operation *op) {
  return TypeSwitch<Operation *, LogicalResult>(op)
      .Case<onnx::MatMulOp, onnx::GemmOp, onnx::EinsumOp, onnx::ReduceSumOp,
            onnx::ReduceL1Op, onnx::ReduceL2Op, onnx::ReduceSumSquareOp>(
          [&](Operation *op) { return visitContraction(op); })
      .Case<onnx::ConvOp, onnx::ConvTransposeOp>(
          [&](auto conv) { return visitConvolution(conv, conv.getB()); })
      .Case([&](onnx::ConcatOp op) { return visitConcat(op); })
      .Case([&](onnx::ShapeOp op) { return visitShape(op, op.getData()); })
      .Case([&](onnx::SizeOp op) { return visitShape(op, op.getX()); })
      .Case([&](func::ReturnOp) { return success(); })
      .Default([&](Operation *op) {
        return op->emitError("has no meaning without the units that were cut");
      });
}

/// Outputs that hold nothing leave the split.
LogicalResult EmptyRemover::visitSplit(onnx::SplitOp op) {
  SmallVector<Value> kept;
  SmallVector<int64_t> lengths;
  auto type = cast<RankedTensorType>(op.getInput().getType());
  int64_t axis =
      op.getAxis() < 0 ? op.getAxis() + type.getRank() : op.getAxis();
  for (Value output : op.getOutputs())
    if (!empty.contains(output)) {
      kept.push_back(output);
      lengths.push_back(
          cast<RankedTensorType>(output.getType()).getDimSize(axis));
    }
  if (kept.size() == op.getOutputs().size() || kept.empty())
    return success();
  if (kept.size() == 1) {
    kept.front().replaceAllUsesWith(op.getInput());
    return success();
  }
  auto split = onnx::SplitOp::create(
      builder, op.getLoc(), ValueRange(kept).getTypes(), op.getInput(),
      ints(op.getLoc(), lengths), op.getAxisAttr(), nullptr);
  for (auto [before, after] : llvm::zip_equal(kept, split.getOutputs()))
    before.replaceAllUsesWith(after);
  return success();
}

//===----------------------------------------------------------------------===//
// Small values
//===----------------------------------------------------------------------===//

/// The type that numpy's broadcasting gives, none where sizes are unknown.
static std::optional<SmallVector<int64_t>>
broadcastStatic(ArrayRef<Value> values) {
  SmallVector<int64_t> shape;
  for (Value value : values) {
    auto type = cast<RankedTensorType>(value.getType());
    if (!type.hasStaticShape())
      return std::nullopt;
    shape.resize(std::max<size_t>(shape.size(), type.getRank()), 0);
  }
  llvm::fill(shape, 1);
  for (Value value : values) {
    auto type = cast<RankedTensorType>(value.getType());
    size_t offset = shape.size() - type.getRank();
    for (auto [i, size] : llvm::enumerate(type.getShape()))
      if (size != 1)
        shape[offset + i] = size;
  }
  return shape;
}

/// An element-wise op on small values is small; one with a full operand of the
/// result's shape takes the small value in place of the full one.
void EmptyRemover::visitElementwise(Operation *op) {
  Value result = op->getResult(0);
  bool full = llvm::any_of(op->getOperands(), [&](Value operand) {
    return !small.contains(operand) && operand.getType() == result.getType() &&
           dense.dimsOf(operand) == dense.dimsOf(result);
  });
  SmallVector<Value> operands;
  for (Value operand : op->getOperands())
    operands.push_back(small.contains(operand) ? small[operand] : operand);

  // x + 0 and x - 0.
  bool addsZero =
      isa<onnx::AddOp, onnx::SubOp>(op) && zeros.contains(operands[1]);
  bool zeroAdds = isa<onnx::AddOp>(op) && zeros.contains(operands[0]);
  if (addsZero || zeroAdds) {
    Value other = operands[addsZero ? 0 : 1];
    if (full && other.getType() == result.getType()) {
      result.replaceAllUsesWith(other);
      return;
    }
    if (!full) {
      small[result] = other;
      return;
    }
  }
  if (full) {
    op->setOperands(operands);
    return;
  }
  auto shape = broadcastStatic(operands);
  if (!shape)
    return; // left to materialise
  Operation *smaller = builder.clone(*op);
  smaller->removeAttr(onnx::kMetaAttr);
  smaller->setOperands(operands);
  smaller->getResult(0).setType(
      cast<RankedTensorType>(result.getType()).clone(*shape));
  small[result] = smaller->getResult(0);
}

/// Whether the result of a data movement is the same small value, broadcast:
/// always for a scalar; else where the last dimensions stay.
bool EmptyRemover::carriesSmall(Operation *op) {
  if (!isa<onnx::ReshapeOp, onnx::FlattenOp, onnx::TransposeOp, onnx::SqueezeOp,
           onnx::UnsqueezeOp, onnx::ExpandOp, onnx::SliceOp, onnx::SplitOp,
           onnx::TileOp>(op))
    return false;
  auto it = small.find(op->getOperand(0));
  if (it == small.end())
    return false;
  Value value = it->second;
  auto type = cast<RankedTensorType>(value.getType());
  for (Value result : op->getResults()) {
    auto resultType = cast<RankedTensorType>(result.getType());
    if (type.getRank() == 0)
      continue;
    if (!isa<onnx::ReshapeOp, onnx::ExpandOp>(op) || !type.hasStaticShape() ||
        resultType.getRank() < type.getRank() ||
        resultType.getShape().take_back(type.getRank()) != type.getShape())
      return false;
  }
  for (Value result : op->getResults())
    small[result] = value;
  return true;
}

/// Gives an op the full value of each small operand.
LogicalResult EmptyRemover::materialise(Operation *op) {
  for (OpOperand &operand : op->getOpOperands()) {
    auto it = small.find(operand.get());
    if (it == small.end())
      continue;
    FailureOr<Value> shape = sizes(op, sizesOf(operand.get()));
    if (failed(shape))
      return failure();
    operand.set(onnx::ExpandOp::create(
        builder, op->getLoc(), operand.get().getType(), it->second, *shape));
  }
  return success();
}

LogicalResult EmptyRemover::visit(Operation *op) {
  auto isEmpty = [&](Value value) { return empty.contains(value); };
  auto holdsNothing = [&](Value value) {
    return isEmpty(value) || isa<NoneType>(value.getType());
  };
  if (isOpTriviallyDead(op) ||
      (op->getNumResults() > 0 && llvm::all_of(op->getResults(), holdsNothing)))
    return success();
  builder.setInsertionPoint(op);
  if (llvm::any_of(op->getOperands(), isEmpty) && !isa<func::ReturnOp>(op))
    return visitReadOfEmpty(op);
  if (auto split = dyn_cast<onnx::SplitOp>(op);
      split && llvm::any_of(op->getResults(), isEmpty))
    return visitSplit(split);
  if (llvm::none_of(op->getOperands(),
                    [&](Value v) { return small.contains(v); }))
    return success();
  if (carriesSmall(op))
    return success();
  if (op->hasTrait<onnx::Elementwise>()) {
    visitElementwise(op);
    if (small.contains(op->getResult(0)) || op->use_empty() ||
        llvm::none_of(op->getOperands(),
                      [&](Value v) { return small.contains(v); }))
      return success();
  }
  return materialise(op);
}

/// Inputs and outputs that hold nothing leave the function.
LogicalResult EmptyRemover::dropInterface() {
  Operation *end = body.getTerminator();
  llvm::BitVector results(end->getNumOperands()),
      arguments(body.getNumArguments());
  for (auto [i, value] : llvm::enumerate(end->getOperands()))
    results[i] = empty.contains(value);
  end->eraseOperands(results);
  if (results.any() && failed(function.eraseResults(results)))
    return failure();
  eraseDead(function);
  for (BlockArgument argument : body.getArguments())
    if (empty.contains(argument)) {
      if (!argument.use_empty())
        return (*argument.user_begin())
            ->emitError("reads an input that has no unit left");
      arguments.set(argument.getArgNumber());
    }
  if (arguments.any())
    return function.eraseArguments(arguments);
  return success();
}

LogicalResult EmptyRemover::run() {
  if (empty.empty())
    return success();
  SmallVector<Operation *> ops;
  for (Operation &op : body)
    ops.push_back(&op);
  for (Operation *op : ops)
    if (failed(visit(op)))
      return failure();
  return dropInterface();
}

LogicalResult twist::axes::removeEmpty(func::FuncOp function,
                                       const DimensionCuts &cuts,
                                       const onnx::SymbolicShapes &dense) {
  return EmptyRemover(function, cuts, dense).run();
}
