//===- FormContractions.cpp - Contractions to cpu.gemm
//----------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Contraction.h"

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

  void runOnOperation() override {
    TargetInfo target;
    target.vectorBits = vectorBits;
    target.bf16Dots = bf16Dots;
    if (failed(showJoinedBatches(getOperation())))
      return signalPassFailure();
    SmallVector<linalg::LinalgOp> ops;
    getOperation().walk([&](linalg::LinalgOp op) { ops.push_back(op); });
    llvm::SmallPtrSet<Operation *, 8> folded;
    for (linalg::LinalgOp op : ops) {
      if (folded.contains(op))
        continue;
      std::optional<Contraction> contraction = matchContraction(op);
      OpBuilder b(op);
      if (contraction) {
        contraction->outSizes =
            tensor::getMixedSizes(b, op.getLoc(), op.getDpsInits()[0]);
        splitBatch(b, *contraction);
        foldTransposes(*contraction);
      }
      if (!contraction || failed(joinReductions(b, *contraction))) {
        numGemms += formConvolution(op, target);
        continue;
      }
      op = foldResultTranspose(op, *contraction);
      folded.insert(op);
      op->getResult(0).replaceAllUsesWith(
          buildGemm(b, op, *contraction, target));
      op.erase();
      ++numGemms;
    }
    if (failed(fuseElementwise(getOperation())))
      return signalPassFailure();
    numEpilogues += fuseEpilogues(getOperation());
    overwriteOperands(getOperation());
  }
};
} // namespace
