//===- Train.cpp - Training through decisions -----------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/DFL/Train.h"

#include "twist/DFL/Metrics.h"
#include "twist/DFL/Random.h"

#include "llvm/Support/FormatVariadic.h"

#include <algorithm>
#include <cmath>
#include <numeric>

using namespace llvm;
using namespace twist::dfl;

Expected<Instances> twist::dfl::solveInstances(const Problem &problem,
                                               Dataset data,
                                               Parallel &parallel) {
  if (data.items != problem.size())
    return createStringError(formatv("instances have {0} costs, a {1} has {2}",
                                     data.items, problem.describe(),
                                     problem.size())
                                 .str());
  Instances instances{std::move(data), {}, {}};
  instances.gains = instances.data.c;
  for (double &gain : instances.gains)
    gain *= problem.sign();
  instances.optima.resize(instances.gains.size());
  if (Error error = renumber(
          maximiseAll(problem, instances.gains, instances.optima, parallel),
          [&](int64_t i) { return instances.data.number(i); }))
    return error;
  return instances;
}

Pool twist::dfl::initialPool(const Instances &training) {
  Pool pool(training.data.items);
  pool.add(training.optima);
  return pool;
}

namespace {
/// One run of train().
class Trainer {
public:
  Trainer(const Problem &problem, Predictor &predictor, const Method &method,
          const Instances &training, const TrainOptions &options,
          Parallel &parallel)
      : problem(problem), predictor(predictor), method(method),
        training(training), options(options), parallel(parallel),
        pool(initialPool(training)) {}

  /// Mean loss over an epoch's instances.
  Expected<double> epoch(int64_t number);
  const Pool &solutions() const { return pool; }

private:
  /// The batch's instances at the features to train at.
  Expected<Instances> gather(ArrayRef<int64_t> order);
  Error oneBatch(const Instances &batch, std::vector<double> &losses);
  Error grow(const std::vector<double> &predicted);

  const Problem &problem;
  Predictor &predictor;
  const Method &method;
  const Instances &training;
  const TrainOptions &options;
  Parallel &parallel;
  Pool pool;
  uint32_t step = 0;
};
} // namespace

Expected<Instances> Trainer::gather(ArrayRef<int64_t> order) {
  Instances batch;
  batch.data = training.data.take(order);
  int64_t n = problem.size();
  for (int64_t i : order) {
    auto copy = [&](const std::vector<double> &from, std::vector<double> &to) {
      to.insert(to.end(), from.begin() + i * n, from.begin() + (i + 1) * n);
    };
    copy(training.gains, batch.gains);
    copy(training.optima, batch.optima);
  }
  if (!options.adversary)
    return batch;
  AttackOptions adversary = *options.adversary;
  adversary.seed += step;
  Victim victim{problem, predictor, method, pool, double(order.size())};
  auto attacked = attack(victim, batch, adversary, parallel);
  if (!attacked)
    return attacked.takeError();
  auto kept = int64_t(
      std::llround((1 - options.adversaryFraction) * double(order.size())));
  int64_t clean = kept * batch.data.rows * batch.data.features;
  std::copy(attacked->x.begin() + clean, attacked->x.end(),
            batch.data.x.begin() + clean);
  return batch;
}

/// Adds the optima of predicted gains to the pool, now and then.
Error Trainer::grow(const std::vector<double> &predicted) {
  Draws draws(options.seed, step, 0, DrawGrowth);
  if (!method.needsPool() || draws.uniform() >= options.growth)
    return Error::success();
  std::vector<double> decisions(predicted.size());
  if (Error error = maximiseAll(problem, predicted, decisions, parallel))
    return error;
  pool.add(decisions);
  return Error::success();
}

