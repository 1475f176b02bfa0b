// RUN: twist-opt %s --cpu-mask-integers | FileCheck %s

// CHECK-LABEL: @masked
// CHECK: %[[FILL:.*]] = llvm.bitcast %arg2 : vector<8xbf16> to vector<8xi16>
// CHECK: %[[BITS:.*]] = llvm.intr.masked.load %arg0, %arg1, %[[FILL]] {{.*}} -> vector<8xi16>
// CHECK: %[[X:.*]] = llvm.bitcast %[[BITS]] : vector<8xi16> to vector<8xbf16>
// CHECK: %[[SUM:.*]] = llvm.fadd %[[X]], %arg2
// CHECK: %[[Y:.*]] = llvm.bitcast %[[SUM]] : vector<8xbf16> to vector<8xi16>
// CHECK: llvm.intr.masked.store %[[Y]], %arg0, %arg1 {{.*}} : vector<8xi16>
llvm.func @masked(%p: !llvm.ptr, %m: vector<8xi1>, %fill: vector<8xbf16>) {
  %x = llvm.intr.masked.load %p, %m, %fill {alignment = 2 : i32} : (!llvm.ptr, vector<8xi1>, vector<8xbf16>) -> vector<8xbf16>
  %y = llvm.fadd %x, %fill : vector<8xbf16>
  llvm.intr.masked.store %y, %p, %m {alignment = 2 : i32} : vector<8xbf16>, vector<8xi1> into !llvm.ptr
  llvm.return
}

// CHECK-LABEL: @scattered
// CHECK: llvm.intr.masked.gather {{.*}} -> vector<8xi16>
// CHECK: llvm.intr.masked.scatter {{.*}} : vector<8xi16>, vector<8xi1>
llvm.func @scattered(%p: vector<8x!llvm.ptr>, %m: vector<8xi1>, %fill: vector<8xbf16>) {
  %x = llvm.intr.masked.gather %p, %m, %fill {alignment = 2 : i32} : (vector<8x!llvm.ptr>, vector<8xi1>, vector<8xbf16>) -> vector<8xbf16>
  llvm.intr.masked.scatter %x, %p, %m {alignment = 2 : i32} : vector<8xbf16>, vector<8xi1> into vector<8x!llvm.ptr>
  llvm.return
}

// Others stay.
// CHECK-LABEL: @single
// CHECK-NOT: llvm.bitcast
// CHECK: llvm.return
llvm.func @single(%p: !llvm.ptr, %m: vector<8xi1>, %fill: vector<8xf32>) -> vector<8xf32> {
  %x = llvm.intr.masked.load %p, %m, %fill {alignment = 4 : i32} : (!llvm.ptr, vector<8xi1>, vector<8xf32>) -> vector<8xf32>
  llvm.return %x : vector<8xf32>
}
