//===- TestStep.cpp - A small model with steps by hand --------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "TestStep.h"

#include "twist/Support/Philox.h"

#include <cmath>
#include <cstring>

using namespace llvm;
using namespace twist;
using namespace twist::train;

namespace {
enum { E, W1, B1, W2, G };

struct Sizes {
  int64_t v, d, h, rows;
};

class Session final : public StepSession {
public:
  Session(Sizes sizes, const ModelLayout &layout, int64_t breaksAt)
      : s(sizes), layout(layout), breaksAt(breaksAt) {}

  Expected<StepResult> step(const StepBuffers &b,
                            const StepScalars &scalars) override {
    std::vector<std::vector<double>> g;
    StepResult result;
    result.loss = gradients(b, g);
    double square = 0;
    for (auto &tensor : g)
      for (double x : tensor)
        square += x * x;
    result.gradientNorm = std::sqrt(square);
    if (breaksAt >= 0 && int64_t(scalars.counter) == breaksAt)
      g[W2][0] = result.loss = NAN;
    result.gradientNorm =
        apply(b, g, result.gradientNorm, scalars).gradientNorm;
    return result;
  }
  Error forward(const StepBuffers &, const StepScalars &) override {
    return createStringError("not compiled");
  }
  Expected<StepResult> evaluate(const StepBuffers &b,
                                const StepScalars &) override {
    std::vector<std::vector<double>> g;
    return StepResult{gradients(b, g), 0};
  }
  Expected<StepResult> gradients(const StepBuffers &b, const StepScalars &,
                                 bool add) override {
    std::vector<std::vector<double>> g;
    StepResult result;
    result.loss = gradients(b, g);
    for (size_t p = 0; p < g.size(); ++p)
      for (size_t i = 0; i < g[p].size(); ++i) {
        float &to = static_cast<float *>(b.gradients[p])[i];
        to = float(g[p][i]) + (add ? to : 0);
      }
    return result;
  }
  Error backward(const StepBuffers &, const StepScalars &, bool) override {
    return createStringError("not compiled");
  }
  Expected<StepResult> update(const StepBuffers &b,
                              const StepScalars &scalars) override {
    std::vector<std::vector<double>> g(layout.parameters.size());
    double square = 0;
    for (size_t p = 0; p < g.size(); ++p) {
      int64_t size = p == E    ? s.v * s.d
                     : p == W1 ? s.d * s.h
                     : p == B1 ? s.h
                     : p == W2 ? s.h * s.v
                               : 1;
      for (int64_t i = 0; i < size; ++i) {
        g[p].push_back(static_cast<const float *>(b.gradients[p])[i]);
        square += g[p].back() * g[p].back();
      }
    }
    return apply(b, g, std::sqrt(square), scalars);
  }
  Error startProfile() override { return Error::success(); }
  std::vector<ProfileRow> profile() const override { return {}; }

private:
  StepResult apply(const StepBuffers &b,
                   const std::vector<std::vector<double>> &g, double norm,
                   const StepScalars &scalars) {
    double scale = 1;
    if (scalars.clipNorm > 0 && norm > scalars.clipNorm)
      scale = scalars.clipNorm / norm;
    for (size_t p = 0; p < g.size(); ++p)
      update(b, p, g[p], scale, scalars);
    return {0, norm};
  }

