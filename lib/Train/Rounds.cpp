//===- Rounds.cpp - Dispatch, local steps, aggregation --------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "StepInputs.h"
#include "TrainerImpl.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FormatVariadic.h"

#include <chrono>
#include <cmath>
#include <cstring>
#include <thread>

using namespace llvm;
using namespace twist;
using namespace twist::train;

using Clock = std::chrono::steady_clock;

static double secondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

//===----------------------------------------------------------------------===//
// What a round is
//===----------------------------------------------------------------------===//

WorkerPlan Trainer::Impl::planWorker(int64_t worker, int64_t round,
                                     ArrayRef<std::vector<Mask>> masks) const {
  WorkerPlan plan;
  plan.masks =
      options.mode == Mode::Fixed ? options.fixed : wholeMasks(layout());
  plan.kappaIndex.assign(layout().axes.size(), 0);
  for (auto [number, axis] : llvm::enumerate(dealt)) {
    double kappa = assignment->kappa(int64_t(number), worker, round);
    plan.kappaIndex[axis] = llvm::find(kappas, kappa) - kappas.begin();
    if (assignment->axes()[number].pinned)
      continue;
    int64_t group = assignment->axes()[number].group;
    std::vector<int64_t> &units = plan.masks[axis];
    units.clear();
    for (int64_t kept : masks[number][worker])
      for (int64_t unit = 0; unit < group; ++unit)
        units.push_back(kept * group + unit);
  }
  return plan;
}

Expected<std::shared_ptr<const CompiledStep>>
Trainer::Impl::compileFor(const Masks &masks) {
  StepRequest request;
  request.units = widths(masks);
  request.batch = options.batch;
  request.sequence = options.context;
  request.loss = options.loss;
  request.optimiser = options.optimiser;
  request.precision = options.precision;
  request.entries =
      options.mode == Mode::Parallel ? EntryGradients | EntryUpdate : EntryStep;
  return compiler.compile(request);
}

Expected<std::vector<WorkerPlan>> Trainer::Impl::planRound(int64_t round) {
  std::vector<std::vector<Mask>> masks;
  for (size_t axis = 0; axis < dealt.size(); ++axis)
    masks.push_back(assignment->deal(int64_t(axis), round));
  std::vector<WorkerPlan> plans;
  for (int64_t worker = 0; worker < workers(); ++worker) {
    WorkerPlan &plan = plans.emplace_back(planWorker(worker, round, masks));
    // Before there is a store all processes need to know the state's shape.
    if (store && !store->isMine(worker))
      continue;
    auto step = compileFor(plan.masks);
    if (!step)
      return step.takeError();
    plan.step = std::move(*step);
    if (!store)
      break;
  }
  return plans;
}

std::vector<std::vector<int64_t>>
Trainer::Impl::keptOf(size_t tensor, const WorkerPlan &plan) const {
  const TensorOrigin &origin = origins[tensor];
  if (origin.gainAxis >= 0)
    return {{plan.kappaIndex[origin.gainAxis]}};
  const Parameter &parameter = layout().parameters[origin.parameter];
  const std::vector<int64_t> &dims = store->tensors()[tensor].dims;
  std::vector<std::vector<int64_t>> kept;
  for (auto [d, dim] : llvm::enumerate(dims)) {
    // A count's dimension without axes is one element.
    if (dim == parameter.dims[d])
      kept.push_back(keptIndices(parameter, unsigned(d), plan.masks));
    else
      kept.push_back({0});
  }
  return kept;
}

void Trainer::Impl::allocate(const std::vector<WorkerPlan> &plans) {
  for (auto [worker, plan] : llvm::enumerate(plans)) {
    WorkerSlices &held = slices[worker];
    held.runs.clear();
    held.buffers.resize(origins.size());
    for (auto [t, tensor] : llvm::enumerate(store->tensors())) {
      held.runs.emplace_back(tensor.dims, keptOf(t, plan));
      if (store->isMine(int64_t(worker)))
        held.buffers[t].resize(held.runs[t].size() * tensor.elementBytes());
    }
  }
}

/// Slices of what is not trained, from this process's own copy.
void Trainer::Impl::takeFrozen(int64_t worker, const WorkerPlan &plan) {
  std::vector<AlignedBytes> &mine = frozenSlices[worker];
  mine.resize(layout().parameters.size());
  for (auto [index, parameter] : llvm::enumerate(layout().parameters)) {
    if (!parameter.trainable && parameter.role == ParameterRole::Gain) {
      // Constant ones: 1 where the worker holds the whole axis.
      mine[index].resize(twist_type_size(parameter.type));
      int64_t at = plan.kappaIndex[gainAxis(layout(), parameter)];
      storeReal(mine[index].data(), parameter.type,
                firstGain(parameter, kappas[at]));
      continue;
    }
    bool cut = llvm::any_of(parameter.places,
                            [](const auto &places) { return !places.empty(); });
    if (parameter.trainable || !cut)
      continue;
    mine[index] = sliceOf(parameter, frozen[index], plan.masks);
  }
}

