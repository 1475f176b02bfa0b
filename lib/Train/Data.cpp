//===- Data.cpp - Batches of tokens, worker by worker ---------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Train/Data.h"

#include "twist/Support/Philox.h"
#include "twist/Text/Protocol.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/SHA256.h"

#include <cmath>
#include <numeric>

using namespace llvm;
using namespace twist;
using namespace twist::train;

/// Draws that concern data; axes' families are small numbers.
static constexpr uint32_t kShuffleFamily = 0x20000, kMaskFamily = 0x20001;

uint64_t Data::Source::size() const { return file ? file->size() : ids.size(); }

Error Data::Source::read(uint64_t first, MutableArrayRef<uint32_t> to) const {
  if (file)
    return file->read(first, to);
  llvm::copy(ArrayRef(ids).slice(first, to.size()), to.begin());
  return Error::success();
}

//===----------------------------------------------------------------------===//
// Files
//===----------------------------------------------------------------------===//

static Error inFile(StringRef path, const Twine &what) {
  return createStringError(path + ": " + what);
}

Error Data::addFile(StringRef path, const text::Tokenizer *tokens) {
  Source source;
  source.path = path.str();
  std::string hash;
  uint32_t limit;
  if (text::TokenFile::isOne(path)) {
    Expected<text::TokenFile> file = text::TokenFile::open(path);
    if (!file)
      return file.takeError();
    hash = file->tokenizerHash().str();
    tokenizerName = "of the token file";
    limit = file->vocabulary();
    if (tokens && tokens->hash() != hash)
      return inFile(path, "was made with another tokenizer than the one given");
    source.file = std::make_unique<text::TokenFile>(std::move(*file));
  } else {
    auto file = MemoryBuffer::getFile(path, /*IsText=*/false,
                                      /*RequiresNullTerminator=*/false);
    if (!file)
      return inFile(path, "cannot be read: " + file.getError().message());
    if (!tokens)
      return inFile(path, "is no token file; text needs --tokenizer");
    if (Error error = tokens->encode((*file)->getBuffer(), source.ids))
      return inFile(path, toString(std::move(error)));
    hash = tokens->hash().str();
    tokenizerName = tokens->description();
    limit = tokens->size();
  }
  if (source.size() == 0)
    return inFile(path, "is empty");
  if (int64_t(limit) > options_.vocabulary)
    return inFile(path, "has tokens up to " + Twine(limit - 1) +
                            ", but the model's vocabulary has " +
                            Twine(options_.vocabulary));
  if (!sources.empty() && hash != tokenizer)
    return inFile(path, "was made with another tokenizer than " +
                            sources.front().path);
  tokenizer = hash;
  tokenCount += source.size();
  sources.push_back(std::move(source));
  return Error::success();
}

Error Data::cut() {
  // The last label of a window is the first token behind it.
  bool behind = options_.objective == Objective::NextToken && !options_.inOrder;
  uint64_t needed = options_.context + behind;
  for (auto [index, source] : llvm::enumerate(sources))
    for (uint64_t at = 0; at + needed <= source.size(); at += options_.context)
      windowStarts.emplace_back(uint32_t(index), at);
  if (options_.limit > 0 && windows() > options_.limit)
    windowStarts.resize(options_.limit);
  int64_t least = options_.inOrder ? 1 : options_.batch * options_.workers;
  if (windows() < least)
    return inFile(sources.front().path,
                  formatv("too short: {0} tokens are {1} windows of {2}, but "
                          "{3} workers take {4} each for one step",
                          tokenCount, windows(), options_.context,
                          options_.workers, options_.batch)
                      .str());
  orders.resize(options_.workers);
  return Error::success();
}

Expected<Data> Data::open(const DataOptions &options) {
  Data data;
  data.options_ = options;
  if (options.files.empty())
    return createStringError("there are no data (--data)");
  if (options.context < 1 || options.batch < 1 || options.workers < 1)
    return createStringError("context, batch and workers are 1 at least");
  if (options.objective == Objective::MaskedToken) {
    if (options.maskToken < 0 || options.maskToken >= options.vocabulary)
      return createStringError("masked tokens need --mask-token, an id below " +
                               Twine(options.vocabulary));
    if (!(options.maskShare > 0 && options.maskShare <= 1))
      return createStringError("the share of masked tokens has to be above 0 "
                               "and at most 1");
  }
  std::unique_ptr<text::Tokenizer> tokens;
  if (!options.tokenizer.empty()) {
    auto loaded = text::loadTokenizer(options.tokenizer);
    if (!loaded)
      return loaded.takeError();
    tokens = std::move(*loaded);
  }
  for (const std::string &path : options.files)
    if (Error error = data.addFile(path, tokens.get()))
      return std::move(error);
  if (Error error = data.cut())
    return std::move(error);
  return std::move(data);
}

//===----------------------------------------------------------------------===//
// Batches
//===----------------------------------------------------------------------===//

