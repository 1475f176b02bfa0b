//===- Report.cpp - Results as one HTML file ------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Report/Report.h"

#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"

#include <algorithm>
#include <cmath>
#include <limits>

using namespace llvm;
using namespace twist::report;

std::string twist::report::escape(StringRef text) {
  std::string escaped;
  for (char c : text)
    switch (c) {
    case '<':
      escaped += "&lt;";
      break;
    case '>':
      escaped += "&gt;";
      break;
    case '&':
      escaped += "&amp;";
      break;
    case '"':
      escaped += "&quot;";
      break;
    default:
      escaped += c;
    }
  return escaped;
}

std::string twist::report::number(double value) {
  std::string text;
  raw_string_ostream(text) << format("%.6g", value);
  return text;
}

//===----------------------------------------------------------------------===//
// Charts
//===----------------------------------------------------------------------===//

static constexpr const char *kColours[] = {
    "#1b6ca8", "#c8553d", "#3a7d44", "#8e44ad", "#b7860b", "#3d3d3d",
    "#17a2a2", "#a83279", "#6b8e23", "#5b5bd6", "#e07b00", "#7a5230"};
/// Lines are told apart without colours too.
static constexpr const char *kDashes[] = {"", "6 3", "2 2", "8 3 2 3"};
static constexpr double kWidth = 760, kLeastHeight = 320;
static constexpr double kLeft = 70, kRight = 200, kTop = 34, kBottom = 46;
static constexpr double kLegendLine = 17, kMargin = 0.03;
/// A line of so few points shows them.
static constexpr size_t kFewPoints = 12;

namespace {
/// Values to places, and round numbers between.
struct Scale {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  bool logarithmic = false;
  double from = 0, to = 1; ///< places

  bool takes(double v) const {
    return std::isfinite(v) && (!logarithmic || v > 0);
  }
  void add(double v) {
    v = logarithmic ? std::log10(v) : v;
    low = std::min(low, v);
    high = std::max(high, v);
  }
  /// No more values; `margin` of their range stays free on both sides.
  void close(double margin) {
    if (!(low <= high))
      low = 0, high = 1;
    if (low == high)
      low -= 0.5, high += 0.5;
    double free = margin * (high - low);
    low -= free, high += free;
  }
  double at(double v) const {
    v = logarithmic ? std::log10(v) : v;
    return from + (to - from) * (v - low) / (high - low);
  }
  std::vector<double> ticks() const {
    double raw = (high - low) / 5,
           power = std::pow(10, std::floor(std::log10(raw)));
    double step = power * (raw / power < 2 ? 2 : raw / power < 5 ? 5 : 10);
    std::vector<double> values;
    for (double v = std::ceil(low / step) * step; v <= high + 1e-9 * step;
         v += step)
      values.push_back(logarithmic                 ? std::pow(10, v)
                       : std::abs(v) < 1e-9 * step ? 0
                                                   : v);
    return values;
  }
};
} // namespace

static void drawAxes(raw_ostream &os, const Chart &chart, const Scale &x,
                     const Scale &y, double height) {
  for (double tick : x.ticks())
    os << format("<line x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f' "
                 "class='grid'/>",
                 x.at(tick), y.from, x.at(tick), y.to)
       << format("<text x='%.1f' y='%.1f' text-anchor='middle'>", x.at(tick),
                 y.from + 16)
       << format("%.10g", tick) << "</text>\n";
  for (double tick : y.ticks())
    os << format("<line x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f' "
                 "class='grid'/>",
                 x.from, y.at(tick), x.to, y.at(tick))
       << format("<text x='%.1f' y='%.1f' text-anchor='end'>", x.from - 6,
                 y.at(tick) + 4)
       << format("%.10g", tick) << "</text>\n";
  os << format("<text x='%.1f' y='20' class='title'>", kLeft)
     << escape(chart.title) << "</text>\n"
     << format("<text x='%.1f' y='%.1f' text-anchor='middle'>",
               (x.from + x.to) / 2, height - 8)
     << escape(chart.x) << "</text>\n"
     << format("<text transform='rotate(-90)' x='%.1f' y='14' "
               "text-anchor='middle'>",
               -(y.from + y.to) / 2)
     << escape(chart.y) << "</text>\n";
}

