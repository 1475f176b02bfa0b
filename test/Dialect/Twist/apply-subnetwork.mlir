// RUN: split-file %s %t
// RUN: twist-opt %t/model.mlir --twist-apply-subnetwork=ticket=%t/good.json | FileCheck %s
// RUN: not twist-opt %t/model.mlir --twist-apply-subnetwork=ticket=%t/unknown.json 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// RUN: not twist-opt %t/model.mlir --twist-apply-subnetwork=ticket=%t/count.json 2>&1 | FileCheck %s --check-prefix=COUNT
// RUN: not twist-opt %t/model.mlir --twist-apply-subnetwork=ticket=%t/broken.json 2>&1 | FileCheck %s --check-prefix=BROKEN
// RUN: not twist-opt %t/model.mlir --twist-apply-subnetwork=ticket=%t/none.json 2>&1 | FileCheck %s --check-prefix=MISSING
// RUN: not twist-opt %t/model.mlir --twist-apply-subnetwork=ticket=%t/other.json 2>&1 | FileCheck %s --check-prefix=UNRECORDED
// RUN: not twist-opt %t/model.mlir --twist-record-model --twist-apply-subnetwork=ticket=%t/other.json 2>&1 | FileCheck %s --check-prefix=OTHER
// RUN: twist-opt %t/model.mlir --twist-record-model '--twist-apply-subnetwork=ticket=%t/other.json any-weights' | FileCheck %s
// RUN: not twist-opt %t/model.mlir --twist-apply-subnetwork=ticket=%t/good.json --twist-apply-subnetwork=ticket=%t/good.json 2>&1 | FileCheck %s --check-prefix=TWICE
// RUN: not twist-opt %t/model.mlir --twist-apply-subnetwork=ticket=%t/site.json 2>&1 | FileCheck %s --check-prefix=SITE
// RUN: not twist-opt %t/missing.mlir --twist-record-model 2>&1 | FileCheck %s --check-prefix=NOFILE

// Two groups of two units: the ticket counts groups, the subnetwork units.
// CHECK: twist.subnetwork @ticket {ffn_0 = array<i64: 0, 1, 4, 5>, head_0 = array<i64>}

// UNKNOWN: unknown.json:0:0: error: ticket: the model has no axis 'up.weight:2'; near names: up.weight:1, down.weight:0, q.weight:1:0
// COUNT: count.json:0:0: error: ticket: axis 'up.weight:1' has 6 units, the ticket says 8
// BROKEN: error: ticket: not JSON
// MISSING: error: cannot read ticket: No such file or directory
// UNRECORDED: error: ticket: it names its model's structure_sha256, but the module has none recorded (twist-record-model)
// OTHER: error: ticket: it is for another model: structure_sha256 is 000000000000…, the model's is {{[0-9a-f]+}}…; --any-weights takes it anyway
// TWICE: error: ticket: the module has a subnetwork already
// SITE: error: ticket: site "weight" needs constants computed: use twist slice or twist compile
// NOFILE: error: {{.*}}nowhere.bin

//--- site.json
{"version":1,"axes":{"up.weight:1":{"units":6,"keep":[0],"site":"weight"}}}
//--- model.mlir
twist.axis @head_0 {kind = "head", index = 0, units = 2, sources = ["q.weight:1:0"]}
twist.axis @ffn_0 {kind = "ffn", index = 0, units = 6, sources = ["up.weight:1", "down.weight:0"]}
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}
//--- missing.mlir
weights.source @m from "nowhere.bin"
func.func @main() -> tensor<4xf32> {
  %w = weights.load <@m at 0 as tensor<4xf32>> : tensor<4xf32>
  return %w : tensor<4xf32>
}
//--- good.json
{"version": 1, "axes": {
  "down.weight:0": {"units": 6, "group": 2, "keep": [0, 2], "site": "operand"},
  "head.0": {"units": 2, "keep": []}}}
//--- unknown.json
{"version": 1, "axes": {"up.weight:2": {"units": 6, "keep": [0]}}}
//--- count.json
{"version": 1, "axes": {"up.weight:1": {"units": 8, "keep": [0]}}}
//--- broken.json
{"version": 1,
//--- other.json
{"version": 1, "model": {"structure_sha256": "0000000000000000000000000000000000000000000000000000000000000000"},
 "axes": {
  "down.weight:0": {"units": 6, "group": 2, "keep": [0, 2], "site": "operand"},
  "head.0": {"units": 2, "keep": []}}}
