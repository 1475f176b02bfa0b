//===- Measure.cpp - Options and steps of eval, calibrate, … --------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Measure.h"

#include "twist/Pipeline/Load.h"
#include "twist/Pipeline/Stages.h"
#include "twist/Proof/Proof.h"
#include "twist/Target/Object/Object.h"

#include "llvm/Support/Format.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace twist;
using namespace twist::tools;

DataArguments::DataArguments(llvm::cl::OptionCategory &category, bool isNeeded)
    : data("data", llvm::cl::value_desc("FILE|INPUT=FILE.npy"),
           llvm::cl::desc("Text, a token file, ids as .npy; or arrays for "
                          "named inputs"),
           llvm::cl::cat(category)),
      roles("input", llvm::cl::value_desc("INPUT=ids|ones|zeros|positions"),
            llvm::cl::desc("What an integer input is for, where that can't be "
                           "told"),
            llvm::cl::CommaSeparated, llvm::cl::cat(category)),
      tokenizer(
          "tokenizer", llvm::cl::value_desc("FILE.json|VOCAB,MERGES|bytes"),
          llvm::cl::desc("What makes tokens of text"), llvm::cl::cat(category)),
      context("context", llvm::cl::init(0),
              llvm::cl::desc("Tokens a window (default: the model's, or 128)"),
              llvm::cl::cat(category)),
      batch("batch", llvm::cl::init(1), llvm::cl::desc("Windows a run"),
            llvm::cl::cat(category)),
      samples("samples", llvm::cl::init(0),
              llvm::cl::desc("Windows at most; 0, the default: all"),
              llvm::cl::cat(category)),
      threads("threads", llvm::cl::init(0), llvm::cl::cat(category),
              llvm::cl::desc("Threads; 0: one per processor")) {
  if (isNeeded)
    data.setNumOccurrencesFlag(llvm::cl::OneOrMore);
}

prune::FeedOptions DataArguments::options() const {
  prune::FeedOptions options;
  options.data.assign(data.begin(), data.end());
  options.roles.assign(roles.begin(), roles.end());
  options.tokenizer = tokenizer;
  options.context = std::max<int64_t>(context, 0);
  options.batch = std::max<int64_t>(batch, 1);
  options.samples = std::max<int64_t>(samples, 0);
  return options;
}

QualityArguments::QualityArguments(llvm::cl::OptionCategory &category,
                                   StringRef correction)
    : report("report", llvm::cl::value_desc("FILE|INPUT=FILE.npy"),
             llvm::cl::desc("Data to judge by (default: those of --data)"),
             llvm::cl::cat(category)),
      output("output", llvm::cl::value_desc("NAME"),
             llvm::cl::desc("The output to judge by (default: the logits, or "
                            "the first)"),
             llvm::cl::cat(category)),
      method("correct",
             llvm::cl::value_desc("none|gain|bias|bias+gain|ls|relative"),
             llvm::cl::init(correction.str()), llvm::cl::cat(category),
             llvm::cl::desc("What consumers become (twist correct)")) {}

prune::FeedOptions QualityArguments::options(const DataArguments &data) const {
  prune::FeedOptions options = data.options();
  if (!report.empty())
    options.data.assign(report.begin(), report.end());
  return options;
}

std::optional<prune::CorrectionKind> QualityArguments::correction() const {
  auto kind = prune::parseCorrection(method);
  if (!kind)
    fail(llvm::createStringError("--correct is " + prune::kCorrectionNames +
                                 ", not '" + method + "'"));
  return kind;
}

std::optional<Executable> twist::tools::openExecutable(StringRef path,
                                                       MLIRContext &context) {
  Executable result;
  if (!path.ends_with(".onnx")) {
    auto program = prune::loadProgram(path);
    if (!program) {
      fail(program.takeError());
      return std::nullopt;
    }
    result.loaded = std::move(*program);
    return result;
  }
  llvm::json::Object card;
  auto module = loadForCompilation(path, &context, {}, card);
  if (failed(module))
    return std::nullopt;
  result.tables = proof::lookupTables(**module);
  auto compiled = compileInProcess(**module, {});
  if (failed(compiled))
    return std::nullopt;
  result.compiled.emplace(std::move(*compiled));
  return result;
}

