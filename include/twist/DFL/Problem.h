//===- Problem.h - Linear objectives over a feasible set --------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//
//
// Predict-then-optimise: costs are predicted, a decision is made by solving
//
//   v*(c) = argmin or argmax over v in V of c·v
//
// A problem is V and the direction. Whatever is written for all problems
// (methods, attacks, metrics) sees *gains*: costs with the sign that makes the
// problem one of maximising.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_DFL_PROBLEM_H
#define TWIST_DFL_PROBLEM_H

#include "twist/DFL/Parallel.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/Support/Error.h"

#include <memory>
#include <string>

namespace twist::dfl {

enum class Sense { Minimise, Maximise };

class Relaxation;

/// What is wrong with one of some instances: "instance 3 of a knapsack …: …".
class InstanceError : public llvm::ErrorInfo<InstanceError> {
public:
  static char ID;
  InstanceError(int64_t instance, std::string what)
      : instance(instance), what(std::move(what)) {}
  void log(llvm::raw_ostream &os) const override;
  std::error_code convertToErrorCode() const override {
    return llvm::inconvertibleErrorCode();
  }

  int64_t instance;
  std::string what; ///< what follows the number
};

/// The error of a part of instances as one of the whole: `number` tells the
/// instance's number there. Other errors stay as they are.
llvm::Error renumber(llvm::Error error,
                     llvm::function_ref<int64_t(int64_t)> number);

/// A feasible set and a direction. Immutable: any number of threads may solve.
class Problem {
public:
  virtual ~Problem() = default;

  /// Decision variables, and costs, of an instance.
  int64_t size() const { return size_; }
  Sense sense() const { return sense_; }
  /// +1 where costs are maximised, -1 where they are minimised.
  double sign() const { return sense_ == Sense::Maximise ? 1.0 : -1.0; }

  /// "knapsack of 48 items, capacity 60".
  virtual std::string describe() const = 0;

  /// The best decisions under `gains` [count, size()], into `decisions` of the
  /// same shape. Gains are finite, of any sign. Of several optima always the
  /// same is taken. What is wrong with an instance is an InstanceError.
  virtual llvm::Error maximise(int64_t count, const double *gains,
                               double *decisions) const = 0;

  /// The linear programme that methods with continuous relaxations
  /// differentiate; null where the problem has none. One that cannot be made is
  /// an error.
  virtual llvm::Expected<const Relaxation *> relaxation() const {
    return nullptr;
  }

protected:
  Problem(Sense sense, int64_t size) : sense_(sense), size_(size) {}

private:
  Sense sense_;
  int64_t size_;
};

/// The decision under `costs` [size()] and its objective c·v.
struct Solution {
  std::vector<double> decision;
  double value = 0;
};
llvm::Expected<Solution> solve(const Problem &problem,
                               llvm::ArrayRef<double> costs);

/// Problem::maximise for `gains` [count, size()] of any count, on all threads,
/// in parts that do not depend on how many there are. NaN and infinite gains
/// are an error that names instance and item.
llvm::Error maximiseAll(const Problem &problem, llvm::ArrayRef<double> gains,
                        llvm::MutableArrayRef<double> decisions,
                        Parallel &parallel);

/// The first value that is NaN or infinite, as an error: "`what` of instance 3,
/// item 7 is nan".
llvm::Error checkFinite(llvm::ArrayRef<double> values, int64_t items,
                        llvm::StringRef what);

/// A number in as few digits as tell it to six places: "60", "0.25", "nan".
std::string printed(double number);

inline double dot(const double *a, const double *b, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i)
    sum += a[i] * b[i];
  return sum;
}

} // namespace twist::dfl

#endif // TWIST_DFL_PROBLEM_H
