//===- Measure.cpp - Options and steps of eval, calibrate, … --------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Measure.h"

#include "twist/Pipeline/Load.h"
#include "twist/Proof/Proof.h"

#include "llvm/Support/Format.h"

using namespace mlir;
using namespace twist;
using namespace twist::tools;

DataArguments::DataArguments(llvm::cl::OptionCategory &category)
    : data("data", llvm::cl::value_desc("FILE|INPUT=FILE.npy"),
           llvm::cl::desc("Text, a token file, ids as .npy; or arrays for "
                          "named inputs"),
           llvm::cl::OneOrMore, llvm::cl::cat(category)),
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
              llvm::cl::desc("Threads; 0: one per processor")) {}

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
