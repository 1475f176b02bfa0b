//===- StepProgram.cpp - The functions of a training step -----------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "StepProgram.h"

#include "StepModel.h"

#include "twist/Codegen/CPU/Program/Passes.h"
#include "twist/Differentiate/Differentiate.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace twist;
using namespace twist::step;

std::vector<train::StateTensor>
step::describeState(const train::ModelLayout &layout,
                    ArrayRef<std::vector<int64_t>> parameterDims,
                    train::OptimiserKind optimiser) {
  std::vector<train::StateTensor> state;
  for (auto [i, parameter] : llvm::enumerate(layout.parameters)) {
    if (!parameter.trainable)
      continue;
    for (const StateKind &kind : stateKinds(optimiser)) {
      train::StateTensor tensor{kind.name, unsigned(i)};
      tensor.likeParameter = kind.likeParameter;
      tensor.type = kind.likeParameter ? parameter.type : TWIST_I32;
      for (auto [d, places] : llvm::enumerate(parameter.places)) {
        bool isOne = !kind.likeParameter && places.empty();
        tensor.denseDims.push_back(isOne ? 1 : parameter.dims[d]);
        tensor.dims.push_back(isOne ? 1 : parameterDims[i][d]);
      }
      state.push_back(std::move(tensor));
    }
  }
  return state;
}

namespace {
class EntryBuilder {
public:
  EntryBuilder(ModuleOp lowered, const train::ModelLayout &layout,
               const train::StepRequest &request, Recompute recompute)
      : layout(layout), request(request), recompute(recompute) {
    result.module = lowered.clone();
    main = result.module->lookupSymbol<func::FuncOp>("main");
    for (unsigned i = 0; i < layout.inputs.size(); ++i)
      result.inputs.push_back({Binding::Input, i});
    for (unsigned i = 0; i < layout.parameters.size(); ++i)
      result.inputs.push_back({Binding::Parameter, i});
  }

  LogicalResult build(train::StepEntry entry);
  EntryModule result;

private:
  void makeDropout(train::StepEntry entry);
  LogicalResult appendLoss();
  LogicalResult differentiateLoss();
  LogicalResult differentiateOutputs();
  /// @main becomes the function that gives its results and gradients.
  LogicalResult differentiate(const GradientRequest &wanted);
  void makeUpdateFunction();
  void storeGradients();
  void appendOptimiser();

  Value addArgument(RankedTensorType type, StringRef name, Binding binding);
  /// `value` becomes a result that is written to `argument`'s buffer.
  void updateInPlace(Value argument, Value value);
  void addResult(Value value, StringRef name, Binding binding);
  /// Results other than those that `keep` says go.
  void keepResults(function_ref<bool(unsigned)> keep);

  SmallVector<int64_t> trainable() const;
  RankedTensorType parameterType(unsigned i) {
    return cast<RankedTensorType>(
        main.getArgumentTypes()[argumentOf(Binding::Parameter, i)]);
  }
  unsigned argumentOf(Binding::Kind kind, unsigned index) const {
    for (auto [i, binding] : llvm::enumerate(result.inputs))
      if (binding.kind == kind && binding.index == index)
        return i;
    llvm_unreachable("no such argument");
  }
  Value valueOf(Binding::Kind kind, unsigned index) {
    return main.getArgument(argumentOf(kind, index));
  }
  Operation *end() { return main.getBody().front().getTerminator(); }
  LocBuilder atEnd() { return LocBuilder(main.getLoc(), end()); }
  Type elementType() {
    OpBuilder b(main.getContext());
    return layout.parameters[0].type == TWIST_F64 ? Type(b.getF64Type())
                                                  : Type(b.getF32Type());
  }

  const train::ModelLayout &layout;
  const train::StepRequest &request;
  Recompute recompute;
  func::FuncOp main;
  /// Per parameter, null for frozen ones, once known.
  SmallVector<Value> gradients;
};
} // namespace

SmallVector<int64_t> EntryBuilder::trainable() const {
  SmallVector<int64_t> numbers;
  for (auto [i, parameter] : llvm::enumerate(layout.parameters))
    if (parameter.trainable)
      numbers.push_back(int64_t(i));
  return numbers;
}

Value EntryBuilder::addArgument(RankedTensorType type, StringRef name,
                                Binding binding) {
  unsigned number = main.getNumArguments();
  OpBuilder b(main.getContext());
  (void)main.insertArgument(
      number, type,
      b.getDictionaryAttr(b.getNamedAttr("onnx.name", b.getStringAttr(name))),
      main.getLoc());
  result.inputs.push_back(binding);
  return main.getArgument(number);
}