  double gradients(const StepBuffers &b, std::vector<std::vector<double>> &g) {
    auto p = [&](int i) { return static_cast<float *>(b.parameters[i]); };
    auto *ids = static_cast<const int64_t *>(b.inputs[0]);
    auto *labels = static_cast<const int64_t *>(b.inputs[1]);
    bool hasGain = layout.parameters.size() > G;
    double gain = hasGain ? *p(G) : 1;
    g = {std::vector<double>(s.v * s.d), std::vector<double>(s.d * s.h),
         std::vector<double>(s.h), std::vector<double>(s.h * s.v)};
    if (hasGain)
      g.push_back({0});
    double loss = 0;
    for (int64_t r = 0; r < s.rows; ++r) {
      const float *e = p(E) + ids[r] * s.d;
      std::vector<double> hidden(s.h), out(s.v), back(s.h);
      for (int64_t j = 0; j < s.h; ++j) {
        double sum = p(B1)[j];
        for (int64_t i = 0; i < s.d; ++i)
          sum += double(e[i]) * p(W1)[i * s.h + j];
        hidden[j] = std::max(sum, 0.0);
      }
      double most = -1e300, total = 0;
      for (int64_t o = 0; o < s.v; ++o) {
        for (int64_t j = 0; j < s.h; ++j)
          out[o] += hidden[j] * p(W2)[j * s.v + o];
        most = std::max(most, gain * out[o]);
      }
      for (int64_t o = 0; o < s.v; ++o)
        total += std::exp(gain * out[o] - most);
      loss -= gain * out[labels[r]] - most - std::log(total);
      for (int64_t o = 0; o < s.v; ++o) {
        double y = (std::exp(gain * out[o] - most) / total - (o == labels[r])) /
                   double(s.rows);
        if (hasGain)
          g[G][0] += y * out[o];
        for (int64_t j = 0; j < s.h; ++j) {
          g[W2][j * s.v + o] += gain * y * hidden[j];
          back[j] += gain * y * p(W2)[j * s.v + o];
        }
      }
      for (int64_t j = 0; j < s.h; ++j) {
        if (hidden[j] <= 0)
          continue;
        g[B1][j] += back[j];
        for (int64_t i = 0; i < s.d; ++i) {
          g[W1][i * s.h + j] += back[j] * e[i];
          g[E][ids[r] * s.d + i] += back[j] * p(W1)[i * s.h + j];
        }
      }
    }
    return loss / double(s.rows);
  }

  /// Which count an element's is: that of its hidden unit.
  int64_t unit(size_t parameter, int64_t element) const {
    switch (parameter) {
    case W1:
    case B1:
      return element % s.h;
    case W2:
      return element / s.v;
    default:
      return 0;
    }
  }

  void update(const StepBuffers &b, size_t p, const std::vector<double> &g,
              double scale, const StepScalars &o) {
    auto *w = static_cast<float *>(b.parameters[p]);
    auto *m = static_cast<float *>(b.state[3 * p]);
    auto *v = static_cast<float *>(b.state[3 * p + 1]);
    auto *steps = static_cast<int32_t *>(b.state[3 * p + 2]);
    int64_t units = p == E || p == G ? 1 : s.h;
    for (int64_t u = 0; u < units; ++u)
      ++steps[u];
    for (size_t i = 0; i < g.size(); ++i) {
      double x = g[i] * scale, t = steps[unit(p, int64_t(i))];
      m[i] = float(o.beta1 * m[i] + (1 - o.beta1) * x);
      v[i] = float(o.beta2 * v[i] + (1 - o.beta2) * x * x);
      double up = m[i] / (1 - std::pow(o.beta1, t));
      double down = std::sqrt(v[i] / (1 - std::pow(o.beta2, t))) + o.epsilon;
      w[i] = float(w[i] - o.learningRate * up / down);
    }
  }

