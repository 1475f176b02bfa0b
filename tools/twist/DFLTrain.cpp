//===- DFLTrain.cpp - twist dfl train, twist dfl attack -------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "DFLModel.h"
#include "Measure.h"

#include "twist/DFL/Metrics.h"
#include "twist/Runtime/Tools.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;
using namespace twist;
using namespace twist::tools;

namespace {
/// What both commands work on.
struct Setting {
  explicit Setting(int threads) : parallel(threads) {}
  dfl::Task task;
  std::unique_ptr<dfl::Method> method;
  dfl::Parallel parallel;
  dfl::Parts parts;
};

/// Options of both commands.
struct TaskArguments {
  explicit TaskArguments(cl::OptionCategory &category)
      : path(cl::Positional, cl::Required, cl::desc("TASK.json"),
             cl::cat(category)),
        method("method", cl::init("spo+"), cl::cat(category),
               cl::desc("What it is trained with (default spo+)")),
        set("set", cl::CommaSeparated, cl::value_desc("NAME=VALUE"),
            cl::cat(category), cl::desc("Hyper-parameters of the method")),
        seed("seed", cl::init(0), cl::cat(category),
             cl::desc("Of the split, the parameters and all draws")),
        batch("batch", cl::init(128), cl::cat(category),
              cl::desc("Instances a batch (default 128)")),
        threads("threads", cl::init(0), cl::cat(category),
                cl::desc("Threads to solve with (default: all)")),
        loss("attack-loss", cl::init("spo_plus"), cl::cat(category),
             cl::desc("mse, own, spo_plus, not_opt or random")),
        attack("attack", cl::init("fgsm"), cl::cat(category),
               cl::desc("fgsm, pgd, apgd or random")),
        norm("norm", cl::init("inf"), cl::cat(category), cl::desc("inf or 2")),
        steps("steps", cl::init(10), cl::cat(category),
              cl::desc("Of pgd and apgd (default 10)")),
        restarts("restarts", cl::init(1), cl::cat(category),
                 cl::desc("Starts, the first from the features themselves")),
        targeted("targeted", cl::cat(category),
                 cl::desc("Towards the next instance's decision")),
        mask("mask", cl::CommaSeparated, cl::cat(category),
             cl::desc("1 for each feature that may change, 0 for others")),
        lower("lower", cl::CommaSeparated, cl::cat(category),
              cl::desc("The least value of each feature")),
        upper("upper", cl::CommaSeparated, cl::cat(category),
              cl::desc("The largest value of each feature")) {}

  Expected<std::unique_ptr<Setting>> open();
  Expected<std::unique_ptr<dfl::Method>> makeMethod(const dfl::Task &task);
  Expected<dfl::AttackOptions> makeAttack(const dfl::Task &task, double eps);

  cl::opt<std::string> path, method;
  cl::list<std::string> set;
  cl::opt<uint64_t> seed;
  cl::opt<int64_t> batch;
  cl::opt<int> threads;
  cl::opt<std::string> loss, attack, norm;
  cl::opt<int64_t> steps, restarts;
  cl::opt<bool> targeted;
  cl::list<int> mask;
  cl::list<double> lower, upper;
};
} // namespace

Expected<std::unique_ptr<dfl::Method>>
TaskArguments::makeMethod(const dfl::Task &task) {
  dfl::MethodParameters values;
  for (StringRef argument : set) {
    auto [key, value] = argument.split('=');
    double number;
    if (key.empty() || value.empty() || !to_float(value, number))
      return createStringError("--set is not NAME=NUMBER: '" + argument + "'");
    values[key.str()] = number;
  }
  return dfl::makeMethod(method, values, *task.problem);
}

Expected<std::unique_ptr<Setting>> TaskArguments::open() {
  auto setting = std::make_unique<Setting>(threads);
  auto task = readTask(path);
  if (!task)
    return task.takeError();
  setting->task = std::move(*task);
  auto made = makeMethod(setting->task);
  if (!made)
    return made.takeError();
  setting->method = std::move(*made);
  if (batch < 1)
    return createStringError("a batch has at least one instance");
  auto parts = dfl::splitTask(setting->task, seed, setting->parallel);
  if (!parts)
    return parts.takeError();
  setting->parts = std::move(*parts);
  return setting;
}

