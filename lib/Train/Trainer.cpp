//===- Trainer.cpp - TwIST's rounds, from outside -------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "StepInputs.h"
#include "TrainerImpl.h"

#include "twist/Train/Checkpoint.h"
#include "twist/Train/Teacher.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/TargetParser/Host.h"

#include <cstring>

using namespace llvm;
using namespace twist;
using namespace twist::train;

double RoundReport::meanLoss() const {
  double sum = 0;
  for (double loss : losses)
    sum += loss;
  return losses.empty() ? 0 : sum / double(losses.size());
}

Trainer::Trainer() = default;
Trainer::~Trainer() = default;

Expected<std::unique_ptr<Trainer>>
Trainer::create(StepCompiler &compiler, const Data &data, Transport &transport,
                const TrainOptions &options, Teacher *teacher) {
  std::unique_ptr<Trainer> trainer(new Trainer());
  trainer->impl =
      std::make_unique<Impl>(compiler, data, transport, options, teacher);
  if (Error error = trainer->impl->prepare())
    return std::move(error);
  return std::move(trainer);
}

const TrainOptions &Trainer::options() const { return impl->options; }
const Assignment &Trainer::assignment() const { return *impl->assignment; }
int64_t Trainer::round() const { return impl->round; }
Expected<RoundReport> Trainer::runRound() { return impl->runRound(); }
Error Trainer::save(StringRef path) { return impl->save(path); }
Error Trainer::resume(StringRef path, bool otherMachine) {
  return impl->resume(path, otherMachine);
}
Error Trainer::startFrom(StringRef path) { return impl->startFrom(path); }
Expected<std::vector<AlignedBytes>> Trainer::parameters() {
  return impl->parameters();
}

static uint64_t parameterBytes(const Store &store) {
  uint64_t bytes = 0;
  for (const StoredTensor &tensor : store.tensors())
    if (tensor.isParameter)
      bytes += tensor.size() * tensor.elementBytes();
  return bytes;
}

/// Each of n workers sends (n-1)/n of the whole twice: scatter and gather.
uint64_t Trainer::localSGDBytes() const {
  uint64_t workers = impl->options.assignment.workers;
  return 2 * (workers - 1) * parameterBytes(*impl->store);
}

uint64_t Trainer::allReduceBytes() const {
  return localSGDBytes() * impl->options.localSteps;
}

uint64_t Trainer::memoryBytes() const {
  uint64_t bytes = 0;
  for (const StoredTensor &tensor : impl->store->tensors())
    bytes += tensor.size() * tensor.elementBytes() / impl->transport.size();
  for (const WorkerSlices &worker : impl->slices)
    for (const AlignedBytes &buffer : worker.buffers)
      bytes += buffer.size();
  return bytes;
}

//===----------------------------------------------------------------------===//
// Results
//===----------------------------------------------------------------------===//

Expected<std::vector<AlignedBytes>> Trainer::Impl::parameters() {
  std::vector<AlignedBytes> all;
  bool root = transport.rank() == 0;
  if (root)
    all.resize(layout().parameters.size());
  for (auto [index, parameter] : llvm::enumerate(layout().parameters)) {
    if (!root)
      break;
    size_t bytes = parameter.size() * twist_type_size(parameter.type);
    all[index].resize(bytes);
    if (!parameter.trainable)
      std::memcpy(all[index].data(), frozen[index].data(), bytes);
  }
  size_t whole = llvm::find(kappas, 1.0) - kappas.begin();
  AlignedBytes dense;
  for (auto [t, tensor] : llvm::enumerate(store->tensors())) {
    if (!tensor.isParameter)
      continue;
    dense.resize(root ? tensor.size() * tensor.elementBytes() : 0);
    if (Error error = store->collect(t, dense.data()))
      return std::move(error);
    if (!root)
      continue;
    AlignedBytes &target = all[origins[t].parameter];
    size_t first = origins[t].gainAxis >= 0 ? whole * tensor.elementBytes() : 0;
    std::memcpy(target.data(), dense.data() + first, target.size());
  }
  return std::move(all);
}

Expected<std::vector<double>> Trainer::Impl::gainValues(int64_t axis) {
  std::vector<double> values;
  for (auto [t, tensor] : llvm::enumerate(store->tensors())) {
    if (!tensor.isParameter || origins[t].gainAxis != axis)
      continue;
    AlignedBytes dense(tensor.size() * tensor.elementBytes());
    if (Error error = store->collect(t, dense.data()))
      return std::move(error);
    for (size_t k = 0; k < kappas.size(); ++k)
      values.push_back(tensor.type == TWIST_F64 ? dense.as<double>()[k]
                                                : double(dense.as<float>()[k]));
  }
  for (const Parameter &parameter : layout().parameters)
    if (!parameter.trainable && parameter.role == ParameterRole::Gain &&
        gainAxis(layout(), parameter) == axis)
      for (double kappa : kappas)
        values.push_back(firstGain(parameter, kappa));
  return values;
}

