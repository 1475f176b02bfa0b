//===- Train.h - Training through decisions ---------------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_DFL_TRAIN_H
#define TWIST_DFL_TRAIN_H

#include "twist/DFL/Attack.h"
#include "twist/DFL/Data.h"
#include "twist/DFL/Method.h"
#include "twist/DFL/Predictor.h"

#include <functional>
#include <optional>

namespace twist::dfl {

/// A dataset with the optima of its costs: what every step asks for.
struct Instances {
  Dataset data;
  std::vector<double> gains;  ///< costs times the problem's sign, like data.c
  std::vector<double> optima; ///< [instances, items]
};
/// Solves every instance; an error names the instance.
llvm::Expected<Instances> solveInstances(const Problem &problem, Dataset data,
                                         Parallel &parallel);

struct TrainOptions {
  int64_t epochs = 35, batch = 128;
  double learningRate = 0.5;
  /// Probability that a batch adds the solutions of its predictions to the
  /// pool, for methods with a pool.
  double growth = 0.05;
  /// Instances in a new order each epoch.
  bool shuffle = false;
  uint64_t seed = 0;
  /// Adversarial training: gradients are taken at attacked features (Madry et
  /// al. 2018) for this fraction of each batch's instances, the last ones.
  std::optional<AttackOptions> adversary;
  double adversaryFraction = 1;
};

/// A point of the training curve.
struct EpochResult {
  int64_t epoch = 0;            ///< 0: before training
  double loss = 0;              ///< mean over instances, as trained
  double trainRegret = 0;       ///< relative, of the whole training set
  double validationRegret = -1; ///< -1: no validation set
  double validationError = 0;   ///< mean of |c^ - c|_2
  const Pool *pool = nullptr;   ///< as it is now
};

/// Called after each epoch (and before the first); an error ends training.
using EpochCallback = std::function<llvm::Error(const EpochResult &)>;

/// Trains `predictor` from its present parameters. Same bytes for any number of
/// threads.
llvm::Error train(const Problem &problem, Predictor &predictor,
                  const Method &method, const Instances &training,
                  const Instances *validation, const TrainOptions &options,
                  Parallel &parallel, const EpochCallback &callback);

/// Unique optima of a training set: what the pool holds at first.
Pool initialPool(const Instances &training);

} // namespace twist::dfl

#endif // TWIST_DFL_TRAIN_H
