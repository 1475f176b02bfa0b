//===- DimensionTrees.cpp - Union-find with refinement --------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Dialect/Twist/DimensionTrees.h"

#include "llvm/ADT/EquivalenceClasses.h"
#include "llvm/ADT/STLExtras.h"

#include <numeric>

using namespace llvm;
using namespace twist::axes;

using Node = DimensionTrees::Node;
using Size = DimensionTrees::Size;

//===----------------------------------------------------------------------===//
// Nodes
//===----------------------------------------------------------------------===//

Node DimensionTrees::add(Form form, Size size, ArrayRef<Node> children) {
  Node node = data.size();
  data.push_back({node, form, std::move(size),
                  SmallVector<Node, 2>(children.begin(), children.end())});
  return node;
}

Node DimensionTrees::atom(Size size) {
  return add(Form::Atom, std::move(size), {});
}

Node DimensionTrees::product(ArrayRef<Node> factors) {
  Size total(1);
  List kept;
  for (Node factor : factors) {
    if (isUnit(factor))
      continue;
    total = total * size(factor);
    kept.push_back(factor);
  }
  return kept.size() == 1 ? kept[0] : add(Form::Product, total, kept);
}

Node DimensionTrees::concat(ArrayRef<Node> segments) {
  if (segments.size() == 1)
    return segments[0];
  Size total(0);
  for (Node segment : segments)
    total = total + size(segment);
  return add(Form::Concat, total, segments);
}

Node DimensionTrees::find(Node node) const {
  while (data[node].parent != node) {
    data[node].parent = data[data[node].parent].parent;
    node = data[node].parent;
  }
  return node;
}

void DimensionTrees::refine(Node atom, Form form, ArrayRef<Node> children) {
  Data &entry = data[find(atom)];
  entry.form = form;
  entry.children.assign(children.begin(), children.end());
}

void DimensionTrees::link(Node from, Node to) {
  from = find(from);
  to = find(to);
  if (from == to)
    return;
  data[from].parent = to;
}

/// Appends the parts of `node` with nested nodes of the same form opened.
void DimensionTrees::flatten(Node node, Form form, List &list) const {
  node = find(node);
  if (data[node].form != form) {
    list.push_back(node);
    return;
  }
  for (Node child : data[node].children)
    flatten(child, form, list);
}

bool DimensionTrees::holds(Node tree, Node part) const {
  return llvm::any_of(data[find(tree)].children, [&](Node child) {
    return find(child) == find(part) || holds(child, part);
  });
}

//===----------------------------------------------------------------------===//
// Unification
//===----------------------------------------------------------------------===//

void DimensionTrees::unify(Node a, Node b, unsigned tag) {
  currentTag = tag;
  unifyNodes(a, b);
}

void DimensionTrees::settle() {
  List known(data.size());
  std::iota(known.begin(), known.end(), 0);
  // A retry makes nodes of its own: what counts is what became of the others.
  for (std::string before; !disputed.empty();) {
    disagreements.clear();
    retryDisputed();
    std::string after = str(known);
    if (after == before)
      return;
    before = std::move(after);
  }
}

/// Nodes that should be one but are not, each with each: which of them met
/// first must not matter.
void DimensionTrees::retryDisputed() {
  llvm::EquivalenceClasses<Node> groups;
  std::vector<Equation> retry;
  for (const Equation &equation : disputed)
    groups.unionSets(find(equation.a), find(equation.b));
  for (const Equation &equation : disputed) {
    Node leader = groups.getLeaderValue(find(equation.a));
    if (llvm::any_of(retry,
                     [&](const Equation &other) { return other.a == leader; }))
      continue;
    retry.push_back({leader, leader, equation.tag});
  }
  disputed.clear();
  for (const Equation &group : retry) {
    currentTag = group.tag;
    List members(groups.findLeader(group.a), groups.member_end());
    llvm::sort(members);
    for (size_t i = 0; i < members.size(); ++i)
      for (size_t j = i + 1; j < members.size(); ++j)
        unifyNodes(members[i], members[j]);
  }
}

