//===- Lowering.cpp - State of one function being lowered
//-------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Lowering.h"

#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"

using namespace twist;
using namespace twist::lowering;

//===----------------------------------------------------------------------===//
// Types
//===----------------------------------------------------------------------===//

Type lowering::storageType(Type onnxElement) {
  MLIRContext *context = onnxElement.getContext();
  if (onnxElement.isInteger(1))
    return IntegerType::get(context, 8);
  if (auto integer = dyn_cast<IntegerType>(onnxElement))
    return IntegerType::get(context, integer.getWidth());
  if (isa<Float64Type, Float32Type, Float16Type, BFloat16Type>(onnxElement))
    return onnxElement;
  return nullptr;
}

RankedTensorType lowering::storageTensorType(RankedTensorType onnxType) {
  Type element = storageType(onnxType.getElementType());
  return element ? onnxType.clone(element) : nullptr;
}

Type lowering::resultElement(Operation *op, unsigned i) {
  return storageType(getElementTypeOrSelf(op->getResult(i).getType()));
}
Type lowering::onnxElement(Operation *op, unsigned i) {
  return getElementTypeOrSelf(op->getOperand(i).getType());
}
bool lowering::isUnsigned(Type onnxElement) {
  return onnxElement.isUnsignedInteger() || onnxElement.isInteger(1);
}
Type lowering::wideType(Type element) {
  return element.isF16() || element.isBF16()
             ? Float32Type::get(element.getContext())
             : element;
}

Value lowering::convertScalar(ImplicitLocOpBuilder &b, Value value, Type type,
                              bool isUnsignedSource) {
  Type from = value.getType();
  if (from == type)
    return value;
  if (from.isInteger(1))
    isUnsignedSource = true;
  return convertScalarToDtype(b, b.getLoc(), value, type, isUnsignedSource);
}

FailureOr<int64_t> lowering::normaliseAxis(Operation *op, int64_t axis,
                                           int64_t rank) {
  if (axis < -rank || axis >= rank) {
    op->emitError() << "axis " << axis << " is out of range for rank " << rank;
    return failure();
  }
  return axis < 0 ? axis + rank : axis;
}

FailureOr<SmallVector<int64_t>>
lowering::normaliseAxes(Operation *op, ArrayRef<int64_t> axes, int64_t rank) {
  SmallVector<int64_t> normal;
  for (int64_t axis : axes) {
    FailureOr<int64_t> one = normaliseAxis(op, axis, rank);
    if (failed(one))
      return failure();
    if (llvm::is_contained(normal, *one)) {
      op->emitError() << "axis " << axis << " is given twice";
      return failure();
    }
    normal.push_back(*one);
  }
  return normal;
}

//===----------------------------------------------------------------------===//
// Operands and sizes
//===----------------------------------------------------------------------===//

Value Lowering::operand(Operation *op, unsigned i) const {
  return i < op->getNumOperands() ? values.lookup(op->getOperand(i)) : Value();
}

SmallVector<Value> Lowering::operands(Operation *op) const {
  SmallVector<Value> result;
  for (Value value : op->getOperands())
    result.push_back(values.lookup(value));
  return result;
}

Size Lowering::sizeOf(Value tensor, int64_t dim) {
  auto type = cast<RankedTensorType>(tensor.getType());
  if (!type.isDynamicDim(dim))
    return sizes.constant(type.getDimSize(dim));
  if (auto it = argumentSizes.find({tensor, dim}); it != argumentSizes.end())
    return it->second;
  Operation *op = tensor.getDefiningOp();
  if (auto empty = dyn_cast_or_null<tensor::EmptyOp>(op))
    return empty.getMixedSizes()[dim];
  if (auto dps = dyn_cast_or_null<DestinationStyleOpInterface>(op))
    return sizeOf(dps.getTiedOpOperand(cast<OpResult>(tensor))->get(), dim);
  if (auto expand = dyn_cast_or_null<tensor::ExpandShapeOp>(op))
    return expand.getMixedOutputShape()[dim];
  if (auto collapse = dyn_cast_or_null<tensor::CollapseShapeOp>(op)) {
    Sizes group;
    ReassociationIndices dims = collapse.getReassociationIndices()[dim];
    for (int64_t d : dims)
      group.push_back(sizeOf(collapse.getSrc(), d));
    return sizes.product(group);
  }
  if (auto castOp = dyn_cast_or_null<tensor::CastOp>(op))
    return sizeOf(castOp.getSource(), dim);
  if (auto slice = dyn_cast_or_null<tensor::ExtractSliceOp>(op)) {
    llvm::SmallBitVector dropped = slice.getDroppedDims();
    for (auto [i, size] : llvm::enumerate(slice.getMixedSizes()))
      if (!dropped.test(i) && dim-- == 0)
        return size;
  }
  if (auto loop = dyn_cast_or_null<scf::ForOp>(op))
    return sizeOf(loop.getInitArgs()[cast<OpResult>(tensor).getResultNumber()],
                  dim);
  return sizes.fromInteger(tensor::DimOp::create(b, tensor, dim));
}