void EntryBuilder::addResult(Value value, StringRef name, Binding binding) {
  OpBuilder b(main.getContext());
  unsigned number = main.getNumResults();
  (void)main.insertResult(
      number, value.getType(),
      b.getDictionaryAttr(b.getNamedAttr("onnx.name", b.getStringAttr(name))));
  end()->insertOperands(number, value);
  result.outputs.push_back(binding);
}

void EntryBuilder::updateInPlace(Value argument, Value value) {
  unsigned number = main.getNumResults();
  OpBuilder b(main.getContext());
  (void)main.insertResult(number, value.getType(), DictionaryAttr());
  end()->insertOperands(number, value);
  main.setArgAttr(cast<BlockArgument>(argument).getArgNumber(),
                  cpu::program::updatedByAttr, b.getI64IntegerAttr(number));
}

void EntryBuilder::keepResults(function_ref<bool(unsigned)> keep) {
  llvm::BitVector gone(main.getNumResults());
  for (unsigned i = 0; i < main.getNumResults(); ++i)
    if (!keep(i))
      gone.set(i);
  end()->eraseOperands(gone);
  (void)main.eraseResults(gone);
}

//===----------------------------------------------------------------------===//
// Dropout
//===----------------------------------------------------------------------===//

/// The factors of dropout are made here; without training nothing is dropped.
void EntryBuilder::makeDropout(train::StepEntry entry) {
  SmallVector<BlockArgument> factors;
  for (BlockArgument argument : main.getArguments())
    if (main.getArgAttr(argument.getArgNumber(), kDropoutAttr))
      factors.push_back(argument);
  if (factors.empty())
    return;
  bool drops = entry == train::EntryStep || entry == train::EntryGradients ||
               entry == train::EntryBackward;
  unsigned first = factors.front().getArgNumber(), count = factors.size();
  SmallVector<Value> integers;
  Value scale;
  if (drops) {
    static const char *const names[] = {"seed", "counter", "dropped_below"};
    OpBuilder types(main.getContext());
    for (unsigned i = 0; i < 3; ++i)
      integers.push_back(
          addArgument(RankedTensorType::get({}, types.getI64Type()), names[i],
                      {Binding::RandomInteger, i}));
    scale = addArgument(RankedTensorType::get({}, elementType()), "kept_scale",
                        {Binding::RandomScale});
  }
  LocBuilder b(main.getLoc(), main.getContext());
  b.setInsertionPointToStart(&main.getBody().front());
  for (BlockArgument argument : factors) {
    auto type = cast<RankedTensorType>(argument.getType());
    auto site = main.getArgAttrOfType<IntegerAttr>(argument.getArgNumber(),
                                                   kDropoutAttr);
    Value value =
        drops ? dropoutFactors(b, type, site.getInt(), integers, scale)
              : arith::ConstantOp::create(
                    b, DenseElementsAttr::get(
                           type, b.getFloatAttr(type.getElementType(), 1)))
                    .getResult();
    argument.replaceAllUsesWith(value);
  }
  llvm::BitVector gone(main.getNumArguments());
  gone.set(first, first + count);
  (void)main.eraseArguments(gone);
}

//===----------------------------------------------------------------------===//
// Losses and gradients
//===----------------------------------------------------------------------===//

/// @main returns the loss alone.
LogicalResult EntryBuilder::appendLoss() {
  const train::LossOptions &loss = request.loss;
  if (loss.kind == train::LossKind::External)
    return main.emitError("a step without a loss has no entry that needs one: "
                          "only forward, backward and update");
  int chosen = loss.kind == train::LossKind::CrossEntropy ? layout.logits : -1;
  for (auto [i, output] : llvm::enumerate(layout.outputs)) {
    bool isFloat = output.type == TWIST_F32 || output.type == TWIST_F64;
    if (loss.output.empty() ? chosen < 0 && isFloat
                            : output.name == loss.output)
      chosen = int(i);
  }
  if (chosen < 0)
    return main.emitError("the model has no output '")
           << loss.output << "' to take a loss of";
  unsigned before = main.getNumArguments();
  FailureOr<Value> value = step::appendLoss(main, end()->getOperand(chosen),
                                            layout.outputs[chosen].name, loss);
  if (failed(value))
    return failure();
  for (unsigned i = before; i < main.getNumArguments(); ++i) {
    auto type = cast<RankedTensorType>(main.getArgumentTypes()[i]);
    train::Tensor tensor;
    tensor.name =
        main.getArgAttrOfType<StringAttr>(i, "onnx.name").getValue().str();
    tensor.type = isa<IntegerType>(type.getElementType()) ? TWIST_I64
                  : type.getElementType().isF64()         ? TWIST_F64
                                                          : TWIST_F32;
    tensor.dims.assign(type.getShape().begin(), type.getShape().end());
    tensor.symbols.resize(tensor.dims.size());
    tensor.role = train::InputRole::Labels;
    result.inputs.push_back({Binding::Input, unsigned(layout.inputs.size() +
                                                      result.targets.size())});
    result.targets.push_back(std::move(tensor));
  }
  keepResults([](unsigned) { return false; });
  addResult(*value, "loss", {Binding::Loss});
  return success();
}

