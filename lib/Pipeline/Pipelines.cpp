//===- Pipelines.cpp - The order of passes on models ----------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Pipeline/Pipelines.h"

#include "twist/Dialect/ONNX/Transforms/Passes.h"
#include "twist/Target/ONNX/Passes.h"

#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;

void twist::populateTypingPasses(OpPassManager &pm) {
  pm.addPass(onnx::createONNXTypeNodes());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(onnx::createONNXRefineShapes());
  // Static types let identities fold, which can put sizes together.
  pm.addPass(createCanonicalizerPass());
  pm.addPass(onnx::createONNXRefineShapes());
  // Legal now: func, weights, onnx (typed; onnx.node for what is not known).
}

void twist::populateNormalisePasses(OpPassManager &pm) {
  pm.addPass(createONNXUpgrade());
  populateTypingPasses(pm);
}

void twist::registerModelPipelines() {
  PassPipelineRegistration<>(
      "onnx-normalise", "Bring an imported model to its one typed form",
      [](OpPassManager &pm) { populateNormalisePasses(pm); });
}
