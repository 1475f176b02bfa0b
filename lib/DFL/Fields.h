//===- Fields.h - Reading JSON objects key by key ---------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_DFL_FIELDS_H
#define TWIST_LIB_DFL_FIELDS_H

#include "llvm/ADT/StringSet.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/JSON.h"

#include <string>
#include <vector>

namespace twist::dfl {

/// Reads the fields of one object. The first thing wrong is kept and told by
/// finish(), and so is a key that nobody asked for: a misspelt option is never
/// silently a default.
class Fields {
public:
  /// `where`: "tasks[0]", the path in the file.
  Fields(const llvm::json::Value *value, std::string where);

  bool has(llvm::StringRef key) const { return object && object->get(key); }
  /// A value that may be of any kind; null if missing.
  const llvm::json::Value *raw(llvm::StringRef key);
  std::string text(llvm::StringRef key, llvm::StringRef fallback);
  double number(llvm::StringRef key, double fallback);
  int64_t whole(llvm::StringRef key, int64_t fallback, int64_t least);
  bool boolean(llvm::StringRef key, bool fallback);
  std::vector<double> numbers(llvm::StringRef key,
                              std::vector<double> fallback);
  /// The elements of an array; empty if missing.
  std::vector<const llvm::json::Value *> array(llvm::StringRef key);
  std::string path(llvm::StringRef key) const {
    return where + "." + key.str();
  }

  /// Keeps `what` as what is wrong, if nothing was.
  void wrong(llvm::StringRef key, const llvm::Twine &what);
  void require(llvm::StringRef key);
  llvm::Error finish();

private:
  const llvm::json::Object *object = nullptr;
  std::string where, problem;
  llvm::StringSet<> asked;
};

} // namespace twist::dfl

#endif // TWIST_LIB_DFL_FIELDS_H
