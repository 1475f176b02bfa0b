//===- TypeNodes.cpp - Imported nodes become typed ops --------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Dialect/ONNX/ONNX.h"
#include "twist/Dialect/ONNX/Transforms/Passes.h"

#include "mlir/IR/Verifier.h"

namespace twist::onnx {
#define GEN_PASS_DEF_ONNXTYPENODES
#include "twist/Dialect/ONNX/Transforms/Passes.h.inc"
} // namespace twist::onnx

using namespace mlir;
using namespace twist;
using namespace twist::onnx;

//===----------------------------------------------------------------------===//
// How many operands and results each op has, read off its ODS traits
//===----------------------------------------------------------------------===//

namespace {
/// Exact counts; none where the op is variadic.
struct Arity {
  std::optional<unsigned> operands, results;
};
} // namespace

template <typename Op, unsigned N> static constexpr bool hasOperands() {
  if constexpr (N == 0)
    return Op::template hasTrait<OpTrait::ZeroOperands>();
  else if constexpr (N == 1)
    return Op::template hasTrait<OpTrait::OneOperand>();
  else
    return Op::template hasTrait<OpTrait::NOperands<N>::template Impl>();
}

template <typename Op, unsigned N> static constexpr bool hasResults() {
  if constexpr (N == 0)
    return Op::template hasTrait<OpTrait::ZeroResults>();
  else if constexpr (N == 1)
    return Op::template hasTrait<OpTrait::OneResult>();
  else
    return Op::template hasTrait<OpTrait::NResults<N>::template Impl>();
}

template <typename Op, unsigned... N>
static Arity arityOf(std::integer_sequence<unsigned, N...>) {
  Arity arity;
  ((hasOperands<Op, N>() ? void(arity.operands = N) : void()), ...);
  ((hasResults<Op, N>() ? void(arity.results = N) : void()), ...);
  return arity;
}

template <typename... Ops> static llvm::StringMap<Arity> makeArities() {
  llvm::StringMap<Arity> table;
  using Counts = std::make_integer_sequence<unsigned, 20>;
  (table.try_emplace(Ops::getOperationName(), arityOf<Ops>(Counts{})), ...);
  return table;
}

//===----------------------------------------------------------------------===//
// Constants
//===----------------------------------------------------------------------===//

/// The tensor a Constant node holds, from whichever attribute says it.
static FailureOr<ElementsAttr> constantValue(NodeOp node) {
  DictionaryAttr attributes = node.getNodeAttributes();
  if (attributes.size() != 1)
    return node.emitError("expected a Constant to have one attribute");
  NamedAttribute named = *attributes.begin();
  StringRef name = named.getName();
  Attribute value = named.getValue();
  MLIRContext *context = node.getContext();
  Type i64 = IntegerType::get(context, 64), f32 = Float32Type::get(context);
  if (name == "value")
    if (auto elements = dyn_cast<ElementsAttr>(value))
      return elements;
  if (name == "value_int")
    if (auto integer = dyn_cast<IntegerAttr>(value))
      return ElementsAttr(DenseElementsAttr::get(
          RankedTensorType::get({}, i64), integer.getValue().getSExtValue()));
  if (name == "value_float")
    if (auto number = dyn_cast<FloatAttr>(value))
      return ElementsAttr(DenseElementsAttr::get(RankedTensorType::get({}, f32),
                                                 number.getValue()));
  if (name == "value_ints")
    if (auto list = dyn_cast<DenseI64ArrayAttr>(value))
      return ElementsAttr(DenseElementsAttr::get(
          RankedTensorType::get({list.size()}, i64), list.asArrayRef()));
  if (name == "value_floats")
    if (auto list = dyn_cast<DenseF32ArrayAttr>(value))
      return ElementsAttr(DenseElementsAttr::get(
          RankedTensorType::get({list.size()}, f32), list.asArrayRef()));
  auto strings = StringType::get(context);
  if (name == "value_string")
    if (auto text = dyn_cast<StringAttr>(value))
      return ElementsAttr(DenseStringElementsAttr::get(
          RankedTensorType::get({}, strings), {text.getValue()}));
  if (name == "value_strings")
    if (auto list = dyn_cast<ArrayAttr>(value)) {
      SmallVector<StringRef> texts;
      for (Attribute text : list)
        if (auto string = dyn_cast<StringAttr>(text))
          texts.push_back(string.getValue());
      int64_t size = texts.size();
      if (texts.size() == list.size())
        return ElementsAttr(DenseStringElementsAttr::get(
            RankedTensorType::get({size}, strings), texts));
    }
  return node.emitError("unsupported attribute '")
         << name << "' of a Constant: " << value;
}

