//===- Data.h - Features and costs of instances -----------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_DFL_DATA_H
#define TWIST_DFL_DATA_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace twist::dfl {

/// Instances of one problem. A predictor maps rows of `features` numbers to
/// costs; an instance has `rows` rows, whose predictions in order are its
/// `items` costs: one row per item where all items share a predictor.
struct Dataset {
  int64_t instances = 0, rows = 1, features = 0, items = 0;
  std::vector<double> x; ///< [instances, rows, features]
  std::vector<double> c; ///< [instances, items]
  /// Of which instances of the whole data these are: what errors speak of.
  /// Empty: of all, in order.
  std::vector<int64_t> numbers;

  int64_t number(int64_t i) const { return numbers.empty() ? i : numbers[i]; }
  /// The instances `order` names, in its order.
  Dataset take(llvm::ArrayRef<int64_t> order) const;
  /// Costs a row gives: items / rows.
  int64_t outputs() const { return items / rows; }
};

/// Sizes that fit one another, and finite numbers; else what is wrong where.
llvm::Error checkDataset(const Dataset &data, llvm::StringRef name);

/// Subtracts each feature's mean over the first `instances` instances and
/// divides by its population deviation there; constant features become 0.
void standardise(Dataset &data, int64_t instances);

struct Split {
  Dataset train, validation, test;
};
/// Who draws orders from seeds: the counter-based generator, or the Mersenne
/// Twister as numpy.random.RandomState(seed).shuffle uses it, with which
/// published results cut their data; its seeds have 32 bits.
enum class Shuffle { Philox, MT19937 };
/// The instances in an order drawn from `seed`, cut into parts of these sizes.
llvm::Expected<Split> split(const Dataset &data, int64_t train,
                            int64_t validation, int64_t test, uint64_t seed,
                            Shuffle shuffle = Shuffle::Philox);

/// An array of a file, converted to f64, row-major.
struct NumericArray {
  std::vector<int64_t> dims;
  std::vector<double> values;
};
/// The members of a NumPy .npz file, stored or deflated, by name.
llvm::Expected<std::map<std::string, NumericArray>>
readNpz(llvm::StringRef path);

/// Half-hourly energy prices, 48 items a day, 8 features an item, and the
/// items' weights: X_1gtrain, X_1gtest (first column: the day, left out),
/// y_train, y_test, weights. Standardised by the days for training.
struct EnergyData {
  Dataset data;
  std::vector<double> weights;
};
llvm::Expected<EnergyData> readEnergy(llvm::StringRef path);

/// The user's own: "x" [instances, features] or [instances, rows, features] and
/// "c" [instances, items] of an .npz; or a .csv with a heading, whose columns
/// x… are features and c… costs, one instance a line.
llvm::Expected<Dataset> readDataset(llvm::StringRef path);

} // namespace twist::dfl

#endif // TWIST_DFL_DATA_H
