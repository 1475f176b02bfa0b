//===- Data.cpp - Features and costs of instances -------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/DFL/Data.h"

#include "twist/DFL/Problem.h"
#include "twist/DFL/Random.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/MemoryBuffer.h"

#include <cmath>
#include <numeric>
#include <random>

using namespace llvm;
using namespace twist::dfl;

Dataset Dataset::take(ArrayRef<int64_t> order) const {
  Dataset part = *this;
  part.instances = int64_t(order.size());
  part.x.clear();
  part.c.clear();
  part.numbers.clear();
  int64_t width = rows * features;
  for (int64_t i : order) {
    part.numbers.push_back(number(i));
    part.x.insert(part.x.end(), x.begin() + i * width,
                  x.begin() + (i + 1) * width);
    part.c.insert(part.c.end(), c.begin() + i * items,
                  c.begin() + (i + 1) * items);
  }
  return part;
}

Error twist::dfl::checkDataset(const Dataset &data, StringRef name) {
  auto wrong = [&](const Twine &what) {
    return createStringError(name + ": " + what);
  };
  if (data.instances < 1 || data.rows < 1 || data.features < 1 ||
      data.items < 1)
    return wrong("there are no instances, features or costs");
  if (data.items % data.rows)
    return wrong(formatv("{0} costs of an instance do not divide among its {1} "
                         "rows of features",
                         data.items, data.rows)
                     .str());
  int64_t width = data.rows * data.features;
  if (int64_t(data.x.size()) != data.instances * width ||
      int64_t(data.c.size()) != data.instances * data.items)
    return wrong("features and costs are not of the same number of instances");
  auto finite = [&](ArrayRef<double> values, int64_t items,
                    StringRef what) -> Error {
    if (Error error = checkFinite(values, items, what))
      return wrong(toString(std::move(error)));
    return Error::success();
  };
  if (Error error = finite(data.x, width, "feature"))
    return error;
  return finite(data.c, data.items, "cost");
}

void twist::dfl::standardise(Dataset &data, int64_t instances) {
  int64_t rows = instances * data.rows, width = data.features;
  for (int64_t f = 0; f < width; ++f) {
    double sum = 0, squares = 0;
    for (int64_t r = 0; r < rows; ++r)
      sum += data.x[r * width + f];
    double mean = sum / double(rows);
    for (int64_t r = 0; r < rows; ++r) {
      double away = data.x[r * width + f] - mean;
      squares += away * away;
    }
    double deviation = std::sqrt(squares / double(rows));
    double scale = deviation > 0 ? 1 / deviation : 0;
    for (int64_t r = 0; r < data.instances * data.rows; ++r)
      data.x[r * width + f] = (data.x[r * width + f] - mean) * scale;
  }
}

/// As numpy's RandomState(seed).shuffle: places from the last, each exchanged
/// with one up to it, drawn by masking bits and rejecting what is too large.
static std::vector<int64_t> mersenneOrder(uint32_t seed, int64_t count) {
  std::mt19937 generator(seed);
  std::vector<int64_t> order(count);
  std::iota(order.begin(), order.end(), int64_t(0));
  for (int64_t last = count - 1; last > 0; --last) {
    auto mask = uint32_t(NextPowerOf2(uint64_t(last)) - 1);
    uint32_t other;
    do
      other = generator() & mask;
    while (other > uint64_t(last));
    std::swap(order[last], order[other]);
  }
  return order;
}

Expected<Split> twist::dfl::split(const Dataset &data, int64_t train,
                                  int64_t validation, int64_t test,
                                  uint64_t seed, Shuffle shuffle) {
  if (train < 1 || validation < 0 || test < 1 ||
      train + validation + test > data.instances)
    return createStringError(
        formatv("{0} instances can't be cut into {1} for training, {2} for "
                "validation and {3} for testing",
                data.instances, train, validation, test)
            .str());
  std::vector<int64_t> order;
  if (shuffle == Shuffle::Philox) {
    twist::PhiloxStream stream(seed, 0, 0, DrawShuffle);
    order = twist::shuffledPrefix(stream, data.instances, data.instances);
  } else if (isUInt<32>(seed) && isUInt<32>(data.instances)) {
    order = mersenneOrder(uint32_t(seed), data.instances);
  } else {
    return createStringError(
        formatv("shuffle 'mt19937' takes seeds below 2^32, not {0}", seed)
            .str());
  }
  ArrayRef<int64_t> all(order);
  return Split{data.take(all.take_front(train)),
               data.take(all.slice(train, validation)),
               data.take(all.slice(train + validation, test))};
}

//===----------------------------------------------------------------------===//
// The energy data
//===----------------------------------------------------------------------===//

static constexpr int64_t kItemsADay = 48;

