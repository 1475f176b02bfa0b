//===- DenseModel.h - Small predictors as ONNX files ------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_PIPELINE_DENSEMODEL_H
#define TWIST_PIPELINE_DENSEMODEL_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/Support/Error.h"

#include <cstdint>

namespace twist {

/// Writes a model "x" [rows, widths.front()] -> "cost" [rows, widths.back()] of
/// dense layers with biases, Relu between them, all weights 0: two widths are a
/// linear model.
llvm::Error writeDenseModel(llvm::ArrayRef<int64_t> widths,
                            llvm::StringRef path);

} // namespace twist

#endif // TWIST_PIPELINE_DENSEMODEL_H
