//===- Slice.cpp - twist slice --------------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Commands.h"
#include "Context.h"

#include "twist/Pipeline/Compile.h"
#include "twist/Pipeline/Model.h"
#include "twist/Pipeline/Verify.h"
#include "twist/Target/ONNX/ONNXFile.h"

#include "mlir/IR/MLIRContext.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/Format.h"

using namespace mlir;
using namespace twist;
namespace cl = llvm::cl;

static void printAxes(const axes::CutAxes &cuts) {
  SmallVector<const axes::CutAxis *> sorted;
  for (const auto &entry : cuts.all())
    sorted.push_back(&entry.second);
  llvm::sort(sorted, [](const axes::CutAxis *a, const axes::CutAxis *b) {
    return const_cast<axes::CutAxis *>(a)->axis->isBeforeInBlock(
        const_cast<axes::CutAxis *>(b)->axis);
  });
  llvm::outs() << llvm::format("%-14s %8s %8s  %s\n", "axis", "units", "kept",
                               "name");
  for (const axes::CutAxis *cut : sorted) {
    axes::AxisOp axis = cut->axis;
    std::string name = (axis.getKind() + "." + Twine(axis.getIndex())).str();
    StringRef source = axis.getSources().empty()
                           ? StringRef()
                           : cast<StringAttr>(axis.getSources()[0]).getValue();
    llvm::outs() << llvm::format("%-14s %8lld %8zu  ", name.c_str(),
                                 (long long)axis.getUnits(), cut->keep.size())
                 << source << "\n";
  }
}

static void printReport(const axes::SliceReport &report) {
  auto row = [](const char *what, int64_t before, int64_t after) {
    double percent = before ? 100.0 * double(after) / double(before) : 100;
    llvm::outs() << llvm::format("%-14s %14lld %14lld  %5.1f %%\n", what,
                                 (long long)before, (long long)after, percent);
  };
  llvm::outs() << llvm::format("%-14s %14s %14s\n", "", "dense", "sliced");
  row("parameters", report.elementsBefore, report.elementsAfter);
  row("weight bytes", report.bytesBefore, report.bytesAfter);
  if (report.bytesCopied > 0)
    llvm::outs() << "of these " << report.bytesCopied
                 << " bytes are weights that layers shared and now have each "
                    "for itself\n";
  for (const axes::CutInterface &cut : report.interface)
    llvm::outs() << (cut.isResult ? "output '" : "input '") << cut.name
                 << (cut.gone ? "' is gone\n" : "' got smaller\n");
}

/// Prints what holds; fails if something does not.
static LogicalResult prove(ModuleOp gated, ModuleOp sliced,
                           const axes::SliceOptions &options,
                           const axes::SliceReport &report,
                           ArrayRef<std::pair<std::string, int64_t>> dims,
                           uint64_t seed) {
  proof::InputOptions inputs;
  inputs.seed = seed;
  inputs.dims.insert(dims.begin(), dims.end());
  FailureOr<proof::Engine> engine = chooseEngine(gated, sliced);
  if (failed(engine))
    return failure();
  // The largest of the models that are made: the masked one, in f64.
  double bytes = double(engine->hasDouble ? 8 * report.elementsBefore
                                          : report.bytesBefore);
  llvm::outs() << "proofs (on " << engine->name << ")\n"
               << llvm::format("  take %.1f MB of the temporary folder\n",
                               bytes / 1e6);
  llvm::outs().flush(); // what follows takes its time
  FailureOr<std::vector<proof::Verdict>> verdicts =
      proveSlice(gated, sliced, options, report, inputs, *engine);
  if (failed(verdicts))
    return failure();
  proof::print(*verdicts, llvm::outs());
  return proof::require(*verdicts, gated.getLoc());
}

int twist::tools::sliceMain(int argc, char **argv) {
  cl::OptionCategory category("Options of twist slice");
  cl::opt<std::string> model(cl::Positional, cl::Required,
                             cl::desc("MODEL.onnx"), cl::cat(category));
  cl::opt<std::string> ticket("ticket", cl::Required, cl::value_desc("T.json"),
                              cl::desc("The units to keep"), cl::cat(category));
  cl::opt<std::string> output("o", cl::Required, cl::value_desc("SMALL.onnx"),
                              cl::desc("The sliced model to write"),
                              cl::cat(category));
  cl::opt<std::string> masked("masked", cl::value_desc("MASKED.onnx"),
                              cl::desc("Write the masked dense model too"),
                              cl::cat(category));
  cl::opt<bool> verify(
      "verify", cl::cat(category),
      cl::desc("Prove that the sliced model equals the masked one, by running "
               "both, before anything is written"));
  DimOption dims(category);
  cl::opt<uint64_t> seed("seed", cl::init(0), cl::cat(category),
                         cl::desc("Seed of the inputs of --verify"));
  cl::opt<bool> anyWeights(
      "any-weights", cl::cat(category),
      cl::desc("Take a ticket made for other weights, or another model"));
  StateOption state(category);
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(argc, argv, "Cuts a model by a ticket\n");
  std::vector<std::pair<std::string, int64_t>> sizes;
  if (!dims.parse(sizes))
    return 1;

  ToolContext context;
  LoadOptions load;
  load.state.assign(state.begin(), state.end());
  load.evaluate = evaluateNatively;
  FailureOr<OwningOpRef<ModuleOp>> module =
      loadModelWithTicket(model, ticket, anyWeights, &context, load);
  if (failed(module))
    return 1;
  FailureOr<axes::CutAxes> cuts = axes::CutAxes::of(**module);
  if (failed(cuts))
    return 1;
  printAxes(*cuts);

  OwningOpRef<ModuleOp> gated = (*module)->clone();
  axes::SliceOptions options;
  options.state = load.state;
  axes::SliceReport report;
  if (failed(sliceModel(**module, options, report)))
    return 1;
  printReport(report);
  if (verify && failed(prove(*gated, **module, options, report, sizes, seed)))
    return 1;
  auto writeMasked = [&]() -> LogicalResult {
    axes::GateCounts gates;
    if (masked.empty())
      return success();
    if (failed(axes::lowerGates(*gated, gates)))
      return failure();
    return exportONNX(*gated, masked);
  };
  ExportONNXOptions both; // or neither
  both.beforeReplacing = writeMasked;
  return failed(exportONNX(**module, output, both));
}
