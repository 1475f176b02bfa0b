//===- EmitABI.cpp - Launches and the functions the runtime calls ---------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
// Runs before the conversion to LLVM: functions of the C ABI are llvm.func, and
// values cross over by casts that the conversion resolves.
//
//===----------------------------------------------------------------------===//

#include "twist/Codegen/CPU/CPU.h"
#include "twist/Codegen/CPU/Program/Passes.h"

#include "mlir/Conversion/LLVMCommon/MemRefBuilder.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"

namespace twist::cpu {
#define GEN_PASS_DEF_CPUEMITABI
#include "twist/Codegen/CPU/Program/Passes.h.inc"
} // namespace twist::cpu

using namespace mlir;
using namespace twist;

static Value castTo(OpBuilder &b, Location loc, Type type, Value value) {
  if (value.getType() == type)
    return value;
  return UnrealizedConversionCastOp::create(b, loc, type, value).getResult(0);
}

/// The name of the model's node, as far as the location still knows it.
static StringRef nodeName(Location loc) {
  StringRef name;
  loc->walk([&](Location inner) {
    auto named = dyn_cast<NameLoc>(inner);
    if (!named)
      return WalkResult::advance();
    name = named.getName();
    return WalkResult::interrupt();
  });
  return name;
}

//===----------------------------------------------------------------------===//
// Launches
//===----------------------------------------------------------------------===//

namespace {
/// Lowers the launches of one module.
class LaunchLowering {
public:
  LaunchLowering(ModuleOp module)
      : module(module), converter(module.getContext()),
        pointer(LLVM::LLVMPointerType::get(module.getContext())),
        i64(IntegerType::get(module.getContext(), 64)) {}

  /// launcher->parallel(launcher, thunk, &context, count, site)
  void lowerToCall(cpu::LaunchOp launch, Value launcher);
  /// for i in [0, count): kernel(i, operands…)
  void lowerToLoop(cpu::LaunchOp launch);

  /// launcher->require(launcher, holds, check)
  void lowerToCall(cf::AssertOp assertion, Value launcher);

  ArrayAttr getSites() { return Builder(module).getArrayAttr(sites); }
  ArrayAttr getChecks() { return Builder(module).getArrayAttr(checks); }

private:
  LLVM::LLVMStructType contextType(TypeRange types);
  LLVM::LLVMFuncOp thunkOf(cpu::LaunchOp launch);
  Value storeContext(OpBuilder &b, cpu::LaunchOp launch);

  ModuleOp module;
  LLVMTypeConverter converter;
  Type pointer, i64;
  llvm::StringMap<LLVM::LLVMFuncOp> thunks;
  SmallVector<Attribute> sites, checks;
};
} // namespace

LLVM::LLVMStructType LaunchLowering::contextType(TypeRange types) {
  SmallVector<Type> fields;
  for (Type type : types)
    fields.push_back(converter.convertType(type));
  return LLVM::LLVMStructType::getLiteral(module.getContext(), fields);
}

/// void thunk(void *context, int64_t i): loads the operands, calls the kernel.
LLVM::LLVMFuncOp LaunchLowering::thunkOf(cpu::LaunchOp launch) {
  LLVM::LLVMFuncOp &thunk = thunks[launch.getKernel()];
  if (thunk)
    return thunk;
  OpBuilder b = OpBuilder::atBlockEnd(module.getBody());
  Location loc = launch.getLoc();
  thunk = LLVM::LLVMFuncOp::create(
      b, loc, (launch.getKernel() + "_task").str(),
      LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(b.getContext()),
                                  {pointer, i64}),
      LLVM::Linkage::Internal);
  Block *body = thunk.addEntryBlock(b);
  b.setInsertionPointToStart(body);
  SmallVector<Value> operands{
      castTo(b, loc, b.getIndexType(), body->getArgument(1))};
  LLVM::LLVMStructType context = contextType(launch.getArgs().getTypes());
  for (auto [index, type] : llvm::enumerate(launch.getArgs().getTypes())) {
    Value field = LLVM::GEPOp::create(
        b, loc, pointer, context, body->getArgument(0),
        ArrayRef<LLVM::GEPArg>{0, static_cast<int32_t>(index)});
    Value loaded =
        LLVM::LoadOp::create(b, loc, context.getBody()[index], field);
    operands.push_back(castTo(b, loc, type, loaded));
  }
  func::CallOp::create(b, loc, launch.getKernelAttr(), TypeRange(), operands);
  LLVM::ReturnOp::create(b, loc, ValueRange());
  return thunk;
}