//===----------------------------------------------------------------------===//
// The pass
//===----------------------------------------------------------------------===//

namespace {
struct TypeNodes : onnx::impl::ONNXTypeNodesBase<TypeNodes> {
  using ONNXTypeNodesBase::ONNXTypeNodesBase;
  void runOnOperation() override;

private:
  LogicalResult typeNode(NodeOp node);
  LogicalResult typeConstant(NodeOp node);
  FailureOr<Operation *> createTyped(NodeOp node, const Arity &arity);
  LogicalResult typeCastLike(NodeOp node);
  bool isInferenceDropout(NodeOp node);
  void removeDropout(NodeOp node);

  llvm::StringMap<Arity> arities;
};
} // namespace

/// Values are what a file's Constant is worth; its op keeps name and meta.
static void keepDiscardable(NodeOp from, Operation *to) {
  for (NamedAttribute attribute : from->getDiscardableAttrs())
    to->setDiscardableAttr(attribute.getName(), attribute.getValue());
}

LogicalResult TypeNodes::typeConstant(NodeOp node) {
  FailureOr<ElementsAttr> value = constantValue(node);
  if (failed(value))
    return failure();
  if (node.getNumResults() != 1 || node.getNumOperands() != 0)
    return node.emitError("a Constant has one result and no operands");
  OpBuilder builder(node);
  auto constant =
      ConstantOp::create(builder, node.getLoc(), value->getType(), *value);
  keepDiscardable(node, constant);
  node.getResult(0).replaceAllUsesWith(constant);
  node.erase();
  return success();
}

/// Dropout whose training_mode is absent or false.
bool TypeNodes::isInferenceDropout(NodeOp node) {
  if (node.getOpType() != "Dropout" || node.getNumOperands() == 0)
    return false;
  if (node.getNumOperands() < 3 || isa<NoneType>(node.getOperand(2).getType()))
    return true;
  ElementsAttr training = constantOf(node.getOperand(2));
  return training && training.isSplat() &&
         training.getElementType().isInteger(1) &&
         !training.getSplatValue<bool>();
}

/// Dropout(x) = x, and its mask, where something reads it, is all true.
void TypeNodes::removeDropout(NodeOp node) {
  Value x = node.getOperand(0);
  node.getResult(0).replaceAllUsesWith(x);
  if (node.getNumResults() > 1 && !node.getResult(1).use_empty()) {
    OpBuilder builder(node);
    Type i64 = builder.getI64Type();
    auto ranked = dyn_cast<RankedTensorType>(x.getType());
    int64_t rank = ranked ? ranked.getRank() : ShapedType::kDynamic;
    Value shape = ShapeOp::create(
        builder, node.getLoc(), RankedTensorType::get({rank}, i64), x, nullptr);
    auto kept = DenseElementsAttr::get(
        RankedTensorType::get({1}, builder.getI1Type()), true);
    Value mask = ConstantOfShapeOp::create(
        builder, node.getLoc(), node.getResult(1).getType(), shape, kept);
    node.getResult(1).replaceAllUsesWith(mask);
  }
  node.erase();
}

/// CastLike(x, y) = Cast(x, to the element type of y)
LogicalResult TypeNodes::typeCastLike(NodeOp node) {
  auto like = node.getNumOperands() == 2
                  ? dyn_cast<TensorType>(node.getOperand(1).getType())
                  : nullptr;
  if (!like || node.getNumResults() != 1)
    return node.emitError("CastLike takes two tensors and has one result");
  OpBuilder builder(node);
  OperationState state(node.getLoc(), CastOp::getOperationName());
  state.addOperands(node.getOperand(0));
  state.addTypes(node.getResultTypes());
  NamedAttrList attributes(node.getNodeAttributes());
  attributes.set("to",
                 IntegerAttr::get(builder.getIntegerType(64, /*isSigned=*/true),
                                  dataTypeOf(like.getElementType())));
  state.addAttributes(attributes);
  Operation *cast = builder.create(state);
  keepDiscardable(node, cast);
  node.getResult(0).replaceAllUsesWith(cast->getResult(0));
  node.erase();
  return success();
}

static bool isDefaultDomain(NodeOp node) {
  return node.getDomain().empty() || node.getDomain() == "ai.onnx";
}

