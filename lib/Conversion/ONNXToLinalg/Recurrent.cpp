//===- Recurrent.cpp - RNN, GRU, LSTM -------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//
//
// What comes from the inputs is one product over all steps; then a loop over
// the steps, which multiplies the state by R. Inside, the sequence is the first
// dimension: X [steps, batch, inputs], states [batch, hidden].
//
//===----------------------------------------------------------------------===//

#include "Loops.h"
#include "ScalarMath.h"

#include "mlir/Dialect/Bufferization/IR/Bufferization.h"

using namespace twist;
using namespace twist::lowering;

using Order = ScalarMath::Order;

namespace {

/// An activation with its two parameters.
struct Activation {
  std::string name;
  double alpha, beta;

  Value apply(ScalarMath &s, Value x) const;
};

/// Names of the nodes of all three ops, as attributes.
struct RecurrentAttributes {
  bool reverseFirst, both, batchFirst, inputForget = false,
                                       linearBeforeReset = false;
  std::optional<double> clip;
  SmallVector<Activation> activations; // of all directions, in order
};

/// One direction of one op.
struct Direction {
  Lowering &l;
  const RecurrentAttributes &attributes;
  ArrayRef<Activation> activations;
  int64_t gates;
  Type element;
  Value inputs, recurrence, peepholes; // inputs: X W^T + biases, per step
  Value resetBias;                     // of the new state's gate, or null
  Value lengths;                       // of the sequences, or null
  Size batch, hidden;
  // of `hidden`; made before the loop, as sizes are made once for all
  SmallVector<Size> multiples;

  /// The state after step `x` [batch, gates * hidden].
  SmallVector<Value> step(Value x, ValueRange state);

private:
  SmallVector<Value> stepRNN(Value x, ValueRange state);
  SmallVector<Value> stepGRU(Value x, ValueRange state);
  SmallVector<Value> stepLSTM(Value x, ValueRange state);
  /// Columns `gate` * hidden on of a matrix, `count` gates wide.
  Value gate(Value matrix, int64_t gate, int64_t count = 1);
  /// state · R^T for `count` gates from `first` on.
  Value recur(Value state, int64_t first, int64_t count);
  Value peephole(int64_t number);
  using StepBody = function_ref<Value(ScalarMath &, ValueRange)>;
  /// Element-wise on [batch, hidden]; operands of rank 1 are rows.
  Value map(ArrayRef<Value> operands, StepBody body);
  Value activate(ScalarMath &s, unsigned number, Value x) const;
};

} // namespace

//===----------------------------------------------------------------------===//
// Activations
//===----------------------------------------------------------------------===//

Value Activation::apply(ScalarMath &s, Value x) const {
  Value zero = s.constant(x, 0), one = s.constant(x, 1);
  Value a = s.constant(x, alpha), b = s.constant(x, beta);
  if (name == "Tanh")
    return s.call<math::TanhOp>(x);
  if (name == "Sigmoid")
    return s.sigmoid(x);
  if (name == "Relu")
    return s.max(x, zero);
  if (name == "Affine")
    return s.add(s.mul(a, x), b);
  if (name == "LeakyRelu")
    return s.select(s.compare(Order::LT, x, zero), s.mul(a, x), x);
  if (name == "ThresholdedRelu")
    return s.select(s.compare(Order::GT, x, a), x, zero);
  if (name == "ScaledTanh")
    return s.mul(a, s.call<math::TanhOp>(s.mul(b, x)));
  if (name == "HardSigmoid")
    return s.max(zero, s.min(one, s.add(s.mul(a, x), b)));
  if (name == "Elu")
    return s.select(s.compare(Order::LT, x, zero),
                    s.mul(a, s.call<math::ExpM1Op>(x)), x);
  if (name == "Softsign")
    return s.div(x, s.add(one, s.abs(x)));
  return s.softplus(x);
}

