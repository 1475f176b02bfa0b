//===- Feed.h - Data into a program, batch by batch -------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_PRUNE_FEED_H
#define TWIST_PRUNE_FEED_H

#include "twist/Support/HostTensor.h"
#include "twist/Text/TokenFile.h"

#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringMap.h"

#include <functional>
#include <optional>

namespace twist::prune {

using Array = HostTensor;

/// Whether elements are floating-point numbers.
bool isFloat(twist_type type);

/// What an input of the model is for.
enum class Role {
  Ids,       ///< token ids, [batch, sequence]
  Ones,      ///< a mask of what is there: ones
  Zeros,     ///< token types, and the like
  Positions, ///< 0, 1, 2, … along the last dimension
  Rows,      ///< rows of an array of the user's
  Empty      ///< state of tokens before the first: there are none
};

/// An input as a program or a model declares it.
struct Port {
  std::string name;
  twist_type type = TWIST_F32;
  llvm::SmallVector<int64_t> dims;        ///< -1: open
  llvm::SmallVector<std::string> symbols; ///< of open dimensions
};
std::vector<Port> inputPorts(const twist_program *program);

struct FeedOptions {
  /// FILE: text, a token file or ids as .npy, [count] or [sequences, length];
  /// or INPUT=FILE.npy, whose first dimension counts samples.
  std::vector<std::string> data;
  /// text::loadTokenizer's; empty: the data are ids.
  std::string tokenizer;
  /// INPUT=ids|ones|zeros|positions, where that can't be told.
  std::vector<std::string> roles;
  /// Rows of the table an integer input is looked up in (none: it is not), if
  /// the model is at hand: the largest table is that of the token ids.
  llvm::StringMap<int64_t> tables;
  int64_t context = 0; ///< tokens a window; 0: the model's, or 128
  int64_t batch = 1;   ///< windows a run
  int64_t samples = 0; ///< windows at most; 0: all
  /// Windows that fill no batch are dropped: all runs have one shape.
  bool wholeBatches = false;
};

/// The inputs of one run. Tokens are those of the ids' windows, row by row,
/// each with the token behind its last where there is one.
struct Batch {
  std::vector<Array> inputs;
  int64_t first = 0; ///< window
  int64_t windows = 0, length = 0;
  std::vector<std::vector<uint32_t>> tokens;
};

/// Cuts data into windows that do not overlap and makes inputs of them. Token
/// ids beyond the model's table are an error, not a crash.
class Feed {
public:
  static llvm::Expected<Feed> create(llvm::ArrayRef<Port> inputs,
                                     const FeedOptions &options);
  static llvm::Expected<Feed> create(const twist_program *program,
                                     const FeedOptions &options) {
    return create(inputPorts(program), options);
  }

  int64_t batches() const;
  int64_t windows() const { return windowCount; }
  int64_t context() const { return length; }
  int64_t batchOf() const { return batchSize; } ///< windows a run
  /// Rows of the table the token ids are looked up in; 0: not known.
  int64_t vocabulary() const { return table; }
  /// Tokens in the data, those that no window holds included; 0: no tokens.
  uint64_t tokens() const { return tokenCount; }
  llvm::Expected<Batch> batch(int64_t index) const;

  /// Null where the data are not text and no tokenizer is given.
  const text::Tokenizer *tokenizer() const { return tokens_.get(); }
  /// What the data are, in words: file, tokenizer, windows.
  std::string protocol() const;
  /// SHA-256 of all that decides the batches, hexadecimal.
  std::string hash() const;

private:
  friend class FeedBuilder;
  Feed() = default;
  llvm::Error fillIds(Batch &batch, int64_t first, Array &array) const;

  struct Input : Port {
    Role role = Role::Empty;
    std::optional<Array> rows;
  };
  std::vector<Input> inputs;
  std::vector<uint32_t> ids;
  std::vector<std::string> files;
  std::unique_ptr<text::Tokenizer> tokens_;
  std::string tokenizerHash;
  int64_t rowLength = 0; ///< sequences of their own in the data; 0: one text
  int64_t length = 0, batchSize = 1, windowCount = 0;
  uint64_t tokenCount = 0;
  int64_t table = 0; ///< token ids are below this; 0: not known
  std::string batchSymbol, sequenceSymbol;
};

/// A program with working memory and threads; outputs are used again by the
/// next run.
class Runner {
public:
  static llvm::Expected<Runner> create(const twist_program *program,
                                       int threads);
  /// Inputs in the program's order.
  llvm::Expected<llvm::ArrayRef<Array>> run(llvm::ArrayRef<Array> inputs);
  /// What the last run has made, for good.
  std::vector<Array> takeOutputs() { return std::move(outputs); }
  const twist_program *program() const { return program_; }
  int threads() const { return twist_session_threads(session.get()); }
  /// Calls fn(i) for i in [0, n) on the runner's threads.
  void parallel(int64_t n, llvm::function_ref<void(int64_t)> fn);

private:
  Runner() = default;
  struct Close {
    void operator()(twist_session *session) { twist_session_close(session); }
  };
  const twist_program *program_ = nullptr;
  std::unique_ptr<twist_session, Close> session;
  std::vector<Array> outputs;
};

/// A program from a file `twist compile` made.
struct CloseProgram {
  void operator()(twist_program *program) { twist_program_close(program); }
};
using ProgramHandle = std::unique_ptr<twist_program, CloseProgram>;
llvm::Expected<ProgramHandle> loadProgram(llvm::StringRef path);

} // namespace twist::prune

#endif // TWIST_PRUNE_FEED_H
