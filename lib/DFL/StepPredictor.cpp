//===- StepPredictor.cpp - A compiled model that predicts -----------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/DFL/StepPredictor.h"

#include "twist/DFL/Random.h"

#include "llvm/Support/FormatVariadic.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

using namespace llvm;
using namespace twist;
using namespace twist::dfl;

namespace {
/// An aligned tensor of f32 or f64, told in doubles.
class Buffer {
public:
  Buffer() = default;
  Buffer(twist_type type, int64_t count) : type(type), count(count) {
    size_t bytes = size_t(count) * twist_type_size(type);
    data.reset(std::aligned_alloc(64, (bytes + 127) / 64 * 64));
    clear();
  }
  void clear() {
    if (data)
      std::memset(data.get(), 0, size_t(count) * twist_type_size(type));
  }
  void write(int64_t begin, const double *values, int64_t n) {
    if (type == TWIST_F32)
      std::copy(values, values + n, static_cast<float *>(get()) + begin);
    else
      std::copy(values, values + n, static_cast<double *>(get()) + begin);
  }
  void read(int64_t begin, double *values, int64_t n) const {
    if (type == TWIST_F32)
      std::copy_n(static_cast<const float *>(get()) + begin, n, values);
    else
      std::copy_n(static_cast<const double *>(get()) + begin, n, values);
  }
  void zero(int64_t begin, int64_t end) {
    size_t size = twist_type_size(type);
    std::memset(static_cast<char *>(get()) + size_t(begin) * size, 0,
                size_t(end - begin) * size);
  }
  void *get() const { return data.get(); }
  int64_t size() const { return count; }

private:
  struct Free {
    void operator()(void *memory) const { std::free(memory); }
  };
  twist_type type = TWIST_F64;
  int64_t count = 0;
  std::unique_ptr<void, Free> data;
};
} // namespace

namespace twist::dfl {
class StepPredictor final : public Predictor {
public:
  StepPredictor(PredictorModel &model,
                std::unique_ptr<train::StepSession> session);

  int64_t features() const override { return model.features_; }
  int64_t outputs() const override { return model.outputs_; }
  Error forward(int64_t rows, const double *x, double *costs) override;
  Error backward(int64_t rows, const double *x, const double *cotangents,
                 double *inputGradients) override;
  void clearGradients() override;
  Error update(double learningRate) override;
  Error initialise(uint64_t seed) override;
  std::vector<double> parameters() const override;
  void setParameters(ArrayRef<double> values) override;
  Error save(StringRef path) override;

private:
  ArrayRef<train::Parameter> layout() const {
    return model.compiler->layout().parameters;
  }
  /// Rows from `begin` on, zeros behind the last.
  void fill(Buffer &buffer, const double *values, int64_t begin, int64_t rows,
            int64_t width) const;
  void draw(uint64_t seed);

  PredictorModel &model;
  std::unique_ptr<train::StepSession> session;
  std::vector<Buffer> parameters_, gradients, state;
  Buffer input, output, cotangent, inputGradient;
  train::StepBuffers buffers;
  train::StepScalars scalars;
};
} // namespace twist::dfl

StepPredictor::StepPredictor(PredictorModel &model,
                             std::unique_ptr<train::StepSession> session)
    : model(model), session(std::move(session)) {
  for (const train::Parameter &parameter : layout()) {
    parameters_.emplace_back(parameter.type, parameter.size());
    buffers.parameters.push_back(parameters_.back().get());
    gradients.emplace_back(parameter.type,
                           parameter.trainable ? parameter.size() : 0);
    buffers.gradients.push_back(parameter.trainable ? gradients.back().get()
                                                    : nullptr);
  }
  for (const train::StateTensor &tensor : model.step->state()) {
    int64_t count = 1;
    for (int64_t size : tensor.dims)
      count *= size;
    state.emplace_back(tensor.type, count);
    buffers.state.push_back(state.back().get());
  }
  const train::Tensor &in = model.step->inputs()[0];
  const train::Tensor &out = model.step->outputs()[0];
  input = Buffer(in.type, in.size());
  inputGradient = Buffer(in.type, in.size());
  output = Buffer(out.type, out.size());
  cotangent = Buffer(out.type, out.size());
  buffers.inputs = {input.get()};
  buffers.outputs = {output.get()};
  buffers.cotangents = {cotangent.get()};
  scalars.weightDecay = 0;
}

void StepPredictor::fill(Buffer &buffer, const double *values, int64_t begin,
                         int64_t rows, int64_t width) const {
  int64_t here = std::min(model.rows, rows - begin);
  buffer.write(0, values + begin * width, here * width);
  buffer.zero(here * width, model.rows * width);
}

Error StepPredictor::forward(int64_t rows, const double *x, double *costs) {
  for (int64_t begin = 0; begin < rows; begin += model.rows) {
    fill(input, x, begin, rows, features());
    if (Error error = session->forward(buffers, scalars))
      return error;
    output.read(0, costs + begin * outputs(),
                std::min(model.rows, rows - begin) * outputs());
  }
  return Error::success();
}

Error StepPredictor::backward(int64_t rows, const double *x,
                              const double *cotangents,
                              double *inputGradients) {
  buffers.inputGradients = {inputGradients ? inputGradient.get() : nullptr};
  for (int64_t begin = 0; begin < rows; begin += model.rows) {
    fill(input, x, begin, rows, features());
    fill(cotangent, cotangents, begin, rows, outputs());
    if (Error error = session->backward(buffers, scalars, /*add=*/true))
      return error;
    if (inputGradients)
      inputGradient.read(0, inputGradients + begin * features(),
                         std::min(model.rows, rows - begin) * features());
  }
  return Error::success();
}

