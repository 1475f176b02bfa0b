// RUN: twist-opt %s -split-input-file -verify-diagnostics

// C1
// expected-error @+1 {{'twist.axis' op has 0 units}}
twist.axis @a {kind = "ffn", index = 0, units = 0, sources = []}

// -----

twist.axis @a {kind = "ffn", index = 0, units = 4, sources = ["w:1"]}
func.func @gate_C1(%x: tensor<?x4xf32>) {
  // expected-error @+1 {{'twist.gate' op gates dimension 2 of 'tensor<?x4xf32>'}}
  %0 = twist.gate %x by @a dim 2 at [#twist.place<offset = 0, outer = 1, units = 4, inner = 1>] : tensor<?x4xf32>
  return
}

// -----

twist.axis @a {kind = "ffn", index = 0, units = 4, sources = ["w:1"]}
func.func @gate_C2_none(%x: tensor<?x4xf32>) {
  // expected-error @+1 {{'twist.gate' op has no place}}
  %0 = twist.gate %x by @a dim 1 at [] : tensor<?x4xf32>
  return
}

// -----

twist.axis @a {kind = "ffn", index = 0, units = 4, sources = ["w:1"]}
func.func @gate_C2_range(%x: tensor<?x4xf32>) {
  // expected-error @+1 {{'twist.gate' op has a place out of range: #twist.place<offset = 0, outer = 0, units = 4, inner = 1>}}
  %0 = twist.gate %x by @a dim 1 at [#twist.place<offset = 0, outer = 0, units = 4, inner = 1>] : tensor<?x4xf32>
  return
}

// -----

twist.axis @a {kind = "ffn", index = 0, units = 4, sources = ["w:1"]}
func.func @gate_C3(%x: tensor<?x4xf32>) {
  // expected-error @+1 {{'twist.gate' op has a place that ends at 5, after dimension 1 of 'tensor<?x4xf32>'}}
  %0 = twist.gate %x by @a dim 1 at [#twist.place<offset = 1, outer = 1, units = 4, inner = 1>] : tensor<?x4xf32>
  return
}

// -----

func.func @gate_C4(%x: tensor<?x4xf32>) {
  // expected-error @+1 {{'twist.gate' op names no axis: @a}}
  %0 = twist.gate %x by @a dim 1 at [#twist.place<offset = 0, outer = 1, units = 4, inner = 1>] : tensor<?x4xf32>
  return
}

// -----

twist.axis @a {kind = "ffn", index = 0, units = 2, sources = ["w:1"]}
func.func @gate_C5(%x: tensor<?x4xf32>) {
  // expected-error @+1 {{'twist.gate' op has a place of 4 units, axis @a has 2}}
  %0 = twist.gate %x by @a dim 1 at [#twist.place<offset = 0, outer = 1, units = 4, inner = 1>] : tensor<?x4xf32>
  return
}
