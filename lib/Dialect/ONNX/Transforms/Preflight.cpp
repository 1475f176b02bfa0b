//===- Preflight.cpp - Every obstacle at once -----------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Dialect/ONNX/ONNX.h"
#include "twist/Dialect/ONNX/SymbolicShapes.h"
#include "twist/Dialect/ONNX/Transforms/Passes.h"
#include "twist/Support/Integers.h"

namespace twist::onnx {
#define GEN_PASS_DEF_ONNXPREFLIGHT
#include "twist/Dialect/ONNX/Transforms/Passes.h.inc"
} // namespace twist::onnx

using namespace mlir;
using namespace twist;
using namespace twist::onnx;

namespace {
class Preflight {
public:
  Preflight(func::FuncOp function, Purpose purpose,
            llvm::function_ref<bool(StringRef)> hasLowering)
      : function(function), purpose(purpose), hasLowering(hasLowering),
        shapes(SymbolicShapes::compute(function)) {}

  LogicalResult run();

private:
  void checkArguments();
  void checkOp(Operation *op);
  void checkProduct(Operation *op);
  void checkResult(OpResult result);
  InFlightDiagnostic obstacle(Operation *op) {
    ++obstacles;
    return op->emitError();
  }

  func::FuncOp function;
  Purpose purpose;
  llvm::function_ref<bool(StringRef)> hasLowering;
  SymbolicShapes shapes;
  unsigned obstacles = 0;
};
} // namespace

/// Dimensions of a tensor that a program can have: TWIST_MAX_RANK.
static constexpr int64_t kMaxRank = 16;

/// Whether a number holds the bytes of all known sizes, of any element type.
static bool isCountable(RankedTensorType type) {
  SmallVector<int64_t> known(llvm::make_filter_range(
      type.getShape(), [](int64_t size) { return size > 0; }));
  return productOf(known, /*unit=*/8).has_value();
}

/// Why a value of this type can't be computed; empty if it can.
static StringRef whyNot(Type type) {
  if (isa<NoneType>(type))
    return "";
  auto tensor = dyn_cast<TensorType>(type);
  if (!tensor)
    return "no tensor";
  Type element = tensor.getElementType();
  if (isa<StringType>(element))
    return "a tensor of strings";
  if (tensor.hasRank() && tensor.getRank() > kMaxRank)
    return "a tensor of more than 16 dimensions";
  if (auto ranked = dyn_cast<RankedTensorType>(tensor);
      ranked && !isCountable(ranked))
    return "a tensor of 2^63 bytes and more";
  if (isa<Float16Type, BFloat16Type, Float32Type, Float64Type>(element))
    return "";
  auto integer = dyn_cast<IntegerType>(element);
  if (integer && llvm::is_contained({1, 8, 16, 32, 64}, integer.getWidth()))
    return "";
  return "a tensor of an unsupported element type";
}

void Preflight::checkArguments() {
  for (BlockArgument argument : function.getArguments()) {
    auto name = function.getArgAttrOfType<StringAttr>(argument.getArgNumber(),
                                                      "onnx.name");
    StringRef why = whyNot(argument.getType());
    if (purpose == Purpose::Compile && !why.empty())
      obstacle(function) << "input '" << (name ? name.getValue() : "")
                         << "' is " << why << ": " << argument.getType();
    if (isa<UnrankedTensorType>(argument.getType()))
      obstacle(function) << "input '" << (name ? name.getValue() : "")
                         << "' has no rank";
  }
}

/// Whether a size of `value` is an atom made for it: it depends on data.
static bool hasFreshSize(const SymbolicShapes &shapes, OpResult result) {
  for (const SizeExpr &size : shapes.dimsOf(result))
    for (const SizeExpr::Term &term : size.terms())
      for (const SizeExpr::Factor &factor : term.factors)
        if (shapes.isMadeFor(result, factor.atom))
          return true;
  return false;
}

void Preflight::checkResult(OpResult result) {
  Operation *op = result.getOwner();
  if (isa<UnrankedTensorType>(result.getType())) {
    if (llvm::none_of(op->getOperandTypes(),
                      [](Type type) { return isa<UnrankedTensorType>(type); }))
      obstacle(op) << "the rank of its result does not follow from the graph";
    return;
  }
  if (purpose == Purpose::Slice || result.use_empty())
    return;
  StringRef why = whyNot(result.getType());
  if (!why.empty())
    obstacle(op) << "its result is " << why << ": " << result.getType();
  else if (hasFreshSize(shapes, result))
    obstacle(op) << "the sizes of its result depend on data: "
                 << result.getType();
}

