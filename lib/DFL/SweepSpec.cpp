//===- SweepSpec.cpp - What a sweep is made of ----------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/DFL/Sweep.h"

#include "Fields.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FormatVariadic.h"

#include <algorithm>
#include <cmath>

using namespace llvm;
using namespace twist::dfl;

std::string twist::dfl::attackName(const AttackOptions &attack) {
  std::string name =
      (attackLossName(attack.loss) + "/" + attackMethodName(attack.method) +
       "/" + (attack.norm == AttackNorm::Inf ? "inf" : "2"))
          .str();
  if (attack.restarts > 1)
    name += "/" + std::to_string(attack.restarts) + " restarts";
  return name + (attack.targeted ? "/targeted" : "");
}

/// A number for all tasks, or a list of one for each.
static std::vector<double> perTask(Fields &fields, StringRef key,
                                   double fallback, size_t tasks) {
  const json::Value *value = fields.raw(key);
  if (!value || !value->getAsArray())
    return std::vector<double>(tasks, fields.number(key, fallback));
  std::vector<double> numbers = fields.numbers(key, {});
  if (numbers.size() != tasks) {
    fields.wrong(
        key,
        formatv("has {0} numbers for {1} tasks", numbers.size(), tasks).str());
    numbers.resize(tasks);
  }
  return numbers;
}

static Error parseMethod(const json::Value &value, std::string where,
                         SweepSpec &spec) {
  Fields fields(&value, where);
  SweepMethod method;
  method.method = fields.text("method", "");
  method.name = fields.text("name", method.method);
  method.rates = perTask(fields, "learning_rate", 0.5, spec.tasks.size());
  method.parameters.resize(spec.tasks.size());
  if (const json::Value *given = fields.raw("parameters")) {
    Fields parameters(given, where + ".parameters");
    if (const json::Object *object = given->getAsObject())
      for (const auto &entry : *object) {
        std::string key = StringRef(entry.first).str();
        auto numbers = perTask(parameters, key, 0, spec.tasks.size());
        for (size_t t = 0; t < numbers.size(); ++t)
          method.parameters[t][key] = numbers[t];
      }
    if (Error error = parameters.finish())
      return error;
  }
  if (const json::Value *given = fields.raw("adversary")) {
    auto attack = makeAttack(*given, where + ".adversary");
    if (!attack)
      return attack.takeError();
    method.adversary = *attack;
    method.adversaryFraction = fields.number("adversary_fraction", 1);
  }
  if (any_of(spec.methods, [&](const SweepMethod &other) {
        return other.name == method.name;
      }))
    fields.wrong("name", "'" + method.name + "' is another method's too");
  if (method.name == "transfer" || StringRef(method.name).contains('/'))
    fields.wrong("name", "'" + method.name +
                             "': names of results are TASK/METHOD/SEED and "
                             "TASK/transfer/SEED");
  if (Error error = fields.finish())
    return error;
  for (auto [task, parameters] : zip_equal(spec.tasks, method.parameters))
    if (auto made = makeMethod(method.method, parameters, *task.problem); !made)
      return createStringError(where + ": task '" + task.name +
                               "': " + toString(made.takeError()));
  spec.methods.push_back(std::move(method));
  return Error::success();
}

static Error parseTasks(Fields &fields, StringRef directory, SweepSpec &spec) {
  for (auto [i, value] : enumerate(fields.array("tasks"))) {
    std::string where = formatv("tasks[{0}]", i);
    auto task = makeTask(*value, where, directory);
    if (!task)
      return task.takeError();
    if (task->name.empty())
      task->name = std::to_string(i);
    if (any_of(spec.tasks,
               [&](const Task &other) { return other.name == task->name; }))
      return createStringError(where + ".name: '" + task->name +
                               "' is another task's too");
    spec.tasks.push_back(std::move(*task));
  }
  if (spec.tasks.empty())
    return createStringError("tasks: there are none");
  return Error::success();
}

/// Attacks and their sizes; 0 and noise are always among them.
static Error parseAttacks(Fields &fields, SweepSpec &spec) {
  for (auto [i, value] : enumerate(fields.array("attacks"))) {
    std::string where = formatv("attacks[{0}]", i);
    auto attack = makeAttack(*value, where);
    if (!attack)
      return attack.takeError();
    for (const Task &task : spec.tasks)
      if (Error error = checkAttack(*attack, task.data->features))
        return createStringError(where + ": " + toString(std::move(error)));
    if (any_of(spec.attacks, [&](const AttackOptions &other) {
          return attackName(other) == attackName(*attack);
        }))
      return createStringError(where + ": '" + attackName(*attack) +
                               "' is there twice");
    spec.attacks.push_back(*attack);
  }
  bool noise = any_of(spec.attacks, [](const AttackOptions &attack) {
    return attack.loss == AttackLoss::Random;
  });
  if (!spec.attacks.empty() && !noise) {
    AttackOptions random;
    random.loss = AttackLoss::Random;
    random.norm = spec.attacks[0].norm;
    spec.attacks.push_back(random);
  }
  spec.epsilons = fields.numbers("eps", {0, 0.25});
  spec.epsilons.push_back(0);
  llvm::sort(spec.epsilons);
  spec.epsilons.erase(std::unique(spec.epsilons.begin(), spec.epsilons.end()),
                      spec.epsilons.end());
  if (!(spec.epsilons[0] >= 0) || !std::isfinite(spec.epsilons.back()))
    fields.wrong("eps", "sizes of attacks are at least 0");
  spec.focus = fields.number("focus", spec.epsilons.back());
  if (!is_contained(spec.epsilons, spec.focus))
    fields.wrong("focus", "is none of eps");
  return Error::success();
}

Expected<SweepSpec> twist::dfl::parseSweep(StringRef text,
                                           StringRef directory) {
  auto value = json::parse(text);
  if (!value)
    return value.takeError();
  SweepSpec spec;
  spec.description = *value;
  Fields fields(&spec.description, "sweep");
  if (Error error = parseTasks(fields, directory, spec))
    return error;
  spec.model = fields.text("model", "linear");
  spec.seeds = fields.whole("seeds", 1, 1);
  spec.firstSeed = fields.whole("first_seed", 0, 0);
  spec.batch = fields.whole("batch", 128, 1);
  spec.shuffle = fields.boolean("shuffle", false);
  int64_t epochs = fields.whole("epochs", 35, 1);
  for (double length : fields.numbers("judge_at", {double(epochs)}))
    spec.lengths.push_back(int64_t(length));
  spec.lengths.push_back(epochs);
  llvm::sort(spec.lengths);
  spec.lengths.erase(std::unique(spec.lengths.begin(), spec.lengths.end()),
                     spec.lengths.end());
  if (spec.lengths.front() < 0 || spec.lengths.back() != epochs)
    fields.wrong("judge_at", "epochs are from 0 to those trained");
  for (auto [i, entry] : enumerate(fields.array("methods")))
    if (Error error = parseMethod(*entry, formatv("methods[{0}]", i), spec))
      return error;
  if (spec.methods.empty())
    fields.wrong("methods", "there are none");
  if (Error error = parseAttacks(fields, spec))
    return error;
  spec.transfer = fields.boolean("transfer", false);
  if (Error error = fields.finish())
    return error;
  return spec;
}
