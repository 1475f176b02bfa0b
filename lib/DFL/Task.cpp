//===- Task.cpp - Problems and data as files describe them ----------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/DFL/Task.h"

#include "Fields.h"

#include "twist/DFL/Generate.h"
#include "twist/DFL/Knapsack.h"
#include "twist/DFL/LinearProgram.h"
#include "twist/DFL/Portfolio.h"
#include "twist/DFL/ShortestPath.h"

#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/Path.h"

#include <cmath>

using namespace llvm;
using namespace twist::dfl;

namespace {
/// Data, and what data say of the problem.
struct Source {
  Dataset data;
  std::vector<double> weights, covariance;
};

/// A task in the making.
class Maker {
public:
  Maker(const json::Value &description, std::string where, StringRef directory)
      : task(&description, where),
        problem(task.raw("problem"), where + ".problem"),
        data(task.raw("data"), where + ".data"), directory(directory) {}
  Expected<Task> make();

private:
  Expected<Source> makeSource(int64_t costs);
  Expected<Source> generate(StringRef kind, int64_t costs);
  Expected<std::unique_ptr<Problem>> makeProblem(StringRef kind,
                                                 const Source &source);
  Expected<std::unique_ptr<Problem>> knapsack(const Source &source);
  /// What a solver refuses, with its place in the file.
  Expected<std::unique_ptr<Problem>>
  placed(Expected<std::unique_ptr<Problem>> made) const {
    if (made)
      return made;
    return createStringError(problem.path("kind") + ": " +
                             toString(made.takeError()));
  }
  std::string file(Fields &fields, StringRef key) {
    fields.require(key);
    SmallString<256> path(fields.text(key, ""));
    if (sys::path::is_relative(path)) {
      SmallString<256> full(directory);
      sys::path::append(full, path);
      path = full;
    }
    return path.str().str();
  }

  Fields task, problem, data;
  StringRef directory;
  int64_t rows = 0, columns = 0, assets = 0;
};
} // namespace

Expected<Source> Maker::generate(StringRef kind, int64_t costs) {
  GeneratorOptions options;
  options.instances = data.whole("instances", 1000, 1);
  options.features = data.whole("features", 5, 1);
  options.degree = data.whole("degree", 4, 1);
  options.noise = data.number("noise", 0.5);
  options.seed = uint64_t(data.whole("seed", 0, 0));
  Source source;
  if (kind == "portfolio") {
    auto made = generatePortfolios(costs, options);
    if (!made)
      return made.takeError();
    source.data = std::move(made->data);
    source.covariance = std::move(made->covariance);
    return source;
  }
  if (kind == "knapsack")
    costs = data.whole("items", 32, 1);
  auto made = kind == "knapsack" ? generateKnapsacks(costs, options)
                                 : generatePaths(costs, options);
  if (!made)
    return made.takeError();
  source.data = std::move(*made);
  if (kind == "knapsack")
    source.weights =
        generateWeights(costs, data.whole("capacities", 1, 1), options.seed);
  return source;
}

/// `costs`: of an instance, where the problem alone says it.
Expected<Source> Maker::makeSource(int64_t costs) {
  std::string kind = data.text("kind", "");
  if (kind == "energy") {
    auto energy = readEnergy(file(data, "file"));
    if (!energy)
      return energy.takeError();
    return Source{std::move(energy->data), std::move(energy->weights), {}};
  }
  if (kind == "file") {
    auto read = readDataset(file(data, "file"));
    if (!read)
      return read.takeError();
    return Source{std::move(*read), {}, {}};
  }
  if (kind == "generated" && problem.text("kind", "") != "programme")
    return generate(problem.text("kind", ""), costs);
  data.wrong("kind",
             "is none of energy, file, generated (of a programme: file)");
  return data.finish();
}

Expected<std::unique_ptr<Problem>> Maker::knapsack(const Source &source) {
  std::vector<double> weights = problem.numbers("weights", source.weights);
  if (weights.empty()) {
    problem.wrong("weights", "is missing");
    return problem.finish();
  }
  if (problem.has("capacity"))
    return placed(makeKnapsack(weights, problem.number("capacity", 0)));
  if (!problem.has("capacities")) {
    problem.require("capacities");
    return problem.finish();
  }
  return placed(makeMultiKnapsack(weights, problem.numbers("capacities", {}),
                                  problem.whole("nodes", 50'000'000, 1)));
}

