//===- StepModel.cpp - A model ready to become training steps -------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "StepModel.h"

#include "GateSites.h"

#include "twist/Dialect/ONNX/DataTest.h"
#include "twist/Dialect/ONNX/SymbolicShapes.h"
#include "twist/Dialect/ONNX/Transforms/Passes.h"
#include "twist/Dialect/Twist/AxisAnalysis.h"
#include "twist/Dialect/Twist/Transforms/Fingerprint.h"
#include "twist/Dialect/Twist/Transforms/PrepareTraining.h"
#include "twist/Dialect/Twist/Transforms/Subnetwork.h"
#include "twist/Pipeline/Model.h"
#include "twist/Pipeline/Pipelines.h"
#include "twist/Proof/Proof.h"
#include "twist/Target/ONNX/ONNXFile.h"

#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"

using namespace mlir;
using namespace twist;
using namespace twist::axes;

using Loaded = FailureOr<OwningOpRef<ModuleOp>>;

static func::FuncOp mainOf(ModuleOp module) {
  return module.lookupSymbol<func::FuncOp>("main");
}

//===----------------------------------------------------------------------===//
// Loading
//===----------------------------------------------------------------------===//

static LogicalResult prepare(ModuleOp module,
                             const StepCompilerOptions &options) {
  PassManager pm(module.getContext());
  populateNormalisePasses(pm);
  if (failed(pm.run(module)))
    return failure();
  TrainingOptions training;
  training.state.assign(options.state.begin(), options.state.end());
  training.train.assign(options.train.begin(), options.train.end());
  training.freeze.assign(options.freeze.begin(), options.freeze.end());
  training.f64 = options.f64;
  if (failed(prepareTraining(module, training)))
    return failure();
  std::string kinds = llvm::is_contained(options.kinds, "*") ? ""
                      : options.kinds.empty()
                          ? "{kinds=head,kv_group,ffn,channel}"
                          : "{kinds=" + llvm::join(options.kinds, ",") + "}";
  PassManager discover(module.getContext());
  return success(
      succeeded(parsePassPipeline("twist-discover-axes" + kinds, discover)) &&
      succeeded(discover.run(module)));
}

FailureOr<StepModel> StepModel::load(StringRef path, MLIRContext *context,
                                     const StepCompilerOptions &options) {
  Loaded module = importONNX(path, context);
  if (failed(module))
    return failure();
  StepModel model;
  model.modelLayout.structureSHA256 = structureHash(**module);
  model.module = std::move(*module);
  model.source = path.str();
  bool gains = options.gains != GainKind::None;
  if (failed(prepare(*model.module, options)) ||
      ((gains || options.dropout) && failed(model.addFactors(options))) ||
      failed(model.describeAxes()) || failed(model.describeParameters()) ||
      (gains && failed(model.describeGains())))
    return failure();
  model.describeTensors();
  return FailureOr<StepModel>(std::move(model));
}

//===----------------------------------------------------------------------===//
// The layout
//===----------------------------------------------------------------------===//

LogicalResult StepModel::describeAxes() {
  std::vector<AxisInfo> axes = axesOf(*module);
  if (failed(countLayers(*module, axes)))
    return failure();
  for (const AxisInfo &axis : axes) {
    modelLayout.axes.push_back({axis.name(), axis.kind, axis.index, axis.units,
                                axis.layersBefore, axis.layersAfter});
    symbols.push_back(axis.symbol);
  }
  return success();
}

static train::ParameterRole roleOf(WeightRole role) {
  switch (role) {
  case WeightRole::Other:
    return train::ParameterRole::Other;
  case WeightRole::Weight:
    return train::ParameterRole::Weight;
  case WeightRole::Bias:
    return train::ParameterRole::Bias;
  case WeightRole::Scale:
    return train::ParameterRole::Scale;
  case WeightRole::Shift:
    return train::ParameterRole::Shift;
  case WeightRole::Embedding:
    return train::ParameterRole::Embedding;
  case WeightRole::Gain:
    return train::ParameterRole::Gain;
  }
  llvm_unreachable("no such role");
}

