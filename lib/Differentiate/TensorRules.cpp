//===- TensorRules.cpp - Gradients of what moves elements -----------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Rules.h"

#include "twist/Dialect/NN/NN.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace twist;

Value twist::zerosOf(OpBuilder &b, Location loc, ArrayRef<OpFoldResult> sizes,
                     Type element) {
  Value empty = tensor::EmptyOp::create(b, loc, sizes, element);
  Value zero = arith::ConstantOp::create(b, loc, FloatAttr::get(element, 0));
  return linalg::FillOp::create(b, loc, zero, empty).getResult(0);
}

Value twist::zerosLike(OpBuilder &b, Location loc, Value like) {
  Type element = cast<RankedTensorType>(like.getType()).getElementType();
  Value zeros = zerosOf(b, loc, tensor::getMixedSizes(b, loc, like), element);
  return zeros.getType() == like.getType()
             ? zeros
             : tensor::CastOp::create(b, loc, like.getType(), zeros);
}

Value twist::sumOf(OpBuilder &b, Location loc, Value x, Value into) {
  int64_t rank = cast<RankedTensorType>(x.getType()).getRank();
  AffineMap id = AffineMap::getMultiDimIdentityMap(rank, b.getContext());
  SmallVector<utils::IteratorType> parallel(rank,
                                            utils::IteratorType::parallel);
  return linalg::GenericOp::create(
             b, loc, x.getType(), x, into, {id, id}, parallel,
             [](OpBuilder &b, Location loc, ValueRange args) {
               linalg::YieldOp::create(
                   b, loc,
                   arith::AddFOp::create(b, loc, args[1], args[0]).getResult());
             })
      .getResult(0);
}

/// Adds a rule for `OpTy`; `pull(op, cotangent, backward)` has the only
/// result's cotangent.
template <typename OpTy, typename Pull>
static void addRule(GradientRules &rules, Pull pull) {
  rules.tensor[OpTy::getOperationName()] =
      [pull](Operation *op, Backward &backward, const GradientRules &) {
        pull(cast<OpTy>(op), backward.cotangentOf(op->getResult(0)), backward);
        return success();
      };
}

static void addReshapes(GradientRules &rules) {
  addRule<tensor::CastOp>(rules, [](tensor::CastOp op, Value g, Backward &to) {
    to.add(op.getSource(), tensor::CastOp::create(to.builder, op.getLoc(),
                                                  op.getSource().getType(), g));
  });
  addRule<tensor::ExpandShapeOp>(
      rules, [](tensor::ExpandShapeOp op, Value g, Backward &to) {
        to.add(op.getSrc(), tensor::CollapseShapeOp::create(
                                to.builder, op.getLoc(), op.getSrcType(), g,
                                op.getReassociationIndices()));
      });
  addRule<tensor::CollapseShapeOp>(
      rules, [](tensor::CollapseShapeOp op, Value g, Backward &to) {
        SmallVector<OpFoldResult> sizes =
            tensor::getMixedSizes(to.builder, op.getLoc(), op.getSrc());
        to.add(op.getSrc(), tensor::ExpandShapeOp::create(
                                to.builder, op.getLoc(), op.getSrcType(), g,
                                op.getReassociationIndices(), sizes));
      });
}

static void addSlices(GradientRules &rules) {
  addRule<tensor::ExtractSliceOp>(
      rules, [](tensor::ExtractSliceOp op, Value g, Backward &to) {
        OpBuilder &b = to.builder;
        Location loc = op.getLoc();
        // What arrived already is added to in place.
        Value whole = to.take(op.getSource());
        if (whole)
          g = sumOf(b, loc, g,
                    tensor::ExtractSliceOp::create(
                        b, loc, op.getType(), whole, op.getMixedOffsets(),
                        op.getMixedSizes(), op.getMixedStrides()));
        else
          whole = zerosLike(b, loc, op.getSource());
        to.add(op.getSource(), tensor::InsertSliceOp::create(
                                   b, loc, g, whole, op.getMixedOffsets(),
                                   op.getMixedSizes(), op.getMixedStrides()));
      });
  addRule<tensor::InsertSliceOp>(
      rules, [](tensor::InsertSliceOp op, Value g, Backward &to) {
        OpBuilder &b = to.builder;
        Location loc = op.getLoc();
        if (to.isActive(op.getSource()))
          to.add(op.getSource(),
                 tensor::ExtractSliceOp::create(
                     b, loc, op.getSourceType(), g, op.getMixedOffsets(),
                     op.getMixedSizes(), op.getMixedStrides()));
        if (to.isActive(op.getDest())) {
          Value hole = zerosLike(b, loc, op.getSource());
          to.add(op.getDest(), tensor::InsertSliceOp::create(
                                   b, loc, hole, g, op.getMixedOffsets(),
                                   op.getMixedSizes(), op.getMixedStrides()));
        }
      });
}

void twist::addTensorRules(GradientRules &rules) {
  addReshapes(rules);
  addSlices(rules);
  addRule<nn::GatherOp>(rules, [](nn::GatherOp op, Value g, Backward &to) {
    Value start = to.take(op.getData());
    if (!start)
      start = zerosLike(to.builder, op.getLoc(), op.getData());
    to.add(op.getData(),
           nn::ScatterAddOp::create(to.builder, op.getLoc(), start.getType(), g,
                                    op.getIndices(), start, op.getAxisAttr())
               .getResult());
  });
  addRule<nn::ScatterAddOp>(
      rules, [](nn::ScatterAddOp op, Value g, Backward &to) {
        OpBuilder &b = to.builder;
        Location loc = op.getLoc();
        if (to.isActive(op.getInit()))
          to.add(op.getInit(), g);
        if (!to.isActive(op.getUpdates()))
          return;
        auto type = cast<RankedTensorType>(op.getUpdates().getType());
        Value empty = tensor::EmptyOp::create(
            b, loc, tensor::getMixedSizes(b, loc, op.getUpdates()),
            type.getElementType());
        if (empty.getType() != type)
          empty = tensor::CastOp::create(b, loc, type, empty);
        to.add(op.getUpdates(),
               nn::GatherOp::create(b, loc, type, g, op.getIndices(), empty,
                                    op.getAxisAttr())
                   .getResult());
      });
}
