//===- Proof.h - That a sliced model equals the masked one ------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
// Three statements, each about outputs on random inputs:
//   poison  NaN in the weights of removed units changes no bit of the masked
//           model's outputs;
//   equal   sliced and masked model agree: in f64 to 1e-12 of the largest
//           output; in f32 within 8 times the larger of both sides' own errors,
//           or 4 ulp of the largest output; integers exactly, in f32 except
//           where a side has an own error. An own error is the difference to
//           f64; where nothing runs the models in f64, to themselves with every
//           weight and input off by a rounding;
//   acts    the mask changes an output of the dense model, or floats that an
//           output of integers is decided by.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_PROOF_PROOF_H
#define TWIST_PROOF_PROOF_H

#include "twist/Dialect/Twist/Transforms/Slice.h"

#include "llvm/ADT/StringMap.h"

#include <functional>
#include <string>
#include <vector>

namespace twist::proof {

/// A tensor of an input or output: row-major, elements as in
/// weights::storedBytes (bool a byte).
struct HostTensor {
  std::string name;
  mlir::Type elementType;
  llvm::SmallVector<int64_t> shape;
  std::vector<char> bytes;

  int64_t numElements() const;
};

/// The elements as doubles; reports a type that has no such form at `loc`.
mlir::FailureOr<std::vector<double>> toDoubles(const HostTensor &tensor,
                                               mlir::Location loc);
/// The tensor with another element type.
mlir::FailureOr<HostTensor> convert(const HostTensor &tensor,
                                    mlir::Type elementType, mlir::Location loc);
/// What is left of a tensor after the cut of an interface.
mlir::FailureOr<HostTensor> select(const HostTensor &tensor,
                                   const axes::CutInterface &cut,
                                   mlir::Location loc);

struct InputOptions {
  /// Sizes of symbolic dimensions; those not named get small different ones.
  llvm::StringMap<int64_t> dims;
  uint64_t seed = 0;
};

/// Inputs for the main function of a normalised module: floats are normal;
/// integers that reach the indices of a lookup are rows of the smallest table,
/// other integers and bools are a mask, ones with some zeros at row ends. Sizes
/// for a name that no input has are an error.
mlir::FailureOr<std::vector<HostTensor>>
randomInputs(mlir::ModuleOp module, const InputOptions &options);

/// The integer inputs by name, each with the rows of the smallest table it is
/// looked up in; 0: none.
llvm::StringMap<int64_t> lookupTables(mlir::ModuleOp module);

/// One statement about one output.
struct Verdict {
  std::string proof;  ///< "poison", "equal f64", "equal f32", "acts"
  std::string output; ///< empty: about all of them
  double difference = 0;
  double allowed = 0;
  double largest = 0;
  bool holds = false;
  std::string why; ///< it fails, or what else there is to know
};

/// Whether two results are the same bytes.
Verdict comparePoisoned(const HostTensor &masked, const HostTensor &poisoned);
/// Two f64 results (or any type, if integer).
mlir::FailureOr<Verdict> compareDouble(const HostTensor &sliced,
                                       const HostTensor &masked,
                                       mlir::Location loc);
/// Two f32 results, each with what tells its own error: its f64 version, or its
/// version with nudged weights.
mlir::FailureOr<Verdict> compareSingle(const HostTensor &sliced,
                                       const HostTensor &masked,
                                       const HostTensor &slicedOther,
                                       const HostTensor &maskedOther,
                                       mlir::Location loc);
/// Whether some output differs from the dense model's.
Verdict compareDense(llvm::ArrayRef<HostTensor> dense,
                     llvm::ArrayRef<HostTensor> masked);

/// Runs a program on inputs in the order of the module's arguments; gives
/// outputs in the order of its results. Reports what fails.
using Program = std::function<mlir::FailureOr<std::vector<HostTensor>>(
    llvm::ArrayRef<HostTensor>)>;
/// The numbers that a model is run with.
enum class Numbers {
  Own,    ///< the model's
  Double, ///< every float in f64
  Nudged  ///< every float of weights and inputs off by one unit in its last
          ///< place, up or down at random
};
/// Makes a program of a module of ONNX ops.
using Compiler =
    std::function<mlir::FailureOr<Program>(mlir::ModuleOp, Numbers)>;

/// What runs the models of a proof.
struct Engine {
  std::string name; ///< "compiled programs"
  bool hasDouble;   ///< takes Numbers::Double; otherwise Nudged
  Compiler compile;
};

/// Makes the constants tagged `kMaskAttr` of @main its last arguments and gives
/// their values.
std::vector<std::pair<std::string, HostTensor>>
liftMasks(mlir::ModuleOp module);

struct ProofModels {
  /// The model with gates and poison lowered and their masks lifted: with masks
  /// of ones it is the dense model.
  mlir::ModuleOp masked;
  /// "gate" or "poison", and what the mask is, in the order of arguments.
  llvm::ArrayRef<std::pair<std::string, HostTensor>> masks;
  mlir::ModuleOp sliced;
  /// Inputs and outputs that are smaller in `sliced`.
  llvm::ArrayRef<axes::CutInterface> interface;
};

/// Makes every statement, with two programs of the models' own numbers and two
/// in f64 (without it: nudged, and nothing is stated about f64); fails only if
/// something could not be run.
mlir::FailureOr<std::vector<Verdict>> prove(const ProofModels &models,
                                            const InputOptions &inputs,
                                            const Engine &engine);

/// Reports the first statement that does not hold at `loc`.
llvm::LogicalResult require(llvm::ArrayRef<Verdict> verdicts,
                            mlir::Location loc);

/// Prints a table, one statement a line.
void print(llvm::ArrayRef<Verdict> verdicts, llvm::raw_ostream &os);

} // namespace twist::proof

#endif // TWIST_PROOF_PROOF_H
