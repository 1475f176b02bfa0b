//===- WidthValues.h - What widths of axes lose, measured -------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_PRUNE_WIDTHVALUES_H
#define TWIST_PRUNE_WIDTHVALUES_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <string>
#include <vector>

namespace twist::prune {

/// One axis at some widths, ascending, the last one whole.
struct WidthAxis {
  std::string axis;               ///< its name
  int64_t units = 0, uniform = 0; ///< of it kept by the uniform ticket
  std::vector<int64_t> widths, costs;
  /// What the model loses more than with this axis whole, all others as the
  /// uniform ticket has them: the last is 0.
  std::vector<double> increases;
  std::vector<std::vector<double>> features; ///< [widths][features]
};

/// A model around one uniform ticket (docs/Cuts.md describes the file). Losses
/// are logarithms of perplexity, or 1 - cosine.
struct WidthValues {
  std::string model;   ///< what it is called in tables
  std::string measure; ///< "perplexity" or "cosine to dense"
  std::string cost;    ///< "parameters", "flops" or "latency"
  double kappa = 0;    ///< of the uniform ticket
  int64_t allowed = 0; ///< what the uniform ticket's axes cost together
  double dense = 0, uniform = 0; ///< losses
  std::vector<std::string> features;
  std::vector<WidthAxis> axes;

  static llvm::Expected<WidthValues> read(llvm::StringRef path);
  /// Writes another file first and renames it.
  llvm::Error write(llvm::StringRef path) const;
};

} // namespace twist::prune

#endif // TWIST_PRUNE_WIDTHVALUES_H
