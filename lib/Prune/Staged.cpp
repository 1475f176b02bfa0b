//===- Staged.cpp - A model in pieces, one ticket after the other ---------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Prune/Staged.h"

#include "twist/Prune/SparseGPT.h"

#include "llvm/ADT/STLExtras.h"

#include <cstring>

using namespace llvm;
using namespace twist;
using namespace twist::prune;

static std::vector<int64_t> lastUses(const StagedModel &model) {
  std::vector<int64_t> last(model.slots, -1);
  for (auto [i, stage] : llvm::enumerate(model.stages))
    for (Wire wire : stage.inputs)
      if (wire.kind == Wire::Value)
        last[wire.index] = int64_t(i);
  // Statistics are taken when their stage has run.
  for (auto [i, consumer] : llvm::enumerate(model.consumers))
    last[consumer.data] = std::max(last[consumer.data], int64_t(i));
  return last;
}

uint64_t StagedModel::activationBytes(int64_t batches) const {
  std::vector<int64_t> last = lastUses(*this);
  std::vector<uint64_t> bytes(slots);
  uint64_t now = 0, most = 0;
  for (auto [i, stage] : llvm::enumerate(stages)) {
    for (int64_t slot = 0; slot < slots; ++slot)
      if (last[slot] + 1 == int64_t(i))
        now -= bytes[slot];
    for (auto [at, wire] : llvm::enumerate(stage.outputs)) {
      if (wire.kind != Wire::Value)
        continue;
      const twist_tensor_info *info =
          twist_program_output(stage.program.get(), at);
      uint64_t size = twist_type_size(static_cast<twist_type>(info->type));
      for (int d = 0; d < info->rank; ++d)
        size *= uint64_t(info->dims[d]);
      now += bytes[wire.index] = size * uint64_t(batches);
    }
    most = std::max(most, now);
  }
  return most;
}

static void clearRemoved(const SiteAxis &axis, const KeptUnits &kept,
                         std::vector<char> &features) {
  auto found = kept.find(axis.name);
  if (found == kept.end())
    return;
  for (int64_t unit = 0; unit < axis.units; ++unit)
    if (!found->second[unit])
      for (int64_t feature : axis.features(unit))
        features[feature] = 0;
}

std::vector<char> twist::prune::keptFeatures(const Site &site,
                                             const KeptUnits &kept) {
  std::vector<char> features(site.width, 1);
  for (const SiteAxis &axis : site.axes)
    clearRemoved(axis, kept, features);
  return features;
}

StagedRun::StagedRun(const StagedModel &model, const Feed &feed, KeptUnits kept,
                     int threads)
    : model(model), feed(feed), kept(std::move(kept)), threads(threads),
      corrected(model.sites.size()), lastUse(lastUses(model)),
      values(model.slots) {}

//===----------------------------------------------------------------------===//
// Inputs of stages
//===----------------------------------------------------------------------===//

static Array makeArray(twist_type type, ArrayRef<int64_t> dims) {
  Array array;
  array.type = type;
  array.dims.assign(dims.begin(), dims.end());
  array.data.resize(array.size() * twist_type_size(type));
  return array;
}

static void store(Array &array, int64_t i, double value) {
  if (array.type == TWIST_F64)
    reinterpret_cast<double *>(array.data.data())[i] = value;
  else
    reinterpret_cast<float *>(array.data.data())[i] = float(value);
}

/// The rows are the gated dimension; those of removed features are zero.
Array StagedRun::weightOf(int64_t index) const {
  const Site &site = model.sites[index];
  const Consumer &consumer = model.consumers[index];
  const std::vector<double> &weight =
      corrected[index] ? corrected[index]->weight : site.weight;
  std::vector<char> features = keptFeatures(site, kept);
  Array array = makeArray(consumer.type, consumer.dims);
  int64_t inner = 1;
  for (int64_t size : ArrayRef(consumer.dims).drop_front(consumer.dim + 1))
    inner *= size;
  int64_t outer = site.columns / inner;
  for (int64_t row = 0; row < site.width; ++row)
    for (int64_t o = 0; o < outer; ++o)
      for (int64_t i = 0; i < inner; ++i)
        store(array, (o * site.width + row) * inner + i,
              features[row] ? weight[row * site.columns + o * inner + i] : 0);
  return array;
}

