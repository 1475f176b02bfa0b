//===- Assignment.cpp - Which worker holds which units --------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Train/Assignment.h"

#include "twist/Support/Philox.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/Twine.h"
#include "llvm/Support/FormatVariadic.h"

#include <cmath>
#include <numeric>

using namespace llvm;
using namespace twist;
using namespace twist::train;

/// Draws that concern workers and not axes: which fraction each takes.
static constexpr uint32_t kWorkersFamily = 0x10000;

//===----------------------------------------------------------------------===//
// Dealing
//===----------------------------------------------------------------------===//

static std::vector<Mask> dealBalanced(PhiloxStream &stream, int64_t groups,
                                      ArrayRef<int64_t> counts) {
  std::vector<int64_t> line;
  size_t begin = 0;
  std::vector<Mask> masks;
  for (int64_t count : counts) {
    size_t end = begin + count;
    while (line.size() < end)
      llvm::append_range(line, shuffledPrefix(stream, groups, groups));
    std::vector<bool> held(groups);
    for (size_t at = begin; at < end; ++at) {
      // A repeat can only follow a seam, and its shuffle has a unit that is
      // none: shuffles stay shuffles.
      size_t next = at;
      while (held[line[next]])
        ++next;
      std::swap(line[at], line[next]);
      held[line[at]] = true;
    }
    masks.emplace_back(line.begin() + begin, line.begin() + end);
    begin = end;
  }
  return masks;
}

static std::vector<Mask> dealRandom(PhiloxStream &stream, int64_t groups,
                                    ArrayRef<int64_t> counts) {
  std::vector<Mask> masks(counts.size());
  size_t worker = 0;
  int64_t total = std::accumulate(counts.begin(), counts.end(), int64_t(0));
  for (int64_t unit : shuffledPrefix(stream, groups, std::min(groups, total))) {
    while (int64_t(masks[worker].size()) == counts[worker])
      worker = (worker + 1) % masks.size();
    masks[worker].push_back(unit);
    worker = (worker + 1) % masks.size();
  }
  for (auto [mask, count] : llvm::zip_equal(masks, counts)) {
    std::vector<int64_t> rest;
    for (int64_t unit = 0; unit < groups; ++unit)
      if (!llvm::is_contained(mask, unit))
        rest.push_back(unit);
    int64_t missing = count - int64_t(mask.size());
    for (int64_t i : shuffledPrefix(stream, int64_t(rest.size()), missing))
      mask.push_back(rest[i]);
  }
  return masks;
}

static std::vector<Mask> dealRolling(int64_t round, int64_t groups,
                                     ArrayRef<int64_t> counts) {
  std::vector<Mask> masks;
  int64_t first = round % groups;
  for (int64_t count : counts) {
    Mask &mask = masks.emplace_back();
    for (int64_t i = 0; i < count; ++i)
      mask.push_back((first + i) % groups);
    first += count;
  }
  return masks;
}

std::vector<Mask> Assignment::deal(int64_t axis, int64_t round) const {
  const DealtAxis &dealt = axes_[axis];
  std::vector<int64_t> counts;
  for (int64_t worker = 0; worker < options_.workers; ++worker)
    counts.push_back(kept(axis, worker, round));
  std::vector<Mask> masks;
  PhiloxStream stream(options_.seed, uint32_t(round), uint32_t(dealt.layer),
                      familyNumber(dealt.kind));
  switch (options_.dealing) {
  case Dealing::Balanced:
    masks = dealBalanced(stream, dealt.groups(), counts);
    break;
  case Dealing::Random:
    masks = dealRandom(stream, dealt.groups(), counts);
    break;
  case Dealing::Rolling:
    masks = dealRolling(round, dealt.groups(), counts);
    break;
  }
  for (Mask &mask : masks)
    llvm::sort(mask);
  return masks;
}

//===----------------------------------------------------------------------===//
// Fractions
//===----------------------------------------------------------------------===//

static bool fits(const KappaRule &rule, const DealtAxis &axis) {
  return (rule.kind.empty() || rule.kind == axis.kind) &&
         (!rule.layer || *rule.layer == axis.layer);
}

double Assignment::generalKappa(const DealtAxis &axis, int64_t round) const {
  double kappa = 0.5;
  for (const KappaRule &rule : options_.kappas)
    if (fits(rule, axis))
      kappa = rule.kappa;
  for (const KappaStep &step : options_.anneal)
    if (round >= step.round)
      kappa = step.kappa;
  return kappa;
}

double Assignment::kappa(int64_t axis, int64_t worker, int64_t round) const {
  const DealtAxis &dealt = axes_[axis];
  if (dealt.pinned)
    return 1;
  if (options_.anyKappa.empty())
    return generalKappa(dealt, round);
  const std::vector<double> &all = options_.anyKappa;
  // Roles move on by one worker a round, so that each shard sees all widths.
  int64_t role = (worker + round) % options_.workers;
  if (role == 0)
    return *llvm::max_element(all);
  if (role == 1)
    return *llvm::min_element(all);
  PhiloxStream stream(options_.seed, uint32_t(round), uint32_t(worker),
                      kWorkersFamily);
  return all[stream.below(all.size())];
}

int64_t Assignment::kept(int64_t axis, int64_t worker, int64_t round) const {
  int64_t groups = axes_[axis].groups();
  double fraction = kappa(axis, worker, round);
  return std::max<int64_t>(int64_t(std::floor(fraction * double(groups) + 0.5)),
                           1);
}

//===----------------------------------------------------------------------===//
// Making one
//===----------------------------------------------------------------------===//

