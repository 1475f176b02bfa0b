//===- Reader.cpp - Bytes of views ----------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Dialect/Weights/Reader.h"

#include "mlir/IR/DialectResourceBlobManager.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/Path.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace mlir;
using namespace twist::weights;

static_assert(std::endian::native == std::endian::little,
              "sources are little-endian");

//===----------------------------------------------------------------------===//
// Element types
//===----------------------------------------------------------------------===//

unsigned twist::weights::storedBits(Type type) {
  if (auto complex = dyn_cast<ComplexType>(type))
    return 2 * storedBits(complex.getElementType());
  if (type.isInteger(1))
    return 8;
  return type.isIntOrFloat() ? type.getIntOrFloatBitWidth() : 0;
}

int64_t twist::weights::storedBytes(Type elementType, int64_t count) {
  int64_t bits = storedBits(elementType), total;
  if (bits == 0 || llvm::MulOverflow(bits, count, total) ||
      llvm::AddOverflow(total, int64_t(7), total))
    return -1;
  return total / 8;
}

bool twist::weights::isConvertible(Type from, Type to) {
  if (from == to)
    return true;
  auto plainFloat = [](Type t) {
    return t.isF16() || t.isBF16() || t.isF32() || t.isF64();
  };
  auto plainInt = [](Type t) {
    return isa<IntegerType>(t) && t.getIntOrFloatBitWidth() <= 64;
  };
  if (plainFloat(from))
    return plainFloat(to);
  return plainInt(from) &&
         (plainFloat(to) ||
          (plainInt(to) && to.getIntOrFloatBitWidth() % 8 == 0));
}

//===----------------------------------------------------------------------===//
// Mapped files
//===----------------------------------------------------------------------===//

llvm::Expected<std::unique_ptr<MappedFile>> MappedFile::open(StringRef path) {
  auto fail = [](int code) -> llvm::Error {
    return llvm::createStringError(
        std::error_code(code, std::generic_category()), strerror(code));
  };
  int fd = ::open(path.str().c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return fail(errno);
  struct stat status;
  if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    int code = S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
    ::close(fd);
    return fail(code);
  }
  std::unique_ptr<MappedFile> file(new MappedFile());
  file->size = status.st_size;
  if (file->size != 0) {
    void *data = ::mmap(nullptr, file->size, PROT_READ, MAP_PRIVATE, fd, 0);
    int code = errno;
    if (data == MAP_FAILED) {
      ::close(fd);
      return fail(code);
    }
    file->data = static_cast<const char *>(data);
  }
  ::close(fd);
  return file;
}

MappedFile::~MappedFile() {
  if (data)
    ::munmap(const_cast<char *>(data), size);
}

void MappedFile::release(uint64_t offset, uint64_t length) const {
  uint64_t page = ::sysconf(_SC_PAGESIZE);
  uint64_t begin = llvm::alignTo(offset, page);
  uint64_t end =
      llvm::alignDown(std::min<uint64_t>(offset + length, size), page);
  if (begin < end)
    ::madvise(const_cast<char *>(data) + begin, end - begin, MADV_DONTNEED);
}

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

/// Visits the stored element index of each element of the view, in row-major
/// order, one call per innermost run: visit(position, count, offsets) where
/// the element i of the run lies at base + offsets[i].
template <typename Visit> static void forEachRow(ViewAttr view, Visit visit) {
  SmallVector<int64_t> shape = view.getShape();
  int64_t rank = shape.size();
  ArrayRef<int64_t> stored = view.getStored().getShape();
  SmallVector<int64_t> strides(rank, 1);
  for (int64_t d = rank - 2; d >= 0; --d)
    strides[d] = strides[d + 1] * stored[d + 1];
  // Stored offset of each index of each result dimension.
  SmallVector<std::vector<int64_t>> offsets(rank);
  for (int64_t d = 0; d < rank; ++d) {
    int64_t from =
        view.getPermutation() ? view.getPermutation().asArrayRef()[d] : d;
    DenseI64ArrayAttr indices;
    if (view.getSelect())
      indices = dyn_cast<DenseI64ArrayAttr>(view.getSelect()[from]);
    for (int64_t i = 0; i < shape[d]; ++i)
      offsets[d].push_back((indices ? indices.asArrayRef()[i] : i) *
                           strides[from]);
  }
  if (llvm::is_contained(shape, 0))
    return;
  static const std::vector<int64_t> scalar(1, 0);
  const std::vector<int64_t> &inner = rank ? offsets.back() : scalar;
  SmallVector<int64_t> index(rank, 0);
  for (int64_t position = 0;;) {
    int64_t base = 0;
    for (int64_t d = 0; d + 1 < rank; ++d)
      base += offsets[d][index[d]];
    visit(position, base, inner);
    position += inner.size();
    int64_t d = rank - 2;
    for (; d >= 0 && ++index[d] == shape[d]; --d)
      index[d] = 0;
    if (d < 0)
      return;
  }
}

