//===- Measure.h - Options and steps of eval, calibrate, … ------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_TOOLS_TWIST_MEASURE_H
#define TWIST_TOOLS_TWIST_MEASURE_H

#include "twist/Pipeline/Compile.h"
#include "twist/Pipeline/Gates.h"
#include "twist/Prune/Staged.h"
#include "twist/Ticket/Ticket.h"

#include "llvm/Support/CommandLine.h"

#include <chrono>
#include <optional>

namespace twist::tools {

/// --data, --tokenizer, --input, --context, --batch, --samples, --threads.
struct DataArguments {
  DataArguments(llvm::cl::OptionCategory &category, bool isNeeded = true);
  prune::FeedOptions options() const;

  llvm::cl::list<std::string> data, roles;
  llvm::cl::opt<std::string> tokenizer;
  llvm::cl::opt<int64_t> context, batch, samples;
  llvm::cl::opt<int> threads;
};

/// --report, --output, --correct: how well a cut model does.
struct QualityArguments {
  explicit QualityArguments(llvm::cl::OptionCategory &category,
                            llvm::StringRef correction);
  /// The data to report on: --report, or --data where it is not given.
  prune::FeedOptions options(const DataArguments &data) const;
  /// Prints what is wrong.
  std::optional<prune::CorrectionKind> correction() const;

  llvm::cl::list<std::string> report;
  llvm::cl::opt<std::string> output, method;
};

/// A model that runs: compiled at once, or loaded.
struct Executable {
  std::optional<CompiledProgram> compiled;
  prune::ProgramHandle loaded;
  /// Of a model: rows of the tables its integer inputs are looked up in.
  llvm::StringMap<int64_t> tables;

  const twist_program *get() const {
    return compiled ? compiled->get() : loaded.get();
  }
};

/// MODEL.onnx, compiled in process, or NAME, what `twist compile` made. Errors
/// are printed.
std::optional<Executable> openExecutable(llvm::StringRef path,
                                         mlir::MLIRContext &context);

/// A model in stages, and the data they are compiled for.
struct StagedData {
  prune::Feed feed;
  prune::StagedModel model;
  int threads = 0;
};
/// Reads the data and compiles `module`, which has axes, for them. Windows that
/// fill no batch are dropped. Prints the protocol, the memory it takes, and
/// errors.
std::optional<StagedData> stageForData(mlir::ModuleOp module,
                                       prune::FeedOptions options, int threads,
                                       SiteChoice choice = SiteChoice::Gated);

/// What measures tickets: its parts refer to each other.
struct TicketData {
  StagedData staged;
  prune::Feed report;
  std::optional<prune::TicketMeter> meter;
};
/// As stageForData, and reads the data to report on; runs the dense model on
/// these. Null: an error, which is printed.
std::unique_ptr<TicketData>
meterForTickets(mlir::ModuleOp module, const DataArguments &data,
                const QualityArguments &quality,
                SiteChoice choice = SiteChoice::Gated);

/// The ticket, corrected by `method` if there are sites, beside its weights
/// PATH.safetensors.
mlir::LogicalResult writeCorrected(Ticket &ticket, llvm::StringRef method,
                                   llvm::ArrayRef<prune::CorrectedSite> sites,
                                   llvm::StringRef path, mlir::Location loc);

/// Prints to stderr how far a run is and how long it will take, a line a few
/// seconds; nothing for what ends soon.
class Progress {
public:
  Progress(llvm::StringRef what, int64_t total) : what(what), total(total) {}
  void at(int64_t done);

private:
  using Clock = std::chrono::steady_clock;
  std::string what;
  int64_t total, first = -1;
  Clock::time_point start = Clock::now(), last = start;
};

/// Prints `error: …`; 1.
int fail(llvm::Error error);

} // namespace twist::tools

#endif // TWIST_TOOLS_TWIST_MEASURE_H
