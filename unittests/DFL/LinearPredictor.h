//===- LinearPredictor.h - A predictor whose gradients are known -*- C++
//-*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_UNITTESTS_DFL_LINEARPREDICTOR_H
#define TWIST_UNITTESTS_DFL_LINEARPREDICTOR_H

#include "twist/DFL/Predictor.h"
#include "twist/DFL/Random.h"

#include <vector>

namespace twist::dfl {

/// costs = x W + b, W [features, outputs]; Adam. Stands in for compiled models
/// where tests want closed forms.
class LinearPredictor final : public Predictor {
public:
  LinearPredictor(int64_t in, int64_t out)
      : in(in), out(out), p(size_t((in + 1) * out)), g(p), m(p), v(p) {}

  int64_t features() const override { return in; }
  int64_t outputs() const override { return out; }
  llvm::Error forward(int64_t rows, const double *x, double *c) override {
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t o = 0; o < out; ++o) {
        double sum = p[size_t(in * out + o)];
        for (int64_t i = 0; i < in; ++i)
          sum += x[r * in + i] * p[size_t(i * out + o)];
        c[r * out + o] = sum;
      }
    return llvm::Error::success();
  }
  llvm::Error backward(int64_t rows, const double *x, const double *w,
                       double *gx) override {
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t i = 0; i <= in; ++i) {
        double sum = 0, at = i < in ? x[r * in + i] : 1;
        for (int64_t o = 0; o < out; ++o) {
          g[size_t(i * out + o)] += at * w[r * out + o];
          sum += p[size_t(i * out + o)] * w[r * out + o];
        }
        if (gx && i < in)
          gx[r * in + i] = sum;
      }
    return llvm::Error::success();
  }
  void clearGradients() override { g.assign(g.size(), 0); }
  llvm::Error update(double rate) override {
    ++steps;
    for (size_t i = 0; i < p.size(); ++i) {
      m[i] = 0.9 * m[i] + 0.1 * g[i];
      v[i] = 0.999 * v[i] + 0.001 * g[i] * g[i];
      p[i] -= rate * (m[i] / (1 - std::pow(0.9, steps))) /
              (std::sqrt(v[i] / (1 - std::pow(0.999, steps))) + 1e-8);
    }
    return llvm::Error::success();
  }
  llvm::Error initialise(uint64_t seed) override {
    Draws draws(seed, 0, 0, DrawInitial);
    for (double &value : p)
      value = (2 * draws.uniform() - 1) / std::sqrt(double(in));
    m.assign(p.size(), 0);
    v = g = m;
    steps = 0;
    return llvm::Error::success();
  }
  std::vector<double> parameters() const override { return p; }
  void setParameters(llvm::ArrayRef<double> values) override {
    p.assign(values.begin(), values.end());
  }
  llvm::Error save(llvm::StringRef) override {
    return llvm::createStringError("a test's predictor has no file");
  }

private:
  int64_t in, out, steps = 0;
  std::vector<double> p, g, m, v;
};

} // namespace twist::dfl

#endif // TWIST_UNITTESTS_DFL_LINEARPREDICTOR_H
