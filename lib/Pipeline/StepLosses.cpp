//===- StepLosses.cpp - What a step makes small ---------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "StepMath.h"

#include "twist/Dialect/NN/Transforms.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace twist;
using namespace twist::step;
using train::LossKind;

namespace {
/// Writes one loss at the end of a function.
class LossWriter {
public:
  LossWriter(func::FuncOp function, Value output,
             const train::LossOptions &options)
      : function(function), output(output), options(options),
        b(output.getLoc(), function.getBody().front().getTerminator()),
        type(cast<RankedTensorType>(output.getType())),
        element(type.getElementType()) {}

  Value crossEntropy();
  Value meanSquare();
  Value cosine();

private:
  using Body = function_ref<Value(LocBuilder &, ValueRange)>;
  Value argument(RankedTensorType type, StringRef name);
  /// Rows of the last dimension.
  Value rows(Value value);
  Value constant(LocBuilder &in, double value) {
    return arith::ConstantOp::create(in, FloatAttr::get(element, value));
  }
  AffineMap map(unsigned dims, ArrayRef<unsigned> reads) {
    SmallVector<AffineExpr> exprs;
    for (unsigned d : reads)
      exprs.push_back(b.getAffineDimExpr(d));
    return AffineMap::get(dims, 0, exprs, b.getContext());
  }
  Value zeros(ArrayRef<int64_t> shape) {
    Value empty = tensor::EmptyOp::create(b, shape, element);
    return linalg::FillOp::create(b, constant(b, 0), empty).getResult(0);
  }
  /// Sums `term` of each element of a row.
  Value reduceRows(ValueRange operands, ArrayRef<AffineMap> maps, Body term);
  Value reduceAll(Value rowValues);
  Value perRow(Value like, ValueRange operands, Body body) {
    SmallVector<AffineMap> maps;
    for (Value operand : operands)
      maps.push_back(cast<RankedTensorType>(operand.getType()).getRank()
                         ? map(1, {0})
                         : map(1, {}));
    return step::map(b, like, operands, maps, element, body);
  }
  Value scalar(ValueRange operands, Body body) {
    return step::map(b, operands[0], operands,
                     SmallVector<AffineMap>(operands.size(), map(0, {})),
                     element, body);
  }

  func::FuncOp function;
  Value output;
  const train::LossOptions &options;
  LocBuilder b;
  RankedTensorType type;
  Type element;
};
} // namespace

Value LossWriter::argument(RankedTensorType type, StringRef name) {
  unsigned number = function.getNumArguments();
  LocBuilder at(function.getLoc(), b.getContext());
  (void)function.insertArgument(number, type,
                                at.getDictionaryAttr(at.getNamedAttr(
                                    "onnx.name", at.getStringAttr(name))),
                                function.getLoc());
  return function.getArgument(number);
}

Value LossWriter::rows(Value value) {
  auto from = cast<RankedTensorType>(value.getType());
  int64_t rank = from.getRank();
  if (rank == 2)
    return value;
  if (rank == 1) {
    SmallVector<ReassociationIndices> group{{0, 1}};
    auto to = RankedTensorType::get({1, from.getDimSize(0)}, element);
    return tensor::ExpandShapeOp::create(b, to, value, group);
  }
  SmallVector<ReassociationIndices> groups(2);
  for (int64_t d = 0; d + 1 < rank; ++d)
    groups[0].push_back(d);
  groups[1].push_back(rank - 1);
  return tensor::CollapseShapeOp::create(b, value, groups);
}

Value LossWriter::reduceRows(ValueRange operands, ArrayRef<AffineMap> maps,
                             Body term) {
  auto like = cast<RankedTensorType>(operands[0].getType());
  Value init = zeros({like.getDimSize(0)});
  SmallVector<AffineMap> all(maps);
  all.push_back(map(2, {0}));
  return linalg::GenericOp::create(
             b, init.getType(), operands, init, all,
             ArrayRef{utils::IteratorType::parallel,
                      utils::IteratorType::reduction},
             [&](OpBuilder &inner, Location loc, ValueRange args) {
               LocBuilder in(loc, inner);
               Value x = term(in, args.drop_back());
               Value sum = arith::AddFOp::create(in, args.back(), x);
               linalg::YieldOp::create(in, sum);
             })
      .getResult(0);
}

