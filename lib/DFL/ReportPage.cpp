//===- ReportPage.cpp - A page with files beside it -----------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "ReportPage.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;
using namespace twist;
using namespace twist::dfl;

std::string twist::dfl::percent(double value) {
  std::string text;
  raw_string_ostream(text) << format("%.2f", 100 * value);
  return text;
}

std::string twist::dfl::fixed(double value) {
  std::string text;
  raw_string_ostream(text) << format("%.3f", value);
  return text;
}

Average twist::dfl::average(ArrayRef<double> values) {
  Average result;
  if (values.empty())
    return result;
  double n = double(values.size()), sum = 0, squares = 0;
  for (double value : values)
    sum += value;
  result.mean = sum / n;
  for (double value : values)
    squares += (value - result.mean) * (value - result.mean);
  if (n > 1)
    result.error = std::sqrt(squares / (n - 1) / n);
  return result;
}

std::string twist::dfl::slug(StringRef text) {
  std::string result;
  for (char c : text)
    result += isAlnum(c) || c == '.' ? c : '-';
  return result;
}

/// Quoted where it has to be.
static std::string csvCell(const std::string &cell) {
  if (cell.find_first_of(",\"\n") == std::string::npos)
    return cell;
  std::string quoted = "\"";
  for (char c : cell)
    quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

void ReportPage::chart(const std::string &name, const report::Chart &chart) {
  page.chart(chart);
  files.push_back({name + ".svg", report::drawChart(chart)});
}

void ReportPage::table(const std::string &name, const Row &header,
                       const std::vector<Row> &rows, bool onPage) {
  if (onPage)
    page.table(header, rows);
  std::string text;
  auto line = [&](const Row &cells) {
    for (size_t i = 0; i < cells.size(); ++i)
      text += (i ? "," : "") + csvCell(cells[i]);
    text += "\n";
  };
  line(header);
  for (const Row &row : rows)
    line(row);
  files.push_back({name + ".csv", text});
}
