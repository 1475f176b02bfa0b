//===- Diagnostics.cpp - How errors look to a user ------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Diagnostics.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Location.h"
#include "mlir/IR/MLIRContext.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;

static StringRef severity(DiagnosticSeverity severity) {
  switch (severity) {
  case DiagnosticSeverity::Error:
    return "error: ";
  case DiagnosticSeverity::Warning:
    return "warning: ";
  case DiagnosticSeverity::Note:
    return "note: ";
  case DiagnosticSeverity::Remark:
    return "";
  }
  return "";
}

static void print(Diagnostic &diagnostic) {
  llvm::raw_ostream &os = llvm::errs();
  Location loc = diagnostic.getLocation();
  auto file = dyn_cast<FileLineColLoc>(loc);
  if (file) {
    os << file.getFilename().getValue();
    if (file.getLine())
      os << ":" << file.getLine();
    os << ": ";
  }
  os << severity(diagnostic.getSeverity());
  if (auto name = dyn_cast<NameLoc>(loc))
    os << "node '" << name.getName().getValue() << "': ";
  os << diagnostic << "\n";
}

void twist::tools::printDiagnostics(MLIRContext &context) {
  context.getDiagEngine().registerHandler([](Diagnostic &diagnostic) {
    print(diagnostic);
    for (Diagnostic &note : diagnostic.getNotes())
      // Dumps of IR are for developers.
      if (!StringRef(note.str()).starts_with("see current operation"))
        print(note);
    return success();
  });
}
