//===- count-weights.cpp - A pass outside the tree ------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Dialect/Weights/Weights.h"
#include "twist/Pipeline/InitAll.h"
#include "twist/Pipeline/Pipelines.h"
#include "twist/Target/ONNX/ONNXFile.h"

#include "mlir/IR/MLIRContext.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;

namespace {
/// Prints how many weights a model reads, and how many elements these have.
struct CountWeights : PassWrapper<CountWeights, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(CountWeights)
  StringRef getArgument() const override { return "count-weights"; }

  void runOnOperation() override {
    int64_t weights = 0, elements = 0;
    getOperation().walk([&](twist::weights::LoadOp load) {
      ++weights;
      elements += load.getType().getNumElements();
    });
    llvm::outs() << weights << " weights, " << elements << " elements\n";
  }
};
} // namespace

int main(int argc, char **argv) {
  if (argc != 2) {
    llvm::errs() << "usage: count-weights MODEL.onnx\n";
    return 1;
  }
  DialectRegistry registry;
  twist::registerAllDialects(registry);
  MLIRContext context(registry);
  FailureOr<OwningOpRef<ModuleOp>> module = twist::importONNX(argv[1], &context);
  if (failed(module))
    return 1;
  PassManager passes(&context);
  twist::populateNormalisePasses(passes);
  passes.addPass(std::make_unique<CountWeights>());
  return failed(passes.run(**module));
}