Array StagedRun::biasOf(int64_t index) const {
  Array array =
      makeArray(model.consumers[index].type, model.sites[index].columns);
  if (corrected[index])
    for (auto [i, value] : llvm::enumerate(corrected[index]->bias))
      store(array, int64_t(i), value);
  return array;
}

Array StagedRun::maskOf(int64_t index) const {
  const FreeGate &gate = model.gates[index];
  std::vector<char> features(gate.dims[0], 1);
  clearRemoved(gate.axis, kept, features);
  Array array = makeArray(TWIST_BOOL, gate.dims);
  std::memcpy(array.data.data(), features.data(), features.size());
  return array;
}

Expected<Array> StagedRun::inputFor(Wire wire, int64_t batch,
                                    const Batch &data) const {
  switch (wire.kind) {
  case Wire::Input:
    return data.inputs[wire.index];
  case Wire::Value:
    return values[wire.index][batch];
  case Wire::Weight:
    return weightOf(wire.index);
  case Wire::Bias:
    return biasOf(wire.index);
  case Wire::Mask:
    return maskOf(wire.index);
  case Wire::Output:
    break;
  }
  llvm_unreachable("an output is no input");
}

//===----------------------------------------------------------------------===//
// Stages
//===----------------------------------------------------------------------===//

Error StagedRun::run(
    int64_t index,
    function_ref<Error(Runner &, const Batch &, ArrayRef<Array>)> take) {
  const Stage &stage = model.stages[index];
  if (!stage.program) {
    at = index;
    return Error::success();
  }
  auto runner = Runner::create(stage.program.get(), threads);
  if (!runner)
    return runner.takeError();
  for (auto [slot, last] : llvm::enumerate(lastUse))
    if (last < index)
      values[slot].clear();
  std::vector<Array> inputs(stage.inputs.size());
  for (int64_t b = 0; b < feed.batches(); ++b) {
    Expected<Batch> batch = feed.batch(b);
    if (!batch)
      return batch.takeError();
    for (auto [i, wire] : llvm::enumerate(stage.inputs)) {
      bool isSame = wire.kind != Wire::Input && wire.kind != Wire::Value;
      if (b > 0 && isSame)
        continue;
      Expected<Array> input = inputFor(wire, b, *batch);
      if (!input)
        return input.takeError();
      inputs[i] = std::move(*input);
    }
    auto outputs = runner->run(inputs);
    if (!outputs)
      return outputs.takeError();
    if (Error error = take(*runner, *batch, *outputs))
      return error;
  }
  at = index;
  return Error::success();
}

Error StagedRun::runTo(int64_t site) {
  while (at < site) {
    const Stage &stage = model.stages[at + 1];
    Error error =
        run(at + 1, [&](Runner &, const Batch &, ArrayRef<Array> outputs) {
          for (auto [wire, output] : llvm::zip_equal(stage.outputs, outputs))
            values[wire.index].push_back(output);
          return Error::success();
        });
    if (error)
      return error;
  }
  return Error::success();
}

Error StagedRun::accumulate(Site &site, Moments what) const {
  // For its threads alone.
  auto runner = Runner::create(model.stages.back().program.get(), threads);
  if (!runner)
    return runner.takeError();
  for (auto [b, array] : llvm::enumerate(values[model.consumers[at].data]))
    if (Error error = prune::accumulate(site, array, *runner, int64_t(b), what))
      return error;
  return Error::success();
}

void StagedRun::correct(const CorrectedSite &site) {
  for (auto [i, known] : llvm::enumerate(model.sites))
    if (known.key == site.key)
      corrected[i] = site;
}

Error StagedRun::finish(
    function_ref<Error(Runner &, const Batch &, ArrayRef<Array>)> take) {
  if (Error error = runTo(int64_t(model.sites.size()) - 1))
    return error;
  const Stage &stage = model.stages.back();
  std::vector<size_t> order(model.outputs.size());
  for (auto [i, wire] : llvm::enumerate(stage.outputs))
    order[wire.index] = i;
  if (llvm::is_sorted(order))
    return run(int64_t(model.sites.size()), take);
  return run(int64_t(model.sites.size()),
             [&](Runner &runner, const Batch &batch, ArrayRef<Array> outputs) {
               std::vector<Array> sorted;
               for (size_t i : order)
                 sorted.push_back(outputs[i]);
               return take(runner, batch, sorted);
             });
}

