//===- Train.cpp - twist train --------------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Commands.h"
#include "Context.h"
#include "Measure.h"
#include "TrainOptions.h"

#include "twist/Pipeline/BuildModel.h"
#include "twist/Pipeline/Step.h"
#include "twist/Pipeline/TrainResults.h"
#include "twist/Support/OutputFile.h"
#include "twist/Train/Evaluate.h"
#include "twist/Train/RunFolder.h"
#include "twist/Train/Teacher.h"
#include "twist/Train/TrainReport.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/FormatVariadic.h"

#include <cmath>
#include <csignal>
#include <unistd.h>

using namespace mlir;
using namespace twist;
using namespace twist::tools;
using namespace twist::train;

static volatile std::sig_atomic_t interrupted = 0;
static void interrupt(int signal) {
  interrupted = 1;
  std::signal(signal, SIG_DFL); // a second one ends at once
}

namespace {
/// loss, tokens/s, time left: one line, over itself on a terminal.
class ProgressLine {
public:
  ProgressLine(int64_t rounds, bool shown) : rounds(rounds), shown(shown) {}
  void show(const RoundReport &report) {
    using Seconds = std::chrono::duration<double>;
    auto now = std::chrono::steady_clock::now();
    average =
        average < 0 ? report.seconds : 0.8 * average + 0.2 * report.seconds;
    bool last = report.round + 1 == rounds;
    if (!shown || (!last && Seconds(now - printed).count() < (tty ? 0.2 : 10)))
      return;
    printed = now;
    llvm::errs() << (tty ? "\r" : "")
                 << llvm::format("round %lld of %lld  loss %.4f  %.0f tokens/s"
                                 "  about %.0f s left   ",
                                 (long long)report.round + 1, (long long)rounds,
                                 report.meanLoss(),
                                 double(report.tokens) / report.seconds,
                                 average * double(rounds - report.round - 1))
                 << (tty && !last ? "" : "\n");
  }

private:
  int64_t rounds;
  bool shown, tty = isatty(2);
  double average = -1;
  std::chrono::steady_clock::time_point printed;
};

/// One training, from options to results.
class Training {
public:
  Training(const TrainArguments &arguments, Transport &transport)
      : arguments(arguments), transport(transport), folder(arguments.output) {}

  llvm::Error run();
  /// Whether a signal ended it before its last round.
  bool unfinished() const {
    return stopped && trainer->round() < trainer->options().rounds;
  }

private:
  bool isRoot() const { return transport.rank() == 0; }
  llvm::Expected<std::string> modelPath();
  llvm::Error open();
  llvm::Error openTeachers(const TrainOptions &options);
  llvm::Error loop();
  llvm::Expected<bool> isInterrupted();
  llvm::Error checkpoint();
  std::string plan() const;
  StringRef measure() const {
    return !teacher                                           ? "perplexity"
           : trainer->options().loss.kind == LossKind::Cosine ? "1 - cosine"
                                                              : "mean square";
  }
  llvm::Error writeMasks() const;
  void printTraffic(const RoundReport &report) const;
  llvm::Error finish();
  llvm::Error addGains(MutableArrayRef<DrawnTicket> tickets, double kappa,
                       ArrayRef<std::string> state, MLIRContext &context);
  llvm::Error finishTickets(ArrayRef<AlignedBytes> parameters);
  llvm::Error judge(ArrayRef<DrawnTicket> tickets,
                    ArrayRef<AlignedBytes> parameters);
  llvm::Expected<JudgedModel> judgeOne(Evaluator &evaluator, StringRef name,
                                       const Masks &masks,
                                       ArrayRef<AlignedBytes> parameters,
                                       double kappa);

  const TrainArguments &arguments;
  Transport &transport;
  RunFolder folder;
  std::unique_ptr<StepCompiler> compiler;
  std::optional<Data> data, valid;
  std::unique_ptr<StepCompiler> teacherCompiler;
  std::unique_ptr<Teacher> teacher, validTeacher;
  /// By axis: kappa and gain.
  std::vector<std::vector<std::pair<double, double>>> trained;
  std::vector<JudgedModel> judged;
  int64_t labels = 0; ///< that models were judged by
  std::unique_ptr<Trainer> trainer;
  bool stopped = false;
};
} // namespace

