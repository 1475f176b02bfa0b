//===- DescribeInterface.cpp - Inputs, outputs, the shape function --------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "ResolveDims.h"
#include "twist/Codegen/CPU/Program/Passes.h"
#include "twist/Runtime/Program.h"

#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Transforms/RegionUtils.h"

namespace twist::cpu {
#define GEN_PASS_DEF_CPUDESCRIBEINTERFACE
#include "twist/Codegen/CPU/Program/Passes.h.inc"
} // namespace twist::cpu

using namespace mlir;
using namespace twist;

//===----------------------------------------------------------------------===//
// What callers see
//===----------------------------------------------------------------------===//

/// "f32", "i64", "u8", …: the runtime's names (twist.h).
static std::string typeName(Type type) {
  auto integer = dyn_cast<IntegerType>(type);
  if (!integer) {
    std::string name;
    llvm::raw_string_ostream(name) << type;
    return name;
  }
  if (integer.getWidth() == 1)
    return "bool";
  return (integer.isUnsigned() ? "u" : "i") +
         std::to_string(integer.getWidth());
}

/// One input or output: {name, type, dims (-1: dynamic), symbols}, and
/// "updated" of an input whose buffer a result is written to. Attributes that
/// the importer set win over what the type can tell: a tensor of i8 may hold
/// bool or uint8.
static FailureOr<DictionaryAttr> describe(Operation *op, Type type,
                                          DictionaryAttr attrs,
                                          const Twine &defaultName) {
  Builder b(op->getContext());
  auto tensor = dyn_cast<RankedTensorType>(type);
  if (!tensor)
    return op->emitError("a program takes and returns ranked tensors, not ")
           << type;
  auto named = [&](StringRef key) {
    return attrs ? attrs.getAs<StringAttr>(key) : StringAttr();
  };
  StringAttr name = named("onnx.name");
  StringAttr element = named("onnx.type");
  auto symbols = attrs ? attrs.getAs<ArrayAttr>("onnx.dims") : ArrayAttr();
  if (!symbols || symbols.size() != size_t(tensor.getRank()))
    symbols = b.getStrArrayAttr(SmallVector<StringRef>(tensor.getRank(), ""));
  SmallVector<int64_t> dims;
  for (int64_t size : tensor.getShape())
    dims.push_back(ShapedType::isDynamic(size) ? -1 : size);
  SmallVector<NamedAttribute> entries{
      {b.getNamedAttr("name", name ? name : b.getStringAttr(defaultName)),
       b.getNamedAttr("type", element ? element
                                      : b.getStringAttr(
                                            typeName(tensor.getElementType()))),
       b.getNamedAttr("dims", b.getDenseI64ArrayAttr(dims)),
       b.getNamedAttr("symbols", symbols)}};
  if (attrs && attrs.contains(cpu::program::updatedByAttr))
    entries.push_back(b.getNamedAttr("updated", b.getUnitAttr()));
  return b.getDictionaryAttr(entries);
}

/// One bit a result: whether it is written to an argument's buffer.
static FailureOr<llvm::BitVector> resultsInPlace(func::FuncOp main) {
  llvm::BitVector inPlace(main.getNumResults());
  for (auto [index, type] : llvm::enumerate(main.getArgumentTypes())) {
    auto result =
        main.getArgAttrOfType<IntegerAttr>(index, cpu::program::updatedByAttr);
    if (!result)
      continue;
    int64_t number = result.getInt();
    if (number < 0 || number >= int64_t(main.getNumResults()) ||
        main.getResultTypes()[number] != type || inPlace.test(number))
      return main.emitError("argument ")
             << index << " is updated by result " << number
             << ", which is none of its type, or another's";
    inPlace.set(number);
  }
  return inPlace;
}

/// Of what is not updated nothing is written.
static void protectInputs(func::FuncOp main) {
  for (unsigned i = 0; i < main.getNumArguments(); ++i)
    if (!main.getArgAttr(i, cpu::program::updatedByAttr))
      main.setArgAttr(i, bufferization::BufferizationDialect::kWritableAttrName,
                      BoolAttr::get(main.getContext(), false));
}

static FailureOr<DictionaryAttr>
describeInterface(func::FuncOp main, const llvm::BitVector &inPlace) {
  Builder b(main.getContext());
  SmallVector<Attribute> inputs, outputs;
  for (auto [index, type] : llvm::enumerate(main.getArgumentTypes())) {
    FailureOr<DictionaryAttr> input =
        describe(main, type, main.getArgAttrDict(index), "arg" + Twine(index));
    if (failed(input))
      return failure();
    inputs.push_back(*input);
  }
  for (auto [index, type] : llvm::enumerate(main.getResultTypes())) {
    if (inPlace.test(index))
      continue;
    FailureOr<DictionaryAttr> output = describe(
        main, type, main.getResultAttrDict(index), "result" + Twine(index));
    if (failed(output))
      return failure();
    outputs.push_back(*output);
  }
  return b.getDictionaryAttr(
      {b.getNamedAttr("inputs", b.getArrayAttr(inputs)),
       b.getNamedAttr("outputs", b.getArrayAttr(outputs))});
}

//===----------------------------------------------------------------------===//
// The shape function
//===----------------------------------------------------------------------===//

