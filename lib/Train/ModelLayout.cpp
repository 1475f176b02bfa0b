//===- ModelLayout.cpp - What of a model is trained, and its axes ---------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Train/ModelLayout.h"

#include "llvm/ADT/STLExtras.h"

#include <cstring>

using namespace twist;
using namespace twist::train;

static int64_t product(llvm::ArrayRef<int64_t> dims) {
  int64_t size = 1;
  for (int64_t dim : dims)
    size *= dim;
  return size;
}

int64_t Parameter::size() const { return product(dims); }
int64_t Tensor::size() const { return product(dims); }

int ModelLayout::findAxis(llvm::StringRef name) const {
  for (auto [i, axis] : llvm::enumerate(axes))
    if (axis.name == name)
      return i;
  return -1;
}

int64_t ModelLayout::tokens() const {
  int64_t rows = vocabulary;
  for (const Parameter &parameter : parameters)
    if (vocabulary == 0 && parameter.role == ParameterRole::Embedding)
      rows = std::max(rows, parameter.dims[0]);
  return rows;
}

Masks train::wholeMasks(const ModelLayout &layout) {
  Masks masks;
  for (const Axis &axis : layout.axes) {
    masks.emplace_back();
    for (int64_t unit = 0; unit < axis.units; ++unit)
      masks.back().push_back(unit);
  }
  return masks;
}

std::vector<int64_t> train::widths(const Masks &masks) {
  std::vector<int64_t> result;
  for (const auto &mask : masks)
    result.push_back(mask.size());
  return result;
}

std::vector<int64_t> train::keptIndices(const Parameter &parameter,
                                        unsigned dim, const Masks &masks) {
  std::vector<char> keep(parameter.dims[dim], 1);
  for (const AxisPlace &at : parameter.places[dim]) {
    std::vector<char> unit(at.place.units);
    for (int64_t kept : masks[at.axis])
      unit[kept] = 1;
    const Place &p = at.place;
    for (int64_t i = 0; i < p.outer * p.units * p.inner; ++i)
      keep[p.offset + i] &= unit[i / p.inner % p.units];
  }
  std::vector<int64_t> result;
  for (auto [index, kept] : llvm::enumerate(keep))
    if (kept)
      result.push_back(index);
  return result;
}

std::vector<int64_t> train::slicedDims(const Parameter &parameter,
                                       const Masks &masks) {
  std::vector<int64_t> dims;
  for (unsigned dim = 0; dim < parameter.dims.size(); ++dim)
    dims.push_back(keptIndices(parameter, dim, masks).size());
  return dims;
}

namespace {
/// Walks the runs of a slice: pieces that lie together in the dense tensor.
class SliceWalk {
public:
  SliceWalk(llvm::ArrayRef<int64_t> dims,
            llvm::ArrayRef<std::vector<int64_t>> kept, unsigned elementBytes)
      : kept(kept), strides(dims.size()) {
    // Whole dimensions at the end belong to the element.
    last = dims.size();
    bytes = elementBytes;
    while (last > 0 && int64_t(kept[last - 1].size()) == dims[last - 1])
      bytes *= dims[--last];
    uint64_t stride = bytes;
    for (size_t d = last; d-- > 0; stride *= dims[d])
      strides[d] = stride;
  }

  /// copy(dense offset, slice offset, bytes)
  template <typename Copy> void run(Copy copy) { visit(0, 0, copy); }

private:
  template <typename Copy> void visit(size_t dim, uint64_t dense, Copy &copy) {
    if (dim == last) {
      copy(dense, position, bytes);
      position += bytes;
      return;
    }
    const std::vector<int64_t> &indices = kept[dim];
    if (dim + 1 < last) {
      for (int64_t index : indices)
        visit(dim + 1, dense + index * strides[dim], copy);
      return;
    }
    for (size_t i = 0, end; i < indices.size(); i = end) {
      for (end = i + 1;
           end < indices.size() && indices[end] == indices[end - 1] + 1; ++end)
        ;
      uint64_t run = (end - i) * bytes;
      copy(dense + indices[i] * strides[dim], position, run);
      position += run;
    }
  }

  llvm::ArrayRef<std::vector<int64_t>> kept;
  std::vector<uint64_t> strides;
  size_t last = 0;
  uint64_t bytes = 0, position = 0;
};
} // namespace

void train::gatherSlice(llvm::ArrayRef<int64_t> dims,
                        llvm::ArrayRef<std::vector<int64_t>> kept,
                        unsigned elementBytes, const void *dense, void *slice) {
  SliceWalk(dims, kept, elementBytes)
      .run([&](uint64_t from, uint64_t to, uint64_t bytes) {
        std::memcpy(static_cast<char *>(slice) + to,
                    static_cast<const char *>(dense) + from, bytes);
      });
}

void train::scatterSlice(llvm::ArrayRef<int64_t> dims,
                         llvm::ArrayRef<std::vector<int64_t>> kept,
                         unsigned elementBytes, const void *slice,
                         void *dense) {
  SliceWalk(dims, kept, elementBytes)
      .run([&](uint64_t to, uint64_t from, uint64_t bytes) {
        std::memcpy(static_cast<char *>(dense) + to,
                    static_cast<const char *>(slice) + from, bytes);
      });
}
