//===- Model.cpp - From a file to a model with its axes -------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Pipeline/Model.h"
#include "twist/Pipeline/Corrections.h"

#include "twist/Dialect/ONNX/ONNX.h"
#include "twist/Dialect/Twist/AxisAnalysis.h"
#include "twist/Dialect/Twist/Transforms/Fingerprint.h"
#include "twist/Dialect/Twist/Transforms/Passes.h"
#include "twist/Target/ONNX/ONNXFile.h"

#include "mlir/IR/Verifier.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace twist;

/// Runs a pipeline given in words; a mistake in them is the caller's.
static LogicalResult runPipeline(ModuleOp module, const Twine &text) {
  PassManager pm(module.getContext());
  if (failed(parsePassPipeline(text.str(), pm)))
    return failure();
  return pm.run(module);
}

FailureOr<OwningOpRef<ModuleOp>>
twist::loadModelWithAxes(StringRef path, MLIRContext *context,
                         const LoadOptions &options) {
  FailureOr<OwningOpRef<ModuleOp>> module = importONNX(path, context);
  if (failed(module))
    return failure();
  if (options.hashes) {
    weights::SourceFiles files(**module);
    if (failed(axes::recordModel(**module, files)))
      return failure();
  }
  std::string state = options.state.empty()
                          ? std::string()
                          : "{state=" + llvm::join(options.state, ",") + "}";
  std::string bind = options.dims.empty()
                         ? std::string()
                         : "onnx-bind-dims{dims=" + options.dims + "},";
  if (failed(runPipeline(**module, "onnx-normalise," + bind +
                                       "twist-discover-axes" + state)))
    return failure();
  return module;
}

FailureOr<OwningOpRef<ModuleOp>>
twist::loadModelWithTicket(StringRef path, StringRef ticketPath,
                           bool anyWeights, MLIRContext *context,
                           LoadOptions options) {
  FailureOr<Ticket> ticket = readTicket(ticketPath, context);
  if (failed(ticket))
    return failure();
  Location loc = FileLineColLoc::get(context, ticketPath, 0, 0);
  options.hashes |= !anyWeights && (!ticket->structureSHA256.empty() ||
                                    !ticket->weightsSHA256.empty());
  FailureOr<OwningOpRef<ModuleOp>> module =
      loadModelWithAxes(path, context, options);
  if (failed(module) ||
      (!anyWeights && failed(axes::checkModel(**module, *ticket, loc))) ||
      failed(axes::applyTicket(**module, *ticket, loc, options.evaluate)))
    return failure();
  if (ticket->weightsFile.empty())
    return module;
  SmallString<128> file(llvm::sys::path::parent_path(ticketPath));
  llvm::sys::path::append(file, ticket->weightsFile);
  if (failed(applyCorrections(**module, file, ticket->weightsFileSHA256, loc)))
    return failure();
  return module;
}

LogicalResult twist::sliceModel(ModuleOp module,
                                const axes::SliceOptions &options,
                                axes::SliceReport &report) {
  module.getContext()->getOrLoadDialect<weights::WeightsDialect>();
  if (failed(axes::slice(module, options, report)) ||
      failed(mlir::verify(module)))
    return failure();
  return runPipeline(module, "onnx-refine-shapes");
}

/// Sums of squares over all but one dimension.
static std::vector<double> marginal(ArrayRef<float> data,
                                    ArrayRef<int64_t> shape, int64_t dim) {
  int64_t inner = 1;
  for (int64_t size : shape.drop_front(dim + 1))
    inner *= size;
  std::vector<double> sums(shape[dim]);
  for (size_t i = 0; i < data.size(); ++i)
    sums[(i / inner) % shape[dim]] += double(data[i]) * data[i];
  return sums;
}

/// The elements of a weight or constant as f32.
static FailureOr<std::vector<float>> readFloats(Operation *op,
                                                weights::SourceFiles &files) {
  auto type = cast<RankedTensorType>(op->getResult(0).getType());
  std::vector<float> data(type.getNumElements());
  MutableArrayRef<char> bytes(reinterpret_cast<char *>(data.data()),
                              data.size() * sizeof(float));
  Type f32 = Float32Type::get(op->getContext());
  if (auto load = dyn_cast<weights::LoadOp>(op)) {
    if (failed(files.read(load.getView(), f32, bytes, op->getLoc())))
      return failure();
    files.release(load.getView());
    return data;
  }
  FailureOr<std::vector<char>> stored =
      weights::toStored(cast<onnx::ConstantOp>(op).getValue(), op->getLoc());
  if (failed(stored))
    return failure();
  auto view = weights::ViewAttr::get(
      op->getContext(), FlatSymbolRefAttr::get(op->getContext(), "constant"), 0,
      type, {}, {});
  if (failed(weights::readView(view, *stored, f32, bytes, op->getLoc())))
    return failure();
  return data;
}

FailureOr<llvm::StringMap<std::vector<double>>>
twist::unitMagnitudes(ModuleOp module, ArrayRef<std::string> state) {
  auto function = module.lookupSymbol<func::FuncOp>("main");
  axes::AxisAnalysisOptions options;
  options.state.assign(state.begin(), state.end());
  FailureOr<axes::AxisAnalysis> analysis =
      axes::AxisAnalysis::compute(function, options);
  if (failed(analysis))
    return failure();
  llvm::StringMap<std::vector<double>> scores;
  for (const axes::Axis &axis : analysis->axes())
    scores[axis.symbol].resize(axis.units);

  weights::SourceFiles files(module);
  for (Operation &op : function.getBody().front()) {
    if (!isa<weights::LoadOp, onnx::ConstantOp>(op))
      continue;
    auto type = dyn_cast<RankedTensorType>(op.getResult(0).getType());
    if (!type || !isa<FloatType>(type.getElementType()))
      continue;
    std::optional<std::vector<float>> data;
    for (int64_t dim = 0; dim < type.getRank(); ++dim) {
      SmallVector<axes::AxisPlace> places;
      for (OpOperand &use : op.getResult(0).getUses())
        for (const axes::AxisPlace &place : analysis->placesOf(use, dim))
          if (!llvm::is_contained(places, place))
            places.push_back(place);
      if (places.empty())
        continue;
      if (!data) {
        FailureOr<std::vector<float>> read = readFloats(&op, files);
        if (failed(read))
          return failure();
        data = std::move(*read);
      }
      std::vector<double> sums = marginal(*data, type.getShape(), dim);
      for (const axes::AxisPlace &at : places) {
        std::vector<double> &score = scores[analysis->axes()[at.axis].symbol];
        const axes::Place &place = at.place;
        for (int64_t i = 0; i < place.outer * place.units * place.inner; ++i)
          score[(i / place.inner) % place.units] += sums[place.offset + i];
      }
    }
  }
  return scores;
}
