//===- LatencyTable.cpp - What widths of axes save, measured --------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Prune/LatencyTable.h"

#include "twist/Support/JSONFile.h"
#include "twist/Support/OutputFile.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"

#include <cmath>
#include <thread>

using namespace llvm;
using namespace twist;
using namespace twist::prune;

std::string twist::prune::machineName() {
  std::string name = "unknown processor";
  if (auto file = MemoryBuffer::getFileAsStream("/proc/cpuinfo"))
    for (StringRef line : llvm::split((*file)->getBuffer(), '\n'))
      if (line.consume_front("model name")) {
        name = line.ltrim(" \t:").trim().str();
        break;
      }
  return name + " x " + std::to_string(std::thread::hardware_concurrency());
}

const LatencyRow *LatencyTable::find(StringRef axis) const {
  auto found = llvm::find_if(
      axes, [&](const LatencyRow &row) { return row.axis == axis; });
  return found == axes.end() ? nullptr : &*found;
}

namespace twist::prune { // where llvm::json looks for it
static bool fromJSON(const json::Value &value, LatencyRow &row,
                     json::Path path) {
  json::ObjectMapper map(value, path);
  return map && map.map("axis", row.axis) && map.map("units", row.units) &&
         map.map("widths", row.widths) && map.map("saved", row.saved);
}
} // namespace twist::prune

static bool isSane(const LatencyRow &row) {
  if (row.widths.size() != row.saved.size() || row.units < 1)
    return false;
  int64_t before = -1;
  for (int64_t width : row.widths)
    if (width <= std::exchange(before, width))
      return false;
  return before < row.units &&
         llvm::all_of(row.saved, [](double s) { return std::isfinite(s); });
}

Expected<LatencyTable> LatencyTable::read(StringRef path) {
  auto wrong = [&](const Twine &what) {
    return createStringError(path + ": " + what);
  };
  Expected<json::Value> parsed = readJSON(path);
  if (!parsed)
    return parsed.takeError();
  LatencyTable table;
  json::Path::Root root;
  json::ObjectMapper map(*parsed, root);
  int64_t version = 0;
  if (!map || !map.map("version", version) || version != 1)
    return wrong("is no latency table of version 1");
  if (!map.map("machine", table.machine) ||
      !map.map("structure_sha256", table.structureSHA256) ||
      !map.map("sizes", table.sizes) || !map.map("threads", table.threads) ||
      !map.map("dense_seconds", table.denseSeconds) ||
      !map.map("axes", table.axes))
    return wrong(toString(root.getError()));
  for (const LatencyRow &row : table.axes)
    if (!isSane(row))
      return wrong("the row of axis '" + row.axis +
                   "' has no ascending widths with a time each");
  return table;
}

Error LatencyTable::write(StringRef path) const {
  json::Array rows;
  for (const LatencyRow &row : axes)
    rows.push_back(json::Object{{"axis", row.axis},
                                {"units", row.units},
                                {"widths", json::Array(row.widths)},
                                {"saved", json::Array(row.saved)}});
  json::Value value = json::Object{{"version", 1},
                                   {"machine", machine},
                                   {"structure_sha256", structureSHA256},
                                   {"sizes", sizes},
                                   {"threads", threads},
                                   {"dense_seconds", denseSeconds},
                                   {"axes", std::move(rows)}};
  return writeFile(path, formatv("{0:2}\n", value).str());
}

Error LatencyTable::check(StringRef path, StringRef expected,
                          StringRef structure) const {
  if (machine != expected)
    return createStringError(path + ": was measured on '" + machine +
                             "', this machine is '" + expected + "'");
  if (structureSHA256 != structure)
    return createStringError(path + ": was measured with another model");
  return Error::success();
}