/// A new model is written once, by rank 0.
llvm::Expected<std::string> Training::modelPath() {
  if (!isModelSpec(arguments.model))
    return arguments.model;
  llvm::Expected<ModelSpec> spec = parseModelSpec(arguments.model);
  if (!spec)
    return spec.takeError();
  std::string path = folder.path("model.onnx");
  if (isRoot() && !arguments.resume) {
    if (llvm::Error error = folder.create(/*resume=*/false))
      return std::move(error);
    ToolContext context;
    if (llvm::Error error = buildModel(*spec, path, &context))
      return std::move(error);
  }
  if (llvm::Error error = transport.barrier())
    return std::move(error);
  return path;
}

llvm::Error Training::open() {
  if (isRoot())
    if (llvm::Error error = folder.check(arguments.resume))
      return error;
  llvm::Expected<std::string> path = modelPath();
  if (!path)
    return path.takeError();
  auto made = makeStepCompiler(*path, arguments.compilerOptions());
  if (!made)
    return made.takeError();
  compiler = std::move(*made);
  const ModelLayout &layout = compiler->layout();
  llvm::Expected<TrainOptions> options = arguments.trainOptions(layout);
  if (!options)
    return options.takeError();
  auto opened = Data::open(arguments.dataOptions(layout, *options));
  if (!opened)
    return opened.takeError();
  data = std::move(*opened);
  if (!arguments.valid.empty()) {
    auto other = Data::open(arguments.validOptions(layout, *options));
    if (!other)
      return other.takeError();
    if (other->tokenizerHash() != data->tokenizerHash())
      return llvm::createStringError(arguments.valid +
                                     ": was made with another tokenizer than "
                                     "the training data");
    valid = std::move(*other);
  }
  if (!arguments.teacher.empty())
    if (llvm::Error error = openTeachers(*options))
      return error;
  auto trained =
      Trainer::create(*compiler, *data, transport, *options, teacher.get());
  if (!trained)
    return trained.takeError();
  trainer = std::move(*trained);
  if (isRoot())
    if (llvm::Error error = folder.create(arguments.resume))
      return error;
  if (llvm::Error error = transport.barrier()) // others write there, too
    return error;
  if (!arguments.resume)
    return arguments.startFrom.empty()
               ? llvm::Error::success()
               : trainer->startFrom(arguments.startFrom);
  std::string newest = folder.newestCheckpoint();
  if (newest.empty())
    return llvm::createStringError(arguments.output +
                                   " has no checkpoint to resume from");
  return trainer->resume(newest, arguments.otherMachine);
}

/// Each process keeps the outputs for its own workers' windows.
llvm::Error Training::openTeachers(const TrainOptions &options) {
  StepCompilerOptions compiling;
  compiling.kinds = {"none"};
  compiling.state = arguments.compiler.state;
  compiling.f64 = arguments.compiler.f64;
  auto made = makeStepCompiler(arguments.teacher, compiling);
  if (!made)
    return made.takeError();
  teacherCompiler = std::move(*made);
  auto open = [&](const Data &of, StringRef name) {
    return Teacher::create(*teacherCompiler, of, options.loss.output,
                           arguments.teacher, folder.path(name),
                           arguments.threads);
  };
  auto opened =
      open(*data, "teacher-" + std::to_string(transport.rank()) + ".outputs");
  if (!opened)
    return opened.takeError();
  teacher = std::move(*opened);
  if (!valid || !isRoot())
    return llvm::Error::success();
  auto judge = open(*valid, "teacher-valid.outputs");
  if (!judge)
    return judge.takeError();
  validTeacher = std::move(*judge);
  return llvm::Error::success();
}

std::string Training::plan() const {
  std::string text;
  llvm::raw_string_ostream os(text);
  const TrainOptions &o = trainer->options();
  int64_t trained = 0, frozen = 0;
  for (const Parameter &parameter : compiler->layout().parameters)
    (parameter.trainable ? trained : frozen) += parameter.size();
  os << "model      " << arguments.model << ", " << trained
     << " parameters trained, " << frozen << " frozen\n"
     << data->protocol()
     << llvm::format("rounds     %lld of %lld steps, %lld workers of "
                     "batch %lld: %.2f times through the data\n",
                     (long long)o.rounds, (long long)o.localSteps,
                     (long long)o.assignment.workers, (long long)o.batch,
                     data->epochs(o.rounds * o.localSteps));
  for (auto [number, axis] : llvm::enumerate(trainer->assignment().axes())) {
    std::string name = axis.kind + "." + std::to_string(axis.layer);
    os << llvm::format("%-10s ", name.c_str());
    if (axis.pinned)
      os << axis.units << " units, whole in every worker\n";
    else
      os << trainer->assignment().kept(int64_t(number), 0, 0) << " of "
         << axis.groups() << " groups of " << axis.group << " a worker\n";
  }
  return text;
}

