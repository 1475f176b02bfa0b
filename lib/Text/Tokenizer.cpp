//===- Tokenizer.cpp - Tokenizers from their files ------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Text/Tokenizer.h"

#include "BytePairs.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/LineIterator.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/SHA256.h"

using namespace llvm;
using namespace twist::text;

Tokenizer::~Tokenizer() = default;

//===----------------------------------------------------------------------===//
// Bytes
//===----------------------------------------------------------------------===//

namespace {
class Bytes final : public Tokenizer {
public:
  Bytes() {
    count = 256;
    StringRef name = "bytes";
    digest = toHex(SHA256::hash(ArrayRef(name.bytes_begin(), name.size())),
                   /*LowerCase=*/true);
  }
  Error encode(StringRef text, std::vector<uint32_t> &ids) const override {
    ids.insert(ids.end(), text.bytes_begin(), text.bytes_end());
    return Error::success();
  }
  Expected<std::string> decode(ArrayRef<uint32_t> ids) const override {
    std::string text;
    for (uint32_t id : ids) {
      if (id > 255)
        return createStringError("the tokenizer has no token " + Twine(id));
      text.push_back(char(id));
    }
    return text;
  }
  std::string description() const override { return "bytes"; }
};
} // namespace

//===----------------------------------------------------------------------===//
// tokenizer.json
//===----------------------------------------------------------------------===//

static Expected<std::unique_ptr<MemoryBuffer>> readFile(StringRef path) {
  auto file = MemoryBuffer::getFile(path, /*IsText=*/false,
                                    /*RequiresNullTerminator=*/false);
  if (!file)
    return createStringError(path +
                             ": cannot be read: " + file.getError().message());
  return std::move(*file);
}

/// What is wrong with a file, said with its name.
static Error inFile(StringRef path, const Twine &what) {
  return createStringError(path + ": " + what);
}

static Error inFile(StringRef path, Error error) {
  return inFile(path, toString(std::move(error)));
}

/// The value of `key` is absent, null, false, 0 or "".
static bool isUnset(const json::Object &object, StringRef key) {
  const json::Value *value = object.get(key);
  return !value || value->getAsNull() || value->getAsBoolean() == false ||
         value->getAsString() == StringRef() || value->getAsNumber() == 0.0;
}

static StringRef typeOf(const json::Object &object) {
  return object.getString("type").value_or("?");
}

/// Only ByteLevel with its pattern, alone or alone in a sequence.
static Error readPreTokenizer(const json::Object &file, BytePairParts &parts) {
  const json::Object *step = file.getObject("pre_tokenizer");
  if (step && typeOf(*step) == "Sequence") {
    const json::Array *steps = step->getArray("pretokenizers");
    if (!steps || steps->size() != 1)
      return createStringError("a sequence of pre-tokenizers is not known, "
                               "only ByteLevel alone");
    step = steps->front().getAsObject();
  }
  if (!step || typeOf(*step) != "ByteLevel")
    return createStringError("the pre-tokenizer '" +
                             (step ? typeOf(*step) : StringRef("none")) +
                             "' is not known, only ByteLevel");
  if (!step->getBoolean("use_regex").value_or(true))
    return createStringError("the pre-tokenizer ByteLevel without its pattern "
                             "(use_regex) is not known");
  parts.prefixSpace = step->getBoolean("add_prefix_space").value_or(true);
  return Error::success();
}

static Error readMerge(const json::Value &merge, BytePairParts &parts) {
  if (auto text = merge.getAsString()) {
    auto [left, right] = text->split(' ');
    if (!left.empty() && !right.empty() && !right.contains(' ')) {
      parts.merges.emplace_back(left, right);
      return Error::success();
    }
  } else if (const json::Array *pair = merge.getAsArray()) {
    if (pair->size() == 2 && (*pair)[0].getAsString() &&
        (*pair)[1].getAsString()) {
      parts.merges.emplace_back(*(*pair)[0].getAsString(),
                                *(*pair)[1].getAsString());
      return Error::success();
    }
  }
  return createStringError("merge " + Twine(parts.merges.size() + 1) +
                           " is no pair of tokens");
}

static Error readVocabulary(const json::Object &tokens, BytePairParts &parts) {
  for (const auto &[text, id] : tokens) {
    auto number = id.getAsInteger();
    if (!number || *number < 0 || *number > UINT32_MAX)
      return createStringError("token '" + StringRef(text) + "' has no id");
    parts.vocabulary[text] = uint32_t(*number);
  }
  return Error::success();
}

