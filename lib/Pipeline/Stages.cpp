//===- Stages.cpp - A model with axes as a row of programs ----------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Pipeline/Stages.h"

#include "Engines.h"
#include "GateSites.h"

#include "twist/Dialect/ONNX/ONNX.h"
#include "twist/Dialect/ONNX/Transforms/Passes.h"
#include "twist/Dialect/Twist/AxisAnalysis.h"
#include "twist/Pipeline/Compile.h"
#include "twist/Pipeline/Gates.h"

#include "mlir/IR/IRMapping.h"
#include "mlir/Transforms/RegionUtils.h"

using namespace mlir;
using namespace twist;
using namespace twist::axes;

static StringRef nameOf(func::FuncOp function, unsigned argument) {
  auto name = function.getArgAttrOfType<StringAttr>(argument, "onnx.name");
  return name ? name.getValue() : StringRef();
}

/// The name of an open dimension, as onnx-bind-dims takes it.
static std::string symbolOf(func::FuncOp function, unsigned argument,
                            unsigned dim) {
  auto dims = function.getArgAttrOfType<ArrayAttr>(argument, "onnx.dims");
  if (dims && dim < dims.size())
    if (auto text = dyn_cast<StringAttr>(dims[dim]);
        text && !text.getValue().trim().empty())
      return text.getValue().trim().str();
  return (nameOf(function, argument) + "." + Twine(dim)).str();
}

std::vector<prune::Port> twist::inputPorts(ModuleOp module) {
  auto function = module.lookupSymbol<func::FuncOp>("main");
  std::vector<prune::Port> ports;
  for (auto [i, argument] : llvm::enumerate(function.getArguments())) {
    auto type = cast<RankedTensorType>(argument.getType());
    prune::Port &port = ports.emplace_back();
    port.name = nameOf(function, i).str();
    port.type = runtimeType(type.getElementType()).value_or(TWIST_F32);
    for (int64_t d = 0; d < type.getRank(); ++d) {
      bool isOpen = type.isDynamicDim(d);
      port.dims.push_back(isOpen ? -1 : type.getDimSize(d));
      port.symbols.push_back(isOpen ? symbolOf(function, i, d) : "");
    }
  }
  return ports;
}

FailureOr<prune::KeptUnits> twist::keptUnits(ModuleOp module) {
  FailureOr<CutAxes> cuts = CutAxes::of(module);
  if (failed(cuts))
    return failure();
  prune::KeptUnits kept;
  for (const AxisInfo &axis : axesOf(module))
    if (const CutAxis *cut = cuts->find(axis.symbol)) {
      std::vector<char> &units = kept[axis.name()];
      for (int64_t u = 0; u < axis.units; ++u)
        units.push_back(cut->kept.test(u));
    }
  return kept;
}

prune::KeptUnits twist::keptUnits(const Ticket &ticket) {
  prune::KeptUnits kept;
  for (const TicketAxis &axis : ticket.axes) {
    std::vector<char> &units = kept[axis.name];
    units.assign(axis.units, 0);
    for (int64_t unit : axis.keptUnits())
      units[unit] = 1;
  }
  return kept;
}

//===----------------------------------------------------------------------===//
// The model, ready to be cut: sites' weights are arguments, sizes are known
//===----------------------------------------------------------------------===//

namespace {
/// What the added arguments of @main are, and where each site is.
struct Lifted {
  OwningOpRef<ModuleOp> module;
  func::FuncOp function;
  llvm::DenseMap<Value, prune::Wire> arguments;
  SmallVector<Operation *> ops; ///< per site its contraction
  SmallVector<Value> data;      ///< per site, the gated dimension last
};

class Lifter {
public:
  Lifter(ModuleOp module, SiteChoice choice, prune::StagedModel &model)
      : source(module), choice(choice), model(model) {}
  FailureOr<Lifted> lift(const prune::Batch &batch);

private:
  Value addArgument(Type type, StringRef name, prune::Wire wire);
  void liftWeight(GatePlace &place, int64_t index);
  void liftFreeGates();
  LogicalResult dropEmptyInputs(const prune::Batch &batch);
  LogicalResult bindSizes(const prune::Batch &batch);
  LogicalResult keepOutputs();

