//===- EinsumEquation.cpp - The language of Einsum ------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Dialect/ONNX/EinsumEquation.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

using namespace twist::onnx;
using llvm::StringRef;

/// Letters and at most one ellipsis, which becomes kDots.
static std::optional<std::string> parseTerm(StringRef text) {
  std::string term;
  while (!text.empty()) {
    if (text.consume_front("...")) {
      if (EinsumEquation::hasDots(term))
        return std::nullopt;
      term.push_back(EinsumEquation::kDots);
      continue;
    }
    if (!llvm::isAlpha(text.front()))
      return std::nullopt;
    term.push_back(text.front());
    text = text.drop_front();
  }
  return term;
}

std::optional<EinsumEquation> EinsumEquation::parse(StringRef text) {
  std::string plain = text.str();
  llvm::erase(plain, ' ');
  size_t arrow = plain.find("->");
  EinsumEquation equation;
  llvm::SmallVector<StringRef> terms;
  StringRef(plain).take_front(arrow).split(terms, ',');
  std::string all;
  for (StringRef part : terms) {
    std::optional<std::string> term = parseTerm(part);
    if (!term)
      return std::nullopt;
    all += *term;
    equation.inputs.push_back(std::move(*term));
  }
  if (arrow == std::string::npos) {
    llvm::sort(all);
    if (hasDots(all))
      equation.output.push_back(kDots);
    llvm::copy_if(all, std::back_inserter(equation.output), [&](char c) {
      return c != kDots && llvm::count(all, c) == 1;
    });
    return equation;
  }
  std::optional<std::string> output =
      parseTerm(StringRef(plain).drop_front(arrow + 2));
  if (!output || llvm::any_of(*output, [&](char c) {
        return llvm::count(*output, c) > 1 ||
               (c != kDots && all.find(c) == std::string::npos);
      }))
    return std::nullopt;
  equation.output = std::move(*output);
  return equation;
}
