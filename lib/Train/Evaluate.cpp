//===- Evaluate.cpp - How good subnetworks are ----------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Train/Evaluate.h"

#include "StepInputs.h"

#include "llvm/ADT/STLExtras.h"

#include <chrono>
#include <cmath>

using namespace llvm;
using namespace twist;
using namespace twist::train;

using Clock = std::chrono::steady_clock;

Expected<Score> Evaluator::run(ArrayRef<AlignedBytes> parameters,
                               const Masks &masks, ArrayRef<double> gains) {
  const ModelLayout &layout = compiler.layout();
  StepRequest request;
  request.units = widths(masks);
  request.batch = data.options().batch;
  request.sequence = data.options().context;
  request.loss = loss;
  request.precision = precision;
  request.entries = EntryEvaluate;
  auto step = compiler.compile(request);
  if (!step)
    return step.takeError();
  std::unique_ptr<StepSession> &session = sessions[step->get()];
  if (!session) {
    auto made = (*step)->createSession(threads);
    if (!made)
      return made.takeError();
    session = std::move(*made);
  }

  Score score;
  std::vector<AlignedBytes> slices;
  StepBuffers buffers;
  for (auto [parameter, dense] :
       llvm::zip_equal(layout.parameters, parameters)) {
    AlignedBytes &slice = slices.emplace_back(sliceOf(parameter, dense, masks));
    if (parameter.role == ParameterRole::Gain && !gains.empty())
      storeReal(slice.data(), parameter.type,
                gains[gainAxis(layout, parameter)]);
    buffers.parameters.push_back(slice.data());
    score.parameters += int64_t(slice.size() / twist_type_size(parameter.type));
  }
  StepInputs inputs(**step);
  inputs.bind(buffers);
  int64_t count = data.windows() / request.batch;
  if (batches > 0)
    count = std::min(count, batches);
  for (int64_t batch = 0; batch < count; ++batch) {
    if (Error error = inputs.load(data, 0, batch))
      return std::move(error);
    auto start = Clock::now();
    Expected<StepResult> result = session->evaluate(buffers, {});
    if (!result)
      return result.takeError();
    double took = std::chrono::duration<double>(Clock::now() - start).count();
    score.seconds = batch == 0 ? took : std::min(score.seconds, took);
    score.nats += result->loss / double(count);
  }
  score.tokens = count * request.batch * request.sequence;
  return score;
}

Spread twist::train::spreadOf(ArrayRef<double> values) {
  Spread spread;
  if (values.empty())
    return spread;
  for (double value : values)
    spread.mean += value / double(values.size());
  for (double value : values)
    spread.deviation += (value - spread.mean) * (value - spread.mean);
  spread.deviation =
      values.size() < 2
          ? 0
          : std::sqrt(spread.deviation / double(values.size() - 1));
  spread.least = *llvm::min_element(values);
  spread.most = *llvm::max_element(values);
  return spread;
}