static bool samePlaces(ArrayRef<train::AxisPlace> a,
                       ArrayRef<train::AxisPlace> b) {
  auto same = [](const train::AxisPlace &x, const train::AxisPlace &y) {
    return x.axis == y.axis && x.place.offset == y.place.offset &&
           x.place.outer == y.place.outer && x.place.units == y.place.units &&
           x.place.inner == y.place.inner;
  };
  return a.size() == b.size() && llvm::equal(a, b, same);
}

LogicalResult StepModel::describeParameters() {
  AxisAnalysisOptions none;
  FailureOr<AxisAnalysis> analysis =
      AxisAnalysis::compute(mainOf(*module), none);
  if (failed(analysis))
    return failure();
  llvm::StringMap<unsigned> numbers;
  for (auto [i, symbol] : llvm::enumerate(symbols))
    numbers[symbol] = i;
  auto placesOf = [&](Value value, int64_t dim) {
    std::vector<train::AxisPlace> places;
    for (const axes::AxisPlace &at : analysis->placesOf(value, dim)) {
      auto it = numbers.find(analysis->axes()[at.axis].symbol);
      if (it != numbers.end())
        places.push_back({it->second,
                          {at.place.offset, at.place.outer, at.place.units,
                           at.place.inner}});
    }
    return places;
  };
  llvm::StringMap<unsigned> known;
  for (Operation &op : mainOf(*module).getBody().front()) {
    std::optional<ParameterInfo> info = ParameterInfo::of(&op);
    if (!info)
      continue;
    Value value = op.getResult(0);
    auto type = cast<RankedTensorType>(value.getType());
    std::vector<std::vector<train::AxisPlace>> places;
    for (int64_t d = 0; d < type.getRank(); ++d)
      places.push_back(placesOf(value, d));
    bool isCut = llvm::any_of(places, [](auto &p) { return !p.empty(); });
    if (!info->trainable && !isCut && info->role != WeightRole::Gain)
      continue;
    auto [it, isNew] =
        known.try_emplace(info->name, modelLayout.parameters.size());
    if (!isNew) {
      const train::Parameter &first = modelLayout.parameters[it->second];
      for (auto [a, b] : llvm::zip_equal(first.places, places))
        if (!samePlaces(a, b))
          return op.emitError("weight '")
                 << info->name
                 << "' is read by several ops that are cut apart: it cannot be "
                    "one parameter";
      continue;
    }
    train::Parameter parameter;
    parameter.name = info->name;
    parameter.role = roleOf(info->role);
    parameter.type = type.getElementType().isF64() ? TWIST_F64 : TWIST_F32;
    parameter.dims.assign(type.getShape().begin(), type.getShape().end());
    parameter.places = std::move(places);
    parameter.trainable = info->trainable;
    parameter.decayed = info->decayed;
    parameter.copies = {info->name};
    llvm::append_range(parameter.copies, info->copies);
    modelLayout.parameters.push_back(std::move(parameter));
    makers.push_back(&op);
  }
  return success();
}

static twist_type typeOf(Type element) {
  if (element.isF64())
    return TWIST_F64;
  if (element.isF32())
    return TWIST_F32;
  auto integer = dyn_cast<IntegerType>(element);
  if (!integer)
    return twist_type(0);
  bool isUnsigned = integer.isUnsigned();
  switch (integer.getWidth()) {
  case 1:
    return TWIST_BOOL;
  case 8:
    return isUnsigned ? TWIST_U8 : TWIST_I8;
  case 16:
    return isUnsigned ? TWIST_U16 : TWIST_I16;
  case 32:
    return isUnsigned ? TWIST_U32 : TWIST_I32;
  default:
    return isUnsigned ? TWIST_U64 : TWIST_I64;
  }
}

