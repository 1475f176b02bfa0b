//===- BytePairs.cpp - Byte-level BPE -------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//
//
// Sennrich, Haddow, Birch: Neural Machine Translation of Rare Words with
// Subword Units (ACL 2016), on bytes as GPT-2 has it: of all neighbours in a
// word the pair with the lowest rank is joined, the leftmost first, until none
// is left.
//
//===----------------------------------------------------------------------===//

#include "BytePairs.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/ConvertUTF.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/SHA256.h"

#include <queue>

using namespace llvm;
using namespace twist::text;

/// Bytes that stand for themselves in GPT-2's alphabet; the others are U+0100
/// and up, in order.
static bool isPrintable(unsigned byte) {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) ||
         byte >= 174;
}

/// The byte each code point below 512 stands for; -1: none.
static std::array<int, 512> byteAlphabet() {
  std::array<int, 512> bytes;
  bytes.fill(-1);
  unsigned other = 256;
  for (unsigned byte = 0; byte < 256; ++byte)
    bytes[isPrintable(byte) ? byte : other++] = int(byte);
  return bytes;
}

std::string twist::text::letterOf(uint8_t byte) {
  static const std::array<int, 512> alphabet = byteAlphabet();
  auto code = UTF32(llvm::find(alphabet, int(byte)) - alphabet.begin());
  if (code < 0x80)
    return std::string(1, char(code));
  return {char(0xc0 | code >> 6), char(0x80 | (code & 0x3f))};
}

/// The bytes of a token string; a string outside the alphabet is itself.
static std::string bytesOf(StringRef token) {
  static const std::array<int, 512> alphabet = byteAlphabet();
  std::string bytes;
  auto *at = reinterpret_cast<const UTF8 *>(token.bytes_begin());
  auto *end = at + token.size();
  while (at != end) {
    UTF32 code, *to = &code;
    if (ConvertUTF8toUTF32(&at, at + getNumBytesForUTF8(*at), &to, &code + 1,
                           strictConversion) != conversionOK ||
        code >= alphabet.size() || alphabet[code] < 0)
      return token.str();
    bytes.push_back(char(alphabet[code]));
  }
  return bytes;
}

static uint64_t pairOf(uint32_t left, uint32_t right) {
  return uint64_t(left) << 32 | right;
}

//===----------------------------------------------------------------------===//
// Making one
//===----------------------------------------------------------------------===//

Error BytePairs::addTokens(const BytePairParts &parts) {
  constexpr uint32_t kMost = 1u << 24;
  auto add = [&](StringRef text, std::string bytes, uint32_t id) -> Error {
    if (id >= kMost)
      return createStringError("token '" + text + "' has the id " + Twine(id));
    if (id >= tokens.size())
      tokens.resize(id + 1);
    if (!tokens[id].empty() && tokens[id] != bytes)
      return createStringError("two tokens have the id " + Twine(id));
    tokens[id] = std::move(bytes);
    return Error::success();
  };
  byteIds.fill(-1);
  for (const auto &entry : parts.vocabulary) {
    std::string bytes = bytesOf(entry.first());
    if (bytes.size() == 1 && bytes != entry.first())
      byteIds[uint8_t(bytes[0])] = entry.second;
    else if (bytes.size() == 1 && isPrintable(uint8_t(bytes[0])))
      byteIds[uint8_t(bytes[0])] = entry.second;
    if (wholeWords)
      words[bytes] = entry.second;
    if (Error error = add(entry.first(), std::move(bytes), entry.second))
      return error;
  }
  for (const auto &[text, id] : parts.added) {
    if (text.empty())
      return createStringError("an added token is empty");
    if (id < tokens.size())
      tokens[id].clear(); // its bytes are its text
    if (Error error = add(text, text, id))
      return error;
    startsAdded[uint8_t(text[0])] = true;
  }
  count = uint32_t(tokens.size());
  added = parts.added;
  llvm::sort(added, [](const auto &a, const auto &b) {
    return std::pair(b.first.size(), a.first) <
           std::pair(a.first.size(), b.first);
  });
  return Error::success();
}

Error BytePairs::addMerges(const BytePairParts &parts) {
  for (auto [rank, merge] : llvm::enumerate(parts.merges)) {
    const auto &[left, right] = merge;
    uint32_t ids[3];
    std::string texts[] = {left, right, left + right};
    for (int i = 0; i < 3; ++i) {
      auto found = parts.vocabulary.find(texts[i]);
      if (found == parts.vocabulary.end())
        return createStringError("merge " + Twine(rank + 1) + " '" + left +
                                 " " + right + "' needs the token '" +
                                 texts[i] + "', which is not there");
      ids[i] = found->second;
    }
    // Of a pair that stands twice the later rank holds, as elsewhere.
    merges[pairOf(ids[0], ids[1])] = Merge{uint32_t(rank), ids[2]};
  }
  return Error::success();
}

void BytePairs::setHash(const BytePairParts &parts) {
  SHA256 sha;
  auto number = [&](uint64_t value) {
    uint8_t bytes[8];
    support::endian::write64le(bytes, value);
    sha.update(bytes);
  };
  auto string = [&](StringRef text) {
    number(text.size());
    sha.update(text);
  };
  string("byte-level BPE");
  number(prefixSpace);
  number(wholeWords);
  number(tokens.size());
  for (const std::string &token : tokens)
    string(token);
  number(parts.merges.size());
  for (const auto &[left, right] : parts.merges) {
    number(parts.vocabulary.lookup(left));
    number(parts.vocabulary.lookup(right));
  }
  auto sorted = added;
  llvm::sort(sorted, llvm::less_second());
  number(sorted.size());
  for (const auto &entry : sorted)
    number(entry.second);
  digest = toHex(sha.final(), /*LowerCase=*/true);
}

