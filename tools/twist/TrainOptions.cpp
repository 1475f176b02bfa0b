//===- TrainOptions.cpp - The options of twist train ----------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "TrainOptions.h"

#include "Measure.h"
#include "StepOptions.h"

#include "twist/Train/Spreads.h"

#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/Threading.h"

using namespace llvm;
using namespace twist;
using namespace twist::tools;
using namespace twist::train;

namespace {
/// The options as the parser of arguments has them.
struct Flags {
  cl::OptionCategory category{"Options of twist train"};

  template <typename T> using Opt = cl::opt<T>;
  Opt<std::string> model{cl::Positional, cl::Required, cl::desc("MODEL.onnx"),
                         cl::cat(category)};
  Opt<std::string> output{"o", cl::Required, cl::value_desc("RUN"),
                          cl::desc("The folder for all results"),
                          cl::cat(category)};
  cl::list<std::string> data{"data", cl::OneOrMore, cl::value_desc("FILE"),
                             cl::desc("Text or token files"),
                             cl::cat(category)};
  Opt<std::string> tokenizer{
      "tokenizer", cl::value_desc("FILE.json|VOCAB,MERGES|bytes"),
      cl::desc("What makes tokens of text"), cl::cat(category)};
  Opt<std::string> valid{"valid", cl::value_desc("FILE"),
                         cl::desc("Judge dense model and tickets on this"),
                         cl::cat(category)};
  Opt<int64_t> validBatches{"valid-batches", cl::init(0), cl::cat(category),
                            cl::desc("Batches of it at most; 0: all")};
  Opt<std::string> objective{"objective", cl::init("next"),
                             cl::value_desc("next|masked|distil"),
                             cl::cat(category),
                             cl::desc("Tell the next token, or masked ones, or "
                                      "do as --teacher does")};
  Opt<int64_t> maskToken{"mask-token", cl::init(-1), cl::value_desc("ID"),
                         cl::desc("The token that stands for masked ones"),
                         cl::cat(category)};
  Opt<std::string> teacher{
      "teacher", cl::value_desc("MODEL.onnx"), cl::cat(category),
      cl::desc("Whose outputs the model learns; computed once a window, kept "
               "in RUN")};
  Opt<std::string> distance{"distance", cl::init("cosine"),
                            cl::value_desc("cosine|mse"), cl::cat(category),
                            cl::desc("Between vectors of the outputs "
                                     "(default cosine)")};
  Opt<std::string> compared{"output", cl::value_desc("NAME"), cl::cat(category),
                            cl::desc("The output that is compared (default: "
                                     "the logits, or the first of floats)")};
  Opt<double> smoothing{"label-smoothing", cl::init(0), cl::cat(category),
                        cl::desc("In [0, 1) (default 0)")};

  Opt<std::string> mode{
      "mode", cl::init("twist"),
      cl::value_desc("twist|subnet|fixed|dense|parallel"),
      cl::desc("The method, or a baseline: one worker with a "
               "new mask each round, one mask for all rounds "
               "(--ticket), the whole model, the whole model with "
               "gradients averaged at every step"),
      cl::cat(category)};
  Opt<std::string> ticket{"ticket", cl::value_desc("T.json"),
                          cl::desc("The mask of --mode fixed"),
                          cl::cat(category)};
  Opt<int64_t> workers{"workers", cl::init(4), cl::cat(category),
                       cl::desc("Subnetworks at a time (default 4)")};
  Opt<std::string> kappa{"kappa", cl::value_desc("0.5|head=0.5,ffn.0=1"),
                         cl::desc("Kept fraction, also by kind or layer "
                                  "(default 0.5)"),
                         cl::cat(category)};
  cl::list<double> anyKappa{"any-kappa", cl::CommaSeparated,
                            cl::value_desc("K,K,…"), cl::cat(category),
                            cl::desc("Several fractions at once: largest, "
                                     "smallest and drawn ones")};
  Opt<std::string> anneal{"anneal", cl::value_desc("ROUND:KAPPA,…"),
                          cl::desc("Kappa from a round on"), cl::cat(category)};
  Opt<Dealing> dealing{
      "assignment", cl::init(Dealing::Balanced), cl::cat(category),
      cl::desc("How units are dealt"),
      cl::values(
          clEnumValN(Dealing::Balanced, "balanced",
                     "shuffles end to end (default)"),
          clEnumValN(Dealing::Random, "random", "each once, the rest drawn"),
          clEnumValN(Dealing::Rolling, "rolling",
                     "windows that move by a unit a round"))};
  cl::list<std::string> kinds{"axes", cl::CommaSeparated,
                              cl::value_desc("KINDS"), cl::cat(category),
                              cl::desc("Kinds to deal (default: heads or KV "
                                       "groups, FFN units, channels)")};
  Opt<int64_t> group{"group", cl::init(1), cl::cat(category),
                     cl::desc("FFN units and channels a group (default 1)")};
  Opt<std::string> pins{"pin-layers", cl::value_desc("FIRST,LAST"),
                        cl::cat(category),
                        cl::desc("Leave so many layers at each end whole")};

