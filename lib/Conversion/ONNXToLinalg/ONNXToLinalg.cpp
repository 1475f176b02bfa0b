//===- ONNXToLinalg.cpp - ONNX ops in linalg
//--------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Conversion/ONNXToLinalg/ONNXToLinalg.h"

#include "Lowering.h"

#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"

namespace twist {
#define GEN_PASS_DEF_CONVERTONNXTOLINALGPASS
#include "twist/Conversion/ONNXToLinalg/Passes.h.inc"
} // namespace twist

using namespace twist;
using namespace twist::lowering;

static const LoweringTable &loweringTable() {
  static const LoweringTable table = [] {
    LoweringTable table;
    addElementwise(table);
    addContractions(table);
    addReductions(table);
    addConvolutions(table);
    addImageNorms(table);
    addLosses(table);
    addNorms(table);
    addPools(table);
    addResize(table);
    addQuantization(table);
    addRecurrent(table);
    addSampling(table);
    addSelections(table);
    addShapes(table);
    addSlices(table);
    addGathers(table);
    addSources(table);
    return table;
  }();
  return table;
}

bool twist::hasLowering(llvm::StringRef onnxOpName) {
  return loweringTable().contains(onnxOpName);
}

namespace {
struct ConvertONNXToLinalgPass
    : twist::impl::ConvertONNXToLinalgPassBase<ConvertONNXToLinalgPass> {
  void runOnOperation() override {
    unsigned lowered = 0;
    for (auto func : getOperation().getOps<func::FuncOp>())
      if (!func.isDeclaration() &&
          failed(Lowering(func, loweringTable()).run(lowered)))
        signalPassFailure();
    numLowered += lowered;
  }
};
} // namespace