Expected<std::vector<std::pair<double, double>>> Trainer::gains(int64_t axis) {
  Expected<std::vector<double>> values = impl->gainValues(axis);
  if (!values)
    return values.takeError();
  std::vector<std::pair<double, double>> result;
  if (!values->empty())
    for (auto [kappa, value] : llvm::zip_equal(impl->kappas, *values))
      result.emplace_back(kappa, value);
  return result;
}

//===----------------------------------------------------------------------===//
// Options by name
//===----------------------------------------------------------------------===//

json::Object twist::train::describe(const TrainOptions &o) {
  json::Array rules, steps, masks;
  for (const KappaRule &rule : o.assignment.kappas)
    rules.push_back(
        json::Array{rule.kind, rule.layer.value_or(-1), rule.kappa});
  for (const KappaStep &step : o.assignment.anneal)
    steps.push_back(json::Array{step.round, step.kappa});
  for (const auto &units : o.fixed)
    masks.push_back(json::Array(units));
  return json::Object{
      {"mode", int(o.mode)},
      {"workers", o.assignment.workers},
      {"seed", int64_t(o.assignment.seed)},
      {"dealing", int(o.assignment.dealing)},
      {"kappa", std::move(rules)},
      {"anneal", std::move(steps)},
      {"any_kappa", json::Array(o.assignment.anyKappa)},
      {"group", o.group},
      {"pin_layers", json::Array{o.pinFirst, o.pinLast}},
      {"fixed", std::move(masks)},
      {"rounds", o.rounds},
      {"local_steps", o.localSteps},
      {"batch", o.batch},
      {"context", o.context},
      {"loss", int(o.loss.kind)},
      {"label_smoothing", o.loss.labelSmoothing},
      {"optimiser", int(o.optimiser)},
      {"precision", int(o.precision)},
      {"learning_rate", o.scalars.learningRate},
      {"betas", json::Array{o.scalars.beta1, o.scalars.beta2}},
      {"epsilon", o.scalars.epsilon},
      {"momentum", o.scalars.momentum},
      {"weight_decay", o.scalars.weightDecay},
      {"clip", o.scalars.clipNorm},
      {"dropout", o.scalars.dropout},
      {"schedule", json::Array{int(o.schedule.kind), o.schedule.warmup,
                               o.schedule.decay, o.schedule.floor}},
      {"state", int(o.state)},
      {"outer", json::Array{o.outer.nesterov, o.outer.rate, o.outer.momentum}},
      {"gains", json::Array(o.gains)},
      {"spreads", json::Array(o.spreads)}};
}

//===----------------------------------------------------------------------===//
// Checkpoints
//===----------------------------------------------------------------------===//

Expected<json::Object> Trainer::Impl::stamp() {
  // The program of the round that comes next, of the first worker.
  int64_t next = std::min(round, options.rounds - 1);
  std::vector<std::vector<Mask>> masks;
  for (size_t axis = 0; axis < dealt.size(); ++axis)
    masks.push_back(assignment->deal(int64_t(axis), next));
  auto step = compileFor(planWorker(0, next, masks).masks);
  if (!step)
    return step.takeError();
  return json::Object{{"format", "twist checkpoint 1"},
                      {"round", round},
                      {"model", layout().structureSHA256},
                      {"data", data.hash()},
                      {"teacher", teacher ? teacher->hash() : ""},
                      {"machine", sys::getHostCPUName()},
                      {"program", (*step)->hash()},
                      {"options", describe(options)}};
}

/// The tensors of a worker's own state, by a name of their own.
static std::string localName(int64_t worker, const StoredTensor &tensor) {
  return "worker" + std::to_string(worker) + "/" + tensor.name;
}

Error Trainer::Impl::save(StringRef path) {
  Expected<json::Object> metadata = stamp();
  if (!metadata)
    return metadata.takeError();
  struct Item {
    size_t tensor;
    int64_t worker; ///< -1: of all
    bool outer;
  };
  std::vector<Item> items;
  std::vector<TensorHeader> headers;
  auto add = [&](const std::string &name, Item item) {
    const StoredTensor &tensor = store->tensors()[item.tensor];
    headers.push_back({name, tensor.type, tensor.dims});
    items.push_back(item);
  };
  for (size_t t : exchanged) {
    add(store->tensors()[t].name, {t, -1, false});
    if (store->hasOuter(t))
      add("outer/" + store->tensors()[t].name, {t, -1, true});
  }
  if (options.state == StateMode::Local)
    for (int64_t worker = 0; worker < workers(); ++worker)
      for (auto [t, tensor] : llvm::enumerate(store->tensors()))
        if (!tensor.isParameter)
          add(localName(worker, tensor), {t, worker, false});

  AlignedBytes dense;
  auto fill = [&](size_t i) -> Expected<ArrayRef<char>> {
    auto [t, worker, outer] = items[i];
    dense.resize(headers[i].bytes());
    Error error = Error::success();
    if (worker < 0) {
      error = outer ? store->collectOuter(t, dense.data())
                    : store->collect(t, dense.data());
    } else {
      int process = store->placement().process(worker);
      if (store->isMine(worker) && localState[worker].size() > t &&
          localState[worker][t].size() == dense.size())
        std::memcpy(dense.data(), localState[worker][t].data(), dense.size());
      std::vector<OutgoingMessage> sends;
      std::vector<IncomingMessage> receives;
      if (process != 0 && process == transport.rank())
        sends.push_back({0, dense.data(), dense.size()});
      if (process != 0 && transport.rank() == 0)
        receives.push_back({process, dense.data(), dense.size()});
      error = transport.exchange(sends, receives);
    }
    if (error)
      return std::move(error);
    return ArrayRef<char>(dense.data(), dense.size());
  };
  if (transport.rank() == 0)
    return writeTensors(path, headers, *metadata, fill);
  for (size_t i = 0; i < items.size(); ++i)
    if (auto bytes = fill(i); !bytes)
      return bytes.takeError();
  return Error::success();
}

