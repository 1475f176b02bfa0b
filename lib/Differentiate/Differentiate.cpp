//===- Differentiate.cpp - Gradients of whole functions -------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Rules.h"

#include "twist/Dialect/NN/Transforms.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Transforms/RegionUtils.h"

namespace twist {
#define GEN_PASS_DEF_DIFFERENTIATEPASS
#include "twist/Differentiate/Passes.h.inc"
} // namespace twist

using namespace mlir;
using namespace twist;

static bool isFloat(Type type) {
  return isa<FloatType>(getElementTypeOrSelf(type));
}

GradientRules GradientRules::standard() {
  GradientRules rules;
  addScalarRules(rules);
  addGenericRule(rules);
  addTensorRules(rules);
  addRowRules(rules);
  addLoopRules(rules);
  return rules;
}

GradientRequest GradientRequest::all(FunctionType type) {
  GradientRequest request;
  for (auto [i, input] : llvm::enumerate(type.getInputs()))
    if (isFloat(input))
      request.operands.push_back(i);
  for (auto [i, result] : llvm::enumerate(type.getResults()))
    if (isFloat(result))
      request.results.push_back(i);
  return request;
}

void Backward::add(Value value, Value cotangent) {
  assert(isActive(value) && cotangent.getType() == value.getType());
  Value &sum = cotangents[value];
  sum = sum ? sumOf(builder, cotangent.getLoc(), cotangent, sum) : cotangent;
}

//===----------------------------------------------------------------------===//
// The forward part
//===----------------------------------------------------------------------===//

/// Writes ops that have no rule, but a meaning in simpler ones, as those.
static LogicalResult decompose(func::FuncOp function,
                               const GradientRules &rules) {
  IRRewriter rewriter(function.getContext());
  auto isOnTensors = [](Operation *op) {
    return !isa<linalg::GenericOp>(op->getParentOp());
  };
  SmallVector<Operation *> composites;
  function.walk([&](Operation *op) {
    if (op != function && isOnTensors(op) &&
        !rules.tensor.contains(op->getName().getStringRef()))
      composites.push_back(op);
  });
  for (Operation *op : composites) {
    if (auto values = nn::decompose(rewriter, op); succeeded(values)) {
      rewriter.replaceOp(op, *values);
      continue;
    }
    auto named = dyn_cast<linalg::LinalgOp>(op);
    if (!named || isa<linalg::GenericOp, linalg::FillOp>(op))
      continue;
    rewriter.setInsertionPoint(op);
    if (failed(linalg::generalizeNamedOp(rewriter, named)))
      return op->emitError("has no gradient: it is no linalg.generic");
  }
  // Composites may be made of named ops.
  SmallVector<linalg::LinalgOp> rest;
  function.walk([&](linalg::LinalgOp named) {
    if (!isa<linalg::GenericOp, linalg::FillOp>(named))
      rest.push_back(named);
  });
  for (linalg::LinalgOp named : rest) {
    rewriter.setInsertionPoint(named);
    if (failed(linalg::generalizeNamedOp(rewriter, named)))
      return named->emitError("has no gradient: it is no linalg.generic");
  }
  return success();
}

/// The operands of `op`, and what its regions take from around it.
static SmallVector<Value> readBy(Operation &op) {
  SmallVector<Value> values(op.getOperands());
  llvm::SetVector<Value> captured;
  getUsedValuesDefinedAbove(op.getRegions(), captured);
  values.append(captured.begin(), captured.end());
  return values;
}

/// A generic does not read an init whose elements its body ignores.
DenseSet<Value> twist::activeValues(Block &body, ValueRange inputs,
                                    ValueRange outputs) {
  DenseSet<Value> forward(llvm::from_range, inputs);
  auto reads = [](Operation &op) {
    SmallVector<Value> values = readBy(op);
    if (auto generic = dyn_cast<linalg::GenericOp>(op))
      for (OpOperand &init : generic.getDpsInitsMutable())
        if (generic.getMatchingBlockArgument(&init).use_empty())
          *llvm::find(values, init.get()) = nullptr;
    return values;
  };
  for (Operation &op : body)
    if (llvm::any_of(reads(op), [&](Value v) { return forward.contains(v); }))
      for (Value result : op.getResults())
        if (isFloat(result.getType()))
          forward.insert(result);
  DenseSet<Value> active;
  for (Value output : outputs)
    if (forward.contains(output))
      active.insert(output);
  for (Operation &op : llvm::reverse(body))
    if (llvm::any_of(op.getResults(),
                     [&](Value v) { return active.contains(v); }))
      for (Value value : reads(op))
        if (value && forward.contains(value))
          active.insert(value);
  return active;
}