std::optional<StagedData> twist::tools::stageForData(ModuleOp module,
                                                     prune::FeedOptions options,
                                                     int threads,
                                                     SiteChoice choice) {
  options.tables = proof::lookupTables(module);
  options.wholeBatches = true;
  auto feed = prune::Feed::create(inputPorts(module), options);
  if (!feed) {
    fail(feed.takeError());
    return std::nullopt;
  }
  llvm::outs() << feed->protocol();
  llvm::outs().flush();
  auto batch = feed->batch(0);
  if (!batch) {
    fail(batch.takeError());
    return std::nullopt;
  }
  auto model = stageModel(module, *batch, choice);
  if (failed(model))
    return std::nullopt;
  llvm::outs() << llvm::format("memory     %.1f MB between layers\n",
                               double(model->activationBytes(feed->batches())) /
                                   1e6);
  llvm::outs().flush();
  return StagedData{std::move(*feed), std::move(*model), threads};
}

/// The data to report on, for the staged model.
static std::optional<prune::Feed> reportFeed(ModuleOp module,
                                             const StagedData &staged,
                                             prune::FeedOptions options) {
  options.tables = proof::lookupTables(module);
  options.wholeBatches = true;
  options.context = staged.feed.context();
  options.batch = staged.feed.batchOf();
  auto feed = prune::Feed::create(inputPorts(module), options);
  if (feed)
    return std::move(*feed);
  fail(feed.takeError());
  return std::nullopt;
}

std::unique_ptr<TicketData>
twist::tools::meterForTickets(ModuleOp module, const DataArguments &data,
                              const QualityArguments &quality,
                              SiteChoice choice) {
  auto staged = stageForData(module, data.options(), data.threads, choice);
  if (!staged)
    return nullptr;
  auto report = reportFeed(module, *staged, quality.options(data));
  if (!report)
    return nullptr;
  auto all = std::unique_ptr<TicketData>(
      new TicketData{std::move(*staged), std::move(*report), {}});
  auto meter =
      prune::TicketMeter::create(all->staged.model, all->staged.feed,
                                 all->report, quality.output, data.threads);
  if (!meter)
    return fail(meter.takeError()), nullptr;
  all->meter.emplace(std::move(*meter));
  return all;
}

/// The weights first, since the ticket names them.
LogicalResult twist::tools::writeCorrected(Ticket &ticket, StringRef method,
                                           ArrayRef<prune::CorrectedSite> sites,
                                           StringRef path, Location loc) {
  if (!sites.empty()) {
    std::string weights = (path + ".safetensors").str();
    auto hash = prune::writeCorrections(weights, sites);
    if (!hash)
      return emitError(loc) << toString(hash.takeError());
    ticket.correction = method.str();
    ticket.weightsFile = llvm::sys::path::filename(weights).str();
    ticket.weightsFileSHA256 = *hash;
  }
  std::string text;
  llvm::raw_string_ostream os(text);
  writeTicket(ticket, os);
  FailureOr<object::OutputFile> file = object::OutputFile::create(path, loc);
  return success(succeeded(file) && succeeded(file->write(text)) &&
                 succeeded(file->keep()));
}

void Progress::at(int64_t done) {
  auto now = Clock::now();
  if (first < 0) {
    first = done; // a first run pays for pages and threads
    start = now;
  }
  if (now - last < std::chrono::seconds(5) || done >= total || done == first)
    return;
  last = now;
  std::chrono::duration<double> took = now - start;
  llvm::errs() << llvm::format("%s: %lld of %lld, about %.0f s left\n",
                               what.c_str(), (long long)done, (long long)total,
                               took.count() * double(total - done) /
                                   double(done - first));
}

int twist::tools::fail(llvm::Error error) {
  llvm::errs() << "error: " << llvm::toString(std::move(error)) << "\n";
  return 1;
}
