//===- KeepBiases.cpp - What zeroed rows leave in consumers ---------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Dialect/Twist/Transforms/KeepBiases.h"

#include "twist/Dialect/ONNX/DataTest.h"
#include "twist/Dialect/Twist/Transforms/Subnetwork.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Traits.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace twist;
using namespace twist::axes;

static RankedTensorType tensorOf(Value value) {
  return dyn_cast<RankedTensorType>(value.getType());
}

/// All ones but `size` at `dim`.
static RankedTensorType alongDim(Value like, int64_t dim, int64_t size) {
  SmallVector<int64_t> shape(tensorOf(like).getRank(), 1);
  shape[dim] = size;
  return RankedTensorType::get(shape, tensorOf(like).getElementType());
}

static Value splat(OpBuilder &builder, Location loc, RankedTensorType type,
                   double value) {
  auto data = DenseElementsAttr::get(
      type, Attribute(builder.getFloatAttr(type.getElementType(), value)));
  return onnx::ConstantOp::create(builder, loc, type, data);
}

static Value stripGates(Value value) {
  while (auto gate = value.getDefiningOp<GateOp>())
    value = gate.getInput();
  return value;
}

namespace {

/// Both questions, with what is known of a graph.
struct DataTests {
  onnx::DataTest isData, isOpen{/*sizesToo=*/true};
};

/// Computes, from weights alone, what values are where the rows that make a
/// unit are zero. Dimensions of data have size 1 then.
class Follower {
public:
  Follower(StringRef axis, DataTests &tests, OpBuilder &builder)
      : axis(axis), isData(tests.isData), isOpen(tests.isOpen),
        builder(builder) {}

  /// `dim` is the dimension with the units.
  FailureOr<Value> follow(Value value, int64_t dim);

  LogicalResult refuse(Operation *op, const Twine &why) {
    return op->emitError() << "ticket: axis '" << axis
                           << "' has site \"weight\", but a removed unit is no "
                              "constant here: "
                           << why;
  }

private:
  FailureOr<Value> followMatMul(onnx::MatMulOp op, int64_t dim);
  FailureOr<Value> followGemm(onnx::GemmOp op, int64_t dim);
  FailureOr<Value> followConv(onnx::ConvOp op, int64_t dim);
  FailureOr<Value> followNorm(onnx::BatchNormalizationOp op, int64_t dim);
  FailureOr<Value> followTranspose(onnx::TransposeOp op, int64_t dim);
  FailureOr<Value> followReshape(onnx::ReshapeOp op, int64_t dim);
  FailureOr<Value> followElementwise(Operation *op, int64_t dim);

  /// `op` on other operands, with a result of the type given.
  Value again(Operation *op, ArrayRef<Value> operands, Type type) {
    Operation *copy = builder.clone(*op);
    copy->setOperands(operands);
    copy->getResult(0).setType(type);
    for (Value rest : copy->getResults().drop_front())
      rest.setType(builder.getNoneType());
    return copy->getResult(0);
  }

  StringRef axis;
  onnx::DataTest &isData, &isOpen;
  OpBuilder &builder;
};

} // namespace

FailureOr<Value> Follower::follow(Value value, int64_t dim) {
  if (!isData(value))
    return value;
  Operation *op = value.getDefiningOp();
  if (!op || !tensorOf(value))
    return refuse(value.getParentRegion()->getParentOp(), "it is an input");
  builder.setInsertionPointAfter(op);
  if (op->hasTrait<onnx::Elementwise>())
    return followElementwise(op, dim);
  return TypeSwitch<Operation *, FailureOr<Value>>(op)
      .Case([&](GateOp gate) { return follow(gate.getInput(), dim); })
      .Case([&](onnx::MatMulOp matmul) { return followMatMul(matmul, dim); })
      .Case([&](onnx::GemmOp gemm) { return followGemm(gemm, dim); })
      .Case([&](onnx::ConvOp conv) { return followConv(conv, dim); })
      .Case([&](onnx::BatchNormalizationOp norm) {
        return followNorm(norm, dim);
      })
      .Case([&](onnx::TransposeOp transpose) {
        return followTranspose(transpose, dim);
      })
      .Case(
          [&](onnx::ReshapeOp reshape) { return followReshape(reshape, dim); })
      .Default([&](Operation *other) -> FailureOr<Value> {
        return refuse(other, other->getName().stripDialect() + " mixes it");
      });
}

