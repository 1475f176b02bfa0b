//===- TrainerImpl.cpp - Before the first round ---------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "TrainerImpl.h"
#include "StepInputs.h"

#include "twist/Ticket/Kinds.h"
#include "twist/Train/Teacher.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/FormatVariadic.h"

#include <algorithm>

using namespace llvm;
using namespace twist;
using namespace twist::train;

Expected<Mode> twist::train::parseMode(StringRef name) {
  auto mode = StringSwitch<std::optional<Mode>>(name)
                  .Case("twist", Mode::Twist)
                  .Case("subnet", Mode::Subnet)
                  .Case("fixed", Mode::Fixed)
                  .Case("dense", Mode::Dense)
                  .Case("parallel", Mode::Parallel)
                  .Default(std::nullopt);
  if (!mode)
    return createStringError("the mode '" + name +
                             "' is not known; twist, subnet, fixed, dense and "
                             "parallel are");
  return *mode;
}

Expected<StateMode> twist::train::parseStateMode(StringRef name) {
  auto mode = StringSwitch<std::optional<StateMode>>(name)
                  .Case("carry", StateMode::Carry)
                  .Case("local", StateMode::Local)
                  .Case("reset", StateMode::Reset)
                  .Default(std::nullopt);
  if (!mode)
    return createStringError("the optimiser state '" + name +
                             "' is not known; carry, local and reset are");
  return *mode;
}

//===----------------------------------------------------------------------===//
// Options
//===----------------------------------------------------------------------===//

Error Trainer::Impl::checkOptions() const {
  if (options.rounds < 1 || options.localSteps < 1)
    return createStringError("rounds and local steps are 1 at least");
  if (options.pinFirst < 0 || options.pinLast < 0)
    return createStringError("pinned layers are 0 at least");
  if (workers() < 1)
    return createStringError("there has to be one worker at least");
  if (transport.size() > workers())
    return createStringError(formatv("{0} processes for {1} workers: each "
                                     "process takes one at least",
                                     transport.size(), workers())
                                 .str());
  if (options.concurrent < 1 || options.threads < 1)
    return createStringError("workers at a time and threads are 1 at least");
  if (!(options.scalars.learningRate > 0))
    return createStringError("the learning rate has to be above 0");
  if (options.mode == Mode::Subnet && workers() != 1)
    return createStringError("the mode subnet has one worker");
  if (options.mode == Mode::Subnet && options.outer.nesterov)
    return createStringError("Nesterov's outer step needs every unit to be "
                             "held in every round; the mode subnet leaves some "
                             "out");
  if (options.mode == Mode::Parallel &&
      (options.outer.nesterov || options.state != StateMode::Carry))
    return createStringError("the mode parallel has one state of the optimiser "
                             "and no outer one");
  if (options.mode == Mode::Fixed &&
      options.fixed.size() != layout().axes.size())
    return createStringError("the mode fixed needs a ticket");
  for (auto [axis, kept] : llvm::zip(layout().axes, options.fixed))
    if (options.mode == Mode::Fixed && kept.empty())
      return createStringError("the ticket keeps no unit of axis '" +
                               axis.name + "': a subnetwork has one at least");
  if (layout().context > 0 && options.context > layout().context)
    return createStringError(formatv("windows of {0} tokens, but the model has "
                                     "{1} positions",
                                     options.context, layout().context)
                                 .str());
  return Error::success();
}

Error Trainer::Impl::checkInputs() const {
  bool ids = false;
  for (const Tensor &input : layout().inputs) {
    ids |= input.role == InputRole::Ids;
    if (input.role == InputRole::Features)
      return createStringError("input '" + input.name +
                               "' takes floats: training feeds tokens, masks "
                               "and positions");
  }
  if (!ids)
    return createStringError("the model has no input of token ids [batch, "
                             "sequence]");
  return Error::success();
}

/// What the loss compares with has to be what the teacher makes.
Error Trainer::Impl::checkTargets(const CompiledStep &step) const {
  if (!teacher)
    return Error::success();
  auto sizes = [](const Tensor &tensor) {
    std::string text;
    for (int64_t dim : tensor.dims)
      text += (text.empty() ? "" : ", ") + std::to_string(dim);
    return "[" + text + "]";
  };
  const Tensor &target = step.inputs().back(), &made = teacher->output();
  if (target.dims != made.dims || target.type != made.type)
    return createStringError("the student's output is " + sizes(target) +
                             ", the teacher's '" + made.name + "' " +
                             sizes(made));
  return Error::success();
}

//===----------------------------------------------------------------------===//
// Axes
//===----------------------------------------------------------------------===//

Error Trainer::Impl::deal() {
  bool cuts = options.mode == Mode::Twist || options.mode == Mode::Subnet;
  bool free = false;
  std::vector<DealtAxis> axes;
  for (auto [index, axis] : llvm::enumerate(layout().axes)) {
    DealtAxis dealtAxis{axis.name, axis.kind, axis.index, axis.units,
                        hasFineUnits(axis.kind) ? options.group : 1};
    bool pinned = axis.layersBefore < options.pinFirst ||
                  axis.layersAfter < options.pinLast;
    free |= !pinned;
    dealtAxis.pinned = pinned || !cuts;
    axes.push_back(std::move(dealtAxis));
    dealt.push_back(int64_t(index));
  }
  if (cuts && axes.empty())
    return createStringError("the model has no axis to deal");
  if (cuts && !free)
    return createStringError(
        formatv("{0} first and {1} last layers are pinned: of the model's {2} "
                "axes none is left to deal",
                options.pinFirst, options.pinLast, axes.size())
            .str());
  options.assignment.cover = options.mode == Mode::Twist;
  Expected<Assignment> made =
      Assignment::create(std::move(axes), options.assignment);
  if (!made)
    return made.takeError();
  assignment = std::move(*made);
  kappas = findKappas();
  return Error::success();
}

