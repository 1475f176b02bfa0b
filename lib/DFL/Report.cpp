//===- Report.cpp - What a sweep shows ------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "ReportPage.h"

#include "twist/DFL/Metrics.h"
#include "twist/DFL/Problem.h"

#include "llvm/ADT/STLExtras.h"

#include <functional>

using namespace llvm;
using namespace twist;
using namespace twist::dfl;

namespace {
std::string withError(const Average &value) {
  return percent(value.mean) + " ± " + percent(value.error);
}

/// Builds the page and the files beside.
class Builder {
public:
  explicit Builder(const Records &records)
      : records(records), out("Decisions under attack") {}
  std::vector<ReportFile> build();

private:
  /// Values of `get` over the models of a task and method, at their last point.
  std::vector<double>
  collect(StringRef task, StringRef method,
          function_ref<std::optional<double>(const ModelRecord &)> get) const;
  std::optional<double> attacked(const ModelRecord &model, StringRef attack,
                                 double eps) const;

  void summary(const std::string &task);
  void masking(const std::string &task);
  void sizes(const std::string &task);
  void distributions(const std::string &task);
  void transfers(const std::string &task);
  void curves(const std::string &task);
  void tables();

  const Records &records;
  ReportPage out;
};
} // namespace

std::vector<double> Builder::collect(
    StringRef task, StringRef method,
    function_ref<std::optional<double>(const ModelRecord &)> get) const {
  std::vector<double> values;
  for (const ModelRecord &model : records.models)
    if (model.task == task && model.method == method)
      if (auto value = get(model))
        values.push_back(*value);
  return values;
}

std::optional<double> Builder::attacked(const ModelRecord &model,
                                        StringRef attack, double eps) const {
  const AttackRecord *record = model.points.back().find(attack, eps);
  return record ? std::optional(record->metrics.relative) : std::nullopt;
}

//===----------------------------------------------------------------------===//
// A task's parts
//===----------------------------------------------------------------------===//

void Builder::summary(const std::string &task) {
  out.page.heading("Task " + task + ": relative regret in percent");
  out.page.paragraph(
      "Mean over seeds and its standard error; attacks of size " +
      printed(records.focus) + ".");
  Row header = {"method", "clean"};
  append_range(header, records.attacks);
  std::vector<Row> rows;
  for (const std::string &method : records.methods) {
    Row row = {method, withError(average(
                           collect(task, method, [](const ModelRecord &model) {
                             return model.points.back().clean.relative;
                           })))};
    for (const std::string &attack : records.attacks)
      row.push_back(withError(
          average(collect(task, method, [&](const ModelRecord &model) {
            return attacked(model, attack, records.focus);
          }))));
    rows.push_back(std::move(row));
  }
  out.table("summary-" + slug(task), header, rows);
}

void Builder::masking(const std::string &task) {
  out.page.paragraph(
      "Fraction of exact zeros in the gradient that an attack "
      "follows, and of instances with nothing else: where it is near "
      "1, what looks robust is only masked.");
  Row header = {"method"};
  append_range(header, records.attacks);
  std::vector<Row> rows;
  for (const std::string &method : records.methods) {
    Row row = {method};
    for (const std::string &attack : records.attacks) {
      auto mean = [&](double AttackRecord::*field) {
        return average(
                   collect(
                       task, method,
                       [&](const ModelRecord &model) -> std::optional<double> {
                         const AttackRecord *record =
                             model.points.back().find(attack, records.focus);
                         return record ? std::optional(record->*field)
                                       : std::nullopt;
                       }))
            .mean;
      };
      row.push_back(fixed(mean(&AttackRecord::zeroGradients)) + " / " +
                    fixed(mean(&AttackRecord::blind)));
    }
    rows.push_back(std::move(row));
  }
  out.table("zero-gradients-" + slug(task), header, rows);
}

void Builder::sizes(const std::string &task) {
  std::vector<double> epsilons;
  for (const AttackRecord &record : records.models[0].points.back().attacks)
    if (!is_contained(epsilons, record.eps))
      epsilons.push_back(record.eps);
  for (const std::string &attack : records.attacks) {
    report::Chart chart{"Task " + task + ", attack " + attack,
                        "size of the attack",
                        "relative regret, %",
                        {}};
    for (const std::string &method : records.methods) {
      report::Series series{method, {}};
      for (double eps : epsilons)
        series.points.push_back(
            {eps,
             100 * average(collect(task, method, [&](const ModelRecord &model) {
                     return attacked(model, attack, eps);
                   })).mean});
      chart.series.push_back(std::move(series));
    }
    out.chart("eps-" + slug(task + "-" + attack), chart);
  }
}

