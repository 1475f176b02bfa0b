//===- Pool.cpp - Solutions seen so far -----------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/DFL/Pool.h"

#include "llvm/Support/xxhash.h"

#include <algorithm>

using namespace llvm;
using namespace twist::dfl;

__attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3",
                             "default"))) void
twist::dfl::addScaled(double factor, const double *__restrict values,
                      double *__restrict to, int64_t n) {
#pragma clang fp contract(off)
  for (int64_t i = 0; i < n; ++i)
    to[i] += factor * values[i];
}

void Pool::add(ArrayRef<double> decisions) {
  for (; !decisions.empty(); decisions = decisions.drop_front(items)) {
    std::vector<double> one(decisions.begin(), decisions.begin() + items);
    for (double &value : one)
      value += 0.0; // -0 is 0
    ArrayRef<uint8_t> bytes(reinterpret_cast<const uint8_t *>(one.data()),
                            one.size() * sizeof(double));
    uint64_t hash = xxh3_64bits(bytes);
    if (hashes.count(hash)) {
      bool there = false;
      for (int64_t i = 0; i < count && !there; ++i)
        there = std::equal(one.begin(), one.end(), decision(i));
      if (there)
        continue;
    }
    hashes.insert(hash);
    rows.insert(rows.end(), one.begin(), one.end());
    for (int64_t item = 0; item < items; ++item)
      columns[item].push_back(one[item]);
    ++count;
  }
}

void Pool::objectives(const double *gains, double *objective) const {
  std::fill(objective, objective + count, 0.0);
  for (int64_t item = 0; item < items; ++item)
    addScaled(gains[item], columns[item].data(), objective, count);
}
