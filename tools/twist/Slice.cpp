//===- Slice.cpp - twist slice
//----------------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Commands.h"

#include "twist/Pipeline/InitAll.h"
#include "twist/Pipeline/Model.h"
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
  for (const axes::CutInterface &cut : report.interface)
    llvm::outs() << (cut.isResult ? "output '" : "input '") << cut.name
                 << (cut.gone ? "' is gone\n" : "' got smaller\n");
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
  cl::opt<bool> anyWeights(
      "any-weights", cl::cat(category),
      cl::desc("Take a ticket made for other weights, or another model"));
  cl::list<std::string> state(
      "state", cl::CommaSeparated, cl::value_desc("past.*=present.*"),
      cl::cat(category), cl::desc("Inputs and outputs that hold state"));
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(argc, argv, "Cuts a model by a ticket\n");

  DialectRegistry registry;
  registerAllDialects(registry);
  registerAllPasses();
  MLIRContext context(registry);
  LoadOptions load;
  load.state.assign(state.begin(), state.end());
  FailureOr<OwningOpRef<ModuleOp>> module =
      loadModelWithTicket(model, ticket, anyWeights, &context, load);
  if (failed(module))
    return 1;
  FailureOr<axes::CutAxes> cuts = axes::CutAxes::of(**module);
  if (failed(cuts))
    return 1;
  printAxes(*cuts);

  OwningOpRef<ModuleOp> maskedModel = (*module)->clone();
  axes::GateCounts gates;
  if (!masked.empty() && failed(axes::lowerGates(*maskedModel, gates)))
    return 1;
  axes::SliceOptions options;
  options.state = load.state;
  axes::SliceReport report;
  if (failed(sliceModel(**module, options, report)) ||
      failed(exportONNX(**module, output)) ||
      (!masked.empty() && failed(exportONNX(*maskedModel, masked))))
    return 1;
  printReport(report);
  return 0;
}
