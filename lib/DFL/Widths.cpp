//===- Widths.cpp - Models of what widths lose ----------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/DFL/Widths.h"

#include "twist/Prune/Knapsack.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FormatVariadic.h"

#include <cmath>

using namespace llvm;
using namespace twist;
using namespace twist::dfl;

namespace {
class WidthChoice final : public Problem {
public:
  WidthChoice(std::vector<std::vector<int64_t>> costs, int64_t budget,
              int64_t size)
      : Problem(Sense::Minimise, size), costs(std::move(costs)),
        budget(budget) {}

  std::string describe() const override {
    return formatv("choice of {0} widths of {1} axes", size(), costs.size())
        .str();
  }

  Error maximise(int64_t count, const double *gains,
                 double *decisions) const override {
    std::fill_n(decisions, count * size(), 0.0);
    for (int64_t i = 0; i < count; ++i) {
      std::vector<std::vector<prune::Choice>> rows;
      const double *gain = gains + i * size();
      for (const std::vector<int64_t> &axis : costs) {
        std::vector<prune::Choice> &row = rows.emplace_back();
        for (int64_t cost : axis)
          row.push_back({cost, -*gain++});
      }
      auto found = prune::solveKnapsack(rows, budget, size_t(1) << 20);
      if (!found || !found->isExact)
        return make_error<InstanceError>(
            i, " of a " + describe() + " has no solution that is known best");
      double *decision = decisions + i * size();
      for (auto [row, pick] : zip_equal(rows, found->picks)) {
        decision[pick] = 1;
        decision += row.size();
      }
    }
    return Error::success();
  }

private:
  std::vector<std::vector<int64_t>> costs;
  int64_t budget;
};
} // namespace

Expected<std::unique_ptr<Problem>>
twist::dfl::makeWidthChoice(std::vector<std::vector<int64_t>> costs,
                            int64_t budget) {
  int64_t size = 0, least = 0;
  for (const std::vector<int64_t> &axis : costs) {
    if (axis.empty())
      return createStringError("an axis has no widths to choose from");
    size += int64_t(axis.size());
    least += *min_element(axis);
  }
  if (size == 0 || least > budget)
    return createStringError(
        formatv("the widths cost at least {0}, the budget is {1}", least,
                budget)
            .str());
  return std::make_unique<WidthChoice>(std::move(costs), budget, size);
}

Expected<WidthTask> twist::dfl::makeWidthTask(const prune::WidthValues &values,
                                              Parallel &parallel) {
  WidthTask task;
  task.name =
      formatv("{0}, kappa {1}", values.model, printed(values.kappa)).str();
  std::vector<std::vector<int64_t>> costs;
  Dataset data;
  data.instances = 1;
  data.features = int64_t(values.features.size());
  double whole = values.uniform - values.dense;
  std::vector<double> even; ///< the uniform ticket's decision
  for (const prune::WidthAxis &axis : values.axes) {
    costs.push_back(axis.costs);
    for (int64_t width : axis.widths)
      even.push_back(width == axis.uniform);
    for (auto [increase, row] : zip_equal(axis.increases, axis.features)) {
      data.c.push_back(increase / whole);
      append_range(data.x, row);
    }
  }
  data.items = data.rows = int64_t(data.c.size());
  auto problem = makeWidthChoice(std::move(costs), values.allowed);
  if (!problem)
    return createStringError(task.name + ": " + toString(problem.takeError()));
  task.problem = std::move(*problem);
  auto solved = solveInstances(*task.problem, std::move(data), parallel);
  if (!solved)
    return solved.takeError();
  task.instance = std::move(*solved);
  const double *losses = task.instance.data.c.data();
  task.evenRegret =
      dot(losses, even.data(), task.problem->size()) -
      dot(losses, task.instance.optima.data(), task.problem->size());
  return task;
}

static Expected<std::vector<double>> predictGains(const WidthTask &task,
                                                  Predictor &predictor) {
  const Dataset &data = task.instance.data;
  std::vector<double> gains(data.c.size());
  if (Error error = predictor.forward(data.rows, data.x.data(), gains.data()))
    return std::move(error);
  for (double &gain : gains)
    gain *= task.problem->sign();
  return gains;
}

Expected<double> twist::dfl::widthRegret(const WidthTask &task,
                                         Predictor &predictor) {
  auto gains = predictGains(task, predictor);
  if (!gains)
    return gains.takeError();
  std::vector<double> decision(gains->size());
  if (Error error = task.problem->maximise(1, gains->data(), decision.data()))
    return std::move(error);
  int64_t size = task.problem->size();
  const double *losses = task.instance.data.c.data();
  return dot(losses, decision.data(), size) -
         dot(losses, task.instance.optima.data(), size);
}

namespace {
/// What each task differentiates its loss with.
struct Learner {
  const WidthTask *task;
  std::unique_ptr<Method> method;
  Pool pool;
};
} // namespace

/// Adds the gradients of one task; its loss.
static Expected<double> differentiate(const Learner &at, Predictor &predictor,
                                      size_t tasks, uint64_t seed,
                                      uint32_t step, Parallel &parallel) {
  const Instances &instance = at.task->instance;
  auto gains = predictGains(*at.task, predictor);
  if (!gains)
    return gains.takeError();
  std::vector<double> gradient(gains->size());
  double loss = 0;
  MethodBatch batch{1,
                    double(tasks),
                    gains->data(),
                    instance.gains.data(),
                    instance.optima.data(),
                    seed,
                    step,
                    0};
  if (Error error = differentiateAll(*at.method, *at.task->problem, at.pool,
                                     batch, gradient.data(), &loss, parallel))
    return std::move(error);
  for (double &value : gradient)
    value *= at.task->problem->sign();
  if (Error error = predictor.backward(
          instance.data.rows, instance.data.x.data(), gradient.data(), nullptr))
    return std::move(error);
  return loss;
}

Error twist::dfl::trainWidths(ArrayRef<WidthTask> tasks, Predictor &predictor,
                              StringRef method,
                              const MethodParameters &parameters,
                              const TrainOptions &options, Parallel &parallel,
                              function_ref<void(int64_t, double)> callback) {
  if (tasks.empty())
    return createStringError("there are no tasks to train on");
  if (options.epochs < 0 || !(options.learningRate > 0) ||
      !std::isfinite(options.learningRate))
    return createStringError("epochs are at least 0, and the learning rate is "
                             "positive");
  std::vector<Learner> learners;
  for (const WidthTask &task : tasks) {
    if (task.instance.data.features != predictor.features() ||
        predictor.outputs() != 1)
      return createStringError(
          formatv("{0}: widths have {1} features and one loss, the model takes "
                  "{2} and gives {3}",
                  task.name, task.instance.data.features, predictor.features(),
                  predictor.outputs())
              .str());
    auto made = makeMethod(method, parameters, *task.problem);
    if (!made)
      return made.takeError();
    learners.push_back({&task, std::move(*made), initialPool(task.instance)});
  }
  for (int64_t epoch = 1; epoch <= options.epochs; ++epoch) {
    predictor.clearGradients();
    double loss = 0;
    for (const Learner &at : learners) {
      auto found = differentiate(at, predictor, tasks.size(), options.seed,
                                 uint32_t(epoch), parallel);
      if (!found)
        return createStringError(at.task->name + ": " +
                                 toString(found.takeError()));
      loss += *found / double(tasks.size());
    }
    if (Error error = predictor.update(options.learningRate))
      return error;
    callback(epoch, loss);
  }
  return Error::success();
}