Expected<std::unique_ptr<Tokenizer>>
BytePairs::create(const BytePairParts &parts) {
  auto result = std::make_unique<BytePairs>();
  result->prefixSpace = parts.prefixSpace;
  result->wholeWords = parts.wholeWords;
  if (Error error = result->addTokens(parts))
    return error;
  if (Error error = result->addMerges(parts))
    return error;
  result->setHash(parts);
  return result;
}

std::string BytePairs::description() const {
  return "byte-level BPE, " + std::to_string(count) + " tokens";
}

//===----------------------------------------------------------------------===//
// Text to ids
//===----------------------------------------------------------------------===//

namespace {
/// A token of a word being merged; a list through positions.
struct Symbol {
  uint32_t id;
  int prev, next;
};
/// Neighbours that may be joined.
struct Candidate {
  uint32_t rank;
  int left;
  uint64_t pair;
  uint32_t id;
  bool operator<(const Candidate &other) const { // best on top of a heap
    return std::pair(rank, left) > std::pair(other.rank, other.left);
  }
};
} // namespace

Error BytePairs::encodeWord(StringRef word, Ids &ids) const {
  if (wholeWords)
    if (auto whole = words.find(word); whole != words.end()) {
      ids.push_back(whole->second);
      return Error::success();
    }
  std::vector<Symbol> symbols;
  for (auto [i, byte] : llvm::enumerate(word.bytes())) {
    if (byteIds[byte] < 0)
      return createStringError("the tokenizer has no token for the byte 0x" +
                               utohexstr(byte));
    symbols.push_back({uint32_t(byteIds[byte]), int(i) - 1, int(i) + 1});
  }
  symbols.back().next = -1;
  std::priority_queue<Candidate> queue;
  auto consider = [&](int left) {
    int right = left < 0 ? -1 : symbols[left].next;
    if (right < 0)
      return;
    uint64_t pair = pairOf(symbols[left].id, symbols[right].id);
    if (auto merge = merges.find(pair); merge != merges.end())
      queue.push({merge->second.rank, left, pair, merge->second.id});
  };
  for (size_t i = 0; i < symbols.size(); ++i)
    consider(int(i));
  constexpr uint32_t kGone = ~0u;
  while (!queue.empty()) {
    Candidate best = queue.top();
    queue.pop();
    Symbol &left = symbols[best.left];
    if (left.next < 0 || pairOf(left.id, symbols[left.next].id) != best.pair)
      continue; // one of them was joined with another since
    Symbol &right = symbols[left.next];
    left.id = best.id;
    left.next = right.next;
    right.id = kGone;
    right.next = -1;
    if (left.next >= 0)
      symbols[left.next].prev = best.left;
    consider(best.left);
    consider(left.prev);
  }
  for (int i = 0; i >= 0; i = symbols[i].next)
    ids.push_back(symbols[i].id);
  return Error::success();
}

Error BytePairs::encodePlain(StringRef text, size_t offset, Cache &cache,
                             Ids &ids) const {
  constexpr size_t kCached = 1 << 18;
  std::string spaced;
  if (prefixSpace && !text.empty() && !text.starts_with(" ")) {
    spaced = (" " + text).str();
    text = spaced;
  }
  Error failed = Error::success();
  size_t valid = splitWords(text, [&](StringRef word) {
    if (failed)
      return;
    auto cached = cache.find(word);
    if (cached == cache.end()) {
      Ids made;
      if (Error error = encodeWord(word, made)) {
        failed = std::move(error);
        return;
      }
      if (cache.size() >= kCached) {
        llvm::append_range(ids, made);
        return;
      }
      cached = cache.try_emplace(word, std::move(made)).first;
    }
    llvm::append_range(ids, cached->second);
  });
  if (valid < text.size())
    return createStringError("the text is not UTF-8 at byte " +
                             Twine(offset + valid - (spaced.empty() ? 0 : 1)));
  return failed;
}

const std::pair<std::string, uint32_t> *
BytePairs::addedAt(StringRef text) const {
  if (startsAdded[uint8_t(text[0])])
    for (const auto &token : added)
      if (text.starts_with(token.first))
        return &token;
  return nullptr;
}

Error BytePairs::encode(StringRef text, Ids &ids) const {
  Cache cache;
  size_t start = 0;
  for (size_t at = 0; at < text.size() && !added.empty();) {
    const auto *token = addedAt(text.substr(at));
    if (!token) {
      ++at;
      continue;
    }
    if (Error error = encodePlain(text.slice(start, at), start, cache, ids))
      return error;
    ids.push_back(token->second);
    start = at += token->first.size();
  }
  return encodePlain(text.substr(start), start, cache, ids);
}

Expected<std::string> BytePairs::decode(ArrayRef<uint32_t> ids) const {
  std::string bytes;
  for (uint32_t id : ids) {
    if (id >= tokens.size() || tokens[id].empty())
      return createStringError("the tokenizer has no token " + Twine(id));
    bytes += tokens[id];
  }
  return bytes;
}
