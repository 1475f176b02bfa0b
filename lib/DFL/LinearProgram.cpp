//===- LinearProgram.cpp - Any linear or integer programme ----------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/DFL/LinearProgram.h"

#include "LazyRelaxation.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"

#include <cstdlib>
#include <dlfcn.h>

using namespace llvm;
using namespace twist::dfl;

namespace {
/// What is used of HiGHS's C interface (its integers have 32 bits).
struct Library {
  void *(*create)();
  void (*destroy)(void *);
  int (*readModel)(void *, const char *);
  int (*getNumCol)(const void *);
  int (*getNumRow)(const void *);
  int (*getObjectiveSense)(const void *, int *);
  int (*changeColsCostByRange)(void *, int, int, const double *);
  int (*setBoolOptionValue)(void *, const char *, int);
  int (*setIntOptionValue)(void *, const char *, int);
  int (*clearSolver)(void *);
  int (*run)(void *);
  int (*getModelStatus)(const void *);
  int (*getSolution)(const void *, double *, double *, double *, double *);
  int (*getNumNz)(const void *);
  int (*getHessianNumNz)(const void *);
  int (*getLp)(const void *, int format, int *columns, int *rows, int *entries,
               int *sense, double *offset, double *cost, double *lower,
               double *upper, double *rowLower, double *rowUpper, int *starts,
               int *indices, double *values, int *integrality);

  /// Loaded once; never closed, for its threads may be there.
  static Expected<const Library *> get();

private:
  std::string load();
};

/// Values of its model status.
enum Status { Optimal = 7, Infeasible = 8, UnboundedOrInfeasible, Unbounded };
/// Objective sense and the value of functions that found nothing wrong.
constexpr int kMaximise = -1, kOk = 0;
/// The format of matrices row by row; columns that are 0 or within their
/// bounds, and such whole ones.
constexpr int kRows = 2, kSemiContinuous = 2, kSemiInteger = 3;

/// One model in HiGHS's memory.
struct Model {
  explicit Model(const Library &library)
      : library(library), handle(library.create()) {
    library.setBoolOptionValue(handle, "output_flag", 0);
    library.setIntOptionValue(handle, "threads", 1);
  }
  ~Model() { library.destroy(handle); }
  Model(const Model &) = delete;
  Model &operator=(const Model &) = delete;

  const Library &library;
  void *handle;
};

class LinearProgram final : public Problem {
public:
  LinearProgram(const Library &library, std::string path, Sense sense,
                int64_t columns, int64_t rows)
      : Problem(sense, columns), library(library), path(std::move(path)),
        rows(rows) {}
  std::string describe() const override {
    return formatv("programme '{0}' of {1} columns and {2} rows", path, size(),
                   rows);
  }
  Error maximise(int64_t count, const double *gains,
                 double *decisions) const override;
  /// Of columns that are whole, without that.
  Expected<const Relaxation *> relaxation() const override {
    return lazy.get([this] { return relax(); });
  }

private:
  Expected<std::unique_ptr<Relaxation>> relax() const;
  Error solve(Model &model, int64_t instance, const double *costs,
              double *decision) const;

  const Library &library;
  std::string path;
  int64_t rows;
  LazyRelaxation lazy;
};
} // namespace

/// What is wrong, or nothing.
std::string Library::load() {
  const char *named = std::getenv("TWIST_HIGHS");
  void *handle = dlopen(named ? named : "libhighs.so", RTLD_NOW | RTLD_LOCAL);
  if (!handle)
    return std::string("HiGHS cannot be loaded: ") + dlerror() +
           "; TWIST_HIGHS names its library, libhighs.so (the Python package "
           "highsbox has one)";
  std::string missing;
  auto find = [&](const char *name, auto &function) {
    void *symbol = dlsym(handle, name);
    function = reinterpret_cast<std::decay_t<decltype(function)>>(symbol);
    if (!symbol)
      missing = std::string("HiGHS has no function '") + name + "'";
  };
  find("Highs_create", create);
  find("Highs_destroy", destroy);
  find("Highs_readModel", readModel);
  find("Highs_getNumCol", getNumCol);
  find("Highs_getNumRow", getNumRow);
  find("Highs_getObjectiveSense", getObjectiveSense);
  find("Highs_changeColsCostByRange", changeColsCostByRange);
  find("Highs_setBoolOptionValue", setBoolOptionValue);
  find("Highs_setIntOptionValue", setIntOptionValue);
  find("Highs_clearSolver", clearSolver);
  find("Highs_run", run);
  find("Highs_getModelStatus", getModelStatus);
  find("Highs_getSolution", getSolution);
  find("Highs_getNumNz", getNumNz);
  find("Highs_getHessianNumNz", getHessianNumNz);
  find("Highs_getLp", getLp);
  return missing;
}

