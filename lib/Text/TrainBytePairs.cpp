//===- TrainBytePairs.cpp - Making a tokenizer of text --------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//
//
// Pairs stand in a heap with a count that may be too high, since counts of
// pairs beside a joined one fall: what comes out with a stale count goes in
// again with the right one.
//
//===----------------------------------------------------------------------===//

#include "twist/Text/TrainBytePairs.h"

#include "BytePairs.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"

#include <queue>

using namespace llvm;
using namespace twist::text;

Error BytePairTrainer::add(StringRef text) {
  size_t valid = splitWords(text, [&](StringRef word) { ++words[word]; });
  if (valid < text.size())
    return createStringError("the text is not UTF-8 at byte " + Twine(valid));
  return Error::success();
}

namespace {
using Pair = std::pair<uint32_t, uint32_t>;

struct Word {
  std::vector<uint32_t> ids;
  int64_t count;
};

struct Candidate {
  int64_t count;
  Pair pair;
  bool operator<(const Candidate &other) const { // best on top of a heap
    return std::pair(count, other.pair) < std::pair(other.count, pair);
  }
};

class Learner {
public:
  Learner(std::vector<Word> words) : words(std::move(words)) {
    DenseSet<Pair> all;
    for (size_t w = 0; w < this->words.size(); ++w)
      change(w, 1, &all);
    for (Pair pair : all)
      queue.push({counts[pair], pair});
  }

  /// The most frequent pair; count 0: there is none.
  Candidate best() {
    while (!queue.empty()) {
      Candidate top = queue.top();
      int64_t now = counts.lookup(top.pair);
      if (now == top.count)
        return top;
      queue.pop();
      if (now > 0)
        queue.push({now, top.pair});
    }
    return {0, {}};
  }

  void join(Pair pair, uint32_t id) {
    DenseSet<Pair> changed;
    std::vector<size_t> where(places[pair].begin(), places[pair].end());
    for (size_t w : where) {
      std::vector<uint32_t> &ids = words[w].ids;
      change(w, -1, nullptr);
      size_t to = 0;
      for (size_t from = 0; from < ids.size(); ++to) {
        bool both = from + 1 < ids.size() && ids[from] == pair.first &&
                    ids[from + 1] == pair.second;
        ids[to] = both ? id : ids[from];
        from += both ? 2 : 1;
      }
      ids.resize(to);
      change(w, 1, &changed);
    }
    places.erase(pair);
    counts.erase(pair);
    for (Pair other : changed)
      if (other.first == id || other.second == id)
        queue.push({counts[other], other});
  }

private:
  /// Adds (or takes away) the pairs of a word.
  void change(size_t w, int64_t sign, DenseSet<Pair> *seen) {
    const Word &word = words[w];
    for (size_t i = 0; i + 1 < word.ids.size(); ++i) {
      Pair pair(word.ids[i], word.ids[i + 1]);
      counts[pair] += sign * word.count;
      if (sign > 0)
        places[pair].insert(w);
      if (seen)
        seen->insert(pair);
    }
  }

  std::vector<Word> words;
  DenseMap<Pair, int64_t> counts;
  /// Words that have, or had, the pair.
  DenseMap<Pair, DenseSet<size_t>> places;
  std::priority_queue<Candidate> queue;
};
} // namespace

/// Bytes in the order of their letters in GPT-2's alphabet, as other trainers
/// number them.
static std::vector<std::pair<std::string, uint8_t>> sortedAlphabet() {
  std::vector<std::pair<std::string, uint8_t>> letters;
  for (unsigned byte = 0; byte < 256; ++byte)
    letters.emplace_back(letterOf(uint8_t(byte)), uint8_t(byte));
  llvm::sort(letters); // UTF-8 sorts as code points do
  return letters;
}

/// An array of JSON values, a line each.
static std::string lines(ArrayRef<std::string> items) {
  return "\n" + join(items, ",\n") + "\n";
}

static std::string quoted(StringRef text) {
  return formatv("{0}", json::Value(text)).str();
}

Expected<std::string> BytePairTrainer::train(const Options &options) const {
  size_t first = options.special.size() + 256;
  if (options.vocabulary < first)
    return createStringError(
        formatv("a vocabulary of {0} tokens is too small: bytes and special "
                "tokens take {1}",
                options.vocabulary, first)
            .str());
  if (words.empty())
    return createStringError("there is no text to learn from");

  std::vector<std::string> tokens = options.special, merges;
  std::array<uint32_t, 256> ids;
  for (const auto &[letter, byte] : sortedAlphabet()) {
    ids[byte] = uint32_t(tokens.size());
    tokens.push_back(letter);
  }
  std::vector<StringRef> sorted;
  for (const auto &entry : words)
    sorted.push_back(entry.first());
  llvm::sort(sorted);
  std::vector<Word> list;
  for (StringRef text : sorted) {
    Word &word = list.emplace_back();
    word.count = int64_t(words.lookup(text));
    for (uint8_t byte : text.bytes())
      word.ids.push_back(ids[byte]);
  }

  Learner learner(std::move(list));
  while (tokens.size() < options.vocabulary) {
    Candidate best = learner.best();
    if (best.count < int64_t(std::max<uint64_t>(options.minimum, 1)))
      break;
    const std::string &left = tokens[best.pair.first];
    const std::string &right = tokens[best.pair.second];
    merges.push_back("[" + quoted(left) + ", " + quoted(right) + "]");
    std::string joined = left + right;
    learner.join(best.pair, uint32_t(tokens.size()));
    tokens.push_back(std::move(joined));
  }

  std::vector<std::string> added, vocabulary;
  for (const auto &[id, text] : llvm::enumerate(options.special))
    added.push_back(formatv("{{\"id\": {0}, \"content\": {1}, \"single_word\": "
                            "false, \"lstrip\": false, \"rstrip\": false, "
                            "\"normalized\": false, \"special\": true}",
                            id, quoted(text))
                        .str());
  for (const auto &[id, text] : llvm::enumerate(tokens))
    vocabulary.push_back(formatv("{0}: {1}", quoted(text), id).str());
  return "{\"version\": \"1.0\", \"truncation\": null, \"padding\": null,\n"
         "\"added_tokens\": [" +
         lines(added) +
         "],\n\"normalizer\": null,\n\"pre_tokenizer\": {\"type\": "
         "\"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, "
         "\"use_regex\": true},\n\"post_processor\": null,\n\"decoder\": "
         "{\"type\": \"ByteLevel\", \"add_prefix_space\": true, "
         "\"trim_offsets\": true, \"use_regex\": true},\n\"model\": {\"type\": "
         "\"BPE\", \"dropout\": null, \"unk_token\": null, "
         "\"continuing_subword_prefix\": null, \"end_of_word_suffix\": null, "
         "\"fuse_unk\": false, \"byte_fallback\": false, \"ignore_merges\": "
         "false,\n\"vocab\": {" +
         lines(vocabulary) + "},\n\"merges\": [" + lines(merges) + "]}}\n";
}