static train::Tensor describeTensor(Type type, DictionaryAttr attributes,
                                    const Twine &defaultName) {
  train::Tensor tensor;
  auto name = attributes ? attributes.getAs<StringAttr>("onnx.name") : nullptr;
  tensor.name = name ? name.str() : defaultName.str();
  auto ranked = cast<RankedTensorType>(type);
  tensor.type = typeOf(ranked.getElementType());
  auto symbols =
      attributes ? attributes.getAs<ArrayAttr>("onnx.dims") : nullptr;
  for (int64_t d = 0; d < ranked.getRank(); ++d) {
    bool isOpen = ranked.isDynamicDim(d);
    tensor.dims.push_back(isOpen ? -1 : ranked.getDimSize(d));
    auto symbol = symbols && d < int64_t(symbols.size())
                      ? dyn_cast<StringAttr>(symbols[d])
                      : StringAttr();
    // As onnx-bind-dims names them.
    tensor.symbols.push_back(!isOpen ? ""
                             : symbol && !symbol.getValue().trim().empty()
                                 ? symbol.getValue().trim().str()
                                 : tensor.name + "." + std::to_string(d));
  }
  return tensor;
}

/// Rows of tables that no input's values are looked up in: positions.
static int64_t positionRows(func::FuncOp main) {
  onnx::DataTest isData;
  int64_t rows = 0;
  main.walk([&](onnx::GatherOp gather) {
    Operation *maker = stripGates(gather.getData()).getDefiningOp();
    std::optional<ParameterInfo> info =
        maker ? ParameterInfo::of(maker) : std::nullopt;
    if (info && info->role == WeightRole::Embedding &&
        !isData(gather.getIndices()))
      rows = cast<RankedTensorType>(gather.getData().getType()).getDimSize(0);
  });
  return rows;
}

void StepModel::describeTensors() {
  func::FuncOp main = mainOf(*module);
  llvm::StringMap<int64_t> tables = proof::lookupTables(*module);
  int64_t largest = 0;
  for (auto &entry : tables)
    largest = std::max(largest, entry.second);
  for (auto [i, type] : llvm::enumerate(main.getArgumentTypes())) {
    train::Tensor tensor =
        describeTensor(type, main.getArgAttrDict(i), "arg" + Twine(i));
    int64_t rows = tables.lookup(tensor.name);
    bool isFloat = tensor.type == TWIST_F32 || tensor.type == TWIST_F64;
    tensor.role = isFloat           ? train::InputRole::Features
                  : rows == 0       ? train::InputRole::Ones
                  : rows == largest ? train::InputRole::Ids
                  : rows <= 4       ? train::InputRole::Zeros
                                    : train::InputRole::Positions;
    if (tensor.role == train::InputRole::Positions)
      modelLayout.context = rows;
    modelLayout.inputs.push_back(std::move(tensor));
  }
  for (auto [i, type] : llvm::enumerate(main.getResultTypes()))
    modelLayout.outputs.push_back(
        describeTensor(type, main.getResultAttrDict(i), "result" + Twine(i)));
  if (int64_t rows = positionRows(main))
    modelLayout.context = rows;
  for (const train::Tensor &input : modelLayout.inputs) {
    if (input.dims.empty() || !modelLayout.batchSymbol.empty())
      continue;
    modelLayout.batchSymbol = input.symbols[0];
    if (input.role == train::InputRole::Ids && input.dims.size() == 2) {
      modelLayout.sequenceSymbol = input.symbols[1];
      if (input.dims[1] > 0)
        modelLayout.context = input.dims[1];
    }
  }
  for (auto [i, output] : llvm::enumerate(modelLayout.outputs))
    if (modelLayout.logits < 0 && output.dims.size() == 3 &&
        (output.type == TWIST_F32 || output.type == TWIST_F64)) {
      modelLayout.logits = i;
      modelLayout.vocabulary = output.dims[2];
    }
}