Expected<const Library *> Library::get() {
  static Library library;
  static const std::string problem = library.load();
  if (!problem.empty())
    return createStringError(problem);
  return &library;
}

Error LinearProgram::solve(Model &model, int64_t instance, const double *costs,
                           double *decision) const {
  auto wrong = [&](const Twine &what) {
    return make_error<InstanceError>(
        instance, (" of a " + describe() + ": " + what).str());
  };
  // From nothing: no decision depends on the instances before.
  library.clearSolver(model.handle);
  library.changeColsCostByRange(model.handle, 0, int(size()) - 1, costs);
  library.run(model.handle);
  switch (library.getModelStatus(model.handle)) {
  case Optimal:
    break;
  case Infeasible:
    return wrong("is infeasible");
  case Unbounded:
    return wrong("is unbounded");
  case UnboundedOrInfeasible:
    return wrong("is infeasible or unbounded");
  default:
    return wrong("HiGHS ends before an optimum is found");
  }
  std::vector<double> dual(size()), activity(rows), price(rows);
  library.getSolution(model.handle, decision, dual.data(), activity.data(),
                      price.data());
  return Error::success();
}

Error LinearProgram::maximise(int64_t count, const double *gains,
                              double *decisions) const {
  Model model(library);
  if (library.readModel(model.handle, path.c_str()) != kOk)
    return createStringError("'" + path + "' can no longer be read");
  std::vector<double> costs(size());
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t k = 0; k < size(); ++k)
      costs[k] = sign() * gains[i * size() + k];
    if (Error error = solve(model, i, costs.data(), decisions + i * size()))
      return error;
  }
  return Error::success();
}

Expected<std::unique_ptr<Relaxation>> LinearProgram::relax() const {
  Model model(library);
  if (library.readModel(model.handle, path.c_str()) != kOk)
    return createStringError("'" + path + "' can no longer be read");
  size_t n = size_t(size()), m = size_t(rows),
         entries = size_t(library.getNumNz(model.handle));
  LinearConstraints found;
  found.lower.resize(n);
  found.upper.resize(n);
  found.rowLower.resize(m);
  found.rowUpper.resize(m);
  found.values.resize(entries);
  std::vector<int> starts(m + 1), indices(entries), integrality(n);
  std::vector<double> costs(n);
  int columns, rowCount, entryCount, sense;
  double offset;
  library.getLp(model.handle, kRows, &columns, &rowCount, &entryCount, &sense,
                &offset, costs.data(), found.lower.data(), found.upper.data(),
                found.rowLower.data(), found.rowUpper.data(), starts.data(),
                indices.data(), found.values.data(), integrality.data());
  for (size_t j = 0; j < n; ++j)
    if (integrality[j] == kSemiContinuous || integrality[j] == kSemiInteger)
      return createStringError(
          formatv("'{0}': column {1} is 0 or within bounds, which has no "
                  "linear relaxation here",
                  path, j)
              .str());
  starts[m] = int(entries);
  found.starts.assign(starts.begin(), starts.end());
  found.indices.assign(indices.begin(), indices.end());
  auto made = makeLinearRelaxation(found);
  if (!made)
    return createStringError("'" + path + "': " + toString(made.takeError()));
  return made;
}

Expected<std::unique_ptr<Problem>>
twist::dfl::makeLinearProgram(StringRef path) {
  auto library = Library::get();
  if (!library)
    return library.takeError();
  if (!sys::fs::exists(path))
    return createStringError("'" + path + "': no such file");
  Model model(**library);
  int status = (*library)->readModel(model.handle, path.str().c_str());
  int columns = (*library)->getNumCol(model.handle), sense = 0;
  if (status != kOk || columns < 1)
    return createStringError("'" + path +
                             "' is no programme that HiGHS reads (.mps, .lp)");
  if ((*library)->getHessianNumNz(model.handle) > 0)
    return createStringError("'" + path +
                             "' has a quadratic objective; costs are linear");
  (*library)->getObjectiveSense(model.handle, &sense);
  return std::make_unique<LinearProgram>(
      **library, path.str(),
      sense == kMaximise ? Sense::Maximise : Sense::Minimise, columns,
      (*library)->getNumRow(model.handle));
}
