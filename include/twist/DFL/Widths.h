//===- Widths.h - Models of what widths lose --------------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_DFL_WIDTHS_H
#define TWIST_DFL_WIDTHS_H

#include "twist/DFL/Train.h"
#include "twist/Prune/WidthValues.h"

namespace twist::dfl {

/// One width of each axis, costs within the budget, the least sum of losses:
/// the multiple-choice knapsack (twist/Prune/Knapsack.h), exact. An instance's
/// costs are the losses, axis after axis. Errors: an axis without widths; the
/// cheapest widths exceed the budget.
llvm::Expected<std::unique_ptr<Problem>>
makeWidthChoice(std::vector<std::vector<int64_t>> costs, int64_t budget);

/// Measured widths around one ticket: a problem of its own with one instance,
/// whose losses are parts of what the uniform ticket loses.
struct WidthTask {
  std::string name; ///< "stories, kappa 0.5"
  std::shared_ptr<const Problem> problem;
  Instances instance;
  /// What the uniform ticket's widths lose beyond the best ones.
  double evenRegret = 0;
};
llvm::Expected<WidthTask> makeWidthTask(const prune::WidthValues &values,
                                        Parallel &parallel);

/// What a predictor's widths lose in a task beyond the best ones.
llvm::Expected<double> widthRegret(const WidthTask &task, Predictor &predictor);

/// Trains a predictor of losses on all tasks together: a step a pass, on the
/// mean of the tasks' gradients (options: epochs, learningRate, seed).
/// `callback` hears of each pass, the mean loss and the mean regret.
llvm::Error
trainWidths(llvm::ArrayRef<WidthTask> tasks, Predictor &predictor,
            llvm::StringRef method, const MethodParameters &parameters,
            const TrainOptions &options, Parallel &parallel,
            llvm::function_ref<void(int64_t epoch, double loss)> callback);

} // namespace twist::dfl

#endif // TWIST_DFL_WIDTHS_H
