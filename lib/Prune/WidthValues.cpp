//===- WidthValues.cpp - What widths of axes lose, measured ---------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Prune/WidthValues.h"

#include "twist/Support/JSONFile.h"
#include "twist/Support/OutputFile.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FormatVariadic.h"

#include <cmath>

using namespace llvm;
using namespace twist;
using namespace twist::prune;

namespace twist::prune { // where llvm::json looks for it
static bool fromJSON(const json::Value &value, WidthAxis &axis,
                     json::Path path) {
  json::ObjectMapper map(value, path);
  return map && map.map("axis", axis.axis) && map.map("units", axis.units) &&
         map.map("uniform", axis.uniform) && map.map("widths", axis.widths) &&
         map.map("costs", axis.costs) && map.map("increases", axis.increases) &&
         map.map("features", axis.features);
}
} // namespace twist::prune

/// One of everything for each width, and numbers.
static bool isSane(const WidthAxis &axis, size_t features) {
  size_t count = axis.widths.size();
  auto isNumber = [](double value) { return std::isfinite(value); };
  return count > 0 && axis.costs.size() == count &&
         axis.increases.size() == count && axis.features.size() == count &&
         axis.widths.back() == axis.units && is_sorted(axis.widths) &&
         is_contained(axis.widths, axis.uniform) &&
         all_of(axis.costs, [](int64_t cost) { return cost >= 0; }) &&
         all_of(axis.increases, isNumber) &&
         all_of(axis.features, [&](const std::vector<double> &row) {
           return row.size() == features && all_of(row, isNumber);
         });
}

Expected<WidthValues> WidthValues::read(StringRef path) {
  auto wrong = [&](const Twine &what) {
    return createStringError(path + ": " + what);
  };
  Expected<json::Value> parsed = readJSON(path);
  if (!parsed)
    return parsed.takeError();
  WidthValues values;
  json::Path::Root root;
  json::ObjectMapper map(*parsed, root);
  int64_t version = 0;
  if (!map || !map.map("version", version) || version != 1)
    return wrong("holds no values of widths of version 1");
  if (!map.map("model", values.model) || !map.map("measure", values.measure) ||
      !map.map("cost", values.cost) || !map.map("kappa", values.kappa) ||
      !map.map("allowed", values.allowed) || !map.map("dense", values.dense) ||
      !map.map("uniform", values.uniform) ||
      !map.map("features", values.features) || !map.map("axes", values.axes))
    return wrong(toString(root.getError()));
  for (const WidthAxis &axis : values.axes)
    if (!isSane(axis, values.features.size()))
      return wrong("axis '" + axis.axis +
                   "' has not one cost, increase and row of features for each "
                   "of ascending widths");
  if (values.axes.empty() || !(values.uniform > values.dense))
    return wrong("the uniform ticket loses nothing: there is nothing to learn");
  return values;
}

Error WidthValues::write(StringRef path) const {
  json::Array rows;
  for (const WidthAxis &axis : axes) {
    json::Array table;
    for (const std::vector<double> &row : axis.features)
      table.push_back(json::Array(row));
    rows.push_back(json::Object{{"axis", axis.axis},
                                {"units", axis.units},
                                {"uniform", axis.uniform},
                                {"widths", json::Array(axis.widths)},
                                {"costs", json::Array(axis.costs)},
                                {"increases", json::Array(axis.increases)},
                                {"features", std::move(table)}});
  }
  json::Value value = json::Object{{"version", 1},
                                   {"model", model},
                                   {"measure", measure},
                                   {"cost", cost},
                                   {"kappa", kappa},
                                   {"allowed", allowed},
                                   {"dense", dense},
                                   {"uniform", uniform},
                                   {"features", json::Array(features)},
                                   {"axes", std::move(rows)}};
  return writeFile(path, formatv("{0}\n", value).str());
}
