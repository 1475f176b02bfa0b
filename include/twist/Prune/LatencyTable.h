//===- LatencyTable.h - What widths of axes save, measured ------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_PRUNE_LATENCYTABLE_H
#define TWIST_PRUNE_LATENCYTABLE_H

#include "llvm/Support/Error.h"

#include <cstdint>
#include <string>
#include <vector>

namespace twist::prune {

/// How much less time a run takes with an axis at some widths.
struct LatencyRow {
  std::string axis; ///< its name
  int64_t units = 0;
  std::vector<int64_t> widths; ///< kept units, ascending, fewer than all
  std::vector<double> saved;   ///< seconds, against the dense model
};

/// Times of one model on one machine (docs/Cuts.md describes the file).
struct LatencyTable {
  std::string machine;         ///< machineName()
  std::string structureSHA256; ///< of the model
  std::string sizes;           ///< "batch=1,sequence=128"
  int64_t threads = 0;
  double denseSeconds = 0;
  std::vector<LatencyRow> axes;

  const LatencyRow *find(llvm::StringRef axis) const;

  static llvm::Expected<LatencyTable> read(llvm::StringRef path);
  /// Writes another file first and renames it.
  llvm::Error write(llvm::StringRef path) const;
  /// An error that names both if the table is another machine's or model's.
  llvm::Error check(llvm::StringRef path, llvm::StringRef machine,
                    llvm::StringRef structureSHA256) const;
};

/// Model and number of this machine's processors, "NAME x 2".
std::string machineName();

} // namespace twist::prune

#endif // TWIST_PRUNE_LATENCYTABLE_H
