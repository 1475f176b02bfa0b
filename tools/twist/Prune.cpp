//===- Prune.cpp - twist prune --------------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Commands.h"
#include "Context.h"
#include "Measure.h"
#include "PolicyArguments.h"

#include "twist/Dialect/Twist/Transforms/Fingerprint.h"
#include "twist/Pipeline/Model.h"
#include "twist/Pipeline/Stages.h"
#include "twist/Pipeline/Verify.h"
#include "twist/Proof/Proof.h"
#include "twist/Target/ONNX/ONNXFile.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace twist;
using namespace twist::tools;
namespace cl = llvm::cl;

namespace {
/// A folder for corrected weights, which slices view until they are written.
struct Scratch {
  Scratch() { created = !llvm::sys::fs::createUniqueDirectory("twist", path); }
  ~Scratch() {
    if (created)
      llvm::sys::fs::remove_directories(path);
  }
  SmallString<128> path;
  bool created = false;
};

/// One line of the table.
struct Point {
  std::string name;
  Ticket ticket;
  std::vector<prune::CorrectedSite> corrected;
  CutModel cut;
  std::optional<Executable> program;
  std::optional<prune::Feed> feed;
  std::optional<prune::Runner> runner;
  int64_t parameters = 0, bytes = 0;
  double quality = 0, seconds = 0;
};

class Pruner {
public:
  Pruner(ChoiceContext &context, const StagedData &staged,
         prune::CorrectionKind kind, prune::FeedOptions report)
      : context(context), staged(staged), kind(kind),
        report(std::move(report)) {}
  /// The dense model, then one point a choice; the first is that asked for.
  LogicalResult add(Choice choice);
  LogicalResult addDense();
  llvm::Error measure(StringRef output);
  void print(StringRef path) const;
  Point &asked() { return points[1]; }

private:
  LogicalResult compile(ModuleOp module, Point &point);

  ChoiceContext &context;
  const StagedData &staged;
  prune::CorrectionKind kind;
  prune::FeedOptions report;
  Scratch scratch;
  std::vector<Point> points;
  std::string measured;
};
} // namespace

static LogicalResult report(llvm::Error error, Location loc) {
  return error ? LogicalResult(emitError(loc) << toString(std::move(error)))
               : success();
}

LogicalResult Pruner::compile(ModuleOp module, Point &point) {
  point.program.emplace();
  point.program->tables = proof::lookupTables(module);
  auto compiled = compileInProcess(module, {});
  if (failed(compiled))
    return failure();
  point.program->compiled.emplace(std::move(*compiled));
  prune::FeedOptions options = report;
  options.tables = point.program->tables;
  auto feed = prune::Feed::create(point.program->get(), options);
  if (!feed)
    return ::report(feed.takeError(), context.loc);
  point.feed.emplace(std::move(*feed));
  auto runner = prune::Runner::create(point.program->get(), staged.threads);
  if (!runner)
    return ::report(runner.takeError(), context.loc);
  point.runner.emplace(std::move(*runner));
  return success();
}

LogicalResult Pruner::addDense() {
  Point &point = points.emplace_back();
  point.name = "dense";
  OwningOpRef<ModuleOp> dense = context.module.clone();
  axes::GateCounts gates;
  if (failed(axes::lowerGates(*dense, gates)))
    return failure();
  return compile(*dense, point);
}

LogicalResult Pruner::add(Choice choice) {
  Point point;
  point.name = choice.name();
  std::vector<PolicyRow> rows;
  FailureOr<Ticket> ticket = choose(context, choice, rows);
  if (failed(ticket))
    return failure();
  point.ticket = std::move(*ticket);
  if (points.size() == 1) {
    printRows(rows, choice.options);
    llvm::outs().flush();
  }
  prune::KeptUnits kept = keptUnits(point.ticket);
  prune::StagedRun run(staged.model, staged.feed, kept, staged.threads);
  auto corrected = correctModel(
      staged.model, run, kept, kind,
      [](const prune::Site &, ArrayRef<char>, const prune::CorrectedSite &) {});
  if (!corrected)
    return ::report(corrected.takeError(), context.loc);
  point.corrected = std::move(*corrected);
  SmallString<128> weights;
  if (!point.corrected.empty()) {
    weights = scratch.path;
    llvm::sys::path::append(weights, std::to_string(points.size()));
    auto hash = prune::writeCorrections(weights, point.corrected);
    if (!hash)
      return ::report(hash.takeError(), context.loc);
  }
  auto cut = cutModel(context.module, point.ticket, weights, context.state,
                      context.loc);
  if (failed(cut))
    return failure();
  point.cut = std::move(*cut);
  point.parameters = point.cut.report.elementsAfter;
  point.bytes = point.cut.report.bytesAfter;
  points[0].parameters = point.cut.report.elementsBefore;
  points[0].bytes = point.cut.report.bytesBefore;
  if (failed(compile(*point.cut.sliced, point)))
    return failure();
  points.push_back(std::move(point));
  return success();
}

