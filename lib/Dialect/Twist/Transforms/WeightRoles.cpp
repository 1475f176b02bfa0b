//===- WeightRoles.cpp - What each weight of a graph is for ---------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
// Told by the ops that read a weight, never by its name.
//
//===----------------------------------------------------------------------===//

#include "twist/Dialect/ONNX/DataTest.h"
#include "twist/Dialect/Twist/Transforms/PrepareTraining.h"
#include "twist/Dialect/Twist/Twist.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace twist;
using namespace twist::axes;

StringRef twist::axes::roleName(WeightRole role) {
  switch (role) {
  case WeightRole::Other:
    return "other";
  case WeightRole::Weight:
    return "weight";
  case WeightRole::Bias:
    return "bias";
  case WeightRole::Scale:
    return "scale";
  case WeightRole::Shift:
    return "shift";
  case WeightRole::Embedding:
    return "embedding";
  case WeightRole::Gain:
    return "gain";
  }
  llvm_unreachable("no such role");
}

/// The type of a weight or constant of floats; null for any other op.
static RankedTensorType floatType(Operation *op) {
  if (!isa_and_nonnull<weights::LoadOp, onnx::ConstantOp>(op))
    return nullptr;
  auto type = dyn_cast<RankedTensorType>(op->getResult(0).getType());
  return type && isa<FloatType>(type.getElementType()) ? type
                                                       : RankedTensorType();
}

/// Ops that only move elements.
static bool isMove(Operation *op) {
  return isa<onnx::TransposeOp, onnx::ReshapeOp, onnx::SqueezeOp,
             onnx::UnsqueezeOp, onnx::FlattenOp, onnx::CastOp, onnx::IdentityOp,
             onnx::ExpandOp, GateOp>(op);
}

/// `value` before moves.
static Value origin(Value value) {
  while (Operation *op = value.getDefiningOp()) {
    if (!isMove(op))
      break;
    value = op->getOperand(0);
  }
  return value;
}

namespace {
class RoleFinder {
public:
  explicit RoleFinder(func::FuncOp function) {
    for (Operation &op : function.getBody().front())
      if (floatType(&op))
        roles[&op] = WeightRole::Other;
    for (Operation &op : function.getBody().front())
      visit(&op);
  }
  llvm::MapVector<Operation *, WeightRole> roles;

private:
  void visit(Operation *op);
  void visitProduct(Value a, Value b);
  void visitGather(onnx::GatherOp gather);
  void visitSum(Value a, Value b);
  void visitScaling(Value a, Value b);

  /// What `value`, made of weights alone, is made of gets a role. Numbers that
  /// a formula holds, such as the 1 in 1 + scale, are no parameters.
  void assign(Value value, WeightRole role, bool direct = true);
  bool isProductWithWeight(Value value);
  bool isNormalised(Value value);
  bool isScaledNorm(Value value);

  onnx::DataTest isData;
};
} // namespace

void RoleFinder::assign(Value value, WeightRole role, bool direct) {
  Operation *op = value.getDefiningOp();
  if (!op || isData(value) || isa<onnx::ShapeOp, onnx::SizeOp>(op))
    return;
  if (RankedTensorType type = floatType(op)) {
    // A product tells more of a table than that its rows are gathered, but both
    // are the same tensor then: the first role stays.
    if ((direct || type.getNumElements() > 1) && roles[op] == WeightRole::Other)
      roles[op] = role;
    return;
  }
  bool moves = isMove(op);
  for (Value operand : op->getOperands())
    assign(operand, role, direct && moves);
}

void RoleFinder::visitProduct(Value a, Value b) {
  if (isData(a) != isData(b))
    assign(isData(a) ? b : a, WeightRole::Weight);
}

/// Rows of a table that are used as they are: what multiplies data by them, as
/// rotations by position do, is no embedding.
void RoleFinder::visitGather(onnx::GatherOp gather) {
  Value table = origin(gather.getData());
  auto type = floatType(table.getDefiningOp());
  if (!type || type.getRank() != 2 || gather.getAxis() != 0)
    return;
  SmallVector<Value> rows{gather.getOutput()};
  while (!rows.empty()) {
    Value value = rows.pop_back_val();
    for (Operation *user : value.getUsers()) {
      if (isMove(user) || isa<onnx::ConcatOp, onnx::SliceOp, onnx::NegOp>(user))
        rows.push_back(user->getResult(0));
      else if (isa<onnx::MulOp>(user) &&
               llvm::any_of(user->getOperands(), [&](Value other) {
                 return other != value && isData(other);
               }))
        return;
    }
  }
  assign(table, WeightRole::Embedding);
}

bool RoleFinder::isProductWithWeight(Value value) {
  Operation *op = origin(value).getDefiningOp();
  auto oneIsWeight = [&](Value a, Value b) { return isData(a) != isData(b); };
  return llvm::TypeSwitch<Operation *, bool>(op)
      .Case([&](onnx::MatMulOp product) {
        return oneIsWeight(product.getA(), product.getB());
      })
      .Case([&](onnx::GemmOp product) {
        return oneIsWeight(product.getA(), product.getB());
      })
      .Case([&](onnx::EinsumOp product) {
        return llvm::any_of(product.getInputs(),
                            [&](Value input) { return !isData(input); });
      })
      .Case<onnx::ConvOp, onnx::ConvTransposeOp>(
          [&](auto conv) { return !isData(conv.getW()); })
      .Default(false);
}