/// Stores the operands into a context in the frame of the function.
Value LaunchLowering::storeContext(OpBuilder &b, cpu::LaunchOp launch) {
  Location loc = launch.getLoc();
  LLVM::LLVMStructType context = contextType(launch.getArgs().getTypes());
  Value memory;
  {
    // At the top: an alloca in a loop would grow the stack each time.
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(
        &launch->getParentOfType<func::FuncOp>().getBody().front());
    Value one = LLVM::ConstantOp::create(b, loc, i64, 1);
    memory = LLVM::AllocaOp::create(b, loc, pointer, context, one);
  }
  for (auto [index, operand] : llvm::enumerate(launch.getArgs())) {
    Value field = LLVM::GEPOp::create(
        b, loc, pointer, context, memory,
        ArrayRef<LLVM::GEPArg>{0, static_cast<int32_t>(index)});
    LLVM::StoreOp::create(
        b, loc, castTo(b, loc, context.getBody()[index], operand), field);
  }
  return memory;
}

void LaunchLowering::lowerToCall(cpu::LaunchOp launch, Value launcher) {
  OpBuilder b(launch);
  Location loc = launch.getLoc();
  LLVM::LLVMFuncOp thunk = thunkOf(launch);
  Value context = storeContext(b, launch);
  Value site = LLVM::ConstantOp::create(b, loc, i64, sites.size());
  sites.push_back(
      b.getStringAttr(launch.getKernel() + " (" + nodeName(loc) + ")"));
  auto type =
      LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(b.getContext()),
                                  {pointer, pointer, pointer, i64, i64});
  SmallVector<Value> operands{
      LLVM::LoadOp::create(b, loc, pointer, launcher), launcher,
      LLVM::AddressOfOp::create(b, loc, thunk),        context,
      castTo(b, loc, i64, launch.getCount()),          site};
  LLVM::CallOp::create(b, loc, type, operands);
  launch.erase();
}

void LaunchLowering::lowerToCall(cf::AssertOp assertion, Value launcher) {
  OpBuilder b(assertion);
  Location loc = assertion.getLoc();
  StringRef node = nodeName(loc);
  checks.push_back(b.getStringAttr(
      (node.empty() ? Twine() : "'" + node + "': ") + assertion.getMsg()));
  auto type = LLVM::LLVMFunctionType::get(
      LLVM::LLVMVoidType::get(b.getContext()), {pointer, i64, i64});
  // The second member of twist_launcher.
  Value member = LLVM::GEPOp::create(b, loc, pointer, pointer, launcher,
                                     ArrayRef<LLVM::GEPArg>{1});
  SmallVector<Value> operands{
      LLVM::LoadOp::create(b, loc, pointer, member), launcher,
      arith::ExtUIOp::create(b, loc, i64, assertion.getArg()),
      LLVM::ConstantOp::create(b, loc, i64, checks.size() - 1)};
  LLVM::CallOp::create(b, loc, type, operands);
  assertion.erase();
}

void LaunchLowering::lowerToLoop(cpu::LaunchOp launch) {
  OpBuilder b(launch);
  Location loc = launch.getLoc();
  Value zero = arith::ConstantIndexOp::create(b, loc, 0);
  Value one = arith::ConstantIndexOp::create(b, loc, 1);
  auto loop = scf::ForOp::create(b, loc, zero, launch.getCount(), one);
  b.setInsertionPointToStart(loop.getBody());
  SmallVector<Value> operands{loop.getInductionVar()};
  llvm::append_range(operands, launch.getArgs());
  func::CallOp::create(b, loc, launch.getKernelAttr(), TypeRange(), operands);
  launch.erase();
}

