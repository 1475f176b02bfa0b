//===- PlanArena.cpp - Allocations become slots of one arena --------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
// Sizes are only known when the program runs, so slots are planned over
// expressions: two buffers share a slot if their lives do not overlap, wherever
// possible two whose sizes differ by a constant factor at most. The slot takes
// the larger; offsets are running sums, computed from the sizes at each start.
//
//===----------------------------------------------------------------------===//

#include "SizeExpression.h"
#include "twist/Codegen/CPU/Program/Passes.h"

#include "mlir/Dialect/Bufferization/Transforms/BufferViewFlowAnalysis.h"
#include "mlir/Interfaces/LoopLikeInterface.h"
#include "llvm/ADT/Sequence.h"

namespace twist::cpu {
#define GEN_PASS_DEF_CPUPLANARENA
#include "twist/Codegen/CPU/Program/Passes.h.inc"
} // namespace twist::cpu

using namespace mlir;
using namespace twist;
using twist::cpu::Monomial;
using twist::cpu::SizeBuilder;

namespace {
/// An allocation, alive from its op to its last use: positions of ops in the
/// function's top-level block.
struct Buffer {
  memref::AllocOp alloc;
  unsigned begin = 0, end = 0;
  Monomial bytes;
};

/// What a slot must hold: for each set of symbols the largest coefficient.
struct Slot {
  SmallVector<Monomial> sizes;
  unsigned freeFrom = 0;

  Monomial *sizeLike(const Monomial &bytes) {
    for (Monomial &size : sizes)
      if (size.symbols == bytes.symbols)
        return &size;
    return nullptr;
  }
};
} // namespace

//===----------------------------------------------------------------------===//
// Lives
//===----------------------------------------------------------------------===//

/// A buffer that leaves the loop iteration that made it is still alive when the
/// next iteration makes another.
static bool outlivesIteration(memref::AllocOp alloc, Value alias) {
  auto loop = alloc->getParentOfType<LoopLikeOpInterface>();
  return loop &&
         !loop->isProperAncestor(alias.getParentRegion()->getParentOp()) &&
         alias.getParentRegion()->getParentOp() != loop;
}

static FailureOr<Buffer>
findLife(memref::AllocOp alloc, const BufferViewFlowAnalysis &aliases,
         Block &body, const DenseMap<Operation *, unsigned> &positions) {
  Buffer buffer;
  buffer.alloc = alloc;
  buffer.begin = positions.lookup(body.findAncestorOpInBlock(*alloc));
  buffer.end = buffer.begin;
  for (Value alias : aliases.resolve(alloc.getMemref())) {
    if (outlivesIteration(alloc, alias))
      return alloc.emitError("this loop makes a new buffer in each iteration "
                             "while the last one is still in use: such loops "
                             "are not supported"),
             failure();
    for (Operation *user : alias.getUsers())
      if (Operation *top = body.findAncestorOpInBlock(*user))
        buffer.end = std::max(buffer.end, positions.lookup(top));
  }
  return buffer;
}

static FailureOr<SmallVector<Buffer>> findBuffers(func::FuncOp main) {
  Block &body = main.getBody().front();
  DenseMap<Operation *, unsigned> positions;
  for (auto [position, op] : llvm::enumerate(body))
    positions[&op] = position;
  BufferViewFlowAnalysis aliases(main);
  SmallVector<Buffer> buffers;
  WalkResult result = main.walk([&](memref::AllocOp alloc) {
    FailureOr<Buffer> buffer = findLife(alloc, aliases, body, positions);
    if (failed(buffer))
      return WalkResult::interrupt();
    buffers.push_back(*buffer);
    return WalkResult::advance();
  });
  if (result.wasInterrupted())
    return failure();
  return buffers; // the walk met them in the order of their lives' begins
}

//===----------------------------------------------------------------------===//
// Slots
//===----------------------------------------------------------------------===//

/// How badly `bytes` fits a free slot; the smallest wins. A fitting size of the
/// same symbols, then one that must grow, then one of other symbols.
static std::pair<int, int64_t> misfit(Slot &slot, const Monomial &bytes) {
  Monomial *size = slot.sizeLike(bytes);
  if (!size)
    return {2, int64_t(slot.sizes.size())};
  if (size->coefficient >= bytes.coefficient)
    return {0, size->coefficient - bytes.coefficient};
  return {1, bytes.coefficient - size->coefficient};
}

