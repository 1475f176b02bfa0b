//===- DFLReport.cpp - twist dfl report -----------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "DFLModel.h"
#include "Measure.h"

#include "twist/DFL/Report.h"
#include "twist/Support/OutputFile.h"

#include "llvm/Support/CommandLine.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;
using namespace twist;
using namespace twist::tools;

int twist::tools::dflReportMain(int argc, char **argv) {
  cl::OptionCategory category("Options of twist dfl report");
  cl::opt<std::string> run(cl::Positional, cl::Required, cl::desc("RUN"),
                           cl::cat(category));
  cl::opt<std::string> folder("o", cl::value_desc("FOLDER"), cl::cat(category),
                              cl::desc("Where report.html, .csv and .svg go "
                                       "(default: RUN/report)"));
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(argc, argv, "Shows what a sweep found\n");

  auto files = dfl::makeReport(run);
  if (!files)
    return fail(files.takeError());
  SmallString<256> where(folder.getValue());
  if (where.empty()) {
    where = run.getValue();
    sys::path::append(where, "report");
  }
  if (std::error_code code = sys::fs::create_directories(where))
    return fail(createStringError(where + ": " + code.message()));
  for (const dfl::ReportFile &file : *files) {
    SmallString<256> path(where);
    sys::path::append(path, file.name);
    if (Error error = writeFile(path, file.contents))
      return fail(std::move(error));
  }
  outs() << files->size() << " files in " << where << "\n";
  return 0;
}
