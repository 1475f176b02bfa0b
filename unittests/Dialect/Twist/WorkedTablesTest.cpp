//===- WorkedTablesTest.cpp - The six tables of docs/Rationale-Twist.md ---===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Dialect/Twist/DimensionTrees.h"

#include "gtest/gtest.h"

#include <map>
#include <random>

using namespace twist::axes;

namespace {
/// A hand-made graph: dimensions by name, equations between them.
class Graph {
public:
  using Node = DimensionTrees::Node;
  using Names = std::vector<std::string>;

  void dim(const std::string &name, int64_t size) {
    nodes[name] = trees.atom(size);
  }
  void same(const std::string &a, const std::string &b) {
    equations.push_back({nodes.at(a), nodes.at(b)});
  }
  /// A Reshape: both sides enumerate the same elements.
  void reshape(const Names &in, const Names &out) {
    equations.push_back({trees.product(list(in)), trees.product(list(out))});
  }
  void concat(const Names &parts, const std::string &whole) {
    equations.push_back({trees.concat(list(parts)), nodes.at(whole)});
  }

  /// Unifies in an order of its own for every seed; 0 is as written.
  void solve(unsigned seed) {
    std::vector<std::pair<Node, Node>> order = equations;
    if (seed)
      std::shuffle(order.begin(), order.end(), std::mt19937(seed));
    for (auto [a, b] : order)
      trees.unify(a, b);
    trees.settle();
  }
  /// The trees of these dimensions; letters stand for classes.
  std::string str(const Names &names) const { return trees.str(list(names)); }
  std::vector<std::pair<Node, Place>> places(const std::string &name) const {
    return trees.places(nodes.at(name));
  }
  bool hasConflicts() const { return !trees.conflicts().empty(); }

  DimensionTrees trees;

private:
  llvm::SmallVector<Node> list(const Names &names) const {
    llvm::SmallVector<Node> result;
    for (const std::string &name : names)
      result.push_back(nodes.at(name));
    return result;
  }
  std::map<std::string, Node> nodes;
  std::vector<std::pair<Node, Node>> equations;
};

/// Builds a table, and solves it as written and in 50 other orders.
template <typename Build>
void expectTrees(Build build, const Graph::Names &dims,
                 const std::string &before, const std::string &after) {
  for (unsigned seed = 0; seed <= 50; ++seed) {
    Graph graph;
    build(graph);
    EXPECT_EQ(graph.str(dims), before);
    graph.solve(seed);
    EXPECT_EQ(graph.str(dims), after) << "order " << seed;
    EXPECT_FALSE(graph.hasConflicts()) << "order " << seed;
  }
}

Place place(int64_t offset, int64_t outer, int64_t units, int64_t inner) {
  return {offset, outer, units, inner};
}
} // namespace

// y = relu(x · up + b) · down
static void plainFFN(Graph &g) {
  for (const char *d : {"up.1", "bias.0", "h", "down.0"})
    g.dim(d, 128);
  g.same("up.1", "h");
  g.same("bias.0", "h");
  g.same("h", "down.0");
}

TEST(WorkedTables, PlainFFN) {
  expectTrees(plainFFN, {"up.1", "bias.0", "h", "down.0"},
              "a128 b128 c128 d128", "a128 a128 a128 a128");
}

// One weight makes q, k and v side by side: Split, then [heads, width] each.
static void packedQKV(Graph &g) {
  for (const char *d : {"w.1", "qkv"})
    g.dim(d, 96);
  for (const char *d : {"q", "k", "v", "joined", "out.0"})
    g.dim(d, 32);
  for (const char *x : {"q", "k", "v", "ctx"}) {
    g.dim(std::string(x) + ".head", 4);
    g.dim(std::string(x) + ".width", 8);
  }
  g.same("w.1", "qkv");
  g.concat({"q", "k", "v"}, "qkv");
  for (std::string x : {"q", "k", "v"})
    g.reshape({x}, {x + ".head", x + ".width"});
  // Scores: heads are a batch, widths of q and k are summed away.
  g.same("q.head", "k.head");
  g.same("q.width", "k.width");
  g.same("q.head", "ctx.head");
  g.same("v.head", "ctx.head");
  g.same("v.width", "ctx.width");
  g.reshape({"ctx.head", "ctx.width"}, {"joined"});
  g.same("joined", "out.0");
}