/// The member `name` with dimensions `dims` (-1: any), or what is wrong.
static Expected<const NumericArray *>
member(const std::map<std::string, NumericArray> &file, StringRef path,
       StringRef name, ArrayRef<int64_t> dims) {
  auto found = file.find(name.str());
  if (found == file.end())
    return createStringError(path + ": there is no array '" + name + "'");
  ArrayRef<int64_t> has = found->second.dims;
  bool fits = has.size() == dims.size();
  for (size_t d = 0; fits && d < dims.size(); ++d)
    fits = dims[d] < 0 || dims[d] == has[d];
  if (fits)
    return &found->second;
  auto print = [](ArrayRef<int64_t> sizes) {
    std::string text;
    for (int64_t size : sizes)
      text += (text.empty() ? "" : ", ") +
              (size < 0 ? std::string("*") : std::to_string(size));
    return "[" + text + "]";
  };
  return createStringError(path + ": array '" + name + "' is " + print(has) +
                           ", not " + print(dims));
}

/// Days of `rows` [days · 48, 9] and `prices`, behind those of `data`.
static Error appendDays(Dataset &data, const NumericArray &rows,
                        const NumericArray &prices, StringRef path) {
  int64_t count = rows.dims[0], width = rows.dims[1];
  if (count % kItemsADay || prices.dims[0] != count)
    return createStringError(
        formatv("{0}: {1} rows of features and {2} prices are not days of {3}",
                path, count, prices.dims[0], kItemsADay)
            .str());
  for (int64_t r = 0; r < count; ++r)
    data.x.insert(data.x.end(), rows.values.begin() + r * width + 1,
                  rows.values.begin() + (r + 1) * width);
  data.c.insert(data.c.end(), prices.values.begin(), prices.values.end());
  data.instances += count / kItemsADay;
  return Error::success();
}

Expected<EnergyData> twist::dfl::readEnergy(StringRef path) {
  auto file = readNpz(path);
  if (!file)
    return file.takeError();
  EnergyData energy;
  Dataset &data = energy.data;
  data.rows = data.items = kItemsADay;
  data.features = 8;
  int64_t training = 0;
  for (StringRef part : {"train", "test"}) {
    auto rows = member(*file, path, ("X_1g" + part).str(), {-1, 9});
    if (!rows)
      return rows.takeError();
    auto prices = member(*file, path, ("y_" + part).str(), {-1});
    if (!prices)
      return prices.takeError();
    if (Error error = appendDays(data, **rows, **prices, path))
      return error;
    if (part == "train")
      training = data.instances;
  }
  auto weights = member(*file, path, "weights", {kItemsADay});
  if (!weights)
    return weights.takeError();
  energy.weights = (*weights)->values;
  if (Error error = checkDataset(data, path))
    return error;
  standardise(data, training);
  return energy;
}

//===----------------------------------------------------------------------===//
// The user's data
//===----------------------------------------------------------------------===//

static Expected<Dataset> datasetOfNpz(StringRef path) {
  auto file = readNpz(path);
  if (!file)
    return file.takeError();
  auto costs = member(*file, path, "c", {-1, -1});
  if (!costs)
    return costs.takeError();
  bool flat = file->count("x") && file->at("x").dims.size() == 2;
  auto features = member(*file, path, "x",
                         flat ? ArrayRef<int64_t>({(*costs)->dims[0], -1})
                              : ArrayRef<int64_t>({(*costs)->dims[0], -1, -1}));
  if (!features)
    return features.takeError();
  Dataset data;
  data.instances = (*costs)->dims[0];
  data.items = (*costs)->dims[1];
  data.rows = flat ? 1 : (*features)->dims[1];
  data.features = (*features)->dims.back();
  data.x = (*features)->values;
  data.c = (*costs)->values;
  return data;
}

static Expected<Dataset> datasetOfCsv(StringRef path) {
  auto buffer = MemoryBuffer::getFile(path, /*IsText=*/true);
  if (!buffer)
    return createStringError(path + ": " + buffer.getError().message());
  SmallVector<StringRef> lines, names, cells;
  (*buffer)->getBuffer().split(lines, '\n', -1, /*KeepEmpty=*/false);
  if (lines.empty())
    return createStringError(path + ": is empty");
  lines[0].trim().split(names, ',');
  Dataset data;
  for (StringRef name : names) {
    StringRef start = name.trim().take_front();
    if (start != "x" && start != "c")
      return createStringError(path + ": column '" + name.trim() +
                               "' is neither a feature (x…) nor a cost (c…)");
    ++(start == "x" ? data.features : data.items);
  }
  for (size_t line = 1; line < lines.size(); ++line) {
    cells.clear();
    lines[line].trim().split(cells, ',');
    if (cells.size() != names.size())
      return createStringError(formatv("{0}:{1}: {2} values for {3} columns",
                                       path, line + 1, cells.size(),
                                       names.size())
                                   .str());
    for (size_t at = 0; at < cells.size(); ++at) {
      double value;
      StringRef cell = cells[at].trim();
      if (cell.empty() || !to_float(cell, value))
        return createStringError(formatv("{0}:{1}: '{2}' is not a number", path,
                                         line + 1, cells[at].trim())
                                     .str());
      (names[at].trim().starts_with("x") ? data.x : data.c).push_back(value);
    }
    ++data.instances;
  }
  return data;
}

Expected<Dataset> twist::dfl::readDataset(StringRef path) {
  auto data = path.ends_with(".csv") ? datasetOfCsv(path) : datasetOfNpz(path);
  if (!data)
    return data.takeError();
  if (Error error = checkDataset(*data, path))
    return error;
  return data;
}