FailureOr<Value> Follower::followMatMul(onnx::MatMulOp op, int64_t dim) {
  Value result = op.getC();
  if (dim != tensorOf(result).getRank() - 1 || isData(op.getB()))
    return refuse(op, "it is a product of data");
  return splat(builder, op.getLoc(),
               alongDim(result, dim, tensorOf(result).getDimSize(dim)), 0);
}

FailureOr<Value> Follower::followGemm(onnx::GemmOp op, int64_t dim) {
  Value result = op.getY();
  if (dim != 1 || isData(op.getB()))
    return refuse(op, "it is a product of data");
  auto type = alongDim(result, 1, tensorOf(result).getDimSize(1));
  if (isa<NoneType>(op.getC().getType()))
    return splat(builder, op.getLoc(), type, 0);
  if (isOpen(op.getC()))
    return refuse(op, "its bias depends on the input");
  Value beta = splat(builder, op.getLoc(), alongDim(result, 1, 1),
                     op.getBeta().convertToDouble());
  SmallVector<int64_t> shape;
  OpTrait::util::getBroadcastedShape(tensorOf(op.getC()).getShape(),
                                     type.getShape(), shape);
  return onnx::MulOp::create(builder, op.getLoc(), type.clone(shape), op.getC(),
                             beta)
      .getResult();
}

FailureOr<Value> Follower::followConv(onnx::ConvOp op, int64_t dim) {
  if (dim != 1 || isData(op.getW()) || op.getGroup() != 1)
    return refuse(op, op.getGroup() != 1 ? "it is summed over a window"
                                         : "it is a product of data");
  auto type = alongDim(op.getY(), 1, tensorOf(op.getY()).getDimSize(1));
  if (isa<NoneType>(op.getB().getType()))
    return splat(builder, op.getLoc(), type, 0);
  if (isOpen(op.getB()))
    return refuse(op, "its bias depends on the input");
  SmallVector<int64_t> sizes(type.getShape());
  auto shapeType =
      RankedTensorType::get({type.getRank()}, builder.getI64Type());
  Value shape =
      onnx::ConstantOp::create(builder, op.getLoc(), shapeType,
                               DenseIntElementsAttr::get(shapeType, sizes));
  return onnx::ReshapeOp::create(builder, op.getLoc(), type, op.getB(), shape)
      .getResult();
}

FailureOr<Value> Follower::followNorm(onnx::BatchNormalizationOp op,
                                      int64_t dim) {
  FailureOr<Value> x = follow(op.getX(), dim);
  if (failed(x))
    return failure();
  if (llvm::any_of(op->getOperands().drop_front(),
                   [&](Value operand) { return isOpen(operand); }))
    return refuse(op, "its statistics depend on the input");
  SmallVector<Value> operands(op->getOperands());
  operands[0] = *x;
  builder.setInsertionPointAfter(op);
  return again(op, operands, x->getType());
}

FailureOr<Value> Follower::followTranspose(onnx::TransposeOp op, int64_t dim) {
  int64_t rank = tensorOf(op.getX()).getRank();
  SmallVector<int64_t> perm;
  for (int64_t i = 0; i < rank; ++i)
    perm.push_back(op.getPerm() ? (*op.getPerm())[i] : rank - 1 - i);
  FailureOr<Value> x = follow(op.getX(), perm[dim]);
  if (failed(x))
    return failure();
  SmallVector<int64_t> shape;
  for (int64_t from : perm)
    shape.push_back(tensorOf(*x).getDimSize(from));
  builder.setInsertionPointAfter(op);
  return again(op, {*x}, tensorOf(*x).clone(shape));
}