TEST(WorkedTables, PackedQKV) {
  expectTrees(packedQKV, {"w.1", "q", "k", "v", "out.0"}, "a96 b32 c32 d32 e32",
              "(a4·b8|a4·b8|a4·c8) a4·b8 a4·b8 a4·c8 a4·c8");
  Graph graph;
  packedQKV(graph);
  graph.solve(0);
  auto places = graph.places("w.1");
  ASSERT_EQ(places.size(), 3u);
  // Heads lie alike in q, k and v: one place with three outer steps. Then the
  // widths of q and k, 8 heads of them, then those of v.
  EXPECT_EQ(places[0].second, place(0, 3, 4, 8));
  EXPECT_EQ(places[1].second, place(0, 8, 8, 1));
  EXPECT_EQ(places[2].second, place(64, 4, 8, 1));
}

// Two groups of keys and values; each serves two query heads.
static void groupedQueries(Graph &g) {
  g.dim("wq.1", 32), g.dim("q.head", 4), g.dim("q.width", 8);
  for (std::string x : {"k", "v"}) {
    g.dim("w" + x + ".1", 16), g.dim(x + ".group", 2), g.dim(x + ".width", 8);
    g.dim(x + ".copies", 2), g.dim(x + ".head", 4);
  }
  g.dim("out.0", 32);
  g.reshape({"wq.1"}, {"q.head", "q.width"});
  for (std::string x : {"k", "v"}) {
    g.reshape({"w" + x + ".1"}, {x + ".group", x + ".width"});
    g.reshape({x + ".group", x + ".copies"}, {x + ".head"});
    g.same("q.head", x + ".head");
  }
  g.same("q.width", "k.width");
  g.reshape({"q.head", "v.width"}, {"out.0"});
}

TEST(WorkedTables, GroupedQueries) {
  expectTrees(groupedQueries, {"wq.1", "wk.1", "wv.1", "out.0"},
              "a32 b16 c16 d32", "a2·b2·c8 a2·c8 a2·d8 a2·b2·d8");
}

// NeoX packs by head: [heads, 3 · width], then splits inside the head.
static void neoX(Graph &g) {
  g.dim("w.1", 96), g.dim("head", 4), g.dim("packed", 24);
  for (const char *d : {"q", "k", "v"})
    g.dim(d, 8);
  g.dim("out.0", 32);
  g.reshape({"w.1"}, {"head", "packed"});
  g.concat({"q", "k", "v"}, "packed");
  g.same("q", "k");
  g.reshape({"head", "v"}, {"out.0"});
}

TEST(WorkedTables, NeoX) {
  expectTrees(neoX, {"w.1", "out.0"}, "a96 b32", "a4·(b8|b8|c8) a4·c8");
  Graph graph;
  neoX(graph);
  graph.solve(0);
  auto places = graph.places("w.1");
  // Heads; then q and k of each head, 16 wide, a gap of 8 between heads.
  EXPECT_EQ(places[0].second, place(0, 1, 4, 24));
  EXPECT_EQ(places[1].second, place(0, 2, 8, 1));
  EXPECT_EQ(places[2].second, place(24, 2, 8, 1));
  EXPECT_EQ(places.size(), 9u);
}

// y = (silu(x · gate) * (x · up)) · down
static void gatedFFN(Graph &g) {
  for (const char *d : {"gate.1", "up.1", "product", "down.0"})
    g.dim(d, 172);
  g.same("gate.1", "product");
  g.same("up.1", "product");
  g.same("product", "down.0");
}

TEST(WorkedTables, GatedFFN) {
  expectTrees(gatedFFN, {"gate.1", "up.1", "down.0"}, "a172 b172 c172",
              "a172 a172 a172");
}

// x1 = x0 + conv2(relu(conv1(x0))), then a classifier on [C, 7, 7] flattened.
// The residual channels are one class through every block; inner ones are free.
static void convolutionWithResidual(Graph &g) {
  for (const char *d : {"stem.0", "x0", "conv1.1", "conv2.0", "x1"})
    g.dim(d, 16);
  for (const char *d : {"conv1.0", "h", "conv2.1"})
    g.dim(d, 32);
  g.dim("rows", 7), g.dim("columns", 7), g.dim("flat", 784), g.dim("fc.0", 784);
  g.same("stem.0", "x0");
  g.same("x0", "conv1.1");
  g.same("conv1.0", "h");
  g.same("h", "conv2.1");
  g.same("conv2.0", "x1");
  g.same("x0", "x1");
  g.reshape({"x1", "rows", "columns"}, {"flat"});
  g.same("flat", "fc.0");
}

TEST(WorkedTables, ConvolutionWithResidual) {
  expectTrees(convolutionWithResidual,
              {"stem.0", "conv1.1", "conv1.0", "conv2.1", "conv2.0", "fc.0"},
              "a16 b16 c32 d32 e16 f784", "a16 a16 b32 b32 a16 a16·c7·d7");
  Graph graph;
  convolutionWithResidual(graph);
  graph.solve(0);
  EXPECT_EQ(graph.places("fc.0")[0].second, place(0, 1, 16, 49));
}
