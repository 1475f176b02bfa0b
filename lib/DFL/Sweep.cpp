//===- Sweep.cpp - Methods x tasks x seeds x attacks ----------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/DFL/Sweep.h"

#include "twist/DFL/Metrics.h"
#include "twist/Support/OutputFile.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

#include <map>
#include <mutex>

using namespace llvm;
using namespace twist::dfl;

//===----------------------------------------------------------------------===//
// The file of results
//===----------------------------------------------------------------------===//

static std::string inRun(StringRef run, StringRef name) {
  SmallString<256> path(run);
  sys::path::append(path, name);
  return path.str().str();
}

static StringRef unitOf(const json::Value &line) {
  const json::Object *object = line.getAsObject();
  return object ? object->getString("unit").value_or("") : "";
}

Expected<std::vector<json::Value>> twist::dfl::readResults(StringRef run) {
  std::string path = inRun(run, "results.jsonl");
  auto buffer = MemoryBuffer::getFile(path);
  if (!buffer)
    return createStringError(path + ": " + buffer.getError().message());
  std::vector<json::Value> lines;
  StringRef rest = (*buffer)->getBuffer();
  for (int64_t number = 1; !rest.empty(); ++number) {
    size_t end = rest.find('\n');
    if (end == StringRef::npos)
      break; // cut off while it was written: not done
    auto line = json::parse(rest.take_front(end));
    rest = rest.drop_front(end + 1);
    if (!line || unitOf(*line).empty()) {
      consumeError(line.takeError());
      return createStringError(path + ":" + Twine(number) +
                               ": is no line of results");
    }
    lines.push_back(std::move(*line));
  }
  return lines;
}

namespace {
/// RUN/results.jsonl while a sweep runs.
class Results {
public:
  Error open(const SweepSpec &spec, StringRef run);
  bool has(StringRef unit) const { return lines.count(unit.str()) != 0; }
  const json::Value &line(StringRef unit) const { return lines.at(unit.str()); }
  size_t size() const { return lines.size(); }
  /// Appends and flushes.
  Error add(json::Value line);
  /// The file anew, in the order of `units`.
  Error finish(ArrayRef<std::string> units);

private:
  std::map<std::string, json::Value> lines;
  std::string path;
  std::unique_ptr<raw_fd_ostream> file;
  mutable std::mutex mutex;
};
} // namespace

Error Results::open(const SweepSpec &spec, StringRef run) {
  if (std::error_code code = sys::fs::create_directories(run))
    return createStringError(run + ": " + code.message());
  std::string description = inRun(run, "sweep.json");
  path = inRun(run, "results.jsonl");
  if (auto buffer = MemoryBuffer::getFile(description)) {
    auto there = json::parse((*buffer)->getBuffer());
    if (!there || *there != spec.description) {
      consumeError(there.takeError());
      return createStringError(run + ": holds results of another sweep; remove "
                                     "them or choose another folder");
    }
  } else if (Error error = twist::writeFile(
                 description, formatv("{0:2}\n", spec.description).str())) {
    return error;
  }
  if (sys::fs::exists(path)) {
    auto found = readResults(run);
    if (!found)
      return found.takeError();
    for (json::Value &one : *found)
      lines.emplace(unitOf(one).str(), std::move(one));
  }
  // Without the half line of an interruption.
  if (Error error = twist::writeFile(path, [&](raw_ostream &os) {
        for (const auto &[unit, one] : lines)
          os << formatv("{0}\n", one);
        return Error::success();
      }))
    return error;
  std::error_code code;
  file =
      std::make_unique<raw_fd_ostream>(path, code, sys::fs::CD_OpenExisting,
                                       sys::fs::FA_Write, sys::fs::OF_Append);
  if (code)
    return createStringError(path + ": " + code.message());
  return Error::success();
}

Error Results::add(json::Value line) {
  std::lock_guard<std::mutex> lock(mutex);
  *file << formatv("{0}\n", line).str();
  file->flush();
  if (file->has_error()) {
    std::error_code code = file->error();
    file->clear_error();
    return createStringError(path + ": " + code.message());
  }
  std::string unit = unitOf(line).str();
  lines.emplace(std::move(unit), std::move(line));
  return Error::success();
}