/// Rows get other brackets, units stay the last dimension.
FailureOr<Value> Follower::followReshape(onnx::ReshapeOp op, int64_t dim) {
  auto from = tensorOf(op.getData()), to = tensorOf(op.getReshaped());
  if (dim != to.getRank() - 1 || from.getShape().back() != to.getShape().back())
    return refuse(op, "Reshape takes its units apart");
  FailureOr<Value> x = follow(op.getData(), from.getRank() - 1);
  if (failed(x))
    return failure();
  if (tensorOf(*x).getNumElements() != tensorOf(*x).getShape().back())
    return refuse(op, "its bias depends on the position");
  auto type = alongDim(op.getReshaped(), dim, to.getShape().back());
  auto shapeType =
      RankedTensorType::get({type.getRank()}, builder.getI64Type());
  builder.setInsertionPointAfter(op);
  Value shape = onnx::ConstantOp::create(
      builder, op.getLoc(), shapeType,
      DenseIntElementsAttr::get(shapeType, type.getShape()));
  return onnx::ReshapeOp::create(builder, op.getLoc(), type, *x, shape)
      .getResult();
}

FailureOr<Value> Follower::followElementwise(Operation *op, int64_t dim) {
  auto type = tensorOf(op->getResult(0));
  SmallVector<Value> operands;
  SmallVector<int64_t> shape;
  for (Value operand : op->getOperands()) {
    auto own = tensorOf(operand);
    if (own && isData(operand)) {
      int64_t at = dim - (type.getRank() - own.getRank());
      if (at < 0 || own.getDimSize(at) != type.getDimSize(dim))
        return refuse(op, "an operand is data without the axis");
      FailureOr<Value> constant = follow(operand, at);
      if (failed(constant))
        return failure();
      operand = *constant;
      own = tensorOf(operand);
    } else if (own && (isOpen(operand) || !own.hasStaticShape())) {
      return refuse(op, "an operand depends on the input's sizes");
    }
    operands.push_back(operand);
    SmallVector<int64_t> wider;
    if (own && OpTrait::util::getBroadcastedShape(shape, own.getShape(), wider))
      shape = wider;
  }
  builder.setInsertionPointAfter(op);
  return again(op, operands, type.clone(shape));
}

namespace {

/// One place where a constant goes: an operand that becomes the result with
/// this number of the evaluated module, or an op behind which it is added.
struct Edit {
  Operation *op;
  std::optional<unsigned> operand;
  RankedTensorType type;
};

/// Finds the sums over removed units in a copy of the module and makes the copy
/// compute what they leave.
class Collector {
public:
  Collector(ModuleOp module, const llvm::StringSet<> &axes, const CutAxes &cuts)
      : axes(axes), cuts(cuts), copy(cast<ModuleOp>(module->clone(mapping))),
        builder(module.getContext()) {}

  LogicalResult run(func::FuncOp function);
  /// The copy, with nothing but the constants left.
  ModuleOp finish();

  SmallVector<Edit> edits;

private:
  LogicalResult visit(OpOperand &operand);
  Value removedOnly(OpOperand &operand, Value constant, int64_t dim);
  FailureOr<Value> contribution(Operation *op, unsigned number, Value constant,
                                Follower &follower);
  void addTo(Operation *op, Value total);

  const llvm::StringSet<> &axes;
  const CutAxes &cuts;
  IRMapping mapping;
  OwningOpRef<ModuleOp> copy;
  OpBuilder builder;
  DataTests tests;
  SmallVector<Value> results;
};

} // namespace

/// The constant at indices of units that site "weight" removes and nothing else
/// does, 0 elsewhere.
Value Collector::removedOnly(OpOperand &operand, Value constant, int64_t dim) {
  auto type = tensorOf(constant);
  llvm::BitVector keep(type.getDimSize(dim), true), zero = keep;
  for (auto gate = operand.get().getDefiningOp<GateOp>(); gate;
       gate = gate.getInput().getDefiningOp<GateOp>())
    if (const CutAxis *cut = cuts.find(gate.getAxis()))
      for (auto place : gate.getPlaces().getAsRange<PlaceAttr>())
        clearRemoved(place, *cut, axes.contains(gate.getAxis()) ? keep : zero);
  SmallVector<bool> bits;
  for (unsigned i = 0; i < keep.size(); ++i)
    bits.push_back(!keep.test(i) && zero.test(i));
  SmallVector<int64_t> shape(type.getRank(), 1);
  shape[dim] = bits.size();
  auto maskType = RankedTensorType::get(shape, builder.getI1Type());
  Location loc = operand.getOwner()->getLoc();
  Value mask = onnx::ConstantOp::create(builder, loc, maskType,
                                        DenseElementsAttr::get(maskType, bits));
  Value nothing =
      splat(builder, loc, RankedTensorType::get({}, type.getElementType()), 0);
  return onnx::WhereOp::create(builder, loc, type, mask, constant, nothing);
}

