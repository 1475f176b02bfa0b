//===- Method.h - Losses that train through a decision ----------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//
//
// A method says how predictions should move. All see a problem of maximising:
// predicted gains yh, true gains y, the optimum s = v*(y). Each returns, per
// instance, a gradient with respect to yh and a loss.
//
//   mse            two-stage: mean squared error
//   spo+           Elmachtoub, Grigas: Smart "Predict, then Optimize", 2022
//   dbb            Pogančić et al.: Differentiation of Blackbox Solvers, 2020
//   imle           Niepert et al.: Implicit MLE, 2021; noise: sums of gammas
//   fy             Berthet et al.: Differentiable Perturbed Optimizers, 2020,
//                  with Gumbel noise
//   hsd, qptl      see Relaxation.h
//   listwise, pairwise, pairwise-diff
//                  Mandi et al.: Decision-Focused Learning: Through the Lens of
//                  Learning to Rank, 2022
//   map            Mulamba et al., see Pool.h
//
// Formulas are at their implementations.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_DFL_METHOD_H
#define TWIST_DFL_METHOD_H

#include "twist/DFL/Pool.h"
#include "twist/DFL/Problem.h"

#include "llvm/Support/JSON.h"

#include <map>

namespace twist::dfl {

/// Instances to be differentiated together. All arrays [count, problem.size()].
struct MethodBatch {
  int64_t count = 0;
  /// The B of formulas: instances of a training batch, whatever `count` is.
  double batchSize = 1;
  const double *predicted = nullptr, *labels = nullptr, *optima = nullptr;
  /// Draws of the i-th instance follow from seed, step and first + i.
  uint64_t seed = 0;
  uint32_t step = 0, first = 0;
  /// What labelSides said of these labels and this pool, by first + i; empty:
  /// it is computed again.
  llvm::ArrayRef<std::vector<double>> sides = {};
};

/// A loss with its hyper-parameters. The same calls give the same results, from
/// any thread.
class Method {
public:
  virtual ~Method() = default;
  virtual bool needsPool() const { return false; }

  /// For many calls with other predictions and nothing else: what does not
  /// depend on these, one per instance; empty where that is nothing.
  virtual std::vector<std::vector<double>>
  labelSides(const Problem &, const Pool &, const MethodBatch &) const {
    return {};
  }

  /// Fills `gradient` [count, size] and, where not null, `losses` [count].
  virtual llvm::Error differentiate(const Problem &problem, const Pool &pool,
                                    const MethodBatch &batch, double *gradient,
                                    double *losses) const = 0;
};

/// Hyper-parameters by name; those not given have the method's defaults.
using MethodParameters = std::map<std::string, double>;

/// Of `problem`. Errors: no such method or hyper-parameter, a value out of
/// range, a method that needs a relaxation for a problem without one.
llvm::Expected<std::unique_ptr<Method>>
makeMethod(llvm::StringRef name, const MethodParameters &parameters,
           const Problem &problem);

/// The methods that makeMethod knows and each one's hyper-parameters' defaults.
struct MethodInfo {
  std::string name;
  MethodParameters defaults;
};
std::vector<MethodInfo> allMethods();

/// Method::differentiate of a whole batch, on all threads.
llvm::Error differentiateAll(const Method &method, const Problem &problem,
                             const Pool &pool, const MethodBatch &batch,
                             double *gradient, double *losses,
                             Parallel &parallel);

} // namespace twist::dfl

#endif // TWIST_DFL_METHOD_H
