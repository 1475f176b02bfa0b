//===- Correction.h - What the kept units do for the removed ----*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_PRUNE_CORRECTION_H
#define TWIST_PRUNE_CORRECTION_H

#include "twist/Prune/Calibration.h"

namespace twist::prune {

/// With x the data at a site, mu and H its mean and centred Gram matrix, W the
/// weight's rows, S the kept features and R the others:
///   gain       W' = a W_S, a the least squares scale (docs/Cuts.md)
///   bias       W' = W_S, b' = mu_R W_R
///   bias+gain  W' = a W_S, b' = mu W - a mu_S W_S
///   ls         W' = (H_SS + l I)^-1 H_S: W, b' = mu W - mu_S W',
///              l = 1e-3 tr(H_SS) / |S|
///   relative   as ls, with mu and H of vectors weighted by Moments::Relative:
///              errors count as parts of what the vector sums to
enum class CorrectionKind {
  None,
  Gain,
  Bias,
  BiasGain,
  LeastSquares,
  Relative
};
/// "none, gain, …", for messages.
inline constexpr llvm::StringLiteral kCorrectionNames =
    "none, gain, bias, bias+gain, ls or relative";
std::optional<CorrectionKind> parseCorrection(llvm::StringRef name);
llvm::StringRef correctionName(CorrectionKind kind);
/// What it takes of a site; bias takes the mean alone.
Moments momentsFor(CorrectionKind kind);

/// What the sum over an axis's units at a site is like, F = Σ_u f_u, with f_u
/// the part of the site's result that k units (or groups of them) make:
///   A = E|F|²,   V = k/(k-1) (Σ_u E|f_u|² - A/k)
struct UnitMoments {
  double whole = 0, spread = 0; ///< A, V
  UnitMoments &operator+=(const UnitMoments &other) {
    whole += other.whole;
    spread += other.spread;
    return *this;
  }
  /// The scale that makes up best, in the mean over subsets, for keeping the
  /// part `kappa` of the units: A / (kappa A + (1 - kappa) V).
  double gain(double kappa) const {
    return whole / (kappa * whole + (1 - kappa) * spread);
  }
};
/// Of a site with products. `group`: units that are kept together.
UnitMoments unitMoments(const Site &site, const SiteAxis &axis,
                        int64_t group = 1);

/// What a site's consumer computes in place of W: rows of removed features are
/// as they were. `bias` is added to its result.
struct CorrectedSite {
  std::string key;
  int64_t width = 0, columns = 0;
  std::vector<double> weight; ///< [width, columns]
  std::vector<double> bias;   ///< [columns]
  double gain = 1;
};

/// `kept` has one entry a feature. `site` has momentsFor(kind). Errors: a
/// weight that is no matrix; for ls and relative fewer samples than kept
/// features, or H_SS singular.
llvm::Expected<CorrectedSite>
correctSite(const Site &site, llvm::ArrayRef<char> kept, CorrectionKind kind);

/// Of the variance that removal takes from the site's result, what is left
/// after the correction: 0 is as before the cut, 1 as without one. Without a
/// Gram matrix: not known.
std::optional<double> correctionError(const Site &site,
                                      llvm::ArrayRef<char> kept,
                                      const CorrectedSite &result);

/// A safetensors file: KEY.weight and KEY.bias of each site, f32. Returns its
/// SHA-256, hexadecimal.
llvm::Expected<std::string>
writeCorrections(llvm::StringRef path, llvm::ArrayRef<CorrectedSite> sites);

/// A tensor of a safetensors file.
struct StoredTensor {
  std::string type; ///< "F32", …
  std::vector<int64_t> shape;
  uint64_t offset = 0, bytes = 0; ///< from the file's start
};
/// The tensors by name. Errors: no such file, not safetensors, another SHA-256
/// than `sha256` (empty: any). `value`: what the metadata say of `key`; "":
/// nothing.
llvm::Expected<llvm::StringMap<StoredTensor>>
readSafetensors(llvm::StringRef path, llvm::StringRef sha256,
                llvm::StringRef key = "", std::string *value = nullptr);

} // namespace twist::prune

#endif // TWIST_PRUNE_CORRECTION_H