  Opt<int64_t> rounds{"rounds", cl::init(100), cl::cat(category),
                      cl::desc("Rounds (default 100)")};
  Opt<int64_t> localSteps{"local-steps", cl::init(15), cl::cat(category),
                          cl::desc("Steps of a worker a round (default 15)")};
  Opt<int64_t> batch{"batch", cl::init(4), cl::cat(category),
                     cl::desc("Windows a step of a worker (default 4)")};
  Opt<int64_t> context{"context", cl::init(128), cl::cat(category),
                       cl::desc("Tokens a window (default 128)")};
  Opt<uint64_t> seed{"seed", cl::init(0), cl::cat(category),
                     cl::desc("Of masks, data and dropout (default 0)")};

  OptimiserOption optimiser{category};
  Opt<double> rate{"learning-rate", cl::init(5e-4), cl::cat(category),
                   cl::desc("The highest (default 5e-4)")};
  Opt<std::string> schedule{
      "schedule", cl::init("linear"),
      cl::value_desc("constant|linear|cosine|constant-linear"),
      cl::desc("How it falls (default linear)"), cl::cat(category)};
  Opt<int64_t> warmup{"warmup", cl::init(0), cl::cat(category),
                      cl::desc("Steps in which it rises (default 0)")};
  Opt<double> decay{"decay", cl::init(0.2), cl::cat(category),
                    cl::desc("constant-linear: the last part, in which it "
                             "falls (default 0.2)")};
  Opt<double> weightDecay{"weight-decay", cl::init(0), cl::cat(category),
                          cl::desc("Of matrices (default 0)")};
  Opt<double> clip{"clip", cl::init(1), cl::cat(category),
                   cl::desc("Global norm of gradients at most; 0: any "
                            "(default 1)")};
  Opt<double> beta1{"beta1", cl::init(0.9), cl::cat(category),
                    cl::desc("Of AdamW (default 0.9)")};
  Opt<double> beta2{"beta2", cl::init(0.999), cl::cat(category),
                    cl::desc("Of AdamW (default 0.999)")};
  Opt<double> momentum{"momentum", cl::init(0.9), cl::cat(category),
                       cl::desc("Of SGD (default 0.9)")};
  Opt<double> dropout{"dropout", cl::init(0), cl::cat(category),
                      cl::desc("Part dropped at the gates (default 0)")};
  Opt<std::string> optimiserState{
      "optimiser-state", cl::init("carry"), cl::value_desc("carry|local|reset"),
      cl::desc("Between rounds: the mean over holders, each worker's own, or "
               "zero (default carry)"),
      cl::cat(category)};
  Opt<std::string> outer{"outer", cl::init("mean"),
                         cl::value_desc("mean|nesterov"), cl::cat(category),
                         cl::desc("What is made of a round's mean")};
  Opt<double> outerRate{"outer-rate", cl::init(0.7), cl::cat(category),
                        cl::desc("Of nesterov (default 0.7)")};
  Opt<double> outerMomentum{"outer-momentum", cl::init(0.9), cl::cat(category),
                            cl::desc("Of nesterov (default 0.9)")};
  Opt<std::string> gain{"gain", cl::init("none"),
                        cl::value_desc("none|learned|s*|NUMBER"),
                        cl::desc("What scales a subnetwork's layers: nothing, "
                                 "a learned number per layer, kind and kappa, "
                                 "the least squares one, or this number"),
                        cl::cat(category)};
  Opt<std::string> gainStart{"gain-start", cl::init("1"), cl::cat(category),
                             cl::value_desc("NUMBER|s*"),
                             cl::desc("Where learned gains start (default 1)")};
  Opt<std::string> calibration{
      "calibration", cl::value_desc("CAL"), cl::cat(category),
      cl::desc("What twist calibrate measured on the model; s* needs it")};
  TrainedArguments trained{category};

