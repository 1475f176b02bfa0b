//===- Staged.h - A model in pieces, one ticket after the other -*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
// The model as a row of programs that end where the sites begin. What sites
// multiply with are inputs, so every ticket and every correction runs on the
// same programs, and each site is measured on data that those before it have
// cut and corrected, in one pass.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_PRUNE_STAGED_H
#define TWIST_PRUNE_STAGED_H

#include "twist/Prune/Correction.h"
#include "twist/Prune/Evaluate.h"

namespace twist::prune {

/// Where an input of a stage comes from, or an output goes to.
struct Wire {
  enum Kind {
    Input,  ///< the model's input `index`
    Value,  ///< slot `index`, kept from stage to stage
    Weight, ///< what site `index` multiplies with
    Bias,   ///< of site `index`, added to the product
    Mask,   ///< of gate `index` without a weight
    Output  ///< the model's output `index`
  };
  Kind kind = Input;
  int64_t index = 0;
};

struct Stage {
  std::shared_ptr<const twist_program> program; ///< null: nothing to do
  std::vector<Wire> inputs, outputs;
};

/// The weight of a site as the model has it.
struct Consumer {
  twist_type type = TWIST_F32;
  llvm::SmallVector<int64_t> dims;
  int64_t dim = 0;        ///< the gated one
  bool takesBias = false; ///< a product with a matrix: it can be corrected
  int64_t data = 0;       ///< slot of the data, the gated dimension last
};

/// A gate that no weight meets: one value a feature.
struct FreeGate {
  SiteAxis axis;
  llvm::SmallVector<int64_t> dims; ///< of the mask; dims[0] are the features
};

/// Stage i makes the data of site i; the last one makes the outputs.
struct StagedModel {
  std::vector<Site> sites; ///< graph order, with weights, without statistics
  std::vector<Consumer> consumers;
  std::vector<FreeGate> gates;
  std::vector<Stage> stages;
  std::vector<Port> outputs; ///< the model's, without state
  int64_t slots = 0;

  /// Bytes of what is kept between stages, at most, for so many batches.
  uint64_t activationBytes(int64_t batches) const;
};

/// Per axis, by name, one entry a unit: whether it is kept. Others are whole.
using KeptUnits = llvm::StringMap<std::vector<char>>;

/// Per feature of a site whether it is kept.
std::vector<char> keptFeatures(const Site &site, const KeptUnits &kept);

/// One pass of all data through a model, stage by stage.
class StagedRun {
public:
  StagedRun(const StagedModel &model, const Feed &feed, KeptUnits kept,
            int threads);

  /// Runs stage `site` for all batches: the data of that site are there.
  llvm::Error runTo(int64_t site);
  /// Adds the data of the site that was run to.
  llvm::Error accumulate(Site &site, Moments what = Moments::Products) const;
  /// What its consumer is from here on.
  void correct(const CorrectedSite &corrected);
  /// Runs the last stage; `take` gets the model's outputs batch by batch.
  llvm::Error
  finish(llvm::function_ref<llvm::Error(Runner &, const Batch &,
                                        llvm::ArrayRef<Array> outputs)>
             take);

private:
  llvm::Expected<Array> inputFor(Wire wire, int64_t batch,
                                 const Batch &data) const;
  llvm::Error run(int64_t stage,
                  llvm::function_ref<llvm::Error(Runner &, const Batch &,
                                                 llvm::ArrayRef<Array>)>
                      take);
  Array weightOf(int64_t site) const;
  Array biasOf(int64_t site) const;
  Array maskOf(int64_t gate) const;

  const StagedModel &model;
  const Feed &feed;
  KeptUnits kept;
  int threads;
  int64_t at = -1; ///< the stage that was run last
  std::vector<std::optional<CorrectedSite>> corrected;
  std::vector<int64_t> lastUse;           ///< per slot, a stage
  std::vector<std::vector<Array>> values; ///< [slot][batch]
};

/// Statistics of all sites of the whole model.
llvm::Error calibrate(std::vector<Site> &sites, const StagedModel &model,
                      const Feed &feed, int threads);

/// Corrects site by site, each on data already cut and corrected, and leaves
/// `run` before its last stage. `tell` hears of each. Errors: a weight that is
/// no matrix, and correctSite's.
llvm::Expected<std::vector<CorrectedSite>>
correctModel(const StagedModel &model, StagedRun &run, const KeptUnits &kept,
             CorrectionKind kind,
             llvm::function_ref<void(const Site &, llvm::ArrayRef<char> kept,
                                     const CorrectedSite &)>
                 tell);

/// How good tickets are: all on the same programs.
class TicketMeter {
public:
  /// `data` to calibrate and correct with, `report` to measure on, of the same
  /// sizes; `output` as QualityMeter has it. Runs the dense model.
  static llvm::Expected<TicketMeter>
  create(const StagedModel &model, const Feed &data, const Feed &report,
         llvm::StringRef output, int threads);
  struct Result {
    double quality = 0;
    std::vector<CorrectedSite> corrected;
  };
  llvm::Expected<Result> measure(const KeptUnits &kept, CorrectionKind kind);
  /// SparseGPT on all sites: the quality, and the part of weights that stay.
  llvm::Expected<std::pair<double, double>> measureSparse(double density);
  double dense() const { return denseQuality; }
  const QualityMeter &quality() const { return meter; }

private:
  llvm::Expected<double> finish(StagedRun &run);
  TicketMeter(const StagedModel &model, const Feed &data, const Feed &report,
              QualityMeter meter, int threads)
      : model(model), data(data), report(report), meter(std::move(meter)),
        threads(threads) {}

  const StagedModel &model;
  const Feed &data, &report;
  QualityMeter meter;
  size_t place = 0; ///< of the output
  int threads;
  double denseQuality = 0;
};

} // namespace twist::prune

#endif // TWIST_PRUNE_STAGED_H