llvm::Error Pruner::measure(StringRef output) {
  const twist_program *dense = points[0].program->get();
  auto meter = prune::QualityMeter::create(prune::outputPorts(dense),
                                           *points[0].feed, output);
  if (!meter)
    return meter.takeError();
  measured = meter->measure().str();
  std::vector<prune::Runner *> runners;
  std::vector<std::vector<prune::Array>> inputs;
  for (Point &point : points) {
    auto place = meter->find(prune::outputPorts(point.program->get()));
    if (!place)
      return place.takeError();
    bool isDense = &point == &points[0];
    meter->start();
    llvm::Error error = prune::runAll(
        *point.runner, *point.feed,
        [&](prune::Runner &runner, const prune::Batch &batch,
            ArrayRef<prune::Array> outputs) {
          return isDense ? meter->addDense(runner, batch, outputs[*place])
                         : meter->add(runner, batch, outputs[*place]);
        });
    if (error)
      return error;
    point.quality = meter->value();
    auto batch = point.feed->batch(0);
    if (!batch)
      return batch.takeError();
    runners.push_back(&*point.runner);
    inputs.push_back(std::move(batch->inputs));
  }
  std::vector<ArrayRef<prune::Array>> views(inputs.begin(), inputs.end());
  auto seconds = prune::timeInTurn(runners, views, /*repeat=*/9);
  if (!seconds)
    return seconds.takeError();
  for (auto [point, value] : llvm::zip_equal(points, *seconds))
    point.seconds = value;
  return llvm::Error::success();
}

void Pruner::print(StringRef path) const {
  llvm::outs() << llvm::format("\n%-20s %14s %14s %10s %16s\n", "",
                               "parameters", "bytes", "ms/run",
                               measured.c_str());
  for (const Point &point : points) {
    llvm::outs() << llvm::format(
        "%-20s %14lld %14lld %10.3f %16.6g", point.name.c_str(),
        (long long)point.parameters, (long long)point.bytes,
        1e3 * point.seconds, point.quality);
    if (&point == &points[1])
      llvm::outs() << "  " << path;
    else if (&point > &points[1])
      llvm::outs() << "  would be";
    llvm::outs() << "\n";
  }
}

/// The statistics a policy needs.
static llvm::Expected<std::shared_ptr<const prune::Calibration>>
calibrateFor(TicketPolicy policy, const StagedData &staged) {
  auto calibration = std::make_shared<prune::Calibration>();
  if (needsCalibration(policy)) {
    calibration->sites = staged.model.sites;
    if (llvm::Error error = prune::calibrate(calibration->sites, staged.model,
                                             staged.feed, staged.threads))
      return std::move(error);
  }
  return calibration;
}

/// Prints what holds; fails if something does not.
static LogicalResult prove(Point &point, ChoiceContext &context) {
  auto engine = chooseEngine(*point.cut.gated, *point.cut.sliced);
  if (failed(engine))
    return failure();
  llvm::outs() << "proofs (on " << engine->name << ")\n";
  llvm::outs().flush();
  axes::SliceOptions options;
  options.state.assign(context.state.begin(), context.state.end());
  auto verdicts = proveSlice(*point.cut.gated, *point.cut.sliced, options,
                             point.cut.report, {}, *engine);
  if (failed(verdicts))
    return failure();
  proof::print(*verdicts, llvm::outs());
  return proof::require(*verdicts, context.loc);
}

int twist::tools::pruneMain(int argc, char **argv) {
  cl::OptionCategory category("Options of twist prune");
  cl::opt<std::string> model(cl::Positional, cl::Required,
                             cl::desc("MODEL.onnx"), cl::cat(category));
  cl::opt<std::string> output("o", cl::Required, cl::value_desc("SMALL.onnx"),
                              cl::desc("The smaller model to write"),
                              cl::cat(category));
  cl::opt<std::string> ticketFile(
      "ticket", cl::value_desc("T.json"), cl::cat(category),
      cl::desc("Write the ticket too, its weights to T.json.safetensors"));
  PolicyArguments policy(category, TicketPolicy::Obs);
  DataArguments data(category);
  QualityArguments quality(category, "relative");
  cl::opt<bool> verify("verify", cl::init(true), cl::cat(category),
                       cl::desc("Prove that the smaller model equals the "
                                "masked one (default)"));
  cl::opt<bool> neighbours(
      "neighbours", cl::init(true), cl::cat(category),
      cl::desc("Measure what the next larger and smaller kappa or budget "
               "would give too (default)"));
  StateOption state(category);
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(
      argc, argv, "Cuts a model by data: calibrate, choose, correct, slice\n");
  std::optional<Choice> choice = policy.parse();
  auto kind = quality.correction();
  if (!choice || !kind)
    return 1;

  ToolContext mlirContext;
  auto module = loadForChoice(model, state, &mlirContext);
  if (failed(module))
    return 1;
  ChoiceContext context(**module, model, state, policy);
  auto known = axesFor(**module, choice->options);
  if (failed(known) || failed(planRows(*known, choice->options, context.loc)) ||
      failed(checkTable(context, *choice)))
    return 1;
  auto staged = stageForData(**module, data.options(), data.threads);
  if (!staged)
    return 1;
  auto calibration = calibrateFor(choice->options.policy, *staged);
  if (!calibration)
    return fail(calibration.takeError());
  if (failed(fillScores(context, *choice, policy, *calibration, data,
                        quality.output)))
    return 1;
  prune::FeedOptions report = quality.options(data);
  report.context = staged->feed.context();
  Pruner pruner(context, *staged, *kind, report);
  if (failed(pruner.addDense()) || failed(pruner.add(*choice)))
    return 1;
  if (verify && failed(prove(pruner.asked(), context)))
    return 1;
  for (double by : {0.125, -0.125})
    if (std::optional<Choice> other = choice->moved(by);
        other && neighbours && failed(pruner.add(*other)))
      return 1;
  if (llvm::Error error = pruner.measure(quality.output))
    return fail(std::move(error));
  Point &asked = pruner.asked();
  if (!ticketFile.empty() &&
      failed(writeCorrected(asked.ticket, quality.method, asked.corrected,
                            ticketFile, context.loc)))
    return 1;
  if (failed(exportONNX(*asked.cut.sliced, output)))
    return 1;
  if (quality.report.empty())
    llvm::outs() << "\nquality on the data it was cut by: --report FILE "
                    "measures on others\n";
  pruner.print(output);
  return 0;
}
