//===- StepWrite.cpp - A model with other weights -------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "StepModel.h"

#include "twist/Dialect/ONNX/ONNX.h"
#include "twist/Dialect/Twist/Transforms/PrepareTraining.h"
#include "twist/Dialect/Weights/Weights.h"
#include "twist/Support/OutputFile.h"
#include "twist/Target/ONNX/ONNXFile.h"

using namespace mlir;
using namespace twist;
using namespace twist::axes;

namespace {
/// Where a tensor lies in the file of values.
struct Stored {
  int64_t offset;
  RankedTensorType type;
};
} // namespace

/// What each gain makes of the weights.
static FailureOr<std::vector<double>>
factorsOf(const train::ModelLayout &layout, ArrayRef<const void *> values,
          Operation *at) {
  std::vector<double> factors(layout.parameters.size(), 1);
  for (auto [i, parameter] : llvm::enumerate(layout.parameters)) {
    if (parameter.role != train::ParameterRole::Gain)
      continue;
    double gain = parameter.type == TWIST_F64
                      ? *static_cast<const double *>(values[i])
                      : *static_cast<const float *>(values[i]);
    if (gain == 1)
      continue;
    if (!parameter.isFoldable)
      return at->emitError("'") << parameter.name
                                << "' cannot be folded: a weight that it "
                                   "scales is read by other ops too";
    for (unsigned weight : parameter.scales)
      factors[weight] *= gain;
  }
  return factors;
}

template <typename T>
static void writeScaled(llvm::raw_ostream &os, const void *values,
                        int64_t count, double factor) {
  ArrayRef<T> from(static_cast<const T *>(values), size_t(count));
  if (factor == 1) {
    os.write(reinterpret_cast<const char *>(from.data()),
             from.size() * sizeof(T));
    return;
  }
  std::vector<T> scaled;
  for (T value : from)
    scaled.push_back(T(double(value) * factor));
  os.write(reinterpret_cast<const char *>(scaled.data()),
           scaled.size() * sizeof(T));
}

/// All values one after the other; by name, of copies too.
static FailureOr<llvm::StringMap<Stored>>
writeValues(const train::ModelLayout &layout, ArrayRef<const void *> values,
            ArrayRef<double> factors, llvm::raw_fd_ostream &os, Operation *at) {
  llvm::StringMap<Stored> stored;
  Builder b(at->getContext());
  for (auto [i, parameter] : llvm::enumerate(layout.parameters)) {
    if (parameter.role == train::ParameterRole::Gain)
      continue;
    bool isDouble = parameter.type == TWIST_F64;
    Type element = isDouble ? Type(b.getF64Type()) : b.getF32Type();
    os.write_zeros(llvm::offsetToAlignment(os.tell(), llvm::Align(64)));
    for (const std::string &name : parameter.copies)
      stored[name] = {int64_t(os.tell()),
                      RankedTensorType::get(parameter.dims, element)};
    if (isDouble)
      writeScaled<double>(os, values[i], parameter.size(), factors[i]);
    else
      writeScaled<float>(os, values[i], parameter.size(), factors[i]);
  }
  os.flush();
  if (os.has_error()) {
    std::string why = os.error().message();
    os.clear_error();
    return at->emitError("cannot write the weights: ") << why;
  }
  return stored;
}

LogicalResult StepModel::write(StringRef path,
                               ArrayRef<const void *> values) const {
  MLIRContext *context = module.get().getContext();
  FailureOr<OwningOpRef<ModuleOp>> original = importONNX(source, context);
  if (failed(original))
    return failure();
  FailureOr<std::vector<double>> factors =
      factorsOf(modelLayout, values, **original);
  if (failed(factors))
    return failure();
  PendingFile file; // never kept
  if (llvm::Error error = file.open((path + ".values").str()))
    return (*original)->emitError("cannot write beside '")
           << path << "': " << toString(std::move(error));
  llvm::raw_fd_ostream os(file.descriptor(), /*shouldClose=*/false);
  auto stored = writeValues(modelLayout, values, *factors, os, **original);
  if (failed(stored))
    return failure();

  OpBuilder b(context);
  b.setInsertionPointToStart((*original)->getBody());
  weights::SourceOp::create(b, (*original).get().getLoc(), "trained",
                            file.temporaryPath().str(), nullptr);
  auto symbol = FlatSymbolRefAttr::get(context, "trained");
  auto main = (*original)->lookupSymbol<func::FuncOp>("main");
  size_t found = 0;
  for (Operation &op : llvm::make_early_inc_range(main.getBody().front())) {
    auto it = stored->find(weightName(&op));
    if (it == stored->end() || op.getNumResults() != 1)
      continue;
    auto type = cast<RankedTensorType>(op.getResult(0).getType());
    const Stored &value = it->second;
    bool isTransposed = type.getShape() != value.type.getShape();
    auto view = weights::ViewAttr::get(
        context, symbol, value.offset, value.type, ArrayAttr(),
        isTransposed ? b.getDenseI64ArrayAttr({1, 0}) : DenseI64ArrayAttr());
    b.setInsertionPoint(&op);
    auto load = weights::LoadOp::create(b, op.getLoc(), type, view);
    load->setDiscardableAttrs(op.getDiscardableAttrDictionary());
    op.getResult(0).replaceAllUsesWith(load);
    op.erase();
    ++found;
  }
  if (found != stored->size())
    return (*original)->emitError("only ")
           << found << " of " << stored->size() << " weights stand in '"
           << source << "' as they are trained";
  return exportONNX(**original, path);
}