Error Trainer::oneBatch(const Instances &batch, std::vector<double> &losses) {
  int64_t count = batch.data.instances, rows = count * batch.data.rows;
  std::vector<double> predicted(batch.gains.size()),
      gradient(batch.gains.size());
  if (Error error =
          predictor.forward(rows, batch.data.x.data(), predicted.data()))
    return error;
  double sign = problem.sign();
  for (double &value : predicted)
    value *= sign;
  if (Error error = grow(predicted))
    return error;
  MethodBatch at{count,
                 double(count),
                 predicted.data(),
                 batch.gains.data(),
                 batch.optima.data(),
                 options.seed,
                 step,
                 0};
  size_t before = losses.size();
  losses.resize(before + size_t(count));
  if (Error error =
          renumber(differentiateAll(method, problem, pool, at, gradient.data(),
                                    losses.data() + before, parallel),
                   [&](int64_t i) { return batch.data.number(i); }))
    return error;
  for (double &value : gradient)
    value *= sign;
  predictor.clearGradients();
  if (Error error = predictor.backward(rows, batch.data.x.data(),
                                       gradient.data(), nullptr))
    return error;
  ++step;
  return predictor.update(options.learningRate);
}

Expected<double> Trainer::epoch(int64_t number) {
  int64_t instances = training.data.instances;
  std::vector<int64_t> order(instances);
  std::iota(order.begin(), order.end(), 0);
  if (options.shuffle) {
    twist::PhiloxStream stream(options.seed, uint32_t(number), 1, DrawShuffle);
    order = shuffledPrefix(stream, instances, instances);
  }
  std::vector<double> losses;
  for (int64_t begin = 0; begin < instances; begin += options.batch) {
    int64_t count = std::min(options.batch, instances - begin);
    auto batch = gather(ArrayRef(order).slice(begin, count));
    if (!batch)
      return batch.takeError();
    if (Error error = oneBatch(*batch, losses))
      return error;
  }
  return std::accumulate(losses.begin(), losses.end(), 0.0) /
         double(losses.size());
}

static Error report(const Problem &problem, Predictor &predictor,
                    const Instances &training, const Instances *validation,
                    EpochResult result, Parallel &parallel,
                    const EpochCallback &callback) {
  if (!callback)
    return Error::success();
  auto judged = judge(problem, predictor, training, training.data.x, parallel);
  if (!judged)
    return judged.takeError();
  result.trainRegret = judged->meanRelative();
  if (validation) {
    judged =
        judge(problem, predictor, *validation, validation->data.x, parallel);
    if (!judged)
      return judged.takeError();
    result.validationRegret = judged->meanRelative();
    result.validationError = judged->meanError();
  }
  return callback(result);
}

Error twist::dfl::train(const Problem &problem, Predictor &predictor,
                        const Method &method, const Instances &training,
                        const Instances *validation,
                        const TrainOptions &options, Parallel &parallel,
                        const EpochCallback &callback) {
  if (options.epochs < 0 || options.batch < 1)
    return createStringError("epochs are at least 0, and a batch has at least "
                             "one instance");
  if (!(options.learningRate > 0) || !std::isfinite(options.learningRate))
    return createStringError("the learning rate is positive");
  const Dataset &data = training.data;
  if (predictor.features() != data.features ||
      predictor.outputs() != data.outputs())
    return createStringError(
        formatv("the model takes {0} features and gives {1} costs, the data "
                "have {2} features and {3} costs a row",
                predictor.features(), predictor.outputs(), data.features,
                data.outputs())
            .str());
  if (options.adversary)
    if (Error error = checkAttack(*options.adversary, data.features))
      return error;
  Trainer trainer(problem, predictor, method, training, options, parallel);
  for (int64_t epoch = 0; epoch <= options.epochs; ++epoch) {
    EpochResult result;
    result.epoch = epoch;
    if (epoch) {
      auto loss = trainer.epoch(epoch);
      if (!loss)
        return createStringError(formatv("epoch {0}: ", epoch).str() +
                                 toString(loss.takeError()));
      result.loss = *loss;
    }
    result.pool = &trainer.solutions();
    if (Error error = report(problem, predictor, training, validation, result,
                             parallel, callback))
      return error;
  }
  return Error::success();
}