  ModuleOp source;
  SiteChoice choice;
  prune::StagedModel &model;
  Lifted result;
};
} // namespace

Value Lifter::addArgument(Type type, StringRef name, prune::Wire wire) {
  func::FuncOp function = result.function;
  Builder builder(function.getContext());
  unsigned index = function.getNumArguments();
  auto attributes = builder.getDictionaryAttr(builder.getNamedAttr(
      "onnx.name", builder.getStringAttr("twist." + name + Twine(wire.index))));
  (void)function.insertArgument(index, type, attributes, function.getLoc());
  return function.getArgument(index);
}

/// y = gate(x) · gate(W) becomes y = x · W' + b' with arguments W' and b'.
void Lifter::liftWeight(GatePlace &place, int64_t index) {
  Operation *op = place.data->getOwner();
  auto type = cast<RankedTensorType>(place.weight->get().getType());
  prune::Consumer consumer;
  consumer.type = *runtimeType(type.getElementType());
  consumer.dims.assign(type.getShape().begin(), type.getShape().end());
  consumer.dim = place.weightDim;
  consumer.takesBias = canCorrect(place);
  prune::Wire wire{prune::Wire::Weight, index};
  Value weight = addArgument(type, "weight", wire);
  result.arguments[weight] = wire;
  place.weight->set(weight);
  place.data->set(stripGates(place.data->get()));
  if (consumer.takesBias) {
    wire.kind = prune::Wire::Bias;
    Value bias = addArgument(
        RankedTensorType::get({type.getDimSize(1 - place.weightDim)},
                              type.getElementType()),
        "bias", wire);
    result.arguments[bias] = wire;
    OpBuilder builder(op->getContext());
    builder.setInsertionPointAfter(op);
    Value product = op->getResult(0);
    auto sum = onnx::AddOp::create(builder, op->getLoc(), product.getType(),
                                   product, bias);
    product.replaceAllUsesExcept(sum.getResult(), sum);
  }
  model.consumers.push_back(std::move(consumer));
}

/// Gates that no weight meets select by masks that are arguments.
void Lifter::liftFreeGates() {
  llvm::StringMap<AxisInfo> axes;
  for (const AxisInfo &axis : axesOf(*result.module))
    axes[axis.symbol] = axis;
  SmallVector<GateOp> gates;
  result.function.walk([&](GateOp gate) { gates.push_back(gate); });
  for (GateOp gate : llvm::reverse(gates))
    if (gate->use_empty())
      gate.erase();
  gates.clear();
  result.function.walk([&](GateOp gate) { gates.push_back(gate); });
  for (GateOp gate : gates) {
    auto type = cast<RankedTensorType>(gate.getType());
    int64_t dim = gate.getDim();
    const AxisInfo &axis = axes[gate.getAxis()];
    prune::FreeGate free{{axis.name(), axis.kind, axis.units, {}}, {}};
    for (auto at : gate.getPlaces().getAsRange<PlaceAttr>())
      free.axis.places.push_back(
          {at.getOffset(), at.getOuter(), at.getUnits(), at.getInner()});
    free.dims.assign(type.getRank() - dim, 1);
    free.dims[0] = type.getDimSize(dim);
    OpBuilder builder(gate);
    prune::Wire wire{prune::Wire::Mask, int64_t(model.gates.size())};
    Value mask = addArgument(
        RankedTensorType::get(free.dims, builder.getI1Type()), "mask", wire);
    result.arguments[mask] = wire;
    auto scalar = RankedTensorType::get({}, type.getElementType());
    Value zero = onnx::ConstantOp::create(
        builder, gate.getLoc(), scalar,
        DenseElementsAttr::get(scalar,
                               builder.getZeroAttr(type.getElementType())));
    gate.getOutput().replaceAllUsesWith(onnx::WhereOp::create(
        builder, gate.getLoc(), type, mask, gate.getInput(), zero));
    gate.erase();
    model.gates.push_back(std::move(free));
  }
}

