//===- Attack.cpp - Features changed to spoil decisions -------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/DFL/Attack.h"

#include "twist/DFL/Random.h"
#include "twist/DFL/Train.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/FormatVariadic.h"

#include <algorithm>
#include <cmath>

using namespace llvm;
using namespace twist::dfl;

using Vector = std::vector<double>;

//===----------------------------------------------------------------------===//
// Names and checks
//===----------------------------------------------------------------------===//

static constexpr StringLiteral kLosses[] = {"mse", "own", "spo_plus", "not_opt",
                                            "random"};
static constexpr StringLiteral kMethods[] = {"fgsm", "pgd", "apgd", "random"};
static constexpr StringLiteral kNorms[] = {"inf", "2"};

template <typename Enum>
static Expected<Enum> parse(StringRef name, ArrayRef<StringLiteral> names,
                            StringRef what) {
  const auto *found = find(names, name);
  if (found != names.end())
    return Enum(found - names.begin());
  return createStringError("there is no " + what + " '" + name +
                           "'; there are " +
                           join(names.begin(), names.end(), ", "));
}

Expected<AttackLoss> twist::dfl::parseAttackLoss(StringRef name) {
  return parse<AttackLoss>(name, kLosses, "loss of attacks");
}
Expected<AttackMethod> twist::dfl::parseAttackMethod(StringRef name) {
  return parse<AttackMethod>(name, kMethods, "attack");
}
Expected<AttackNorm> twist::dfl::parseAttackNorm(StringRef name) {
  return parse<AttackNorm>(name, kNorms, "norm");
}
StringRef twist::dfl::attackLossName(AttackLoss loss) {
  return kLosses[int(loss)];
}
StringRef twist::dfl::attackMethodName(AttackMethod method) {
  return kMethods[int(method)];
}

Error twist::dfl::checkAttack(const AttackOptions &options, int64_t features) {
  if (!(options.epsilon >= 0) || !std::isfinite(options.epsilon))
    return createStringError(formatv("eps of an attack is at least 0, not {0}",
                                     printed(options.epsilon))
                                 .str());
  if (options.steps < 1 || options.restarts < 1 || options.stepSize < 0)
    return createStringError("an attack has at least one step and one restart, "
                             "and its steps have a size of at least 0");
  auto fits = [&](size_t size) {
    return size == 0 || int64_t(size) == features;
  };
  if (!fits(options.mask.size()) || !fits(options.lower.size()) ||
      !fits(options.upper.size()))
    return createStringError(
        formatv("mask and box of an attack are of other than {0} features",
                features)
            .str());
  for (size_t f = 0; f < std::min(options.lower.size(), options.upper.size());
       ++f)
    if (options.lower[f] > options.upper[f])
      return createStringError(
          formatv("the box of an attack is empty at feature {0}", f).str());
  if (options.loss == AttackLoss::Random &&
      (options.method == AttackMethod::PGD ||
       options.method == AttackMethod::APGD))
    return createStringError("attack '" + attackMethodName(options.method) +
                             "' follows a gradient: it means nothing with loss "
                             "'random'");
  if (options.loss == AttackLoss::Random && options.targeted)
    return createStringError("a targeted attack needs a loss, not 'random'");
  return Error::success();
}

//===----------------------------------------------------------------------===//
// One attack
//===----------------------------------------------------------------------===//

namespace {
class Attacker {
public:
  Attacker(const Victim &victim, const Instances &instances,
           const AttackOptions &options, Parallel &parallel)
      : victim(victim), options(options), parallel(parallel),
        count(instances.data.instances),
        width(instances.data.rows * instances.data.features),
        items(instances.data.items), features(instances.data.features),
        rows(count * instances.data.rows), origin(instances.data.x),
        gains(instances.gains), optima(instances.optima) {
    if (options.targeted) {
      std::rotate(gains.begin(), gains.begin() + items, gains.end());
      std::rotate(optima.begin(), optima.begin() + items, optima.end());
    }
  }

