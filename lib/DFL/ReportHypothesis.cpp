//===- ReportHypothesis.cpp - Does robustness go with quality? ------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "ReportPage.h"

#include "twist/DFL/Metrics.h"
#include "twist/DFL/Problem.h"

#include "llvm/ADT/STLExtras.h"

using namespace llvm;
using namespace twist;
using namespace twist::dfl;

namespace {
/// A model whose robustness is not that of its quality.
struct Violation {
  const ModelRecord *model;
  bool good;
  const char *kind() const { return good ? "good but weak" : "bad but strong"; }
};

class Hypothesis {
public:
  Hypothesis(const Records &records, ReportPage &out)
      : records(records), out(out) {}

  void correlations();
  std::vector<Violation> findViolations() const;
  void violations(ArrayRef<Violation> found);
  void targeted(ArrayRef<Violation> found);

private:
  /// The largest fooling regret of a point at the focus, noise apart.
  std::optional<double> worst(const PointRecord &point) const;

  const Records &records;
  ReportPage &out;
};
} // namespace

std::optional<double> Hypothesis::worst(const PointRecord &point) const {
  std::optional<double> most;
  for (const AttackRecord &record : point.attacks)
    if (record.eps == records.focus &&
        !StringRef(record.attack).starts_with("random"))
      most =
          std::max(most.value_or(record.foolingRegret), record.foolingRegret);
  return most;
}

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
void Hypothesis::correlations() {
  out.page.heading("Does robustness go with quality?");
  out.page.paragraph(
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
  out.table("hypothesis",
            {"task", "models", "with regret", "with error", "with interaction"},
            rows);
  out.chart("quality-and-robustness", chart);
}

/// Good models that are not robust, and bad ones that are.
std::vector<Violation> Hypothesis::findViolations() const {
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

void Hypothesis::violations(ArrayRef<Violation> found) {
  out.page.heading("Models that violate it");
  out.page.paragraph(
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
  out.table("violations",
            {"model", "how", "regret %", "error", "growth by epochs"}, rows);
}

/// What attacks towards a given decision do to these models as they are
/// trained, beside all others.
void Hypothesis::targeted(ArrayRef<Violation> found) {
  out.page.heading("Targeted attacks on them as they are trained");
  Row attacks;
  for (const std::string &attack : records.attacks)
    if (StringRef(attack).ends_with("/targeted"))
      attacks.push_back(attack);
  if (attacks.empty()) {
    out.page.paragraph("No attack of this sweep has a target.");
    return;
  }
  out.page.paragraph(
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
        const AttackRecord *record = point.find(attack, records.focus);
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
    out.chart("targeted-" + slug(attack), chart);
    out.table("targeted-" + slug(attack),
              {"model", "epochs", "regret %", "attacked %", "growth %",
               "moved prediction"},
              rows);
  }
}

void twist::dfl::addHypothesis(const Records &records, ReportPage &out) {
  Hypothesis hypothesis(records, out);
  hypothesis.correlations();
  std::vector<Violation> found = hypothesis.findViolations();
  hypothesis.violations(found);
  hypothesis.targeted(found);
}
