//===- CalibrationFile.cpp - Statistics as a file -------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Prune/Calibration.h"

#include "twist/Support/OutputFile.h"

#include "llvm/Support/Endian.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/raw_ostream.h"

#include <cstring>

using namespace llvm;
using namespace twist::prune;

static constexpr StringLiteral kMagic = "TWISTCAL";

static Error inFile(StringRef path, const Twine &what) {
  return createStringError(path + ": " + what);
}

//===----------------------------------------------------------------------===//
// The header
//===----------------------------------------------------------------------===//

static json::Value toJSON(const SiteAxis &axis) {
  json::Array places;
  for (const SitePlace &at : axis.places)
    places.push_back(json::Array{at.offset, at.outer, at.units, at.inner});
  return json::Object{{"name", axis.name},
                      {"kind", axis.kind},
                      {"units", axis.units},
                      {"places", std::move(places)}};
}

static json::Value toJSON(const Site &site) {
  json::Array axes;
  for (const SiteAxis &axis : site.axes)
    axes.push_back(toJSON(axis));
  return json::Object{
      {"node", site.node},       {"width", site.width},
      {"columns", site.columns}, {"matrix", site.isMatrix},
      {"axes", std::move(axes)}, {"count", int64_t(site.count)}};
}

namespace twist::prune { // where llvm::json looks for them

static bool fromJSON(const json::Value &value, SitePlace &place,
                     json::Path path) {
  std::vector<int64_t> numbers;
  if (!json::fromJSON(value, numbers, path))
    return false;
  if (numbers.size() != 4) {
    path.report("expected four numbers");
    return false;
  }
  place = {numbers[0], numbers[1], numbers[2], numbers[3]};
  return true;
}

static bool fromJSON(const json::Value &value, SiteAxis &axis,
                     json::Path path) {
  json::ObjectMapper map(value, path);
  return map && map.map("name", axis.name) && map.map("kind", axis.kind) &&
         map.map("units", axis.units) && map.map("places", axis.places);
}

static bool fromJSON(const json::Value &value, Site &site, json::Path path) {
  json::ObjectMapper map(value, path);
  int64_t count = 0;
  if (!map || !map.map("node", site.node) || !map.map("width", site.width) ||
      !map.map("columns", site.columns) || !map.map("matrix", site.isMatrix) ||
      !map.map("axes", site.axes) || !map.map("count", count))
    return false;
  site.count = uint64_t(count);
  return true;
}

static bool fromJSON(const json::Value &value, Calibration &calibration,
                     json::Path path) {
  json::ObjectMapper map(value, path);
  return map && map.map("structure_sha256", calibration.structureSHA256) &&
         map.map("weights_sha256", calibration.weightsSHA256) &&
         map.map("data_sha256", calibration.dataHash) &&
         map.map("protocol", calibration.protocol) &&
         map.map("batches", calibration.batches) &&
         map.map("done", calibration.done) &&
         map.map("sites", calibration.sites);
}

} // namespace twist::prune

/// Sizes that a damaged header could use to ask for any memory.
static bool isSane(const Site &site) {
  constexpr int64_t kMost = 1 << 20;
  if (site.width < 1 || site.width > kMost || site.columns < 1 ||
      site.columns > (int64_t(1) << 32) / site.width)
    return false;
  for (const SiteAxis &axis : site.axes)
    for (const SitePlace &at : axis.places)
      if (at.offset < 0 || at.outer < 1 || at.inner < 1 ||
          at.units != axis.units || at.units < 1 || at.outer > site.width ||
          at.units > site.width || at.inner > site.width ||
          at.offset + at.outer * at.units * at.inner > site.width)
        return false;
  return true;
}

//===----------------------------------------------------------------------===//
// The numbers
//===----------------------------------------------------------------------===//

template <typename Calibration, typename Fn>
static void forEachArray(Calibration &calibration, Fn fn) {
  for (auto &site : calibration.sites) {
    fn(site.weight, size_t(site.width) * site.columns);
    fn(site.shift, size_t(site.width));
    fn(site.sum, size_t(site.width));
    fn(site.products, size_t(site.width) * (site.width + 1) / 2);
  }
}

Error Calibration::write(StringRef path) const {
  json::Array list;
  for (const Site &site : sites)
    list.push_back(toJSON(site));
  std::string header = formatv(
      "{0}", json::Value(json::Object{{"structure_sha256", structureSHA256},
                                      {"weights_sha256", weightsSHA256},
                                      {"data_sha256", dataHash},
                                      {"protocol", protocol},
                                      {"batches", batches},
                                      {"done", done},
                                      {"sites", std::move(list)}}));
  header.resize((header.size() + 16 + 63) / 64 * 64 - 16, ' ');
  return writeFile(path, [&](raw_ostream &os) {
    os << kMagic;
    char sizes[8];
    support::endian::write32le(sizes, 1);
    support::endian::write32le(sizes + 4, uint32_t(header.size()));
    os.write(sizes, sizeof(sizes));
    os << header;
    forEachArray(*this, [&](const std::vector<double> &values, size_t) {
      os.write(reinterpret_cast<const char *>(values.data()),
               values.size() * sizeof(double));
    });
    return Error::success();
  });
}

Expected<Calibration> Calibration::read(StringRef path) {
  auto file = MemoryBuffer::getFile(path, /*IsText=*/false,
                                    /*RequiresNullTerminator=*/false);
  if (!file)
    return inFile(path, "cannot be read: " + file.getError().message());
  StringRef bytes = (*file)->getBuffer();
  if (bytes.size() < 16 || !bytes.starts_with(kMagic) ||
      support::endian::read32le(bytes.data() + 8) != 1)
    return inFile(path, "is no calibration of version 1");
  size_t header = support::endian::read32le(bytes.data() + 12);
  if (header > bytes.size() - 16)
    return inFile(path, "is cut short");
  Expected<json::Value> parsed =
      json::parse(bytes.substr(16, header).rtrim(' '));
  if (!parsed)
    return inFile(path, toString(parsed.takeError()));
  Calibration result;
  json::Path::Root root;
  if (!fromJSON(*parsed, result, root))
    return inFile(path, toString(root.getError()));
  if (!llvm::all_of(result.sites, isSane))
    return inFile(path, "has a site of impossible size");
  if (bytes.size() - 16 - header != result.bytes())
    return inFile(path, "should hold " + Twine(result.bytes()) +
                            " bytes of numbers, not " +
                            Twine(bytes.size() - 16 - header));
  const char *data = bytes.data() + 16 + header;
  forEachArray(result, [&](std::vector<double> &values, size_t size) {
    values.resize(size);
    std::memcpy(values.data(), data, size * sizeof(double));
    data += size * sizeof(double);
  });
  return result;
}
