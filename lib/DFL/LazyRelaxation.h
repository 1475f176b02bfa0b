//===- LazyRelaxation.h - A relaxation made when asked for ------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_DFL_LAZYRELAXATION_H
#define TWIST_LIB_DFL_LAZYRELAXATION_H

#include "twist/DFL/Relaxation.h"

#include <mutex>

namespace twist::dfl {

/// Most problems are never asked for their relaxation, which may be large: it
/// is made the first time, by any thread, or fails each time alike.
class LazyRelaxation {
public:
  llvm::Expected<const Relaxation *>
  get(llvm::function_ref<llvm::Expected<std::unique_ptr<Relaxation>>()> make)
      const {
    std::call_once(once, [&] {
      if (auto result = make())
        relaxation = std::move(*result);
      else
        wrong = llvm::toString(result.takeError());
    });
    if (relaxation)
      return relaxation.get();
    return llvm::createStringError(wrong);
  }

private:
  mutable std::once_flag once;
  mutable std::unique_ptr<Relaxation> relaxation;
  mutable std::string wrong;
};

} // namespace twist::dfl

#endif // TWIST_LIB_DFL_LAZYRELAXATION_H