//===----------------------------------------------------------------------===//
// State that stays with its worker
//===----------------------------------------------------------------------===//

void Trainer::Impl::restoreLocal(int64_t worker) {
  std::vector<AlignedBytes> &all = localState[worker];
  all.resize(origins.size());
  for (auto [t, tensor] : llvm::enumerate(store->tensors())) {
    if (tensor.isParameter)
      continue;
    if (all[t].size() == 0)
      all[t].resize(tensor.size() * tensor.elementBytes());
    const SliceRuns &runs = slices[worker].runs[t];
    size_t width = tensor.elementBytes();
    runs.each(0, tensor.size(), [&](int64_t dense, int64_t at, int64_t length) {
      std::memcpy(slices[worker].buffers[t].data() + at * width,
                  all[t].data() + dense * width, length * width);
    });
  }
}

void Trainer::Impl::keepLocal(int64_t worker) {
  for (auto [t, tensor] : llvm::enumerate(store->tensors())) {
    if (tensor.isParameter)
      continue;
    const SliceRuns &runs = slices[worker].runs[t];
    size_t width = tensor.elementBytes();
    AlignedBytes &all = localState[worker][t];
    runs.each(0, tensor.size(), [&](int64_t dense, int64_t at, int64_t length) {
      std::memcpy(all.data() + dense * width,
                  slices[worker].buffers[t].data() + at * width,
                  length * width);
    });
  }
}

//===----------------------------------------------------------------------===//
// Local steps
//===----------------------------------------------------------------------===//

Expected<StepSession *> Trainer::Impl::sessionFor(int64_t slot,
                                                  const CompiledStep *step) {
  std::lock_guard<std::mutex> lock(sessionsLock);
  std::unique_ptr<StepSession> &session = sessions[{slot, step}];
  if (!session) {
    auto made = step->createSession(options.threads);
    if (!made)
      return made.takeError();
    session = std::move(*made);
  }
  return session.get();
}

StepBuffers Trainer::Impl::bind(int64_t worker, const WorkerPlan &plan) {
  StepBuffers buffers;
  buffers.parameters.resize(layout().parameters.size());
  buffers.gradients.resize(layout().parameters.size());
  buffers.state.resize(plan.step->state().size());
  for (auto [t, origin] : llvm::enumerate(origins)) {
    void *data = slices[worker].buffers[t].data();
    if (origin.state < 0)
      buffers.parameters[origin.parameter] = data;
    else
      buffers.state[origin.state] = data;
  }
  for (auto [index, parameter] : llvm::enumerate(layout().parameters))
    if (!parameter.trainable)
      buffers.parameters[index] = frozenSlices[worker][index].size()
                                      ? frozenSlices[worker][index].data()
                                      : frozen[index].data();
  return buffers;
}

/// The first element that is not finite; size: none.
static int64_t findNotFinite(const AlignedBytes &buffer, twist_type type,
                             int64_t size) {
  int64_t at = 0;
  if (type == TWIST_F64)
    while (at < size && std::isfinite(buffer.as<double>()[at]))
      ++at;
  else if (type == TWIST_F32)
    while (at < size && std::isfinite(buffer.as<float>()[at]))
      ++at;
  else
    return size;
  return at;
}

Error Trainer::Impl::diverged(int64_t worker, int64_t step,
                              const StepResult &result,
                              const WorkerPlan &plan) const {
  std::string tensor = "all parameters are finite";
  for (auto [t, stored] : llvm::enumerate(store->tensors())) {
    int64_t size = slices[worker].runs[t].size();
    if (findNotFinite(slices[worker].buffers[t], stored.type, size) == size)
      continue;
    tensor = "the first tensor that is not finite is '" + stored.name + "'";
    break;
  }
  bool finite =
      std::isfinite(result.loss) && std::isfinite(result.gradientNorm);
  return createStringError(
      formatv("round {0}, worker {1}, step {2}: {3}: the loss is {4}, the norm "
              "of the gradient {5}; {6}",
              round, worker, step,
              finite ? "training diverges" : "not a number", result.loss,
              result.gradientNorm, tensor)
          .str());
}

bool Trainer::Impl::isLost(const StepResult &result) const {
  double guess = options.loss.kind == LossKind::CrossEntropy
                     ? std::max(std::log(double(layout().vocabulary)), 1.0)
                     : std::numeric_limits<double>::infinity();
  return !std::isfinite(result.loss) || !std::isfinite(result.gradientNorm) ||
         result.loss > 3 * guess;
}

