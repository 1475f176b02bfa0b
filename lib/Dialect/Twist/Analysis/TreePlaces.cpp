//===- TreePlaces.cpp - What lies where in a dimension tree ---------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Dialect/Twist/DimensionTrees.h"

#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;
using namespace twist::axes;
using mlir::ShapedType;

using Node = DimensionTrees::Node;
using Size = DimensionTrees::Size;

bool Place::isStatic() const {
  return !ShapedType::isDynamic(outer) && !ShapedType::isDynamic(inner);
}

static int64_t valueOf(const Size &size) {
  return size.constant().value_or(ShapedType::kDynamic);
}

/// offset + u·inner for the first unit of one run of units.
using Blocks = SmallVector<int64_t>;

/// Joins runs that follow one another without a gap, and equal distances.
static void appendPlaces(Node atom, int64_t units, int64_t inner,
                         Blocks &offsets,
                         std::vector<std::pair<Node, Place>> &places) {
  llvm::sort(offsets);
  for (size_t i = 0, e = offsets.size(); i < e;) {
    Place place{offsets[i], 1, units, inner};
    for (++i; i < e && offsets[i] == place.offset + place.outer * units * inner;
         ++i)
      ++place.outer;
    places.push_back({atom, place});
  }
}

namespace {
/// Walks a tree of constant size and collects where each atom's runs start.
struct BlockWalk {
  const DimensionTrees &trees;
  function_ref<void(Node, SmallVectorImpl<Node> &)> childrenOf;
  /// By atom and by the width of a unit.
  MapVector<std::pair<Node, int64_t>, Blocks> blocks;

  /// False if parts do not multiply to what they make: a size overflowed.
  bool walk(Node node, const Blocks &starts, int64_t inner) {
    node = trees.find(node);
    int64_t size = *trees.size(node).constant();
    if (size == 0 || size == 1)
      return true;
    if (size < 0)
      return false;
    SmallVector<Node> children;
    childrenOf(node, children);
    switch (trees.form(node)) {
    case DimensionTrees::Form::Atom: {
      Blocks &all = blocks[{node, inner}];
      all.append(starts.begin(), starts.end());
      return true;
    }
    case DimensionTrees::Form::Concat: {
      int64_t offset = 0;
      for (Node child : children) {
        Blocks shifted(starts);
        for (int64_t &start : shifted)
          start += offset * inner;
        if (!walk(child, shifted, inner))
          return false;
        offset += *trees.size(child).constant();
      }
      return offset == size;
    }
    case DimensionTrees::Form::Product: {
      Blocks repeated(starts);
      int64_t stride = size * inner;
      for (Node child : children) {
        int64_t count = *trees.size(child).constant();
        if (count < 1 || stride % count)
          return false;
        stride /= count;
        if (!walk(child, repeated, stride))
          return false;
        Blocks next;
        next.reserve(repeated.size() * count);
        for (int64_t start : repeated)
          for (int64_t i = 0; i < count; ++i)
            next.push_back(start + i * stride);
        repeated = std::move(next);
      }
      return stride == inner;
    }
    }
    llvm_unreachable("a form of trees");
  }
};
} // namespace

std::vector<std::pair<Node, Place>> DimensionTrees::places(Node root) const {
  std::vector<std::pair<Node, Place>> found;
  auto childrenOf = [&](Node node, SmallVectorImpl<Node> &children) {
    if (form(node) == Form::Atom)
      return;
    List list;
    flatten(node, form(node), list);
    children.append(list);
  };
  // Longer ones are no weights: nothing can be cut inside them.
  constexpr int64_t most = int64_t(1) << 28;
  if (std::optional<int64_t> count = size(root).constant();
      count && *count <= most) {
    BlockWalk walk{*this, childrenOf, {}};
    if (!walk.walk(root, {0}, 1))
      return found;
    for (auto &[key, offsets] : walk.blocks)
      appendPlaces(key.first, *size(key.first).constant(), key.second, offsets,
                   found);
    return found;
  }
  // Symbolic: factors of the outermost product only.
  List factors;
  flatten(root, Form::Product, factors);
  Size outer(1);
  for (auto [i, factor] : enumerate(factors)) {
    Size inner(1);
    for (Node other : ArrayRef(factors).drop_front(i + 1))
      inner = inner * size(other);
    if (form(factor) == Form::Atom && !isUnit(factor))
      found.push_back({factor, Place{0, valueOf(outer), valueOf(size(factor)),
                                     valueOf(inner)}});
    outer = outer * size(factor);
  }
  return found;
}

static void
collect(const DimensionTrees &trees, Node node, std::string path, bool inConcat,
        function_ref<void(Node, SmallVectorImpl<Node> &)> childrenOf,
        std::vector<DimensionTrees::Occurrence> &found) {
  node = trees.find(node);
  if (trees.size(node).isConstant(1))
    return;
  if (trees.form(node) == DimensionTrees::Form::Atom) {
    found.push_back({node, std::move(path), inConcat});
    return;
  }
  bool isConcat = trees.form(node) == DimensionTrees::Form::Concat;
  SmallVector<Node> children;
  childrenOf(node, children);
  for (auto [i, child] : enumerate(children)) {
    std::string step = (isConcat ? "c" : "") + std::to_string(i);
    collect(trees, child, path.empty() ? step : path + ":" + step,
            inConcat || isConcat, childrenOf, found);
  }
}

std::vector<DimensionTrees::Occurrence>
DimensionTrees::occurrences(Node root) const {
  std::vector<Occurrence> found;
  collect(
      *this, root, "", false,
      [&](Node node, SmallVectorImpl<Node> &children) {
        List list;
        flatten(node, form(node), list);
        children.append(list);
      },
      found);
  return found;
}

SmallVector<Node> DimensionTrees::atoms(Node root) const {
  SmallVector<Node> unique;
  for (const Occurrence &occurrence : occurrences(root))
    if (!is_contained(unique, occurrence.atom))
      unique.push_back(occurrence.atom);
  return unique;
}

std::string DimensionTrees::str(ArrayRef<Node> roots) const {
  std::string text;
  raw_string_ostream os(text);
  MapVector<Node, unsigned> letters;
  std::function<void(Node, bool)> print = [&](Node node, bool nested) {
    node = find(node);
    if (form(node) == Form::Atom) {
      if (!isUnit(node)) {
        unsigned letter =
            letters.insert({node, (unsigned)letters.size()}).first->second;
        for (; letter >= 26; letter /= 26)
          os << char('a' + letter % 26);
        os << char('a' + letter);
      }
      os << size(node);
      return;
    }
    bool isConcat = form(node) == Form::Concat;
    List parts;
    flatten(node, form(node), parts);
    if (parts.empty())
      os << "1";
    bool brackets = isConcat || nested;
    os << (brackets ? "(" : "");
    interleave(
        parts, [&](Node part) { print(part, !isConcat); },
        [&] { os << (isConcat ? "|" : "·"); });
    os << (brackets ? ")" : "");
  };
  interleave(roots, [&](Node root) { print(root, false); }, [&] { os << ' '; });
  return text;
}
