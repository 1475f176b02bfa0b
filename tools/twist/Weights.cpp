//===- Weights.cpp - twist weights ----------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Commands.h"
#include "Context.h"

#include "twist/Pipeline/ReplaceWeights.h"
#include "twist/Target/ONNX/ONNXFile.h"

#include "mlir/IR/MLIRContext.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/Format.h"

using namespace mlir;
using namespace twist;
namespace cl = llvm::cl;

static void printReport(ArrayRef<ReplacedWeight> replaced, bool verbose) {
  using How = ReplacedWeight::How;
  constexpr std::pair<How, const char *> kinds[] = {
      {How::Name, "by name"},
      {How::Content, "by content"},
      {How::Copy, "copies of these"}};
  for (auto [how, text] : kinds) {
    auto mine = llvm::make_filter_range(
        replaced, [&](const ReplacedWeight &w) { return w.how == how; });
    llvm::outs() << llvm::format("%-16s %5td", text,
                                 std::distance(mine.begin(), mine.end()));
    size_t turned =
        llvm::count_if(mine, [](const auto &w) { return w.transposed; });
    if (turned)
      llvm::outs() << ", " << turned << " transposed";
    llvm::outs() << "\n";
    for (const ReplacedWeight &weight : mine)
      if (verbose)
        llvm::outs() << "  " << weight.weight << " <- " << weight.tensor
                     << (weight.transposed ? ", transposed\n" : "\n");
  }
}

int twist::tools::weightsMain(int argc, char **argv) {
  cl::OptionCategory category("Options of twist weights");
  cl::opt<std::string> model(cl::Positional, cl::Required,
                             cl::desc("MODEL.onnx"), cl::cat(category));
  cl::opt<std::string> from("from", cl::Required,
                            cl::value_desc("M.safetensors"),
                            cl::desc("The new values"), cl::cat(category));
  cl::opt<std::string> output("o", cl::Required, cl::value_desc("NEW.onnx"),
                              cl::desc("The model to write"),
                              cl::cat(category));
  cl::opt<bool> keepMissing(
      "keep-missing", cl::cat(category),
      cl::desc("Weights for which there is no tensor stay as they are"));
  cl::opt<bool> ignoreRest(
      "ignore-rest", cl::cat(category),
      cl::desc("Leave out tensors for which there is no weight"));
  cl::opt<bool> verbose("list", cl::desc("List what becomes what"),
                        cl::cat(category));
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(
      argc, argv, "Gives a model the weights of a safetensors file\n");

  ToolContext context;
  auto module = importONNX(model, &context);
  if (failed(module))
    return 1;
  auto replaced = replaceWeights(**module, from, {keepMissing, ignoreRest});
  if (failed(replaced) || failed(exportONNX(**module, output)))
    return 1;
  printReport(*replaced, verbose);
  return 0;
}
