//===- Compare.cpp - When two results count as equal ----------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Dialect/Weights/Reader.h"
#include "twist/Proof/Proof.h"

#include <cmath>
#include <cstring>

using namespace mlir;
using namespace twist;
using namespace twist::proof;

int64_t HostTensor::numElements() const {
  int64_t count = 1;
  for (int64_t size : shape)
    count *= size;
  return count;
}

/// A view of all of a tensor.
static weights::ViewAttr viewOf(const HostTensor &tensor) {
  MLIRContext *context = tensor.elementType.getContext();
  return weights::ViewAttr::get(
      context, FlatSymbolRefAttr::get(context, "tensor"), 0,
      RankedTensorType::get(tensor.shape, tensor.elementType), {}, {});
}

FailureOr<HostTensor> twist::proof::convert(const HostTensor &tensor,
                                            Type elementType, Location loc) {
  HostTensor result{tensor.name, elementType, tensor.shape, {}};
  result.bytes.resize(weights::storedBytes(elementType, tensor.numElements()));
  if (failed(weights::readView(viewOf(tensor), tensor.bytes, elementType,
                               result.bytes, loc)))
    return failure();
  return result;
}

FailureOr<std::vector<double>> twist::proof::toDoubles(const HostTensor &tensor,
                                                       Location loc) {
  FailureOr<HostTensor> doubles =
      convert(tensor, Float64Type::get(tensor.elementType.getContext()), loc);
  if (failed(doubles))
    return failure();
  std::vector<double> values(tensor.numElements());
  std::memcpy(values.data(), doubles->bytes.data(), doubles->bytes.size());
  return values;
}

FailureOr<HostTensor> twist::proof::select(const HostTensor &tensor,
                                           const axes::CutInterface &cut,
                                           Location loc) {
  weights::ViewAttr view = viewOf(tensor);
  HostTensor result{tensor.name, tensor.elementType, tensor.shape, {}};
  for (auto [dim, kept] : llvm::enumerate(cut.kept))
    if (kept) {
      view = weights::select(view, dim, *kept);
      result.shape[dim] = kept->size();
    }
  result.bytes.resize(
      weights::storedBytes(tensor.elementType, result.numElements()));
  if (failed(weights::readView(view, tensor.bytes, tensor.elementType,
                               result.bytes, loc)))
    return failure();
  return result;
}

Verdict twist::proof::comparePoisoned(const HostTensor &masked,
                                      const HostTensor &poisoned) {
  Verdict verdict{"poison", masked.name};
  verdict.holds = masked.shape == poisoned.shape &&
                  masked.elementType == poisoned.elementType &&
                  masked.bytes == poisoned.bytes;
  if (!verdict.holds)
    verdict.why = "NaN in removed units reaches it";
  return verdict;
}

/// The largest finite magnitude.
static double largestOf(ArrayRef<double> values) {
  double largest = 0;
  for (double value : values)
    if (std::isfinite(value))
      largest = std::max(largest, std::fabs(value));
  return largest;
}

/// The largest |a - b|; equal infinities and two NaNs do not differ, one NaN is
/// an infinite difference.
static double distance(ArrayRef<double> a, ArrayRef<double> b) {
  double largest = 0;
  for (auto [x, y] : llvm::zip_equal(a, b)) {
    if (x == y || (std::isnan(x) && std::isnan(y)))
      continue;
    double d = std::fabs(x - y);
    largest = std::isnan(d) ? HUGE_VAL : std::max(largest, d);
  }
  return largest;
}

/// Whether results can be compared at all; says why not.
static bool comparable(const HostTensor &a, const HostTensor &b,
                       Verdict &verdict) {
  if (a.shape == b.shape)
    return true;
  verdict.why = "shapes differ";
  return false;
}

/// Counts finite elements: two outputs of NaN say nothing.
static bool anyFinite(ArrayRef<double> values) {
  return values.empty() ||
         llvm::any_of(values, [](double v) { return std::isfinite(v); });
}

