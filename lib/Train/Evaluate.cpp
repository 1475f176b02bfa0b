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
  StepInputs inputs(**step, teacher);
  inputs.bind(buffers);
  for (int64_t batch = 0; batch < data.batches(); ++batch) {
    if (Error error = inputs.load(data, 0, batch))
      return error;
    int64_t counted = inputs.counted();
    if (counted == 0) // no token of a short batch was masked
      continue;
    auto start = Clock::now();
    Expected<StepResult> result = session->evaluate(buffers, {});
    if (!result)
      return result.takeError();
    double took = std::chrono::duration<double>(Clock::now() - start).count();
    score.seconds = score.labels == 0 ? took : std::min(score.seconds, took);
    score.loss += result->loss * double(counted);
    score.labels += counted;
  }
  if (score.labels == 0)
    return createStringError("the data have no label to judge by");
  score.loss /= double(score.labels);
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
