//===- Protocol.cpp - What perplexity is measured on ----------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Text/Protocol.h"

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/raw_ostream.h"

std::string twist::text::WindowProtocol::describe() const {
  std::string text;
  llvm::raw_string_ostream os(text);
  os << "data       " << files << "\ntokenizer  " << tokenizer;
  if (!hash.empty())
    os << ", " << llvm::StringRef(hash).take_front(16) << "...";
  os << "\nwindows    " << windows << " of " << length << " tokens, "
     << (oneARow ? "one a row" : "not overlapping, the rest dropped")
     << "; the data hold " << tokens << " tokens\n";
  return text;
}