Expected<dfl::AttackOptions> TaskArguments::makeAttack(const dfl::Task &task,
                                                       double eps) {
  dfl::AttackOptions options;
  auto chosenLoss = dfl::parseAttackLoss(loss);
  if (!chosenLoss)
    return chosenLoss.takeError();
  auto chosen = dfl::parseAttackMethod(attack);
  if (!chosen)
    return chosen.takeError();
  auto chosenNorm = dfl::parseAttackNorm(norm);
  if (!chosenNorm)
    return chosenNorm.takeError();
  options.loss = *chosenLoss;
  options.method = *chosen;
  options.norm = *chosenNorm;
  options.epsilon = eps;
  options.steps = steps;
  options.restarts = restarts;
  options.targeted = targeted;
  for (int may : mask)
    options.mask.push_back(may != 0);
  options.lower.assign(lower.begin(), lower.end());
  options.upper.assign(upper.begin(), upper.end());
  options.seed = seed;
  if (Error error = dfl::checkAttack(options, task.data->features))
    return error;
  return options;
}

static void printJudgement(const dfl::Judgement &judged) {
  outs() << format("test: relative regret %.2f %%, of sums %.2f %%, error of "
                   "predictions %.6g\n",
                   100 * judged.meanRelative(), 100 * judged.ratioOfSums(),
                   judged.meanError());
}

int twist::tools::dflTrainMain(int argc, char **argv) {
  cl::OptionCategory category("Options of twist dfl train");
  TaskArguments arguments(category);
  cl::opt<std::string> output("o", cl::value_desc("MODEL.onnx"),
                              cl::cat(category), cl::desc("The trained model"));
  cl::opt<std::string> model("model", cl::init("linear"), cl::cat(category),
                             cl::desc("linear, relu:WIDTH,… or MODEL.onnx"));
  cl::opt<double> rate("learning-rate", cl::init(0.5), cl::cat(category),
                       cl::desc("Of Adam (default 0.5)"));
  cl::opt<int64_t> epochs("epochs", cl::init(35), cl::cat(category),
                          cl::desc("Passes over the instances (default 35)"));
  cl::opt<bool> shuffle("shuffle", cl::cat(category),
                        cl::desc("A new order each epoch"));
  cl::opt<double> adversary(
      "adversary-eps", cl::init(0), cl::cat(category),
      cl::desc("Train at features attacked so much (default: not)"));
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(argc, argv,
                              "Trains a predictor through its decisions\n");

  auto opened = arguments.open();
  if (!opened)
    return fail(opened.takeError());
  auto &[task, method, parallel, parts] = **opened;
  dfl::TrainOptions options;
  options.epochs = epochs;
  options.batch = arguments.batch;
  options.learningRate = rate;
  options.shuffle = shuffle;
  options.seed = arguments.seed;
  auto attack = arguments.makeAttack(task, adversary);
  if (!attack)
    return fail(attack.takeError());
  if (adversary > 0)
    options.adversary = *attack;
  const dfl::Dataset &data = parts.train.data;
  PredictorSource source(model, arguments.batch * data.rows);
  auto predictor = source.make(data.features, data.outputs());
  if (!predictor)
    return fail(predictor.takeError());
  if (Error error = (*predictor)->initialise(arguments.seed))
    return fail(std::move(error));
  outs() << task.problem->describe() << ", " << arguments.method << "\n"
         << format("%6s %12s %10s", "epoch", "loss", "train %");
  if (task.validation)
    outs() << format(" %10s %12s", "valid. %", "valid. error");
  outs() << "\n";
  auto print = [&](const dfl::EpochResult &at) {
    outs() << format("%6lld %12.6g %10.2f", (long long)at.epoch, at.loss,
                     100 * at.trainRegret);
    if (task.validation)
      outs() << format(" %10.2f %12.6g", 100 * at.validationRegret,
                       at.validationError);
    outs() << "\n";
    return Error::success();
  };
  if (Error error = dfl::train(*task.problem, **predictor, *method, parts.train,
                               task.validation ? &parts.validation : nullptr,
                               options, parallel, print))
    return fail(std::move(error));
  auto judged = dfl::judge(*task.problem, **predictor, parts.test,
                           parts.test.data.x, parallel);
  if (!judged)
    return fail(judged.takeError());
  printJudgement(*judged);
  if (!output.empty())
    if (Error error = (*predictor)->save(output))
      return fail(std::move(error));
  return 0;
}