/// Whether any process was.
llvm::Expected<bool> Training::isInterrupted() {
  char mine = interrupted != 0;
  std::vector<char> all(transport.size());
  std::vector<OutgoingMessage> sends;
  std::vector<IncomingMessage> receives;
  for (int rank = 0; rank < transport.size(); ++rank)
    if (rank != transport.rank()) {
      sends.push_back({rank, &mine, 1});
      receives.push_back({rank, &all[rank], 1});
    }
  if (llvm::Error error = transport.exchange(sends, receives))
    return std::move(error);
  return mine || llvm::is_contained(all, 1);
}

llvm::Error Training::checkpoint() {
  if (llvm::Error error =
          trainer->save(folder.checkpointPath(trainer->round())))
    return error;
  if (isRoot())
    folder.pruneCheckpoints();
  return llvm::Error::success();
}

llvm::Error Training::loop() {
  const TrainOptions &options = trainer->options();
  if (isRoot())
    if (llvm::Error error = folder.openMetrics(trainer->round()))
      return error;
  ProgressLine line(options.rounds, isRoot() && !arguments.quiet);
  int64_t saved = trainer->round();
  while (trainer->round() < options.rounds && !stopped) {
    llvm::Expected<RoundReport> report = trainer->runRound();
    if (!report)
      return report.takeError();
    if (isRoot()) {
      if (report->round == 0)
        printTraffic(*report);
      if (llvm::Error error = folder.addMetrics(*report))
        return error;
    }
    line.show(*report);
    llvm::Expected<bool> stop = isInterrupted();
    if (!stop)
      return stop.takeError();
    stopped = *stop;
    bool due = trainer->round() - saved >= arguments.checkpointEvery;
    if (!due && !stopped && trainer->round() < options.rounds)
      continue;
    if (llvm::Error error = checkpoint())
      return error;
    saved = trainer->round();
  }
  return llvm::Error::success();
}

void Training::printTraffic(const RoundReport &report) const {
  double workers = double(trainer->options().assignment.workers);
  auto megabytes = [](double bytes) { return bytes / 1e6; };
  llvm::outs() << llvm::format(
      "bytes      %.3f MB a worker and round, %.3f of them between %d "
      "processes; local SGD %.3f, all-reduce every step %.3f\n",
      megabytes(double(report.down.betweenWorkers + report.up.betweenWorkers)) /
          workers,
      megabytes(
          double(report.down.betweenProcesses + report.up.betweenProcesses)) /
          workers,
      transport.size(), megabytes(double(trainer->localSGDBytes())) / workers,
      megabytes(double(trainer->allReduceBytes())) / workers);
  llvm::outs().flush();
}

//===----------------------------------------------------------------------===//
// Results
//===----------------------------------------------------------------------===//

llvm::Expected<JudgedModel>
Training::judgeOne(Evaluator &evaluator, StringRef name, const Masks &masks,
                   ArrayRef<AlignedBytes> parameters, double kappa) {
  std::vector<double> gains;
  for (auto [axis, kept] : llvm::enumerate(masks)) {
    bool whole = int64_t(kept.size()) == compiler->layout().axes[axis].units;
    for (auto [at, value] : trained[axis])
      if (at == (whole ? 1 : kappa))
        gains.push_back(value);
  }
  if (gains.size() != masks.size())
    gains.clear(); // none, or none for this kappa: as in the dense model
  llvm::Expected<Score> score = evaluator.run(parameters, masks, gains);
  if (!score)
    return score.takeError();
  labels = score->labels;
  return JudgedModel{name.str(), kappa,
                     teacher ? score->loss : std::exp(score->loss),
                     score->parameters, score->seconds};
}

