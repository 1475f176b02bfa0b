//===- Fisher.cpp - What a unit's gate does to the loss -------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Train/Fisher.h"

#include "StepInputs.h"

#include "twist/Support/Philox.h"

#include <cmath>
#include <numbers>

using namespace llvm;
using namespace twist;
using namespace twist::train;

static constexpr uint32_t kFisherFamily = 100;

static std::vector<prune::Port> portsOf(ArrayRef<Tensor> tensors) {
  std::vector<prune::Port> ports;
  for (const Tensor &tensor : tensors)
    ports.push_back({tensor.name,
                     tensor.type,
                     {tensor.dims.begin(), tensor.dims.end()},
                     {tensor.symbols.begin(), tensor.symbols.end()}});
  return ports;
}

/// Per index of dimension `dim` the unit of `axis` it belongs to; -1: none.
/// Empty where the axis does not run through the dimension.
static std::vector<int64_t> unitsOf(const Parameter &parameter, size_t dim,
                                    unsigned axis) {
  std::vector<int64_t> units;
  for (const AxisPlace &at : parameter.places[dim]) {
    if (at.axis != axis)
      continue;
    units.resize(parameter.dims[dim], -1);
    const Place &p = at.place;
    for (int64_t o = 0; o < p.outer; ++o)
      for (int64_t u = 0; u < p.units; ++u)
        for (int64_t i = 0; i < p.inner; ++i)
          units[p.offset + (o * p.units + u) * p.inner + i] = u;
  }
  return units;
}

Error GateFisher::findRows() {
  for (const Parameter &gain : layout->parameters) {
    if (gain.role != ParameterRole::Gain)
      continue;
    auto axis = unsigned(gainAxis(*layout, gain));
    auto refuse = [&](const Twine &why) {
      return createStringError("the policy fisher does not know axis '" +
                               layout->axes[axis].name + "': " + why);
    };
    if (!gain.isFoldable || gain.scales.empty())
      return refuse("no weight of its own is behind each of its gates");
    for (unsigned number : gain.scales) {
      const Parameter &weight = layout->parameters[number];
      size_t found = 0;
      for (size_t d = 0; d < weight.dims.size(); ++d) {
        std::vector<int64_t> units = unitsOf(weight, d, axis);
        if (units.empty())
          continue;
        if (found++)
          return refuse("it runs through two dimensions of weight '" +
                        weight.name + "'");
        int64_t inner = 1;
        for (size_t k = d + 1; k < weight.dims.size(); ++k)
          inner *= weight.dims[k];
        int64_t outer = weight.size() / (weight.dims[d] * inner);
        rows.push_back({axis, number, std::move(units), outer, inner});
      }
      if (!weight.trainable)
        return refuse("weight '" + weight.name + "' has no gradient");
    }
  }
  return Error::success();
}

Error GateFisher::compile(StepCompiler &compiler, StringRef output,
                          int threads) {
  auto meter =
      prune::QualityMeter::create(portsOf(layout->outputs), feed, output);
  if (!meter)
    return meter.takeError();
  if (meter->isOfIntegers())
    return createStringError("output '" + meter->output() +
                             "' holds integers, which have no gradient");
  perplexity = meter->isPerplexity();
  StepRequest request;
  request.sequence = std::max<int64_t>(feed.context(), 1); // arrays: none
  request.loss.output = meter->output().str();
  request.loss.kind = perplexity ? LossKind::CrossEntropy : LossKind::External;
  request.entries = perplexity ? EntryGradients : EntryForward | EntryBackward;
  auto batch = feed.batch(0);
  if (!batch)
    return batch.takeError();
  for (auto [input, array] : zip_equal(layout->inputs, batch->inputs))
    for (auto [symbol, size] : zip_equal(input.symbols, array.dims))
      if (!symbol.empty() && symbol != layout->batchSymbol &&
          symbol != layout->sequenceSymbol)
        request.sizes[symbol] = size;
  auto made = compiler.compile(request);
  if (!made)
    return made.takeError();
  step = *made;
  auto found = meter->find(portsOf(step->outputs()));
  if (!found)
    return found.takeError();
  place = *found;
  memory = std::make_unique<StepMemory>(*layout, *step);
  if (Error error = memory->readParameters(compiler, wholeMasks(*layout)))
    return error;
  auto opened = step->createSession(threads);
  if (!opened)
    return opened.takeError();
  session = std::move(*opened);
  return Error::success();
}

Expected<GateFisher> GateFisher::create(StepCompiler &compiler,
                                        prune::FeedOptions data,
                                        StringRef output, int threads) {
  const ModelLayout &layout = compiler.layout();
  data.batch = 1;
  auto feed = prune::Feed::create(portsOf(layout.inputs), data);
  if (!feed)
    return feed.takeError();
  GateFisher fisher(layout, std::move(*feed));
  if (Error error = fisher.findRows())
    return std::move(error);
  if (Error error = fisher.compile(compiler, output, threads))
    return std::move(error);
  return fisher;
}

