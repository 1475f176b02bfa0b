//===- SymbolicShapes.cpp - Sizes followed through a graph ----------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Dialect/ONNX/SymbolicShapes.h"

#include "ShapeRules.h"
#include "twist/Dialect/ONNX/ONNX.h"

using namespace mlir;
using namespace twist::onnx;

//===----------------------------------------------------------------------===//
// ShapeState
//===----------------------------------------------------------------------===//

std::optional<SmallVector<int64_t>> ShapeState::constants(Value value) const {
  const std::optional<Contents> &elements = contents(value);
  if (!elements)
    return std::nullopt;
  SmallVector<int64_t> constants;
  for (const SizeExpr &element : *elements) {
    std::optional<int64_t> constant = element.constant();
    if (!constant)
      return std::nullopt;
    constants.push_back(*constant);
  }
  return constants;
}

std::optional<int64_t> ShapeState::length(Value value) const {
  const std::optional<Dims> &sizes = dims(value);
  if (!sizes || sizes->size() != 1)
    return std::nullopt;
  std::optional<int64_t> count = sizes->front().constant();
  return count && *count <= kMaxRank ? count : std::nullopt;
}

SizeExpr ShapeState::fresh(Value value, unsigned dim) const {
  std::string name;
  llvm::raw_string_ostream os(name);
  if (auto argument = dyn_cast<BlockArgument>(value)) {
    os << "arg" << argument.getArgNumber();
  } else {
    auto loc = dyn_cast<NameLoc>(value.getLoc());
    Operation *op = value.getDefiningOp();
    os << (loc ? loc.getName().getValue() : op->getName().getStringRef());
    // Names need not be unique in a file; the place of an op in its block is.
    os << '@' << std::distance(op->getBlock()->begin(), Block::iterator(op))
       << ':' << cast<OpResult>(value).getResultNumber();
  }
  os << '.' << dim;
  return SizeExpr::atom(StringAttr::get(context, name));
}

//===----------------------------------------------------------------------===//
// The walk
//===----------------------------------------------------------------------===//

struct SymbolicShapes::Impl {
  explicit Impl(MLIRContext *context) : state(context) {}

  void seed(BlockArgument argument, StringRef name, ArrayAttr dimNames);
  void visit(Block &block);
  void visit(Operation *op);
  std::optional<Dims> inferConditional(OpResult result);

  std::optional<Dims> meetType(OpResult result, std::optional<Dims> inferred);

  ShapeState state;
  SmallVector<Conflict, 0> conflicts;
};

/// Static sizes of the type, and `symbols` elsewhere.
static std::optional<Dims>
dimsOfType(Type type, llvm::function_ref<SizeExpr(unsigned)> symbol) {
  auto ranked = dyn_cast<RankedTensorType>(type);
  if (!ranked)
    return std::nullopt;
  Dims dims;
  for (auto [index, size] : llvm::enumerate(ranked.getShape()))
    dims.push_back(ShapedType::isDynamic(size) ? symbol(index)
                                               : SizeExpr(size));
  return dims;
}

void SymbolicShapes::Impl::seed(BlockArgument argument, StringRef name,
                                ArrayAttr dimNames) {
  auto symbol = [&](unsigned dim) {
    if (dimNames && dim < dimNames.size())
      if (auto text = dyn_cast<StringAttr>(dimNames[dim]))
        if (!text.getValue().trim().empty())
          return SizeExpr::parse(state.context, text.getValue());
    if (name.empty())
      return state.fresh(argument, dim);
    return SizeExpr::atom(
        StringAttr::get(state.context, name + "." + Twine(dim)));
  };
  state.at(argument).dims = dimsOfType(argument.getType(), symbol);
}

/// What the branches of a conditional agree on.
std::optional<Dims> SymbolicShapes::Impl::inferConditional(OpResult result) {
  std::optional<Dims> joined;
  for (Region &region : result.getOwner()->getRegions()) {
    if (region.empty())
      return std::nullopt;
    Operation *yield = region.front().getTerminator();
    if (yield->getNumOperands() <= result.getResultNumber())
      return std::nullopt;
    const std::optional<Dims> &dims =
        state.dims(yield->getOperand(result.getResultNumber()));
    if (!dims || (joined && joined->size() != dims->size()))
      return std::nullopt;
    if (!joined)
      joined = dims;
    for (auto [index, size] : llvm::enumerate(*dims))
      if ((*joined)[index] != size)
        (*joined)[index] = state.fresh(result, index);
  }
  return joined;
}

