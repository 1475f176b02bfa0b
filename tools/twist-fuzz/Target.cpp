//===- Target.cpp - What hostile inputs are given to ----------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Fuzz.h"

#include "twist/Conversion/ONNXToLinalg/ONNXToLinalg.h"
#include "twist/Dialect/NN/NN.h"
#include "twist/Dialect/ONNX/ONNX.h"
#include "twist/Dialect/ONNX/Transforms/Passes.h"
#include "twist/Dialect/Twist/Transforms/Passes.h"
#include "twist/Dialect/Weights/Weights.h"
#include "twist/Pipeline/Model.h"
#include "twist/Pipeline/Pipelines.h"
#include "twist/Runtime/Program.h"
#include "twist/Runtime/Tools.h"
#include "twist/Target/ONNX/ONNXFile.h"
#include "twist/Target/ONNX/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Support/xxhash.h"

#include <cstdlib>
#include <unistd.h>

using namespace mlir;
using namespace twist;
using namespace twist::fuzz;

Kind fuzz::kindOf(StringRef bytes) {
  if (bytes.starts_with(TWIST_WEIGHTS_MAGIC))
    return Kind::Weights;
  if (bytes.starts_with("\x7f"
                        "ELF"))
    return Kind::Code;
  if (bytes.starts_with("\x93NUMPY"))
    return Kind::Array;
  return bytes.starts_with("{") ? Kind::Ticket : Kind::Model;
}

static void die(const Twine &why) {
  llvm::errs() << "twist-fuzz: " << why << "\n";
  std::abort();
}

namespace {
/// An input's errors, counted in place of printed, and the context it is read
/// in. To make one costs a third of an input's time, so that 32 inputs share
/// one: what they can leave there is uniqued types and attributes.
class Session {
public:
  Session()
      : context(sharedContext()),
        handler(&context, [this](Diagnostic &diagnostic) {
          errors += diagnostic.getSeverity() == DiagnosticSeverity::Error;
        }) {}

  /// Whether a step worked; one that fails has to say why.
  bool check(LogicalResult result, StringRef step) {
    if (failed(result) && !errors)
      die("'" + step + "' fails without an error");
    return succeeded(result);
  }
  /// The same for a step whose result has to be valid IR.
  bool check(LogicalResult result, ModuleOp module, StringRef step) {
    if (!check(result, step))
      return false;
    if (failed(verify(module)))
      die("'" + step + "' leaves a module that is not valid");
    return true;
  }

  MLIRContext &context;

private:
  static MLIRContext &sharedContext() {
    static std::unique_ptr<MLIRContext> shared;
    static unsigned inputs = 0;
    if (inputs++ % 32 == 0)
      shared = std::make_unique<MLIRContext>(registry(),
                                             MLIRContext::Threading::DISABLED);
    return *shared;
  }

  static const DialectRegistry &registry() {
    static const DialectRegistry registry = [] {
      DialectRegistry made;
      made.insert<arith::ArithDialect, func::FuncDialect, linalg::LinalgDialect,
                  math::MathDialect, scf::SCFDialect, tensor::TensorDialect,
                  axes::TwistDialect, nn::NNDialect, onnx::ONNXDialect,
                  weights::WeightsDialect>();
      onnx::registerONNXPasses();
      axes::registerTwistPasses();
      registerTargetONNXPasses();
      registerModelPipelines();
      return made;
    }();
    return registry;
  }

  unsigned errors = 0;
  ScopedDiagnosticHandler handler;
};
} // namespace

Target::Target() {
  SmallString<128> made;
  if (llvm::sys::fs::createUniqueDirectory("twist-fuzz", made)) {
    llvm::errs() << "twist-fuzz: cannot create a temporary folder\n";
    std::exit(1);
  }
  folder = made.str();
  path = folder + "/input";
}

Target::~Target() { llvm::sys::fs::remove_directories(folder); }

//===----------------------------------------------------------------------===//
// Models
//===----------------------------------------------------------------------===//

/// Units to keep, axis by axis: all, none, one or a random half.
static Ticket drawTicket(ModuleOp module, Random &random) {
  Ticket ticket;
  for (const AxisInfo &axis : axes::axesOf(module)) {
    TicketAxis mask;
    mask.name = axis.name();
    mask.units = axis.units;
    uint64_t way = random.below(8);
    for (int64_t unit = 0; unit < axis.units; ++unit)
      if (way == 0 || (way == 2 && unit == axis.units / 2) ||
          (way > 2 && random.oneIn(2)))
        mask.keep.push_back(unit);
    if (way > 1 || !random.oneIn(3))
      ticket.axes.push_back(std::move(mask));
  }
  return ticket;
}

static bool writes(Session &session, ModuleOp module, const std::string &path,
                   StringRef step) {
  bool done = session.check(exportONNX(module, path), step);
  ::unlink(path.c_str());
  ::unlink((path + ".data").c_str());
  return done;
}

static void slice(Session &session, ModuleOp module, const std::string &path,
                  Random &random, Stages &reached) {
  Ticket ticket = drawTicket(module, random);
  Location loc = UnknownLoc::get(&session.context);
  if (!session.check(axes::applyTicket(module, ticket, loc), module,
                     "applyTicket"))
    return;
  OwningOpRef<ModuleOp> gated = module.clone();
  axes::SliceReport report;
  axes::GateCounts gates;
  bool sliced =
      session.check(sliceModel(module, {}, report), module, "sliceModel") &&
      writes(session, module, path, "writing the sliced model");
  bool masked =
      session.check(axes::lowerGates(*gated, gates), *gated, "lowerGates") &&
      writes(session, *gated, path, "writing the masked model");
  reached[Sliced] = sliced && masked;
}