llvm::Error Training::judge(ArrayRef<DrawnTicket> tickets,
                            ArrayRef<AlignedBytes> parameters) {
  Evaluator evaluator(*compiler, *valid, trainer->options().loss,
                      trainer->options().precision, arguments.threads,
                      validTeacher.get());
  auto dense = judgeOne(evaluator, "dense", wholeMasks(compiler->layout()),
                        parameters, 1);
  if (!dense)
    return dense.takeError();
  judged.push_back(*dense);
  std::map<double, std::vector<double>> all;
  for (const DrawnTicket &drawn : tickets) {
    llvm::Expected<Masks> masks = masksOf(drawn.ticket, compiler->layout());
    if (!masks)
      return masks.takeError();
    auto model =
        judgeOne(evaluator, drawn.name, *masks, parameters, drawn.kappa);
    if (!model)
      return model.takeError();
    judged.push_back(*model);
    all[drawn.kappa].push_back(model->value);
  }
  llvm::outs() << "judged by  " << measure() << "\n" << valid->protocol();
  if (!teacher)
    llvm::outs() << llvm::format("tokens     %lld told, one each\n",
                                 (long long)labels);
  llvm::outs() << llvm::format("dense        %10.4f\n", dense->value);
  for (const auto &[kappa, values] : all) {
    Spread spread = spreadOf(values);
    llvm::outs() << llvm::format(
        "kappa %-6g %10.4f mean of %zu, sd/mean %.4f, %.4f to %.4f\n", kappa,
        spread.mean, values.size(), spread.deviation / spread.mean,
        spread.least, spread.most);
  }
  llvm::json::Array rows;
  for (const JudgedModel &model : judged)
    rows.push_back(llvm::json::Object{{"model", model.name},
                                      {"kappa", model.kappa},
                                      {"parameters", model.parameters},
                                      {"seconds", model.seconds},
                                      {measure(), model.value}});
  llvm::json::Object file{{"data", arguments.valid},
                          {"protocol", valid->protocol()},
                          {"measure", measure()},
                          {"labels", labels},
                          {"models", std::move(rows)}};
  return writeFile(
      folder.path("tickets.json"),
      llvm::formatv("{0:2}\n", llvm::json::Value(std::move(file))).str());
}

/// The gains of tickets at a kappa, in a file that they share; those of the
/// whole model are in dense.onnx.
llvm::Error Training::addGains(MutableArrayRef<DrawnTicket> tickets,
                               double kappa, ArrayRef<std::string> state,
                               MLIRContext &context) {
  llvm::StringMap<double> ratios;
  for (auto [axis, known] : llvm::zip(compiler->layout().axes, trained)) {
    double whole = 1, own = 1;
    for (auto [at, value] : known) {
      if (at == 1)
        whole = value;
      if (at == kappa)
        own = value;
    }
    bool pinned = trainer->assignment()
                      .axes()[&axis - compiler->layout().axes.data()]
                      .pinned;
    if (!pinned && own != whole)
      ratios[axis.name] = own / whole;
  }
  if (ratios.empty())
    return llvm::Error::success();
  std::string name;
  llvm::raw_string_ostream(name)
      << "gain" << llvm::format("%g", kappa) << ".safetensors";
  auto hash = writeGains(folder.path("dense.onnx"), ratios,
                         folder.path("tickets/" + name), &context, state);
  if (!hash)
    return hash.takeError();
  for (DrawnTicket &drawn : tickets) {
    if (drawn.kappa != kappa)
      continue;
    drawn.ticket.correction = "gain";
    drawn.ticket.weightsFile = name;
    drawn.ticket.weightsFileSHA256 = *hash;
  }
  return llvm::Error::success();
}