/// `onnx.MatMul`, `onnx.com.microsoft.Gelu`.
static std::string typedName(NodeOp node) {
  std::string domain =
      isDefaultDomain(node) ? std::string() : node.getDomain().str() + ".";
  return "onnx." + domain + node.getOpType().str();
}

FailureOr<Operation *> TypeNodes::createTyped(NodeOp node, const Arity &arity) {
  OpBuilder builder(node);
  OperationState state(node.getLoc(), typedName(node));
  state.addOperands(node.getOperands());
  auto none = builder.getNoneType();
  for (unsigned i = node.getNumOperands(); i < arity.operands.value_or(0); ++i)
    state.addOperands(
        NoneOp::create(builder, node.getLoc(), none, builder.getUnitAttr())
            .getResult());
  state.addTypes(node.getResultTypes());
  for (unsigned i = node.getNumResults(); i < arity.results.value_or(0); ++i)
    state.addTypes(none);
  if (arity.operands && state.operands.size() != *arity.operands)
    return node.emitError(node.getOpType())
           << " takes at most " << *arity.operands << " operands, not "
           << state.operands.size();
  if (arity.results && state.types.size() != *arity.results)
    return node.emitError(node.getOpType())
           << " has at most " << *arity.results << " results, not "
           << state.types.size();
  Operation *typed = builder.create(state);
  auto report = [&] { return node.emitError(node.getOpType()) << ": "; };
  DictionaryAttr attributes = node.getNodeAttributes();
  bool hasAttributes = !typed->getName().getAttributeNames().empty();
  if ((hasAttributes &&
       failed(typed->setPropertiesFromAttribute(attributes, report))) ||
      failed(verify(typed, /*verifyRecursively=*/false))) {
    typed->erase();
    return failure();
  }
  return typed;
}

LogicalResult TypeNodes::typeNode(NodeOp node) {
  if (!isDefaultDomain(node) && !arities.contains(typedName(node))) {
    ++numKept;
    return success();
  }
  if (node.getOpType() == "Constant") {
    ++numTyped;
    return typeConstant(node);
  }
  if (isInferenceDropout(node)) {
    ++numTyped;
    removeDropout(node);
    return success();
  }
  if (node.getOpType() == "CastLike") {
    ++numTyped;
    return typeCastLike(node);
  }
  auto arity = arities.find(typedName(node));
  if (arity == arities.end() || node->getNumRegions()) {
    ++numKept;
    return success();
  }
  auto name = RegisteredOperationName::lookup(arity->getKey(), &getContext());
  for (NamedAttribute attribute : node.getNodeAttributes())
    if (!llvm::is_contained(name->getAttributeNames(), attribute.getName()))
      return node.emitError(node.getOpType())
             << " has no attribute '" << attribute.getName().getValue() << "'";
  FailureOr<Operation *> typed = createTyped(node, arity->second);
  if (failed(typed))
    return failure();
  ++numTyped;
  keepDiscardable(node, *typed);
  for (auto [old, replacement] :
       llvm::zip(node.getResults(), (*typed)->getResults()))
    old.replaceAllUsesWith(replacement);
  node.erase();
  return success();
}

/// Erases what no output needs; users come after their producers.
static unsigned eraseUnused(Region &region) {
  unsigned erased = 0;
  for (Block &block : region)
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(block))) {
      bool isNode =
          isa_and_nonnull<ONNXDialect>(op.getDialect()) && !isa<YieldOp>(op);
      if (isNode && op.use_empty()) {
        op.erase();
        ++erased;
        continue;
      }
      for (Region &nested : op.getRegions())
        erased += eraseUnused(nested);
    }
  return erased;
}

void TypeNodes::runOnOperation() {
  arities = makeArities<
#define GET_OP_LIST
#include "twist/Dialect/ONNX/ONNXOps.cpp.inc"
      >();
  // Not node types, though ops of the dialect.
  for (StringRef structural :
       {NodeOp::getOperationName(), YieldOp::getOperationName(),
        NoneOp::getOperationName()})
    arities.erase(structural);

  bool failedAny = false;
  SmallVector<NodeOp> nodes;
  getOperation().walk([&](NodeOp node) { nodes.push_back(node); });
  for (NodeOp node : nodes)
    failedAny |= failed(typeNode(node));
  if (failedAny)
    return signalPassFailure();

  for (Region &region : getOperation()->getRegions())
    numErased += eraseUnused(region);
}
