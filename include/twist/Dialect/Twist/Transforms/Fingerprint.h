//===- Fingerprint.h - Which model a ticket is for --------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_DIALECT_TWIST_TRANSFORMS_FINGERPRINT_H
#define TWIST_DIALECT_TWIST_TRANSFORMS_FINGERPRINT_H

#include "twist/Dialect/Weights/Reader.h"
#include "twist/Ticket/Ticket.h"

namespace twist::axes {

/// Module attribute that holds the hashes of the model as it was imported.
inline constexpr llvm::StringLiteral kModelAttr = "twist.model";

/// SHA-256, as hexadecimal digits, of the model's ops in order with their
/// operands, the names of its weights, and every type; attributes, node names
/// and data are no part of it.
std::string structureHash(mlir::ModuleOp module);

/// SHA-256 of the data of all weights and constants with their names.
mlir::FailureOr<std::string> weightsHash(mlir::ModuleOp module,
                                         weights::SourceFiles &files);

/// Computes and records both hashes of an imported module.
llvm::LogicalResult recordModel(mlir::ModuleOp module,
                                weights::SourceFiles &files);

/// Whether the hashes a ticket names are those recorded; an error at `loc`
/// if not, or if none are recorded.
llvm::LogicalResult checkModel(mlir::ModuleOp module, const Ticket &ticket,
                               mlir::Location loc);

/// Writes the recorded hashes into a ticket.
void stampModel(mlir::ModuleOp module, Ticket &ticket);

} // namespace twist::axes

#endif // TWIST_DIALECT_TWIST_TRANSFORMS_FINGERPRINT_H
