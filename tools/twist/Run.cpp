//===- Run.cpp - twist run and generate -----------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
// The options behind the program's name are those of a compiled executable
// (lib/Runtime/RunMain.c).
//
//===----------------------------------------------------------------------===//

#include "Commands.h"
#include "Measure.h"

#include "twist/Runtime/Tools.h"
#include "twist/Runtime/twist.h"
#include "twist/Text/Tokenizer.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/ConvertUTF.h"
#include "llvm/Support/raw_ostream.h"

/// Loads the program argv[1] and hands the rest to `command`.
static int withProgram(int argc, char **argv, const char *usage,
                       const char *options,
                       int (*command)(const twist_program *, int, char **)) {
  llvm::StringRef name = argc > 1 ? argv[1] : "";
  if (name.empty() || name.starts_with("-")) {
    bool help = name == "--help" || name == "-h";
    (help ? llvm::outs() : llvm::errs()) << "usage: " << usage << "\n"
                                         << options;
    return help ? 0 : 1;
  }
  twist_program *program;
  twist_error error;
  if (twist_program_load(argv[1], 0, &program, &error)) {
    llvm::errs() << "error: " << error.message << "\n";
    return 1;
  }
  int code = command(program, argc - 2, argv + 2);
  twist_program_close(program);
  return code;
}

int twist::tools::runMain(int argc, char **argv) {
  return withProgram(
      argc, argv, "twist run NAME --input NAME=FILE.npy ... [--output-dir DIR]",
      twist_run_options, twist_run_main);
}

//===----------------------------------------------------------------------===//
// Text in, text out
//===----------------------------------------------------------------------===//

namespace {
/// Prints text while its ids are made.
class TextPrinter {
public:
  explicit TextPrinter(const twist::text::Tokenizer &tokenizer)
      : tokenizer(tokenizer) {}

  void add(int64_t id) {
    ids.push_back(uint32_t(id));
    llvm::Expected<std::string> text = tokenizer.decode(ids);
    if (!text) {
      if (why.empty())
        why = toString(text.takeError());
      else
        consumeError(text.takeError());
      return;
    }
    decoded = std::move(*text);
    print(wholeCharacters());
  }
  /// The rest, and what is wrong.
  int finish(int code) {
    print(decoded.size());
    if (!ids.empty())
      llvm::outs() << "\n";
    if (why.empty())
      return code;
    llvm::errs() << "error: " << why << "\n";
    return 1;
  }

private:
  void print(size_t end) {
    if (end <= printed)
      return;
    llvm::outs() << llvm::StringRef(decoded).slice(printed, end);
    llvm::outs().flush();
    printed = end;
  }
  /// Bytes before a character of UTF-8 whose end is not there yet.
  size_t wholeCharacters() const {
    size_t size = decoded.size();
    for (size_t back = 1; back <= 3 && back <= size; ++back) {
      auto byte = static_cast<unsigned char>(decoded[size - back]);
      if (byte >= 0xc0)
        return llvm::getNumBytesForUTF8(byte) > back ? size - back : size;
      if (byte < 0x80)
        return size;
    }
    return size;
  }

  const twist::text::Tokenizer &tokenizer;
  std::vector<uint32_t> ids;
  std::string decoded, why;
  size_t printed = 0;
};

/// The arguments of generate, with those of text taken out.
struct GenerateArguments {
  GenerateArguments(int argc, char **argv);
  /// --ids of all: those given, and then the prompt's.
  llvm::Error encode(const twist::text::Tokenizer &tokenizer);
  std::vector<char *> pointers() {
    std::vector<char *> result;
    for (std::string &argument : rest)
      result.push_back(argument.data());
    return result;
  }

  std::vector<std::string> rest;
  std::optional<std::string> tokenizer, prompt, ids;
};
} // namespace

GenerateArguments::GenerateArguments(int argc, char **argv) {
  const std::pair<llvm::StringRef, std::optional<std::string> *> own[] = {
      {"tokenizer", &tokenizer}, {"prompt", &prompt}, {"ids", &ids}};
  for (int i = 0; i < argc; ++i) {
    llvm::StringRef argument = argv[i];
    auto [name, value] = argument.ltrim('-').split('=');
    auto found = llvm::find_if(own, [&](auto &one) {
      return argument.starts_with("-") && one.first == name;
    });
    bool isHere = argument.contains('=');
    if (found == std::end(own) || (!isHere && i + 1 == argc))
      rest.push_back(argument.str());
    else
      *found->second = isHere ? value.str() : argv[++i];
  }
}

llvm::Error GenerateArguments::encode(const twist::text::Tokenizer &tokenizer) {
  std::vector<uint32_t> encoded;
  if (llvm::Error error = tokenizer.encode(prompt.value_or(""), encoded))
    return llvm::createStringError("--prompt: " + toString(std::move(error)));
  for (uint32_t id : encoded)
    ids = (ids ? *ids + "," : "") + std::to_string(id);
  if (ids)
    rest.push_back("--ids=" + *ids);
  return llvm::Error::success();
}

static int generate(const twist_program *program, int argc, char **argv) {
  GenerateArguments arguments(argc, argv);
  if (!arguments.tokenizer) {
    if (arguments.prompt)
      return twist::tools::fail(
          llvm::createStringError("--prompt needs --tokenizer"));
    return twist_generate_main(program, argc, argv);
  }
  auto tokenizer = twist::text::loadTokenizer(*arguments.tokenizer);
  if (!tokenizer)
    return twist::tools::fail(tokenizer.takeError());
  if (llvm::Error error = arguments.encode(**tokenizer))
    return twist::tools::fail(std::move(error));
  TextPrinter printer(**tokenizer);
  std::vector<char *> pointers = arguments.pointers();
  int code = twist_generate_tell(
      program, int(pointers.size()), pointers.data(),
      [](void *to, int64_t id) { static_cast<TextPrinter *>(to)->add(id); },
      &printer);
  return printer.finish(code);
}

int twist::tools::generateMain(int argc, char **argv) {
  std::string options =
      std::string(twist_generate_options) +
      "  --tokenizer FILE       text in and out: tokenizer.json, VOCAB,MERGES "
      "or bytes\n"
      "  --prompt TEXT          what to go on from, behind --ids\n";
  return withProgram(argc, argv, "twist generate NAME --ids 1,2,3 [--count N]",
                     options.c_str(), generate);
}
