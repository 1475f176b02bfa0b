//===- TrainerImpl.h - What a trainer is made of ----------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_TRAIN_TRAINERIMPL_H
#define TWIST_LIB_TRAIN_TRAINERIMPL_H

#include "twist/Train/Trainer.h"

#include <map>
#include <mutex>

namespace twist::train {

/// Where a stored tensor belongs. A gain has an element per kappa, of which a
/// worker holds the one of its own; so have the gain's moments and counts.
struct TensorOrigin {
  unsigned parameter = 0;
  int state = -1; ///< into CompiledStep::state(); -1: the parameter itself
  int64_t gainAxis = -1;
  bool likeParameter = true;
};

/// One worker in one round.
struct WorkerPlan {
  Masks masks;                     ///< kept units, by axis of the layout
  std::vector<int64_t> kappaIndex; ///< into Impl::kappas, by axis
  std::shared_ptr<const CompiledStep> step;
};

class Trainer::Impl {
public:
  Impl(StepCompiler &compiler, const Data &data, Transport &transport,
       const TrainOptions &options, Teacher *teacher)
      : compiler(compiler), data(data), transport(transport), options(options),
        teacher(teacher) {}

  llvm::Error prepare();
  llvm::Expected<RoundReport> runRound();
  llvm::Error save(llvm::StringRef path);
  llvm::Error resume(llvm::StringRef path, bool otherMachine);
  llvm::Error startFrom(llvm::StringRef path);
  llvm::Expected<std::vector<AlignedBytes>> parameters();
  llvm::Expected<std::vector<double>> gainValues(int64_t axis);

  StepCompiler &compiler;
  const Data &data;
  Transport &transport;
  TrainOptions options;
  Teacher *teacher;

  std::optional<Assignment> assignment;
  std::vector<int64_t> dealt; ///< axis of the layout of each dealt one
  std::vector<double> kappas; ///< all there are, ascending; 1 among them
  std::unique_ptr<Store> store;
  std::vector<TensorOrigin> origins; ///< by stored tensor
  std::vector<size_t> exchanged;     ///< stored tensors that travel
  int64_t round = 0;
  std::vector<WorkerSlices> slices; ///< by worker

private:
  const ModelLayout &layout() const { return compiler.layout(); }
  int64_t workers() const { return options.assignment.workers; }

  // TrainerImpl.cpp: before the first round
  llvm::Error checkOptions() const;
  llvm::Error checkInputs() const;
  llvm::Error checkTargets(const CompiledStep &step) const;
  llvm::Error deal();
  llvm::Error makeTensors();
  void makeGradients();
  llvm::Error readModel();
  double firstGain(const Parameter &gain, double kappa) const;
  AlignedBytes firstGains(const Parameter &gain) const;
  std::vector<double> findKappas() const;

  // Rounds.cpp
  llvm::Expected<std::vector<WorkerPlan>> planRound(int64_t round);
  WorkerPlan planWorker(int64_t worker, int64_t round,
                        llvm::ArrayRef<std::vector<Mask>> masks) const;
  llvm::Expected<std::shared_ptr<const CompiledStep>>
  compileFor(const Masks &masks);
  std::vector<std::vector<int64_t>> keptOf(size_t tensor,
                                           const WorkerPlan &plan) const;
  void allocate(const std::vector<WorkerPlan> &plans);
  void takeFrozen(int64_t worker, const WorkerPlan &plan);
  void restoreLocal(int64_t worker);
  void keepLocal(int64_t worker);
  /// Calls fn(worker, session) for this process's workers, several at a time.
  llvm::Error
  forEachWorker(const std::vector<WorkerPlan> &plans,
                llvm::function_ref<llvm::Error(int64_t, StepSession &)> fn);
  llvm::Error parallelSteps(const std::vector<WorkerPlan> &plans,
                            RoundReport &report);
  StepScalars scalarsOf(int64_t worker, int64_t step) const;
  /// Whether a loss says that training is beyond rescue.
  bool isLost(const StepResult &result) const;
  llvm::Error runWorker(int64_t worker, const WorkerPlan &plan,
                        StepSession &session, RoundReport &report);
  llvm::Expected<StepSession *> sessionFor(int64_t slot,
                                           const CompiledStep *step);
  StepBuffers bind(int64_t worker, const WorkerPlan &plan);
  llvm::Error diverged(int64_t worker, int64_t step, const StepResult &result,
                       const WorkerPlan &plan) const;
  llvm::Error shareReport(RoundReport &report);

  // Trainer.cpp
  llvm::Expected<llvm::json::Object> stamp();
  llvm::Error checkStamp(const llvm::json::Object &found, llvm::StringRef path,
                         bool otherMachine);

  std::unique_ptr<Store> gradients; ///< Mode::Parallel
  std::vector<AlignedBytes> frozen; ///< by parameter, dense; of trained: empty
  /// By worker and parameter: slices of frozen ones an axis runs through.
  std::vector<std::vector<AlignedBytes>> frozenSlices;
  /// StateMode::Local: by worker and stored tensor, dense.
  std::vector<std::vector<AlignedBytes>> localState;
  std::map<std::pair<int64_t, const CompiledStep *>,
           std::unique_ptr<StepSession>>
      sessions;
  std::vector<std::shared_ptr<const CompiledStep>> usedSteps;
  std::mutex sessionsLock;
};

} // namespace twist::train

#endif // TWIST_LIB_TRAIN_TRAINERIMPL_H