Sizes Lowering::sizesOf(Value tensor) {
  Sizes result;
  for (int64_t d = 0, e = cast<RankedTensorType>(tensor.getType()).getRank();
       d < e; ++d)
    result.push_back(sizeOf(tensor, d));
  return result;
}

/// Computed from sizes of the arguments alone, not from their elements.
static bool isOfSizes(Value value) {
  Operation *op = value.getDefiningOp();
  if (isa_and_present<tensor::DimOp>(op))
    return true;
  return op && isa_and_present<arith::ArithDialect>(op->getDialect()) &&
         llvm::all_of(op->getOperands(), isOfSizes);
}

void Lowering::require(Size lhs, Size rhs) {
  Value x = sizes.toValue(lhs), y = sizes.toValue(rhs);
  if (!isOfSizes(x) || !isOfSizes(y) || !required.insert({x, y}).second)
    return;
  Value holds = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, x, y);
  cf::AssertOp::create(b, holds, "a size is beyond a table of the model");
}

Sizes Lowering::refine(Value onnxValue, Sizes computed) {
  auto type = dyn_cast<RankedTensorType>(onnxValue.getType());
  if (!type || type.getRank() != static_cast<int64_t>(computed.size()))
    return computed;
  for (auto [size, known] : llvm::zip_equal(computed, type.getShape()))
    if (!ShapedType::isDynamic(known) && !constantOf(size))
      size = sizes.constant(known);
  return computed;
}

//===----------------------------------------------------------------------===//
// Small tensors as scalars
//===----------------------------------------------------------------------===//

static bool isSmall(RankedTensorType type) {
  return type.hasStaticShape() && type.getRank() <= 1 &&
         type.getNumElements() <= kMaxScalars;
}

std::optional<SmallVector<Value>> Lowering::scalarsOf(Value tensor,
                                                      bool orRead) {
  auto type =
      dyn_cast_or_null<RankedTensorType>(tensor ? tensor.getType() : Type());
  if (!type || !isSmall(type))
    return std::nullopt;
  SmallVector<Value> result;
  if (auto elements = tensor.getDefiningOp<tensor::FromElementsOp>())
    return llvm::to_vector(elements.getElements());
  DenseElementsAttr attr;
  if (matchPattern(tensor, m_Constant(&attr))) {
    for (Attribute value : attr.getValues<Attribute>())
      result.push_back(arith::ConstantOp::create(b, cast<TypedAttr>(value)));
    return result;
  }
  if (auto fill = tensor.getDefiningOp<linalg::FillOp>())
    return SmallVector<Value>(type.getNumElements(), fill.getInputs()[0]);
  if (!orRead || !type.getElementType().isInteger())
    return std::nullopt;
  for (int64_t i = 0; i < type.getNumElements(); ++i) {
    SmallVector<Value> position;
    if (type.getRank())
      position.push_back(arith::ConstantIndexOp::create(b, i));
    result.push_back(tensor::ExtractOp::create(b, tensor, position));
  }
  return result;
}

FailureOr<Sizes> Lowering::sizesIn(Operation *op, unsigned i) {
  std::optional<SmallVector<Value>> scalars = scalarsOf(operand(op, i));
  if (!scalars || !resultElement(op)) {
    op->emitError() << "operand " << i
                    << " must be an integer tensor of rank 0 or 1 with a known "
                       "number of elements, at most "
                    << kMaxScalars;
    return failure();
  }
  Sizes result;
  for (Value scalar : *scalars)
    result.push_back(sizes.fromInteger(scalar));
  return result;
}

std::optional<SmallVector<int64_t>> Lowering::constantsOf(Value tensor) {
  DenseElementsAttr attr;
  SmallVector<int64_t> result;
  if (matchPattern(tensor, m_Constant(&attr)) &&
      attr.getElementType().isInteger()) {
    for (const APInt &value : attr.getValues<APInt>())
      result.push_back(value.getSExtValue());
    return result;
  }
  std::optional<SmallVector<Value>> scalars = scalarsOf(tensor, false);
  if (!scalars)
    return std::nullopt;
  for (Value scalar : *scalars) {
    std::optional<int64_t> value = getConstantIntValue(scalar);
    if (!value)
      return std::nullopt;
    result.push_back(*value);
  }
  return result;
}