Error Results::finish(ArrayRef<std::string> units) {
  file.reset();
  return twist::writeFile(path, [&](raw_ostream &os) {
    for (const std::string &unit : units)
      os << formatv("{0}\n", lines.at(unit));
    return Error::success();
  });
}

//===----------------------------------------------------------------------===//
// Units
//===----------------------------------------------------------------------===//

namespace {
/// Trains, judges and attacks one method on one task from one seed.
class TrainUnit {
public:
  TrainUnit(const SweepSpec &spec, size_t task, const SweepMethod &method,
            int64_t seed)
      : spec(spec), task(spec.tasks[task]), method(method), seed(seed),
        place(task) {}
  Expected<json::Value> run(StringRef unit, const PredictorFactory &make);

private:
  Expected<json::Value> point(Predictor &predictor, const Method &own,
                              const Pool &pool, const Parts &parts, bool last);
  Expected<json::Value> underAttack(const Victim &victim, const Parts &parts,
                                    const AttackOptions &attack,
                                    const Judgement &clean, bool last);
  /// Quantiles of relative regret, kept at the last point.
  void keepDistribution(StringRef name, const Judgement &judged);

  const SweepSpec &spec;
  const Task &task;
  const SweepMethod &method;
  int64_t seed;
  size_t place;
  Parallel alone;
  json::Object distributions;
};
} // namespace

static json::Object metricsOf(const Judgement &judged) {
  return json::Object{{"relative_regret", judged.meanRelative()},
                      {"regret_ratio", judged.ratioOfSums()},
                      {"regret", judged.meanRegret()},
                      {"error", judged.meanError()}};
}

void TrainUnit::keepDistribution(StringRef name, const Judgement &judged) {
  std::vector<double> sorted = judged.relative;
  llvm::sort(sorted);
  json::Array values;
  for (double value : sorted)
    values.push_back(std::round(value * 1e6) / 1e6);
  distributions[name.str()] = std::move(values); // keys own no StringRef
}

Expected<json::Value> TrainUnit::underAttack(const Victim &victim,
                                             const Parts &parts,
                                             const AttackOptions &options,
                                             const Judgement &clean,
                                             bool last) {
  auto attacked = attack(victim, parts.test, options, alone);
  if (!attacked)
    return attacked.takeError();
  auto judged =
      judge(*task.problem, victim.predictor, parts.test, attacked->x, alone);
  if (!judged)
    return judged.takeError();
  const Dataset &data = parts.test.data;
  Displacement moved =
      displacement(attacked->x, data.x, data.rows * data.features);
  json::Object result = metricsOf(*judged);
  std::string name = attackName(options);
  result["attack"] = name;
  result["eps"] = options.epsilon;
  result["fooling_error"] =
      meanDistance(judged->predicted, clean.predicted, data.items);
  result["fooling_regret"] = judged->meanRelative() - clean.meanRelative();
  result["moved_inf"] = moved.inf;
  result["moved_2"] = moved.two;
  result["zero_gradients"] = attacked->zeroGradients;
  result["blind_instances"] = attacked->blindInstances;
  if (last && options.epsilon == spec.focus)
    keepDistribution(name, *judged);
  return json::Value(std::move(result));
}

Expected<json::Value> TrainUnit::point(Predictor &predictor, const Method &own,
                                       const Pool &pool, const Parts &parts,
                                       bool last) {
  auto clean =
      judge(*task.problem, predictor, parts.test, parts.test.data.x, alone);
  if (!clean)
    return clean.takeError();
  if (last)
    keepDistribution("clean", *clean);
  Victim victim{*task.problem, predictor, own, pool, double(spec.batch)};
  json::Array attacks;
  for (AttackOptions options : spec.attacks)
    for (double epsilon : spec.epsilons) {
      options.epsilon = epsilon;
      options.seed = uint64_t(seed);
      auto result = underAttack(victim, parts, options, *clean, last);
      if (!result)
        return result.takeError();
      attacks.push_back(std::move(*result));
    }
  return json::Value(json::Object{{"clean", metricsOf(*clean)},
                                  {"attacks", std::move(attacks)}});
}

