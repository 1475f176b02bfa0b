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
/// All ops of the dialect read their inputs and write their inits; only
/// scatter_add and softmax_gradient read them too.
template <typename OpTy>
struct NNModel : DstBufferizableOpInterfaceExternalModel<NNModel<OpTy>, OpTy> {
  bool bufferizesToMemoryRead(Operation *op, OpOperand &operand,
                              const AnalysisState &) const {
    return isa<nn::ScatterAddOp, nn::SoftmaxGradientOp>(op) ||
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

/// One buffer under two names.
struct AgainModel
    : BufferizableOpInterface::ExternalModel<AgainModel, nn::AgainOp> {
  bool bufferizesToMemoryRead(Operation *, OpOperand &,
                              const AnalysisState &) const {
    return false;
  }
  bool bufferizesToMemoryWrite(Operation *, OpOperand &,
                               const AnalysisState &) const {
    return false;
  }
  AliasingValueList getAliasingValues(Operation *op, OpOperand &,
                                      const AnalysisState &) const {
    return {{op->getResult(0), BufferRelation::Equivalent}};
  }
  LogicalResult bufferize(Operation *op, RewriterBase &rewriter,
                          const BufferizationOptions &options,
                          BufferizationState &state) const {
    FailureOr<Value> buffer =
        getBuffer(rewriter, op->getOperand(0), options, state);
    if (failed(buffer))
      return failure();
    replaceOpWithBufferizedValues(rewriter, op, *buffer);
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
    AgainOp::attachInterface<AgainModel>(*context);
    CausalSoftmaxOp::attachInterface<NNModel<CausalSoftmaxOp>>(*context);
    CrossEntropyOp::attachInterface<NNModel<CrossEntropyOp>>(*context);
    NormGradientOp::attachInterface<NNModel<NormGradientOp>>(*context);
    SoftmaxGradientOp::attachInterface<NNModel<SoftmaxGradientOp>>(*context);
    ScatterAddOp::attachInterface<NNModel<ScatterAddOp>>(*context);
  });
}
