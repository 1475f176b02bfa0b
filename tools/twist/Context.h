//===- Context.h - What subcommands have in common --------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_TOOLS_TWIST_CONTEXT_H
#define TWIST_TOOLS_TWIST_CONTEXT_H

#include "mlir/IR/MLIRContext.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/JSON.h"

namespace twist::tools {

/// A context that knows every dialect and pass, and prints diagnostics as
/// `FILE: error: …` and `error: node 'NAME': …`.
struct ToolContext : mlir::MLIRContext {
  ToolContext();
};

/// An option with its text and what it is if not given.
template <typename T> struct ValueOption : llvm::cl::opt<T> {
  ValueOption(llvm::cl::OptionCategory &category, llvm::StringRef name,
              llvm::StringRef about, T value)
      : llvm::cl::opt<T>(name, llvm::cl::desc(about), llvm::cl::cat(category),
                         llvm::cl::init(value)) {}
};

/// `--NAME A,B`.
struct ListOption : llvm::cl::list<std::string> {
  ListOption(llvm::cl::OptionCategory &category, llvm::StringRef name,
             llvm::StringRef about)
      : llvm::cl::list<std::string>(name, llvm::cl::desc(about),
                                    llvm::cl::CommaSeparated,
                                    llvm::cl::cat(category)) {}
};

/// `--state past.*=present.*`: the inputs and outputs that hold state.
struct StateOption : llvm::cl::list<std::string> {
  explicit StateOption(llvm::cl::OptionCategory &category);
};

/// `--dim NAME=SIZE,…`: sizes of symbolic dimensions.
struct DimOption : llvm::cl::list<std::string> {
  explicit DimOption(llvm::cl::OptionCategory &category);

  /// Appends to `sizes`; prints what is wrong and returns false where an
  /// argument is no name and positive size.
  bool parse(std::vector<std::pair<std::string, int64_t>> &sizes) const;
};

/// `--json`: one JSON value on standard output in place of tables.
struct JSONOption : ValueOption<bool> {
  explicit JSONOption(llvm::cl::OptionCategory &category)
      : ValueOption(category, "json", "Print JSON in place of tables", false) {}
};

/// Prints what `--json` asks for.
void printJSON(llvm::json::Value value);

/// 1234567 as "1,234,567".
std::string grouped(int64_t number);

} // namespace twist::tools

#endif // TWIST_TOOLS_TWIST_CONTEXT_H