/// Defaults of alpha and beta, by ONNX; none for an unknown name.
static std::optional<std::pair<double, double>> defaultsOf(StringRef name) {
  return llvm::StringSwitch<std::optional<std::pair<double, double>>>(name)
      .Cases({"Tanh", "Sigmoid", "Relu", "Softsign", "Softplus"},
             std::pair(0.0, 0.0))
      .Case("Affine", std::pair(1.0, 0.0))
      .Case("LeakyRelu", std::pair(0.01, 0.0))
      .Case("ThresholdedRelu", std::pair(1.0, 0.0))
      .Case("ScaledTanh", std::pair(1.0, 1.0))
      .Case("HardSigmoid", std::pair(0.2, 0.5))
      .Case("Elu", std::pair(1.0, 0.0))
      .Default(std::nullopt);
}

/// `perDirection` names a direction; parameters are given to those that have
/// any, in order.
template <typename OpTy>
static FailureOr<RecurrentAttributes> attributesOf(OpTy op,
                                                   ArrayRef<StringRef> usual) {
  RecurrentAttributes result;
  result.reverseFirst = op.getDirection() == "reverse";
  result.both = op.getDirection() == "bidirectional";
  result.batchFirst = op.getLayout() == 1;
  if (op.getClip())
    result.clip = op.getClip()->convertToDouble();
  size_t wanted = usual.size() * (result.both ? 2 : 1);
  SmallVector<StringRef> names;
  if (std::optional<ArrayAttr> given = op.getActivations())
    for (Attribute name : *given)
      names.push_back(::mlir::cast<StringAttr>(name).getValue());
  else
    for (size_t i = 0; i < wanted; ++i)
      names.push_back(usual[i % usual.size()]);
  // RNN's default lists both directions.
  if (names.size() < wanted) {
    op.emitError() << "has " << names.size() << " activations, needs "
                   << wanted;
    return failure();
  }
  names.resize(wanted);
  ArrayRef<float> alphas = op.getActivationAlpha().value_or(ArrayRef<float>());
  ArrayRef<float> betas = op.getActivationBeta().value_or(ArrayRef<float>());
  for (StringRef name : names) {
    auto defaults = defaultsOf(name);
    if (!defaults) {
      op.emitError() << "has an unknown activation '" << name << "'";
      return failure();
    }
    Activation activation{name.str(), defaults->first, defaults->second};
    bool hasAlpha = defaults->first != 0;
    bool hasBeta =
        name == "Affine" || name == "ScaledTanh" || name == "HardSigmoid";
    if (hasAlpha && !alphas.empty()) {
      activation.alpha = alphas.front();
      alphas = alphas.drop_front();
    }
    if (hasBeta && !betas.empty()) {
      activation.beta = betas.front();
      betas = betas.drop_front();
    }
    result.activations.push_back(std::move(activation));
  }
  return result;
}

//===----------------------------------------------------------------------===//
// One step
//===----------------------------------------------------------------------===//

Value Direction::gate(Value matrix, int64_t gate, int64_t count) {
  if (gates == 1)
    return matrix;
  Size width = multiples[count];
  SmallVector<OpFoldResult> steps(2, l.sizes.constant(1));
  return tensor::ExtractSliceOp::create(
      l.b, matrix, Sizes{l.sizes.constant(0), multiples[gate]},
      Sizes{l.sizeOf(matrix, 0), width}, steps);
}

Value Direction::recur(Value state, int64_t first, int64_t count) {
  Value matrix = count == gates ? recurrence : gate(recurrence, first, count);
  Size width = multiples[count];
  Value init = l.fill(l.constant(element, 0), {batch, width});
  return linalg::MatmulOp::create(l.b, TypeRange{init.getType()},
                                  ValueRange{state, matrix}, ValueRange{init})
      .getResult(0);
}

