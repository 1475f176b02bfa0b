//===- DimensionTreesTest.cpp - Union-find with refinement ----------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Dialect/Twist/DimensionTrees.h"

#include "mlir/IR/MLIRContext.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "gtest/gtest.h"

#include <random>
#include <set>

using namespace twist::axes;
using Node = DimensionTrees::Node;
using Size = DimensionTrees::Size;

namespace {
/// The atoms of conflicts.
std::set<Node> barred(const DimensionTrees &trees) {
  std::set<Node> all;
  for (const DimensionTrees::Conflict &conflict : trees.conflicts())
    for (Node node : conflict.nodes)
      for (Node atom : trees.atoms(node))
        all.insert(atom);
  return all;
}
} // namespace

TEST(DimensionTrees, AtomsAreRefinedWhereverTheyOccur) {
  DimensionTrees t;
  Node x = t.atom(8), y = t.atom(8), two = t.atom(2), four = t.atom(4);
  t.unify(x, y);
  t.unify(t.product({two, four}), x);
  EXPECT_EQ(t.str({y, two, four}), "a2·b4 a2 b4");
}

TEST(DimensionTrees, FactorsSplitFromTheLeft) {
  DimensionTrees t;
  Node twelve = t.atom(12), two = t.atom(2), four = t.atom(4), six = t.atom(6);
  t.unify(t.product({twelve, two}), t.product({four, six}));
  EXPECT_EQ(t.str({twelve, two, four, six}), "a4·b3 c2 a4 b3·c2");
}

TEST(DimensionTrees, AConflictBarsTheMiddleOnly) {
  DimensionTrees t;
  Node head = t.atom(5), a = t.atom(2), b = t.atom(3), tail = t.atom(7);
  Node head2 = t.atom(5), c = t.atom(3), d = t.atom(2), tail2 = t.atom(7);
  t.unify(t.product({head, a, b, tail}), t.product({head2, c, d, tail2}));
  t.settle();
  EXPECT_EQ(t.find(head), t.find(head2));
  EXPECT_EQ(t.find(tail), t.find(tail2));
  EXPECT_EQ(barred(t), std::set<Node>({a, b, c, d}));
}

TEST(DimensionTrees, BoundariesOfConcatenationsMerge) {
  DimensionTrees t;
  Node x = t.atom(12);
  t.unify(x, t.concat({t.atom(4), t.atom(8)}));
  t.unify(x, t.concat({t.atom(6), t.atom(6)}));
  EXPECT_EQ(t.str({x}), "(a4|b2|c6)");
}

TEST(DimensionTrees, ABoundaryCutsAProduct) {
  DimensionTrees t;
  Node x = t.product({t.atom(3), t.atom(4)});
  t.unify(x, t.concat({t.atom(8), t.atom(4)}));
  EXPECT_EQ(t.str({x}), "(a2|1)·b4");

  // Inside a row too: then every row has that boundary.
  Node y = t.product({t.atom(3), t.atom(4)}), left = t.atom(6);
  t.unify(y, t.concat({left, t.atom(6)}));
  EXPECT_EQ(t.str({y, left}), "(1|1|1)·(a2|b2) (a2|b2|a2)");
  EXPECT_TRUE(t.conflicts().empty());
}

TEST(DimensionTrees, HalvesThatSwapAreOneAtom) {
  // rotate-half: concat(b, a) meets concat(a, b).
  DimensionTrees t;
  Node a = t.atom(4), b = t.atom(4), x = t.concat({a, b});
  Node w = t.product({t.atom(3), x});
  t.unify(t.concat({b, a}), x);
  EXPECT_EQ(t.str({x}), "(a4|a4)");
  auto places = t.places(w);
  ASSERT_EQ(places.size(), 2u);
  EXPECT_EQ(places[1].second, (Place{0, 6, 4, 1}));
}