  Error prepare();
  Expected<AttackResult> run();

private:
  /// The ascent direction's gradient at x [count, width] and the objective.
  Error evaluate(const Vector &x, Vector &gradient, Vector &objective);
  /// Feature gradients through the loss of predicted gains.
  Error differentiate(const Vector &x, Vector &gradient, Vector &objective);
  /// x += step · sign(g), or g / |g|_2, per instance.
  void advance(Vector &x, const Vector &gradient, ArrayRef<double> steps) const;
  /// Into the ball around the origin, the mask and the box.
  void project(Vector &x) const;
  Vector start(int64_t restart) const;
  /// Keeps of each instance what has the largest objective.
  void keep(const Vector &x, const Vector &objective);

  Error singleStep(const Vector &from);
  Error projectedGradient(Vector x);
  Error autoGradient(Vector x);

  const Victim &victim;
  const AttackOptions &options;
  Parallel &parallel;
  int64_t count, width, items, features, rows;
  const Vector &origin;
  Vector gains, optima; ///< of the decisions that losses speak of
  std::unique_ptr<Method> made;
  const Method *loss = nullptr; ///< null: random
  std::vector<Vector> sides;    ///< of the loss: labels and pool stay
  Vector best, bestObjective;
  AttackResult result;
  bool counted = false;
  uint32_t evaluations = 0;
};
} // namespace

Error Attacker::prepare() {
  auto make = [&](StringRef name) -> Error {
    auto method = makeMethod(name, {}, victim.problem);
    if (!method)
      return method.takeError();
    made = std::move(*method);
    loss = made.get();
    return Error::success();
  };
  switch (options.loss) {
  case AttackLoss::MSE:
    return make("mse");
  case AttackLoss::SPOPlus:
    return make("spo+");
  case AttackLoss::NotOptimal:
    return make("not_opt");
  case AttackLoss::Own:
    loss = &victim.own;
    return Error::success();
  case AttackLoss::Random:
    return Error::success();
  }
  llvm_unreachable("all losses are handled");
}

Error Attacker::differentiate(const Vector &x, Vector &gradient,
                              Vector &objective) {
  double sign = victim.problem.sign();
  Vector predicted(gains.size()), byCost(gains.size());
  if (Error error = victim.predictor.forward(rows, x.data(), predicted.data()))
    return error;
  for (double &value : predicted)
    value *= sign;
  MethodBatch batch{
      count,         victim.batchSize, predicted.data(), gains.data(),
      optima.data(), options.seed,     evaluations++,    0,
      sides};
  if (Error error = differentiateAll(*loss, victim.problem, victim.pool, batch,
                                     byCost.data(), objective.data(), parallel))
    return error;
  if (!counted) {
    counted = true;
    int64_t zeros = 0, blind = 0;
    for (int64_t i = 0; i < count; ++i) {
      int64_t here = std::count(byCost.begin() + i * items,
                                byCost.begin() + (i + 1) * items, 0.0);
      zeros += here;
      blind += here == items;
    }
    result.zeroGradients = double(zeros) / double(gains.size());
    result.blindInstances = double(blind) / double(count);
  }
  double towards = options.targeted ? -1 : 1;
  for (double &value : byCost)
    value *= sign * towards;
  for (double &value : objective)
    value *= towards;
  return victim.predictor.backward(rows, x.data(), byCost.data(),
                                   gradient.data());
}

Error Attacker::evaluate(const Vector &x, Vector &gradient, Vector &objective) {
  gradient.resize(x.size());
  objective.assign(count, 0.0);
  if (loss) {
    if (Error error = differentiate(x, gradient, objective))
      return error;
  } else {
    for (int64_t i = 0; i < count; ++i) {
      Draws draws(options.seed, evaluations, uint32_t(i), DrawAttack);
      for (int64_t k = i * width; k < (i + 1) * width; ++k)
        gradient[k] = draws.normal();
    }
    ++evaluations;
  }
  if (!options.mask.empty())
    for (size_t k = 0; k < gradient.size(); ++k)
      if (!options.mask[k % size_t(features)])
        gradient[k] = 0;
  return Error::success();
}