const std::vector<int64_t> &Data::orderOf(int64_t worker, int64_t epoch) const {
  Order &order = orders[worker];
  if (order.epoch == epoch)
    return order.windows;
  int64_t count = (windows() - worker - 1) / options_.workers + 1;
  order.epoch = epoch;
  if (options_.inOrder) {
    order.windows.resize(count);
    std::iota(order.windows.begin(), order.windows.end(), 0);
    return order.windows;
  }
  PhiloxStream stream(options_.seed, uint32_t(epoch), uint32_t(worker),
                      kShuffleFamily);
  order.windows = shuffledPrefix(stream, count, count);
  return order.windows;
}

int64_t Data::window(int64_t worker, int64_t step, int64_t row) const {
  int64_t count = (windows() - worker - 1) / options_.workers + 1;
  int64_t position = step * options_.batch + row;
  int64_t mine = orderOf(worker, position / count)[position % count];
  return mine * options_.workers + worker;
}

Error Data::batch(int64_t worker, int64_t step, MutableArrayRef<int64_t> ids,
                  MutableArrayRef<int64_t> labels) const {
  int64_t context = options_.context;
  bool next = options_.objective == Objective::NextToken;
  std::vector<uint32_t> tokens(context + next);
  int64_t count = (windows() - worker - 1) / options_.workers + 1;
  for (int64_t row = 0; row < options_.batch; ++row) {
    int64_t position = step * options_.batch + row;
    auto rowIds = ids.slice(row * context, context);
    auto rowLabels = labels.slice(row * context, context);
    if (options_.inOrder && position >= count) {
      llvm::fill(rowIds, 0);
      llvm::fill(rowLabels, kIgnored);
      continue;
    }
    auto [source, first] = windowStarts[window(worker, step, row)];
    bool cutOff = first + tokens.size() > sources[source].size();
    if (Error error = sources[source].read(
            first, MutableArrayRef(tokens).drop_back(cutOff)))
      return error;
    llvm::copy(ArrayRef(tokens).take_front(context), rowIds.begin());
    llvm::copy(ArrayRef(tokens).take_back(context), rowLabels.begin());
    if (cutOff)
      rowLabels.back() = kIgnored;
  }
  if (options_.objective == Objective::MaskedToken)
    mask(worker, step, ids, labels);
  return Error::success();
}

void Data::mask(int64_t worker, int64_t step, MutableArrayRef<int64_t> ids,
                MutableArrayRef<int64_t> labels) const {
  PhiloxStream stream(options_.seed, uint32_t(step), uint32_t(worker),
                      kMaskFamily);
  for (auto [id, label] : llvm::zip_equal(ids, labels)) {
    if (stream.uniform() >= options_.maskShare || label == kIgnored) {
      label = kIgnored;
      continue;
    }
    double what = stream.uniform();
    if (what < 0.8)
      id = options_.maskToken;
    else if (what < 0.9)
      id = int64_t(stream.below(options_.vocabulary));
  }
}

double Data::epochs(int64_t steps) const {
  return double(steps * options_.batch * options_.workers) / double(windows());
}

//===----------------------------------------------------------------------===//
// What the data are
//===----------------------------------------------------------------------===//

std::string Data::protocol() const {
  text::WindowProtocol protocol;
  for (const Source &source : sources)
    protocol.files += (protocol.files.empty() ? "" : ", ") + source.path;
  protocol.tokenizer = tokenizerName;
  protocol.hash = tokenizer;
  protocol.windows = windows();
  protocol.length = options_.context;
  protocol.tokens = tokenCount;
  std::string text = protocol.describe();
  if (!options_.inOrder)
    text += "order      shuffled by seed " + std::to_string(options_.seed) +
            ", anew every epoch\n";
  return text;
}

std::string Data::hash() const {
  SHA256 sha;
  auto number = [&](uint64_t value) {
    uint8_t bytes[8];
    support::endian::write64le(bytes, value);
    sha.update(bytes);
  };
  sha.update(tokenizer);
  for (uint64_t value :
       {uint64_t(options_.objective), uint64_t(options_.maskToken),
        uint64_t(options_.maskShare * 1e9), uint64_t(options_.context),
        uint64_t(options_.batch), uint64_t(options_.workers), options_.seed})
    number(value);
  constexpr uint64_t kPlaces = 64, kLength = 256;
  for (const Source &source : sources) {
    number(source.size());
    uint64_t length = std::min(kLength, source.size());
    std::vector<uint32_t> ids(length);
    for (uint64_t place = 0; place < kPlaces; ++place) {
      uint64_t first = (source.size() - length) * place / (kPlaces - 1);
      if (Error error = source.read(first, ids)) {
        consumeError(std::move(error)); // reading for training reports it
        continue;
      }
      for (uint32_t id : ids)
        number(id);
    }
  }
  return toHex(sha.final(), /*LowerCase=*/true);
}