uint64_t GateFisher::bytes() const {
  return memory->bytes + step->workingBytes();
}

/// The window's inputs, and as labels the tokens behind.
Error GateFisher::bind(const prune::Batch &batch) {
  auto &inputs = memory->buffers.inputs;
  for (auto [i, array] : enumerate(batch.inputs)) {
    if (array.data.size() !=
        step->inputs()[i].size() * twist_type_size(step->inputs()[i].type))
      return createStringError("window " + Twine(batch.first) + ": input '" +
                               step->inputs()[i].name +
                               "' has not the size of the first window's");
    inputs[i] = array.data.data();
  }
  if (!perplexity)
    return Error::success();
  labels.assign(batch.length, -100);
  const std::vector<uint32_t> &tokens = batch.tokens.front();
  for (size_t i = 1; i < tokens.size(); ++i)
    labels[i - 1] = tokens[i];
  inputs.back() = labels.data();
  return Error::success();
}

/// In each vector y of the output: (v - (v·y) y / |y|²) / |y|, v normal.
Error GateFisher::drawCotangents(int64_t window) {
  if (Error error = session->forward(memory->buffers, {}))
    return error;
  const Tensor &output = step->outputs()[place];
  auto *values = static_cast<const char *>(memory->buffers.outputs[place]);
  auto *to = static_cast<char *>(
      const_cast<void *>(memory->buffers.cotangents[place]));
  size_t bytes = twist_type_size(output.type);
  int64_t width = output.dims.back();
  PhiloxStream stream(0, uint32_t(window), 0, kFisherFamily);
  std::vector<double> v(width), y(width);
  for (int64_t row = 0; row < output.size() / width; ++row) {
    double along = 0, square = 0;
    for (int64_t i = 0; i < width; ++i) {
      double radius = std::sqrt(-2 * std::log(stream.uniform()));
      v[i] = radius * std::cos(2 * std::numbers::pi * stream.uniform());
      y[i] = loadReal(values + (row * width + i) * bytes, output.type);
      along += v[i] * y[i];
      square += y[i] * y[i];
    }
    if (!(square > 0) || !std::isfinite(square))
      return createStringError("output '" + output.name +
                               "' has a vector that is zero or not finite, in "
                               "window " +
                               Twine(window));
    for (int64_t i = 0; i < width; ++i)
      storeReal(to + (row * width + i) * bytes, output.type,
                (v[i] - along / square * y[i]) / std::sqrt(square));
  }
  return Error::success();
}

/// Adds the squares of dL/dg of one window.
void GateFisher::add(std::vector<std::vector<double>> &squares) const {
  std::vector<std::vector<double>> slopes;
  for (const Axis &axis : layout->axes)
    slopes.emplace_back(axis.units);
  for (const Rows &at : rows) {
    twist_type type = layout->parameters[at.parameter].type;
    size_t bytes = twist_type_size(type);
    auto *w =
        static_cast<const char *>(memory->buffers.parameters[at.parameter]);
    auto *g =
        static_cast<const char *>(memory->buffers.gradients[at.parameter]);
    for (int64_t o = 0; o < at.outer; ++o)
      for (int64_t unit : at.units) {
        double sum = 0;
        for (int64_t j = 0; j < at.inner; ++j, w += bytes, g += bytes)
          sum += loadReal(w, type) * loadReal(g, type);
        if (unit >= 0)
          slopes[at.axis][unit] += sum;
      }
  }
  for (auto [sums, values] : zip_equal(squares, slopes))
    for (auto [sum, value] : zip_equal(sums, values))
      sum += value * value;
}

Expected<StringMap<std::vector<double>>>
GateFisher::run(function_ref<void(int64_t)> tell) {
  std::vector<std::vector<double>> squares;
  for (const Axis &axis : layout->axes)
    squares.emplace_back(axis.units);
  for (int64_t window = 0; window < feed.windows(); ++window) {
    auto batch = feed.batch(window);
    if (!batch)
      return batch.takeError();
    if (Error error = bind(*batch))
      return std::move(error);
    if (perplexity) {
      auto result = session->gradients(memory->buffers, {}, /*add=*/false);
      if (!result)
        return result.takeError();
    } else {
      if (Error error = drawCotangents(window))
        return std::move(error);
      if (Error error = session->backward(memory->buffers, {}, /*add=*/false))
        return std::move(error);
    }
    add(squares);
    tell(window + 1);
  }
  StringMap<std::vector<double>> scores;
  for (auto [number, axis, sums] : enumerate(layout->axes, squares)) {
    if (none_of(rows, [&](const Rows &at) { return at.axis == number; }))
      continue;
    for (auto [unit, sum] : enumerate(sums)) {
      sum /= double(feed.windows());
      if (!std::isfinite(sum))
        return createStringError("gate '" + axis.name +
                                 "': the gradient of unit " + Twine(unit) +
                                 " is not finite");
    }
    scores[axis.name] = std::move(sums);
  }
  return scores;
}
