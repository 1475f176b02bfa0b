//===- Records.cpp - A sweep's results, read back -------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Records.h"

#include "twist/DFL/Sweep.h"
#include "twist/Support/JSONFile.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/Path.h"

using namespace llvm;
using namespace twist;
using namespace twist::dfl;

namespace twist::dfl { // where llvm::json looks for them

static bool fromJSON(const json::Value &value, Metrics &metrics,
                     json::Path path) {
  json::ObjectMapper map(value, path);
  return map && map.map("relative_regret", metrics.relative) &&
         map.map("regret_ratio", metrics.ratio) &&
         map.map("regret", metrics.regret) && map.map("error", metrics.error);
}

static bool fromJSON(const json::Value &value, AttackRecord &attack,
                     json::Path path) {
  json::ObjectMapper map(value, path);
  return map && map.map("attack", attack.attack) &&
         map.map("eps", attack.eps) &&
         map.map("fooling_error", attack.foolingError) &&
         map.map("fooling_regret", attack.foolingRegret) &&
         map.map("moved_inf", attack.movedInf) &&
         map.map("moved_2", attack.moved2) &&
         map.map("zero_gradients", attack.zeroGradients) &&
         map.map("blind_instances", attack.blind) &&
         fromJSON(value, attack.metrics, path);
}

static bool fromJSON(const json::Value &value, PointRecord &point,
                     json::Path path) {
  json::ObjectMapper map(value, path);
  return map && map.map("epochs", point.epochs) &&
         map.map("clean", point.clean) && map.map("attacks", point.attacks);
}

static bool fromJSON(const json::Value &value, CurveRecord &at,
                     json::Path path) {
  json::ObjectMapper map(value, path);
  return map && map.map("epoch", at.epoch) && map.map("loss", at.loss) &&
         map.map("train_regret", at.train) &&
         map.map("validation_regret", at.validation) &&
         map.map("validation_error", at.validationError);
}

static bool fromJSON(const json::Value &value, ModelRecord &model,
                     json::Path path) {
  json::ObjectMapper map(value, path);
  return map && map.map("task", model.task) &&
         map.map("method", model.method) && map.map("seed", model.seed) &&
         map.map("points", model.points) && map.map("curve", model.curve) &&
         map.map("distributions", model.distributions);
}

static bool fromJSON(const json::Value &value, TransferRecord &transfer,
                     json::Path path) {
  json::ObjectMapper map(value, path);
  return map && map.map("task", transfer.task) &&
         map.map("seed", transfer.seed) &&
         map.map("methods", transfer.methods) &&
         map.map("transfer", transfer.matrices);
}

} // namespace twist::dfl

const AttackRecord *PointRecord::find(StringRef attack, double eps) const {
  for (const AttackRecord &record : attacks)
    if (record.attack == attack && record.eps == eps)
      return &record;
  return nullptr;
}

static void addOnce(std::vector<std::string> &names, const std::string &name) {
  if (!is_contained(names, name))
    names.push_back(name);
}

/// The size of attacks that the sweep in `run` looks at most closely.
static Expected<double> readFocus(StringRef run) {
  SmallString<256> path(run);
  sys::path::append(path, "sweep.json");
  auto value = readJSON(path);
  if (!value)
    return value.takeError();
  if (const json::Object *object = value->getAsObject()) {
    if (auto focus = object->getNumber("focus"))
      return *focus;
    const json::Array *sizes = object->getArray("eps");
    double most = sizes ? 0 : 0.25; // as parseSweep has it
    for (const json::Value &size : sizes ? *sizes : json::Array())
      most = std::max(most, size.getAsNumber().value_or(0));
    return most;
  }
  return createStringError(path.str() + ": is no sweep");
}

Expected<Records> twist::dfl::readRecords(StringRef run) {
  auto lines = readResults(run);
  if (!lines)
    return lines.takeError();
  auto focus = readFocus(run);
  if (!focus)
    return focus.takeError();
  Records records;
  records.focus = *focus;
  for (const json::Value &line : *lines) {
    json::Path::Root root("results");
    bool transfer = line.getAsObject()->get("transfer") != nullptr;
    bool read;
    if (transfer)
      read = fromJSON(line, records.transfers.emplace_back(), root);
    else
      read = fromJSON(line, records.models.emplace_back(), root);
    if (!read)
      return createStringError(
          run + ": " + line.getAsObject()->getString("unit").value_or("") +
          ": " + toString(root.getError()));
  }
  for (const ModelRecord &model : records.models) {
    if (model.points.empty())
      return createStringError(run + ": a model has no points");
    addOnce(records.tasks, model.task);
    addOnce(records.methods, model.method);
    for (const AttackRecord &attack : model.points.back().attacks)
      addOnce(records.attacks, attack.attack);
  }
  if (records.models.empty())
    return createStringError(run + ": there are no results");
  return records;
}