Value Direction::map(ArrayRef<Value> operands, StepBody body) {
  SmallVector<AffineMap> maps;
  for (Value operand : operands) {
    int64_t rank = ::mlir::cast<RankedTensorType>(operand.getType()).getRank();
    maps.push_back(rank == 2 ? l.identity(2) : l.identity(2).dropResult(0));
  }
  return l.parallelGeneric(operands, maps, {batch, hidden}, element,
                           [&](ImplicitLocOpBuilder &b, ValueRange x) {
                             ScalarMath s(b, false);
                             return body(s, x);
                           });
}

Value Direction::peephole(int64_t number) {
  return tensor::ExtractSliceOp::create(l.b, peepholes,
                                        Sizes{multiples[number]}, Sizes{hidden},
                                        Sizes{l.sizes.constant(1)});
}

Value Direction::activate(ScalarMath &s, unsigned number, Value x) const {
  if (attributes.clip) {
    x = s.max(x, s.constant(x, -*attributes.clip));
    x = s.min(x, s.constant(x, *attributes.clip));
  }
  return activations[number].apply(s, x);
}

SmallVector<Value> Direction::stepRNN(Value x, ValueRange state) {
  return {map({x, recur(state[0], 0, 1)}, [&](ScalarMath &s, ValueRange v) {
    return activate(s, 0, s.add(v[0], v[1]));
  })};
}

// Gates: update z, reset r, new h. H' = (1 - z) h + z H
SmallVector<Value> Direction::stepGRU(Value x, ValueRange state) {
  bool linear = attributes.linearBeforeReset;
  Value old = state[0], all = recur(old, 0, linear ? 3 : 2);
  auto sum = [&](int64_t number) {
    return map({gate(x, number), gate(all, number)},
               [&](ScalarMath &s, ValueRange v) {
                 return activate(s, 0, s.add(v[0], v[1]));
               });
  };
  Value z = sum(0), r = sum(1), fresh;
  if (linear) {
    SmallVector<Value> operands{gate(x, 2), gate(all, 2), r};
    if (resetBias)
      operands.push_back(resetBias);
    fresh = map(operands, [&](ScalarMath &s, ValueRange v) {
      Value recurrent = v.size() > 3 ? s.add(v[1], v[3]) : v[1];
      return activate(s, 1, s.add(v[0], s.mul(v[2], recurrent)));
    });
  } else {
    Value kept = map({r, old}, [](ScalarMath &s, ValueRange v) {
      return s.mul(v[0], v[1]);
    });
    fresh =
        map({gate(x, 2), recur(kept, 2, 1)}, [&](ScalarMath &s, ValueRange v) {
          return activate(s, 1, s.add(v[0], v[1]));
        });
  }
  return {map({z, fresh, old}, [](ScalarMath &s, ValueRange v) {
    Value rest = s.sub(s.constant(v[0], 1), v[0]);
    return s.add(s.mul(rest, v[1]), s.mul(v[0], v[2]));
  })};
}

// Gates: input i, output o, forget f, cell c.
// C' = f C + i c, H' = o h(C'); peepholes add C to i and f, C' to o.
SmallVector<Value> Direction::stepLSTM(Value x, ValueRange state) {
  Value all = recur(state[0], 0, 4), cell = state[1];
  auto sum = [&](int64_t number, unsigned activation, int64_t hole,
                 Value seen) {
    SmallVector<Value> operands{gate(x, number), gate(all, number)};
    if (peepholes && hole >= 0)
      operands.append({peephole(hole), seen});
    return map(operands, [&](ScalarMath &s, ValueRange v) {
      Value y = s.add(v[0], v[1]);
      if (v.size() > 2)
        y = s.add(y, s.mul(v[2], v[3]));
      return activate(s, activation, y);
    });
  };
  Value i = sum(0, 0, 0, cell), c = sum(3, 1, -1, cell), f;
  if (attributes.inputForget)
    f = map({i}, [](ScalarMath &s, ValueRange v) {
      return s.sub(s.constant(v[0], 1), v[0]);
    });
  else
    f = sum(2, 0, 2, cell);
  Value next = map({f, cell, i, c}, [](ScalarMath &s, ValueRange v) {
    return s.add(s.mul(v[0], v[1]), s.mul(v[2], v[3]));
  });
  Value o = sum(1, 0, 1, next);
  Value output = map({o, next}, [&](ScalarMath &s, ValueRange v) {
    return s.mul(v[0], activations[2].apply(s, v[1]));
  });
  return {output, next};
}