//===----------------------------------------------------------------------===//
// Entry points
//===----------------------------------------------------------------------===//

namespace {
/// Builds the wrappers in the C ABI (twist/Runtime/Program.h).
class EntryPoints {
public:
  EntryPoints(ModuleOp module, DictionaryAttr interface)
      : module(module), converter(module.getContext()),
        pointer(LLVM::LLVMPointerType::get(module.getContext())),
        i64(IntegerType::get(module.getContext(), 64)),
        index(IndexType::get(module.getContext())),
        inputs(interface.getAs<ArrayAttr>("inputs")),
        outputs(interface.getAs<ArrayAttr>("outputs")),
        b(OpBuilder::atBlockEnd(module.getBody())), loc(module.getLoc()) {}

  void emitRun(func::FuncOp main);
  void emitOutputDims(func::FuncOp outputDims);
  void emitArenaBytes(func::FuncOp arenaBytes);

private:
  Block *begin(StringRef name, Type result, ArrayRef<Type> arguments);
  static ArrayRef<int64_t> dimsOf(Attribute tensor) {
    return cast<DictionaryAttr>(tensor)
        .getAs<DenseI64ArrayAttr>("dims")
        .asArrayRef();
  }
  Value elementOf(Value array, Type type, int64_t position) {
    return LLVM::GEPOp::create(
        b, loc, pointer, type, array,
        ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(position)});
  }
  /// The dynamic ones of the sizes of `tensors`, which lie at array[position…].
  void loadSizes(Value array, ArrayAttr tensors, int64_t &position,
                 SmallVectorImpl<Value> &sizes);
  Value rawBuffer(Value data);

  ModuleOp module;
  LLVMTypeConverter converter;
  Type pointer, i64, index;
  ArrayAttr inputs, outputs;
  OpBuilder b;
  Location loc;
};
} // namespace

Block *EntryPoints::begin(StringRef name, Type result,
                          ArrayRef<Type> arguments) {
  b.setInsertionPointToEnd(module.getBody());
  auto function = LLVM::LLVMFuncOp::create(
      b, loc, name, LLVM::LLVMFunctionType::get(result, arguments));
  Block *body = function.addEntryBlock(b);
  b.setInsertionPointToStart(body);
  return body;
}

void EntryPoints::loadSizes(Value array, ArrayAttr tensors, int64_t &position,
                            SmallVectorImpl<Value> &sizes) {
  for (Attribute tensor : tensors)
    for (int64_t size : dimsOf(tensor)) {
      int64_t at = position++;
      if (size < 0)
        sizes.push_back(castTo(
            b, loc, index,
            LLVM::LoadOp::create(b, loc, i64, elementOf(array, i64, at))));
    }
}

/// `data` as memref<?xi8>. Views of it never ask for its size.
Value EntryPoints::rawBuffer(Value data) {
  auto type = MemRefType::get({ShapedType::kDynamic}, b.getI8Type());
  auto descriptor =
      MemRefDescriptor::poison(b, loc, converter.convertType(type));
  descriptor.setAllocatedPtr(b, loc, data);
  descriptor.setAlignedPtr(b, loc, data);
  descriptor.setConstantOffset(b, loc, 0);
  descriptor.setConstantSize(b, loc, 0, std::numeric_limits<int64_t>::max());
  descriptor.setConstantStride(b, loc, 0, 1);
  return castTo(b, loc, type, descriptor);
}

