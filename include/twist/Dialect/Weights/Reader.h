//===- Reader.h - Bytes of views ------------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//
//
// Reads tensors through views of mapped files, and composes views.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_DIALECT_WEIGHTS_READER_H
#define TWIST_DIALECT_WEIGHTS_READER_H

#include "twist/Dialect/Weights/Weights.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Diagnostics.h"
#include "llvm/ADT/StringMap.h"

#include <memory>
#include <string>

namespace twist::weights {

/// Bits an element takes in a source: i1 a byte, complex both parts. 0 for a
/// type that has no such form (index, strings).
unsigned storedBits(mlir::Type elementType);

/// Bytes of `count` elements as they lie in a source; elements narrower than a
/// byte are packed. -1 if that does not fit 63 bits or the type has no form.
int64_t storedBytes(mlir::Type elementType, int64_t count);

/// Whether values of `from` can be read as `to`: equal types, float to float,
/// integer to integer (modulo 2^n) or to float.
bool isConvertible(mlir::Type from, mlir::Type to);

/// Keeps `indices`, in this order, of dimension `dim` of the view's result.
ViewAttr select(ViewAttr view, int64_t dim, llvm::ArrayRef<int64_t> indices);

/// Dimension d of the new result is dimension `permutation[d]` of the old one.
ViewAttr transpose(ViewAttr view, llvm::ArrayRef<int64_t> permutation);

/// The canonical form of a view: no selection that keeps all, no identity
/// permutation. `select` and `transpose` give it already.
ViewAttr canonicalise(ViewAttr view);

/// A file mapped read-only.
class MappedFile {
public:
  /// Maps a regular file; the error says what is wrong, without the path.
  static llvm::Expected<std::unique_ptr<MappedFile>> open(llvm::StringRef path);
  MappedFile(const MappedFile &) = delete;
  MappedFile &operator=(const MappedFile &) = delete;
  ~MappedFile();
  llvm::ArrayRef<char> bytes() const { return {data, size}; }
  /// Tells the kernel that these bytes will not be read again soon.
  void release(uint64_t offset, uint64_t length) const;

private:
  MappedFile() = default;
  const char *data = nullptr;
  size_t size = 0;
};

/// The files of a module's `weights.source` symbols, mapped when first read.
/// Relative paths start at `baseDirectory` (empty: the working directory).
class SourceFiles {
public:
  explicit SourceFiles(mlir::ModuleOp module,
                       llvm::StringRef baseDirectory = "")
      : module(module), base(baseDirectory) {}

  /// The whole file behind a source; reports at `loc` if it cannot be mapped.
  mlir::FailureOr<llvm::ArrayRef<char>> bytes(mlir::FlatSymbolRefAttr source,
                                              mlir::Location loc);

  /// The bytes of the view's stored tensor, before selection, permutation and
  /// conversion; reports at `loc` if the file is missing or too short.
  mlir::FailureOr<llvm::ArrayRef<char>> stored(ViewAttr view,
                                               mlir::Location loc);

  /// Writes the tensor the view describes to `out`, row-major, converted to
  /// `elementType`. `out` has storedBytes(elementType, numElements) bytes.
  mlir::LogicalResult read(ViewAttr view, mlir::Type elementType,
                           llvm::MutableArrayRef<char> out, mlir::Location loc);

  /// The same into a new buffer, of the load's element type.
  mlir::FailureOr<std::vector<char>> read(LoadOp load);

  /// Lets go of the pages a view has touched.
  void release(ViewAttr view);
  /// The same for `length` bytes of its stored tensor from `begin` on.
  void release(ViewAttr view, uint64_t begin, uint64_t length);

private:
  mlir::ModuleOp module;
  std::string base;
  llvm::StringMap<std::unique_ptr<MappedFile>> files;
};

/// Reads a tensor through a view whose stored bytes are given.
mlir::LogicalResult readView(ViewAttr view, llvm::ArrayRef<char> stored,
                             mlir::Type elementType,
                             llvm::MutableArrayRef<char> out,
                             mlir::Location loc);

/// Elements of a dense attribute as they would lie in a source.
mlir::FailureOr<std::vector<char>> toStored(mlir::ElementsAttr elements,
                                            mlir::Location loc);

/// The inverse: a dense attribute from stored bytes of the right size.
mlir::DenseElementsAttr fromStored(mlir::RankedTensorType type,
                                   llvm::ArrayRef<char> bytes);

} // namespace twist::weights

#endif // TWIST_DIALECT_WEIGHTS_READER_H
