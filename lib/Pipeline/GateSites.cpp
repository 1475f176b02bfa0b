//===- GateSites.cpp - Where weights meet gated data ----------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "GateSites.h"

#include "twist/Dialect/ONNX/ONNX.h"
#include "twist/Ticket/Kinds.h"

using namespace mlir;
using namespace twist;
using namespace twist::axes;

Value twist::stripGates(Value value) {
  while (auto gate = value.getDefiningOp<GateOp>())
    value = gate.getInput();
  return value;
}

bool twist::canCorrect(const GatePlace &place) {
  Operation *op = place.data->getOwner();
  auto gemm = dyn_cast<onnx::GemmOp>(op);
  auto type = cast<RankedTensorType>(place.weight->get().getType());
  bool isScaled = gemm && gemm.getAlpha().convertToFloat() != 1;
  return isa<onnx::MatMulOp, onnx::GemmOp>(op) && type.getRank() == 2 &&
         place.weight->getOperandNumber() == 1 && !isScaled;
}

Value twist::moveDim(OpBuilder &builder, Value value, int64_t dim, int64_t to) {
  auto type = cast<RankedTensorType>(value.getType());
  SmallVector<int64_t> order =
      llvm::to_vector(llvm::seq<int64_t>(type.getRank()));
  order.erase(order.begin() + dim);
  order.insert(order.begin() + to, dim);
  if (llvm::is_sorted(order))
    return value;
  SmallVector<int64_t> shape;
  for (int64_t d : order)
    shape.push_back(type.getDimSize(d));
  return onnx::TransposeOp::create(
      builder, value.getLoc(),
      RankedTensorType::get(shape, type.getElementType()), value,
      builder.getDenseI64ArrayAttr(order));
}

GateFinder::GateFinder(ModuleOp module, ArrayRef<std::string> kinds)
    : kinds(kinds) {
  for (const AxisInfo &axis : axesOf(module))
    axes[axis.symbol] = axis;
}

bool GateFinder::isWanted(const AxisInfo &axis) const {
  if (kinds.empty())
    return isCutByDefault(axis.kind);
  return llvm::is_contained(kinds, axis.kind) || llvm::is_contained(kinds, "*");
}

void GateFinder::markData(func::FuncOp function) {
  data.clear();
  for (BlockArgument argument : function.getArguments())
    data.insert(argument);
  for (Operation &op : function.getBody().front())
    if (llvm::any_of(op.getOperands(),
                     [&](Value v) { return data.contains(v); }))
      data.insert(op.result_begin(), op.result_end());
}

SmallVector<GateOp> GateFinder::gatesOn(Value value) const {
  SmallVector<GateOp> gates;
  for (auto gate = value.getDefiningOp<GateOp>(); gate;
       gate = gate.getInput().getDefiningOp<GateOp>())
    if (isWanted(axes.lookup(gate.getAxis())) &&
        (gates.empty() || gates[0].getDim() == gate.getDim()))
      gates.push_back(gate);
  return gates;
}

FailureOr<SmallVector<GatePlace>> GateFinder::find(func::FuncOp function) {
  markData(function);
  SmallVector<GatePlace> places;
  llvm::StringMap<int64_t> seen;
  for (Operation &op : function.getBody().front()) {
    if (isa<GateOp>(op))
      continue;
    for (OpOperand &operand : op.getOpOperands()) {
      SmallVector<GateOp> gates = gatesOn(operand.get());
      if (gates.empty() || !data.contains(stripGates(operand.get())))
        continue;
      for (OpOperand &other : op.getOpOperands()) {
        SmallVector<GateOp> rows = gatesOn(other.get());
        if (rows.empty() || data.contains(stripGates(other.get())) ||
            rows[0].getAxis() != gates[0].getAxis())
          continue;
        auto type = dyn_cast<RankedTensorType>(gates[0].getType());
        if (!type || type.isDynamicDim(gates[0].getDim()))
          return op.emitError()
                 << "axis '" << axes[gates[0].getAxis()].name()
                 << "' is summed over a dimension of unknown size";
        std::string name = axes[gates[0].getAxis()].name();
        places.push_back({&operand, &other, int64_t(gates[0].getDim()),
                          int64_t(rows[0].getDim()), gates,
                          name + "/" + std::to_string(seen[name]++)});
        break;
      }
    }
  }
  if (places.empty())
    return function.emitError("no weight is summed over units of an axis: "
                              "there is nothing to measure");
  return places;
}

/// Whether the value, or a sum of it with a constant, is returned.
static bool reachesOutput(Value value) {
  return llvm::any_of(value.getUsers(), [](Operation *user) {
    if (isa<onnx::AddOp, onnx::IdentityOp>(user))
      return llvm::any_of(user->getResult(0).getUsers(),
                          llvm::IsaPred<func::ReturnOp>);
    return isa<func::ReturnOp>(user);
  });
}

FailureOr<SmallVector<GatePlace>>
GateFinder::findProducts(func::FuncOp function) {
  markData(function);
  SmallVector<GatePlace> places;
  for (Operation &op : function.getBody().front()) {
    auto gemm = dyn_cast<onnx::GemmOp>(op);
    if (!gemm && !isa<onnx::MatMulOp>(op))
      continue;
    OpOperand &left = op.getOpOperand(0), &right = op.getOpOperand(1);
    auto type = dyn_cast<RankedTensorType>(right.get().getType());
    auto whole = dyn_cast<RankedTensorType>(left.get().getType());
    if (!type || !whole || !type.hasStaticShape() || type.getRank() != 2 ||
        data.contains(stripGates(right.get())) ||
        !data.contains(stripGates(left.get())) ||
        isa<BlockArgument>(stripGates(left.get())) ||
        reachesOutput(op.getResult(0)))
      continue;
    GatePlace place{&left, &right, whole.getRank() - 1, 0, {}, ""};
    if (gemm) {
      place.dataDim = gemm.getTransA() ? 0 : 1;
      place.weightDim = gemm.getTransB() ? 1 : 0;
    }
    place.key = "product/" + std::to_string(places.size());
    places.push_back(std::move(place));
  }
  if (places.empty())
    return function.emitError("has no product with a matrix of weights");
  return places;
}

FailureOr<SmallVector<GatePlace>>
twist::findSites(GateFinder &finder, func::FuncOp function, SiteChoice choice) {
  return choice == SiteChoice::Gated ? finder.find(function)
                                     : finder.findProducts(function);
}

prune::Site GateFinder::describe(GatePlace &place) const {
  prune::Site site;
  site.key = place.key;
  Operation *op = place.data->getOwner();
  if (auto name = dyn_cast<NameLoc>(op->getLoc()))
    site.node = name.getName().str();
  auto type = cast<RankedTensorType>(place.data->get().getType());
  site.width = type.getDimSize(place.dataDim);
  auto weight = cast<RankedTensorType>(place.weight->get().getType());
  site.isMatrix = weight.getRank() == 2 && weight.hasStaticShape();
  for (GateOp gate : place.gates) {
    const AxisInfo info = axes.lookup(gate.getAxis());
    prune::SiteAxis axis{info.name(), info.kind, info.units, {}};
    for (auto at : gate.getPlaces().getAsRange<PlaceAttr>())
      axis.places.push_back(
          {at.getOffset(), at.getOuter(), at.getUnits(), at.getInner()});
    site.axes.push_back(std::move(axis));
  }
  return site;
}
