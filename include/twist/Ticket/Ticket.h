//===- Ticket.h - One mask per axis, as JSON ---------------------*- C++
//-*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_TICKET_TICKET_H
#define TWIST_TICKET_TICKET_H

#include "mlir/IR/Diagnostics.h"
#include "mlir/Support/LLVM.h"
#include "llvm/Support/JSON.h"

#include <optional>
#include <string>
#include <vector>

namespace twist {

/// Where a mask acts. `Operand`: a removed unit adds nothing where it is summed
/// away. `Weight`: the rows that make it are zero, its bias stays.
enum class MaskSite { Operand, Weight };

/// The mask of one axis. A group is `group` neighbouring units; `keep` holds
/// the kept groups, ascending, and may be empty: no unit is left.
struct TicketAxis {
  std::string name; ///< a path to a weight that makes the axis, or kind.n
  int64_t units = 0;
  int64_t group = 1;
  std::vector<int64_t> keep;
  MaskSite site = MaskSite::Operand;

  int64_t groups() const { return units / group; }
  /// The kept units, ascending.
  std::vector<int64_t> keptUnits() const;
};

/// A ticket as its file has it. Hashes are empty where the file gives none.
struct Ticket {
  std::string structureSHA256;
  std::string weightsSHA256;
  std::vector<TicketAxis> axes;
  /// "none", or what was done to the consumers (docs/Cuts.md); then their new
  /// weights stand in a safetensors file: its path, relative to the ticket's
  /// folder, and its SHA-256.
  std::string correction = "none";
  std::string weightsFile, weightsFileSHA256;
  llvm::json::Object provenance;
};

/// Reads a ticket from `text`; every error is a diagnostic at `file` and names
/// the axis it is about. Keys the format does not know, duplicated keys,
/// `keep` lists that do not ascend or leave the axis are errors.
mlir::FailureOr<Ticket> parseTicket(llvm::StringRef text, llvm::StringRef file,
                                    mlir::MLIRContext *context);

/// Reads a ticket from a file.
mlir::FailureOr<Ticket> readTicket(llvm::StringRef path,
                                   mlir::MLIRContext *context);

/// Writes `ticket`: axes in their order, one line each.
void writeTicket(const Ticket &ticket, llvm::raw_ostream &os);

/// What a ticket needs to know of an axis of a model.
struct AxisInfo {
  std::string symbol; ///< of the twist.axis op
  std::string kind;   ///< head, kv_group, ffn, channel, …
  int64_t index = 0;  ///< place among its kind, in graph order
  int64_t units = 0;
  std::vector<std::string> names; ///< paths of its sources; the first is shown
  /// Axes of its kind before and after it in its stack, where they are counted.
  int64_t layersBefore = 0, layersAfter = 0;

  std::string name() const;
};

/// Kept units of one axis of the model, ascending.
struct AxisKeep {
  std::string symbol;
  std::vector<int64_t> keep;
  MaskSite site = MaskSite::Operand;
};

/// Finds the model's axis of each of the ticket's and checks unit counts. Any
/// source path is an alias; so is kind.n. Errors are diagnostics at `loc`.
mlir::FailureOr<std::vector<AxisKeep>>
resolveTicket(const Ticket &ticket, llvm::ArrayRef<AxisInfo> axes,
              mlir::Location loc);

} // namespace twist

#endif // TWIST_TICKET_TICKET_H