//===----------------------------------------------------------------------===//
// The function with gradients
//===----------------------------------------------------------------------===//

/// `values` named by `suffix` after `names` say what they belong to.
static NamedAttrList named(DictionaryAttr of, StringRef suffix) {
  NamedAttrList attributes(of);
  if (auto name = dyn_cast_or_null<StringAttr>(attributes.get("onnx.name")))
    attributes.set("onnx.name", StringAttr::get(name.getContext(),
                                                name.getValue() + suffix));
  return attributes;
}

/// A copy of `function` with a cotangent argument for each chosen result.
static func::FuncOp copyWithCotangents(func::FuncOp function,
                                       const GradientRequest &request) {
  OpBuilder b(function);
  b.setInsertionPointAfter(function);
  auto copy = cast<func::FuncOp>(b.clone(*function));
  copy.setName((function.getName() + "_gradient").str());
  for (int64_t i : request.results) {
    DictionaryAttr attributes = function.getResultAttrDict(i);
    Type type = function.getResultTypes()[i];
    (void)copy.insertArgument(
        copy.getNumArguments(), type,
        named(attributes, ".cotangent").getDictionary(b.getContext()),
        function.getLoc());
  }
  return copy;
}

static LogicalResult checkRequest(func::FuncOp function,
                                  const GradientRequest &request) {
  auto check = [&](StringRef what, ArrayRef<int64_t> numbers,
                   TypeRange types) -> LogicalResult {
    for (int64_t i : numbers) {
      if (i < 0 || i >= int64_t(types.size()))
        return function.emitError("has no ") << what << " " << i;
      auto type = dyn_cast<RankedTensorType>(types[i]);
      if (!type || !isFloat(type))
        return function.emitError()
               << what << " " << i << " is no tensor of floats";
      if (type.getElementTypeBitWidth() < 32)
        return function.emitError()
               << what << " " << i << " is " << type.getElementType()
               << ": gradients are summed in f32 or f64; set the precision "
                  "first";
    }
    return success();
  };
  if (function.isExternal() || !llvm::hasSingleElement(function.getBody()))
    return function.emitError("cannot be differentiated: it has not one block");
  if (request.operands.empty() || request.results.empty())
    return function.emitError(
        "cannot be differentiated: it has no operand or no "
        "result of floats");
  if (failed(check("operand", request.operands, function.getArgumentTypes())))
    return failure();
  return check("result", request.results, function.getResultTypes());
}

LogicalResult twist::pullBack(ArrayRef<Operation *> ops, Backward &backward,
                              const GradientRules &rules, unsigned &applied) {
  for (Operation *op : llvm::reverse(ops)) {
    if (llvm::none_of(op->getResults(), [&](Value v) {
          return backward.cotangentOf(v) != nullptr;
        }))
      continue;
    auto rule = rules.tensor.find(op->getName().getStringRef());
    if (rule == rules.tensor.end())
      return op->emitError("has no gradient: '")
             << op->getName() << "' has no rule";
    if (failed(rule->second(op, backward, rules)))
      return failure();
    ++applied;
  }
  return success();
}

void twist::eraseDeadOps(Block &body, Operation **mark) {
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(body))) {
    if (!isOpTriviallyDead(&op))
      continue;
    if (mark && &op == *mark)
      *mark = op.getNextNode();
    op.erase();
  }
}

