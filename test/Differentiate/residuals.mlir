// What is kept between the parts, and what is computed again.
// RUN: twist-opt %s --twist-differentiate="split function=attention" --canonicalize --cse 2>/dev/null | FileCheck %s --check-prefix=SPLIT
// RUN: twist-opt %s --twist-differentiate="split function=attention report recompute=attention" -o /dev/null 2>&1 | FileCheck %s --check-prefix=AGAIN
// RUN: twist-opt %s --twist-differentiate="function=attention recompute=attention" --canonicalize --cse | FileCheck %s --check-prefix=ONE
// RUN: twist-opt %s --twist-differentiate="split function=chain recompute=elementwise report" --canonicalize --cse 2>&1 | FileCheck %s --check-prefix=CHAIN
// RUN: twist-opt %s --twist-differentiate="split function=chain report" -o /dev/null 2>&1 | FileCheck %s --check-prefix=KEEP
// RUN: not twist-opt %s --twist-differentiate="recompute=all" 2>&1 | FileCheck %s --check-prefix=ERROR
// ERROR: error: recompute is nothing, elementwise or attention, not 'all'

// The weights are kept; operands are there anyway.
// SPLIT-LABEL: func @attention_forward(
// SPLIT-SAME: -> (tensor<16x2xf32>, tensor<16x16xf32>)
// SPLIT: %[[P:.+]] = linalg.softmax
// SPLIT: return %{{.+}}, %[[P]]
// SPLIT-LABEL: func @attention_backward(
// SPLIT-SAME: %[[P:[a-z0-9]+]]: tensor<16x16xf32>, %{{[a-z0-9]+}}: tensor<16x2xf32>) -> (tensor<16x2xf32>, tensor<16x2xf32>, tensor<16x2xf32>)
// SPLIT-NOT: linalg.softmax
// SPLIT: nn.softmax_gradient ins(%[[P]]

// AGAIN: remark: keeps 0 values, 0 bytes; computes 3 ops again (512 multiply-adds) in place of 1024 bytes

// In one function: what is computed again reads its operands through nn.again.
// ONE-LABEL: func @attention_gradient(
// ONE-SAME: %[[Q:.+]]: tensor<16x2xf32>, %[[K:.+]]: tensor<16x2xf32>, %[[V:.+]]: tensor<16x2xf32>, %
// ONE: linalg.softmax
// ONE-DAG: %[[Q2:.+]] = nn.again %[[Q]]
// ONE-DAG: %[[K2:.+]] = nn.again %[[K]]
// ONE: linalg.generic {{.*}} ins(%[[Q2]], %[[K2]]
// ONE: %[[P:.+]] = linalg.softmax
// ONE: nn.softmax_gradient ins(%[[P]]
#id = affine_map<(d0, d1) -> (d0, d1)>
func.func @attention(%q: tensor<16x2xf32>, %k: tensor<16x2xf32>, %v: tensor<16x2xf32>) -> tensor<16x2xf32> {
  %zero = arith.constant 0.0 : f32
  %scale = arith.constant 0.7 : f32
  %e = tensor.empty() : tensor<16x16xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<16x16xf32>) -> tensor<16x16xf32>
  %s = linalg.matmul indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>]
       ins(%q, %k : tensor<16x2xf32>, tensor<16x2xf32>) outs(%f : tensor<16x16xf32>) -> tensor<16x16xf32>
  %t = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
       ins(%s : tensor<16x16xf32>) outs(%e : tensor<16x16xf32>) {
  ^bb0(%a: f32, %b: f32):
    %m = arith.mulf %a, %scale : f32
    linalg.yield %m : f32
  } -> tensor<16x16xf32>
  %p = linalg.softmax dimension(1) ins(%t : tensor<16x16xf32>) outs(%e : tensor<16x16xf32>) -> tensor<16x16xf32>
  %e2 = tensor.empty() : tensor<16x2xf32>
  %f2 = linalg.fill ins(%zero : f32) outs(%e2 : tensor<16x2xf32>) -> tensor<16x2xf32>
  %o = linalg.matmul ins(%p, %v : tensor<16x16xf32>, tensor<16x2xf32>) outs(%f2 : tensor<16x2xf32>) -> tensor<16x2xf32>
  return %o : tensor<16x2xf32>
}

// %h is a product, which is kept; its exponential can be had from it, the sum with %x too.
// KEEP: remark: keeps 2 values, 128 bytes
// KEEP-NEXT: 64 bytes, tensor<4x4xf32> of
// KEEP-NEXT: 64 bytes, tensor<4x4xf32> of
// CHAIN: remark: keeps 1 values, 64 bytes; computes 1 ops again (0 multiply-adds) in place of 64 bytes
// CHAIN-LABEL: func @chain_forward(
// CHAIN-SAME: -> (tensor<4x4xf32>, tensor<4x4xf32>)
// CHAIN-LABEL: func @chain_backward(
func.func @chain(%x: tensor<4x4xf32>, %w: tensor<4x4xf32>) -> tensor<4x4xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<4x4xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<4x4xf32>) -> tensor<4x4xf32>
  %h = linalg.matmul ins(%x, %w : tensor<4x4xf32>, tensor<4x4xf32>) outs(%f : tensor<4x4xf32>) -> tensor<4x4xf32>
  %g = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
       ins(%h : tensor<4x4xf32>) outs(%e : tensor<4x4xf32>) {
  ^bb0(%a: f32, %b: f32):
    %m = math.exp %a : f32
    linalg.yield %m : f32
  } -> tensor<4x4xf32>
  %y = linalg.matmul ins(%g, %w : tensor<4x4xf32>, tensor<4x4xf32>) outs(%f : tensor<4x4xf32>) -> tensor<4x4xf32>
  return %y : tensor<4x4xf32>
}
