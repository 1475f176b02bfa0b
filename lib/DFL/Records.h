//===- Records.h - A sweep's results, read back -----------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_DFL_RECORDS_H
#define TWIST_LIB_DFL_RECORDS_H

#include "llvm/Support/Error.h"
#include "llvm/Support/JSON.h"

#include <map>
#include <string>
#include <vector>

namespace twist::dfl {

struct Metrics {
  double relative = 0, ratio = 0, regret = 0, error = 0;
};

/// A model under one attack of one size.
struct AttackRecord {
  std::string attack;
  double eps = 0, foolingError = 0, foolingRegret = 0, movedInf = 0, moved2 = 0,
         zeroGradients = 0, blind = 0;
  Metrics metrics;
};

/// A model after so many epochs.
struct PointRecord {
  int64_t epochs = 0;
  Metrics clean;
  std::vector<AttackRecord> attacks;

  /// Null if there is none.
  const AttackRecord *find(llvm::StringRef attack, double eps) const;
};

struct CurveRecord {
  int64_t epoch = 0;
  double loss = 0, train = 0, validation = 0, validationError = 0;
};

struct ModelRecord {
  std::string task, method;
  int64_t seed = 0;
  std::vector<PointRecord> points;
  std::vector<CurveRecord> curve;
  std::map<std::string, std::vector<double>> distributions;

  std::string name() const {
    return task + " / " + method + " / " + std::to_string(seed);
  }
};

/// For each attack, the regret of the column's method at what was made on the
/// row's.
struct TransferRecord {
  std::string task;
  int64_t seed = 0;
  std::vector<std::string> methods; ///< of rows and columns
  std::map<std::string, std::vector<std::vector<double>>> matrices;
};

struct Records {
  std::vector<std::string> tasks, methods, attacks; ///< in order of appearance
  std::vector<ModelRecord> models;
  std::vector<TransferRecord> transfers;
  double focus = 0; ///< the sweep's
};

/// RUN's results; what is missing or of the wrong kind is an error that names
/// the unit.
llvm::Expected<Records> readRecords(llvm::StringRef run);

} // namespace twist::dfl

#endif // TWIST_LIB_DFL_RECORDS_H