void Attacker::advance(Vector &x, const Vector &gradient,
                       ArrayRef<double> steps) const {
  for (int64_t i = 0; i < count; ++i) {
    const double *g = gradient.data() + i * width;
    double *to = x.data() + i * width, step = steps[i];
    if (options.norm == AttackNorm::Inf) {
      for (int64_t k = 0; k < width; ++k)
        to[k] += g[k] > 0 ? step : g[k] < 0 ? -step : 0;
      continue;
    }
    double norm = std::sqrt(dot(g, g, width));
    for (int64_t k = 0; k < width && norm > 0; ++k)
      to[k] += step * g[k] / norm;
  }
}

void Attacker::project(Vector &x) const {
  double most = options.epsilon;
  for (int64_t i = 0; i < count; ++i) {
    const double *from = origin.data() + i * width;
    double *to = x.data() + i * width;
    if (options.norm == AttackNorm::Inf) {
      for (int64_t k = 0; k < width; ++k) {
        double away = to[k] - from[k];
        to[k] = away > most    ? from[k] + most
                : away < -most ? from[k] - most
                               : to[k];
      }
    } else {
      double squares = 0;
      for (int64_t k = 0; k < width; ++k)
        squares += (to[k] - from[k]) * (to[k] - from[k]);
      double norm = std::sqrt(squares);
      for (int64_t k = 0; k < width && norm > most; ++k)
        to[k] = from[k] + (to[k] - from[k]) * (most / norm);
    }
    // A box that does not hold the origin does not move it.
    for (size_t k = 0; k < size_t(width) && !options.lower.empty(); ++k)
      to[k] = std::max(to[k],
                       std::min(options.lower[k % size_t(features)], from[k]));
    for (size_t k = 0; k < size_t(width) && !options.upper.empty(); ++k)
      to[k] = std::min(to[k],
                       std::max(options.upper[k % size_t(features)], from[k]));
  }
}

/// The origin itself; behind it, points drawn from the ball.
Vector Attacker::start(int64_t restart) const {
  Vector x = origin;
  if (restart == 0)
    return x;
  for (int64_t i = 0; i < count; ++i) {
    Draws draws(options.seed, uint32_t(restart), uint32_t(i), DrawAttack);
    Vector direction(width, 0.0);
    int64_t free = 0;
    for (int64_t k = 0; k < width; ++k) {
      bool may = options.mask.empty() || options.mask[k % features];
      free += may;
      double drawn = options.norm == AttackNorm::Two ? draws.normal()
                                                     : 2 * draws.uniform() - 1;
      direction[k] = may ? drawn : 0;
    }
    double scale = options.epsilon;
    if (options.norm == AttackNorm::Two)
      scale *=
          std::pow(draws.uniform(), 1 / double(std::max<int64_t>(1, free))) /
          std::sqrt(dot(direction.data(), direction.data(), width));
    for (int64_t k = 0; k < width && free; ++k)
      x[i * width + k] += scale * direction[k];
  }
  project(x);
  return x;
}

void Attacker::keep(const Vector &x, const Vector &objective) {
  if (best.empty()) {
    best = x;
    bestObjective = objective;
    return;
  }
  for (int64_t i = 0; i < count; ++i)
    if (objective[i] > bestObjective[i]) {
      bestObjective[i] = objective[i];
      std::copy(x.begin() + i * width, x.begin() + (i + 1) * width,
                best.begin() + i * width);
    }
}

Error Attacker::singleStep(const Vector &from) {
  Vector x = from, gradient, objective;
  if (Error error = evaluate(x, gradient, objective))
    return error;
  advance(x, gradient, Vector(count, options.epsilon));
  project(x);
  if (options.restarts == 1 || !loss) {
    best = std::move(x);
    return Error::success();
  }
  if (Error error = evaluate(x, gradient, objective))
    return error;
  keep(x, objective);
  return Error::success();
}

Error Attacker::projectedGradient(Vector x) {
  Vector gradient, objective;
  double size = options.stepSize > 0
                    ? options.stepSize
                    : 2.5 * options.epsilon / double(options.steps);
  for (int64_t step = 0; step < options.steps; ++step) {
    if (Error error = evaluate(x, gradient, objective))
      return error;
    advance(x, gradient, Vector(count, size));
    project(x);
  }
  if (Error error = evaluate(x, gradient, objective))
    return error;
  keep(x, objective);
  return Error::success();
}