LogicalResult StepModel::read(unsigned parameter,
                              MutableArrayRef<char> values) const {
  Operation *op = makers[parameter];
  Type element =
      cast<RankedTensorType>(op->getResult(0).getType()).getElementType();
  weights::SourceFiles files(*module);
  if (auto load = dyn_cast<weights::LoadOp>(op)) {
    if (failed(files.read(load.getView(), element, values, op->getLoc())))
      return failure();
    files.release(load.getView());
    return success();
  }
  FailureOr<std::vector<char>> bytes =
      weights::toStored(cast<onnx::ConstantOp>(op).getValue(), op->getLoc());
  if (failed(bytes))
    return failure();
  llvm::copy(*bytes, values.begin());
  return success();
}

//===----------------------------------------------------------------------===//
// One size of it
//===----------------------------------------------------------------------===//

/// The graph that keeps the first, or last, units of each axis.
FailureOr<OwningOpRef<ModuleOp>> StepModel::cut(ArrayRef<int64_t> units,
                                                bool last) const {
  OwningOpRef<ModuleOp> copy = module.get().clone();
  Builder b(copy->getContext());
  NamedAttrList keep;
  for (auto [axis, symbol, count] :
       llvm::zip_equal(modelLayout.axes, symbols, units)) {
    if (count < 1 || count > axis.units)
      return copy->emitError("axis '")
             << axis.name << "' keeps " << count << " of " << axis.units
             << " units: a step keeps at least one";
    if (count == axis.units)
      continue;
    SmallVector<int64_t> kept;
    for (int64_t unit = 0; unit < count; ++unit)
      kept.push_back(last ? axis.units - count + unit : unit);
    keep.append(symbol, b.getDenseI64ArrayAttr(kept));
  }
  if (!keep.empty()) {
    OpBuilder at(mainOf(*copy));
    SubnetworkOp::create(at, copy->getLoc(), b.getStringAttr("step"),
                         keep.getDictionary(b.getContext()), StringAttr());
  }
  SliceOptions options;
  SliceReport report;
  if (failed(sliceModel(*copy, options, report)))
    return failure();
  return copy;
}

/// Parameters become arguments, in the layout's order.
static LogicalResult takeParameters(ModuleOp module,
                                    const train::ModelLayout &layout,
                                    ArrayRef<SmallVector<int64_t>> dims) {
  func::FuncOp main = mainOf(module);
  Builder b(module.getContext());
  llvm::StringMap<Value> arguments;
  for (auto [parameter, shape] : llvm::zip_equal(layout.parameters, dims)) {
    Type element = parameter.type == TWIST_F64 ? Type(b.getF64Type())
                                               : Type(b.getF32Type());
    unsigned number = main.getNumArguments();
    if (failed(main.insertArgument(
            number, RankedTensorType::get(shape, element),
            b.getDictionaryAttr(
                b.getNamedAttr("onnx.name", b.getStringAttr(parameter.name))),
            main.getLoc())))
      return failure();
    arguments[parameter.name] = main.getArgument(number);
  }
  for (Operation &op : llvm::make_early_inc_range(main.getBody().front())) {
    std::optional<ParameterInfo> info = ParameterInfo::of(&op);
    Value argument = info ? arguments.lookup(info->name) : Value();
    if (!argument)
      continue;
    if (argument.getType() != op.getResult(0).getType())
      return op.emitError("weight '")
             << info->name << "' is " << op.getResult(0).getType()
             << " after the cut, not " << argument.getType();
    op.getResult(0).replaceAllUsesWith(argument);
    op.erase();
  }
  return success();
}

/// Whether two graphs differ in what is not a parameter.
static LogicalResult compareCuts(ModuleOp first, ModuleOp last) {
  Block &a = mainOf(first).getBody().front(),
        &b = mainOf(last).getBody().front();
  if (a.getOperations().size() != b.getOperations().size())
    return first.emitError("the step's program would depend on which units are "
                           "kept, not only on how many");
  for (auto [x, y] : llvm::zip_equal(a, b))
    if (x.getName() != y.getName() ||
        x.getResultTypes() != y.getResultTypes() ||
        x.getAttrDictionary() != y.getAttrDictionary())
      return x.emitError("the step's program would depend on which units are "
                         "kept, not only on how many");
  return success();
}