/// State of no tokens: what is appended to it is alone, its shape is known.
LogicalResult Lifter::dropEmptyInputs(const prune::Batch &batch) {
  for (auto [i, input] : llvm::enumerate(batch.inputs)) {
    if (input.size() != 0)
      continue;
    Value argument = result.function.getArgument(i);
    for (OpOperand &use : llvm::make_early_inc_range(argument.getUses())) {
      Operation *op = use.getOwner();
      if (auto shape = dyn_cast<onnx::ShapeOp>(op)) {
        int64_t rank = int64_t(input.dims.size());
        auto clamp = [&](int64_t at) {
          return std::clamp<int64_t>(at < 0 ? at + rank : at, 0, rank);
        };
        int64_t start = clamp(shape.getStart());
        int64_t end = shape.getEnd() ? clamp(*shape.getEnd()) : rank;
        ArrayRef<int64_t> sizes =
            ArrayRef(input.dims)
                .slice(start, std::max<int64_t>(end - start, 0));
        OpBuilder builder(op);
        auto type = RankedTensorType::get({int64_t(sizes.size())},
                                          builder.getI64Type());
        shape.getResult().replaceAllUsesWith(onnx::ConstantOp::create(
            builder, op->getLoc(), type, DenseElementsAttr::get(type, sizes)));
        op->erase();
        continue;
      }
      auto concat = dyn_cast<onnx::ConcatOp>(op);
      if (!concat || op->getNumOperands() < 2)
        return op->emitError("needs input '")
               << nameOf(result.function, i)
               << "', of which there is nothing at the first token: the model "
                  "can't be measured piece by piece";
      if (op->getNumOperands() > 2) {
        op->eraseOperand(use.getOperandNumber());
        continue;
      }
      op->getResult(0).replaceAllUsesWith(
          op->getOperand(1 - use.getOperandNumber()));
      op->erase();
    }
  }
  return success();
}

LogicalResult Lifter::bindSizes(const prune::Batch &batch) {
  llvm::StringMap<int64_t> sizes;
  for (auto [i, input] : llvm::enumerate(batch.inputs)) {
    auto type =
        cast<RankedTensorType>(result.function.getArgument(i).getType());
    for (int64_t d = 0; d < type.getRank() && input.size() != 0; ++d) {
      std::string symbol = symbolOf(result.function, i, d);
      if (type.isDynamicDim(d) && !StringRef(symbol).contains_insensitive(" "))
        sizes[symbol] = input.dims[d];
    }
  }
  return onnx::bindDims(*result.module, sizes);
}

/// State leaves the results.
LogicalResult Lifter::keepOutputs() {
  func::FuncOp function = source.lookupSymbol<func::FuncOp>("main");
  FailureOr<AxisAnalysis> analysis = AxisAnalysis::compute(function);
  if (failed(analysis))
    return failure();
  llvm::BitVector isState(function.getNumResults());
  for (auto [input, output] : analysis->statePairs())
    isState.set(output);
  for (unsigned i = 0; i < function.getNumResults(); ++i)
    if (!isState.test(i)) {
      auto name = function.getResultAttrOfType<StringAttr>(i, "onnx.name");
      auto type = cast<RankedTensorType>(function.getResultTypes()[i]);
      prune::Port &port = model.outputs.emplace_back();
      port.name = name ? name.str() : std::to_string(i);
      port.type = runtimeType(type.getElementType()).value_or(TWIST_I64);
      for (int64_t size : type.getShape())
        port.dims.push_back(ShapedType::isDynamic(size) ? -1 : size);
    }
  Operation *end = result.function.getBody().front().getTerminator();
  (void)result.function.eraseResults(isState);
  end->eraseOperands(isState);
  return success();
}