static Error checkFraction(double kappa) {
  if (kappa > 0 && kappa <= 1)
    return Error::success();
  return createStringError(
      formatv("kappa is {0}, it has to be above 0 and at most 1", kappa).str());
}

Error Assignment::checkRules() const {
  for (const KappaRule &rule : options_.kappas) {
    if (Error error = checkFraction(rule.kappa))
      return error;
    if (none_of(axes_, [&](const DealtAxis &axis) { return fits(rule, axis); }))
      return createStringError(
          "kappa: the model has no axis " +
          (rule.kind.empty() ? "of any kind" : rule.kind) +
          (rule.layer ? "." + std::to_string(*rule.layer) : ""));
    if (!rule.kind.empty() && !options_.anneal.empty())
      return createStringError("an annealed kappa is one for all axes, but "
                               "there is one of its own for '" +
                               rule.kind + "'");
  }
  if (!options_.anyKappa.empty() && !options_.anneal.empty())
    return createStringError("several kappas at once can't be annealed");
  if (options_.anyKappa.size() == 1)
    return createStringError("several kappas at once take two at least");
  for (double kappa : options_.anyKappa)
    if (Error error = checkFraction(kappa))
      return error;
  int64_t last = -1;
  for (const KappaStep &step : options_.anneal) {
    if (Error error = checkFraction(step.kappa))
      return error;
    if (step.round <= last)
      return createStringError("annealing: rounds have to ascend, but " +
                               Twine(step.round) + " follows " + Twine(last));
    last = step.round;
  }
  return Error::success();
}

/// Fewest groups that are dealt in a round: with several fractions at once, all
/// but the largest may be the smallest.
static int64_t fewestDealt(const Assignment &assignment, int64_t axis,
                           int64_t round) {
  const AssignmentOptions &options = assignment.options();
  const DealtAxis &dealt = assignment.axes()[axis];
  if (options.anyKappa.empty() || dealt.pinned)
    return options.workers * assignment.kept(axis, 0, round);
  auto count = [&](double kappa) {
    return std::max<int64_t>(
        int64_t(std::floor(kappa * double(dealt.groups()) + 0.5)), 1);
  };
  return count(*llvm::max_element(options.anyKappa)) +
         (options.workers - 1) * count(*llvm::min_element(options.anyKappa));
}

Error Assignment::checkCover() const {
  std::vector<int64_t> rounds = {0};
  for (const KappaStep &step : options_.anneal)
    rounds.push_back(step.round);
  for (auto [index, axis] : llvm::enumerate(axes_))
    for (int64_t round : rounds) {
      int64_t dealt = fewestDealt(*this, int64_t(index), round);
      if (dealt >= axis.groups())
        continue;
      int64_t kept = this->kept(int64_t(index), options_.workers > 1, round);
      int64_t least = (axis.groups() + options_.workers - 1) / options_.workers;
      int64_t workers = (axis.groups() + kept - 1) / kept;
      return createStringError(
          formatv("axis '{0}' ({1} of layer {2}) has {3} groups, but {4} "
                  "workers of {5} each hold at most {6}: take kappa >= {7:f4} "
                  "or {8} workers, or pin the layer",
                  axis.name, axis.kind, axis.layer, axis.groups(),
                  options_.workers, kept, dealt,
                  double(least) / double(axis.groups()), workers)
              .str());
    }
  return Error::success();
}

Expected<Assignment> Assignment::create(std::vector<DealtAxis> axes,
                                        const AssignmentOptions &options) {
  if (options.workers < 1)
    return createStringError("there has to be one worker at least");
  for (const DealtAxis &axis : axes)
    if (axis.group < 1 || axis.units % axis.group != 0)
      return createStringError("groups of " + Twine(axis.group) +
                               " do not divide the " + Twine(axis.units) +
                               " units of axis '" + axis.name + "'");
  Assignment assignment;
  assignment.axes_ = std::move(axes);
  assignment.options_ = options;
  if (Error error = assignment.checkRules())
    return error;
  if (options.cover)
    if (Error error = assignment.checkCover())
      return error;
  return assignment;
}

//===----------------------------------------------------------------------===//
// Options as text
//===----------------------------------------------------------------------===//

Expected<std::vector<KappaRule>> twist::train::parseKappas(StringRef text) {
  std::vector<KappaRule> rules;
  SmallVector<StringRef> parts;
  text.split(parts, ',');
  for (StringRef part : parts) {
    KappaRule rule;
    auto [where, value] = part.split('=');
    if (!part.contains('='))
      std::swap(where, value);
    auto [kind, layer] = where.split('.');
    rule.kind = kind.str();
    int64_t number = 0;
    if (value.getAsDouble(rule.kappa) || (part.contains('=') && kind.empty()) ||
        (where.contains('.') && (layer.getAsInteger(10, number) || number < 0)))
      return createStringError("kappa '" + part +
                               "' is neither a number nor KIND=NUMBER nor "
                               "KIND.LAYER=NUMBER");
    if (where.contains('.'))
      rule.layer = number;
    rules.push_back(std::move(rule));
  }
  return rules;
}

Expected<std::vector<KappaStep>> twist::train::parseAnneal(StringRef text) {
  std::vector<KappaStep> steps;
  SmallVector<StringRef> parts;
  text.split(parts, ',');
  for (StringRef part : parts) {
    auto [round, kappa] = part.split(':');
    KappaStep step;
    if (round.getAsInteger(10, step.round) || step.round < 0 ||
        kappa.getAsDouble(step.kappa))
      return createStringError("annealing: '" + part + "' is not ROUND:KAPPA");
    steps.push_back(step);
  }
  return steps;
}