std::string twist::report::drawChart(const Chart &chart) {
  Scale x, y;
  y.logarithmic = chart.logY;
  x.from = kLeft, x.to = kWidth - kRight;
  // As high as the legend needs.
  double height =
      std::max(kLeastHeight, kTop + kLegendLine * double(chart.series.size()));
  y.from = height - kBottom, y.to = kTop;
  auto each = [&](const Series &series, auto fn) {
    for (auto [px, py] : series.points)
      if (x.takes(px) && y.takes(py))
        fn(px, py);
  };
  for (const Series &series : chart.series)
    each(series, [&](double px, double py) {
      x.add(px);
      y.add(py);
    });
  x.close(chart.joined ? 0 : kMargin);
  y.close(kMargin);

  std::string text;
  raw_string_ostream os(text);
  os << format("<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %.0f "
               "%.0f' width='%.0f' height='%.0f' font-family='sans-serif' "
               "font-size='12'>\n",
               kWidth, height, kWidth, height)
     << "<style>.grid{stroke:#ddd}.title{font-weight:bold;font-size:14px}"
        "</style>\n";
  drawAxes(os, chart, x, y, height);
  double legend = kTop + 6;
  for (size_t i = 0; i < chart.series.size(); ++i) {
    const Series &series = chart.series[i];
    const char *colour = kColours[i % std::size(kColours)];
    auto dot = [&](double px, double py, const char *radius) {
      os << "<circle r='" << radius
         << format("' cx='%.1f' cy='%.1f' fill='", px, py) << colour
         << "' fill-opacity='0.7'/>";
    };
    if (chart.joined) {
      std::string line =
          std::string("fill='none' stroke-width='1.6' stroke='") + colour +
          "' stroke-dasharray='" + kDashes[i % std::size(kDashes)] + "'";
      os << "<polyline " << line << " points='";
      each(series, [&](double px, double py) {
        os << format("%.1f,%.1f ", x.at(px), y.at(py));
      });
      os << "'/>\n"
         << format("<path d='M%.1f %.1fh22' ", x.to + 10, legend - 4) << line
         << "/>";
    } else {
      dot(x.to + 26, legend - 4, "4");
    }
    if (!chart.joined || series.points.size() <= kFewPoints)
      each(series, [&](double px, double py) {
        dot(x.at(px), y.at(py), chart.joined ? "2.5" : "4");
      });
    os << format("<text x='%.1f' y='%.1f' fill='", x.to + 38, legend) << colour
       << "'>" << escape(series.name) << "</text>\n";
    legend += kLegendLine;
  }
  os << "</svg>\n";
  return text;
}

//===----------------------------------------------------------------------===//
// Pages
//===----------------------------------------------------------------------===//

void Page::heading(StringRef text) {
  body += "<h2>" + escape(text) + "</h2>\n";
}

void Page::paragraph(StringRef text) {
  body += "<p>" + escape(text) + "</p>\n";
}

void Page::verbatim(StringRef text) {
  body += "<pre>" + escape(text) + "</pre>\n";
}

void Page::table(ArrayRef<std::string> header,
                 ArrayRef<std::vector<std::string>> rows) {
  body += "<div class='wide'><table><tr>";
  for (const std::string &cell : header)
    body += "<th>" + escape(cell) + "</th>";
  body += "</tr>\n";
  for (const std::vector<std::string> &row : rows) {
    body += "<tr>";
    for (const std::string &cell : row)
      body += "<td>" + escape(cell) + "</td>";
    body += "</tr>\n";
  }
  body += "</table></div>\n";
}

std::string Page::str() const {
  return "<!doctype html>\n<html lang='en'><head><meta "
         "charset='utf-8'><title>" +
         escape(title) +
         "</title>\n<style>body{font:15px sans-serif;max-width:60em;margin:2em "
         "auto;padding:0 1em}table{border-collapse:collapse}td,th{padding:.2em "
         ".8em;border-bottom:1px solid #ddd;text-align:right}td:first-child,"
         "th:first-child{text-align:left}pre{background:#f6f6f6;padding:.6em;"
         "overflow-x:auto}.wide{overflow-x:auto}td{white-space:nowrap}svg{"
         "display:block;max-width:100%;margin:1em 0}</style></"
         "head><body>\n<h1>" +
         escape(title) + "</h1>\n" + body + "</body></html>\n";
}