void StepPredictor::clearGradients() {
  for (Buffer &gradient : gradients)
    gradient.clear();
}

Error StepPredictor::update(double learningRate) {
  scalars.learningRate = learningRate;
  auto result = session->update(buffers, scalars);
  return result ? Error::success() : result.takeError();
}

void StepPredictor::draw(uint64_t seed) {
  Draws draws(seed, 0, 0, DrawInitial);
  double bound = 0;
  for (auto [parameter, buffer] : zip_equal(layout(), parameters_)) {
    bool weight = parameter.role == train::ParameterRole::Weight;
    if (weight)
      bound = 1 / std::sqrt(double(parameter.size() / parameter.dims.back()));
    if (!weight && parameter.role != train::ParameterRole::Bias)
      continue;
    std::vector<double> values(size_t(parameter.size()));
    for (double &value : values)
      value = bound * (2 * draws.uniform() - 1);
    buffer.write(0, values.data(), buffer.size());
  }
}

Error StepPredictor::initialise(uint64_t seed) {
  for (Buffer &tensor : state)
    tensor.clear();
  clearGradients();
  {
    std::lock_guard<std::mutex> lock(model.files);
    for (size_t i = 0; i < parameters_.size(); ++i)
      if (Error error =
              model.compiler->readParameter(unsigned(i), parameters_[i].get()))
        return error;
  }
  if (model.initial == InitialParameters::Uniform)
    draw(seed);
  return Error::success();
}

std::vector<double> StepPredictor::parameters() const {
  std::vector<double> values;
  for (const Buffer &buffer : parameters_) {
    values.resize(values.size() + size_t(buffer.size()));
    buffer.read(0, values.data() + values.size() - size_t(buffer.size()),
                buffer.size());
  }
  return values;
}

void StepPredictor::setParameters(ArrayRef<double> values) {
  for (Buffer &buffer : parameters_) {
    buffer.write(0, values.data(), buffer.size());
    values = values.drop_front(size_t(buffer.size()));
  }
}

Error StepPredictor::save(StringRef path) {
  std::vector<const void *> values;
  for (const Buffer &buffer : parameters_)
    values.push_back(buffer.get());
  std::lock_guard<std::mutex> lock(model.files);
  return model.compiler->writeModel(path, values);
}

//===----------------------------------------------------------------------===//
// The model
//===----------------------------------------------------------------------===//

/// One float tensor [rows, numbers]; `what` is "input" or "output".
static Error checkTensors(ArrayRef<train::Tensor> tensors, StringRef what) {
  if (tensors.size() != 1)
    return createStringError(
        formatv("a predictor has one {0}; the model has {1}", what,
                tensors.size())
            .str());
  const train::Tensor &tensor = tensors[0];
  if ((tensor.type != TWIST_F32 && tensor.type != TWIST_F64) ||
      tensor.dims.size() != 2)
    return createStringError(
        formatv("a predictor's {0} is [rows, numbers] of floats; '{1}' has {2} "
                "dimensions of {3}",
                what, tensor.name, tensor.dims.size(),
                twist_type_name(tensor.type))
            .str());
  return Error::success();
}

Expected<std::unique_ptr<PredictorModel>>
PredictorModel::create(std::unique_ptr<train::StepCompiler> compiler,
                       int64_t rows, InitialParameters initial) {
  const train::ModelLayout &layout = compiler->layout();
  if (Error error = checkTensors(layout.inputs, "input"))
    return error;
  if (Error error = checkTensors(layout.outputs, "output"))
    return error;
  train::StepRequest request;
  request.batch = rows;
  if (!layout.inputs[0].symbols.empty() && !layout.inputs[0].symbols[0].empty())
    request.sizes[layout.inputs[0].symbols[0]] = rows;
  request.loss.kind = train::LossKind::External;
  request.entries =
      train::EntryForward | train::EntryBackward | train::EntryUpdate;
  auto step = compiler->compile(request);
  if (!step)
    return step.takeError();
  std::unique_ptr<PredictorModel> model(new PredictorModel);
  const train::Tensor &in = (*step)->inputs()[0];
  const train::Tensor &out = (*step)->outputs()[0];
  if (in.dims[0] != out.dims[0])
    return createStringError(
        formatv("input '{0}' and output '{1}' of a predictor have equally many "
                "rows, not {2} and {3}",
                in.name, out.name, in.dims[0], out.dims[0])
            .str());
  model->rows = in.dims[0];
  model->features_ = in.dims[1];
  model->outputs_ = out.dims[1];
  model->initial = initial;
  model->step = std::move(*step);
  model->compiler = std::move(compiler);
  return model;
}

int64_t PredictorModel::parameterCount() const {
  int64_t count = 0;
  for (const train::Parameter &parameter : compiler->layout().parameters)
    count += parameter.trainable ? parameter.size() : 0;
  return count;
}

Expected<std::unique_ptr<Predictor>>
PredictorModel::makePredictor(int threads) {
  auto session = step->createSession(threads);
  if (!session)
    return session.takeError();
  auto predictor = std::make_unique<StepPredictor>(*this, std::move(*session));
  if (Error error = predictor->initialise(0))
    return error;
  return predictor;
}
