//===- ShortestPath.cpp - Paths through a grid ----------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/DFL/ShortestPath.h"

#include "LazyRelaxation.h"

#include "llvm/Support/FormatVariadic.h"

#include <limits>

using namespace llvm;
using namespace twist::dfl;

namespace {
struct Edge {
  int64_t from, to;
};

class ShortestPath final : public Problem {
public:
  ShortestPath(int64_t rows, int64_t columns, std::vector<Edge> edges)
      : Problem(Sense::Minimise, int64_t(edges.size())), rows(rows),
        columns(columns), edges(std::move(edges)) {}

  std::string describe() const override {
    return formatv("shortest path on a grid of {0} by {1}", rows, columns);
  }
  Error maximise(int64_t count, const double *gains,
                 double *decisions) const override;
  Expected<const Relaxation *> relaxation() const override {
    return lazy.get([this] { return makeLinearRelaxation(flow()); });
  }

private:
  LinearConstraints flow() const;

  int64_t rows, columns;
  std::vector<Edge> edges; ///< each behind all that lead to its `from`
  LazyRelaxation lazy;
};
} // namespace

/// What leaves a node less what enters: 1 at the first, 0 elsewhere; the last
/// node's row follows from the others.
LinearConstraints ShortestPath::flow() const {
  auto nodes = size_t(rows * columns - 1);
  LinearConstraints flow;
  flow.lower.assign(edges.size(), 0.0);
  flow.upper.assign(edges.size(), std::numeric_limits<double>::infinity());
  flow.rowLower.assign(nodes, 0.0);
  flow.rowLower[0] = 1;
  flow.rowUpper = flow.rowLower;
  std::vector<std::vector<std::pair<int64_t, double>>> entries(nodes + 1);
  for (size_t e = 0; e < edges.size(); ++e) {
    entries[edges[e].from].push_back({int64_t(e), 1});
    entries[edges[e].to].push_back({int64_t(e), -1});
  }
  entries.pop_back();
  for (const auto &row : entries) {
    flow.starts.push_back(int64_t(flow.values.size()));
    for (auto [column, value] : row) {
      flow.indices.push_back(column);
      flow.values.push_back(value);
    }
  }
  flow.starts.push_back(int64_t(flow.values.size()));
  return flow;
}

/// Longest paths by gain: an edge is asked for when all paths to its start are
/// known. Of equal paths the first found stays.
Error ShortestPath::maximise(int64_t count, const double *gains,
                             double *decisions) const {
  std::vector<double> best(size_t(rows * columns));
  std::vector<int64_t> by(best.size());
  for (int64_t i = 0; i < count; ++i) {
    const double *gain = gains + i * size();
    double *decision = decisions + i * size();
    std::fill(best.begin(), best.end(),
              -std::numeric_limits<double>::infinity());
    best[0] = 0;
    for (int64_t e = 0; e < size(); ++e) {
      decision[e] = 0;
      double through = best[edges[e].from] + gain[e];
      if (through > best[edges[e].to]) {
        best[edges[e].to] = through;
        by[edges[e].to] = e;
      }
    }
    for (int64_t node = rows * columns - 1; node > 0;
         node = edges[by[node]].from)
      decision[by[node]] = 1;
  }
  return Error::success();
}

Expected<std::unique_ptr<Problem>>
twist::dfl::makeShortestPath(int64_t rows, int64_t columns) {
  if (rows < 1 || columns < 1 || rows * columns < 2 || rows > 4096 ||
      columns > 4096)
    return createStringError(
        formatv("a grid of {0} by {1} has no path", rows, columns).str());
  // Row by row the edges within it, then those to the next: nodes of one row
  // are reached before their edges down are asked for.
  std::vector<Edge> edges;
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t column = 0; column + 1 < columns; ++column)
      edges.push_back({row * columns + column, row * columns + column + 1});
    for (int64_t column = 0; column < columns && row + 1 < rows; ++column)
      edges.push_back({row * columns + column, (row + 1) * columns + column});
  }
  return std::make_unique<ShortestPath>(rows, columns, std::move(edges));
}