/// What `op` makes of the constant alone, without its bias.
FailureOr<Value> Collector::contribution(Operation *op, unsigned number,
                                         Value constant, Follower &follower) {
  auto type = tensorOf(constant);
  SmallVector<int64_t> shape(type.getShape());
  SmallVector<Value> operands;
  for (Value operand : op->getOperands())
    operands.push_back(stripGates(operand));
  if (number != 0 || operands.size() < 2 || tests.isOpen(operands[1]) ||
      !isa<onnx::MatMulOp, onnx::GemmOp, onnx::ConvOp>(op)) {
    (void)follower.refuse(op, "it is summed away in a product of data");
    return failure();
  }
  auto weight = tensorOf(operands[1]);
  if (auto gemm = dyn_cast<onnx::GemmOp>(op); gemm && gemm.getTransA() == 0) {
    shape[1] = weight.getDimSize(gemm.getTransB() ? 0 : 1);
  } else if (isa<onnx::MatMulOp>(op) && weight.getRank() == 2) {
    shape.back() = weight.getDimSize(1);
  } else if (auto conv = dyn_cast<onnx::ConvOp>(op);
             conv &&
             llvm::all_of(weight.getShape().drop_front(2),
                          [](int64_t size) { return size == 1; }) &&
             llvm::all_of(conv.getPads().value_or(ArrayRef<int64_t>()),
                          [](int64_t pad) { return pad == 0; }) &&
             conv.getGroup() == 1) {
    shape[1] = weight.getDimSize(0);
  } else {
    (void)follower.refuse(op, "it is summed over a window or in a form whose "
                              "constant is not known");
    return failure();
  }
  operands[0] = constant;
  if (operands.size() > 2)
    operands[2] = onnx::NoneOp::create(
        builder, op->getLoc(), builder.getNoneType(), builder.getUnitAttr());
  Operation *alone = builder.clone(*op);
  alone->setOperands(operands);
  alone->getResult(0).setType(type.clone(shape));
  return alone->getResult(0);
}

/// Notes that `total` is added to what `op`, of the original, computes: in its
/// bias if it has one that is a weight.
void Collector::addTo(Operation *op, Value total) {
  auto sum = [&](Value bias) {
    auto type = tensorOf(total);
    SmallVector<int64_t> shape;
    OpTrait::util::getBroadcastedShape(tensorOf(bias).getShape(),
                                       type.getShape(), shape);
    return onnx::AddOp::create(builder, op->getLoc(), type.clone(shape), bias,
                               total)
        .getResult();
  };
  auto isBias = [&](Value value) {
    return tensorOf(value) && tensorOf(value).hasStaticShape() &&
           !tests.isOpen(mapping.lookup(value));
  };
  Edit edit{op, std::nullopt, {}};
  auto gemm = dyn_cast<onnx::GemmOp>(op);
  if (gemm && isBias(gemm.getC()) && gemm.getBeta().isExactlyValue(1.0)) {
    total = sum(mapping.lookup(gemm.getC()));
    edit.operand = 2;
  } else if (op->getResult(0).hasOneUse()) {
    auto add = dyn_cast<onnx::AddOp>(*op->getResult(0).user_begin());
    unsigned other = add && add.getA() == op->getResult(0) ? 1 : 0;
    if (add && isBias(add->getOperand(other))) {
      builder.setInsertionPoint(mapping.lookup(add.getOperation()));
      total = sum(mapping.lookup(add->getOperand(other)));
      edit = {add, other, {}};
    }
  }
  edit.type = tensorOf(total);
  edits.push_back(edit);
  results.push_back(total);
}