std::vector<double> Trainer::Impl::findKappas() const {
  std::vector<double> all = {1};
  const AssignmentOptions &dealing = assignment->options();
  llvm::append_range(all, dealing.anyKappa);
  for (const KappaStep &step : dealing.anneal)
    all.push_back(step.kappa);
  // What rules say of each axis, so that none is kept for kappas that never
  // occur.
  for (size_t axis = 0; axis < assignment->axes().size(); ++axis)
    if (dealing.anyKappa.empty())
      all.push_back(assignment->kappa(int64_t(axis), 0, 0));
  llvm::sort(all);
  all.erase(llvm::unique(all), all.end());
  return all;
}

//===----------------------------------------------------------------------===//
// Tensors
//===----------------------------------------------------------------------===//

Error Trainer::Impl::makeTensors() {
  Expected<std::vector<WorkerPlan>> plans = planRound(0);
  if (!plans)
    return plans.takeError();
  if (Error error = checkTargets(*plans->front().step))
    return error;
  std::vector<StoredTensor> tensors;
  auto add = [&](const std::string &prefix, unsigned index, int state,
                 twist_type type, std::vector<int64_t> dims, bool like) {
    const Parameter &parameter = layout().parameters[index];
    TensorOrigin origin{index, state, -1, like};
    if (parameter.role == ParameterRole::Gain) {
      origin.gainAxis = gainAxis(layout(), parameter);
      dims = {int64_t(kappas.size())};
    }
    origins.push_back(origin);
    tensors.push_back(
        {prefix + "/" + parameter.name, type, std::move(dims), state < 0});
  };
  for (auto [index, parameter] : llvm::enumerate(layout().parameters))
    if (parameter.trainable)
      add("parameter", unsigned(index), -1, parameter.type, parameter.dims,
          true);
  if (tensors.empty())
    return createStringError("no parameter of the model is trained");
  for (auto [index, state] : llvm::enumerate(plans->front().step->state()))
    add(state.name, state.parameter, int(index), state.type, state.denseDims,
        state.likeParameter);
  for (size_t t = 0; t < tensors.size(); ++t)
    if (tensors[t].isParameter || options.state == StateMode::Carry)
      exchanged.push_back(t);
  store = std::make_unique<Store>(std::move(tensors),
                                  WorkerPlacement{workers(), transport.size()},
                                  transport, options.outer);
  if (options.mode == Mode::Parallel)
    makeGradients();
  slices.resize(workers());
  frozenSlices.resize(workers());
  localState.resize(workers());
  return Error::success();
}

/// One tensor per trained parameter, in its order.
void Trainer::Impl::makeGradients() {
  std::vector<StoredTensor> tensors;
  for (const StoredTensor &tensor : store->tensors())
    if (tensor.isParameter) {
      tensors.push_back(tensor);
      tensors.back().isParameter = false;
    }
  gradients = std::make_unique<Store>(std::move(tensors), store->placement(),
                                      transport, OuterOptions());
}

Error Trainer::Impl::readModel() {
  frozen.resize(layout().parameters.size());
  AlignedBytes dense;
  for (auto [index, parameter] : llvm::enumerate(layout().parameters)) {
    AlignedBytes &target = parameter.trainable ? dense : frozen[index];
    target.resize(parameter.size() * twist_type_size(parameter.type));
    if (parameter.role == ParameterRole::Gain)
      storeReal(target.data(), parameter.type, 1); // of the whole
    else if (Error error =
                 compiler.readParameter(unsigned(index), target.data()))
      return error;
    auto stored = llvm::find_if(origins, [&](const TensorOrigin &origin) {
      return origin.parameter == index && origin.state < 0;
    });
    if (stored == origins.end())
      continue;
    size_t t = stored - origins.begin();
    if (parameter.role == ParameterRole::Gain)
      target = firstGains(parameter);
    store->set(t, target.data());
  }
  return Error::success();
}

/// Of the whole it is 1, of subnetworks what was asked for.
double Trainer::Impl::firstGain(const Parameter &gain, double kappa) const {
  if (kappa == 1)
    return 1;
  int64_t axis = gainAxis(layout(), gain);
  if (!options.spreads.empty())
    return 1 / (kappa + (1 - kappa) * options.spreads[axis]);
  return options.gains.empty() ? 1 : options.gains[axis];
}

/// One per kappa.
AlignedBytes Trainer::Impl::firstGains(const Parameter &gain) const {
  size_t width = twist_type_size(gain.type);
  AlignedBytes values(kappas.size() * width);
  for (auto [k, kappa] : llvm::enumerate(kappas))
    storeReal(values.data() + k * width, gain.type, firstGain(gain, kappa));
  return values;
}

Error Trainer::Impl::prepare() {
  options.schedule.steps = options.rounds * options.localSteps;
  if (Error error = checkOptions())
    return error;
  if (Error error = checkInputs())
    return error;
  if (Error error = deal())
    return error;
  if (Error error = makeTensors())
    return error;
  if (Error error = readModel())
    return error;
  return checkSame(transport, "their options",
                   formatv("{0}{1}{2}", json::Value(describe(options)),
                           data.hash(), layout().structureSHA256)
                       .str());
}
