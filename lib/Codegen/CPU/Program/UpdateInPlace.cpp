//===- UpdateInPlace.cpp - Results that take the place of arguments -------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Codegen/CPU/Program/Passes.h"

namespace twist::cpu {
#define GEN_PASS_DEF_CPUUPDATEINPLACE
#include "twist/Codegen/CPU/Program/Passes.h.inc"
} // namespace twist::cpu

using namespace mlir;
using namespace twist;

namespace {
struct UpdateInPlace : cpu::impl::CPUUpdateInPlaceBase<UpdateInPlace> {
  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (function.isExternal())
      return;
    Operation *end = function.getBody().back().getTerminator();
    llvm::BitVector gone(function.getNumResults());
    OpBuilder b(end);
    for (BlockArgument argument : function.getArguments()) {
      auto number = function.getArgAttrOfType<IntegerAttr>(
          argument.getArgNumber(), cpu::program::updatedByAttr);
      if (!number)
        continue;
      Value result = end->getOperand(number.getInt());
      while (auto cast = result.getDefiningOp<memref::CastOp>())
        result = cast.getSource();
      if (result != argument) {
        if (isa<BlockArgument>(result)) {
          function.emitError("argument ")
              << argument.getArgNumber()
              << " is updated by another argument as it was";
          return signalPassFailure();
        }
        memref::CopyOp::create(b, end->getLoc(), result, argument);
        ++numCopies;
      }
      gone.set(number.getInt());
      function.removeArgAttr(argument.getArgNumber(),
                             cpu::program::updatedByAttr);
    }
    end->eraseOperands(gone);
    (void)function.eraseResults(gone);
  }
};
} // namespace
