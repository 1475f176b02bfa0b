//===- Correct.cpp - twist correct ----------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Commands.h"
#include "Context.h"
#include "Measure.h"

#include "twist/Dialect/Twist/Transforms/Fingerprint.h"
#include "twist/Pipeline/Corrections.h"
#include "twist/Pipeline/Gates.h"
#include "twist/Pipeline/Model.h"
#include "twist/Proof/Proof.h"
#include "twist/Prune/Correction.h"
#include "twist/Ticket/Ticket.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace twist;
using namespace twist::tools;
namespace cl = llvm::cl;

namespace {
/// A folder for what the sites before say, while the next is measured.
struct Scratch {
  Scratch() { created = !llvm::sys::fs::createUniqueDirectory("twist", path); }
  ~Scratch() {
    if (created)
      llvm::sys::fs::remove_directories(path);
  }
  SmallString<128> path;
  bool created = false;
};

/// Corrects one site after the other: each is measured on a model in which
/// those before it are cut and corrected.
class Corrector {
public:
  Corrector(ModuleOp module, const DataArguments &data,
            prune::CorrectionKind kind)
      : module(module), data(data), kind(kind) {}
  llvm::Error run();
  ArrayRef<prune::CorrectedSite> corrected() const { return results; }
  StringRef protocol() const { return text; }

private:
  llvm::Expected<prune::Site> measure(StringRef key);
  llvm::Error correct(const CutSite &cut);

  ModuleOp module;
  const DataArguments &data;
  prune::CorrectionKind kind;
  Scratch scratch;
  std::vector<prune::CorrectedSite> results;
  std::string text;
};
} // namespace

static llvm::Error reported() { return llvm::createStringError("stopped"); }

llvm::Expected<prune::Site> Corrector::measure(StringRef key) {
  auto exposed = exposeGates(module, {"*"}, key);
  if (failed(exposed))
    return reported();
  prune::FeedOptions options = data.options();
  options.tables = proof::lookupTables(*exposed->values);
  auto compiled = compileInProcess(*exposed->values, {});
  if (failed(compiled))
    return reported();
  auto feed = prune::Feed::create(compiled->get(), options);
  if (!feed)
    return feed.takeError();
  auto runner = prune::Runner::create(compiled->get(), data.threads);
  if (!runner)
    return runner.takeError();
  prune::Calibration calibration;
  calibration.batches = feed->batches();
  calibration.sites = std::move(exposed->sites);
  if (text.empty()) {
    text = feed->protocol();
    llvm::outs() << text
                 << llvm::format("\n%8s %8s %7s %8s  %s\n", "width", "kept",
                                 "gain", "left", "gate");
    llvm::outs().flush();
  }
  if (llvm::Error error =
          prune::calibrate(calibration, *runner, *feed,
                           [](bool) { return llvm::Error::success(); }))
    return error;
  return std::move(calibration.sites.front());
}

llvm::Error Corrector::correct(const CutSite &cut) {
  auto site = measure(cut.site.key);
  if (!site)
    return site.takeError();
  auto result = prune::correctSite(*site, cut.kept, kind);
  if (!result)
    return result.takeError();
  llvm::outs() << llvm::format("%8lld %8lld %7.4f %7.2f%%  ",
                               (long long)site->width,
                               (long long)llvm::count(cut.kept, 1),
                               result->gain, 100 * result->error)
               << site->name() << "\n";
  llvm::outs().flush();
  SmallString<128> file(scratch.path);
  llvm::sys::path::append(file, std::to_string(results.size()));
  auto hash = prune::writeCorrections(file, *result);
  if (!hash)
    return hash.takeError();
  if (failed(applyCorrections(module, file, "", module.getLoc())))
    return reported();
  results.push_back(std::move(*result));
  return llvm::Error::success();
}

llvm::Error Corrector::run() {
  auto sites = findCutSites(module);
  if (failed(sites))
    return reported();
  if (sites->empty())
    return llvm::createStringError("the ticket keeps everything: there is "
                                   "nothing to correct");
  if (!scratch.created)
    return llvm::createStringError("cannot create a temporary folder");
  for (const CutSite &cut : *sites)
    if (llvm::Error error = correct(cut))
      return error;
  return llvm::Error::success();
}

/// The ticket beside its weights; the weights first, since it names them.
static llvm::Error write(Ticket &ticket, ArrayRef<prune::CorrectedSite> sites,
                         StringRef path) {
  if (!sites.empty()) {
    std::string weights = (path + ".safetensors").str();
    auto hash = prune::writeCorrections(weights, sites);
    if (!hash)
      return hash.takeError();
    ticket.weightsFile = llvm::sys::path::filename(weights).str();
    ticket.weightsFileSHA256 = *hash;
  }
  return llvm::writeToOutput(path, [&](raw_ostream &os) -> llvm::Error {
    writeTicket(ticket, os);
    os.flush();
    auto &file = static_cast<llvm::raw_fd_ostream &>(os);
    std::error_code error = file.error();
    file.clear_error();
    return error ? llvm::createStringError(
                       path + ": cannot be written: " + error.message())
                 : llvm::Error::success();
  });
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
      "method", cl::value_desc("none|gain|bias|bias+gain|ls"), cl::init("ls"),
      cl::cat(category), cl::desc("What consumers become (default ls)"));
  DataArguments data(category);
  StateOption state(category);
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(
      argc, argv, "Makes the consumers of kept units make up for the others\n");

  auto kind = prune::parseCorrection(method);
  if (!kind)
    return fail(llvm::createStringError(
        "--method is none, gain, bias, bias+gain or ls, not '" + method + "'"));
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
  ticket->correction = method;
  Corrector corrector(**module, data, *kind);
  if (*kind != prune::CorrectionKind::None) {
    if (llvm::Error error = corrector.run()) {
      std::string what = toString(std::move(error));
      return what == "stopped" ? 1 : fail(llvm::createStringError(what));
    }
    ticket->provenance["correction_data"] = corrector.protocol();
  }
  llvm::Error error = write(*ticket, corrector.corrected(), output);
  return error ? fail(std::move(error)) : 0;
}
