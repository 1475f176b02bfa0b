//===- LaunchToLoops.cpp - Launches without threads -------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Codegen/CPU/CPU.h"
#include "twist/Codegen/CPU/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

namespace twist::cpu {
#define GEN_PASS_DEF_CPULAUNCHTOLOOPS
#include "twist/Codegen/CPU/Passes.h.inc"
} // namespace twist::cpu

using namespace mlir;
using namespace twist::cpu;

namespace {
struct LaunchToLoops : twist::cpu::impl::CPULaunchToLoopsBase<LaunchToLoops> {
  void runOnOperation() override {
    SmallVector<LaunchOp> launches;
    getOperation().walk([&](LaunchOp op) { launches.push_back(op); });
    for (LaunchOp op : launches) {
      OpBuilder b(op);
      Location loc = op.getLoc();
      Value zero = arith::ConstantIndexOp::create(b, loc, 0);
      Value one = arith::ConstantIndexOp::create(b, loc, 1);
      auto loop = scf::ForOp::create(b, loc, zero, op.getCount(), one);
      b.setInsertionPointToStart(loop.getBody());
      SmallVector<Value> arguments = {loop.getInductionVar()};
      llvm::append_range(arguments, op.getArgs());
      func::CallOp::create(b, loc, op.getKernelAttr(), TypeRange(), arguments);
      op.erase();
    }
  }
};
} // namespace