bool DimensionTrees::conflict(ArrayRef<Node> a, ArrayRef<Node> b) {
  Conflict found{{}, currentTag};
  found.nodes.append(a.begin(), a.end());
  found.nodes.append(b.begin(), b.end());
  disagreements.push_back(std::move(found));
  return false;
}

/// Returns whether the two agree in all; a conflict leaves the rest unified.
bool DimensionTrees::unifyNodes(Node a, Node b) {
  a = find(a);
  b = find(b);
  if (a == b)
    return true;
  if (!(size(a) == size(b))) {
    disputed.push_back({a, b, currentTag});
    return conflict(a, b);
  }
  if (form(a) == Form::Atom || form(b) == Form::Atom) {
    bool aIsAtom = form(a) == Form::Atom;
    // Of a size like 0, a part can be as large as the whole.
    if (holds(aIsAtom ? b : a, aIsAtom ? a : b))
      return conflict(a, b);
    link(aIsAtom ? a : b, aIsAtom ? b : a);
    return true;
  }
  List partsOfA, partsOfB;
  bool agree;
  if (form(a) == Form::Product && form(b) == Form::Product) {
    flatten(a, Form::Product, partsOfA);
    flatten(b, Form::Product, partsOfB);
    agree = zip(partsOfA, partsOfB);
  } else {
    flatten(a, Form::Concat, partsOfA);
    flatten(b, Form::Concat, partsOfB);
    agree = merge(partsOfA, partsOfB);
  }
  // A product stands for both: its places need no enumeration.
  if (agree)
    link(form(b) == Form::Product ? a : b, form(b) == Form::Product ? b : a);
  else
    disputed.push_back({a, b, currentTag});
  return agree;
}

/// Two products of equal size: from the left, then from the right, so that a
/// conflict keeps to the middle.
bool DimensionTrees::zip(List a, List b) {
  bool agree = peel(a, b, /*left=*/true);
  agree &= peel(a, b, /*left=*/false);
  if (a.empty() && b.empty())
    return agree;
  return conflict(a, b);
}

/// Unifies factors from one end while sizes are equal or divide each other.
bool DimensionTrees::peel(List &a, List &b, bool left) {
  auto pop = [&](List &list) {
    Node node = left ? list.front() : list.back();
    list.erase(left ? list.begin() : std::prev(list.end()));
    return node;
  };
  // `whole` (just popped) is `part` and a rest, which goes back to the list.
  auto split = [&](List &list, Node whole, Node part, Size restSize) {
    Node rest = atom(std::move(restSize));
    Node halves[2] = {left ? part : rest, left ? rest : part};
    list.insert(left ? list.begin() : list.end(), rest);
    return unifyNodes(whole, product(halves));
  };
  auto open = [&](List &list) {
    List flat;
    for (Node node : list)
      flatten(node, Form::Product, flat);
    list = std::move(flat);
  };

  bool agree = true;
  for (open(a), open(b); !a.empty() && !b.empty(); open(a), open(b)) {
    Node x = left ? a.front() : a.back(), y = left ? b.front() : b.back();
    std::optional<Size> quotient;
    if (find(x) == find(y) || size(x) == size(y)) {
      agree &= unifyNodes(pop(a), pop(b));
    } else if ((quotient = size(x).exactDiv(size(y)))) {
      pop(a), pop(b);
      agree &= split(a, x, y, *quotient);
    } else if ((quotient = size(y).exactDiv(size(x)))) {
      pop(a), pop(b);
      agree &= split(b, y, x, *quotient);
    } else {
      break;
    }
  }
  return agree;
}

