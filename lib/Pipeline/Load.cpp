//===- Load.cpp - What compilation starts from ----------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Pipeline/Load.h"

#include "twist/Dialect/ONNX/ONNX.h"
#include "twist/Dialect/Twist/Transforms/Fingerprint.h"
#include "twist/Dialect/Twist/Transforms/Slice.h"
#include "twist/Dialect/Weights/Weights.h"
#include "twist/Pipeline/Compile.h"
#include "twist/Pipeline/Model.h"
#include "twist/Pipeline/Pipelines.h"
#include "twist/Pipeline/Verify.h"
#include "twist/Target/ONNX/ONNXFile.h"

#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/SHA256.h"

using namespace mlir;
using namespace twist;

using Loaded = FailureOr<OwningOpRef<ModuleOp>>;

static Loaded loadMLIR(StringRef path, MLIRContext *context) {
  OwningOpRef<ModuleOp> module = parseSourceFile<ModuleOp>(path, context);
  if (!module)
    return failure();
  return Loaded(std::move(module));
}

static Loaded loadDense(StringRef path, MLIRContext *context) {
  Loaded module = importONNX(path, context);
  if (failed(module))
    return failure();
  PassManager pm(context);
  populateNormalisePasses(pm);
  if (failed(pm.run(**module)))
    return failure();
  return module;
}

/// {"<axis>": {"kind", "units", "kept"}}
static FailureOr<llvm::json::Object> describeAxes(ModuleOp module) {
  FailureOr<axes::CutAxes> cut = axes::CutAxes::of(module);
  if (failed(cut))
    return failure();
  llvm::json::Object result;
  for (const AxisInfo &axis : axes::axesOf(module)) {
    const axes::CutAxis *found = cut->find(axis.symbol);
    result[axis.name()] = llvm::json::Object{
        {"kind", axis.kind},
        {"units", axis.units},
        {"kept", found ? int64_t(found->keep.size()) : axis.units}};
  }
  return result;
}

static llvm::json::Object describeTicket(StringRef path) {
  llvm::json::Object result{{"file", llvm::sys::path::filename(path)}};
  if (auto file = llvm::MemoryBuffer::getFile(path)) {
    StringRef text = (*file)->getBuffer();
    auto digest = llvm::SHA256::hash(ArrayRef(text.bytes_begin(), text.size()));
    result["sha256"] = llvm::toHex(digest, /*LowerCase=*/true);
  }
  return result;
}

/// The hashes of the model as they were recorded, if they were.
static void describeModel(ModuleOp module, llvm::json::Object &card) {
  Ticket stamp;
  axes::stampModel(module, stamp);
  if (!stamp.weightsSHA256.empty())
    card["model"] =
        llvm::json::Object{{"structure_sha256", stamp.structureSHA256},
                           {"weights_sha256", stamp.weightsSHA256}};
}

static llvm::json::Array describeProofs(ArrayRef<proof::Verdict> verdicts) {
  llvm::json::Array result;
  for (const proof::Verdict &verdict : verdicts)
    result.push_back(llvm::json::Object{{"proof", verdict.proof},
                                        {"output", verdict.output},
                                        {"difference", verdict.difference},
                                        {"allowed", verdict.allowed},
                                        {"largest", verdict.largest},
                                        {"holds", verdict.holds}});
  return result;
}

/// Proves the slice and puts what was measured into the card.
static LogicalResult prove(ModuleOp gated, ModuleOp sliced,
                           const axes::SliceOptions &slice,
                           const axes::SliceReport &report,
                           const ModelOptions &options,
                           llvm::json::Object &card) {
  proof::InputOptions inputs;
  for (const auto &[name, size] : options.dims)
    inputs.dims[name] = size;
  // What can't be compiled needs no proof.
  if (failed(checkCompilable(sliced)))
    return failure();
  FailureOr<proof::Engine> engine = chooseEngine(gated, sliced);
  if (failed(engine))
    return failure();
  FailureOr<std::vector<proof::Verdict>> verdicts =
      proveSlice(gated, sliced, slice, report, inputs, *engine);
  if (failed(verdicts))
    return failure();
  if (failed(proof::require(*verdicts, gated.getLoc())))
    return failure();
  card["proved_on"] = engine->name;
  card["proofs"] = describeProofs(*verdicts);
  return success();
}

static Loaded loadSliced(StringRef path, MLIRContext *context,
                         const ModelOptions &options,
                         llvm::json::Object &card) {
  LoadOptions load;
  load.state.assign(options.state.begin(), options.state.end());
  load.evaluate = evaluateNatively;
  Loaded module = loadModelWithTicket(path, options.ticket, options.anyWeights,
                                      context, load);
  if (failed(module))
    return failure();
  FailureOr<llvm::json::Object> described = describeAxes(**module);
  OwningOpRef<ModuleOp> gated = (*module)->clone();
  axes::SliceOptions slice;
  slice.state = load.state;
  axes::SliceReport report;
  if (failed(described) || failed(sliceModel(**module, slice, report)))
    return failure();
  describeModel(*gated, card);
  card["axes"] = std::move(*described);
  card["ticket"] = describeTicket(options.ticket);
  card["dense_parameters"] = report.elementsBefore;
  if (options.verify &&
      failed(prove(*gated, **module, slice, report, options, card)))
    return failure();
  return module;
}

/// Floats among the model's weights and constants; a weight read in two places
/// counts once.
static int64_t countParameters(ModuleOp module) {
  llvm::DenseSet<Attribute> seen;
  int64_t count = 0;
  module.walk([&](Operation *op) {
    auto load = dyn_cast<weights::LoadOp>(op);
    if (load ? !seen.insert(load.getViewAttr()).second
             : !isa<onnx::ConstantOp>(op))
      return;
    auto type = dyn_cast<RankedTensorType>(op->getResult(0).getType());
    if (type && isa<FloatType>(type.getElementType()))
      count += type.getNumElements();
  });
  return count;
}

FailureOr<OwningOpRef<ModuleOp>>
twist::loadForCompilation(StringRef path, MLIRContext *context,
                          const ModelOptions &options,
                          llvm::json::Object &card) {
  bool sliced = !options.ticket.empty();
  if (path.ends_with(".mlir") && sliced)
    return emitError(UnknownLoc::get(context))
           << "a ticket needs an ONNX model, not '" << path << "'";
  if (path.ends_with(".mlir"))
    return loadMLIR(path, context);
  Loaded module = sliced ? loadSliced(path, context, options, card)
                         : loadDense(path, context);
  if (succeeded(module))
    card["parameters"] = countParameters(**module);
  return module;
}