/// A product's sizes that do not meet: what no kernel may be asked to read.
void Preflight::checkProduct(Operation *op) {
  if (!isa<MatMulOp, GemmOp>(op))
    return;
  auto sizes = [&](unsigned number) -> ArrayRef<int64_t> {
    auto type = dyn_cast<RankedTensorType>(op->getOperand(number).getType());
    return type ? type.getShape() : ArrayRef<int64_t>();
  };
  ArrayRef<int64_t> a = sizes(0), b = sizes(1);
  if (a.empty() || b.empty())
    return;
  auto gemm = dyn_cast<GemmOp>(op);
  if (gemm && (a.size() != 2 || b.size() != 2))
    return;
  int64_t rows = gemm && gemm.getTransA() ? a[0] : a.back();
  int64_t columns = gemm ? b[gemm.getTransB() ? 1 : 0]
                         : b[b.size() > 1 ? b.size() - 2 : 0];
  if (!ShapedType::isDynamic(rows) && !ShapedType::isDynamic(columns) &&
      rows != columns)
    obstacle(op) << "a dimension of " << rows
                 << " is multiplied with one of " << columns;
}

void Preflight::checkOp(Operation *op) {
  checkProduct(op);
  auto node = dyn_cast<NodeOp>(op);
  if (node && purpose == Purpose::Compile) {
    auto error = obstacle(op)
                 << "there is no lowering for " << node.getOpType();
    if (!node.getDomain().empty())
      error << " of domain '" << node.getDomain() << "'";
    else if (node.getOpType() == "If")
      error << " whose condition does not follow from sizes and constants";
    return;
  }
  bool structural = !isa_and_nonnull<ONNXDialect>(op->getDialect()) ||
                    isa<YieldOp, NoneOp, ConstantOp>(op);
  if (purpose == Purpose::Compile && hasLowering && !structural &&
      !hasLowering(op->getName().stripDialect()))
    obstacle(op) << "there is no lowering for " << op->getName().stripDialect();
  for (OpResult result : op->getResults())
    checkResult(result);
}

LogicalResult Preflight::run() {
  checkArguments();
  function.getBody().walk<WalkOrder::PreOrder>([&](Operation *op) {
    checkOp(op);
    // What is inside an unknown node goes with it.
    return isa<NodeOp>(op) ? WalkResult::skip() : WalkResult::advance();
  });
  return success(obstacles == 0);
}

LogicalResult
twist::onnx::preflight(ModuleOp module, Purpose purpose,
                       llvm::function_ref<bool(StringRef)> hasLowering) {
  auto function = module.lookupSymbol<func::FuncOp>("main");
  if (!function || function.isExternal())
    return module.emitError("there is no function @main with a body");
  return ::Preflight(function, purpose, hasLowering).run();
}

namespace {
struct PreflightPass : onnx::impl::ONNXPreflightBase<PreflightPass> {
  using ONNXPreflightBase::ONNXPreflightBase;
  void runOnOperation() override {
    if (purpose != "slice" && purpose != "compile") {
      getOperation().emitError("unknown purpose '")
          << purpose.getValue() << "'; known are slice and compile";
      return signalPassFailure();
    }
    Purpose wanted = purpose == "slice" ? Purpose::Slice : Purpose::Compile;
    llvm::function_ref<bool(StringRef)> ask;
    if (hasLowering)
      ask = hasLowering;
    if (failed(preflight(getOperation(), wanted, ask)))
      signalPassFailure();
  }

  std::function<bool(StringRef)> hasLowering;
};
} // namespace

std::unique_ptr<Pass>
twist::onnx::createPreflightPass(Purpose purpose,
                                 std::function<bool(StringRef)> hasLowering) {
  ONNXPreflightOptions options;
  options.purpose = purpose == Purpose::Slice ? "slice" : "compile";
  auto pass = std::make_unique<PreflightPass>(options);
  pass->hasLowering = std::move(hasLowering);
  return pass;
}