FailureOr<Lifted> Lifter::lift(const prune::Batch &batch) {
  result.module = source.clone();
  result.function = result.module->lookupSymbol<func::FuncOp>("main");
  GateFinder finder(*result.module, {"*"});
  FailureOr<SmallVector<GatePlace>> places =
      findSites(finder, result.function, choice);
  if (failed(places) || failed(keepOutputs()))
    return failure();
  for (auto [i, place] : llvm::enumerate(*places)) {
    Operation *op = place.data->getOwner();
    if (!result.ops.empty() && result.ops.back() == op)
      return op->emitError("sums two gated operands: the model can't be "
                           "measured piece by piece");
    result.ops.push_back(op);
    liftWeight(place, int64_t(i));
  }
  liftFreeGates();
  eraseAxes(*result.module);
  if (failed(dropEmptyInputs(batch)) || failed(bindSizes(batch)))
    return failure();
  for (auto [op, place] : llvm::zip_equal(result.ops, *places)) {
    OpBuilder builder(op);
    Value value = place.data->get();
    int64_t rank = cast<RankedTensorType>(value.getType()).getRank();
    result.data.push_back(moveDim(builder, value, place.dataDim, rank - 1));
  }
  for (BlockArgument argument : result.function.getArguments())
    if (!result.arguments.contains(argument))
      result.arguments[argument] = {prune::Wire::Input,
                                    int64_t(argument.getArgNumber())};
  return std::move(result);
}

//===----------------------------------------------------------------------===//
// Stages
//===----------------------------------------------------------------------===//

namespace {
class Stager {
public:
  Stager(Lifted lifted, prune::StagedModel &model)
      : lifted(std::move(lifted)), model(model) {}
  LogicalResult run();

private:
  SmallVector<Value> operandsOf(Operation &op);
  void assignStages();
  LogicalResult assignSlots();
  LogicalResult addStage(int64_t stage);
  /// Copies an op that takes no data, and what it takes.
  void copyConstants(Value value, IRMapping &map, OpBuilder &builder);

  Lifted lifted;
  prune::StagedModel &model;
  llvm::DenseMap<Value, int64_t> stageOf; ///< of data, not of arguments
  llvm::MapVector<Value, int64_t> slots;
};
} // namespace

/// Those of nested ops that come from outside too.
SmallVector<Value> Stager::operandsOf(Operation &op) {
  llvm::SetVector<Value> values(op.operand_begin(), op.operand_end());
  mlir::getUsedValuesDefinedAbove(op.getRegions(), values);
  return values.takeVector();
}

void Stager::assignStages() {
  int64_t stage = 0;
  for (Operation &op : lifted.function.getBody().front()) {
    while (stage < int64_t(lifted.ops.size()) && lifted.ops[stage] == &op)
      ++stage;
    for (Value value : operandsOf(op))
      if (isa<BlockArgument>(value) || stageOf.contains(value)) {
        for (Value made : op.getResults())
          stageOf[made] = stage;
        break;
      }
  }
}

LogicalResult Stager::assignSlots() {
  auto keep = [&](Value value) -> LogicalResult {
    auto type = dyn_cast<RankedTensorType>(value.getType());
    if (!type || !type.hasStaticShape() || !runtimeType(type.getElementType()))
      return emitError(value.getLoc())
             << "gives a value of a size that the inputs' sizes do not tell: "
                "the model can't be measured piece by piece";
    slots.insert({value, int64_t(slots.size())});
    return success();
  };
  for (auto [i, value] : llvm::enumerate(lifted.data)) {
    if (isa<BlockArgument>(value) || !stageOf.contains(value))
      return lifted.ops[i]->emitError("is given an input as it is: there is "
                                      "nothing before it to measure");
    if (failed(keep(value)))
      return failure();
    model.consumers[i].data = slots[value];
  }
  int64_t stage = 0;
  for (Operation &op : lifted.function.getBody().front()) {
    while (stage < int64_t(lifted.ops.size()) && lifted.ops[stage] == &op)
      ++stage;
    for (Value value : operandsOf(op))
      if (auto found = stageOf.find(value);
          found != stageOf.end() && found->second < stage &&
          !slots.contains(value) && failed(keep(value)))
        return failure();
  }
  model.slots = int64_t(slots.size());
  return success();
}

void Stager::copyConstants(Value value, IRMapping &map, OpBuilder &builder) {
  if (map.contains(value))
    return;
  Operation *op = value.getDefiningOp();
  for (Value operand : operandsOf(*op))
    copyConstants(operand, map, builder);
  builder.clone(*op, map);
}

