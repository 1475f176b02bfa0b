//===- Attack.h - Features changed to spoil decisions -----------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//
//
// An attack looks for x' near x at which a loss of the prediction is large:
//
//   fgsm    x + eps sign(g)  (Goodfellow et al. 2015)
//   pgd     steps of `stepSize`, projected (Madry et al. 2018)
//   apgd    momentum, steps halved where the loss does not grow (Croce, Hein
//           2020)
//   random  a point drawn from the ball
//
// Losses: `mse` attacks the prediction (PF), `own` the loss the model was
// trained with (DF); `spo_plus` never has a masked gradient, `not_opt` lowers
// what the prediction grants the optimum, `random` points anywhere.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_DFL_ATTACK_H
#define TWIST_DFL_ATTACK_H

#include "twist/DFL/Data.h"
#include "twist/DFL/Method.h"
#include "twist/DFL/Predictor.h"

namespace twist::dfl {

struct Instances;

enum class AttackLoss { MSE, Own, SPOPlus, NotOptimal, Random };
enum class AttackMethod { FGSM, PGD, APGD, Random };
enum class AttackNorm { Inf, Two };

struct AttackOptions {
  AttackLoss loss = AttackLoss::MSE;
  AttackMethod method = AttackMethod::FGSM;
  /// Two: over all features of an instance together.
  AttackNorm norm = AttackNorm::Inf;
  double epsilon = 0; ///< in units of the features, 0: x itself
  int64_t steps = 10;
  double stepSize = 0; ///< of pgd; 0: 2.5 eps / steps
  int64_t restarts = 1;
  /// Features that may change; empty: all.
  std::vector<bool> mask;
  /// Least and largest value of each feature; empty: none.
  std::vector<double> lower, upper;
  /// Targeted: instance i is drawn to the decision of instance i + 1 (the last
  /// to the first's): its loss there falls.
  bool targeted = false;
  uint64_t seed = 0;
};

/// "mse", "own", "spo_plus", "not_opt", "random"; others: an error with these.
llvm::Expected<AttackLoss> parseAttackLoss(llvm::StringRef name);
llvm::Expected<AttackMethod> parseAttackMethod(llvm::StringRef name);
llvm::Expected<AttackNorm> parseAttackNorm(llvm::StringRef name);
llvm::StringRef attackLossName(AttackLoss loss);
llvm::StringRef attackMethodName(AttackMethod method);

/// A negative eps, sizes that do not fit, pairings that mean nothing.
llvm::Error checkAttack(const AttackOptions &options, int64_t features);

struct AttackResult {
  std::vector<double> x; ///< [instances, rows, features]
  /// Of the first step's gradient with respect to predicted costs: the fraction
  /// of exact zeros, and of instances with nothing else. A masked gradient is
  /// no robustness.
  double zeroGradients = 0, blindInstances = 0;
};

/// What a model under attack was trained with.
struct Victim {
  const Problem &problem;
  Predictor &predictor;
  const Method &own;
  const Pool &pool;
  double batchSize; ///< of training: DBB and I-MLE depend on it
};

/// Attacks all instances at once; each in its own ball.
llvm::Expected<AttackResult> attack(const Victim &victim,
                                    const Instances &instances,
                                    const AttackOptions &options,
                                    Parallel &parallel);

} // namespace twist::dfl

#endif // TWIST_DFL_ATTACK_H