TEST(DimensionTrees, AStepPicksFromPairs) {
  // x[0::2]: whole = pairs · 2, and of the 2 the first.
  DimensionTrees t;
  Node whole = t.atom(8), part = t.atom(4), phase = t.atom(2);
  t.unify(whole, t.product({part, phase}));
  t.unify(phase, t.concat({t.atom(1), t.atom(1)}));
  EXPECT_EQ(t.str({whole, part}), "a4·(1|1) a4");
  EXPECT_EQ(t.places(whole)[0].second, (Place{0, 1, 4, 2}));
}

TEST(DimensionTrees, SymbolicSizesDivide) {
  mlir::MLIRContext context;
  auto name = [&](const char *text) {
    return Size::atom(mlir::StringAttr::get(&context, text));
  };
  DimensionTrees t;
  Node batch = t.atom(name("batch")), seq = t.atom(name("seq"));
  Node rows = t.atom(name("batch") * name("seq") * Size(4)), heads = t.atom(4);
  t.unify(rows, t.product({batch, heads, seq}));
  ASSERT_EQ(t.atoms(rows).size(), 3u);
  EXPECT_EQ(t.atoms(rows)[1], t.find(heads));
  Place place = t.places(rows)[1].second;
  EXPECT_EQ(place.units, 4);
  EXPECT_FALSE(place.isStatic());
  EXPECT_EQ(place.offset, 0);
}

TEST(DimensionTrees, DifferentSizesConflict) {
  DimensionTrees t;
  Node a = t.atom(3), b = t.atom(4);
  t.unify(a, b, 7);
  ASSERT_EQ(t.conflicts().size(), 1u);
  EXPECT_EQ(t.conflicts()[0].tag, 7u);
}

namespace {
/// Equations over one pool of atoms: reshapes and concatenations of 24 and 12.
struct Shuffled {
  DimensionTrees trees;
  std::vector<Node> roots;

  Shuffled(unsigned equations, unsigned order) {
    std::mt19937 random(equations);
    std::vector<std::pair<Node, Node>> list;
    for (int i = 0; i < 6; ++i)
      roots.push_back(trees.atom(i % 2 ? 24 : 12));
    for (int i = 0; i < 7; ++i) {
      Node root = roots[random() % roots.size()];
      list.push_back({root, tree(*trees.size(root).constant(), random)});
      roots.push_back(list.back().second);
      Node other = roots[random() % 6];
      if (trees.size(other) == trees.size(root))
        list.push_back({root, other});
    }
    std::shuffle(list.begin(), list.end(), std::mt19937(order));
    for (auto [a, b] : list)
      trees.unify(a, b);
    trees.settle();
  }

  Node tree(int64_t size, std::mt19937 &random) {
    static const int64_t outer[] = {2, 3, 4};
    int64_t first = outer[random() % 3];
    if (random() % 2)
      return trees.product({trees.atom(first), trees.atom(size / first)});
    return trees.concat(
        {trees.atom(size / first), trees.atom(size - size / first)});
  }

  /// For each root its atoms as places, barred ones hidden.
  std::string str() const {
    std::set<Node> bars = barred(trees);
    std::string text;
    std::map<Node, unsigned> letters;
    for (Node root : roots) {
      std::set<std::tuple<int64_t, int64_t, int64_t, int64_t, unsigned>> all;
      for (auto &[atom, place] : trees.places(root))
        if (!bars.count(atom)) {
          unsigned letter =
              letters.insert({atom, letters.size()}).first->second;
          all.insert(
              {place.offset, place.outer, place.units, place.inner, letter});
        }
      for (auto [offset, outer, units, inner, letter] : all)
        text += llvm::formatv("{0}+{1}x{2}x{3}={4} ", offset, outer, units,
                              inner, letter);
      text += "; ";
    }
    return text;
  }
};
} // namespace

TEST(DimensionTrees, TheOrderDoesNotMatter) {
  unsigned interesting = 0;
  for (unsigned equations = 0; equations < 200; ++equations) {
    std::string first = Shuffled(equations, 0).str();
    interesting += first.find('=') != std::string::npos;
    for (unsigned order = 1; order < 12; ++order)
      EXPECT_EQ(Shuffled(equations, order).str(), first)
          << "equations " << equations << ", order " << order;
  }
  EXPECT_GT(interesting, 50u);
}
