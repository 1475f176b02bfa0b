//===- Report.h - What a sweep shows ----------------------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_DFL_REPORT_H
#define TWIST_DFL_REPORT_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <string>
#include <vector>

namespace twist::dfl {

struct ReportFile {
  std::string name, contents;
};

/// Of RUN's results: report.html, one file without network; tables as .csv;
/// charts as .svg. The same results make the same bytes.
llvm::Expected<std::vector<ReportFile>> makeReport(llvm::StringRef run);

/// A rank correlation and the 2.5 and 97.5 percent quantiles of it over
/// `samples` draws of as many pairs, with replacement.
struct Correlation {
  double value = 0, low = 0, high = 0;
};
Correlation bootstrapCorrelation(llvm::ArrayRef<double> a,
                                 llvm::ArrayRef<double> b, int64_t samples,
                                 uint64_t seed);

/// Ranks of `a` and `b`, each less their mean, multiplied: where both are on
/// the same side of their middles it is positive.
std::vector<double> interaction(llvm::ArrayRef<double> a,
                                llvm::ArrayRef<double> b);

} // namespace twist::dfl

#endif // TWIST_DFL_REPORT_H