Error twist::prune::calibrate(std::vector<Site> &sites,
                              const StagedModel &model, const Feed &feed,
                              int threads) {
  StagedRun run(model, feed, {}, threads);
  for (auto [i, site] : llvm::enumerate(sites)) {
    if (Error error = run.runTo(int64_t(i)))
      return error;
    if (Error error = run.accumulate(site))
      return error;
  }
  return Error::success();
}

Expected<std::vector<CorrectedSite>> twist::prune::correctModel(
    const StagedModel &model, StagedRun &run, const KeptUnits &kept,
    CorrectionKind kind,
    function_ref<void(const Site &, ArrayRef<char>, const CorrectedSite &)>
        tell) {
  std::vector<CorrectedSite> results;
  for (auto [i, clean] : llvm::enumerate(model.sites)) {
    std::vector<char> features = keptFeatures(clean, kept);
    if (kind == CorrectionKind::None || !llvm::is_contained(features, 0))
      continue;
    if (!model.consumers[i].takesBias)
      return createStringError("the consumer at gate " + clean.name() +
                               " is no product with a matrix on its right: it "
                               "cannot be corrected");
    if (Error error = run.runTo(int64_t(i)))
      return std::move(error);
    Site site = clean;
    if (Error error = run.accumulate(site, momentsFor(kind)))
      return std::move(error);
    auto result = correctSite(site, features, kind);
    if (!result)
      return result.takeError();
    run.correct(*result);
    tell(site, features, *result);
    results.push_back(std::move(*result));
  }
  return results;
}

//===----------------------------------------------------------------------===//
// Tickets
//===----------------------------------------------------------------------===//

Expected<TicketMeter> TicketMeter::create(const StagedModel &model,
                                          const Feed &data, const Feed &report,
                                          StringRef output, int threads) {
  Expected<Batch> one = data.batch(0), other = report.batch(0);
  if (!one || !other)
    return joinErrors(one.takeError(), other.takeError());
  for (auto [a, b] : llvm::zip_equal(one->inputs, other->inputs))
    if (a.dims != b.dims)
      return createStringError("the data to report on make batches of other "
                               "sizes than those to measure with");
  auto meter = QualityMeter::create(model.outputs, report, output);
  if (!meter)
    return meter.takeError();
  TicketMeter result(model, data, report, std::move(*meter), threads);
  Expected<size_t> place = result.meter.find(model.outputs);
  if (!place)
    return place.takeError();
  result.place = *place;
  StagedRun run(model, report, {}, threads);
  Error error = run.finish(
      [&](Runner &runner, const Batch &batch, ArrayRef<Array> outputs) {
        return result.meter.addDense(runner, batch, outputs[*place]);
      });
  if (error)
    return std::move(error);
  result.denseQuality = result.meter.value();
  return result;
}

Expected<TicketMeter::Result> TicketMeter::measure(const KeptUnits &kept,
                                                   CorrectionKind kind) {
  Result result;
  if (kind != CorrectionKind::None) {
    StagedRun run(model, data, kept, threads);
    auto corrected = correctModel(
        model, run, kept, kind,
        [](const Site &, ArrayRef<char>, const CorrectedSite &) {});
    if (!corrected)
      return corrected.takeError();
    result.corrected = std::move(*corrected);
  }
  StagedRun run(model, report, kept, threads);
  for (const CorrectedSite &site : result.corrected)
    run.correct(site);
  Expected<double> quality = finish(run);
  if (!quality)
    return quality.takeError();
  result.quality = *quality;
  return result;
}

Expected<double> TicketMeter::finish(StagedRun &run) {
  meter.start();
  Error error = run.finish(
      [&](Runner &runner, const Batch &batch, ArrayRef<Array> outputs) {
        return meter.add(runner, batch, outputs[place]);
      });
  if (error)
    return std::move(error);
  return meter.value();
}

Expected<std::pair<double, double>> TicketMeter::measureSparse(double density) {
  StagedRun onData(model, data, {}, threads), run(model, report, {}, threads);
  std::vector<CorrectedSite> sites;
  Expected<double> kept = sparsifyModel(model, onData, density, sites);
  if (!kept)
    return kept.takeError();
  for (const CorrectedSite &site : sites)
    run.correct(site);
  Expected<double> quality = finish(run);
  if (!quality)
    return quality.takeError();
  return std::pair(*quality, *kept);
}
