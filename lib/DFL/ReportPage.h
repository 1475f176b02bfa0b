//===- ReportPage.h - A page with files beside it ---------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_DFL_REPORTPAGE_H
#define TWIST_LIB_DFL_REPORTPAGE_H

#include "Records.h"

#include "twist/DFL/Report.h"
#include "twist/Report/Report.h"

#include <cmath>

namespace twist::dfl {

using Row = std::vector<std::string>;

/// In percent, two digits behind the point; three digits.
std::string percent(double value);
std::string fixed(double value);
/// Of file names: letters, digits and dashes.
std::string slug(llvm::StringRef text);

/// Mean of some numbers and its standard error.
struct Average {
  double mean = std::nan(""), error = 0;
};
Average average(llvm::ArrayRef<double> values);

/// The report's page; every chart of it is a .svg too, every table a .csv.
struct ReportPage {
  report::Page page;
  std::vector<ReportFile> files;

  explicit ReportPage(llvm::StringRef title) : page(title) {}
  void chart(const std::string &name, const report::Chart &chart);
  void table(const std::string &name, const Row &header,
             const std::vector<Row> &rows, bool onPage = true);
};

/// How robustness goes with quality over all models, which models do not fit,
/// and what targeted attacks do to those.
void addHypothesis(const Records &records, ReportPage &out);

} // namespace twist::dfl

#endif // TWIST_LIB_DFL_REPORTPAGE_H
