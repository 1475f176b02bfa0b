//===- TestGradientRules.cpp - Rules with a mistake -----------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//
//
// For test/Integration/gradients/rules.py, which must notice each mistake.
//
//===----------------------------------------------------------------------===//

#include "twist/Differentiate/Differentiate.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace twist;

/// The rule's result times 1.5; where it says zero, the adjoint itself.
static GradientRules::ScalarRule spoil(GradientRules::ScalarRule rule) {
  return [rule](Operation *op, unsigned operand, Value adjoint,
                ImplicitLocOpBuilder &b) -> Value {
    Value part = rule(op, operand, adjoint, b);
    if (!part)
      return adjoint;
    Value factor =
        arith::ConstantOp::create(b, FloatAttr::get(part.getType(), 1.5));
    return arith::MulFOp::create(b, part, factor);
  };
}

/// The rule for twice the cotangent.
static GradientRules::TensorRule spoil(GradientRules::TensorRule rule) {
  return [rule](Operation *op, Backward &backward, const GradientRules &rules) {
    for (Value result : op->getResults())
      if (Value cotangent = backward.cotangentOf(result))
        backward.add(result, cotangent);
    return rule(op, backward, rules);
  };
}

namespace {
/// To each function with `test.rule = "NAME"` adds @F_gradient and, with a
/// mistake in that rule, @F_wrong; with `test.decompose` also @F_decomposed,
/// for which the op has no rule. `list` prints the rules' names instead.
struct TestGradientRulesPass
    : PassWrapper<TestGradientRulesPass, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(TestGradientRulesPass)
  TestGradientRulesPass() = default;
  TestGradientRulesPass(const TestGradientRulesPass &other)
      : PassWrapper(other) {}

  StringRef getArgument() const override { return "test-gradient-rules"; }
  StringRef getDescription() const override {
    return "Differentiates once with the rules and once with a mistake";
  }

  Option<bool> list{*this, "list", llvm::cl::desc("Print the rules' names")};

  void runOnOperation() override {
    GradientRules rules = GradientRules::standard();
    if (list) {
      for (StringRef name :
           llvm::concat<const StringRef>(llvm::to_vector(rules.scalar.keys()),
                                         llvm::to_vector(rules.tensor.keys())))
        llvm::outs() << "rule " << name << "\n";
      return;
    }
    for (auto function : llvm::to_vector(getOperation().getOps<func::FuncOp>()))
      if (auto name = function->getAttrOfType<StringAttr>("test.rule"))
        if (failed(addBoth(function, name, rules)) ||
            (function->hasAttr("test.decompose") &&
             failed(addDecomposed(function, name, rules))))
          return signalPassFailure();
  }

  LogicalResult addBoth(func::FuncOp function, StringRef name,
                        const GradientRules &rules) {
    GradientRequest request = GradientRequest::all(function.getFunctionType());
    GradientRules wrong = rules;
    if (auto found = wrong.scalar.find(name); found != wrong.scalar.end())
      found->second = spoil(found->second);
    if (auto found = wrong.tensor.find(name); found != wrong.tensor.end())
      found->second = spoil(found->second);
    FailureOr<func::FuncOp> spoilt = differentiate(function, request, wrong);
    if (failed(spoilt))
      return failure();
    spoilt->setName((function.getName() + "_wrong").str());
    return differentiate(function, request, rules);
  }

  LogicalResult addDecomposed(func::FuncOp function, StringRef name,
                              GradientRules rules) {
    rules.tensor.erase(name);
    FailureOr<func::FuncOp> decomposed = differentiate(
        function, GradientRequest::all(function.getFunctionType()), rules);
    if (succeeded(decomposed))
      decomposed->setName((function.getName() + "_decomposed").str());
    return decomposed;
  }
};
} // namespace

namespace twist::test {
void registerTestGradientRules() { PassRegistration<TestGradientRulesPass>(); }
} // namespace twist::test
