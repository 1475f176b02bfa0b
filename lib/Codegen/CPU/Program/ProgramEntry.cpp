//===- ProgramEntry.cpp - Raw buffers and sizes for memrefs ---------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Codegen/CPU/Program/Passes.h"

namespace twist::cpu {
#define GEN_PASS_DEF_CPUPROGRAMENTRY
#include "twist/Codegen/CPU/Program/Passes.h.inc"
} // namespace twist::cpu

using namespace mlir;
using namespace twist;

/// Replaces `argument` by a view of the raw buffer `data`; appends an argument
/// for each dynamic size.
static void viewRaw(OpBuilder &b, BlockArgument argument, Value data,
                    Value zero) {
  auto type = cast<MemRefType>(argument.getType());
  Block *body = argument.getOwner();
  SmallVector<Value> sizes;
  for (int64_t d = 0, e = type.getNumDynamicDims(); d < e; ++d)
    sizes.push_back(body->addArgument(b.getIndexType(), argument.getLoc()));
  Value view =
      memref::ViewOp::create(b, argument.getLoc(), type, data, zero, sizes);
  argument.replaceAllUsesWith(view);
}

/// (weights, inputs…, outputs…) -> (weights, arena, raw…, sizes…, launcher)
static LogicalResult rewriteEntry(func::FuncOp main) {
  Block &body = main.getBody().front();
  unsigned memrefs = body.getNumArguments();
  for (BlockArgument argument : body.getArguments()) {
    auto type = dyn_cast<MemRefType>(argument.getType());
    if (!type || !type.getLayout().isIdentity())
      return main.emitError("cannot pass argument ")
             << argument.getArgNumber() << " of type " << argument.getType()
             << " as a raw buffer";
  }
  OpBuilder b = OpBuilder::atBlockBegin(&body);
  auto raw = MemRefType::get({ShapedType::kDynamic}, b.getI8Type());
  body.addArgument(raw, main.getLoc()); // the arena
  for (unsigned i = 1; i < memrefs; ++i)
    body.addArgument(raw, body.getArgument(i).getLoc());
  Value zero = arith::ConstantIndexOp::create(b, main.getLoc(), 0);
  for (unsigned i = 1; i < memrefs; ++i)
    viewRaw(b, body.getArgument(i), body.getArgument(memrefs + i), zero);
  body.addArgument(LLVM::LLVMPointerType::get(b.getContext()), main.getLoc());
  body.eraseArguments(1, memrefs - 1);
  main.removeArgAttrsAttr();
  main.setType(b.getFunctionType(body.getArgumentTypes(), {}));
  return success();
}

namespace {
struct ProgramEntry : cpu::impl::CPUProgramEntryBase<ProgramEntry> {
  void runOnOperation() override {
    auto main =
        getOperation().lookupSymbol<func::FuncOp>(cpu::program::mainName);
    if (main && failed(rewriteEntry(main)))
      signalPassFailure();
  }
};
} // namespace
