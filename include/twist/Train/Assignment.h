//===- Assignment.h - Which worker holds which units ------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
// Every round deals the units of every axis to the workers. Whoever knows the
// options knows all masks of all rounds: they are never communicated. Draws
// come from Philox with counter (round, layer, family, draw), see
// Support/Philox.h; docs/HowTwISTWorks.md says how, and python/twist_torch does
// the same.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_TRAIN_ASSIGNMENT_H
#define TWIST_TRAIN_ASSIGNMENT_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace twist::train {

/// How units are dealt.
enum class Dealing {
  /// Fresh shuffles laid end to end, consecutive runs dealt, no unit twice in a
  /// worker: every unit is held, numbers of holders differ by at most 1, and
  /// each worker's mask is uniform over subsets of its size.
  Balanced,
  /// All units dealt once, the rest of each worker drawn at random.
  Random,
  /// Windows that lie side by side and move by one unit a round (FedRolex).
  Rolling
};

/// An axis whose groups of units are dealt.
struct DealtAxis {
  std::string name;  ///< for messages
  std::string kind;  ///< head, kv_group, ffn, channel, …
  int64_t layer = 0; ///< place among its kind, in graph order
  int64_t units = 0;
  int64_t group = 1;   ///< units a group; divides `units`
  bool pinned = false; ///< whole in every worker

  int64_t groups() const { return units / group; }
};

/// The kept fraction of axes of a kind, or of one layer of it.
struct KappaRule {
  std::string kind; ///< empty: all kinds
  std::optional<int64_t> layer;
  double kappa = 0.5;
};

/// From `round` on, `kappa` in place of the general one.
struct KappaStep {
  int64_t round = 0;
  double kappa = 1;
};

struct AssignmentOptions {
  Dealing dealing = Dealing::Balanced;
  int64_t workers = 4;
  uint64_t seed = 0;
  /// The last rule that fits an axis holds; none: 0.5.
  std::vector<KappaRule> kappas;
  /// Ascending rounds; with it no rule may name a kind.
  std::vector<KappaStep> anneal;
  /// Several fractions at once: in each round one worker takes the largest, the
  /// next one the smallest, each other one draws among all of them. Takes the
  /// place of the rules.
  std::vector<double> anyKappa;
  /// Workers together hold every group in every round; what they can't is
  /// refused. false: some may be held by nobody.
  bool cover = true;
};

/// The kept groups of one axis in one worker, ascending.
using Mask = std::vector<int64_t>;

class Assignment {
public:
  /// Refuses fractions outside (0, 1], rules that fit no axis, and axes of
  /// which the workers together could not hold every group in every round (n·m
  /// < k): the message names the axis and what would do.
  static llvm::Expected<Assignment> create(std::vector<DealtAxis> axes,
                                           const AssignmentOptions &options);

  llvm::ArrayRef<DealtAxis> axes() const { return axes_; }
  const AssignmentOptions &options() const { return options_; }

  /// The kept fraction of an axis in a worker's subnetwork of a round; 1 for
  /// pinned axes.
  double kappa(int64_t axis, int64_t worker, int64_t round) const;
  /// The kept groups' number, floor(kappa·k + 1/2), at least 1.
  int64_t kept(int64_t axis, int64_t worker, int64_t round) const;

  /// masks[worker] of an axis in a round.
  std::vector<Mask> deal(int64_t axis, int64_t round) const;

private:
  Assignment() = default;
  double generalKappa(const DealtAxis &axis, int64_t round) const;
  llvm::Error checkRules() const;
  llvm::Error checkCover() const;

  std::vector<DealtAxis> axes_;
  AssignmentOptions options_;
};

/// "0.5", "head=0.5,ffn=0.75,ffn.0=1": rules in their order.
llvm::Expected<std::vector<KappaRule>> parseKappas(llvm::StringRef text);
/// "0:0.875,20:0.75,50:0.5".
llvm::Expected<std::vector<KappaStep>> parseAnneal(llvm::StringRef text);

} // namespace twist::train

#endif // TWIST_TRAIN_ASSIGNMENT_H