LogicalResult EntryBuilder::differentiate(const GradientRequest &wanted) {
  FailureOr<Gradients> gradients = twist::differentiate(
      main, wanted, GradientRules::standard(), {recompute, /*split=*/false});
  if (failed(gradients))
    return failure();
  const ResidualReport &residuals = gradients->residuals;
  result.kept = {uint64_t(residuals.bytes()), uint64_t(residuals.bytesAgain),
                 uint64_t(residuals.opsAgain)};
  main.erase();
  main = gradients->gradient;
  main.setName("main");
  main.setPublic();
  return success();
}

/// Gradients of the one result, the loss: its cotangent is 1.
LogicalResult EntryBuilder::differentiateLoss() {
  GradientRequest wanted;
  for (int64_t i : trainable())
    wanted.operands.push_back(argumentOf(Binding::Parameter, unsigned(i)));
  wanted.results = {0};
  if (failed(differentiate(wanted)))
    return failure();
  unsigned last = main.getNumArguments() - 1;
  OpBuilder b(main.getContext());
  b.setInsertionPointToStart(&main.getBody().front());
  auto type = cast<RankedTensorType>(main.getArgumentTypes()[last]);
  Value one = arith::ConstantOp::create(
      b, main.getLoc(),
      DenseElementsAttr::get(type, b.getFloatAttr(type.getElementType(), 1)));
  main.getArgument(last).replaceAllUsesWith(one);
  (void)main.eraseArgument(last);
  gradients.assign(layout.parameters.size(), Value());
  for (auto [n, i] : llvm::enumerate(trainable()))
    gradients[i] = end()->getOperand(1 + n);
  keepResults([](unsigned i) { return i == 0; });
  return success();
}

/// Gradients of parameters and inputs for cotangents of all float outputs.
LogicalResult EntryBuilder::differentiateOutputs() {
  GradientRequest wanted;
  SmallVector<unsigned> inputs;
  for (auto [i, input] : llvm::enumerate(layout.inputs))
    if (input.type == TWIST_F32 || input.type == TWIST_F64) {
      inputs.push_back(i);
      wanted.operands.push_back(int64_t(i));
    }
  for (int64_t i : trainable())
    wanted.operands.push_back(argumentOf(Binding::Parameter, unsigned(i)));
  for (auto [i, output] : llvm::enumerate(layout.outputs))
    if (output.type == TWIST_F32 || output.type == TWIST_F64) {
      wanted.results.push_back(int64_t(i));
      result.inputs.push_back({Binding::Cotangent, unsigned(i)});
    }
  unsigned outputs = main.getNumResults();
  if (failed(differentiate(wanted)))
    return failure();
  gradients.assign(layout.parameters.size(), Value());
  SmallVector<Value> ofInputs;
  for (unsigned n = 0; n < inputs.size(); ++n)
    ofInputs.push_back(end()->getOperand(outputs + n));
  for (auto [n, i] : llvm::enumerate(trainable()))
    gradients[i] = end()->getOperand(outputs + inputs.size() + n);
  keepResults([](unsigned) { return false; });
  for (auto [i, value] : llvm::zip_equal(inputs, ofInputs))
    addResult(value, layout.inputs[i].name + ".gradient",
              {Binding::InputGradient, i});
  return success();
}

/// Gradients go to the caller's buffers: g, or what was there plus g.
void EntryBuilder::storeGradients() {
  OpBuilder types(main.getContext());
  Value add = addArgument(RankedTensorType::get({}, types.getI32Type()), "add",
                          {Binding::Add});
  for (int64_t i : trainable()) {
    Value buffer = addArgument(parameterType(unsigned(i)),
                               layout.parameters[i].name + ".gradient",
                               {Binding::Gradient, unsigned(i)});
    LocBuilder b = atEnd();
    updateInPlace(buffer, accumulate(b, buffer, gradients[i], add));
  }
}