Value Lowering::fromScalars(ArrayRef<Value> scalars, RankedTensorType type) {
  SmallVector<Attribute> attributes;
  for (Value scalar : scalars) {
    Attribute attr;
    if (!matchPattern(scalar, m_Constant(&attr)))
      return tensor::FromElementsOp::create(b, type, scalars);
    attributes.push_back(attr);
  }
  return arith::ConstantOp::create(b, DenseElementsAttr::get(type, attributes));
}

RankedTensorType Lowering::scalarResultType(Operation *op, unsigned i) const {
  auto type = dyn_cast<RankedTensorType>(op->getResult(i).getType());
  return type && isSmall(type) ? storageTensorType(type) : nullptr;
}

/// A comparison of sizes that their normal forms decide.
static std::optional<bool> decide(SizeArithmetic &sizes, arith::CmpIOp op) {
  std::optional<int> order = sizes.compare(sizes.fromInteger(op.getLhs()),
                                           sizes.fromInteger(op.getRhs()));
  if (!order)
    return std::nullopt;
  switch (op.getPredicate()) {
  case arith::CmpIPredicate::eq:
    return *order == 0;
  case arith::CmpIPredicate::ne:
    return *order != 0;
  case arith::CmpIPredicate::slt:
    return *order < 0;
  case arith::CmpIPredicate::sle:
    return *order <= 0;
  case arith::CmpIPredicate::sgt:
    return *order > 0;
  case arith::CmpIPredicate::sge:
    return *order >= 0;
  default:
    return std::nullopt;
  }
}

void Lowering::foldSince(Operation *last, SmallVectorImpl<Value> &toMap) {
  SmallVector<Operation *> ops;
  auto begin = last ? std::next(Block::iterator(last)) : block->begin();
  for (Operation &op : llvm::make_range(begin, block->end()))
    if (op.getNumResults() == 1 && !op.getNumRegions() &&
        !op.hasTrait<OpTrait::ConstantLike>())
      ops.push_back(&op);
  OpBuilder::InsertionGuard guard(b);
  for (Operation *op : ops) {
    b.setInsertionPoint(op);
    SmallVector<Value> folded;
    auto compare = dyn_cast<arith::CmpIOp>(op);
    if (std::optional<bool> known =
            compare && compare.getLhs().getType().isSignlessInteger(64)
                ? decide(sizes, compare)
                : std::nullopt)
      folded.push_back(arith::ConstantOp::create(b, b.getBoolAttr(*known)));
    else if (failed(b.tryFold(op, folded)) || folded.empty())
      continue;
    Value old = op->getResult(0);
    if (folded[0] == old)
      continue;
    old.replaceAllUsesWith(folded[0]);
    for (Value &value : toMap)
      if (value == old)
        value = folded[0];
    // Sizes may hold the value: it stays, dead, for canonicalisation.
  }
}

//===----------------------------------------------------------------------===//
// Generics
//===----------------------------------------------------------------------===//

Value Lowering::empty(const Sizes &sizes, Type element) {
  return tensor::EmptyOp::create(b, sizes, element);
}

Value Lowering::fill(Value scalar, const Sizes &sizes) {
  return linalg::FillOp::create(b, scalar, empty(sizes, scalar.getType()))
      .getResult(0);
}

Value Lowering::constant(Type type, double value) {
  if (isa<FloatType>(type))
    return arith::ConstantOp::create(b, b.getFloatAttr(type, value));
  return arith::ConstantOp::create(
      b, b.getIntegerAttr(type, static_cast<int64_t>(value)));
}

Value Lowering::parallelGeneric(ValueRange operands, ArrayRef<AffineMap> maps,
                                const Sizes &outSizes, Type element,
                                Body body) {
  SmallVector<AffineMap> allMaps(maps);
  allMaps.push_back(identity(outSizes.size()));
  SmallVector<utils::IteratorType> iterators(outSizes.size(),
                                             utils::IteratorType::parallel);
  Value out = empty(outSizes, element);
  return linalg::GenericOp::create(
             b, out.getType(), operands, out, allMaps, iterators,
             [&](OpBuilder &nested, Location loc, ValueRange args) {
               ImplicitLocOpBuilder inner(loc, nested);
               Value result = body(inner, args.drop_back());
               linalg::YieldOp::create(inner, result);
             })
      .getResult(0);
}

Value Lowering::convertElements(Value tensor, Type element) {
  auto type = cast<RankedTensorType>(tensor.getType());
  if (type.getElementType() == element)
    return tensor;
  return parallelGeneric(tensor, identity(type.getRank()), sizesOf(tensor),
                         element, [&](ImplicitLocOpBuilder &b, ValueRange x) {
                           return convertScalar(b, x[0], element);
                         });
}

//===----------------------------------------------------------------------===//
// The walk
//===----------------------------------------------------------------------===//