void EntryPoints::emitRun(func::FuncOp main) {
  Block *body =
      begin(cpu::program::runEntry, LLVM::LLVMVoidType::get(b.getContext()),
            SmallVector<Type>(5, pointer));
  Value buffers = body->getArgument(0), dims = body->getArgument(1);
  SmallVector<Value> operands{rawBuffer(body->getArgument(3)),
                              rawBuffer(body->getArgument(2))};
  for (int64_t i = 0, e = inputs.size() + outputs.size(); i < e; ++i)
    operands.push_back(rawBuffer(
        LLVM::LoadOp::create(b, loc, pointer, elementOf(buffers, pointer, i))));
  int64_t position = 0;
  loadSizes(dims, inputs, position, operands);
  loadSizes(dims, outputs, position, operands);
  operands.push_back(body->getArgument(4));
  func::CallOp::create(b, loc, main, operands);
  LLVM::ReturnOp::create(b, loc, ValueRange());
}

void EntryPoints::emitOutputDims(func::FuncOp outputDims) {
  Block *body =
      begin(cpu::program::outputDimsEntry,
            LLVM::LLVMVoidType::get(b.getContext()), {pointer, pointer});
  SmallVector<Value> sizes;
  int64_t position = 0;
  loadSizes(body->getArgument(0), inputs, position, sizes);
  auto call = func::CallOp::create(b, loc, outputDims, sizes);
  int64_t at = 0, dynamic = 0;
  for (Attribute tensor : outputs)
    for (int64_t size : dimsOf(tensor)) {
      Value value = size < 0 ? castTo(b, loc, i64, call.getResult(dynamic++))
                             : LLVM::ConstantOp::create(b, loc, i64, size);
      LLVM::StoreOp::create(b, loc, value,
                            elementOf(body->getArgument(1), i64, at++));
    }
  LLVM::ReturnOp::create(b, loc, ValueRange());
}

void EntryPoints::emitArenaBytes(func::FuncOp arenaBytes) {
  Block *body = begin(cpu::program::arenaBytesEntry, i64, {pointer});
  SmallVector<Value> sizes;
  int64_t position = 0;
  loadSizes(body->getArgument(0), inputs, position, sizes);
  auto call = func::CallOp::create(b, loc, arenaBytes, sizes);
  LLVM::ReturnOp::create(b, loc, castTo(b, loc, i64, call.getResult(0)));
}

//===----------------------------------------------------------------------===//
// The pass
//===----------------------------------------------------------------------===//

namespace {
struct EmitABI : cpu::impl::CPUEmitABIBase<EmitABI> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    auto interface =
        module->getAttrOfType<DictionaryAttr>(cpu::program::interfaceAttr);
    auto main = module.lookupSymbol<func::FuncOp>(cpu::program::mainName);
    auto dims = module.lookupSymbol<func::FuncOp>(cpu::program::outputDimsName);
    auto arena =
        module.lookupSymbol<func::FuncOp>(cpu::program::arenaBytesName);
    if (!interface || !main || !dims || !arena) {
      module.emitError("emitting the ABI needs @main, @output_dims, "
                       "@arena_bytes and the interface of the program");
      return signalPassFailure();
    }
    SmallVector<cpu::LaunchOp> launches;
    module.walk([&](cpu::LaunchOp launch) { launches.push_back(launch); });
    LaunchLowering lowering(module);
    for (cpu::LaunchOp launch : launches) {
      if (launch->getParentOfType<func::FuncOp>() == main)
        lowering.lowerToCall(launch, main.getArguments().back());
      else
        lowering.lowerToLoop(launch);
    }
    numLaunches = launches.size();
    main.walk([&](cf::AssertOp assertion) {
      lowering.lowerToCall(assertion, main.getArguments().back());
    });
    module->setAttr(cpu::program::sitesAttr, lowering.getSites());
    module->setAttr(cpu::program::checksAttr, lowering.getChecks());
    EntryPoints entries(module, interface);
    entries.emitRun(main);
    entries.emitOutputDims(dims);
    entries.emitArenaBytes(arena);
    for (func::FuncOp function : {main, dims, arena})
      function.setPrivate();
  }
};
} // namespace