Error Trainer::Impl::checkStamp(const json::Object &found, StringRef path,
                                bool otherMachine) {
  auto text = [](const json::Value *value) {
    return value ? formatv("{0}", *value).str() : std::string("nothing");
  };
  auto refuse = [&](const Twine &what) {
    return createStringError(path + ": " + what);
  };
  if (found.getString("format") != StringRef("twist checkpoint 1"))
    return refuse("is no checkpoint of twist train");
  round = found.getInteger("round").value_or(-1);
  if (round < 0 || round > options.rounds)
    return refuse("has no valid round");
  json::Object mine = describe(options);
  const json::Object *theirs = found.getObject("options");
  for (const auto &[key, value] : mine)
    if (const json::Value *other = theirs ? theirs->get(key) : nullptr;
        text(other) != text(&value))
      return refuse("was made with other options: '" + StringRef(key) +
                    "' was " + text(other) + " and is " + text(&value));
  Expected<json::Object> now = stamp();
  if (!now)
    return now.takeError();
  if (text(found.get("model")) != text(now->get("model")))
    return refuse("is a checkpoint of another model");
  if (text(found.get("data")) != text(now->get("data")))
    return refuse("was made with other data");
  if (found.getString("teacher").value_or("") !=
      now->getString("teacher").value_or(""))
    return refuse("was made with another teacher");
  for (StringRef key : {"machine", "program"})
    if (!otherMachine && text(found.get(key)) != text(now->get(key)))
      return refuse("was made by another " + key + " (" + text(found.get(key)) +
                    ", here " + text(now->get(key)) +
                    "): results would differ; --allow-other-machine goes on "
                    "all the same");
  return Error::success();
}

Error Trainer::Impl::resume(StringRef path, bool otherMachine) {
  Expected<TensorFile> file = TensorFile::open(path, /*check=*/true);
  if (!file)
    return file.takeError();
  if (Error error = checkStamp(file->metadata(), path, otherMachine))
    return error;
  auto find = [&](const std::string &name, size_t t) {
    const StoredTensor &tensor = store->tensors()[t];
    return file->find({name, tensor.type, tensor.dims});
  };
  for (size_t t : exchanged) {
    auto dense = find(store->tensors()[t].name, t);
    if (!dense)
      return dense.takeError();
    store->set(t, *dense);
    if (!store->hasOuter(t))
      continue;
    auto outer = find("outer/" + store->tensors()[t].name, t);
    if (!outer)
      return outer.takeError();
    store->setOuter(t, *outer);
  }
  if (options.state != StateMode::Local)
    return Error::success();
  for (int64_t worker = 0; worker < workers(); ++worker) {
    if (!store->isMine(worker))
      continue;
    localState[worker].resize(origins.size());
    for (auto [t, tensor] : llvm::enumerate(store->tensors())) {
      if (tensor.isParameter)
        continue;
      auto dense = find(localName(worker, tensor), t);
      if (!dense)
        return dense.takeError();
      localState[worker][t].resize(tensor.size() * tensor.elementBytes());
      std::memcpy(localState[worker][t].data(), *dense,
                  localState[worker][t].size());
    }
  }
  return Error::success();
}

Error Trainer::Impl::startFrom(StringRef path) {
  Expected<TensorFile> file = TensorFile::open(path, /*check=*/true);
  if (!file)
    return file.takeError();
  if (file->metadata().getString("model") !=
      StringRef(layout().structureSHA256))
    return createStringError(path + ": is a checkpoint of another model");
  for (size_t t : exchanged) {
    const StoredTensor &tensor = store->tensors()[t];
    if (origins[t].gainAxis >= 0)
      continue;
    auto dense = file->find({tensor.name, tensor.type, tensor.dims});
    if (!dense)
      return dense.takeError();
    store->set(t, *dense);
  }
  return Error::success();
}
