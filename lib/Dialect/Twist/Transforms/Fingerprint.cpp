//===- Fingerprint.cpp - Which model a ticket is for ----------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Dialect/Twist/Transforms/Fingerprint.h"

#include "twist/Dialect/ONNX/ONNX.h"
#include "twist/Dialect/Twist/Transforms/Passes.h"
#include "twist/Dialect/Twist/Transforms/PrepareTraining.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/SHA256.h"

using namespace mlir;
using namespace twist;
using namespace twist::axes;

static std::string digest(llvm::SHA256 &hash) {
  return llvm::toHex(hash.final(), /*LowerCase=*/true);
}

std::string twist::axes::structureHash(ModuleOp module) {
  llvm::SHA256 hash;
  llvm::DenseMap<Value, size_t> numbers;
  auto number = [&](Value value) {
    numbers.try_emplace(value, numbers.size());
  };
  module.walk<WalkOrder::PreOrder>([&](Operation *op) {
    for (Region &region : op->getRegions())
      for (Value argument : region.getArguments())
        number(argument);
    std::string line;
    llvm::raw_string_ostream os(line);
    if (auto node = dyn_cast<onnx::NodeOp>(op))
      os << node.getDomain() << "." << node.getOpType();
    else if (isa<weights::LoadOp, onnx::ConstantOp>(op))
      os << "weight " << weightName(op);
    else if (isa<weights::SourceOp>(op))
      return;
    else
      os << op->getName();
    for (Value operand : op->getOperands())
      os << " " << numbers.lookup(operand);
    for (Value result : op->getResults()) {
      number(result);
      os << " " << result.getType();
    }
    os << "\n";
    hash.update(line);
  });
  return digest(hash);
}

/// Feeds one weight's bytes to the hash.
static LogicalResult hashData(Operation *op, weights::SourceFiles &files,
                              llvm::SHA256 &hash) {
  auto feed = [&](ArrayRef<char> bytes) {
    hash.update(StringRef(bytes.data(), bytes.size()));
  };
  if (auto load = dyn_cast<weights::LoadOp>(op)) {
    FailureOr<ArrayRef<char>> bytes =
        files.stored(load.getView(), load.getLoc());
    if (failed(bytes))
      return failure();
    feed(*bytes);
    files.release(load.getView());
    return success();
  }
  ElementsAttr value = cast<onnx::ConstantOp>(op).getValue();
  if (isa<onnx::StringType>(value.getElementType()))
    return success();
  FailureOr<std::vector<char>> bytes = weights::toStored(value, op->getLoc());
  if (failed(bytes))
    return failure();
  feed(*bytes);
  return success();
}

FailureOr<std::string> twist::axes::weightsHash(ModuleOp module,
                                                weights::SourceFiles &files) {
  llvm::SHA256 hash;
  WalkResult result = module.walk([&](Operation *op) {
    if (!isa<weights::LoadOp, onnx::ConstantOp>(op))
      return WalkResult::advance();
    hash.update(weightName(op));
    hash.update(StringRef("\0", 1));
    return failed(hashData(op, files, hash)) ? WalkResult::interrupt()
                                             : WalkResult::advance();
  });
  if (result.wasInterrupted())
    return failure();
  return digest(hash);
}

LogicalResult twist::axes::recordModel(ModuleOp module,
                                       weights::SourceFiles &files) {
  FailureOr<std::string> data = weightsHash(module, files);
  if (failed(data))
    return failure();
  Builder builder(module.getContext());
  module->setAttr(
      kModelAttr,
      builder.getDictionaryAttr(
          {builder.getNamedAttr("structure_sha256",
                                builder.getStringAttr(structureHash(module))),
           builder.getNamedAttr("weights_sha256",
                                builder.getStringAttr(*data))}));
  return success();
}

static StringRef recorded(ModuleOp module, StringRef key) {
  if (auto model = module->getAttrOfType<DictionaryAttr>(kModelAttr))
    if (auto hash = model.getAs<StringAttr>(key))
      return hash.getValue();
  return "";
}

LogicalResult twist::axes::checkModel(ModuleOp module, const Ticket &ticket,
                                      Location loc) {
  auto check = [&](StringRef key, StringRef wanted,
                   StringRef what) -> LogicalResult {
    if (wanted.empty())
      return success();
    StringRef found = recorded(module, key);
    if (found.empty())
      return emitError(loc)
             << "ticket: it names its model's " << key
             << ", but the module has none recorded (twist-record-model)";
    if (found != wanted)
      return emitError(loc)
             << "ticket: it is for " << what << ": " << key << " is "
             << wanted.take_front(12) << "…, the model's is "
             << found.take_front(12) << "…; --any-weights takes it anyway";
    return success();
  };
  return success(succeeded(check("structure_sha256", ticket.structureSHA256,
                                 "another model")) &&
                 succeeded(check("weights_sha256", ticket.weightsSHA256,
                                 "other weights")));
}

void twist::axes::stampModel(ModuleOp module, Ticket &ticket) {
  ticket.structureSHA256 = recorded(module, "structure_sha256").str();
  ticket.weightsSHA256 = recorded(module, "weights_sha256").str();
}

namespace twist::axes {
#define GEN_PASS_DEF_TWISTRECORDMODEL
#include "twist/Dialect/Twist/Transforms/Passes.h.inc"
} // namespace twist::axes

namespace {
struct RecordModel : axes::impl::TwistRecordModelBase<RecordModel> {
  using TwistRecordModelBase::TwistRecordModelBase;

  void runOnOperation() override {
    weights::SourceFiles files(getOperation(), baseDirectory);
    if (failed(recordModel(getOperation(), files)))
      signalPassFailure();
  }
};
} // namespace