StepScalars Trainer::Impl::scalarsOf(int64_t worker, int64_t step) const {
  StepScalars scalars = options.scalars;
  scalars.learningRate *= options.schedule.factor(step);
  scalars.seed = options.assignment.seed;
  scalars.counter = uint64_t(step * workers() + worker);
  return scalars;
}

Error Trainer::Impl::runWorker(int64_t worker, const WorkerPlan &plan,
                               StepSession &session, RoundReport &report) {
  StepInputs inputs(*plan.step, teacher);
  StepBuffers buffers = bind(worker, plan);
  inputs.bind(buffers);
  for (int64_t local = 0; local < options.localSteps; ++local) {
    int64_t step = round * options.localSteps + local;
    if (Error error = inputs.load(data, worker, step))
      return error;
    Expected<StepResult> result =
        session.step(buffers, scalarsOf(worker, step));
    if (!result)
      return result.takeError();
    if (isLost(*result))
      return diverged(worker, step, *result, plan);
    report.losses[worker] += result->loss / double(options.localSteps);
    report.norms[worker] += result->gradientNorm / double(options.localSteps);
  }
  return Error::success();
}

Error Trainer::Impl::forEachWorker(
    const std::vector<WorkerPlan> &plans,
    function_ref<Error(int64_t, StepSession &)> fn) {
  std::vector<int64_t> mine;
  for (int64_t worker = 0; worker < workers(); ++worker)
    if (store->isMine(worker))
      mine.push_back(worker);
  std::atomic<size_t> next = 0;
  std::atomic<bool> stop = false;
  // One error a worker: the first worker's is reported, whoever failed first.
  std::vector<std::optional<std::string>> errors(mine.size());
  auto work = [&](int64_t slot) {
    for (size_t i; !stop && (i = next++) < mine.size();) {
      Expected<StepSession *> session =
          sessionFor(slot, plans[mine[i]].step.get());
      Error error = session ? fn(mine[i], **session) : session.takeError();
      if (!error)
        continue;
      errors[i] = toString(std::move(error));
      stop = true;
    }
  };
  size_t slots = std::min<size_t>(options.concurrent, mine.size());
  std::vector<std::thread> threads;
  for (size_t slot = 1; slot < slots; ++slot)
    threads.emplace_back(work, int64_t(slot));
  work(0);
  for (std::thread &thread : threads)
    thread.join();
  for (const auto &error : errors)
    if (error)
      return createStringError(*error);
  return Error::success();
}

/// Gradients of all workers, their mean, the same update everywhere. What the
/// workers hold in the end is equal, so that the mean over them is it.
Error Trainer::Impl::parallelSteps(const std::vector<WorkerPlan> &plans,
                                   RoundReport &report) {
  std::vector<WorkerSlices> means(workers());
  std::vector<size_t> all;
  std::vector<std::unique_ptr<StepInputs>> inputs(workers());
  std::vector<StepBuffers> buffers(workers());
  for (int64_t worker = 0; worker < workers(); ++worker) {
    for (auto [t, tensor] : llvm::enumerate(store->tensors()))
      if (tensor.isParameter)
        means[worker].runs.push_back(slices[worker].runs[t]);
    means[worker].buffers.resize(means[worker].runs.size());
    if (!store->isMine(worker))
      continue;
    inputs[worker] = std::make_unique<StepInputs>(*plans[worker].step, teacher);
    buffers[worker] = bind(worker, plans[worker]);
    inputs[worker]->bind(buffers[worker]);
    for (size_t g = 0, t = 0; t < origins.size(); ++t) {
      if (!store->tensors()[t].isParameter)
        continue;
      AlignedBytes &mean = means[worker].buffers[g++];
      mean.resize(slices[worker].buffers[t].size());
      buffers[worker].gradients[origins[t].parameter] = mean.data();
    }
  }
  for (size_t g = 0; g < gradients->tensors().size(); ++g)
    all.push_back(g);

  for (int64_t local = 0; local < options.localSteps; ++local) {
    int64_t step = round * options.localSteps + local;
    auto backward = [&](int64_t worker, StepSession &session) -> Error {
      if (Error error = inputs[worker]->load(data, worker, step))
        return error;
      Expected<StepResult> result = session.gradients(
          buffers[worker], scalarsOf(worker, step), /*add=*/false);
      if (!result)
        return result.takeError();
      report.losses[worker] += result->loss / double(options.localSteps);
      return isLost(*result) ? diverged(worker, step, *result, plans[worker])
                             : Error::success();
    };
    if (Error error = forEachWorker(plans, backward))
      return error;
    Expected<Traffic> up = gradients->aggregate(means, all);
    if (!up)
      return up.takeError();
    Expected<Traffic> down = gradients->dispatch(means, all);
    if (!down)
      return down.takeError();
    report.up += *up;
    report.down += *down;
    auto update = [&](int64_t worker, StepSession &session) -> Error {
      Expected<StepResult> result =
          session.update(buffers[worker], scalarsOf(worker, step));
      if (!result)
        return result.takeError();
      report.norms[worker] += result->gradientNorm / double(options.localSteps);
      return isLost({0, result->gradientNorm})
                 ? diverged(worker, step, *result, plans[worker])
                 : Error::success();
    };
    if (Error error = forEachWorker(plans, update))
      return error;
  }
  return Error::success();
}