//===----------------------------------------------------------------------===//
// Updates
//===----------------------------------------------------------------------===//

/// @main(parameters, gradients).
void EntryBuilder::makeUpdateFunction() {
  OpBuilder b(main);
  SmallVector<Type> types(
      main.getArgumentTypes().drop_front(layout.inputs.size()));
  auto function = func::FuncOp::create(
      b, main.getLoc(), "main", FunctionType::get(b.getContext(), types, {}));
  for (auto [i, parameter] : llvm::enumerate(layout.parameters))
    function.setArgAttr(i, "onnx.name", b.getStringAttr(parameter.name));
  Block *body = function.addEntryBlock();
  b.setInsertionPointToStart(body);
  func::ReturnOp::create(b, main.getLoc());
  main.erase();
  main = function;
  result.inputs.clear();
  for (unsigned i = 0; i < layout.parameters.size(); ++i)
    result.inputs.push_back({Binding::Parameter, i});
  gradients.assign(layout.parameters.size(), Value());
  for (int64_t i : trainable())
    gradients[i] = addArgument(parameterType(unsigned(i)),
                               layout.parameters[i].name + ".gradient",
                               {Binding::Gradient, unsigned(i)});
}

/// Clips the gradients, and updates parameters and state in place.
void EntryBuilder::appendOptimiser() {
  auto point = RankedTensorType::get({}, elementType());
  SmallVector<Value> scalars;
  for (unsigned i = 0; i < NumScalars; ++i)
    scalars.push_back(
        addArgument(point, scalarName(i), {Binding::ScalarValue, i}));
  SmallVector<std::vector<int64_t>> dims;
  for (unsigned i = 0; i < layout.parameters.size(); ++i)
    dims.push_back(parameterType(i).getShape().vec());
  std::vector<train::StateTensor> tensors =
      describeState(layout, dims, request.optimiser);
  SmallVector<SmallVector<Value>> state(layout.parameters.size());
  OpBuilder types(main.getContext());
  for (auto [i, tensor] : llvm::enumerate(tensors)) {
    Type element =
        tensor.likeParameter ? elementType() : Type(types.getI32Type());
    state[tensor.parameter].push_back(addArgument(
        RankedTensorType::get(tensor.dims, element),
        layout.parameters[tensor.parameter].name + "." + tensor.name,
        {Binding::State, unsigned(i)}));
  }
  SmallVector<Value> all;
  for (int64_t i : trainable())
    all.push_back(gradients[i]);
  LocBuilder b = atEnd();
  auto [norm, factor] = clippingFactor(b, all, scalars);
  addResult(norm, "gradient_norm", {Binding::Norm});
  for (int64_t i : trainable()) {
    Value parameter = valueOf(Binding::Parameter, unsigned(i));
    LocBuilder at = atEnd();
    SmallVector<Value> updated =
        update(at, request.optimiser, parameter, state[i], gradients[i], factor,
               scalars, layout.parameters[i].decayed);
    updateInPlace(parameter, updated[0]);
    for (auto [argument, value] :
         llvm::zip_equal(state[i], ArrayRef(updated).drop_front()))
      updateInPlace(argument, value);
  }
}

LogicalResult EntryBuilder::build(train::StepEntry entry) {
  makeDropout(entry);
  switch (entry) {
  case train::EntryForward:
    for (unsigned i = 0; i < layout.outputs.size(); ++i)
      result.outputs.push_back({Binding::Output, i});
    return success();
  case train::EntryEvaluate:
    return appendLoss();
  case train::EntryStep:
    if (failed(appendLoss()) || failed(differentiateLoss()))
      return failure();
    appendOptimiser();
    return success();
  case train::EntryGradients:
    if (failed(appendLoss()) || failed(differentiateLoss()))
      return failure();
    storeGradients();
    return success();
  case train::EntryBackward:
    if (failed(differentiateOutputs()))
      return failure();
    storeGradients();
    return success();
  case train::EntryUpdate:
    makeUpdateFunction();
    appendOptimiser();
    return success();
  }
  llvm_unreachable("no such entry");
}

FailureOr<EntryModule> step::buildEntry(ModuleOp lowered,
                                        const train::ModelLayout &layout,
                                        const train::StepRequest &request,
                                        train::StepEntry entry,
                                        Recompute recompute) {
  EntryBuilder builder(lowered, layout, request, recompute);
  if (failed(builder.build(entry)))
    return failure();
  if (request.precision == train::StepPrecision::BF16)
    useBF16Products(builder.result.module->lookupSymbol<func::FuncOp>("main"));
  return std::move(builder.result);
}
