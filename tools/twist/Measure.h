//===- Measure.h - Options and steps of eval, calibrate, … ------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_TOOLS_TWIST_MEASURE_H
#define TWIST_TOOLS_TWIST_MEASURE_H

#include "twist/Pipeline/Compile.h"
#include "twist/Prune/Feed.h"

#include "llvm/Support/CommandLine.h"

#include <chrono>
#include <optional>

namespace twist::tools {

/// --data, --tokenizer, --input, --context, --batch, --samples, --threads.
struct DataArguments {
  explicit DataArguments(llvm::cl::OptionCategory &category);
  prune::FeedOptions options() const;

  llvm::cl::list<std::string> data, roles;
  llvm::cl::opt<std::string> tokenizer;
  llvm::cl::opt<int64_t> context, batch, samples;
  llvm::cl::opt<int> threads;
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