/// Replaces the tensors among the arguments by their dynamic sizes.
static LogicalResult takeSizesForTensors(func::FuncOp function) {
  Block &body = function.getBody().front();
  OpBuilder b(function.getContext());
  unsigned tensors = body.getNumArguments();
  for (unsigned i = 0; i < tensors; ++i) {
    auto type = cast<RankedTensorType>(body.getArgument(i).getType());
    SmallVector<Value> sizes(type.getRank());
    for (int64_t d = 0, e = type.getRank(); d < e; ++d)
      if (type.isDynamicDim(d))
        sizes[d] = body.addArgument(b.getIndexType(), function.getLoc());
    for (Operation *user :
         llvm::make_early_inc_range(body.getArgument(i).getUsers())) {
      auto dim = dyn_cast<tensor::DimOp>(user);
      std::optional<int64_t> index =
          dim ? dim.getConstantIndex() : std::optional<int64_t>();
      if (!index)
        return user->emitError(
            "the size of an output depends on values computed here, not only "
            "on the sizes of the inputs");
      dim.replaceAllUsesWith(sizes[*index]);
      dim.erase();
    }
  }
  body.eraseArguments(0, tensors);
  function.setType(
      b.getFunctionType(body.getArgumentTypes(), function.getResultTypes()));
  return success();
}

/// Computed from sizes alone, not from elements.
static bool isOfSizes(Value value) {
  Operation *op = value.getDefiningOp();
  if (isa_and_present<tensor::DimOp>(op))
    return true;
  return op && isa<arith::ArithDialect>(op->getDialect()) &&
         llvm::all_of(op->getOperands(), isOfSizes);
}

static void dropAssertionsOnElements(func::FuncOp function) {
  function.walk([](cf::AssertOp op) {
    if (!isOfSizes(op.getArg()))
      op.erase();
  });
}

/// Takes the assertions on sizes out of `function`; returns whether all hold,
/// or null if there are none.
static Value takeAssertions(func::FuncOp function) {
  Value holds;
  for (auto op : llvm::make_early_inc_range(
           function.getBody().front().getOps<cf::AssertOp>())) {
    if (!isOfSizes(op.getArg()))
      continue;
    OpBuilder b(op);
    holds = holds ? arith::AndIOp::create(b, op.getLoc(), holds, op.getArg())
                        .getResult()
                  : op.getArg();
    op.erase();
  }
  return holds;
}

static LogicalResult makeShapeFunction(func::FuncOp main,
                                       const llvm::BitVector &inPlace) {
  OpBuilder b(main);
  b.setInsertionPointAfter(main);
  auto function = cast<func::FuncOp>(b.clone(*main));
  function.setName(cpu::program::outputDimsName);
  function.setPrivate();
  function.removeArgAttrsAttr();
  function.removeResAttrsAttr();
  auto ret = cast<func::ReturnOp>(function.getBody().back().getTerminator());
  // The runtime refuses such sizes before it runs @main.
  (void)takeAssertions(main);
  Value holds = takeAssertions(function);
  dropAssertionsOnElements(function);
  b.setInsertionPoint(ret);
  SmallVector<Value> sizes;
  for (auto [i, result] : llvm::enumerate(ret.getOperands())) {
    if (inPlace.test(i))
      continue;
    auto type = cast<RankedTensorType>(result.getType());
    for (int64_t d = 0, e = type.getRank(); d < e; ++d)
      if (type.isDynamicDim(d))
        sizes.push_back(tensor::DimOp::create(b, ret.getLoc(), result, d));
  }
  if (holds) {
    Value refused =
        arith::ConstantIndexOp::create(b, ret.getLoc(), TWIST_SIZES_REFUSED);
    for (Value &size : sizes)
      size = arith::SelectOp::create(b, ret.getLoc(), holds, size, refused);
  }
  ret.getOperandsMutable().assign(sizes);
  function.setType(
      b.getFunctionType(main.getArgumentTypes(),
                        SmallVector<Type>(sizes.size(), b.getIndexType())));
  cpu::resolveDims(function);
  IRRewriter rewriter(b);
  (void)runRegionDCE(rewriter, function->getRegions());
  return takeSizesForTensors(function);
}

/// return %v, %v  ->  return %v, copy of %v
static void copyRepeatedResults(func::FuncOp main) {
  Operation *end = main.getBody().front().getTerminator();
  llvm::DenseSet<Value> seen;
  OpBuilder b(end);
  for (OpOperand &result : end->getOpOperands()) {
    Value value = result.get();
    if (isa<RankedTensorType>(value.getType()) && !seen.insert(value).second)
      result.set(bufferization::AllocTensorOp::create(
          b, end->getLoc(), cast<RankedTensorType>(value.getType()),
          ValueRange(), value));
  }
}

namespace {
struct DescribeInterface
    : cpu::impl::CPUDescribeInterfaceBase<DescribeInterface> {
  void runOnOperation() override {
    auto main =
        getOperation().lookupSymbol<func::FuncOp>(cpu::program::mainName);
    if (!main || main.isExternal()) {
      getOperation().emitError("a program needs a function @main");
      return signalPassFailure();
    }
    FailureOr<llvm::BitVector> inPlace = resultsInPlace(main);
    if (failed(inPlace))
      return signalPassFailure();
    FailureOr<DictionaryAttr> interface = describeInterface(main, *inPlace);
    if (failed(interface) || failed(makeShapeFunction(main, *inPlace)))
      return signalPassFailure();
    protectInputs(main);
    getOperation()->setAttr(cpu::program::interfaceAttr, *interface);
    copyRepeatedResults(main);
  }
};
} // namespace
