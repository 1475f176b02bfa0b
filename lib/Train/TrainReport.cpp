//===- TrainReport.cpp - A training as one HTML page ----------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Train/TrainReport.h"

#include "twist/Report/Report.h"
#include "twist/Train/Evaluate.h"

#include <map>

using namespace llvm;
using namespace twist::report;
using namespace twist::train;

static Chart lossChart(ArrayRef<json::Object> metrics) {
  Chart chart{"Loss of each worker, mean over its steps", "round", "nats", {}};
  for (const json::Object &line : metrics) {
    const json::Array *losses = line.getArray("losses");
    double round = double(line.getInteger("round").value_or(0)) + 1;
    for (size_t worker = 0; losses && worker < losses->size(); ++worker) {
      if (worker == chart.series.size())
        chart.series.push_back({"worker " + std::to_string(worker), {}});
      chart.series[worker].points.emplace_back(
          round, (*losses)[worker].getAsNumber().value_or(0));
    }
  }
  return chart;
}

static Chart lineChart(const char *title, const char *y, const char *key,
                       ArrayRef<json::Object> metrics) {
  Chart chart{title, "round", y, {{y, {}}}};
  for (const json::Object &line : metrics)
    chart.series[0].points.emplace_back(
        double(line.getInteger("round").value_or(0)) + 1,
        line.getNumber(key).value_or(0));
  return chart;
}

static void addTickets(Page &page, ArrayRef<JudgedModel> judged,
                       const std::string &measure) {
  page.heading("Tickets");
  std::map<double, std::vector<double>> byKappa;
  Chart size{"Quality against size", "parameters", measure, {}};
  Chart time{"Quality against time", "milliseconds a batch", measure, {}};
  size.joined = time.joined = false;
  std::map<double, size_t> series;
  for (const JudgedModel &model : judged) {
    byKappa[model.kappa].push_back(model.value);
    auto [at, isNew] = series.try_emplace(model.kappa, size.series.size());
    if (isNew)
      for (Chart *chart : {&size, &time})
        chart->series.push_back({"kappa " + number(model.kappa), {}});
    size.series[at->second].points.emplace_back(double(model.parameters),
                                                model.value);
    if (model.seconds > 0)
      time.series[at->second].points.emplace_back(model.seconds * 1e3,
                                                  model.value);
  }
  std::vector<std::vector<std::string>> rows;
  for (auto at = byKappa.rbegin(); at != byKappa.rend(); ++at) {
    Spread spread = spreadOf(at->second);
    rows.push_back({"kappa " + number(at->first),
                    std::to_string(at->second.size()), number(spread.mean),
                    number(spread.deviation / spread.mean),
                    number(spread.least), number(spread.most)});
  }
  page.table({"", "tickets", measure + ", mean", "sd/mean", "best", "worst"},
             rows);
  page.chart(size);
  page.chart(time);
  rows.clear();
  for (const JudgedModel &model : judged)
    rows.push_back({model.name, number(model.kappa),
                    std::to_string(model.parameters),
                    number(model.seconds * 1e3), number(model.value)});
  page.table({"model", "kappa", "parameters", "ms a batch", measure}, rows);
}

std::string twist::train::trainingReport(StringRef plan,
                                         ArrayRef<json::Object> metrics,
                                         ArrayRef<JudgedModel> judged,
                                         StringRef measure) {
  Page page("TwIST training");
  page.verbatim(plan);
  page.heading("Rounds");
  page.chart(lossChart(metrics));
  page.chart(lineChart("Learning rate at the end of a round", "rate",
                       "learning_rate", metrics));
  page.chart(lineChart("Seconds a round", "seconds", "seconds", metrics));
  if (!judged.empty())
    addTickets(page, judged, measure.str());
  return page.str();
}