void Builder::distributions(const std::string &task) {
  Row names = {"clean"};
  append_range(names, records.attacks);
  for (const std::string &name : names) {
    report::Chart chart{"Task " + task + ", " + name +
                            ": instances with more regret",
                        "relative regret, %",
                        "fraction of instances",
                        {}};
    for (const std::string &method : records.methods) {
      std::vector<double> values;
      for (const ModelRecord &model : records.models) {
        auto found = model.distributions.find(name);
        if (model.task == task && model.method == method &&
            found != model.distributions.end())
          append_range(values, found->second);
      }
      report::Series series{method, {}};
      auto points = complementaryDistribution(std::move(values));
      size_t stride = 1 + points.size() / 100; // as fine as the eye
      for (size_t i = 0; i < points.size(); i += stride)
        series.points.push_back({100 * points[i].first, points[i].second});
      chart.series.push_back(std::move(series));
    }
    out.chart("distribution-" + slug(task + "-" + name), chart);
  }
}

void Builder::transfers(const std::string &task) {
  std::map<std::string, std::vector<std::vector<double>>> sums;
  Row methods;
  double count = 0;
  for (const TransferRecord &record : records.transfers) {
    if (record.task != task)
      continue;
    ++count;
    methods = record.methods;
    for (const auto &[attack, matrix] : record.matrices) {
      auto &sum = sums[attack];
      sum.resize(matrix.size());
      for (size_t i = 0; i < matrix.size(); ++i) {
        sum[i].resize(matrix[i].size());
        for (size_t j = 0; j < matrix[i].size(); ++j)
          sum[i][j] += matrix[i][j];
      }
    }
  }
  for (const auto &[attack, sum] : sums) {
    out.page.paragraph("Attack " + attack +
                       " made on the row's model, regret of "
                       "the column's, %:");
    Row header = {"made on"};
    append_range(header, methods);
    std::vector<Row> rows;
    for (size_t i = 0; i < sum.size(); ++i) {
      Row row = {methods[i]};
      for (double value : sum[i])
        row.push_back(percent(value / count));
      rows.push_back(std::move(row));
    }
    out.table("transfer-" + slug(task + "-" + attack), header, rows);
  }
}

void Builder::curves(const std::string &task) {
  report::Chart chart{"Task " + task + ": training",
                      "epoch",
                      "relative regret of training instances, %",
                      {}};
  for (const std::string &method : records.methods) {
    std::map<int64_t, std::vector<double>> at;
    for (const ModelRecord &model : records.models)
      if (model.task == task && model.method == method)
        for (const CurveRecord &point : model.curve)
          at[point.epoch].push_back(point.train);
    report::Series series{method, {}};
    for (const auto &[epoch, values] : at)
      series.points.push_back({double(epoch), 100 * average(values).mean});
    chart.series.push_back(std::move(series));
  }
  out.chart("training-" + slug(task), chart);
}

/// All numbers, one line each.
void Builder::tables() {
  std::vector<Row> attacks, curves;
  auto numbers = [](const Metrics &m) {
    return Row{printed(m.relative), printed(m.ratio), printed(m.regret),
               printed(m.error)};
  };
  for (const ModelRecord &model : records.models) {
    Row name = {model.task, model.method, std::to_string(model.seed)};
    for (const PointRecord &point : model.points) {
      auto add = [&](StringRef attack, double eps, const Metrics &metrics,
                     ArrayRef<double> more) {
        Row row = name;
        append_range(
            row, Row{std::to_string(point.epochs), attack.str(), printed(eps)});
        append_range(row, numbers(metrics));
        for (double value : more)
          row.push_back(printed(value));
        attacks.push_back(std::move(row));
      };
      add("clean", 0, point.clean, {0, 0, 0, 0, 0, 0});
      for (const AttackRecord &a : point.attacks)
        add(a.attack, a.eps, a.metrics,
            {a.foolingError, a.foolingRegret, a.movedInf, a.moved2,
             a.zeroGradients, a.blind});
    }
    for (const CurveRecord &at : model.curve) {
      Row row = name;
      append_range(row, Row{std::to_string(at.epoch), printed(at.loss),
                            printed(at.train), printed(at.validation),
                            printed(at.validationError)});
      curves.push_back(std::move(row));
    }
  }
  out.table("attacks",
            {"task", "method", "seed", "epochs", "attack", "eps",
             "relative_regret", "regret_ratio", "regret", "error",
             "fooling_error", "fooling_regret", "moved_inf", "moved_2",
             "zero_gradients", "blind_instances"},
            attacks, /*onPage=*/false);
  out.table("curves",
            {"task", "method", "seed", "epoch", "loss", "train_regret",
             "validation_regret", "validation_error"},
            curves, /*onPage=*/false);
}

std::vector<ReportFile> Builder::build() {
  out.page.paragraph(std::to_string(records.models.size()) +
                     " models; all numbers are in attacks.csv and curves.csv "
                     "beside this page.");
  for (const std::string &task : records.tasks) {
    summary(task);
    if (!records.attacks.empty()) {
      masking(task);
      sizes(task);
    }
    distributions(task);
    transfers(task);
    curves(task);
  }
  if (!records.attacks.empty())
    addHypothesis(records, out);
  tables();
  out.files.insert(out.files.begin(), {"report.html", out.page.str()});
  return std::move(out.files);
}

Expected<std::vector<ReportFile>> twist::dfl::makeReport(StringRef run) {
  auto records = readRecords(run);
  if (!records)
    return records.takeError();
  return Builder(*records).build();
}
