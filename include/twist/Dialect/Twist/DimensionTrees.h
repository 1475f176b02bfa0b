//===- DimensionTrees.h - Union-find with refinement ------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_DIALECT_TWIST_DIMENSIONTREES_H
#define TWIST_DIALECT_TWIST_DIMENSIONTREES_H

#include "twist/Dialect/ONNX/SymbolicShapes.h"
#include "twist/Dialect/Twist/AxisAnalysis.h"

namespace twist::axes {

/// Trees that say of what a dimension is made:
///
///   tree := atom | product(outer … inner) | concat(first … last)
///
/// Trees share nodes, and nodes form a union-find: `unify` states that two
/// dimensions are cut alike. An atom that meets a product or a concatenation
/// becomes it, in place, wherever it occurs (refinement). Two products are
/// zipped from the left, then from the right; boundaries of two concatenations
/// are merged; product(concat(a, b), r) is concat(product(a, r),
/// product(b, r)). What still disagrees is a conflict, on the nodes involved
/// only. After `settle` the classes do not depend on the order of `unify`.
class DimensionTrees {
public:
  using Node = unsigned;
  using Size = onnx::SizeExpr;
  enum class Form { Atom, Product, Concat };

  Node atom(Size size);
  /// Outer to inner; factors of size 1 vanish.
  Node product(llvm::ArrayRef<Node> factors);
  Node concat(llvm::ArrayRef<Node> segments);

  /// States that `a` and `b` are one. `tag` comes back with its conflicts.
  void unify(Node a, Node b, unsigned tag = 0);

  /// Unifies the pairs that disagreed once more, now that all is refined, until
  /// nothing changes. To be called once, after the last `unify`.
  void settle();

  /// Groups of nodes that disagree.
  struct Conflict {
    llvm::SmallVector<Node> nodes;
    unsigned tag;
  };
  llvm::ArrayRef<Conflict> conflicts() const { return disagreements; }

  Node find(Node node) const;
  Form form(Node node) const { return data[find(node)].form; }
  const Size &size(Node node) const { return data[find(node)].size; }
  unsigned numNodes() const { return data.size(); }

  /// An atom where it occurs in a tree.
  struct Occurrence {
    Node atom;
    /// Steps from the root: "c1" a segment, "0" a factor, joined by ':'.
    std::string path;
    bool inConcat;
  };
  /// Every occurrence of an atom of size > 1, outer to inner, first to last.
  std::vector<Occurrence> occurrences(Node root) const;

  /// The atoms of size > 1, each once.
  llvm::SmallVector<Node> atoms(Node root) const;

  /// Where each atom's units lie; sorted by atom's first occurrence, then
  /// offset. In a tree of symbolic size see `Place`.
  std::vector<std::pair<Node, Place>> places(Node root) const;

  /// The trees with a letter for each atom in order of appearance:
  /// "(a12·b64 | a12·c64)", separated by spaces.
  std::string str(llvm::ArrayRef<Node> roots) const;

private:
  struct Data {
    mutable Node parent;
    Form form;
    Size size;
    llvm::SmallVector<Node, 2> children;
  };
  using List = llvm::SmallVector<Node>;

  bool isUnit(Node node) const { return size(node).isConstant(1); }
  Node add(Form form, Size size, llvm::ArrayRef<Node> children);
  void refine(Node atom, Form form, llvm::ArrayRef<Node> children);
  void link(Node from, Node to);
  void flatten(Node node, Form form, List &list) const;
  /// Whether `part` is somewhere below `tree`.
  bool holds(Node tree, Node part) const;
  bool unifyNodes(Node a, Node b);
  void retryDisputed();
  bool zip(List a, List b);
  bool peel(List &a, List &b, bool left);
  bool merge(List a, List b);
  bool mergeStep(List &a, List &b);
  std::optional<std::pair<Node, Node>> takeFront(Node node, Size front);
  std::optional<std::pair<Node, Node>>
  takeFrontOfProduct(Node outer, Node inner, Size front);
  bool conflict(llvm::ArrayRef<Node> a, llvm::ArrayRef<Node> b);

  std::vector<Data> data;
  std::vector<Conflict> disagreements;
  struct Equation {
    Node a, b;
    unsigned tag;
  };
  std::vector<Equation> disputed;
  unsigned currentTag = 0;
};

} // namespace twist::axes

#endif // TWIST_DIALECT_TWIST_DIMENSIONTREES_H