static unsigned chooseSlot(SmallVectorImpl<Slot> &slots, const Buffer &buffer) {
  std::optional<unsigned> best;
  for (auto [index, slot] : llvm::enumerate(slots))
    if (slot.freeFrom <= buffer.begin &&
        (!best ||
         misfit(slot, buffer.bytes) < misfit(slots[*best], buffer.bytes)))
      best = index;
  if (best)
    return *best;
  slots.emplace_back();
  return slots.size() - 1;
}

/// Slots for all buffers, in order; `chosen[i]` is the slot of buffer i.
static SmallVector<Slot> assignSlots(ArrayRef<Buffer> buffers,
                                     SmallVectorImpl<unsigned> &chosen) {
  SmallVector<Slot> slots;
  for (const Buffer &buffer : buffers) {
    unsigned index = chooseSlot(slots, buffer);
    Slot &slot = slots[index];
    if (Monomial *size = slot.sizeLike(buffer.bytes))
      size->coefficient = std::max(size->coefficient, buffer.bytes.coefficient);
    else
      slot.sizes.push_back(buffer.bytes);
    slot.freeFrom = buffer.end + 1;
    chosen.push_back(index);
  }
  return slots;
}

/// Where buffers of known sizes lie, and the bytes of all at the end: the
/// largest first, each at the lowest place that is free while it lives. Nothing
/// where a size is not known.
static std::optional<SmallVector<int64_t>>
placeKnown(ArrayRef<Buffer> buffers) {
  if (llvm::any_of(buffers, [](const Buffer &buffer) {
        return !buffer.bytes.symbols.empty();
      }))
    return std::nullopt;
  auto order = llvm::to_vector(llvm::seq<unsigned>(0, buffers.size()));
  llvm::stable_sort(order, [&](unsigned a, unsigned b) {
    return buffers[a].bytes.coefficient > buffers[b].bytes.coefficient;
  });
  auto bytesOf = [&](unsigned i) {
    return int64_t(
        llvm::alignTo(buffers[i].bytes.coefficient, cpu::program::alignment));
  };
  SmallVector<int64_t> places(buffers.size() + 1, 0);
  SmallVector<unsigned> placed; // by place
  for (unsigned i : order) {
    int64_t place = 0;
    for (unsigned other : placed) {
      bool together = buffers[other].begin <= buffers[i].end &&
                      buffers[i].begin <= buffers[other].end;
      if (!together)
        continue;
      if (places[other] >= place + bytesOf(i))
        break;
      place = std::max(place, places[other] + bytesOf(other));
    }
    places[i] = place;
    places.back() = std::max(places.back(), place + bytesOf(i));
    auto *at = llvm::partition_point(
        placed, [&](unsigned other) { return places[other] <= place; });
    placed.insert(at, i);
  }
  return places;
}

/// The slots' offsets, and their sum at the end.
static SmallVector<Value> computeOffsets(OpBuilder &b, Location loc,
                                         SizeBuilder &sizes,
                                         ArrayRef<Slot> slots) {
  SmallVector<Value> offsets{sizes.constant(loc, 0)};
  for (const Slot &slot : slots) {
    Value bytes;
    for (const Monomial &size : slot.sizes) {
      Value next = sizes.materialize(loc, size);
      bytes = bytes ? arith::MaxUIOp::create(b, loc, bytes, next) : next;
    }
    bytes = sizes.alignUp(loc, bytes, cpu::program::alignment);
    offsets.push_back(
        b.createOrFold<arith::AddIOp>(loc, offsets.back(), bytes));
  }
  return offsets;
}