Value LossWriter::reduceAll(Value rowValues) {
  Value init = zeros({});
  return linalg::GenericOp::create(
             b, init.getType(), rowValues, init,
             ArrayRef{map(1, {0}), map(1, {})},
             ArrayRef{utils::IteratorType::reduction},
             [&](OpBuilder &inner, Location loc, ValueRange args) {
               linalg::YieldOp::create(
                   inner, loc,
                   arith::AddFOp::create(inner, loc, args[1], args[0])
                       .getResult());
             })
      .getResult(0);
}

Value LossWriter::crossEntropy() {
  auto labels =
      RankedTensorType::get(type.getShape().drop_back(), b.getI64Type());
  return nn::meanCrossEntropy(b, b.getLoc(), output, argument(labels, "labels"),
                              options.ignoreIndex, options.labelSmoothing);
}

Value LossWriter::meanSquare() {
  Value target = rows(argument(type, "target"));
  Value x = rows(output);
  AffineMap full = map(2, {0, 1});
  Value sums = reduceRows(
      {x, target}, {full, full}, [](LocBuilder &in, ValueRange args) -> Value {
        Value d = arith::SubFOp::create(in, args[0], args[1]);
        return arith::MulFOp::create(in, d, d);
      });
  double count = double(type.getNumElements());
  return scalar(
      {reduceAll(sums)}, [&](LocBuilder &in, ValueRange args) -> Value {
        return arith::DivFOp::create(in, args[0], constant(in, count));
      });
}

/// 1 - x·t / (|x| |t|), norms of at least 1e-8.
Value LossWriter::cosine() {
  Value target = rows(argument(type, "target"));
  Value x = rows(output);
  AffineMap full = map(2, {0, 1});
  auto product = [&](Value left, Value right) {
    return reduceRows({left, right}, {full, full},
                      [](LocBuilder &in, ValueRange args) -> Value {
                        return arith::MulFOp::create(in, args[0], args[1]);
                      });
  };
  Value dot = product(x, target);
  Value distances = perRow(
      dot, {dot, product(x, x), product(target, target)},
      [&](LocBuilder &in, ValueRange args) -> Value {
        auto norm = [&](Value square) -> Value {
          return arith::MaximumFOp::create(in, math::SqrtOp::create(in, square),
                                           constant(in, 1e-8));
        };
        Value norms = arith::MulFOp::create(in, norm(args[1]), norm(args[2]));
        return arith::SubFOp::create(in, constant(in, 1),
                                     arith::DivFOp::create(in, args[0], norms));
      });
  double count = double(type.getNumElements() / type.getShape().back());
  return scalar(
      {reduceAll(distances)}, [&](LocBuilder &in, ValueRange args) -> Value {
        return arith::DivFOp::create(in, args[0], constant(in, count));
      });
}

FailureOr<Value> step::appendLoss(func::FuncOp function, Value output,
                                  StringRef name,
                                  const train::LossOptions &options) {
  auto type = cast<RankedTensorType>(output.getType());
  if (!isa<FloatType>(type.getElementType()))
    return function.emitError("output '")
           << name << "' is no tensor of floats: it has no loss";
  if (options.kind != LossKind::Own && type.getRank() == 0)
    return function.emitError("output '")
           << name << "' is a single number: its loss is \"own\"";
  LossWriter writer(function, output, options);
  switch (options.kind) {
  case LossKind::CrossEntropy:
    if (options.labelSmoothing < 0 || options.labelSmoothing >= 1)
      return function.emitError("label smoothing is ")
             << std::to_string(options.labelSmoothing) << ", not in [0, 1)";
    if (type.getRank() < 2)
      return function.emitError("output '")
             << name << "' has no dimension of classes";
    return writer.crossEntropy();
  case LossKind::MeanSquare:
    return writer.meanSquare();
  case LossKind::Cosine:
    return writer.cosine();
  case LossKind::Own: {
    if (type.getNumElements() != 1)
      return function.emitError("output '")
             << name << "' has " << type.getNumElements()
             << " elements: a loss has one";
    if (type.getRank() == 0)
      return output;
    OpBuilder b(function.getBody().front().getTerminator());
    return tensor::CollapseShapeOp::create(b, output.getLoc(), output,
                                           ArrayRef<ReassociationIndices>())
        .getResult();
  }
  case LossKind::External:
    break;
  }
  llvm_unreachable("no loss");
}
