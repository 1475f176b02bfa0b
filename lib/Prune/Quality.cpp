//===- Quality.cpp - One number for how good a model is -------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Prune/Evaluate.h"

#include "llvm/ADT/STLExtras.h"

#include <ctime>
#include <limits>

using namespace llvm;
using namespace twist;
using namespace twist::prune;

std::vector<Port> twist::prune::outputPorts(const twist_program *program) {
  std::vector<Port> ports;
  for (size_t i = 0; i < twist_program_output_count(program); ++i) {
    const twist_tensor_info *info = twist_program_output(program, i);
    Port &port = ports.emplace_back();
    port.name = info->name;
    port.type = static_cast<twist_type>(info->type);
    port.dims.assign(info->dims, info->dims + info->rank);
  }
  return ports;
}

Expected<QualityMeter> QualityMeter::create(ArrayRef<Port> outputs,
                                            const Feed &feed,
                                            StringRef output) {
  auto isRead = [](const Port &port) {
    return (port.type == TWIST_F32 || port.type == TWIST_F64) &&
           !port.dims.empty();
  };
  auto tellsTokens = [&](const Port &port) {
    return isRead(port) && feed.tokens() > 0 && feed.vocabulary() > 0 &&
           port.dims.back() == feed.vocabulary() && port.dims.size() >= 2;
  };
  auto isWhole = [](const Port &port) { return !isFloat(port.type); };
  QualityMeter meter;
  meter.feed = &feed;
  auto found = llvm::find_if(outputs, [&](const Port &port) {
    return output.empty() ? tellsTokens(port) : port.name == output;
  });
  if (found == outputs.end() && output.empty())
    found = llvm::find_if(outputs, isRead);
  if (found == outputs.end() && output.empty())
    found = llvm::find_if(outputs, isWhole);
  if (found == outputs.end())
    return createStringError(
        output.empty()
            ? Twine("the model has no output of f32, f64 or integers")
            : "the model has no output '" + output + "'");
  if (!isRead(*found) && !isWhole(*found))
    return createStringError("output '" + found->name +
                             "' is not f32, f64 or integers");
  meter.name = found->name;
  meter.kind = tellsTokens(*found) ? Kind::Perplexity
               : isWhole(*found)   ? Kind::Agreement
                                   : Kind::Cosine;
  return meter;
}

StringRef QualityMeter::measure() const {
  switch (kind) {
  case Kind::Perplexity:
    return "perplexity";
  case Kind::Cosine:
    return "cosine to dense";
  case Kind::Agreement:
    return "equal to dense";
  }
  llvm_unreachable("a kind of the enumeration");
}

Expected<size_t> QualityMeter::find(ArrayRef<Port> outputs) const {
  for (auto [i, port] : llvm::enumerate(outputs))
    if (port.name == name)
      return i;
  return createStringError("the model has no output '" + name + "'");
}

Error QualityMeter::addDense(Runner &runner, const Batch &batch,
                             const Array &output) {
  if (!isPerplexity())
    dense.push_back(output);
  return add(runner, batch, output);
}

void QualityMeter::start() {
  told = {};
  likeness = {};
  batches = 0;
}

Error QualityMeter::add(Runner &runner, const Batch &batch,
                        const Array &output) {
  if (isPerplexity())
    return addPerplexity(runner, *feed, batch, output, told);
  return addLikeness(output, dense[batches++], name, likeness);
}

double QualityMeter::value() const {
  return isPerplexity() ? told.perplexity() : likeness.mean();
}

static double secondsOf(clockid_t clock) {
  timespec now = {};
  clock_gettime(clock, &now);
  return double(now.tv_sec) + 1e-9 * double(now.tv_nsec);
}

Expected<std::vector<double>>
twist::prune::timeInTurn(ArrayRef<Runner *> runners,
                         ArrayRef<ArrayRef<Array>> inputs, int64_t repeat) {
  std::vector<double> least(runners.size(),
                            std::numeric_limits<double>::infinity());
  for (int64_t round = 0; round <= repeat; ++round)
    for (auto [i, runner] : llvm::enumerate(runners)) {
      clockid_t clock =
          runner->threads() == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC;
      double start = secondsOf(clock);
      auto outputs = runner->run(inputs[i]);
      if (!outputs)
        return outputs.takeError();
      if (round > 0)
        least[i] = std::min(least[i], secondsOf(clock) - start);
    }
  return least;
}