SmallVector<Value> Direction::step(Value x, ValueRange state) {
  if (gates == 1)
    return stepRNN(x, state);
  return gates == 3 ? stepGRU(x, state) : stepLSTM(x, state);
}

//===----------------------------------------------------------------------===//
// All steps, all directions
//===----------------------------------------------------------------------===//

namespace {
/// A whole op: its operands with the sequence first, its results so far.
struct Recurrent {
  Lowering &l;
  Operation *op;
  const RecurrentAttributes &attributes;
  int64_t gates;
  Value x, w, r, bias, lengths, peepholes;
  SmallVector<Value> initial; // [directions, batch, hidden] or null
  Type element = getElementTypeOrSelf(x);
  Size steps = l.sizeOf(x, 0), batch = l.sizeOf(x, 1);
  Size hidden = l.sizeOf(r, 2);
  Size directions = l.sizes.constant(attributes.both ? 2 : 1);

  SmallVector<Value> build();

private:
  /// The part of `tensor` for direction d, without that dimension.
  Value part(Value tensor, int64_t d);
  Value columns(Value vector, int64_t first, int64_t count);
  Value transposed(Value matrix);
  Value fromInputs(int64_t d, Value &resetBias);
  void run(int64_t d, Value &all, MutableArrayRef<Value> last);
  Value zeros(const Sizes &sizes) {
    return l.fill(l.constant(element, 0), sizes);
  }
  Value insert(Value from, Value into, ArrayRef<Size> at);
};
} // namespace

Value Recurrent::part(Value tensor, int64_t d) {
  Sizes sizes = l.sizesOf(tensor);
  Sizes at(sizes.size(), l.sizes.constant(0));
  Sizes steps(sizes.size(), l.sizes.constant(1));
  at[0] = l.sizes.constant(d);
  sizes[0] = l.sizes.constant(1);
  Value slice = tensor;
  if (constantOf(l.sizeOf(tensor, 0)) != 1)
    slice = tensor::ExtractSliceOp::create(l.b, tensor, at, sizes, steps);
  return l.dropUnitDims(slice, {0});
}

Value Recurrent::columns(Value vector, int64_t first, int64_t count) {
  return tensor::ExtractSliceOp::create(
      l.b, vector, Sizes{l.sizes.mul(hidden, l.sizes.constant(first))},
      Sizes{l.sizes.mul(hidden, l.sizes.constant(count))},
      Sizes{l.sizes.constant(1)});
}

Value Recurrent::insert(Value from, Value into, ArrayRef<Size> at) {
  Sizes sizes(at.size(), l.sizes.constant(1));
  Sizes strides = sizes;
  sizes[at.size() - 2] = batch;
  sizes[at.size() - 1] = hidden;
  return tensor::InsertSliceOp::create(l.b, from, into, Sizes(at), sizes,
                                       strides);
}

