// RUN: twist-opt %s | twist-opt | FileCheck %s

// CHECK: twist.axis @head_0 {index = 0 : i64, kind = "head", sources = ["qkv:1:c0:0", "out:0:0"], units = 3 : i64}
twist.axis @head_0 {kind = "head", index = 0, units = 3, sources = ["qkv:1:c0:0", "out:0:0"]}
// CHECK: twist.subnetwork @ticket {head_0 = array<i64: 0, 2>}
twist.subnetwork @ticket {head_0 = array<i64: 0, 2>}

// CHECK-LABEL: func.func @gates
func.func @gates(%x: tensor<?x6xf32>, %y: tensor<18x?xf16>) {
  // CHECK: twist.gate %{{.*}} by @head_0 dim 1 at [#twist.place<offset = 0, outer = 1, units = 3, inner = 2>] : tensor<?x6xf32>
  %0 = twist.gate %x by @head_0 dim 1 at [#twist.place<offset = 0, outer = 1, units = 3, inner = 2>] : tensor<?x6xf32>
  // CHECK: twist.gate %{{.*}} at [#twist.place<offset = 0, outer = 2, units = 3, inner = 2>, #twist.place<offset = 14, outer = 1, units = 3, inner = 1>]
  %1 = twist.gate %y by @head_0 dim 0 at [#twist.place<offset = 0, outer = 2, units = 3, inner = 2>, #twist.place<offset = 14, outer = 1, units = 3, inner = 1>] : tensor<18x?xf16>
  // CHECK: twist.gate %{{.*}} dim 1 {{.*}} : tensor<18x?xf16>
  %2 = twist.gate %y by @head_0 dim 1 at [#twist.place<offset = 0, outer = 1, units = 3, inner = 2>] : tensor<18x?xf16>
  return
}