  Sizes s;
  const ModelLayout &layout;
  int64_t breaksAt;
};

class Step final : public CompiledStep {
public:
  Step(const StepRequest &request, const ModelLayout &layout,
       const TestModel &model)
      : request_(request), layout(layout), model(model) {
    sizes = {model.vocabulary, model.dim, request.units[0],
             request.batch * request.sequence};
    Masks masks(1);
    for (int64_t i = 0; i < sizes.h; ++i)
      masks[0].push_back(i);
    for (auto [index, parameter] : llvm::enumerate(layout.parameters)) {
      dims.push_back(slicedDims(parameter, masks));
      for (const char *name : {"moment1", "moment2"})
        state_.push_back({name, unsigned(index), TWIST_F32, parameter.dims,
                          dims.back(), true});
      StateTensor steps{"steps",        unsigned(index), TWIST_I32,
                        parameter.dims, dims.back(),     false};
      for (auto [d, places] : llvm::enumerate(parameter.places))
        if (places.empty())
          steps.denseDims[d] = steps.dims[d] = 1;
      state_.push_back(steps);
    }
    for (const char *name : {"ids", "labels"})
      inputs_.push_back({name,
                         TWIST_I64,
                         {request.batch, request.sequence},
                         {},
                         inputs_.empty() ? InputRole::Ids : InputRole::Labels});
    digest = "step of " + std::to_string(sizes.h);
  }
  const StepRequest &request() const override { return request_; }
  ArrayRef<int64_t> parameterDims(unsigned i) const override { return dims[i]; }
  ArrayRef<StateTensor> state() const override { return state_; }
  ArrayRef<Tensor> inputs() const override { return inputs_; }
  ArrayRef<Tensor> outputs() const override { return {}; }
  StringRef hash() const override { return digest; }
  uint64_t workingBytes() const override { return 0; }
  Expected<std::unique_ptr<StepSession>> createSession(int) const override {
    return std::make_unique<Session>(sizes, layout, model.breaksAt);
  }

private:
  StepRequest request_;
  const ModelLayout &layout;
  TestModel model;
  Sizes sizes;
  std::vector<std::vector<int64_t>> dims;
  std::vector<StateTensor> state_;
  std::vector<Tensor> inputs_;
  std::string digest;
};

class Compiler final : public StepCompiler {
public:
  explicit Compiler(const TestModel &model) : model(model) {
    if (model.hasAxis)
      layout_.axes = {{"w1:1", "ffn", 0, model.hidden}};
    AxisPlace place{0, {0, 1, model.hidden, 1}};
    auto add = [&](const char *name, ParameterRole role,
                   std::vector<int64_t> dims, int cut) {
      std::vector<std::vector<AxisPlace>> places(dims.size());
      if (cut >= 0)
        places[cut] = {place};
      layout_.parameters.push_back({name,
                                    role,
                                    TWIST_F32,
                                    dims,
                                    places,
                                    model.isTrained,
                                    false,
                                    {name}});
    };
    add("e", ParameterRole::Embedding, {model.vocabulary, model.dim}, -1);
    add("w1", ParameterRole::Weight, {model.dim, model.hidden}, 1);
    add("b1", ParameterRole::Bias, {model.hidden}, 0);
    add("w2", ParameterRole::Weight, {model.hidden, model.vocabulary}, 0);
    if (model.gain)
      add("gain:w1:1", ParameterRole::Gain, {}, -1);
    layout_.inputs = {{"ids", TWIST_I64, {-1, -1}, {"b", "s"}, model.input}};
    layout_.vocabulary = model.vocabulary;
    layout_.structureSHA256 = "model of " + std::to_string(model.hidden);
  }
  const ModelLayout &layout() const override { return layout_; }
  Error readParameter(unsigned i, void *values) const override {
    auto *to = static_cast<float *>(values);
    PhiloxStream stream(1, i, 0, 99);
    for (int64_t n = 0; n < layout_.parameters[i].size(); ++n)
      to[n] = float(stream.uniform() - 0.5);
    return Error::success();
  }
  Expected<std::shared_ptr<const CompiledStep>>
  compile(const StepRequest &request) override {
    auto &step = steps[request.units[0]];
    if (!step)
      step = std::make_shared<Step>(request, layout_, model);
    return step;
  }
  Error writeModel(StringRef, ArrayRef<const void *>) override {
    return createStringError("no file");
  }

private:
  TestModel model;
  ModelLayout layout_;
  std::map<int64_t, std::shared_ptr<const CompiledStep>> steps;
};
} // namespace

std::unique_ptr<StepCompiler>
twist::train::makeTestCompiler(const TestModel &model) {
  return std::make_unique<Compiler>(model);
}