Expected<std::unique_ptr<Problem>> Maker::makeProblem(StringRef kind,
                                                      const Source &source) {
  if (kind == "knapsack")
    return knapsack(source);
  if (kind == "shortest-path")
    return placed(makeShortestPath(rows, columns));
  if (kind == "programme")
    return placed(makeLinearProgram(file(problem, "file")));
  std::vector<double> covariance =
      problem.numbers("covariance", source.covariance);
  double mean = 0;
  for (double entry : covariance)
    mean += entry / double(covariance.size());
  return placed(
      makePortfolio(covariance, assets, problem.number("gamma", 2.25) * mean));
}

Expected<Task> Maker::make() {
  Task result;
  result.name = task.text("name", "");
  std::string kind = problem.text("kind", "");
  int64_t costs = 0;
  if (kind == "shortest-path") {
    rows = problem.whole("rows", 5, 1);
    columns = problem.whole("columns", 5, 1);
    costs = rows * (columns - 1) + (rows - 1) * columns;
  } else if (kind == "portfolio") {
    costs = assets = problem.whole("assets", 50, 1);
  } else if (kind != "knapsack" && kind != "programme") {
    problem.wrong("kind", "is none of knapsack, shortest-path, portfolio, "
                          "programme");
    return problem.finish();
  }
  auto source = makeSource(costs);
  if (!source)
    return source.takeError();
  auto made = makeProblem(kind, *source);
  if (!made)
    return made.takeError();
  std::vector<double> sizes = task.numbers("split", {});
  task.require("split");
  if (sizes.size() != 3)
    task.wrong("split", "is not three sizes: training, validation, testing");
  std::string shuffle = task.text("shuffle", "philox");
  if (shuffle == "mt19937")
    result.shuffle = Shuffle::MT19937;
  else if (shuffle != "philox")
    task.wrong("shuffle", "is none of philox, mt19937");
  for (Fields *fields : {&data, &problem, &task})
    if (Error error = fields->finish())
      return error;
  if (source->data.items != (*made)->size())
    return createStringError(
        formatv("{0}: an instance has {1} costs, a {2} has {3}",
                data.path("kind"), source->data.items, (*made)->describe(),
                (*made)->size())
            .str());
  result.problem = std::move(*made);
  result.train = int64_t(sizes[0]);
  result.validation = int64_t(sizes[1]);
  result.test = int64_t(sizes[2]);
  if (auto cut =
          split(source->data, result.train, result.validation, result.test, 0);
      !cut)
    return createStringError(task.path("split") + ": " +
                             toString(cut.takeError()));
  result.data = std::make_shared<Dataset>(std::move(source->data));
  return result;
}

Expected<Task> twist::dfl::makeTask(const json::Value &description,
                                    std::string where, StringRef directory) {
  return Maker(description, std::move(where), directory).make();
}

Expected<Parts> twist::dfl::splitTask(const Task &task, uint64_t seed,
                                      Parallel &parallel) {
  auto cut = split(*task.data, task.train, task.validation, task.test, seed,
                   task.shuffle);
  if (!cut)
    return cut.takeError();
  Parts parts;
  for (auto [from, to] : {std::pair(&cut->train, &parts.train),
                          {&cut->validation, &parts.validation},
                          {&cut->test, &parts.test}}) {
    auto solved = solveInstances(*task.problem, std::move(*from), parallel);
    if (!solved)
      return solved.takeError();
    *to = std::move(*solved);
  }
  return parts;
}

Expected<AttackOptions> twist::dfl::makeAttack(const json::Value &description,
                                               std::string where) {
  Fields fields(&description, std::move(where));
  AttackOptions options;
  std::string loss = fields.text("loss", "mse"),
              method = fields.text("method", "fgsm"),
              norm = fields.text("norm", "inf");
  options.epsilon = fields.number("eps", 0);
  options.steps = fields.whole("steps", 10, 1);
  options.stepSize = fields.number("step_size", 0);
  options.restarts = fields.whole("restarts", 1, 1);
  options.targeted = fields.boolean("targeted", false);
  options.seed = uint64_t(fields.whole("seed", 0, 0));
  for (double may : fields.numbers("mask", {}))
    options.mask.push_back(may != 0);
  options.lower = fields.numbers("lower", {});
  options.upper = fields.numbers("upper", {});
  auto set = [&](StringRef key, auto parsed, auto &value) {
    if (parsed)
      value = *parsed;
    else
      fields.wrong(key, toString(parsed.takeError()));
  };
  set("loss", parseAttackLoss(loss), options.loss);
  set("method", parseAttackMethod(method), options.method);
  set("norm", parseAttackNorm(norm), options.norm);
  if (Error error = fields.finish())
    return error;
  return options;
}