/// X W^T with what of the biases does not wait for the state, [steps, batch,
/// gates * hidden].
Value Recurrent::fromInputs(int64_t d, Value &resetBias) {
  Size width = l.sizes.mul(hidden, l.sizes.constant(gates));
  Size rows = l.sizes.mul(steps, batch);
  Value matrix = l.transpose(part(w, d), {1, 0});
  Value init = zeros({rows, width});
  Value flat = l.reshape(x, {rows, l.sizeOf(x, 2)});
  Value product =
      linalg::MatmulOp::create(l.b, TypeRange{init.getType()},
                               ValueRange{flat, matrix}, ValueRange{init})
          .getResult(0);
  if (bias) {
    Value both = part(bias, d);
    Value ofW = columns(both, 0, gates), ofR = columns(both, gates, gates);
    if (attributes.linearBeforeReset)
      resetBias = columns(both, 2 * gates - 1, 1);
    AffineMap row = l.identity(2).dropResult(0);
    Value last =
        l.sizes.toValue(l.sizes.mul(hidden, l.sizes.constant(gates - 1)));
    product = l.parallelGeneric(
        {product, ofW, ofR}, {l.identity(2), row, row}, {rows, width}, element,
        [&](ImplicitLocOpBuilder &b, ValueRange v) {
          ScalarMath s(b, false);
          Value recurrent = v[2];
          if (resetBias)
            recurrent = s.select(
                s.compare(Order::LT, linalg::IndexOp::create(b, 1), last),
                recurrent, s.constant(recurrent, 0));
          return s.add(v[0], s.add(v[1], recurrent));
        });
  }
  return l.reshape(product, {steps, batch, width});
}

/// Runs direction d: writes its part of `all` [steps, directions, batch,
/// hidden] and of the last states.
void Recurrent::run(int64_t d, Value &all, MutableArrayRef<Value> last) {
  bool backwards = attributes.both ? d == 1 : attributes.reverseFirst;
  Value resetBias, inputs = fromInputs(d, resetBias);
  size_t count = gates == 4 ? 3 : gates == 3 ? 2 : 1;
  Direction direction{l,
                      attributes,
                      ArrayRef(attributes.activations).slice(d * count, count),
                      gates,
                      element,
                      inputs,
                      l.transpose(part(r, d), {1, 0}),
                      peepholes ? part(peepholes, d) : Value(),
                      resetBias,
                      lengths,
                      batch,
                      hidden,
                      {}};
  for (int64_t i = 0; i <= gates; ++i)
    direction.multiples.push_back(l.sizes.mul(hidden, l.sizes.constant(i)));
  SmallVector<Value> state{all};
  for (Value start : initial)
    state.push_back(start ? part(start, d) : zeros({batch, hidden}));
  Value zero = l.sizes.toValue(l.sizes.constant(0));
  Value one = l.sizes.toValue(l.sizes.constant(1));
  Value end = l.sizes.toValue(steps);
  auto loop = scf::ForOp::create(l.b, zero, end, one, state);
  {
    OpBuilder::InsertionGuard guard(l.b);
    l.b.setInsertionPointToStart(loop.getBody());
    Value t = loop.getInductionVar();
    if (backwards)
      t = arith::SubIOp::create(l.b, arith::SubIOp::create(l.b, end, one), t);
    ValueRange carried = loop.getRegionIterArgs();
    Size width = direction.multiples[gates];
    Size none = l.sizes.constant(0), unit = l.sizes.constant(1);
    Value slice = tensor::ExtractSliceOp::create(
        l.b, inputs, Sizes{t, none, none}, Sizes{unit, batch, width},
        Sizes{unit, unit, unit});
    SmallVector<Value> next =
        direction.step(l.dropUnitDims(slice, {0}), carried.drop_front());
    Value output = next[0];
    if (lengths) {
      // Beyond its end a sequence keeps its state and gives zeros.
      auto until = [&](Value inside, Value outside) {
        return l.parallelGeneric(
            outside ? ValueRange{lengths, inside, outside}
                    : ValueRange{lengths, inside},
            outside ? ArrayRef<AffineMap>{l.identity(2).dropResult(1),
                                          l.identity(2), l.identity(2)}
                    : ArrayRef<AffineMap>{l.identity(2).dropResult(1),
                                          l.identity(2)},
            {batch, hidden}, element,
            [&](ImplicitLocOpBuilder &b, ValueRange v) {
              ScalarMath s(b, false);
              Value length =
                  arith::IndexCastOp::create(b, b.getIndexType(), v[0]);
              return s.select(s.compare(Order::LT, t, length), v[1],
                              outside ? v[2] : s.constant(v[1], 0));
            });
      };
      output = until(next[0], Value());
      for (auto [value, old] : llvm::zip_equal(next, carried.drop_front()))
        value = until(value, old);
    }
    SmallVector<Value> yielded{
        insert(output, carried[0], {Size(t), l.sizes.constant(d), none, none})};
    // The state has one buffer, which the next step reads.
    for (auto [value, old] : llvm::zip_equal(next, carried.drop_front()))
      yielded.push_back(
          bufferization::MaterializeInDestinationOp::create(l.b, value, old)
              .getResult());
    scf::YieldOp::create(l.b, yielded);
  }
  all = loop.getResult(0);
  Size none = l.sizes.constant(0);
  for (auto [value, result] :
       llvm::zip_equal(last, loop.getResults().drop_front()))
    value = insert(result, value, {l.sizes.constant(d), none, none});
}

