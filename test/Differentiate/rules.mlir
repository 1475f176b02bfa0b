// What each family of rules writes.
// RUN: twist-opt %s --twist-differentiate --canonicalize --cse --split-input-file | FileCheck %s

// The operand's map becomes the output's; the body is the adjoint.
// CHECK: #[[$ID:.+]] = affine_map<(d0) -> (d0)>
// CHECK-LABEL: func @exp_gradient(
// CHECK-SAME: %[[X:.+]]: tensor<4xf64>, %[[G:.+]]: tensor<4xf64>) -> (tensor<4xf64>, tensor<4xf64>)
// CHECK: %[[Y:.+]] = linalg.generic
// CHECK: %[[D:.+]] = linalg.generic {indexing_maps = [#[[$ID]], #[[$ID]], #[[$ID]]], iterator_types = ["parallel"]} ins(%[[X]], %[[G]]
// CHECK: ^bb0(%[[A:.+]]: f64, %[[B:.+]]: f64, %{{.+}}: f64):
// CHECK: %[[E:.+]] = math.exp %[[A]]
// CHECK: %[[P:.+]] = arith.mulf %[[B]], %[[E]]
// CHECK: linalg.yield %[[P]]
// CHECK: return %[[Y]], %[[D]]
#id = affine_map<(d0) -> (d0)>
func.func @exp(%x: tensor<4xf64>) -> tensor<4xf64> {
  %e = tensor.empty() : tensor<4xf64>
  %y = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
       ins(%x : tensor<4xf64>) outs(%e : tensor<4xf64>) {
  ^bb0(%a: f64, %b: f64):
    %s = math.exp %a : f64
    linalg.yield %s : f64
  } -> tensor<4xf64>
  return %y : tensor<4xf64>
}

// -----

// Both gradients of a product are products; neither reads what it needn't.
// CHECK-DAG: #[[$A:.+]] = affine_map<(d0, d1, d2) -> (d0, d2)>
// CHECK-DAG: #[[$B:.+]] = affine_map<(d0, d1, d2) -> (d2, d1)>
// CHECK-DAG: #[[$C:.+]] = affine_map<(d0, d1, d2) -> (d0, d1)>
// CHECK-LABEL: func @matmul_gradient(
// CHECK-SAME: %[[A:.+]]: tensor<?x8xf32>, %[[B:.+]]: tensor<8x16xf32>, %[[Z:.+]]: tensor<?x16xf32>, %[[G:.+]]: tensor<?x16xf32>)
// CHECK: linalg.generic {indexing_maps = [#[[$A]], #[[$B]], #[[$C]]]
// CHECK: linalg.generic {indexing_maps = [#[[$B]], #[[$C]], #[[$A]]], iterator_types = ["parallel", "reduction", "parallel"]} ins(%[[B]], %[[G]]
// CHECK: linalg.generic {indexing_maps = [#[[$A]], #[[$C]], #[[$B]]], iterator_types = ["reduction", "parallel", "parallel"]} ins(%[[A]], %[[G]]
// CHECK: return %{{.+}}, %{{.+}}, %{{.+}}, %[[G]]
func.func @matmul(%a: tensor<?x8xf32>, %b: tensor<8x16xf32>, %z: tensor<?x16xf32>) -> tensor<?x16xf32> {
  %y = linalg.matmul ins(%a, %b : tensor<?x8xf32>, tensor<8x16xf32>) outs(%z : tensor<?x16xf32>) -> tensor<?x16xf32>
  return %y : tensor<?x16xf32>
}

// -----

