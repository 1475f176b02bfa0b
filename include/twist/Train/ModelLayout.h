//===- ModelLayout.h - What of a model is trained, and its axes -*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_TRAIN_MODELLAYOUT_H
#define TWIST_TRAIN_MODELLAYOUT_H

#include "twist/Runtime/twist.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

#include <string>
#include <vector>

namespace twist::train {

/// A set of units that can be removed together.
struct Axis {
  std::string name;  ///< what tickets call it: a path to a weight
  std::string kind;  ///< "head", "kv_group", "ffn", "channel", …
  int64_t index = 0; ///< place among its kind in graph order: its layer
  int64_t units = 0;
  /// Axes of its kind before and after it in its stack (encoder, decoder).
  int64_t layersBefore = 0, layersAfter = 0;
};

/// Unit u lies at offset + (o·units + u)·inner + i, o < outer, i < inner, of
/// one dimension.
struct Place {
  int64_t offset = 0, outer = 1, units = 1, inner = 1;
};

/// A place and whose it is. Places of different axes in one dimension may nest;
/// an index is kept if every place that covers it keeps its unit there.
struct AxisPlace {
  unsigned axis = 0; ///< into ModelLayout::axes
  Place place;
};

enum class ParameterRole {
  Weight,    ///< of a contraction or convolution
  Bias,      ///< added to what a weight makes
  Scale,     ///< of a norm
  Shift,     ///< of a norm
  Embedding, ///< a table whose rows are gathered
  Gain,      ///< rank 0: scales what an axis's gates let through
  Other      ///< none of these; frozen unless asked for by name
};

/// A tensor that is a buffer of the step. All tied copies are one parameter.
struct Parameter {
  std::string name; ///< of the model's initialiser; of a gain: "gain:AXIS"
  ParameterRole role = ParameterRole::Other;
  twist_type type = TWIST_F32; ///< of its buffer: f32 or f64
  std::vector<int64_t> dims;   ///< dense
  /// Per dimension; empty where no axis runs through it.
  std::vector<std::vector<AxisPlace>> places;
  /// Frozen ones are buffers too where an axis runs through them, and gains:
  /// then the step reads them, and has no gradient or state for them.
  bool trainable = true;
  bool decayed =
      false; ///< weight decay acts on it: matrices, not biases, norms
  /// Names of the initialisers that hold copies of it, `name` among them.
  std::vector<std::string> copies;
  /// Of a gain: the weights behind the axis's gates. Weights times gain compute
  /// the same without it; a weight that something else reads too is none of
  /// them, then the gain cannot be folded.
  std::vector<unsigned> scales;
  bool isFoldable = true;

  int64_t size() const;
};

/// What an input of the model is for.
enum class InputRole {
  Ids,       ///< token ids, [batch, sequence], integers
  Ones,      ///< a mask of what is there
  Zeros,     ///< token types, and the like
  Positions, ///< 0, 1, 2, … along the last dimension
  Features,  ///< floats of the user's
  Labels     ///< targets of the loss, an input that the step adds
};

/// An input or output of the model.
struct Tensor {
  std::string name;
  twist_type type = TWIST_F32;
  /// Without a step: -1 where the size is `symbols`' (the request's batch,
  /// sequence or sizes); of a compiled step: all known.
  std::vector<int64_t> dims;
  std::vector<std::string> symbols;
  InputRole role = InputRole::Features; ///< of inputs

  int64_t size() const;
};

/// A model as training sees it: no inputs for the past, no outputs of it.
struct ModelLayout {
  std::vector<Axis> axes;
  std::vector<Parameter> parameters;
  std::vector<Tensor> inputs, outputs;
  /// Index of the logits [batch, sequence, vocabulary] in `outputs`; -1: none.
  int logits = -1;
  int64_t vocabulary = 0; ///< size of the logits' last dimension
  /// Token ids are below this: the vocabulary, or the rows of the largest table
  /// of a model without logits.
  int64_t tokens() const;
  /// Positions the model can tell apart (rows of its position table); 0: any.
  int64_t context = 0;
  std::string batchSymbol, sequenceSymbol;
  /// Of the model file: as tickets name it.
  std::string structureSHA256;

  /// Index of the axis that tickets call `name`; -1: none.
  int findAxis(llvm::StringRef name) const;
};

/// The kept units of each axis of a layout, ascending. A mask may be empty only
/// for axes that a step keeps units of otherwise: a step needs at least one.
using Masks = std::vector<std::vector<int64_t>>;

/// All units of all axes.
Masks wholeMasks(const ModelLayout &layout);
/// How many units each axis keeps: what a step is compiled for.
std::vector<int64_t> widths(const Masks &masks);

/// The indices of dimension `dim`, ascending, that `masks` keep.
std::vector<int64_t> keptIndices(const Parameter &parameter, unsigned dim,
                                 const Masks &masks);
/// Sizes of what is left of it.
std::vector<int64_t> slicedDims(const Parameter &parameter, const Masks &masks);

/// Copies the slice of a dense tensor to `slice`, or back (what the slice does
/// not hold stays as it is). `kept[d]` are the indices of dimension d,
/// ascending; elements have `elementBytes` bytes; both are row-major.
void gatherSlice(llvm::ArrayRef<int64_t> dims,
                 llvm::ArrayRef<std::vector<int64_t>> kept,
                 unsigned elementBytes, const void *dense, void *slice);
void scatterSlice(llvm::ArrayRef<int64_t> dims,
                  llvm::ArrayRef<std::vector<int64_t>> kept,
                  unsigned elementBytes, const void *slice, void *dense);

} // namespace twist::train

#endif // TWIST_TRAIN_MODELLAYOUT_H
