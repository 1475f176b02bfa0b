//===- Spreads.cpp - What least squares gains start from ------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Train/Spreads.h"

#include "twist/Prune/Correction.h"
#include "twist/Ticket/Kinds.h"

using namespace llvm;
using namespace twist;
using namespace twist::train;

Expected<std::vector<double>>
twist::train::measuredSpreads(StringRef path, const ModelLayout &layout,
                              int64_t group) {
  auto measured = prune::Calibration::read(path);
  if (!measured)
    return measured.takeError();
  if (measured->structureSHA256 != layout.structureSHA256)
    return createStringError(path + ": is of another model");
  if (!measured->isComplete())
    return createStringError(path + ": is not finished");
  std::vector<double> spreads;
  for (const Axis &axis : layout.axes) {
    int64_t together = hasFineUnits(axis.kind) ? group : 1;
    prune::UnitMoments moments;
    for (const prune::Site &site : measured->sites)
      for (const prune::SiteAxis &at : site.axes)
        if (at.name == axis.name && axis.units > 1)
          moments += prune::unitMoments(site, at, together);
    if (!(moments.whole > 0) || !(moments.spread > 0))
      return createStringError(path + ": tells nothing of axis '" + axis.name +
                               "'");
    spreads.push_back(moments.spread / moments.whole);
  }
  return spreads;
}
