//===- LowerKernels.cpp - Outlines and writes kernels
//-----------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Kernels.h"

#include "twist/Codegen/CPU/Passes.h"
#include "twist/Dialect/NN/NN.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Linalg/Utils/Utils.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/X86Vector/X86VectorDialect.h"
#include "mlir/Transforms/RegionUtils.h"

namespace twist::cpu {
#define GEN_PASS_DEF_CPULOWERKERNELS
#include "twist/Codegen/CPU/Passes.h.inc"
} // namespace twist::cpu

using namespace mlir;
using namespace twist::cpu;

static bool isComputation(Operation *op) {
  if (!isa<linalg::GenericOp, GemmOp, twist::nn::ScatterAddOp>(op) &&
      !isRowOp(op))
    return false;
  return llvm::none_of(op->getOperandTypes(),
                       [](Type type) { return isa<TensorType>(type); });
}

static Value countTasks(Emitter &e, Operation *op) {
  if (auto generic = dyn_cast<linalg::GenericOp>(op))
    return countGenericTasks(e, generic);
  if (auto gemm = dyn_cast<GemmOp>(op))
    return countGemmTasks(e, gemm);
  if (auto scatter = dyn_cast<twist::nn::ScatterAddOp>(op))
    return countScatterTasks(e, scatter);
  return countRowTasks(e, op);
}

static LogicalResult lower(Emitter &e, Operation *op, Value task) {
  if (auto generic = dyn_cast<linalg::GenericOp>(op))
    return lowerGeneric(e, generic, task);
  if (auto gemm = dyn_cast<GemmOp>(op))
    return lowerGemm(e, gemm, task);
  if (auto scatter = dyn_cast<twist::nn::ScatterAddOp>(op))
    return lowerScatter(e, scatter, task);
  return lowerRows(e, op, task);
}

/// Named ops and copies become linalg.generic.
static LogicalResult generalize(func::FuncOp function) {
  IRRewriter rewriter(function.getContext());
  SmallVector<Operation *> named;
  function.walk([&](Operation *op) {
    auto linalgOp = dyn_cast<linalg::LinalgOp>(op);
    if (isa<memref::CopyOp>(op) ||
        (linalgOp && linalgOp.hasPureBufferSemantics() &&
         !isa<linalg::GenericOp>(op)))
      named.push_back(op);
  });
  for (Operation *op : named) {
    rewriter.setInsertionPoint(op);
    if (auto copy = dyn_cast<memref::CopyOp>(op)) {
      linalg::makeMemRefCopyOp(rewriter, copy.getLoc(), copy.getSource(),
                               copy.getTarget());
      rewriter.eraseOp(copy);
    } else if (failed(linalg::generalizeNamedOp(rewriter,
                                                cast<linalg::LinalgOp>(op)))) {
      return op->emitOpError("has no generic form");
    }
  }
  return success();
}

namespace {
/// Makes kernels, one for all ops that are equal but for their operands.
class Outliner {
public:
  Outliner(ModuleOp module, TargetInfo target)
      : module(module), symbols(module), target(target) {}

  LogicalResult outline(Operation *op);
  unsigned numKernels = 0;

private:
  ModuleOp module;
  SymbolTable symbols;
  TargetInfo target;
  llvm::StringMap<func::FuncOp> kernels;

  func::FuncOp isolate(Operation *op, ArrayRef<Value> arguments,
                       ArrayRef<Operation *> constants);
  FailureOr<func::FuncOp> getKernel(Operation *op, ArrayRef<Value> arguments,
                                    ArrayRef<Operation *> constants);
};
} // namespace

/// A function that holds a copy of the op alone.
func::FuncOp Outliner::isolate(Operation *op, ArrayRef<Value> arguments,
                               ArrayRef<Operation *> constants) {
  OpBuilder b(module.getContext());
  Location loc = op->getLoc();
  SmallVector<Type> types = {b.getIndexType()};
  for (Value argument : arguments)
    types.push_back(argument.getType());
  auto kernel =
      func::FuncOp::create(loc, "kernel", b.getFunctionType(types, {}));
  kernel.setPrivate();
  Block *block = kernel.addEntryBlock();
  b.setInsertionPointToStart(block);
  IRMapping map;
  for (auto [argument, inner] :
       llvm::zip_equal(arguments, block->getArguments().drop_front()))
    map.map(argument, inner);
  for (Operation *constant : constants)
    b.clone(*constant, map);
  b.clone(*op, map);
  func::ReturnOp::create(b, loc);
  return kernel;
}

FailureOr<func::FuncOp> Outliner::getKernel(Operation *op,
                                            ArrayRef<Value> arguments,
                                            ArrayRef<Operation *> constants) {
  func::FuncOp kernel = isolate(op, arguments, constants);
  std::string text;
  llvm::raw_string_ostream stream(text);
  kernel.print(stream, OpPrintingFlags().useLocalScope());
  auto [entry, isNew] = kernels.try_emplace(text, kernel);
  if (!isNew) {
    kernel.erase();
    return entry->second;
  }
  kernel.setName("kernel_" + std::to_string(numKernels++));
  symbols.insert(kernel);
  Operation *inner = kernel.front().getTerminator()->getPrevNode();
  OpBuilder b(inner);
  Emitter e(b, inner->getLoc(), target);
  if (failed(lower(e, inner, kernel.getArgument(0))))
    return failure();
  inner->erase();
  return kernel;
}

LogicalResult Outliner::outline(Operation *op) {
  llvm::SetVector<Value> used(op->operand_begin(), op->operand_end());
  for (Region &region : op->getRegions())
    getUsedValuesDefinedAbove(region, used);
  SmallVector<Value> arguments;
  SmallVector<Operation *> constants;
  for (Value value : used) {
    Operation *definition = value.getDefiningOp();
    if (definition && definition->hasTrait<OpTrait::ConstantLike>())
      constants.push_back(definition);
    else
      arguments.push_back(value);
  }
  FailureOr<func::FuncOp> kernel = getKernel(op, arguments, constants);
  if (failed(kernel))
    return failure();
  OpBuilder b(op);
  Emitter e(b, op->getLoc(), target);
  Value count = countTasks(e, op);
  LaunchOp::create(b, op->getLoc(), FlatSymbolRefAttr::get(*kernel), count,
                   arguments);
  op->erase();
  return success();
}

namespace {
struct LowerKernels : twist::cpu::impl::CPULowerKernelsBase<LowerKernels> {
  using CPULowerKernelsBase::CPULowerKernelsBase;

  void runOnOperation() override {
    SmallVector<func::FuncOp> functions(getOperation().getOps<func::FuncOp>());
    TargetInfo target;
    target.vectorBits = vectorBits;
    target.bf16Dots = bf16Dots;
    Outliner outliner(getOperation(), target);
    for (func::FuncOp function : functions) {
      if (failed(generalize(function)))
        return signalPassFailure();
      SmallVector<Operation *> ops;
      function.walk([&](Operation *op) {
        if (isComputation(op))
          ops.push_back(op);
      });
      for (Operation *op : ops) {
        if (failed(outliner.outline(op)))
          return signalPassFailure();
        ++numLaunches;
      }
    }
    numKernels = outliner.numKernels;
  }
};
} // namespace
