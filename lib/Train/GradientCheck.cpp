//===- GradientCheck.cpp - Gradients against differences ------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Train/GradientCheck.h"

#include "twist/Support/Philox.h"
#include "twist/Train/StepMemory.h"

#include "llvm/ADT/STLExtras.h"

#include <cmath>
#include <cstring>
#include <numbers>

using namespace twist;
using namespace twist::train;

unsigned GradientCheckRow::kinks() const {
  return llvm::count_if(samples, [](auto &sample) { return sample.kink; });
}

const GradientSample *GradientCheckRow::worst() const {
  const GradientSample *worst = nullptr;
  for (const GradientSample &sample : samples)
    if (!sample.kink && (!worst || !(sample.error <= worst->error)))
      worst = &sample;
  return worst;
}

namespace {
class Checker {
public:
  Checker(StepCompiler &compiler, const GradientCheckOptions &options)
      : compiler(compiler), options(options), random(options.seed, 0, 0, 0) {}

  llvm::Expected<std::vector<GradientCheckRow>> run();

private:
  StepCompiler &compiler;
  const GradientCheckOptions &options;
  PhiloxStream random;
  std::shared_ptr<const CompiledStep> step;
  std::optional<StepMemory> memory;
  std::unique_ptr<StepSession> session;
  /// Sum of the magnitudes that the value was summed from.
  double magnitude = 0;

  llvm::Error prepare();
  void fillInput(const Tensor &input, void *data);
  void fillNormal(double *data, int64_t size);
  double normal();
  llvm::Expected<double> value();
  llvm::Expected<double> valueAt(double &element, double change);
  llvm::Error check(GradientCheckRow &row, double *values,
                    const double *gradient);
  llvm::Expected<GradientSample> compare(double &element, double gradient);
  std::vector<int64_t> chooseElements(const double *gradient, int64_t size);
};
} // namespace

/// By Box and Muller.
double Checker::normal() {
  double radius = std::sqrt(-2 * std::log(random.uniform()));
  return radius * std::cos(2 * std::numbers::pi * random.uniform());
}

void Checker::fillNormal(double *data, int64_t size) {
  for (int64_t i = 0; i < size; ++i)
    data[i] = normal();
}

/// Rows of the largest table that is gathered from.
static int64_t idsOf(const ModelLayout &layout) {
  int64_t rows = layout.vocabulary;
  if (rows == 0)
    for (const Parameter &parameter : layout.parameters)
      if (parameter.role == ParameterRole::Embedding)
        rows = std::max(rows, parameter.dims.front());
  return std::max<int64_t>(rows, 1);
}

void Checker::fillInput(const Tensor &input, void *data) {
  int64_t ids = idsOf(compiler.layout());
  auto integer = [&](int64_t i) -> int64_t {
    switch (input.role) {
    case InputRole::Ids:
      return int64_t(random.below(uint64_t(ids)));
    case InputRole::Ones:
      return 1;
    case InputRole::Positions:
      return i % input.dims.back();
    default:
      return 0;
    }
  };
  if (input.type == TWIST_F64) {
    fillNormal(static_cast<double *>(data), input.size());
    return;
  }
  assert(input.type != TWIST_F32 && "an f64 step's floats are f64");
  unsigned width = twist_type_size(input.type);
  for (int64_t i = 0; i < input.size(); ++i) {
    int64_t number = integer(i); // little-endian
    std::memcpy(static_cast<char *>(data) + i * width, &number, width);
  }
}

llvm::Error Checker::prepare() {
  const ModelLayout &layout = compiler.layout();
  for (const Parameter &parameter : layout.parameters)
    if (parameter.type != TWIST_F64)
      return llvm::createStringError("parameter '" + parameter.name +
                                     "' is not f64");
  StepRequest request;
  request.batch = options.batch;
  request.sequence = options.sequence;
  request.sizes = options.sizes;
  request.loss.kind = LossKind::External;
  request.entries = EntryForward | EntryBackward;
  auto compiled = compiler.compile(request);
  if (!compiled)
    return compiled.takeError();
  step = *compiled;
  memory.emplace(layout, *step);
  if (llvm::Error error = memory->readParameters(compiler, wholeMasks(layout)))
    return error;
  for (auto [input, data] :
       llvm::zip_equal(step->inputs(), memory->buffers.inputs))
    fillInput(input, const_cast<void *>(data));
  for (auto [output, data] :
       llvm::zip_equal(step->outputs(), memory->buffers.cotangents))
    if (data)
      fillNormal(static_cast<double *>(const_cast<void *>(data)),
                 output.size());
  auto made = step->createSession(options.threads);
  if (!made)
    return made.takeError();
  session = std::move(*made);
  return llvm::Error::success();
}

