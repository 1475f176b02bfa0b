//===- FormContractions.cpp - Contractions to cpu.gemm ----------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Kernels.h"

#include "twist/Codegen/CPU/Passes.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace twist::cpu {
#define GEN_PASS_DEF_CPUFORMCONTRACTIONS
#include "twist/Codegen/CPU/Passes.h.inc"
} // namespace twist::cpu

using namespace mlir;
using namespace twist::cpu;

namespace {
struct FormContractions
    : twist::cpu::impl::CPUFormContractionsBase<FormContractions> {
  using CPUFormContractionsBase::CPUFormContractionsBase;
  void runOnOperation() override {}
};
} // namespace