/// Cuts `node` into its first `front` units and the others; 0 < front < size.
/// None where symbolic sizes leave it open.
std::optional<std::pair<Node, Node>> DimensionTrees::takeFront(Node node,
                                                               Size front) {
  node = find(node);
  if (form(node) == Form::Atom) {
    Node halves[2] = {atom(front), atom(size(node) - front)};
    refine(node, Form::Concat, halves);
    return std::make_pair(halves[0], halves[1]);
  }
  List parts;
  flatten(node, form(node), parts);
  ArrayRef<Node> others = ArrayRef(parts).drop_front();
  if (form(node) == Form::Product)
    return takeFrontOfProduct(parts[0], product(others), std::move(front));
  if (size(parts[0]) == front)
    return std::make_pair(parts[0], concat(others));
  if (size(parts[0]).compareLess(front) == true) {
    Node rest = concat(others);
    auto halves = takeFront(rest, front - size(parts[0]));
    if (!halves)
      return std::nullopt;
    return std::make_pair(concat({parts[0], halves->first}), halves->second);
  }
  if (front.compareLess(size(parts[0])) != true)
    return std::nullopt;
  auto halves = takeFront(parts[0], front);
  if (!halves)
    return std::nullopt;
  List rest = {halves->second};
  rest.append(others.begin(), others.end());
  return std::make_pair(halves->first, concat(rest));
}

/// product(outer, inner), after q of the outer units and r of the inner ones:
///
///   outer[0, q)·inner | inner[0, r)   and   inner[r, …) | outer[q + 1,
///   …)·inner
///
/// where the middle is there only if r is not 0.
std::optional<std::pair<Node, Node>>
DimensionTrees::takeFrontOfProduct(Node outer, Node inner, Size front) {
  if (std::optional<Size> whole = front.exactDiv(size(inner))) {
    auto halves = takeFront(outer, *whole);
    if (!halves)
      return std::nullopt;
    return std::make_pair(product({halves->first, inner}),
                          product({halves->second, inner}));
  }
  std::optional<int64_t> units = front.constant(),
                         width = size(inner).constant(),
                         count = size(outer).constant();
  if (!units || !width || !count)
    return std::nullopt;
  int64_t before = *units / *width, after = *count - before - 1;
  List first, second;
  if (before > 0) {
    auto halves = takeFront(outer, before);
    if (!halves)
      return std::nullopt;
    first.push_back(product({halves->first, inner}));
    outer = halves->second;
  }
  auto cut = takeFront(inner, *units % *width);
  if (!cut)
    return std::nullopt;
  first.push_back(cut->first);
  second.push_back(cut->second);
  if (after > 0) {
    auto halves = takeFront(outer, 1);
    if (!halves)
      return std::nullopt;
    second.push_back(product({halves->second, inner}));
  }
  return std::make_pair(concat(first), concat(second));
}

/// Two lists of segments of equal total size, one after another.
bool DimensionTrees::merge(List a, List b) {
  bool agree = true;
  while (!a.empty() && !b.empty())
    agree &= mergeStep(a, b);
  return agree;
}

/// Unifies the first segments of both up to their first common boundary.
bool DimensionTrees::mergeStep(List &a, List &b) {
  List groupA = {a.front()}, groupB = {b.front()};
  a.erase(a.begin());
  b.erase(b.begin());
  Node x = groupA[0], y = groupB[0];
  if (size(x) == size(y))
    return unifyNodes(x, y);
  if (size(y).compareLess(size(x)) == true) {
    if (auto halves = takeFront(x, size(y))) {
      a.insert(a.begin(), halves->second);
      return unifyNodes(halves->first, y);
    }
  } else if (size(x).compareLess(size(y)) == true) {
    if (auto halves = takeFront(y, size(x))) {
      b.insert(b.begin(), halves->second);
      return unifyNodes(halves->first, x);
    }
  }
  // No way to cut: all up to the next boundary both have disagrees.
  Size sumA = size(x), sumB = size(y);
  while (!(sumA == sumB)) {
    bool growA = sumA.compareLess(sumB) != false;
    List &from = growA ? a : b;
    if (from.empty()) {
      groupA.append(a), groupB.append(b);
      a.clear(), b.clear();
      break;
    }
    Node next = from.front();
    from.erase(from.begin());
    (growA ? groupA : groupB).push_back(next);
    (growA ? sumA : sumB) = (growA ? sumA : sumB) + size(next);
  }
  return conflict(groupA, groupB);
}
