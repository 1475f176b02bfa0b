//===- Predictor.h - A model of costs that learns ---------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_DFL_PREDICTOR_H
#define TWIST_DFL_PREDICTOR_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <memory>

namespace twist::dfl {

/// Rows of features to costs, with parameters, their gradients and an optimiser
/// (Adam). One caller at a time.
class Predictor {
public:
  virtual ~Predictor() = default;
  virtual int64_t features() const = 0; ///< numbers a row
  virtual int64_t outputs() const = 0;  ///< costs a row

  /// `x` [rows, features()] to `costs` [rows, outputs()].
  virtual llvm::Error forward(int64_t rows, const double *x, double *costs) = 0;
  /// For `cotangents` like costs: adds to the parameters' gradients, and writes
  /// those of `x` where `inputGradients` is not null.
  virtual llvm::Error backward(int64_t rows, const double *x,
                               const double *cotangents,
                               double *inputGradients) = 0;
  /// Parameters' gradients become 0.
  virtual void clearGradients() = 0;
  /// One step of the optimiser on the parameters' gradients.
  virtual llvm::Error update(double learningRate) = 0;

  /// New parameters drawn from `seed`, and an optimiser that has seen nothing.
  virtual llvm::Error initialise(uint64_t seed) = 0;
  /// Parameters, one after another; those of a predictor of the same model can
  /// be set.
  virtual std::vector<double> parameters() const = 0;
  virtual void setParameters(llvm::ArrayRef<double> values) = 0;
  /// The model with these parameters as an ONNX file.
  virtual llvm::Error save(llvm::StringRef path) = 0;
};

} // namespace twist::dfl

#endif // TWIST_DFL_PREDICTOR_H
