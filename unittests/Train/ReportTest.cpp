//===- ReportTest.cpp - Pages and charts ----------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Report/Report.h"

#include "gtest/gtest.h"

#include <cmath>

using namespace twist::report;

static bool has(const std::string &text, const char *part) {
  return text.find(part) != std::string::npos;
}

TEST(Report, PagesEscapeWhatTheyShow) {
  Page page("a < b");
  page.paragraph("x & \"y\"");
  page.verbatim("1 > 0");
  page.table({"name", "value"}, {{"<td>", number(0.1)}});
  std::string html = page.str();
  EXPECT_TRUE(has(html, "<title>a &lt; b</title>"));
  EXPECT_TRUE(has(html, "<p>x &amp; &quot;y&quot;</p>"));
  EXPECT_TRUE(has(html, "<pre>1 &gt; 0</pre>"));
  EXPECT_TRUE(has(html, "<td>&lt;td&gt;</td><td>0.1</td>"));
  // One file: nothing is loaded from elsewhere.
  EXPECT_FALSE(has(html, "src="));
  EXPECT_FALSE(has(html, "<script"));
  EXPECT_FALSE(has(html, "<link"));
}

TEST(Report, ChartsScaleToTheirPoints) {
  Chart chart{"loss", "round", "nats", {{"a", {{0, 1}, {10, 3}}}}};
  std::string svg = drawChart(chart);
  EXPECT_TRUE(has(svg, "points='70.0,267.2 560.0,40.8 '")) << svg;
  chart.joined = false;
  EXPECT_TRUE(has(drawChart(chart), "cx='83.9' cy='267.2'"));
  chart.logY = true;
  chart.series[0].points = {{0, 1}, {5, 10}, {10, 100}, {3, 0}, {4, NAN}};
  svg = drawChart(chart);
  EXPECT_TRUE(has(svg, "cx='315.0' cy='154.0'")) << svg;
  EXPECT_FALSE(has(svg, "nan"));
}

TEST(Report, NoPointsOrOneAreNoError) {
  Chart chart{"none", "x", "y", {}};
  EXPECT_FALSE(has(drawChart(chart), "nan"));
  chart.series = {{"one", {{2, 2}}}};
  EXPECT_FALSE(has(drawChart(chart), "nan"));
  EXPECT_FALSE(has(drawChart(chart), "inf"));
}