/// Whether the sizes are constant and the tensor is of up to kMaxContents.
static bool isSmall(const Dims &dims) {
  int64_t elements = 1;
  for (const SizeExpr &size : dims) {
    std::optional<int64_t> constant = size.constant();
    if (!constant || *constant < 0 || *constant > kMaxContents)
      return false;
    elements = std::min(elements * *constant, kMaxContents + 1);
  }
  return elements <= kMaxContents;
}

/// What rule and type say together; the rule wins, and where it can't be right
/// that is a conflict.
std::optional<Dims>
SymbolicShapes::Impl::meetType(OpResult result, std::optional<Dims> inferred) {
  auto type = dyn_cast<RankedTensorType>(result.getType());
  if (!inferred)
    return dimsOfType(result.getType(),
                      [&](unsigned dim) { return state.fresh(result, dim); });
  for (auto [dim, size] : llvm::enumerate(*inferred))
    if (std::optional<int64_t> constant = size.constant();
        constant && *constant < 0)
      size = state.fresh(result, dim); // arithmetic of what never runs
  if (!type)
    return inferred;
  bool agree = static_cast<size_t>(type.getRank()) == inferred->size();
  for (int64_t i = 0; agree && i < type.getRank(); ++i) {
    SizeExpr &size = (*inferred)[i];
    if (type.isDynamicDim(i))
      continue;
    if (!size.constant())
      size = SizeExpr(type.getDimSize(i));
    agree = size.isConstant(type.getDimSize(i));
  }
  if (!agree)
    conflicts.push_back({result, *inferred});
  return inferred;
}

void SymbolicShapes::Impl::visit(Operation *op) {
  for (Region &region : op->getRegions())
    for (Block &block : region)
      visit(block);
  auto node = dyn_cast<NodeOp>(op);
  bool conditional =
      node && node.getOpType() == "If" && !node.getDomain().size();
  for (OpResult result : op->getResults()) {
    std::optional<Dims> dims =
        meetType(result, conditional ? inferConditional(result)
                                     : inferDims(state, result));
    state.at(result).dims = dims;
    if (!dims || !isSmall(*dims))
      continue;
    std::optional<Contents> contents = inferContents(state, result);
    if (contents)
      state.at(result).contents = std::move(contents);
  }
}

void SymbolicShapes::Impl::visit(Block &block) {
  for (BlockArgument argument : block.getArguments())
    if (!state.dims(argument))
      seed(argument, "", {});
  for (Operation &op : block)
    visit(&op);
}

//===----------------------------------------------------------------------===//
// SymbolicShapes
//===----------------------------------------------------------------------===//

SymbolicShapes::SymbolicShapes(std::unique_ptr<Impl> impl)
    : impl(std::move(impl)) {}
SymbolicShapes::SymbolicShapes(SymbolicShapes &&) = default;
SymbolicShapes &SymbolicShapes::operator=(SymbolicShapes &&) = default;
SymbolicShapes::~SymbolicShapes() = default;

SymbolicShapes SymbolicShapes::compute(func::FuncOp function) {
  auto impl = std::make_unique<Impl>(function.getContext());
  for (BlockArgument argument : function.getArguments()) {
    unsigned index = argument.getArgNumber();
    auto name = function.getArgAttrOfType<StringAttr>(index, "onnx.name");
    auto dims = function.getArgAttrOfType<ArrayAttr>(index, "onnx.dims");
    impl->seed(argument, name ? name.getValue() : "", dims);
  }
  for (Block &block : function.getBody())
    impl->visit(block);
  return SymbolicShapes(std::move(impl));
}

bool SymbolicShapes::hasRank(Value value) const {
  return impl->state.dims(value).has_value();
}

ArrayRef<SizeExpr> SymbolicShapes::dimsOf(Value value) const {
  const std::optional<Dims> &dims = impl->state.dims(value);
  return dims ? ArrayRef<SizeExpr>(*dims) : ArrayRef<SizeExpr>();
}

std::optional<ArrayRef<SizeExpr>>
SymbolicShapes::contentsOf(Value value) const {
  const std::optional<Contents> &contents = impl->state.contents(value);
  return contents ? std::optional<ArrayRef<SizeExpr>>(*contents) : std::nullopt;
}

ArrayRef<SymbolicShapes::Conflict> SymbolicShapes::conflicts() const {
  return impl->conflicts;
}

bool SymbolicShapes::isMadeFor(OpResult result, StringAttr atom) const {
  for (unsigned dim = 0, rank = dimsOf(result).size(); dim < rank; ++dim)
    if (impl->state.fresh(result, dim) == SizeExpr::atom(atom))
      return true;
  return false;
}