/// Features as an .npy [instances, rows, features].
static Error writeFeatures(StringRef path, const dfl::Dataset &data,
                           std::vector<double> &x) {
  twist_array array = {};
  array.type = TWIST_F64;
  array.rank = 3;
  array.dims[0] = data.instances;
  array.dims[1] = data.rows;
  array.dims[2] = data.features;
  array.bytes = x.size() * sizeof(double);
  array.data = x.data();
  twist_error error;
  if (twist_npy_write(path.str().c_str(), &array, &error))
    return createStringError(error.message);
  return Error::success();
}

int twist::tools::dflAttackMain(int argc, char **argv) {
  cl::OptionCategory category("Options of twist dfl attack");
  TaskArguments arguments(category);
  cl::opt<std::string> model("model", cl::Required, cl::cat(category),
                             cl::value_desc("MODEL.onnx"),
                             cl::desc("The model to attack"));
  cl::list<double> epsilons("eps", cl::CommaSeparated, cl::cat(category),
                            cl::desc("Sizes, in units of the features "
                                     "(default 0,0.1,0.25,0.5)"));
  cl::opt<std::string> output("o", cl::value_desc("X.npy"), cl::cat(category),
                              cl::desc("The features under the last attack"));
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(argc, argv,
                              "Attacks the features a predictor sees\n");

  auto opened = arguments.open();
  if (!opened)
    return fail(opened.takeError());
  auto &[task, method, parallel, parts] = **opened;
  dfl::Instances &test = parts.test;
  PredictorSource source(model, test.data.instances * test.data.rows);
  auto predictor = source.make(test.data.features, test.data.outputs());
  if (!predictor)
    return fail(predictor.takeError());
  if ((*predictor)->features() != test.data.features ||
      (*predictor)->outputs() != test.data.outputs())
    return fail(createStringError(
        "the model is not one of this task: it takes " +
        Twine((*predictor)->features()) + " features a row, the data have " +
        Twine(test.data.features)));
  auto clean =
      dfl::judge(*task.problem, **predictor, test, test.data.x, parallel);
  if (!clean)
    return fail(clean.takeError());
  printJudgement(*clean);
  outs() << format("%8s %10s %10s %12s %8s %8s %6s\n", "eps", "regret %",
                   "fooling %", "fool. error", "inf", "2-norm", "zeros");
  dfl::Pool pool = dfl::initialPool(parts.train);
  dfl::Victim victim{*task.problem, **predictor, *method, pool,
                     double(arguments.batch)};
  std::vector<double> sizes(epsilons.begin(), epsilons.end()), x;
  if (sizes.empty())
    sizes = {0, 0.1, 0.25, 0.5};
  for (double eps : sizes) {
    auto options = arguments.makeAttack(task, eps);
    if (!options)
      return fail(options.takeError());
    auto attacked = dfl::attack(victim, test, *options, parallel);
    if (!attacked)
      return fail(attacked.takeError());
    x = std::move(attacked->x);
    auto judged = dfl::judge(*task.problem, **predictor, test, x, parallel);
    if (!judged)
      return fail(judged.takeError());
    auto moved =
        dfl::displacement(x, test.data.x, test.data.rows * test.data.features);
    outs() << format(
        "%8g %10.2f %10.2f %12.6g %8.4g %8.4g %6.2f\n", eps,
        100 * judged->meanRelative(),
        100 * (judged->meanRelative() - clean->meanRelative()),
        dfl::meanDistance(judged->predicted, clean->predicted, test.data.items),
        moved.inf, moved.two, attacked->zeroGradients);
  }
  if (!output.empty())
    if (Error error = writeFeatures(output, test.data, x))
      return fail(std::move(error));
  return 0;
}
