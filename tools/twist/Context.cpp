//===- Context.cpp - What subcommands have in common ----------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Context.h"

#include "twist/Pipeline/InitAll.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Location.h"
#include "llvm/Support/FormatVariadic.h"
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

static void printWithNotes(Diagnostic &diagnostic) {
  print(diagnostic);
  for (Diagnostic &note : diagnostic.getNotes())
    // Dumps of IR are for developers.
    if (!StringRef(note.str()).starts_with("see current operation"))
      print(note);
}

static DialectRegistry everyDialect() {
  DialectRegistry registry;
  twist::registerAllDialects(registry);
  twist::registerAllPasses();
  return registry;
}

twist::tools::ToolContext::ToolContext() : MLIRContext(everyDialect()) {
  getDiagEngine().registerHandler([](Diagnostic &diagnostic) {
    printWithNotes(diagnostic);
    return success();
  });
}

twist::tools::StateOption::StateOption(llvm::cl::OptionCategory &category)
    : llvm::cl::list<std::string>(
          "state", llvm::cl::CommaSeparated,
          llvm::cl::value_desc("past.*=present.*"),
          llvm::cl::desc("Inputs and outputs that hold state"),
          llvm::cl::cat(category)) {}

twist::tools::DimOption::DimOption(llvm::cl::OptionCategory &category)
    : llvm::cl::list<std::string>(
          "dim", llvm::cl::CommaSeparated, llvm::cl::value_desc("NAME=SIZE"),
          llvm::cl::desc("Sizes of symbolic dimensions"),
          llvm::cl::cat(category)) {}

bool twist::tools::DimOption::parse(
    std::vector<std::pair<std::string, int64_t>> &sizes) const {
  for (StringRef argument : *this) {
    auto [name, text] = argument.rsplit('=');
    int64_t size;
    if (name.empty() || text.getAsInteger(10, size) || size < 1) {
      llvm::errs() << "error: '--dim " << argument
                   << "' is not NAME=SIZE with a positive size\n";
      return false;
    }
    sizes.emplace_back(name.str(), size);
  }
  return true;
}

void twist::tools::printJSON(llvm::json::Value value) {
  llvm::outs() << llvm::formatv("{0:2}\n", value);
}

std::string twist::tools::grouped(int64_t number) {
  std::string text = std::to_string(number);
  for (int64_t at = int64_t(text.size()) - 3; at > 0; at -= 3)
    text.insert(at, ",");
  return text;
}
