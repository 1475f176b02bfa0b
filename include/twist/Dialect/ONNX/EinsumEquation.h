//===- EinsumEquation.h - The language of Einsum ----------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_DIALECT_ONNX_EINSUMEQUATION_H
#define TWIST_DIALECT_ONNX_EINSUMEQUATION_H

#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"

#include <optional>
#include <string>

namespace twist::onnx {

/// "b...ij, bjk -> b...ik": terms of letters, one for each operand and one for
/// the result, in each of which an ellipsis may stand once.
struct EinsumEquation {
  /// Stands for the ellipsis.
  static constexpr char kDots = '.';

  llvm::SmallVector<std::string> inputs;
  /// Where the text has no arrow: the ellipsis if there is one, then the
  /// letters that occur once, sorted.
  std::string output;

  /// Without its spaces; none if it holds what is no equation: a sign, a second
  /// ellipsis in a term, a letter of the result that no operand has or that
  /// stands twice.
  static std::optional<EinsumEquation> parse(llvm::StringRef text);

  /// Whether a term has an ellipsis.
  static bool hasDots(llvm::StringRef term) { return term.contains(kDots); }
};

} // namespace twist::onnx

#endif // TWIST_DIALECT_ONNX_EINSUMEQUATION_H
