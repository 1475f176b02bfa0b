//===- Calibration.h - What flows through gates, as numbers -----*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
// Per site x over all tokens of the data: count, mean and centred Gram matrix
// Σ (x - mean)(x - mean)ᵀ in f64. docs/Cuts.md describes the file.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_PRUNE_CALIBRATION_H
#define TWIST_PRUNE_CALIBRATION_H

#include "twist/Prune/Feed.h"

#include "llvm/Support/JSON.h"

namespace twist::prune {

/// Unit u lies at offset + (o·units + u)·inner + i, o < outer, i < inner.
struct SitePlace {
  int64_t offset = 0, outer = 1, units = 1, inner = 1;
};

/// An axis whose units a site sums over.
struct SiteAxis {
  std::string name, kind;
  int64_t units = 0;
  std::vector<SitePlace> places;

  /// The features, ascending, that are unit `unit`.
  std::vector<int64_t> features(int64_t unit) const;
};

/// A contraction of `width` gated features with a weight, [width, columns].
struct Site {
  std::string key; ///< AXIS/n, for corrections; not in the file
  std::string node;
  int64_t width = 0, columns = 0;
  bool isMatrix = false; ///< columns are one output each
  std::vector<SiteAxis> axes;
  std::vector<double> weight; ///< [width, columns], row-major

  uint64_t count = 0; ///< vectors seen
  /// Of weighted vectors: Σ w, and what is added to |xW|² in a weight.
  double weighted = 0, floor = 0;
  /// Sums are of differences from `shift`, which is near the mean: no
  /// cancellation where the mean is large.
  std::vector<double> shift, sum;
  /// Σ w (x - shift)(x - shift)ᵀ, the lower triangle row by row.
  std::vector<double> products;

  /// What sums are of: vectors, or their weights.
  double mass() const { return weighted > 0 ? weighted : double(count); }
  /// For messages: the axis and the node.
  std::string name() const;
  std::vector<double> mean() const;
  /// Of one feature: E (x - mean)².
  double variance(int64_t feature) const;
  /// The centred Gram matrix, [width, width], row-major; empty if there are no
  /// products.
  std::vector<double> gram() const;
};

struct Calibration {
  std::string structureSHA256, weightsSHA256; ///< of the model
  std::string dataHash;                       ///< Feed::hash
  std::string protocol;                       ///< Feed::protocol
  int64_t batches = 0, done = 0;
  std::vector<Site> sites;

  bool isComplete() const { return done == batches; }
  /// Bytes the statistics take, in memory and in the file.
  uint64_t bytes() const;

  static llvm::Expected<Calibration> read(llvm::StringRef path);
  /// Writes another file first and renames it.
  llvm::Error write(llvm::StringRef path) const;
};

/// What is summed at a site.
enum class Moments {
  Mean,     ///< count and mean alone
  Products, ///< the Gram matrix too
  /// The same with a weight per vector, 1 / (|xW|² + floor), the floor being
  /// the first batch's median of |xW|²: a vector that sums to a hundred times
  /// as much as others does not count for ten thousand.
  Relative
};
/// Adds rows of `width` values to a site's statistics. Values that are not
/// finite are an error that names the site. The same bits for any number of
/// threads.
llvm::Error accumulate(Site &site, const Array &values, Runner &runner,
                       int64_t batch, Moments what = Moments::Products);
/// Adds the outputs of one run, one a site.
llvm::Error accumulate(Calibration &calibration, llvm::ArrayRef<Array> values,
                       Runner &runner);

/// Runs what is left of the data, from batch `done` on; `save` is called every
/// now and then and at the end.
llvm::Error calibrate(Calibration &calibration, Runner &runner,
                      const Feed &feed,
                      llvm::function_ref<llvm::Error(bool atEnd)> save);

} // namespace twist::prune

#endif // TWIST_PRUNE_CALIBRATION_H
