//===- Tokenizer.cpp - twist tokenizer ------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Commands.h"
#include "Measure.h"

#include "twist/Support/OutputFile.h"
#include "twist/Text/Tokenizer.h"
#include "twist/Text/TrainBytePairs.h"

#include "llvm/Support/CommandLine.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"

using namespace llvm;
using namespace twist;
using twist::tools::fail;

int twist::tools::tokenizerMain(int argc, char **argv) {
  cl::OptionCategory category("Options of twist tokenizer");
  cl::list<std::string> data("data", cl::value_desc("FILE"), cl::OneOrMore,
                             cl::desc("Text to learn from"), cl::cat(category));
  cl::opt<unsigned> vocabulary("vocab", cl::init(4096), cl::cat(category),
                               cl::desc("Tokens (default 4096)"));
  cl::list<std::string> special(
      "special", cl::CommaSeparated, cl::value_desc("TOKEN"), cl::cat(category),
      cl::desc("Special tokens: the first ids (none)"));
  cl::opt<uint64_t> minimum(
      "min-count", cl::init(2), cl::cat(category),
      cl::desc("Pairs that are rarer are not joined (default 2)"));
  cl::opt<std::string> output(
      "o", cl::Required, cl::value_desc("tokenizer.json"),
      cl::desc("The tokenizer to write"), cl::cat(category));
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(argc, argv,
                              "Learns a byte-level BPE tokenizer from text\n");

  text::BytePairTrainer trainer;
  for (const std::string &path : data) {
    auto file = MemoryBuffer::getFile(path, /*IsText=*/false,
                                      /*RequiresNullTerminator=*/false);
    if (!file)
      return fail(createStringError(
          path + ": cannot be read: " + file.getError().message()));
    if (Error error = trainer.add((*file)->getBuffer()))
      return fail(createStringError(path + ": " + toString(std::move(error))));
  }
  text::BytePairTrainer::Options options;
  options.vocabulary = vocabulary;
  options.special.assign(special.begin(), special.end());
  options.minimum = minimum;
  Expected<std::string> json = trainer.train(options);
  if (!json)
    return fail(json.takeError());
  if (Error error = writeFile(output, *json))
    return fail(std::move(error));
  auto tokenizer = text::loadTokenizer(output);
  if (!tokenizer)
    return fail(tokenizer.takeError());
  outs() << (*tokenizer)->description() << "\ntokenizer "
         << (*tokenizer)->hash() << "\n";
  if ((*tokenizer)->size() < vocabulary)
    outs() << "the text has no more pairs that occur " << minimum
           << " times: fewer than " << vocabulary << " tokens\n";
  return 0;
}
