//===- Report.cpp - What a sweep shows ------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/DFL/Report.h"

#include "Records.h"

#include "twist/DFL/Metrics.h"
#include "twist/DFL/Problem.h"
#include "twist/Report/Report.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"

#include <cmath>
#include <functional>

using namespace llvm;
using namespace twist;
using namespace twist::dfl;

namespace {
using Row = std::vector<std::string>;

std::string percent(double value) {
  std::string text;
  raw_string_ostream(text) << format("%.2f", 100 * value);
  return text;
}

std::string fixed(double value) {
  std::string text;
  raw_string_ostream(text) << format("%.3f", value);
  return text;
}

/// Mean of some numbers and its standard error.
struct Average {
  double mean = std::nan(""), error = 0;
};
Average average(ArrayRef<double> values) {
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
std::string withError(const Average &value) {
  return percent(value.mean) + " ± " + percent(value.error);
}

/// Builds the page and the files beside.
class Builder {
public:
  explicit Builder(const Records &records)
      : records(records), page("Decisions under attack") {}
  std::vector<ReportFile> build();

private:
  /// Values of `get` over the models of a task and method, at their last point.
  std::vector<double>
  collect(StringRef task, StringRef method,
          function_ref<std::optional<double>(const ModelRecord &)> get) const;
  static const AttackRecord *find(const PointRecord &point, StringRef attack,
                                  double eps);
  std::optional<double> attacked(const ModelRecord &model, StringRef attack,
                                 double eps) const;
  /// The largest fooling regret of a point at the focus, noise apart.
  std::optional<double> worst(const PointRecord &point) const;

  void summary(const std::string &task);
  void masking(const std::string &task);
  void sizes(const std::string &task);
  void distributions(const std::string &task);
  void transfers(const std::string &task);
  void curves(const std::string &task);
  void hypothesis();
  /// A model whose robustness is not that of its quality.
  struct Violation {
    const ModelRecord *model;
    bool good;
    const char *kind() const {
      return good ? "good but weak" : "bad but strong";
    }
  };
  std::vector<Violation> findViolations() const;
  void violations(ArrayRef<Violation> found);
  void targeted(ArrayRef<Violation> found);
  void tables();

  void chart(const std::string &name, const report::Chart &chart) {
    page.chart(chart);
    files.push_back({name + ".svg", report::drawChart(chart)});
  }
  /// A table on the page and as a file.
  void table(const std::string &name, const Row &header,
             const std::vector<Row> &rows, bool onPage = true);

  const Records &records;
  report::Page page;
  std::vector<ReportFile> files;
};

/// Quoted where it has to be.
std::string csvCell(const std::string &cell) {
  if (cell.find_first_of(",\"\n") == std::string::npos)
    return cell;
  std::string quoted = "\"";
  for (char c : cell)
    quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

/// Of file names: letters, digits and dashes.
std::string slug(StringRef text) {
  std::string result;
  for (char c : text)
    result += isAlnum(c) || c == '.' ? c : '-';
  return result;
}
} // namespace

void Builder::table(const std::string &name, const Row &header,
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

const AttackRecord *Builder::find(const PointRecord &point, StringRef attack,
                                  double eps) {
  for (const AttackRecord &record : point.attacks)
    if (record.attack == attack && record.eps == eps)
      return &record;
  return nullptr;
}

std::optional<double> Builder::attacked(const ModelRecord &model,
                                        StringRef attack, double eps) const {
  const AttackRecord *record = find(model.points.back(), attack, eps);
  return record ? std::optional(record->metrics.relative) : std::nullopt;
}

std::optional<double> Builder::worst(const PointRecord &point) const {
  std::optional<double> most;
  for (const AttackRecord &record : point.attacks)
    if (record.eps == records.focus &&
        !StringRef(record.attack).starts_with("random"))
      most =
          std::max(most.value_or(record.foolingRegret), record.foolingRegret);
  return most;
}

//===----------------------------------------------------------------------===//
// A task's parts
//===----------------------------------------------------------------------===//

void Builder::summary(const std::string &task) {
  page.heading("Task " + task + ": relative regret in percent");
  page.paragraph("Mean over seeds and its standard error; attacks of size " +
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
  table("summary-" + slug(task), header, rows);
}

void Builder::masking(const std::string &task) {
  page.paragraph(
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
                             find(model.points.back(), attack, records.focus);
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
  table("zero-gradients-" + slug(task), header, rows);
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
    this->chart("eps-" + slug(task + "-" + attack), chart);
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
    this->chart("distribution-" + slug(task + "-" + name), chart);
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
    page.paragraph("Attack " + attack +
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
    table("transfer-" + slug(task + "-" + attack), header, rows);
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
  this->chart("training-" + slug(task), chart);
}

//===----------------------------------------------------------------------===//
// All tasks together
//===----------------------------------------------------------------------===//

/// Correlations of robustness with regret, error and their interaction.
static Row correlationRow(const std::string &name, ArrayRef<double> robust,
                          ArrayRef<double> regret, ArrayRef<double> error) {
  auto cell = [&](ArrayRef<double> with) {
    Correlation c = bootstrapCorrelation(robust, with, 1000, 0);
    return fixed(c.value) + " [" + fixed(c.low) + "; " + fixed(c.high) + "]";
  };
  return {name, std::to_string(robust.size()), cell(regret), cell(error),
          cell(interaction(regret, error))};
}

/// Robustness of models at all their points against how good they are.
void Builder::hypothesis() {
  page.heading("Does robustness go with quality?");
  page.paragraph(
      "Robustness: minus the largest growth of relative regret under the "
      "sweep's attacks of size " +
      printed(records.focus) +
      " (noise apart). Models: methods x seeds x lengths of training. "
      "Spearman's "
      "rank correlation with regret, with the error of predictions, and with "
      "the product of both ranks' distances from their middles (interaction); "
      "in brackets 95 % of 1000 bootstrap draws.");
  std::vector<Row> rows;
  std::vector<double> allRobust, allRegret, allError; // ranks within tasks
  report::Chart chart{
      "Models by regret, error and robustness",
      "error of predictions over its task's median",
      "clean relative regret, %",
      {{"least robust third", {}}, {"middle", {}}, {"most robust third", {}}},
      /*joined=*/false};
  for (const std::string &task : records.tasks) {
    std::vector<double> robust, regret, error;
    for (const ModelRecord &model : records.models)
      for (const PointRecord &point : model.points)
        if (auto loss = worst(point); model.task == task && loss) {
          robust.push_back(-*loss);
          regret.push_back(point.clean.relative);
          error.push_back(point.clean.error);
        }
    if (robust.size() < 3)
      continue;
    rows.push_back(correlationRow(task, robust, regret, error));
    for (auto [values, all] : {std::pair(&robust, &allRobust),
                               {&regret, &allRegret},
                               {&error, &allError}})
      for (double rank : ranks(*values))
        all->push_back(rank / double(values->size()));
    std::vector<double> sorted = error, rank = ranks(robust);
    llvm::sort(sorted);
    double median = sorted[sorted.size() / 2];
    for (size_t i = 0; i < robust.size(); ++i)
      chart
          .series[std::min<size_t>(2,
                                   size_t(3 * rank[i] / double(robust.size())))]
          .points.push_back({error[i] / median, 100 * regret[i]});
  }
  if (records.tasks.size() > 1)
    rows.push_back(correlationRow("all, by rank within tasks", allRobust,
                                  allRegret, allError));
  table("hypothesis",
        {"task", "models", "with regret", "with error", "with interaction"},
        rows);
  this->chart("quality-and-robustness", chart);
}

/// Good models that are not robust, and bad ones that are.
std::vector<Builder::Violation> Builder::findViolations() const {
  std::vector<Violation> found;
  for (const std::string &task : records.tasks) {
    std::vector<const ModelRecord *> models;
    std::vector<double> robust, regret, error;
    for (const ModelRecord &model : records.models)
      if (auto loss = worst(model.points.back()); model.task == task && loss) {
        models.push_back(&model);
        robust.push_back(-*loss);
        regret.push_back(model.points.back().clean.relative);
        error.push_back(model.points.back().clean.error);
      }
    double n = double(models.size());
    std::vector<double> r = ranks(robust), q = ranks(regret), e = ranks(error);
    for (size_t i = 0; i < models.size(); ++i) {
      bool good = q[i] < n / 2 && e[i] < n / 2,
           bad = q[i] >= n / 2 && e[i] >= n / 2;
      if ((good && r[i] < n / 3) || (bad && r[i] >= 2 * n / 3))
        found.push_back({models[i], good});
    }
  }
  return found;
}

void Builder::violations(ArrayRef<Violation> found) {
  page.heading("Models that violate it");
  page.paragraph(
      "Better than the median of their task in regret and in error, "
      "yet among its least robust third; or worse in both, yet among "
      "its most robust third. Growth of regret under the strongest "
      "attack at each length of training, %.");
  std::vector<Row> rows;
  for (const Violation &violation : found) {
    std::string growth;
    for (const PointRecord &point : violation.model->points)
      growth += (growth.empty() ? "" : "; ") + std::to_string(point.epochs) +
                ": " + percent(worst(point).value_or(0));
    const Metrics &clean = violation.model->points.back().clean;
    rows.push_back({violation.model->name(), violation.kind(),
                    percent(clean.relative), report::number(clean.error),
                    growth});
  }
  table("violations", {"model", "how", "regret %", "error", "growth by epochs"},
        rows);
}

/// What attacks towards a given decision do to these models as they are
/// trained, beside all others.
void Builder::targeted(ArrayRef<Violation> found) {
  page.heading("Targeted attacks on them as they are trained");
  Row attacks;
  for (const std::string &attack : records.attacks)
    if (StringRef(attack).ends_with("/targeted"))
      attacks.push_back(attack);
  if (attacks.empty()) {
    page.paragraph("No attack of this sweep has a target.");
    return;
  }
  page.paragraph(
      "An attack with a target wants the decision of the next instance. Growth "
      "of regret by it, size " +
      printed(records.focus) + ", %, after so many epochs.");
  for (const std::string &attack : attacks) {
    report::Chart chart{
        "Attack " + attack, "epochs", "growth of regret, %", {}};
    std::map<std::string, std::map<int64_t, std::vector<double>>> groups;
    std::vector<Row> rows;
    for (const ModelRecord &model : records.models) {
      const auto *violation = find_if(
          found, [&](const Violation &one) { return one.model == &model; });
      bool violates = violation != found.end();
      for (const PointRecord &point : model.points) {
        const AttackRecord *record = find(point, attack, records.focus);
        if (!record)
          continue;
        groups[violates ? violation->kind() : "the others"][point.epochs]
            .push_back(record->foolingRegret);
        if (violates)
          rows.push_back({model.name(), std::to_string(point.epochs),
                          percent(point.clean.relative),
                          percent(record->metrics.relative),
                          percent(record->foolingRegret),
                          report::number(record->foolingError)});
      }
    }
    for (const auto &[name, at] : groups) {
      report::Series series{name + ", mean", {}};
      for (const auto &[epochs, values] : at)
        series.points.push_back({double(epochs), 100 * average(values).mean});
      chart.series.push_back(std::move(series));
    }
    this->chart("targeted-" + slug(attack), chart);
    table("targeted-" + slug(attack),
          {"model", "epochs", "regret %", "attacked %", "growth %",
           "moved prediction"},
          rows);
  }
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
  table("attacks",
        {"task", "method", "seed", "epochs", "attack", "eps", "relative_regret",
         "regret_ratio", "regret", "error", "fooling_error", "fooling_regret",
         "moved_inf", "moved_2", "zero_gradients", "blind_instances"},
        attacks, /*onPage=*/false);
  table("curves",
        {"task", "method", "seed", "epoch", "loss", "train_regret",
         "validation_regret", "validation_error"},
        curves, /*onPage=*/false);
}

std::vector<ReportFile> Builder::build() {
  page.paragraph(std::to_string(records.models.size()) +
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
  if (!records.attacks.empty()) {
    hypothesis();
    std::vector<Violation> found = findViolations();
    violations(found);
    targeted(found);
  }
  tables();
  files.insert(files.begin(), {"report.html", page.str()});
  return std::move(files);
}

Expected<std::vector<ReportFile>> twist::dfl::makeReport(StringRef run) {
  auto records = readRecords(run);
  if (!records)
    return records.takeError();
  return Builder(*records).build();
}