  PrecisionOption precision{category};
  Opt<std::string> transport{"transport", cl::init("local"),
                             cl::value_desc("local|mpi"), cl::cat(category),
                             cl::desc("One process, or those of mpirun")};
  Opt<int64_t> concurrent{"at-once", cl::init(0), cl::cat(category),
                          cl::desc("Workers of a process at a time (default: "
                                   "one per processor)")};
  Opt<int> threads{"threads", cl::init(1), cl::cat(category),
                   cl::desc("Of each worker (default 1)")};
  Opt<int64_t> checkpointEvery{"checkpoint-every", cl::init(10),
                               cl::cat(category),
                               cl::desc("Rounds (default 10)")};
  Opt<std::string> startFrom{
      "start-from", cl::value_desc("CHECKPOINT"), cl::cat(category),
      cl::desc("Start with the parameters and optimiser state of another "
               "training of the model")};
  Opt<bool> resume{"resume", cl::cat(category),
                   cl::desc("Go on from RUN's newest checkpoint")};
  Opt<bool> otherMachine{"allow-other-machine", cl::cat(category),
                         cl::desc("Also if another machine type or program "
                                  "made it")};
  Opt<int64_t> tickets{"tickets", cl::init(4), cl::cat(category),
                       cl::desc("Random tickets a kappa (default 4)")};
  Opt<bool> dryRun{"dry-run", cl::cat(category),
                   cl::desc("Check everything, write all masks to "
                            "RUN/masks.json, train nothing")};
  Opt<bool> quiet{"quiet", cl::cat(category), cl::desc("No progress line")};
};
} // namespace

/// "2,2".
static bool parsePins(StringRef text, TrainOptions &options) {
  if (text.empty())
    return true;
  auto [first, last] = text.split(',');
  return !first.getAsInteger(10, options.pinFirst) &&
         !last.getAsInteger(10, options.pinLast);
}

static Error refuse(StringRef option, StringRef value, StringRef known) {
  return createStringError("--" + option + " is " + known + ", not '" + value +
                           "'");
}

static Error interpretObjective(const Flags &flags, TrainArguments &a) {
  auto objective = StringSwitch<std::optional<Objective>>(flags.objective)
                       .Case("next", Objective::NextToken)
                       .Case("masked", Objective::MaskedToken)
                       .Case("distil", Objective::Outputs)
                       .Default(std::nullopt);
  if (!objective)
    return refuse("objective", flags.objective, "next, masked or distil");
  a.feed.objective = *objective;
  if ((*objective == Objective::Outputs) == flags.teacher.empty())
    return createStringError("--teacher and --objective distil need each "
                             "other");
  if (flags.distance != "cosine" && flags.distance != "mse")
    return refuse("distance", flags.distance, "cosine or mse");
  if (*objective == Objective::Outputs)
    a.options.loss.kind =
        flags.distance == "mse" ? LossKind::MeanSquare : LossKind::Cosine;
  a.options.loss.output = flags.compared;
  return Error::success();
}

