//===- Fuzz.h - Hostile inputs, made and taken ------------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//
//
// An input is the bytes of a file: an ONNX model, a ticket, the weights or the
// code of a compiled program, or a .npy file, known by how it starts. What
// reads it has to take it or refuse it with an error; all else ends the
// process.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_TOOLS_TWIST_FUZZ_FUZZ_H
#define TWIST_TOOLS_TWIST_FUZZ_FUZZ_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"

#include <cstdint>
#include <string>
#include <vector>

namespace twist::fuzz {

/// Numbers that are the same on every machine: splitmix64.
class Random {
public:
  explicit Random(uint64_t seed) : state(seed) {}
  uint64_t next() {
    uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }
  /// Below `bound`, which is not 0.
  uint64_t below(uint64_t bound) { return next() % bound; }
  bool oneIn(uint64_t n) { return below(n) == 0; }

private:
  uint64_t state;
};

enum class Kind { Model, Ticket, Weights, Code, Array };

/// What a file that starts so is read as.
Kind kindOf(llvm::StringRef bytes);

/// Changes `bytes` in one to four places: a model by its fields (sizes, names,
/// attributes, operators, tensor data; parts dropped, doubled, moved between
/// places of their type), anything by its bytes.
void mutate(std::string &bytes, Random &random);

/// How far inputs came.
enum Stage {
  Read,       ///< a model was imported; a ticket, array or program loaded
  Exported,   ///< the imported model was written and read again
  Normalised, ///< typed, with sizes
  Discovered, ///< with at least one axis
  Sliced,     ///< by a random ticket, written, and its masked model too
  Lowered,    ///< the normalised model went to linalg
  StageCount
};
using Stages = bool[StageCount];

/// Reads inputs by way of a file in a folder of its own. One at a time.
class Target {
public:
  /// Without a folder to write to, exits.
  Target();
  ~Target();

  /// Takes an input through all that reads it, and tells how far it came. An
  /// input refused without a word ends the process as a crash does.
  void run(llvm::StringRef bytes, Stages &reached);

  /// The input being taken: the file stays if the process dies.
  const std::string &inputPath() const { return path; }

private:
  void runModel(llvm::StringRef bytes, Stages &reached);
  void runTicket(llvm::StringRef bytes, Stages &reached);
  void runWeights(Stages &reached);
  void runCode(Stages &reached);
  void runArray(Stages &reached);

  std::string folder, path;
};

} // namespace twist::fuzz

#endif // TWIST_TOOLS_TWIST_FUZZ_FUZZ_H