/// The outputs' product with the cotangents.
llvm::Expected<double> Checker::value() {
  if (llvm::Error error = session->forward(memory->buffers, StepScalars()))
    return error;
  double sum = 0;
  magnitude = 0;
  for (auto [i, output] : llvm::enumerate(step->outputs())) {
    auto *cotangents =
        static_cast<const double *>(memory->buffers.cotangents[i]);
    if (!cotangents)
      continue;
    auto *values = static_cast<const double *>(memory->buffers.outputs[i]);
    for (int64_t k = 0; k < output.size(); ++k) {
      sum += values[k] * cotangents[k];
      magnitude += std::abs(values[k] * cotangents[k]);
    }
  }
  return sum;
}

llvm::Expected<double> Checker::valueAt(double &element, double change) {
  double before = element;
  element = before + change;
  auto result = value();
  element = before;
  return result;
}

/// Where the difference over the step does not agree, shorter ones tell a kink
/// beside the point (they do, and the slopes of both sides differ by more than
/// curvature explains) or at it (they differ however short the step, and the
/// gradient lies between them) from a wrong gradient.
llvm::Expected<GradientSample> Checker::compare(double &element,
                                                double gradient) {
  GradientSample sample;
  sample.gradient = gradient;
  auto middle = value();
  if (!middle)
    return middle.takeError();
  double h = options.step * std::max(1.0, std::abs(element));
  double miss = 0, jumpBefore = 0; // of the longest step; of the one before
  for (int attempt = 0; attempt < 3; ++attempt, h /= 16) {
    auto above = valueAt(element, h);
    if (!above)
      return above.takeError();
    auto below = valueAt(element, -h);
    if (!below)
      return below.takeError();
    double noise = 16 * 0x1p-52 * magnitude / h;
    double slope = (*above - *below) / (2 * h);
    double scale = std::max(std::abs(slope), std::abs(gradient));
    double excess = std::abs(slope - gradient) - noise;
    double error = excess <= 0 ? 0 : excess / scale; // NaN stays
    double left = (*middle - *below) / h, right = (*above - *middle) / h;
    double jump = right - left;
    if (attempt == 0) {
      sample.difference = slope;
      sample.error = error;
      miss = std::abs(slope - gradient);
    }
    if (error <= options.tolerance) {
      sample.kink = attempt > 0 && std::abs(jumpBefore - 16 * jump) >= miss;
      return sample;
    }
    auto [low, high] = std::minmax(left, right);
    double margin =
        options.tolerance * std::max(std::abs(low), std::abs(high)) + noise;
    sample.kink = high - low > 100 * margin && gradient >= low - margin &&
                  gradient <= high + margin;
    jumpBefore = jump;
  }
  return sample;
}

/// Distinct elements, the one with the largest gradient first.
std::vector<int64_t> Checker::chooseElements(const double *gradient,
                                             int64_t size) {
  std::vector<int64_t> chosen;
  if (size <= int64_t(options.samples)) {
    for (int64_t i = 0; i < size; ++i)
      chosen.push_back(i);
    return chosen;
  }
  auto *largest =
      std::max_element(gradient, gradient + size, [](double a, double b) {
        return std::abs(a) < std::abs(b);
      });
  chosen.push_back(largest - gradient);
  while (chosen.size() < options.samples) {
    int64_t next = int64_t(random.below(uint64_t(size)));
    if (!llvm::is_contained(chosen, next))
      chosen.push_back(next);
  }
  return chosen;
}

llvm::Error Checker::check(GradientCheckRow &row, double *values,
                           const double *gradient) {
  int64_t size = 1;
  for (int64_t extent : row.dims)
    size *= extent;
  for (int64_t element : chooseElements(gradient, size)) {
    auto sample = compare(values[element], gradient[element]);
    if (!sample)
      return sample.takeError();
    sample->element = element;
    row.samples.push_back(*sample);
  }
  return llvm::Error::success();
}

llvm::Expected<std::vector<GradientCheckRow>> Checker::run() {
  if (llvm::Error error = prepare())
    return error;
  StepBuffers &buffers = memory->buffers;
  if (llvm::Error error =
          session->backward(buffers, StepScalars(), /*add=*/false))
    return error;
  std::vector<GradientCheckRow> rows;
  for (auto [i, parameter] : llvm::enumerate(compiler.layout().parameters)) {
    if (!buffers.gradients[i])
      continue;
    GradientCheckRow &row = rows.emplace_back();
    row.name = parameter.name;
    row.dims = step->parameterDims(i).vec();
    if (llvm::Error error =
            check(row, static_cast<double *>(buffers.parameters[i]),
                  static_cast<const double *>(buffers.gradients[i])))
      return error;
  }
  for (auto [i, input] : llvm::enumerate(step->inputs())) {
    if (!buffers.inputGradients[i])
      continue;
    GradientCheckRow &row = rows.emplace_back();
    row.name = input.name;
    row.dims = input.dims;
    row.isInput = true;
    if (llvm::Error error = check(
            row, static_cast<double *>(const_cast<void *>(buffers.inputs[i])),
            static_cast<const double *>(buffers.inputGradients[i])))
      return error;
  }
  return rows;
}

llvm::Expected<std::vector<GradientCheckRow>>
twist::train::checkGradients(StepCompiler &compiler,
                             const GradientCheckOptions &options) {
  return Checker(compiler, options).run();
}
