//===- Bufferize.cpp - cpu.gemm on buffers ----------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Codegen/CPU/CPU.h"
#include "twist/Codegen/CPU/Passes.h"

#include "mlir/Dialect/Bufferization/IR/BufferizableOpInterface.h"
#include "mlir/Dialect/Bufferization/IR/DstBufferizableOpInterfaceImpl.h"

using namespace mlir;
using namespace twist::cpu;

namespace {
template <typename Op>
struct Model : bufferization::DstBufferizableOpInterfaceExternalModel<Model<Op>, Op> {
  /// Init is overwritten whole.
  bool bufferizesToMemoryRead(Operation *op, OpOperand &operand,
                              const bufferization::AnalysisState &) const {
    return !cast<DestinationStyleOpInterface>(op).isDpsInit(&operand);
  }

  LogicalResult bufferize(Operation *op, RewriterBase &rewriter,
                          const bufferization::BufferizationOptions &options,
                          bufferization::BufferizationState &state) const {
    OpBuilder::InsertionGuard guard(rewriter);
    rewriter.setInsertionPoint(op);
    SmallVector<Value> operands;
    for (Value operand : op->getOperands()) {
      if (isa<TensorType>(operand.getType())) {
        FailureOr<Value> buffer =
            bufferization::getBuffer(rewriter, operand, options, state);
        if (failed(buffer))
          return failure();
        operand = *buffer;
      }
      operands.push_back(operand);
    }
    SmallVector<Value> inits;
    for (OpOperand &init : cast<DestinationStyleOpInterface>(op).getDpsInitsMutable())
      inits.push_back(operands[init.getOperandNumber()]);
    OperationState bufferized(op->getLoc(), op->getName(), operands, TypeRange(),
                              op->getAttrs());
    bufferized.propertiesAttr = op->getPropertiesAsAttribute();
    for (Region &region : op->getRegions())
      bufferized.addRegion()->takeBody(region);
    rewriter.create(bufferized);
    bufferization::replaceOpWithBufferizedValues(
        rewriter, op,
        op->getNumResults() ? ValueRange(inits) : ValueRange());
    return success();
  }
};
} // namespace

void twist::cpu::registerKernelBufferization(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, CPUDialect *) {
    GemmOp::attachInterface<Model<GemmOp>>(*context);
  });
}