void Target::runModel(StringRef bytes, Stages &reached) {
  Random random(llvm::xxh3_64bits(bytes));
  Session session;
  FailureOr<OwningOpRef<ModuleOp>> module = importONNX(path, &session.context);
  if (!session.check(module, "importONNX"))
    return;
  if (failed(verify(**module)))
    die("an imported module is not valid");
  reached[Read] = true;
  if (random.oneIn(4))
    reached[Exported] =
        writes(session, **module, path + ".out", "writing the imported model");

  PassManager normalise(&session.context);
  normalise.enableVerifier(true);
  populateNormalisePasses(normalise);
  if (!session.check(normalise.run(**module), "onnx-normalise"))
    return;
  reached[Normalised] = true;
  if (random.oneIn(2)) {
    OwningOpRef<ModuleOp> copy = (*module)->clone();
    PassManager lower(&session.context);
    lower.addPass(
        onnx::createPreflightPass(onnx::Purpose::Compile, hasLowering));
    lower.addPass(createConvertONNXToLinalgPass());
    reached[Lowered] =
        session.check(lower.run(*copy), "convert-onnx-to-linalg");
  }
  PassManager discover(&session.context);
  discover.addPass(axes::createTwistDiscoverAxes());
  if (!session.check(discover.run(**module), "twist-discover-axes"))
    return;
  reached[Discovered] = !axes::axesOf(**module).empty();
  slice(session, **module, path + ".out", random, reached);
}

//===----------------------------------------------------------------------===//
// Tickets, programs, arrays
//===----------------------------------------------------------------------===//

void Target::runTicket(StringRef bytes, Stages &reached) {
  Session session;
  const std::vector<AxisInfo> model = {
      {"a", "head", 0, 4, {"a.query", "a.key"}},
      {"b", "head", 1, 4, {"b.query", "b.key"}},
      {"c", "ffn", 0, 64, {"c.up", "c.down"}}};
  FailureOr<Ticket> ticket = parseTicket(bytes, path, &session.context);
  if (!session.check(ticket, "parseTicket"))
    return;
  std::string text;
  llvm::raw_string_ostream os(text);
  writeTicket(*ticket, os);
  if (failed(parseTicket(text, path, &session.context)))
    die("a ticket that was written cannot be read");
  reached[Read] = session.check(
      resolveTicket(*ticket, model, UnknownLoc::get(&session.context)),
      "resolveTicket");
}

/// A load either works or says why not.
static bool loads(twist_status status, const twist_error &error) {
  if (status && !error.message[0])
    die("a program is refused without an error");
  return status == TWIST_OK;
}

/// A program whose weights are the 64 bytes 0, 1, 2, …, by their hash.
void Target::runWeights(Stages &reached) {
  twist_program_table table = {};
  table.magic = TWIST_PROGRAM_MAGIC;
  table.abi_version = TWIST_ABI_VERSION;
  table.table_bytes = sizeof(table);
  table.target_cpu = table.cpu_features = "";
  table.weights_bytes = 64;
  static constexpr uint8_t hash[32] = {
      0xfd, 0xea, 0xb9, 0xac, 0xf3, 0x71, 0x03, 0x62, 0xbd, 0x26, 0x58,
      0xcd, 0xc9, 0xa2, 0x9e, 0x8f, 0x9c, 0x75, 0x7f, 0xcf, 0x98, 0x11,
      0x60, 0x3a, 0x8c, 0x44, 0x7c, 0xd1, 0xd9, 0x15, 0x11, 0x08};
  std::copy(std::begin(hash), std::end(hash), table.weights_sha256);
  for (unsigned flags : {0u, unsigned(TWIST_VERIFY_WEIGHTS),
                         unsigned(TWIST_VERIFY_WEIGHTS | TWIST_COPY_WEIGHTS)}) {
    twist_error error = {};
    twist_program *program;
    bool loaded = loads(
        twist_program_from_table(&table, path.c_str(), flags, &program, &error),
        error);
    twist_program_close(program);
    reached[Read] = loaded;
  }
}

void Target::runCode(Stages &reached) {
  twist_error error = {};
  twist_program *program;
  reached[Read] = loads(
      twist_program_load(path.c_str(), TWIST_VERIFY_WEIGHTS, &program, &error),
      error);
  twist_program_close(program);
}

void Target::runArray(Stages &reached) {
  twist_error error = {};
  twist_array array = {};
  reached[Read] = loads(twist_npy_read(path.c_str(), &array, &error), error);
  twist_array_free(&array);
}

void Target::run(StringRef bytes, Stages &reached) {
  Kind kind = kindOf(bytes);
  // Code is looked for under its own name.
  std::string name = path;
  if (kind == Kind::Code)
    path += ".so";
  std::error_code failure;
  llvm::raw_fd_ostream file(path, failure);
  file << bytes;
  file.close();
  if (failure || file.has_error()) {
    llvm::errs() << "twist-fuzz: cannot write '" << path << "'\n";
    std::exit(1);
  }
  switch (kind) {
  case Kind::Model:
    runModel(bytes, reached);
    break;
  case Kind::Ticket:
    runTicket(bytes, reached);
    break;
  case Kind::Weights:
    runWeights(reached);
    break;
  case Kind::Code:
    runCode(reached);
    break;
  case Kind::Array:
    runArray(reached);
    break;
  }
  path = name;
}