FailureOr<llvm::StringMap<int64_t>>
StepModel::sizesOf(const train::StepRequest &request) const {
  llvm::StringMap<int64_t> sizes;
  func::FuncOp main = mainOf(*module);
  for (const train::Tensor &input : modelLayout.inputs)
    for (auto [d, symbol] : llvm::enumerate(input.symbols)) {
      if (input.dims[d] >= 0)
        continue;
      onnx::SizeExpr size = onnx::SizeExpr::parse(main.getContext(), symbol);
      for (const auto &term : size.terms())
        for (const auto &factor : term.factors) {
          StringRef atom = factor.atom.getValue();
          auto given = request.sizes.find(atom.str());
          if (given != request.sizes.end())
            sizes[atom] = given->second;
          else if (atom == modelLayout.batchSymbol)
            sizes[atom] = request.batch;
          // A mask over past and present has a name of its own for their sum.
          else if (atom == modelLayout.sequenceSymbol ||
                   (d == 1 && !modelLayout.sequenceSymbol.empty() &&
                    input.role != train::InputRole::Features))
            sizes[atom] = request.sequence;
          else
            return main.emitError("input '")
                   << input.name << "' has a dimension '" << atom
                   << "': the step needs its size";
        }
    }
  return sizes;
}

static LogicalResult checkStaticSizes(func::FuncOp main,
                                      const train::ModelLayout &layout,
                                      const train::StepRequest &request) {
  for (const train::Tensor &input : layout.inputs) {
    if (input.role != train::InputRole::Ids || input.dims.size() != 2)
      continue;
    if ((input.dims[0] >= 0 && input.dims[0] != request.batch) ||
        (input.dims[1] >= 0 && input.dims[1] != request.sequence))
      return main.emitError("input '")
             << input.name << "' is of fixed size [" << input.dims
             << "], the step is for [" << request.batch << ", "
             << request.sequence << "]";
  }
  if (layout.context > 0 && request.sequence > layout.context &&
      !layout.sequenceSymbol.empty())
    return main.emitError("the model has ")
           << layout.context << " positions, the step asks for "
           << request.sequence;
  return success();
}

Loaded StepModel::specialise(const train::StepRequest &request) const {
  std::vector<int64_t> units = request.units;
  if (units.empty())
    for (const train::Axis &axis : modelLayout.axes)
      units.push_back(axis.units);
  if (units.size() != modelLayout.axes.size())
    return module.get().emitError("the step names ")
           << units.size() << " widths, the model has "
           << modelLayout.axes.size() << " axes";
  FailureOr<llvm::StringMap<int64_t>> sizes = sizesOf(request);
  if (failed(sizes) ||
      failed(checkStaticSizes(mainOf(*module), modelLayout, request)))
    return failure();
  train::Masks masks;
  bool isWhole = true;
  for (auto [axis, count] : llvm::zip_equal(modelLayout.axes, units)) {
    masks.emplace_back();
    for (int64_t unit = 0; unit < count; ++unit)
      masks.back().push_back(unit);
    isWhole &= count == axis.units;
  }
  Loaded first = cut(units, /*last=*/false);
  if (failed(first))
    return failure();
  SmallVector<SmallVector<int64_t>> dims;
  for (const train::Parameter &parameter : modelLayout.parameters)
    dims.push_back(llvm::to_vector(train::slicedDims(parameter, masks)));
  if (failed(takeParameters(**first, modelLayout, dims)))
    return failure();
  if (!isWhole) {
    Loaded last = cut(units, /*last=*/true);
    if (failed(last) || failed(takeParameters(**last, modelLayout, dims)) ||
        failed(compareCuts(**first, **last)))
      return failure();
  }
  if (!sizes->empty() && failed(onnx::bindDims(**first, *sizes)))
    return failure();
  PassManager pm((*first)->getContext());
  populateTypingPasses(pm);
  if (failed(pm.run(**first)) || failed(takeDropoutFactors(**first)))
    return failure();
  return first;
}
