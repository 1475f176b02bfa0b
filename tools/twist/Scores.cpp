//===- Scores.cpp - What commands take policies' scores from --------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "DFLModel.h"
#include "PolicyArguments.h"

#include "twist/Dialect/Twist/Transforms/Fingerprint.h"
#include "twist/Pipeline/Step.h"
#include "twist/Pipeline/Widths.h"
#include "twist/Proof/Proof.h"
#include "twist/Train/Fisher.h"

#include "llvm/Support/Format.h"

using namespace mlir;
using namespace twist;
using namespace twist::tools;

/// A finished calibration of this very model.
static FailureOr<prune::Calibration> readCalibration(ModuleOp module,
                                                     TicketPolicy policy,
                                                     StringRef path,
                                                     Location loc) {
  if (path.empty())
    return emitError(loc) << "the policy " << policyName(policy)
                          << " needs --calibration CAL (twist calibrate)";
  llvm::Expected<prune::Calibration> read = prune::Calibration::read(path);
  if (!read)
    return emitError(loc) << toString(read.takeError());
  Ticket stamp;
  axes::stampModel(module, stamp);
  if (read->structureSHA256 != stamp.structureSHA256 ||
      read->weightsSHA256 != stamp.weightsSHA256)
    return emitError(loc) << path << " is a calibration of another model";
  if (!read->isComplete())
    return emitError(loc) << path << " is unfinished: " << read->done << " of "
                          << read->batches
                          << " batches; the same twist calibrate goes on";
  return std::move(*read);
}

FailureOr<std::shared_ptr<const prune::Calibration>>
twist::tools::calibrationFor(ModuleOp module, TicketPolicy policy,
                             StringRef path, Location loc) {
  using Shared = std::shared_ptr<const prune::Calibration>;
  if (!needsCalibration(policy) && !path.empty())
    return emitError(loc) << "the policy " << policyName(policy)
                          << " takes no --calibration";
  if (!needsCalibration(policy))
    return Shared();
  auto read = readCalibration(module, policy, path, loc);
  if (failed(read))
    return failure();
  return Shared(std::make_shared<prune::Calibration>(std::move(*read)));
}

/// The scores of the policy fisher.
static FailureOr<std::shared_ptr<const llvm::StringMap<std::vector<double>>>>
fisherScores(const ChoiceContext &context, const PolicyOptions &policy,
             const DataArguments &data, StringRef output) {
  auto wrong = [&](llvm::Error error) {
    return emitError(context.loc) << toString(std::move(error));
  };
  StepCompilerOptions options;
  options.gains = GainKind::Constant;
  options.kinds = policy.kinds;
  options.state = context.state;
  auto compiler = makeStepCompiler(context.path, options);
  if (!compiler)
    return wrong(compiler.takeError());
  prune::FeedOptions feed = data.options();
  feed.tables = proof::lookupTables(context.module);
  auto fisher =
      train::GateFisher::create(**compiler, feed, output, data.threads);
  if (!fisher)
    return wrong(fisher.takeError());
  llvm::outs() << llvm::format(
      "fisher     gradients of %lld windows of %s, %.1f MB\n",
      (long long)fisher->windows(),
      fisher->isLoss() ? "the cross entropy" : "random directions",
      double(fisher->bytes()) / 1e6);
  llvm::outs().flush();
  Progress progress("fisher", fisher->windows());
  auto scores = fisher->run([&](int64_t done) { progress.at(done); });
  if (!scores)
    return wrong(scores.takeError());
  return std::shared_ptr<const llvm::StringMap<std::vector<double>>>(
      std::make_shared<llvm::StringMap<std::vector<double>>>(
          std::move(*scores)));
}

/// Runs the model on the features of all rows' widths.
static FailureOr<std::vector<std::vector<double>>>
predictLosses(PredictorSource &source,
              ArrayRef<std::vector<std::vector<double>>> features,
              Location loc) {
  std::vector<double> flat;
  for (const auto &table : features)
    for (const std::vector<double> &row : table)
      llvm::append_range(flat, row);
  auto width = int64_t(widthFeatureNames().size());
  std::vector<double> losses(flat.size() / width);
  auto predictor = source.make(width, 1);
  if (!predictor)
    return emitError(loc) << toString(predictor.takeError());
  if ((*predictor)->features() != width || (*predictor)->outputs() != 1)
    return emitError(loc) << "the value model takes "
                          << (*predictor)->features() << " features and gives "
                          << (*predictor)->outputs() << " values: widths have "
                          << width
                          << " features, and one loss (twist dfl widths)";
  if (llvm::Error error =
          (*predictor)
              ->forward(int64_t(losses.size()), flat.data(), losses.data()))
    return emitError(loc) << toString(std::move(error));
  std::vector<std::vector<double>> byRow;
  size_t at = 0;
  for (const auto &table : features) {
    byRow.emplace_back(losses.begin() + at, losses.begin() + at + table.size());
    at += table.size();
  }
  for (double loss : losses)
    if (!std::isfinite(loss))
      return emitError(loc) << "the value model predicts a loss that is not "
                               "finite";
  return byRow;
}

/// The losses of widths that a model of `twist dfl widths` predicts.
static FailureOr<WidthLosses>
valueModelLosses(StringRef path, TicketPolicy policy,
                 std::shared_ptr<const prune::Calibration> calibration,
                 const ChoiceContext &context) {
  if (policy != TicketPolicy::Obs)
    return emitError(context.loc)
           << "--value-model predicts what widths lose under the policy obs, "
              "not "
           << policyName(policy);
  auto source = std::make_shared<PredictorSource>(path.str(), /*rows=*/256);
  return WidthLosses(
      [source, calibration, obs = context.scores, loc = context.loc](
          ArrayRef<WidthRow> rows,
          int64_t allowed) -> FailureOr<std::vector<std::vector<double>>> {
        auto features = widthFeatures(rows, allowed, *calibration, obs, loc);
        if (failed(features))
          return failure();
        return predictLosses(*source, *features, loc);
      });
}

LogicalResult
twist::tools::fillScores(ChoiceContext &context, const Choice &choice,
                         const PolicyArguments &policy,
                         std::shared_ptr<const prune::Calibration> calibration,
                         const DataArguments &data, StringRef output) {
  DataScores source{calibration, {}};
  TicketPolicy chosen = choice.options.policy;
  if (needsGradients(chosen)) {
    auto fisher = fisherScores(context, choice.options, data, output);
    if (failed(fisher))
      return failure();
    source.fisher = *fisher;
  }
  auto scores =
      unitScores(context.module, chosen, context.state, source, context.loc);
  if (failed(scores))
    return failure();
  context.scores = std::move(*scores);
  if (policy.valueModel.empty() || choice.drawsWidths)
    return success();
  auto losses =
      valueModelLosses(policy.valueModel, chosen, calibration, context);
  if (failed(losses))
    return failure();
  context.losses = std::move(*losses);
  return success();
}