/// Copies elements of N bytes.
template <unsigned N>
static void copyElements(ViewAttr view, const char *in, char *out) {
  forEachRow(view, [&](int64_t position, int64_t base,
                       const std::vector<int64_t> &offsets) {
    char *to = out + position * N;
    const char *from = in + base * N;
    int64_t count = offsets.size();
    // Selections keep whole runs more often than not.
    if (offsets.back() - offsets.front() == count - 1 &&
        llvm::is_sorted(offsets)) {
      memcpy(to, from + offsets.front() * N, count * N);
      return;
    }
    for (int64_t i = 0; i < count; ++i)
      memcpy(to + i * N, from + offsets[i] * N, N);
  });
}

/// Elements narrower than a byte are one stream of bits, low bits first; those
/// of six bits lie across bytes.
static unsigned readPacked(const char *bytes, int64_t index, unsigned bits) {
  int64_t at = index * bits, shift = at % 8;
  unsigned window = static_cast<unsigned char>(bytes[at / 8]);
  if (shift + bits > 8)
    window |= static_cast<unsigned char>(bytes[at / 8 + 1]) << 8;
  return (window >> shift) & ((1u << bits) - 1);
}

static void writePacked(char *bytes, int64_t index, unsigned bits,
                        unsigned value) {
  int64_t at = index * bits, shift = at % 8;
  bytes[at / 8] |= value << shift;
  if (shift + bits > 8)
    bytes[at / 8 + 1] |= value >> (8 - shift);
}

static void copyPacked(ViewAttr view, unsigned bits, const char *in,
                       char *out) {
  memset(out, 0, llvm::divideCeil(view.getNumElements() * bits, 8));
  forEachRow(view, [&](int64_t position, int64_t base,
                       const std::vector<int64_t> &offsets) {
    for (auto [i, offset] : llvm::enumerate(offsets))
      writePacked(out, position + i, bits, readPacked(in, base + offset, bits));
  });
}

