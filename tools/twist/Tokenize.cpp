//===- Tokenize.cpp - twist tokenize --------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Commands.h"
#include "Measure.h"

#include "twist/Support/OutputFile.h"
#include "twist/Text/TokenFile.h"

#include "llvm/Support/CommandLine.h"
#include "llvm/Support/Format.h"

using namespace llvm;
using namespace twist;
using twist::tools::fail;

static Error encodeFiles(ArrayRef<std::string> paths,
                         const text::Tokenizer &tokenizer, StringRef output) {
  std::vector<uint32_t> ids;
  uint64_t bytes = 0;
  for (const std::string &path : paths) {
    auto file = MemoryBuffer::getFile(path, /*IsText=*/false,
                                      /*RequiresNullTerminator=*/false);
    if (!file)
      return createStringError(
          path + ": cannot be read: " + file.getError().message());
    bytes += (*file)->getBufferSize();
    if (Error error = tokenizer.encode((*file)->getBuffer(), ids))
      return createStringError(path + ": " + toString(std::move(error)));
  }
  if (Error error = text::writeTokenFile(output, ids, tokenizer))
    return error;
  outs() << format("%zu tokens of %llu bytes", ids.size(),
                   (unsigned long long)bytes);
  if (!ids.empty())
    outs() << format(" (%.3f a token)", double(bytes) / double(ids.size()));
  outs() << "\ntokenizer " << tokenizer.hash() << " ("
         << tokenizer.description() << ")\n";
  return Error::success();
}

static Error decodeFile(StringRef path, const text::Tokenizer &tokenizer,
                        StringRef output) {
  Expected<text::TokenFile> file = text::TokenFile::open(path);
  if (!file)
    return file.takeError();
  if (file->tokenizerHash() != tokenizer.hash())
    return createStringError(path + ": was made with another tokenizer");
  std::vector<uint32_t> ids(file->size());
  if (Error error = file->read(0, ids))
    return error;
  Expected<std::string> text = tokenizer.decode(ids);
  if (!text)
    return text.takeError();
  return writeFile(output, *text);
}

int twist::tools::tokenizeMain(int argc, char **argv) {
  cl::OptionCategory category("Options of twist tokenize");
  cl::list<std::string> data("data", cl::value_desc("FILE"), cl::OneOrMore,
                             cl::desc("Text; several are joined"),
                             cl::cat(category));
  cl::opt<std::string> name(
      "tokenizer", cl::Required, cl::value_desc("FILE.json|VOCAB,MERGES|bytes"),
      cl::desc("tokenizer.json, GPT-2's two files, or a token a byte"),
      cl::cat(category));
  cl::opt<std::string> output("o", cl::Required, cl::value_desc("IDS.bin"),
                              cl::desc("The token file to write"),
                              cl::cat(category));
  cl::opt<bool> decode("decode", cl::cat(category),
                       cl::desc("The other way: --data IDS.bin, -o TEXT"));
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(argc, argv, "Makes token ids of text\n");

  Expected<std::unique_ptr<text::Tokenizer>> tokenizer =
      text::loadTokenizer(name);
  if (!tokenizer)
    return fail(tokenizer.takeError());
  if (decode && data.size() != 1)
    return fail(createStringError("--decode takes one --data"));
  Error error =
      decode ? decodeFile(data[0], **tokenizer, output)
             : encodeFiles(ArrayRef<std::string>(data), **tokenizer, output);
  return error ? fail(std::move(error)) : 0;
}