/// Whether `value` is made by a mean or a sum of squares, then functions of it.
static bool isStatistic(Value value, int depth = 0) {
  Operation *op = value.getDefiningOp();
  if (!op || depth > 8)
    return false;
  if (isa<onnx::ReduceMeanOp, onnx::ReduceSumOp, onnx::ReduceSumSquareOp,
          onnx::ReduceL2Op>(op))
    return true;
  if (!isMove(op) &&
      !isa<onnx::SqrtOp, onnx::ReciprocalOp, onnx::PowOp, onnx::AddOp,
           onnx::ClipOp, onnx::MaxOp, onnx::DivOp, onnx::MulOp>(op))
    return false;
  return llvm::any_of(op->getOperands(),
                      [&](Value v) { return isStatistic(v, depth + 1); });
}

/// Whether `value` ends in a root or its inverse of a statistic.
static bool isDeviation(Value value) {
  Operation *op = origin(value).getDefiningOp();
  if (!op)
    return false;
  if (isa<onnx::SqrtOp, onnx::PowOp, onnx::ReduceL2Op>(op))
    return isStatistic(op->getResult(0));
  if (isa<onnx::ReciprocalOp>(op))
    return isDeviation(op->getOperand(0));
  if (isa<onnx::DivOp>(op))
    return isDeviation(op->getOperand(1));
  if (isa<onnx::ClipOp, onnx::MaxOp, onnx::AddOp>(op))
    return llvm::any_of(op->getOperands(), isDeviation);
  return false;
}

bool RoleFinder::isNormalised(Value value) {
  Operation *op = origin(value).getDefiningOp();
  if (isa_and_nonnull<onnx::DivOp>(op))
    return isDeviation(op->getOperand(1));
  return isa_and_nonnull<onnx::MulOp>(op) &&
         (isDeviation(op->getOperand(0)) || isDeviation(op->getOperand(1)));
}

bool RoleFinder::isScaledNorm(Value value) {
  Operation *op = origin(value).getDefiningOp();
  return isa_and_nonnull<onnx::MulOp>(op) &&
         ((isNormalised(op->getOperand(0)) && !isData(op->getOperand(1))) ||
          (isNormalised(op->getOperand(1)) && !isData(op->getOperand(0))));
}

void RoleFinder::visitSum(Value a, Value b) {
  if (isData(a) == isData(b))
    return;
  Value data = isData(a) ? a : b, other = isData(a) ? b : a;
  auto type = dyn_cast<RankedTensorType>(origin(other).getType());
  if (!type || type.getRank() == 0)
    return;
  if (isNormalised(data) || isScaledNorm(data))
    assign(other, WeightRole::Shift);
  else if (isProductWithWeight(data))
    assign(other, WeightRole::Bias);
}

void RoleFinder::visitScaling(Value a, Value b) {
  if (isData(a) == isData(b))
    return;
  Value data = isData(a) ? a : b, other = isData(a) ? b : a;
  auto type = dyn_cast<RankedTensorType>(origin(other).getType());
  if (type && type.getRank() > 0 && isNormalised(data))
    assign(other, WeightRole::Scale);
}

void RoleFinder::visit(Operation *op) {
  auto norm = [&](Value scale, Value shift) {
    assign(scale, WeightRole::Scale);
    if (shift)
      assign(shift, WeightRole::Shift);
  };
  llvm::TypeSwitch<Operation *>(op)
      .Case([&](onnx::MatMulOp p) { visitProduct(p.getA(), p.getB()); })
      .Case([&](onnx::GemmOp p) {
        visitProduct(p.getA(), p.getB());
        assign(p.getC(), WeightRole::Bias);
      })
      .Case([&](onnx::EinsumOp p) {
        for (Value input : p.getInputs())
          if (isData(p.getOutput()))
            assign(input, WeightRole::Weight);
      })
      .Case<onnx::ConvOp, onnx::ConvTransposeOp>([&](auto conv) {
        assign(conv.getW(), WeightRole::Weight);
        assign(conv.getB(), WeightRole::Bias);
      })
      .Case<onnx::RNNOp, onnx::GRUOp, onnx::LSTMOp>([&](auto net) {
        assign(net.getW(), WeightRole::Weight);
        assign(net.getR(), WeightRole::Weight);
        assign(net.getB(), WeightRole::Bias);
      })
      .Case([&](onnx::LayerNormalizationOp n) { norm(n.getScale(), n.getB()); })
      .Case<onnx::RMSNormalizationOp, onnx::SimplifiedLayerNormalizationOp>(
          [&](auto n) { norm(n.getScale(), Value()); })
      .Case<onnx::BatchNormalizationOp, onnx::InstanceNormalizationOp>(
          [&](auto n) { norm(n.getScale(), n.getB()); })
      .Case([&](onnx::GroupNormalizationOp n) {
        norm(n.getScale(), n.getBias());
      })
      .Case([&](onnx::GatherOp gather) { visitGather(gather); })
      .Case([&](onnx::AddOp sum) { visitSum(sum.getA(), sum.getB()); })
      .Case([&](onnx::MulOp p) { visitScaling(p.getA(), p.getB()); });
}

llvm::MapVector<Operation *, WeightRole>
twist::axes::findWeightRoles(func::FuncOp function) {
  return RoleFinder(function).roles;
}
