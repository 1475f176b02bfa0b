//===- BufferizableOpInterfaceImpl.cpp - NN ops on buffers
//------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Dialect/NN/Transforms.h"

#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Bufferization/IR/DstBufferizableOpInterfaceImpl.h"

using namespace mlir;
using namespace mlir::bufferization;
using namespace twist;

namespace {
/// All ops of the dialect read their inputs and write their init; only
/// scatter_add reads it too.
template <typename OpTy>
struct NNModel : DstBufferizableOpInterfaceExternalModel<NNModel<OpTy>, OpTy> {
  bool bufferizesToMemoryRead(Operation *op, OpOperand &operand,
                              const AnalysisState &) const {
    return isa<nn::ScatterAddOp>(op) ||
           !cast<DestinationStyleOpInterface>(op).isDpsInit(&operand);
  }

  LogicalResult bufferize(Operation *op, RewriterBase &rewriter,
                          const BufferizationOptions &options,
                          BufferizationState &state) const {
    auto dps = cast<DestinationStyleOpInterface>(op);
    if (!dps.hasPureTensorSemantics())
      return success();
    OpBuilder::InsertionGuard guard(rewriter);
    rewriter.setInsertionPoint(op);
    SmallVector<Value> buffers;
    for (Value operand : op->getOperands()) {
      FailureOr<Value> buffer = getBuffer(rewriter, operand, options, state);
      if (failed(buffer))
        return failure();
      buffers.push_back(*buffer);
    }
    OperationState onBuffers(op->getLoc(), op->getName(), buffers, TypeRange(),
                             op->getAttrs());
    onBuffers.propertiesAttr = op->getPropertiesAsAttribute();
    rewriter.create(onBuffers);
    auto inits = ArrayRef(buffers).take_back(dps.getNumDpsInits());
    replaceOpWithBufferizedValues(rewriter, op, inits);
    return success();
  }
};
} // namespace

void nn::registerBufferizableOpInterfaceExternalModels(
    DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, nn::NNDialect *) {
    LayerNormOp::attachInterface<NNModel<LayerNormOp>>(*context);
    RMSNormOp::attachInterface<NNModel<RMSNormOp>>(*context);
    GatherOp::attachInterface<NNModel<GatherOp>>(*context);
    CrossEntropyOp::attachInterface<NNModel<CrossEntropyOp>>(*context);
    ScatterAddOp::attachInterface<NNModel<ScatterAddOp>>(*context);
  });
}