static Error readModel(const json::Object &file, BytePairParts &parts) {
  const json::Object *model = file.getObject("model");
  if (!model || model->getString("type").value_or("BPE") != "BPE")
    return createStringError("the model '" +
                             (model ? typeOf(*model) : StringRef("none")) +
                             "' is not known, only BPE");
  for (StringRef key : {"dropout", "continuing_subword_prefix",
                        "end_of_word_suffix", "byte_fallback"})
    if (!isUnset(*model, key))
      return createStringError("the model's '" + key + "' is not known");
  parts.wholeWords = model->getBoolean("ignore_merges").value_or(false);
  const json::Object *tokens = model->getObject("vocab");
  const json::Array *merges = model->getArray("merges");
  if (!tokens || !merges)
    return createStringError("the model has no vocab or no merges");
  if (Error error = readVocabulary(*tokens, parts))
    return error;
  for (const json::Value &merge : *merges)
    if (Error error = readMerge(merge, parts))
      return error;
  return Error::success();
}

static Error readAdded(const json::Object &file, BytePairParts &parts) {
  const json::Array *tokens = file.getArray("added_tokens");
  if (!tokens)
    return Error::success();
  for (const json::Value &value : *tokens) {
    const json::Object *token = value.getAsObject();
    auto id = token ? token->getInteger("id") : std::nullopt;
    auto text = token ? token->getString("content") : std::nullopt;
    if (!id || !text || *id < 0 || *id > UINT32_MAX)
      return createStringError("an added token has no id or content");
    for (StringRef key : {"single_word", "lstrip", "rstrip"})
      if (!isUnset(*token, key))
        return createStringError("'" + key + "' of the added token '" + *text +
                                 "' is not known");
    parts.added.emplace_back(*text, uint32_t(*id));
  }
  return Error::success();
}

static Expected<std::unique_ptr<Tokenizer>> loadJSON(StringRef path) {
  auto file = readFile(path);
  if (!file)
    return file.takeError();
  Expected<json::Value> parsed = json::parse((*file)->getBuffer());
  if (!parsed)
    return inFile(path, parsed.takeError());
  const json::Object *object = parsed->getAsObject();
  if (!object)
    return inFile(path, "is no tokenizer.json");
  if (!isUnset(*object, "normalizer"))
    return inFile(path, "the normalizer '" +
                            (object->getObject("normalizer")
                                 ? typeOf(*object->getObject("normalizer"))
                                 : StringRef("?")) +
                            "' is not known, only none");
  BytePairParts parts;
  for (auto *read : {readModel, readPreTokenizer, readAdded})
    if (Error error = read(*object, parts))
      return inFile(path, std::move(error));
  auto tokenizer = BytePairs::create(parts);
  if (!tokenizer)
    return inFile(path, tokenizer.takeError());
  return tokenizer;
}

//===----------------------------------------------------------------------===//
// GPT-2's two files
//===----------------------------------------------------------------------===//

static Expected<std::unique_ptr<Tokenizer>> loadPair(StringRef vocabulary,
                                                     StringRef merges) {
  auto first = readFile(vocabulary);
  if (!first)
    return first.takeError();
  auto second = readFile(merges);
  if (!second)
    return second.takeError();
  Expected<json::Value> parsed = json::parse((*first)->getBuffer());
  if (!parsed)
    return inFile(vocabulary, parsed.takeError());
  const json::Object *tokens = parsed->getAsObject();
  if (!tokens)
    return inFile(vocabulary, "is no object of tokens and ids");
  BytePairParts parts;
  if (Error error = readVocabulary(*tokens, parts))
    return inFile(vocabulary, std::move(error));
  SmallVector<StringRef> lines;
  (*second)->getBuffer().split(lines, '\n');
  for (StringRef line : lines) {
    line.consume_back("\r");
    if (line.empty() || (line.starts_with("#version") && parts.merges.empty()))
      continue;
    if (Error error = readMerge(json::Value(line), parts))
      return inFile(merges, std::move(error));
  }
  auto tokenizer = BytePairs::create(parts);
  if (!tokenizer)
    return inFile(merges, tokenizer.takeError());
  return tokenizer;
}

Expected<std::unique_ptr<Tokenizer>>
twist::text::loadTokenizer(StringRef specification) {
  if (specification == "bytes")
    return std::make_unique<Bytes>();
  auto [first, second] = specification.split(',');
  if (!second.empty())
    return loadPair(first, second);
  return loadJSON(first);
}