LogicalResult Stager::addStage(int64_t index) {
  ModuleOp module = *lifted.module;
  bool isLast = index == int64_t(lifted.ops.size());
  OwningOpRef<ModuleOp> made = ModuleOp::create(module.getLoc());
  (*made)->setAttrs(module->getAttrs());
  OpBuilder builder = OpBuilder::atBlockEnd(made->getBody());
  for (Operation &op : *module.getBody())
    if (!isa<func::FuncOp>(op))
      builder.clone(op);
  auto function =
      func::FuncOp::create(builder, lifted.function.getLoc(), "main",
                           FunctionType::get(module.getContext(), {}, {}));
  Block *body = function.addEntryBlock();
  builder.setInsertionPointToStart(body);
  prune::Stage stage;
  IRMapping map;
  auto name = [&](StringRef kind, int64_t i) {
    return builder.getDictionaryAttr(builder.getNamedAttr(
        "onnx.name", builder.getStringAttr(kind + Twine(i))));
  };
  auto take = [&](Value value) {
    auto slot = slots.find(value);
    bool isArgument = isa<BlockArgument>(value);
    if (map.contains(value))
      return;
    if (!isArgument && !stageOf.contains(value))
      return copyConstants(value, map, builder);
    unsigned at = function.getNumArguments();
    (void)function.insertArgument(at, value.getType(), name("in", at),
                                  value.getLoc());
    map.map(value, function.getArgument(at));
    stage.inputs.push_back(isArgument
                               ? lifted.arguments[value]
                               : prune::Wire{prune::Wire::Value, slot->second});
  };
  SmallVector<Value> results;
  SmallVector<DictionaryAttr> names;
  Block &all = lifted.function.getBody().front();
  for (Operation &op : all.without_terminator()) {
    if (op.getNumResults() == 0 ||
        stageOf.lookup_or(op.getResult(0), -1) != index)
      continue;
    for (Value operand : operandsOf(op))
      take(operand);
    builder.clone(op, map);
    for (Value value : op.getResults())
      if (auto slot = slots.find(value); slot != slots.end()) {
        results.push_back(value);
        stage.outputs.push_back({prune::Wire::Value, slot->second});
      }
  }
  if (isLast)
    for (auto [i, value] :
         llvm::enumerate(all.getTerminator()->getOperands())) {
      take(value);
      results.push_back(value);
      stage.outputs.push_back({prune::Wire::Output, int64_t(i)});
    }
  SmallVector<Value> returned;
  SmallVector<Type> types;
  for (auto [i, value] : llvm::enumerate(results)) {
    Value mapped = map.lookup(value);
    if (isa<BlockArgument>(mapped))
      mapped = onnx::IdentityOp::create(builder, mapped.getLoc(),
                                        mapped.getType(), mapped);
    returned.push_back(mapped);
    types.push_back(mapped.getType());
    names.push_back(name("out", i));
  }
  if (returned.empty()) { // the next site is given what was there already
    model.stages.push_back(std::move(stage));
    return success();
  }
  func::ReturnOp::create(builder, function.getLoc(), returned);
  function.setFunctionType(FunctionType::get(
      module.getContext(), function.getArgumentTypes(), types));
  function.setAllResultAttrs(names);
  FailureOr<CompiledProgram> compiled = compileInProcess(*made, {});
  if (failed(compiled))
    return failure();
  auto owner = std::make_shared<CompiledProgram>(std::move(*compiled));
  stage.program = std::shared_ptr<const twist_program>(owner, owner->get());
  model.stages.push_back(std::move(stage));
  return success();
}

LogicalResult Stager::run() {
  assignStages();
  if (failed(assignSlots()))
    return failure();
  for (int64_t i = 0; i <= int64_t(lifted.ops.size()); ++i)
    if (failed(addStage(i)))
      return failure();
  return success();
}

FailureOr<prune::StagedModel> twist::stageModel(ModuleOp module,
                                                const prune::Batch &batch,
                                                SiteChoice choice) {
  prune::StagedModel model;
  FailureOr<ExposedGates> exposed = exposeGates(module, {"*"}, choice);
  if (failed(exposed))
    return failure();
  model.sites = std::move(exposed->sites);
  FailureOr<Lifted> lifted = Lifter(module, choice, model).lift(batch);
  if (failed(lifted) || failed(Stager(std::move(*lifted), model).run()))
    return failure();
  return model;
}
