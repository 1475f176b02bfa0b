//===- Resolve.cpp - A ticket's axes in a model ---------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Ticket/Ticket.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringMap.h"

using namespace mlir;
using namespace twist;

std::string AxisInfo::name() const {
  return names.empty() ? kind + "." + std::to_string(index) : names.front();
}

/// Every name an axis answers to.
static std::vector<std::string> aliases(const AxisInfo &axis) {
  std::vector<std::string> names = axis.names;
  names.push_back(axis.kind + "." + std::to_string(axis.index));
  return names;
}

/// Up to three of the model's names that are nearest to `wanted`.
static std::vector<std::string> nearest(StringRef wanted,
                                        ArrayRef<AxisInfo> axes) {
  std::vector<std::pair<unsigned, std::string>> ranked;
  for (const AxisInfo &axis : axes)
    for (const std::string &name : aliases(axis))
      ranked.emplace_back(wanted.edit_distance(name, true), name);
  llvm::sort(ranked);
  ranked.resize(std::min<size_t>(ranked.size(), 3));
  std::vector<std::string> names;
  for (auto &[distance, name] : ranked)
    names.push_back(name);
  return names;
}

static LogicalResult unknownAxis(StringRef name, ArrayRef<AxisInfo> axes,
                                 Location loc) {
  InFlightDiagnostic diag = emitError(loc)
                            << "ticket: the model has no axis '" << name << "'";
  if (axes.empty())
    return diag << "; it has no prunable axis at all";
  diag << "; near names: ";
  llvm::interleaveComma(nearest(name, axes), diag);
  return diag;
}

FailureOr<std::vector<AxisKeep>> twist::resolveTicket(const Ticket &ticket,
                                                      ArrayRef<AxisInfo> axes,
                                                      Location loc) {
  llvm::StringMap<SmallVector<const AxisInfo *, 1>> byName;
  for (const AxisInfo &axis : axes)
    for (const std::string &name : aliases(axis))
      if (!llvm::is_contained(byName[name], &axis))
        byName[name].push_back(&axis);

  std::vector<AxisKeep> keeps;
  llvm::StringMap<StringRef> taken;
  for (const TicketAxis &mask : ticket.axes) {
    auto found = byName.find(mask.name);
    if (found == byName.end())
      return unknownAxis(mask.name, axes, loc);
    if (found->second.size() > 1)
      return emitError(loc)
             << "ticket: '" << mask.name << "' names " << found->second.size()
             << " axes of the model; name them by another path";
    const AxisInfo &axis = *found->second.front();
    if (axis.units != mask.units)
      return emitError(loc)
             << "ticket: axis '" << mask.name << "' has " << axis.units
             << " units, the ticket says " << mask.units;
    auto [before, fresh] = taken.try_emplace(axis.symbol, mask.name);
    if (!fresh)
      return emitError(loc) << "ticket: '" << before->second << "' and '"
                            << mask.name << "' are the same axis";
    keeps.push_back({axis.symbol, mask.keptUnits(), mask.site});
  }
  return keeps;
}
