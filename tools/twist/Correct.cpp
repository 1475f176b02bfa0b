//===- Correct.cpp - twist correct ----------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Commands.h"
#include "Context.h"
#include "Measure.h"

#include "twist/Pipeline/Model.h"
#include "twist/Pipeline/Stages.h"
#include "twist/Ticket/Ticket.h"

#include "llvm/Support/Format.h"

using namespace mlir;
using namespace twist;
using namespace twist::tools;
namespace cl = llvm::cl;

static void printSite(const prune::Site &site, ArrayRef<char> kept,
                      const prune::CorrectedSite &result) {
  llvm::outs() << llvm::format("%8lld %8lld %7.4f ", (long long)site.width,
                               (long long)llvm::count(kept, 1), result.gain);
  if (auto error = prune::correctionError(site, kept, result))
    llvm::outs() << llvm::format("%7.2f%%  ", 100 * *error);
  else
    llvm::outs() << "       -  ";
  llvm::outs() << site.name() << "\n";
  llvm::outs().flush();
}

int twist::tools::correctMain(int argc, char **argv) {
  cl::OptionCategory category("Options of twist correct");
  cl::opt<std::string> model(cl::Positional, cl::Required,
                             cl::desc("MODEL.onnx"), cl::cat(category));
  cl::opt<std::string> path("ticket", cl::Required, cl::value_desc("T.json"),
                            cl::desc("The units to keep"), cl::cat(category));
  cl::opt<std::string> output(
      "o", cl::Required, cl::value_desc("T2.json"), cl::cat(category),
      cl::desc("The corrected ticket; weights go to T2.json.safetensors"));
  cl::opt<std::string> method(
      "method", cl::value_desc("none|gain|bias|bias+gain|ls|relative"),
      cl::init("relative"), cl::cat(category),
      cl::desc("What consumers become (default relative)"));
  DataArguments data(category);
  StateOption state(category);
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(
      argc, argv, "Makes the consumers of kept units make up for the others\n");

  auto kind = prune::parseCorrection(method);
  if (!kind)
    return fail(llvm::createStringError(
        "--method is " + prune::kCorrectionNames + ", not '" + method + "'"));
  ToolContext context;
  LoadOptions load;
  load.state.assign(state.begin(), state.end());
  FailureOr<Ticket> ticket = readTicket(path, &context);
  if (failed(ticket))
    return 1;
  if (!ticket->weightsFile.empty())
    return fail(llvm::createStringError(path + " is corrected already"));
  auto module =
      loadModelWithTicket(model, path, /*anyWeights=*/false, &context, load);
  if (failed(module))
    return 1;
  std::vector<prune::CorrectedSite> corrected;
  if (*kind != prune::CorrectionKind::None) {
    auto kept = keptUnits(**module);
    if (failed(kept))
      return 1;
    if (kept->empty())
      return fail(llvm::createStringError(
          "the ticket keeps everything: there is nothing to correct"));
    auto staged = stageForData(**module, data.options(), data.threads);
    if (!staged)
      return 1;
    llvm::outs() << llvm::format("\n%8s %8s %7s %8s  %s\n", "width", "kept",
                                 "gain", "left", "gate");
    prune::StagedRun run(staged->model, staged->feed, *kept, data.threads);
    auto sites = correctModel(staged->model, run, *kept, *kind, printSite);
    if (!sites)
      return fail(sites.takeError());
    corrected = std::move(*sites);
    ticket->provenance["correction_data"] = staged->feed.protocol();
  }
  return failed(
      writeCorrected(*ticket, method, corrected, output, (**module).getLoc()));
}