Expected<json::Value> TrainUnit::run(StringRef unit,
                                     const PredictorFactory &make) {
  auto parts = splitTask(task, uint64_t(seed), alone);
  if (!parts)
    return parts.takeError();
  const Dataset &data = parts->train.data;
  auto predictor = make(data.features, data.outputs());
  if (!predictor)
    return predictor.takeError();
  if (Error error = (*predictor)->initialise(uint64_t(seed)))
    return error;
  auto own = makeMethod(method.method, method.parameters[place], *task.problem);
  if (!own)
    return own.takeError();
  TrainOptions options;
  options.epochs = spec.lengths.back();
  options.batch = spec.batch;
  options.shuffle = spec.shuffle;
  options.learningRate = method.rates[place];
  options.seed = uint64_t(seed);
  options.adversary = method.adversary;
  options.adversaryFraction = method.adversaryFraction;
  json::Array curve, points;
  auto atEpoch = [&](const EpochResult &result) -> Error {
    curve.push_back(json::Object{{"epoch", result.epoch},
                                 {"loss", result.loss},
                                 {"train_regret", result.trainRegret},
                                 {"validation_regret", result.validationRegret},
                                 {"validation_error", result.validationError}});
    if (!is_contained(spec.lengths, result.epoch))
      return Error::success();
    auto judged = point(**predictor, **own, *result.pool, *parts,
                        result.epoch == spec.lengths.back());
    if (!judged)
      return judged.takeError();
    (*judged->getAsObject())["epochs"] = result.epoch;
    points.push_back(std::move(*judged));
    return Error::success();
  };
  if (Error error = train(*task.problem, **predictor, **own, parts->train,
                          task.validation ? &parts->validation : nullptr,
                          options, alone, atEpoch))
    return error;
  return json::Value(
      json::Object{{"unit", unit.str()},
                   {"task", task.name},
                   {"method", method.name},
                   {"seed", seed},
                   {"points", std::move(points)},
                   {"curve", std::move(curve)},
                   {"distributions", std::move(distributions)},
                   {"parameters", json::Array((*predictor)->parameters())}});
}

namespace {
/// What each trained model loses under attacks made on each other one.
class TransferUnit {
public:
  TransferUnit(const SweepSpec &spec, size_t task, int64_t seed,
               const Results &results)
      : spec(spec), task(spec.tasks[task]), seed(seed), place(task),
        results(results) {}
  Expected<json::Value> run(StringRef unit, const PredictorFactory &make);

private:
  Expected<json::Array> row(Predictor &predictor, const SweepMethod &source,
                            const AttackOptions &options);
  Error load(Predictor &predictor, const SweepMethod &method);

  const SweepSpec &spec;
  const Task &task;
  int64_t seed;
  size_t place;
  const Results &results;
  Parallel alone;
  std::optional<Parts> parts;
};
} // namespace

static std::string unitName(const Task &task, StringRef method, int64_t seed) {
  return (task.name + "/" + method + "/" + Twine(seed)).str();
}

Error TransferUnit::load(Predictor &predictor, const SweepMethod &method) {
  const json::Value &line = results.line(unitName(task, method.name, seed));
  std::vector<double> values;
  json::Path::Root root;
  const json::Value *stored = line.getAsObject()->get("parameters");
  if (!stored || !fromJSON(*stored, values, root) ||
      values.size() != predictor.parameters().size())
    return createStringError("results hold no parameters of '" + method.name +
                             "'");
  predictor.setParameters(values);
  return Error::success();
}

Expected<json::Array> TransferUnit::row(Predictor &predictor,
                                        const SweepMethod &source,
                                        const AttackOptions &options) {
  auto own = makeMethod(source.method, source.parameters[place], *task.problem);
  if (!own)
    return own.takeError();
  if (Error error = load(predictor, source))
    return error;
  Pool pool = initialPool(parts->train);
  Victim victim{*task.problem, predictor, **own, pool, double(spec.batch)};
  auto attacked = attack(victim, parts->test, options, alone);
  if (!attacked)
    return attacked.takeError();
  json::Array regrets;
  for (const SweepMethod &target : spec.methods) {
    if (Error error = load(predictor, target))
      return error;
    auto judged =
        judge(*task.problem, predictor, parts->test, attacked->x, alone);
    if (!judged)
      return judged.takeError();
    regrets.push_back(judged->meanRelative());
  }
  return regrets;
}