/// Croce and Hein, algorithm 1: first step 2 eps, momentum .75; at checkpoints
/// 22 % of the way, then each 3 % (at least 6 %) of the way nearer, a step is
/// halved and restarted from the best point where fewer than 75 % of steps
/// gained, or neither step nor best changed since the last.
Error Attacker::autoGradient(Vector x) {
  constexpr double momentum = 0.75, rho = 0.75;
  Vector before = x, gradient, objective, steps(count, 2 * options.epsilon);
  Vector top = x, topObjective, lastObjective, lastTop;
  std::vector<int64_t> gains(count, 0);
  std::vector<char> halved(count, 0);
  if (Error error = evaluate(x, gradient, objective))
    return error;
  topObjective = lastTop = objective;
  double at = 0.22, interval = 0.22;
  int64_t checkpoint = 0;
  auto due = int64_t(std::ceil(at * double(options.steps)));
  for (int64_t step = 0; step < options.steps; ++step) {
    Vector z = x;
    advance(z, gradient, steps);
    project(z);
    Vector next(x.size());
    for (size_t k = 0; k < x.size(); ++k)
      next[k] =
          x[k] + momentum * (z[k] - x[k]) + (1 - momentum) * (x[k] - before[k]);
    project(next);
    before = std::exchange(x, std::move(next));
    lastObjective = objective;
    if (Error error = evaluate(x, gradient, objective))
      return error;
    for (int64_t i = 0; i < count; ++i) {
      gains[i] += objective[i] > lastObjective[i];
      if (objective[i] > topObjective[i]) {
        topObjective[i] = objective[i];
        std::copy(x.begin() + i * width, x.begin() + (i + 1) * width,
                  top.begin() + i * width);
      }
    }
    if (step + 1 != due)
      continue;
    bool moved = false;
    for (int64_t i = 0; i < count; ++i) {
      bool few = double(gains[i]) < rho * double(due - checkpoint);
      bool stuck = !halved[i] && topObjective[i] == lastTop[i];
      halved[i] = few || stuck;
      gains[i] = 0;
      if (!halved[i])
        continue;
      steps[i] /= 2;
      moved = true;
      for (int64_t k = i * width; k < (i + 1) * width; ++k)
        x[k] = before[k] = top[k];
    }
    lastTop = topObjective;
    checkpoint = due;
    interval = std::max(interval - 0.03, 0.06);
    at += interval;
    due = std::max(due + 1, int64_t(std::ceil(at * double(options.steps))));
    if (moved)
      if (Error error = evaluate(x, gradient, objective))
        return error;
  }
  keep(top, topObjective);
  return Error::success();
}

Expected<AttackResult> Attacker::run() {
  if (Error error = prepare())
    return error;
  if (loss)
    sides = loss->labelSides(
        victim.problem, victim.pool,
        {count, victim.batchSize, gains.data(), gains.data(), optima.data()});
  if (options.epsilon == 0) {
    result.x = origin;
    if (!loss)
      return std::move(result);
    Vector gradient, objective; // for the fraction of zeros
    if (Error error = evaluate(origin, gradient, objective))
      return error;
    return std::move(result);
  }
  for (int64_t restart = 0; restart < options.restarts; ++restart) {
    Error error = Error::success();
    switch (options.method) {
    case AttackMethod::FGSM:
      error = singleStep(start(restart));
      break;
    case AttackMethod::PGD:
      error = projectedGradient(start(restart));
      break;
    case AttackMethod::APGD:
      error = autoGradient(start(restart));
      break;
    case AttackMethod::Random: {
      Vector x = start(restart + 1), gradient, objective;
      error = evaluate(x, gradient, objective);
      keep(x, objective);
      break;
    }
    }
    if (error)
      return error;
  }
  result.x = std::move(best);
  return std::move(result);
}

Expected<AttackResult> twist::dfl::attack(const Victim &victim,
                                          const Instances &instances,
                                          const AttackOptions &options,
                                          Parallel &parallel) {
  if (Error error = checkAttack(options, instances.data.features))
    return error;
  auto result = Attacker(victim, instances, options, parallel).run();
  victim.predictor.clearGradients();
  return result;
}
