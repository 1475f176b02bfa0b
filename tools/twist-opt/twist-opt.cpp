//===- twist-opt.cpp - Runs passes on IR ------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Pipeline/InitAll.h"

#include "mlir/IR/DialectRegistry.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  twist::registerAllDialects(registry);
  twist::registerAllPasses();
  return mlir::failed(
      mlir::MlirOptMain(argc, argv, "TwIST optimiser driver\n", registry));
}