namespace {
template <typename T> T loadAs(const char *at) {
  T value;
  memcpy(&value, at, sizeof(T));
  return value;
}

double fromBF16(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

double fromF16(uint16_t bits) {
  return static_cast<double>(std::bit_cast<_Float16>(bits));
}

/// Rounds to bfloat16, to nearest even, in one rounding.
uint16_t toBF16(double value) {
  if (std::isnan(value))
    return 0x7fc0 | (std::signbit(value) ? 0x8000 : 0);
  float single = static_cast<float>(value);
  uint32_t bits = std::bit_cast<uint32_t>(single);
  // Rounding to float first would round ties twice: make the float odd where
  // it is not exact (round to odd), then the second rounding is the only one.
  if (static_cast<double>(single) != value && std::isfinite(single)) {
    if (std::fabs(static_cast<double>(single)) > std::fabs(value))
      bits -= 1;
    bits |= 1;
  }
  if (std::isinf(single) && !std::isinf(value))
    return (bits >> 16);
  bits += 0x7fff + ((bits >> 16) & 1);
  return bits >> 16;
}

/// One element as a double or an integer.
struct Element {
  double real = 0;
  int64_t integer = 0;
};

using Load = Element (*)(const char *bytes, int64_t index);
using Store = void (*)(Element element, char *at);
} // namespace

template <typename T> static Element loadInt(const char *bytes, int64_t index) {
  T value = loadAs<T>(bytes + index * sizeof(T));
  return {static_cast<double>(value), static_cast<int64_t>(value)};
}
template <typename T>
static Element loadReal(const char *bytes, int64_t index) {
  return {static_cast<double>(loadAs<T>(bytes + index * sizeof(T))), 0};
}
template <unsigned Bits, bool Signed>
static Element loadPacked(const char *bytes, int64_t index) {
  int64_t value = readPacked(bytes, index, Bits);
  if (Signed && (value >> (Bits - 1)))
    value -= 1 << Bits;
  return {static_cast<double>(value), value};
}

static Load loaderFor(Type type) {
  if (type.isF64())
    return loadReal<double>;
  if (type.isF32())
    return loadReal<float>;
  if (type.isF16())
    return [](const char *b, int64_t i) -> Element {
      return {fromF16(loadAs<uint16_t>(b + 2 * i)), 0};
    };
  if (type.isBF16())
    return [](const char *b, int64_t i) -> Element {
      return {fromBF16(loadAs<uint16_t>(b + 2 * i)), 0};
    };
  bool isUnsigned = type.isUnsignedInteger();
  switch (type.getIntOrFloatBitWidth()) {
  case 1:
    return loadInt<uint8_t>;
  case 2:
    return isUnsigned ? loadPacked<2, false> : loadPacked<2, true>;
  case 4:
    return isUnsigned ? loadPacked<4, false> : loadPacked<4, true>;
  case 8:
    return isUnsigned ? loadInt<uint8_t> : loadInt<int8_t>;
  case 16:
    return isUnsigned ? loadInt<uint16_t> : loadInt<int16_t>;
  case 32:
    return isUnsigned ? loadInt<uint32_t> : loadInt<int32_t>;
  case 64:
    return isUnsigned ? loadInt<uint64_t> : loadInt<int64_t>;
  default:
    return nullptr;
  }
}

template <typename T> static void storeAs(T value, char *at) {
  memcpy(at, &value, sizeof(T));
}

static Store storerFor(Type type) {
  if (type.isF64())
    return [](Element e, char *at) { storeAs<double>(e.real, at); };
  if (type.isF32())
    return [](Element e, char *at) { storeAs<float>(e.real, at); };
  if (type.isF16())
    return [](Element e, char *at) { storeAs<_Float16>(e.real, at); };
  if (type.isBF16())
    return [](Element e, char *at) { storeAs<uint16_t>(toBF16(e.real), at); };
  switch (type.getIntOrFloatBitWidth()) {
  case 8:
    return [](Element e, char *at) { storeAs<uint8_t>(e.integer, at); };
  case 16:
    return [](Element e, char *at) { storeAs<uint16_t>(e.integer, at); };
  case 32:
    return [](Element e, char *at) { storeAs<uint32_t>(e.integer, at); };
  case 64:
    return [](Element e, char *at) { storeAs<uint64_t>(e.integer, at); };
  default:
    return nullptr;
  }
}

LogicalResult twist::weights::readView(ViewAttr view, ArrayRef<char> stored,
                                       Type elementType,
                                       MutableArrayRef<char> out,
                                       Location loc) {
  Type from = view.getStored().getElementType();
  int64_t size = storedBytes(elementType, view.getNumElements());
  if (size < 0 || static_cast<uint64_t>(size) != out.size())
    return emitError(loc) << "a buffer of " << out.size() << " bytes for "
                          << size << " bytes of elements";
  if (from == elementType) {
    if (view.isContiguous()) {
      memcpy(out.data(), stored.data(), out.size());
      return success();
    }
    switch (storedBits(from)) {
    case 8:
      copyElements<1>(view, stored.data(), out.data());
      return success();
    case 16:
      copyElements<2>(view, stored.data(), out.data());
      return success();
    case 32:
      copyElements<4>(view, stored.data(), out.data());
      return success();
    case 64:
      copyElements<8>(view, stored.data(), out.data());
      return success();
    case 128:
      copyElements<16>(view, stored.data(), out.data());
      return success();
    case 2:
    case 4:
    case 6:
      copyPacked(view, storedBits(from), stored.data(), out.data());
      return success();
    default:
      return emitError(loc) << "cannot read elements of type " << from;
    }
  }
  Load load = isConvertible(from, elementType) ? loaderFor(from) : nullptr;
  Store store = load ? storerFor(elementType) : nullptr;
  if (!store)
    return emitError(loc) << "cannot read stored " << from << " as "
                          << elementType;
  unsigned width = storedBits(elementType) / 8;
  forEachRow(view, [&](int64_t position, int64_t base,
                       const std::vector<int64_t> &offsets) {
    for (auto [i, offset] : llvm::enumerate(offsets))
      store(load(stored.data(), base + offset),
            out.data() + (position + i) * width);
  });
  return success();
}

//===----------------------------------------------------------------------===//
// Sources of a module
//===----------------------------------------------------------------------===//

FailureOr<ArrayRef<char>> SourceFiles::bytes(FlatSymbolRefAttr source,
                                             Location loc) {
  std::unique_ptr<MappedFile> &file = files[source.getValue()];
  if (file)
    return file->bytes();
  auto op = module.lookupSymbol<SourceOp>(source.getAttr());
  if (!op)
    return emitError(loc) << "'" << source.getValue()
                          << "' is not a weights.source";
  SmallString<256> path(op.getPath());
  if (!llvm::sys::path::is_absolute(path) && !base.empty()) {
    path = base;
    llvm::sys::path::append(path, op.getPath());
  }
  auto mapped = MappedFile::open(path);
  if (!mapped)
    return emitError(loc) << "cannot read weights from '" << path
                          << "': " << llvm::toString(mapped.takeError());
  file = std::move(*mapped);
  return file->bytes();
}

FailureOr<ArrayRef<char>> SourceFiles::stored(ViewAttr view, Location loc) {
  FailureOr<ArrayRef<char>> all = bytes(view.getSource(), loc);
  if (failed(all))
    return failure();
  uint64_t offset = view.getOffset();
  uint64_t size = storedBytes(view.getStored().getElementType(),
                              view.getStored().getNumElements());
  if (offset > all->size() || size > all->size() - offset)
    return emitError(loc) << "weights at bytes " << offset << " to "
                          << offset + size << " of '"
                          << view.getSource().getValue() << "', a file of "
                          << all->size() << " bytes";
  return all->slice(offset, size);
}

LogicalResult SourceFiles::read(ViewAttr view, Type elementType,
                                MutableArrayRef<char> out, Location loc) {
  FailureOr<ArrayRef<char>> from = stored(view, loc);
  if (failed(from))
    return failure();
  return readView(view, *from, elementType, out, loc);
}

FailureOr<std::vector<char>> SourceFiles::read(LoadOp load) {
  Type elementType =
      cast<RankedTensorType>(load.getTensor().getType()).getElementType();
  std::vector<char> out(
      storedBytes(elementType, load.getView().getNumElements()));
  if (failed(read(load.getView(), elementType, out, load.getLoc())))
    return failure();
  return out;
}

void SourceFiles::release(ViewAttr view) {
  release(view, 0,
          storedBytes(view.getStored().getElementType(),
                      view.getStored().getNumElements()));
}

void SourceFiles::release(ViewAttr view, uint64_t begin, uint64_t length) {
  auto found = files.find(view.getSource().getValue());
  if (found != files.end() && found->second)
    found->second->release(view.getOffset() + begin, length);
}

//===----------------------------------------------------------------------===//
// Dense attributes
//===----------------------------------------------------------------------===//

FailureOr<std::vector<char>> twist::weights::toStored(ElementsAttr elements,
                                                      Location loc) {
  Type type = elements.getElementType();
  int64_t count = elements.getNumElements();
  unsigned bits = storedBits(type);
  std::vector<char> out(std::max<int64_t>(storedBytes(type, count), 0));
  if (auto resource = dyn_cast<DenseResourceElementsAttr>(elements)) {
    AsmResourceBlob *blob = resource.getRawHandle().getBlob();
    if (!blob || blob->getData().size() != out.size() || bits < 8)
      return emitError(loc) << "resource '" << resource.getRawHandle().getKey()
                            << "' does not hold " << out.size() << " bytes";
    memcpy(out.data(), blob->getData().data(), out.size());
    return out;
  }
  auto dense = dyn_cast<DenseIntOrFPElementsAttr>(elements);
  if (!dense || bits == 0)
    return emitError(loc) << "elements of type " << type
                          << " have no form in a file";
  if (type.isInteger(1)) {
    for (auto [i, value] : llvm::enumerate(dense.getValues<bool>()))
      out[i] = value;
    return out;
  }
  // In a dense attribute an element narrower than a byte takes one.
  ArrayRef<char> raw = dense.getRawData();
  auto at = [&](int64_t i, int64_t width) {
    return raw.data() + (dense.isSplat() ? 0 : i * width);
  };
  if (bits >= 8) {
    for (int64_t i = 0, width = bits / 8; i < count; ++i)
      memcpy(out.data() + i * width, at(i, width), width);
    return out;
  }
  for (int64_t i = 0; i < count; ++i)
    writePacked(out.data(), i, bits, *at(i, 1) & ((1u << bits) - 1));
  return out;
}

DenseElementsAttr twist::weights::fromStored(RankedTensorType type,
                                             ArrayRef<char> bytes) {
  Type element = type.getElementType();
  unsigned bits = storedBits(element);
  int64_t count = type.getNumElements();
  if (element.isInteger(1)) {
    SmallVector<bool> values;
    for (char byte : bytes)
      values.push_back(byte != 0);
    return DenseElementsAttr::get(type, values);
  }
  if (bits >= 8)
    return DenseElementsAttr::getFromRawBuffer(type, bytes);
  std::vector<char> unpacked;

  for (int64_t i = 0; i < count; ++i) {
    unsigned value = readPacked(bytes.data(), i, bits);
    unpacked.push_back(static_cast<char>(value));
  }
  return DenseElementsAttr::getFromRawBuffer(type, unpacked);
}