static LogicalResult checkType(Operation *op, Type type, Twine what) {
  if (isa<NoneType>(type))
    return success();
  auto tensor = dyn_cast<RankedTensorType>(type);
  if (!tensor)
    return op->emitError() << what << " has no known rank: " << type;
  if (!storageType(tensor.getElementType()))
    return op->emitError() << what << " has an element type that cannot be "
                           << "compiled: " << tensor.getElementType();
  return success();
}

LogicalResult Lowering::lowerArguments(Block &from) {
  llvm::StringMap<Size> named;
  for (BlockArgument arg : from.getArguments()) {
    if (failed(checkType(func, arg.getType(),
                         "argument " + Twine(arg.getArgNumber()))))
      return failure();
    auto type = storageTensorType(cast<RankedTensorType>(arg.getType()));
    Value lowered = block->addArgument(type, arg.getLoc());
    values[arg] = lowered;
    auto names =
        func.getArgAttrOfType<ArrayAttr>(arg.getArgNumber(), "onnx.dims");
    for (int64_t d = 0; d < type.getRank(); ++d) {
      if (!type.isDynamicDim(d))
        continue;
      StringRef name;
      if (names && names.size() == static_cast<size_t>(type.getRank()))
        if (auto string = dyn_cast<StringAttr>(names[d]))
          name = string.getValue();
      Size &size = argumentSizes[{lowered, d}];
      if (!name.empty() && named.contains(name)) {
        size = named[name];
        continue;
      }
      size = sizes.fromInteger(tensor::DimOp::create(b, lowered, d));
      if (!name.empty())
        named[name] = size;
    }
  }
  return success();
}

Value Lowering::lowerWeight(weights::LoadOp op) {
  auto type = cast<RankedTensorType>(op.getTensor().getType());
  Operation *clone = b.clone(*op);
  clone->getResult(0).setType(storageTensorType(type));
  return clone->getResult(0);
}

LogicalResult Lowering::lowerOp(Operation &op, unsigned &numLowered) {
  b.setLoc(op.getLoc());
  if (auto load = dyn_cast<weights::LoadOp>(op)) {
    if (failed(checkType(&op, load.getTensor().getType(), "the weight")))
      return failure();
    values[load.getTensor()] = lowerWeight(load);
    return success();
  }
  StringRef name = op.getName().stripDialect();
  if (auto node = dyn_cast<onnx::NodeOp>(op))
    name = node.getOpType();
  auto it = isa<onnx::NodeOp>(op) ? table.end() : table.find(name);
  if (it == table.end() || !isa_and_present<onnx::ONNXDialect>(op.getDialect()))
    return op.emitError() << "'" << name
                          << "' cannot be compiled: it has no lowering";
  // What made an operand may have failed, and said so.
  for (Value operand : op.getOperands())
    if (!values.contains(operand) ||
        failed(checkType(&op, operand.getType(), "an operand")))
      return failure();
  for (Value result : op.getResults())
    if (!result.use_empty() &&
        failed(checkType(&op, result.getType(), "a result")))
      return failure();
  if (failed(checkRanks(&op)))
    return failure();
  Results results = it->second(*this, &op);
  if (failed(results))
    return failure();
  for (auto [old, lowered] : llvm::zip_equal(op.getResults(), *results))
    values[old] = lowered;
  ++numLowered;
  return success();
}

LogicalResult Lowering::lowerReturn(func::ReturnOp op) {
  b.setLoc(op.getLoc());
  SmallVector<Value> results;
  SmallVector<Type> types;
  for (auto [i, value] : llvm::enumerate(op.getOperands())) {
    if (failed(checkType(op, value.getType(), "result " + Twine(i))))
      return failure();
    if (!values.contains(value))
      return failure();
    results.push_back(values.lookup(value));
    types.push_back(results.back().getType());
  }
  func::ReturnOp::create(b, results);
  func.setFunctionType(b.getFunctionType(block->getArgumentTypes(), types));
  return success();
}

LogicalResult Lowering::run(unsigned &numLowered) {
  if (!func.getBody().hasOneBlock())
    return func.emitError("needs a body of one block");
  Block &from = func.getBody().front();
  block = new Block();
  func.getBody().push_back(block);
  b.setInsertionPointToEnd(block);
  LogicalResult result = lowerArguments(from);
  if (failed(result))
    return failure();
  for (Operation &op : from.without_terminator())
    if (failed(lowerOp(op, numLowered)))
      result = failure();
  if (failed(result) ||
      failed(lowerReturn(cast<func::ReturnOp>(from.getTerminator()))))
    return failure();
  from.dropAllReferences();
  from.dropAllDefinedValueUses();
  from.erase();
  return success();
}