/// Integers are equal, except where a side's own other run has another one:
/// there a rounding decides, as between two values that an ArgMax takes.
static void compareIntegers(const HostTensor &sliced, const HostTensor &masked,
                            const HostTensor &slicedOther,
                            const HostTensor &maskedOther, Verdict &verdict) {
  int64_t count = masked.numElements(), undecided = 0, different = 0;
  size_t width = weights::storedBits(masked.elementType) / 8;
  assert(width > 0 && "outputs of programs are whole bytes");
  auto isSame = [&](const HostTensor &a, const HostTensor &b, int64_t i) {
    return std::memcmp(a.bytes.data() + size_t(i) * width,
                       b.bytes.data() + size_t(i) * width, width) == 0;
  };
  for (int64_t i = 0; i < count; ++i)
    if (!isSame(sliced, masked, i))
      ++(isSame(sliced, slicedOther, i) && isSame(masked, maskedOther, i)
             ? different
             : undecided);
  verdict.holds = different == 0 && (count == 0 || undecided < count);
  if (different > 0)
    verdict.why = "integers differ";
  else if (undecided > 0)
    verdict.why = "rounding decides " + std::to_string(undecided) + " of " +
                  std::to_string(count) + " integers";
}

FailureOr<Verdict> twist::proof::compareDouble(const HostTensor &sliced,
                                               const HostTensor &masked,
                                               Location loc) {
  Verdict verdict{"equal f64", masked.name};
  if (!comparable(sliced, masked, verdict))
    return verdict;
  if (!isa<FloatType>(masked.elementType)) {
    verdict.holds = sliced.bytes == masked.bytes;
    if (!verdict.holds)
      verdict.why = "integers differ";
    return verdict;
  }
  auto a = toDoubles(sliced, loc), b = toDoubles(masked, loc);
  if (failed(a) || failed(b))
    return failure();
  verdict.difference = distance(*a, *b);
  verdict.largest = std::max(largestOf(*a), largestOf(*b));
  verdict.allowed = 1e-12 * verdict.largest;
  verdict.holds = verdict.difference <= verdict.allowed && anyFinite(*b);
  if (!verdict.holds)
    verdict.why = anyFinite(*b) ? "values differ" : "no finite value";
  return verdict;
}

FailureOr<Verdict> twist::proof::compareSingle(const HostTensor &sliced,
                                               const HostTensor &masked,
                                               const HostTensor &slicedOther,
                                               const HostTensor &maskedOther,
                                               Location loc) {
  Verdict verdict{"equal f32", masked.name};
  if (!comparable(sliced, masked, verdict) ||
      !comparable(sliced, slicedOther, verdict) ||
      !comparable(masked, maskedOther, verdict))
    return verdict;
  if (!isa<FloatType>(masked.elementType)) {
    compareIntegers(sliced, masked, slicedOther, maskedOther, verdict);
    return verdict;
  }
  auto s = toDoubles(sliced, loc), m = toDoubles(masked, loc);
  auto s2 = toDoubles(slicedOther, loc), m2 = toDoubles(maskedOther, loc);
  if (failed(s) || failed(m) || failed(s2) || failed(m2))
    return failure();
  verdict.difference = distance(*s, *m);
  verdict.largest = largestOf(*m2);
  float largest = float(verdict.largest);
  double ulp = double(std::nextafter(largest, HUGE_VALF)) - double(largest);
  double own = std::max(distance(*s, *s2), distance(*m, *m2));
  verdict.allowed = std::max(8 * own, 4 * ulp);
  verdict.holds = verdict.difference <= verdict.allowed &&
                  std::isfinite(verdict.allowed) && anyFinite(*m);
  if (!verdict.holds)
    verdict.why = anyFinite(*m) ? "values differ" : "no finite value";
  return verdict;
}

Verdict twist::proof::compareDense(ArrayRef<HostTensor> dense,
                                   ArrayRef<HostTensor> masked) {
  Verdict verdict{"acts", ""};
  for (auto [a, b] : llvm::zip_equal(dense, masked))
    verdict.holds |= a.shape != b.shape || a.bytes != b.bytes;
  if (!verdict.holds)
    verdict.why = "the mask changes no output of the dense model";
  return verdict;
}