/// Returns the function that computes results and gradients.
static FailureOr<GradientParts> writeGradient(func::FuncOp function,
                                              const GradientRequest &request,
                                              const GradientRules &rules,
                                              unsigned &applied) {
  if (failed(checkRequest(function, request)))
    return failure();
  func::FuncOp copy = copyWithCotangents(function, request);
  if (failed(decompose(copy, rules)) || failed(fuseChains(copy)))
    return failure();
  Block &body = copy.front();
  Operation *end = body.getTerminator();
  SmallVector<Value> inputs, outputs;
  for (int64_t i : request.operands)
    inputs.push_back(copy.getArgument(i));
  for (int64_t i : request.results)
    outputs.push_back(end->getOperand(i));

  OpBuilder b(end);
  Backward backward(b, activeValues(body, inputs, outputs));
  for (auto [i, output] : llvm::enumerate(outputs))
    if (backward.isActive(output))
      backward.add(output, copy.getArgument(function.getNumArguments() + i));
  SmallVector<Operation *> ops;
  for (Operation &op : body.without_terminator())
    ops.push_back(&op);
  // What is written from here on is the backward part. It starts with an op
  // that is dead, for rules may replace the one before.
  Operation *firstBackward =
      arith::ConstantIndexOp::create(b, copy.getLoc(), 0);
  if (failed(pullBack(ops, backward, rules, applied)))
    return failure();

  SmallVector<Type> types(copy.getResultTypes());
  SmallVector<Attribute> attributes;
  for (unsigned i = 0; i < types.size(); ++i)
    attributes.push_back(copy.getResultAttrDict(i));
  for (auto [i, input] : llvm::zip(request.operands, inputs)) {
    Value gradient = backward.cotangentOf(input);
    end->insertOperands(end->getNumOperands(),
                        gradient ? gradient
                                 : zerosLike(b, function.getLoc(), input));
    types.push_back(input.getType());
    attributes.push_back(named(function.getArgAttrDict(i), ".gradient")
                             .getDictionary(b.getContext()));
  }
  copy.setType(
      FunctionType::get(b.getContext(), copy.getArgumentTypes(), types));
  for (auto [i, attribute] : llvm::enumerate(attributes))
    copy.setResultAttrs(i, cast_or_null<DictionaryAttr>(attribute));
  // What the rules wrote and nobody reads would be kept for nothing.
  eraseDeadOps(body, &firstBackward);
  return GradientParts{copy, firstBackward, function.getNumResults(),
                       function.getNumArguments()};
}

FailureOr<Gradients> twist::differentiate(func::FuncOp function,
                                          const GradientRequest &request,
                                          const GradientRules &rules,
                                          const GradientOptions &options) {
  Gradients result;
  FailureOr<GradientParts> parts =
      writeGradient(function, request, rules, result.rulesApplied);
  if (failed(parts))
    return failure();
  if (!options.split) {
    result.gradient = parts->function;
    result.residuals = planResiduals(*parts, options.recompute);
    return result;
  }
  std::tie(result.forward, result.backward) = splitGradient(
      *parts, options.recompute, (function.getName() + "_forward").str(),
      (function.getName() + "_backward").str(), result.residuals);
  return result;
}

FailureOr<func::FuncOp> twist::differentiate(func::FuncOp function,
                                             const GradientRequest &request,
                                             const GradientRules &rules,
                                             unsigned *rulesApplied) {
  FailureOr<Gradients> gradients =
      differentiate(function, request, rules, GradientOptions());
  if (failed(gradients))
    return failure();
  if (rulesApplied)
    *rulesApplied += gradients->rulesApplied;
  return gradients->gradient;
}

namespace {
struct DifferentiatePass
    : twist::impl::DifferentiatePassBase<DifferentiatePass> {
  using DifferentiatePassBase::DifferentiatePassBase;

  void runOnOperation() override {
    GradientRules rules = GradientRules::standard();
    SmallVector<func::FuncOp> functions;
    for (auto candidate : getOperation().getOps<func::FuncOp>())
      if (function.empty() ? !candidate.isExternal()
                           : candidate.getName() == function)
        functions.push_back(candidate);
    if (functions.empty()) {
      getOperation().emitError("has no function ")
          << (function.empty() ? "with a body" : "'" + function + "'");
      return signalPassFailure();
    }
    std::optional<Recompute> allowed = parseRecompute(recompute);
    if (!allowed) {
      getOperation().emitError(
          "recompute is nothing, elementwise or attention, "
          "not '")
          << recompute << "'";
      return signalPassFailure();
    }
    for (func::FuncOp chosen : functions) {
      GradientRequest request = GradientRequest::all(chosen.getFunctionType());
      if (!operands.empty())
        request.operands.assign(operands.begin(), operands.end());
      if (!results.empty())
        request.results.assign(results.begin(), results.end());
      FailureOr<Gradients> gradients =
          differentiate(chosen, request, rules, {*allowed, split});
      if (failed(gradients))
        return signalPassFailure();
      numRules += gradients->rulesApplied;
      if (!report)
        continue;
      std::string text;
      llvm::raw_string_ostream stream(text);
      gradients->residuals.print(stream);
      chosen.emitRemark(StringRef(text).rtrim());
    }
  }
};
} // namespace
