//===- Report.h - Results as one HTML file ----------------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
// One file without network, scripts or other files: text, tables, charts as
// SVG.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_REPORT_REPORT_H
#define TWIST_REPORT_REPORT_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <string>
#include <utility>
#include <vector>

namespace twist::report {

/// Points that belong together; values that are not finite are left out.
struct Series {
  std::string name;
  std::vector<std::pair<double, double>> points;
};

struct Chart {
  std::string title, x, y; ///< of the axes
  std::vector<Series> series;
  bool joined = true; ///< lines; false: dots
  bool logY = false;  ///< values that are not positive are left out
};

/// Text as HTML has it: < > & " are escaped.
std::string escape(llvm::StringRef text);
/// At most six digits, no trailing zeros.
std::string number(double value);
/// A chart as an <svg> element of its own; also a file of its own.
std::string drawChart(const Chart &chart);

class Page {
public:
  explicit Page(llvm::StringRef title) : title(title.str()) {}

  void heading(llvm::StringRef text);
  void paragraph(llvm::StringRef text);
  /// Lines as they stand, in one width.
  void verbatim(llvm::StringRef text);
  /// The first column is text, the others are numbers: set to the right.
  void table(llvm::ArrayRef<std::string> header,
             llvm::ArrayRef<std::vector<std::string>> rows);
  void chart(const Chart &chart) { body += drawChart(chart); }

  /// The whole file.
  std::string str() const;

private:
  std::string title, body;
};

} // namespace twist::report

#endif // TWIST_REPORT_REPORT_H