/// All but numbers and flags: what is spelt out.
static Error interpret(const Flags &flags, TrainArguments &a) {
  Expected<Mode> mode = parseMode(flags.mode);
  if (!mode)
    return mode.takeError();
  a.options.mode = *mode;
  Expected<StateMode> state = parseStateMode(flags.optimiserState);
  if (!state)
    return state.takeError();
  a.options.state = *state;
  Expected<Schedule::Kind> kind = parseScheduleKind(flags.schedule);
  if (!kind)
    return kind.takeError();
  a.options.schedule.kind = *kind;
  if (!flags.kappa.empty()) {
    auto rules = parseKappas(flags.kappa);
    if (!rules)
      return rules.takeError();
    a.options.assignment.kappas = std::move(*rules);
  }
  if (!flags.anneal.empty()) {
    auto steps = parseAnneal(flags.anneal);
    if (!steps)
      return steps.takeError();
    a.options.assignment.anneal = std::move(*steps);
  }
  if (!parsePins(flags.pins, a.options))
    return refuse("pin-layers", flags.pins, "FIRST,LAST");
  if (flags.outer != "mean" && flags.outer != "nesterov")
    return refuse("outer", flags.outer, "mean or nesterov");
  a.options.outer.nesterov = flags.outer == "nesterov";
  if (Error error = interpretObjective(flags, a))
    return error;
  auto precision = flags.precision.parse();
  if (!precision)
    return precision.takeError();
  a.options.precision = *precision;
  a.compiler.f64 = flags.precision.isF64();
  if (flags.transport != "local" && flags.transport != "mpi")
    return refuse("transport", flags.transport, "local or mpi");
  double number;
  if (flags.gain != "none" && flags.gain != "learned" && flags.gain != "s*" &&
      StringRef(flags.gain).getAsDouble(number))
    return refuse("gain", flags.gain, "none, learned, s* or a number");
  if (flags.gainStart != "s*" && StringRef(flags.gainStart).getAsDouble(number))
    return refuse("gain-start", flags.gainStart, "a number or s*");
  bool needsMoments = flags.gain == "s*" ||
                      (flags.gain == "learned" && flags.gainStart == "s*");
  if (needsMoments == flags.calibration.empty())
    return createStringError("--calibration and gains of s* need each other");
  if ((a.options.mode == Mode::Fixed) == flags.ticket.empty())
    return createStringError("--ticket and --mode fixed need each other");
  return Error::success();
}