//===----------------------------------------------------------------------===//
// A round
//===----------------------------------------------------------------------===//

/// Every process's numbers to all.
Error Trainer::Impl::shareReport(RoundReport &report) {
  std::vector<std::vector<double>> packs(transport.size());
  std::vector<OutgoingMessage> sends;
  std::vector<IncomingMessage> receives;
  const WorkerPlacement &placement = store->placement();
  int me = transport.rank();
  auto range = [&](int process) {
    return std::pair(placement.first(process), placement.first(process + 1));
  };
  for (int process = 0; process < transport.size(); ++process)
    packs[process].resize(2 * (range(process).second - range(process).first));
  auto [first, last] = range(me);
  for (int64_t worker = first; worker < last; ++worker) {
    packs[me][2 * (worker - first)] = report.losses[worker];
    packs[me][2 * (worker - first) + 1] = report.norms[worker];
  }
  for (int process = 0; process < transport.size(); ++process) {
    if (process == me)
      continue;
    sends.push_back({process, packs[me].data(), packs[me].size() * 8});
    receives.push_back(
        {process, packs[process].data(), packs[process].size() * 8});
  }
  if (Error error = transport.exchange(sends, receives))
    return error;
  for (int process = 0; process < transport.size(); ++process)
    for (int64_t worker = range(process).first; worker < range(process).second;
         ++worker) {
      int64_t at = 2 * (worker - range(process).first);
      report.losses[worker] = packs[process][at];
      report.norms[worker] = packs[process][at + 1];
    }
  return Error::success();
}

Expected<RoundReport> Trainer::Impl::runRound() {
  Clock::time_point start = Clock::now();
  RoundReport report;
  report.round = round;
  report.losses.resize(workers());
  report.norms.resize(workers());
  report.tokens =
      workers() * options.localSteps * options.batch * options.context;
  report.rate = options.scalars.learningRate *
                options.schedule.factor((round + 1) * options.localSteps - 1);

  Expected<std::vector<WorkerPlan>> plans = planRound(round);
  if (!plans)
    return plans.takeError();
  for (const WorkerPlan &plan : *plans) // sessions outlive a round
    if (plan.step && !llvm::is_contained(usedSteps, plan.step))
      usedSteps.push_back(plan.step);
  allocate(*plans);
  int64_t whole = 0;
  for (const StoredTensor &tensor : store->tensors())
    whole += tensor.isParameter ? tensor.size() : 0;
  for (int64_t worker = 0; worker < workers(); ++worker) {
    int64_t held = 0;
    for (auto [t, tensor] : llvm::enumerate(store->tensors()))
      held += tensor.isParameter ? slices[worker].runs[t].size() : 0;
    report.kept.push_back(double(held) / double(whole));
    if (!store->isMine(worker))
      continue;
    takeFrozen(worker, (*plans)[worker]);
    if (options.state == StateMode::Local)
      restoreLocal(worker);
  }
  Expected<Traffic> down = store->dispatch(slices, exchanged);
  if (!down)
    return down.takeError();
  report.down += *down;

  Clock::time_point local = Clock::now();
  auto run = [&](int64_t worker, StepSession &session) {
    return runWorker(worker, (*plans)[worker], session, report);
  };
  if (Error error = options.mode == Mode::Parallel
                        ? parallelSteps(*plans, report)
                        : forEachWorker(*plans, run))
    return std::move(error);
  report.localSeconds = secondsSince(local);

  if (options.state == StateMode::Local)
    for (int64_t worker = 0; worker < workers(); ++worker)
      if (store->isMine(worker))
        keepLocal(worker);
  Expected<Traffic> up = store->aggregate(slices, exchanged);
  if (!up)
    return up.takeError();
  report.up += *up;
  if (Error error = shareReport(report))
    return std::move(error);
  ++round;
  report.seconds = secondsSince(start);
  return report;
}
