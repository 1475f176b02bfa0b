// RUN: twist-opt %s --twist-slice --split-input-file --verify-diagnostics

// An axis that this graph does not have: gates decide, not symbols.

// expected-error @below {{axis 'gone_0' is none of this graph's}}
twist.axis @gone_0 {kind = "ffn", index = 0, units = 3, sources = ["u:1"]}
twist.subnetwork @s {gone_0 = array<i64: 0>}
func.func @main(%x: tensor<?x2xf32> {onnx.name = "x"}) -> (tensor<?x2xf32> {onnx.name = "y"}) {
  return %x : tensor<?x2xf32>
}

// -----

// expected-error @below {{has no function @main of one block}}
module {
  twist.axis @a {kind = "ffn", index = 0, units = 3, sources = ["u:1"]}
  twist.subnetwork @s {a = array<i64: 0>}
}