LogicalResult Collector::visit(OpOperand &operand) {
  StringRef axis;
  int64_t dim = 0;
  for (auto gate = operand.get().getDefiningOp<GateOp>(); gate;
       gate = gate.getInput().getDefiningOp<GateOp>())
    if (axes.contains(gate.getAxis()) && cuts.find(gate.getAxis())) {
      axis = gate.getAxis();
      dim = gate.getDim();
    }
  Operation *op = mapping.lookup(operand.getOwner());
  Value data = stripGates(mapping.lookup(operand.get()));
  if (axis.empty() || !tests.isData(data))
    return success();
  Follower follower(axis, tests, builder);
  FailureOr<Value> constant = follower.follow(data, dim);
  if (failed(constant))
    return failure();
  builder.setInsertionPoint(op);
  Value removed = removedOnly(operand, *constant, dim);
  FailureOr<Value> total =
      contribution(op, operand.getOperandNumber(), removed, follower);
  if (failed(total))
    return failure();
  addTo(operand.getOwner(), *total);
  return success();
}

LogicalResult Collector::run(func::FuncOp function) {
  for (Operation &op : function.getBody().front())
    if (!isa<GateOp>(op))
      for (OpOperand &operand : op.getOpOperands())
        if (failed(visit(operand)))
          return failure();
  return success();
}

ModuleOp Collector::finish() {
  auto function = copy->lookupSymbol<func::FuncOp>("main");
  Block &body = function.getBody().front();
  body.getTerminator()->setOperands(results);
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(body)))
    if (&op != body.getTerminator() && op.use_empty())
      op.erase();
  body.eraseArguments([](BlockArgument) { return true; });
  function.setArgAttrsAttr({});
  SmallVector<Type> types;
  SmallVector<DictionaryAttr> names;
  for (auto [i, value] : llvm::enumerate(results)) {
    types.push_back(value.getType());
    names.push_back(builder.getDictionaryAttr(builder.getNamedAttr(
        "onnx.name", builder.getStringAttr("bias" + Twine(i)))));
  }
  function.setFunctionType(FunctionType::get(copy->getContext(), {}, types));
  function.setAllResultAttrs(names);
  eraseAxes(*copy);
  return *copy;
}

/// `values` in the type's element type.
static Value constantOf(OpBuilder &builder, Location loc, RankedTensorType type,
                        ArrayRef<double> values) {
  auto element = cast<FloatType>(type.getElementType());
  SmallVector<APFloat> converted;
  for (double value : values) {
    APFloat number(value);
    bool loses = false;
    number.convert(element.getFloatSemantics(), APFloat::rmNearestTiesToEven,
                   &loses);
    converted.push_back(number);
  }
  return onnx::ConstantOp::create(builder, loc, type,
                                  DenseElementsAttr::get(type, converted));
}

static void applyEdit(const Edit &edit, ArrayRef<double> values) {
  OpBuilder builder(edit.op);
  Location loc = edit.op->getLoc();
  Value constant = constantOf(builder, loc, edit.type, values);
  if (edit.operand)
    return edit.op->setOperand(*edit.operand, constant);
  Value result = edit.op->getResult(0);
  builder.setInsertionPointAfter(edit.op);
  auto add =
      onnx::AddOp::create(builder, loc, result.getType(), result, constant);
  result.replaceAllUsesExcept(add.getResult(), add);
}

LogicalResult twist::axes::keepBiases(ModuleOp module,
                                      const llvm::StringSet<> &axes,
                                      const EvaluateConstants &evaluate) {
  FailureOr<CutAxes> cuts = CutAxes::of(module);
  auto function = module.lookupSymbol<func::FuncOp>("main");
  if (failed(cuts) || !function)
    return failure();
  Collector collector(module, axes, *cuts);
  if (failed(collector.run(function)))
    return failure();
  if (collector.edits.empty())
    return success();
  FailureOr<std::vector<std::vector<double>>> values =
      evaluate(collector.finish());
  if (failed(values))
    return failure();
  for (size_t i = 0; i < values->size(); ++i)
    applyEdit(collector.edits[i], (*values)[i]);
  return success();
}