static LogicalResult measure(SizeBuilder &sizes,
                             MutableArrayRef<Buffer> buffers) {
  for (Buffer &buffer : buffers) {
    FailureOr<Monomial> bytes =
        sizes.bytes(buffer.alloc.getType(), buffer.alloc.getDynamicSizes());
    if (failed(bytes))
      return buffer.alloc.emitError(
          "the size of this op's result depends on values, not only on the "
          "sizes of the inputs");
    buffer.bytes = *bytes;
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Rewriting
//===----------------------------------------------------------------------===//

/// @arena_bytes(sizes of the inputs): the sizes of the outputs come from
/// @output_dims.
static LogicalResult makeArenaFunction(func::FuncOp main,
                                       func::FuncOp outputDims,
                                       MutableArrayRef<Buffer> buffers) {
  OpBuilder b(main.getContext());
  b.setInsertionPointAfter(main);
  Location loc = main.getLoc();
  auto function = func::FuncOp::create(
      b, loc, cpu::program::arenaBytesName,
      b.getFunctionType(outputDims.getArgumentTypes(), b.getIndexType()));
  function.setPrivate();
  Block *body = function.addEntryBlock();
  b.setInsertionPointToStart(body);
  SmallVector<Value> all(body->getArguments());
  auto outputs = func::CallOp::create(b, loc, outputDims, body->getArguments());
  llvm::append_range(all, outputs.getResults());
  IRMapping mapping;
  auto given = llvm::make_filter_range(
      main.getArguments(), [](Value v) { return v.getType().isIndex(); });
  for (auto [from, to] : llvm::zip_equal(given, all))
    mapping.map(from, to);
  SizeBuilder sizes(b, mapping);
  if (failed(measure(sizes, buffers)))
    return failure();
  if (auto places = placeKnown(buffers)) {
    func::ReturnOp::create(b, loc, sizes.constant(loc, places->back()));
    return success();
  }
  SmallVector<unsigned> chosen;
  SmallVector<Slot> slots = assignSlots(buffers, chosen);
  func::ReturnOp::create(b, loc, computeOffsets(b, loc, sizes, slots).back());
  return success();
}

static LogicalResult placeBuffers(func::FuncOp main,
                                  MutableArrayRef<Buffer> buffers,
                                  unsigned &numSlots) {
  OpBuilder b = OpBuilder::atBlockBegin(&main.getBody().front());
  IRMapping mapping;
  for (BlockArgument argument : main.getArguments())
    if (argument.getType().isIndex())
      mapping.map(argument, argument);
  SizeBuilder sizes(b, mapping);
  if (failed(measure(sizes, buffers)))
    return failure();
  SmallVector<unsigned> chosen;
  SmallVector<Slot> slots = assignSlots(buffers, chosen);
  numSlots = slots.size();
  SmallVector<Value> offsets;
  if (auto places = placeKnown(buffers)) {
    for (auto [i, slot] : llvm::enumerate(chosen))
      slot = i;
    for (int64_t place : *places)
      offsets.push_back(sizes.constant(main.getLoc(), place));
  } else {
    offsets = computeOffsets(b, main.getLoc(), sizes, slots);
  }
  Value arena = main.getArgument(1);
  for (auto [buffer, slot] : llvm::zip_equal(buffers, chosen)) {
    memref::AllocOp alloc = buffer.alloc;
    b.setInsertionPoint(alloc);
    Value view =
        memref::ViewOp::create(b, alloc.getLoc(), alloc.getType(), arena,
                               offsets[slot], alloc.getDynamicSizes());
    alloc.replaceAllUsesWith(view);
    alloc.erase();
  }
  return success();
}

namespace {
struct PlanArena : cpu::impl::CPUPlanArenaBase<PlanArena> {
  void runOnOperation() override {
    auto main =
        getOperation().lookupSymbol<func::FuncOp>(cpu::program::mainName);
    auto outputDims =
        getOperation().lookupSymbol<func::FuncOp>(cpu::program::outputDimsName);
    if (!main || !outputDims)
      return;
    FailureOr<SmallVector<Buffer>> buffers = findBuffers(main);
    unsigned slots = 0;
    if (failed(buffers) ||
        failed(makeArenaFunction(main, outputDims, *buffers)) ||
        failed(placeBuffers(main, *buffers, slots)))
      return signalPassFailure();
    numAllocations = buffers->size();
    numSlots = slots;
    main.walk([](memref::DeallocOp dealloc) { dealloc.erase(); });
  }
};
} // namespace
