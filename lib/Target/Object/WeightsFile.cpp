//===- WeightsFile.cpp - NAME.weights -------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Codegen/CPU/Packing.h"
#include "twist/Codegen/CPU/Program/Passes.h"
#include "twist/Dialect/Weights/Reader.h"
#include "twist/Runtime/Program.h"
#include "twist/Target/Object/Object.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/SHA256.h"

#include <cstring>

using namespace mlir;
using namespace twist;
using namespace twist::object;

static_assert(cpu::program::alignment == TWIST_ALIGNMENT);

/// Data start on a page of their own.
static constexpr uint64_t dataOffset = 4096;

std::string twist::object::toHex(const Sha256 &digest) {
  return llvm::toHex(digest, /*LowerCase=*/true);
}

/// The bytes of one placed weight, as the program reads them.
static FailureOr<std::vector<char>>
readPlaced(DictionaryAttr entry, weights::SourceFiles &sources, Location loc) {
  auto type = cast<RankedTensorType>(entry.getAs<TypeAttr>("type").getValue());
  unsigned bytes = llvm::divideCeil(type.getElementTypeBitWidth(), 8);
  std::vector<char> plain(type.getNumElements() * bytes);
  auto view = entry.getAs<weights::ViewAttr>("view");
  if (failed(sources.read(view, type.getElementType(), plain, loc)))
    return failure();
  sources.release(view);
  auto packing = entry.getAs<cpu::PackingAttr>("packing");
  if (!packing)
    return plain;
  int64_t elements = 1;
  for (int64_t size : packing.getPackedShape(type.getShape()))
    elements *= size;
  std::vector<char> packed(elements * bytes);
  cpu::packPanels(packing, type.getShape(), bytes, plain.data(), packed.data());
  return packed;
}

namespace {
/// Writes and hashes the data in one pass.
class DataWriter {
public:
  explicit DataWriter(OutputFile &file) : file(file) {}

  LogicalResult append(ArrayRef<char> bytes) {
    hash.update(ArrayRef(reinterpret_cast<const uint8_t *>(bytes.data()),
                         bytes.size()));
    uint64_t at = dataOffset + std::exchange(size, size + bytes.size());
    return file.writeAt(bytes, at);
  }
  LogicalResult padTo(uint64_t offset) {
    static constexpr std::array<char, TWIST_ALIGNMENT> zeros = {};
    return append(ArrayRef(zeros).take_front(offset - size));
  }
  uint64_t written() const { return size; }
  Sha256 digest() { return hash.final(); }

private:
  OutputFile &file;
  llvm::SHA256 hash;
  uint64_t size = 0;
};
} // namespace

static LogicalResult writeHeader(OutputFile &file, const WeightsFile &weights) {
  std::array<char, dataOffset> page = {};
  twist_weights_header header = {};
  std::memcpy(header.magic, TWIST_WEIGHTS_MAGIC, sizeof(header.magic));
  header.version = TWIST_WEIGHTS_VERSION;
  header.data_offset = dataOffset;
  header.data_bytes = weights.bytes;
  std::memcpy(header.sha256, weights.sha256.data(), sizeof(header.sha256));
  std::memcpy(page.data(), &header, sizeof(header));
  return file.writeAt(page, 0);
}

FailureOr<WeightsFile>
twist::object::writeWeights(ModuleOp module, weights::SourceFiles &sources,
                            OutputFile &output) {
  WeightsFile result;
  auto entries = module->getAttrOfType<ArrayAttr>(cpu::program::weightsAttr);
  if (!entries || entries.empty())
    return result;
  DataWriter writer(output);
  for (Attribute attribute : entries) {
    auto entry = cast<DictionaryAttr>(attribute);
    FailureOr<std::vector<char>> bytes =
        readPlaced(entry, sources, module.getLoc());
    if (failed(bytes) ||
        failed(writer.padTo(entry.getAs<IntegerAttr>("offset").getInt())) ||
        failed(writer.append(*bytes)))
      return failure();
  }
  if (failed(writer.padTo(
          llvm::alignTo(writer.written(), cpu::program::alignment))))
    return failure();
  result.bytes = writer.written();
  result.sha256 = writer.digest();
  if (failed(writeHeader(output, result)))
    return failure();
  return result;
}