Expected<json::Value> TransferUnit::run(StringRef unit,
                                        const PredictorFactory &make) {
  auto cut = splitTask(task, uint64_t(seed), alone);
  if (!cut)
    return cut.takeError();
  parts = std::move(*cut);
  auto predictor = make(task.data->features, task.data->outputs());
  if (!predictor)
    return predictor.takeError();
  json::Object matrices;
  for (AttackOptions options : spec.attacks) {
    if (options.loss == AttackLoss::Random)
      continue;
    options.epsilon = spec.focus;
    options.seed = uint64_t(seed);
    json::Array rows;
    for (const SweepMethod &source : spec.methods) {
      auto regrets = row(**predictor, source, options);
      if (!regrets)
        return regrets.takeError();
      rows.push_back(std::move(*regrets));
    }
    matrices[attackName(options)] = std::move(rows);
  }
  json::Array methods; // of rows and columns
  for (const SweepMethod &method : spec.methods)
    methods.push_back(method.name);
  return json::Value(json::Object{{"unit", unit.str()},
                                  {"task", task.name},
                                  {"seed", seed},
                                  {"eps", spec.focus},
                                  {"methods", std::move(methods)},
                                  {"transfer", std::move(matrices)}});
}

//===----------------------------------------------------------------------===//
// The whole
//===----------------------------------------------------------------------===//

namespace {
/// A unit's name and what makes its line.
struct Work {
  std::string unit;
  std::function<Expected<json::Value>()> run;
};

/// Does what is missing of some units.
Error doAll(ArrayRef<Work> work, Results &results, const SweepOptions &options,
            int64_t all, Parallel &parallel) {
  std::mutex mutex;
  return parallel.forEach(int64_t(work.size()), [&](int64_t i) -> Error {
    const Work &one = work[i];
    if (results.has(one.unit))
      return Error::success();
    if (options.interrupted && options.interrupted())
      return createStringError(
          "interrupted; what is done is kept, and the same "
          "command goes on from there");
    auto line = one.run();
    if (!line)
      return createStringError(one.unit + ": " + toString(line.takeError()));
    if (Error error = results.add(std::move(*line)))
      return error;
    std::lock_guard<std::mutex> lock(mutex);
    if (options.progress)
      options.progress(int64_t(results.size()), all);
    return Error::success();
  });
}
} // namespace

Error twist::dfl::runSweep(const SweepSpec &spec,
                           const PredictorFactory &makePredictor, StringRef run,
                           const SweepOptions &options) {
  Results results;
  if (Error error = results.open(spec, run))
    return error;
  std::vector<Work> training, exchange;
  for (size_t task = 0; task < spec.tasks.size(); ++task)
    for (int64_t seed = spec.firstSeed; seed < spec.firstSeed + spec.seeds;
         ++seed) {
      for (const SweepMethod &method : spec.methods) {
        std::string unit = unitName(spec.tasks[task], method.name, seed);
        training.push_back({unit, [&, unit, task, seed] {
                              return TrainUnit(spec, task, method, seed)
                                  .run(unit, makePredictor);
                            }});
      }
      std::string unit = unitName(spec.tasks[task], "transfer", seed);
      if (spec.transfer)
        exchange.push_back({unit, [&, unit, task, seed] {
                              return TransferUnit(spec, task, seed, results)
                                  .run(unit, makePredictor);
                            }});
    }
  auto all = int64_t(training.size() + exchange.size());
  Parallel parallel(options.threads);
  for (ArrayRef<Work> part : {ArrayRef(training), ArrayRef(exchange)})
    if (Error error = doAll(part, results, options, all, parallel))
      return error;
  std::vector<std::string> units;
  for (ArrayRef<Work> part : {ArrayRef(training), ArrayRef(exchange)})
    for (const Work &one : part)
      units.push_back(one.unit);
  return results.finish(units);
}