llvm::Error Training::finishTickets(ArrayRef<AlignedBytes> parameters) {
  ToolContext context;
  DrawOptions draw = arguments.drawOptions(trainer->options());
  std::string dense = folder.path("dense.onnx");
  FailureOr<std::vector<DrawnTicket>> tickets =
      drawTickets(dense, &context, draw);
  if (failed(tickets))
    return llvm::createStringError("no tickets could be drawn");
  for (double kappa : draw.kappas)
    if (llvm::Error error = addGains(*tickets, kappa, draw.state, context))
      return error;
  for (const DrawnTicket &drawn : *tickets) {
    std::string text;
    llvm::raw_string_ostream os(text);
    writeTicket(drawn.ticket, os);
    std::string path = folder.path("tickets/" + drawn.name + ".json");
    if (llvm::Error error = writeFile(path, text))
      return error;
    // One sliced model a kappa; the others are a command away.
    if (!StringRef(drawn.name).ends_with("-0"))
      continue;
    if (failed(sliceFile(dense, path,
                         folder.path("sliced/" + drawn.name + ".onnx"),
                         &context, draw.state)))
      return llvm::createStringError("the model could not be cut by " + path);
  }
  return valid ? judge(*tickets, parameters) : llvm::Error::success();
}

llvm::Error Training::finish() {
  llvm::Expected<std::vector<AlignedBytes>> parameters = trainer->parameters();
  if (!parameters)
    return parameters.takeError();
  for (size_t axis = 0; axis < compiler->layout().axes.size(); ++axis) {
    auto known = trainer->gains(int64_t(axis));
    if (!known)
      return known.takeError();
    trained.push_back(std::move(*known));
  }
  if (!isRoot())
    return llvm::Error::success();
  std::vector<const void *> pointers;
  for (const AlignedBytes &tensor : *parameters)
    pointers.push_back(tensor.data());
  if (llvm::Error error =
          compiler->writeModel(folder.path("dense.onnx"), pointers))
    return error;
  llvm::outs() << "wrote      " << folder.path("dense.onnx") << "\n";
  if (llvm::Error error = finishTickets(*parameters))
    return error;
  auto metrics = folder.readMetrics();
  if (!metrics)
    return metrics.takeError();
  return writeFile(folder.path("report.html"),
                   trainingReport(plan(), *metrics, judged, measure()));
}

/// Kept groups by round, axis and worker, so that others can draw the same.
llvm::Error Training::writeMasks() const {
  const Assignment &assignment = trainer->assignment();
  llvm::json::Array rounds, axes;
  for (const DealtAxis &axis : assignment.axes())
    axes.push_back(llvm::json::Object{{"name", axis.name},
                                      {"kind", axis.kind},
                                      {"index", axis.layer},
                                      {"groups", axis.groups()},
                                      {"pinned", axis.pinned}});
  for (int64_t round = 0; round < trainer->options().rounds; ++round) {
    llvm::json::Array all;
    for (size_t axis = 0; axis < assignment.axes().size(); ++axis) {
      llvm::json::Array workers;
      for (const Mask &mask : assignment.deal(int64_t(axis), round))
        workers.push_back(llvm::json::Array(mask));
      all.push_back(std::move(workers));
    }
    rounds.push_back(std::move(all));
  }
  llvm::json::Object file{{"axes", std::move(axes)},
                          {"masks", std::move(rounds)}};
  return writeFile(
      folder.path("masks.json"),
      llvm::formatv("{0}\n", llvm::json::Value(std::move(file))).str());
}

llvm::Error Training::run() {
  if (llvm::Error error = open())
    return error;
  if (isRoot())
    llvm::outs() << plan();
  llvm::outs().flush();
  if (arguments.dryRun)
    return isRoot() ? writeMasks() : llvm::Error::success();
  std::signal(SIGINT, interrupt);
  std::signal(SIGTERM, interrupt);
  if (llvm::Error error = loop())
    return error;
  if (unfinished()) {
    if (isRoot())
      llvm::errs() << "\nstopped after round " << trainer->round()
                   << "; --resume goes on\n";
    return llvm::Error::success();
  }
  return finish();
}

int twist::tools::trainMain(int argc, char **argv) {
  TrainArguments arguments;
  if (!arguments.parse(argc, argv))
    return 1;
  std::unique_ptr<Transport> transport = makeLocalTransport();
  if (arguments.transport == "mpi") {
    auto mpi = makeMPITransport();
    if (!mpi)
      return fail(mpi.takeError());
    transport = std::move(*mpi);
  }
  Training training(arguments, *transport);
  llvm::Error error = training.run();
  if (!error)
    return training.unfinished() ? 128 + SIGINT : 0;
  if (transport->size() > 1)
    llvm::errs() << "process " << transport->rank() << ": ";
  fail(std::move(error));
  transport->abort();
}
