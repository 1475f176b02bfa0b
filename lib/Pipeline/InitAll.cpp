//===- InitAll.cpp - Every dialect and pass of the project
//------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Pipeline/InitAll.h"

#include "twist/Codegen/CPU/CPU.h"
#include "twist/Codegen/CPU/Passes.h"
#include "twist/Codegen/CPU/Program/Passes.h"
#include "twist/Conversion/ONNXToLinalg/ONNXToLinalg.h"
#include "twist/Dialect/NN/Transforms.h"
#include "twist/Dialect/ONNX/ONNX.h"
#include "twist/Dialect/ONNX/Transforms/Passes.h"
#include "twist/Dialect/Twist/Transforms/Passes.h"
#include "twist/Dialect/Twist/Twist.h"
#include "twist/Dialect/Weights/Weights.h"
#include "twist/Differentiate/Differentiate.h"
#include "twist/Pipeline/CPU.h"
#include "twist/Pipeline/Pipelines.h"
#include "twist/Target/ONNX/Passes.h"

#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"

void twist::registerAllDialects(mlir::DialectRegistry &registry) {
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  registry.insert<axes::TwistDialect, cpu::CPUDialect, nn::NNDialect,
                  onnx::ONNXDialect, weights::WeightsDialect>();
  cpu::registerKernelBufferization(registry);
  nn::registerBufferizableOpInterfaceExternalModels(registry);
}

void twist::registerAllPasses() {
  mlir::registerAllPasses();
  cpu::registerCPUPasses();
  cpu::registerCPUProgramPasses();
  registerCPUPipelines();
  onnx::registerONNXPasses();
  registerTargetONNXPasses();
  registerModelPipelines();
  nn::registerNNPasses();
  registerDifferentiatePasses();
  axes::registerTwistPasses();
  registerONNXToLinalgPasses();
}
