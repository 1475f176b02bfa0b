//===- Eval.cpp - twist eval ----------------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Commands.h"
#include "Context.h"
#include "Measure.h"

#include "twist/Prune/Evaluate.h"

#include "llvm/Support/Format.h"

using namespace mlir;
using namespace twist;
using namespace twist::tools;
namespace cl = llvm::cl;

static void printPerplexity(const prune::Perplexity &result) {
  llvm::outs() << llvm::format("tokens     %lld told, one each\n"
                               "nats       %.6f a token\n"
                               "perplexity %.4f\n",
                               (long long)result.tokens,
                               result.nats / double(result.tokens),
                               result.perplexity());
  if (result.bytes)
    llvm::outs() << llvm::format("bits/byte  %.4f over %llu bytes\n",
                                 result.bitsPerByte(),
                                 (unsigned long long)result.bytes);
}

static llvm::Error compare(prune::Runner &runner, const prune::Feed &feed,
                           const Executable &reference,
                           const DataArguments &arguments, StringRef output,
                           Progress &progress) {
  prune::FeedOptions options = arguments.options();
  options.tables = reference.tables;
  auto other = prune::Feed::create(reference.get(), options);
  if (!other)
    return other.takeError();
  auto second = prune::Runner::create(reference.get(), arguments.threads);
  if (!second)
    return second.takeError();
  auto result = prune::measureLikeness(runner, *second, feed, *other, output,
                                       [&](int64_t n) { progress.at(n); });
  if (!result)
    return result.takeError();
  llvm::outs() << llvm::format("vectors    %lld\n"
                               "cosine     %.6f mean, %.6f least\n",
                               (long long)result->vectors, result->mean(),
                               result->least);
  return llvm::Error::success();
}

int twist::tools::evalMain(int argc, char **argv) {
  cl::OptionCategory category("Options of twist eval");
  cl::opt<std::string> model(cl::Positional, cl::Required,
                             cl::desc("MODEL.onnx|NAME"), cl::cat(category));
  DataArguments data(category);
  cl::opt<std::string> output("output", cl::value_desc("NAME"),
                              cl::cat(category),
                              cl::desc("The logits, or the output to compare"));
  cl::opt<std::string> reference(
      "reference", cl::value_desc("MODEL.onnx|NAME"), cl::cat(category),
      cl::desc("Compare outputs with this model's in place of perplexity"));
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(
      argc, argv, "Measures a model: perplexity, or likeness to another\n");

  ToolContext context;
  std::optional<Executable> program = openExecutable(model, context);
  if (!program)
    return 1;
  std::optional<Executable> other =
      reference.empty() ? std::nullopt : openExecutable(reference, context);
  if (!other && !reference.empty())
    return 1;
  prune::FeedOptions options = data.options();
  options.tables = program->tables;
  auto feed = prune::Feed::create(program->get(), options);
  if (!feed)
    return fail(feed.takeError());
  auto runner = prune::Runner::create(program->get(), data.threads);
  if (!runner)
    return fail(runner.takeError());
  llvm::outs() << "model      " << model << "\n" << feed->protocol();
  llvm::outs().flush();
  Progress progress("eval", feed->batches());
  if (other) {
    llvm::outs() << "reference  " << reference << "\n";
    llvm::Error error = compare(*runner, *feed, *other, data, output, progress);
    return error ? fail(std::move(error)) : 0;
  }
  auto result = prune::measurePerplexity(
      *runner, *feed, output, [&](int64_t done) { progress.at(done); });
  if (!result)
    return fail(result.takeError());
  printPerplexity(*result);
  return 0;
}