SmallVector<Value> Recurrent::build() {
  Value all = zeros({steps, directions, batch, hidden});
  SmallVector<Value> last;
  for (size_t i = 0; i < initial.size(); ++i)
    last.push_back(zeros({directions, batch, hidden}));
  for (int64_t d = 0; d < (attributes.both ? 2 : 1); ++d)
    run(d, all, last);
  if (attributes.batchFirst) {
    all = l.transpose(all, {2, 0, 1, 3});
    for (Value &value : last)
      value = l.transpose(value, {1, 0, 2});
  }
  SmallVector<Value> results{all};
  llvm::append_range(results, last);
  return results;
}

template <typename OpTy>
static Results lowerRecurrent(Lowering &l, OpTy op, int64_t gates,
                              ArrayRef<StringRef> activations) {
  FailureOr<RecurrentAttributes> attributes = attributesOf(op, activations);
  if (failed(attributes))
    return failure();
  if constexpr (std::is_same_v<OpTy, onnx::GRUOp>)
    attributes->linearBeforeReset = op.getLinearBeforeReset() != 0;
  if constexpr (std::is_same_v<OpTy, onnx::LSTMOp>)
    attributes->inputForget = op.getInputForget() != 0;
  Value x = l.operand(op, 0), r = l.operand(op, 2);
  if (!isa<Float32Type, Float64Type>(getElementTypeOrSelf(x))) {
    op.emitError() << "states of element type " << getElementTypeOrSelf(x)
                   << " cannot be compiled";
    return failure();
  }
  if (constantOf(l.sizeOf(r, 0)).value_or(attributes->both ? 2 : 1) !=
      (attributes->both ? 2 : 1)) {
    op.emitError() << "direction " << op.getDirection()
                   << " does not fit the first dimension of R: "
                   << op.getR().getType();
    return failure();
  }
  SmallVector<Value> initial{l.operand(op, 5)};
  if (gates == 4)
    initial.push_back(l.operand(op, 6));
  if (attributes->batchFirst) {
    x = l.transpose(x, {1, 0, 2});
    for (Value &start : initial)
      if (start)
        start = l.transpose(start, {1, 0, 2});
  }
  return Recurrent{l,
                   op,
                   *attributes,
                   gates,
                   x,
                   l.operand(op, 1),
                   r,
                   l.operand(op, 3),
                   l.operand(op, 4),
                   gates == 4 ? l.operand(op, 7) : Value(),
                   initial}
      .build();
}

void lowering::addRecurrent(LoweringTable &table) {
  table["RNN"] = [](Lowering &l, Operation *op) {
    return lowerRecurrent(l, ::mlir::cast<onnx::RNNOp>(op), 1, {"Tanh"});
  };
  table["GRU"] = [](Lowering &l, Operation *op) {
    return lowerRecurrent(l, ::mlir::cast<onnx::GRUOp>(op), 3,
                          {"Sigmoid", "Tanh"});
  };
  table["LSTM"] = [](Lowering &l, Operation *op) {
    return lowerRecurrent(l, ::mlir::cast<onnx::LSTMOp>(op), 4,
                          {"Sigmoid", "Tanh", "Tanh"});
  };
}
