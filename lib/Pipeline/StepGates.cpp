//===- StepGates.cpp - Gains and dropout at gates -------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "GateSites.h"
#include "StepModel.h"

#include "twist/Dialect/ONNX/ONNX.h"
#include "twist/Dialect/Twist/Transforms/PrepareTraining.h"

using namespace mlir;
using namespace twist;
using namespace twist::axes;

/// A number of the type that `value`'s elements have.
static onnx::ConstantOp numberLike(OpBuilder &b, Location loc, Value value) {
  Type element = cast<RankedTensorType>(value.getType()).getElementType();
  auto point = RankedTensorType::get({}, element);
  return onnx::ConstantOp::create(
      b, loc, point, DenseElementsAttr::get(point, b.getFloatAttr(element, 1)));
}

static void scale(GatePlace &place, Value factor) {
  Operation *op = place.data->getOwner();
  OpBuilder b(op);
  place.data->set(onnx::MulOp::create(
      b, op->getLoc(), place.data->get().getType(), place.data->get(), factor));
}

/// The data at each place is multiplied by the gain of each of its axes, and by
/// a marked 1, in whose place takeDropoutFactors puts what drops elements once
/// sizes are known:
///
///   y = gate(x) · gate(W)        y = (gate(x) * gain * 1) · gate(W)
///
LogicalResult StepModel::addFactors(const StepCompilerOptions &options) {
  auto main = module.get().lookupSymbol<func::FuncOp>("main");
  llvm::StringMap<AxisInfo> axes;
  for (const AxisInfo &axis : axesOf(*module))
    axes[axis.symbol] = axis;
  FailureOr<SmallVector<GatePlace>> places =
      GateFinder(*module, {"*"}).find(main);
  if (failed(places))
    return failure();
  llvm::StringMap<Value> gains;
  for (auto [site, place] : llvm::enumerate(*places)) {
    for (GateOp gate : place.gates) {
      if (options.gains == GainKind::None)
        break;
      Value &gain = gains[gate.getAxis()];
      if (!gain) {
        OpBuilder b = OpBuilder::atBlockBegin(&main.getBody().front());
        ParameterInfo info;
        info.name = "gain:" + axes[gate.getAxis()].name();
        info.role = WeightRole::Gain;
        info.trainable = options.gains == GainKind::Learned;
        gain = numberLike(b, main.getLoc(), place.data->get());
        info.setOn(gain.getDefiningOp());
      }
      scale(place, gain);
    }
    if (!options.dropout)
      continue;
    Operation *op = place.data->getOwner();
    OpBuilder b(op);
    onnx::ConstantOp one = numberLike(b, op->getLoc(), place.data->get());
    one->setAttr(kDropoutAttr, b.getI64IntegerAttr(int64_t(site)));
    scale(place, one);
  }
  return success();
}

/// x * 1  ->  x * factors, an argument of x's type, after all others.
LogicalResult twist::takeDropoutFactors(ModuleOp module) {
  auto main = module.lookupSymbol<func::FuncOp>("main");
  SmallVector<onnx::ConstantOp> marks;
  main.walk([&](onnx::ConstantOp op) {
    if (op->hasAttr(kDropoutAttr))
      marks.push_back(op);
  });
  Builder b(module.getContext());
  for (onnx::ConstantOp mark : marks) {
    for (OpOperand &use :
         llvm::make_early_inc_range(mark->getResult(0).getUses())) {
      Operation *op = use.getOwner();
      auto type = cast<RankedTensorType>(op->getResult(0).getType());
      // Philox counts elements in 32 bits.
      if (!type.hasStaticShape() || uint64_t(type.getNumElements()) >> 32)
        return op->emitError("cannot be dropped from: its size is ") << type;
      unsigned number = main.getNumArguments();
      if (failed(main.insertArgument(
              number, type,
              b.getDictionaryAttr(
                  b.getNamedAttr(kDropoutAttr, mark->getAttr(kDropoutAttr))),
              op->getLoc())))
        return failure();
      use.set(main.getArgument(number));
    }
    mark.erase();
  }
  return success();
}

/// The op that `value` is, but for where its elements lie.
static Operation *weightBehind(Value value) {
  while (Operation *op = value.getDefiningOp()) {
    if (ParameterInfo::of(op))
      return op;
    if (!isa<GateOp, onnx::TransposeOp, onnx::ReshapeOp, onnx::IdentityOp>(op))
      return nullptr;
    value = op->getOperand(0);
  }
  return nullptr;
}

LogicalResult StepModel::describeGains() {
  auto main = module.get().lookupSymbol<func::FuncOp>("main");
  FailureOr<SmallVector<GatePlace>> places =
      GateFinder(*module, {"*"}).find(main);
  llvm::StringMap<unsigned> numbers;
  for (auto [i, parameter] : llvm::enumerate(modelLayout.parameters))
    numbers[parameter.name] = i;
  // The gates are on the scaled data's operand now: found through the scaling.
  main.walk([&](Operation *op) {
    for (OpOperand &operand : op->getOpOperands()) {
      auto scaled = operand.get().getDefiningOp<onnx::MulOp>();
      SmallVector<unsigned> gains;
      while (scaled) {
        Operation *maker = scaled.getB().getDefiningOp();
        if (maker && maker->hasAttr(kDropoutAttr)) {
          scaled = scaled.getA().getDefiningOp<onnx::MulOp>();
          continue;
        }
        std::optional<ParameterInfo> info =
            maker ? ParameterInfo::of(maker) : std::nullopt;
        if (!info || info->role != WeightRole::Gain)
          break;
        gains.push_back(numbers.lookup(info->name));
        scaled = scaled.getA().getDefiningOp<onnx::MulOp>();
      }
      if (gains.empty() || isa<onnx::MulOp>(op))
        continue;
      unsigned other = operand.getOperandNumber() == 0 ? 1 : 0;
      Operation *weight = other < op->getNumOperands()
                              ? weightBehind(op->getOperand(other))
                              : nullptr;
      bool isOwn = weight && weight->getResult(0).hasOneUse();
      for (unsigned gain : gains) {
        train::Parameter &parameter = modelLayout.parameters[gain];
        parameter.isFoldable &= isOwn;
        if (isOwn)
          parameter.scales.push_back(
              numbers.lookup(ParameterInfo::of(weight)->name));
      }
    }
  });
  return success();
}