// A maximum's cotangent is divided by the number of equal terms, and goes to them.
// CHECK-LABEL: func @max_gradient(
// CHECK-SAME: %[[X:.+]]: tensor<3x5xf32>, %[[G:.+]]: tensor<3xf32>)
// CHECK: %[[M:.+]] = linalg.generic
// CHECK: arith.maximumf
// CHECK: %[[N:.+]] = linalg.generic
// CHECK: arith.cmpf oeq
// CHECK: %[[S:.+]] = linalg.generic {{.*}} ins(%[[G]], %[[N]]
// CHECK: arith.divf
// CHECK: linalg.generic {{.*}} ins(%[[X]], %[[S]], %[[M]]
// CHECK: %[[HIT:.+]] = arith.cmpf oeq
// CHECK: arith.select %[[HIT]]
#row = affine_map<(d0, d1) -> (d0)>
#all = affine_map<(d0, d1) -> (d0, d1)>
func.func @max(%x: tensor<3x5xf32>) -> tensor<3xf32> {
  %low = arith.constant dense<0xFF800000> : tensor<3xf32>
  %y = linalg.generic {indexing_maps = [#all, #row], iterator_types = ["parallel", "reduction"]}
       ins(%x : tensor<3x5xf32>) outs(%low : tensor<3xf32>) {
  ^bb0(%a: f32, %b: f32):
    %s = arith.maximumf %b, %a : f32
    linalg.yield %s : f32
  } -> tensor<3xf32>
  return %y : tensor<3xf32>
}

// -----

// A convolution's input: the cotangent is spread by the stride and read from the far tap on.
// CHECK-DAG: #[[$READ:.+]] = affine_map<(d0, d1) -> (d0 - d1 * 2 + 4)>
// CHECK-LABEL: func @conv_gradient(
// CHECK-SAME: %[[X:.+]]: tensor<11xf32>, %[[W:.+]]: tensor<3xf32>, %[[Z:.+]]: tensor<3xf32>, %[[G:.+]]: tensor<3xf32>)
// CHECK: %[[WIDE:.+]] = tensor.insert_slice %[[G]] into %{{.+}}[4] [3] [3] : tensor<3xf32> into tensor<15xf32>
// CHECK: linalg.generic {indexing_maps = [{{.+}}, #[[$READ]], {{.+}}], iterator_types = ["parallel", "reduction"]} ins(%[[W]], %[[WIDE]]
#window = affine_map<(d0, d1) -> (d0 * 3 + d1 * 2)>
#tap = affine_map<(d0, d1) -> (d1)>
#out = affine_map<(d0, d1) -> (d0)>
func.func @conv(%x: tensor<11xf32>, %w: tensor<3xf32>, %z: tensor<3xf32>) -> tensor<3xf32> {
  %y = linalg.generic {indexing_maps = [#window, #tap, #out], iterator_types = ["parallel", "reduction"]}
       ins(%x, %w : tensor<11xf32>, tensor<3xf32>) outs(%z : tensor<3xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %p = arith.mulf %a, %b : f32
    %s = arith.addf %c, %p : f32
    linalg.yield %s : f32
  } -> tensor<3xf32>
  return %y : tensor<3xf32>
}

// -----

// Rows that were gathered are added back in the order of their indices.
// CHECK-LABEL: func @gather_gradient(
// CHECK-SAME: %[[T:.+]]: tensor<9x4xf32>, %[[I:.+]]: tensor<?xi64>, %[[G:.+]]: tensor<?x4xf32>)
// CHECK: %[[ZERO:.+]] = linalg.fill
// CHECK: nn.scatter_add ins(%[[G]], %[[I]] : tensor<?x4xf32>, tensor<?xi64>) outs(%[[ZERO]] : tensor<9x4xf32>) axis 0
func.func @gather(%t: tensor<9x4xf32>, %i: tensor<?xi64>) -> tensor<?x4xf32> {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %i, %c0 : tensor<?xi64>
  %e = tensor.empty(%n) : tensor<?x4xf32>
  %y = nn.gather ins(%t, %i : tensor<9x4xf32>, tensor<?xi64>) outs(%e : tensor<?x4xf32>) axis 0 -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// -----

// What moves elements moves cotangents back; two uses are added.
// CHECK-LABEL: func @slices_gradient(
// CHECK-SAME: %[[X:.+]]: tensor<2x6xf32>, %[[G:.+]]: tensor<2x3xf32>, %[[H:.+]]: tensor<12xf32>)
// CHECK: %[[BACK:.+]] = tensor.expand_shape %[[H]] {{\[\[}}0, 1]] output_shape [2, 6]
// CHECK: %[[PART:.+]] = tensor.extract_slice %[[BACK]][0, 1] [2, 3] [1, 2]
// CHECK: %[[SUM:.+]] = linalg.generic {{.*}} ins(%[[G]] : {{.*}} outs(%[[PART]]
// CHECK: arith.addf
// CHECK: tensor.insert_slice %[[SUM]] into %[[BACK]][0, 1] [2, 3] [1, 2]
func.func @slices(%x: tensor<2x6xf32>) -> (tensor<2x3xf32>, tensor<12xf32>) {
  %a = tensor.extract_slice %x[0, 1] [2, 3] [1, 2] : tensor<2x6xf32> to tensor<2x3xf32>
  %b = tensor.collapse_shape %x [[0, 1]] : tensor<2x6xf32> into tensor<12xf32>
  return %a, %b : tensor<2x3xf32>, tensor<12xf32>
}

// -----

// Relu: a constant's partner gets nothing at a tie. Names say what belongs to what.
// CHECK-LABEL: func @relu_gradient(
// CHECK-SAME: onnx.name = "x"
// CHECK-SAME: onnx.name = "y.cotangent"
// CHECK-SAME: -> (tensor<4xf32> {onnx.name = "y"}, tensor<4xf32> {onnx.name = "x.gradient"})
// CHECK: arith.cmpf ogt
// CHECK-NOT: arith.cmpf oeq
#id = affine_map<(d0) -> (d0)>
func.func @relu(%x: tensor<4xf32> {onnx.name = "x"}) -> (tensor<4xf32> {onnx.name = "y"}) {
  %e = tensor.empty() : tensor<4xf32>
  %y = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
       ins(%x : tensor<4xf32>) outs(%e : tensor<4xf32>) {
  ^bb0(%a: f32, %b: f32):
    %zero = arith.constant 0.0 : f32
    %s = arith.maximumf %a, %zero : f32
    linalg.yield %s : f32
  } -> tensor<4xf32>
  return %y : tensor<4xf32>
}

// -----

// One walk over the logits, written over them; softmax comes from the normaliser.
// CHECK-LABEL: func @cross_entropy_gradient(
// CHECK-SAME: %{{.+}}: tensor<4x8xf32>, %[[T:.+]]: tensor<4xi64>, %[[G:.+]]: tensor<4xf32>)
// CHECK: %[[X:.+]] = linalg.generic
// CHECK: %[[L:.+]]:2 = nn.cross_entropy ins(%[[X]], %[[T]]
// CHECK: %[[W:.+]]:2 = linalg.generic {{.*}} ins(%[[T]], %[[G]]
// CHECK: linalg.generic {{.*}} ins(%[[L]]#1, %[[W]]#0, %[[W]]#1 : {{.*}}) outs(%[[X]] :
// CHECK: math.exp
#id = affine_map<(d0, d1) -> (d0, d1)>
func.func @cross_entropy(%x: tensor<4x8xf32>, %t: tensor<4xi64>) -> tensor<4xf32> {
  %f = tensor.empty() : tensor<4x8xf32>
  %s = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
       ins(%x : tensor<4x8xf32>) outs(%f : tensor<4x8xf32>) {
  ^bb0(%a: f32, %b: f32):
    %m = arith.mulf %a, %a : f32
    linalg.yield %m : f32
  } -> tensor<4x8xf32>
  %e = tensor.empty() : tensor<4xf32>
  %l:2 = nn.cross_entropy ins(%s, %t : tensor<4x8xf32>, tensor<4xi64>) outs(%e, %e : tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>, tensor<4xf32>
  return %l#0 : tensor<4xf32>
}

// -----

// What a body picks goes back one element after the other.
// CHECK-LABEL: func @pick_gradient(
// CHECK-SAME: %{{.+}}: tensor<4xf32>, %[[I:.+]]: tensor<3xindex>, %[[G:.+]]: tensor<3xf32>)
// CHECK: scf.for %[[K:.+]] = {{.*}} iter_args(%[[T:.+]] =
// CHECK-DAG: %[[AT:.+]] = tensor.extract %[[I]][%[[K]]]
// CHECK-DAG: %[[D:.+]] = tensor.extract %[[G]][%[[K]]]
// CHECK: %[[OLD:.+]] = tensor.extract %[[T]][%[[AT]]]
// CHECK: %[[SUM:.+]] = arith.addf %[[OLD]], %[[D]]
// CHECK: tensor.insert %[[SUM]] into %[[T]][%[[AT]]]
#id = affine_map<(d0) -> (d0)>
func.func @pick(%x: tensor<4xf32>, %i: tensor<3xindex>) -> tensor<3xf32> {
  %e = tensor.empty() : tensor<3xf32>
  %y = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
       ins(%i : tensor<3xindex>) outs(%e : tensor<3xf32>) {
  ^bb0(%a: index, %b: f32):
    %s = tensor.extract %x[%a] : tensor<4xf32>
    linalg.yield %s : f32
  } -> tensor<3xf32>
  return %y : tensor<3xf32>
}

// -----

// A chain is pulled back as one; a bias stays apart.
// CHECK-LABEL: func @chain_gradient(
// CHECK-SAME: %[[X:.+]]: tensor<4x8xf32>, %[[B:.+]]: tensor<8xf32>, %[[G:.+]]: tensor<4x8xf32>)
// CHECK: %[[S:.+]] = linalg.generic {{.*}} ins(%[[X]], %[[B]]
// CHECK: arith.addf
// CHECK: linalg.generic {{.*}} ins(%[[S]] :
// CHECK: math.exp
// CHECK: arith.mulf
// CHECK: %[[D:.+]] = linalg.generic {{.*}} ins(%[[S]], %[[G]] :
// CHECK: math.exp
// CHECK: linalg.generic {{.*}}["reduction", "parallel"]{{.*}} ins(%[[D]] :
// CHECK: return
#id = affine_map<(d0, d1) -> (d0, d1)>
#unit = affine_map<(d0, d1) -> (d1)>
func.func @chain(%x: tensor<4x8xf32>, %b: tensor<8xf32>) -> tensor<4x8xf32> {
  %e = tensor.empty() : tensor<4x8xf32>
  %s = linalg.generic {indexing_maps = [#id, #unit, #id], iterator_types = ["parallel", "parallel"]}
       ins(%x, %b : tensor<4x8xf32>, tensor<8xf32>) outs(%e : tensor<4x8xf32>) {
  ^bb0(%a: f32, %c: f32, %o: f32):
    %m = arith.addf %a, %c : f32
    linalg.yield %m : f32
  } -> tensor<4x8xf32>
  %t = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
       ins(%s : tensor<4x8xf32>) outs(%e : tensor<4x8xf32>) {
  ^bb0(%a: f32, %o: f32):
    %m = math.exp %a : f32
    linalg.yield %m : f32
  } -> tensor<4x8xf32>
  %u = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
       ins(%s, %t : tensor<4x8xf32>, tensor<4x8xf32>) outs(%e : tensor<4x8xf32>) {
  ^bb0(%a: f32, %c: f32, %o: f32):
    %m = arith.mulf %a, %c : f32
    linalg.yield %m : f32
  } -> tensor<4x8xf32>
  return %u : tensor<4x8xf32>
}
