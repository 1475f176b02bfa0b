//===- CPU.cpp - From structured IR to a program for the CPU --------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Pipeline/CPU.h"

#include "twist/Codegen/CPU/Passes.h"
#include "twist/Codegen/CPU/Program/Passes.h"
#include "twist/Dialect/NN/Transforms.h"

#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/Bufferization/Transforms/Passes.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace twist;

static void addCleanup(OpPassManager &pm) {
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
}

void twist::populateCPUTensorPasses(OpPassManager &pm,
                                    const CPUPipelineOptions &options) {
  pm.addPass(cpu::createCPUResolveDims());
  addCleanup(pm);
  pm.addPass(cpu::createCPUDescribeInterface());
  if (options.loops) {
    pm.addPass(nn::createNNDecomposePass());
  } else {
    cpu::CPUFormContractionsOptions form;
    form.vectorBits = options.vectorBits;
    form.bf16Dots = options.bf16Dots;
    nn::NNFindCausalPassOptions causal;
    causal.baseDirectory = options.baseDirectory;
    pm.addPass(nn::createNNFindCausalPass(causal));
    pm.addNestedPass<func::FuncOp>(cpu::createCPUFormContractions(form));
    pm.addNestedPass<func::FuncOp>(cpu::createCPUShareEmbeddings());
  }
  pm.addPass(cpu::createCPUPlaceWeights());
  addCleanup(pm);
  // arith, bufferization, cpu, func, linalg, math, memref, nn, scf, tensor
}

void twist::populateCPUBufferPasses(OpPassManager &pm) {
  pm.addPass(bufferization::createEmptyTensorEliminationPass());
  bufferization::OneShotBufferizePassOptions bufferize;
  bufferize.bufferizeFunctionBoundaries = true;
  bufferize.functionBoundaryTypeConversion =
      bufferization::LayoutMapOption::IdentityLayoutMap;
  pm.addPass(bufferization::createOneShotBufferizePass(bufferize));
  pm.addNestedPass<func::FuncOp>(cpu::createCPUUpdateInPlace());
  addCleanup(pm);
  bufferization::BufferResultsToOutParamsPassOptions outParams;
  outParams.addResultAttribute = true;
  outParams.hoistStaticAllocs = true;
  outParams.hoistDynamicAllocs = true;
  outParams.modifyPublicFunctions = true;
  pm.addPass(bufferization::createBufferResultsToOutParamsPass(outParams));
  pm.addNestedPass<func::FuncOp>(cpu::createCPUElideResultCopies());
  pm.addPass(cpu::createCPUResolveDims());
  addCleanup(pm);
  // arith, cpu, func, linalg, math, memref, nn, scf
}

void twist::populateCPUKernelPasses(OpPassManager &pm,
                                    const CPUPipelineOptions &options) {
  if (!options.loops) {
    cpu::CPULowerKernelsOptions kernels;
    kernels.vectorBits = options.vectorBits;
    kernels.bf16Dots = options.bf16Dots;
    pm.addPass(cpu::createCPULowerKernels(kernels));
  }
  pm.addNestedPass<func::FuncOp>(cpu::createCPUOpsToLoops());
  addCleanup(pm);
  // arith, cpu (launch only), func, math, memref, scf, vector
}

void twist::populateCPUProgramPasses(OpPassManager &pm) {
  pm.addPass(cpu::createCPUProgramEntry());
  pm.addPass(cpu::createCPUResolveDims());
  addCleanup(pm);
  pm.addPass(cpu::createCPUPlanArena());
  addCleanup(pm);
  pm.addPass(cpu::createCPUEmitABI());
  // arith, func, llvm, math, memref (no alloc), scf, vector
}

void twist::populateCPULLVMPasses(OpPassManager &pm,
                                  const CPUPipelineOptions &options) {
  pm.addPass(cpu::createCPUExpandMath());
  pm.addPass(createConvertVectorToSCFPass());
  pm.addPass(cpu::createCPUExpandReshapes());
  pm.addPass(memref::createExpandStridedMetadataPass());
  pm.addPass(createLowerAffinePass());
  // What the processor does not round would become calls of a library.
  arith::ArithExpandOpsPassOptions expand;
  expand.includeBf16 = !options.bf16Conversions;
  pm.addPass(arith::createArithExpandOpsPass(expand));
  addCleanup(pm);
  pm.addPass(createSCFToControlFlowPass());
  ConvertVectorToLLVMPassOptions vector;
  vector.x86Vector = true;
  pm.addPass(createConvertVectorToLLVMPass(vector));
  pm.addPass(createConvertMathToLLVMPass());
  pm.addPass(createConvertMathToLibmPass());
  pm.addPass(createConvertIndexToLLVMPass());
  pm.addPass(createFinalizeMemRefToLLVMConversionPass());
  pm.addPass(createConvertFuncToLLVMPass());
  pm.addPass(createArithToLLVMConversionPass());
  pm.addPass(createConvertControlFlowToLLVMPass());
  pm.addPass(createUBToLLVMConversionPass());
  pm.addPass(cpu::createCPUMaskIntegers());
  pm.addPass(createReconcileUnrealizedCastsPass());
  addCleanup(pm);
  // llvm
}

void twist::populateCPUPasses(OpPassManager &pm,
                              const CPUPipelineOptions &options) {
  populateCPUTensorPasses(pm, options);
  populateCPUBufferPasses(pm);
  populateCPUKernelPasses(pm, options);
  populateCPUProgramPasses(pm);
  populateCPULLVMPasses(pm, options);
}

void twist::registerCPUPipelines() {
  PassPipelineRegistration<CPUPipelineOptions>(
      "cpu-tensor", "Contractions, weights' places, the interface",
      populateCPUTensorPasses);
  PassPipelineRegistration<>("cpu-buffer", "Tensors to buffers",
                             populateCPUBufferPasses);
  PassPipelineRegistration<CPUPipelineOptions>(
      "cpu-kernel", "Computations to kernels and launches",
      populateCPUKernelPasses);
  PassPipelineRegistration<>("cpu-program", "The entry, the arena, the ABI",
                             populateCPUProgramPasses);
  PassPipelineRegistration<CPUPipelineOptions>(
      "cpu-llvm", "Everything left to LLVM", populateCPULLVMPasses);
  PassPipelineRegistration<CPUPipelineOptions>(
      "cpu-pipeline", "From @main on tensors to LLVM", populateCPUPasses);
}