bool TrainArguments::parse(int argc, char **argv) {
  auto flags = std::make_unique<Flags>();
  cl::HideUnrelatedOptions(flags->category);
  cl::ParseCommandLineOptions(
      argc, argv, "Trains subnetworks of a model in parallel (TwIST)\n");
  const Flags &f = *flags;
  model = f.model;
  output = f.output;
  data.assign(f.data.begin(), f.data.end());
  tokenizer = f.tokenizer;
  valid = f.valid;
  validBatches = std::max<int64_t>(f.validBatches, 0);
  ticket = f.ticket;
  compiler = f.trained.options();
  compiler.kinds.assign(f.kinds.begin(), f.kinds.end());
  transport = f.transport;
  gain = f.gain;
  gainStart = f.gainStart;
  calibration = f.calibration;
  teacher = f.teacher;
  tickets = std::max<int64_t>(f.tickets, 0);
  threads = f.threads;
  checkpointEvery = std::max<int64_t>(f.checkpointEvery, 1);
  startFrom = f.startFrom;
  resume = f.resume;
  otherMachine = f.otherMachine;
  quiet = f.quiet;
  dryRun = f.dryRun;
  feed.maskToken = f.maskToken;
  feed.context = f.context;
  feed.batch = f.batch;

  TrainOptions &o = options;
  o.assignment.workers = f.workers;
  o.assignment.seed = f.seed;
  o.assignment.dealing = f.dealing;
  o.assignment.anyKappa.assign(f.anyKappa.begin(), f.anyKappa.end());
  o.group = f.group;
  o.rounds = f.rounds;
  o.localSteps = f.localSteps;
  o.batch = f.batch;
  o.context = f.context;
  o.loss.labelSmoothing = f.smoothing;
  o.loss.ignoreIndex = Data::kIgnored;
  o.optimiser = f.optimiser;
  o.scalars.learningRate = f.rate;
  o.scalars.weightDecay = f.weightDecay;
  o.scalars.clipNorm = f.clip;
  o.scalars.beta1 = f.beta1;
  o.scalars.beta2 = f.beta2;
  o.scalars.momentum = f.momentum;
  o.scalars.dropout = f.dropout;
  o.schedule.warmup = f.warmup;
  o.schedule.decay = f.decay;
  o.outer.rate = f.outerRate;
  o.outer.momentum = f.outerMomentum;
  o.threads = f.threads;
  o.concurrent = f.concurrent > 0
                     ? int64_t(f.concurrent)
                     : hardware_concurrency().compute_thread_count();
  if (Error error = interpret(f, *this)) {
    fail(std::move(error));
    return false;
  }
  ticketKappas = o.assignment.anyKappa;
  if (!o.assignment.anneal.empty())
    ticketKappas = {o.assignment.anneal.back().kappa};
  if (ticketKappas.empty()) {
    // Tickets have one kappa for all axes: the first general rule's.
    ticketKappas = {0.5};
    for (const KappaRule &rule : o.assignment.kappas)
      if (rule.kind.empty())
        ticketKappas = {rule.kappa};
  }
  llvm::erase(ticketKappas, 1.0); // the dense model
  return true;
}

StepCompilerOptions TrainArguments::compilerOptions() const {
  StepCompilerOptions made = compiler;
  made.gains = gain == "none"      ? GainKind::None
               : gain == "learned" ? GainKind::Learned
                                   : GainKind::Constant;
  made.dropout = options.scalars.dropout > 0;
  return made;
}

Expected<TrainOptions>
TrainArguments::trainOptions(const ModelLayout &layout) const {
  TrainOptions result = options;
  double number;
  if (!calibration.empty()) {
    auto spreads = measuredSpreads(calibration, layout, options.group);
    if (!spreads)
      return spreads.takeError();
    result.spreads = std::move(*spreads);
  } else if (gain != "none") {
    StringRef start = gain == "learned" ? gainStart : gain;
    (void)start.getAsDouble(number);
    result.gains.assign(layout.axes.size(), number);
  }
  if (ticket.empty())
    return result;
  ToolContext context;
  mlir::FailureOr<Ticket> read = readTicket(ticket, &context);
  if (failed(read))
    return createStringError(ticket + ": cannot be used");
  Expected<Masks> masks = masksOf(*read, layout);
  if (!masks)
    return masks.takeError();
  result.fixed = std::move(*masks);
  return result;
}

DataOptions TrainArguments::dataOptions(const ModelLayout &layout,
                                        const TrainOptions &o) const {
  DataOptions result = feed;
  result.files = data;
  result.tokenizer = tokenizer;
  result.vocabulary = layout.tokens();
  result.workers = o.assignment.workers;
  result.seed = o.assignment.seed;
  return result;
}

DataOptions TrainArguments::validOptions(const ModelLayout &layout,
                                         const TrainOptions &o) const {
  DataOptions result = dataOptions(layout, o);
  result.files = {valid};
  result.workers = 1;
  result.inOrder = true;
  result.limit = validBatches * result.batch;
  return result;
}

DrawOptions TrainArguments::drawOptions(const TrainOptions &o) const {
  DrawOptions draw;
  draw.kappas = ticketKappas;
  draw.count = tickets;
  draw.policy.kinds = compiler.kinds;
  draw.policy.group = o.group;
  draw.policy.pinFirst = o.pinFirst;
  draw.policy.pinLast = o.pinLast;
  draw.policy.seed = o.assignment.seed + 1000; // not those of training
  draw.state = compiler.state;
  return draw;
}
